package kvdb

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// This file changes keys for people who look at them. Each change is one script on the slot of the key, which first holds
// what is there against what they saw; nothing is repeated.

// Digest stands for a text that somebody saw: an edit takes it to see whether it is still there.
func Digest(text string) string { return shaOf(text) }

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

// guard is the beginning of all scripts.
//
// KEYS[1]: the key. ARGV[1]: the type that was seen. They reply {"done", …}; {"changed", type} where the key is of another type or
// gone ("none"); {"changed", type, text, size} where something else is there than was seen, and without a text where nothing is;
// {"exists", type} where a key is in the way.
const guard = `
local key, kind = KEYS[1], redis.call('TYPE', KEYS[1]).ok
if kind ~= ARGV[1] then return {'changed', kind} end
local function changed(now)
  if not now then return {'changed', kind, false, 0} end
  return {'changed', kind, string.sub(now, 1, 65536), #now}
end
local function same(now, seen) return now and redis.sha1hex(now) == seen end
`

var (
	// ARGV: "string", Digest of the value, the new value
	setString = NewScript(guard + `
local now = redis.call('GET', key)
if not same(now, ARGV[2]) then return changed(now) end
redis.call('SET', key, ARGV[3], 'KEEPTTL')
return {'done'}`)

	// ARGV: "list", index, Digest of the element, the new one
	setElement = NewScript(guard + `
local now = redis.call('LINDEX', key, ARGV[2])
if not same(now, ARGV[3]) then return changed(now) end
redis.call('LSET', key, ARGV[2], ARGV[4])
return {'done'}`)

	// ARGV: "list", index, Digest of the element, a text that is nowhere in the list
	removeElement = NewScript(guard + `
local now = redis.call('LINDEX', key, ARGV[2])
if not same(now, ARGV[3]) then return changed(now) end
redis.call('LSET', key, ARGV[2], ARGV[4])
redis.call('LREM', key, 1, ARGV[4])
return {'done'}`)

	// ARGV: "list", index, Digest of the element that is there, the new one, a text that is nowhere in the list
	insertElement = NewScript(guard + `
local now = redis.call('LINDEX', key, ARGV[2])
if not same(now, ARGV[3]) then return changed(now) end
redis.call('LSET', key, ARGV[2], ARGV[5])
redis.call('LINSERT', key, 'BEFORE', ARGV[5], ARGV[4])
redis.call('LSET', key, tonumber(ARGV[2]) + 1, now)
return {'done'}`)

	// ARGV: "list", "RPUSH" or "LPUSH", the new element
	pushElement = NewScript(guard + `
redis.call(ARGV[2], key, ARGV[3])
return {'done'}`)

	// ARGV: "set", the member
	addMember = NewScript(guard + `
if redis.call('SADD', key, ARGV[2]) == 0 then return changed(ARGV[2]) end
return {'done'}`)

	// ARGV: "set", the member
	removeMember = NewScript(guard + `
if redis.call('SREM', key, ARGV[2]) == 0 then return changed(false) end
return {'done'}`)

	// ARGV: "zset", the member, the score that was seen ("" = none), the new one ("" = remove it)
	setScore = NewScript(guard + `
local now = redis.call('ZSCORE', key, ARGV[2])
if (now or '') ~= ARGV[3] and not (now and tonumber(now) == tonumber(ARGV[3])) then return changed(now) end
if ARGV[4] == '' then redis.call('ZREM', key, ARGV[2]) else redis.call('ZADD', key, ARGV[4], ARGV[2]) end
return {'done'}`)

	// ARGV: "hash", the field, Digest of the value ("" = there was none), the new value
	setField = NewScript(guard + `
local now = redis.call('HGET', key, ARGV[2])
if now and not same(now, ARGV[3]) or not now and ARGV[3] ~= '' then return changed(now) end
redis.call('HSET', key, ARGV[2], ARGV[4])
return {'done'}`)

	// ARGV: "hash", the field, Digest of the value
	removeField = NewScript(guard + `
local now = redis.call('HGET', key, ARGV[2])
if not same(now, ARGV[3]) then return changed(now) end
redis.call('HDEL', key, ARGV[2])
return {'done'}`)

	// ARGV: "stream", the ID or "*", fields and values. Replies {"done", the ID}
	addEntry = NewScript(guard + `
return {'done', redis.call('XADD', key, unpack(ARGV, 2))}`)

	// ARGV: "stream", the ID
	removeEntry = NewScript(guard + `
if redis.call('XDEL', key, ARGV[2]) == 0 then return changed(false) end
return {'done'}`)

	// KEYS[2]: the new name. ARGV: the type, "1" = whatever has that name is replaced
	renameKey = NewScript(guard + `
local there = redis.call('TYPE', KEYS[2]).ok
if ARGV[2] ~= '1' and there ~= 'none' and KEYS[1] ~= KEYS[2] then return {'exists', there} end
redis.call('RENAME', key, KEYS[2])
return {'done'}`)

	// KEYS[2]: the name of the copy. ARGV: the type, "1" = whatever has that name is replaced
	copyKey = NewScript(guard + `
local there = redis.call('TYPE', KEYS[2]).ok
if ARGV[2] ~= '1' and there ~= 'none' then return {'exists', there} end
redis.call('COPY', key, KEYS[2], 'REPLACE')
return {'done'}`)

	// ARGV: the type, "1" = it had a TTL, the new TTL in ms, "" = none
	setTTL = NewScript(guard + `
local now = redis.call('PTTL', key)
if (now >= 0) ~= (ARGV[2] == '1') then return changed(tostring(now)) end
if ARGV[3] == '' then redis.call('PERSIST', key) else redis.call('PEXPIRE', key, ARGV[3]) end
return {'done'}`)

	// ARGV: the type, Digest of a string ("" = whatever it is)
	deleteKey = NewScript(guard + `
if ARGV[2] ~= '' then
  local now = redis.call('GET', key)
  if not same(now, ARGV[2]) then return changed(now) end
end
redis.call('UNLINK', key)
return {'done'}`)

	// ARGV: the TTL in ms ("" = none), the command that makes it, and what follows its key. Replies as guard says
	createKey = NewScript(`
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'none' then return {'exists', kind} end
redis.call(ARGV[2], KEYS[1], unpack(ARGV, 3))
if ARGV[1] ~= '' then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return {'done'}`)
)

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

func (e Edit) run(ctx context.Context, s *Script, more []string, args ...string) error {
	_, err := e.script(ctx, s, more, args...)
	return err
}

// script runs a script on the key and more keys.
func (e Edit) script(ctx context.Context, s *Script, more []string, args ...string) (Reply, error) {
	restricted, err := access(e.Role, operator, "changing keys")
	if err != nil {
		return Reply{}, err
	}
	keys := append([]string{e.Key}, more...)
	for _, key := range keys {
		if e.DB.isOurs(key) {
			return Reply{}, forbiddenError(fmt.Sprintf("%.100q is a key of this program itself: what starts with %q is not changed here", key, string(e.DB.keys)))
		}
		if e.DB.IsCluster() && slotOf(key) != slotOf(e.Key) {
			return Reply{}, Invalid("to", "is in another slot of the cluster than %s: a key can't go there in one step. Names with the same {part} in braces share a slot", Shown(e.Key))
		}
	}
	reply, err := s.runAs(ctx, e.DB, restricted, keys, args)
	var refused replyError
	if _, known := refusalOf(err); errors.As(err, &refused) && !known { // what is wrong with the change, as the server says it
		words, _, _ := strings.Cut(strings.TrimPrefix(string(refused), "ERR "), " script: ")
		return Reply{}, Invalid("value", "%s", words)
	}
	if err = WriteErr("edit key", err); err != nil {
		return Reply{}, checkKey(err, e.Key)
	}
	return reply, e.outcome(reply, keys[len(keys)-1], args)
}

// checkKey has an error whose outcome is unknown say where to look.
func checkKey(err error, key string) error {
	var unknown *UnknownError
	if errors.As(err, &unknown) {
		unknown.Check = fmt.Sprintf("the key %.100q", key)
	}
	return err
}

// outcome reads the reply of a script; see guard.
func (e Edit) outcome(reply Reply, to string, args []string) error {
	text := func(i int) string {
		if i < len(reply.Items) {
			return reply.Items[i].Text
		}
		return ""
	}
	switch text(0) {
	case "done":
		return nil
	case "exists":
		return &KeyExistsError{Key: to, Type: text(1)}
	}
	changed := &KeyChangedError{Key: e.Key, Type: text(1)}
	name := Shown(e.Key)
	switch {
	case changed.Type == "none":
		changed.Missing = true
		changed.words = fmt.Sprintf("the key %s does not exist any more", name)
	case changed.Type != args[0]:
		changed.words = fmt.Sprintf("the key %s is a %s now, and no %s any more", name, changed.Type, args[0])
	case len(reply.Items) < 4, reply.Items[2].Kind == KindNil:
		changed.Missing = true
		changed.words = fmt.Sprintf("what you changed is not in the key %s any more", name)
	default:
		changed.Current = Part{Text: text(2), Size: int64(reply.Items[3].int())}
		changed.words = fmt.Sprintf("somebody else has changed the key %s meanwhile", name)
	}
	return changed
}

// runAs is Run as somebody, over the connections on which commands of people run.
func (s *Script) runAs(ctx context.Context, db *DB, restricted bool, keys, args []string) (Reply, error) {
	tail := slices.Concat([]string{strconv.Itoa(len(keys))}, keys, args)
	for _, head := range [][]string{{"EVALSHA", s.sha}, {"EVAL", s.src}} {
		all, err := db.onNodeOf(ctx, keys[0], together{wire: wireOptions{restricted: restricted}}, slices.Concat(head, tail))
		if err != nil {
			return Reply{}, err
		}
		err = all[0].failure()
		if redis.HasErrorPrefix(err, "NOSCRIPT") && head[0] == "EVALSHA" { // so nothing ran
			continue
		}
		if err != nil {
			return Reply{}, err
		}
		if all[0].reply.Kind != KindArray || len(all[0].reply.Items) == 0 || all[0].cut {
			return Reply{}, errNotRedis
		}
		return all[0].reply, nil
	}
	return Reply{}, errNotRedis
}

// slotOf returns the slot of a key in a cluster.
func slotOf(key string) int {
	if i := strings.IndexByte(key, '{'); i >= 0 {
		if n := strings.IndexByte(key[i+1:], '}'); n > 0 {
			key = key[i+1 : i+1+n]
		}
	}
	crc := uint16(0)
	for i := range len(key) {
		crc ^= uint16(key[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return int(crc) % slotCount
}
