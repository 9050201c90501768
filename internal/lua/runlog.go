package lua

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
)

// Runs are written behind: who runs a program waits for nothing here. What has not been written is bounded by
// the number of programs for the counts, by runsKept for each program and by runsMemory for the rest. A part of
// it has a number, so that it counts once however often it is sent.
const (
	runsEvery  = time.Second
	runsKept   = 100 // in Redis, of each program
	runsBatch  = 1 << 20
	runsMarked = time.Hour // that Redis remembers the number
)

// runsMemory is how many bytes of runs wait at most; the counts go on.
var runsMemory = 16 << 20

// What is kept of a run.
const (
	keptArg    = 1 << 10 // bytes of a key or value
	keptArgs   = 50      // of each list
	keptBytes  = 16 << 10
	keptText   = 64 << 10
	keptResult = 2 << 10
)

// Run is one run of a program, or of a text that nobody saved, as it is kept.
type Run struct {
	ID           string
	Program      string // "" = ad hoc
	SHA1         string
	At           time.Time
	Who, Address string
	CID          string   // of the invocation on whose behalf it ran, "" = of none
	Mode         string   // "run", "read-only", "dry-run", "apply" or "debug"
	Keys, Values []string // cut for keeping
	Text         string   // of an ad hoc run, cut
	Type, Result string   // of the reply; rendered, cut
	Error        string
	Line         int
	Took         time.Duration
	Outcome      string // "done", "failed" or "unknown"
	Cut          bool   // keys, values or the text are not all there: they can't be run again
}

// counts says whether the run is one of the program on live data.
func (r *Run) counts() bool { return r.Mode != "dry-run" && r.Mode != "debug" }

// cut takes off what is too much to keep.
func (r *Run) cut() {
	left := keptBytes
	r.Keys = r.cutList(r.Keys, &left)
	r.Values = r.cutList(r.Values, &left)
	text := cutText(r.Text, keptText)
	r.Cut = r.Cut || len(text) < len(r.Text)
	r.Text, r.Result, r.Error = text, cutText(r.Result, keptResult), cutText(r.Error, keptResult)
}

// cutList copies the texts, which may be parts of something large.
func (r *Run) cutList(list []string, left *int) (kept []string) {
	for i, text := range list {
		n := min(len(text), keptArg)
		if i == keptArgs || n > *left {
			r.Cut = true
			break
		}
		short := cutText(text, n)
		r.Cut = r.Cut || len(short) < len(text)
		*left -= len(short)
		kept = append(kept, strings.Clone(short))
	}
	return kept
}

// cutText cuts a text, not in the middle of a character.
func cutText(text string, most int) string {
	if len(text) <= most {
		return text
	}
	end := most
	for end > most-utf8.UTFMax && end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	if end == most-utf8.UTFMax { // it is no text
		end = most
	}
	return strings.Clone(text[:end])
}

// size is about how much memory the run takes.
func (r *Run) size() int {
	n := 512 + len(r.Text) + len(r.Result) + len(r.Error) + len(r.Address) + len(r.Who) + len(r.CID)
	for _, list := range [][]string{r.Keys, r.Values} {
		for _, text := range list {
			n += 16 + len(text)
		}
	}
	return n
}

// programRuns is what has not been written of a program.
type programRuns struct {
	runs, failures, last int64 // last in Unix ms
	newest               []Run // a ring: the oldest is at start
	start                int
}

// runLog is what has not been written.
type runLog struct {
	*kvdb.Behind[*runBatch]

	mu      sync.Mutex
	pending map[string]*programRuns
	bytes   int
}

func newRunLog() runLog {
	return runLog{Behind: kvdb.NewBehind[*runBatch]("write the runs")}
}

// record keeps a run, and tells Options.OnRun. It never blocks.
func (s *Store) record(r Run) {
	if r.At.IsZero() {
		r.At = s.now()
	}
	if s.onRun != nil {
		s.onRun(r)
	}
	r.cut()
	s.runs.add(r)
}

func (l *runLog) add(r Run) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.pending[r.Program]
	if p == nil {
		if l.pending == nil {
			l.pending = map[string]*programRuns{}
		}
		p = &programRuns{}
		l.pending[r.Program] = p
	}
	if r.counts() {
		p.runs++
		if r.Outcome == "failed" {
			p.failures++
		}
		p.last = max(p.last, r.At.UnixMilli())
	}
	l.bytes += r.size()
	if len(p.newest) < runsKept {
		p.newest = append(p.newest, r)
	} else {
		l.bytes -= p.newest[p.start].size()
		p.newest[p.start] = r
		p.start = (p.start + 1) % runsKept
	}
	for l.bytes > runsMemory {
		for _, p := range l.pending { // any
			if l.bytes <= runsMemory {
				break
			}
			l.bytes -= p.halve()
		}
	}
}

// inOrder returns the runs, the oldest first.
func (p *programRuns) inOrder() []Run {
	return slices.Concat(p.newest[p.start:], p.newest[:p.start])
}

// halve forgets the older half of the runs, and says how much that was.
func (p *programRuns) halve() (bytes int) {
	runs := p.inOrder()
	half := (len(runs) + 1) / 2
	for _, r := range runs[:half] {
		bytes += r.size()
	}
	p.newest, p.start = slices.Clone(runs[half:]), 0
	return bytes
}

func (l *runLog) take() map[string]*programRuns {
	l.mu.Lock()
	defer l.mu.Unlock()
	pending := l.pending
	l.pending, l.bytes = nil, 0
	return pending
}

// runBatch is what one script writes.
type runBatch struct {
	names []string // of the programs, in the order of args
	args  []any
	bytes int
}

// batches cuts what is pending into parts that a script can write.
func (l *runLog) batches() (list []*runBatch, err error) {
	var b *runBatch
	for name, p := range l.take() {
		runs := p.inOrder()
		for first := true; first || len(runs) > 0; first = false {
			if b == nil || b.bytes >= runsBatch {
				b = &runBatch{}
				list = append(list, b)
			}
			var entries []any
			for len(runs) > 0 && b.bytes < runsBatch {
				text, err := encodeRun(runs[0])
				if err != nil {
					return nil, err
				}
				entries, runs = append(entries, text), runs[1:]
				b.bytes += len(text)
			}
			b.bytes += 100 + len(name)
			b.names = append(b.names, name)
			b.args = append(b.args, name, p.runs, p.failures, p.last, len(entries))
			b.args = append(b.args, entries...)
			p.runs, p.failures, p.last = 0, 0, 0 // they are in the first part
		}
	}
	return list, nil
}

// runsScript writes a batch, unless it was written before.
//
// KEYS: 1 number of the last batch of this process, 2 runs, 3 failures, 4 last runs, then the log of each program.
// ARGV: 1 number of this batch, 2 seconds to remember it, 3 how many runs to keep; then for each program: name,
// runs, failures, last run, number of runs for the log, these runs. Returns 1, or 0 when it was written before.
var runsScript = kvdb.NewScript(`
if tonumber(redis.call('GET', KEYS[1]) or 0) >= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
local i, key = 4, 5
while i <= #ARGV do
  local name, runs, failures, last, n = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], tonumber(ARGV[i + 4])
  if runs ~= '0' then
    redis.call('HINCRBY', KEYS[2], name, runs)
    if failures ~= '0' then redis.call('HINCRBY', KEYS[3], name, failures) end
    if tonumber(last) > tonumber(redis.call('HGET', KEYS[4], name) or 0) then redis.call('HSET', KEYS[4], name, last) end
  end
  for j = i + 5, i + 4 + n do
    redis.call('XADD', KEYS[key], 'MAXLEN', '=', ARGV[3], '*', 'run', ARGV[j])
  end
  i, key = i + 5 + n, key + 1
end
return 1`)

// flushRuns writes what was recorded.
func (s *Store) flushRuns(ctx context.Context) error {
	return s.runs.Flush(ctx, s.runs.batches, s.writeRunBatch)
}

func (s *Store) writeRunBatch(ctx context.Context, number int64, b *runBatch) error {
	keys := []string{s.keys.Op("runs." + s.runs.Process), s.keys.Runs(), s.keys.Failures(), s.keys.LastRuns()}
	for _, name := range b.names {
		keys = append(keys, s.keys.Log(name))
	}
	return runsScript.Run(ctx, s.db, keys, append([]any{number, int(runsMarked.Seconds()), runsKept}, b.args...)...).Err()
}

// writeRuns writes the recorded runs every second until ctx ends.
func (s *Store) writeRuns(ctx context.Context) {
	tick := time.NewTicker(runsEvery)
	defer tick.Stop()
	quiet := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := s.flushRuns(ctx)
		if err != nil && !quiet && ctx.Err() == nil {
			s.logger.Warn("runs of programs are not being written", "error", err)
		}
		quiet = err != nil
	}
}

// showRuns writes what was recorded here before somebody reads it, if that is quick.
func (s *Store) showRuns(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := s.flushRuns(ctx); err != nil {
		s.logger.Debug("what was run last is not listed yet", "error", err)
	}
}

// runRecord is a run as it stands in Redis. Bytes need not be text.
type runRecord struct {
	SHA1    string   `json:"sha1,omitempty"`
	At      int64    `json:"at"`
	Who     string   `json:"who,omitempty"`
	Address string   `json:"address,omitempty"`
	CID     string   `json:"cid,omitempty"`
	Mode    string   `json:"mode"`
	Keys    [][]byte `json:"keys,omitempty"`
	Values  [][]byte `json:"values,omitempty"`
	Text    []byte   `json:"text,omitempty"`
	Type    string   `json:"type,omitempty"`
	Result  []byte   `json:"result,omitempty"`
	Error   []byte   `json:"error,omitempty"`
	Line    int      `json:"line,omitempty"`
	Took    int64    `json:"took"` // ns
	Outcome string   `json:"outcome"`
	Cut     bool     `json:"cut,omitempty"`
}

func encodeRun(r Run) (string, error) {
	b, err := json.Marshal(runRecord{SHA1: r.SHA1, At: r.At.UnixMilli(), Who: r.Who, Address: r.Address, CID: r.CID, Mode: r.Mode,
		Keys: toBytes(r.Keys), Values: toBytes(r.Values), Text: []byte(r.Text), Type: r.Type, Result: []byte(r.Result),
		Error: []byte(r.Error), Line: r.Line, Took: int64(r.Took), Outcome: r.Outcome, Cut: r.Cut})
	return string(b), err
}

func decodeRun(program string, m redis.XMessage) (Run, error) {
	var x runRecord
	text, _ := m.Values["run"].(string)
	if err := json.Unmarshal([]byte(text), &x); err != nil {
		return Run{}, fmt.Errorf("run %s of %q: %w", m.ID, program, err)
	}
	return Run{ID: m.ID, Program: program, SHA1: x.SHA1, At: fromMillis(x.At), Who: x.Who, Address: x.Address, CID: x.CID, Mode: x.Mode,
		Keys: toTexts(x.Keys), Values: toTexts(x.Values), Text: string(x.Text), Type: x.Type, Result: string(x.Result),
		Error: string(x.Error), Line: x.Line, Took: time.Duration(x.Took), Outcome: x.Outcome, Cut: x.Cut}, nil
}

func toBytes(texts []string) (list [][]byte) {
	for _, text := range texts {
		list = append(list, []byte(text))
	}
	return list
}

func toTexts(list [][]byte) (texts []string) {
	for _, b := range list {
		texts = append(texts, string(b))
	}
	return texts
}

var runID = regexp.MustCompile(`^[0-9]{1,19}-[0-9]{1,19}$`)

// Runs lists the last runs of a program, the newest first; "" = the ad hoc ones. At most 100 are kept.
func (s *Store) Runs(ctx context.Context, program, cursor string, limit int) (page Page[Run], err error) {
	if limit, err = pageLimit(limit); err != nil {
		return page, err
	}
	from := "+"
	if cursor != "" {
		if !runID.MatchString(cursor) {
			return page, errCursor
		}
		from = "(" + cursor
	}
	if program != "" && CheckName(program) != nil {
		return page, nil
	}
	s.showRuns(ctx)
	list, err := s.db.Client().XRevRangeN(ctx, s.keys.Log(program), from, "-", int64(limit)+1).Result()
	if err != nil {
		return page, kvdb.ReadErr("read the runs", err)
	}
	for i, m := range list {
		if i == limit {
			page.Next = page.Items[i-1].ID
			break
		}
		r, err := decodeRun(program, m)
		if err != nil {
			return page, err
		}
		page.Items = append(page.Items, r)
	}
	return page, nil
}

// Usage says how often programs were run on live data, dry runs and debugging left out; "" = ad hoc. One that
// was never run is in the map, too.
func (s *Store) Usage(ctx context.Context, names []string) (map[string]Usage, error) {
	usage := make(map[string]Usage, len(names))
	if len(names) == 0 {
		return usage, nil
	}
	s.showRuns(ctx)
	for part := range slices.Chunk(names, MaxPage) {
		pipe := s.db.Client().Pipeline()
		runs := pipe.HMGet(ctx, s.keys.Runs(), part...)
		failures := pipe.HMGet(ctx, s.keys.Failures(), part...)
		lasts := pipe.HMGet(ctx, s.keys.LastRuns(), part...)
		if _, err := pipe.Exec(ctx); err != nil {
			return nil, kvdb.ReadErr("read the counts of runs", err)
		}
		for i, name := range part {
			usage[name] = Usage{Runs: number(runs.Val()[i]), Failures: number(failures.Val()[i]), LastAt: fromMillis(number(lasts.Val()[i]))}
		}
	}
	return usage, nil
}

// number reads a count; what is not there is 0.
func number(v any) int64 {
	text, _ := v.(string)
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}
