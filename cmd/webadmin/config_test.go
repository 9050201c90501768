package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the configuration table into docs/configuration.md")

const longKey = "0123456789abcdef0123456789abcdef"

// files is a readFile over a map.
func files(m map[string]string) func(string) ([]byte, error) {
	return func(name string) ([]byte, error) {
		text, ok := m[name]
		if !ok {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		return []byte(text), nil
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	defaults := Config{Listen: "127.0.0.1:8080", DataDir: "data", KeyPrefix: "kvdb:", LuaDir: "config/repo/lua/user", Workers: 8, LogLevel: "info"}
	with := func(change func(*Config)) Config {
		c := defaults
		change(&c)
		return c
	}
	for name, tc := range map[string]struct {
		flags    []setting
		environ  []string
		files    map[string]string
		want     Config
		warnings []string
	}{
		"defaults": {want: defaults},
		"environment": {environ: []string{"WEBADMIN_LISTEN=:1", "WEBADMIN_DEMO=true", "WEBADMIN_WORKERS=0", "HOME=/x"},
			want: with(func(c *Config) { c.Listen, c.Demo, c.Workers = ":1", true, 0 })},
		"flag over variable": {flags: []setting{{"listen", ":2"}}, environ: []string{"WEBADMIN_LISTEN=:1"},
			want: with(func(c *Config) { c.Listen = ":2" })},
		"the last flag wins": {flags: []setting{{"listen", ":2"}, {"listen", ":3"}}, want: with(func(c *Config) { c.Listen = ":3" })},
		"empty is not set":   {environ: []string{"WEBADMIN_LISTEN=", "WEBADMIN_REDIS_URL="}, want: defaults},
		"empty flag clears":  {flags: []setting{{"redis-url", ""}}, environ: []string{"WEBADMIN_REDIS_URL=redis://h"}, want: defaults},
		"secret from a file": {environ: []string{"WEBADMIN_SESSION_KEY_FILE=/run/key"}, files: map[string]string{"/run/key": longKey + "\n"},
			want: with(func(c *Config) { c.SessionKey = longKey })},
		"flag over its file": {flags: []setting{{"session-key", longKey + "x"}}, environ: []string{"WEBADMIN_SESSION_KEY_FILE=/none"},
			want: with(func(c *Config) { c.SessionKey = longKey + "x" })},
		"unknown is a warning": {environ: []string{"WEBADMIN_SERVICE_HOST=10.0.0.1", "WEBADMIN_PORT=tcp://10.0.0.1", "WEBADMIN_LISTEN_FILE=/x"},
			want: defaults, warnings: []string{"WEBADMIN_LISTEN_FILE", "WEBADMIN_PORT", "WEBADMIN_SERVICE_HOST"}},
		"all of TLS": {flags: []setting{{"tls-cert", "c"}, {"tls-key", "k"}, {"public-url", "https://kv.example/"},
			{"trusted-proxies", "10.1.2.3/8, ::1"}}, want: with(func(c *Config) {
			c.TLSCert, c.TLSKey, c.PublicURL, c.TrustedProxies = "c", "k", "https://kv.example/", "10.1.2.3/8, ::1"
		})},
		"a key of 32 letters": {flags: []setting{{"session-key", strings.Repeat("é", 32)}},
			want: with(func(c *Config) { c.SessionKey = strings.Repeat("é", 32) })},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, warnings, err := Load(tc.flags, tc.environ, files(tc.files))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("config (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.warnings, warnings); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		flags   []setting
		environ []string
		files   map[string]string
		want    string // part of the sentence
	}{
		"a variable and its file": {environ: []string{"WEBADMIN_SESSION_KEY=" + longKey, "WEBADMIN_SESSION_KEY_FILE=/k"},
			files: map[string]string{"/k": longKey}, want: "WEBADMIN_SESSION_KEY: is set, and so is WEBADMIN_SESSION_KEY_FILE"},
		"a file that is missing":      {environ: []string{"WEBADMIN_ADMIN_PASSWORD_FILE=/none"}, want: "WEBADMIN_ADMIN_PASSWORD_FILE: open /none"},
		"a file that is empty":        {environ: []string{"WEBADMIN_ADMIN_PASSWORD_FILE=/e"}, files: map[string]string{"/e": "\n"}, want: "/e is empty"},
		"a number that is none":       {environ: []string{"WEBADMIN_WORKERS=many"}, want: `WEBADMIN_WORKERS: "many" is not a whole number`},
		"a switch that is none":       {flags: []setting{{"demo", "perhaps"}}, want: `--demo: "perhaps" is neither true nor false`},
		"fewer than no workers":       {flags: []setting{{"workers", "-1"}}, want: "--workers"},
		"a certificate without key":   {flags: []setting{{"tls-cert", "c"}}, want: "--tls-cert and --tls-key go together"},
		"a key without certificate":   {flags: []setting{{"redis-key", "k"}}, want: "--redis-cert and --redis-key go together"},
		"a short session key":         {flags: []setting{{"session-key", "hush"}}, want: "--session-key: has 4 characters"},
		"a listen without port":       {flags: []setting{{"listen", "localhost"}}, want: "--listen"},
		"a port out of range":         {flags: []setting{{"listen", ":65536"}}, want: "--listen"},
		"a port by name":              {flags: []setting{{"metrics-listen", ":http"}}, want: "--metrics-listen"},
		"a public URL without scheme": {flags: []setting{{"public-url", "kv.example"}}, want: "--public-url"},
		"a public URL with a path":    {flags: []setting{{"public-url", "https://kv.example/kv"}}, want: "--public-url: takes scheme, host and port only"},
		"proxies that are none":       {flags: []setting{{"trusted-proxies", "10.0.0.0/8,proxy"}}, want: `--trusted-proxies: "proxy"`},
		"an empty prefix":             {flags: []setting{{"key-prefix", ""}}, want: "--key-prefix: takes 1 to 64"},
		"a prefix with a hash tag":    {flags: []setting{{"key-prefix", "{a}:"}}, want: "--key-prefix"},
		"a prefix with a pattern":     {flags: []setting{{"key-prefix", "a*"}}, want: "--key-prefix"},
		"an unknown log format":       {flags: []setting{{"log-format", "xml"}}, want: "--log-format"},
		"an unknown log level":        {flags: []setting{{"log-level", "INFO+2"}}, want: "--log-level"},
		"a name with a line end":      {flags: []setting{{"name", "a\nb"}}, want: "--name"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := Load(tc.flags, tc.environ, files(tc.files))
			if _, ok := errors.AsType[*usageError](err); !ok {
				t.Fatalf("got %v, want a usage error", err)
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %q, want it to say %q", err, tc.want)
			}
			if strings.Contains(err.Error(), "hush") {
				t.Errorf("the error tells a secret: %q", err)
			}
		})
	}
}

func TestLoadNamesAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	_, _, err := Load([]setting{{"listen", "x"}, {"workers", "-1"}, {"log-format", "xml"}}, nil, files(nil))
	if got := len(strings.Split(err.Error(), "\n")); got != 3 {
		t.Errorf("got %d lines, want 3: %v", got, err)
	}
}

func TestOptionsAreWhole(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, o := range options {
		if seen[o.name] {
			t.Errorf("--%s is there twice", o.name)
		}
		seen[o.name] = true
		if !strings.HasSuffix(o.help, ".") {
			t.Errorf("--%s: its help is no sentence: %q", o.name, o.help)
		}
		if strings.HasSuffix(o.env(), "_FILE") {
			t.Errorf("--%s: its variable would be taken for that of a file", o.name)
		}
		var c Config
		value := map[bool]string{true: "true", false: "7"}[o.arg == ""]
		if err := o.set(&c, value); err != nil || o.get(&c) != value {
			t.Errorf("--%s: set %q, got %q (%v)", o.name, value, o.get(&c), err)
		}
	}
}

// The document's table is made from the option table: go test ./cmd/webadmin -run Configuration -update
func TestTheDocumentHasTheConfiguration(t *testing.T) {
	const (
		path       = "../../docs/configuration.md"
		begin, end = "<!-- configuration: made by go test ./cmd/webadmin -run Configuration -update -->\n", "<!-- end of configuration -->\n"
	)
	var want strings.Builder
	want.WriteString("| flag | variable | default | what |\n|---|---|---|---|\n")
	for _, o := range options {
		env := "`" + o.env() + "`"
		if o.secret {
			env += ", `…_FILE`"
		}
		def := o.byDefault()
		if o.def != "" {
			def = "`" + def + "`"
		}
		fmt.Fprintf(&want, "| `%s` | %s | %s | %s |\n", strings.ReplaceAll(o.flag(), "|", `\|`), env, def, o.help)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	got, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal(path + " has no place for the table")
	}
	if *update {
		if err := os.WriteFile(path, []byte(before+begin+want.String()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want.String(), got); diff != "" {
		t.Errorf("docs/configuration.md is stale; run with -update (-want +got):\n%s", diff)
	}
}
