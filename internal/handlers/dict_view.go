package handlers

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/url"
	"strconv"
	"strings"

	"webadmin/internal/dict"
	"webadmin/web/templates/dictview"
	"webadmin/web/templates/ui"
)

// dictLinks turns what the dictionaries hold into what their pages show. It asks nobody anything.
type dictLinks struct {
	url  func(name string, params ...any) string
	edit bool // the reader may change the dictionaries
}

func itemID(id string) string { return "item-" + id }

func entryText(e dict.Entry) string { return e.System + " " + e.Key + " " + short(e.Value) }

func translationText(t dict.Translation) string { return queryText(t.Query()) }

func queryText(q dict.Query) string {
	return q.System1 + " " + q.Key1 + " " + short(q.Value1) + " → " + q.System2 + " " + q.Key2
}

func pairText(p dict.Pair) string {
	return p.System1 + " " + p.Key1 + " → " + p.System2 + " " + p.Key2
}

func (l dictLinks) changed(version int64, heads map[int64]changeHead) dictview.Changed {
	if version == 0 {
		return dictview.Changed{}
	}
	id := strconv.FormatInt(version, 10)
	out := dictview.Changed{URL: l.url("dict.change", id), Text: "change " + id}
	if h, ok := heads[version]; ok {
		out.Text, out.At = h.who, h.at
		if h.kind == dict.KindImport {
			out.Text = "import " + id
		}
	}
	return out
}

func (l dictLinks) entryRow(e dict.Entry, uses dict.Uses, heads map[int64]changeHead) dictview.EntryRow {
	row := dictview.EntryRow{
		ID: itemID(e.ID), Label: entryText(e), System: e.System, Key: e.Key, Value: e.Value,
		AsSource: dictview.Count{N: uses.AsSource}, AsTarget: dictview.Count{N: uses.AsTarget}, Changed: l.changed(e.Version, heads),
	}
	if e.Value != "" { // an empty field of a filter means any value
		row.AsSource.URL = l.url("dict.translations", values("system1", e.System, "key1", e.Key, "value1", e.Value))
		row.AsTarget.URL = l.url("dict.translations", values("system2", e.System, "key2", e.Key, "value2", e.Value))
	}
	if l.edit {
		row.Edit, row.Delete = l.url("dict.entry.edit", e.ID), l.url("dict.entry.ask", e.ID)
	}
	return row
}

func (l dictLinks) translationRow(t dict.Translation, heads map[int64]changeHead) dictview.TranslationRow {
	row := dictview.TranslationRow{
		ID: itemID(t.ID), Label: translationText(t),
		System1: t.System1, Key1: t.Key1, Value1: t.Value1, System2: t.System2, Key2: t.Key2, Value2: t.Value2,
		Changed: l.changed(t.Version, heads), Try: l.url("dict.translate", queryValues(t.Query())),
	}
	if l.edit {
		row.Edit, row.Delete = l.url("dict.translation.edit", t.ID), l.url("dict.translation.ask", t.ID)
	}
	return row
}

func queryValues(q dict.Query) url.Values {
	return values("system1", q.System1, "key1", q.Key1, "value1", q.Value1, "system2", q.System2, "key2", q.Key2)
}

func hidden(pairs ...string) []dictview.Hidden {
	var out []dictview.Hidden
	for i := 0; i+1 < len(pairs); i += 2 {
		out = append(out, dictview.Hidden{Name: pairs[i], Value: pairs[i+1]})
	}
	return out
}

// pager leads through a list. here is the query of the list without its place.
func (l dictLinks) pager(route string, here url.Values, p place) ui.PagerProps {
	return l.pagerAt(l.url(route), here, p)
}

func (l dictLinks) pagerAt(path string, here url.Values, p place) ui.PagerProps {
	at := func(name, value string) string {
		q := maps.Clone(here)
		if q == nil {
			q = url.Values{}
		}
		q.Set(name, value)
		return path + encode(q)
	}
	out := ui.PagerProps{Summary: p.summary(), Target: "list"}
	if p.prev != "" {
		out.First, out.Prev = path+encode(here), at("cursor", p.prev)
	}
	if p.next != "" {
		out.Next = at("cursor", p.next)
		if p.last {
			out.Last = at("last", "1")
		}
	}
	return out
}

// place says which part of a list a page is.
type place struct {
	n, first, total, all int64
	next, prev           string
	last                 bool // the list can be shown from its end
}

func placeOf[T any](p dict.Page[T], last bool) place {
	return place{int64(len(p.Items)), p.First, p.Total, p.All, p.Next, p.Prev, last}
}

// summary says where a page is in its list: 51–100 of 2,643.
func (p place) summary() string {
	if p.n == 0 {
		if p.all == 0 {
			return ""
		}
		return "None of " + decimal(p.all)
	}
	total, first := p.total, p.first
	if total < 0 && p.next == "" && first > 0 {
		total = first + p.n - 1
	}
	if first == 0 && total >= 0 && p.next == "" {
		first = total - p.n + 1
	}
	span := decimal(first) + "–" + decimal(first+p.n-1)
	if p.n == 1 {
		span = decimal(first)
	}
	var s string
	switch {
	case first > 0 && total >= 0:
		s = span + " of " + decimal(total)
	case first > 0:
		s = span + " of more"
	case total >= 0:
		s = fmt.Sprintf("%s of %s", decimal(p.n), decimal(total))
	default:
		s = decimal(p.n) + " of more"
	}
	if total != p.all {
		s += ", " + decimal(p.all) + " in all"
	}
	return s
}

// entryForm is the form of an entry, without what is known of the request.
func (l dictLinks) entryForm(e dict.Entry, op, back string) dictview.EntryForm {
	list := l.url("dict.entries")
	f := dictview.EntryForm{
		Form: dictview.Form{
			ID: "add", Suffix: "new", Title: "New entry", Draft: "entry-new", New: true,
			Action: list, Edit: l.url("dict.entries.new"), Cancel: back, Back: back, Hidden: hidden("op", op, "back", back),
		},
		System: dictview.Input{Value: e.System}, Key: dictview.Input{Value: e.Key}, Value: dictview.Input{Value: e.Value},
	}
	f.Focus = firstEmpty("value", "system", e.System, "key", e.Key)
	if e.ID != "" {
		f.Form = l.itemForm(e.ID, e.Version, "entry", "Edit "+entryText(e), op, back)
		f.Focus = "value"
	}
	return f
}

func (l dictLinks) translationForm(t dict.Translation, op, back string) dictview.TranslationForm {
	list := l.url("dict.translations")
	f := dictview.TranslationForm{
		Form: dictview.Form{
			ID: "add", Suffix: "new", Title: "New translation", Draft: "translation-new", New: true,
			Action: list, Edit: l.url("dict.translations.new"), Cancel: back, Back: back, Hidden: hidden("op", op, "back", back),
		},
		System1: dictview.Input{Value: t.System1}, Key1: dictview.Input{Value: t.Key1}, Value1: dictview.Input{Value: t.Value1},
		System2: dictview.Input{Value: t.System2}, Key2: dictview.Input{Value: t.Key2}, Value2: dictview.Input{Value: t.Value2},
		CreateEntries: true,
	}
	f.Focus = firstEmpty("value2", "system1", t.System1, "key1", t.Key1, "value1", t.Value1, "system2", t.System2, "key2", t.Key2)
	if t.ID != "" {
		f.Form = l.itemForm(t.ID, t.Version, "translation", "Edit "+translationText(t), op, back)
		f.Focus = "value2"
	}
	return f
}

// itemForm is what the forms of existing things have in common. what is entry or translation.
func (l dictLinks) itemForm(id string, version int64, what, title, op, back string) dictview.Form {
	return dictview.Form{
		ID: itemID(id), Suffix: id, Title: title, Draft: what + "-" + id,
		Action: l.url("dict."+what+".save", id), Edit: l.url("dict."+what+".edit", id), Cancel: l.url("dict."+what, id), Back: back,
		Hidden: hidden("op", op, "back", back, "version", strconv.FormatInt(version, 10)),
	}
}

// entryDeletion asks before an entry is deleted, and says what goes with it.
func (l dictLinks) entryDeletion(e dict.Entry, with uses, op, back string) dictview.Deletion {
	row := l.entryRow(e, dict.Uses{}, nil)
	d := dictview.Deletion{
		ID: row.ID, Suffix: e.ID, Columns: dictview.EntryColumns, Label: row.Label, Text: "No translation goes with it. It can be undone.", Confirm: "Delete the entry",
		Action: l.url("dict.entry.delete", e.ID), Cancel: l.url("dict.entry", e.ID), More: with.total - int64(len(with.first)),
		Hidden: hidden("op", op, "back", back, "version", strconv.FormatInt(e.Version, 10), "uses", strconv.FormatInt(with.total, 10)),
	}
	if with.total > 0 {
		d.Text = plural(with.total, "translation") + " will be deleted with it. It can be undone."
		d.Confirm = "Delete the entry and " + plural(with.total, "translation")
		if row.AsSource.URL != "" {
			d.All = []dictview.Link{{Text: "all that map from it", URL: row.AsSource.URL}, {Text: "all that map to it", URL: row.AsTarget.URL}}
		}
	}
	for _, t := range with.first {
		d.With = append(d.With, l.translationRow(t, nil))
	}
	return d
}

func (l dictLinks) changeRow(c dict.Change) dictview.ChangeRow {
	row := dictview.ChangeRow{
		Number: c.ID, URL: l.url("dict.change", c.ID), By: c.By, At: c.At, Summary: c.Summary, Figures: figuresOf(c.Counts),
	}
	if c.Undoes != "" {
		row.Undoes = dictview.Link{Text: "undoes " + c.Undoes, URL: l.url("dict.change", c.Undoes)}
	}
	if c.UndoneBy != "" {
		row.UndoneBy = dictview.Link{Text: "undone by " + c.UndoneBy, URL: l.url("dict.change", c.UndoneBy)}
	}
	return row
}

// figuresOf lists what a change did; what it did not do is not said.
func figuresOf(n dict.Counts) []dictview.Figure {
	var out []dictview.Figure
	add := func(n int64, text, mark string) {
		if n > 0 {
			out = append(out, dictview.Figure{N: n, Text: text, Mark: mark})
		}
	}
	add(n.Created, "created", "up")
	add(n.Updated, "changed", "")
	add(n.Deleted, "deleted", "down")
	add(n.EntriesCreated, nounOf(n.EntriesCreated)+" created", "up")
	add(n.EntriesUpdated, nounOf(n.EntriesUpdated)+" renamed", "")
	add(n.EntriesDeleted, nounOf(n.EntriesDeleted)+" deleted", "down")
	return out
}

func nounOf(n int64) string {
	if n == 1 {
		return "entry"
	}
	return "entries"
}

// undoSays says what undoing a change does.
func undoSays(c dict.Change) string {
	n := c.Counts
	var parts []string
	add := func(n int64, verb, noun string) {
		if n > 0 {
			parts = append(parts, verb+" "+plural(n, noun))
		}
	}
	add(n.Created, "deletes", "translation")
	add(n.Updated, "changes back", "translation")
	add(n.Deleted, "brings back", "translation")
	add(n.EntriesCreated, "deletes", "entry")
	add(n.EntriesUpdated, "renames back", "entry")
	add(n.EntriesDeleted, "brings back", "entry")
	said := "This changes nothing"
	switch last := len(parts) - 1; {
	case last == 0:
		said = "This " + parts[0]
	case last > 0:
		said = "This " + strings.Join(parts[:last], ", ") + " and " + parts[last]
	}
	return said + ". If any of it was changed since, nothing is undone, and you see what it was. Undoing is a change of its own, and can be undone."
}

func changeItem(i dict.Item) dictview.ChangeItem {
	out := dictview.ChangeItem{Entry: i.IsEntry()}
	var before, after []string
	if out.Entry {
		before, after = entryFields(i.EntryBefore), entryFields(i.EntryAfter)
	} else {
		before, after = translationFields(i.TranslationBefore), translationFields(i.TranslationAfter)
	}
	switch {
	case before == nil:
		out.What = dictview.Created
		before = make([]string, len(after))
	case after == nil:
		out.What = dictview.Deleted
		after = make([]string, len(before))
	default:
		out.What = dictview.Updated
	}
	for n := range before {
		out.Fields = append(out.Fields, dictview.FieldChange{Before: before[n], After: after[n], Both: out.What == dictview.Updated})
	}
	return out
}

func changeItems(items []dict.Item) []dictview.ChangeItem {
	out := make([]dictview.ChangeItem, len(items))
	for n, i := range items {
		out[n] = changeItem(i)
	}
	return out
}

func entryFields(e *dict.Entry) []string {
	if e == nil {
		return nil
	}
	return []string{e.System, e.Key, e.Value}
}

func translationFields(t *dict.Translation) []string {
	if t == nil {
		return nil
	}
	return []string{t.System1, t.Key1, t.Value1, t.System2, t.Key2, t.Value2}
}

// missRow shows a miss; back is the page that it is on.
func (l dictLinks) missRow(m dict.Miss, back string) dictview.MissRow {
	row := dictview.MissRow{
		ID: "miss-" + digest(m.Query), Label: queryText(m.Query),
		System1: m.System1, Key1: m.Key1, Value1: m.Value1, System2: m.System2, Key2: m.Key2,
		Count: m.Count, Met: dictview.Count{N: m.Met, URL: l.url("dict.miss", queryValues(m.Query))}, First: m.FirstAt, Last: m.LastAt,
	}
	if l.edit {
		add := queryValues(m.Query)
		add.Set("back", back)
		row.Add = l.url("dict.translations.new", add)
		row.Dismiss = missHidden(m.Query, "back", back)
	}
	return row
}

// missGroup shows a group; shown is the one whose values are listed, back the page that it is on.
func (l dictLinks) missGroup(g dict.MissGroup, shown dict.Pair, back string) dictview.MissGroupRow {
	q := g.Query()
	row := dictview.MissGroupRow{
		ID: "group-" + digest(q), Label: g.System1 + " " + g.Key1 + " to " + g.System2 + " " + g.Key2,
		System1: g.System1, Key1: g.Key1, System2: g.System2, Key2: g.Key2, Values: g.Values, Count: g.Count, Last: g.LastAt,
		URL: l.url("dict.misses", queryValues(q)) + "#list", Current: g.Pair == shown,
	}
	if l.edit {
		row.Dismiss = hidden("back", back, "group", "1", "system1", g.System1, "key1", g.Key1, "system2", g.System2, "key2", g.Key2)
	}
	return row
}

// missNotice says in a sentence what was looked up most and not found.
func (l dictLinks) missNotice(groups []dict.MissGroup) *dictview.MissNotice {
	if len(groups) == 0 {
		return nil
	}
	g := groups[0]
	said := fmt.Sprintf("%s of %s %s in %s %s found nothing: %s missing.",
		plural(g.Count, "lookup"), g.System1, g.Key1, g.System2, g.Key2, plural(g.Values, "value")+isAre(g.Values))
	return &dictview.MissNotice{Text: said, Do: dictview.Action{Text: "Look at the misses", URL: l.url("dict.misses")}}
}

// nothing is what stands where a list would be. all counts it without a filter.
func (l dictLinks) nothing(all int64, what, clear string) *dictview.Nothing {
	if all > 0 {
		n := &dictview.Nothing{Icon: "search-x", Title: "Nothing matches", Text: "There are " + decimal(all) + " " + what + " without the filters."}
		if clear != "" {
			n.Do = []dictview.Action{{Text: "Clear the filters", Icon: "x", URL: clear}}
		}
		return n
	}
	n := &dictview.Nothing{Icon: "book-open-text", Title: "There are no " + what + " yet", Text: "Import a file, or add the first row above."}
	if what == "entries" {
		n.Text = "An entry is a value that a system uses under a key, such as CRM, COUNTRY_CODE, AW. " + n.Text
	} else {
		n.Text = "A translation says what one system's value is called in another. " + n.Text
	}
	if l.edit {
		n.Do = []dictview.Action{{Text: "Import a file", Icon: "upload", URL: l.url("dict.transfer"), Primary: true}}
	} else {
		n.Text = "They can be added or imported by an operator."
	}
	return n
}

// firstEmpty is the first of the fields that holds nothing, or else last.
func firstEmpty(last string, pairs ...string) string {
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			return pairs[i]
		}
	}
	return last
}

// digest makes an id for an element out of a query, which may hold anything.
func digest(q dict.Query) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{q.System1, q.Key1, q.Value1, q.System2, q.Key2}, "\x00")))
	return hex.EncodeToString(sum[:8])
}
