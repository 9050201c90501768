package api

import (
	"context"
	"math"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"webadmin/internal/stats"
)

const (
	maxSamples     = 10_000
	maxSamplesBody = 8 << 20
)

// RecordRequest are calls of services.
type RecordRequest struct {
	Samples sampleList `json:"samples" maxItems:"10000" example:"[{\"service\": \"orders\", \"duration_ms\": 12.5}]" doc:"At most 10,000. The object of a sample holds: service (any text of 1 to 200 characters), duration_ms (a number, up to 24 hours), at (when the call ended; up to 35 days back and 60 seconds ahead; now by default), failed (false by default) and cid (of the call, up to 200 characters)."`
}

// RecordAnswer says what came of the samples.
type RecordAnswer struct {
	Accepted int              `json:"accepted" example:"5"`
	Rejected []RejectedSample `json:"rejected"`
}

// RejectedSample is a sample that was not recorded.
type RejectedSample struct {
	Index  int    `json:"index" doc:"In the list that was sent, from 0."`
	Reason string `json:"reason" example:"duration_ms is negative"`
}

type recordInput struct{ Body RecordRequest }

func (s *server) recordSamples(ctx context.Context, in *recordInput) (RecordAnswer, error) {
	list := &in.Body.Samples
	out := RecordAnswer{Rejected: []RejectedSample{}}
	err := s.AuditedOften(ctx, "stats.record", "samples", func() (before, after string, err error) {
		var rejected []stats.Rejected
		out.Accepted, rejected, err = s.Stats.RecordSamples(ctx, list.samples)
		for _, r := range rejected {
			list.reject(list.at[r.Index], r.Reason)
		}
		return "", strconv.Itoa(out.Accepted) + " accepted", err
	})
	for i, reason := range list.reasons {
		if reason != "" {
			out.Rejected = append(out.Rejected, RejectedSample{i, reason})
		}
	}
	return out, err
}

// sampleList are samples as they were sent. What is wrong with one is its own affair and not that of the request.
type sampleList struct {
	samples []stats.Sample
	at      []int    // index of each sample in what was sent
	reasons []string // why one is wrong, by that index; shorter than the list when the rest is right
}

// Schema describes it in the OpenAPI document.
func (sampleList) Schema(huma.Registry) *huma.Schema {
	least, most, one := 0.0, stats.MaxDuration.Seconds()*1000, 1
	name, cid := stats.MaxName, stats.MaxCID
	return &huma.Schema{Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeObject,
		Required: []string{"service", "duration_ms"}, AdditionalProperties: false,
		Properties: map[string]*huma.Schema{
			"service":     {Type: huma.TypeString, MinLength: &one, MaxLength: &name},
			"duration_ms": {Type: huma.TypeNumber, Minimum: &least, Maximum: &most},
			"at":          {Type: huma.TypeString, Format: "date-time"},
			"failed":      {Type: huma.TypeBoolean},
			"cid":         {Type: huma.TypeString, MaxLength: &cid},
		}}}
}

func (l *sampleList) reject(index int, reason string) {
	for len(l.reasons) <= index {
		l.reasons = append(l.reasons, "")
	}
	if l.reasons[index] == "" {
		l.reasons[index] = reason
	}
}

// samples reads a list of samples.
func (d *decoder) samples(f *bodyField, to *sampleList) {
	if d.peek() != '[' {
		d.reject(f.name, "must be a list of samples")
		d.skip()
		return
	}
	r := sampleReader{d: d, list: to, names: map[string]string{}}
	n := 0
	d.items(func() {
		if n < maxSamples {
			r.sample(n)
		} else {
			d.skip()
		}
		n++
	})
	if n > maxSamples {
		d.reject(f.name, "holds %d samples; at most %d are allowed", n, maxSamples)
	}
}

// sampleReader reads samples.
type sampleReader struct {
	d     *decoder
	list  *sampleList
	names map[string]string // of services: most come again and again
	index int
	one   stats.Sample
	seen  sampleField
}

// sampleField are fields of a sample.
type sampleField uint8

const (
	sampleService sampleField = 1 << iota
	sampleDuration
	sampleAt
	sampleFailed
	sampleCID
)

func (r *sampleReader) wrong(reason string) { r.list.reject(r.index, reason) }

func (r *sampleReader) sample(index int) {
	r.index, r.one, r.seen = index, stats.Sample{}, 0
	if r.d.peek() != '{' {
		r.wrong("it is not an object")
		r.d.skip()
		return
	}
	r.d.members(r.field)
	switch {
	case r.seen&sampleService == 0:
		r.wrong("service is missing")
	case r.seen&sampleDuration == 0:
		r.wrong("duration_ms is missing")
	}
	if index >= len(r.list.reasons) {
		r.list.samples, r.list.at = append(r.list.samples, r.one), append(r.list.at, index)
	}
}

func (r *sampleReader) field(name []byte) {
	d := r.d
	var which sampleField
	switch string(name) {
	case "service":
		which = sampleService
	case "duration_ms":
		which = sampleDuration
	case "at":
		which = sampleAt
	case "failed":
		which = sampleFailed
	case "cid":
		which = sampleCID
	default:
		r.wrong(cutName(name) + " is not known")
		d.skip()
		return
	}
	if r.seen&which != 0 {
		r.wrong(string(name) + " is given twice")
		d.skip()
		return
	}
	r.seen |= which
	c := d.peek()
	switch {
	case c == 'n' && which&(sampleAt|sampleFailed|sampleCID) != 0: // null: as good as absent
		d.literal("null")
	case which == sampleDuration:
		r.duration(c)
	case which == sampleFailed:
		r.failed(c)
	case c != '"':
		r.wrong(string(name) + " must be text")
		d.skip()
	default:
		r.text(which, d.quoted())
	}
}

func (r *sampleReader) text(which sampleField, text []byte) {
	switch which {
	case sampleService:
		known, ok := r.names[string(text)]
		if !ok {
			known = string(text)
			r.names[known] = known
		}
		r.one.Service = known
	case sampleAt:
		if r.one.At.UnmarshalText(text) != nil {
			r.wrong("at must be a time like 2026-01-31T18:00:00Z")
		}
	case sampleCID:
		r.one.CID = string(text)
	}
}

func (r *sampleReader) failed(c byte) {
	switch c {
	case 't':
		r.d.literal("true")
		r.one.Failed = true
	case 'f':
		r.d.literal("false")
	default:
		r.wrong("failed must be true or false")
		r.d.skip()
	}
}

func (r *sampleReader) duration(c byte) {
	if c != '-' && (c < '0' || c > '9') {
		r.wrong("duration_ms must be a number")
		r.d.skip()
		return
	}
	took, reason := millisOf(r.d.number())
	if reason != "" {
		r.wrong(reason)
	}
	r.one.Took = took
}

// millisOf reads milliseconds, exact to the nanosecond.
func millisOf(number []byte) (took time.Duration, reason string) {
	if len(number) > 0 && number[0] == '-' {
		if f, err := strconv.ParseFloat(string(number), 64); err != nil || f != 0 {
			return 0, "duration_ms is negative"
		}
		return 0, ""
	}
	var whole, fraction int64
	scale := int64(time.Millisecond)
	dot := false
	for i, c := range number {
		switch {
		case c == '.':
			dot = true
		case c < '0' || c > '9' || i > 17: // an exponent, or more digits than fit
			return slowMillis(number)
		case !dot:
			whole = whole*10 + int64(c-'0')
		case scale > 1:
			scale /= 10
			fraction += int64(c-'0') * scale
		default:
			return slowMillis(number)
		}
	}
	if whole > stats.MaxDuration.Milliseconds() {
		return tooLong()
	}
	return time.Duration(whole*int64(time.Millisecond) + fraction), ""
}

func slowMillis(number []byte) (time.Duration, string) {
	f, err := strconv.ParseFloat(string(number), 64)
	if err != nil || f > millis(stats.MaxDuration) {
		return tooLong()
	}
	return time.Duration(math.Round(f * float64(time.Millisecond))), ""
}

func tooLong() (time.Duration, string) {
	return 0, "duration_ms is over " + strconv.Itoa(int(stats.MaxDuration.Hours())) + " hours"
}
