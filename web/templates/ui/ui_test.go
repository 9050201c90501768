package ui_test

import (
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/a-h/templ"

	"webadmin/web/templates/ui"
)

const markup = `<em>x</em>"'&`

func text(t *testing.T, c templ.Component) string {
	t.Helper()
	var b strings.Builder
	if err := c.Render(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func doc(t *testing.T, c templ.Component) *goquery.Document {
	t.Helper()
	d, err := goquery.NewDocumentFromReader(strings.NewReader(text(t, c)))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func attr(t *testing.T, s *goquery.Selection, name string) string {
	t.Helper()
	if s.Length() != 1 {
		t.Fatalf("%d elements where one was expected", s.Length())
	}
	v, _ := s.Attr(name)
	return v
}

// Whatever text a component is given, it is text on the page.
func TestTextIsNeverMarkup(t *testing.T) {
	t.Parallel()
	field := ui.FieldProps{ID: markup, Name: markup, Label: markup, Value: markup, Error: markup, Hint: markup, Placeholder: markup, Form: markup, List: markup, Autocomplete: markup, Attrs: templ.Attributes{"data-x": markup, "class": markup}}
	lines := field
	lines.Value = "a\n" + markup
	components := map[string]templ.Component{
		"V": ui.V(markup), "V blanks": ui.V(" " + markup + " "), "V long": ui.V(strings.Repeat(markup, 9)), "V marks": ui.V("\x00" + markup + "\xff\u202e\n"),
		"Diff": ui.Diff(markup, "b"), "Diff same": ui.Diff(markup, markup), "Diff both": ui.Diff(markup+"1", markup+"2"),
		"Badge": ui.Badge(markup, markup), "Copy": ui.Copy(markup), "Progress": ui.Progress(1, 2, markup),
		"Head": ui.Head(markup), "Panel": ui.Panel(markup), "Notice": ui.Notice(markup, markup), "Empty": ui.Empty("x", markup, markup),
		"Toast": ui.Toast(ui.ToastProps{Kind: markup, Text: markup, LinkText: markup, LinkURL: markup}), "ToastOOB": ui.ToastOOB(ui.ToastProps{Kind: "error", Text: markup}),
		"Submit": ui.Submit(markup, markup, "x", templ.Attributes{"name": markup, "class": markup}), "LinkButton": ui.LinkButton("plain", markup, "", "/?q="+markup),
		"IconLink": ui.IconLink(markup, "x", "/"), "IconSubmit": ui.IconSubmit(markup, "x"), "RowMenu": ui.RowMenu(markup),
		"MenuLink": ui.MenuLink(markup, "", "/"), "MenuSubmit": ui.MenuSubmit("plain", markup, ""),
		"Pager": ui.Pager(ui.PagerProps{First: "/" + markup, Next: "/" + markup, Summary: markup, Target: markup}),
		"Field": ui.Field(field), "Field lines": ui.Field(lines), "TextArea": ui.TextArea(field),
		"Select": ui.Select(ui.SelectProps{ID: markup, Label: markup, Value: markup, Error: markup, Hint: markup, Form: markup, Options: []ui.Option{{Value: markup + "2", Text: markup}}}),
		"Check":  ui.Check(ui.CheckProps{ID: markup, Label: markup, Value: markup, Error: markup, Hint: markup, Form: markup}),
		"Search": ui.Search(ui.SearchProps{Name: markup, Label: markup, Value: markup}),
		"Icon":   ui.Icon(markup),
	}
	for name, c := range components {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if html := text(t, c); strings.Contains(html, "<em") {
				t.Errorf("unescaped: %s", html)
			}
			if found := doc(t, c).Find("em").Length(); found > 0 {
				t.Errorf("%d elements came out of text", found)
			}
		})
	}
}

func TestLinksRefuseScripts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]templ.Component{
		"LinkButton": ui.LinkButton("plain", "x", "", "javascript:x()"), "IconLink": ui.IconLink("x", "x", "javascript:x()"),
		"MenuLink": ui.MenuLink("x", "", "javascript:x()"), "Toast": ui.Toast(ui.ToastProps{LinkText: "x", LinkURL: "javascript:x()"}),
	} {
		if href := attr(t, doc(t, c).Find("a"), "href"); strings.HasPrefix(href, "javascript:") {
			t.Errorf("%s: href = %q", name, href)
		}
	}
}

// A label and, where there are any, error and hint belong to their control.
func TestControlsAreDescribed(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(id, fault, hint string) templ.Component{
		"Field": func(id, fault, hint string) templ.Component {
			return ui.Field(ui.FieldProps{ID: id, Name: "n", Label: "L", Error: fault, Hint: hint})
		},
		"Field hidden label": func(id, fault, hint string) templ.Component {
			return ui.Field(ui.FieldProps{ID: id, Name: "n", Label: "L", Error: fault, Hint: hint, HideLabel: true})
		},
		"Field file": func(id, fault, hint string) templ.Component {
			return ui.Field(ui.FieldProps{ID: id, Name: "n", Label: "L", Error: fault, Hint: hint, Type: "file"})
		},
		"TextArea": func(id, fault, hint string) templ.Component {
			return ui.TextArea(ui.FieldProps{ID: id, Name: "n", Label: "L", Error: fault, Hint: hint})
		},
		"Select": func(id, fault, hint string) templ.Component {
			return ui.Select(ui.SelectProps{ID: id, Name: "n", Label: "L", Error: fault, Hint: hint})
		},
		"Check": func(id, fault, hint string) templ.Component {
			return ui.Check(ui.CheckProps{ID: id, Name: "n", Label: "L", Error: fault, Hint: hint})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, tt := range []struct{ id, fault, hint, wantID, says, invalid string }{
				{"", "", "", "n", "", ""},
				{"x", "", "", "x", "", ""},
				{"x", "Wrong.", "", "x", "x-error", "true"},
				{"x", "", "Like this.", "x", "x-hint", ""},
				{"x", "Wrong.", "Like this.", "x", "x-error x-hint", "true"},
			} {
				d := doc(t, make(tt.id, tt.fault, tt.hint))
				control := d.Find("input, select, textarea")
				if got := attr(t, control, "id"); got != tt.wantID {
					t.Errorf("id = %q, want %q", got, tt.wantID)
				}
				if got := attr(t, control, "name"); got != "n" {
					t.Errorf("name = %q", got)
				}
				label := d.Find("label")
				if got, ok := label.Attr("for"); ok && got != tt.wantID || !ok && label.Find("input").Length() == 0 {
					t.Errorf("the label is for %q, want %q", got, tt.wantID)
				}
				if got := attr(t, control, "aria-describedby"); got != tt.says {
					t.Errorf("aria-describedby = %q, want %q", got, tt.says)
				}
				if got := attr(t, control, "aria-invalid"); got != tt.invalid {
					t.Errorf("aria-invalid = %q, want %q", got, tt.invalid)
				}
				for _, id := range strings.Fields(tt.says) {
					if d.Find("#"+id).Length() != 1 {
						t.Errorf("nothing has the id %q", id)
					}
				}
			}
		})
	}
}

func TestFieldKeepsItsValue(t *testing.T) {
	t.Parallel()
	if got := attr(t, doc(t, ui.Field(ui.FieldProps{Name: "n", Value: " a\tb "})).Find("input"), "value"); got != " a\tb " {
		t.Errorf("input value = %q", got)
	}
	for _, value := range []string{"a\nb", "\nfirst line empty", "last\n", "\n"} {
		d := doc(t, ui.Field(ui.FieldProps{Name: "n", Value: value}))
		if got := d.Find("textarea").Text(); got != value {
			t.Errorf("text area = %q, want %q", got, value)
		}
	}
	if html := text(t, ui.Field(ui.FieldProps{Name: "n", Type: "password", Value: "secret"})); strings.Contains(html, "secret") {
		t.Errorf("a password is sent back: %s", html)
	}
	d := doc(t, ui.Select(ui.SelectProps{Name: "n", Value: "gone", Options: []ui.Option{{Value: "a"}, {Value: "b"}}}))
	if got := attr(t, d.Find("option[selected]"), "value"); got != "gone" {
		t.Errorf("selected = %q, want the value that is no longer offered", got)
	}
}

func TestAttributesOfTheCallerWin(t *testing.T) {
	t.Parallel()
	d := doc(t, ui.Field(ui.FieldProps{Name: "n", Attrs: templ.Attributes{"autocomplete": "username", "data-drop": true}}))
	if got := attr(t, d.Find("input[data-drop]"), "autocomplete"); got != "username" {
		t.Errorf("autocomplete = %q", got)
	}
	button := doc(t, ui.Submit("primary", "Go", "", templ.Attributes{"class": "wide-only", "name": "do", "value": "1"})).Find("button")
	if got := attr(t, button, "class"); got != "btn btn-primary wide-only" {
		t.Errorf("class = %q", got)
	}
}

// What cannot be seen is marked, and what is marked is still there to be copied.
func TestV(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ value, marks string }{
		{"", ""},
		{"plain text", ""},
		{" a", "blank"},
		{"a  ", "blank blank"},
		{" ", "blank"},
		{"a\tb\n", "tab newline"},
		{"a\u200bb\u00a0", "U+200B U+00A0"},
		{"\u202eab", "U+202E"},
		{"a\x07", "U+0007"},
		{"Côte d'Ivoire 日本", ""},
		{"\uFFFD", ""},
	} {
		d := doc(t, ui.V(tt.value))
		want := tt.value
		if want == "" {
			want = "empty"
		}
		if got := d.Find(".v").Text(); got != want {
			t.Errorf("V(%q) says %q", tt.value, got)
		}
		var marks []string
		d.Find(".ws").Each(func(_ int, s *goquery.Selection) { marks = append(marks, attr(t, s, "title")) })
		if got := strings.Join(marks, " "); got != tt.marks {
			t.Errorf("V(%q) marks %q, want %q", tt.value, got, tt.marks)
		}
	}
	if html := text(t, ui.V("a\xffb")); !strings.Contains(html, `title="\xff"`) {
		t.Errorf("a byte that is not UTF-8 is not marked: %s", html)
	}
}

func TestDiff(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ before, after, was, is string }{
		{"Saba", "Saba and Bonaire", "", " and Bonaire"},
		{"535", "533", "5", "3"},
		{"Genève", "Genéve", "è", "é"},
		{"aa", "aaa", "", "a"},
		{"", "x", "", "x"},
	} {
		d := doc(t, ui.Diff(tt.before, tt.after))
		if got := d.Find("del b").Text(); got != tt.was {
			t.Errorf("Diff(%q, %q) marks %q as gone, want %q", tt.before, tt.after, got, tt.was)
		}
		if got := d.Find("ins b").Text(); got != tt.is {
			t.Errorf("Diff(%q, %q) marks %q as new, want %q", tt.before, tt.after, got, tt.is)
		}
		if got := d.Find("ins").Text(); got != tt.after {
			t.Errorf("Diff(%q, %q) shows %q", tt.before, tt.after, got)
		}
	}
	if d := doc(t, ui.Diff("same", "same")); d.Find("del, ins").Length() != 0 || d.Find(".v").Text() != "same" {
		t.Error("equal texts are shown as a change")
	}
}

func TestFigures(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 30, 45, 0, time.FixedZone("", 3600))
	for _, tt := range []struct {
		what string
		c    templ.Component
		want string
	}{
		{"zero", ui.Num(0), "0"},
		{"thousands", ui.Num(1234567), "1,234,567"},
		{"three digits", ui.Num(123), "123"},
		{"negative", ui.Num(-1000), "-1,000"},
		{"bytes", ui.Bytes(1023), "1,023 B"},
		{"KB", ui.Bytes(1536), "1.5 KB"},
		{"MB", ui.Bytes(64 << 20), "64 MB"},
		{"not 1,024 KB", ui.Bytes(1<<20 - 1), "1.0 MB"},
		{"EB", ui.Bytes(1<<63 - 1), "8.0 EB"},
		{"time", ui.Time(at), "2026-03-01 11:30 UTC"},
		{"stamp", ui.Stamp(at), "2026-03-01 11:30:45 UTC"},
		{"no time", ui.Time(time.Time{}), "never"},
		{"no stamp", ui.Stamp(time.Time{}), "never"},
	} {
		if got := doc(t, tt.c).Text(); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.what, got, tt.want)
		}
	}
	if got := attr(t, doc(t, ui.Time(at)).Find("time"), "datetime"); got != "2026-03-01T11:30:45Z" {
		t.Errorf("datetime = %q", got)
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	bar := doc(t, ui.Progress(1200, 3000, "rows")).Find("progress")
	if attr(t, bar, "value") != "1200" || attr(t, bar, "max") != "3000" {
		t.Error("the bar does not say how far it is")
	}
	if _, known := doc(t, ui.Progress(5, 0, "rows")).Find("progress").Attr("value"); known {
		t.Error("a bar without an end claims to know how far it is")
	}
}

func TestPager(t *testing.T) {
	t.Parallel()
	d := doc(t, ui.Pager(ui.PagerProps{Next: "/x?cursor=2", Summary: "1–100 of 2,643", Target: "list"}))
	next := d.Find("a")
	if attr(t, next, "href") != "/x?cursor=2" || attr(t, next, "hx-get") != "/x?cursor=2" || attr(t, next, "hx-target") != "#list" {
		t.Error("the link to the next page is not right")
	}
	if got := d.Find("[aria-disabled=true]").Text(); got != "Previous" {
		t.Errorf("disabled: %q", got)
	}
	if d := doc(t, ui.Pager(ui.PagerProps{Summary: "7 of 7"})); d.Find("a, .btn").Length() != 0 {
		t.Error("a list of one page has links to others")
	}
}

func TestToast(t *testing.T) {
	t.Parallel()
	if got := attr(t, doc(t, ui.Toast(ui.ToastProps{Kind: "error", Text: "No."})).Find(".toast"), "role"); got != "alert" {
		t.Errorf("role of an error = %q", got)
	}
	if got := attr(t, doc(t, ui.ToastOOB(ui.ToastProps{Kind: "success", Text: "Saved."})).Find("#toasts"), "hx-swap-oob"); got != "beforeend" {
		t.Errorf("hx-swap-oob = %q", got)
	}
}
