package api

import (
	"encoding/base64"
	"strconv"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
)

// Bytes is text of Redis, which may be any bytes: what is no UTF-8 is {"base64":"…"} in JSON.
type Bytes string

// Schema describes both forms.
func (Bytes) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{OneOf: []*huma.Schema{
		{Type: huma.TypeString},
		{
			Type: huma.TypeObject, Required: []string{"base64"}, AdditionalProperties: false,
			Properties: map[string]*huma.Schema{"base64": {Type: huma.TypeString, Description: "Bytes that are not UTF-8, in standard base64."}},
		},
	}}
}

func appendBytes(b []byte, s string) []byte {
	if utf8.ValidString(s) {
		return appendText(b, s)
	}
	b = append(b, `{"base64":"`...)
	b = base64.StdEncoding.AppendEncode(b, []byte(s))
	return append(b, `"}`...)
}

// byteTexts reads a list of Bytes.
func (d *decoder) byteTexts(f *bodyField, to *[]Bytes) {
	if d.peek() != '[' {
		d.reject(f.name, "must be a list")
		d.skip()
		return
	}
	list := []Bytes{}
	d.items(func() {
		field := f.name + "[" + strconv.Itoa(len(list)) + "]"
		var text []byte
		switch d.peek() {
		case '"':
			text = d.quoted()
		case '{':
			text = d.base64(field)
		default:
			d.reject(field, `must be text or {"base64":"…"}`)
			d.skip()
		}
		list = append(list, Bytes(text))
	})
	*to = list
}

// base64 reads {"base64":"…"}.
func (d *decoder) base64(field string) (text []byte) {
	n := 0
	d.members(func(name []byte) {
		n++
		if string(name) != "base64" || n > 1 || d.peek() != '"' {
			n = 2
			d.skip()
			return
		}
		var err error
		if text, err = base64.StdEncoding.AppendDecode(nil, d.quoted()); err != nil && d.bad == nil {
			d.reject(field, "is not in standard base64")
		}
	})
	if n != 1 && d.bad == nil {
		d.reject(field, `must be text or {"base64":"…"}`)
	}
	return text
}
