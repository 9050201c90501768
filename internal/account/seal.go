package account

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
)

// macLen is the length of the signature in front of a record: 32 bytes in base64url. Scripts that look
// into a record know it too.
const macLen = 43

// sealer signs and verifies the records of one hash.
type sealer struct {
	hash string // its key in Redis
	key  []byte
}

// newSealer derives the key of the hash's records from the session key, by a label of its own.
func newSealer(sessionKey []byte, label, hash string) sealer {
	return sealer{hash: hash, key: derive(sessionKey, label)}
}

// seal returns the record as it is stored in the field.
func (s sealer) seal(field string, record any) string {
	body, err := json.Marshal(record)
	if err != nil {
		panic("account: a record that JSON cannot hold: " + err.Error()) // only strings, numbers and times
	}
	return s.mac(field, string(body)) + string(body)
}

// open verifies what is stored in the field and reads it into record.
func (s sealer) open(field, sealed string, record any) error {
	if len(sealed) < macLen {
		return errForged
	}
	mac, body := sealed[:macLen], sealed[macLen:]
	if !hmac.Equal([]byte(mac), []byte(s.mac(field, body))) {
		return errForged
	}
	return json.Unmarshal([]byte(body), record)
}

// mac signs body for one field of one hash. Neither JSON nor a name holds a zero byte, so that no two
// sets of parts are signed alike.
func (s sealer) mac(field, body string) string {
	h := hmac.New(sha256.New, s.key)
	for _, part := range []string{s.hash, "\x00", field, "\x00", body} {
		io.WriteString(h, part)
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

func derive(sessionKey []byte, label string) []byte {
	key, err := hkdf.Key(sha256.New, sessionKey, nil, "webadmin account "+label, sha256.Size)
	if err != nil {
		panic("account: deriving a key: " + err.Error()) // only for lengths no hash has
	}
	return key
}

var errForged = errors.New("account: the signature is wrong")
