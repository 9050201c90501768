package kvdb

// ConsoleKeys are the keys of the console. They share the hash tag {console}.
type ConsoleKeys struct{ base string }

// Console returns the keys of the console.
func (k Keys) Console() ConsoleKeys { return ConsoleKeys{string(k) + "{console}:"} }

// History holds the lines that somebody typed, the newest first, each after the Unix time in ms and a space. LIST, capped
func (k ConsoleKeys) History(user string) string { return k.base + "history:" + user }
