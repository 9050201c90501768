//go:build e2e

package e2e_test

import (
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/playwright-community/playwright-go"
)

// The main job in each of the systems, with nothing but keys. Where the focus can't be seen, or is lost, they fail.

// TestKeyboardDictionaries signs in, corrects a translation, undoes that from the history, imports a file and signs out.
func TestKeyboardDictionaries(t *testing.T) {
	t.Parallel()
	in := start(t, options{})
	in.client(t).create(of("CRM", "COUNTRY", "BQ", "PORTAL", "name", "Bonaire"), of("CRM", "COUNTRY", "PL", "PORTAL", "name", "Poland"))
	h := hands{in.browse(t, browsing{nobody: true})}

	h.visit("/login")
	h.focused(h.field("Name"))
	h.types(admin)
	h.puts(h.field("Password"), password)
	h.press("Enter")
	h.sees(h.heading("Overview"))

	h.jump("t", "/dictionaries/translations")
	h.press("f")
	h.focused(h.search("Any of the six fields"))
	h.types("Poland")
	row := h.GetByTestId("translation")
	h.counts(row, 1)
	pencil := h.link("Edit CRM COUNTRY PL → PORTAL name")
	h.enters(pencil)
	h.focused(h.input("To value"))
	h.press("Control+a")
	h.types("Polska")
	h.press("Enter")
	h.says(row, "Polska")
	h.focused(pencil)
	h.says(h.toasts(), "Saved")

	// A menu, and what asks before it deletes: both give the focus back.
	menu := row.Locator("summary")
	h.enters(menu)
	h.press("ArrowDown")
	h.watches()
	h.press("Escape")
	h.focused(menu)
	h.press("Enter", "ArrowUp", "Enter")
	h.sees(h.GetByTestId("deletion"))
	h.keeps()
	h.press("Escape")
	h.lacks(h.GetByTestId("deletion"))
	h.keeps()
	h.press("?")
	keys := h.Locator("dialog#keys")
	h.sees(keys)
	for range 40 { // more than it has links: the focus does not leave it for what is behind
		h.press("Tab")
		inside, err := keys.Evaluate(`(dialog) => dialog.contains(document.activeElement) || document.activeElement === document.body`, nil)
		must(t, err)
		if inside != true {
			t.Fatal("the focus has left a dialog that is open")
		}
	}
	h.press("Escape")
	must(t, expect.Locator(keys).ToBeHidden())
	h.keeps()

	h.enters(h.link("History"))
	h.at("/dictionaries/changes")
	h.press("j", "Enter")
	undo := h.GetByTestId("undo")
	h.enters(undo.Locator("summary"))
	h.enters(h.button("Undo it"))
	h.says(h.toasts(), "is undone") // on a page of its own
	h.jump("t", "/dictionaries/translations")
	h.sees(h.row("translation", "Poland"))

	h.enters(h.link("Import"))
	h.at("/dictionaries/transfer")
	must(t, h.field("File").SetInputFiles(playwright.InputFile{Name: "codes.csv", MimeType: "text/csv", Buffer: []byte(csv("CRM,COUNTRY,DE,PORTAL,name,Germany"))})) // the system's own dialog
	h.enters(h.button("Check the file"))
	h.says(h.GetByTestId("figures"), "1 created")
	h.enters(h.button("Apply these changes"))
	h.sees(h.GetByText("The file is imported."))
	h.keeps()

	user := h.Locator(".user summary")
	h.enters(user)
	h.press("ArrowUp")
	h.focused(h.button("Sign out"))
	h.press("Enter")
	h.at("/login")
	h.focused(h.field("Name"))
}

// TestKeyboardPrograms finds a program, gives it keys and values, and runs it; the editor lets go of the focus.
func TestKeyboardPrograms(t *testing.T) {
	t.Parallel()
	in := start(t, options{})
	a := in.client(t)
	a.command("SET", "rename-from", "x")
	a.call(http.MethodPut, "/lua/programs/mylib.rename_if_exists", renamer, nil)
	h := hands{in.browse(t, browsing{})}

	h.visit("/")
	h.jump("l", "/lua")
	h.enters(h.link("mylib.rename_if_exists"))
	h.at("/lua/mylib.rename_if_exists")
	editor := h.Locator(".cm-content")
	h.reaches(editor)
	h.press("Escape", "Tab")
	must(t, expect.Locator(editor).Not().ToBeFocused())
	h.keeps()
	for i, key := range []string{"rename-from", "rename-to"} {
		field := h.field([]string{"KEYS[1]", "KEYS[2]"}[i])
		if n, err := field.Count(); n == 0 {
			must(t, err)
			h.enters(h.button("Add a key"))
		}
		h.puts(field, key)
	}
	h.enters(h.button("Dry run"))
	h.says(h.GetByTestId("dryrun"), "nothing was written", "integer 10")
	h.keeps()
	h.enters(h.button("Run"))
	h.reply("integer", "10")
	h.focused(h.button("Run"))
	if got := a.command("GET", "rename-to"); got != "x" {
		t.Errorf("the key is %v", got)
	}
}

// TestKeyboardBroker publishes, invokes, and retries a dead letter with another payload.
func TestKeyboardBroker(t *testing.T) {
	t.Parallel()
	in := start(t, options{})
	a := in.client(t)
	a.command("SET", "rename-from", "x")
	a.call(http.MethodPut, "/lua/programs/mylib.rename_if_exists", renamer, nil)
	a.call(http.MethodPost, "/broker/invoke", map[string]any{"service": "lua:mylib.rename_if_exists", "payload": map[string]any{"keys": []string{}}, "max_attempts": 1}, nil)
	h := hands{in.browse(t, browsing{})}

	h.visit("/")
	h.jump("b", "/broker/channels")
	h.press("n")
	h.at("/broker/publish")
	h.puts(h.Locator("#publish-channel"), "orders")
	h.puts(h.Locator("#message"), `"hello"`)
	h.says(h.GetByTestId("json-say"), "JSON")
	h.enters(h.button("Publish"))
	h.says(h.GetByTestId("message"), `"hello"`)

	h.jump("b", "/broker/channels")
	h.enters(h.link("Services"))
	h.at("/broker/services")
	h.press("n")
	h.at("/broker/invoke")
	h.puts(h.field("Service"), "echo")
	h.puts(h.field("Payload, JSON"), `{"n": 1}`)
	h.enters(h.button("Invoke"))
	h.becomes("done")
	h.says(h.GetByTestId("result"), `"n"`)

	eventually(t, func() error { return a.isDead("lua:mylib.rename_if_exists") })
	h.enters(h.GetByRole(*playwright.AriaRoleLink, playwright.PageGetByRoleOptions{Name: regexp.MustCompile(`^Dead letters`)})) // with how many they are
	h.at("/broker/dead")
	h.enters(h.link("Edit the payload and retry"))
	h.puts(h.field("Payload, JSON"), `{"keys": ["rename-from", "rename-to"]}`)
	h.enters(h.button("Retry with this payload"))
	h.becomes("done")
	if got := a.command("GET", "rename-to"); got != "x" {
		t.Errorf("the key is %v", got)
	}
}

// TestKeyboardStatistics looks at another stretch of time, and at a part of it.
func TestKeyboardStatistics(t *testing.T) {
	t.Parallel()
	in := start(t, options{})
	a := in.client(t)
	a.record("orders.create", 20, 300, 30*time.Minute)
	a.recorded("/stats/trends?view=all", "orders[.]")
	h := hands{in.browse(t, browsing{})}

	h.visit("/")
	h.jump("s", "/stats/trends")
	h.enters(h.Locator("#range summary"))
	h.press("ArrowDown", "ArrowDown", "Enter")
	must(t, h.WaitForURL(regexp.MustCompile(`[?].`)))
	h.enters(h.link("orders.create").First())
	h.sees(h.heading("orders.create"))
	h.enters(h.Locator("#range summary"))
	h.press("ArrowUp", "Enter") // of one's own
	h.reaches(h.field("From (UTC)"))
	h.press("Escape")
	h.lacks(h.GetByTestId("own-range"))
}

// TestKeyboardRedis finds a key, edits it, and types a command.
func TestKeyboardRedis(t *testing.T) {
	t.Parallel()
	in := start(t, options{})
	a := in.client(t)
	a.command("SET", "greeting", "hello")
	a.command("HSET", "hash", "field", "before")
	h := hands{in.browse(t, browsing{})}

	h.visit("/")
	h.jump("k", "/redis/keys")
	h.press("f")
	h.types("greet*")
	h.counts(h.GetByTestId("key"), 1)
	h.enters(h.GetByTestId("key").GetByRole("link"))
	h.enters(h.link("Edit"))
	value := h.Locator("#string-value")
	h.focused(value)
	h.press("Control+a")
	h.types("good bye")
	h.enters(h.button("Save"))
	h.says(h.GetByTestId("text"), "good bye")

	h.visit("/redis/key?key=hash")
	h.enters(h.GetByTestId("value").GetByRole("link").Filter(playwright.LocatorFilterOptions{HasNotText: "Add"}).First())
	h.keeps()
	h.press("Escape")
	h.keeps()

	h.jump("c", "/redis/console")
	line := h.Locator("#console-text")
	h.focused(line)
	h.types("GET greeting")
	h.press("Escape", "Enter") // the help that typing has opened
	h.says(h.GetByTestId("entry").Last(), "good bye")
	h.focused(line)
	h.press("Escape", "Tab") // the field lets go of the focus
	must(t, expect.Locator(line).Not().ToBeFocused())
	h.keeps()
	if got := a.command("GET", "greeting"); got != "good bye" {
		t.Errorf("the key is %v", got)
	}
}
