package handlers

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/console"
	"webadmin/internal/kvdb/kvtest"
)

func TestRedisInfo(t *testing.T) {
	t.Parallel()
	a := newDictApp(t).as(Viewer)
	rec := a.show("/redis/info")
	wantStatus(t, rec, http.StatusOK)
	d := doc(t, rec)
	if n := d.Find(testid("tile")).Length(); n != 8 {
		t.Errorf("%d tiles", n)
	}
	wantText(t, d.Find(testid("live")), "Memory", "Hit rate", "Operations a second", "Replication", "master",
		"Nothing is written to disk: a restart loses all data.")
	if n := d.Find(testid("chart") + " svg[role=img]").Length(); n != 5 {
		t.Errorf("%d charts", n)
	}
	if n := d.Find(testid("field")).Length(); n < 150 {
		t.Errorf("%d fields", n)
	}
	wantText(t, d.Find("#section-memory"), "used_memory_rss", "What the operating system has given the process")
	for _, link := range d.Find(`nav[aria-label="Sections of INFO"] a`).EachIter() {
		if to, _ := link.Attr("href"); d.Find(to).Length() != 1 {
			t.Errorf("%s leads nowhere", to)
		}
	}
	if twice := duplicateIDs(d); len(twice) > 0 {
		t.Errorf("IDs twice: %v", twice)
	}
	refresh, _ := d.Find("#live").Attr("hx-get")
	rec = a.show(refresh, fragment)
	wantStatus(t, rec, http.StatusOK)
	if live := doc(t, rec).Find("#live"); live.Length() != 1 {
		t.Error("the live part has lost itself")
	} else if _, polls := live.Attr("hx-trigger"); !polls {
		t.Error("it polls no more")
	}
	wantRedirect(t, a.show(refresh), "/redis/info")
}

func TestRedisInfoFilter(t *testing.T) {
	t.Parallel()
	a := newDictApp(t)
	for _, alter := range [][]with{nil, {fragment, header("HX-Target", "div#sections")}} {
		rec := a.show("/redis/info?q="+url.QueryEscape("fragmentation"), alter...)
		wantStatus(t, rec, http.StatusOK)
		d := doc(t, rec)
		wantText(t, d.Find("#sections"), "mem_fragmentation_ratio")
		if d.Find("#sections").Length() != 1 || strings.Contains(d.Find("#sections").Text(), "redis_version") {
			t.Error("the filter finds too much")
		}
	}
	d := doc(t, a.show("/redis/info?q=%3Cscript%3E&node=nobody"))
	wantText(t, d.Find("#sections"), "No field matches")
}

func TestRedisInfoOfACluster(t *testing.T) {
	t.Parallel()
	a := &dictApp{newApp(t, func(d *Deps) { d.DB = kvtest.OpenCluster(t) }), nil}
	a.who = session(a.signIn(Viewer))
	d := doc(t, a.show("/redis/info"))
	rows := d.Find(testid("nodes") + " tbody tr")
	if rows.Length() != 3 {
		t.Fatalf("%d servers", rows.Length())
	}
	wantText(t, rows.First(), "0-", "master", "shown below")
	second, _ := rows.Eq(1).Find("a").Attr("href")
	d = doc(t, a.show(second))
	wantText(t, d.Find(testid("nodes")+` [aria-selected="true"]`), rows.Eq(1).Find("a").Text())
	wantText(t, d.Find("#live"), "of all masters together")
}

func TestRedisInfoWhileAway(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	a := &dictApp{newApp(t, func(d *Deps) { d.DB = srv.DB(t) }), nil}
	a.who = session(a.signIn(Viewer))
	a.deps.DB.Summary()
	eventually(t, func() bool { return len(a.deps.DB.Samples()) > 0 })
	srv.Kill()
	rec := a.show("/redis/info")
	wantStatus(t, rec, http.StatusOK)
	d := doc(t, rec)
	if d.Find("#live .notice-error").Length() == 0 || d.Find(testid("chart")).Length() != 5 {
		t.Errorf("%s", d.Find("#live").Text())
	}
	if d.Find("#sections").Length() != 1 {
		t.Error("there is no place for the sections")
	}
	for _, path := range []string{"/redis/slowlog", "/redis/clients"} {
		wantStatus(t, a.show(path), http.StatusServiceUnavailable)
	}
	wantStatus(t, a.show("/redis/memory"), http.StatusOK)
}

func TestSlowLogPage(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t, "--slowlog-log-slower-than", "0", "--enable-debug-command", "yes")
	a := &dictApp{newApp(t, func(d *Deps) { d.DB = srv.DB(t) }), nil}
	a.who = session(a.signIn(Viewer))
	client := a.deps.DB.Client()
	ctx := context.Background()
	for _, cmd := range [][]any{{"debug", "sleep", "0.03"}, {"set", "<b>bold</b>", "\x00\xff\n"}, {"config", "set", "requirepass", ""},
		{"config", "set", "slowlog-log-slower-than", "10000"}} {
		if err := client.Do(ctx, cmd...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	rec := a.show("/redis/slowlog?sort=took")
	wantStatus(t, rec, http.StatusOK)
	d := doc(t, rec)
	wantText(t, d.Find(testid("entry")).First(), "debug sleep 0.03")
	wantText(t, d.Find(testid("slow")), "<b>bold</b>", `"\x00\xff\n"`, "requirepass ***")
	wantText(t, d.Find("#main"), "longer than 10 ms", "CONFIG SET latency-monitor-threshold")
	if rows := doc(t, a.show("/redis/slowlog?q=BOLD")).Find(testid("entry")); rows.Length() != 1 {
		t.Errorf("%d entries have the text", rows.Length())
	}
	none := doc(t, a.show("/redis/slowlog?limit=1&q=nowhere&sort=took"))
	wantText(t, none.Find("#list"), "Nothing matches", "Only the newest 1 of each server were searched.")
	if link, _ := none.Find("th a, #list a").First().Attr("href"); !strings.Contains(link, "limit=1000") {
		t.Errorf("the way to more is %q", link)
	}
	if sorted, _ := d.Find(`th[aria-sort]`).Attr("aria-sort"); sorted != "descending" {
		t.Errorf("sorted %q", sorted)
	}
	if d.Find(`a[href="/redis/slowlog/reset"]`).Length() != 0 {
		t.Error("a viewer is offered to empty it")
	}
	wantStatus(t, a.send("/redis/slowlog/reset", []string{"confirm", "SLOWLOG"}), http.StatusForbidden)
	wantStatus(t, a.show("/redis/slowlog?limit=5000"), http.StatusUnprocessableEntity)

	a = a.as(Admin)
	d = doc(t, a.show("/redis/slowlog/reset"))
	wantText(t, d.Find(testid("confirm")), "Type SLOWLOG")
	rec = a.send("/redis/slowlog/reset", []string{"confirm", "yes"})
	wantStatus(t, rec, http.StatusUnprocessableEntity)
	wantText(t, doc(t, rec).Find(".field-error"), "Is not SLOWLOG")
	wantRedirect(t, a.send("/redis/slowlog/reset", []string{"confirm", "slowlog"}), "/redis/slowlog")
	a.wantRecord("admin | slowlog.reset | slow log | done")
	wantText(t, doc(t, a.show("/redis/slowlog")).Find("#list"), "No command was slow")
}

func TestClientsPage(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	a := &dictApp{newApp(t, func(d *Deps) {
		d.DB = srv.DB(t)
		d.Console = console.New(d.DB, console.Options{})
		t.Cleanup(d.Console.Close)
	}), nil}
	a.who = session(a.signIn(Viewer))
	conn := srv.DB(t).Client()
	ctx := context.Background()
	sub := conn.Subscribe(ctx, "news")
	defer sub.Close()
	if _, err := sub.Receive(ctx); err != nil {
		t.Fatal(err)
	}
	rec := a.show("/redis/clients?kind=pubsub")
	wantStatus(t, rec, http.StatusOK)
	row := doc(t, rec).Find(testid("client"))
	if row.Length() != 1 {
		t.Fatalf("%d clients", row.Length())
	}
	wantText(t, row, "subscribe", "listens to channels", "webadmin's own")
	if row.Find("td.act a").Length() != 0 {
		t.Error("a viewer is offered to close it")
	}
	d := doc(t, a.show("/redis/clients?q=no+such+client", fragment))
	wantText(t, d.Find("#list"), "No client matches")

	own, err := a.deps.Console.Open("viewer", string(Viewer))
	if err != nil {
		t.Fatal(err)
	}
	if r := own.Do(ctx, console.Command{Args: []string{"GET", "x"}, Repeat: 1}, console.RunOptions{}); r.Err != nil {
		t.Fatal(r.Err)
	}
	row = doc(t, a.show("/redis/clients?q=webadmin:console")).Find(testid("client"))
	if link, _ := row.Find("a").Attr("href"); row.Length() != 1 || link != "/redis/console?session="+own.ID {
		t.Errorf("the reader's console leads to %q", link)
	}
	wantText(t, row, "your console", "get")
	wantText(t, doc(t, a.as(Admin).show("/redis/clients?q=webadmin:console")).Find(testid("client")), "console of "+own.Who)

	a = a.as(Admin)
	ask, _ := doc(t, a.show("/redis/clients?kind=pubsub")).Find(testid("client") + " td.act a").Attr("href")
	d = doc(t, a.show(ask))
	wantText(t, d.Find(testid("confirm")), "Type webadmin to confirm", "one of webadmin's own")
	fields := hiddenFields(d.Find(testid("confirm")))
	kill, _ := d.Find(testid("confirm")).Attr("action")
	rec = a.send(kill, append(fields, "confirm", "x"))
	wantStatus(t, rec, http.StatusUnprocessableEntity)
	wantRedirect(t, a.send(kill, append(fields, "confirm", "webadmin")), "/redis/clients")
	id := strings.Split(kill, "/")[3]
	a.wantRecord("admin | client.kill | client " + id + " | done")
	wantStatus(t, a.send(kill, append(fields, "confirm", "webadmin")), http.StatusNotFound)
	wantStatus(t, a.as(Operator).send(kill, append(fields, "confirm", "webadmin")), http.StatusForbidden)
}

// hiddenFields are the hidden inputs of a form as name, value, name, value.
func hiddenFields(form *goquery.Selection) (fields []string) {
	for _, in := range form.Find("input[type=hidden]").EachIter() {
		name, _ := in.Attr("name")
		value, _ := in.Attr("value")
		fields = append(fields, name, value)
	}
	return fields
}

func TestMemoryPage(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	a := &dictApp{newApp(t, func(d *Deps) { d.DB = srv.DB(t) }), nil}
	a.who = session(a.signIn(Viewer))
	client := a.deps.DB.Client()
	ctx := context.Background()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(client.Set(ctx, "big:<i>", strings.Repeat("x", 100_000), 0).Err())
	must(client.Set(ctx, "small", "x", time.Hour).Err())
	must(client.Set(ctx, string(a.deps.DB.Keys())+"own", strings.Repeat("x", 200_000), 0).Err())

	d := doc(t, a.show("/redis/memory"))
	wantText(t, d.Find(testid("doctor")), "Sam")
	if current := d.Find(`.side a[aria-current="page"], .side a[aria-current="true"]`).Text(); !strings.Contains(current, "Info") {
		t.Errorf("the navigation stands at %q", current)
	}
	wantRedirect(t, a.send("/redis/memory", []string{"most", "0"}), "/redis/memory")
	ended := func(a *dictApp) *goquery.Document {
		var d *goquery.Document
		eventually(t, func() bool {
			d = doc(t, a.show("/redis/memory/job", fragment))
			_, polls := d.Find("#job").Attr("hx-trigger")
			return !polls
		})
		return d
	}
	d = ended(a)
	wantText(t, d.Find("#job"), "All keys were looked at")
	rows := d.Find(testid("big-keys") + " tbody tr")
	if rows.Length() != 2 {
		t.Fatalf("%d keys: %s", rows.Length(), rows.Text())
	}
	wantText(t, rows.First(), "big:<i>", "string", "never")
	wantText(t, d.Find(testid("types")), "string", "100 %")

	admin := a.as(Admin)
	if doc(t, admin.show("/redis/memory")).Find(testid("big-keys")).Length() != 0 {
		t.Error("the search of another is shown")
	}
	wantStatus(t, admin.send("/redis/memory", []string{"most", "0"}, fragment), http.StatusOK)
	wantText(t, ended(admin).Find(testid("big-keys")+" tbody tr").First(), "own", "webadmin's own")
	wantStatus(t, a.send("/redis/memory/cancel", nil, fragment), http.StatusOK)
	wantStatus(t, a.send("/redis/memory", []string{"most", "x"}), http.StatusUnprocessableEntity)
}

func TestInfoText(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		unit kvdb.Unit
		raw  string
		want string
	}{
		{kvdb.Bytes, "1048576", "1.0 MB"},
		{kvdb.Count, "1234567", "1,234,567"},
		{kvdb.Seconds, "90061", "1 d 1 h"},
		{kvdb.Seconds, "-1", "none"},
		{kvdb.Seconds, "0.002766", "2.77 ms"},
		{kvdb.Micros, "312", "312 µs"},
		{kvdb.Percent, "99.58%", "99.58 %"},
		{kvdb.Yes, "1", "yes"},
		{kvdb.Yes, "?", "?"},
		{kvdb.KBps, "1.50", "1.5 KB/s"},
		{kvdb.UnixTime, "0", "never"},
		{kvdb.NoUnit, "7.0.15", "7.0.15"},
	} {
		if got := infoText(tc.unit, tc.raw); got != tc.want {
			t.Errorf("%v %s: %q, want %q", tc.unit, tc.raw, got, tc.want)
		}
	}
}
