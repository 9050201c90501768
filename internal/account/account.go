package account

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"webadmin/internal/kvdb"
)

// minSessionKey is the least length of the session key in bytes.
const minSessionKey = 32

// maxAttempts is how often a change starts again from reading, because somebody else changed the same record meanwhile.
const maxAttempts = 8

// Errors besides the kinds of package kvdb, each of which wraps one of them.
var (
	// ErrBadCredentials refuses a sign-in, an old password or a token. It does not tell why.
	ErrBadCredentials = fmt.Errorf("the name, password or token is wrong: %w", kvdb.ErrForbidden)
	// ErrBusy says that too many passwords wait to be checked. Nothing was done; a few seconds later it works.
	ErrBusy = fmt.Errorf("too many passwords are being checked at once, try again in a few seconds: %w", kvdb.ErrAway)
	// ErrExists says that there is a user of that name.
	ErrExists = fmt.Errorf("there is a user of this name already: %w", kvdb.ErrConflict)
	// ErrLastAdmin says that the change would leave no enabled administrator.
	ErrLastAdmin = fmt.Errorf("this is the last enabled administrator: %w", kvdb.ErrConflict)
	// ErrFull says that there are as many users or tokens as there may be.
	ErrFull = fmt.Errorf("there are too many of them, remove some first: %w", kvdb.ErrConflict)
)

// errMoving says that a record changed each time between being read and being replaced.
var errMoving = fmt.Errorf("it is being changed by others at the same time, try again: %w", kvdb.ErrConflict)

// StaleError says that somebody else changed the user since the caller read them.
type StaleError struct {
	Current User // as it is now
}

func (e *StaleError) Error() string {
	return fmt.Sprintf("user %s was changed by somebody else since you read it", e.Current.Name)
}

// Is makes a StaleError a conflict.
func (e *StaleError) Is(target error) bool { return target == kvdb.ErrConflict }

// ThrottledError refuses an attempt because too many before it failed. A right password is refused
// too until RetryAfter has passed.
type ThrottledError struct {
	RetryAfter time.Duration
}

func (e *ThrottledError) Error() string {
	seconds := int64((e.RetryAfter + time.Second - 1) / time.Second)
	return fmt.Sprintf("too many failed attempts, try again in %d s", seconds)
}

// Is makes a ThrottledError a refusal.
func (e *ThrottledError) Is(target error) bool { return target == kvdb.ErrForbidden }

// KeyMismatchError says that the users, tokens and sessions in the state store were not signed with this session key.
type KeyMismatchError struct {
	Missing bool // there are users or tokens, but no note of the key that signed them
}

func (e *KeyMismatchError) Error() string {
	if e.Missing {
		return "the state store holds users or tokens, but not the fingerprint of the session key that signed them: somebody removed it, or restored a part of a backup; restore the rest, or remove all keys of accounts to begin anew"
	}
	return "the users, tokens and sessions in the state store were signed with another session key: start with the key that the other replicas use (--session-key, or session.key in their data directory)"
}

// Is makes a KeyMismatchError a refusal.
func (e *KeyMismatchError) Is(target error) bool { return target == kvdb.ErrForbidden }

// Principal is who makes a request.
type Principal struct {
	Name      string // of the user or of the token
	Role      Role
	Kind      string // KindSession or KindToken
	SessionID string // of a session
	TokenID   string // of a token
}

// Kinds of a Principal.
const (
	KindSession = "session"
	KindToken   = "token"
)

// Store keeps users, tokens and sessions in Redis. It is safe for concurrent use.
type Store struct {
	db          *kvdb.DB
	keys        kvdb.AccountKeys
	clock       func() time.Time
	logger      *slog.Logger
	fingerprint string
	users       sealer
	tokens      sealer
	sessions    sealer
	hasher      *hasher
	answers     *answers
}

// New returns the store over the state store db. key is the session key, at least 32 bytes; it panics on a
// shorter one, which would make every signature worthless. Forged records are logged to logger.
func New(db *kvdb.DB, key []byte, now func() time.Time, logger *slog.Logger) *Store {
	if len(key) < minSessionKey {
		panic("account: the session key is shorter than 32 bytes")
	}
	keys := db.Keys().Account()
	return &Store{
		db:          db,
		keys:        keys,
		clock:       now,
		logger:      logger,
		fingerprint: hex.EncodeToString(derive(key, "fingerprint")[:16]),
		users:       newSealer(key, "users", keys.Users()),
		tokens:      newSealer(key, "tokens", keys.Tokens()),
		sessions:    newSealer(key, "sessions", keys.Sessions()),
		hasher:      newHasher(),
		answers:     newAnswers(),
	}
}

// prepareScript notes the fingerprint of the session key at first use.
//
// KEYS 1 fingerprint, 2 users, 3 tokens
// ARGV 1 this process's fingerprint
// Returns the fingerprint that holds; "" when there are records but no fingerprint.
var prepareScript = kvdb.NewScript(`
local stored = redis.call('GET', KEYS[1])
if stored then return stored end
if redis.call('EXISTS', KEYS[2], KEYS[3]) > 0 then return '' end
redis.call('SET', KEYS[1], ARGV[1])
return ARGV[1]
`)

// Prepare checks that the state store's records are signed with this session key, and notes its fingerprint
// where there are none yet. Another key, or records without a fingerprint, give a *KeyMismatchError. Call it
// before anything else.
func (s *Store) Prepare(ctx context.Context) error {
	keys := []string{s.keys.Fingerprint(), s.keys.Users(), s.keys.Tokens()}
	stored, err := prepareScript.Run(ctx, s.db, keys, s.fingerprint).Text()
	if err != nil {
		// Running it again does no harm, so that "unknown" would only frighten.
		return kvdb.ReadErr("account: check the session key", err)
	}
	if stored != s.fingerprint {
		return &KeyMismatchError{Missing: stored == ""}
	}
	return nil
}

// swapScript replaces a record that is still as it was read.
//
// KEYS 1 hash
// ARGV 1 field, 2 record as it was read, 3 new record
// Returns 1 when replaced, 0 when the stored record is another one.
var swapScript = kvdb.NewScript(`
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
`)

// now is the time as records keep it.
func (s *Store) now() time.Time { return s.clock().UTC().Truncate(time.Millisecond) }

// open verifies a stored record. One that was not signed for its place does not exist for the callers, and is logged.
func (s *Store) open(ctx context.Context, by sealer, field, sealed string, record any) error {
	err := by.open(field, sealed, record)
	if err == nil {
		return nil
	}
	s.logger.WarnContext(ctx, "account record refused: it was forged, altered or moved", "key", by.hash, "field", field, "error", err)
	return kvdb.ErrNotFound
}

// get reads and verifies one record. sealed is what is stored, "" = nothing; it is returned for a forged record too.
func (s *Store) get(ctx context.Context, op string, by sealer, field string, record any) (sealed string, err error) {
	sealed, err = s.db.Client().HGet(ctx, by.hash, field).Result()
	if err != nil {
		return "", kvdb.ReadErr(op, err)
	}
	if err := s.open(ctx, by, field, sealed, record); err != nil {
		return sealed, fmt.Errorf("%s: %w", op, err)
	}
	return sealed, nil
}

// newID returns the public name of a session or token: 80 random bits that nothing is proved by.
func newID() string { return strings.ToLower(rand.Text())[:idLen] }

// idLen is the length of such a name.
const idLen = 16

func isID(s string) bool {
	if len(s) != idLen {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}
