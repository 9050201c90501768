package lua

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// memLog keeps the messages of a log.
type memLog struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *memLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *memLog) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(strings.TrimSuffix(l.buf.String(), "\n"), "\n")
}

func (l *memLog) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// listed returns the errors of the files that are listed, by their names.
func listed(t testing.TB, s *Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	for cursor := ""; ; {
		page, err := s.Programs(t.Context(), Filter{Origin: File}, cursor, MaxPage)
		must(t, err)
		for _, p := range page.Items {
			if (p.SHA1 == "") != (p.Error != "") && !strings.HasPrefix(p.Error, "line ") {
				t.Errorf("%+v", p)
			}
			all[p.Name] = p.Error
		}
		if cursor = page.Next; cursor == "" {
			return all
		}
	}
}

// TestWhatIsAProgramFile puts all sorts of things into the directory.
func TestWhatIsAProgramFile(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	dir := filepath.Join(parent, "programs")
	must(t, os.Mkdir(dir, 0o700))
	long := strings.Repeat("x", 200)
	write(t, parent, map[string]string{"secret": "return 'out of the directory'"})
	write(t, dir, map[string]string{
		"good": "return 1", "with.dots-and_more": "return 1", "crlf": "return 1\r\n", "two.lua": "return 1", "UPPER": "return 1",
		"a b": "return 1", "": "return 1", ".hidden": "return 1", "żółw": "return 1", "bad\xff": "return 1", long: "return 1",
		"empty": "", "large": strings.Repeat("-", MaxText+1), "largest": strings.Repeat("-", MaxText), "nul": "return 1\x00", "binary": "--\n\xff\xfe",
	})
	for name, text := range map[string]string{"README.md": "x", "x.lua~": "x", "x.lua.bak": "x", "LUA.LUA": "x", ".gitkeep": ""} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	must(t, os.Mkdir(filepath.Join(dir, "dir.lua"), 0o700))
	must(t, os.Mkdir(filepath.Join(dir, "..data"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "..data", "mounted"), []byte("return 'mounted'"), 0o600))
	must(t, syscall.Mkfifo(filepath.Join(dir, "pipe.lua"), 0o600))
	for name, to := range map[string]string{
		"out": "../secret.lua", "absolute-out": filepath.Join(parent, "secret.lua"), "etc": "/etc/passwd", "dangling": "nowhere", "loop": "loop.lua",
		"to-dir": "..data", "to-pipe": "pipe.lua", "inside": "good.lua", "absolute-inside": filepath.Join(dir, "good.lua"), "mounted": "..data/mounted",
		"round": "../programs/good.lua", "chain": "inside.lua", "to-self": ".",
	} {
		must(t, os.Symlink(to, filepath.Join(dir, name+".lua")))
	}
	var log memLog
	s := newStore(t, kvtest.Open(t), withDir(dir), withLog(log.logger()))
	want := map[string]string{
		"good": "", "with.dots-and_more": "", "crlf": "", "two.lua": "", "UPPER": "", "largest": "",
		"inside": "", "absolute-inside": "", "mounted": "", "round": "", "chain": "",
		"a b":     "its name may hold the letters A to Z and a to z, digits, _ - and . only",
		".lua":    "its name is missing: letters, digits, _ - and . make a name",
		".hidden": "its name must not begin with a dot",
		"żółw":    "its name may hold the letters A to Z and a to z, digits, _ - and . only",
		`bad\xff`: "its name may hold the letters A to Z and a to z, digits, _ - and . only",
		long:      "its name has 200 characters; 128 are allowed",
		"empty":   "its text is empty", "large": "its text has 262145 bytes; 262144 are allowed",
		"nul": "its text has a NUL byte in line 1", "binary": "its text is not UTF-8 in line 2",
	}
	if diff := cmp.Diff(want, listed(t, s)); diff != "" {
		t.Errorf("listed (-want +got)\n%s", diff)
	}
	wantLog := []string{
		`msg="not a Lua program: it is a symlink that leads nowhere" file=dangling.lua`,
		`msg="not a Lua program: it is a symlink that leads nowhere" file=loop.lua`,
		`msg="not a Lua program: it is a symlink that leads out of the directory" file=absolute-out.lua`,
		`msg="not a Lua program: it is a symlink that leads out of the directory" file=etc.lua`,
		`msg="not a Lua program: it is a symlink that leads out of the directory" file=out.lua`,
		`msg="not a Lua program: it is not a regular file" file=dir.lua`,
		`msg="not a Lua program: it is not a regular file" file=pipe.lua`,
		`msg="not a Lua program: it is not a regular file" file=to-dir.lua`,
		`msg="not a Lua program: it is not a regular file" file=to-pipe.lua`,
		`msg="not a Lua program: it is not a regular file" file=to-self.lua`,
		`msg="not a Lua program: its name does not end in .lua" file=LUA.LUA`,
		`msg="not a Lua program: its name does not end in .lua" file=README.md`,
		`msg="not a Lua program: its name does not end in .lua" file=x.lua.bak`,
		`msg="not a Lua program: its name does not end in .lua" file=x.lua~`,
	}
	for range 3 {
		got := log.lines()
		slices.Sort(got)
		if diff := cmp.Diff(wantLog, got); diff != "" {
			t.Errorf("logged, once (-want +got)\n%s", diff)
		}
		s.files.scan()
	}
	for name, text := range map[string]string{"good": "return 1", "crlf": "return 1\r\n", "mounted": "return 'mounted'", "absolute-inside": "return 1", "two.lua": "return 1"} {
		wantText(t, s, name, text)
	}
	for _, name := range []string{"a b", "large", `bad\xff`, "nul"} {
		if src, err := s.Program(t.Context(), name); err != nil || src.Error != want[name] || src.Text != "" || src.Origin != File {
			t.Errorf("%q is %+v, %v", name, src, err)
		}
		if _, err := s.resolve(t.Context(), name); !errors.Is(err, kvdb.ErrInvalid) || !strings.Contains(err.Error(), want[name]) {
			t.Errorf("%q runs: %v", name, err)
		}
	}
	for _, name := range []string{"out", "etc", "dangling", "loop", "dir", "pipe", "README", "../secret", "mounted/../good"} {
		if _, err := s.Program(t.Context(), name); !errors.Is(err, kvdb.ErrNotFound) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestUnreadableFile: it is listed with its error, and harms no other.
func TestUnreadableFile(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	write(t, path, map[string]string{"a": "return 1"})
	d, err := openDir(path)
	must(t, err)
	d.close() // root reads files of any mode: this way it can't
	found, problem := d.look("a.lua", "a", nil, time.Now())
	if problem != "" || found == nil || !strings.HasPrefix(found.Error, "can't be read: ") || strings.Contains(found.Error, path) || found.SHA1 != "" {
		t.Errorf("%+v, %q", found, problem)
	}
	if os.Geteuid() != 0 {
		must(t, os.Chmod(filepath.Join(path, "a.lua"), 0))
		s := newStore(t, kvtest.Open(t), withDir(path))
		if got := listed(t, s); got["a"] != "can't be read: permission denied" {
			t.Errorf("%q", got)
		}
	}
}

// TestTakenAway: what is taken away or replaced between the scan and the reading.
func TestTakenAway(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	names := []string{"gone", "dir", "pipe", "out", "bad", "other", "kvdb.rename_if_exists"}
	for _, name := range names {
		write(t, dir, map[string]string{name: "return '" + name + "'"})
	}
	s := newStore(t, kvtest.Open(t), withDir(dir))
	if n := len(listed(t, s)); n != len(names) {
		t.Fatalf("%d files", n)
	}
	for _, name := range names {
		must(t, os.Remove(filepath.Join(dir, name+".lua")))
	}
	must(t, os.Mkdir(filepath.Join(dir, "dir.lua"), 0o700))
	must(t, syscall.Mkfifo(filepath.Join(dir, "pipe.lua"), 0o600))
	must(t, os.Symlink("/etc/passwd", filepath.Join(dir, "out.lua")))
	write(t, dir, map[string]string{"bad": "\x00", "other": "return 2"})
	for _, name := range []string{"gone", "dir", "pipe", "out"} {
		if _, err := s.resolve(t.Context(), name); !errors.Is(err, kvdb.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.resolve(t.Context(), "bad"); !errors.Is(err, kvdb.ErrInvalid) {
		t.Error(err)
	}
	wantText(t, s, "other", "return 2")
	if src, err := s.Program(t.Context(), "kvdb.rename_if_exists"); err != nil || src.Origin != Builtin {
		t.Errorf("%+v, %v", src, err)
	}
	must(t, os.RemoveAll(dir))
	if _, err := s.Program(t.Context(), "other"); !errors.Is(err, kvdb.ErrNotFound) {
		t.Error(err)
	}
}

// TestFilesComeAndGo: with Start, without a restart.
func TestFilesComeAndGo(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "later")
	var log memLog
	s := newStore(t, kvtest.Open(t), withDir(dir), withLog(log.logger()))
	if got := listed(t, s); len(got) != 0 {
		t.Fatalf("without a directory there are %q", got)
	}
	must(t, os.Mkdir(dir, 0o700))
	scan := func(want map[string]string) {
		t.Helper()
		s.files.scan()
		if diff := cmp.Diff(want, listed(t, s)); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	}
	write(t, dir, map[string]string{"a": "return 1", "b": "\x00"})
	scan(map[string]string{"a": "", "b": "its text has a NUL byte in line 1"})
	write(t, dir, map[string]string{"a": "return 2", "b": "return 3"}) // of one length, within a moment
	scan(map[string]string{"a": "", "b": ""})
	wantText(t, s, "a", "return 2")
	must(t, os.Rename(filepath.Join(dir, "a.lua"), filepath.Join(dir, "c.lua")))
	scan(map[string]string{"b": "", "c": ""})
	wantText(t, s, "c", "return 2")
	old := time.Now().Add(-time.Hour)
	for _, text := range []string{"return 4", "return 5"} { // of one time and length
		must(t, os.WriteFile(filepath.Join(dir, "new"), []byte(text), 0o600))
		must(t, os.Chtimes(filepath.Join(dir, "new"), old, old))
		must(t, os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "c.lua")))
		scan(map[string]string{"b": "", "c": ""})
		wantText(t, s, "c", text)
	}
	must(t, os.RemoveAll(dir))
	scan(map[string]string{})
	must(t, os.WriteFile(dir, nil, 0o600))
	scan(map[string]string{})
	if lines := log.lines(); len(lines) != 1 || !strings.Contains(lines[0], "can't be read") {
		t.Errorf("logged %q", lines)
	}
	must(t, os.Remove(dir))
	// As a config map does: the link to all the links changes.
	for _, version := range []string{"1", "2"} {
		must(t, os.MkdirAll(filepath.Join(dir, "..v"+version), 0o700))
		write(t, filepath.Join(dir, "..v"+version), map[string]string{"m": "return " + version})
		must(t, os.Symlink("..v"+version, filepath.Join(dir, "..new")))
		must(t, os.Rename(filepath.Join(dir, "..new"), filepath.Join(dir, "..data")))
		if version == "1" {
			must(t, os.Symlink("..data/m.lua", filepath.Join(dir, "m.lua")))
		}
		scan(map[string]string{"m": ""})
		wantText(t, s, "m", "return "+version)
	}

	ctx, cancel := context.WithCancel(t.Context())
	s.Start(ctx)
	write(t, dir, map[string]string{"polled": "return 1", "wrong": "return ]"})
	await(t, "the file is there, the error too", func() bool { got := listed(t, s); return got["polled"] == "" && got["wrong"] != "" })
	cancel()
	must(t, s.Close(t.Context()))
}

// TestSyntaxOfFiles: the server's verdict alone counts, it runs nothing, and it is asked for when the server is back.
func TestSyntaxOfFiles(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	db := srv.DB(t)
	dir := t.TempDir()
	texts := map[string]string{
		"fine": "return 1", "shebang": "#!lua\nreturn 1", "hex": "return 0x10", "hexfloat": "return 0x1p4", "break": "while true do if 1 then break end end", "flags": "#!lua flags=no-writes\nreturn 1",
		"wrong": "local a = 1\nreturn ]", "goto": "goto x\n::x::\nreturn 1", "loose": "do\n  break\nend", "engine": "#!python\nreturn 1", "bom": "\ufeffreturn 1", "hash": "#x\nreturn 1",
	}
	write(t, dir, texts)
	s := newStore(t, db, withDir(dir))
	fine := map[string]string{}
	for name := range texts {
		fine[name] = ""
	}
	srv.Kill()
	s.judge(t.Context())
	if n := len(s.files.all().names); n != len(texts) {
		t.Fatalf("%d files", n)
	}
	srv.Restart()
	if diff := cmp.Diff(fine, listed(t, s)); diff != "" {
		t.Errorf("while nobody knows (-want +got)\n%s", diff)
	}
	s.judge(t.Context())
	got := listed(t, s)
	lines := maps.Clone(fine)
	maps.Copy(lines, map[string]string{"wrong": "line 2: ", "goto": "line 1: ", "loose": "line ", "engine": "line 1: ", "bom": "line 1: ", "hash": "line 1: "})
	for name, start := range lines {
		if !strings.HasPrefix(got[name], start) || (start == "") != (got[name] == "") {
			t.Errorf("%s: %q, want %q", name, got[name], start)
		}
	}
	s.files.scan()
	if diff := cmp.Diff(got, listed(t, s)); diff != "" {
		t.Errorf("scanned again (-want +got)\n%s", diff)
	}
	if src, err := s.Program(t.Context(), "wrong"); err != nil || src.Error != got["wrong"] || src.Text != texts["wrong"] {
		t.Errorf("%+v, %v", src, err)
	}
	write(t, dir, map[string]string{"wrong": "local a = 1\nreturn 2"})
	s.files.scan()
	s.judge(t.Context())
	if got := listed(t, s)["wrong"]; got != "" {
		t.Errorf("mended, it has the error %q", got)
	}
}

// TestTenThousandFiles: looking at them again costs little, and nothing of their texts is kept.
func TestTenThousandFiles(t *testing.T) {
	const n = 10_000
	dir := t.TempDir()
	old := time.Now().Add(-time.Hour)
	body := strings.Repeat("-- some words of a comment\n", 20)
	for i := range n {
		path := filepath.Join(dir, fmt.Sprintf("program.%05d.lua", i))
		must(t, os.WriteFile(path, []byte(fmt.Sprintf("%sreturn %d", body, i)), 0o600))
		must(t, os.Chtimes(path, old, old))
	}
	s := newStore(t, kvtest.Open(t), withDir(dir))
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	s.files.scan()
	if took := heap() - before; took > 8<<20 {
		t.Errorf("%d files take %d bytes", n, took)
	} else {
		t.Logf("%d files take %d bytes", n, took)
	}
	start := time.Now()
	s.files.scan()
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("a scan takes %v", took)
	} else {
		t.Logf("a scan takes %v", took)
	}
	if got := listed(t, s); len(got) != n || got["program.09999"] != "" {
		t.Errorf("%d programs", len(got))
	}
	wantText(t, s, "program.07777", body+"return 7777")
	start = time.Now()
	var none *NotFoundError
	if _, err := s.Program(t.Context(), "program.1O000"); !errors.As(err, &none) || len(none.Near) != nearMost {
		t.Errorf("%v", err)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("near names take %v", took)
	}
}
