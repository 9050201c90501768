package handlers

import (
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"webadmin/internal/account"
	"webadmin/internal/audit"
	"webadmin/internal/broker"
	"webadmin/internal/dict"
	"webadmin/internal/handlers/api"
	"webadmin/internal/handlers/mw"
	"webadmin/internal/handlers/trail"
	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/console"
	"webadmin/internal/lua"
	"webadmin/internal/stats"
)

// requestTime is how long a request may take; routes marked Long may take longer.
const requestTime = 20 * time.Second

// Deps is what the server is made of. All fields are required but those that say otherwise.
type Deps struct {
	DB         *kvdb.DB // the KVDB that people work on
	State      *kvdb.DB // where users, sessions, tokens and audit live; may be DB
	Accounts   *account.Store
	Audit      *audit.Log
	Often      *trail.Burst // audits what programs do thousands of times a second; whoever makes it closes it
	Dict       *dict.Store
	Lua        *lua.Store
	Broker     *broker.Store
	Stats      *stats.Store
	Console    *console.Console
	Background *Background // jobs over many things
	Logger     *slog.Logger
	Now        func() time.Time
	Metrics    *prometheus.Registry

	EnvName        string       // shown in the corner of each page; optional
	TLS            bool         // this process serves HTTPS itself
	PublicURL      *url.URL     // where people reach the server; nil = where it listens
	TrustedProxies []*net.IPNet // whose X-Forwarded-For is believed; none = nobody's
	MetricsAway    bool         // /metrics has a listener of its own, so it is not served here
	StateShared    bool         // State is on the same server as DB
	ProgramUser    string       // Redis user as whom programs run; "" = there is none
	Version        string
}

// site is what all pages share. Every area embeds it.
type site struct {
	Deps
	https    bool // people reach the server over TLS
	byName   map[string]*Route
	sessions *mw.Sessions
	trail    trail.Trail
	dead     deadCount
}

// New returns the server's handler. The error is about PublicURL; a mistake in the route table panics.
func New(d Deps) (*echo.Echo, error) {
	crossOrigin, err := mw.CrossOrigin(trustedOrigins(d.PublicURL)...)
	if err != nil {
		return nil, fmt.Errorf("public URL: %w", err)
	}
	s := newSite(d)
	registerGauges(d)
	d.Metrics.MustRegister(serviceMetrics{d.Stats})
	e := echo.New()
	e.IPExtractor = ipExtractor(d.TrustedProxies)
	e.HTTPErrorHandler = s.handleError
	e.Use(mw.Begin(mw.NewTable(routes), // it runs after routing, and these in this order
		mw.Correlate(isJSON),
		mw.Log(d.Logger, quiet),
		mw.Metrics(d.Metrics, problemKind),
		measureAPI(d.Stats, routes),
		mw.Answer,  // so that log and metrics see the status
		mw.Recover, // inside them, so that a panic is logged and counted like any error
		mw.Secure(s.https, isJSON),
		mw.Compress(precompressed),
		mw.Refuse(),
		mw.BodyLimit,
		crossOrigin,
		mw.Gate(d.Accounts, s.sessions, isAPI),
		mw.Timeout(requestTime),
	))
	register(e, s)
	api.Mount(e, api.Deps{
		DB: d.DB, Dict: d.Dict, Lua: d.Lua, Broker: d.Broker, Stats: d.Stats, Audit: d.Audit, Now: d.Now,
		Audited: s.trail.Do, AuditedOften: d.Often.Do, StillIn: s.stillIn, Page: s.bare, Version: d.Version,
	})
	return e, nil
}

func newSite(d Deps) *site {
	https := d.TLS || d.PublicURL != nil && d.PublicURL.Scheme == "https"
	s := &site{
		Deps:     d,
		https:    https,
		byName:   make(map[string]*Route, len(routes)),
		sessions: mw.NewSessions(d.Accounts, https),
		trail:    trail.Trail{Log: d.Audit, Logger: d.Logger},
	}
	for i := range routes {
		s.byName[routes[i].Name] = &routes[i]
	}
	return s
}

func trustedOrigins(public *url.URL) []string {
	if public == nil {
		return nil
	}
	return []string{public.Scheme + "://" + public.Host}
}

// ipExtractor decides whose word is taken for the client's address. Echo's own default believes any client.
func ipExtractor(proxies []*net.IPNet) echo.IPExtractor {
	if len(proxies) == 0 {
		return echo.ExtractIPDirect()
	}
	options := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, p := range proxies {
		options = append(options, echo.TrustIPRange(p))
	}
	return echo.ExtractIPFromXFFHeader(options...)
}

// quiet tells the routes that would drown the log.
func quiet(r *Route) bool {
	switch r.Name {
	case "static", "healthz", "readyz", "metrics":
		return true
	}
	return false
}

// precompressed tells the routes that compress their answers themselves, or whose answers are too short for it, or for programs to whom it
// costs more than it saves, or go out bit by bit.
func precompressed(r *Route) bool {
	return r.Name == "static" || r.Name == "metrics" || r.Name == "api.translate" || r.Name == "api.kvdb.pipeline" || r.Name == "api.broker.events" || r.Name == "broker.channel.stream"
}
