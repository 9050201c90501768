package kvdb

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// This file changes keys for people who look at them. Each change is one script on the slot of the key, which first holds
// what is there against what they saw; nothing is repeated.

// Digest stands for a text that somebody saw: an edit takes it to see whether it is still there.
func Digest(text string) string { return shaOf(text) }

// KeyChangedError says that a key is not what somebody saw before. It is ErrConflict.
type KeyChangedError struct {
	Key  string
	Type string // of the key now; "none" = it is gone
	// What is there now in place of what they saw, if the type is still the same. Missing says that there is nothing.
	Current Part
	Missing bool
	words   string
}

func (e *KeyChangedError) Error() string { return e.words }

// Is makes it ErrConflict.
func (e *KeyChangedError) Is(target error) bool { return target == ErrConflict }

// KeyExistsError says that there is a key of this name already. It is ErrConflict.
type KeyExistsError struct{ Key, Type string }

func (e *KeyExistsError) Error() string {
	return fmt.Sprintf("there is a key %s already, a %s", Shown(e.Key), e.Type)
}

// Is makes it ErrConflict.
func (e *KeyExistsError) Is(target error) bool { return target == ErrConflict }

// Edit is one change of a key by somebody with the role. All of its methods apply it as a whole or not at all, and at most once. They leave
// the TTL as it is, and never make a key that was not there, but for Create, Rename and Copy.
//
// Their errors are *KeyChangedError, *KeyExistsError, ErrInvalid, ErrAway (not done), ErrUnknown, and ErrForbidden: it takes an
// operator, and nobody may change the keys of this program.
type Edit struct {
	DB   *DB
	Role string
	Key  string
}

// SetString replaces the text of a string; seen is the Digest of what it was.
func (e Edit) SetString(ctx context.Context, seen, value string) error {
	return e.run(ctx, setString, nil, "string", seen, value)
}

// SetElement replaces the element of a list at an index; seen is the Digest of what it was.
func (e Edit) SetElement(ctx context.Context, index int64, seen, value string) error {
	return e.run(ctx, setElement, nil, "list", number(index), seen, value)
}

// InsertElement puts a new element into a list before the one at an index; seen is the Digest of that one.
func (e Edit) InsertElement(ctx context.Context, index int64, seen, value string) error {
	return e.run(ctx, insertElement, nil, "list", number(index), seen, value, rand.Text()+rand.Text())
}

// AppendElement puts a new element at the end of a list, PrependElement at its beginning.
func (e Edit) AppendElement(ctx context.Context, value string) error {
	return e.run(ctx, pushElement, nil, "list", "RPUSH", value)
}

// PrependElement puts a new element at the beginning of a list.
func (e Edit) PrependElement(ctx context.Context, value string) error {
	return e.run(ctx, pushElement, nil, "list", "LPUSH", value)
}

// RemoveElement takes the element at an index out of a list; seen is the Digest of what it was.
func (e Edit) RemoveElement(ctx context.Context, index int64, seen string) error {
	return e.run(ctx, removeElement, nil, "list", number(index), seen, rand.Text()+rand.Text())
}

// AddMember adds a member to a set. One that is there already is a *KeyChangedError.
func (e Edit) AddMember(ctx context.Context, member string) error {
	err := e.run(ctx, addMember, nil, "set", member)
	var changed *KeyChangedError
	if errors.As(err, &changed) && changed.Type == "set" {
		changed.words = fmt.Sprintf("%s is in the set %s already", Shown(member), Shown(e.Key))
	}
	return err
}

// RemoveMember takes a member out of a set.
func (e Edit) RemoveMember(ctx context.Context, member string) error {
	return e.run(ctx, removeMember, nil, "set", member)
}

// SetScore gives a member of a sorted set a score; seen is the one that it had, as ReadValue gave it, or "" for a new member.
func (e Edit) SetScore(ctx context.Context, member, seen, score string) error {
	if !isScore(score) {
		return Invalid("score", "must be a number, or inf or -inf")
	}
	if seen != "" && !isScore(seen) {
		return Invalid("seen", "is no score")
	}
	return e.run(ctx, setScore, nil, "zset", member, seen, score)
}

// RemoveScored takes a member out of a sorted set; seen is the score that it had.
func (e Edit) RemoveScored(ctx context.Context, member, seen string) error {
	if !isScore(seen) {
		return Invalid("seen", "is no score")
	}
	return e.run(ctx, setScore, nil, "zset", member, seen, "")
}

// isScore says whether a text is a score as all servers read it.
func isScore(text string) bool {
	if strings.ContainsAny(text, "_xXpP") {
		return false
	}
	f, err := strconv.ParseFloat(text, 64)
	return err == nil && !math.IsNaN(f)
}

// SetField sets a field of a hash; seen is the Digest of the value that it had, or "" for a new field.
func (e Edit) SetField(ctx context.Context, field, seen, value string) error {
	return e.run(ctx, setField, nil, "hash", field, seen, value)
}

// RemoveField takes a field out of a hash; seen is the Digest of its value.
func (e Edit) RemoveField(ctx context.Context, field, seen string) error {
	return e.run(ctx, removeField, nil, "hash", field, seen)
}

// maxUnpacked is how many arguments of a script Lua can hand on to a command.
const maxUnpacked = 4000

// AddEntry adds an entry to a stream and returns its ID. id is "*", or an ID above all others; fields are names and values in turn.
func (e Edit) AddEntry(ctx context.Context, id string, fields []string) (string, error) {
	if len(fields) == 0 || len(fields)%2 != 0 || len(fields) > maxUnpacked {
		return "", Invalid("fields", "must be 1 to %d fields, each with its value", maxUnpacked/2)
	}
	if id != "*" && !isStreamID(strings.TrimSuffix(id, "-*")) {
		return "", Invalid("id", "must be *, or an ID like 1700000000000-0")
	}
	reply, err := e.script(ctx, addEntry, nil, append([]string{"stream", id}, fields...)...)
	if err != nil || len(reply.Items) < 2 {
		return "", err
	}
	return reply.Items[1].Text, nil
}

func isStreamID(id string) bool {
	ms, seq, ok := strings.Cut(id, "-")
	_, err1 := strconv.ParseUint(ms, 10, 64)
	_, err2 := strconv.ParseUint(seq, 10, 64)
	return err1 == nil && (!ok || err2 == nil)
}

// RemoveEntry takes an entry out of a stream.
func (e Edit) RemoveEntry(ctx context.Context, id string) error {
	if !isStreamID(id) {
		return Invalid("id", "must be an ID like 1700000000000-0")
	}
	return e.run(ctx, removeEntry, nil, "stream", id)
}

// Rename gives the key, of the type that was seen, another name. A key that has that name is a *KeyExistsError unless it is to be
// replaced. In a cluster, both names must be of one slot: else it is ErrInvalid.
func (e Edit) Rename(ctx context.Context, seenType, to string, replace bool) error {
	return e.run(ctx, renameKey, []string{to}, seenType, flag(replace))
}

// Copy copies the key, of the type that was seen, with its TTL. It is as Rename otherwise.
func (e Edit) Copy(ctx context.Context, seenType, to string, replace bool) error {
	if to == e.Key {
		return Invalid("to", "is the key itself")
	}
	return e.run(ctx, copyKey, []string{to}, seenType, flag(replace))
}

// SetTTL has the key, of the type that was seen, expire after ttl, in whole milliseconds, or never if it is NoTTL. hadTTL says whether it was
// seen to expire.
func (e Edit) SetTTL(ctx context.Context, seenType string, hadTTL bool, ttl time.Duration) error {
	ms, err := ttlArg(ttl)
	if err != nil {
		return err
	}
	return e.run(ctx, setTTL, nil, seenType, flag(hadTTL), ms)
}

// Delete deletes the key if it is of the type that was seen and, for a string, if seen is the Digest of its text or "". Its memory is
// given back in the background.
func (e Edit) Delete(ctx context.Context, seenType, seen string) error {
	if seen != "" && seenType != "string" {
		return Invalid("seen", "is for strings only")
	}
	return e.run(ctx, deleteKey, nil, seenType, seen)
}

// creators are the commands that make a key of each type, and how many arguments an element has.
var creators = map[string]struct {
	command string
	each    int
}{
	"string": {"SET", 1}, "list": {"RPUSH", 1}, "set": {"SADD", 1}, "zset": {"ZADD", 2}, "hash": {"HSET", 2}, "stream": {"XADD", 2},
}

// Create makes a new key of a type, which expires after ttl unless that is NoTTL. The content is the text of a string; the elements of a list
// or set; scores and members, or fields and values, in turn. It is up to 4,000 texts. A key of that name is a *KeyExistsError.
func (e Edit) Create(ctx context.Context, kind string, content []string, ttl time.Duration) error {
	ms, err := ttlArg(ttl)
	if err != nil {
		return err
	}
	how, ok := creators[kind]
	switch {
	case !ok:
		return Invalid("type", "must be string, list, set, zset, hash or stream")
	case len(content) == 0, len(content)%how.each != 0, len(content) > maxUnpacked, kind == "string" && len(content) != 1:
		return Invalid("content", "is not that of a %s", kind)
	}
	args := []string{ms, how.command}
	switch kind {
	case "stream":
		args = append(args, "*")
	case "zset":
		for i := 0; i < len(content); i += 2 {
			if !isScore(content[i]) {
				return Invalid("content", "%s is no score", Shown(content[i]))
			}
		}
	}
	return e.run(ctx, createKey, nil, append(args, content...)...)
}

func ttlArg(ttl time.Duration) (string, error) {
	switch {
	case ttl == NoTTL:
		return "", nil
	case ttl < time.Millisecond:
		return "", Invalid("ttl", "must be longer than nothing")
	}
	return number(ttl.Milliseconds()), nil
}

func flag(on bool) string {
	if on {
		return "1"
	}
	return ""
}
