package dict

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// needle is a text to search for, whatever its case.
type needle struct {
	text   []byte // lower case
	ascii  bool
	folded []byte // scratch
}

func newNeedle(q string) *needle {
	if q == "" {
		return nil
	}
	lower := strings.ToLower(q)
	return &needle{text: []byte(lower), ascii: isASCII(q)}
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// inBlock says whether the needle may be in a block: a fast no, or a perhaps.
func (n *needle) inBlock(block []byte) bool {
	if !n.ascii {
		return bytes.Contains(bytes.ToLower(block), n.text)
	}
	n.folded = append(n.folded[:0], block...)
	for i, c := range n.folded {
		n.folded[i] = lower[c]
	}
	return bytes.Contains(n.folded, n.text) || hasFoldedToASCII(block)
}

// lower maps ASCII letters to lower case and leaves other bytes alone.
var lower = func() (t [256]byte) {
	for i := range t {
		t[i] = byte(i)
		if i >= 'A' && i <= 'Z' {
			t[i] += 'a' - 'A'
		}
	}
	return t
}()

// hasFoldedToASCII says whether a block holds the two signs outside ASCII whose lower case lies in it: the
// Kelvin sign and the dotted capital I.
func hasFoldedToASCII(block []byte) bool {
	return bytes.Contains(block, []byte("\u212a")) || bytes.Contains(block, []byte("\u0130"))
}

// in says whether one of the fields holds the needle. No needle is in everything.
func (n *needle) in(fields ...string) bool {
	if n == nil {
		return true
	}
	for _, f := range fields {
		if strings.Contains(strings.ToLower(f), string(n.text)) {
			return true
		}
	}
	return false
}
