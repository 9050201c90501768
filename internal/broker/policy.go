package broker

import (
	"context"
	"strconv"
	"time"

	"webadmin/internal/kvdb"
)

// The most that a policy may say.
const (
	mostBackoff = 24 * time.Hour
	mostKept    = 1_000_000
	mostKeep    = 366 * 24 * time.Hour
)

// SetPolicy changes the policy of a service if it still has p.Version, and returns it as it is then. What is zero becomes the default. A
// service that nobody has used yet is known from then on. Errors: kvdb.InvalidError, *StaleError.
func (s *Store) SetPolicy(ctx context.Context, name string, p Policy) (Policy, error) {
	if err := CheckName("service", name); err != nil {
		return Policy{}, err
	}
	p = p.whole()
	if err := p.check(); err != nil {
		return Policy{}, err
	}
	if err := s.register(ctx, name); err != nil {
		return Policy{}, err
	}
	version, err := s.run(ctx, policyScript, name, p.Version,
		"max_attempts", p.MaxAttempts, "backoff_ms", p.Backoff.Milliseconds(), "backoff_most_ms", p.BackoffMost.Milliseconds(),
		"lease_ms", p.Lease.Milliseconds(), "keep_ms", p.KeepDone.Milliseconds(), "keep_n", p.KeepDoneN,
		"dead_keep_ms", p.KeepDead.Milliseconds(), "dead_keep_n", p.KeepDeadN).Int64()
	if err != nil {
		return Policy{}, kvdb.WriteErr("broker: change the policy of "+name, err)
	}
	if version < 0 {
		current, err := s.db.Client().HGetAll(ctx, s.keys.Service(name).Policy()).Result() // the fields of a Policy
		if err != nil {
			return Policy{}, kvdb.ReadErr("broker: read the policy of "+name, err)
		}
		return Policy{}, &StaleError{Current: readPolicy(current)}
	}
	p.Version = version
	return p, nil
}

// whole puts the defaults where there is nothing.
func (p Policy) whole() Policy {
	d := DefaultPolicy
	return Policy{
		MaxAttempts: or(p.MaxAttempts, d.MaxAttempts), Backoff: or(p.Backoff, d.Backoff), BackoffMost: or(p.BackoffMost, d.BackoffMost),
		Lease: or(p.Lease, d.Lease), KeepDone: or(p.KeepDone, d.KeepDone), KeepDoneN: or(p.KeepDoneN, d.KeepDoneN),
		KeepDead: or(p.KeepDead, d.KeepDead), KeepDeadN: or(p.KeepDeadN, d.KeepDeadN), Version: p.Version,
	}
}

func or[T comparable](value, otherwise T) T {
	var none T
	if value == none {
		return otherwise
	}
	return value
}

func (p Policy) check() error {
	var e kvdb.InvalidError
	number := func(field string, n, least, most int) {
		if n < least || n > most {
			e.Fields = append(e.Fields, kvdb.FieldError{Field: field, Message: "must be from " + strconv.Itoa(least) + " to " + strconv.Itoa(most)})
		}
	}
	span := func(field string, d, least, most time.Duration) {
		if d < least || d > most {
			e.Fields = append(e.Fields, kvdb.FieldError{Field: field, Message: "must be from " + least.String() + " to " + most.String()})
		}
	}
	number("max_attempts", p.MaxAttempts, 1, mostAttempts)
	span("backoff_ms", p.Backoff, time.Millisecond, mostBackoff)
	span("backoff_most_ms", p.BackoffMost, p.Backoff, mostBackoff)
	span("lease_ms", p.Lease, leastLease, mostLease)
	span("keep_ms", p.KeepDone, time.Second, mostKeep)
	number("keep_n", p.KeepDoneN, 1, mostKept)
	span("dead_keep_ms", p.KeepDead, time.Minute, mostKeep)
	number("dead_keep_n", p.KeepDeadN, 1, mostKept)
	if e.Fields != nil {
		return &e
	}
	return nil
}

// readPolicy reads the fields of kvdb.ServiceKeys.Policy.
func readPolicy(f map[string]string) Policy {
	ms := func(field string) time.Duration { return time.Duration(intOf(f[field])) * time.Millisecond }
	return Policy{
		MaxAttempts: intOf(f["max_attempts"]), Backoff: ms("backoff_ms"), BackoffMost: ms("backoff_most_ms"), Lease: ms("lease_ms"),
		KeepDone: ms("keep_ms"), KeepDoneN: intOf(f["keep_n"]), KeepDead: ms("dead_keep_ms"), KeepDeadN: intOf(f["dead_keep_n"]),
		Version: int64(intOf(f["version"])),
	}.whole()
}
