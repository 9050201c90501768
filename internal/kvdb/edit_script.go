package kvdb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// This file has the scripts of edit_key.go, and reads what they reply.

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
			return Reply{}, forbiddenError(fmt.Sprintf("%.100q is a key of this program itself: what starts with %q is not changed here", key,
				string(e.DB.keys)))
		}
		if e.DB.IsCluster() && slotOf(key) != slotOf(e.Key) {
			return Reply{}, Invalid("to",
				"is in another slot of the cluster than %s: a key can't go there in one step. Names with the same {part} in braces share a slot", Shown(e.Key))
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
