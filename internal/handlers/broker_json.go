package handlers

import (
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"webadmin/internal/broker"
	"webadmin/web/templates/brokerview"
)

// shownJSON is how much of a payload a page shows.
const shownJSON = 64 << 10

// dataOf shows JSON as people read it. whole is where all of it can be had.
func dataOf(raw []byte, whole string) brokerview.Data {
	text, all := indentJSON(raw, shownJSON)
	return brokerview.Data{Text: text, Size: int64(len(raw)), Cut: !all, Whole: whole}
}

// indentJSON writes a JSON text with a line for each of its parts, and everything else as it is: numbers and texts stay what they were.
// It stops after about so many bytes; then all is false. (The indentation of a text that is nested a thousand deep has no bound of its own.)
func indentJSON(raw []byte, most int) (text string, all bool) {
	var out strings.Builder
	depth := 0
	line := func() {
		out.WriteByte('\n')
		for range depth {
			out.WriteString("  ")
		}
	}
	for i := 0; i < len(raw); i++ {
		if out.Len() > most {
			return headOf(out.String(), most), false
		}
		switch c := raw[i]; c {
		case ' ', '\t', '\n', '\r':
		case '"':
			end := endOfText(raw, i)
			out.Write(raw[i:end])
			i = end - 1
		case '{', '[':
			out.WriteByte(c)
			next := i + 1
			for next < len(raw) && strings.IndexByte(" \t\n\r", raw[next]) >= 0 {
				next++
			}
			if next < len(raw) && (raw[next] == '}' || raw[next] == ']') {
				out.WriteByte(raw[next])
				i = next
				continue
			}
			depth++
			line()
		case '}', ']':
			depth = max(0, depth-1)
			line()
			out.WriteByte(c)
		case ',':
			out.WriteByte(c)
			line()
		case ':':
			out.WriteString(": ")
		default:
			out.WriteByte(c)
		}
	}
	if out.Len() > most {
		return headOf(out.String(), most), false
	}
	return out.String(), true
}

// endOfText is where the JSON text that begins at i ends.
func endOfText(raw []byte, i int) int {
	for i++; i < len(raw); i++ {
		switch raw[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(raw)
}

// sayJSON says how a text is that should be JSON. An empty one is null.
func sayJSON(id, text string, most int) brokerview.Say {
	if strings.TrimSpace(text) == "" {
		return brokerview.Say{ID: id, Empty: true}
	}
	if len(text) > most {
		return brokerview.Say{ID: id, Fault: "It has " + decimal(int64(len(text))) + " bytes; at most " + decimal(int64(most)) + " are taken."}
	}
	if err := broker.CheckJSON([]byte(text)); err != nil {
		return faultyJSON(id, text, err)
	}
	return brokerview.Say{ID: id, Text: "Valid JSON, " + plural(int64(len(text)), "byte")}
}

// faultyJSON says where a text stops being JSON. Only a part of its line is shown.
func faultyJSON(id, text string, err error) brokerview.Say {
	var bad *broker.JSONError
	if !errors.As(err, &bad) {
		return brokerview.Say{ID: id, Fault: upperFirst(err.Error()) + "."}
	}
	say := brokerview.Say{ID: id, Fault: bad.Reason, Line: bad.Line, Column: bad.Column}
	const round = 40 // characters before the place and behind it
	lines := strings.Split(text, "\n")
	line := []rune(lines[min(max(bad.Line, 1), len(lines))-1])
	at := min(max(bad.Column, 1)-1, len(line))
	say.Before, say.At = string(line[max(0, at-round):at]), string(line[at:min(len(line), at+round)])
	if at > round {
		say.Before = "…" + say.Before
	}
	if say.At == "" {
		say.At = " "
	}
	return say
}

// checkJSON serves POST /broker/json: it says of the field that the query names (field, else payload) whether it is JSON. id is that of
// the field on the page.
func (p *brokerPages) checkJSON(c echo.Context) error {
	f, err := readForm(c)
	if err != nil {
		return err
	}
	name := query(c, "field")
	if name == "" {
		name = "payload"
	}
	return render(c, http.StatusOK, brokerview.SayOf(sayJSON(name, f.text(name), p.Broker.MaxPayload())))
}

// jsonEditor is a field for JSON.
func (s *site) jsonEditor(name, label, form, text string) brokerview.Editor {
	e := brokerview.Editor{Check: s.url("broker.json", values("field", name)), Say: sayJSON(name, text, s.Broker.MaxPayload())}
	e.Field.ID, e.Field.Name, e.Field.Label, e.Field.Form, e.Field.Value = name, name, label, form, text
	return e
}
