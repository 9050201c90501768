package broker

import (
	"cmp"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"webadmin/internal/kvdb"
)

// Webhook is an HTTP endpoint that runs the invocations of a service.
type Webhook struct {
	Service string
	URL     string // https, or where private addresses are allowed also http
	// Secret signs what is sent to the endpoint. It goes in only: what is read has none, but that which SaveWebhook made.
	Secret       string
	AllowPrivate bool          // it may be at a private or a loopback address
	Timeout      time.Duration // for an answer; 0 = 30 s
	Version      int64         // grows with each change; of a new one 0
	UpdatedAt    time.Time
	UpdatedBy    string
	// Broken says why what is stored can't be used, as that somebody changed it in Redis; "" = it can.
	Broken string
}

// Limits of webhooks.
const (
	MaxWebhooks       = 1000
	MaxWebhookURL     = 2000 // bytes
	MinWebhookSecret  = 16
	MaxWebhookSecret  = 200
	WebhookTimeout    = 30 * time.Second // by default
	MaxWebhookTimeout = 5 * time.Minute
)

// WebhookStaleError says that somebody changed the webhook since it was read. It is kvdb.ErrConflict.
type WebhookStaleError struct{ Current Webhook } // its Version is 0 when it was deleted

func (e *WebhookStaleError) Error() string {
	if e.Current.Version == 0 {
		return "somebody else deleted the webhook of " + e.Current.Service + " since it was read"
	}
	return "somebody else changed the webhook of " + e.Current.Service + " since it was read"
}

// Is makes it kvdb.ErrConflict.
func (e *WebhookStaleError) Is(target error) bool { return target == kvdb.ErrConflict }

// webhookRecord is a webhook as it is sealed.
type webhookRecord struct {
	URL     string `json:"url"`
	Secret  string `json:"secret"`
	Private bool   `json:"private,omitempty"`
	Timeout int64  `json:"timeout_ms"`
	Version int64  `json:"version"`
	At      int64  `json:"at"`
	By      string `json:"by"`
}

// NewWebhookSecret makes a secret.
func NewWebhookSecret() string { return "whsec_" + rand.Text() }

// Webhooks lists all, by service.
func (s *Store) Webhooks(ctx context.Context) ([]Webhook, error) {
	all, err := s.db.Client().HGetAll(ctx, s.keys.Broker().Webhooks()).Result() // at most MaxWebhooks
	if err != nil {
		return nil, kvdb.ReadErr("broker: webhooks", err)
	}
	list := make([]Webhook, 0, len(all))
	for service, sealed := range all {
		w := s.openWebhook(service, sealed)
		w.Secret = ""
		list = append(list, w)
	}
	slices.SortFunc(list, func(a, b Webhook) int { return strings.Compare(a.Service, b.Service) })
	return list, nil
}

// Webhook returns that of a service. Error: kvdb.ErrNotFound.
func (s *Store) Webhook(ctx context.Context, service string) (Webhook, error) {
	w, err := s.SecretWebhook(ctx, service)
	w.Secret = ""
	return w, err
}

// SecretWebhook is Webhook with its secret, for whoever calls the endpoint.
func (s *Store) SecretWebhook(ctx context.Context, service string) (Webhook, error) {
	w, _, err := s.readWebhook(ctx, service)
	return w, err
}

// readWebhook returns a webhook, and what is stored of it.
func (s *Store) readWebhook(ctx context.Context, service string) (Webhook, string, error) {
	sealed, err := s.db.Client().HGet(ctx, s.keys.Broker().Webhooks(), service).Result()
	if err != nil {
		return Webhook{}, "", kvdb.ReadErr("broker: webhook of "+service, err)
	}
	return s.openWebhook(service, sealed), sealed, nil
}

// saveWebhookScript replaces what is stored of one webhook.
//
// KEYS: 1 webhooks. ARGV: 1 service, 2 what is stored ("" = nothing), 3 what is to be ("" = nothing), 4 how many there may be.
// Returns 1 done, also when it was done before; 2 something else is stored; 3 there are too many. In all but 1 nothing was done.
var saveWebhookScript = kvdb.NewScript(`
local is = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if is == ARGV[3] then return 1 end
if is ~= ARGV[2] then return 2 end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
  return 1
end
if is == '' and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then return 3 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1`)

// SaveWebhook makes a webhook (Version 0) or changes the one of that version, in the name of w.UpdatedBy. Without a Secret it keeps the one that
// it has; a new one gets one made, which is in the answer this once. All processes know of it within some seconds.
// Errors: kvdb.InvalidError (fields service, url, secret, timeout), *WebhookStaleError, kvdb.ErrConflict if there are too many.
func (s *Store) SaveWebhook(ctx context.Context, w Webhook) (Webhook, error) {
	if err := s.checkWebhook(w); err != nil {
		return Webhook{}, err
	}
	was, stored, err := s.readWebhook(ctx, w.Service)
	if err != nil && !errors.Is(err, kvdb.ErrNotFound) {
		return Webhook{}, err
	}
	if was.Version != w.Version {
		was.Service, was.Secret = w.Service, ""
		return Webhook{}, &WebhookStaleError{was}
	}
	made := ""
	if w.Secret == "" {
		w.Secret = was.Secret
	}
	if w.Secret == "" {
		made = NewWebhookSecret()
		w.Secret = made
	}
	w.Timeout = cmp.Or(w.Timeout, WebhookTimeout)
	w.Version, w.UpdatedAt, w.Broken = max(w.Version, 0)+1, s.now().UTC().Truncate(time.Millisecond), ""
	sealed, err := s.sealWebhook(w)
	if err != nil {
		return Webhook{}, err
	}
	if err := s.replaceWebhook(ctx, w.Service, stored, sealed); err != nil {
		return Webhook{}, err
	}
	w.Secret = made
	return w, nil
}

// DeleteWebhook deletes that of a service if it has the version; what it handled waits for another worker. 0 = whatever it has.
// Errors: kvdb.ErrNotFound, *WebhookStaleError.
func (s *Store) DeleteWebhook(ctx context.Context, service string, version int64) error {
	was, stored, err := s.readWebhook(ctx, service)
	if err != nil {
		return err
	}
	if version != 0 && was.Version != version {
		was.Secret = ""
		return &WebhookStaleError{was}
	}
	return s.replaceWebhook(ctx, service, stored, "")
}

func (s *Store) replaceWebhook(ctx context.Context, service, stored, sealed string) error {
	code, err := saveWebhookScript.Run(ctx, s.db, []string{s.keys.Broker().Webhooks()}, service, stored, sealed, MaxWebhooks).Int()
	switch {
	case err != nil:
		return kvdb.WriteErr("broker: webhook of "+service, err)
	case code == 2:
		current, err := s.Webhook(ctx, service)
		if err != nil && !errors.Is(err, kvdb.ErrNotFound) {
			return err
		}
		current.Service = service
		return &WebhookStaleError{current}
	case code == 3:
		return fmt.Errorf("%w: there are %d webhooks, and no more are allowed", kvdb.ErrConflict, MaxWebhooks)
	}
	s.hooks.set(service, sealed != "")
	s.bell.ring(service)
	return nil
}

// checkWebhook says what is wrong with a webhook.
func (s *Store) checkWebhook(w Webhook) error {
	var fields []kvdb.FieldError
	wrong := func(field, format string, args ...any) {
		fields = append(fields, kvdb.FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
	}
	if invalid, ok := errors.AsType[*kvdb.InvalidError](CheckName("service", w.Service)); ok {
		fields = append(fields, invalid.Fields...)
	} else if kind := s.handlerKind(w.Service); kind != HandlerPull && kind != HandlerWebhook {
		wrong("service", "is handled by this program itself")
	}
	if problem := urlProblem(w); problem != "" {
		wrong("url", "%s", problem)
	}
	switch n := len(w.Secret); {
	case n > 0 && n < MinWebhookSecret, n > MaxWebhookSecret:
		wrong("secret", "has %d characters; it needs %d to %d", n, MinWebhookSecret, MaxWebhookSecret)
	case strings.ContainsFunc(w.Secret, func(r rune) bool { return r <= ' ' || r > '~' }):
		wrong("secret", "may have printable ASCII characters only, and no blanks")
	}
	if w.Timeout < 0 || w.Timeout > MaxWebhookTimeout || w.Timeout > 0 && w.Timeout < time.Millisecond {
		wrong("timeout", "must be between 1 ms and %s", MaxWebhookTimeout)
	}
	if fields != nil {
		return &kvdb.InvalidError{Fields: fields}
	}
	return nil
}

// urlProblem says what is wrong with the URL of a webhook.
func urlProblem(w Webhook) string {
	if len(w.URL) > MaxWebhookURL {
		return fmt.Sprintf("has %d bytes; at most %d are allowed", len(w.URL), MaxWebhookURL)
	}
	u, err := url.Parse(w.URL)
	if err != nil || u.Opaque != "" || strings.ContainsFunc(w.URL, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "is no URL"
	}
	port, err := strconv.Atoi(cmp.Or(u.Port(), "443"))
	switch {
	case w.URL == "":
		return "is required"
	case u.Scheme == "http" && !w.AllowPrivate:
		return "must begin with https://: http:// is for private addresses, where they are allowed"
	case u.Scheme != "https" && u.Scheme != "http":
		return "must begin with https://"
	case u.Hostname() == "":
		return "has no host"
	case err != nil || port < 1 || port > 65535:
		return "has a port that is none"
	case u.User != nil:
		return "must hold no user and no password: the signature tells your endpoint who calls"
	case u.Fragment != "" || strings.HasSuffix(w.URL, "#"):
		return "must have no part after a #"
	}
	return ""
}

// sealWebhook encrypts and signs the record of a webhook, for its service only.
func (s *Store) sealWebhook(w Webhook) (string, error) {
	text, err := json.Marshal(webhookRecord{URL: w.URL, Secret: w.Secret, Private: w.AllowPrivate, Timeout: w.Timeout.Milliseconds(),
		Version: w.Version, At: w.UpdatedAt.UnixMilli(), By: w.UpdatedBy})
	if err != nil {
		return "", err
	}
	return string(s.webhookSeal().Seal(nil, nil, text, s.webhookPlace(w.Service))), nil
}

// openWebhook reads what sealWebhook wrote.
func (s *Store) openWebhook(service, sealed string) Webhook {
	w := Webhook{Service: service}
	var r webhookRecord
	text, err := s.webhookSeal().Open(nil, nil, []byte(sealed), s.webhookPlace(service))
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		w.Version = -1 // one that no other has, so that it can be saved over and deleted
		w.Broken = "This record was not written with this session key, or was changed in Redis. Save the webhook anew, or delete it."
		return w
	}
	w.URL, w.Secret, w.AllowPrivate, w.Timeout = r.URL, r.Secret, r.Private, time.Duration(r.Timeout)*time.Millisecond
	w.Version, w.UpdatedAt, w.UpdatedBy = r.Version, time.UnixMilli(r.At).UTC(), r.By
	return w
}

// webhookPlace is what a sealed record belongs to: anywhere else it is refused.
func (s *Store) webhookPlace(service string) []byte {
	return []byte(s.keys.Broker().Webhooks() + "\x00" + service)
}

func (s *Store) webhookSeal() cipher.AEAD {
	key, err := hkdf.Key(sha256.New, s.secret, nil, "webadmin broker webhooks", 32)
	if err != nil {
		panic("broker: deriving a key: " + err.Error()) // only for lengths that no hash has
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("broker: " + err.Error()) // only for other lengths of keys
	}
	seal, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("broker: " + err.Error()) // only for other ciphers
	}
	return seal
}

// HasWebhook tells whether a service has a webhook, as far as this process knows. It is for Handle.
func (s *Store) HasWebhook(service string) bool { return s.hooks.has(service) }

const webhooksEvery = 2 * time.Second

// watchWebhooks keeps in memory which services have a webhook, until ctx ends.
func (s *Store) watchWebhooks(ctx context.Context) {
	tick := time.NewTicker(webhooksEvery)
	defer tick.Stop()
	for {
		names, err := s.db.Client().HKeys(ctx, s.keys.Broker().Webhooks()).Result() // at most MaxWebhooks
		if err == nil && s.hooks.replace(names) {
			s.bell.ring("")
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// hooked are the services with a webhook, as far as this process knows.
type hooked struct {
	mu    sync.RWMutex
	names map[string]bool
}

func (h *hooked) has(service string) bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.names[service]
}

// set notes what this process changed itself.
func (h *hooked) set(service string, has bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.names == nil {
		h.names = map[string]bool{}
	}
	if has {
		h.names[service] = true
	} else {
		delete(h.names, service)
	}
}

// replace notes what was read, and says whether it is new.
func (h *hooked) replace(services []string) (changed bool) {
	names := make(map[string]bool, len(services))
	for _, service := range services {
		names[service] = true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	changed = !maps.Equal(h.names, names)
	h.names = names
	return changed
}
