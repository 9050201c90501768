package kvdb

// AuditKeys are the keys of the audit log. They share the hash tag {audit}, so that a record moves from the
// pending ones to the log in one atomic step.
type AuditKeys struct{ base string }

// Audit returns the keys of the audit log.
func (k Keys) Audit() AuditKeys { return AuditKeys{string(k) + "{audit}:"} }

// Records is the log; the ID of a record begins with the Unix time in ms at which it was written. STREAM
func (k AuditKeys) Records() string { return k.base + "records" }

// Pending holds the changes that were begun and have no outcome yet, ID → JSON. HASH
func (k AuditKeys) Pending() string { return k.base + "pending" }

// PendingSince says when each of them was begun. ZSET, score = Unix time in ms
func (k AuditKeys) PendingSince() string { return k.base + "pending:since" }
