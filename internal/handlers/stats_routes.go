package handlers

import "github.com/labstack/echo/v4"

// statsRoutes are the pages of the statistics. A service is named in the query, as its name may be any text.
var statsRoutes = []Route{
	{Name: "stats.trends", Method: get, Path: "/stats/trends", Need: Viewer},
	{Name: "stats.summary", Method: get, Path: "/stats/summary", Need: Viewer},
	{Name: "stats.service", Method: get, Path: "/stats/service", Need: Viewer},
	{Name: "stats.slow", Method: get, Path: "/stats/slow", Need: Viewer},
	{Name: "stats.threshold", Method: post, Path: "/stats/threshold", Need: Operator},
	{Name: "stats.settings", Method: get, Path: "/stats/settings", Need: Viewer},
	{Name: "stats.settings.save", Method: post, Path: "/stats/settings", Need: Admin},
	{Name: "stats.ask", Method: get, Path: "/stats/delete", Need: Admin},
	{Name: "stats.delete", Method: post, Path: "/stats/delete", Need: Admin, Long: true},
}

// statsPages show how services do.
type statsPages struct{ *site }

func (p *statsPages) handlers() map[string]echo.HandlerFunc {
	return map[string]echo.HandlerFunc{
		"stats.trends":        func(c echo.Context) error { return p.figures(c, trendsPage) },
		"stats.summary":       func(c echo.Context) error { return p.figures(c, summaryPage) },
		"stats.service":       p.service,
		"stats.slow":          p.slow,
		"stats.threshold":     p.setThreshold,
		"stats.settings":      p.settings,
		"stats.settings.save": p.saveSettings,
		"stats.ask":           p.askDelete,
		"stats.delete":        p.deleteRange,
	}
}

// statsObject names the statistics of a service in the audit log.
func statsObject(name string) string { return "statistics of " + name }
