package handlers

import "github.com/labstack/echo/v4"

// redisInfoRoutes are the pages about the servers themselves.
var redisInfoRoutes = []Route{
	{Name: "redis.info", Method: get, Path: "/redis/info", Need: Viewer},
	{Name: "redis.info.live", Method: get, Path: "/redis/info/live", Need: Viewer},

	{Name: "redis.slowlog", Method: get, Path: "/redis/slowlog", Need: Viewer},
	{Name: "redis.slowlog.ask", Method: get, Path: "/redis/slowlog/reset", Need: Admin},
	{Name: "redis.slowlog.reset", Method: post, Path: "/redis/slowlog/reset", Need: Admin},

	{Name: "redis.clients", Method: get, Path: "/redis/clients", Need: Viewer},
	{Name: "redis.client.ask", Method: get, Path: "/redis/clients/:id/kill", Need: Admin},
	{Name: "redis.client.kill", Method: post, Path: "/redis/clients/:id/kill", Need: Admin},

	{Name: "redis.memory", Method: get, Path: "/redis/memory", Need: Viewer},
	{Name: "redis.memory.job", Method: get, Path: "/redis/memory/job", Need: Viewer},
	{Name: "redis.memory.start", Method: post, Path: "/redis/memory", Need: Viewer},
	{Name: "redis.memory.cancel", Method: post, Path: "/redis/memory/cancel", Need: Viewer},
}

// redisInfoPages show how the Redis servers are.
type redisInfoPages struct {
	*site
	big bigJobs
}

func newRedisInfoPages(s *site) *redisInfoPages { return &redisInfoPages{site: s} }

func (p *redisInfoPages) handlers() map[string]echo.HandlerFunc {
	return map[string]echo.HandlerFunc{
		"redis.info":          p.info,
		"redis.info.live":     p.live,
		"redis.slowlog":       p.slowLog,
		"redis.slowlog.ask":   p.askSlowReset,
		"redis.slowlog.reset": p.resetSlowLog,
		"redis.clients":       p.clients,
		"redis.client.ask":    p.askKill,
		"redis.client.kill":   p.killClient,
		"redis.memory":        p.memory,
		"redis.memory.job":    p.memoryJob,
		"redis.memory.start":  p.startBig,
		"redis.memory.cancel": p.cancelBig,
	}
}
