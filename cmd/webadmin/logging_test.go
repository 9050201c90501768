package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
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
	for _, s := range []string{"redis://u:p@h", "CONFIG SET requirepass x", "AUTH a b", `"auth","x"`, "Bearer x", "password: x", "correct horse", "nothing"} {
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
