package main

import (
	"bytes"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestCommandsRunAsTheProgramUser(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	s := serving(t, "--data-dir", dir)
	s.until("/readyz", http.StatusOK)
	for role, want := range map[string]string{"operator": `"webadmin-program"`, "admin": `"default"`} {
		token := cli(t, dir, "token", "create", "--name", role, "--role", role)
		if status, body := s.call("POST", "/api/v1/kvdb/command", token, `{"args":["ACL","WHOAMI"]}`); status != http.StatusOK ||
			!strings.Contains(body, want) {
			t.Errorf("%s: %d %s, want %s", role, status, body, want)
		}
	}
}

func TestThePasswordOfTheProgramUserIsNotLogged(t *testing.T) {
	t.Parallel()
	for user, secret := range map[string]string{"programs:hush": "hush", "programs:a:hush:b": "a:hush:b", "programs": ""} {
		cfg := Config{LogLevel: "info", LogFormat: "json", ProgramUser: user}
		var out bytes.Buffer
		newLogger(cfg, &out).Info("starting", "config", cfg)
		if strings.Contains(out.String(), "hush") || !strings.Contains(out.String(), `"program-user":"programs"`) {
			t.Errorf("%s: %s", user, out.String())
		}
		if got := cfg.secrets(); secret != "" && !slices.Contains(got, secret) {
			t.Errorf("%s: the secrets are %q", user, got)
		}
	}
}
