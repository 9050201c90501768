package dict

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
)

// A miss knows the invocations that met it, so that they can be tried again once it is answered. Bounded is how many are kept of
// one miss: the newest; of all together: the misses that were met longest ago lose theirs first; and in memory, where
// what finds no room isn't kept. After the answer they stay for metAnswered. ADR 21 says why.
const (
	metAnswered = 24 * time.Hour
	metSweep    = time.Minute
	metSwept    = 1000 // that one script forgets
	metABit     = 5000 // that one script writes, about
)

var (
	metOfMiss  = 1000
	metKept    = 100_000
	metPending = 20_000
)

// Meeting is an invocation that looked something up and did not find it.
type Meeting struct {
	CID string
	At  time.Time // the last time
}

// meetings are those that met one miss, the newest metOfMiss of them.
type meetings struct {
	at    map[string]int64 // by CID, Unix ms
	cids  []string         // a ring, in the order in which they came: the oldest is at start
	start int
}

func (m *meetings) len() int { return len(m.at) }

// add notes that cid met the miss. more says whether there may be one more in memory; the answer, whether it is.
func (m *meetings) add(cid string, ms int64, more bool) bool {
	if _, ok := m.at[cid]; ok {
		m.at[cid] = ms
		return false
	}
	if len(m.cids) == metOfMiss {
		delete(m.at, m.cids[m.start])
		m.at[cid], m.cids[m.start] = ms, cid
		m.start = (m.start + 1) % metOfMiss
		return false
	}
	if !more {
		return false
	}
	if m.at == nil {
		m.at = map[string]int64{}
	}
	m.at[cid] = ms
	m.cids = append(m.cids, cid)
	return true
}

// appendTo appends the time and the CID of each, as missScript takes them.
func (m *meetings) appendTo(args []any) []any {
	for cid, ms := range m.at {
		args = append(args, ms, cid)
	}
	return args
}

// metFunctions begins the scripts that change meetings. KEYS[4] says when each miss was last met, KEYS[5] when the meetings of
// answered ones end, KEYS[6] how many there are of all; ARGV[1] begins the keys of the meetings themselves, each of which ends
// with the hash of its query. forget counts first: where Redis is full it refuses that, and then nothing was done.
const metFunctions = `
local base = ARGV[1]
local function forget(ids)
  local n = 0
  for _, id in ipairs(ids) do n = n + redis.call('ZCARD', base .. id) end
  if n > 0 then redis.call('DECRBY', KEYS[6], n) end
  for _, id in ipairs(ids) do
    redis.call('UNLINK', base .. id)
    redis.call('ZREM', KEYS[4], id)
    redis.call('ZREM', KEYS[5], id)
  end
end
`

// sweepMetScript forgets meetings of answered misses that have ended. KEYS as missKeys. ARGV: 1 as metFunctions, 2 now in Unix ms,
// 3 how many misses at most. Returns how many it was.
var sweepMetScript = kvdb.NewScript(metFunctions + `
local ids = redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', ARGV[2], 'LIMIT', 0, ARGV[3])
forget(ids)
return #ids`)

// sweepMet forgets who met the misses that were answered long enough ago.
func (s *Store) sweepMet(ctx context.Context) error {
	for {
		n, err := sweepMetScript.Run(ctx, s.db, s.missKeys(), s.keys.MissMet(""), s.now().UnixMilli(), metSwept).Int()
		if err != nil || n < metSwept {
			return kvdb.WriteErr("forget who met answered misses", err)
		}
	}
}

// metEnd is until when those are remembered who met a miss that is answered now.
func (s *Store) metEnd() int64 { return s.now().Add(metAnswered).UnixMilli() }

// missID names a query in keys, which are to be short.
func missID(q Query) string {
	sum := sha1.Sum([]byte(missText(q))) // #nosec G401: scripts make it too, and know no other; who finds two of the same mixes up their own
	return hex.EncodeToString(sum[:])
}

// Met lists the invocations that looked something up and did not find it, the newest first: 1,000 at most. After the answer they are kept for
// a day; none are left of what was dismissed.
func (s *Store) Met(ctx context.Context, q Query) ([]Meeting, error) {
	if err := q.Check(); err != nil {
		return nil, err
	}
	found, err := s.db.Client().ZRevRangeWithScores(ctx, s.keys.MissMet(missID(q)), 0, int64(metOfMiss)-1).Result()
	if err != nil {
		return nil, kvdb.ReadErr("read who met the miss", err)
	}
	list := make([]Meeting, len(found))
	for i, z := range found {
		cid, _ := z.Member.(string)
		list[i] = Meeting{CID: cid, At: time.UnixMilli(int64(z.Score)).UTC()}
	}
	return list, nil
}

// countMet says of each miss how many met it.
func (s *Store) countMet(ctx context.Context, misses []Miss) error {
	if len(misses) == 0 {
		return nil
	}
	pipe := s.db.Client().Pipeline()
	counts := make([]*redis.IntCmd, len(misses))
	for i, m := range misses {
		counts[i] = pipe.ZCard(ctx, s.keys.MissMet(missID(m.Query)))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return kvdb.ReadErr("count who met the misses", err)
	}
	for i := range misses {
		misses[i].Met = counts[i].Val()
	}
	return nil
}
