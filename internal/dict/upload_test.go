package dict

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// awaitUpload waits until nobody works on an upload any more.
func awaitUpload(t testing.TB, s *Store, id string) (u Upload) {
	t.Helper()
	await(t, "the upload is worked on", func() bool {
		var err error
		u, err = s.Upload(t.Context(), id)
		must(t, err)
		return !u.busy()
	})
	return u
}

func upload(t testing.TB, s *Store, name string, m Mode, file io.Reader) Upload {
	t.Helper()
	u, err := s.StartUpload(t.Context(), By{Who: "sender"}, name, "", m, file)
	must(t, err)
	if u.State != UploadChecking {
		t.Errorf("it begins as %q", u.State)
	}
	return awaitUpload(t, s, u.ID)
}

// uploadKeys are the keys in which an upload is kept, all of which expire.
func uploadKeys(t testing.TB, s *Store, id string) (keys []string) {
	t.Helper()
	lasting, expiring := keysOf(t, s)
	for _, k := range expiring {
		if strings.HasPrefix(k, s.keys.Upload(id)) {
			keys = append(keys, k)
		}
	}
	for k := range lasting {
		if strings.HasPrefix(k, s.keys.Upload("")) {
			t.Errorf("%s lasts", k)
		}
	}
	return keys
}

// TestUpload sends a file of several parts to one process, and has another one apply it, twice.
func TestUpload(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		now := newClock()
		s, other, m := newStoreAt(t, db, now.now), newStoreAt(t, db, now.now), newModel()
		m.mustCreate(t, s, tr("n00", "old"), tr("PL", "Polska"))
		ts := numbered(99, "new")
		for i := range ts {
			ts[i].Value2 += strings.Repeat("é", 2000) + fmt.Sprint(i)
		}
		for i := range 300 {
			ts = append(ts, tr(fmt.Sprint(i), strings.Repeat("x", 3000)))
		}
		file, err := io.ReadAll(csvFileOf(ts))
		must(t, err)
		u := upload(t, s, "my.csv", Replace, bytes.NewReader(file))
		want := m.clone().importRows(nil, ts, Replace)
		if diff := cmp.Diff(Upload{ID: u.ID, Name: "my.csv", Format: CSV, Mode: Replace, Size: int64(len(file)), By: "sender", At: now.now(), State: UploadChecked, SeenAt: now.now()},
			u, cmpopts.IgnoreFields(Upload{}, "Result", "Progress")); diff != "" {
			t.Errorf("checked (-want +got)\n%s", diff)
		}
		want.checkCounts(t, u.Result)
		if len(u.Result.Sample) != sampleMost || u.Result.Change != "" {
			t.Errorf("a sample of %d, change %q", len(u.Result.Sample), u.Result.Change)
		}
		if keys := uploadKeys(t, s, u.ID); len(keys) != 1+(len(file)+uploadPart-1)/uploadPart || len(keys) < 3 {
			t.Errorf("kept in %v", keys)
		}
		m.check(t, s)

		applied, err := other.ApplyUpload(t.Context(), By{Who: "applier"}, u.ID, false)
		if err != nil || applied.State != UploadImporting || applied.By != "applier" {
			t.Fatalf("%+v, %v", applied, err)
		}
		done := awaitUpload(t, s, u.ID)
		m.importRows(nil, ts, Replace)
		m.check(t, s)
		want.checkCounts(t, done.Result)
		c, err := s.Change(t.Context(), done.Result.Change)
		must(t, err)
		if done.State != UploadDone || len(done.Result.Sample) != sampleMost || c.By != "applier" || c.Summary != "Replaced everything by my.csv" {
			t.Errorf("%+v by change %+v", done.State, c)
		}
		again, err := s.ApplyUpload(t.Context(), By{Who: "late"}, u.ID, true)
		if diff := cmp.Diff(done, again); err != nil || diff != "" {
			t.Errorf("applied again: %v (-want +got)\n%s", err, diff)
		}
		if change, ok, err := s.Outcome(t.Context(), u.ID); change != c.ID || !ok || err != nil {
			t.Errorf("the outcome is %q, %v, %v", change, ok, err)
		}
		if page, err := s.Changes(t.Context(), "", 0); err != nil || page.Total != 3 {
			t.Errorf("%d changes, %v; want 3", page.Total, err)
		}
		must(t, s.DiscardUpload(t.Context(), u.ID))
		if keys := uploadKeys(t, s, u.ID); len(keys) > 0 {
			t.Errorf("discarded, there still is %v", keys)
		}
		if err := s.DiscardUpload(t.Context(), u.ID); !errors.Is(err, kvdb.ErrNotFound) {
			t.Errorf("discarded twice: %v, want ErrNotFound", err)
		}
	})
}

// TestApplyUploadAtOnce: many press the button at once, in two processes.
func TestApplyUploadAtOnce(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		stores := []*Store{newStore(t, db), newStore(t, db)}
		u := upload(t, stores[0], "x.json", Merge, jsonFileOf([]Entry{entry("alone")}, numbered(9, "x")))
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				if got, err := stores[i%2].ApplyUpload(context.Background(), By{}, u.ID, false); err != nil || got.State != UploadImporting && got.State != UploadDone {
					t.Errorf("%q, %v", got.State, err)
				}
			})
		}
		wg.Wait()
		if u := awaitUpload(t, stores[0], u.ID); u.State != UploadDone || u.Result.Created != 9 {
			t.Errorf("%+v", u)
		}
		if page, err := stores[0].Changes(t.Context(), "", 0); err != nil || page.Total != 1 {
			t.Errorf("%d changes, %v; want 1", page.Total, err)
		}
	})
}

// TestUploadWithRejects: they are shown, given back as a file, and skipped if somebody says so.
func TestUploadWithRejects(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s, m := newStore(t, db), newModel()
		u := upload(t, s, "x", Merge, strings.NewReader(head+"A,K,\"2\n\",B,K,\"t,\"\"w\"\nA,K:,3,B,K,three\nshort\nA,K,1,B,K,another\nA,K,x\"y,B,K,z\n"))
		if u.Format != CSV || u.State != UploadChecked || u.Result.RejectedTotal != 4 || u.Result.Created != 2 {
			t.Fatalf("%+v", u)
		}
		var rejected *RejectedError
		if _, err := s.ApplyUpload(t.Context(), By{}, u.ID, false); !errors.As(err, &rejected) || rejected.Result.RejectedTotal != 4 {
			t.Errorf("%v, want a RejectedError", err)
		}
		m.check(t, s)
		var b strings.Builder
		must(t, s.WriteRejects(t.Context(), u.ID, &b))
		want := "line,reason," + csvHeader + "\n" +
			"5,\"key1 holds ':'; letters, digits, _ - and . are allowed\",A,K:,3,B,K,three\n" +
			"6,has 1 columns; 6 are expected,short\n" +
			"7,\"conflicts with line 2, which translates it to \"\"one\"\"\",A,K,1,B,K,another\n" +
			"8,has a quote in the middle of a field (column 6); put the field in quotes and double those in it\n"
		if diff := cmp.Diff(linesOf(want), linesOf(b.String())); diff != "" {
			t.Errorf("rejects (-want +got)\n%s", diff)
		}
		if _, err := s.ApplyUpload(t.Context(), By{}, u.ID, true); err != nil {
			t.Fatal(err)
		}
		u = awaitUpload(t, s, u.ID)
		if u.State != UploadDone || u.Result.RejectedTotal != 4 || len(u.Result.Rejected) != 4 || u.Result.Created != 2 {
			t.Errorf("%+v", u)
		}
		m.importRows(nil, []Translation{{System1: "A", Key1: "K", Value1: "1", System2: "B", Key2: "K", Value2: "one"},
			{System1: "A", Key1: "K", Value1: "2\n", System2: "B", Key2: "K", Value2: "t,\"w"}}, Merge)
		m.check(t, s)
	})
}

// linesOf counts the lines of a text: the rejected rows of a file come in no order.
func linesOf(text string) map[string]int {
	lines := map[string]int{}
	for _, l := range strings.SplitAfter(text, "\n") {
		lines[l]++
	}
	return lines
}

// TestUnusableUploads: what they are is said when they are sent, or when they have been checked.
func TestUnusableUploads(t *testing.T) {
	s := newStore(t, kvtest.Open(t))
	ctx := t.Context()
	for _, c := range []struct {
		name   string
		format Format
		mode   Mode
		file   string
	}{
		{"x.csv", CSV, "", head}, {"x.csv", CSV, "overwrite", head}, {"x.xml", "xml", Merge, head}, {"x.xlsx", "", Merge, "PK\x03\x04"}, {"x.csv", "", Merge, ""},
	} {
		if u, err := s.StartUpload(ctx, By{}, c.name, c.format, c.mode, strings.NewReader(c.file)); !errors.Is(err, kvdb.ErrInvalid) {
			t.Errorf("%+v: %+v, %v; want ErrInvalid", c, u, err)
		}
	}
	set(t, &maxFile, int64(len(head)))
	if _, err := s.StartUpload(ctx, By{}, "x.csv", "", Merge, strings.NewReader(head+"\n")); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%v, want ErrTooLarge", err)
	}
	if _, err := s.StartUpload(ctx, By{}, "x.csv", "", Merge, io.MultiReader(strings.NewReader("sys"), brokenReader{})); !errors.Is(err, errBroken) {
		t.Errorf("%v, want the error of the sender", err)
	}
	if lasting, expiring := keysOf(t, s); len(lasting)+len(expiring) > 0 {
		t.Errorf("there still is %v %v", lasting, expiring)
	}
	maxFile = 1 << 20

	u := upload(t, s, "x.json", Merge, strings.NewReader("{\n\"users\":[]}"))
	if u.State != UploadFailed || u.Line != 2 || u.Error != `The file holds "users"; entries and translations are known.` {
		t.Errorf("%+v", u)
	}
	if _, err := s.ApplyUpload(ctx, By{}, u.ID, true); !errors.Is(err, kvdb.ErrConflict) || err.Error() != "the file can't be imported: it is failed" {
		t.Errorf("applied: %v, want ErrConflict", err)
	}
	var file *FileError
	if err := s.WriteRejects(ctx, u.ID, io.Discard); !errors.As(err, &file) || file.Line != 2 {
		t.Errorf("its rejects: %v, want a FileError", err)
	}
	must(t, s.DiscardUpload(ctx, u.ID))
	if _, err := s.ApplyUpload(ctx, By{}, u.ID, false); !errors.Is(err, kvdb.ErrNotFound) {
		t.Errorf("applied when it is gone: %v, want ErrNotFound", err)
	}
	if err := s.WriteRejects(ctx, u.ID, io.Discard); !errors.Is(err, kvdb.ErrNotFound) {
		t.Errorf("its rejects when it is gone: %v, want ErrNotFound", err)
	}
}

var errBroken = errors.New("the sender has gone away")

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errBroken }

// TestUploadThatIsNoLongerKept: its parts may expire before what is known of it.
func TestUploadThatIsNoLongerKept(t *testing.T) {
	t.Parallel()
	s := newStore(t, kvtest.Open(t))
	u := upload(t, s, "x.csv", Merge, strings.NewReader(head))
	must(t, s.db.Client().Del(t.Context(), s.keys.UploadPart(u.ID, 0)).Err())
	_, err := s.ApplyUpload(t.Context(), By{}, u.ID, false)
	must(t, err)
	if u := awaitUpload(t, s, u.ID); u.State != UploadFailed || u.Error != "The file is no longer kept. Send it again." {
		t.Errorf("%+v", u)
	}
	newModel().check(t, s)
}

// TestAbandonedUploads: what became of an upload whose process has died is found out by who looks at it.
func TestAbandonedUploads(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		now := newClock()
		s := newStoreAt(t, db, now.now)
		ctx := t.Context()
		abandon := func(id, state string) {
			t.Helper()
			must(t, s.saveUpload(ctx, &Upload{ID: id, State: state, Format: CSV, Mode: Merge}))
		}
		see := func(id, state, text, change string) {
			t.Helper()
			u, err := s.Upload(ctx, id)
			if err != nil || u.State != state || !strings.Contains(u.Error, text) || u.Result.Change != change {
				t.Errorf("%+v, %v; want %s: %s", u, err, state, text)
			}
		}
		abandon("checking", UploadChecking)
		abandon("importing", UploadImporting)
		abandon("imported", UploadImporting)
		res, err := s.Import(ctx, By{Op: "imported"}, csvFileOf(numbered(3, "x")), ImportOptions{Format: CSV, Mode: Merge})
		must(t, err)
		m := modelOf(t, s)
		for _, id := range []string{"checking", "importing", "imported"} {
			if err := s.DiscardUpload(ctx, id); !errors.Is(err, kvdb.ErrConflict) {
				t.Errorf("discarded while it is worked on: %v, want ErrConflict", err)
			}
		}
		now.add(uploadSilent)
		see("checking", UploadChecking, "", "")
		see("importing", UploadImporting, "", "")

		// The process that imports was only slow: it comes to its end after it was given up.
		asked := false
		_, err = s.Import(ctx, By{Op: "importing"}, csvFileOf(numbered(5, "y")), ImportOptions{Format: CSV, Mode: Merge, Progress: atCommit(func() {
			if !asked {
				asked = true
				now.add(time.Second)
				see("importing", UploadFailed, "nothing was imported. Send the file again.", "")
			}
		})})
		if !errors.Is(err, kvdb.ErrAway) {
			t.Errorf("it is imported after all: %v", err)
		}
		m.check(t, s)
		see("checking", UploadFailed, "The check was interrupted; nothing was imported.", "")
		see("importing", UploadFailed, "nothing was imported", "")
		see("imported", UploadDone, "", res.Change)
		for id, want := range map[string]error{"checking": kvdb.ErrConflict, "importing": kvdb.ErrConflict, "imported": nil} {
			if _, err := s.ApplyUpload(ctx, By{}, id, false); !errors.Is(err, want) {
				t.Errorf("applied %s: %v, want %v", id, err, want)
			}
			must(t, s.DiscardUpload(ctx, id))
		}
		m.check(t, s)
	})
}

// TestUploadOfUnknownOutcome: Redis goes away at the commit. The upload says that nobody knows, and when it is
// asked, the answer is right.
func TestUploadOfUnknownOutcome(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	p := newProxy(t, srv)
	db := openURL(t, p.url())
	s, other, m := newStore(t, db), newStore(t, openURL(t, srv.URL())), newModel()
	m.mustCreate(t, other, tr("PL", "Polska")) // so that the server knows the script
	u := upload(t, s, "x.csv", Merge, csvFileOf(numbered(3, "x")))
	var committed atomic.Bool
	gaveUp := make(chan struct{})
	var once sync.Once
	db.Client().AddHook(watch(func(cmds ...redis.Cmder) {
		switch {
		case s.commits(cmds) && !committed.Load():
			committed.Store(true)
			p.onNext(func(request []byte, _, server net.Conn) {
				p.cut(server) // first, so that the reply finds nobody
				if _, err := server.Write(request); err != nil {
					t.Error(err)
				}
			})
		case len(cmds) > 1 && committed.Load(): // it says what has become of it
			once.Do(func() { close(gaveUp) })
		}
	}))
	_, err := s.ApplyUpload(t.Context(), By{}, u.ID, false)
	must(t, err)
	<-gaveUp
	p.reopen(t)
	u = awaitUpload(t, other, u.ID)
	if u.State != UploadUnknown || !strings.Contains(u.Error, "Check before you repeat it") {
		t.Fatalf("%+v", u)
	}
	if _, err := other.ApplyUpload(t.Context(), By{}, u.ID, false); !errors.Is(err, kvdb.ErrConflict) {
		t.Errorf("applied again: %v, want ErrConflict", err)
	}
	_, done, err := other.Outcome(t.Context(), u.ID)
	must(t, err)
	if done {
		m.importRows(nil, numbered(3, "x"), Merge)
	}
	m.check(t, other)
}

// TestCloseEndsUploads: a process that stops leaves nothing half done.
func TestCloseEndsUploads(t *testing.T) {
	t.Parallel()
	db := kvtest.Open(t)
	s, other := New(db, Options{}), newStore(t, db)
	u := upload(t, s, "x.csv", Merge, csvFileOf(numbered(3, "x")))
	closed := make(chan error)
	db.Client().AddHook(watch(func(cmds ...redis.Cmder) {
		if s.commits(cmds) {
			go func() { closed <- s.Close(context.Background()) }()
			<-s.work.ctx.Done()
		}
	}))
	_, err := s.ApplyUpload(t.Context(), By{}, u.ID, false)
	must(t, err)
	must(t, <-closed)
	u, err = other.Upload(t.Context(), u.ID)
	must(t, err)
	if u.State != UploadFailed || u.Error == "" {
		t.Errorf("%+v", u)
	}
	newModel().check(t, other)
}
