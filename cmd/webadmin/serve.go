package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"webadmin/internal/account"
	"webadmin/internal/handlers"
	"webadmin/internal/kvdb"
)

const (
	drainTime    = 10 * time.Second // for requests under way when the process is told to stop
	firstAttempt = 3 * time.Second  // for Redis to answer before we serve without it
	retryFirst   = 250 * time.Millisecond
	retryMost    = 5 * time.Second
)

// serve runs the server until ctx ends, drains it and returns nil. What can't be mended by waiting (a taken port, a locked data
// directory, a store with a newer schema or of another session key) is an error.
func serve(ctx context.Context, c *call) (err error) {
	out := c.stderr
	if !isTerminal(out) {
		lines := newLogBuffer(out)
		defer lines.flush()
		out = lines
	}
	logger := newLogger(c.cfg, out)
	for _, name := range c.warnings {
		logger.Warn("this variable means nothing here", "variable", name)
	}
	logger.Info("starting", "version", buildVersion(), "config", c.cfg)

	sockets, err := listen(ctx, c.cfg)
	if err != nil {
		return err
	}
	defer sockets.close()
	embeddedURL := ""
	if c.cfg.RedisURL == "" {
		redis, err := startEmbedded(ctx, c.cfg, logger)
		if err != nil {
			return unlessStopped(ctx, err)
		}
		defer func() { err = errors.Join(err, closeEmbedded(ctx, redis)) }()
		embeddedURL = redis.URL()
		if c.cfg.ProgramUser == "" {
			user, password := redis.ProgramUser()
			c.cfg.ProgramUser = user + ":" + password
		}
	}
	s, err := openStores(c.cfg, embeddedURL, c.now, logger)
	if err != nil {
		return err
	}
	defer s.close(ctx)
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	site, err := newSite(c, s, registry, logger)
	if err != nil {
		return err
	}

	start := &starter{call: c, stores: s, logger: logger}
	ready, err := start.once(ctx)
	if err != nil {
		return unlessStopped(ctx, err)
	}
	g, ctx := errgroup.WithContext(ctx)
	if !ready {
		g.Go(func() error { return start.until(ctx) })
	}
	startUpkeep(ctx, g, c.cfg, s, logger)
	boundMemory()
	sockets.serve(ctx, g, site, registry, logger)
	if sockets.exposed(c.cfg) {
		logger.Warn("passwords travel unencrypted to this address: use --tls-cert and --tls-key, or --public-url https://… behind a proxy")
	}
	err = g.Wait()
	logger.Info("stopped")
	return err
}

// startUpkeep starts what runs beside requests, until ctx ends: within g, or else until the stores are closed.
func startUpkeep(ctx context.Context, g *errgroup.Group, cfg Config, s *stores, logger *slog.Logger) {
	g.Go(func() error { return s.dict.Run(ctx) })
	s.lua.Start(ctx)
	s.stats.Start(ctx)
	if cfg.Demo {
		s.handleDemo()
		g.Go(func() error { return s.demoTraffic(ctx, logger) })
	}
	s.broker.Start(ctx)
	s.broker.StartWorkers(ctx, cfg.Workers)
	g.Go(func() error { return tidy(ctx, s, logger) })
	g.Go(func() error { return watch(ctx, s.db, logger) })
}

// boundMemory lets the collector rest while the process is small, which it is but for imports, and has it work hard as it
// grows: an import of a million rows needs some 150 MiB at once, and what it leaves behind need not be added to
// that. Who sets GOGC or GOMEMLIMIT decides otherwise.
func boundMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(150)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(224 << 20)
	}
}

// unlessStopped is the error of a start, and nil when it failed because the process was told to stop.
func unlessStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// sockets are what the process listens on.
type sockets struct {
	main    net.Listener
	metrics net.Listener // nil = metrics are served on main
	tls     *tls.Config  // nil = plain HTTP
}

// listen opens the sockets before anything else is touched: a taken port is an error at once.
func listen(ctx context.Context, cfg Config) (*sockets, error) {
	s := &sockets{}
	if cfg.TLSCert != "" {
		pair, err := tls.LoadX509KeyPair(cfg.TLSCert, cfg.TLSKey)
		if err != nil {
			return nil, fmt.Errorf("--tls-cert, --tls-key: %w", err)
		}
		s.tls = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	}
	var lc net.ListenConfig
	var err error
	if s.main, err = lc.Listen(ctx, "tcp", cfg.Listen); err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	if cfg.MetricsListen != "" {
		if s.metrics, err = lc.Listen(ctx, "tcp", cfg.MetricsListen); err != nil {
			s.close()
			return nil, fmt.Errorf("--metrics-listen: %w", err)
		}
	}
	return s, nil
}

func (s *sockets) close() {
	for _, l := range []net.Listener{s.main, s.metrics} {
		if l != nil {
			_ = l.Close() // a server that ran on it has closed it already
		}
	}
}

// url is where the server can be reached from this machine.
func (s *sockets) url() string {
	scheme := "http"
	if s.tls != nil {
		scheme = "https"
	}
	host, port, _ := net.SplitHostPort(s.main.Addr().String())
	return scheme + "://" + net.JoinHostPort(reachable(host), port)
}

// exposed says whether passwords would travel in the clear through a network.
func (s *sockets) exposed(cfg Config) bool {
	addr, ok := s.main.Addr().(*net.TCPAddr)
	return ok && !addr.IP.IsLoopback() && s.tls == nil && !strings.HasPrefix(cfg.PublicURL, "https://")
}

// serve serves the site within g until ctx ends, and metrics where they have a listener of their own.
func (s *sockets) serve(ctx context.Context, g *errgroup.Group, site http.Handler, registry *prometheus.Registry, logger *slog.Logger) {
	if s.metrics != nil {
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", handlers.MetricsHandler(registry))
		serveOn(ctx, g, s.metrics, mux, nil, logger)
		logger.Info("metrics", "url", "http://"+s.metrics.Addr().String()+"/metrics")
	}
	serveOn(ctx, g, s.main, site, s.tls, logger)
	logger.Info("listening", "url", s.url())
}

// serveOn serves on l within g until ctx ends, then lets requests under way finish.
func serveOn(ctx context.Context, g *errgroup.Group, l net.Listener, h http.Handler, conf *tls.Config, logger *slog.Logger) {
	srv := &http.Server{
		Handler:      h,
		TLSConfig:    conf,
		ReadTimeout:  30 * time.Second, // of head and body; routes that take uploads or stream lift these two for themselves
		WriteTimeout: 60 * time.Second,
		IdleTimeout:  2 * time.Minute,
		ErrorLog:     slog.NewLogLogger(logger.Handler(), slog.LevelDebug), // what clients do wrong
	}
	g.Go(func() error {
		run := func() error { return srv.Serve(l) }
		if conf != nil {
			run = func() error { return srv.ServeTLS(l, "", "") }
		}
		if err := run(); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serving: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		logger.Info("stopping", "address", l.Addr().String())
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		if err := srv.Shutdown(drain); err != nil {
			logger.Warn("requests were cut off that took longer than the drain", "error", err)
			_ = srv.Close() // nothing more can be done for them
		}
		return nil
	})
}

// newSite wires the pages and the API.
func newSite(c *call, s *stores, registry *prometheus.Registry, logger *slog.Logger) (http.Handler, error) {
	d := handlers.Deps{
		DB: s.db, State: s.state, Accounts: s.accounts, Audit: s.trail, Often: s.often,
		Dict: s.dict, Lua: s.lua, Broker: s.broker, Stats: s.stats, Console: s.console, Background: s.jobs,
		Logger: logger, Now: c.now, Metrics: registry, Version: buildVersion(),
		EnvName: c.cfg.Name, TLS: c.cfg.TLSCert != "", MetricsAway: c.cfg.MetricsListen != "",
		StateShared: s.state.Addr() == s.db.Addr(), ProgramUser: c.cfg.programUserName(),
	}
	if c.cfg.PublicURL != "" {
		u, err := url.Parse(c.cfg.PublicURL)
		if err != nil {
			return nil, err
		}
		d.PublicURL = u
	}
	nets, err := c.cfg.proxies()
	if err != nil {
		return nil, err
	}
	for _, p := range nets {
		d.TrustedProxies = append(d.TrustedProxies, &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())})
	}
	return handlers.New(d)
}

// starter does what is left to do once Redis is there: schema, session key, first user, demo data.
type starter struct {
	*call
	*stores
	logger *slog.Logger
}

// once tries; false means that Redis is not there yet. An error can't be waited out.
func (s *starter) once(ctx context.Context) (bool, error) {
	attempt, cancel := context.WithTimeout(ctx, firstAttempt)
	defer cancel()
	err := s.attempt(attempt)
	if err == nil {
		s.done(ctx)
		return true, nil
	}
	if ctx.Err() == nil && (mayPass(err) || errors.Is(err, context.DeadlineExceeded)) {
		s.logger.Warn("Redis is not ready; serving without it until it is", "error", err)
		return false, nil
	}
	return false, err
}

// until tries again until it works, ctx ends (no error), or waiting is no use.
func (s *starter) until(ctx context.Context) error {
	wait := time.NewTimer(retryFirst)
	defer wait.Stop()
	for pause := retryFirst; ; pause = min(2*pause, retryMost) {
		select {
		case <-ctx.Done():
			return nil
		case <-wait.C:
		}
		switch err := s.attempt(ctx); {
		case err == nil:
			s.done(ctx)
			return nil
		case ctx.Err() != nil:
			return nil
		case !mayPass(err):
			return err
		default:
			s.logger.Debug("Redis is not ready", "error", err)
		}
		wait.Reset(pause)
	}
}

func (s *starter) done(ctx context.Context) {
	s.logger.Info("the store is ready")
	s.demo(ctx)
}

func (s *starter) attempt(ctx context.Context) error {
	if err := s.prepare(ctx); err != nil {
		return err
	}
	password, err := s.accounts.EnsureAdmin(ctx, s.cfg.AdminPassword)
	if password != "" { // also where the answer was lost: it may be the one that counts. For people's eyes, so it goes past the log
		fmt.Fprintf(s.stderr, "\n  First start: sign in as  %s  with the password  %s\n  It is shown only this once.\n\n", account.FirstAdmin, password)
	}
	if err != nil {
		return fmt.Errorf("first user: %w", err)
	}
	return nil
}

// watch logs when Redis goes and comes back.
func watch(ctx context.Context, db *kvdb.DB, logger *slog.Logger) error {
	tick := time.NewTicker(time.Second) // the summary is kept in memory
	defer tick.Stop()
	for before := ""; ; {
		switch now := db.Summary(); {
		case now.Status == before || now.Status == "":
		case now.Status == kvdb.StatusOK:
			logger.Info("Redis answers", "server", db.Addr(), "version", now.Version)
			before = now.Status
		default:
			logger.Warn("Redis does not answer as it should", "server", db.Addr(), "status", now.Status, "detail", now.Detail)
			before = now.Status
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// tidy closes audit records that nobody will end, and drops those that are too old.
func tidy(ctx context.Context, s *stores, logger *slog.Logger) error {
	sweep, trim := time.NewTicker(time.Minute), time.NewTicker(time.Hour)
	defer sweep.Stop()
	defer trim.Stop()
	for {
		var what string
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-sweep.C:
			what, err = "sweep", s.trail.Sweep(ctx)
		case <-trim.C:
			what, err = "trim", s.trail.Trim(ctx)
		}
		if err != nil && ctx.Err() == nil {
			level := slog.LevelWarn
			if mayPass(err) {
				level = slog.LevelDebug // that Redis is away is said elsewhere
			}
			logger.Log(ctx, level, "audit upkeep", "task", what, "error", err)
		}
	}
}
