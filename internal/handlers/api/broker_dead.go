package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"webadmin/internal/account"
	"webadmin/internal/broker"
	"webadmin/internal/handlers/mw"
	"webadmin/internal/handlers/problem"
	"webadmin/internal/kvdb"
)

// DeadLetter is an invocation that used up its attempts.
type DeadLetter struct {
	CID       string    `json:"cid"`
	Service   string    `json:"service"`
	Payload   JSON      `json:"payload"`
	Error     string    `json:"error" doc:"Of the last attempt."`
	Attempts  []Attempt `json:"attempts" doc:"The last one. The invocation itself has all of them."`
	DiedAt    time.Time `json:"died_at"`
	Truncated bool      `json:"truncated,omitempty" doc:"payload is longer than 2 KiB, and is here a text, its beginning."`
}

func deadLetterOf(i broker.Invocation) DeadLetter {
	out := DeadLetter{CID: i.CID, Service: i.Service, Error: i.Error, Attempts: attemptsOf(i.Attempts), DiedAt: i.EndedAt.UTC()}
	out.Payload, out.Truncated = wholeOrText(i.Payload, i.PayloadSize)
	return out
}

// DeadRequest chooses dead letters of the service.
type DeadRequest struct {
	CIDs          []string  `json:"cids,omitempty" maxItems:"1000" example:"[\"none\"]" doc:"These. Those of them that are no dead letters of the service any more are left out."`
	ErrorContains string    `json:"error_contains,omitempty" doc:"Instead of cids: those with this text in their error."`
	Before        time.Time `json:"before,omitzero" doc:"Instead of cids: those that died before. With error_contains, both count."`
	DryRun        bool      `json:"dry_run,omitempty" example:"true" doc:"Count them, and change nothing."`
}

// DeadAnswer says how many dead letters there were.
type DeadAnswer struct {
	Matched *int64 `json:"matched,omitempty" doc:"Of a dry run: how many it would be."`
	Done    *int64 `json:"done,omitempty" doc:"How many it was."`
}

type listDeadInput struct {
	serviceInput
	paging
	ErrorContains string    `query:"error_contains" doc:"Only those with this text in their error."`
	Before        time.Time `query:"before" doc:"Only those that died before."`
}

type deadInput struct {
	serviceInput
	DryRun bool `query:"dry_run" doc:"As dry_run in the body."`
	Body   DeadRequest
}

func (s *server) deadCalls() []operation {
	const group = "Dead letters"
	path := Base + "/broker/services/:service/dead"
	answers := map[int]answerDoc{http.StatusGatewayTimeout: {failures[http.StatusGatewayTimeout], []any{problem.Problem{}}}}
	return []operation{
		call(mw.Route{Name: "api.broker.dead", Method: http.MethodGet, Path: path, Need: account.Viewer},
			about{group: group, summary: "List dead letters", text: "The newest first."},
			s.listDead),
		call(mw.Route{Name: "api.broker.dead.retry", Method: http.MethodPost, Path: path + "/retry", Need: account.Operator, Long: true},
			about{group: group, summary: "Retry dead letters", text: "They wait for a worker again, under the same CID and with as many attempts again.",
				answers: answers},
			func(ctx context.Context, in *deadInput) (DeadAnswer, error) {
				return s.changeDead(ctx, "dead.retry", in, s.Broker.RetryDead)
			}),
		call(mw.Route{Name: "api.broker.dead.delete", Method: http.MethodPost, Path: path + "/delete", Need: account.Operator, Long: true},
			about{group: group, summary: "Delete dead letters", text: "There is no way back.", answers: answers},
			func(ctx context.Context, in *deadInput) (DeadAnswer, error) {
				return s.changeDead(ctx, "dead.delete", in, s.Broker.DeleteDead)
			}),
	}
}

func (s *server) listDead(ctx context.Context, in *listDeadInput) (list[DeadLetter], error) {
	filter := broker.DeadFilter{Service: in.Service, ErrorContains: in.ErrorContains, Before: in.Before}
	page, err := s.Broker.Dead(ctx, filter, in.Cursor, in.Limit)
	return listOf(page.Items, page.Next, deadLetterOf), err
}

// changeDead retries or deletes dead letters, in the background of nobody: who leaves stops it, and what is done stays done.
func (s *server) changeDead(ctx context.Context, verb string, in *deadInput,
	change func(context.Context, broker.DeadSelect, broker.DeadOptions) (int64, error)) (DeadAnswer, error) {
	sel, err := in.selection()
	if err != nil {
		return DeadAnswer{}, err
	}
	if in.DryRun || in.Body.DryRun {
		n, err := change(ctx, sel, broker.DeadOptions{DryRun: true})
		return DeadAnswer{Matched: &n}, err
	}
	var n int64
	err = s.Audited(ctx, verb, serviceObject(in.Service), func() (before, after string, err error) {
		n, err = change(ctx, sel, broker.DeadOptions{})
		return in.words(), fmt.Sprintf("%d of them", n), err
	})
	return DeadAnswer{Done: &n}, brokerError(err, verb, Base+"/broker/services/"+url.PathEscape(in.Service)+"/dead")
}

// selection is what the request chooses. All dead letters of a service are chosen by a time, so that nobody does it by leaving something out.
func (in *deadInput) selection() (broker.DeadSelect, error) {
	b := &in.Body
	filtered := b.ErrorContains != "" || !b.Before.IsZero()
	switch {
	case b.CIDs == nil && !filtered:
		return broker.DeadSelect{}, kvdb.Invalid("cids", "is missing; or give error_contains, before, or both")
	case b.CIDs != nil && filtered:
		return broker.DeadSelect{}, kvdb.Invalid("cids", "can't stand beside error_contains or before")
	}
	return broker.DeadSelect{CIDs: b.CIDs, DeadFilter: broker.DeadFilter{Service: in.Service, ErrorContains: b.ErrorContains, Before: b.Before}}, nil
}

// words is the selection in the audit log.
func (in *deadInput) words() string {
	b := &in.Body
	words := strings.Join(b.CIDs, ", ")
	if b.ErrorContains != "" {
		words = fmt.Sprintf("error contains %q", b.ErrorContains)
	}
	if !b.Before.IsZero() {
		words = strings.TrimPrefix(words+", ", ", ") + "died before " + b.Before.UTC().Format(time.RFC3339)
	}
	return words
}
