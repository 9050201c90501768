package handlers

// Verbs of the audit log: a thing, a dot, and what was done to it.
const (
	verbSignIn       = "session.start"
	verbSignInFailed = "session.refuse"
	verbSessionEnd   = "session.end"
	verbUserCreate   = "user.create"
	verbUserRole     = "user.role"
	verbUserPassword = "user.password"
	verbUserDisable  = "user.disable"
	verbUserEnable   = "user.enable"
	verbUserDelete   = "user.delete"
	verbTokenCreate  = "token.create"
	verbTokenRevoke  = "token.revoke"
	verbLuaSave      = "lua.save"
	verbLuaUpload    = "lua.upload"
	verbLuaRestore   = "lua.restore"
	verbLuaDelete    = "lua.delete"
)

// Verbs about keys of Redis.
const (
	verbKeyCreate  = "key.create"
	verbKeyChange  = "key.change"
	verbKeyAdd     = "key.add"
	verbKeyRemove  = "key.remove"
	verbKeyExpire  = "key.expire"
	verbKeyRename  = "key.rename"
	verbKeyCopy    = "key.copy"
	verbKeyDelete  = "key.delete"
	verbKeysDelete = "keys.delete"
	verbKeysExpire = "keys.expire"
)

// Verbs about the Redis servers.
const (
	verbSlowReset  = "slowlog.reset"
	verbClientKill = "client.kill"
)

// Objects of the audit log.
func userObject(name string) string { return "user " + name }

func programObject(name string) string { return "program " + name }

// Verbs of the broker.
const (
	verbInvoke           = "service.invoke"
	verbInvocationCancel = "invocation.cancel"
	verbServicePause     = "service.pause"
	verbServiceResume    = "service.resume"
	verbServicePolicy    = "service.policy"
	verbDeadRetry        = "dead.retry"
	verbDeadDelete       = "dead.delete"
	verbWebhookSave      = "webhook.save"
	verbWebhookDelete    = "webhook.delete"
)

// Verbs about statistics.
const (
	verbStatsSettings  = "stats.settings"
	verbStatsThreshold = "stats.threshold"
	verbStatsDelete    = "stats.delete"
)
