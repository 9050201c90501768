package handlers

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"webadmin/internal/broker"
	"webadmin/internal/kvdb/kvtest"
)

const channelPath = "/broker/channels/orders%2Feu"

// published is a server with messages on the channel orders/eu, the last of which is returned.
func published(t *testing.T, messages ...string) (a *app, cookie string, last broker.Message) {
	t.Helper()
	a = newApp(t)
	for _, m := range messages {
		var err error
		if last, _, err = a.deps.Broker.Publish(t.Context(), "orders/eu", []byte(m), "anna", ""); err != nil {
			t.Fatal(err)
		}
	}
	return a, a.signIn(Operator), last
}

func texts(s *goquery.Selection) (out []string) {
	for _, el := range s.EachIter() {
		out = append(out, strings.Join(strings.Fields(el.Text()), " "))
	}
	return out
}

func TestChannelPages(t *testing.T) {
	t.Parallel()
	a, cookie, last := published(t, `{"n":12345678901234567890.10}`, `"<em>x</em>"`, "null")
	d := doc(t, a.get("/broker/channels", session(cookie)))
	if got := texts(d.Find(testid("channel"))); len(got) != 1 || !strings.HasPrefix(got[0], "orders/eu33") { // 3 published, 3 kept
		t.Errorf("%q", got)
	}
	if got := doc(t, a.get("/broker/channels?q=nothing", session(cookie))).Find(".empty-title").Text(); got != "Nothing matches" {
		t.Error(got)
	}
	rec := a.get(channelPath, session(cookie))
	wantStatus(t, rec, http.StatusOK)
	d = doc(t, rec)
	got := texts(d.Find(testid("message")))
	if len(got) != 3 || !strings.Contains(got[2], `{"n":12345678901234567890.10}`) ||
		!strings.Contains(got[1], `"<em>x</em>"`) || d.Find("#list em").Length() != 0 {
		t.Errorf("%q", got)
	}
	if twice := duplicateIDs(d); len(twice) > 0 {
		t.Errorf("IDs that are there twice: %v", twice)
	}
	if stream, _ := d.Find("#list").Attr("data-tail"); stream != channelPath+"/stream" {
		t.Error(stream)
	}
	if after, _ := d.Find("#list").Attr("data-tail-after"); after != last.ID {
		t.Error(after)
	}
	found := doc(t, a.get(channelPath+"?q=N%22:", session(cookie), fragment))
	if got := texts(found.Find(testid("message"))); len(got) != 1 {
		t.Errorf("%q", got)
	}
	since := doc(t, a.get(channelPath+"?after="+last.IDBefore(), session(cookie)))
	if got := texts(since.Find(testid("message"))); len(got) != 1 || !strings.Contains(since.Find(".filters .count").Text(), "From message 3 on") {
		t.Errorf("%q", got)
	}
	one := doc(t, a.get(channelPath+"/messages/"+last.ID, session(cookie)))
	if one.Find("h1").Text() != "Message 3" || one.Find(testid("data")).Text() != "null" {
		t.Errorf("%q %q", one.Find("h1").Text(), one.Find(testid("data")).Text())
	}
	if rec := a.get(channelPath+"/messages/"+last.ID+"/data", session(cookie)); rec.Body.String() != "null" ||
		!strings.Contains(rec.Header().Get("Content-Disposition"), "message-3.json") {
		t.Errorf("%q %v", rec.Body, rec.Header())
	}
	for _, path := range []string{"/broker/channels/none", "/broker/channels/a%20b", channelPath + "/messages/x-1"} {
		wantStatus(t, a.get(path, session(cookie)), http.StatusNotFound)
	}
	viewer := doc(t, a.get(channelPath, session(a.signIn(Viewer))))
	if viewer.Find("#publish, "+testid("settings-form")).Length() != 0 || viewer.Find(testid("message")).Length() != 3 {
		t.Error("a viewer is offered what only operators may do, or can't read")
	}
}

func TestPublishFromAPage(t *testing.T) {
	t.Parallel()
	a, cookie, _ := published(t)
	form := doc(t, a.get("/broker/publish?channel=orders/eu", session(cookie)))
	op, _ := form.Find("input[name=op]").Attr("value")
	send := func(status int, fields []string, alter ...with) *httptest.ResponseRecorder {
		t.Helper()
		rec := a.post("/broker/publish", append(fields, "op", op), append(alter, session(cookie))...)
		wantStatus(t, rec, status)
		return rec
	}
	message := []string{"channel", "orders/eu", "message", "{\r\n \"n\": 1.0\r\n}"}
	wantRedirect(t, send(http.StatusSeeOther, message), channelPath)
	wantRedirect(t, send(http.StatusSeeOther, message), channelPath) // sent twice, it is published once
	page, err := a.deps.Broker.Messages(t.Context(), "orders/eu", broker.MessageFilter{}, "", 10)
	if err != nil || len(page.Items) != 1 || string(page.Items[0].Data) != "{\n \"n\": 1.0\n}" || page.Items[0].By != "operator" {
		t.Fatalf("%+v, %v", page, err)
	}
	a.wantRecord("operator | channel.publish | channel orders/eu | done")

	part := doc(t, send(http.StatusOK, []string{"channel", "orders/eu", "message", "7", "times", "3"}, fragment))
	if said := part.Find(testid("said")).Text(); !strings.Contains(said, "Published 3 times. Nobody is connected now.") {
		t.Error(said)
	}
	if next, _ := part.Find("#publish input[name=op]").Attr("value"); next == op || strings.TrimSpace(part.Find("textarea").Text()) != "7" {
		t.Error("the message is not there to be changed and sent again")
	}
	wrong := doc(t, send(http.StatusUnprocessableEntity, []string{"channel", "orders/eu", "message", "{\n\"a\": }"}, fragment))
	if say := wrong.Find(testid("json-say")).Text(); !strings.Contains(say, "Line 2, column 6") ||
		!strings.Contains(wrong.Find("textarea").Text(), `"a": }`) {
		t.Error(say)
	}
	for _, fields := range [][]string{
		{"channel", "a b", "message", "1"}, {"channel", "c", "message", ""},
		{"channel", "c", "message", "1", "times", "1001"}, {"channel", "", "message", "1"},
		{"channel", "c", "message", `"` + strings.Repeat("x", 1<<20) + `"`},
	} {
		if d := doc(t, send(http.StatusUnprocessableEntity, fields)); d.Find(".field-error").Length() == 0 {
			t.Errorf("%.40v: nothing says what is wrong", fields)
		}
	}
	wantStatus(t, a.post("/broker/publish", message, session(a.signIn(Viewer))), http.StatusForbidden)
	if c, err := a.deps.Broker.Channel(t.Context(), "orders/eu"); err != nil || c.Published != 4 {
		t.Errorf("%d messages, %v", c.Published, err)
	}
}

func TestPresetsOfAChannel(t *testing.T) {
	t.Parallel()
	a, cookie, _ := published(t, "1")
	save := []string{"channel", "orders/eu", "message", `{"x":1}`, "do", "preset", "preset", "a & b"}
	wantRedirect(t, a.post("/broker/publish", save, session(cookie)), channelPath)
	d := doc(t, a.get(channelPath, session(cookie)))
	link := d.Find(testid("preset") + " a")
	href, _ := link.Attr("href")
	if link.Text() != "a & b" {
		t.Fatal(link.Text())
	}
	filled := doc(t, a.get(strings.TrimSuffix(href, "#publish"), session(cookie)))
	if got := strings.Join(strings.Fields(filled.Find("#message").Text()), ""); got != `{"x":1}` {
		t.Error(got)
	}
	rec := a.post("/broker/publish", save, session(cookie), fragment)
	wantStatus(t, rec, http.StatusUnprocessableEntity)
	if got := doc(t, rec).Find("#publish-preset-error").Text(); !strings.HasPrefix(got, "Is taken") {
		t.Error(got)
	}
	wantRedirect(t, a.post(channelPath+"/presets/delete", []string{"name", "a & b"}, session(cookie)), channelPath)
	a.wantRecord("operator | channel.preset.delete | channel orders/eu | done")
	if c, err := a.deps.Broker.Channel(t.Context(), "orders/eu"); err != nil || c.Published != 1 {
		t.Errorf("saving a preset published something: %d, %v", c.Published, err)
	}
}

func TestChannelSettingsPage(t *testing.T) {
	t.Parallel()
	a, cookie, _ := published(t, "1")
	wantRedirect(t, a.post(channelPath+"/settings", []string{"version", "0", "keep_n", "500", "keep", "12 h"}, session(cookie)), channelPath)
	if got := doc(t, a.get(channelPath, session(cookie))).Find(testid("settings") +
		" p").First().Text(); got != "The newest 500 messages, for 12 h at most." {
		t.Error(got)
	}
	rec := a.post(channelPath+"/settings", []string{"version", "0", "keep_n", "600", "keep", "1 d"}, session(cookie))
	wantStatus(t, rec, http.StatusConflict)
	d := doc(t, rec)
	if got, _ := d.Find("#keep-n").Attr("value"); got != "600" || !strings.Contains(d.Find(testid("settings-form")+" .notice").Text(),
		"500 messages, for 12 h") {
		t.Errorf("%q %q", got, d.Find(".notice").Text())
	}
	rec = a.post(channelPath+"/settings", []string{"version", "1", "keep_n", "0", "keep", "soon"}, session(cookie))
	wantStatus(t, rec, http.StatusUnprocessableEntity)
	if got, _ := doc(t, rec).Find("#keep").Attr("value"); got != "soon" {
		t.Error(got)
	}
}

func TestForgetSubscriber(t *testing.T) {
	t.Parallel()
	a, cookie, _ := published(t, "1", "2")
	sub, err := a.deps.Broker.Subscribe(t.Context(), "orders/eu", broker.SubscribeOptions{After: broker.FromOldest, Subscriber: "billing"})
	if err != nil {
		t.Fatal(err)
	}
	sub.Close()
	rows := doc(t, a.get(channelPath, session(cookie))).Find(testid("subscriber"))
	if got := texts(rows); len(got) != 1 || got[0] != "billingaway 02" {
		t.Errorf("%q", got)
	}
	rec := a.post(channelPath+"/forget", []string{"subscriber", "billing"}, session(cookie), fragment)
	wantStatus(t, rec, http.StatusOK)
	if doc(t, rec).Find(testid("subscriber")).Length() != 0 {
		t.Error("it is still there")
	}
	a.wantRecord("operator | channel.forget | channel orders/eu | done")
}

// TestTail: new messages come as rows, a page that comes back goes on where it was, and reading leaves no trace.
func TestTail(t *testing.T) {
	t.Parallel()
	a, cookie, last := published(t, "1")
	server := httptest.NewServer(a.e)
	t.Cleanup(server.Close)
	say := func(message string) {
		if _, _, err := a.deps.Broker.Publish(t.Context(), "orders/eu", []byte(message), "", ""); err != nil {
			t.Error(err)
		}
	}
	listen := func(query url.Values) (event func(name string) string, leave func()) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		r, _ := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+channelPath+"/stream?"+query.Encode(), nil)
		session(cookie)(r)
		res, err := http.DefaultClient.Do(r)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%v, %v", res, err)
		}
		lines := bufio.NewScanner(res.Body)
		return func(name string) string {
			t.Helper()
			var data []string
			for is := false; lines.Scan(); {
				line := lines.Text()
				is = is || line == "event: "+name
				if text, ok := strings.CutPrefix(line, "data: "); ok && is {
					data = append(data, text)
				}
				if line == "" && is {
					return strings.Join(data, "\n")
				}
			}
			t.Fatalf("no event %s: %v", name, lines.Err())
			return ""
		}, func() { cancel(); res.Body.Close() }
	}
	rows := func(html string) []string {
		d, err := goquery.NewDocumentFromReader(strings.NewReader("<table>" + html + "</table>"))
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, el := range d.Find("tr").EachIter() {
			out = append(out, strings.TrimSpace(el.Find("td .v").Text()+el.Find("td[colspan]").Text()))
		}
		return out
	}
	event, leave := listen(values("after", last.ID, "q", "hit"))
	say(`"miss"`)
	say(`"Hit <em>1</em>"`)
	if got := rows(event("rows")); len(got) != 1 || got[0] != `"Hit <em>1</em>"` {
		t.Errorf("%q", got)
	}
	leave()
	for i := range 3 {
		say(fmt.Sprint(i))
	}
	event, leave = listen(values("after", last.ID))
	if got := rows(event("rows")); strings.Join(got, " ") != `2 1 0 "Hit <em>1</em>" "miss"` {
		t.Errorf("%q", got)
	}
	say("3")
	if got := rows(event("rows")); strings.Join(got, " ") != "3" {
		t.Errorf("%q", got)
	}
	leave()
	if err := a.deps.DB.Client().XTrimMaxLen(t.Context(), a.deps.DB.Keys().Channel("orders/eu").Log(), 1).Err(); err != nil {
		t.Fatal(err)
	}
	event, leave = listen(values("after", last.ID))
	if got := rows(event("rows")); strings.Join(got, ", ") != "3, 5 messages are no longer kept." {
		t.Errorf("%q", got)
	}
	leave()
	event, leave = listen(values("after", "anotherepoch-7"))
	if got := rows(event("rows")); strings.Join(got, ", ") != "3, The channel began anew: earlier messages are gone." {
		t.Errorf("%q", got)
	}
	leave()
	c, err := a.deps.Broker.Channel(t.Context(), "orders/eu")
	if err != nil || c.Connected != 0 || len(c.Subscribers) != 0 {
		t.Errorf("who looks on is counted: %+v, %v", c, err)
	}
}

// TestTailOutlivesRedis: the page is told that Redis is away, and goes on by itself.
func TestTailOutlivesRedis(t *testing.T) {
	t.Parallel()
	redis := kvtest.NewServer(t, "--appendonly", "yes", "--appendfsync", "always")
	a := newAppOn(t, redis.DB(t))
	m, _, err := a.deps.Broker.Publish(t.Context(), "c", []byte("1"), "", "")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(a.e)
	t.Cleanup(server.Close)
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/broker/channels/c/stream?after="+m.ID, nil)
	session(a.signIn(Viewer))(r)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	await := func(part string) {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), part) {
				return
			}
		}
		t.Fatalf("%q does not come: %v", part, lines.Err())
	}
	redis.Kill()
	await("Redis is away")
	redis.Restart()
	kvtest.Await(t, "a message is published", func() bool {
		_, _, err := a.deps.Broker.Publish(t.Context(), "c", []byte(`"back"`), "", "")
		return err == nil
	})
	await("back")
}
