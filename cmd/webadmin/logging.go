package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"strings"

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
	return slog.New(&scrubHandler{next: h, scrub: newScrubber(cfg.secrets())})
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
}

func (h *scrubHandler) Enabled(ctx context.Context, l slog.Level) bool { return h.next.Enabled(ctx, l) }

func (h *scrubHandler) Handle(ctx context.Context, r slog.Record) error {
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
	return &scrubHandler{next: h.next.WithAttrs(clean), scrub: h.scrub}
}

func (h *scrubHandler) WithGroup(name string) slog.Handler {
	return &scrubHandler{next: h.next.WithGroup(name), scrub: h.scrub}
}

var (
	secretName = regexp.MustCompile(`(?i)(password|passwd|secret|session[-_]?key|authorization|cookie|requirepass|masterauth|(^|[-_.])(token|auth|pass)$)`)
	// The password of user:password@host, in URLs of any scheme.
	urlPassword = regexp.MustCompile(`(://[^\s/?#:@"]*:)[^\s/?#"]*@`)
	// What follows AUTH, requirepass and their kind where a command, a query or a header is quoted.
	spoken = regexp.MustCompile(`((?i:\b(?:requirepass|masterauth)["']?[\s=:,]+["']?|\bpassword["']?\s*[=:]\s*["']?|\bbearer\s+)|(?:\bAUTH2?|["']auth2?["'])["']?[\s,]+["']?(?:[^\s"',]+["']?[\s,]+["']?)?)[^\s"'&,]+`)
)

type scrubber struct{ known *strings.Replacer }

// newScrubber masks values wherever they stand. Very short ones are left to the patterns: masking each "a" of a log would make it useless.
func newScrubber(values []string) *scrubber {
	var pairs []string
	for _, v := range values {
		if len(v) >= 6 {
			pairs = append(pairs, v, mask)
		}
	}
	return &scrubber{known: strings.NewReplacer(pairs...)}
}

func (s *scrubber) text(t string) string {
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
	if secretName.MatchString(a.Key) {
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
