package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"webadmin/internal/audit"
	"webadmin/internal/kvdb/kvtest"
)

func TestRun(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		args   string
		code   int
		stdout string // part of it
		stderr string
	}{
		"nothing":                  {args: "", code: exitUsage, stderr: "say what to do: serve, user, token"},
		"help":                     {args: "help", stdout: "WEBADMIN_LISTEN"},
		"--help":                   {args: "--help", stdout: "token create"},
		"help of a command":        {args: "import --help", stdout: "--skip-rejected"},
		"version":                  {args: "version", stdout: "webadmin "},
		"version of a wrong setup": {args: "version --listen nonsense", stdout: "webadmin "},
		"unknown command":          {args: "sevre", code: exitUsage, stderr: `there is no command "sevre"`},
		"half a command":           {args: "user", code: exitUsage, stderr: "user what? add, passwd, list, remove"},
		"unknown half":             {args: "token make", code: exitUsage, stderr: "token what? create, list, revoke"},
		"unknown flag":             {args: "serve --prot 1", code: exitUsage, stderr: "there is no flag --prot"},
		"flag of another":          {args: "serve --dry-run", code: exitUsage, stderr: "serve has no flag --dry-run"},
		"too few words":            {args: "user add", code: exitUsage, stderr: "usage: webadmin user add NAME [flags]"},
		"too many words":           {args: "serve now", code: exitUsage, stderr: "usage: webadmin serve"},
		"bad configuration":        {args: "serve --listen nonsense", code: exitUsage, stderr: "--listen"},
		"bad switch":               {args: "import x --dry-run=perhaps", code: exitUsage, stderr: "neither true nor false"},
		"bad role":                 {args: "user add ann --role king", code: exitUsage, stderr: "viewer, operator or admin"},
		"token without name":       {args: "token create --role viewer", code: exitUsage, stderr: "--name"},
		"token without role":       {args: "token create --name n", code: exitUsage, stderr: "--role"},
		"token that has expired":   {args: "token create --name n --role viewer --expires 2001-01-01", code: exitUsage, stderr: "is past"},
		"import of no mode":        {args: "import x --mode mix", code: exitUsage, stderr: "--mode"},
		"import of no format":      {args: "import x --format xml", code: exitUsage, stderr: "--format"},
		"import of no file":        {args: "import /no/such/file.csv", code: exitError, stderr: "no such file"},
		"export to nowhere":        {args: "export", code: exitUsage, stderr: "-o FILE"},
		"export of packed CSV":     {args: "export -o x.bz2 --format csv", code: exitUsage, stderr: "bz2"},
		"health of port 0":         {args: "healthcheck --listen :0", code: exitUsage, stderr: "port 0"},
		"health of nobody":         {args: "healthcheck --listen 127.0.0.1:1", code: exitError, stderr: "not alive"},
		"bad Redis URL":            {args: "user list --redis-url http://h", code: exitUsage, stderr: "--redis-url"},
		"Redis is not there":       {args: "user list --redis-url redis://127.0.0.1:1", code: exitError, stderr: "webadmin: Redis is not reachable."},
		"no certificate":           {args: "serve --tls-cert /no/cert --tls-key /no/key", code: exitError, stderr: "--tls-cert"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := runIn(t, "", strings.Fields(tc.args)...)
			if got.code != tc.code || !strings.Contains(got.stdout, tc.stdout) || !strings.Contains(got.stderr, tc.stderr) {
				t.Errorf("got code %d, stdout %q, stderr %q; want %d, %q, %q", got.code, got.stdout, got.stderr, tc.code, tc.stdout, tc.stderr)
			}
			if tc.code == exitUsage && !strings.HasSuffix(got.stderr, "Try: webadmin --help\n") {
				t.Errorf("no hint at the help: %q", got.stderr)
			}
		})
	}
}

// do runs a command that has to work, on the Redis of a test, and returns its standard output.
func do(t *testing.T, url, stdin, line string, more ...string) string {
	t.Helper()
	got := runIn(t, stdin, append(strings.Fields(line), append(more, "--redis-url", url)...)...)
	if got.code != exitOK {
		t.Fatalf("%s: code %d, %s", line, got.code, got.stderr)
	}
	return got.stdout
}

func TestUsersFromTheCommandLine(t *testing.T) {
	t.Parallel()
	url := kvtest.NewServer(t).URL()
	if got, want := do(t, url, testPassword+"\n", "user add ann --role admin"), "added ann as admin\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	do(t, url, testPassword, "user add bob")
	if got := do(t, url, "", "user list"); !strings.Contains(got, "bob    viewer   enabled") {
		t.Errorf("got\n%s", got)
	}
	if got := do(t, url, testPassword+" 2\r\n", "user passwd bob"); !strings.Contains(got, "bob has a new password") {
		t.Errorf("got %q", got)
	}
	do(t, url, "", "user remove bob")
	for line, want := range map[string]string{
		"user add ann --role admin": "already",
		"user remove ann":           "last enabled administrator",
		"user remove bob":           "not found",
		"user passwd bob":           "not found",
	} {
		got := runIn(t, testPassword, append(strings.Fields(line), "--redis-url", url)...)
		if got.code != exitError || !strings.Contains(got.stderr, want) {
			t.Errorf("%s: got %+v, want %q", line, got, want)
		}
	}
	if got := runIn(t, "short", "user", "add", "eve", "--redis-url", url); got.code != exitError || strings.Contains(got.stderr, "short\n") {
		t.Errorf("a short password: got %+v", got)
	}

	records := auditOf(t, url)
	want := []string{
		"user.create user ann done", "user.create user ann failed", "user.create user bob done", "user.create user eve failed",
		"user.delete user ann failed", "user.delete user bob done", "user.password user bob done",
	}
	if diff := cmp.Diff(want, records); diff != "" {
		t.Errorf("audit (-want +got):\n%s", diff)
	}
}

// auditOf lists verb, object and outcome of the audit log, sorted, and checks that all of it says who did it.
func auditOf(t *testing.T, url string) (lines []string) {
	t.Helper()
	cfg, _, err := Load([]setting{{"redis-url", url}, {"session-key", longKey}}, nil, os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	s, err := openStores(cfg, "", time.Now, newLogger(cfg, t.Output()))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close(t.Context())
	records, _, err := s.trail.List(t.Context(), audit.Filter{}, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if r.Actor != actor() || !strings.HasPrefix(r.Actor, "cli:") || r.Address != local {
			t.Errorf("%s %s: by %q from %q", r.Verb, r.Object, r.Actor, r.Address)
		}
		if strings.Contains(r.Before+r.After+r.Detail, testPassword) {
			t.Errorf("%s %s tells the password", r.Verb, r.Object)
		}
		lines = append(lines, r.Verb+" "+r.Object+" "+r.Outcome)
	}
	slices.Sort(lines)
	return lines
}

func TestTokensFromTheCommandLine(t *testing.T) {
	t.Parallel()
	url := kvtest.NewServer(t).URL()
	first := do(t, url, "", "token create --role operator --name", "two words")
	if strings.Count(first, "\n") != 1 || len(strings.Fields(first)) != 1 {
		t.Errorf("got %q, want the token alone", first)
	}
	if second := do(t, url, "", "token create --expires 90d --role viewer --name", "two words"); second == first {
		t.Error("two tokens are the same")
	}
	list := strings.Split(strings.TrimSpace(do(t, url, "", "token list")), "\n")
	if len(list) != 3 || strings.Contains(strings.Join(list, ""), strings.TrimSpace(first)) {
		t.Fatalf("got %q, want a header and two tokens without their secrets", list)
	}
	id, _, _ := strings.Cut(list[1], " ")
	if got := do(t, url, "", "token revoke "+id); !strings.HasPrefix(got, "revoked "+id) {
		t.Errorf("got %q", got)
	}
	if got := runIn(t, "", "token", "revoke", id, "--redis-url", url); got.code != exitError || !strings.Contains(got.stderr, "not found") {
		t.Errorf("revoked twice: %+v", got)
	}
}

const sampleCSV = "system1,key1,value1,system2,key2,value2\nCRM,COUNTRY,AW,ERP,country,533\nCRM,COUNTRY,PL,ERP,country,616\n"

func TestImportAndExport(t *testing.T) {
	t.Parallel()
	url, dir := kvtest.NewServer(t).URL(), t.TempDir()
	good, bad := filepath.Join(dir, "good.csv"), filepath.Join(dir, "bad.csv")
	write(t, good, sampleCSV)
	write(t, bad, sampleCSV+"CRM,,PL,ERP,country,616\n")

	if got := do(t, url, "", "import --dry-run", good); !strings.HasPrefix(got, "2 created,") || !strings.Contains(got, "nothing was written") {
		t.Errorf("dry run: %q", got)
	}
	if got := runIn(t, "", "import", bad, "--redis-url", url); got.code != exitError || !strings.Contains(got.stderr, "line 4: ") ||
		!strings.Contains(got.stderr, "nothing was imported: 1 rows") {
		t.Errorf("rejected: %+v", got)
	}
	if got := do(t, url, "", "export -o -"); strings.Count(got, "\n") != 1 {
		t.Errorf("the store is not empty: %q", got)
	}
	if got := do(t, url, "", "import --skip-rejected", bad); !strings.HasPrefix(got, "2 created,") || !strings.Contains(got, "\nchange ") {
		t.Errorf("skipping: %q", got)
	}
	if got := do(t, url, sampleCSV, "import - --mode replace"); !strings.HasPrefix(got, "0 created, 0 updated, 2 unchanged, 0 deleted") {
		t.Errorf("again: %q", got)
	}

	for _, name := range []string{"a.csv", "a.json", "a.json.bz2"} {
		path := filepath.Join(dir, name)
		do(t, url, "", "export -o", path)
		other := kvtest.NewServer(t).URL()
		if got := do(t, other, "", "import", path); !strings.HasPrefix(got, "2 created,") {
			t.Errorf("%s: %q", name, got)
		}
		if got := do(t, other, "", "export --format csv -o -"); got != sampleCSV {
			t.Errorf("%s came back as %q", name, got)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q %v", left, err)
	}
}

func TestExportKeepsTheOldFileWhenItFails(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.csv")
	write(t, path, "old")
	if got := runIn(t, "", "export", "-o", path, "--redis-url", "redis://127.0.0.1:1"); got.code != exitError {
		t.Fatalf("got %+v", got)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "old" {
		t.Errorf("got %q %v", text, err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestParseExpiry(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for in, want := range map[string]time.Time{
		"": {}, "never": {}, "90d": now.AddDate(0, 0, 90), "12h": now.Add(12 * time.Hour), "2026-11-22": time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC),
	} {
		if got, err := parseExpiry(in, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: got %v %v, want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"0d", "-1d", "d", "90", "99999999d", "-12h", "2026-11-21", "tomorrow"} {
		if got, err := parseExpiry(in, now); err == nil {
			t.Errorf("%q: got %v, want an error", in, got)
		}
	}
}
