package handlers

import (
	"bytes"
	"context"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"

	"webadmin/internal/kvdb/kvtest"
)

// check sends a batch; a field "file" is a file.
func (a *consoleApp) check(fields ...string) *httptest.ResponseRecorder {
	a.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for i := 0; i+1 < len(fields); i += 2 {
		if fields[i] == "file" {
			part, err := w.CreateFormFile("file", "commands.txt")
			if err != nil {
				a.t.Fatal(err)
			}
			_, _ = part.Write([]byte(fields[i+1]))
			continue
		}
		_ = w.WriteField(fields[i], fields[i+1])
	}
	_ = w.Close()
	r := httptest.NewRequest(http.MethodPost, "/redis/console/batch", &body)
	r.Header.Set("Content-Type", w.FormDataContentType())
	return a.do(r, a.who)
}

// batch checks commands, runs them and returns the page when they have ended, and its address.
func (a *consoleApp) batch(fields ...string) (*goquery.Document, string) {
	a.t.Helper()
	rec := a.check(fields...)
	wantStatus(a.t, rec, http.StatusSeeOther)
	where := rec.Header().Get("Location")
	wantRedirect(a.t, a.send(where+"/run", nil), where)
	return a.ended(where), where
}

func (a *consoleApp) ended(where string) *goquery.Document {
	a.t.Helper()
	var d *goquery.Document
	kvtest.Await(a.t, "the batch ends", func() bool {
		d = doc(a.t, a.show(where))
		_, polls := d.Find(testid("batch")).Attr("hx-get")
		return !polls
	})
	return d
}

func replies(d *goquery.Document) string {
	var all []string
	for _, el := range d.Find(testid("replies") + " pre").EachIter() {
		all = append(all, el.Text())
	}
	return strings.Join(all, "|")
}

func TestBatchGoesOnAfterAnError(t *testing.T) {
	t.Parallel()
	a := newConsoleApp(t, Operator)
	text := "SET " + a.key("k") + " '<em>x</em>'\r\nINCR " + a.key("k") + "\r\n\r\n2 INCR " + a.key("n") + "\r\nGET " + a.key("k")
	d, where := a.batch("text", text)
	if got, want := replies(d), `OK|(error) ERR value is not an integer or out of range|(integer) 1|(integer) 2|"<em>x</em>"`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	wantText(t, d.Find(testid("batch")), "5 of 5", "1 error")
	wantText(t, d.Find(testid("preview")), "5 commands", "INCR 3", "GET 1")
	if twice := duplicateIDs(d); len(twice) > 0 || d.Find("main em").Length() > 0 {
		t.Errorf("IDs twice: %v, or a value is markup", twice)
	}
	if got := replies(doc(t, a.show(where+"?errors=1"))); got != "(error) ERR value is not an integer or out of range" {
		t.Errorf("errors: %s", got)
	}
	rec := a.show(where + "/replies")
	wantStatus(t, rec, http.StatusOK)
	if body := rec.Body.String(); !strings.Contains(body, "4> INCR "+a.key("n")+"\n(integer) 2\n") ||
		!strings.Contains(rec.Header().Get("Content-Disposition"), "attachment") {
		t.Errorf("download: %s", body)
	}
	a.wantRecord("operator | kvdb.pipeline | batch, commands 1 to 5 of 5 | done")
	wantRedirect(t, a.send(where+"/run", nil), where) // it runs once
	if a.value("n") != "2" {
		t.Errorf("n is %s", a.value("n"))
	}
	wantText(t, doc(t, a.show("/redis/console/batch")).Find(testid("batches")), "done, 1 error")
}

func TestBatchStopsAtTheFirstError(t *testing.T) {
	t.Parallel()
	a := newConsoleApp(t, Operator)
	d, _ := a.batch("file", "SET "+a.key("k")+" x\nINCR "+a.key("k")+"\nSET "+a.key("k")+" after", "stop", "1")
	if got := replies(d); got != "OK|(error) ERR value is not an integer or out of range" || a.value("k") != "x" {
		t.Errorf("%s, k is %s", got, a.value("k"))
	}
	wantText(t, d.Find(testid("batch")), "It stopped at the first error", "1 command did not run", "2 of 3")
}

func TestBatchAsATransaction(t *testing.T) {
	t.Parallel()
	a := newConsoleApp(t, Operator)
	d, _ := a.batch("text", "SET "+a.key("k")+" x\nINCR "+a.key("k")+"\nAPPEND "+a.key("k")+" y", "transaction", "1")
	if got := replies(d); got != "OK|(error) ERR value is not an integer or out of range|(integer) 2" || a.value("k") != "xy" {
		t.Errorf("%s, k is %s", got, a.value("k"))
	}
	d, _ = a.batch("text", "SET "+a.key("k")+" z\nGET", "transaction", "1") // not even queued
	if a.value("k") != "xy" {
		t.Errorf("half a transaction ran: %s", replies(d))
	}
	wantText(t, d.Find(testid("replies")), "wrong number of arguments", "EXECABORT")
}

func TestBatchIsRefusedBeforeItRuns(t *testing.T) {
	t.Parallel()
	a := newConsoleApp(t, Viewer)
	rec := a.check("text", "GET a\nSET "+a.key("k")+" x\nBLPOP l 0\nnosuchthing hunter2")
	wantStatus(t, rec, http.StatusSeeOther)
	where := rec.Header().Get("Location")
	d := doc(t, a.show(where))
	wantText(t, d.Find(testid("refused")), "line 2", "SET takes the role operator", "line 3", "line 4")
	if strings.Contains(d.Text(), "hunter2") || d.Find(testid("batch-run")).Length() != 0 {
		t.Error("shows a secret, or would run")
	}
	wantStatus(t, a.send(where+"/run", nil), http.StatusUnprocessableEntity)
	for text, want := range map[string]string{
		" \n ":           "There is no command",
		"GET a\nGET \"b": "Line 2, position 5",
	} {
		rec := a.check("text", text)
		wantStatus(t, rec, http.StatusUnprocessableEntity)
		d := doc(t, rec)
		wantText(t, d.Find(".field-error"), want)
		if strings.TrimSpace(text) != "" {
			wantText(t, d.Find("#batch-text"), "GET a")
		}
	}
	wantStatus(t, a.check("file", "GET a\n"+strings.Repeat("x", 17<<20)), http.StatusRequestEntityTooLarge)
	other := a.as(Operator)
	wantStatus(t, other.show(where), http.StatusNotFound)
}

func TestBatchWithWhatIsDangerous(t *testing.T) {
	t.Parallel()
	a := newConsoleApp(t, Admin)
	rec := a.check("text", "SWAPDB 12 13\nSET "+a.key("k")+" x\nCONFIG RESETSTAT")
	where := rec.Header().Get("Location")
	d := doc(t, a.show(where))
	wantText(t, d.Find(testid("dangerous")), "line 1", "SWAPDB 12 13", "line 3")
	wantText(t, d.Find(testid("batch-run")), "type SWAPDB CONFIG")
	rec = a.send(where+"/run", []string{"confirm", "swapdb"})
	wantStatus(t, rec, http.StatusUnprocessableEntity)
	wantText(t, doc(t, rec).Find(".field-error"), "Type SWAPDB CONFIG")
	if a.value("k") != "(nil)" {
		t.Error("it ran")
	}
	wantRedirect(t, a.send(where+"/run", []string{"confirm", "config swapdb"}), where)
	if got := replies(a.ended(where)); got != "OK|OK|OK" {
		t.Errorf("%s", got)
	}
}

func TestBatchOfManyRoundTrips(t *testing.T) {
	t.Parallel()
	a := newConsoleApp(t, Operator)
	var text strings.Builder
	for range 25 {
		text.WriteString("1000 INCR " + a.key("n") + "\n")
	}
	d, where := a.batch("text", text.String())
	wantText(t, d.Find(testid("batch")), "25,000 of 25,000", "0 errors")
	if a.value("n") != "25000" {
		t.Errorf("n is %s", a.value("n"))
	}
	a.wantRecord("operator | kvdb.pipeline | batch, commands 20001 to 25000 of 25000 | done")
	d = doc(t, a.show(where+"?from=24950"))
	if got := replies(d); !strings.HasSuffix(got, "|(integer) 25000") {
		t.Errorf("the last page: %.200s", got)
	}
	rec := a.show(where, fragment)
	wantStatus(t, rec, http.StatusOK)
	if strings.Contains(rec.Body.String(), "<html") {
		t.Error("a poll gets the whole page")
	}
	for range 3 { // so many are kept of one person
		a.check("text", "PING")
	}
	wantStatus(t, a.show(where), http.StatusNotFound)
	a.deps.Console.Close()
	if n, err := a.deps.DB.Client().Exists(context.Background(), a.key("n")).Result(); n != 1 || err != nil {
		t.Error(n, err)
	}
}
