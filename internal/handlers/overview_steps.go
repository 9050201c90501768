package handlers

import (
	"github.com/labstack/echo/v4"

	"webadmin/internal/lua"
	overviewview "webadmin/web/templates/overview"
)

// steps are what somebody does first with an empty store; none while there is anything in any of the systems.
func (p *overviewPages) steps(c echo.Context) ([]overviewview.Step, error) {
	used, err := p.used(c)
	if used || err != nil {
		return nil, err
	}
	steps := []overviewview.Step{
		{Icon: "book-open-text", Title: "Add a dictionary", Text: "Entries and translations say what one system calls the values of another."},
		{Icon: "file-code-corner", Title: "Upload a program", Text: "Lua programs change data in one step, whoever else is at it."},
		{Icon: "waypoints", Title: "Publish a message", Text: "All who follow a channel get it; a service has one worker do a thing."},
	}
	if mayEdit(c) {
		steps[0].Do = []overviewview.Link{{Text: "Import a file", URL: p.url("dict.transfer")}, {Text: "Add by hand", URL: p.url("dict.translations")}}
		steps[1].Do = []overviewview.Link{{Text: "Upload files", URL: p.url("lua")},
			{Text: "New program", URL: p.url("lua.scratch", values("new", "1"))}}
		steps[2].Do = []overviewview.Link{{Text: "Publish…", URL: p.url("broker.publish")},
			{Text: "Invoke echo", URL: p.url("broker.invoke", values("service", "echo"))}}
	}
	api := overviewview.Step{Icon: "key-round", Title: "Let programs in", Text: "Each program signs in to the API with a token of its own."}
	api.Do = []overviewview.Link{{Text: "Read about the API", URL: p.url("api.docs")}}
	if roleOf(c) == string(Admin) {
		api.Do = append([]overviewview.Link{{Text: "Make a token", URL: p.url("settings.tokens")}}, api.Do...)
	}
	return append(steps, api), nil
}

// used says whether there is a program of somebody's own, a channel or a service.
func (p *overviewPages) used(c echo.Context) (bool, error) {
	ctx := c.Request().Context()
	for _, origin := range []lua.Origin{lua.Upload, lua.File} {
		programs, err := p.Lua.Programs(ctx, lua.Filter{Origin: origin}, "", 1)
		if err != nil || len(programs.Items) > 0 {
			return true, err
		}
	}
	channels, err := p.Broker.Channels(ctx, "", "", 1)
	if err != nil || len(channels.Items) > 0 {
		return true, err
	}
	services, err := p.Broker.Services(ctx, "", "", 1)
	return len(services.Items) > 0, err
}
