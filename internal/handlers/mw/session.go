package mw

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gorilla/sessions"

	"webadmin/internal/account"
	"webadmin/internal/kvdb"
)

// sessionKeeper is the part of account.Store that sessions need.
type sessionKeeper interface {
	StartSession(ctx context.Context, u account.User, address, agent string) (cookie string, s account.Session, err error)
	ResumeSession(ctx context.Context, cookie string) (account.Session, map[string]string, error)
	PeekSession(ctx context.Context, cookie string) (account.Session, map[string]string, error)
	SaveSessionValues(ctx context.Context, cookie string, values map[string]string) error
	EndSession(ctx context.Context, cookieOrID string) error
}

// Keys of what the store itself puts into a session's values. They are typed, so that they are never
// taken for values to be saved.
type sessionKey int

const (
	recordKey sessionKey = iota // account.Session
	userKey                     // account.User who is to be signed in by the next Save
)

// pollHeader says that a page asks by itself, as it does every few seconds for as long as it is open.
const pollHeader = "HX-Poll"

// cookieLife is how long a browser keeps the cookie: as long as a session lives at most.
const cookieLife = 7 * 24 * time.Hour

// Sessions is a gorilla/sessions Store over the account store: the cookie holds a random secret, the record is in
// Redis. When Redis is away it returns the error: a caller is never taken for anonymous then.
type Sessions struct {
	keeper sessionKeeper
	name   string
	secure bool
	memory memory
}

// NewSessions returns the store. secure is whether people reach the server over TLS: the cookie then has
// the __Host- prefix, and no browser sends it otherwise.
func NewSessions(keeper sessionKeeper, secure bool) *Sessions {
	name := "webadmin"
	if secure {
		name = "__Host-webadmin"
	}
	return &Sessions{keeper: keeper, name: name, secure: secure}
}

// Current returns the session of the request, loaded once; IsNew when there is none.
func (s *Sessions) Current(r *http.Request) (*sessions.Session, error) {
	return s.Get(r, s.name)
}

// Get returns the request's session of that name.
func (s *Sessions) Get(r *http.Request, name string) (*sessions.Session, error) {
	return sessions.GetRegistry(r).Get(s, name)
}

// New loads the session that the cookie names. A session that is unknown or has ended gives a new one.
func (s *Sessions) New(r *http.Request, name string) (*sessions.Session, error) {
	sess := sessions.NewSession(s, name)
	sess.IsNew = true
	sess.Options = &sessions.Options{
		Path: "/", MaxAge: int(cookieLife.Seconds()), HttpOnly: true, Secure: s.secure, SameSite: http.SameSiteLaxMode,
	}
	cookie, err := r.Cookie(name)
	if err != nil || cookie.Value == "" {
		return sess, nil
	}
	look := s.keeper.ResumeSession
	if r.Header.Get(pollHeader) != "" {
		look = s.keeper.PeekSession
	}
	record, values, err := look(r.Context(), cookie.Value)
	if errors.Is(err, kvdb.ErrNotFound) {
		s.memory.forget(cookie.Value)
		return sess, nil
	}
	if err != nil {
		return sess, err
	}
	s.memory.add(cookie.Value, record)
	sess.ID, sess.IsNew = cookie.Value, false
	sess.Values[recordKey] = record
	for k, v := range values {
		sess.Values[k] = v
	}
	return sess, nil
}

// Save writes the session: it starts one for the user that SignIn named, under a new secret; it ends the
// one with a negative MaxAge; else it stores the values of a session that exists.
func (s *Sessions) Save(r *http.Request, w http.ResponseWriter, sess *sessions.Session) error {
	if sess.Options.MaxAge < 0 {
		return s.end(r, w, sess)
	}
	if user, ok := sess.Values[userKey].(account.User); ok {
		return s.start(r, w, sess, user)
	}
	if sess.ID == "" {
		return nil // nobody is signed in: there is nothing to keep values for
	}
	return s.keeper.SaveSessionValues(r.Context(), sess.ID, textValues(sess))
}

// SignIn starts a session of the user and ends the one that the browser had.
func (s *Sessions) SignIn(r *http.Request, w http.ResponseWriter, user account.User) error {
	sess, err := s.Current(r)
	if err != nil {
		return err
	}
	sess.Values[userKey] = user
	return sess.Save(r, w)
}

// SignOut ends the session and has the browser forget its cookie.
func (s *Sessions) SignOut(r *http.Request, w http.ResponseWriter) error {
	sess, err := s.Current(r)
	if err != nil {
		return err
	}
	sess.Options.MaxAge = -1
	return sess.Save(r, w)
}

// RecordOf returns the session's record; ok is false when nobody is signed in.
func RecordOf(sess *sessions.Session) (record account.Session, ok bool) {
	record, ok = sess.Values[recordKey].(account.Session)
	return record, ok
}

func (s *Sessions) start(r *http.Request, w http.ResponseWriter, sess *sessions.Session, user account.User) error {
	if err := s.forget(r, sess); err != nil {
		return err // nothing is started, so that no second session is left behind
	}
	info := From(r.Context())
	cookie, record, err := s.keeper.StartSession(r.Context(), user, info.Address, info.Agent)
	if err != nil {
		return err
	}
	delete(sess.Values, userKey)
	sess.ID, sess.IsNew = cookie, false
	sess.Values[recordKey] = record
	http.SetCookie(w, sessions.NewCookie(sess.Name(), cookie, sess.Options))
	return nil
}

func (s *Sessions) end(r *http.Request, w http.ResponseWriter, sess *sessions.Session) error {
	if err := s.forget(r, sess); err != nil {
		return err
	}
	http.SetCookie(w, sessions.NewCookie(sess.Name(), "", sess.Options))
	return nil
}

// forget removes the record, if there is one.
func (s *Sessions) forget(r *http.Request, sess *sessions.Session) error {
	if sess.ID == "" {
		return nil
	}
	s.memory.forget(sess.ID)
	err := s.keeper.EndSession(r.Context(), sess.ID)
	if err != nil && !errors.Is(err, kvdb.ErrNotFound) {
		return err
	}
	sess.ID, sess.IsNew = "", true
	delete(sess.Values, recordKey)
	return nil
}

func textValues(sess *sessions.Session) map[string]string {
	values := make(map[string]string, len(sess.Values))
	for k, v := range sess.Values {
		name, ok := k.(string)
		text, isText := v.(string)
		if ok && isText {
			values[name] = text
		}
	}
	return values
}
