package handlers

import "webadmin/internal/lua"

// largestRun is the largest form of a run: its arguments, of which each byte may take three, and the text.
const largestRun = 3*lua.MaxArgBytes + largestSource

// luaRunRoutes are the pages that run programs.
var luaRunRoutes = []Route{
	{Name: "lua.arguments", Method: post, Path: "/lua/-/arguments", Need: Operator, Body: largestRun},
	{Name: "lua.run", Method: post, Path: "/lua/-/run", Need: Operator, Body: largestRun, Long: true},
	{Name: "lua.dryrun", Method: post, Path: "/lua/-/dryrun", Need: Operator, Body: largestRun, Long: true},
	{Name: "lua.apply", Method: post, Path: "/lua/-/apply", Need: Operator, Body: largestRun, Long: true},
	{Name: "lua.busy", Method: get, Path: "/lua/-/busy", Need: Viewer, Busy: true},
	{Name: "lua.kill", Method: post, Path: "/lua/-/kill", Need: Operator, Busy: true},

	{Name: "lua.debug.start", Method: post, Path: "/lua/-/debug", Need: Operator, Body: largestRun, Long: true},
	{Name: "lua.debug.do", Method: post, Path: "/lua/-/debug/:id", Need: Operator, Body: largestSource, Long: true},
	{Name: "lua.debug.stream", Method: get, Path: "/lua/-/debug/:id/stream", Need: Operator, Long: true},
	{Name: "lua.debug.end", Method: post, Path: "/lua/-/debug/:id/end", Need: Operator},

	{Name: "lua.runs", Method: get, Path: "/lua/:name/runs", Need: Viewer},
	{Name: "lua.examples.save", Method: post, Path: "/lua/:name/examples", Need: Operator, Body: largestRun},
	{Name: "lua.examples.delete", Method: post, Path: "/lua/:name/examples/:id/delete", Need: Operator},
	{Name: "lua.examples.test", Method: post, Path: "/lua/:name/examples/test", Need: Operator, Long: true},
}
