package luaview

import (
	"context"
	"io"
	"strconv"

	"github.com/a-h/templ"

	"webadmin/web/templates/ui"
)

func digits(n int) string { return strconv.Itoa(n) }

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

func orBlank(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// noun is the word that goes with a number.
func noun(n int64, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

// short is the beginning of a SHA-1.
func short(sum string) string { return sum[:min(len(sum), 12)] }

func said(kind string) string {
	switch kind {
	case "del":
		return "removed: "
	case "ins":
		return "added: "
	}
	return ""
}

func differs(d TextDiff) string {
	return ui.Number(d.Added) + " " + noun(d.Added, "line") + " added, " + ui.Number(d.Removed) + " removed"
}

func between(i, n int) string {
	if i == n-1 {
		return " or "
	}
	return ", "
}

func (p Problem) place() string {
	if p.Line == 0 {
		return ""
	}
	return digits(p.Line) + ":" + digits(p.Column)
}

func (p Problem) kind() string {
	if p.Error {
		return "error"
	}
	return "warning"
}

// codeLine is a line of a program as it is, blanks and all: nothing else may stand round it.
func codeLine(l TextLine) templ.Component {
	return templ.ComponentFunc(func(_ context.Context, w io.Writer) error {
		html := templ.EscapeString(l.Text)
		if s := said(l.Kind); s != "" {
			html = `<span class="sr-only">` + s + `</span>` + html
		}
		if l.End != "" {
			html += `<span class="line-end">` + l.End + `</span>`
		}
		_, err := io.WriteString(w, html)
		return err
	})
}

// shortCID is the end of a CID, where it tells most: the whole one would be as wide as all else of a row.
func shortCID(cid string) string {
	const most = 18
	if len(cid) <= most {
		return cid
	}
	return "…" + cid[len(cid)-most:]
}
