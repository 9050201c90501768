package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// mask stands where a secret was.
const mask = "***"

// newLogger writes to w in the form and from the level that cfg asks for. Whatever goes through it is scrubbed of secrets.
func newLogger(cfg Config, w io.Writer) *slog.Logger {
	level, err := cfg.level()
	if err != nil {
		level = slog.LevelInfo // Load let nothing else through
	}
	format := cfg.LogFormat
	if format == "" {
		format = "json"
		if isTerminal(w) {
			format = "text"
		}
	}
	opts := &slog.HandlerOptions{Level: level}
	var h slog.Handler = slog.NewJSONHandler(w, opts)
	if format == "text" {
		h = slog.NewTextHandler(w, opts)
	}
	return slog.New(&scrubHandler{next: h, scrub: newScrubber(cfg.secrets()), out: w, plain: format == "json"})
}

// logBuffer gathers the lines of a busy moment, so that each request doesn't pay for a write of its own. They are
// out after logDelay at the latest, and at once with a line that warns.
type logBuffer struct {
	w     io.Writer
	mu    sync.Mutex
	buf   []byte
	spare []byte
	timer *time.Timer // runs while buf holds something
	out   sync.Mutex  // held while lines are written, so that they stay in their order
}

const (
	logDelay = 50 * time.Millisecond
	logMost  = 32 << 10
)

func newLogBuffer(w io.Writer) *logBuffer {
	b := &logBuffer{w: w}
	b.timer = time.AfterFunc(logDelay, b.flush)
	b.timer.Stop()
	return b
}

func (b *logBuffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	if len(b.buf) == 0 {
		b.timer.Reset(logDelay)
	}
	b.buf = append(b.buf, line...)
	full := len(b.buf) >= logMost
	b.mu.Unlock()
	if full {
		b.flush()
	}
	return len(line), nil
}

// flush writes what there is. Others go on gathering meanwhile.
func (b *logBuffer) flush() {
	b.out.Lock()
	defer b.out.Unlock()
	b.mu.Lock()
	b.timer.Stop()
	lines := b.buf
	b.buf, b.spare = b.spare[:0], nil
	b.mu.Unlock()
	if len(lines) > 0 {
		_, _ = b.w.Write(lines) // there is nobody to tell
	}
	b.mu.Lock()
	b.spare = lines
	b.mu.Unlock()
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// scrubHandler masks secrets in messages and attributes: attributes whose name says that they are one, the values
// that were configured, and passwords in URLs, wherever they stand.
type scrubHandler struct {
	next  slog.Handler
	scrub *scrubber
	out   io.Writer
	plain bool // plain records are written as JSON past next: there is nothing to add to them
}

func (h *scrubHandler) Enabled(ctx context.Context, l slog.Level) bool { return h.next.Enabled(ctx, l) }

func (h *scrubHandler) Handle(ctx context.Context, r slog.Record) error {
	if b, ok := h.out.(*logBuffer); ok && r.Level >= slog.LevelWarn {
		defer b.flush()
	}
	if h.plain {
		line := lines.Get().(*[]byte)
		defer lines.Put(line)
		if b, plain := appendPlain((*line)[:0], r, h.scrub); plain {
			*line = b
			_, err := h.out.Write(b)
			return err
		}
	}
	clean := slog.NewRecord(r.Time, r.Level, h.scrub.text(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(h.scrub.attr(a))
		return true
	})
	return h.next.Handle(ctx, clean)
}

func (h *scrubHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = h.scrub.attr(a)
	}
	return &scrubHandler{next: h.next.WithAttrs(clean), scrub: h.scrub, out: h.out}
}

func (h *scrubHandler) WithGroup(name string) slog.Handler {
	return &scrubHandler{next: h.next.WithGroup(name), scrub: h.scrub, out: h.out}
}

var (
	secretName = regexp.MustCompile(`(?i)(password|passwd|secret|session[-_]?key|authorization|cookie|requirepass|masterauth|(^|[-_.])(token|auth|pass)$)`)
	// The password of user:password@host, in URLs of any scheme.
	urlPassword = regexp.MustCompile(`(://[^\s/?#:@"]*:)[^\s/?#"]*@`)
	// What follows AUTH, requirepass and their kind where a command, a query or a header is quoted.
	spoken = regexp.MustCompile(`((?i:\b(?:requirepass|masterauth)["']?[\s=:,]+["']?|\bpassword["']?\s*[=:]\s*["']?|\bbearer\s+)|(?:\bAUTH2?|["']auth2?["'])["']?[\s,]+["']?(?:[^\s"',]+["']?[\s,]+["']?)?)[^\s"'&,]+`)
)

// secretNames remembers what secretName said: the names of attributes are few, and stand in the code.
var secretNames sync.Map

func namesSecret(name string) bool {
	if known, ok := secretNames.Load(name); ok {
		return known.(bool)
	}
	secret := secretName.MatchString(name)
	secretNames.Store(name, secret)
	return secret
}

type scrubber struct {
	values []string
	known  *strings.Replacer
}

// newScrubber masks values wherever they stand. Very short ones are left to the patterns: masking each "a" of a log would make it useless.
func newScrubber(values []string) *scrubber {
	s := &scrubber{}
	var pairs []string
	for _, v := range values {
		if len(v) >= 6 {
			s.values = append(s.values, v)
			pairs = append(pairs, v, mask)
		}
	}
	s.known = strings.NewReplacer(pairs...)
	return s
}

// suspicious are the bytes with which what the patterns need begins.
var suspicious = [256]bool{':': true, 'a': true, 'A': true, 'b': true, 'B': true, 'p': true, 'P': true}

// suspects says whether text could change anything: it looks for what the patterns need, which is much
// quicker than they are.
func (s *scrubber) suspects(t string) bool {
	for i := range len(t) {
		if !suspicious[t[i]] {
			continue
		}
		switch t[i] | 0x20 {
		case ':':
			if strings.HasPrefix(t[i:], "://") {
				return true
			}
		case 'a':
			if foldedPrefix(t[i:], "auth") {
				return true
			}
		case 'b':
			if foldedPrefix(t[i:], "bearer") {
				return true
			}
		case 'p':
			if foldedPrefix(t[i:], "pass") {
				return true
			}
		}
	}
	for _, v := range s.values {
		if strings.Contains(t, v) {
			return true
		}
	}
	return false
}

func foldedPrefix(t, prefix string) bool {
	return len(t) >= len(prefix) && strings.EqualFold(t[:len(prefix)], prefix)
}

func (s *scrubber) text(t string) string {
	if !s.suspects(t) {
		return t
	}
	t = s.known.Replace(t)
	t = urlPassword.ReplaceAllString(t, "${1}"+mask+"@")
	return spoken.ReplaceAllString(t, "${1}"+mask)
}

func (s *scrubber) attr(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		group := make([]slog.Attr, 0, len(v.Group()))
		for _, g := range v.Group() {
			group = append(group, s.attr(g))
		}
		return slog.Attr{Key: a.Key, Value: slog.GroupValue(group...)}
	}
	if namesSecret(a.Key) {
		return slog.String(a.Key, mask)
	}
	switch v.Kind() {
	case slog.KindString:
		v = slog.StringValue(s.text(v.String()))
	case slog.KindAny:
		// Errors, stringers and whatever else could hide one: as text, scrubbed.
		v = slog.StringValue(s.text(fmt.Sprint(v.Any())))
	default: // numbers, booleans and times hide nothing
	}
	return slog.Attr{Key: a.Key, Value: v}
}
