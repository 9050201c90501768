package main

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

var (
	fenced  = regexp.MustCompile("(?ms)^```.*?^```$")
	inline  = regexp.MustCompile("`[^`\n]*`")
	link    = regexp.MustCompile(`\[[^\]]*\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#{1,6} (.+)$`)
)

// document is a Markdown file of the repository.
type document struct {
	links   []string
	anchors map[string]bool
}

// documents reads all Markdown files of the repository, by their path from its root.
func documents(t *testing.T, root fs.FS) map[string]document {
	t.Helper()
	all := map[string]document{}
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if base := entry.Name(); entry.IsDir() && (base == "node_modules" || base == "artifacts" || base != "." && strings.HasPrefix(base, ".")) {
			return fs.SkipDir
		}
		if entry.IsDir() || path.Ext(name) != ".md" {
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		all[name] = read(string(text))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func read(text string) document {
	text = fenced.ReplaceAllString(text, "")
	d := document{anchors: map[string]bool{}}
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		name := anchor(m[1])
		for n := 1; d.anchors[name]; n++ {
			name = anchor(m[1]) + "-" + strconv.Itoa(n)
		}
		d.anchors[name] = true
	}
	for _, m := range link.FindAllStringSubmatch(inline.ReplaceAllString(text, ""), -1) {
		d.links = append(d.links, m[1])
	}
	return d
}

// anchor is what the places that show Markdown make of a heading.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

func TestLinksOfDocuments(t *testing.T) {
	t.Parallel()
	root := os.DirFS("../..")
	all := documents(t, root)
	linked := map[string]bool{"README.md": true}
	for name, d := range all {
		for _, to := range d.links {
			file, fragment, _ := strings.Cut(to, "#")
			if strings.Contains(file, "://") {
				continue
			}
			target := name
			if file != "" {
				target = path.Join(path.Dir(name), file)
			}
			if _, err := fs.Stat(root, target); err != nil {
				t.Errorf("%s links to %s: %v", name, to, err)
				continue
			}
			if target != name {
				linked[target] = true
			}
			if fragment != "" && !all[target].anchors[fragment] {
				t.Errorf("%s links to %s, which has no such heading", name, to)
			}
		}
	}
	for name := range all {
		if !linked[name] {
			t.Errorf("no document links to %s", name)
		}
	}
	if len(all) < 20 {
		t.Errorf("%d documents", len(all))
	}
}

// Each decision is in the index, under the title that it has.
func TestDecisionsAreInTheirIndex(t *testing.T) {
	t.Parallel()
	index, err := os.ReadFile("../../docs/adr/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range documents(t, os.DirFS("../../docs/adr")) {
		if name == "README.md" {
			continue
		}
		text, err := os.ReadFile("../../docs/adr/" + name)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(text), "\n")
		number, title, _ := strings.Cut(strings.TrimPrefix(first, "# "), ". ")
		if n, err := strconv.Atoi(name[:4]); err != nil || strconv.Itoa(n) != number {
			t.Errorf("%s calls itself %s", name, number)
		}
		if row := "[" + title + "](" + name + ")"; !strings.Contains(string(index), row) {
			t.Errorf("the index has no %s", row)
		}
	}
}

func TestAnchor(t *testing.T) {
	t.Parallel()
	d := read("# One: two, `three`!\n\n## Same\n\n## Same\n\n```sh\n# none\n```\n[a](b.md#c) and `[d](e)`")
	if len(d.anchors) != 3 || !d.anchors["one-two-three"] || !d.anchors["same-1"] || len(d.links) != 1 || d.links[0] != "b.md#c" {
		t.Errorf("%+v", d)
	}
}
