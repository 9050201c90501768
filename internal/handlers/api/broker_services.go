package api

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"webadmin/internal/account"
	"webadmin/internal/broker"
	"webadmin/internal/handlers/mw"
	"webadmin/internal/handlers/problem"
)

// Service is where the invocations of one name stand.
type Service struct {
	Service  string `json:"service" example:"orders"`
	Queued   int64  `json:"queued" doc:"Wait for a worker."`
	OldestMS int64  `json:"oldest_ms" doc:"How long the first of them has waited."`
	Running  int64  `json:"running" doc:"Are with a worker."`
	Retrying int64  `json:"retrying" doc:"Failed, and wait for their next attempt."`
	Delayed  int64  `json:"delayed" doc:"Wait for their time."`
	Dead     int64  `json:"dead" doc:"Used up their attempts."`
	Done     int64  `json:"done" doc:"Were done, and are still kept."`
	Paused   bool   `json:"paused" doc:"No worker gets any."`
	Handler  string `json:"handler" enum:"lua,pull,webhook,builtin" doc:"What runs them; pull = workers that receive them."`
	Workers  int    `json:"workers" doc:"How many asked for work within the last minute."`
}

func serviceOf(s broker.Service) Service {
	return Service{
		Service: s.Name, Queued: s.Queued, OldestMS: s.OldestFor.Milliseconds(), Running: s.Running, Retrying: s.Retrying, Delayed: s.Delayed,
		Dead: s.Dead, Done: s.Done, Paused: s.Paused, Handler: string(s.Handler), Workers: s.Workers,
	}
}

// ReceiveRequest says what a worker can take.
type ReceiveRequest struct {
	Max    int64  `json:"max,omitempty" minimum:"1" maximum:"100" default:"1" example:"10" doc:"How many at most."`
	Wait   int64  `json:"wait_ms,omitempty" minimum:"0" maximum:"30000" doc:"How long to wait for the first one."`
	Lease  int64  `json:"lease_ms,omitempty" minimum:"100" maximum:"86400000" example:"30000" doc:"For how long they are yours without extend. As the policy of the service says if not given: 30000, unless somebody changed it."`
	Worker string `json:"worker,omitempty" maxLength:"100" example:"host-1" doc:"Tells workers with one token apart in the list of attempts."`
}

// Deliveries are what a worker is to do.
type Deliveries struct {
	Invocations []Delivery `json:"invocations" doc:"Empty if none came in time."`
}

// Delivery is an invocation in the hands of a worker.
type Delivery struct {
	CID       string `json:"cid"`
	Payload   JSON   `json:"payload"`
	Attempt   int    `json:"attempt" doc:"From 1."`
	Lease     string `json:"lease" doc:"Proves that it is yours: ack, nack and extend need it."`
	InReplyTo string `json:"in_reply_to,omitempty" doc:"The invocation whose result the payload is."`
}

func deliveryOf(d broker.Delivery) Delivery {
	return Delivery{CID: d.CID, Payload: d.Payload, Attempt: d.Attempt, Lease: d.Lease, InReplyTo: d.InReplyTo}
}

func (a Deliveries) appendJSON(b []byte) []byte {
	b = append(b, `{"invocations":[`...)
	for i, d := range a.Invocations {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(append(b, `{"cid":`...), d.CID)
		b = d.Payload.appendJSON(append(b, `,"payload":`...))
		b = strconv.AppendInt(append(b, `,"attempt":`...), int64(d.Attempt), 10)
		b = appendText(append(b, `,"lease":`...), d.Lease)
		if d.InReplyTo != "" {
			b = appendText(append(b, `,"in_reply_to":`...), d.InReplyTo)
		}
		b = append(b, '}')
	}
	return append(b, "]}"...)
}

// AckRequest ends an attempt well.
type AckRequest struct {
	Lease  string `json:"lease" example:"1.none" doc:"As it was received."`
	Result JSON   `json:"result,omitempty" example:"{\"done\": true}" doc:"Any JSON value, up to 1 MiB. It goes to the callback, and stands in the invocation."`
}

// NackRequest ends an attempt that failed.
type NackRequest struct {
	Lease      string `json:"lease" example:"1.none" doc:"As it was received."`
	Error      string `json:"error" example:"no such order" doc:"What went wrong, for people; what is longer than 16 KiB is cut."`
	RetryAfter *int64 `json:"retry_after_ms,omitempty" minimum:"0" maximum:"2592000000" doc:"When the next attempt may begin. If not given, after the service's backoff, which doubles with each attempt."`
}

// ExtendRequest says that a worker is still at it.
type ExtendRequest struct {
	Lease string `json:"lease" example:"1.none" doc:"As it was received."`
}

// ExtendAnswer says how long a worker has its invocation now.
type ExtendAnswer struct {
	LeaseUntil time.Time `json:"lease_until"`
}

type listServicesInput struct {
	paging
	Q string `query:"q" doc:"Only those with this text in their name."`
}

type serviceInput struct {
	Service string `path:"service" doc:"Its name, a / in it as %2F."`
}

type receiveInput struct {
	serviceInput
	Body ReceiveRequest
}

type ackInput struct {
	cidInput
	Body AckRequest
}

type nackInput struct {
	cidInput
	Body NackRequest
}

type extendInput struct {
	cidInput
	Body ExtendRequest
}

const (
	receiveText = "What is received is yours until its lease ends: ack or nack it before, or extend the lease. Otherwise it runs again, and used up " +
		"its attempt. The call waits for the first invocation and brings what else is there; it ends early when the server stops, so call it again and " +
		"again."
	extendText = "The lease then ends its whole length from now: call it every third of that while you work. A 409 says that somebody else has the " +
		"invocation, or that it was cancelled: stop."
)

func (s *server) serviceCalls() []operation {
	const group = "Services and workers"
	path := Base + "/broker/services/:service"
	invocation := Base + "/broker/invocations/:cid"
	unknown := answerDoc{failures[http.StatusGatewayTimeout], []any{problem.Problem{}}}
	lease := map[int]answerDoc{
		http.StatusConflict:       {"The lease is lost or over; detail says what became of the invocation.", []any{problem.Problem{}}},
		http.StatusGatewayTimeout: unknown,
	}
	noAnswer := map[int]answerDoc{http.StatusGatewayTimeout: unknown}
	return []operation{
		call(mw.Route{Name: "api.broker.services", Method: http.MethodGet, Path: Base + "/broker/services", Need: account.Viewer},
			about{group: group, summary: "List services", text: "In the order of their names, with how many invocations are in which state."},
			s.listServices),
		call(mw.Route{Name: "api.broker.pause", Method: http.MethodPost, Path: path + "/pause", Need: account.Operator},
			about{group: group, summary: "Pause a service",
				text: "No worker gets any more of its invocations; those that run go on, new ones are still taken.", answers: noAnswer},
			func(ctx context.Context, in *serviceInput) (Service, error) {
				return s.setPaused(ctx, in.Service, true)
			}),
		call(mw.Route{Name: "api.broker.resume", Method: http.MethodPost, Path: path + "/resume", Need: account.Operator},
			about{group: group, summary: "Resume a service", answers: noAnswer},
			func(ctx context.Context, in *serviceInput) (Service, error) {
				return s.setPaused(ctx, in.Service, false)
			}),
		call(mw.Route{Name: "api.broker.receive", Method: http.MethodPost, Path: path + "/receive", Need: account.Operator, Long: true},
			about{group: group, summary: "Receive invocations", text: receiveText},
			s.receive),
		call(mw.Route{Name: "api.broker.ack", Method: http.MethodPost, Path: invocation + "/ack", Need: account.Operator, Body: maxMessageBody},
			about{group: group, summary: "Acknowledge an invocation", text: "It is done.", status: http.StatusNoContent, answers: lease},
			s.ack),
		call(mw.Route{Name: "api.broker.nack", Method: http.MethodPost, Path: invocation + "/nack", Need: account.Operator},
			about{group: group, summary: "Say that an invocation failed", text: "It runs again later; when its attempts are used up, it is dead.",
				status: http.StatusNoContent, answers: lease},
			s.nack),
		call(mw.Route{Name: "api.broker.extend", Method: http.MethodPost, Path: invocation + "/extend", Need: account.Operator},
			about{group: group, summary: "Extend a lease", text: extendText, answers: lease},
			s.extend),
	}
}

func (s *server) listServices(ctx context.Context, in *listServicesInput) (list[Service], error) {
	page, err := s.Broker.Services(ctx, in.Q, in.Cursor, in.Limit)
	return listOf(page.Items, page.Next, serviceOf), err
}

func (s *server) setPaused(ctx context.Context, name string, paused bool) (Service, error) {
	verb := "service.resume"
	if paused {
		verb = "service.pause"
	}
	err := s.Audited(ctx, verb, serviceObject(name), func() (before, after string, err error) {
		return "", "", s.Broker.SetPaused(ctx, name, paused)
	})
	if err != nil {
		return Service{}, brokerError(err, verb, Base+"/broker/services?q="+url.QueryEscape(name))
	}
	service, err := s.Broker.Service(ctx, name)
	return serviceOf(service), err
}

// receive waits for work. What nobody gets any more, because the client has left or no record of it can be made, is given back.
func (s *server) receive(ctx context.Context, in *receiveInput) (Deliveries, error) {
	b := &in.Body
	worker := mw.From(ctx).Principal.Name
	if b.Worker != "" {
		worker += ":" + b.Worker
	}
	got, err := s.Broker.Receive(ctx, in.Service, worker, int(cmp.Or(b.Max, 1)), milliseconds(b.Wait), milliseconds(b.Lease))
	if err == nil && len(got) > 0 {
		err = s.AuditedOften(ctx, "service.receive", serviceObject(in.Service),
			func() (before, after string, err error) { return "", cidsOf(got), ctx.Err() })
	}
	if err != nil {
		s.Broker.PutBack(got)
		return Deliveries{}, err
	}
	s.work.received(s.Stats, got)
	return Deliveries{listOf(got, "", deliveryOf).Items}, nil
}

func cidsOf(all []broker.Delivery) string {
	cids := make([]string, len(all))
	for i, d := range all {
		cids[i] = d.CID
	}
	return strings.Join(cids, ", ")
}

func (s *server) ack(ctx context.Context, in *ackInput) (*struct{}, error) {
	err := s.ending(ctx, "invocation.ack", in.CID, func() error {
		return s.Broker.Ack(ctx, in.CID, in.Body.Lease, in.Body.Result)
	})
	s.work.ended(s.Stats, in.CID, in.Body.Lease, false, err)
	return nil, err
}

func (s *server) nack(ctx context.Context, in *nackInput) (*struct{}, error) {
	after := time.Duration(-1)
	if in.Body.RetryAfter != nil {
		after = milliseconds(*in.Body.RetryAfter)
	}
	err := s.ending(ctx, "invocation.nack", in.CID, func() error {
		return s.Broker.Nack(ctx, in.CID, in.Body.Lease, in.Body.Error, after)
	})
	s.work.ended(s.Stats, in.CID, in.Body.Lease, true, err)
	return nil, err
}

// ending ends an attempt under an audit record.
func (s *server) ending(ctx context.Context, verb, cid string, end func() error) error {
	service, err := s.Broker.ServiceOf(ctx, cid)
	if err != nil {
		return err
	}
	err = s.AuditedOften(ctx, verb, serviceObject(service), func() (before, after string, err error) { return "", cid, end() })
	return brokerError(err, verb, invocationPath(cid))
}

// extend is not audited: it changes nothing but for how long the worker still has what the audit log says that it got.
func (s *server) extend(ctx context.Context, in *extendInput) (ExtendAnswer, error) {
	until, err := s.Broker.Extend(ctx, in.CID, in.Body.Lease)
	return ExtendAnswer{until.UTC()}, brokerError(err, "invocation.extend", invocationPath(in.CID))
}
