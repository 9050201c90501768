package kvdb

// programUser is the name of the ACL user as which programs and operators' commands run.
const programUser = "webadmin-program"

// programUserCommand sets the program user up. Redis 7.0 overlooks keys of three commands (GEORADIUS k … STORE a
// STORE b, the same by member, and XREADGROUP with a consumer named STREAMS), so that the key patterns
// would not hold for them: the user goes without.
func programUserCommand(password, prefix string) []string {
	args := []string{"ACL", "SETUSER", programUser, "reset", "on", ">" + password, "&*", "+@all", "-@admin", "-@dangerous",
		"-georadius", "-georadiusbymember", "-xreadgroup"}
	for _, pattern := range keysOutside(prefix) {
		args = append(args, "~"+pattern)
	}
	return args
}

// keysOutside returns glob patterns that match all keys but those that begin with the prefix. An ACL can
// only allow keys, so the complement is spelt out: for "ab" it is the keys that don't begin with a, "a", and
// those that begin with a and go on with something else than b.
func keysOutside(prefix string) []string {
	patterns := []string{""} // the empty key
	quoted := ""
	for i := range len(prefix) {
		next := `\` + prefix[i:i+1]
		patterns = append(patterns, quoted+"[^"+next+"]*")
		quoted += next
		if i < len(prefix)-1 {
			patterns = append(patterns, quoted)
		}
	}
	return patterns
}
