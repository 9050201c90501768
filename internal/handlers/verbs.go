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

// Objects of the audit log.
func userObject(name string) string { return "user " + name }

func programObject(name string) string { return "program " + name }
