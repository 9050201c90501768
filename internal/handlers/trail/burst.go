package trail

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"webadmin/internal/audit"
	"webadmin/internal/handlers/mw"
	"webadmin/internal/kvdb"
)

// Burst is a Trail for what programs do thousands of times a second. Of one kind of change (the same actor, address, verb and object) the first
// ten, and five a second after that, have records of their own. Those beyond are counted in one record for all of five
// seconds, which is begun before the first of them is made, and ended with how they ended. So nothing goes by unseen: of a process
// that dies, the audit log records it as unknown.
type Burst struct {
	trail  Trail
	now    func() time.Time
	window time.Duration

	mu        sync.Mutex
	streams   map[streamKey]*stream
	summaries map[*summary]bool // whose records have not been ended
	closed    bool
}

const (
	burstSize   = 10              // records of their own at once
	burstRate   = 5               // a second
	burstWindow = 5 * time.Second // for which a summary takes changes; far less than that after which a pending record is taken for lost
	maxStreams  = 1000            // kinds of change that are counted at a time; the others have records of their own
	summaryText = "several of the same, recorded together"
)

type streamKey struct{ actor, address, verb, object string }

// stream is one kind of change.
type stream struct {
	tokens  float64
	at      time.Time // when there were so many
	summary *summary  // that takes changes
	plain   time.Time // until then each has its own record, as a summary failed
}

// summary is one record for many changes.
type summary struct {
	key     streamKey
	ready   chan struct{} // closed when it is begun, or failed
	pending *audit.Pending
	err     error // why it could not be begun
	timer   *time.Timer
	over    chan struct{} // closed when its record is ended, or can't be

	// These are under the lock of the Burst.
	open, shut, ended     bool
	under                 int64 // changes that have not ended
	done, failed, unknown int64
}

// NewBurst returns a Burst that writes through t. Close it.
func NewBurst(t Trail) *Burst {
	return &Burst{trail: t, now: time.Now, window: burstWindow, streams: map[streamKey]*stream{}, summaries: map[*summary]bool{}}
}

// Do is Trail.Do, but before and after are not kept where the change is only counted.
func (b *Burst) Do(ctx context.Context, verb, object string, change func() (before, after string, err error)) error {
	info := mw.From(ctx)
	sum, err := b.join(ctx, streamKey{info.Principal.Name, info.Address, verb, object})
	if err != nil {
		return err
	}
	if sum == nil {
		return b.trail.Do(ctx, verb, object, change)
	}
	outcome := audit.Unknown // of a panic
	defer func() { b.leave(sum, outcome) }()
	_, _, err = change()
	outcome, _ = outcomeOf(err)
	return err
}

// join has a change counted by a summary; nil = it has to have its own record. With an error, it must not be made.
func (b *Burst) join(ctx context.Context, key streamKey) (*summary, error) {
	b.mu.Lock()
	s := b.stream(key)
	if s == nil || b.closed {
		b.mu.Unlock()
		return nil, nil
	}
	if sum := s.summary; sum != nil {
		if sum.open {
			sum.under++
			b.mu.Unlock()
			return sum, nil
		}
		b.mu.Unlock()
		return b.wait(ctx, sum)
	}
	now := b.now()
	s.tokens = min(burstSize, s.tokens+burstRate*now.Sub(s.at).Seconds())
	s.at = now
	if s.tokens >= 1 || now.Before(s.plain) {
		s.tokens = max(0, s.tokens-1)
		b.mu.Unlock()
		return nil, nil
	}
	sum := &summary{key: key, ready: make(chan struct{}), over: make(chan struct{}), under: 1}
	s.summary = sum
	b.mu.Unlock()
	return b.begin(ctx, s, sum)
}

// stream finds a kind of change, nil if there are too many. The lock is held.
func (b *Burst) stream(key streamKey) *stream {
	if s := b.streams[key]; s != nil {
		return s
	}
	now := b.now()
	if len(b.streams) >= maxStreams {
		for key, s := range b.streams {
			if s.summary == nil && s.tokens+burstRate*now.Sub(s.at).Seconds() >= burstSize && !now.Before(s.plain) {
				delete(b.streams, key)
			}
		}
		if len(b.streams) >= maxStreams {
			return nil
		}
	}
	s := &stream{tokens: burstSize, at: now}
	b.streams[key] = s
	return s
}

// wait waits until a summary is begun by whoever needed it first.
func (b *Burst) wait(ctx context.Context, sum *summary) (*summary, error) {
	select {
	case <-sum.ready:
	case <-ctx.Done():
		return nil, kvdb.ReadErr("audit", ctx.Err())
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if sum.err != nil || sum.shut {
		return nil, nil
	}
	sum.under++
	return sum, nil
}

// begin begins the record of a summary, for the first of its changes.
func (b *Burst) begin(ctx context.Context, s *stream, sum *summary) (*summary, error) {
	pending, err := b.trail.Log.Begin(ctx, audit.Record{
		Actor: sum.key.actor, Address: sum.key.address, Verb: sum.key.verb, Object: sum.key.object, After: summaryText,
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	defer close(sum.ready)
	if err != nil {
		sum.err = err
		s.summary, s.plain = nil, b.now().Add(b.window)
		return nil, err
	}
	sum.pending, sum.open = pending, true
	b.summaries[sum] = true
	sum.timer = time.AfterFunc(b.window, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.shut(sum)
	})
	if b.closed {
		b.shut(sum)
	}
	return sum, nil
}

// leave counts a change that has ended.
func (b *Burst) leave(sum *summary, outcome string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	sum.under--
	switch outcome {
	case audit.Done:
		sum.done++
	case audit.Failed:
		sum.failed++
	default:
		sum.unknown++
	}
	b.endIfOver(sum)
}

// shut has a summary take no more changes. The lock is held.
func (b *Burst) shut(sum *summary) {
	if sum.shut {
		return
	}
	sum.shut, sum.open = true, false
	if s := b.streams[sum.key]; s != nil && s.summary == sum {
		s.summary = nil
	}
	b.endIfOver(sum)
}

// endIfOver ends the record of a summary when the last of its changes has ended. The lock is held.
func (b *Burst) endIfOver(sum *summary) {
	if !sum.shut || sum.under > 0 || sum.ended {
		return
	}
	sum.ended = true
	go b.end(context.Background(), sum)
}

// end writes the record of a summary, which no longer changes.
func (b *Burst) end(ctx context.Context, sum *summary) {
	defer close(sum.over)
	outcome := audit.Done
	switch {
	case sum.unknown > 0:
		outcome = audit.Unknown
	case sum.done == 0:
		outcome = audit.Failed
	}
	detail := fmt.Sprintf("%s further: %s done, %s failed, %s unknown",
		thousands(sum.done+sum.failed+sum.unknown), thousands(sum.done), thousands(sum.failed), thousands(sum.unknown))
	err := sum.pending.End(ctx, outcome, "", summaryText, detail)
	if err != nil {
		b.trail.Logger.ErrorContext(ctx, "the outcome of changes is not in the audit log", "verb", sum.key.verb, "object", sum.key.object, "outcome", detail, "error", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.summaries, sum)
	if s := b.streams[sum.key]; s != nil && err != nil {
		s.plain = b.now().Add(b.window)
	}
}

// thousands writes a number with commas.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Close ends all summaries when their changes have ended, and waits for that until ctx ends. What comes after it has records of its own.
func (b *Burst) Close(ctx context.Context) error {
	b.mu.Lock()
	b.closed = true
	open := slices.Collect(maps.Keys(b.summaries))
	for _, sum := range open {
		sum.timer.Stop()
		b.shut(sum)
	}
	b.mu.Unlock()
	for _, sum := range open {
		select {
		case <-sum.over:
		case <-ctx.Done():
			return fmt.Errorf("audit: not all summaries are ended: %w", ctx.Err())
		}
	}
	return nil
}
