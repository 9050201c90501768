package account

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"webadmin/internal/kvdb"
)

// FirstAdmin is the name of the user that EnsureAdmin makes.
const FirstAdmin = "admin"

// MaxName is the length of the name of a user or token in characters.
const MaxName = 64

// maxUsers bounds what a list of users reads.
const maxUsers = 10_000

// User is somebody who may sign in.
type User struct {
	Name              string    `json:"name"`
	Role              Role      `json:"role"`
	Disabled          bool      `json:"disabled,omitempty"`
	CreatedAt         time.Time `json:"created_at"`
	LastSignInAt      time.Time `json:"last_sign_in_at,omitzero"` // zero = never
	PasswordChangedAt time.Time `json:"password_changed_at"`
	Version           int64     `json:"version"` // grows with each change of role, password or Disabled, and when all sessions are ended
}

// userRecord is a user as stored.
type userRecord struct {
	User
	Hash string `json:"hash"` // of the password, PHC string
	// SessionsFrom is the version since which sessions are good: one begun for an earlier version of the user
	// has ended, even if it was still being started when that happened.
	SessionsFrom int64 `json:"sessions_from"`
}

// enabledAdmin reports whether the user is one of those of whom one must remain.
func (u *userRecord) enabledAdmin() bool { return u.Role == Admin && !u.Disabled }

// endSessions ends the sessions that the user has now.
func (u *userRecord) endSessions() { u.SessionsFrom = u.Version }

// createUserScript adds a user.
//
// KEYS 1 users
// ARGV 1 name, 2 record, 3 how many users there may be before: 0 for the first one
// Returns 1 when added, 0 when the name is taken, -1 when there are too many.
var createUserScript = kvdb.NewScript(`
if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[3]) then return -1 end
return redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2])
`)

// EnsureAdmin makes the first user, FirstAdmin, when there are no users at all; forged records count as users here. With
// password "" it makes one up and returns it; when the user exists, generated is "". Of replicas that
// start together one makes the user. With kvdb.ErrUnknown generated is returned too, since it may be
// the password that counts. A password against the rules gives kvdb.ErrInvalid.
func (s *Store) EnsureAdmin(ctx context.Context, password string) (generated string, err error) {
	const op = "account: create the first user"
	n, err := s.db.Client().HLen(ctx, s.keys.Users()).Result()
	if err != nil || n > 0 {
		return "", kvdb.ReadErr(op, err)
	}
	if password == "" {
		generated = newPassword()
		password = generated
	} else if problem := checkPassword(FirstAdmin, password); problem != "" {
		return "", kvdb.Invalid("password", "%s", problem)
	}
	_, result, err := s.addUser(ctx, op, FirstAdmin, Admin, password, 0)
	switch {
	case errors.Is(err, kvdb.ErrUnknown):
		return generated, err
	case err != nil || result != 1:
		return "", err
	}
	return generated, nil
}

// CreateUser adds a user with version 1. A bad name, role or password gives kvdb.ErrInvalid with the
// fields name, role and password; a taken name ErrExists; more than 10,000 users ErrFull.
func (s *Store) CreateUser(ctx context.Context, name string, role Role, password string) (User, error) {
	op := fmt.Sprintf("account: create user %q", name)
	var wrong []kvdb.FieldError
	if problem := checkName(name); problem != "" {
		wrong = append(wrong, kvdb.FieldError{Field: "name", Message: problem})
	}
	if _, err := ParseRole(string(role)); err != nil {
		wrong = append(wrong, kvdb.FieldError{Field: "role", Message: "must be viewer, operator or admin"})
	}
	if problem := checkPassword(name, password); problem != "" {
		wrong = append(wrong, kvdb.FieldError{Field: "password", Message: problem})
	}
	if len(wrong) > 0 {
		return User{}, &kvdb.InvalidError{Fields: wrong}
	}
	user, result, err := s.addUser(ctx, op, name, role, password, maxUsers-1)
	if err != nil {
		return User{}, err
	}
	switch result {
	case 0:
		return User{}, fmt.Errorf("%s: %w", op, ErrExists)
	case -1:
		return User{}, fmt.Errorf("%s: %w", op, ErrFull)
	}
	return user, nil
}

func (s *Store) addUser(ctx context.Context, op, name string, role Role, password string, most int) (User, int, error) {
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return User{}, 0, fmt.Errorf("%s: %w", op, err)
	}
	now := s.now()
	rec := userRecord{
		User: User{Name: name, Role: role, CreatedAt: now, PasswordChangedAt: now, Version: 1},
		Hash: hash,
	}
	result, err := createUserScript.Run(ctx, s.db, []string{s.keys.Users()}, name, s.users.seal(name, rec), most).Int()
	return rec.User, result, kvdb.WriteErr(op, err)
}

// SetPassword gives a user a new password and ends all their sessions. A password against the rules
// gives kvdb.ErrInvalid with the field password.
func (s *Store) SetPassword(ctx context.Context, name, password string) error {
	op := fmt.Sprintf("account: set the password of user %q", name)
	return s.setPassword(ctx, op, name, password, func(*userRecord) error { return nil })
}

// ChangePassword is how people change their own password: it takes the old one, is throttled like a sign-in
// (*ThrottledError), and says ErrBadCredentials when the old one is wrong. It ends all sessions of the user, the
// one that asks too: read the User again and start a new session for it, as after a sign-in.
func (s *Store) ChangePassword(ctx context.Context, name, old, password string) error {
	op := fmt.Sprintf("account: change the password of user %q", name)
	if problem := checkPassword(name, password); problem != "" {
		return kvdb.Invalid("password", "%s", problem)
	}
	var checked userRecord
	err := s.throttled(ctx, op, []attempt{s.attempt(passwordThrottle, name)}, func() (err error) {
		checked, _, err = s.checkCredentials(ctx, op, name, old)
		return err
	})
	if err != nil {
		return err
	}
	return s.setPassword(ctx, op, name, password, checked.unchanged)
}

// unchanged says ErrBadCredentials when u is no longer as it was when its password was checked.
func (checked *userRecord) unchanged(u *userRecord) error {
	if u.Hash != checked.Hash || u.Disabled {
		return ErrBadCredentials
	}
	return nil
}

func (s *Store) setPassword(ctx context.Context, op, name, password string, check func(*userRecord) error) error {
	if problem := checkPassword(name, password); problem != "" {
		return kvdb.Invalid("password", "%s", problem)
	}
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	_, err = s.changeUser(ctx, op, name, func(u *userRecord) error {
		if err := check(u); err != nil {
			return err
		}
		u.Hash, u.PasswordChangedAt = hash, s.now()
		u.Version++
		u.endSessions()
		return nil
	})
	return err
}

// SetRole gives a user another role; it holds from their next request on. version is the User.Version that the
// caller read, 0 = whatever it is; another one gives a *StaleError. The last enabled administrator keeps
// the role: ErrLastAdmin.
func (s *Store) SetRole(ctx context.Context, name string, role Role, version int64) (User, error) {
	if _, err := ParseRole(string(role)); err != nil {
		return User{}, err
	}
	return s.editUser(ctx, fmt.Sprintf("account: set the role of user %q", name), name, version, func(u *userRecord) {
		u.Role = role
		u.Version++
	})
}

// SetDisabled disables or enables a user. Disabling ends all their sessions; tokens that they created stay good. version
// and errors are those of SetRole.
func (s *Store) SetDisabled(ctx context.Context, name string, disabled bool, version int64) (User, error) {
	return s.editUser(ctx, fmt.Sprintf("account: disable or enable user %q", name), name, version, func(u *userRecord) {
		u.Disabled = disabled
		u.Version++
		if disabled {
			u.endSessions()
		}
	})
}

func (s *Store) editUser(ctx context.Context, op, name string, version int64, edit func(*userRecord)) (User, error) {
	return s.changeUser(ctx, op, name, func(u *userRecord) error {
		if version != 0 && version != u.Version {
			return &StaleError{Current: u.User}
		}
		edit(u)
		return nil
	})
}

// DeleteUser removes a user and their sessions; a forged record too. The last enabled administrator
// stays: ErrLastAdmin. Tokens that the user created stay good.
func (s *Store) DeleteUser(ctx context.Context, name string) error {
	_, err := s.changeUser(ctx, fmt.Sprintf("account: delete user %q", name), name, nil)
	return err
}

// Users returns all users by name.
func (s *Store) Users(ctx context.Context) ([]User, error) {
	all, err := s.allUsers(ctx, "account: list users")
	if err != nil {
		return nil, err
	}
	users := make([]User, 0, len(all))
	for u := range maps.Values(all) {
		users = append(users, u.User)
	}
	slices.SortFunc(users, func(a, b User) int { return cmp.Compare(a.Name, b.Name) })
	return users, nil
}

// User returns one user; kvdb.ErrNotFound when there is none of that name.
func (s *Store) User(ctx context.Context, name string) (User, error) {
	rec, _, err := s.user(ctx, fmt.Sprintf("account: read user %q", name), name)
	return rec.User, err
}

// SignIn checks a name and password, and notes the time. It returns the user to start a session for, or
//   - ErrBadCredentials: no such user, a wrong password, or a disabled user, which take the same time to tell;
//   - *ThrottledError: after too many failed attempts on the account or from the address;
//   - ErrBusy: too many passwords are being checked at once.
func (s *Store) SignIn(ctx context.Context, name, password, address string) (user User, err error) {
	const op = "account: sign in"
	attempts := []attempt{s.attempt(accountThrottle, name), s.attempt(addressThrottle, addressSubject(address))}
	err = s.throttled(ctx, op, attempts, func() error {
		user, err = s.signIn(ctx, op, name, password)
		return err
	})
	if err != nil {
		return User{}, err
	}
	return user, nil
}

func (s *Store) signIn(ctx context.Context, op, name, password string) (User, error) {
	checked, better, err := s.checkCredentials(ctx, op, name, password)
	if err != nil {
		return User{}, err
	}
	return s.changeUser(ctx, op, name, func(u *userRecord) error {
		if err := checked.unchanged(u); err != nil {
			return err
		}
		u.LastSignInAt = s.now()
		if better != "" {
			u.Hash = better
		}
		return nil
	})
}

// checkCredentials returns the enabled user of that name and password, and a better hash of the password
// when the stored one is weak.
func (s *Store) checkCredentials(ctx context.Context, op, name, password string) (rec userRecord, better string, err error) {
	if checkName(name) == "" {
		rec, _, err = s.user(ctx, op, name)
		if errors.Is(err, kvdb.ErrNotFound) {
			err = s.anyUser(ctx, op)
		}
		if err != nil {
			return userRecord{}, "", err
		}
	}
	right, better, err := s.hasher.verify(ctx, rec.Hash, password)
	if err != nil {
		return userRecord{}, "", fmt.Errorf("%s: %w", op, err)
	}
	if !right || rec.Disabled {
		return userRecord{}, "", fmt.Errorf("%s: %w", op, ErrBadCredentials)
	}
	return rec, better, nil
}

// anyUser is an error while there are no users yet: nobody's password is wrong then, the store is being prepared.
func (s *Store) anyUser(ctx context.Context, op string) error {
	n, err := s.db.Client().Exists(ctx, s.keys.Users()).Result()
	if err != nil {
		return kvdb.ReadErr(op, err)
	}
	if n == 0 {
		return kvdb.NotDone(op, "There are no users yet: the store is being prepared. Try again in a moment.")
	}
	return nil
}

// changeUserScript replaces or removes a user's record that is still as it was read, provided that another
// administrator's record is, and ends the user's sessions.
//
// KEYS 1 users, 2 sessions, 3 sessions by user, 4 when sessions end
// ARGV 1 name, 2 record as it was read, 3 new record (empty = remove the user),
// 4 name of another enabled administrator (empty = none needed), 5 their record as it was read, 6 '1' = end the sessions
// Returns 1 when done, 0 when one of the records is another one by now.
var changeUserScript = kvdb.NewScript(`
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
if ARGV[4] ~= '' and redis.call('HGET', KEYS[1], ARGV[4]) ~= ARGV[5] then return 0 end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
if ARGV[6] == '1' then
  for _, member in ipairs(redis.call('ZRANGEBYLEX', KEYS[3], '[' .. ARGV[1] .. '/', '(' .. ARGV[1] .. '0')) do
    redis.call('HDEL', KEYS[2], string.match(member, '[^/]*$'))
    redis.call('ZREM', KEYS[3], member)
    redis.call('ZREM', KEYS[4], member)
  end
end
return 1
`)

// changeUser replaces a user's record by what edit makes of it, in one atomic step; edit nil removes the user. Edit is
// called again when somebody else was faster; its error ends the change.
func (s *Store) changeUser(ctx context.Context, op, name string, edit func(*userRecord) error) (User, error) {
	keys := []string{s.keys.Users(), s.keys.Sessions(), s.keys.SessionsByUser(), s.keys.SessionsDue()}
	for range maxAttempts {
		before, sealed, err := s.user(ctx, op, name)
		forged := errors.Is(err, kvdb.ErrNotFound) && sealed != ""
		if err != nil && !(forged && edit == nil) {
			return User{}, err
		}
		after, endSessions := userRecord{}, true
		resealed := ""
		if edit != nil {
			after = before
			if err := edit(&after); err != nil {
				return User{}, fmt.Errorf("%s: %w", op, err)
			}
			resealed = s.users.seal(name, after)
			endSessions = after.SessionsFrom != before.SessionsFrom
		}
		admin, adminSealed := "", ""
		if before.enabledAdmin() && !after.enabledAdmin() {
			if admin, adminSealed, err = s.otherAdmin(ctx, op, name); err != nil {
				return User{}, err
			}
		}
		done, err := changeUserScript.Run(ctx, s.db, keys, name, sealed, resealed, admin, adminSealed, endSessions).Bool()
		if err != nil {
			return User{}, kvdb.WriteErr(op, err)
		}
		if done {
			return after.User, nil
		}
	}
	return User{}, fmt.Errorf("%s: %w", op, errMoving)
}

// otherAdmin finds an enabled administrator besides the user of that name, and returns the record as stored.
func (s *Store) otherAdmin(ctx context.Context, op, name string) (admin, sealed string, err error) {
	all, err := s.allUsers(ctx, op)
	if err != nil {
		return "", "", err
	}
	for _, u := range all {
		if u.Name != name && u.enabledAdmin() {
			return u.Name, u.sealed, nil
		}
	}
	return "", "", fmt.Errorf("%s: %w", op, ErrLastAdmin)
}

// storedUser is a verified record and the bytes it was read from.
type storedUser struct {
	userRecord
	sealed string
}

func (s *Store) allUsers(ctx context.Context, op string) (map[string]storedUser, error) {
	stored, err := s.db.Client().HGetAll(ctx, s.keys.Users()).Result()
	if err != nil {
		return nil, kvdb.ReadErr(op, err)
	}
	all := make(map[string]storedUser, len(stored))
	for name, sealed := range stored {
		u := storedUser{sealed: sealed}
		if s.open(ctx, s.users, name, sealed, &u.userRecord) == nil {
			all[name] = u
		}
	}
	return all, nil
}

// user reads one record; sealed is what get returns.
func (s *Store) user(ctx context.Context, op, name string) (rec userRecord, sealed string, err error) {
	sealed, err = s.get(ctx, op, s.users, name, &rec)
	return rec, sealed, err
}

// checkName returns what is wrong with a user's name, "" = nothing. A letter or digit is asked for because a
// name of dots alone would be a path of another meaning in a URL.
func checkName(name string) string {
	const rule = "must have 1 to 64 letters, digits or any of _ - . @, and at least one letter or digit"
	if name == "" || len(name) > MaxName {
		return rule
	}
	solid := false
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
			solid = true
		case c == '_' || c == '-' || c == '.' || c == '@':
		default:
			return rule
		}
	}
	if !solid {
		return rule
	}
	return ""
}
