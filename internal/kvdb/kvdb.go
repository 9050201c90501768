package kvdb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	dialTimeout = 2 * time.Second
	ioTimeout   = 3 * time.Second
	// reloadInterval is how old a cluster's map of slots gets. At the client's default of a minute it goes on
	// dialling a master that is dead and replaced.
	reloadInterval = 2 * time.Second
)

// Config says which Redis to open, and how.
type Config struct {
	URL     string // see the package documentation
	TLSCA   string // file of the certificates to trust, PEM; "" = those of the system
	TLSCert string // file of the client's certificate, PEM; "" = none
	TLSKey  string // file of its key, PEM
	Prefix  string // what all keys begin with; "" = DefaultPrefix
	// ProgramUser is the ACL user as whom commands of those who are no admin run, NAME or NAME:PASSWORD. Without
	// one, they run as the user of the URL.
	ProgramUser string
	Logger      *slog.Logger
}

// DefaultPrefix is the prefix of all keys where Config has none.
const DefaultPrefix = "kvdb:"

// DB is one Redis target. It is safe for concurrent use.
type DB struct {
	target target
	keys   Keys
	client redis.UniversalClient
	health redis.UniversalClient // own connections, so that Health answers while all others are busy
	logger *slog.Logger

	program credentials // of the program user
	wires   wires
	tables  commandTables
	gates   scriptGates
	evals   evalQueues
	late    lateReplies

	watchOnce sync.Once
	summary   summaryBox
	samples   sampleRing
	closing   chan struct{} // ends the goroutine of Summary
	watchers  sync.WaitGroup
	closeOnce sync.Once
	closeErr  error
}

// Open reads the Config; it doesn't wait for the server, and connects when there is something to do. Errors
// are of a bad URL, prefix or TLS file, and hold no secret.
func Open(cfg Config) (*DB, error) {
	t, err := parseURL(cfg)
	if err != nil {
		return nil, err
	}
	prefix := cfg.Prefix
	if prefix == "" {
		prefix = DefaultPrefix
	}
	// A brace would change the hash tags of the keys, a space can't be in the key patterns of an ACL.
	if strings.ContainsFunc(prefix, func(r rune) bool { return r == '{' || r == '}' || unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return nil, errors.New("the key prefix must have no braces, spaces or control characters")
	}
	logger := cfg.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	routeClientLog(logger)

	db := &DB{target: t, keys: Keys(prefix), logger: logger, program: programCredentials(cfg.ProgramUser), closing: make(chan struct{})}
	db.client = t.client(clientOptions{db: t.db, pool: max(16, 8*runtime.GOMAXPROCS(0)), timeout: ioTimeout})
	db.health = t.client(clientOptions{pool: 2, timeout: healthTimeout})
	return db, nil
}

// clientLogOnce: the client has one logger for the process.
var clientLogOnce sync.Once

// routeClientLog sends what the client itself logs to the log at level debug: the errors that matter are
// returned to whom they concern.
func routeClientLog(logger *slog.Logger) {
	clientLogOnce.Do(func() { redis.SetLogger(clientLog{logger}) })
}

type clientLog struct{ logger *slog.Logger }

func (l clientLog) Printf(ctx context.Context, format string, args ...any) {
	if l.logger.Enabled(ctx, slog.LevelDebug) {
		l.logger.DebugContext(ctx, "redis client", "message", fmt.Sprintf(format, args...))
	}
}

type clientOptions struct {
	db, pool int
	timeout  time.Duration
}

// client makes a client that retries nothing (see hook for clusters) and keeps to deadlines of contexts.
func (t target) client(o clientOptions) redis.UniversalClient {
	var client redis.UniversalClient
	quiet := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	switch t.scheme.mode {
	case cluster:
		client = redis.NewClusterClient(&redis.ClusterOptions{
			Addrs: t.addrs, Dialer: t.dial, Username: t.user, Password: t.password,
			MaxRetries: -1, DialTimeout: dialTimeout, DialerRetries: 1, ReadTimeout: o.timeout, WriteTimeout: o.timeout,
			ContextTimeoutEnabled: true, PoolSize: o.pool, PoolTimeout: o.timeout, PipelinePoolSize: -1,
			ConnMaxIdleTime: idleTimeout, DisableIdentity: true, OnConnect: sayName, MaintNotificationsConfig: quiet,
			ClusterStateReloadInterval: reloadInterval, DisableRoutingPolicies: true,
		})
	case sentinel:
		client = redis.NewFailoverClient(&redis.FailoverOptions{
			SentinelAddrs: t.addrs, MasterName: t.master, SentinelUsername: t.sentinelUser, SentinelPassword: t.sentinelPassword,
			Dialer: t.dial, Username: t.user, Password: t.password, DB: o.db,
			MaxRetries: -1, DialTimeout: dialTimeout, DialerRetries: 1, ReadTimeout: o.timeout, WriteTimeout: o.timeout,
			ContextTimeoutEnabled: true, PoolSize: o.pool, PoolTimeout: o.timeout, PipelinePoolSize: -1,
			ConnMaxIdleTime: idleTimeout, DisableIdentity: true, OnConnect: sayName,
		})
	default:
		client = redis.NewClient(&redis.Options{
			Addr: t.addrs[0], Dialer: t.dial, Username: t.user, Password: t.password, DB: o.db,
			MaxRetries: -1, DialTimeout: dialTimeout, DialerRetries: 1, ReadTimeout: o.timeout, WriteTimeout: o.timeout,
			ContextTimeoutEnabled: true, PoolSize: o.pool, PoolTimeout: o.timeout, PipelinePoolSize: -1,
			ConnMaxIdleTime: idleTimeout, DisableIdentity: true, OnConnect: sayName, MaintNotificationsConfig: quiet,
		})
	}
	client.AddHook(hook{cluster: t.scheme.mode == cluster})
	return client
}

// idleTimeout is less than firewalls keep a silent connection: on one that they dropped, the outcome of a
// write is unknown.
const idleTimeout = 4 * time.Minute

// Client is for the domains: it never retries, and keeps to the deadline of the context (at most 2 s to
// connect, 3 s to send, 3 s for the answer). Give its errors to WriteErr or ReadErr.
func (db *DB) Client() redis.UniversalClient { return db.client }

// Keys builds the keys of this store.
func (db *DB) Keys() Keys { return db.keys }

// Addr says where the server is, without secrets.
func (db *DB) Addr() string { return db.target.String() }

// Close ends the background work and closes all connections. It may be called again.
func (db *DB) Close() error {
	db.closeOnce.Do(func() {
		close(db.closing)
		db.watchers.Wait()
		db.late.close()
		db.closeErr = errors.Join(db.client.Close(), db.health.Close(), db.wires.close())
	})
	return db.closeErr
}

// OwnKey says whether a key is one of this program's own.
func (db *DB) OwnKey(key string) bool { return db.isOurs(key) }

// HasProgramUser says whether programs run as a Redis user of their own.
func (db *DB) HasProgramUser() bool { return db.program.user != "" }

// TLS says whether the connections are encrypted.
func (db *DB) TLS() bool { return db.target.tls != nil }

// IsCluster says whether the target is a cluster.
func (db *DB) IsCluster() bool { return db.target.scheme.mode == cluster }
