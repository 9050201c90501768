//go:build e2e

package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
)

// entry, translation and change are what the API says of them.
type entry struct {
	ID      string `json:"id,omitempty"`
	System  string `json:"system"`
	Key     string `json:"key"`
	Value   string `json:"value"`
	Version int64  `json:"version,omitempty"`
}

type translation struct {
	ID      string `json:"id,omitempty"`
	System1 string `json:"system1"`
	Key1    string `json:"key1"`
	Value1  string `json:"value1"`
	System2 string `json:"system2"`
	Key2    string `json:"key2"`
	Value2  string `json:"value2"`
	Version int64  `json:"version,omitempty"`
}

type change struct {
	ID      string `json:"id"`
	Summary string `json:"summary"`
	Items   []struct {
		Type   string `json:"type"`
		Before translation
		After  translation
	} `json:"items"`
}

// answer is that of POST /translate.
type answer struct {
	Value2 string `json:"value2"`
	Found  bool   `json:"found"`
}

// api is a program that calls the API, or a person without a browser.
type api struct {
	t     *testing.T
	url   string
	web   *http.Client
	token string // "" = the session
}

// client returns an api of admin, by a session.
func (in *instance) client(t *testing.T) *api {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	a := &api{t: t, url: in.url, web: &http.Client{Jar: jar}}
	a.post("/login", url.Values{"username": {admin}, "password": {password}})
	return a
}

// with returns an api that a token lets in.
func (in *instance) with(t *testing.T, token string) *api {
	return &api{t: t, url: in.url, web: http.DefaultClient, token: token}
}

// get returns a page.
func (a *api) get(path string) string {
	a.t.Helper()
	resp, err := a.web.Get(a.url + path)
	must(a.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(a.t, err)
	if resp.StatusCode >= http.StatusBadRequest {
		a.t.Fatalf("GET %s: %s: %s", path, resp.Status, body)
	}
	return string(body)
}

// post sends a form of a page, follows where it leads, and returns that page.
func (a *api) post(path string, form url.Values) string {
	a.t.Helper()
	resp, err := a.web.PostForm(a.url+path, form)
	must(a.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(a.t, err)
	if resp.StatusCode >= http.StatusBadRequest {
		a.t.Fatalf("POST %s: %s: %s", path, resp.Status, body)
	}
	return string(body)
}

// call sends in as JSON and reads the answer into out; nil is none, and a string is the body as it is.
func (a *api) call(method, path string, in, out any) {
	a.t.Helper()
	var body []byte
	switch in := in.(type) {
	case nil:
	case string:
		body = []byte(in)
	default:
		var err error
		body, err = json.Marshal(in)
		must(a.t, err)
	}
	req, err := http.NewRequestWithContext(a.t.Context(), method, a.url+"/api/v1"+path, bytes.NewReader(body))
	must(a.t, err)
	req.Header.Set("Content-Type", "application/json")
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	resp, err := a.web.Do(req)
	must(a.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(a.t, err)
	if resp.StatusCode >= http.StatusBadRequest {
		a.t.Fatalf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	switch out := out.(type) {
	case nil:
	case *string:
		*out = string(text)
	default:
		must(a.t, json.Unmarshal(text, out))
	}
}

// try sends JSON and returns what went wrong, for calls that are to fail.
func (a *api) try(method, path string, body []byte) error {
	req, err := http.NewRequest(method, a.url+"/api/v1"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := a.web.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	return err
}

// export returns all translations as CSV.
func (a *api) export() string {
	a.t.Helper()
	var text string
	a.call(http.MethodGet, "/dictionary/export?format=csv", nil, &text)
	return text
}

// list reads the first thousand of a list.
func list[T any](a *api, path string, query ...string) []T {
	a.t.Helper()
	q := url.Values{"limit": {"1000"}}
	for i := 0; i+1 < len(query); i += 2 {
		q.Set(query[i], query[i+1])
	}
	var out struct {
		Items []T `json:"items"`
	}
	a.call(http.MethodGet, path+"?"+q.Encode(), nil, &out)
	return out.Items
}

// entries and translations read those that the filter fits: names and values in turn.
func (a *api) entries(filter ...string) []entry {
	a.t.Helper()
	return list[entry](a, "/dictionary/entries", filter...)
}

func (a *api) translations(filter ...string) []translation {
	a.t.Helper()
	return list[translation](a, "/dictionary/translations", filter...)
}

func (a *api) changes() []change {
	a.t.Helper()
	return list[change](a, "/dictionary/changes")
}

// create makes translations, and the entries that they lack.
func (a *api) create(ts ...translation) []translation {
	a.t.Helper()
	for i, t := range ts {
		a.call(http.MethodPost, "/dictionary/translations", struct {
			translation
			CreateEntries bool `json:"create_entries"`
		}{t, true}, &ts[i])
	}
	return ts
}

func (a *api) translation(id string) translation {
	a.t.Helper()
	var t translation
	a.call(http.MethodGet, "/dictionary/translations/"+id, nil, &t)
	return t
}

// translate looks up what the translation says.
func (a *api) translate(t translation) answer {
	a.t.Helper()
	var out answer
	a.call(http.MethodPost, "/translate", map[string]string{
		"system1": t.System1, "key1": t.Key1, "value1": t.Value1, "system2": t.System2, "key2": t.Key2,
	}, &out)
	return out
}

// of makes a translation of six words: system, key and value of either end.
func of(words ...string) translation {
	return translation{System1: words[0], Key1: words[1], Value1: words[2], System2: words[3], Key2: words[4], Value2: words[5]}
}

// same says whether two translations say the same.
func (t translation) same(u translation) bool {
	t.ID, t.Version, u.ID, u.Version = "", 0, "", 0
	return t == u
}

// csv makes a file of translations out of lines.
func csv(lines ...string) string {
	return "system1,key1,value1,system2,key2,value2\n" + strings.Join(lines, "\n") + "\n"
}
