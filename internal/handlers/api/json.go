package api

import (
	"encoding/json"

	"github.com/danielgtaylor/huma/v2"
)

// JSON is a value of any kind, passed through byte for byte, so that numbers stay what they are. nil = there is none, which is not null.
type JSON []byte

// Schema allows any value.
func (JSON) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Description: "Any JSON value."}
}

// MarshalJSON is for answers without appendJSON.
func (v JSON) MarshalJSON() ([]byte, error) { return json.RawMessage(v.appendJSON(nil)), nil }

func (v JSON) appendJSON(b []byte) []byte {
	if v == nil {
		return append(b, "null"...)
	}
	return append(b, v...)
}

// value reads a value of any kind as it stands there.
func (d *decoder) value() JSON {
	d.space()
	start := d.i
	d.skip()
	if d.bad != nil {
		return nil
	}
	return append(JSON{}, d.b[start:d.i]...) // the body's memory is used again
}
