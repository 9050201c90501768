//go:build e2e

package e2e_test

import (
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/playwright-community/playwright-go"
)

// TestKeys finds a key, and looks into it.
func TestKeys(t *testing.T) {
	t.Parallel()
	in := start(t, options{})
	admin := in.client(t)
	admin.command("HSET", "order", "state", "open")
	p := in.browse(t, browsing{})
	p.visit("/redis/keys?match=order")
	p.click(p.link("order"))
	p.says(p.GetByTestId("facts"), "hash")
	p.says(p.GetByTestId("item").First(), "state", "open")
}

// TestEditKeys changes a key of each type: an element is changed, one added and one removed, and each time the server has exactly that.
func TestEditKeys(t *testing.T) {
	t.Parallel()
	in := start(t, options{})
	admin := in.client(t)
	admin.command("SET", "a string", "before")
	admin.command("RPUSH", "a list", "one", "two", "three")
	admin.command("SADD", "a set", "kept", "gone")
	admin.command("ZADD", "a zset", "1", "low", "2", "high")
	admin.command("HSET", "a hash", "state", "open", "gone", "x")
	admin.command("XADD", "a stream", "1-1", "event", "made")
	p := in.browse(t, browsing{})
	has := func(want any, command ...string) {
		t.Helper()
		eventually(t, func() error {
			if got := admin.command(command...); !reflect.DeepEqual(got, want) {
				return fmt.Errorf("%s: %v, want %v", strings.Join(command, " "), got, want)
			}
			return nil
		})
	}
	visit := func(key string) {
		t.Helper()
		p.visit("/redis/key?key=" + strings.ReplaceAll(key, " ", "+"))
	}
	item := func(text string) playwright.Locator { return p.row("item", text) }
	edit := func(text, field, value string) {
		t.Helper()
		p.click(item(text).GetByTitle(regexp.MustCompile("^Edit ")))
		p.focused(p.input(field))
		p.fill(p.input(field), value)
		p.keys("Enter")
	}
	remove := func(text string) {
		t.Helper()
		p.click(item(text).GetByTitle(regexp.MustCompile("^Remove ")))
		p.click(p.GetByTestId("removal").GetByRole("button", playwright.LocatorGetByRoleOptions{Name: "Remove"}))
	}

	visit("a string")
	p.click(p.link("Edit"))
	p.fill(p.field("Value"), "after\nit")
	p.click(p.button("Save"))
	p.says(p.GetByTestId("text"), "after\nit")
	has("after\nit", "GET", "a string")

	visit("a list")
	edit("two", "Value", "2")
	p.says(item("2").First(), "2")
	has([]any{"one", "2", "three"}, "LRANGE", "a list", "0", "-1")
	p.click(p.link("Add an element"))
	p.fill(p.input("Value"), "four")
	p.click(p.button("Add"))
	p.sees(item("four"))
	remove("one")
	p.lacks(item("one"))
	has([]any{"2", "three", "four"}, "LRANGE", "a list", "0", "-1")

	visit("a set")
	p.click(p.link("Add a member"))
	p.fill(p.input("Member"), "new")
	p.click(p.button("Add"))
	p.sees(item("new"))
	remove("gone")
	p.sees(p.GetByTestId("removed"))
	has([]any{1.0, 0.0, 1.0}, "SMISMEMBER", "a set", "kept", "gone", "new")

	visit("a zset")
	edit("low", "Score", "2.5")
	p.says(item("low"), "2.5")
	remove("high")
	p.sees(p.GetByTestId("removed"))
	has(2.5, "ZSCORE", "a zset", "low")
	has(nil, "ZSCORE", "a zset", "high")

	visit("a hash")
	edit("state", "Value", "closed")
	p.says(item("state"), "closed")
	p.click(p.link("Add a field"))
	p.fill(p.input("Field"), "by")
	p.fill(p.input("Value"), "ann")
	p.click(p.button("Add"))
	p.says(item("by"), "ann")
	remove("gone")
	p.sees(p.GetByTestId("removed"))
	has([]any{"closed", "ann", nil}, "HMGET", "a hash", "state", "by", "gone")

	visit("a stream")
	p.click(p.link("Add an entry"))
	p.fill(p.input("ID"), "2-0")
	p.fill(p.input("Fields"), "event=sent\nby=bob")
	p.click(p.button("Add"))
	p.says(item("2-0"), "sent", "bob")
	remove("1-1")
	p.sees(p.GetByTestId("removed"))
	has([]any{[]any{"2-0", []any{"event", "sent", "by", "bob"}}}, "XRANGE", "a stream", "-", "+")

	visit("a hash") // the key as a whole
	p.fill(p.GetByTestId("rename").GetByLabel("New name"), "renamed")
	p.click(p.button("Rename"))
	p.says(p.Locator("h1"), "renamed")
	has(0.0, "EXISTS", "a hash")
	has("closed", "HGET", "renamed", "state")
	p.click(p.link("Delete…"))
	p.says(p.GetByTestId("holds"), "closed")
	p.click(p.button("Delete the key"))
	p.says(p.toasts(), "deleted")
	has(0.0, "EXISTS", "renamed")
}

// TestKeyChangedMeanwhile edits a string and a field that somebody else changes at the same time: both values are there to be seen, and
// what was typed is not lost, nor does it go over theirs unasked.
func TestKeyChangedMeanwhile(t *testing.T) {
	t.Parallel()
	in := start(t, options{})
	admin := in.client(t)
	admin.command("SET", "text", "before")
	admin.command("HSET", "order", "state", "open")
	p := in.browse(t, browsing{})
	p.expects(409)

	p.visit("/redis/key?key=text")
	p.click(p.link("Edit"))
	p.fill(p.field("Value"), "mine")
	admin.command("SET", "text", "theirs")
	p.click(p.button("Save"))
	p.says(p.GetByTestId("theirs"), "theirs")
	p.holds(p.field("Value"), "mine")
	if got := admin.command("GET", "text"); got != "theirs" {
		t.Fatalf("before anybody has decided it is %v", got)
	}
	p.click(p.button("Save mine over it"))
	p.says(p.GetByTestId("text"), "mine")
	if got := admin.command("GET", "text"); got != "mine" {
		t.Fatalf("it is %v", got)
	}

	p.visit("/redis/key?key=order")
	p.click(p.GetByTestId("item").GetByTitle(regexp.MustCompile("^Edit ")))
	p.fill(p.input("Value"), "mine")
	admin.command("HSET", "order", "state", "theirs")
	p.keys("Enter")
	p.says(p.GetByTestId("theirs"), "theirs")
	p.holds(p.input("Value"), "mine")
	p.click(p.link("Cancel"))
	p.says(p.GetByTestId("item"), "theirs")
	if got := admin.command("HGET", "order", "state"); got != "theirs" {
		t.Fatalf("it is %v", got)
	}

	p.click(p.GetByTestId("item").GetByTitle(regexp.MustCompile("^Edit ")))
	p.fill(p.input("Value"), "typed")
	admin.command("DEL", "order")
	p.keys("Enter")
	p.says(p.GetByTestId("item-form"), "The key is gone")
	p.holds(p.input("Value"), "typed")
}

// TestDeleteByPattern deletes many keys: they are counted first, and the pattern has to be typed.
func TestDeleteByPattern(t *testing.T) {
	t.Parallel()
	in := start(t, options{})
	admin := in.client(t)
	for i := range 30 {
		admin.command("SET", fmt.Sprint("many:", i), "v")
	}
	admin.command("SET", "other", "v")
	p := in.browse(t, browsing{})
	p.expects(422)
	confirm := p.countFirst("many:*")
	p.says(p.GetByTestId("figures"), "30")
	if got := admin.command("EXISTS", "many:7"); got != 1.0 {
		t.Fatalf("counting has deleted: %v", got)
	}
	p.fill(p.field("Type the pattern to go on"), "many")
	p.click(confirm.GetByRole("button"))
	p.says(confirm, "This is not the pattern")
	p.fill(p.field("Type the pattern to go on"), "many:*")
	p.click(confirm.GetByRole("button"))
	p.says(p.GetByTestId("job"), "30 keys deleted.")
	for key, want := range map[string]any{"many:7": 0.0, "other": 1.0} {
		if got := admin.command("EXISTS", key); got != want {
			t.Errorf("EXISTS %s: %v, want %v", key, got, want)
		}
	}
}

// TestStopDeletion stops the deletion of many keys on its way: the page says how many are gone, and so many are.
func TestStopDeletion(t *testing.T) {
	t.Parallel()
	const all = 400_000
	redis := startRedis(t)
	in := start(t, options{args: []string{"--redis-url", redis.url()}})
	must(t, redis.command(fmt.Sprintf(`EVAL "for i=1,%d do redis.call('set','many:'..i,'v') end return 'OK'" 0`, all), "$2"))
	p := in.browse(t, browsing{})
	confirm := p.countFirst("many:*")
	p.fill(p.field("Type the pattern to go on"), "many:*")
	p.click(confirm.GetByRole("button"))
	p.sees(p.GetByTestId("job").Locator("progress"))
	p.click(p.button("Stop"))
	p.says(p.GetByTestId("job"), "the others stay as they are")
	said, err := p.GetByTestId("job").GetByText("Stopped.").InnerText()
	must(t, err)
	m := regexp.MustCompile(`Stopped\. ([0-9,]+) keys? deleted`).FindStringSubmatch(said)
	if m == nil {
		t.Fatalf("it says %q", said)
	}
	deleted, err := strconv.Atoi(strings.ReplaceAll(m[1], ",", ""))
	must(t, err)
	if deleted >= all {
		t.Fatalf("all were deleted before it was stopped")
	}
	p.countFirst("many:*")
	p.says(p.GetByTestId("figures"), decimal(all-deleted))
}

// countFirst has the keys of a pattern counted that are to be deleted, and returns what asks for a confirmation.
func (p *page) countFirst(pattern string) playwright.Locator {
	p.t.Helper()
	p.visit("/redis/keys")
	p.click(p.link("Many at once…"))
	p.fill(p.field("Pattern"), pattern)
	p.click(p.button("Count them first"))
	confirm := p.GetByTestId("confirm")
	p.sees(confirm)
	return confirm
}

// decimal writes a number as pages do.
func decimal(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
