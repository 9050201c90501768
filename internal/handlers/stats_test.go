package handlers

import (
	"encoding/csv"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"webadmin/internal/kvdb/kvtest"
	"webadmin/internal/stats"
)

// called counts calls that took so many ms, so long ago.
func (a *dictApp) called(service string, n int, ms float64, ago time.Duration, cid string) {
	a.t.Helper()
	samples := make([]stats.Sample, n)
	for i := range samples {
		samples[i] = stats.Sample{Service: service, Took: time.Duration(ms * float64(time.Millisecond)),
			At: a.deps.Now().Add(-ago), CID: cid, Failed: i == 0 && n > 1}
	}
	if _, rejected, err := a.deps.Stats.RecordSamples(a.t.Context(), samples); err != nil || len(rejected) > 0 {
		a.t.Fatal(err, rejected)
	}
	if err := a.deps.Stats.Flush(a.t.Context()); err != nil {
		a.t.Fatal(err)
	}
}

// newStatsApp has traffic: a quick service that is called often, and a slow one that has become slower.
func newStatsApp(t *testing.T) *dictApp {
	a := newDictApp(t)
	a.called("quick", 40, 10, 20*time.Minute, "")
	a.called("slow"+markup, 4, 3000, 20*time.Minute, "cid-1")
	a.called("slow"+markup, 2, 1000, 80*time.Minute, "cid-0")
	a.called("api:GET /x", 5, 1, 20*time.Minute, "")
	return a
}

// cells returns the texts of a row, the name first.
func cells(row *goquery.Selection) []string {
	return row.Find("td").Map(func(_ int, td *goquery.Selection) string { return strings.Join(strings.Fields(td.Text()), " ") })
}

func TestTrends(t *testing.T) {
	t.Parallel()
	a := newStatsApp(t)
	rec := a.show("/stats/trends")
	wantStatus(t, rec, http.StatusOK)
	d := doc(t, rec)
	rows := d.Find(testid("main") + " " + testid("row"))
	if rows.Length() != 2 {
		t.Fatalf("%d services:\n%s", rows.Length(), d.Find(testid("services")).Text())
	}
	if got, want := cells(rows.First())[:8], []string{"slow" + markup + "over 2 s", "4", "<0.01", "3,000", "↑ 200 %", "3,000",
		"3,000", "1"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := cells(rows.Last())[:5]; !slices.Equal(got, []string{"quick", "40", "0.01", "10", "new"}) {
		t.Errorf("%q", got)
	}
	wantText(t, d.Find(testid("chart")), "All services, ms", "mean 282", "mean, the hour before", "44 calls", "2 failed")
	if d.Find(testid("chart")+" .tone-before path[d^=M]").Length() == 0 || d.Find(testid("chart")+" .tone-second path[d^=M]").Length() == 0 {
		t.Error("p95 and what is compared with are not drawn")
	}
	wantText(t, d.Find(testid("services")), "2 services", "1 hidden service of webadmin itself")
	if twice := duplicateIDs(d); len(twice) > 0 {
		t.Errorf("IDs twice: %v", twice)
	}
	wantText(t, d.Find("nav#nav a[aria-current=page]"), "Trends")

	d = doc(t, a.show("/stats/trends?own=1&sort=usage&compare=none&n=10"))
	rows = d.Find(testid("main") + " " + testid("row"))
	if rows.Length() != 3 || !strings.HasPrefix(rows.First().Text(), "quick") {
		t.Errorf("%d services, the first %q", rows.Length(), rows.First().Text())
	}
	if d.Find("th").Text() == "" || strings.Contains(d.Find("th").Text(), "Change") {
		t.Error("there is a change, compared with nothing")
	}
	for _, link := range d.Find("th.sort a").EachIter() {
		for _, kept := range []string{"own=1", "compare=none", "n=10"} {
			if !strings.Contains(link.AttrOr("href", ""), kept) {
				t.Errorf("sorting loses %s: %s", kept, link.AttrOr("href", ""))
			}
		}
	}
}

func TestTrendsInParts(t *testing.T) {
	t.Parallel()
	a := newStatsApp(t)
	rec := a.show("/stats/trends?q=QUI", fragment, header("HX-Target", "div#list"))
	wantStatus(t, rec, http.StatusOK)
	list := doc(t, rec).Find("#list")
	if list.Find(testid("row")).Length() != 1 || rec.Header().Get("HX-Push-Url") != "/stats/trends?q=QUI" {
		t.Errorf("%q:\n%s", rec.Header().Get("HX-Push-Url"), list.Text())
	}
	rec = a.show("/stats/trends?q=nothing", fragment, header("HX-Target", "div#list"))
	wantText(t, doc(t, rec).Find("#list"), "No service matches", "“nothing”")

	page := doc(t, a.show("/stats/trends"))
	refresh, polls := page.Find("#figures").Attr("hx-get")
	if !polls || page.Find("#figures").AttrOr("hx-trigger", "") != "every 10s" {
		t.Fatalf("the last hour is not live")
	}
	live := doc(t, a.show(refresh, fragment, header("HX-Target", "div#figures"))).Find("#figures")
	if live.Length() != 1 || live.AttrOr("hx-get", "") != refresh {
		t.Error("the live part has lost itself")
	}
	stop, _ := page.Find(testid("live")).Attr("href")
	if _, polls := doc(t, a.show(stop)).Find("#figures").Attr("hx-get"); polls {
		t.Error("it can't be stopped")
	}
}

func TestSteppingThroughTime(t *testing.T) {
	t.Parallel()
	a := newStatsApp(t)
	d := doc(t, a.show("/stats/trends?compare=none&view=all"))
	back, _ := d.Find(`[aria-label="The time before"]`).Attr("href")
	d = doc(t, a.show(back))
	rows := d.Find(testid("all") + " " + testid("row"))
	if rows.Length() != 1 || cells(rows)[1] != "2" {
		t.Errorf("the hour before: %s", d.Find(testid("services")).Text())
	}
	if _, polls := d.Find("#figures").Attr("hx-get"); polls {
		t.Error("what has passed is live")
	}
	forward, _ := d.Find(`[aria-label="The time after"]`).Attr("href")
	if forward != "/stats/trends?compare=none&period=hour&view=all" {
		t.Errorf("forward to %s", forward)
	}
	for page, periods := range map[string][]string{"/stats/trends": {"15m", "hour", "6h", "24h"},
		"/stats/summary": {"today", "yesterday", "week", "month", "year"}} {
		for _, period := range periods {
			rec := a.show(page + "?period=" + period)
			wantStatus(t, rec, http.StatusOK)
			for _, way := range []string{"The time before", "The time after"} {
				if to, ok := doc(t, rec).Find(`a[aria-label="` + way + `"]`).Attr("href"); ok {
					wantStatus(t, a.show(to), http.StatusOK)
				} else if way == "The time before" || period == "yesterday" {
					t.Errorf("%s %s: no way to %s", page, period, way)
				}
			}
			for _, choice := range doc(t, rec).Find(testid("controls") + " .menu-item").EachIter() {
				wantStatus(t, a.show(choice.AttrOr("href", "")), http.StatusOK)
			}
		}
	}
}

func TestZoomByLinks(t *testing.T) {
	t.Parallel()
	a := newStatsApp(t)
	d := doc(t, a.show("/stats/service?name=quick&compare=none"))
	before := d.Find(testid("periods") + " " + testid("row")).Length()
	var zoomed *goquery.Document
	for _, part := range d.Find("#chart-latency a").EachIter() {
		if near := doc(t, a.show(part.AttrOr("href", ""))); near.Find(testid("periods")+" "+testid("row")).Length() == 1 {
			zoomed = near
		}
	}
	if before != 1 || zoomed == nil {
		t.Fatalf("%d periods; no part of the chart has the calls", before)
	}
	if zoomed.Find(testid("periods")+" "+testid("row")).Length() != 1 || zoomed.Find(testid("zoom-out")).Length() != 1 {
		t.Errorf("zoomed in: %s", zoomed.Find("#main").Text())
	}
	out, _ := zoomed.Find(testid("zoom-out")).Attr("href")
	wantStatus(t, a.show(out), http.StatusOK)
	if zoom := d.Find("#chart-latency [data-zoom]"); zoom.AttrOr("data-from", "") >= zoom.AttrOr("data-to", "") ||
		strings.Contains(zoom.AttrOr("data-zoom", ""), "from=") {
		t.Error("a script can't zoom")
	}
}

func TestAWrongTime(t *testing.T) {
	t.Parallel()
	a := newStatsApp(t)
	for query, field := range map[string]string{
		"from=x&to=2026-01-01": "from", "from=2026-01-02&to=2026-01-01": "to", "from=2026-01-01": "to", "from=9000-01-01&to=9001-01-01": "from",
		"from=1969-01-01&to=1970-01-01": "from", "compare=own&cfrom=<em>&cto=y": "cfrom",
	} {
		rec := a.show("/stats/trends?" + query)
		wantStatus(t, rec, http.StatusUnprocessableEntity)
		d := doc(t, rec)
		if d.Find(testid("own-range")+" #own-"+field+"-error").Length() != 1 || d.Find(testid("row")).Length() == 0 {
			t.Errorf("%s: %s", query, d.Find(testid("own-range")).Text())
		}
	}
	d := doc(t, a.show("/stats/trends?period=own&view=pair"))
	if d.Find(testid("own-range")+" input[type=datetime-local]").Length() != 2 ||
		d.Find(testid("own-range")+` input[name=view][value=pair]`).Length() != 1 {
		t.Error("there is no form for a time")
	}
	d = doc(t, a.show("/stats/summary?compare=own"))
	if d.Find(testid("own-range")+" input[name=cfrom]").Length() != 1 {
		t.Error("there is no form for what to compare with")
	}
}

func TestSummaryHasTheSlowestBesideTheMostUsed(t *testing.T) {
	t.Parallel()
	a := newStatsApp(t)
	now := a.deps.Now()
	d := doc(t, a.show("/stats/summary?from="+url.QueryEscape(linkTime(now.Add(-time.Hour)))+"&to="+url.QueryEscape(linkTime(now))))
	slowest, most := d.Find(testid("slowest")+" "+testid("row")).First(), d.Find(testid("most-used")+" "+testid("row")).First()
	if !strings.HasPrefix(slowest.Text(), "slow") || !strings.HasPrefix(most.Text(), "quick") {
		t.Errorf("the slowest: %q, the most used: %q", slowest.Text(), most.Text())
	}
	wantText(t, most, "over 10 %")
	if slowest.AttrOr("data-pair", "") != "slow"+markup {
		t.Error("rows of a service do not know each other")
	}
}

func TestDaysAreThoseOfTheReadersZone(t *testing.T) {
	t.Parallel()
	a := newStatsApp(t)
	cookie := func(zone string) with {
		return func(r *http.Request) { r.AddCookie(&http.Cookie{Name: zoneCookie, Value: url.QueryEscape(zone)}) }
	}
	for zone, want := range map[string]string{"Asia/Kolkata": "those of Asia/Kolkata", "UTC": "Times are UTC.",
		"../etc/passwd": "Times are UTC.", "Local": "Times are UTC."} {
		d := doc(t, a.show("/stats/summary", cookie(zone)))
		wantText(t, d.Find(testid("zone")), want)
		loc, err := time.LoadLocation(zone)
		if err != nil || zone == "Local" {
			loc = time.UTC
		}
		midnight := stats.Bounds(stats.SpanToday, a.deps.Now(), loc).From.UnixMilli()
		if got := d.Find("#chart-all [data-zoom]").AttrOr("data-from", ""); got != decimalDigits(midnight) {
			t.Errorf("%s: today begins at %s, want %d", zone, got, midnight)
		}
	}
	wantText(t, doc(t, a.show("/stats/summary")).Find(testid("zone")), "has not told its zone")
}

func decimalDigits(n int64) string { return strings.ReplaceAll(decimal(n), ",", "") }

func TestFiguresAsCSV(t *testing.T) {
	t.Parallel()
	a := newStatsApp(t)
	a.called("=1+1", 1, 5, time.Minute, "")
	read := func(path string) [][]string {
		rec := a.show(path)
		wantStatus(t, rec, http.StatusOK)
		rows, err := csv.NewReader(rec.Body).ReadAll()
		if err != nil || !strings.HasPrefix(rec.Header().Get("Content-Disposition"), "attachment") {
			t.Fatal(err, rec.Header())
		}
		return rows
	}
	rows := read("/stats/trends?format=csv")
	if len(rows) != 4 || rows[0][2] != "service" || rows[1][2] != "slow"+markup || rows[1][5] != "3000" ||
		rows[3][2] != "'=1+1" || len(rows[0]) != 2*14-1 {
		t.Errorf("%q", rows)
	}
	rows = read("/stats/service?name=quick&format=csv")
	if i := slices.IndexFunc(rows, func(row []string) bool { return row[3] == "40" }); i < 0 || rows[i][0] != "quick" || len(rows[i]) != 12 {
		t.Errorf("%q", rows)
	}
	rows = read("/stats/slow?service=slow" + url.QueryEscape(markup) + "&format=csv")
	if len(rows) != 7 || rows[1][1] != "3000" || rows[6][3] != "cid-0" {
		t.Errorf("%q", rows)
	}
}

func TestServicePage(t *testing.T) {
	t.Parallel()
	a := newStatsApp(t)
	path := "/stats/service?name=" + url.QueryEscape("slow"+markup)
	rec := a.show(path)
	wantStatus(t, rec, http.StatusOK)
	d := doc(t, rec)
	if d.Find(testid("chart")).Length() != 3 || d.Find(testid("heat")+" path").Length() == 0 || d.Find(testid("tile")).Length() != 8 {
		t.Errorf("%d charts, %d tiles", d.Find(testid("chart")).Length(), d.Find(testid("tile")).Length())
	}
	wantText(t, d.Find(testid("tile")).Eq(2), "Mean, ms", "3,000", "↑ 200 %", "was 1,000")
	if calls := d.Find(testid("call")); calls.Length() != 4 {
		t.Errorf("%d slow calls", calls.Length())
	}
	wantText(t, d.Find(testid("call")).First(), "3 s", "cid-1")
	if twice := duplicateIDs(d); len(twice) > 0 {
		t.Errorf("IDs twice: %v", twice)
	}
	rec = a.show(path, fragment, header("HX-Target", "div#figures"))
	if doc(t, rec).Find("#figures "+testid("chart")).Length() != 3 {
		t.Error("the live part is not that")
	}
	wantText(t, doc(t, a.show("/stats/service?name=nobody")).Find("#main"), "No calls in this time")
	wantRedirect(t, a.show("/stats/service"), "/stats/trends")
	for name, link := range map[string]string{"lua:x.y": "/lua/x.y", "wait:orders": "/stats/service?name=orders",
		"translate": "/dictionaries/translate"} {
		if doc(t, a.show("/stats/service?name="+name)).Find(`.facts a[href="`+link+`"]`).Length() != 1 {
			t.Errorf("%s does not lead to %s", name, link)
		}
	}
}

func TestThreshold(t *testing.T) {
	t.Parallel()
	a := newStatsApp(t)
	name := "slow" + markup
	path := "/stats/service?name=" + url.QueryEscape(name)
	wantRedirect(t, a.send("/stats/threshold", []string{"service", name, "ms", "2500"}), path)
	a.wantRecord("operator | stats.threshold | statistics of " + name + " | done")
	d := doc(t, a.show(path))
	wantText(t, d.Find(testid("call")).First(), "over 2.5 s")
	if d.Find(testid("threshold")+` input[name=ms]`).AttrOr("value", "") != "2500" {
		t.Error("the threshold is not in its field")
	}
	if n := doc(t, a.show("/stats/slow?over=1")).Find(testid("call")).Length(); n != 4 {
		t.Errorf("%d calls over their threshold", n)
	}
	for _, wrong := range []string{"-1", "x", "NaN", "1e300"} {
		rec := a.send("/stats/threshold", []string{"service", name, "ms", wrong})
		wantStatus(t, rec, http.StatusUnprocessableEntity)
		if field := doc(t, rec).Find(testid("threshold") + " input[name=ms]"); field.AttrOr("value", "") != wrong ||
			field.AttrOr("aria-invalid", "") != "true" {
			t.Errorf("%s is not shown again", wrong)
		}
	}
	wantRedirect(t, a.send("/stats/threshold", []string{"service", name, "ms", ""}), path)
	if doc(t, a.show("/stats/slow?over=1")).Find(testid("call")).Length() != 0 {
		t.Error("the threshold is still there")
	}
	if doc(t, a.as(Viewer).show(path)).Find(testid("threshold")+" button").Length() != 0 {
		t.Error("a viewer is offered to set it")
	}
}

func TestSlowCalls(t *testing.T) {
	t.Parallel()
	a := newStatsApp(t)
	d := doc(t, a.show("/stats/slow"))
	first := d.Find(testid("call")).First()
	wantText(t, first, "slow<em>UHOH<", "3 s", "cid-1")
	if strings.Contains(d.Find(testid("calls")).Text(), "api:") {
		t.Error("webadmin's own are among them")
	}
	for query, want := range map[string]int{"min_ms=2000": 4, "min_ms=500&period=hour": 4, "min_ms=500": 6, "service=quick&min_ms=11": 0,
		"service=nobody": 0, "own=1&service=api%3AGET+%2Fx": 5, "period=all&min_ms=1000": 6} {
		if n := doc(t, a.show("/stats/slow?"+query)).Find(testid("call")).Length(); n != want {
			t.Errorf("%s: %d calls, want %d", query, n, want)
		}
	}
	rec := a.show("/stats/slow?min_ms=x")
	wantStatus(t, rec, http.StatusUnprocessableEntity)
	if doc(t, rec).Find("#filter-min-error").Length() != 1 {
		t.Error("nothing says what is wrong")
	}
	rec = a.show("/stats/slow?period=own", fragment, header("HX-Target", "section#list"))
	if rec.Header().Get("HX-Redirect") != "/stats/slow?period=own" {
		t.Error("the fields for a time do not come")
	}
	if doc(t, a.show("/stats/slow?period=own")).Find("#filter-from").Length() != 1 {
		t.Error("there are no fields for a time")
	}
}

func TestStatisticsWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	a := &dictApp{newApp(t, func(d *Deps) { d.Stats = stats.New(srv.DB(t), stats.Options{}) }), nil}
	a.who = session(a.signIn(Viewer))
	srv.Kill()
	for _, path := range []string{"/stats/trends", "/stats/summary", "/stats/service?name=x", "/stats/slow", "/stats/settings"} {
		wantStatus(t, a.show(path), http.StatusServiceUnavailable)
	}
	rec := a.show("/stats/trends", fragment, header("HX-Target", "div#figures"))
	wantStatus(t, rec, http.StatusServiceUnavailable)
	if rec.Header().Get("HX-Reswap") != "none" {
		t.Error("what was there is gone")
	}
}
