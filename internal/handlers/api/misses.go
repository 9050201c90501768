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
}

func missOf(m dict.Miss) Miss {
	return Miss{
		System1: m.System1, Key1: m.Key1, Value1: m.Value1, System2: m.System2, Key2: m.Key2,
		Count: m.Count, FirstAt: m.FirstAt.UTC(), LastAt: m.LastAt.UTC(),
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
