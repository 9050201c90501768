package api

import (
	"context"
	"net/http"
	"time"

	"webadmin/internal/account"
	"webadmin/internal/dict"
	"webadmin/internal/handlers/mw"
	"webadmin/internal/kvdb"
)

// usageDays is how many days the hits of a pair are of.
const usageDays = 30

// Usage says how often the translations from one system and key to another are looked up.
type Usage struct {
	System1      string     `json:"system1" example:"CRM"`
	Key1         string     `json:"key1" example:"COUNTRY_CODE"`
	System2      string     `json:"system2" example:"BILLING"`
	Key2         string     `json:"key2" example:"COUNTRY_CODE"`
	Translations int64      `json:"translations" doc:"How many there are."`
	Hits         int64      `json:"hits" doc:"Lookups of the last 30 days that found one; days are those of UTC."`
	HitsTotal    int64      `json:"hits_total" doc:"The same since they are counted."`
	LastAt       *time.Time `json:"last_at" doc:"When one was found last; null for never."`
	Since        *time.Time `json:"since" doc:"When counting began; null when it has not."`
}

func usageOf(u dict.Use) Usage {
	return Usage{
		System1: u.System1, Key1: u.Key1, System2: u.System2, Key2: u.Key2,
		Translations: u.Translations, Hits: u.Hits(usageDays), HitsTotal: u.Total, LastAt: maybeTime(u.LastAt), Since: maybeTime(u.Since),
	}
}

type listUsageInput struct {
	paging
	System1 string `query:"system1" doc:"Only from this system."`
	Key1    string `query:"key1" doc:"Only from this key."`
	System2 string `query:"system2" doc:"Only to this system."`
	Key2    string `query:"key2" doc:"Only to this key."`
}

func (s *server) usageCalls() []operation {
	return []operation{
		call(mw.Route{Name: "api.usage", Method: http.MethodGet, Path: Base + "/dictionary/usage", Need: account.Viewer},
			about{group: "Translations", summary: "List how much translations are looked up",
				text: "For each pair of systems and keys, in their order. Counted is what programs find by /translate and /translate/batch; " +
					"who reads Redis directly is not seen. Lookups in other processes are counted within ten seconds."},
			s.listUsage),
	}
}

func (s *server) listUsage(ctx context.Context, in *listUsageInput) (list[Usage], error) {
	page, err := s.Dict.Usage(ctx, dict.Filter{System1: in.System1, Key1: in.Key1, System2: in.System2, Key2: in.Key2}, in.Cursor, in.Limit)
	if err != nil {
		return list[Usage]{}, err
	}
	return listOf(page.Items, page.Next, usageOf), nil
}

// parseUnused reads the parameter unused_since; "" = none.
func parseUnused(date string) (time.Time, error) {
	if date == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return at, kvdb.Invalid("unused_since", "must be a date like 2026-10-01")
	}
	return at, nil
}
