// Package statsview shows the statistics: trends and summaries of all services, the page of one, slow calls, settings.
//
// view.go and settings_view.go have what the pages are made of, chart.go and heat.go lay the drawings out. All numbers come written as
// people read them; the drawings are SVG made here, with the zoom as links that work without scripts (web/static/src/lib/zoom.js adds
// dragging).
package statsview
