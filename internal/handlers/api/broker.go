package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"webadmin/internal/account"
	"webadmin/internal/broker"
	"webadmin/internal/handlers/mw"
	"webadmin/internal/handlers/problem"
)

// maxMessageBody is the largest body with a payload or a result. How large these may be themselves is for the broker to say: 1 MiB, unless
// it is configured.
const maxMessageBody = 16 << 20

// InvokeRequest is what somebody wants done.
type InvokeRequest struct {
	Service        string `json:"service" example:"echo" doc:"Letters, digits, _ - . : and /, up to 200 characters. lua:<name> runs that program with the keys and values of the payload, echo replies the payload; any other is handled by a webhook, or by who receives it."`
	Payload        JSON   `json:"payload,omitempty" example:"{\"order\": 17}" doc:"Any JSON value, up to 1 MiB; null if not given. It is kept byte for byte."`
	Callback       string `json:"callback,omitempty" doc:"A service that is invoked with the result, in_reply_to this one."`
	Delay          int64  `json:"delay_ms,omitempty" minimum:"0" maximum:"31536000000" doc:"No worker gets it before that."`
	IdempotencyKey string `json:"idempotency_key,omitempty" doc:"Up to 200 characters. The same service, key and payload within 24 hours are one invocation."`
	MaxAttempts    int64  `json:"max_attempts,omitempty" minimum:"1" maximum:"100" doc:"How often it may run until it is dead. As the policy of the service says if not given: 5, unless somebody changed it."`
	Expires        int64  `json:"expires_ms,omitempty" minimum:"1" maximum:"31536000000" doc:"No worker gets it after that."`
}

// InvokeAnswer names an invocation.
type InvokeAnswer struct {
	CID string `json:"cid" doc:"The correlation ID of the invocation."`
}

func (a InvokeAnswer) appendJSON(b []byte) []byte {
	return append(appendText(append(b, `{"cid":`...), a.CID), '}')
}

// Invocation is one call of a service, and what became of it.
type Invocation struct {
	CID         string     `json:"cid"`
	Service     string     `json:"service"`
	Payload     JSON       `json:"payload"`
	State       string     `json:"state" enum:"queued,delayed,running,retrying,done,dead,expired,cancelled"`
	Attempts    []Attempt  `json:"attempts" doc:"The oldest first; in lists only the last one."`
	MaxAttempts int        `json:"max_attempts"`
	Result      JSON       `json:"result,omitempty" doc:"What the worker replied, if anything."`
	Error       string     `json:"error,omitempty" doc:"Of the last attempt, unless it is done."`
	InReplyTo   string     `json:"in_reply_to,omitempty" doc:"The invocation whose result this payload is."`
	Callback    string     `json:"callback,omitempty" doc:"The service that is invoked with the result."`
	CallbackCID string     `json:"callback_cid,omitempty" doc:"Of that invocation, once there is one."`
	By          string     `json:"by,omitempty" doc:"Who invoked it."`
	EditedBy    string     `json:"edited_by,omitempty" doc:"Who edited the payload when it was a dead letter."`
	CreatedAt   time.Time  `json:"created_at"`
	DueAt       *time.Time `json:"due_at,omitempty" doc:"When a delayed or retrying one may run."`
	ExpiresAt   *time.Time `json:"expires_at,omitempty"`
	EndedAt     *time.Time `json:"ended_at,omitempty"`
	LeaseUntil  *time.Time `json:"lease_until,omitempty" doc:"Until when its worker has it."`
	Truncated   bool       `json:"truncated,omitempty" doc:"In lists: payload or result is longer than 2 KiB, and is here a text, its beginning."`
}

// Attempt is one run of an invocation.
type Attempt struct {
	Attempt   int        `json:"attempt" doc:"From 1."`
	Worker    string     `json:"worker"`
	StartedAt time.Time  `json:"started_at"`
	EndedAt   *time.Time `json:"ended_at" doc:"null while it runs."`
	Error     string     `json:"error" doc:"Empty if it succeeded, or runs."`
}

func invocationOf(i broker.Invocation) Invocation {
	out := Invocation{
		CID: i.CID, Service: i.Service, State: string(i.State), Attempts: attemptsOf(i.Attempts), MaxAttempts: i.MaxAttempts, Error: i.Error,
		InReplyTo: i.InReplyTo, Callback: i.Callback, CallbackCID: i.CallbackCID, By: i.By, EditedBy: i.EditedBy,
		CreatedAt: i.CreatedAt.UTC(), DueAt: maybeTime(i.DueAt), ExpiresAt: maybeTime(i.ExpiresAt), EndedAt: maybeTime(i.EndedAt),
		LeaseUntil: maybeTime(i.LeaseUntil),
	}
	var cutPayload, cutResult bool
	out.Payload, cutPayload = wholeOrText(i.Payload, i.PayloadSize)
	out.Result, cutResult = wholeOrText(i.Result, i.ResultSize)
	out.Truncated = cutPayload || cutResult
	return out
}

// wholeOrText is a value as it is, or as a text where only its beginning is there, which is no JSON.
func wholeOrText(value []byte, size int) (_ JSON, cut bool) {
	if len(value) >= size {
		return value, false
	}
	return appendText(nil, string(value)), true
}

func attemptsOf(list []broker.Attempt) []Attempt {
	out := make([]Attempt, len(list))
	for i, a := range list {
		out[i] = Attempt{Attempt: a.N, Worker: a.Worker, StartedAt: a.StartedAt.UTC(), EndedAt: maybeTime(a.EndedAt), Error: a.Error}
	}
	return out
}

func maybeTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

type invokeInput struct{ Body InvokeRequest }

type cidInput struct {
	CID string `path:"cid" doc:"The correlation ID."`
}

type listInvocationsInput struct {
	paging
	Service string `query:"service" doc:"Only of this service; of all of them otherwise, one after the other in the order of their names."`
	State   string `query:"state" enum:"queued,delayed,running,retrying,done,dead,expired,cancelled" doc:"Only in this state."`
	Q       string `query:"q" doc:"Only those with this text in their CID, payload, result or error. A page looks at a bounded number of them, so that it may have few or none though others follow: go on until next_cursor is empty."`
}

const invokeText = "Exactly one worker gets it, at least once: it runs again if its worker does not acknowledge it within the lease. " +
	"The answer comes as soon as it is stored; with no worker it waits. Sent again with its idempotency_key it is one invocation, and gives the same " +
	"answer."

func (s *server) invocationCalls() []operation {
	const group = "Invocations"
	unknown := answerDoc{failures[http.StatusGatewayTimeout], []any{problem.Problem{}}}
	return []operation{
		call(mw.Route{Name: "api.broker.invoke", Method: http.MethodPost, Path: Base + "/broker/invoke", Need: account.Operator, Body: maxMessageBody},
			about{group: group, summary: "Invoke a service", text: invokeText, status: http.StatusAccepted, answers: map[int]answerDoc{
				http.StatusConflict:       {"The idempotency_key came with another payload within the last 24 hours.", []any{problem.Problem{}}},
				http.StatusGatewayTimeout: unknown,
			}},
			s.invoke),
		call(mw.Route{Name: "api.broker.invocations", Method: http.MethodGet, Path: Base + "/broker/invocations", Need: account.Viewer},
			about{group: group, summary: "List invocations", text: "Of each service, the newest first."},
			s.listInvocations),
		call(mw.Route{Name: "api.broker.invocation", Method: http.MethodGet, Path: Base + "/broker/invocations/:cid", Need: account.Viewer},
			about{group: group, summary: "Get an invocation",
				text: "Done, expired and cancelled ones are kept for an hour, the newest 10,000 of each service, unless its policy says otherwise."},
			s.getInvocation),
		call(mw.Route{Name: "api.broker.cancel", Method: http.MethodPost, Path: Base + "/broker/invocations/:cid/cancel", Need: account.Operator},
			about{group: group, summary: "Cancel an invocation",
				text: "No worker gets it any more. One that has it loses its lease; what it has done already stays done.",
				answers: map[int]answerDoc{
					http.StatusConflict:       {"It has ended already.", []any{problem.Problem{}}},
					http.StatusGatewayTimeout: unknown,
				}},
			s.cancelInvocation),
	}
}

func (s *server) invoke(ctx context.Context, in *invokeInput) (out InvokeAnswer, err error) {
	b := &in.Body
	err = s.AuditedOften(ctx, "service.invoke", serviceObject(b.Service), func() (before, after string, err error) {
		out.CID, err = s.Broker.Invoke(ctx, broker.Call{
			Service: b.Service, Payload: b.Payload, Callback: b.Callback, Delay: milliseconds(b.Delay), Expires: milliseconds(b.Expires),
			IdempotencyKey: b.IdempotencyKey, MaxAttempts: int(b.MaxAttempts), By: mw.From(ctx).Principal.Name,
		})
		return "", out.CID, err
	})
	where := Base + "/broker/invocations?service=" + url.QueryEscape(b.Service)
	if out.CID != "" { // also where nobody knows whether it was stored
		where = invocationPath(out.CID)
	}
	return out, brokerError(err, "service.invoke", where)
}

func (s *server) listInvocations(ctx context.Context, in *listInvocationsInput) (list[Invocation], error) {
	page, err := s.Broker.Invocations(ctx, broker.Filter{Service: in.Service, State: broker.State(in.State), Q: in.Q}, in.Cursor, in.Limit)
	return listOf(page.Items, page.Next, invocationOf), err
}

func (s *server) getInvocation(ctx context.Context, in *cidInput) (Invocation, error) {
	i, err := s.Broker.Invocation(ctx, in.CID)
	return invocationOf(i), err
}

func (s *server) cancelInvocation(ctx context.Context, in *cidInput) (out Invocation, err error) {
	err = s.Audited(ctx, "invocation.cancel", "invocation "+in.CID, func() (before, after string, err error) {
		i, err := s.Broker.Cancel(ctx, in.CID)
		out = invocationOf(i)
		return "", "", err
	})
	return out, brokerError(err, "invocation.cancel", invocationPath(in.CID))
}

func serviceObject(name string) string { return "service " + name }

func invocationPath(cid string) string { return Base + "/broker/invocations/" + url.PathEscape(cid) }

func milliseconds(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// brokerError says what to answer where the broker's own word has another status than its kind, and where to look when nobody knows
// whether it was done.
func brokerError(err error, verb, where string) error {
	if large := (*broker.TooLargeError)(nil); errors.As(err, &large) {
		return echo.NewHTTPError(http.StatusRequestEntityTooLarge, problem.Of(err).Detail)
	}
	return checked(err, verb, where)
}
