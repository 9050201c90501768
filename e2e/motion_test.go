//go:build e2e

package e2e_test

import (
	"regexp"
	"testing"

	"github.com/playwright-community/playwright-go"
)

// moving names what moves, or would if it changed, for longer than an eye sees.
const moving = `() => {
	const long = (list) => list.split(",").some((s) => parseFloat(s) * (s.includes("ms") ? 1 : 1000) > 10);
	const found = [];
	for (const el of document.querySelectorAll("*")) {
		for (const part of ["", "::before", "::after", "::backdrop"]) {
			const s = getComputedStyle(el, part || null);
			if (s.animationName !== "none" && long(s.animationDuration)) found.push(el.tagName + "." + el.className + part + ": " + s.animationName);
			if (s.transitionProperty !== "none" && long(s.transitionDuration)) found.push(el.tagName + "." + el.className + part + ": " + s.transition);
			if (s.scrollBehavior === "smooth") found.push(el.tagName + "." + el.className + ": smooth");
		}
	}
	return found.slice(0, 5).join("\n");
}`

// TestReducedMotion has everything stand still for those who have asked for that: what is on its way, messages, progress, what is live.
func TestReducedMotion(t *testing.T) {
	t.Parallel()
	in := start(t, options{})
	a := in.client(t)
	a.seedBroker("value")
	a.seedPrograms("value")
	a.create(of("CRM", "COUNTRY", "BQ", "PORTAL", "name", "Bonaire"))
	p := in.browse(t, browsing{}) // which has asked for it
	moves := func() any {
		t.Helper()
		found, err := p.Evaluate(moving)
		must(t, err)
		return found
	}
	still := func(where string) {
		t.Helper()
		if found := moves(); found != "" {
			t.Errorf("%s moves: %v", where, found)
		}
	}

	// A list that does not come, so that all is in flight.
	p.visit("/dictionaries/translations")
	come := make(chan struct{})
	must(t, p.Route(regexp.MustCompile(`/dictionaries/translations\?.*q=Bonaire`), func(r playwright.Route) {
		go func() {
			<-come
			if err := r.Continue(); err != nil {
				t.Error(err)
			}
		}()
	}))
	p.fill(p.search("Any of the six fields"), "Bonaire")
	must(t, expect.Locator(p.Locator("html")).ToHaveAttribute("data-busy", ""))
	still("what is in flight")
	must(t, p.EmulateMedia(playwright.PageEmulateMediaOptions{ReducedMotion: playwright.ReducedMotionNoPreference}))
	if moves() == "" {
		t.Error("nothing moves for those who have not asked for stillness either: this test would see nothing")
	}
	must(t, p.EmulateMedia(playwright.PageEmulateMediaOptions{ReducedMotion: playwright.ReducedMotionReduce}))
	close(come)
	p.counts(p.GetByTestId("translation"), 1)

	_, err := p.Locator("main").Evaluate(`(main) => {
		const bar = Object.assign(document.createElement("progress"), { className: "progress" });
		main.append(bar, document.getElementById("toast-error").content.cloneNode(true));
	}`, nil)
	must(t, err)
	must(t, p.Locator("main").Focus())
	p.keys("?")
	p.sees(p.Locator("dialog[open]"))
	still("a message, progress of unknown length, and a dialog")

	p.visit("/broker/channels/walk%2Fevents")
	p.says(p.GetByTestId("tail-state"), "Live")
	still("the live tail")
	p.visit("/lua/walk")
	p.click(p.Locator(".cm-content"))
	still("the editor with its cursor")
	for _, path := range []string{"/", "/redis/info", "/redis/console", "/stats/trends"} {
		p.visit(path)
		still(path)
	}
}

// TestForcedColours keeps state and focus visible where the system has colours of its own.
func TestForcedColours(t *testing.T) {
	t.Parallel()
	in := start(t, options{})
	in.client(t).create(of("CRM", "COUNTRY", "BQ", "PORTAL", "name", "Bonaire"))
	h := hands{in.browse(t, browsing{})}
	must(t, h.EmulateMedia(playwright.PageEmulateMediaOptions{ForcedColors: playwright.ForcedColorsActive}))
	h.visit("/dictionaries/translations")
	for range 30 {
		h.press("Tab")
		h.watches()
	}
	lost, err := h.Evaluate(`() => {
		const canvas = getComputedStyle(document.body).backgroundColor;
		const lost = [];
		const all = (selector, shown) => {
			const found = [...document.querySelectorAll(selector)].filter((el) => el.checkVisibility());
			if (!found.length) lost.push("no " + selector);
			for (const el of found) if (!shown(getComputedStyle(el))) lost.push(el.outerHTML.slice(0, 160));
		};
		all(".btn-primary, .btn-plain, .badge", (s) => s.borderStyle !== "none" && s.borderColor !== canvas);
		all("[aria-current=page]", (s) => s.outlineStyle !== "none");
		all(".dot", (s) => s.backgroundColor !== canvas);
		all(".input", (s) => s.borderColor !== canvas);
		all(".icon", (s) => s.backgroundColor !== canvas);
		return lost.join("\n");
	}`)
	must(t, err)
	if lost != "" {
		t.Errorf("not to be seen: %v", lost)
	}
}
