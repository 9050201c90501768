package handlers

import (
	"bytes"
	"context"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/redis/go-redis/v9"

	"webadmin/internal/account"
	"webadmin/internal/dict"
)

// dictApp is the server with somebody signed in as an operator.
type dictApp struct {
	*app
	who with
}

func newDictApp(t testing.TB, change ...func(*Deps)) *dictApp {
	a := newApp(t, change...)
	return &dictApp{a, session(a.signIn(Operator))}
}

func (a *dictApp) as(role account.Role) *dictApp { return &dictApp{a.app, session(a.signIn(role))} }

// show is a GET, send a POST of the reader's.
func (a *dictApp) show(path string, alter ...with) *httptest.ResponseRecorder {
	a.t.Helper()
	return a.get(path, append(alter, a.who)...)
}

func (a *dictApp) send(path string, fields []string, alter ...with) *httptest.ResponseRecorder {
	a.t.Helper()
	return a.post(path, fields, append(alter, a.who)...)
}

func (a *dictApp) addEntry(system, key, value string) dict.Entry {
	a.t.Helper()
	e, _, err := a.deps.Dict.CreateEntry(context.Background(), dict.By{Who: "anna"}, dict.Entry{System: system, Key: key, Value: value})
	if err != nil {
		a.t.Fatal(err)
	}
	return e
}

func (a *dictApp) addTranslation(fields ...string) dict.Translation {
	a.t.Helper()
	t, _, err := a.deps.Dict.CreateTranslation(context.Background(), dict.By{Who: "anna"}, dict.Translation{
		System1: fields[0], Key1: fields[1], Value1: fields[2], System2: fields[3], Key2: fields[4], Value2: fields[5],
	}, true)
	if err != nil {
		a.t.Fatal(err)
	}
	return t
}

// addCSV imports rows of six columns.
func (a *dictApp) addCSV(rows ...string) {
	a.t.Helper()
	file := "system1,key1,value1,system2,key2,value2\n" + strings.Join(rows, "\n") + "\n"
	_, err := a.deps.Dict.Import(context.Background(), dict.By{Who: "anna"}, strings.NewReader(file), dict.ImportOptions{Format: dict.CSV, Mode: dict.Merge, Name: "codes.csv"})
	if err != nil {
		a.t.Fatal(err)
	}
}

// all lists the translations as "s k v > s k v".
func (a *dictApp) all() []string {
	a.t.Helper()
	page, err := a.deps.Dict.Translations(context.Background(), dict.Filter{}, dict.ListOptions{Limit: 1000})
	if err != nil {
		a.t.Fatal(err)
	}
	out := make([]string, len(page.Items))
	for i, t := range page.Items {
		out[i] = fmt.Sprintf("%s %s %s > %s %s %s", t.System1, t.Key1, t.Value1, t.System2, t.Key2, t.Value2)
	}
	return out
}

func (a *dictApp) allEntries() []string {
	a.t.Helper()
	page, err := a.deps.Dict.Entries(context.Background(), dict.Filter{}, dict.ListOptions{Limit: 1000})
	if err != nil {
		a.t.Fatal(err)
	}
	out := make([]string, len(page.Items))
	for i, e := range page.Items {
		out[i] = e.System + " " + e.Key + " " + e.Value
	}
	return out
}

func (a *dictApp) changeCount() int64 {
	a.t.Helper()
	page, err := a.deps.Dict.Changes(context.Background(), "", 1)
	if err != nil {
		a.t.Fatal(err)
	}
	return page.All
}

// rows parses a fragment of table bodies, which a parser drops outside of a table.
func rows(t testing.TB, rec *httptest.ResponseRecorder) *goquery.Document {
	t.Helper()
	d, err := goquery.NewDocumentFromReader(io.MultiReader(strings.NewReader("<table>"), bytes.NewReader(rec.Body.Bytes()), strings.NewReader("</table>")))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// fieldsOf returns what the form would send, as a browser fills it in.
func fieldsOf(d *goquery.Document) []string {
	var out []string
	for _, el := range d.Find("main, body").First().Find("input[name], textarea[name]").EachIter() {
		name, _ := el.Attr("name")
		value, _ := el.Attr("value")
		kind, _ := el.Attr("type")
		_, checked := el.Attr("checked")
		switch {
		case goquery.NodeName(el) == "textarea":
			value = strings.TrimPrefix(el.Text(), "\n")
		case (kind == "checkbox" || kind == "radio") && !checked:
			continue
		}
		out = append(out, name, value)
	}
	return out
}

// instead replaces the value of fields.
func instead(fields []string, pairs ...string) []string {
	out := append([]string(nil), fields...)
	for i := 0; i+1 < len(pairs); i += 2 {
		found := false
		for j := 0; j+1 < len(out); j += 2 {
			if out[j] == pairs[i] {
				out[j+1], found = pairs[i+1], true
			}
		}
		if !found {
			out = append(out, pairs[i], pairs[i+1])
		}
	}
	return out
}

func valueOf(d *goquery.Document, name string) string {
	el := d.Find(`[name="` + name + `"]`).First()
	if goquery.NodeName(el) == "textarea" {
		return strings.TrimPrefix(el.Text(), "\n")
	}
	value, _ := el.Attr("value")
	return value
}

var tags = regexp.MustCompile(`<[^>]*>`)

// words is the text that can be read, a blank between any two elements.
func words(where *goquery.Selection) string {
	var b strings.Builder
	for _, el := range where.EachIter() {
		text, _ := goquery.OuterHtml(el)
		b.WriteString(tags.ReplaceAllString(text, " "))
	}
	return strings.Join(strings.Fields(html.UnescapeString(b.String())), " ")
}

func wantText(t testing.TB, where *goquery.Selection, want ...string) {
	t.Helper()
	got := words(where)
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("%q is not in %q", w, got)
		}
	}
}

func wantList(t testing.TB, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("there is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// deafness loses the answer to the next change of the dictionaries, or the change itself, and then the way to Redis for all about
// them.
type deafness struct {
	on   atomic.Bool
	lost atomic.Bool // the change is not made either
	deaf atomic.Bool
}

func (d *deafness) DialHook(next redis.DialHook) redis.DialHook { return next }

func (d *deafness) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		change := strings.HasPrefix(cmd.Name(), "eval")
		if !d.on.Load() || !strings.Contains(fmt.Sprint(cmd.Args()...), "{dict}") || !change && !d.deaf.Load() {
			return next(ctx, cmd)
		}
		if !d.deaf.Swap(true) && !d.lost.Load() {
			if err := next(ctx, cmd); err != nil {
				d.deaf.Store(false) // the script was not known: it comes again, as a whole
				return err
			}
		}
		cmd.SetErr(io.EOF)
		return io.EOF
	}
}

func (d *deafness) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func TestDictionariesLeadToTranslations(t *testing.T) {
	t.Parallel()
	a := newDictApp(t)
	wantRedirect(t, a.show("/dictionaries"), "/dictionaries/translations")
}

func TestDictionaryPagesAreWholeAccessiblePages(t *testing.T) {
	t.Parallel()
	a := newDictApp(t)
	e := a.addTranslation("CRM", "code", "AW", "BILLING", "code", "533")
	odd := a.addEntry("CRM", "code", "two\nlines")
	for _, path := range []string{
		"/dictionaries/entries", "/dictionaries/entries/new", "/dictionaries/entries/" + odd.ID, "/dictionaries/entries/" + odd.ID + "/edit", "/dictionaries/entries/" + odd.ID + "/delete",
		"/dictionaries/translations", "/dictionaries/translations?q=nothing", "/dictionaries/translations?sort=-target&system1=CRM&key1=code&value1=AW", "/dictionaries/translations/new",
		"/dictionaries/translations/" + e.ID, "/dictionaries/translations/" + e.ID + "/edit", "/dictionaries/translations/" + e.ID + "/delete",
		"/dictionaries/translate", "/dictionaries/translate?system1=CRM&key1=code&value1=AW&system2=BILLING&key2=code&system=BILLING&key=code&value=533",
		"/dictionaries/transfer", "/dictionaries/misses", "/dictionaries/changes", "/dictionaries/changes/1",
	} {
		t.Run(path, func(t *testing.T) {
			rec := a.show(path)
			wantStatus(t, rec, http.StatusOK)
			d := doc(t, rec)
			if d.Find("h1").Length() != 1 || d.Find("title").Text() == "" || d.Find("nav#nav .sub a").Length() == 0 {
				t.Error("no heading, no title or no way on")
			}
			if ids := duplicateIDs(d); len(ids) > 0 {
				t.Errorf("ids that occur twice: %v", ids)
			}
			if d.Find("[style], [onclick], script:not([src]), style").Length() != 0 {
				t.Error("the content policy forbids inline scripts and styles")
			}
			for _, form := range d.Find("main form").EachIter() {
				if action, _ := form.Attr("action"); !strings.HasPrefix(action, "/dictionaries") {
					t.Errorf("a form without an address works by script only: %q", action)
				}
			}
			for _, el := range d.Find("main [hx-get], main [hx-post]").EachIter() {
				if goquery.NodeName(el) == "div" { // the choices, which a form does without
					continue
				}
				_, href := el.Attr("href")
				_, action := el.Attr("action")
				_, formaction := el.Attr("formaction")
				if !href && !action && !formaction {
					html, _ := goquery.OuterHtml(el)
					t.Errorf("works by script only: %.200s", html)
				}
			}
			for _, el := range d.Find("main input:not([type=hidden]), main select, main textarea").EachIter() {
				id, _ := el.Attr("id")
				if d.Find(`label[for="`+id+`"]`).Length() == 0 && el.Closest("label").Length() == 0 {
					t.Errorf("a field without a label: %q", id)
				}
			}
		})
	}
}

func TestDictionaryTextIsNeverMarkup(t *testing.T) {
	t.Parallel()
	a := newDictApp(t)
	script := `</textarea><script>alert(1)</script>`
	x := a.addTranslation("CRM", "code", markup, "BILLING", "code", script+"\n"+markup)
	e := a.addEntry("CRM", "code", script)
	if _, err := a.deps.Dict.Translate(context.Background(), dict.Query{System1: "CRM", Key1: "code", Value1: script, System2: "BILLING", Key2: "code"}); err != nil {
		t.Fatal(err)
	}
	if err := a.deps.Dict.Close(context.Background()); err != nil { // writes the miss
		t.Fatal(err)
	}
	q := "system1=CRM&key1=code&value1=%3Cem%3EUHOH%3C%2Fem%3E&system2=BILLING&key2=code&value2=%3Cscript%3Ealert(1)&system=%3Cem%3EUHOH&key=code&value=%3Cscript%3Ealert(1)&back=%2F%3Cscript%3Ealert(1)&q=%3Cscript%3Ealert(1)&suffix=%3Cscript%3Ealert(1)&of=translation&lines=1"
	for _, path := range []string{
		"/dictionaries/entries", "/dictionaries/entries/" + e.ID, "/dictionaries/entries/" + e.ID + "/edit", "/dictionaries/entries/" + e.ID + "/delete", "/dictionaries/entries/new",
		"/dictionaries/translations", "/dictionaries/translations/" + x.ID, "/dictionaries/translations/" + x.ID + "/edit", "/dictionaries/translations/" + x.ID + "/delete", "/dictionaries/translations/new",
		"/dictionaries/translate", "/dictionaries/misses", "/dictionaries/changes", "/dictionaries/changes/1", "/dictionaries/choices",
	} {
		for _, address := range []string{path, path + "?" + q} {
			for _, alter := range [][]with{nil, {fragment}} {
				rec := a.show(address, alter...)
				if rec.Code >= 500 {
					t.Errorf("%s: %d", address, rec.Code)
				}
				if body := rec.Body.String(); strings.Contains(body, "<em>UHOH") || strings.Contains(body, "<script>alert") {
					t.Errorf("%s shows markup", address)
				}
			}
		}
	}
}

func TestViewersSeeNothingToEdit(t *testing.T) {
	t.Parallel()
	a := newDictApp(t)
	x := a.addTranslation("CRM", "code", "AW", "BILLING", "code", "533")
	viewer := a.as(Viewer)
	for _, path := range []string{
		"/dictionaries/entries", "/dictionaries/translations", "/dictionaries/translations/" + x.ID, "/dictionaries/transfer", "/dictionaries/misses", "/dictionaries/changes/1",
		"/dictionaries/translate?system1=CRM&key1=code&value1=zz&system2=BILLING&key2=code",
		"/dictionaries/translate?system1=CRM&key1=code&value1=AW&system2=BILLING&key2=code&system=BILLING&key=code&value=533",
	} {
		rec := viewer.show(path)
		wantStatus(t, rec, http.StatusOK)
		main := doc(t, rec).Find("main")
		if n := main.Find("form[method=post], a[href*='/edit'], a[href*='/new'], a[href$='/delete']").Length(); n != 0 {
			t.Errorf("%s: %d ways to change something", path, n)
		}
	}
	wantStatus(t, viewer.send("/dictionaries/translations/"+x.ID, []string{"value2", "534"}), http.StatusForbidden)
	wantStatus(t, viewer.send("/dictionaries/translations/"+x.ID+"/delete", nil), http.StatusForbidden)
	wantList(t, a.all(), "CRM code AW > BILLING code 533")
	if got := a.records(); len(got) != 0 {
		t.Errorf("audited: %v", got)
	}
}
