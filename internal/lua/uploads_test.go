package lua

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// watch sees what a client sends, just before: each command, or pipeline of commands.
type watch func(cmds ...redis.Cmder)

func (w watch) DialHook(next redis.DialHook) redis.DialHook { return next }

func (w watch) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		w(cmd)
		return next(ctx, cmd)
	}
}

func (w watch) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		w(cmds...)
		return next(ctx, cmds)
	}
}

// history writes the versions of a program as "number kind text", the newest first.
func history(t testing.TB, s *Store, name string) (list []string) {
	t.Helper()
	for cursor := ""; ; {
		page, err := s.Versions(t.Context(), name, cursor, 7)
		must(t, err)
		for _, v := range page.Items {
			x, err := s.VersionOf(t.Context(), name, v.Number)
			must(t, err)
			if x.Version != v || v.Size != int64(len(x.Text)) || v.Kind != kindDelete && v.SHA1 != sha1Of(x.Text) {
				t.Errorf("version %+v is listed as %+v", x, v)
			}
			list = append(list, fmt.Sprintf("%d %s %s", v.Number, v.Kind, x.Text))
		}
		if cursor = page.Next; cursor == "" {
			return list
		}
	}
}

func wantHistory(t testing.TB, s *Store, name string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, history(t, s, name)); diff != "" {
		t.Errorf("versions of %s (-want +got)\n%s", name, diff)
	}
}

// wantStale wants a StaleError that tells of a version and a text.
func wantStale(t testing.TB, err error, version int64, text string) {
	t.Helper()
	var stale *StaleError
	if !errors.As(err, &stale) || !errors.Is(err, kvdb.ErrConflict) || stale.Current.Version != version || stale.Current.Text != text {
		t.Errorf("%v (%+v), want a StaleError of version %d", err, stale, version)
	}
}

func TestUploads(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		now := newClock()
		s, ctx := newStore(t, db, withClock(now)), t.Context()
		at := now.now()
		p, created, err := s.Put(ctx, By{Who: "ann"}, "a", "return 1", 0)
		want := Program{Name: "a", SHA1: "e0e1f9fabfc9d4800c877a703b823ac0578ff8db", Origin: Upload, Version: 1, Size: 8, UpdatedAt: at, UpdatedBy: "ann"}
		if diff := cmp.Diff(want, p); err != nil || !created || diff != "" {
			t.Errorf("created %v, %v (-want +got)\n%s", created, err, diff)
		}
		src, err := s.Program(ctx, "a")
		if diff := cmp.Diff(Source{want, "return 1"}, src); err != nil || diff != "" {
			t.Errorf("%v (-want +got)\n%s", err, diff)
		}
		now.add(time.Hour)
		if p, created, err = s.Put(ctx, By{Who: "bob"}, "a", "return 1", 1); err != nil || created || p != want {
			t.Errorf("the same text again: %+v, %v, %v", p, created, err)
		}
		if p, created, err = s.Put(ctx, By{Who: "bob"}, "a", "return 2", 1); err != nil || created || p.Version != 2 || p.UpdatedBy != "bob" || !p.UpdatedAt.Equal(now.now()) {
			t.Errorf("changed: %+v, %v, %v", p, created, err)
		}
		for _, version := range []int64{0, 1, 3} {
			_, _, err := s.Put(ctx, By{}, "a", "return 3", version)
			wantStale(t, err, 2, "return 2")
			wantStale(t, s.Delete(ctx, By{}, "a", version), 2, "return 2")
			_, err = s.Restore(ctx, By{}, "a", 1, version)
			wantStale(t, err, 2, "return 2")
		}
		_, _, err = s.Put(ctx, By{}, "b", "return 3", 1)
		wantStale(t, err, 0, "")
		must(t, s.Delete(ctx, By{Who: "ann"}, "a", 2))
		wantHistory(t, s, "a", "3 delete ", "2 upload return 2", "1 upload return 1")
		if page, err := s.Programs(ctx, Filter{Origin: Upload}, "", 0); err != nil || page.Items != nil {
			t.Errorf("deleted, it is listed: %+v, %v", page, err)
		}
		_, err1 := s.Program(ctx, "a")
		_, err2 := s.resolve(ctx, "a")
		for _, err := range []error{err1, err2, s.Delete(ctx, By{}, "a", -1), s.Delete(ctx, By{}, "a", 3)} {
			var none *NotFoundError
			if !errors.As(err, &none) {
				t.Errorf("deleted: %v, want a NotFoundError", err)
			}
		}
		if _, err := s.Restore(ctx, By{}, "a", 3, -1); !errors.Is(err, kvdb.ErrConflict) {
			t.Errorf("a deletion restored: %v", err)
		}
		if _, err := s.Restore(ctx, By{}, "a", 4, -1); !errors.Is(err, kvdb.ErrNotFound) {
			t.Errorf("nothing restored: %v", err)
		}
		if p, err := s.Restore(ctx, By{Who: "eve"}, "a", 1, 0); err != nil || p.Version != 4 || p.SHA1 != want.SHA1 || p.UpdatedBy != "eve" {
			t.Errorf("restored: %+v, %v", p, err)
		}
		if p, err := s.Restore(ctx, By{Who: "eve"}, "a", 1, 4); err != nil || p.Version != 4 {
			t.Errorf("restored what is: %+v, %v", p, err)
		}
		if v, err := s.VersionOf(ctx, "a", 4); err != nil || v.From != 1 || v.By != "eve" || v.Text != "return 1" {
			t.Errorf("%+v, %v", v, err)
		}
		wantHistory(t, s, "a", "4 restore return 1", "3 delete ", "2 upload return 2", "1 upload return 1")
		must(t, s.Delete(ctx, By{}, "a", -1))
		if p, created, err := s.Put(ctx, By{}, "a", "return 1", 0); err != nil || !created || p.Version != 6 {
			t.Errorf("uploaded again: %+v, %v, %v", p, created, err)
		}
		if n := db.Client().Get(ctx, s.keys.Version()).Val(); n != "6" {
			t.Errorf("the version of all is %s", n)
		}
	})
}

// TestOperations: an Op is applied once, and says the same whenever it is sent again.
func TestOperations(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s, other, ctx := newStore(t, db), newStore(t, db), t.Context()
		by := func(op string) By { return By{Who: "u", Op: op} }
		first, created, err := s.Put(ctx, by("put"), "a", "return 1", 0)
		must(t, err)
		second, _, err := s.Put(ctx, by("put 2"), "a", "return 2", 1)
		must(t, err)
		for range 2 {
			p, again, err := other.Put(ctx, by("put"), "a", "return 1", 0)
			if err != nil || p != first || again != created || !again {
				t.Errorf("sent again: %+v, %v, %v; want %+v", p, again, err, first)
			}
			if p, again, err := s.Put(ctx, by("put 2"), "a", "return 2", 1); err != nil || p != second || again {
				t.Errorf("sent again: %+v, %v, %v; want %+v", p, again, err, second)
			}
		}
		third, err := s.Restore(ctx, by("restore"), "a", 1, 2)
		must(t, err)
		must(t, s.Delete(ctx, by("delete"), "a", 3))
		_, _, err = s.Put(ctx, By{}, "a", "return 5", 0)
		must(t, err)
		if p, err := other.Restore(ctx, by("restore"), "a", 1, 2); err != nil || p != third {
			t.Errorf("sent again: %+v, %v; want %+v", p, err, third)
		}
		must(t, other.Delete(ctx, by("delete"), "a", 3))
		for what, err := range map[string]error{
			"another text":    second3(s.Put(ctx, by("put"), "a", "return 9", -1)),
			"another name":    second3(s.Put(ctx, by("put"), "b", "return 1", -1)),
			"another kind":    s.Delete(ctx, by("put"), "a", -1),
			"another version": second2(s.Restore(ctx, by("restore"), "a", 2, -1)),
			"an example":      second2(s.SaveExample(ctx, by("put"), "a", Example{Title: "x"})),
		} {
			if !errors.Is(err, kvdb.ErrConflict) || !strings.Contains(err.Error(), "used for something else") {
				t.Errorf("an Op used for %s: %v, want ErrConflict", what, err)
			}
		}
		wantHistory(t, s, "a", "5 upload return 5", "4 delete ", "3 restore return 1", "2 upload return 2", "1 upload return 1")
	})
}

func second2[T any](_ T, err error) error         { return err }
func second3[T, U any](_ T, _ U, err error) error { return err }

// TestTextsStayAsTheyAre: what came in comes out, or is refused with a reason.
func TestTextsStayAsTheyAre(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s, ctx := newStore(t, db), t.Context()
		large := "-- " + strings.Repeat("ż", (MaxText-12)/2) + "\nreturn 1"
		for name, text := range map[string]string{
			"crlf": "local a = 1\r\nreturn a\r\n", "no newline": "return 1", "BOM in a comment": "--\ufeff\nreturn 1", "blanks": " \t\n\n return 1 \n\n",
			"shebang": "#!lua\nreturn 1\n", "only a comment": "--", "large": large,
		} {
			name = strings.ReplaceAll(name, " ", "_")
			mustPut(t, s, name, text)
			if src, err := s.Program(ctx, name); err != nil || src.Text != text || src.Size != int64(len(text)) || src.SHA1 != sha1Of(text) {
				t.Errorf("%s is %.40q, %v", name, src.Text, err)
			}
			if src, err := s.resolve(ctx, name); err != nil || src.Text != text {
				t.Errorf("%s runs as %.40q, %v", name, src.Text, err)
			}
		}
		for what, c := range map[string]struct{ text, want string }{
			"empty":     {"", "is empty"},
			"too large": {strings.Repeat("-", MaxText+1), "262145 bytes"},
			"not UTF-8": {"return 1\n\n--\xff\n", "not UTF-8 in line 3"},
			"NUL":       {"return 1\n\x00", "NUL byte in line 2"},
		} {
			if _, _, err := s.Put(ctx, By{}, "bad", c.text, -1); !errors.Is(err, kvdb.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %q", what, err, c.want)
			}
		}
		for text, line := range map[string]int{"return ]": 1, "local a = 1\n\nlocal = 2\n": 3, "\ufeffreturn 1": 1, "goto x\n::x::": 1, "break": 1, "#!nope\nreturn 1": 1} {
			var syntax *SyntaxError
			if _, _, err := s.Put(ctx, By{Op: "same"}, "bad", text, -1); !errors.As(err, &syntax) || syntax.Line != line {
				t.Errorf("%q: %v, want a SyntaxError of line %d", text, err, line)
			}
		}
		if _, err := s.Program(ctx, "bad"); !errors.Is(err, kvdb.ErrNotFound) {
			t.Errorf("refused, it is there: %v", err)
		}
	})
}

func TestBadNames(t *testing.T) {
	t.Parallel()
	db := kvtest.Open(t)
	s, ctx := newStore(t, db), t.Context()
	mustPut(t, s, "good", "return 1")
	for _, name := range []string{"", ".", "..", "../x", "a/b", "a b", ".hidden", "ż", "a\x00", "a\n", strings.Repeat("a", 129), strings.Repeat("a", 300), "\xff"} {
		if _, _, err := s.Put(ctx, By{}, name, "return 1", -1); !errors.Is(err, kvdb.ErrInvalid) {
			t.Errorf("%q put: %v", name, err)
		}
		_, err1 := s.Program(ctx, name)
		_, err2 := s.resolve(ctx, name)
		_, err3 := s.Versions(ctx, name, "", 0)
		_, err4 := s.VersionOf(ctx, name, 1)
		_, err5 := s.Restore(ctx, By{}, name, 1, -1)
		_, err6 := s.SaveExample(ctx, By{}, name, Example{Title: "x"})
		for i, err := range []error{err1, err2, err3, err4, err5, err6, s.Delete(ctx, By{}, name, -1), s.DeleteExample(ctx, By{}, name, "x")} {
			if !errors.Is(err, kvdb.ErrNotFound) {
				t.Errorf("%q, %d: %v, want ErrNotFound", name, i+1, err)
			}
		}
		if list, err := s.Examples(ctx, name); list != nil || err != nil {
			t.Error(list, err)
		}
		if page, err := s.Runs(ctx, name, "", 0); page.Items != nil || err != nil {
			t.Error(page, err)
		}
	}
	for _, name := range []string{"-", "_", "0", "a..b", strings.Repeat("a", 128)} {
		mustPut(t, s, name, "return 1")
	}
	if keys := db.Client().Keys(ctx, string(db.Keys())+"*").Val(); len(keys) != 6+3 {
		t.Errorf("there are %q", keys)
	}
}

// TestTwoAtOnce: of those who upload the same version at once, one does; the others learn what he has uploaded.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		const n = 12
		all := func(ifVersion int64) (errs []error) {
			errs = make([]error, n)
			var wg sync.WaitGroup
			for i := range n {
				s := newStore(t, db)
				wg.Go(func() {
					_, _, errs[i] = s.Put(t.Context(), By{Who: fmt.Sprint(i)}, "a", fmt.Sprintf("return %d -- %d", i, ifVersion), ifVersion)
				})
			}
			wg.Wait()
			return errs
		}
		for _, ifVersion := range []int64{0, 1} {
			won := -1
			errs := all(ifVersion)
			for i, err := range errs {
				if err == nil {
					if won >= 0 {
						t.Errorf("%d and %d have uploaded after version %d", won, i, ifVersion)
					}
					won = i
				}
			}
			for i, err := range errs {
				if i != won {
					wantStale(t, err, ifVersion+1, fmt.Sprintf("return %d -- %d", won, ifVersion))
				}
			}
		}
		for _, err := range all(-1) {
			must(t, err)
		}
		if got := history(t, newStore(t, db), "a"); len(got) != 2+n {
			t.Errorf("versions are %v", got)
		}
	})
}

func TestVersionsAreBounded(t *testing.T) {
	t.Parallel()
	db := kvtest.Open(t)
	s, ctx := newStore(t, db), t.Context()
	first, _, err := s.Put(ctx, By{Op: "first"}, "a", "return 1", -1)
	must(t, err)
	for i := range MaxVersions + 4 {
		mustPut(t, s, "a", fmt.Sprintf("return %d", i+2))
	}
	got := history(t, s, "a")
	if len(got) != MaxVersions || got[0] != "105 upload return 105" || got[MaxVersions-1] != "6 upload return 6" {
		t.Errorf("%d versions from %s to %s", len(got), got[0], got[len(got)-1])
	}
	if page, err := s.Versions(ctx, "a", "", MaxPage); err != nil || len(page.Items) != MaxVersions || page.Next != "" {
		t.Errorf("%d versions on one page, next %q, %v", len(page.Items), page.Next, err)
	}
	if p, created, err := s.Put(ctx, By{Op: "first"}, "a", "return 1", -1); err != nil || p.Version != 105 || !created {
		t.Errorf("an Op whose version is gone: %+v, %v, %v; it made %+v", p, created, err, first)
	}
	for _, cursor := range []string{"x", "0", "-1", "1-0", "99999999999999999999"} {
		if _, err := s.Versions(ctx, "a", cursor, 0); !errors.Is(err, kvdb.ErrInvalid) {
			t.Errorf("cursor %q: %v", cursor, err)
		}
	}
	for _, limit := range []int{-1, MaxPage + 1} {
		if _, err := s.Versions(ctx, "a", "", limit); !errors.Is(err, kvdb.ErrInvalid) {
			t.Errorf("limit %d: %v", limit, err)
		}
	}
}

func TestOnlyUploadsAreDeleted(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		dir := t.TempDir()
		write(t, dir, map[string]string{"f": "return 'file'"})
		s, ctx := newStore(t, db, withDir(dir)), t.Context()
		const builtin = "kvdb.rename_if_exists"
		for name, words := range map[string]string{"f": "comes from a file", builtin: "is built in"} {
			if err := s.Delete(ctx, By{}, name, -1); !errors.Is(err, kvdb.ErrConflict) || !strings.Contains(err.Error(), words) {
				t.Errorf("%s: %v", name, err)
			}
			below := s.below(Upload, name)
			if p := mustPut(t, s, name, "return 'mine'"); p.Overrides != below || below == "" {
				t.Errorf("%s overrides %q", name, p.Overrides)
			}
			if src, err := s.resolve(ctx, name); err != nil || src.Text != "return 'mine'" || src.Overrides != below {
				t.Errorf("%+v, %v", src, err)
			}
			must(t, s.Delete(ctx, By{}, name, -1))
			if src, err := s.resolve(ctx, name); err != nil || src.Origin != below || src.Overrides != "" {
				t.Errorf("deleted, %s is %+v, %v", name, src, err)
			}
		}
		if page, err := s.Versions(ctx, "f", "", 0); err != nil || len(page.Items) != 2 {
			t.Errorf("%+v, %v", page, err)
		}
		write(t, dir, map[string]string{builtin: "return 'from a file'"})
		s.files.scan()
		if src, err := s.resolve(ctx, builtin); err != nil || src.Text != "return 'from a file'" || src.Overrides != Builtin {
			t.Errorf("%+v, %v", src, err)
		}
	})
}

// TestLostReply: when the answer to an upload is lost, nobody sends it again unasked; with the same Op it can be.
func TestLostReply(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	db := srv.DB(t)
	s := newStore(t, db)
	by := By{Who: "u", Op: "op"}
	mustPut(t, s, "warm", "return 1") // so that the server knows the script
	sent := 0
	db.Client().AddHook(watch(func(cmds ...redis.Cmder) {
		if !strings.HasPrefix(cmds[0].Name(), "eval") {
			return
		}
		if sent++; sent == 1 {
			srv.Pause()
		}
	}))
	_, _, err := s.Put(t.Context(), by, "a", "return 1", 0)
	srv.Resume()
	var unknown *kvdb.UnknownError
	if !errors.As(err, &unknown) || unknown.Check != "the versions of a" || sent != 1 {
		t.Errorf("%v (%+v), sent %d times; want ErrUnknown, once", err, unknown, sent)
	}
	p, created, err := s.Put(t.Context(), by, "a", "return 1", 0)
	if err != nil || p.Version != 1 || !created {
		t.Errorf("sent again: %+v, %v, %v", p, created, err)
	}
	wantHistory(t, s, "a", "1 upload return 1")
}

func TestServerAway(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	s, ctx := newStore(t, srv.DB(t)), t.Context()
	mustPut(t, s, "a", "return 1")
	srv.Kill()
	_, _, err1 := s.Put(ctx, By{}, "a", "return 2", -1)
	_, err2 := s.Program(ctx, "a")
	_, err3 := s.Programs(ctx, Filter{}, "", 0)
	_, err4 := s.Restore(ctx, By{}, "a", 1, -1)
	_, err5 := s.Runs(ctx, "a", "", 0)
	_, err6 := s.Usage(ctx, []string{"a"})
	_, err7 := s.Program(ctx, "nothing")
	for i, err := range []error{err1, err2, err3, err4, err5, err6, err7, s.Delete(ctx, By{}, "a", -1), s.DeleteExample(ctx, By{}, "a", "x")} {
		if !errors.Is(err, kvdb.ErrAway) {
			t.Errorf("%d: %v, want ErrAway", i+1, err)
		}
	}
}

// TestServerFull: nothing of a change is made then, and it can be sent again.
func TestServerFull(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	db := srv.DB(t)
	s, ctx := newStore(t, db), t.Context()
	mustPut(t, s, "a", "return 1")
	ran(s, "a", 3)
	must(t, db.Client().ConfigSet(ctx, "maxmemory", "1").Err())
	_, _, err1 := s.Put(ctx, By{Op: "put"}, "a", "return 2", -1)
	_, _, err2 := s.Put(ctx, By{}, "b", "return 2", -1)
	_, err3 := s.SaveExample(ctx, By{Op: "example"}, "a", Example{Title: "x"})
	for i, err := range []error{err1, err2, err3, s.Delete(ctx, By{Op: "delete"}, "a", -1), s.flushRuns(ctx)} {
		if !errors.Is(err, kvdb.ErrAway) || !strings.Contains(kvdb.Sentence(err), "maxmemory") {
			t.Errorf("%d: %v, want ErrAway", i+1, err)
		}
	}
	wantHistory(t, s, "a", "1 upload return 1")
	must(t, db.Client().ConfigSet(ctx, "maxmemory", "0").Err())
	if keys := db.Client().Keys(ctx, string(db.Keys())+"*").Val(); len(keys) != 4 {
		t.Errorf("there are %q", keys)
	}
	p, _, err := s.Put(ctx, By{Op: "put"}, "a", "return 2", -1)
	if err != nil || p.Version != 2 {
		t.Errorf("sent again: %+v, %v", p, err)
	}
	wantRuns(t, s, "a", 3, 0)
}
