package api

import (
	"context"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"

	"webadmin/internal/account"
	"webadmin/internal/dict"
	"webadmin/internal/handlers/mw"
	"webadmin/internal/kvdb"
)

// Count says how much is filed under a name.
type Count struct {
	Name         string `json:"name" example:"CRM"`
	Entries      int64  `json:"entries" doc:"How many entries there are."`
	Translations int64  `json:"translations" doc:"How many translations map from it or to it; one that does both counts once."`
}

func countOf(c dict.Count) Count {
	return Count{Name: c.Name, Entries: c.Entries, Translations: c.Translations}
}

type listSystemsInput struct{ paging }

type listKeysInput struct {
	System string `path:"system"`
	paging
}

func (s *server) systemCalls() []operation {
	return []operation{
		call(mw.Route{Name: "api.systems", Method: http.MethodGet, Path: Base + "/dictionary/systems", Need: account.Viewer},
			about{group: "Systems", summary: "List systems", text: "With how much each of them has."},
			s.listSystems),
		call(mw.Route{Name: "api.system.keys", Method: http.MethodGet, Path: Base + "/dictionary/systems/:system/keys", Need: account.Viewer},
			about{group: "Systems", summary: "List the keys of a system", text: "With how much each of them has."},
			s.listKeys),
	}
}

func (s *server) listSystems(ctx context.Context, in *listSystemsInput) (list[Count], error) {
	counts, err := s.Dict.Systems(ctx)
	if err != nil {
		return list[Count]{}, err
	}
	return pageOfCounts(counts, in.paging)
}

func (s *server) listKeys(ctx context.Context, in *listKeysInput) (list[Count], error) {
	counts, err := s.Dict.SystemKeys(ctx, in.System)
	if err != nil {
		return list[Count]{}, err
	}
	return pageOfCounts(counts, in.paging)
}

// pageOfCounts cuts a page out of all names, which are sorted. The cursor is the last name of the page before, so it holds
// whatever comes and goes.
func pageOfCounts(counts []dict.Count, p paging) (list[Count], error) {
	if p.Cursor != "" {
		after, err := base64.RawURLEncoding.DecodeString(p.Cursor)
		if err != nil {
			return list[Count]{}, kvdb.Invalid("cursor", "is not one that this list gave")
		}
		at, found := slices.BinarySearchFunc(counts, string(after), func(c dict.Count, name string) int { return strings.Compare(c.Name, name) })
		if found {
			at++
		}
		counts = counts[at:]
	}
	next := ""
	if len(counts) > p.Limit {
		counts = counts[:p.Limit]
		next = base64.RawURLEncoding.EncodeToString([]byte(counts[p.Limit-1].Name))
	}
	return listOf(counts, next, countOf), nil
}
