package main

import (
	"log/slog"
	"strconv"
	"sync"
	"time"
)

// lines are where plain lines are put together.
var lines = sync.Pool{New: func() any { b := make([]byte, 0, 512); return &b }}

// appendPlain appends a record as slog's JSON handler would write it, provided that it is plain: text of printable ASCII, whole and
// decimal numbers and booleans, and nothing that may be a secret. The line of a request is, and there are thousands a
// second; the way through slog and the patterns would take a tenth of the time that the requests themselves do.
func appendPlain(b []byte, r slog.Record, scrub *scrubber) (line []byte, plain bool) {
	b = append(b, `{"time":"`...)
	b = r.Time.Round(0).AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","level":"`...)
	b = append(b, r.Level.String()...)
	b = append(b, `","msg":`...)
	if b, plain = appendPlainText(b, r.Message, scrub); !plain {
		return nil, false
	}
	r.Attrs(func(a slog.Attr) bool {
		if plain = a.Key != "" && !namesSecret(a.Key); !plain {
			return false
		}
		b = append(b, ',')
		if b, plain = appendPlainText(b, a.Key, scrub); !plain {
			return false
		}
		b = append(b, ':')
		switch v := a.Value; v.Kind() {
		case slog.KindString:
			b, plain = appendPlainText(b, v.String(), scrub)
		case slog.KindInt64:
			b = strconv.AppendInt(b, v.Int64(), 10)
		case slog.KindFloat64:
			f := v.Float64()
			if plain = f == 0 || f >= 1e-6 && f < 1e21; plain { // as encoding/json writes them
				b = strconv.AppendFloat(b, f, 'f', -1, 64)
			}
		case slog.KindBool:
			b = strconv.AppendBool(b, v.Bool())
		default:
			plain = false
		}
		return plain
	})
	return append(b, "}\n"...), plain
}

func appendPlainText(b []byte, s string, scrub *scrubber) ([]byte, bool) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return b, false
		}
	}
	if scrub.suspects(s) {
		return b, false
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"'), true
}
