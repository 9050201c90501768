package handlers

// brokerChannelRoutes are the pages of channels. Slashes in the name of a channel are escaped in addresses.
var brokerChannelRoutes = []Route{
	{Name: "broker.channels", Method: get, Path: "/broker/channels", Need: Viewer},
	{Name: "broker.channel", Method: get, Path: "/broker/channels/:name", Need: Viewer},
	{Name: "broker.channel.facts", Method: get, Path: "/broker/channels/:name/facts", Need: Viewer},
	{Name: "broker.channel.stream", Method: get, Path: "/broker/channels/:name/stream", Need: Viewer, Long: true},
	{Name: "broker.channel.message", Method: get, Path: "/broker/channels/:name/messages/:id", Need: Viewer},
	{Name: "broker.channel.data", Method: get, Path: "/broker/channels/:name/messages/:id/data", Need: Viewer},
	{Name: "broker.channel.settings", Method: post, Path: "/broker/channels/:name/settings", Need: Operator},
	{Name: "broker.channel.forget", Method: post, Path: "/broker/channels/:name/forget", Need: Operator},
	{Name: "broker.channel.unpreset", Method: post, Path: "/broker/channels/:name/presets/delete", Need: Operator},
	{Name: "broker.publish", Method: get, Path: "/broker/publish", Need: Operator},
	{Name: "broker.publish.do", Method: post, Path: "/broker/publish", Need: Operator, Body: largestCall},
}

// Verbs about channels.
const (
	verbPublish         = "channel.publish"
	verbChannelSettings = "channel.settings"
	verbChannelForget   = "channel.forget"
	verbPresetSave      = "channel.preset.save"
	verbPresetDelete    = "channel.preset.delete"
)

func channelObject(name string) string { return "channel " + name }
