package handlers

// largestSource is the largest form with a program's text: 256 KiB, of which each byte may take three, and what stands round it.
const largestSource = 1 << 20

// largestFiles is the largest form with files of programs.
const largestFiles = 8 << 20

// luaRoutes are the pages round the Lua programs. A program may be called what it likes but "-": helpers live below /lua/-/, where no
// page of a program is.
var luaRoutes = []Route{
	{Name: "lua", Method: get, Path: "/lua", Need: Viewer},
	{Name: "lua.create", Method: post, Path: "/lua", Need: Operator, Body: largestSource},
	{Name: "lua.scratch", Method: get, Path: "/lua/-/scratch", Need: Viewer},
	{Name: "lua.upload", Method: post, Path: "/lua/-/upload", Need: Operator, Body: largestFiles},
	{Name: "lua.archive", Method: get, Path: "/lua/-/archive", Need: Viewer, Long: true},
	{Name: "lua.check", Method: post, Path: "/lua/-/check", Need: Viewer, Body: largestSource},

	{Name: "lua.program", Method: get, Path: "/lua/:name", Need: Viewer},
	{Name: "lua.save", Method: post, Path: "/lua/:name", Need: Operator, Body: largestSource},
	{Name: "lua.ask", Method: get, Path: "/lua/:name/delete", Need: Operator},
	{Name: "lua.delete", Method: post, Path: "/lua/:name/delete", Need: Operator},
	{Name: "lua.versions", Method: get, Path: "/lua/:name/versions", Need: Viewer},
	{Name: "lua.version", Method: get, Path: "/lua/:name/versions/:n", Need: Viewer},
	{Name: "lua.restore", Method: post, Path: "/lua/:name/versions/:n/restore", Need: Operator},
	{Name: "lua.download", Method: get, Path: "/lua/:name/download", Need: Viewer},
}
