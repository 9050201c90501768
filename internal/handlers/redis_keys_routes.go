package handlers

import "github.com/labstack/echo/v4"

// largestKeyForm is the largest form of a key's value: of each of its bytes, a form may need three.
const largestKeyForm = 3*largestString + 1<<20

// redisKeysRoutes are the pages of the keys. A key is named by the query: key=, its percent-encoded bytes.
var redisKeysRoutes = []Route{
	{Name: "redis.keys", Method: get, Path: "/redis/keys", Need: Viewer},
	{Name: "redis.keys.prefixes", Method: get, Path: "/redis/keys/prefixes", Need: Viewer},
	{Name: "redis.keys.new", Method: get, Path: "/redis/keys/new", Need: Operator},
	{Name: "redis.keys.create", Method: post, Path: "/redis/keys/new", Need: Operator, Body: largestKeyForm},

	{Name: "redis.bulk", Method: get, Path: "/redis/keys/bulk", Need: Operator},
	{Name: "redis.bulk.count", Method: post, Path: "/redis/keys/bulk", Need: Operator},
	{Name: "redis.bulk.job", Method: get, Path: "/redis/keys/bulk/:id", Need: Operator},
	{Name: "redis.bulk.run", Method: post, Path: "/redis/keys/bulk/:id/run", Need: Operator},
	{Name: "redis.bulk.stop", Method: post, Path: "/redis/keys/bulk/:id/stop", Need: Operator},

	{Name: "redis.key", Method: get, Path: "/redis/key", Need: Viewer},
	{Name: "redis.key.item", Method: get, Path: "/redis/key/item", Need: Viewer},
	{Name: "redis.key.edit", Method: get, Path: "/redis/key/edit", Need: Operator},
	{Name: "redis.key.save", Method: post, Path: "/redis/key/edit", Need: Operator, Body: largestKeyForm},
	{Name: "redis.key.add", Method: get, Path: "/redis/key/add", Need: Operator},
	{Name: "redis.key.add.do", Method: post, Path: "/redis/key/add", Need: Operator, Body: largestKeyForm},
	{Name: "redis.key.remove", Method: get, Path: "/redis/key/remove", Need: Operator},
	{Name: "redis.key.remove.do", Method: post, Path: "/redis/key/remove", Need: Operator},
	{Name: "redis.key.ttl", Method: post, Path: "/redis/key/ttl", Need: Operator},
	{Name: "redis.key.rename", Method: post, Path: "/redis/key/rename", Need: Operator},
	{Name: "redis.key.copy", Method: post, Path: "/redis/key/copy", Need: Operator},
	{Name: "redis.key.delete", Method: get, Path: "/redis/key/delete", Need: Operator},
	{Name: "redis.key.delete.do", Method: post, Path: "/redis/key/delete", Need: Operator},
}

// redisKeysPages are the pages of the keys.
type redisKeysPages struct {
	*site
	jobs jobs[*bulkJob]
}

func newRedisKeysPages(s *site) *redisKeysPages {
	return &redisKeysPages{site: s, jobs: jobs[*bulkJob]{in: s.Background}}
}

func (p *redisKeysPages) handlers() map[string]echo.HandlerFunc {
	return map[string]echo.HandlerFunc{
		"redis.keys":          p.keys,
		"redis.keys.prefixes": p.prefixes,
		"redis.keys.new":      p.newKey,
		"redis.keys.create":   p.createKey,
		"redis.bulk":          p.bulk,
		"redis.bulk.count":    p.countBulk,
		"redis.bulk.job":      p.showBulk,
		"redis.bulk.run":      p.runBulk,
		"redis.bulk.stop":     p.stopBulk,
		"redis.key":           p.key,
		"redis.key.item":      p.keyItem,
		"redis.key.edit":      p.editKey,
		"redis.key.save":      p.saveKey,
		"redis.key.add":       p.askAdd,
		"redis.key.add.do":    p.addToKey,
		"redis.key.remove":    p.askRemove,
		"redis.key.remove.do": p.removeFromKey,
		"redis.key.ttl":       p.setTTL,
		"redis.key.rename":    p.renameKey,
		"redis.key.copy":      p.copyKey,
		"redis.key.delete":    p.askDeleteKey,
		"redis.key.delete.do": p.deleteKey,
	}
}
