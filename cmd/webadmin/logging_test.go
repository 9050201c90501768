package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"
)

func TestLogHoldsNoSecret(t *testing.T) {
	t.Parallel()
	cfg := Config{
		LogLevel: "debug", LogFormat: "json",
		AdminPassword: "correct horse battery", SessionKey: longKey,
		RedisURL: "redis://app:url-hush@kv.example:6379/0", StateURL: "rediss://state.example/?password=query-hush",
	}
	var out bytes.Buffer
	logger := newLogger(cfg, &out)
	logger = logger.With("password", "hush-1", "note", "key is "+longKey).WithGroup("g")
	logger.Info("opened redis://x:hush-2@h/0 with correct horse battery",
		"err", fmt.Errorf("dial %s: %w", cfg.RedisURL, errors.New("AUTH app hush-3 failed")),
		"config", cfg,
		"header", slog.GroupValue(slog.String("Authorization", "Bearer hush-4"), slog.String("Cookie", "hush-5")),
		"api_token", "hush-6", "session_key", []byte("hush-7"),
		"request", `{"args":["auth","hush-8"]}`,
		"command", "CONFIG SET requirepass hush-9",
		"curl", "-H 'authorization: bearer hush-10'",
		"query", "password=hush-11&x=1",
		"typed", `AUTH "app" "hush-12"`)
	for _, secret := range append(cfg.secrets(), "hush") {
		if strings.Contains(out.String(), secret) {
			t.Errorf("the log holds %q:\n%s", secret, out.String())
		}
	}
	for _, kept := range []string{"kv.example:6379", "CONFIG SET requirepass", "opened redis://x:"} {
		if !strings.Contains(out.String(), kept) {
			t.Errorf("the log lost %q:\n%s", kept, out.String())
		}
	}
}

func TestLogLeavesPlainWordsAlone(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"the password of alice was changed", "http://127.0.0.1:8080", "user alice: not found", "https://a.example/x:y?at=b@c.example",
		"authentication failed", "token revoked", "session key: /data/session.key holds fewer than 32 characters", "listening",
	} {
		if got := newScrubber(nil).text(s); got != s {
			t.Errorf("%q became %q", s, got)
		}
	}
}

func TestLogKeepsKinds(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	newLogger(Config{LogLevel: "info", LogFormat: "json"}, &out).Info("m", "n", 7, "ok", true, "tokens", 3)
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	if line["n"] != 7.0 || line["ok"] != true || line["tokens"] != 3.0 {
		t.Errorf("got %v", line)
	}
}

func TestLogIsJSONWhereThereIsNoTerminal(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logger := newLogger(Config{LogLevel: "info"}, &out)
	logger.Debug("hidden")
	logger.Info("shown")
	if !json.Valid(out.Bytes()) || strings.Contains(out.String(), "hidden") {
		t.Errorf("got %s", out.String())
	}
}

// The quick look must let nothing through that the patterns would mask.
func FuzzScrubber(f *testing.F) {
	for _, s := range []string{"redis://u:p@h", "CONFIG SET requirepass x", "AUTH a b", `"auth","x"`, "Bearer x",
		"password: x", "correct horse", "nothing"} {
		f.Add(s)
	}
	s := newScrubber([]string{"correct horse"})
	f.Fuzz(func(t *testing.T, text string) {
		if s.suspects(text) {
			return
		}
		masked := spoken.ReplaceAllString(urlPassword.ReplaceAllString(s.known.Replace(text), "${1}"+mask+"@"), "${1}"+mask)
		if masked != text {
			t.Errorf("%q would become %q, but is not looked at", text, masked)
		}
	})
}

// TestPlainLines compares what is written past slog with what slog writes.
func TestPlainLines(t *testing.T) {
	t.Parallel()
	scrub := newScrubber([]string{"hunter22"})
	at := time.Date(2026, 1, 2, 3, 4, 5, 678900000, time.FixedZone("", 3600))
	for what, tc := range map[string]struct {
		msg   string
		attrs []slog.Attr
		plain bool
	}{
		"a request": {"request", []slog.Attr{
			slog.String("method", "POST"), slog.String("path", "/api/v1/a<b>&c"), slog.Int("status", 200), slog.Float64("ms", 0.042),
			slog.Int64("bytes", -1), slog.String("actor", ""),
		}, true},
		"numbers": {"m", []slog.Attr{slog.Float64("a", 0), slog.Float64("b", 1e-6), slog.Float64("c", 123456.5), slog.Bool("d", true),
			slog.Int64("e", math.MinInt64)}, true},
		"nothing":          {"", nil, true},
		"tiny":             {"m", []slog.Attr{slog.Float64("a", 1e-7)}, false},
		"huge":             {"m", []slog.Attr{slog.Float64("a", 1e21)}, false},
		"quotes":           {`say "x"`, nil, false},
		"backslash":        {"m", []slog.Attr{slog.String("a", `\`)}, false},
		"not ASCII":        {"m", []slog.Attr{slog.String("a", "ż")}, false},
		"line end":         {"m", []slog.Attr{slog.String("a", "x\ny")}, false},
		"not UTF-8":        {"m", []slog.Attr{slog.String("a", "\xff")}, false},
		"a time":           {"m", []slog.Attr{slog.Time("a", at)}, false},
		"an error":         {"m", []slog.Attr{slog.Any("a", io.EOF)}, false},
		"a known secret":   {"m", []slog.Attr{slog.String("a", "is hunter22")}, false},
		"a password":       {"AUTH x", nil, false},
		"a secret's name":  {"m", []slog.Attr{slog.String("password", "x")}, false},
		"a URL":            {"m", []slog.Attr{slog.String("a", "redis://u:p@h")}, false},
		"no name":          {"m", []slog.Attr{slog.String("", "x")}, false},
		"text in its name": {"m", []slog.Attr{slog.String(`a"b`, "x")}, false},
	} {
		r := slog.NewRecord(at, slog.LevelInfo, tc.msg, 0)
		r.AddAttrs(tc.attrs...)
		line, plain := appendPlain(nil, r, scrub)
		if plain != tc.plain {
			t.Errorf("%s: plain is %v", what, plain)
		}
		var want bytes.Buffer
		if err := slog.NewJSONHandler(&want, nil).Handle(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if plain && string(line) != want.String() {
			t.Errorf("%s: %s, want %s", what, line, &want)
		}
	}
}
