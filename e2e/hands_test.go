//go:build e2e

package e2e_test

import (
	"fmt"
	"strings"

	"github.com/playwright-community/playwright-go"
)

// hands work a page by the keyboard alone, and never lose sight of where they are.
type hands struct{ *page }

// press presses one key after the other, wherever the focus is.
func (h hands) press(keys ...string) {
	h.t.Helper()
	for _, key := range keys {
		must(h.t, h.Keyboard().Press(key))
	}
}

// types presses the key of each letter.
func (h hands) types(text string) {
	h.t.Helper()
	for letter := range strings.SplitSeq(text, "") {
		if letter == " " {
			letter = "Space"
		}
		h.press(letter)
	}
}

// jump goes to a section by its letter.
func (h hands) jump(letter, path string) {
	h.t.Helper()
	h.press("g", letter)
	h.at(path)
	must(h.t, h.Locator("main").WaitFor())
}

// seen is "" when the focus is on nothing or can be seen where it is, else what it is on.
const seen = `() => {
	const el = document.activeElement;
	if (!el || el === document.body || el.id === "main") return "";
	const ring = [el, el.closest("label.search, label.check, .cm-editor"), el.querySelector(".chart-col")].some((e) => {
		if (!e) return false;
		const s = getComputedStyle(e);
		return (s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 1) || s.boxShadow !== "none" || (e.matches(".chart-col") && s.stroke !== "none");
	});
	const r = el.getBoundingClientRect();
	return ring && r.width > 0 && r.bottom > 0 && r.top < innerHeight ? "" : el.outerHTML.slice(0, 200);
}`

// watches reports a focus that nobody can see.
func (h hands) watches() {
	h.t.Helper()
	lost, err := h.Evaluate(seen)
	must(h.t, err)
	if lost != "" {
		h.t.Errorf("at %s the focus is not seen on %v", h.URL(), lost)
	}
}

// reaches presses Tab until the focus is there.
func (h hands) reaches(l playwright.Locator) {
	h.t.Helper()
	h.sees(l)
	for range 200 {
		there, err := l.Evaluate(`(el) => el === document.activeElement`, nil)
		must(h.t, err)
		h.watches()
		if there == true {
			return
		}
		h.press("Tab")
	}
	h.t.Fatalf("at %s no Tab leads to %v", h.URL(), l)
}

// enters reaches what is there and presses Enter.
func (h hands) enters(l playwright.Locator) {
	h.t.Helper()
	h.reaches(l)
	h.press("Enter")
}

// puts types a text in the place of what stands in a field.
func (h hands) puts(l playwright.Locator, text string) {
	h.t.Helper()
	h.reaches(l)
	h.press("Control+a")
	h.types(text)
	h.holds(l, text)
}

// keeps expects that the focus is somewhere, after what held it may have been replaced.
func (h hands) keeps() {
	h.t.Helper()
	eventually(h.t, func() error {
		at, err := h.Evaluate(`() => document.activeElement && document.activeElement !== document.body ? "" : "nowhere"`)
		if err == nil && at != "" {
			err = fmt.Errorf("at %s the focus is %v", h.URL(), at)
		}
		return err
	})
	h.watches()
}
