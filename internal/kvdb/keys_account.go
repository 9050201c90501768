package kvdb

// AccountKeys are the keys of users, tokens and sessions. They share the hash tag {account}, so that a change of a
// user and of what hangs on them is one atomic step on one slot.
type AccountKeys struct{ base string }

// Account returns the keys of users, tokens and sessions.
func (k Keys) Account() AccountKeys { return AccountKeys{string(k) + "{account}:"} }

// Fingerprint tells which session key the records are signed with. STRING
func (k AccountKeys) Fingerprint() string { return k.base + "fingerprint" }

// Users holds the users, name → signed record. HASH
func (k AccountKeys) Users() string { return k.base + "users" }

// Tokens holds the API tokens, ID → signed record. HASH
func (k AccountKeys) Tokens() string { return k.base + "tokens" }

// Sessions holds the sessions, ID → signed record. HASH
func (k AccountKeys) Sessions() string { return k.base + "sessions" }

// SessionsByUser finds the sessions of a user; members are user/ID. ZSET, all scores 0
func (k AccountKeys) SessionsByUser() string { return k.base + "sessions:by-user" }

// SessionsDue says when each session ends; members are user/ID. ZSET, score = Unix time in ms
func (k AccountKeys) SessionsDue() string { return k.base + "sessions:due" }

// Throttle counts the attempts that one subject made: n and the Unix time in ms of the last one. HASH, expires
func (k AccountKeys) Throttle(kind, subject string) string {
	return k.base + "throttle:" + kind + ":" + subject
}
