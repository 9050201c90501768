package handlers

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/redis/go-redis/v9"

	"webadmin/internal/audit"
	"webadmin/internal/broker"
	"webadmin/internal/dict"
	"webadmin/internal/kvdb/kvtest"
	"webadmin/internal/lua"
)

// dies makes a dead letter.
func dies(t *testing.T, a *app, service, reason string) {
	t.Helper()
	ctx := t.Context()
	if _, err := a.deps.Broker.Invoke(ctx, broker.Call{Service: service, MaxAttempts: 1}); err != nil {
		t.Fatal(err)
	}
	got, err := a.deps.Broker.Receive(ctx, service, "w", 1, 0, time.Minute)
	if err != nil || len(got) != 1 {
		t.Fatalf("received %v, %v", got, err)
	}
	if err := a.deps.Broker.Nack(ctx, got[0].CID, got[0].Lease, reason, -1); err != nil {
		t.Fatal(err)
	}
}

// waits has an invocation of a service wait for two minutes already.
func waits(t *testing.T, a *app, service string) {
	t.Helper()
	cid, err := a.deps.Broker.Invoke(t.Context(), broker.Call{Service: service})
	if err != nil {
		t.Fatal(err)
	}
	queue := a.deps.DB.Keys().Service(service).Queue()
	before := float64(time.Now().Add(-2 * time.Minute).UnixMicro())
	if err := a.deps.DB.Client().ZAdd(t.Context(), queue, redis.Z{Score: before, Member: cid}).Err(); err != nil {
		t.Fatal(err)
	}
}

// needsOf are the needs on the overview by their text: how many, what is said of them, and the address.
func needsOf(t *testing.T, a *app, cookie string) map[string][3]string {
	t.Helper()
	rec := a.get("/", session(cookie))
	wantStatus(t, rec, http.StatusOK)
	out := map[string][3]string{}
	doc(t, rec).Find(testid("need")).Each(func(_ int, row *goquery.Selection) {
		link := row.Find("a")
		note := strings.Join(strings.Fields(row.Find("td").Last().Text()), " ")
		out[strings.TrimSpace(link.Find("span").Last().Text())] = [3]string{link.Find(".badge").Text(), note, link.AttrOr("href", "")}
	})
	return out
}

// TestOverviewSaysWhatNeedsSomeone has two or three of each kind, beside others that need nobody: each number leads to exactly those.
func TestOverviewSaysWhatNeedsSomeone(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	ctx := t.Context()
	cookie := a.signIn(Viewer)
	for text, need := range needsOf(t, a, cookie) {
		if !strings.Contains(text, "Redis") { // the server of the tests has its own
			t.Errorf("an empty store needs someone: %s %q", text, need)
		}
	}

	dies(t, a, "orders", "no such customer")
	dies(t, a, "orders", "no such customer")
	waits(t, a, "lonely.one")
	waits(t, a, "lonely.two")
	waits(t, a, "resting")
	for _, paused := range []string{"resting", "idle"} {
		if err := a.deps.Broker.SetPaused(ctx, paused, true); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.deps.Broker.Invoke(ctx, broker.Call{Service: "fresh"}); err != nil { // has not waited for long
		t.Fatal(err)
	}
	for _, program := range []struct{ name, text string }{{"bad.one", "error('no stock')"}, {"good", "return 1"}} {
		if _, _, err := a.deps.Lua.Put(ctx, lua.By{Who: "w"}, program.name, program.text, 0); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := a.deps.Lua.Run(ctx, lua.Caller{Who: "w"}, lua.Call{Name: program.name}); err != nil {
				t.Fatal(err)
			}
			a.deps.Stats.Record("lua:"+program.name, time.Millisecond, program.name == "bad.one", "")
		}
	}
	a.deps.Stats.Record("lua:gone", time.Millisecond, true, "")
	for _, service := range []string{"pay", "ship"} {
		a.deps.Stats.Record(service, time.Millisecond, true, "")
	}
	a.deps.Stats.Record("slow", 3*time.Second, false, "")
	a.deps.Stats.Record("quick", time.Millisecond, false, "")
	if err := a.deps.Stats.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"v", "w"} {
		if _, err := a.deps.Dict.Translate(ctx, dict.Query{System1: "CRM", Key1: "k", Value1: value, System2: "ERP", Key2: "k"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.deps.Dict.Close(context.Background()); err != nil { // writes the misses
		t.Fatal(err)
	}

	needs := needsOf(t, a, cookie)
	for _, want := range []struct{ text, n, note, rows string }{
		{"dead letters", "2", "orders no such customer", testid("letter")},
		{"services whose queue nobody handles", "2", "lonely", testid("service")},
		{"paused service with invocations that wait", "1", "resting 1 waits for 2 minutes", testid("service")},
		{"failed runs of a program in the last hour", "3", "bad.one", testid("run")},
		{"failed invocation of a program in the last hour", "1", "gone none of them came to a run", ""},
		{"services with failed calls in the last hour", "2", "1 of 1 call failed", testid("main") + " " + testid("row")},
		{"slow service in the last hour", "1", "slow mean 3.0 s", testid("main") + " " + testid("row")},
		{"values that found no translation", "2", "CRM k → ERP k, 1 lookup", testid("miss")},
	} {
		need, ok := needs[want.text]
		if !ok || need[0] != want.n || !strings.Contains(need[1], want.note) {
			t.Errorf("of %q it says %q, want %s and %q; all are %q", want.text, need, want.n, want.note, needs)
			continue
		}
		rec := a.get(need[2], session(cookie))
		wantStatus(t, rec, http.StatusOK)
		if rows := doc(t, rec).Find(want.rows).Length(); want.rows != "" && strconv.Itoa(rows) != want.n {
			t.Errorf("%s %s lead to %d rows at %s", want.n, want.text, rows, need[2])
		}
	}
}

// TestOverviewPartsAreReadAnew asks for the live parts as the open page does.
func TestOverviewPartsAreReadAnew(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	a := newAppOn(t, kvtest.Open(t), func(d *Deps) { d.DB = srv.DB(t); d.Dict = dict.New(d.DB, dict.Options{}) })
	cookie := a.signIn(Viewer)
	part := func(id string) *goquery.Selection {
		t.Helper()
		rec := a.get("/", session(cookie), fragment, header("HX-Target", "section#"+id))
		wantStatus(t, rec, http.StatusOK)
		d := doc(t, rec)
		if d.Find("h1").Length() > 0 {
			t.Fatalf("%s is a whole page", id)
		}
		return d.Find("section#" + id)
	}
	kvtest.Await(t, "the pulse", func() bool { return strings.Contains(part("pulse").Find(".badge").Text(), "ok") })
	if tiles := part("pulse").Find(testid("pulse")); tiles.Length() != 4 || strings.Contains(tiles.Eq(1).Text(), "–") {
		t.Errorf("the pulse is %q", tiles.Text())
	}
	if every := part("needs").AttrOr("hx-trigger", ""); every != "every 30s" {
		t.Errorf("what needs someone is asked for %q", every)
	}
	srv.Kill()
	kvtest.Await(t, "that it is away", func() bool { return part("pulse").Find(".badge").Text() == "away" })
	if tiles := part("pulse").Find(testid("pulse")); tiles.Length() != 4 || tiles.Find("dd a").Text() != "––––" {
		t.Errorf("without a server the pulse is %q", tiles.Text())
	}
}

// TestOverviewOfAnEmptyStore has the first steps in place of zeros, each for who may take it.
func TestOverviewOfAnEmptyStore(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	steps := func(cookie string) *goquery.Selection {
		t.Helper()
		rec := a.get("/", session(cookie))
		wantStatus(t, rec, http.StatusOK)
		return doc(t, rec).Find(testid("steps"))
	}
	for role, want := range map[string]int{a.signIn(Viewer): 1, a.signIn(Operator): 7, a.signIn(Admin): 8} {
		links := steps(role).Find("a")
		if links.Length() != want {
			t.Errorf("%d links, want %d: %s", links.Length(), want, links.Text())
		}
		for _, link := range links.EachIter() {
			wantStatus(t, a.get(link.AttrOr("href", ""), session(role)), http.StatusOK)
		}
	}
	if _, err := a.deps.Broker.Invoke(t.Context(), broker.Call{Service: "echo"}); err != nil {
		t.Fatal(err)
	}
	if steps(a.signIn(Viewer)).Length() != 0 {
		t.Error("there are first steps in a store that is used")
	}
}

// TestOverviewHasTheLastChangesOfAll mixes the history of the dictionaries with the audit log, and leaves out what programs do all day.
func TestOverviewHasTheLastChangesOfAll(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	ctx := t.Context()
	operator := a.signIn(Operator)
	entry := dict.Entry{System: "CRM", Key: "k", Value: "v"}
	if _, _, err := a.deps.Dict.CreateEntry(ctx, dict.By{Who: "anna"}, entry); err != nil {
		t.Fatal(err)
	}
	for _, r := range []audit.Record{
		{Verb: verbLuaSave, Object: programObject("stock.reserve"), Actor: "bea", Outcome: audit.Done},
		{Verb: "service.invoke", Object: serviceObject("orders"), Actor: "till", Outcome: audit.Done},
		{Verb: verbServicePolicy, Object: serviceObject("orders"), Actor: "bea", Outcome: audit.Failed},
		{Verb: verbUserRole, Object: userObject("carl"), Actor: "admin", Outcome: audit.Unknown},
	} {
		if err := a.deps.Audit.Write(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	rows := func(cookie string) (out []string) {
		t.Helper()
		for _, row := range doc(t, a.get("/", session(cookie))).Find(testid("last-change")).EachIter() {
			out = append(out, strings.Join(strings.Fields(row.Find("td").First().Text()), " ")+" @ "+row.Find("a").First().AttrOr("href", ""))
		}
		return out
	}
	got := rows(operator)
	want := []string{
		"user carl got another role not known whether done @ /audit?object=user+carl&verb=user.role",
		"service orders got another policy failed @ /broker/services/orders",
		"program stock.reserve saved @ /lua/stock.reserve",
	}
	others := slices.DeleteFunc(slices.Clone(got), func(row string) bool { return strings.Contains(row, "@ /dictionaries/changes/") })
	if !slices.Equal(others, want) || len(got) != len(want)+1 {
		t.Errorf("changes are %q, want that of the dictionary and %q", got, want)
	}
	if got := strings.Join(rows(a.signIn(Admin)), "\n"); !strings.Contains(got, "@ /settings/users/carl") {
		t.Errorf("an admin is led to %s", got)
	}
	undo := `a[aria-label^="Undo"]`
	if doc(t, a.get("/", session(operator))).Find(undo).Length() != 1 || doc(t, a.get("/", session(a.signIn(Viewer)))).Find(undo).Length() != 0 {
		t.Error("the undo of a dictionary's change is not for operators alone")
	}
}
