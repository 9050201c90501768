package handlers

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"webadmin/internal/account"
	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/console"
	"webadmin/web/templates/redisview"
)

// consoleApp is somebody at the console.
type consoleApp struct{ *runApp }

func newConsoleApp(t *testing.T, role account.Role) *consoleApp {
	a := newRunApp(t)
	a.dictApp = a.as(role)
	return &consoleApp{a}
}

// run sends commands as the page does, and returns the answer with all its parts, and the session.
func (a *consoleApp) run(session, text string, fields ...string) (d *goquery.Document, id string) {
	a.t.Helper()
	rec, d := a.ask("/redis/console", append([]string{"session", session, "text", text}, fields...)...)
	wantStatus(a.t, rec, http.StatusOK)
	id, _ = d.Find("#console-bar").Last().Attr("data-session")
	return d, id
}

func outputs(d *goquery.Document) string {
	var all []string
	for _, el := range d.Find(testid("output")).EachIter() {
		all = append(all, el.Text())
	}
	return strings.Join(all, "|")
}

func prompt(d *goquery.Document) string { return d.Find(testid("prompt")).Last().Text() }

func TestConsoleRunsCommands(t *testing.T) {
	t.Parallel()
	a := newConsoleApp(t, Operator)
	d, id := a.run("", "SET "+a.key("k")+" '<em>x</em>'\n\nGET "+a.key("k")+"\nINCR "+a.key("k")+"\n2 EXISTS "+a.key("k"))
	if got, want := outputs(d), `OK|"<em>x</em>"|(error) ERR value is not an integer or out of range|(integer) 1|(integer) 1`; got != want {
		t.Errorf("prints %s, want %s", got, want)
	}
	if d.Find("em").Length() > 0 {
		t.Error("a value is markup")
	}
	if id == "" || d.Find(testid("entry")).Length() != 5 || d.Find(testid("took")).Length() != 5 {
		t.Errorf("session %q, %d results", id, d.Find(testid("entry")).Length())
	}
	a.wantRecord("operator | kvdb.command | " + a.key("k") + " | done")
	a.wantRecord("operator | kvdb.command | " + a.key("k") + " | failed")

	d, same := a.run(id, "GET \"unfinished")
	if same != id {
		t.Errorf("another session: %q", same)
	}
	wantText(t, d.Find(testid("fault")), "Nothing ran", "Line 1, position 5", "not closed")
	if _, kept := d.Find(testid("entry")).Attr("data-keep"); !kept {
		t.Error("what was typed is lost")
	}
	d, _ = a.run(id, "RPUSH "+a.key("l")+" a b\nLRANGE "+a.key("l")+" 0 -1")
	wantText(t, d.Find(".as-tree").Last(), "array, 2 elements", "a", "b")
	wantText(t, d.Find(".as-json").Last(), `"result":["a","b"]`)
}

func TestConsoleWithoutScriptsIsAPage(t *testing.T) {
	t.Parallel()
	a := newConsoleApp(t, Operator)
	d := doc(t, a.show("/redis/console?text=GET+x"))
	wantText(t, d.Find("h1"), "Console")
	wantText(t, d.Find("#console-text"), "GET x")
	rec := a.send("/redis/console", []string{"session", "", "text", "PING\r\nSELECT 3"})
	wantStatus(t, rec, http.StatusOK)
	d = doc(t, rec)
	if got := outputs(d); got != "PONG|OK" || prompt(d) != "redis[3]> " {
		t.Errorf("%s, prompt %q", got, prompt(d))
	}
	if twice := duplicateIDs(d); len(twice) > 0 {
		t.Errorf("IDs twice: %v", twice)
	}
	id := valueOf(d, "session")
	d = doc(t, a.send("/redis/console", []string{"session", id, "text", "ECHO \"no"}))
	wantText(t, d.Find("#console-text"), `ECHO "no`)
	wantRedirect(t, a.send("/redis/console/session/"+id+"/end", nil), "/redis/console")
	d = doc(t, a.send("/redis/console", []string{"session", id, "text", "ECHO kept"}))
	wantText(t, d.Find(testid("fault")), "This console has ended", "Run it in a new console")
	wantText(t, d.Find("#console-text"), "ECHO kept")
}

func TestConsoleTransactionOverSeveralPosts(t *testing.T) {
	t.Parallel()
	a := newConsoleApp(t, Operator)
	d, id := a.run("", "WATCH "+a.key("k")+"\nMULTI")
	if prompt(d) != "redis(TX)> " {
		t.Errorf("prompt %q", prompt(d))
	}
	d, _ = a.run(id, "INCR "+a.key("k"))
	if outputs(d) != "QUEUED" || a.value("k") != "(nil)" {
		t.Errorf("%s, %s", outputs(d), a.value("k"))
	}
	d, _ = a.run(id, "EXEC")
	if outputs(d) != "1) (integer) 1" || a.value("k") != "1" || prompt(d) != "redis> " {
		t.Errorf("%s, %s, %q", outputs(d), a.value("k"), prompt(d))
	}
	a.run(id, "WATCH "+a.key("k")+"\nMULTI\nINCR "+a.key("k"))
	a.set("k", "7")
	if d, _ = a.run(id, "EXEC"); outputs(d) != "(nil)" || a.value("k") != "7" {
		t.Errorf("%s, %s", outputs(d), a.value("k"))
	}
}

func TestConsoleRefusesByRole(t *testing.T) {
	t.Parallel()
	a := newConsoleApp(t, Viewer)
	a.set("k", "v")
	d, id := a.run("", "GET "+a.key("k")+"\nSET "+a.key("k")+" changed\nGET "+a.key("k"))
	if outputs(d) != `"v"` || a.value("k") != "v" {
		t.Errorf("%s, %s", outputs(d), a.value("k"))
	}
	wantText(t, d.Find(testid("fault")), "Your role may not run this", "SET takes the role operator, yours is viewer", "Run the rest")
	wantText(t, d.Find(testid("rest")), "GET "+a.key("k"))
	d, _ = a.run(id, "FLUSHALL")
	wantText(t, d.Find(testid("fault")), "FLUSHALL takes the role admin")
	wantStatus(t, a.show("/redis/console"), http.StatusOK)
}

func TestConsoleAsksBeforeWhatIsDangerous(t *testing.T) {
	t.Parallel()
	a := newConsoleApp(t, Admin)
	a.set("a", "1")
	a.set("b", "2")
	text := "SWAPDB 14 15\nGET " + a.key("a")
	d, id := a.run("", text)
	wantText(t, d.Find(testid("confirm")), "SWAPDB is dangerous, and has not run", "Swaps", "To run it, type SWAPDB", "1 more after it")
	if outputs(d) != "" {
		t.Errorf("it ran: %s", outputs(d))
	}
	form := d.Find(testid("confirm"))
	if got, _ := form.Find(`[name="text"]`).Attr("value"); got != text {
		t.Errorf("would send %q", got)
	}
	d, _ = a.run(id, text, "confirm", "SWAP")
	wantText(t, d.Find(testid("confirm")), "That was SWAP, not SWAPDB")
	d, _ = a.run(id, text, "confirm", "swapdb")
	if outputs(d) != `OK|"1"` {
		t.Errorf("%s", outputs(d))
	}
	a.wantRecord("admin | kvdb.command | SWAPDB | done")
}

func TestConsoleMasksSecrets(t *testing.T) {
	t.Parallel()
	a := newConsoleApp(t, Admin)
	d, id := a.run("", "AUTH nobody hunter2\nACL SETUSER "+a.key("user")+" >hunter2")
	if strings.Contains(d.Find(testid("entry")).Find("header, pre").Text(), "hunter2") {
		t.Errorf("shows a secret: %s", d.Text())
	}
	wantText(t, d.Selection, "AUTH *** ***")
	d, _ = a.run(id, "ACL SETUSER "+a.key("user")+" >hunter2", "confirm", "ACL")
	if outputs(d) != "OK" {
		t.Errorf("%s", words(d.Selection))
	}
	a.run(id, "ACL DELUSER "+a.key("user"), "confirm", "ACL")
	lines, err := a.deps.Console.History(context.Background(), "admin", "", 0)
	if err != nil || len(lines) == 0 {
		t.Fatal(lines, err)
	}
	for _, l := range lines {
		if strings.Contains(l.Line, "hunter2") {
			t.Errorf("history: %s", l.Line)
		}
	}
	if body := a.show("/audit").Body.String(); strings.Contains(body, "hunter2") || strings.Contains(a.logs.String(), "hunter2") {
		t.Error("audit or log show a secret")
	}
}

// serve is the server with real connections, which streams need.
func (a *consoleApp) serve() (*httptest.Server, *http.Client) {
	server := httptest.NewServer(a.e)
	a.t.Cleanup(server.Close)
	return server, server.Client()
}

func (a *consoleApp) request(ctx context.Context, method, address string, form url.Values) *http.Request {
	r, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(form.Encode()))
	if err != nil {
		a.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	fragment(r)
	a.who(r)
	return r
}

func TestConsoleStopsWhatBlocks(t *testing.T) {
	t.Parallel()
	a := newConsoleApp(t, Operator)
	server, client := a.serve()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	answer, err := client.Do(a.request(ctx, "POST", server.URL+"/redis/console", url.Values{"text": {"BLPOP " + a.key("none") + " 0\nPING"}}))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	scan := bufio.NewScanner(answer.Body)
	stop, all := "", strings.Builder{}
	for scan.Scan() {
		line := scan.Text()
		all.WriteString(line + "\n")
		_, after, found := strings.Cut(line, `formaction="`)
		if path, _, _ := strings.Cut(after, `"`); found && stop == "" && strings.HasSuffix(path, "/stop") {
			stop = path
			told, err := client.Do(a.request(ctx, "POST", server.URL+stop, nil))
			if err != nil || told.StatusCode != http.StatusNoContent {
				t.Fatal(told, err)
			}
			_ = told.Body.Close()
		}
	}
	d, err := goquery.NewDocumentFromReader(strings.NewReader(all.String()))
	if err != nil {
		t.Fatal(err)
	}
	if stop == "" || outputs(d) != "(nil)|PONG" {
		t.Errorf("stopped at %q, printed %s", stop, outputs(d))
	}
	wantText(t, d.Selection, "It was stopped.")
	wantText(t, d.Find(testid("running")).First(), "BLPOP")
}

func TestConsoleStreamsMessages(t *testing.T) {
	t.Parallel()
	a := newConsoleApp(t, Operator)
	server, client := a.serve()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	channel := a.key("news")
	d, id := a.run("", "SUBSCRIBE "+channel)
	where, ok := d.Find("[data-console-stream]").Attr("data-console-stream")
	if !ok || !strings.Contains(outputs(d), "subscribe") {
		t.Fatalf("streams at %q: %s", where, outputs(d))
	}
	d, _ = a.run(id, "PING")
	wantText(t, d.Find(testid("fault")), "still runs another command", "Run it in another console")

	r := a.request(ctx, "GET", server.URL+where, nil)
	r.Header.Set("Accept", "text/event-stream")
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if n := a.deps.DB.Client().Publish(ctx, channel, "<b>hello</b>\r\nworld").Val(); n != 1 {
		t.Fatalf("%d receivers", n)
	}
	events := bufio.NewScanner(answer.Body)
	until := func(want string) {
		t.Helper()
		for events.Scan() {
			if strings.Contains(events.Text(), want) {
				return
			}
		}
		t.Fatalf("no %q came", want)
	}
	until("&lt;b&gt;hello&lt;/b&gt;\\r\\nworld")
	until("data: 1 message")
	wantStatus(t, a.send("/redis/console/session/"+id+"/stop", nil, fragment), http.StatusNoContent)
	until("event: ended")
	until("It was stopped.")
}

func TestConsoleLimits(t *testing.T) {
	t.Parallel()
	a := newConsoleApp(t, Operator)
	ids := []string{}
	for range 3 {
		_, id := a.run("", "PING")
		ids = append(ids, id)
	}
	d, _ := a.run("", "ECHO more")
	wantText(t, d.Find(testid("fault")), "3 consoles open")
	if n := d.Find(testid("fault") + " form").Length(); n != 3 {
		t.Errorf("%d ways on", n)
	}
	wantText(t, doc(t, a.show("/redis/console")).Find(testid("others")), "Your other consoles", "Go on with it here")
	if d, _ = a.run("", "ECHO more", "end", ids[0]); outputs(d) != `"more"` {
		t.Errorf("%s", words(d.Selection))
	}
	if _, err := a.deps.Console.Session(ids[0], "operator", "operator"); err == nil {
		t.Error("the first one goes on")
	}
	other := &consoleApp{&runApp{a.as(Admin), a.prefix}}
	d, _ = other.run(ids[1], "PING")
	wantText(t, d.Find(testid("fault")), "This console has ended")

	wantStatus(t, a.send("/logout", nil), http.StatusSeeOther)
	if left := a.deps.Console.Sessions("operator"); len(left) != 0 {
		t.Errorf("%d consoles outlive the sign-out", len(left))
	}
}

func TestConsoleHistory(t *testing.T) {
	t.Parallel()
	a := newConsoleApp(t, Operator)
	a.run("", "PING\nECHO Hello\nECHO \"a&b <i>\"")
	d := doc(t, a.show("/redis/console/history"))
	var lines []string
	for _, el := range d.Find("[data-line]").EachIter() {
		line, _ := el.Attr("data-line")
		lines = append(lines, line)
	}
	wantList(t, lines, `ECHO "a&b <i>"`, "ECHO Hello", "PING")
	link, _ := d.Find("[data-line]").First().Attr("href")
	wantText(t, doc(t, a.show(link)).Find("#console-text"), `ECHO "a&b <i>"`)
	if n := doc(t, a.show("/redis/console/history?q=HELLO", fragment)).Find("[data-line]").Length(); n != 1 {
		t.Errorf("%d lines match", n)
	}
	wantRedirect(t, a.send("/redis/console/history/forget", nil), "/redis/console/history")
	wantText(t, doc(t, a.show("/redis/console/history")).Find(testid("history")), "no history yet")
	a.wantRecord("operator | redis.history.forget | user operator | done")
}

func TestConsoleCompletes(t *testing.T) {
	t.Parallel()
	a := newConsoleApp(t, Viewer)
	hints := func(text string) *goquery.Selection {
		rec, d := a.ask("/redis/console/complete", "text", text)
		wantStatus(t, rec, http.StatusOK)
		return d.Find(testid("help"))
	}
	help := hints("hget")
	wantText(t, help.Find(testid("suggestions")), "HGET", "HGETALL")
	help = hints(`SET "é" value `)
	wantText(t, help, "SET", "Set the string value")
	wantText(t, help.Find(testid("suggestions")), "NX", "EX")
	if from, _ := help.Attr("data-from"); from != "14" {
		t.Errorf("completes from %s", from)
	}
	wantText(t, hints("GET ").Find(testid("current")), "key")
	if got := words(hints("nonsense ")); got != "" {
		t.Errorf("says %q", got)
	}
}

func TestConsoleWordsOfErrors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err  error
		want redisview.ConsoleFault
	}{
		{&console.EndedError{Reason: "Gone"}, redisview.ConsoleFault{Kind: "warning", Title: "This console has ended", Text: "Gone."}},
		{&console.BusyError{Reason: "Busy."}, redisview.ConsoleFault{Kind: "warning", Title: "It has not run", Text: "Busy."}},
		{kvdb.ErrAway, redisview.ConsoleFault{Kind: "error", Title: "It has not run", Text: kvdb.Sentence(kvdb.ErrAway)}},
		{&kvdb.UnknownError{Op: "command", Check: "the key x", Err: io.ErrUnexpectedEOF}, redisview.ConsoleFault{
			Kind: "warning", Title: "Nobody knows whether it was done", Text: kvdb.Sentence(&kvdb.UnknownError{Op: "command", Err: io.ErrUnexpectedEOF}) +
				" Look at the key x.",
		}},
	} {
		if got := faultOfConsole(tc.err); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%v: %+v, want %+v", tc.err, got, tc.want)
		}
	}
}
