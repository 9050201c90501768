package broker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"webadmin/internal/kvdb"
)

// maxDepth is how deep JSON may be nested.
const maxDepth = 1000

// JSONError says where a text stops being JSON that is taken. It is kvdb.ErrInvalid.
type JSONError struct {
	Line, Column int // of the character, counted from 1
	Reason       string
}

func (e *JSONError) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Reason)
}

// Is makes it kvdb.ErrInvalid.
func (e *JSONError) Is(target error) bool { return target == kvdb.ErrInvalid }

// CheckJSON refuses what is not one JSON value in UTF-8 nested at most 1,000 deep, with a *JSONError.
func CheckJSON(b []byte) error {
	if !utf8.Valid(b) {
		return jsonError(b, validPrefix(b), "the bytes are not UTF-8")
	}
	if at := tooDeep(b); at >= 0 {
		return jsonError(b, at, fmt.Sprintf("nested deeper than %d levels", maxDepth))
	}
	if json.Valid(b) {
		return nil
	}
	if len(bytes.TrimSpace(b)) == 0 {
		return jsonError(b, 0, "there is nothing; an empty text is \"\", nothing is null")
	}
	var (
		value  json.RawMessage
		syntax *json.SyntaxError
	)
	if err := json.Unmarshal(b, &value); errors.As(err, &syntax) {
		return jsonError(b, max(int(syntax.Offset)-1, 0), syntax.Error())
	}
	return jsonError(b, len(b), "is not JSON")
}

// tooDeep returns where brackets are nested too deep, or -1. What is not JSON may fool it.
func tooDeep(b []byte) int {
	depth, text := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case text:
			if c == '\\' {
				i++
			} else if c == '"' {
				text = false
			}
		case c == '"':
			text = true
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return i
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return -1
}

// validPrefix is how many bytes are UTF-8.
func validPrefix(b []byte) int {
	for i := 0; ; {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n <= 1 {
			return i
		}
		i += n
	}
}

func jsonError(b []byte, at int, reason string) error {
	before := b[:min(at, len(b))]
	line := bytes.LastIndexByte(before, '\n') + 1
	return &JSONError{Line: bytes.Count(before, []byte("\n")) + 1, Column: utf8.RuneCount(before[line:]) + 1, Reason: reason}
}

// checkBody refuses what is no JSON or too large. None is allowed: it is null.
func (s *Store) checkBody(what string, b []byte) error {
	if len(b) > s.maxPayload {
		return &TooLargeError{What: what, Size: len(b), Max: s.maxPayload}
	}
	if len(b) == 0 {
		return nil
	}
	return CheckJSON(b)
}
