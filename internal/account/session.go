package account

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"webadmin/internal/kvdb"
)

// Life of a session.
const (
	SessionIdle = 8 * time.Hour      // it ends so long after its last use
	SessionLife = 7 * 24 * time.Hour // and so long after its start, whatever its use
)

const (
	touchEvery       = time.Minute // of sessions and tokens: how exact their last use is known
	maxSessionValues = 8 * 1024    // bytes of a session's values as JSON
	maxListed        = 1000        // sessions of one list
)

// Session is one sign-in of one user.
type Session struct {
	ID        string // public; the cookie's secret is not to be had from it
	User      string
	Role      Role // that the user has now
	CreatedAt time.Time
	SeenAt    time.Time // last use, exact to a minute
	Address   string
	Agent     string
}

// sessionRecord is a session as stored.
type sessionRecord struct {
	User        string            `json:"user"`
	UserSince   time.Time         `json:"user_since"`   // User.CreatedAt: a later user of the same name is somebody else
	UserVersion int64             `json:"user_version"` // User.Version when they signed in
	CreatedAt   time.Time         `json:"created_at"`
	SeenAt      time.Time         `json:"seen_at"`
	Address     string            `json:"address"`
	Agent       string            `json:"agent"`
	Sum         []byte            `json:"sum"` // SHA-256 of the cookie
	Values      map[string]string `json:"values,omitempty"`
}

// due is when the session ends unless it is used again.
func (r *sessionRecord) due() time.Time {
	idle, life := r.SeenAt.Add(SessionIdle), r.CreatedAt.Add(SessionLife)
	if idle.Before(life) {
		return idle
	}
	return life
}

// goodFor reports whether the session is still one of the user.
func (r *sessionRecord) goodFor(u *userRecord, now time.Time) bool {
	return now.Before(r.due()) && !u.Disabled && r.UserSince.Equal(u.CreatedAt) && r.UserVersion >= u.SessionsFrom
}

// public is the session as callers see it.
func (r *sessionRecord) public(id string, role Role) Session {
	return Session{ID: id, User: r.User, Role: role, CreatedAt: r.CreatedAt, SeenAt: r.SeenAt, Address: r.Address, Agent: r.Agent}
}

// startSessionScript adds a session, and removes some that have ended.
//
// KEYS 1 sessions, 2 sessions by user, 3 when sessions end
// ARGV 1 ID, 2 record, 3 user/ID, 4 when it ends, 5 now. Times in ms
var startSessionScript = kvdb.NewScript(`
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], 0, ARGV[3])
redis.call('ZADD', KEYS[3], ARGV[4], ARGV[3])
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', ARGV[5], 'LIMIT', 0, 100)) do
  redis.call('HDEL', KEYS[1], string.match(member, '[^/]*$'))
  redis.call('ZREM', KEYS[2], member)
  redis.call('ZREM', KEYS[3], member)
end
return 1
`)

// StartSession starts a session for a user that SignIn or User returned, and returns the cookie that resumes
// it. If the user was disabled, removed or given another password since, the session is over before it begins.
func (s *Store) StartSession(ctx context.Context, u User, address, agent string) (cookie string, sess Session, err error) {
	now := s.now()
	id := newID()
	cookie = id + "." + newSecret()
	sum := sha256.Sum256([]byte(cookie))
	rec := sessionRecord{
		User: u.Name, UserSince: u.CreatedAt, UserVersion: u.Version, CreatedAt: now, SeenAt: now,
		Address: cut(address, 64), Agent: cut(agent, 256), Sum: sum[:],
	}
	keys := []string{s.keys.Sessions(), s.keys.SessionsByUser(), s.keys.SessionsDue()}
	err = startSessionScript.Run(ctx, s.db, keys,
		id, s.sessions.seal(id, rec), u.Name+"/"+id, rec.due().UnixMilli(), now.UnixMilli()).Err()
	if err != nil {
		return "", Session{}, kvdb.WriteErr(fmt.Sprintf("account: start a session of user %q", u.Name), err)
	}
	return cookie, rec.public(id, u.Role), nil
}

// ResumeSession returns the session of a cookie, with the role that its user has now, and its values. It is one
// round trip, and a second one once a minute to note the use. A session that is unknown, has ended, or whose user
// is disabled or gone gives kvdb.ErrNotFound.
func (s *Store) ResumeSession(ctx context.Context, cookie string) (Session, map[string]string, error) {
	const op = "account: resume a session"
	found, err := s.session(ctx, op, cookie)
	if err != nil {
		return Session{}, nil, err
	}
	if now := s.now(); now.Sub(found.SeenAt) >= touchEvery {
		found.SeenAt = now
		if _, err := s.swapSession(ctx, op, found); err != nil {
			// People must be able to see pages that say why Redis takes no writes.
			s.logger.DebugContext(ctx, "the use of a session was not noted", "error", err)
		}
	}
	return found.public(found.id, found.user.Role), found.Values, nil
}

// PeekSession is ResumeSession for a page that keeps itself up to date: that is no use of the session, which ends when nobody is there.
func (s *Store) PeekSession(ctx context.Context, cookie string) (Session, map[string]string, error) {
	found, err := s.session(ctx, "account: look at a session", cookie)
	if err != nil {
		return Session{}, nil, err
	}
	return found.public(found.id, found.user.Role), found.Values, nil
}

// SaveSessionValues replaces the values of a cookie's session. Together they may take 8 KiB as JSON, else
// kvdb.ErrInvalid. A session that ResumeSession would not return gives kvdb.ErrNotFound.
func (s *Store) SaveSessionValues(ctx context.Context, cookie string, values map[string]string) error {
	const op = "account: save the values of a session"
	body, err := json.Marshal(values)
	if err != nil || len(body) > maxSessionValues {
		return kvdb.Invalid("values", "take more than 8 KiB")
	}
	for range maxAttempts {
		found, err := s.session(ctx, op, cookie)
		if err != nil {
			return err
		}
		found.Values = values
		if done, err := s.swapSession(ctx, op, found); err != nil || done {
			return err
		}
	}
	return fmt.Errorf("%s: %w", op, errMoving)
}

// endSessionScript removes a session.
//
// KEYS 1 sessions, 2 sessions by user, 3 when sessions end
// ARGV 1 ID, 2 length of the signature in front of a record
// Returns 1 when removed, 0 when there was none.
var endSessionScript = kvdb.NewScript(`
local stored = redis.call('HGET', KEYS[1], ARGV[1])
if not stored then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
local ok, record = pcall(cjson.decode, string.sub(stored, ARGV[2] + 1))
if ok and type(record) == 'table' and type(record.user) == 'string' then
  redis.call('ZREM', KEYS[2], record.user .. '/' .. ARGV[1])
  redis.call('ZREM', KEYS[3], record.user .. '/' .. ARGV[1])
end
return 1
`)

// EndSession ends the session of a cookie, or of a Session.ID. kvdb.ErrNotFound when there is none (any more).
func (s *Store) EndSession(ctx context.Context, cookieOrID string) error {
	const op = "account: end a session"
	id := cookieOrID
	if strings.Contains(id, ".") {
		found, err := s.session(ctx, op, cookieOrID)
		if err != nil {
			return err
		}
		id = found.id
	}
	keys := []string{s.keys.Sessions(), s.keys.SessionsByUser(), s.keys.SessionsDue()}
	removed, err := endSessionScript.Run(ctx, s.db, keys, id, macLen).Bool()
	if err != nil {
		return kvdb.WriteErr(op, err)
	}
	if !removed {
		return fmt.Errorf("%s: %w", op, kvdb.ErrNotFound)
	}
	return nil
}

// EndSessionsOf ends all sessions of a user in one step, those too that are being started;
// kvdb.ErrNotFound when there is no such user.
func (s *Store) EndSessionsOf(ctx context.Context, user string) error {
	_, err := s.changeUser(ctx, fmt.Sprintf("account: end the sessions of user %q", user), user, func(u *userRecord) error {
		u.Version++
		u.endSessions()
		return nil
	})
	return err
}

// listSessionsScript reads sessions.
//
// KEYS 1 sessions, 2 sessions by user, 3 when sessions end
// ARGV 1 user (empty = all), 2 now in ms, 3 how many at most
// Returns ID, record, ID, record …; of all users those that end last come first.
var listSessionsScript = kvdb.NewScript(`
local members
if ARGV[1] == '' then
  members = redis.call('ZREVRANGEBYSCORE', KEYS[3], '+inf', '(' .. ARGV[2], 'LIMIT', 0, ARGV[3])
else
  members = redis.call('ZRANGEBYLEX', KEYS[2], '[' .. ARGV[1] .. '/', '(' .. ARGV[1] .. '0', 'LIMIT', 0, ARGV[3])
end
local found = {}
for _, member in ipairs(members) do
  local id = string.match(member, '[^/]*$')
  local record = redis.call('HGET', KEYS[1], id)
  if record then
    found[#found + 1] = id
    found[#found + 1] = record
  end
end
return found
`)

// Sessions returns the sessions of a user, or of all with user "", the last used first; at most 1,000.
func (s *Store) Sessions(ctx context.Context, user string) ([]Session, error) {
	const op = "account: list sessions"
	now := s.now()
	keys := []string{s.keys.Sessions(), s.keys.SessionsByUser(), s.keys.SessionsDue()}
	flat, err := listSessionsScript.Run(ctx, s.db, keys, user, now.UnixMilli(), maxListed).StringSlice()
	if err != nil {
		return nil, kvdb.ReadErr(op, err)
	}
	records := make(map[string]*sessionRecord, len(flat)/2)
	names := map[string]bool{}
	for pair := range slices.Chunk(flat, 2) {
		rec := new(sessionRecord)
		if s.open(ctx, s.sessions, pair[0], pair[1], rec) == nil {
			records[pair[0]] = rec
			names[rec.User] = true
		}
	}
	users, err := s.usersNamed(ctx, op, names)
	if err != nil {
		return nil, err
	}
	list := make([]Session, 0, len(records))
	for id, rec := range records {
		if u, ok := users[rec.User]; ok && rec.goodFor(&u, now) {
			list = append(list, rec.public(id, u.Role))
		}
	}
	slices.SortFunc(list, func(a, b Session) int {
		return cmp.Or(b.SeenAt.Compare(a.SeenAt), b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return list, nil
}

// usersNamed reads some users; those that don't exist are left out.
func (s *Store) usersNamed(ctx context.Context, op string, names map[string]bool) (map[string]userRecord, error) {
	fields := make([]string, 0, len(names))
	for name := range names {
		fields = append(fields, name)
	}
	users := make(map[string]userRecord, len(fields))
	if len(fields) == 0 {
		return users, nil
	}
	stored, err := s.db.Client().HMGet(ctx, s.keys.Users(), fields...).Result()
	if err != nil {
		return nil, kvdb.ReadErr(op, err)
	}
	for i, name := range fields {
		var u userRecord
		if sealed, ok := stored[i].(string); ok && s.open(ctx, s.users, name, sealed, &u) == nil {
			users[name] = u
		}
	}
	return users, nil
}

// resumeScript reads a session and its user.
//
// KEYS 1 sessions, 2 users
// ARGV 1 ID, 2 length of the signature in front of a record
// Returns both records; false for what is missing. It only looks up what the session claims: the caller verifies it.
var resumeScript = kvdb.NewScript(`
local session = redis.call('HGET', KEYS[1], ARGV[1])
if not session then return {false, false} end
local ok, record = pcall(cjson.decode, string.sub(session, ARGV[2] + 1))
if not ok or type(record) ~= 'table' or type(record.user) ~= 'string' then return {session, false} end
return {session, redis.call('HGET', KEYS[2], record.user)}
`)

// foundSession is a session that somebody proved to have, and its user.
type foundSession struct {
	sessionRecord
	id     string
	sealed string // as it was read
	user   userRecord
}

// session finds the session of a cookie, verified and not over; else kvdb.ErrNotFound.
func (s *Store) session(ctx context.Context, op, cookie string) (*foundSession, error) {
	missing := fmt.Errorf("%s: %w", op, kvdb.ErrNotFound)
	id, ok := parseCookie(cookie)
	if !ok {
		return nil, missing
	}
	stored, err := resumeScript.Run(ctx, s.db, []string{s.keys.Sessions(), s.keys.Users()}, id, macLen).Slice()
	if err != nil {
		return nil, kvdb.ReadErr(op, err)
	}
	if len(stored) != 2 {
		return nil, kvdb.ReadErr(op, errors.New("the script answered something else than two records"))
	}
	found := &foundSession{id: id}
	if found.sealed, ok = stored[0].(string); !ok {
		return nil, missing
	}
	if s.open(ctx, s.sessions, id, found.sealed, &found.sessionRecord) != nil {
		return nil, missing
	}
	if sum := sha256.Sum256([]byte(cookie)); subtle.ConstantTimeCompare(sum[:], found.Sum) != 1 {
		return nil, missing
	}
	userSealed, ok := stored[1].(string)
	if !ok || s.open(ctx, s.users, found.User, userSealed, &found.user) != nil {
		return nil, missing
	}
	if !found.goodFor(&found.user, s.now()) {
		return nil, missing
	}
	return found, nil
}

// swapSessionScript replaces a session's record that is still as it was read.
//
// KEYS 1 sessions, 2 when sessions end
// ARGV 1 ID, 2 record as it was read, 3 new record, 4 user/ID, 5 when it ends, in ms
// Returns 1 when replaced, 0 when the stored record is another one.
var swapSessionScript = kvdb.NewScript(`
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('ZADD', KEYS[2], ARGV[5], ARGV[4])
return 1
`)

// swapSession stores a session that was found and changed; done is false when somebody else was faster.
func (s *Store) swapSession(ctx context.Context, op string, found *foundSession) (done bool, err error) {
	keys := []string{s.keys.Sessions(), s.keys.SessionsDue()}
	done, err = swapSessionScript.Run(ctx, s.db, keys, found.id, found.sealed,
		s.sessions.seal(found.id, found.sessionRecord), found.User+"/"+found.id, found.due().UnixMilli()).Bool()
	return done, kvdb.WriteErr(op, err)
}

// secretLen is the length of a secret: 32 random bytes in base64url.
const secretLen = 43

func newSecret() string {
	secret := make([]byte, 32)
	rand.Read(secret)
	return base64.RawURLEncoding.EncodeToString(secret)
}

// isSecret reports whether s has the form of a secret.
func isSecret(s string) bool {
	if len(s) != secretLen {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// parseCookie takes a cookie of the form ID.secret apart.
func parseCookie(cookie string) (id string, ok bool) {
	id, secret, ok := strings.Cut(cookie, ".")
	return id, ok && isID(id) && isSecret(secret)
}

// cut shortens text that comes from outside to n bytes, and makes it UTF-8.
func cut(s string, n int) string {
	return strings.ToValidUTF8(s[:min(len(s), n)], "")
}
