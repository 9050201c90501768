package handlers

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestConsoleGivesAllOfALongReply: the page has its beginning and a way to the whole, which runs the command once more.
func TestConsoleGivesAllOfALongReply(t *testing.T) {
	t.Parallel()
	a := newConsoleApp(t, Viewer)
	rdb, ctx := a.deps.DB.Client(), context.Background()
	text := strings.Repeat("0123456789abcdef", 100_000)
	a.set("text", text)
	const elements = 12_000
	pipe := rdb.Pipeline()
	for i := range elements {
		pipe.RPush(ctx, a.key("list"), i)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		t.Fatal(err)
	}

	d, id := a.run("", "GET "+a.key("text"))
	wantText(t, d.Find(".console-note"), "These are the first 1.0 MB of 1.5 MB.")
	form := d.Find(testid("rest-form"))
	action, _ := form.Attr("action")
	again, _ := form.Find("[name=text]").Attr("value")
	rec := a.send(action, []string{"text", again})
	wantStatus(t, rec, http.StatusOK)
	if got := rec.Body.String(); got != text {
		t.Errorf("the file has %d bytes, the value %d", len(got), len(text))
	}
	if how := rec.Header().Get("Content-Disposition"); !strings.HasPrefix(how, "attachment;") {
		t.Errorf("it is sent as %q", how)
	}

	d, _ = a.run(id, "LRANGE "+a.key("list")+" 0 -1")
	wantText(t, d.Find(".console-note"), "more than 10,000 elements")
	if d.Find(testid("rest-form")).Length() != 1 {
		t.Error("there is no way to the rest")
	}
	rec = a.send(action, []string{"text", "LRANGE " + a.key("list") + " 0 -1"})
	if got := strings.Count(rec.Body.String(), "\n"); got != elements {
		t.Errorf("%d elements, want %d", got, elements)
	}
	if d, _ = a.run(id, "STRLEN "+a.key("text")); d.Find(testid("rest-form")).Length() != 0 {
		t.Error("a short reply has a rest")
	}

	for text, words := range map[string]string{
		"LPUSH " + a.key("list") + " x":    "takes the role operator",
		"SCAN 0":                           "that is for what only reads, and names its keys",
		"LRANGE " + a.key("text") + " 0 1": "WRONGTYPE",
	} {
		rec := a.send(action, []string{"text", text})
		if rec.Code < 400 || rec.Header().Get("Content-Disposition") != "" {
			t.Errorf("%s: status %d", text, rec.Code)
		}
		wantText(t, doc(t, rec).Find("main"), words)
	}
	rec = a.send(strings.Replace(action, id, "nosuch", 1), []string{"text", again})
	wantStatus(t, rec, http.StatusNotFound)
	wantText(t, doc(t, rec).Find("main"), "This console is not open any more")
}

// TestBatchLeadsToAllOfALongReply: what its replies have no room for, a console has.
func TestBatchLeadsToAllOfALongReply(t *testing.T) {
	t.Parallel()
	a := newConsoleApp(t, Viewer)
	pipe := a.deps.DB.Client().Pipeline()
	for i := range 12_000 {
		pipe.RPush(context.Background(), a.key("list"), i)
	}
	if _, err := pipe.Exec(context.Background()); err != nil {
		t.Fatal(err)
	}
	command := fmt.Sprintf("LRANGE %s 0 -1", a.key("list"))
	d, _ := a.batch("text", command+"\nLLEN "+a.key("list"))
	links := d.Find(testid("replies") + " td a")
	if links.Length() != 1 {
		t.Fatalf("%d links", links.Length())
	}
	to, _ := links.Attr("href")
	wantText(t, doc(t, a.show(to)).Find("#console-text"), command)
}
