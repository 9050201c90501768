package account

import "webadmin/internal/kvdb"

// Role says what somebody may do. Each role may do what the ones before it may.
type Role string

const (
	Viewer   Role = "viewer"   // reads everything except secrets
	Operator Role = "operator" // also changes data and runs programs
	Admin    Role = "admin"    // also manages users, tokens, webhooks, and runs dangerous commands
)

// Allows reports whether somebody with role r may do what needs the role need. Words that are no role
// allow nothing and are allowed to nobody.
func (r Role) Allows(need Role) bool {
	return need.rank() > 0 && r.rank() >= need.rank()
}

func (r Role) rank() int {
	switch r {
	case Viewer:
		return 1
	case Operator:
		return 2
	case Admin:
		return 3
	}
	return 0
}

// ParseRole returns the role of that name; kvdb.ErrInvalid when there is none.
func ParseRole(s string) (Role, error) {
	if r := Role(s); r.rank() > 0 {
		return r, nil
	}
	return "", kvdb.Invalid("role", "must be viewer, operator or admin")
}
