package kvdb

// LuaKeys are the keys of the Lua programs. They share the hash tag {lua}, so that an upload and its version are one atomic step.
type LuaKeys struct{ base string }

// Lua returns the keys of the Lua programs.
func (k Keys) Lua() LuaKeys { return LuaKeys{string(k) + "{lua}:"} }

// Version grows with each change of any upload: who remembers programs looks at it. STRING, an integer
func (k LuaKeys) Version() string { return k.base + "version" }

// Names holds the names of the uploads that exist, all with score 0, for lists in the order of names. ZSET
func (k LuaKeys) Names() string { return k.base + "names" }

// Uploads holds of each upload all but its text, name → JSON. HASH
func (k LuaKeys) Uploads() string { return k.base + "uploads" }

// Versions holds the versions of an upload with their texts, also after it was deleted; the ID is the number and 0. STREAM
func (k LuaKeys) Versions(name string) string { return k.base + "versions:" + name }

// Op says what came of an operation that may be sent again. STRING, for a day
func (k LuaKeys) Op(op string) string { return k.base + "op:" + op }

// Runs counts the runs of each program. HASH
func (k LuaKeys) Runs() string { return k.base + "runs" }

// Failures counts the runs of each program that failed. HASH
func (k LuaKeys) Failures() string { return k.base + "failures" }

// LastRuns says when each program ran last, in Unix ms. HASH
func (k LuaKeys) LastRuns() string { return k.base + "lastruns" }

// Log holds the last runs of a program with their arguments and results; that of "" holds the ad hoc ones. STREAM, capped
func (k LuaKeys) Log(name string) string { return k.base + "log:" + name }

// Examples holds the saved examples of a program, ID → JSON. HASH
func (k LuaKeys) Examples(name string) string { return k.base + "examples:" + name }

// DebugLock is held while a debug session starts: until its first stop, the server mixes up two that start. STRING, a token, for seconds
func (k LuaKeys) DebugLock() string { return k.base + "debuglock" }
