package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"webadmin/internal/account"
	"webadmin/internal/audit"
	"webadmin/internal/dict"
	"webadmin/internal/handlers"
	"webadmin/internal/handlers/api"
	"webadmin/internal/handlers/trail"
	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
	"webadmin/internal/lua"
	"webadmin/internal/stats"
)

// What a translation costs beside the least that could answer it, without the network between client and server:
//
//	bare   an Echo handler that does the same HGET or HMGET with the same client and reads no body
//	api    this package on a bare Echo
//	huma   the same types and the same store, served by huma, which decodes each body twice
//	whole  the whole server: token, role, log, metrics, headers

// sink is a client that reads nothing.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }

// benchmark posts the body to a handler, from all processors.
func benchmark(b *testing.B, h http.Handler, path, token string, body []byte) {
	b.ReportAllocs()
	before := processorTime(b)
	b.RunParallel(func(pb *testing.PB) {
		w := &sink{header: http.Header{}}
		for pb.Next() {
			clear(w.header)
			w.status = 200
			r, err := http.NewRequestWithContext(context.Background(), "POST", path, bytes.NewReader(body))
			if err != nil {
				b.Error(err)
				return
			}
			r.RemoteAddr = "192.0.2.1:1234"
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Authorization", "Bearer "+token)
			h.ServeHTTP(w, r)
			if w.status != 200 {
				b.Errorf("%d", w.status)
				return
			}
		}
	})
	b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
}

// processorTime is what this process has used; Redis is another.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func benchStore(b *testing.B) (*kvdb.DB, *dict.Store) {
	b.Helper()
	db := kvtest.Open(b)
	store := dict.New(db, dict.Options{})
	var file bytes.Buffer
	file.WriteString(csvHead)
	for i := range 1000 {
		fmt.Fprintf(&file, "CRM,COUNTRY_CODE,value %d,BILLING,COUNTRY_CODE,target %d\n", i, i)
	}
	if _, err := store.Import(context.Background(), dict.By{Who: "b"}, &file, dict.ImportOptions{Format: dict.CSV, Mode: dict.Merge}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = store.Close(context.Background()) })
	return db, store
}

// servers are the ways to serve the same calls.
func servers(b *testing.B, bare func(db *kvdb.DB, key string) echo.HandlerFunc) (handlersOf map[string]http.Handler, token string) {
	db, store := benchStore(b)
	logger := slog.New(slog.NewJSONHandler(io.Discard, nil))
	auditLog := audit.New(db, time.Now)

	plain := echo.New()
	plain.POST("/*", bare(db, db.Keys().Dict().Map("CRM", "COUNTRY_CODE", "BILLING", "COUNTRY_CODE")))

	measured := stats.New(db, stats.Options{})
	mounted := echo.New()
	api.Mount(mounted, api.Deps{Dict: store, Stats: measured, Audit: auditLog, Now: time.Now})

	accounts := account.New(db, []byte("0123456789abcdef0123456789abcdef"), time.Now, logger)
	_, token, err := accounts.CreateToken(context.Background(), "bench", account.Viewer, time.Time{}, "admin")
	if err != nil {
		b.Fatal(err)
	}
	whole, err := handlers.New(handlers.Deps{
		DB: db, State: db, Accounts: accounts, Audit: auditLog, Dict: store, Lua: lua.New(db, lua.Options{}), Stats: measured,
		Often: trail.NewBurst(trail.Trail{Log: auditLog, Logger: logger}), Logger: logger, Now: time.Now, Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		b.Fatal(err)
	}
	return map[string]http.Handler{"bare": plain, "api": mounted, "huma": humaServer(store), "whole": whole}, token
}

func humaServer(store *dict.Store) http.Handler {
	e := echo.New()
	h := humaecho.New(e, huma.DefaultConfig("bench", "1"))
	type one struct{ Body api.TranslateRequest }
	type oneAnswer struct{ Body api.TranslateAnswer }
	huma.Post(h, base+"/translate", func(ctx context.Context, in *one) (*oneAnswer, error) {
		q := in.Body
		r, err := store.Translate(ctx, dict.Query{System1: q.System1, Key1: q.Key1, Value1: q.Value1, System2: q.System2, Key2: q.Key2})
		return &oneAnswer{api.TranslateAnswer{Value2: r.Value2, Found: r.Found}}, err
	})
	type many struct{ Body api.BatchRequest }
	type manyAnswer struct{ Body api.BatchAnswer }
	huma.Post(h, base+"/translate/batch", func(ctx context.Context, in *many) (*manyAnswer, error) {
		q := in.Body
		rs, err := store.TranslateBatch(ctx, dict.Query{System1: q.System1, Key1: q.Key1, System2: q.System2, Key2: q.Key2}, q.Values)
		out := &manyAnswer{api.BatchAnswer{Results: make([]api.BatchResult, len(rs))}}
		for i, r := range rs {
			out.Body.Results[i] = api.BatchResult{Value1: q.Values[i], Value2: r.Value2, Found: r.Found}
		}
		return out, err
	})
	return e
}

var kinds = []string{"bare", "api", "huma", "whole"}

func BenchmarkTranslate(b *testing.B) {
	all, token := servers(b, func(db *kvdb.DB, key string) echo.HandlerFunc {
		return func(c echo.Context) error {
			v, err := db.Client().HGet(c.Request().Context(), key, "value 500").Result()
			if err != nil {
				return err
			}
			return c.String(http.StatusOK, v)
		}
	})
	body := []byte(`{"system1":"CRM","key1":"COUNTRY_CODE","value1":"value 500","system2":"BILLING","key2":"COUNTRY_CODE","default":"none"}`)
	for _, kind := range kinds {
		b.Run(kind, func(b *testing.B) { benchmark(b, all[kind], base+"/translate", token, body) })
	}
}

func BenchmarkTranslateBatch(b *testing.B) {
	values := make([]string, 100)
	for i := range values {
		values[i] = fmt.Sprintf("value %d", i*10)
	}
	all, token := servers(b, func(db *kvdb.DB, key string) echo.HandlerFunc {
		return func(c echo.Context) error {
			vs, err := db.Client().HMGet(c.Request().Context(), key, values...).Result()
			if err != nil {
				return err
			}
			return c.String(http.StatusOK, vs[0].(string))
		}
	})
	body, err := json.Marshal(object{"system1": "CRM", "key1": "COUNTRY_CODE", "system2": "BILLING", "key2": "COUNTRY_CODE", "values": values})
	if err != nil {
		b.Fatal(err)
	}
	for _, kind := range kinds {
		b.Run(kind, func(b *testing.B) { benchmark(b, all[kind], base+"/translate/batch", token, body) })
	}
}
