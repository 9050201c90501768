package api

import (
	"bytes"
	"encoding/json"
	"strconv"
	"sync"
	"unicode/utf8"

	"github.com/labstack/echo/v4"
)

// jsonAppender is an answer that writes itself. Only the answers that are given thousands of times a second
// do; a test holds what they write against encoding/json.
type jsonAppender interface {
	appendJSON(b []byte) []byte
}

// located is an answer about something new that has an address.
type located interface {
	location() string
}

const keptBuffer = 1 << 20 // larger buffers are not kept for the next request

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func getBuffer() *bytes.Buffer {
	b := buffers.Get().(*bytes.Buffer)
	b.Reset()
	return b
}

func putBuffer(b *bytes.Buffer) {
	if b.Cap() <= keptBuffer {
		buffers.Put(b)
	}
}

// answer writes body as JSON. Nothing is sent before all of it is encoded.
func answer(c echo.Context, status int, body any) error {
	buf := getBuffer()
	defer putBuffer(buf)
	if a, ok := body.(jsonAppender); ok {
		// The part behind what the buffer holds is its own; what is appended beyond it is copied.
		buf.Write(a.appendJSON(buf.AvailableBuffer()))
	} else if err := encode(buf, body); err != nil {
		return err
	}
	h := c.Response().Header()
	if buf.Len() >= 2<<10 { // of less, the server sets it
		h.Set(echo.HeaderContentLength, strconv.Itoa(buf.Len()))
	}
	h.Set(echo.HeaderCacheControl, "no-store")
	if l, ok := body.(located); ok && status == 201 {
		h.Set(echo.HeaderLocation, l.location())
	}
	return c.Blob(status, echo.MIMEApplicationJSON, buf.Bytes())
}

func encode(buf *bytes.Buffer, body any) error {
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false) // the answer is no page
	return enc.Encode(body)
}

// appendText appends s as a JSON string. What is not UTF-8 becomes U+FFFD, as with encoding/json.
func appendText(b []byte, s string) []byte {
	b = append(b, '"')
	if plainText(s) {
		b = append(b, s...)
		return append(b, '"')
	}
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, '\\', 'n')
		case r == '\t':
			b = append(b, '\\', 't')
		case r == '\r':
			b = append(b, '\\', 'r')
		case r < ' ':
			const hex = "0123456789abcdef"
			b = append(b, '\\', 'u', '0', '0', hex[r>>4], hex[r&0xf])
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}

// plainText says whether s can stand in a JSON string as it is.
func plainText(s string) bool {
	wide := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c < ' ' || c == '"' || c == '\\' {
			return false
		}
		wide = wide || c >= utf8.RuneSelf
	}
	return !wide || utf8.ValidString(s)
}
