package storybook_test

import (
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"

	"webadmin/web/templates/layout"
	"webadmin/web/templates/storybook"
)

func TestPage(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := storybook.Page(layout.Page{Title: "Components", User: "anna", Role: "admin"}).Render(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "<em") {
		t.Error("text became markup")
	}
	d, err := goquery.NewDocumentFromReader(strings.NewReader(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	d.Find("[id]").Each(func(_ int, s *goquery.Selection) {
		id, _ := s.Attr("id")
		if seen[id] {
			t.Errorf("the id %q is there twice", id)
		}
		seen[id] = true
	})
	d.Find("[for], [aria-describedby], [form]").Each(func(_ int, s *goquery.Selection) {
		for _, name := range []string{"for", "aria-describedby", "form"} {
			value, _ := s.Attr(name)
			for _, id := range strings.Fields(value) {
				if !seen[id] {
					t.Errorf("%s names %q, which is not there", name, id)
				}
			}
		}
	})
}
