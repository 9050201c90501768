package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"strconv"
	"time"

	"webadmin/internal/account"
	"webadmin/internal/audit"
	"webadmin/internal/broker"
	"webadmin/internal/broker/webhook"
	"webadmin/internal/dict"
	"webadmin/internal/handlers"
	"webadmin/internal/handlers/api"
	"webadmin/internal/handlers/trail"
	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/console"
	"webadmin/internal/lua"
	"webadmin/internal/stats"
)

// stores are the domains over the configured servers, and what has to be closed after them.
type stores struct {
	db       *kvdb.DB // the KVDB
	state    *kvdb.DB // accounts and audit; the same as db unless --state-url says otherwise
	accounts *account.Store
	trail    *audit.Log
	often    *trail.Burst // audits what programs do thousands of times a second
	dict     *dict.Store
	lua      *lua.Store
	broker   *broker.Store
	stats    *stats.Store
	hooks    *webhook.Client
	console  *console.Console
	jobs     *handlers.Background

	keyMade string // session key file that this start made; "" = none
	logger  *slog.Logger
}

// openStores makes the domains. embeddedURL is where the embedded server is, for a cfg that names no other. It waits for
// no server: the error is one of configuration.
func openStores(cfg Config, embeddedURL string, now func() time.Time, logger *slog.Logger) (_ *stores, err error) {
	key, made, err := sessionKey(cfg)
	if err != nil {
		return nil, err
	}
	open := func(url, flag, programUser string) (*kvdb.DB, error) {
		conf := kvdb.Config{URL: url, TLSCA: cfg.RedisCA, TLSCert: cfg.RedisCert, TLSKey: cfg.RedisKey, Prefix: cfg.KeyPrefix, Logger: logger}
		if url == "" {
			conf = kvdb.Config{URL: embeddedURL, Prefix: cfg.KeyPrefix, Logger: logger}
		}
		conf.ProgramUser = programUser
		db, err := kvdb.Open(conf)
		if err != nil {
			return nil, &usageError{fmt.Errorf("%s: %w", flag, err)}
		}
		return db, nil
	}
	s := &stores{logger: logger}
	if made {
		s.keyMade = sessionKeyFile(cfg)
	}
	if s.db, err = open(cfg.RedisURL, "--redis-url", cfg.ProgramUser); err != nil {
		return nil, err
	}
	s.state = s.db
	if cfg.StateURL != "" {
		if s.state, err = open(cfg.StateURL, "--state-url", ""); err != nil {
			return nil, errors.Join(err, s.db.Close())
		}
	}
	s.accounts = account.New(s.state, key, now, logger)
	s.trail = audit.New(s.state, now)
	s.dict = dict.New(s.db, dict.Options{Now: now, Logger: logger})
	s.often = trail.NewBurst(trail.Trail{Log: s.trail, Logger: logger})
	s.stats = stats.New(s.db, stats.Options{Now: now, Logger: logger})
	s.lua = lua.New(s.db, lua.Options{Dir: cfg.LuaDir, Now: now, Logger: logger, OnRun: handlers.MeasureRuns(s.stats)})
	s.broker = broker.New(s.db, broker.Options{Now: now, Logger: logger, Secret: key, OnFinished: handlers.MeasureInvocations(s.stats)})
	s.hooks = webhook.NewClient("webadmin/"+buildVersion(), now)
	s.broker.Handle(api.IsLuaService, broker.HandlerLua, api.LuaHandler(s.lua))
	s.broker.Handle(s.broker.HasWebhook, broker.HandlerWebhook, webhook.Handler(s.broker, s.hooks))
	s.console = console.New(s.db, console.Options{Now: now})
	s.jobs = handlers.NewBackground()
	return s, nil
}

// close ends what runs in the background and closes the connections, though ctx may have ended. The embedded server is closed after it.
func (s *stores) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	if err := s.jobs.Close(ctx); err != nil { // before what they work on
		s.logger.Warn("closing the jobs", "error", err)
	}
	if err := s.broker.Close(ctx); err != nil { // first: its handlers use the others
		s.logger.Warn("closing the broker", "error", err)
	}
	s.hooks.Close()
	if err := s.dict.Close(ctx); err != nil {
		s.logger.Warn("closing the dictionaries", "error", err)
	}
	if err := s.lua.Close(ctx); err != nil {
		s.logger.Warn("closing the Lua programs", "error", err)
	}
	s.console.Close()
	if err := s.stats.Close(ctx); err != nil { // after all that is measured
		s.logger.Warn("closing the statistics: what was measured last is lost", "error", err)
	}
	if err := s.often.Close(ctx); err != nil {
		s.logger.Warn("closing the audit log", "error", err)
	}
	if s.state != s.db {
		s.closeDB(s.state)
	}
	s.closeDB(s.db)
}

func (s *stores) closeDB(db *kvdb.DB) {
	if err := db.Close(); err != nil {
		s.logger.Warn("closing Redis connections", "error", err)
	}
}

// prepare makes the stores ready to be used: it checks, and where it is older migrates, the schema, and checks the session key.
// It may be repeated. Errors of kind kvdb.ErrAway and kvdb.ErrUnknown may pass; any other is a reason not to run.
func (s *stores) prepare(ctx context.Context) error {
	for _, db := range s.targets() {
		if err := kvdb.EnsureSchema(ctx, db); err != nil {
			return err
		}
	}
	err := s.accounts.Prepare(ctx)
	var mismatch *account.KeyMismatchError
	if errors.As(err, &mismatch) && s.keyMade != "" {
		// The key that was made a moment ago signed nothing: left behind, it would hide that the right one is missing.
		if rmErr := os.Remove(s.keyMade); rmErr != nil {
			return errors.Join(err, rmErr)
		}
		return fmt.Errorf("%w; pass it with --session-key, or put it into %s", err, s.keyMade)
	}
	return err
}

func (s *stores) targets() []*kvdb.DB {
	if s.state == s.db {
		return []*kvdb.DB{s.db}
	}
	return []*kvdb.DB{s.db, s.state}
}

// mayPass says whether trying again can help.
func mayPass(err error) bool {
	return errors.Is(err, kvdb.ErrAway) || errors.Is(err, kvdb.ErrUnknown)
}

// withStores runs a command on prepared stores. With the embedded server it uses that of a running serve, and starts it
// for itself otherwise.
func (c *call) withStores(ctx context.Context, do func(context.Context, *stores) error) (err error) {
	if c.cfg.LogLevel == "info" {
		c.cfg.LogLevel = "warn" // a command's output is its answer
	}
	logger := newLogger(c.cfg, c.stderr)
	url, stop, err := c.embedded(ctx, logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	s, err := openStores(c.cfg, url, c.now, logger)
	if err != nil {
		return err
	}
	defer s.close(ctx)
	if err := s.prepare(ctx); err != nil {
		return err
	}
	return do(ctx, s)
}

// embedded gives the URL of the embedded server, "" when cfg needs none, and a function that stops what it started.
func (c *call) embedded(ctx context.Context, logger *slog.Logger) (url string, stop func() error, err error) {
	stop = func() error { return nil }
	if c.cfg.RedisURL != "" {
		return "", stop, nil
	}
	if url, ok := kvdb.AttachEmbedded(c.cfg.DataDir); ok {
		return url, stop, nil
	}
	e, err := startEmbedded(ctx, c.cfg, logger)
	if err != nil {
		return "", nil, err
	}
	if err := e.Ready(ctx); err != nil {
		return "", nil, errors.Join(err, closeEmbedded(ctx, e))
	}
	return e.URL(), func() error { return closeEmbedded(ctx, e) }, nil
}

func startEmbedded(ctx context.Context, cfg Config, logger *slog.Logger) (*kvdb.Embedded, error) {
	return kvdb.StartEmbedded(ctx, kvdb.EmbeddedConfig{DataDir: cfg.DataDir, Prefix: cfg.KeyPrefix, Logger: logger})
}

const closeTime = 10 * time.Second

// closeEmbedded stops the embedded server, though ctx may have ended.
func closeEmbedded(ctx context.Context, e *kvdb.Embedded) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	return e.Close(ctx)
}

// actor is who the audit says made a change from the command line.
func actor() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return "cli:" + u.Username
	}
	return "cli:" + strconv.Itoa(os.Getuid())
}

// local is the address that the audit shows for the command line.
const local = "local"

// audited makes a change between the two halves of its audit record: no record, no change. do returns what there was and what
// there is afterwards.
func (s *stores) audited(ctx context.Context, verb, object string, do func() (before, after string, err error)) error {
	pending, err := s.trail.Begin(ctx, audit.Record{Actor: actor(), Address: local, Verb: verb, Object: object})
	if err != nil {
		return fmt.Errorf("nothing was changed, because the audit record could not be written: %w", err)
	}
	before, after, err := do()
	outcome, detail := audit.Done, ""
	if err != nil {
		outcome, detail = audit.Failed, err.Error()
	}
	if errors.Is(err, kvdb.ErrUnknown) {
		outcome = audit.Unknown
	}
	// The change is made or not, whether its record can be finished or not: an unfinished one says unknown by itself after a while.
	if endErr := pending.End(ctx, outcome, before, after, detail); endErr != nil {
		s.logger.Warn("the outcome of a change is not in the audit log", "verb", verb, "object", object, "outcome", outcome, "error", endErr)
	}
	return err
}
