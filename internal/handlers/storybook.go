//go:build !dev

package handlers

// Only builds with the tag dev show the components.
var devRoutes []Route

func devAreas(*site) []area { return nil }
