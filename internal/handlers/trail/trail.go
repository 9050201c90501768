// Package trail wraps a change in its audit record, for pages and API alike.
package trail

import (
	"context"
	"errors"
	"log/slog"

	"webadmin/internal/audit"
	"webadmin/internal/handlers/mw"
	"webadmin/internal/handlers/problem"
	"webadmin/internal/kvdb"
)

// Trail writes audit records in the name of whoever made the request that a context belongs to.
type Trail struct {
	Log    *audit.Log
	Logger *slog.Logger
}

// Do records that a change begins, makes it, and records how it ended. Without the first record nothing is done, and its error
// is returned. When the last one can't be written, the audit log itself records the change as unknown later; the
// change stands, so its own result is returned. before and after are words without secrets.
func (t Trail) Do(ctx context.Context, verb, object string, change func() (before, after string, err error)) error {
	info := mw.From(ctx)
	pending, err := t.Log.Begin(ctx, audit.Record{Actor: info.Principal.Name, Address: info.Address, CID: info.CID, Verb: verb, Object: object})
	if err != nil {
		return err
	}
	before, after, err := change()
	outcome, detail := outcomeOf(err)
	if err := pending.End(ctx, outcome, before, after, detail); err != nil {
		t.Logger.ErrorContext(ctx, "the outcome of a change is not in the audit log", "verb", verb, "object", object, "outcome", outcome, "error", err)
	}
	return err
}

// Write records what has ended already, such as a failed sign-in. That it can't is logged and no more.
func (t Trail) Write(ctx context.Context, verb, object, outcome, detail string) {
	info := mw.From(ctx)
	r := audit.Record{Actor: info.Principal.Name, Address: info.Address, CID: info.CID, Verb: verb, Object: object, Outcome: outcome, Detail: detail}
	if err := t.Log.Write(ctx, r); err != nil {
		t.Logger.ErrorContext(ctx, "not in the audit log", "verb", verb, "object", object, "outcome", outcome, "error", err)
	}
}

// outcomeOf says how a change ended. The detail is what people are told about the error: its own text may name servers.
func outcomeOf(err error) (outcome, detail string) {
	switch {
	case err == nil:
		return audit.Done, ""
	case errors.Is(err, kvdb.ErrUnknown):
		return audit.Unknown, problem.Of(err).Detail
	}
	return audit.Failed, problem.Of(err).Detail
}
