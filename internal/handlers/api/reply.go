package api

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"webadmin/internal/kvdb"
)

// CommandAnswer is what the server replied to a command, with its type.
type CommandAnswer struct {
	Type      string     `json:"type" enum:"status,bulk,integer,nil,error,array,map,set,double,boolean,big_number,verbatim" example:"bulk" doc:"Of the reply, as RESP3 has them. An error of Redis is an answer, too."`
	Value     replyValue `json:"value"`
	Duration  int64      `json:"duration_us" doc:"From sending the command to the end of the reply, in microseconds."`
	Truncated bool       `json:"truncated,omitempty" doc:"The reply has more than 10,000 elements or 8 MiB, and this is the part before."`
}

func commandAnswerOf(r kvdb.Result) CommandAnswer {
	return CommandAnswer{Type: r.Reply.Kind.String(), Value: replyValue{r.Reply}, Duration: int64(r.Took / time.Microsecond), Truncated: r.Truncated}
}

func (a CommandAnswer) appendJSON(b []byte) []byte {
	return appendMeasured(appendTyped(b, "value", a.Value.Reply), a.Duration, a.Truncated)
}

// appendTyped begins an object with a reply: its type, and its value under a name.
func appendTyped(b []byte, name string, r kvdb.Reply) []byte {
	b = append(b, `{"type":"`...)
	b = append(b, r.Kind.String()...)
	b = append(b, `","`...)
	b = append(b, name...)
	return appendValue(append(b, `":`...), r)
}

// appendMeasured ends such an object with how long it took, in microseconds, and whether it was cut.
func appendMeasured(b []byte, took int64, truncated bool) []byte {
	b = append(b, `,"duration_us":`...)
	b = strconv.AppendInt(b, took, 10)
	if truncated {
		b = append(b, `,"truncated":true`...)
	}
	return append(b, '}')
}

// replyValue is the value of a reply without its type.
type replyValue struct{ kvdb.Reply }

// Schema says in words what a schema can't: it depends on the type.
func (replyValue) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Description: "By type: text of a status, bulk, verbatim or error, as {\"base64\":\"…\"} where it is not UTF-8; " +
		"the exact number of an integer, big_number or double, but \"inf\", \"-inf\" and \"nan\" as text; true or false; null of nil; " +
		"the elements of an array or set; the pairs [key, value] of a map. An element is a bulk, integer, boolean, nil or array as plain JSON, " +
		"and of any other type {\"type\", \"value\"}."}
}

// appendValue appends the value of a reply of known type.
func appendValue(b []byte, r kvdb.Reply) []byte {
	switch r.Kind {
	case kvdb.KindNil:
		return append(b, "null"...)
	case kvdb.KindBoolean:
		return appendBool(b, r.Text == "t")
	case kvdb.KindInteger, kvdb.KindBigNumber:
		return append(b, r.Text...)
	case kvdb.KindDouble:
		return appendDouble(b, r.Text)
	case kvdb.KindMap:
		b = append(b, '[')
		for i := 0; i+1 < len(r.Items); i += 2 {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendElement(append(b, '['), r.Items[i]), ',')
			b = append(appendElement(b, r.Items[i+1]), ']')
		}
		return append(b, ']')
	case kvdb.KindArray, kvdb.KindSet:
		b = append(b, '[')
		for i, item := range r.Items {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendElement(b, item)
		}
		return append(b, ']')
	}
	return appendBytes(b, r.Text)
}

// appendElement appends a part of a reply: as plain JSON where that says the type, else with it.
func appendElement(b []byte, r kvdb.Reply) []byte {
	switch r.Kind {
	case kvdb.KindBulk, kvdb.KindInteger, kvdb.KindBoolean, kvdb.KindNil, kvdb.KindArray:
		return appendValue(b, r)
	}
	return append(appendTyped(b, "value", r), '}')
}

// appendDouble appends a double with the digits that the server gave, as text where JSON has no such number.
func appendDouble(b []byte, text string) []byte {
	if json.Valid([]byte(text)) {
		return append(b, text...)
	}
	return appendText(b, strings.ToLower(text))
}
