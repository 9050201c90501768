package api

import (
	"context"
	"net/http"
	"time"

	"webadmin/internal/account"
	"webadmin/internal/audit"
	"webadmin/internal/handlers/mw"
)

// AuditRecord says who did what, when and from where.
type AuditRecord struct {
	At      time.Time `json:"at"`
	Actor   string    `json:"actor" example:"admin" doc:"The user or the name of the token."`
	Address string    `json:"address" example:"127.0.0.1" doc:"Where the request came from."`
	Verb    string    `json:"verb" example:"entry.update"`
	Object  string    `json:"object"`
	Before  string    `json:"before" doc:"Cut at 2 KiB, with a mark."`
	After   string    `json:"after" doc:"Cut at 2 KiB, with a mark."`
	Outcome string    `json:"outcome" enum:"done,failed,unknown"`
	CID     string    `json:"cid" doc:"Of the invocation on whose behalf it was done; empty: of none."`
}

func auditRecordOf(r audit.Record) AuditRecord {
	return AuditRecord{
		At: r.At.UTC(), Actor: r.Actor, Address: r.Address, Verb: r.Verb, Object: r.Object,
		Before: r.Before, After: r.After, Outcome: r.Outcome, CID: r.CID,
	}
}

type listAuditInput struct {
	paging
	Actor  string    `query:"actor" doc:"Only by this user or token."`
	Verb   string    `query:"verb" doc:"Only this verb, or all that begin with it: entry is entry.create, too."`
	Object string    `query:"object" doc:"Only with this text in the object."`
	CID    string    `query:"cid" doc:"Only what was done on behalf of this invocation."`
	From   time.Time `query:"from" doc:"Not before this time."`
	To     time.Time `query:"to" doc:"Before this time."`
}

func (s *server) auditCalls() []operation {
	return []operation{
		call(mw.Route{Name: "api.audit", Method: http.MethodGet, Path: Base + "/audit", Need: account.Viewer},
			about{group: "Audit", summary: "List audit records", text: "The newest first."},
			s.listAudit),
	}
}

func (s *server) listAudit(ctx context.Context, in *listAuditInput) (list[AuditRecord], error) {
	filter := audit.Filter{Actor: in.Actor, Verb: in.Verb, Object: in.Object, CID: in.CID, From: in.From, To: in.To}
	records, next, err := s.Audit.List(ctx, filter, in.Cursor, in.Limit)
	if err != nil {
		return list[AuditRecord]{}, err
	}
	return listOf(records, next, auditRecordOf), nil
}
