package account

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"time"

	"webadmin/internal/kvdb"
)

// throttle says how failed attempts slow down the next one: the first free ones cost nothing, then the
// wait doubles from one second up to longest. It is never a lockout: after the wait there is an attempt.
type throttle struct {
	kind    string
	free    int
	longest time.Duration
}

// An address gets more attempts than an account, because a whole office may share it.
var (
	accountThrottle  = throttle{kind: "account", free: 5, longest: time.Minute}
	addressThrottle  = throttle{kind: "address", free: 20, longest: 5 * time.Minute}
	passwordThrottle = throttle{kind: "password", free: 5, longest: time.Minute} // of the old password, when people change their own
)

// throttleMemory is how long after the last attempt the failed ones are forgotten.
const throttleMemory = 15 * time.Minute

// attempt is one attempt by one subject of a throttle.
type attempt struct {
	throttle
	key string
}

// attempt names what the throttle counts; the subject is hashed, so that its length is no matter.
func (s *Store) attempt(t throttle, subject string) attempt {
	sum := sha256.Sum256([]byte(subject))
	return attempt{throttle: t, key: s.keys.Throttle(t.kind, hex.EncodeToString(sum[:16]))}
}

// addressSubject is what an address is throttled as: the network of an IPv6 one, since whoever has one address
// there has all of them.
func addressSubject(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	network, _ := ip.Prefix(64) // 64 bits is a length that every IPv6 address has
	return network.String()
}

// chargeScript counts an attempt before it is made, so that many at once don't slip through together.
//
// KEYS counters, one a subject
// ARGV 1 now, 2 how long a counter is remembered; then for each counter: free attempts, longest wait. All times in ms
// Returns the time in ms to wait; 0 when the attempt was counted and may be made.
var chargeScript = kvdb.NewScript(`
local now, memory = tonumber(ARGV[1]), tonumber(ARGV[2])
local counts, wait = {}, 0
for i, key in ipairs(KEYS) do
  local free, longest = tonumber(ARGV[2 * i + 1]), tonumber(ARGV[2 * i + 2])
  local stored = redis.call('HMGET', key, 'n', 'at')
  local n, at = tonumber(stored[1] or 0), tonumber(stored[2] or 0)
  if now - at >= memory then n = 0 end
  if n >= free then
    local delay = math.min(longest, 1000 * 2 ^ math.min(n - free, 30))
    wait = math.max(wait, math.min(delay, at + delay - now))
  end
  counts[i] = n + 1
end
if wait > 0 then return math.ceil(wait) end
for i, key in ipairs(KEYS) do
  redis.call('HSET', key, 'n', counts[i], 'at', ARGV[1])
  redis.call('PEXPIRE', key, ARGV[2])
end
return 0
`)

// charge counts an attempt of all the subjects; *ThrottledError, and nothing counted, when one has to wait.
func (s *Store) charge(ctx context.Context, op string, attempts []attempt) error {
	args := []any{s.now().UnixMilli(), throttleMemory.Milliseconds()}
	for _, a := range attempts {
		args = append(args, a.free, a.longest.Milliseconds())
	}
	wait, err := chargeScript.Run(ctx, s.db, keysOf(attempts), args...).Int64()
	if err != nil {
		// Whether the attempt was counted is no matter to the caller: it was not made.
		return kvdb.ReadErr(op, err)
	}
	if wait > 0 {
		return &ThrottledError{RetryAfter: time.Duration(wait) * time.Millisecond}
	}
	return nil
}

// settleScript takes attempts back, when it is known that they did not fail.
//
// KEYS counters, one a subject
// ARGV for each counter how many attempts to take back
var settleScript = kvdb.NewScript(`
for i, key in ipairs(KEYS) do
  local left = tonumber(redis.call('HGET', key, 'n') or 0) - tonumber(ARGV[i])
  if left > 0 then redis.call('HSET', key, 'n', left) else redis.call('DEL', key) end
end
return 0
`)

// allOfThem is more attempts than any counter holds.
const allOfThem = 1 << 30

func (s *Store) settle(ctx context.Context, op string, attempts []attempt, back ...any) error {
	return kvdb.ReadErr(op, settleScript.Run(ctx, s.db, keysOf(attempts), back...).Err())
}

// throttled does work as an attempt by the first subject, which is forgiven when it succeeds, and by the others,
// which only get this one attempt back: whoever has an account must not be able to wipe out what they tried on
// others. While one of them has to wait it does nothing and returns a *ThrottledError. Only
// ErrBadCredentials is a failed attempt.
func (s *Store) throttled(ctx context.Context, op string, attempts []attempt, work func() error) error {
	if err := s.charge(ctx, op, attempts); err != nil {
		return err
	}
	err := work()
	if errors.Is(err, ErrBadCredentials) {
		return err
	}
	ctx = context.WithoutCancel(ctx) // whoever gave up waiting did not fail
	back := make([]any, len(attempts))
	for i := range back {
		back[i] = 1
	}
	if err != nil {
		// No verdict. If Redis is away this fails as well, and the attempts stay counted.
		_ = s.settle(ctx, op, attempts, back...)
		return err
	}
	back[0] = allOfThem
	return s.settle(ctx, op, attempts, back...)
}

func keysOf(attempts []attempt) []string {
	keys := make([]string, len(attempts))
	for i, a := range attempts {
		keys[i] = a.key
	}
	return keys
}
