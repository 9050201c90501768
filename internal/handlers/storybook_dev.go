//go:build dev

package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"webadmin/web/templates/storybook"
)

var devRoutes = []Route{{Name: "components", Method: get, Path: "/_components", Need: Public}}

func devAreas(s *site) []area { return []area{&devPages{s}} }

// devPages show all components in all states.
type devPages struct{ *site }

func (p *devPages) handlers() map[string]echo.HandlerFunc {
	return map[string]echo.HandlerFunc{"components": p.components}
}

// components serves GET /_components.
func (p *devPages) components(c echo.Context) error {
	return render(c, http.StatusOK, storybook.Page(p.bare(c, "Components")))
}
