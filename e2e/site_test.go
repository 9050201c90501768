//go:build e2e

package e2e_test

import (
	"bytes"
	"fmt"
	"html"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
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
		misses := list[translation](a, "/dictionary/misses")
		if !slices.ContainsFunc(misses, func(m translation) bool { return m.Value1 == s.missed.Value1 }) {
			return fmt.Errorf("it is none of the %d misses", len(misses))
		}
		return nil
	})
	s.upload = a.upload(value+".csv", csv(`CRM,COUNTRY,BQ,PORTAL,name,"`+strings.ReplaceAll(value, `"`, `""`)+`"`, "CRM,,x,y,z", "CRM,COUNTRY,FR,PORTAL,name,France"))
	a.post("/settings/tokens", url.Values{"name": {"program"}, "role": {"viewer"}, "days": {"90"}})
	a.user("vera", "viewer")

	q := url.QueryEscape(value)
	s.paths = append([]string{"/", "/search", "/search?q=" + q}, s.dictionaries(q)...)
	s.paths = append(s.paths, a.seedPrograms(value)...)
	s.paths = append(s.paths, a.seedBroker(value)...)
	s.paths = append(s.paths, a.seedStats(value)...)
	s.paths = append(s.paths, a.seedKeys(value)...)
	s.paths = append(s.paths,
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

func (s *site) dictionaries(q string) (paths []string) {
	lookup := "?system1=CRM&key1=COUNTRY&value1=" + q + "&system2=PORTAL&key2=name"
	for _, item := range []string{"entries/" + s.entry.ID, "translations/" + s.translation.ID} {
		kind, _, _ := strings.Cut(item, "/")
		for _, path := range []string{kind, kind + "?q=" + q, kind + "/new", item, item + "/edit", item + "/delete"} {
			paths = append(paths, "/dictionaries/"+path)
		}
	}
	return append(paths,
		"/dictionaries/translations"+lookup,
		"/dictionaries/translations/new"+lookup,
		"/dictionaries/translate",
		"/dictionaries/translate"+lookup+"&system=PORTAL&key=name&value="+q,
		"/dictionaries/translate"+lookup+"x",
		"/dictionaries/transfer",
		s.upload,
		"/dictionaries/misses",
		"/dictionaries/misses/one"+strings.Replace(lookup, "value1=", "value1=missing+", 1),
		"/dictionaries/usage",
		"/dictionaries/changes",
		"/dictionaries/changes/2",
	)
}

// seedPrograms leaves a program that has run.
func (a *api) seedPrograms(value string) []string {
	a.t.Helper()
	a.call(http.MethodPut, "/lua/programs/walk", "local unused = 1\nlocal text = [==["+value+"]==]\nreturn {KEYS, ARGV, text}", nil)
	a.call(http.MethodPost, "/lua/programs/walk/run", map[string][]string{"keys": {value}, "values": {value}}, nil)
	q := url.QueryEscape(value)
	return []string{
		"/lua",
		"/lua?q=" + q,
		"/lua/-/scratch",
		"/lua/walk",
		"/lua/walk?key=" + q + "&value=" + q,
		"/lua/walk/versions",
		"/lua/walk/versions/1",
		"/lua/walk/runs",
		"/lua/walk/delete",
		"/lua/kvdb.rename_if_exists",
	}
}

// seedBroker leaves a channel with a message, a webhook, and a service with an invocation that waits, one that is done and one that is dead.
func (a *api) seedBroker(value string) []string {
	a.t.Helper()
	const channel, service = "walk/events", "walk/orders"
	var message struct{ ID string }
	a.call(http.MethodPost, "/broker/channels/"+url.PathEscape(channel)+"/publish", map[string]any{"message": value}, &message)
	a.post("/settings/webhooks", url.Values{"service": {"walk/hook"}, "url": {"https://example.com/" + url.PathEscape(value)}, "version": {"0"}})

	var cids []string
	for _, end := range []string{"ack", "nack", ""} {
		var invoked struct{ CID string }
		a.call(http.MethodPost, "/broker/invoke", map[string]any{"service": service, "payload": []string{value}, "max_attempts": 1}, &invoked)
		cids = append(cids, invoked.CID)
		if end == "" {
			break
		}
		var got struct {
			Invocations []struct{ CID, Lease string }
		}
		a.call(http.MethodPost, "/broker/services/"+url.PathEscape(service)+"/receive", map[string]any{}, &got)
		one := got.Invocations[0]
		a.call(http.MethodPost, "/broker/invocations/"+one.CID+"/"+end, map[string]any{"lease": one.Lease, map[string]string{"ack": "result", "nack": "error"}[end]: value}, nil)
	}
	dead := "/broker/invocations/" + cids[1]
	return []string{
		"/broker/channels",
		"/broker/channels/" + url.PathEscape(channel),
		"/broker/channels/" + url.PathEscape(channel) + "/messages/" + message.ID,
		"/broker/publish?channel=" + url.QueryEscape(channel) + "&from=" + message.ID,
		"/broker/services",
		"/broker/services/" + url.PathEscape(service),
		"/broker/invocations",
		"/broker/invocations?q=" + url.QueryEscape(value),
		"/broker/invocations/" + cids[0],
		dead,
		dead + "/edit",
		"/broker/invocations/" + cids[2],
		"/broker/invoke?service=" + url.QueryEscape(service),
		"/broker/dead",
		a.leads("/broker/dead/many", url.Values{"do": {"delete"}, "service": {service}}),
		"/settings/webhooks",
		"/settings/webhooks/" + url.PathEscape("walk/hook"),
	}
}

// seedStats leaves a service that was called.
func (a *api) seedStats(value string) []string {
	a.t.Helper()
	name := []rune(strings.TrimSpace(value))
	service := string(name[:min(len(name), 200)])
	a.record(service, 20, 300, 30*time.Minute)
	a.recorded("/stats/trends?view=all", regexp.QuoteMeta(html.EscapeString(service[:1])))
	from, to := time.Now().Add(-time.Hour).UTC().Format("2006-01-02T15:04"), time.Now().UTC().Format("2006-01-02T15:04")
	return []string{
		"/stats/trends",
		"/stats/trends?view=all&own=1",
		"/stats/summary",
		"/stats/summary?period=own&compare=own",
		"/stats/service?name=" + url.QueryEscape(service),
		"/stats/slow?period=own",
		"/stats/settings",
		"/stats/delete?from=" + from + "&to=" + to,
	}
}

// seedKeys leaves keys of several types, and jobs on them.
func (a *api) seedKeys(value string) []string {
	a.t.Helper()
	a.command("HSET", value, value, value)
	a.command("SET", "walk:string", value)
	a.command("XADD", "walk:stream", "*", value, value)
	a.command("ZADD", "walk:sorted", "1", value)
	a.post("/redis/memory", url.Values{"match": {"*"}, "most": {"0"}})
	q := url.QueryEscape(value)
	hash := "/redis/key?key=" + q
	return append([]string{
		"/redis/info",
		"/redis/slowlog",
		"/redis/slowlog/reset",
		"/redis/clients",
		a.linkOn("/redis/clients", `/redis/clients/\d+/kill[^"]*`),
		"/redis/memory",
		"/redis/keys",
		"/redis/keys?match=" + q,
		"/redis/keys/prefixes",
		"/redis/keys/new",
		"/redis/keys/bulk",
		a.leads("/redis/keys/bulk", url.Values{"match": {"walk:*"}, "do": {"delete"}}),
		hash,
		"/redis/key?key=walk%3Astring",
		"/redis/key?key=walk%3Astring&as=hex",
		"/redis/key?key=walk%3Astream",
		"/redis/key?key=walk%3Asorted",
		"/redis/key?key=gone",
		a.linkOn(hash, `/redis/key/edit[^"]*`),
		a.linkOn(hash, `/redis/key/remove[^"]*`),
		a.linkOn(hash, `/redis/key/add[^"]*`),
		strings.Replace(a.linkOn(hash, `/redis/key/edit[^"]*`), "/edit?", "/item?", 1),
		"/redis/key/delete?key=" + q,
		"/redis/console",
		"/redis/console/history",
		"/redis/console/batch",
	}, a.leadsParts("/redis/console/batch", map[string]string{"text": "GET walk:string\nINCR walk:string"}, "", ""))
}

// seedless returns the addresses of the pages that there are without anything in them.
func (a *api) seedless() []string {
	var out []string
	for _, part := range strings.Split(a.get("/"), `href="/`)[1:] {
		path, _, _ := strings.Cut(part, `"`)
		path, _, _ = strings.Cut(path, "#")
		if path := "/" + path; !strings.HasPrefix(path, "/static/") && !strings.ContainsAny(path, "?") {
			out = append(out, path)
		}
	}
	return out
}

// leads sends a form of a page and returns the address where that leads to.
func (a *api) leads(path string, form url.Values) string {
	a.t.Helper()
	return a.lead(a.web.PostForm(a.url+path, form))
}

// linkOn returns the first link on a page that is as the pattern says.
func (a *api) linkOn(path, pattern string) string {
	a.t.Helper()
	found := regexp.MustCompile(`href="(` + pattern + `)"`).FindStringSubmatch(a.get(path))
	if found == nil {
		a.t.Fatalf("no link %s is on %s", pattern, path)
	}
	return html.UnescapeString(found[1])
}

// upload has a file checked, and returns the address of the page that shows it.
func (a *api) upload(name, text string) string {
	a.t.Helper()
	path := a.leadsParts("/dictionaries/transfer", map[string]string{"mode": "merge", "format": "csv"}, name, text)
	eventually(a.t, func() error {
		if !strings.Contains(a.get(path), `data-testid="decide"`) {
			return fmt.Errorf("the file is not checked")
		}
		return nil
	})
	return path
}

// leadsParts is leads for forms with a file; without a name there is none in it.
func (a *api) leadsParts(path string, fields map[string]string, name, text string) string {
	a.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for field, value := range fields {
		must(a.t, form.WriteField(field, value))
	}
	if name != "" {
		file, err := form.CreateFormFile("file", name)
		must(a.t, err)
		_, err = io.WriteString(file, text)
		must(a.t, err)
	}
	must(a.t, form.Close())
	return a.lead(a.web.Post(a.url+path, form.FormDataContentType(), &body))
}

func (a *api) lead(resp *http.Response, err error) string {
	a.t.Helper()
	must(a.t, err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		a.t.Fatalf("%s: %s", resp.Request.URL, resp.Status)
	}
	return resp.Request.URL.RequestURI()
}
