package handlers

// largestCall is the largest form with a payload: 1 MiB, of which each byte may take three, and what stands round it.
const largestCall = 3<<20 + 64<<10

// brokerRoutes are the pages of services, invocations, dead letters and webhooks. A service may be called what it likes but for signs
// that would need care in an address: its slashes are escaped there.
var brokerRoutes = []Route{
	{Name: "broker.services", Method: get, Path: "/broker/services", Need: Viewer},
	{Name: "broker.service", Method: get, Path: "/broker/services/:name", Need: Viewer},
	{Name: "broker.service.pause", Method: post, Path: "/broker/services/:name/pause", Need: Operator},
	{Name: "broker.service.resume", Method: post, Path: "/broker/services/:name/resume", Need: Operator},
	{Name: "broker.service.policy", Method: post, Path: "/broker/services/:name/policy", Need: Operator},

	{Name: "broker.invocations", Method: get, Path: "/broker/invocations", Need: Viewer},
	{Name: "broker.invocation", Method: get, Path: "/broker/invocations/:cid", Need: Viewer},
	{Name: "broker.invocation.payload", Method: get, Path: "/broker/invocations/:cid/payload", Need: Viewer},
	{Name: "broker.invocation.result", Method: get, Path: "/broker/invocations/:cid/result", Need: Viewer},
	{Name: "broker.invocation.cancel", Method: post, Path: "/broker/invocations/:cid/cancel", Need: Operator},
	{Name: "broker.invocation.edit", Method: get, Path: "/broker/invocations/:cid/edit", Need: Operator},
	{Name: "broker.invocation.retry", Method: post, Path: "/broker/invocations/:cid/retry", Need: Operator, Body: largestCall},

	{Name: "broker.invoke", Method: get, Path: "/broker/invoke", Need: Operator},
	{Name: "broker.invoke.do", Method: post, Path: "/broker/invoke", Need: Operator, Body: largestCall},
	{Name: "broker.json", Method: post, Path: "/broker/json", Need: Operator, Body: largestCall},

	{Name: "broker.dead", Method: get, Path: "/broker/dead", Need: Viewer},
	{Name: "broker.dead.ticked", Method: post, Path: "/broker/dead", Need: Operator},
	{Name: "broker.dead.many", Method: post, Path: "/broker/dead/many", Need: Operator},
	{Name: "broker.dead.job", Method: get, Path: "/broker/dead/many/:id", Need: Operator},
	{Name: "broker.dead.run", Method: post, Path: "/broker/dead/many/:id/run", Need: Operator},
	{Name: "broker.dead.stop", Method: post, Path: "/broker/dead/many/:id/stop", Need: Operator},

	{Name: "settings.webhooks", Method: get, Path: "/settings/webhooks", Need: Admin},
	{Name: "settings.webhooks.create", Method: post, Path: "/settings/webhooks", Need: Admin},
	{Name: "settings.webhook", Method: get, Path: "/settings/webhooks/:service", Need: Admin},
	{Name: "settings.webhook.save", Method: post, Path: "/settings/webhooks/:service", Need: Admin},
	{Name: "settings.webhook.delete", Method: post, Path: "/settings/webhooks/:service/delete", Need: Admin},
}
