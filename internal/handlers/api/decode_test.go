package api

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"webadmin/internal/kvdb"
)

// sample has a field of each kind that a body may have.
type sample struct {
	ID      string    `json:"id,omitempty" readOnly:"true"`
	Text    string    `json:"text"`
	Maybe   *string   `json:"maybe,omitempty"`
	Version int64     `json:"version,omitempty"`
	On      bool      `json:"on,omitempty"`
	List    []string  `json:"list,omitempty" maxItems:"3"`
	Any     JSON      `json:"any,omitempty"`
	Few     *int64    `json:"few,omitempty" minimum:"0" maximum:"9"`
	At      time.Time `json:"at,omitzero"`
}

var samplePlan = planBody(reflect.TypeFor[sample]())

func decodeSample(body string) (sample, error) {
	var s sample
	err := samplePlan.decode([]byte(body), reflect.ValueOf(&s).Elem())
	return s, err
}

func TestDecode(t *testing.T) {
	t.Parallel()
	maybe := "x"
	for body, want := range map[string]sample{
		`{"text":""}`: {},
		" {\n\t\"text\" : \"a\" , \"on\" : true } \r\n":                   {Text: "a", On: true},
		`{"text":"a","maybe":"x","version":-7,"on":false,"list":["",""]}`: {Text: "a", Maybe: &maybe, Version: -7, List: []string{"", ""}},
		`{"text":"a","maybe":null,"version":null,"on":null,"list":null}`:  {Text: "a"},
		`{"text":"a","list":[]}`:                                          {Text: "a", List: []string{}},
		`{"text":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00<é😀"}`:                {Text: "\"\\/\b\f\n\r\té😀<é😀"},
		`{"te\u0078t":"a"}`: {Text: "a"},
		`{"text":"a", "any" : {"n": 12345678901234567890.10, "s":[ "\u00e9" ]} }`: {Text: "a",
			Any: JSON(`{"n": 12345678901234567890.10, "s":[ "\u00e9" ]}`)},
		`{"text":"a","few":0}`:                     {Text: "a", Few: new(int64)},
		`{"text":"a","few":null}`:                  {Text: "a"},
		`{"text":"a","any":null}`:                  {Text: "a", Any: JSON("null")},
		`{"text":"a","at":"2026-01-31T18:00:00Z"}`: {Text: "a", At: time.Date(2026, 1, 31, 18, 0, 0, 0, time.UTC)},
		`{"text":"a","id":{"any":[1,-2.5e+3,null,"x"]},"version":9223372036854775807}`: {Text: "a", Version: 9223372036854775807},
		`{"id":` + strings.Repeat("[", 999) + strings.Repeat("]", 999) + `,"text":""}`: {},
	} {
		got, err := decodeSample(body)
		if err != nil {
			t.Errorf("%.80s: %v", body, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%.80s (-want +got):\n%s", body, diff)
		}
	}
}

func TestDecodeNamesEachWrongField(t *testing.T) {
	t.Parallel()
	for body, want := range map[string][]kvdb.FieldError{
		`{}`: {{Field: "text", Message: "is missing"}},
		`{"text":5,"maybe":true,"version":"7","on":"yes","list":"x"}`: {
			{Field: "text", Message: "must be text"}, {Field: "maybe", Message: "must be text"}, {Field: "version", Message: "must be a whole number"},
			{Field: "on", Message: "must be true or false"}, {Field: "list", Message: "must be a list of texts"},
		},
		`{"text":null}`:                             {{Field: "text", Message: "must be text"}},
		`{"text":"","Text":"","tex":1}`:             {{Field: "Text", Message: "is not known"}, {Field: "tex", Message: "is not known"}},
		`{"text":"","text":""}`:                     {{Field: "text", Message: "is given twice"}},
		`{"text":"","list":["a",2,"c"]}`:            {{Field: "list[1]", Message: "must be text"}},
		`{"text":"","list":["","","",4,5]}`:         {{Field: "list", Message: "holds 5 items; at most 3 are allowed"}},
		`{"text":"","at":"today"}`:                  {{Field: "at", Message: "must be a time like 2026-01-31T18:00:00Z"}},
		`{"text":"","few":-1}`:                      {{Field: "few", Message: "must be from 0 to 9"}},
		`{"text":"","few":10}`:                      {{Field: "few", Message: "must be from 0 to 9"}},
		`{"text":"","few":"1"}`:                     {{Field: "few", Message: "must be a whole number"}},
		`{"text":"","at":5}`:                        {{Field: "at", Message: "must be a time like 2026-01-31T18:00:00Z"}},
		`{"text":"","version":1.5}`:                 {{Field: "version", Message: "must be a whole number"}},
		`{"text":"","version":1e3}`:                 {{Field: "version", Message: "must be a whole number"}},
		`{"text":"","version":9223372036854775808}`: {{Field: "version", Message: "must be a whole number"}},
		`[]`:   {{Message: "the body must be an object"}},
		`null`: {{Message: "the body must be an object"}},
		`{"text":"","` + strings.Repeat("é", 60) + `":null}`: {{Field: strings.Repeat("é", 50) + "…", Message: "is not known"}},
	} {
		_, err := decodeSample(body)
		var invalid *kvdb.InvalidError
		if !errors.As(err, &invalid) {
			t.Errorf("%s: %v", body, err)
			continue
		}
		if diff := cmp.Diff(want, invalid.Fields); diff != "" {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
	}
}

func TestDecodeNamesSoManyFields(t *testing.T) {
	t.Parallel()
	_, err := decodeSample(`{"text":"","a` + strings.Repeat(`":1,"a`, 1000) + `":1}`)
	var invalid *kvdb.InvalidError
	if !errors.As(err, &invalid) || len(invalid.Fields) != maxFieldErrors {
		t.Errorf("%v", err)
	}
}

func TestDecodeRefusesWhatIsNoJSON(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		"":                            "it is empty at byte 0",
		"  ":                          "it ends too early at byte 2",
		`{"text":"a"`:                 "it ends too early at byte 11",
		`{"text":"a`:                  "it ends too early at byte 10",
		`{"text":"a"} x`:              "text after the end of the value at byte 13",
		`{"text":"a"}{}`:              "text after the end of the value at byte 12",
		`{"text":"a",}`:               "unexpected '}' at byte 12",
		`{"text":'a'}`:                `unexpected '\'' at byte 8`,
		`{text:"a"}`:                  "unexpected 't' at byte 1",
		`{"text" "a"}`:                `unexpected '"' at byte 8`,
		`{"text":"","list":["",]}`:    "unexpected ']' at byte 22",
		`{"text":"","version":01}`:    "unexpected '1' at byte 22",
		`{"text":"","version":-}`:     "unexpected '}' at byte 22",
		`{"text":"","on":tru}`:        "unexpected 't' at byte 16",
		`{"text":"","any":{"a":}}`:    "unexpected '}' at byte 22",
		`{"text":"","any":`:           "it ends too early at byte 17",
		`{"text":"","id":NaN}`:        "unexpected 'N' at byte 16",
		"{\"text\":\"a\nb\"}":         "a control character inside a string at byte 10",
		`{"text":"\x41"}`:             "an unknown escape at byte 9",
		`{"text":"\u12"}`:             "an unknown escape at byte 9",
		`{"text":"\ud83d"}`:           "half of a surrogate pair, which is no text at byte 9",
		`{"text":"\ude00\ud83d"}`:     "half of a surrogate pair, which is no text at byte 9",
		`{"text":"\ud83d\u0041"}`:     "half of a surrogate pair, which is no text at byte 9",
		"{\"text\":\"\xff\"}":         "text that is not UTF-8 at byte 9",
		"{\"text\":\"\xed\xa0\x80\"}": "text that is not UTF-8 at byte 9",
		"\xef\xbb\xbf{}":              `unexpected '\ufeff' at byte 0`,
		`{"id":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `,"text":""}`: "nested deeper than 1000 levels at byte 1005",
	} {
		_, err := decodeSample(body)
		var malformed *malformedError
		if !errors.As(err, &malformed) {
			t.Errorf("%.60q: %v", body, err)
			continue
		}
		if got := strings.TrimSuffix(strings.TrimPrefix(err.Error(), "The body is not JSON: "), "."); got != want {
			t.Errorf("%.60q: %q, want %q", body, got, want)
		}
	}
}

// FuzzDecode holds the decoder against encoding/json: it takes nothing that encoding/json does not take, reads the
// same from what both take, and what it calls malformed is malformed or one of the things it says it refuses.
func FuzzDecode(f *testing.F) {
	for _, body := range []string{
		`{"text":"a","maybe":"x","version":-7,"on":false,"list":["","b"],"id":{"any":[1,-2.5e+3,null,"x"]}}`,
		`{"text":"a","any": {"n" : 1.50} ,"at":"2026-01-31T18:00:00.5+01:00"}`, `{"text":"a","any":null,"at":"2026-1-31"}`,
		`{"text":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"}`, `{"text":"\ud83d"}`, `{"text":5,"text":""}`, `[`, `{"text":"a"}x`, `nul`, "\xff",
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var got sample
		err := samplePlan.decode(body, reflect.ValueOf(&got).Elem())
		var malformed *malformedError
		if errors.As(err, &malformed) {
			refused := strings.Contains(malformed.what, "UTF-8") || strings.Contains(malformed.what, "surrogate") || strings.Contains(malformed.what, "deeper")
			if json.Valid(body) && !refused {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		if !json.Valid(body) {
			t.Fatalf("%q is not JSON; decode said %v", body, err)
		}
		if err != nil {
			return
		}
		var want sample
		var raw map[string]json.RawMessage
		if err := json.Unmarshal(body, &raw); err != nil {
			t.Fatal(err)
		}
		delete(raw, "id") // read-only: of any type, and ignored
		value := JSON(raw["any"])
		delete(raw, "any")
		rest, err := json.Marshal(raw)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(rest, &want); err != nil {
			t.Fatalf("%q: %v", body, err)
		}
		want.Any = value
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%q (-want +got):\n%s", body, diff)
		}
	})
}

// FuzzAppendText holds the encoder of texts against encoding/json.
func FuzzAppendText(f *testing.F) {
	for _, s := range []string{"", "plain", "é😀", "\"\\\n\r\t\x00\x1f\x7f", "<&>\u2028", "\xff\xed\xa0\x80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := appendText([]byte("x"), s)[1:]
		want, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var gotText, wantText string
		if err := json.Unmarshal(got, &gotText); err != nil {
			t.Fatalf("%q: %s: %v", s, got, err)
		}
		if err := json.Unmarshal(want, &wantText); err != nil {
			t.Fatal(err)
		}
		if gotText != wantText {
			t.Fatalf("%q: %s, encoding/json has %s", s, got, want)
		}
	})
}
