package handlers

// largestConsole is the largest form of the console: commands of 1 MiB, of which each byte may take three, and what stands round them.
const largestConsole = 4 << 20

// largestBatch is the largest form with a batch of commands, and what stands round it.
const largestBatch = 17 << 20

// redisConsoleRoutes are the console, and batches of commands. Who may run which command is asked anew for each of them.
var redisConsoleRoutes = []Route{
	{Name: "redis.console", Method: get, Path: "/redis/console", Need: Viewer},
	{Name: "redis.console.run", Method: post, Path: "/redis/console", Need: Viewer, Body: largestConsole, Long: true},
	{Name: "redis.console.complete", Method: post, Path: "/redis/console/complete", Need: Viewer},
	{Name: "redis.console.history", Method: get, Path: "/redis/console/history", Need: Viewer},
	{Name: "redis.console.forget", Method: post, Path: "/redis/console/history/forget", Need: Viewer},
	{Name: "redis.console.stream", Method: get, Path: "/redis/console/session/:id/stream", Need: Viewer, Long: true},
	{Name: "redis.console.reply", Method: post, Path: "/redis/console/session/:id/reply", Need: Viewer, Long: true},
	{Name: "redis.console.stop", Method: post, Path: "/redis/console/session/:id/stop", Need: Viewer, Body: largestConsole},
	{Name: "redis.console.end", Method: post, Path: "/redis/console/session/:id/end", Need: Viewer, Body: largestConsole},

	{Name: "redis.batch", Method: get, Path: "/redis/console/batch", Need: Viewer},
	{Name: "redis.batch.check", Method: post, Path: "/redis/console/batch", Need: Viewer, Body: largestBatch, Long: true},
	{Name: "redis.batch.one", Method: get, Path: "/redis/console/batch/:id", Need: Viewer},
	{Name: "redis.batch.run", Method: post, Path: "/redis/console/batch/:id/run", Need: Viewer},
	{Name: "redis.batch.stop", Method: post, Path: "/redis/console/batch/:id/stop", Need: Viewer},
	{Name: "redis.batch.replies", Method: get, Path: "/redis/console/batch/:id/replies", Need: Viewer, Long: true},
}
