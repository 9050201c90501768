package handlers

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"webadmin/internal/dict"
	"webadmin/web/templates/dictview"
)

// shownHits is how many hits a page of the reverse lookup shows.
const shownHits = 20

// translate serves GET /dictionaries/translate. The query may hold what to translate (system1, key1, value1, system2, key2) and
// what to look up in reverse (system, key, value), each for itself. Nothing that is tried here counts as a miss.
func (p *dictPages) translate(c echo.Context) error {
	q := dict.Query{System1: query(c, "system1"), Key1: query(c, "key1"), Value1: text(c, "value1"), System2: query(c, "system2"), Key2: query(c, "key2")}
	target := dict.Entry{System: query(c, "system"), Key: query(c, "key"), Value: text(c, "value")}
	forward, result, err := p.forward(c, q, target)
	if err != nil {
		return err
	}
	reverse, hits, err := p.reverse(c, q, target)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if wrong(forward.System1, forward.Key1, forward.System2, forward.Key2, reverse.System, reverse.Key, reverse.Value) {
		status = http.StatusUnprocessableEntity
	}
	if wantsFragment(c.Request()) {
		if targets(c.Request(), "reverse") {
			return render(c, status, dictview.ReversePanel(reverse, hits))
		}
		return render(c, status, dictview.ForwardPanel(forward, result))
	}
	return render(c, status, dictview.Translate(dictview.TranslatePage{
		Page: p.page(c, "Translate", p.crumbs("dict.translate")...), Forward: forward, Result: result, Reverse: reverse, Hits: hits,
	}))
}

func wrong(fields ...dictview.Input) bool {
	for _, f := range fields {
		if f.Error != "" {
			return true
		}
	}
	return false
}

// forward answers the lookup, if one is asked for.
func (p *dictPages) forward(c echo.Context, q dict.Query, other dict.Entry) (f dictview.ForwardForm, r *dictview.ForwardResult, err error) {
	ctx := c.Request().Context()
	f = dictview.ForwardForm{
		Form:    dictview.Form{Suffix: pickForward, Action: p.url("dict.translate"), Hidden: someHidden("system", other.System, "key", other.Key, "value", other.Value)},
		System1: dictview.Input{Value: q.System1}, Key1: dictview.Input{Value: q.Key1}, Value1: dictview.Input{Value: q.Value1},
		System2: dictview.Input{Value: q.System2}, Key2: dictview.Input{Value: q.Key2},
	}
	typed := map[string]string{"system1": q.System1, "key1": q.Key1, "value1": q.Value1, "system2": q.System2, "key2": q.Key2}
	if f.Choices, err = p.choicesFor(ctx, pickForward, pickForward, func(field string) string { return typed[field] }); err != nil {
		return f, nil, err
	}
	if q == (dict.Query{}) {
		f.Focus = "system1"
		return f, nil, nil
	}
	got, err := p.Dict.Lookup(ctx, q)
	if faults, invalid := faultsOf(err); invalid {
		f.System1.Error, f.Key1.Error, f.System2.Error, f.Key2.Error = faults["system1"], faults["key1"], faults["system2"], faults["key2"]
		return f, nil, nil
	}
	if err != nil {
		return f, nil, err
	}
	id, err := p.idOf(ctx, q, got)
	if err != nil {
		return f, nil, err
	}
	answer := p.view(c).forward(q, got, id, p.reachedAt(c))
	return f, &answer, nil
}

// idOf finds the translation that has answered a lookup; "" = it can't be told.
func (p *dictPages) idOf(ctx context.Context, q dict.Query, got dict.Result) (string, error) {
	if !got.Found {
		return "", nil
	}
	page, err := p.Dict.Translations(ctx, dict.Filter{System1: q.System1, Key1: q.Key1, Value1: q.Value1, System2: q.System2, Key2: q.Key2}, dict.ListOptions{Limit: 1})
	if err != nil || len(page.Items) == 0 || page.Items[0].Query() != q {
		return "", err
	}
	return page.Items[0].ID, nil
}

// reverse lists what yields the target, if one is asked for.
func (p *dictPages) reverse(c echo.Context, other dict.Query, target dict.Entry) (f dictview.ReverseForm, r *dictview.ReverseResult, err error) {
	ctx, view := c.Request().Context(), p.view(c)
	here := queryValues(other)
	f = dictview.ReverseForm{
		Form: dictview.Form{Suffix: pickReverse, Action: p.url("dict.translate"), Hidden: someHidden(
			"system1", other.System1, "key1", other.Key1, "value1", other.Value1, "system2", other.System2, "key2", other.Key2)},
		System: dictview.Input{Value: target.System}, Key: dictview.Input{Value: target.Key}, Value: dictview.Input{Value: target.Value},
	}
	typed := map[string]string{"system": target.System, "key": target.Key, "value": target.Value}
	if f.Choices, err = p.choicesFor(ctx, pickReverse, pickReverse, func(field string) string { return typed[field] }); err != nil {
		return f, nil, err
	}
	if target == (dict.Entry{}) {
		return f, nil, nil
	}
	for field, value := range typed {
		here.Set(field, value)
	}
	page, err := p.Dict.Reverse(ctx, target, dict.ListOptions{Limit: shownHits, Cursor: query(c, "cursor"), Last: query(c, "last") != ""})
	if faults, invalid := faultsOf(err); invalid && target.Check() != nil {
		f.System.Error, f.Key.Error, f.Value.Error = faults["system"], faults["key"], faults["value"]
		return f, nil, nil
	}
	if err != nil {
		return f, nil, err
	}
	r = &dictview.ReverseResult{Question: "What yields " + entryText(target)}
	for _, t := range page.Items {
		r.Rows = append(r.Rows, view.translationRow(t, nil))
	}
	if len(page.Items) > 0 {
		at := placeOf(page, true)
		at.all = at.total // the others are not what is asked for
		r.Pager = view.pager("dict.translate", here, at)
		r.Pager.Target = "reverse"
	}
	return f, r, nil
}

// someHidden are hidden fields, without those that are empty.
func someHidden(pairs ...string) []dictview.Hidden {
	var out []dictview.Hidden
	for _, h := range hidden(pairs...) {
		if h.Value != "" {
			out = append(out, h)
		}
	}
	return out
}

// reachedAt is the address under which the reader has reached this server.
func (s *site) reachedAt(c echo.Context) string {
	if s.PublicURL != nil {
		return s.PublicURL.Scheme + "://" + s.PublicURL.Host
	}
	return c.Scheme() + "://" + c.Request().Host
}

// spaced writes bytes in hexadecimal, a blank between them.
func spaced(b []byte) string {
	var out strings.Builder
	for i, c := range b {
		if i > 0 {
			out.WriteByte(' ')
		}
		fmt.Fprintf(&out, "%02x", c)
	}
	return out.String()
}

// forward answers a lookup.
func (l dictLinks) forward(q dict.Query, r dict.Result, id, server string) dictview.ForwardResult {
	out := dictview.ForwardResult{Found: r.Found, Value2: r.Value2, Curl: curl(q, server)}
	if !r.Found {
		if l.edit {
			add := queryValues(q)
			add.Set("back", l.url("dict.translate", queryValues(q)))
			out.Add = l.url("dict.translations.new", add)
		}
		return out
	}
	text := []byte(r.Value2)
	one, two := sha1.Sum(text), sha256.Sum256(text) // #nosec G401: shown to compare with what other systems show
	out.Hex, out.SHA1, out.SHA256 = spaced(text), hex.EncodeToString(one[:]), hex.EncodeToString(two[:])
	out.Length = plural(int64(len(text)), "byte")
	if n := utf8.RuneCountInString(r.Value2); n != len(text) {
		out.Length += ", " + plural(int64(n), "character")
	}
	if l.edit && id != "" {
		out.Edit = l.url("dict.translation.edit", id)
	}
	back := queryValues(q)
	back.Set("system", q.System2)
	back.Set("key", q.Key2)
	back.Set("value", r.Value2)
	out.Reverse = l.url("dict.translate", back) + "#reverse"
	return out
}

// curl writes the lookup as a call for a shell.
func curl(q dict.Query, server string) string {
	var body strings.Builder
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(struct { // strings can always be encoded
		System1 string `json:"system1"`
		Key1    string `json:"key1"`
		Value1  string `json:"value1"`
		System2 string `json:"system2"`
		Key2    string `json:"key2"`
	}{q.System1, q.Key1, q.Value1, q.System2, q.Key2})
	text := strings.ReplaceAll(strings.TrimSpace(body.String()), "'", `'\''`)
	return "curl -sS '" + server + "/api/v1/translate' \\\n  -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/json' \\\n  -d '" + text + "'"
}
