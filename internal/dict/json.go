package dict

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// jsonFile reads a JSON file element by element.
type jsonFile struct {
	rd  *reading
	rr  *recordReader
	dec *json.Decoder
}

func (rd *reading) json(r io.Reader) *jsonFile {
	rr := &recordReader{r: r, track: true}
	return &jsonFile{rd: rd, rr: rr, dec: json.NewDecoder(rr)}
}

// line is the line that the decoder has come to.
func (j *jsonFile) line() int64 { return j.rr.next(j.dec.InputOffset()) }

// trouble puts into words what the decoder has stumbled over, and finds the line.
func (j *jsonFile) trouble(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fileTroubleAt(io.ErrUnexpectedEOF, j.rr.next(j.rr.offset))
	}
	rest, _ := io.ReadAll(j.dec.Buffered())
	value := bytes.TrimLeft(rest, " \t\r\n,")
	offset := j.dec.InputOffset() + int64(len(rest)-len(value))
	var syntax, inside *json.SyntaxError
	if !errors.As(err, &syntax) {
		return fileTroubleAt(err, j.rr.next(offset))
	}
	// The offset of the error is no good: the decoder doesn't count what it reads as tokens. A second look at
	// the value finds the place, if the error is inside it.
	if errors.As(json.Unmarshal(value, new(json.RawMessage)), &inside) && inside.Error() == syntax.Error() {
		offset += inside.Offset - 1
	}
	return &FileError{Line: j.rr.next(offset), Message: "This is not JSON: " + syntax.Error() + "."}
}

func (j *jsonFile) wrong(format string, args ...any) error {
	return &FileError{Line: j.line(), Message: fmt.Sprintf(format, args...)}
}

// delim reads one bracket.
func (j *jsonFile) delim(want json.Delim, where string) error {
	tok, err := j.dec.Token()
	if err != nil {
		return j.trouble(err)
	}
	if tok != want {
		return j.wrong("%s must be %s.", where, map[json.Delim]string{'{': "an object", '[': "a list"}[want])
	}
	return nil
}

// object reads an object, field by field; field reads the value.
func (j *jsonFile) object(where string, field func(name string) error) error {
	if err := j.delim('{', where); err != nil {
		return err
	}
	for j.dec.More() {
		tok, err := j.dec.Token()
		if err != nil {
			return j.trouble(err)
		}
		name, _ := tok.(string)
		if err := field(name); err != nil {
			return err
		}
	}
	if _, err := j.dec.Token(); err != nil {
		return j.trouble(err)
	}
	return nil
}

// list reads a list, element by element.
func (j *jsonFile) list(where string, element func(line int64, raw []byte)) error {
	if err := j.delim('[', where); err != nil {
		return err
	}
	var raw json.RawMessage
	for j.dec.More() { // has skipped the blanks before the element
		raw = raw[:0]
		if err := j.dec.Decode(&raw); err != nil {
			return j.trouble(err)
		}
		end := j.dec.InputOffset()
		element(j.rr.next(end-int64(len(raw))), raw)
		j.rr.start = end
	}
	if _, err := j.dec.Token(); err != nil {
		return j.trouble(err)
	}
	return nil
}

func (j *jsonFile) skip() error {
	var raw json.RawMessage
	if err := j.dec.Decode(&raw); err != nil {
		return j.trouble(err)
	}
	return nil
}

// end makes sure that nothing follows.
func (j *jsonFile) end() error {
	if tok, err := j.dec.Token(); !errors.Is(err, io.EOF) {
		if err != nil {
			return j.trouble(err)
		}
		return j.wrong("Something follows the end of the object: %v.", tok)
	}
	return nil
}

// decodeElement reads one element strictly; the text says what is wrong with it.
func decodeElement(raw []byte, into any) string {
	if !utf8.Valid(raw) {
		return "is not UTF-8 text"
	}
	if loneSurrogate(raw) {
		return `holds half of a surrogate pair (\uD800 to \uDFFF), which is no character`
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	var typ *json.UnmarshalTypeError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &typ):
		if typ.Field == "" {
			return "is not an object, but a " + typ.Value
		}
		return typ.Field + " is not text, but a " + typ.Value
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}

// loneSurrogate says whether an escape in JSON text stands for half a character. The decoder would make U+FFFD
// of it, and with that another value.
func loneSurrogate(raw []byte) bool {
	for i := 0; i+1 < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		if raw[i+1] != 'u' {
			i++
			continue
		}
		r := hex4(raw[i+2:])
		i += 5
		switch {
		case r < 0xd800 || r > 0xdfff:
		case r >= 0xdc00 || i+2 >= len(raw) || raw[i+1] != '\\' || raw[i+2] != 'u':
			return true
		default:
			if low := hex4(raw[i+3:]); low < 0xdc00 || low > 0xdfff {
				return true
			}
			i += 6
		}
	}
	return false
}

func hex4(b []byte) (r rune) {
	for _, c := range b[:min(4, len(b))] {
		r <<= 4
		switch {
		case c >= '0' && c <= '9':
			r |= rune(c - '0')
		case c >= 'a' && c <= 'f':
			r |= rune(c-'a') + 10
		case c >= 'A' && c <= 'F':
			r |= rune(c-'A') + 10
		}
	}
	return r
}

// jsonEntry and jsonTranslation are the elements of the JSON format. Export writes what import reads.
type jsonEntry struct {
	System *string `json:"system"`
	Key    *string `json:"key"`
	Value  *string `json:"value"`
}

type jsonTranslation struct {
	System1 *string `json:"system1"`
	Key1    *string `json:"key1"`
	Value1  *string `json:"value1"`
	System2 *string `json:"system2"`
	Key2    *string `json:"key2"`
	Value2  *string `json:"value2"`
}

// texts returns the fields, or the names of those that are missing.
func texts(names []string, fields ...*string) (out []string, reason string) {
	var missing []string
	out = make([]string, len(fields))
	for i, f := range fields {
		if f == nil {
			missing = append(missing, names[i])
		} else {
			out[i] = *f
		}
	}
	if missing != nil {
		return out, "has no " + strings.Join(missing, ", ")
	}
	return out, ""
}

func (rd *reading) jsonEntryRow(line int64, raw []byte, into any, fields func() (out []string, reason string)) {
	if reason := decodeElement(raw, into); reason != "" {
		rd.count()
		rd.reject(line, reason, nil)
		return
	}
	f, reason := fields()
	switch {
	case reason != "":
		rd.count()
		rd.reject(line, reason, f)
	case len(f) == len(entryFields):
		rd.entry(line, f)
	default:
		rd.translation(line, f)
	}
}

func (rd *reading) readJSON(r io.Reader) error {
	j := rd.json(r)
	found := false
	err := j.object("The file", func(name string) error {
		found = true
		switch name {
		case "entries":
			return j.list("entries", func(line int64, raw []byte) {
				var e jsonEntry
				rd.jsonEntryRow(line, raw, &e, func() ([]string, string) {
					return texts(entryFields[:], e.System, e.Key, e.Value)
				})
			})
		case "translations":
			return j.list("translations", func(line int64, raw []byte) {
				var t jsonTranslation
				rd.jsonEntryRow(line, raw, &t, func() ([]string, string) {
					return texts(translationFields[:], t.System1, t.Key1, t.Value1, t.System2, t.Key2, t.Value2)
				})
			})
		}
		hint := ""
		if name == "data" || name == "meta" {
			hint = " The file looks like an export of the old system: choose the format zato."
		}
		return j.wrong("The file holds %s; entries and translations are known.%s", quoteShort(name), hint)
	})
	if err != nil {
		return err
	}
	if !found { // to replace everything by nothing takes an empty list
		return j.wrong("The file holds neither entries nor translations.")
	}
	return j.end()
}
