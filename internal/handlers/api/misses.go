package api

import (
	"context"
	"net/http"
	"time"

	"webadmin/internal/account"
	"webadmin/internal/dict"
	"webadmin/internal/handlers/mw"
)

// Miss is a translation that was asked for and not found.
type Miss struct {
	System1 string    `json:"system1" example:"CRM"`
	Key1    string    `json:"key1" example:"COUNTRY_CODE"`
	Value1  string    `json:"value1" example:"XX"`
	System2 string    `json:"system2" example:"BILLING"`
	Key2    string    `json:"key2" example:"COUNTRY_CODE"`
	Count   int64     `json:"count" doc:"How often it was asked for."`
	FirstAt time.Time `json:"first_at"`
	LastAt  time.Time `json:"last_at"`
	Met     int64     `json:"invocations" doc:"How many invocations met it, as far as those who asked named theirs; of the newest 1,000."`
}

func missOf(m dict.Miss) Miss {
	return Miss{
		System1: m.System1, Key1: m.Key1, Value1: m.Value1, System2: m.System2, Key2: m.Key2,
		Count: m.Count, FirstAt: m.FirstAt.UTC(), LastAt: m.LastAt.UTC(), Met: m.Met,
	}
}

type listMissesInput struct {
	paging
	System1 string `query:"system1" doc:"Only from this system."`
	Key1    string `query:"key1" doc:"Only from this key."`
	Value1  string `query:"value1" doc:"Only from this value."`
	System2 string `query:"system2" doc:"Only to this system."`
	Key2    string `query:"key2" doc:"Only to this key."`
	Q       string `query:"q" doc:"Only those with this text in any field, whatever its case."`
}

func (s *server) missCalls() []operation {
	return []operation{
		call(mw.Route{Name: "api.misses", Method: http.MethodGet, Path: Base + "/dictionary/misses", Need: account.Viewer},
			about{group: "Misses", summary: "List misses", text: "What was asked for and not found, the most frequent first."},
			s.listMisses),
		call(mw.Route{Name: "api.misses.invocations", Method: http.MethodGet, Path: Base + "/dictionary/misses/invocations", Need: account.Viewer},
			about{group: "Misses", summary: "List the invocations that met a miss", text: "The newest first, 1,000 at most, each with how it is now. " +
				"They stay for a day after the miss was answered; of what was dismissed there are none. Their dead letters can be retried by their cids."},
			s.listMet),
	}
}

func (s *server) listMisses(ctx context.Context, in *listMissesInput) (list[Miss], error) {
	filter := dict.Filter{System1: in.System1, Key1: in.Key1, Value1: in.Value1, System2: in.System2, Key2: in.Key2, Q: in.Q}
	page, err := s.Dict.Misses(ctx, filter, in.Cursor, in.Limit)
	if err != nil {
		return list[Miss]{}, err
	}
	return listOf(page.Items, page.Next, missOf), nil
}

// MissInvocation is an invocation that met a miss.
type MissInvocation struct {
	CID     string    `json:"cid"`
	At      time.Time `json:"at" doc:"When it met the miss last."`
	Service string    `json:"service" doc:"Empty, as is the state: the invocation is no longer kept, or none of this broker."`
	State   string    `json:"state"`
	Error   string    `json:"error" doc:"Of the last attempt that failed."`
}

type listMetInput struct {
	System1 string `query:"system1" required:"true" example:"CRM" doc:"The system that the value comes from."`
	Key1    string `query:"key1" required:"true" example:"COUNTRY_CODE" doc:"What kind of value it is there."`
	Value1  string `query:"value1" example:"XX" doc:"The value there."`
	System2 string `query:"system2" required:"true" example:"BILLING" doc:"The system that the value is for."`
	Key2    string `query:"key2" required:"true" example:"COUNTRY_CODE" doc:"What kind of value it is there."`
}

func (s *server) listMet(ctx context.Context, in *listMetInput) (list[MissInvocation], error) {
	met, err := s.Dict.Met(ctx, dict.Query{System1: in.System1, Key1: in.Key1, Value1: in.Value1, System2: in.System2, Key2: in.Key2})
	if err != nil {
		return list[MissInvocation]{}, err
	}
	cids := make([]string, len(met))
	for i, m := range met {
		cids[i] = m.CID
	}
	found, err := s.Broker.InvocationsOf(ctx, cids)
	if err != nil {
		return list[MissInvocation]{}, err
	}
	return listOf(met, "", func(m dict.Meeting) MissInvocation {
		x := found[m.CID]
		return MissInvocation{CID: m.CID, At: m.At.UTC(), Service: x.Service, State: string(x.State), Error: x.Error}
	}), nil
}
