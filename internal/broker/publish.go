package broker

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"webadmin/internal/kvdb"
)

// Message is one message of a channel.
type Message struct {
	ID   string // opaque; sorts messages only together with those of the same channel
	N    int64  // counts the messages of the channel from 1, without gaps
	At   time.Time
	By   string
	Data []byte // JSON as it was published; in lists its first 2 KiB. Shared by all who got it: not to be changed
	Size int    // of the whole, in bytes
}

// Limits of one operation that publishes a message more than once.
const (
	MaxTimes      = 1000
	maxTimesBytes = 16 << 20
)

// Publish gives a message to all subscribers of a channel, once, and keeps it for those who are away. The message is JSON and kept byte for
// byte. op names the operation, "" = none: the same op with the same message within 24 hours is published once. receivers are those
// that are connected: subscribers of all processes, and plain Redis subscribers of the channel's name (on a cluster those of one node).
// Errors: *kvdb.InvalidError, *TooLargeError, *JSONError, *OpError.
func (s *Store) Publish(ctx context.Context, channel string, message []byte, by, op string) (m Message, receivers int64, err error) {
	return s.PublishTimes(ctx, channel, message, by, op, 1)
}

// PublishTimes is Publish for the same message several times, up to MaxTimes and 16 MiB in all: either all of them or none. It returns the last.
func (s *Store) PublishTimes(ctx context.Context, channel string, message []byte, by, op string, times int) (m Message, receivers int64, err error) {
	if err := s.checkMessage(channel, message, times); err != nil {
		return Message{}, 0, err
	}
	p := &publication{message: message, by: by, times: times}
	if op != "" {
		p.op, p.hash = opHash(op), opHash(strconv.Itoa(times), string(message))
	}
	if err := s.channels.list(ctx, s, channel); err != nil {
		return Message{}, 0, kvdb.WriteErr("publish", err)
	}
	gate := s.channels.enter(channel, func(ctx context.Context, all []*publication) { s.publishAll(ctx, channel, all) })
	err = gate.Add(ctx, p)
	s.channels.leave(channel)
	if err != nil { // the context's: p is not ours to look at
		return Message{}, 0, kvdb.WriteErr("publish", err)
	}
	return p.result, p.receivers, p.err
}

func (s *Store) checkMessage(channel string, message []byte, times int) error {
	if err := CheckChannel(channel); err != nil {
		return err
	}
	if len(message) > s.maxPayload {
		return &TooLargeError{What: "message", Size: len(message), Max: s.maxPayload}
	}
	if times < 1 || times > MaxTimes {
		return kvdb.Invalid("times", "must be from 1 to %d", MaxTimes)
	}
	if times > 1 && times*len(message) > maxTimesBytes {
		return kvdb.Invalid("times", "makes more than %d MiB of messages", maxTimesBytes>>20)
	}
	return CheckJSON(message)
}

// OpError says that an operation published another message before. It is kvdb.ErrConflict.
type OpError struct{}

func (*OpError) Error() string {
	return "this operation published another message before; nothing was published now"
}

// Is makes it kvdb.ErrConflict.
func (*OpError) Is(target error) bool { return target == kvdb.ErrConflict }

// CheckChannel refuses what can't be the name of a channel, with a *kvdb.InvalidError.
func CheckChannel(name string) error {
	if name == "" || len(name) > maxChannelName || strings.Trim(name, nameCharacters) != "" {
		return kvdb.Invalid("channel", "must be 1 to %d letters, digits, _ - . : or /", maxChannelName)
	}
	return nil
}

const (
	maxChannelName = 200
	nameCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:/"
)

// opHash is for keys: what goes in can't be told from it, nor clash.
func opHash(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil)[:20])
}

// publication is one call of PublishTimes.
type publication struct {
	message  []byte
	by       string
	op, hash string
	times    int

	result    Message
	receivers int64
	err       error
}

// messageScript publishes several messages. A stream that knows better than the state what the last number is has the last word, so that a
// state that was lost does no more harm than a new epoch.
//
// KEYS: 1 log, 2 state, 3 settings, 4 seen, then those of the operations.
// ARGV: 1 a new epoch, 2 name of the channel, 3 where to say that it has messages, 4 how many messages to keep unless the settings say, 5 for how
// many ms after its last sign a connection counts, 6 for how many ms an operation is remembered; then for each publication: the number of its
// operation's key or 0, the hash of what it publishes, times, by, message.
// Returns whether the channel was made, its epoch, the time in Unix ms, how many are connected; then for each publication the number of its
// last message (0 = its operation published another one), how many plain subscribers got it, and the time in Unix ms.
var messageScript = kvdb.NewScript(`
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
local state = redis.call('HMGET', KEYS[2], 'epoch', 'n', 'm', 'm0', 'm1')
local made, epoch, n, count = 0, state[1], tonumber(state[2] or 0), 0
if not epoch then made, epoch = 1, ARGV[1] end
local function add(by, message)
  local r = redis.pcall('XADD', KEYS[1], string.format('%.0f-0', n + 1), 't', string.format('%.0f', now), 'by', by, 'm', message)
  if type(r) == 'table' and r.err and string.find(r.err, 'equal or smaller', 1, true) then
    local info = redis.call('XINFO', 'STREAM', KEYS[1])
    for i = 1, #info, 2 do
      if info[i] == 'last-generated-id' then n = tonumber(string.match(info[i + 1], '^%d+')) end
    end
    r = redis.call('XADD', KEYS[1], string.format('%.0f-0', n + 1), 't', string.format('%.0f', now), 'by', by, 'm', message)
  elseif type(r) == 'table' and r.err then
    return r
  end
  n, count = n + 1, count + 1
end
local out = {made, epoch, now, redis.call('ZCOUNT', KEYS[4], '(' .. string.format('%.0f', now - ARGV[5]), '+inf')}
local fault
for i = 7, #ARGV, 5 do
  local op, hash, times, by, message = tonumber(ARGV[i]), ARGV[i + 1], tonumber(ARGV[i + 2]), ARGV[i + 3], ARGV[i + 4]
  local before = op > 0 and redis.call('GET', KEYS[op])
  local plain, number, at = 0, 0, now
  if before then
    local first = {string.match(before, '^(%S+) (%S+) (%d+) (%d+)$')}
    if first[1] == hash and first[2] == epoch then number, at = tonumber(first[3]), tonumber(first[4]) end
  else
    for _ = 1, times do
      fault = add(by, message)
      if fault then break end
      local got = redis.pcall('PUBLISH', ARGV[2], message)
      if type(got) == 'number' then plain = got end
    end
    if fault then break end
    number = n
    if op > 0 then redis.call('SET', KEYS[op], hash .. ' ' .. epoch .. ' ' .. string.format('%.0f %.0f', n, now), 'PX', ARGV[6]) end
  end
  out[#out + 1], out[#out + 2], out[#out + 3] = number, plain, at
end
if count > 0 then
  local minute, m, m0, m1 = math.floor(now / 60000), tonumber(state[3] or 0), tonumber(state[4] or 0), tonumber(state[5] or 0)
  if m == minute - 1 then m0, m1 = 0, m0 elseif m ~= minute then m0, m1 = 0, 0 end
  redis.call('HSET', KEYS[2], 'epoch', epoch, 'n', string.format('%.0f', n), 't', string.format('%.0f', now), 'm', minute, 'm0', m0 + count, 'm1', m1)
  redis.call('XTRIM', KEYS[1], 'MAXLEN', '~', redis.call('HGET', KEYS[3], 'keep_n') or ARGV[4])
  redis.pcall('PUBLISH', ARGV[3], ARGV[2])
end
return fault or out`)

const (
	opKept       = 24 * time.Hour
	publishBytes = 4 << 20 // of messages that one script publishes, at about
)

// publishAll publishes what came together.
func (s *Store) publishAll(ctx context.Context, channel string, all []*publication) {
	for len(all) > 0 {
		n, bytes := 0, 0
		for n < len(all) && (n == 0 || bytes+len(all[n].message) <= publishBytes) {
			bytes += len(all[n].message)
			n++
		}
		s.publishSome(ctx, channel, all[:n])
		all = all[n:]
	}
}

func (s *Store) publishSome(ctx context.Context, channel string, some []*publication) {
	k := s.keys.Channel(channel)
	keys := []string{k.Log(), k.State(), k.Settings(), k.Seen()}
	args := make([]any, 0, 6+5*len(some))
	args = append(args, rand.Text()[:12], channel, s.keys.Broker().Ring(), DefaultChannelSettings.KeepN,
		connectedFor.Milliseconds(), opKept.Milliseconds())
	for _, p := range some {
		op := 0
		if p.op != "" {
			keys = append(keys, k.Op(p.op))
			op = len(keys)
		}
		args = append(args, op, p.hash, p.times, p.by, p.message)
	}
	reply, err := messageScript.Run(ctx, s.db, keys, args...).Slice()
	if err == nil && len(reply) != 4+3*len(some) {
		err = fmt.Errorf("the script's reply has %d items", len(reply))
	}
	if err != nil {
		err = kvdb.WriteErr("publish", err)
		for _, p := range some {
			p.err = err
		}
		return
	}
	made, epoch, connected := number(reply[0]) == 1, text(reply[1]), number(reply[3])
	if made {
		s.channels.unlist(channel) // the registry may be gone, too
		if err := s.channels.list(ctx, s, channel); err != nil {
			s.logger.Warn("a channel is not in the list yet", "channel", channel, "error", err)
		}
	}
	for i, p := range some {
		n := number(reply[4+3*i])
		if n == 0 {
			p.err = &OpError{}
			continue
		}
		p.receivers = connected + number(reply[5+3*i])
		at := number(reply[6+3*i])
		p.result = Message{ID: messageID(epoch, n, at), N: n, At: time.UnixMilli(at), By: p.by, Data: p.message, Size: len(p.message)}
	}
}

func number(v any) int64 {
	n, _ := v.(int64)
	return n
}

func text(v any) string {
	t, _ := v.(string)
	return t
}
