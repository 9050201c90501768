package broker

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"strings"
	"time"
	"unicode"

	"webadmin/internal/kvdb"
)

// A CID is 26 letters and digits and, after a hyphen, the tag of its service. They are the time in ms, so that CIDs sort by it, and 80
// random bits; or a hash, so that what is sent twice has one CID. That of a callback has a letter more than that of what it answers.
const (
	cidAlphabet = "0123456789abcdefghjkmnpqrstvwxyz"
	cidLen      = 26
	tagLen      = 8
	maxName     = 200
)

var cidEncoding = base32.NewEncoding(cidAlphabet).WithPadding(base32.NoPadding)

// tagOf is what CIDs have of the name of their service.
func tagOf(service string) string {
	sum := sha256.Sum256([]byte(service))
	return cidEncoding.EncodeToString(sum[:5])
}

// newCID makes one that nobody else makes.
func newCID(at time.Time, service string) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(at.UnixMilli())<<16)
	_, _ = rand.Read(b[6:]) // never fails: see its documentation
	return cidEncoding.EncodeToString(b[:]) + "-" + tagOf(service)
}

// cidFor makes the CID that a service and an operation always have.
func cidFor(service, op string) string {
	sum := sha256.Sum256([]byte(service + "\x00" + op))
	return cidEncoding.EncodeToString(sum[:])[:cidLen] + "-" + tagOf(service)
}

// callbackCID is the CID of the callback of an invocation, so that it is published once.
func callbackCID(cid, service string) string {
	body, _, _ := strings.Cut(cid, "-")
	return body + "c-" + tagOf(service)
}

// splitCID returns the tag of a CID's service; ok is false for what can't be a CID.
func splitCID(cid string) (tag string, ok bool) {
	body, tag, ok := strings.Cut(cid, "-")
	if !ok || len(body) < cidLen || len(body) > 2*cidLen || len(tag) != tagLen {
		return "", false
	}
	for _, text := range []string{body, tag} {
		for i := range len(text) {
			if strings.IndexByte(cidAlphabet, text[i]) < 0 {
				return "", false
			}
		}
	}
	return tag, true
}

// IsCID says whether a text may be the CID of an invocation.
func IsCID(text string) bool {
	_, ok := splitCID(text)
	return ok
}

// CheckName refuses what can't be the name of a service or channel, with a kvdb.InvalidError of the field.
func CheckName(field, name string) error {
	if name == "" {
		return kvdb.Invalid(field, "is required")
	}
	if name == "." || name == ".." {
		return kvdb.Invalid(field, "can't be %q: no address could name it", name)
	}
	if len(name) > maxName {
		return kvdb.Invalid(field, "has %d characters; at most %d are allowed", len([]rune(name)), maxName)
	}
	for _, r := range name {
		if r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("_-.:/", r) {
			return kvdb.Invalid(field, "may have letters, digits and _ - . : / only, not %q", r)
		}
	}
	return nil
}
