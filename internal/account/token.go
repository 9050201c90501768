package account

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"webadmin/internal/kvdb"
)

// maxTokens bounds what a list of tokens reads.
const maxTokens = 10_000

// Token is a key to the API for a program.
type Token struct {
	ID         string    `json:"id"` // also part of the secret, so that one found somewhere can be told
	Name       string    `json:"name"`
	Role       Role      `json:"role"`
	CreatedBy  string    `json:"created_by"`
	CreatedAt  time.Time `json:"created_at"`
	ExpiresAt  time.Time `json:"expires_at,omitzero"`   // zero = never
	LastUsedAt time.Time `json:"last_used_at,omitzero"` // exact to a minute; zero = never
}

// tokenRecord is a token as stored.
type tokenRecord struct {
	Token
	Sum []byte `json:"sum"` // SHA-256 of the secret
}

// createTokenScript adds a token.
//
// KEYS 1 tokens
// ARGV 1 ID, 2 record, 3 how many tokens there may be
// Returns 1 when added, 0 when there are too many.
var createTokenScript = kvdb.NewScript(`
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
`)

// CreateToken makes a token and returns its secret, which is nowhere kept and cannot be had again. expires zero is never; names
// need not be unique. kvdb.ErrInvalid names the fields name, role and expires; more than 10,000 tokens give ErrFull.
func (s *Store) CreateToken(ctx context.Context, name string, role Role, expires time.Time, by string) (tok Token, secret string, err error) {
	const op = "account: create a token"
	now := s.now()
	name = strings.TrimSpace(name)
	var wrong []kvdb.FieldError
	if !isLabel(name) {
		wrong = append(wrong, kvdb.FieldError{Field: "name", Message: "must have 1 to 64 characters, all of them visible"})
	}
	if role.rank() == 0 {
		wrong = append(wrong, kvdb.FieldError{Field: "role", Message: "must be viewer, operator or admin"})
	}
	if !expires.IsZero() && !expires.After(now) {
		wrong = append(wrong, kvdb.FieldError{Field: "expires", Message: "must be in the future"})
	}
	if len(wrong) > 0 {
		return Token{}, "", &kvdb.InvalidError{Fields: wrong}
	}
	id := newID()
	secret = tokenPrefix + id + newSecret()
	sum := sumToken(secret)
	rec := tokenRecord{
		Token: Token{ID: id, Name: name, Role: role, CreatedBy: by, CreatedAt: now, ExpiresAt: expires.UTC()},
		Sum:   sum[:],
	}
	added, err := createTokenScript.Run(ctx, s.db, []string{s.keys.Tokens()}, id, s.tokens.seal(id, rec), maxTokens).Bool()
	if err != nil {
		return Token{}, "", kvdb.WriteErr(op, err)
	}
	if !added {
		return Token{}, "", fmt.Errorf("%s: %w", op, ErrFull)
	}
	return rec.Token, secret, nil
}

// Tokens returns all tokens, expired ones too, the newest first.
func (s *Store) Tokens(ctx context.Context) ([]Token, error) {
	stored, err := s.db.Client().HGetAll(ctx, s.keys.Tokens()).Result()
	if err != nil {
		return nil, kvdb.ReadErr("account: list tokens", err)
	}
	list := make([]Token, 0, len(stored))
	for id, sealed := range stored {
		var rec tokenRecord
		if s.open(ctx, s.tokens, id, sealed, &rec) == nil {
			list = append(list, rec.Token)
		}
	}
	slices.SortFunc(list, func(a, b Token) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return list, nil
}

// RevokeToken ends a token: through this process at once, through others within 2 seconds. kvdb.ErrNotFound
// when there is none of that ID.
func (s *Store) RevokeToken(ctx context.Context, id string) error {
	op := fmt.Sprintf("account: revoke token %q", id)
	// Last, so that no answer that was read before the removal outlives it; and whatever the outcome.
	defer s.answers.forget()
	n, err := s.db.Client().HDel(ctx, s.keys.Tokens(), id).Result()
	if err != nil {
		return kvdb.WriteErr(op, err)
	}
	if n == 0 {
		return fmt.Errorf("%s: %w", op, kvdb.ErrNotFound)
	}
	return nil
}

// Authenticate returns whose token secret is. What Redis said is remembered for 2 seconds, so that a busy program costs
// one round trip in that time. A token that is unknown, revoked or expired gives ErrBadCredentials.
func (s *Store) Authenticate(ctx context.Context, secret string) (Principal, error) {
	id, ok := parseToken(secret)
	if !ok {
		return Principal{}, errBadToken
	}
	sum := sumToken(secret)
	now := s.clock()
	if answer, ok := s.answers.get(sum, now); ok {
		return answer.principal, answer.err
	}
	generation := s.answers.generation()
	rec, err := s.token(ctx, id, sum)
	switch {
	case errors.Is(err, ErrBadCredentials):
		s.answers.put(sum, generation, answer{err: err, until: now.Add(answersLive)})
		return Principal{}, err
	case err != nil:
		return Principal{}, err
	}
	until := now.Add(answersLive)
	if !rec.ExpiresAt.IsZero() && rec.ExpiresAt.Before(until) {
		until = rec.ExpiresAt
	}
	principal := Principal{Name: rec.Name, Role: rec.Role, Kind: KindToken, TokenID: rec.ID}
	s.answers.put(sum, generation, answer{principal: principal, until: until})
	return principal, nil
}

// token reads and verifies the token of that ID and secret, and notes its use once a minute.
func (s *Store) token(ctx context.Context, id string, sum [sha256.Size]byte) (*tokenRecord, error) {
	const op = "account: check a token"
	rec := new(tokenRecord)
	sealed, err := s.get(ctx, op, s.tokens, id, rec)
	if errors.Is(err, kvdb.ErrNotFound) {
		return nil, errBadToken
	}
	if err != nil {
		return nil, err
	}
	now := s.now()
	expired := !rec.ExpiresAt.IsZero() && !now.Before(rec.ExpiresAt)
	if expired || subtle.ConstantTimeCompare(sum[:], rec.Sum) != 1 {
		return nil, errBadToken
	}
	if now.Sub(rec.LastUsedAt) >= touchEvery {
		rec.LastUsedAt = now
		// It fails when Redis takes no writes, which is no reason to refuse a program that reads; and it does nothing
		// when somebody else was faster.
		err := swapScript.Run(ctx, s.db, []string{s.keys.Tokens()}, id, sealed, s.tokens.seal(id, rec)).Err()
		if err != nil {
			s.logger.DebugContext(ctx, "the use of a token was not noted", "error", kvdb.WriteErr(op, err))
		}
	}
	return rec, nil
}

var errBadToken = fmt.Errorf("account: check a token: %w", ErrBadCredentials)

const (
	tokenPrefix = "wa_" // tells people and secret scanners what it is
	tokenLen    = len(tokenPrefix) + idLen + secretLen
)

// parseToken takes a token of the form wa_, ID, secret apart.
func parseToken(secret string) (id string, ok bool) {
	if len(secret) != tokenLen || !strings.HasPrefix(secret, tokenPrefix) {
		return "", false
	}
	id = secret[len(tokenPrefix):][:idLen]
	return id, isID(id) && isSecret(secret[len(tokenPrefix)+idLen:])
}

// sumToken hashes a token's secret without allocating.
func sumToken(secret string) [sha256.Size]byte {
	var buf [tokenLen]byte
	copy(buf[:], secret)
	return sha256.Sum256(buf[:])
}

// isLabel reports whether name may name a token.
func isLabel(name string) bool {
	n := utf8.RuneCountInString(name)
	return n > 0 && n <= MaxName && utf8.ValidString(name) &&
		!strings.ContainsFunc(name, func(c rune) bool { return !unicode.IsPrint(c) })
}

const (
	answersLive = 2 * time.Second
	maxAnswers  = 10_000 // of each kind
)

// answer is what Redis said of a token.
type answer struct {
	principal Principal
	err       error
	until     time.Time
}

// answers remembers for a moment what Redis said of tokens. Bad tokens are kept apart, so that somebody
// who tries many does not push the good ones out.
type answers struct {
	mu        sync.RWMutex
	forgotten uint64 // how often everything was forgotten
	good, bad map[[sha256.Size]byte]answer
}

func newAnswers() *answers {
	return &answers{good: map[[sha256.Size]byte]answer{}, bad: map[[sha256.Size]byte]answer{}}
}

func (a *answers) get(sum [sha256.Size]byte, now time.Time) (answer, bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	found, ok := a.good[sum]
	if !ok {
		found, ok = a.bad[sum]
	}
	return found, ok && now.Before(found.until)
}

// generation is to be read before Redis is asked, and handed to put with what it said.
func (a *answers) generation() uint64 {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.forgotten
}

// put remembers an answer, unless everything was forgotten since: the answer may be older than the revocation.
func (a *answers) put(sum [sha256.Size]byte, generation uint64, said answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if generation != a.forgotten {
		return
	}
	into, other := a.good, a.bad
	if said.err != nil {
		into, other = a.bad, a.good
	}
	if len(into) >= maxAnswers {
		clear(into)
	}
	delete(other, sum)
	into[sum] = said
}

// forget drops everything that is remembered.
func (a *answers) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forgotten++
	clear(a.good)
	clear(a.bad)
}
