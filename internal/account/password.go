package account

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	_ "embed"
	"encoding/base64"
	"fmt"
	"runtime/debug"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"webadmin/internal/kvdb"
)

// Lengths of a password in characters.
const (
	MinPassword = 8
	MaxPassword = 256
)

const (
	hashesAtOnce  = 2  // each takes 19 MiB and some 40 ms of a processor
	hashesWaiting = 20 // beyond that, ErrBusy
)

// checkPassword returns what is wrong with a new password of the user, "" = nothing.
func checkPassword(name, password string) string {
	n := utf8.RuneCountInString(password)
	switch {
	case !utf8.ValidString(password):
		return "must be text in UTF-8"
	case n < MinPassword:
		return fmt.Sprintf("must have at least %d characters", MinPassword)
	case n > MaxPassword:
		return fmt.Sprintf("must have at most %d characters", MaxPassword)
	case strings.EqualFold(password, name):
		return "must not be the user name"
	case isCommon(password):
		return "is one of the most common passwords, choose another"
	}
	return ""
}

//go:embed common_passwords.txt
var commonPasswords string

// isCommon reports whether the password is on the list, whatever its case.
func isCommon(password string) bool {
	return !strings.Contains(password, "\n") &&
		strings.Contains("\n"+commonPasswords, "\n"+strings.ToLower(password)+"\n")
}

// newPassword returns a password for people to type once: 130 random bits.
func newPassword() string { return strings.ToLower(rand.Text()) }

// cost is what a guess at a password costs.
type cost struct {
	passes  uint32
	kib     uint32 // memory
	threads uint8
}

// standardCost is the least that OWASP's ASVS 5.0 names for argon2id at this memory.
var standardCost = cost{passes: 2, kib: 19 * 1024, threads: 1}

// hasher makes and checks password hashes, a few at once: each takes so much memory that a crowd at the
// sign-in would otherwise bring the process down.
type hasher struct {
	cost  cost
	line  chan struct{} // who is hashing or waits for it
	slots chan struct{} // who is hashing
}

func newHasher() *hasher {
	return &hasher{
		cost:  standardCost,
		line:  make(chan struct{}, hashesAtOnce+hashesWaiting),
		slots: make(chan struct{}, hashesAtOnce),
	}
}

// do runs work when its turn comes; ErrBusy when too many wait already, or the error of ctx.
func (h *hasher) do(ctx context.Context, work func()) error {
	select {
	case h.line <- struct{}{}:
		defer func() { <-h.line }()
	default:
		return ErrBusy
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-ctx.Done():
		return kvdb.ReadErr("account: wait for the password check", ctx.Err())
	}
	work()
	if h.cost.kib >= 8<<10 && len(h.line) == 1 {
		debug.FreeOSMemory() // the last of a crowd gives its memory back now, not minutes later
	}
	return nil
}

// hash returns the hash of a password as a PHC string.
func (h *hasher) hash(ctx context.Context, password string) (phc string, err error) {
	err = h.do(ctx, func() { phc = newPHC(h.cost, password) })
	return phc, err
}

// verify checks a password against a PHC string. With phc "" (there is no such user) it takes as long and is never
// right. better is a new hash of the right password when phc is weaker than today's cost, else "".
func (h *hasher) verify(ctx context.Context, phc, password string) (right bool, better string, err error) {
	if utf8.RuneCountInString(password) > MaxPassword {
		phc, password = "", "" // cannot be right, and is not worth the time of its length
	}
	parsed, err := parsePHC(phc)
	if err != nil {
		parsed = phcHash{cost: h.cost, salt: make([]byte, saltLen)}
	}
	known := err == nil
	err = h.do(ctx, func() {
		sum := parsed.cost.sum(password, parsed.salt)
		right = known && subtle.ConstantTimeCompare(sum, parsed.sum) == 1
		if right && parsed.cost.weakerThan(h.cost) {
			better = newPHC(h.cost, password)
		}
	})
	return right, better, err
}

const (
	saltLen = 16
	sumLen  = 32
)

func (c cost) sum(password string, salt []byte) []byte {
	return argon2.IDKey([]byte(password), salt, c.passes, c.kib, c.threads, sumLen)
}

func (c cost) weakerThan(want cost) bool { return c.passes < want.passes || c.kib < want.kib }

// phcHash is a PHC string in parts: $argon2id$v=19$m=19456,t=2,p=1$salt$hash
type phcHash struct {
	cost cost
	salt []byte
	sum  []byte
}

func newPHC(c cost, password string) string {
	salt := make([]byte, saltLen)
	rand.Read(salt)
	return phcHash{cost: c, salt: salt, sum: c.sum(password, salt)}.String()
}

func (p phcHash) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		p.cost.kib, p.cost.passes, p.cost.threads, b64.EncodeToString(p.salt), b64.EncodeToString(p.sum))
}

// parsePHC takes what String writes, in the one form it writes it.
func parsePHC(s string) (p phcHash, err error) {
	bad := func(part string) (phcHash, error) {
		return phcHash{}, fmt.Errorf("account: password hash with a bad %s", part)
	}
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return bad("form")
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.cost.kib, &p.cost.passes, &p.cost.threads); err != nil {
		return bad("cost")
	}
	if p.cost.passes == 0 || p.cost.passes > 16 || p.cost.kib == 0 || p.cost.kib > 256*1024 || p.cost.threads == 0 {
		return bad("cost")
	}
	if p.salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil || len(p.salt) != saltLen {
		return bad("salt")
	}
	if p.sum, err = base64.RawStdEncoding.DecodeString(parts[5]); err != nil || len(p.sum) != sumLen {
		return bad("sum")
	}
	if p.String() != s {
		return bad("form")
	}
	return p, nil
}
