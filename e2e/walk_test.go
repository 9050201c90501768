//go:build e2e

package e2e_test

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// site is a store with one of everything that pages show, and the addresses of all pages on it.
type site struct {
	entry       entry
	translation translation
	missed      translation
	upload      string // address
	paths       []string
}

// seed fills an empty store; value stands wherever people or programs may put a value.
func (a *api) seed(value string) site {
	a.t.Helper()
	var s site
	a.create(of("CRM", "COUNTRY", "BQ", "PORTAL", "name", "Bonaire"))
	s.translation = a.create(of("CRM", "COUNTRY", value, "PORTAL", "name", value))[0]
	s.entry = a.entries("system", "CRM", "value", value)[0]
	s.missed = of("CRM", "COUNTRY", "missing "+value, "PORTAL", "name", "")
	a.translate(s.missed)
	eventually(a.t, func() error { // misses are written every second
		if n := len(list[translation](a, "/dictionary/misses")); n != 1 {
			return fmt.Errorf("%d misses", n)
		}
		return nil
	})
	s.upload = a.upload(value+".csv", csv(`CRM,COUNTRY,BQ,PORTAL,name,"`+strings.ReplaceAll(value, `"`, `""`)+`"`, "CRM,,x,y,z", "CRM,COUNTRY,FR,PORTAL,name,France"))
	a.post("/settings/tokens", url.Values{"name": {"program"}, "role": {"viewer"}, "days": {"90"}})
	a.user("vera", "viewer")
	a.call(http.MethodPut, "/lua/programs/walk", "local unused = 1\nlocal text = [==["+value+"]==]\nreturn {KEYS, ARGV, text}", nil)
	a.command("HSET", value, value, value)
	a.call(http.MethodPost, "/lua/programs/walk/run", map[string][]string{"keys": {value}, "values": {value}}, nil)

	q := url.QueryEscape(value)
	lookup := "?system1=CRM&key1=COUNTRY&value1=" + q + "&system2=PORTAL&key2=name"
	s.paths = []string{"/"}
	for _, item := range []string{"entries/" + s.entry.ID, "translations/" + s.translation.ID} {
		kind, _, _ := strings.Cut(item, "/")
		for _, path := range []string{kind, kind + "?q=" + q, kind + "/new", item, item + "/edit", item + "/delete"} {
			s.paths = append(s.paths, "/dictionaries/"+path)
		}
	}
	s.paths = append(s.paths,
		"/dictionaries/translations"+lookup,
		"/dictionaries/translations/new"+lookup,
		"/dictionaries/translate",
		"/dictionaries/translate"+lookup+"&system=PORTAL&key=name&value="+q,
		"/dictionaries/translate"+lookup+"x",
		"/dictionaries/transfer",
		s.upload,
		"/dictionaries/misses",
		"/dictionaries/changes",
		"/dictionaries/changes/2",
		"/lua",
		"/lua?q="+q,
		"/lua/-/scratch",
		"/lua/walk",
		"/lua/walk?key="+q+"&value="+q,
		"/lua/walk/versions",
		"/lua/walk/runs",
		"/lua/walk/delete",
		"/lua/kvdb.rename_if_exists",
		"/stats/trends",
		"/stats/trends?view=all&own=1",
		"/stats/summary",
		"/stats/summary?period=own&compare=own",
		"/stats/service?name=translate",
		"/stats/slow?period=own",
		"/stats/settings",
		"/redis/info",
		"/redis/slowlog",
		"/redis/clients",
		"/redis/memory",
		"/redis/keys",
		"/redis/keys?match="+q,
		"/redis/key?key="+q,
		"/redis/console",
		"/redis/console/batch",
		"/audit",
		"/audit?object="+q,
		"/settings/users",
		"/settings/users/vera",
		"/settings/tokens",
		"/settings/sessions",
		"/account",
		"/nowhere/"+url.PathEscape(value),
		"/api/docs",
	)
	return s
}

// upload has a file checked, and returns the address of the page that shows it.
func (a *api) upload(name, text string) string {
	a.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for field, value := range map[string]string{"mode": "merge", "format": "csv"} {
		must(a.t, form.WriteField(field, value))
	}
	file, err := form.CreateFormFile("file", name)
	must(a.t, err)
	_, err = io.WriteString(file, text)
	must(a.t, err)
	must(a.t, form.Close())
	resp, err := a.web.Post(a.url+"/dictionaries/transfer", form.FormDataContentType(), &body)
	must(a.t, err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		a.t.Fatalf("upload: %s", resp.Status)
	}
	path := resp.Request.URL.Path
	eventually(a.t, func() error {
		if !strings.Contains(a.get(path), `data-testid="decide"`) {
			return fmt.Errorf("the file is not checked")
		}
		return nil
	})
	return path
}

// hostile is text that would be markup, a script or another attribute if a page forgot to escape it.
const hostile = `"><em>x</em><img src=x onerror="window.__pwned=1"><script>window.__pwned=1</script>' onfocus='window.__pwned=1`

// TestValuesAreText shows hostile values on every page that can show a value.
func TestValuesAreText(t *testing.T) {
	t.Parallel()
	in := start(t, options{args: []string{"--name", "<em>x</em><img src=x onerror=alert(1)>"}})
	a := in.client(t)
	s := a.seed(hostile)
	a.post("/settings/tokens", url.Values{"name": {"<em>token</em>"}, "role": {"viewer"}, "days": {"90"}})
	p := in.browse(t, browsing{agent: hostile})
	p.expects(http.StatusNotFound)
	clean := func(where string) {
		t.Helper()
		got, err := p.Evaluate(`() => [window.__pwned ?? "", document.querySelectorAll("em, [onerror], [onfocus], script:not([src]), img:not(.cm-widgetBuffer)").length].join()`)
		must(t, err)
		if got != ",0" {
			t.Errorf("%s: markup of a value is in the page: %v", where, got)
		}
	}
	shown := map[string]string{
		"/dictionaries/translations":                     hostile,
		"/dictionaries/entries":                          hostile,
		"/dictionaries/misses":                           "missing " + hostile,
		"/dictionaries/changes/2":                        hostile,
		s.upload:                                         hostile,
		"/settings/sessions":                             hostile,
		"/settings/tokens":                               "<em>token</em>",
		"/dictionaries/translations/" + s.translation.ID: hostile,
	}
	for _, path := range append(s.paths, "/login") {
		p.visit(path)
		if text := shown[path]; text != "" {
			p.says(p.Locator("main"), text)
		}
		clean(path)
	}
	// What scripts put into a page.
	p.visit("/dictionaries/translations")
	p.fill(p.search("Any of the six fields"), "<em>")
	p.counts(p.GetByTestId("translation"), 1)
	p.click(p.GetByTestId("translation").Locator("[data-focus]"))
	p.fill(p.input("To value"), hostile+hostile)
	p.keys("Enter")
	p.says(p.GetByTestId("translation"), hostile+hostile)
	p.says(p.toasts(), "<em>x</em>")
	p.click(p.menu(p.GetByTestId("translation")).GetByText("Delete…"))
	p.says(p.GetByTestId("deletion"), "<em>x</em>")
	clean("the list after an edit")
	p.visit("/dictionaries/misses")
	p.click(p.GetByTestId("miss").GetByRole("button")) // dismiss
	p.says(p.toasts(), "<em>x</em>")
	clean("the misses after a dismissal")
}
