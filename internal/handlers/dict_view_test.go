package handlers

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"webadmin/internal/dict"
	"webadmin/web/templates/dictview"
)

// testLinks writes addresses as the name of the route and what fills it.
func testLinks(edit bool) dictLinks {
	return dictLinks{edit: edit, url: func(name string, params ...any) string {
		out := name
		for _, p := range params {
			if v, ok := p.(url.Values); ok {
				out += encode(v)
			} else {
				out += fmt.Sprintf("/%v", p)
			}
		}
		return out
	}}
}

func TestPlaceInAList(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		at   place
		want string
	}{
		{place{n: 50, first: 51, total: 2643, all: 2643, next: "n", prev: "p"}, "51–100 of 2,643"},
		{place{n: 7, first: 1, total: 7, all: 2643}, "1–7 of 7, 2,643 in all"},
		{place{n: 1, first: 1, total: 1, all: 1}, "1 of 1"},
		{place{n: 50, first: 1, total: -1, all: 2643, next: "n"}, "1–50 of more, 2,643 in all"},
		{place{n: 10, first: 51, total: -1, all: 2643, prev: "p"}, "51–60 of 60, 2,643 in all"},
		{place{n: 50, first: 0, total: 100, all: 100, prev: "p"}, "51–100 of 100"}, // the last page
		{place{n: 50, first: 0, total: 300, all: 300, next: "n", prev: "p"}, "50 of 300"},
		{place{n: 50, first: 0, total: -1, all: 300, next: "n", prev: "p"}, "50 of more, 300 in all"},
		{place{n: 0, total: 0, all: 300}, "None of 300"},
		{place{}, ""},
	} {
		if got := tc.at.summary(); got != tc.want {
			t.Errorf("%+v: %q, want %q", tc.at, got, tc.want)
		}
	}
}

func TestPagerKeepsTheFilters(t *testing.T) {
	t.Parallel()
	l, here := testLinks(true), values("q", "x", "system", "")
	got := l.pager("list", here, place{n: 50, first: 51, total: 200, all: 200, next: "N", prev: "P", last: true})
	if got.First != "list?q=x" || got.Prev != "list?cursor=P&q=x" || got.Next != "list?cursor=N&q=x" || got.Last != "list?last=1&q=x" {
		t.Errorf("%+v", got)
	}
	if here.Encode() != "q=x&system=" {
		t.Errorf("the query of the list was changed: %v", here)
	}
	if only := l.pager("list", nil, place{n: 1, first: 1, total: 1, all: 1}); only.First+only.Prev+only.Next+only.Last != "" {
		t.Errorf("one page leads elsewhere: %+v", only)
	}
}

func TestRowsOfReadersWhoMayNotEdit(t *testing.T) {
	t.Parallel()
	e := dict.Entry{ID: "1-0", System: "CRM", Key: "code", Value: "AW", Version: 7}
	x := dict.Translation{ID: "1-1", System1: "CRM", Key1: "code", Value1: "AW", System2: "ERP", Key2: "k", Version: 8}
	for _, edit := range []bool{true, false} {
		entry, translation := testLinks(edit).entryRow(e, dict.Uses{AsSource: 2}, nil), testLinks(edit).translationRow(x, nil)
		for _, link := range []string{entry.Edit, entry.Delete, translation.Edit, translation.Delete} {
			if (link != "") != edit {
				t.Errorf("edit %t: %q", edit, link)
			}
		}
		if entry.AsSource.URL != "dict.translations?key1=code&system1=CRM&value1=AW" || entry.Changed.Text != "change 7" || translation.Try == "" {
			t.Errorf("%+v\n%+v", entry, translation)
		}
	}
	if got := testLinks(true).entryRow(dict.Entry{System: "CRM", Key: "code"}, dict.Uses{AsSource: 2}, nil); got.AsSource.URL != "" {
		t.Errorf("an empty value would be any value: %q", got.AsSource.URL)
	}
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	heads := map[int64]changeHead{7: {who: "anna", at: at, kind: dict.KindEdit}, 8: {who: "anna", at: at, kind: dict.KindImport}}
	if got := testLinks(true).changed(7, heads); got.Text != "anna" || got.At != at || got.URL != "dict.change/7" {
		t.Errorf("%+v", got)
	}
	if got := testLinks(true).changed(8, heads); got.Text != "import 8" {
		t.Errorf("%+v", got)
	}
}

func TestTheFormBeginsWhereSomethingIsMissing(t *testing.T) {
	t.Parallel()
	l := testLinks(true)
	for want, x := range map[string]dict.Translation{
		"system1": {}, "key1": {System1: "A"}, "value1": {System1: "A", Key1: "k", System2: "B", Key2: "k"},
		"system2": {System1: "A", Key1: "k", Value1: "v"}, "value2": {ID: "7"},
	} {
		if got := l.translationForm(x, "op", "").Focus; got != want {
			t.Errorf("%+v begins at %s, want %s", x, got, want)
		}
	}
	if got := l.entryForm(dict.Entry{System: "A", Key: "k"}, "op", "").Focus; got != "value" {
		t.Errorf("begins at %s", got)
	}
}

func TestChangeItemsSayWhatHappened(t *testing.T) {
	t.Parallel()
	a, b := &dict.Entry{System: "A", Key: "k", Value: "1"}, &dict.Entry{System: "A", Key: "k", Value: "2"}
	for want, i := range map[string]dict.Item{
		dictview.Created: {EntryAfter: a}, dictview.Deleted: {EntryBefore: a}, dictview.Updated: {EntryBefore: a, EntryAfter: b},
	} {
		got := changeItem(i)
		if got.What != want || !got.Entry || len(got.Fields) != 3 || got.Fields[2].Both != (want == dictview.Updated) {
			t.Errorf("%s: %+v", want, got)
		}
	}
	if got := changeItem(dict.Item{TranslationAfter: &dict.Translation{Value2: "x"}}); got.Entry || len(got.Fields) != 6 || got.Fields[5].After != "x" {
		t.Errorf("%+v", got)
	}
}

func TestUndoingSaysWhatItDoes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		counts dict.Counts
		want   string
	}{
		{dict.Counts{Created: 1}, "This deletes 1 translation."},
		{dict.Counts{Updated: 2, EntriesDeleted: 1}, "This changes back 2 translations and brings back 1 entry."},
		{dict.Counts{Created: 1, Deleted: 1200, EntriesCreated: 3}, "This deletes 1 translation, brings back 1,200 translations and deletes 3 entries."},
		{dict.Counts{}, "This changes nothing."},
	} {
		if got := undoSays(dict.Change{Counts: tc.counts}); !strings.HasPrefix(got, tc.want) {
			t.Errorf("%+v: %q, want %q", tc.counts, got, tc.want)
		}
	}
}

func TestForwardShowsTheBytes(t *testing.T) {
	t.Parallel()
	q := dict.Query{System1: "A", Key1: "k", Value1: "v", System2: "B", Key2: "k"}
	got := testLinks(true).forward(q, dict.Result{Value2: "zł", Found: true}, "7-0", "https://kv")
	if got.Hex != "7a c5 82" || got.Length != "3 bytes, 2 characters" || got.Edit != "dict.translation.edit/7-0" {
		t.Errorf("%+v", got)
	}
	if got := testLinks(false).forward(q, dict.Result{}, "", "https://kv"); got.Add != "" || got.Hex != "" {
		t.Errorf("%+v", got)
	}
}

// The call must survive a shell, whatever the value holds.
func TestCurlIsSafeForAShell(t *testing.T) {
	t.Parallel()
	q := dict.Query{System1: "A", Key1: "k", Value1: "it's \"$HOME\" `id` \\ \n<&>; exit", System2: "B", Key2: "k"}
	call := strings.Replace(curl(q, "http://kv"), "curl -sS", "printf '%s\\n'", 1)
	out, err := exec.CommandContext(t.Context(), "sh", "-c", "set -u; TOKEN=secret; "+call).Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, call)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	var sent struct{ Value1 string }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &sent); err != nil || sent.Value1 != q.Value1 {
		t.Errorf("%v %q\n%s", err, sent.Value1, out)
	}
	if lines[0] != "http://kv/api/v1/translate" || lines[2] != "Authorization: Bearer secret" {
		t.Errorf("%q", lines)
	}
}

func TestUploadsInEachState(t *testing.T) {
	t.Parallel()
	checked := dict.ImportResult{Created: 3, Updated: 1, Unchanged: 2}
	rejected := checked
	rejected.RejectedTotal = 250
	for i := range 250 {
		rejected.Rejected = append(rejected.Rejected, dict.Reject{Line: int64(i + 2), Reason: "has 2 columns"})
	}
	deletes := checked
	deletes.Deleted, deletes.EntriesDeleted = 1200, 1
	for _, tc := range []struct {
		name string
		u    dict.Upload
		ok   func(v dictview.UploadView) bool
	}{
		{"checking", dict.Upload{State: dict.UploadChecking, Progress: dict.Progress{Stage: "reading", Done: 20_000}}, func(v dictview.UploadView) bool {
			return v.Running && v.Done == 20_000 && v.Doing == "rows read" && v.Apply == nil && v.Discard == ""
		}},
		{"importing", dict.Upload{State: dict.UploadImporting, Progress: dict.Progress{Stage: "writing", Done: 5, Total: 9}}, func(v dictview.UploadView) bool {
			return v.Running && v.Total == 9 && v.Doing == "rows written"
		}},
		{"begun", dict.Upload{State: dict.UploadImporting, Progress: dict.Progress{Stage: "comparing", Total: 9}}, func(v dictview.UploadView) bool {
			return v.Running && v.Done == 9 && v.Total == 0 && v.Doing == "rows in all"
		}},
		{"checked", dict.Upload{State: dict.UploadChecked, Result: checked}, func(v dictview.UploadView) bool {
			return !v.Running && v.Dry && v.Apply.Text == "Apply these changes" && !v.Apply.Skip && v.Apply.Replace == "" && v.Discard != ""
		}},
		{"rejected rows", dict.Upload{State: dict.UploadChecked, Result: rejected}, func(v dictview.UploadView) bool {
			return v.Rejects == "250 rows can't be imported" && len(v.Rejected) == 200 && strings.HasPrefix(v.RejectsMore, "and 50 rows more") &&
				v.Apply.Skip && v.Apply.Text == "Import the other 6 rows"
		}},
		{"replacing", dict.Upload{State: dict.UploadChecked, Mode: dict.Replace, Result: deletes}, func(v dictview.UploadView) bool {
			return v.Apply.Replace == "This deletes what the file does not hold: 1,200 translations and 1 entry."
		}},
		{"nothing new", dict.Upload{State: dict.UploadChecked, Result: dict.ImportResult{Unchanged: 4}}, func(v dictview.UploadView) bool {
			return v.Apply == nil && v.Notice == "The file would change nothing." && v.Discard != ""
		}},
		{"nothing good", dict.Upload{State: dict.UploadChecked, Result: dict.ImportResult{RejectedTotal: 4}}, func(v dictview.UploadView) bool {
			return v.Apply == nil && v.Kind == "error"
		}},
		{"done", dict.Upload{State: dict.UploadDone, Result: dict.ImportResult{Created: 1, Change: "9"}}, func(v dictview.UploadView) bool {
			return v.Change == "dict.change/9" && v.Kind == "success" && !v.Dry
		}},
		{"failed", dict.Upload{State: dict.UploadFailed, Error: "The file ends in the middle.", Line: 12}, func(v dictview.UploadView) bool {
			return v.Kind == "error" && v.Notice == "Line 12: The file ends in the middle."
		}},
		{"unknown", dict.Upload{State: dict.UploadUnknown}, func(v dictview.UploadView) bool {
			return v.Kind == "warning" && v.Check != nil
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.u.ID = "u"
			if v := testLinks(true).uploadView(tc.u, "op"); !tc.ok(v) {
				t.Errorf("%+v", v)
			}
			if v := testLinks(false).uploadView(tc.u, "op"); v.Apply != nil || v.Discard != "" || v.Check != nil {
				t.Errorf("a viewer gets %+v", v)
			}
		})
	}
}

func TestShortValues(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"": "(empty)", "AW": "AW", "two\nlines": "two lines", strings.Repeat("ä", 41): strings.Repeat("ä", 39) + "…",
	} {
		if got := short(value); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 entries", 1: "1 entry", 1200: "1,200 entries"} {
		if got := plural(n, "entry"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
