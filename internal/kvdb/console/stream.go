package console

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"webadmin/internal/kvdb"
)

// What a Stream keeps for somebody who is slower than the messages.
const (
	maxMessages     = 1000
	maxMessageBytes = 8 << 20
	messageCost     = 64
)

// Message is one of SUBSCRIBE and the like, or MONITOR.
type Message struct {
	At        time.Time
	Reply     kvdb.Reply // of MONITOR, a status, in which secrets are masked
	Truncated bool
	Dropped   int64 // so many messages before it were too many to keep
}

// Text is what redis-cli prints.
func (m Message) Text(raw bool) string {
	if raw {
		return FormatRaw(m.Reply) + "\n"
	}
	return Format(m.Reply)
}

// Stream has the messages that come until it is stopped.
type Stream struct {
	mu       sync.Mutex
	messages []Message
	sizes    []int
	bytes    int
	dropped  int64 // before the first of messages
	total    int64
	lost     int64
	more     chan struct{} // has an element when there is something new
	ended    string
	done     chan struct{}
}

// Next returns the messages since the last call, and waits until there are any. When the stream has ended, and all were
// returned, the error is io.EOF: then see End. It is for one reader.
func (st *Stream) Next(ctx context.Context) ([]Message, error) {
	for {
		st.mu.Lock()
		messages, ended := st.messages, st.ended != ""
		if len(messages) > 0 {
			messages[0].Dropped, st.dropped = st.dropped, 0
			st.messages, st.sizes, st.bytes = nil, nil, 0
		}
		st.mu.Unlock()
		switch {
		case len(messages) > 0:
			return messages, nil
		case ended:
			return nil, io.EOF
		}
		select {
		case <-st.more:
		case <-st.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// End says why the stream has ended; "" = it has not.
func (st *Stream) End() string {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.ended
}

// Count says how many messages came, and how many of them were dropped.
func (st *Stream) Count() (total, dropped int64) {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.total, st.lost
}

func (st *Stream) over() bool { return st.End() != "" }

func (st *Stream) add(m Message) {
	size := messageCost + sizeOf(m.Reply)
	st.mu.Lock()
	defer st.mu.Unlock()
	st.total++
	st.messages, st.sizes, st.bytes = append(st.messages, m), append(st.sizes, size), st.bytes+size
	n := 0
	for len(st.messages)-n > 1 && (len(st.messages)-n > maxMessages || st.bytes > maxMessageBytes) {
		st.bytes -= st.sizes[n]
		n++
	}
	st.dropped, st.lost = st.dropped+int64(n), st.lost+int64(n)
	st.messages, st.sizes = slices.Delete(st.messages, 0, n), slices.Delete(st.sizes, 0, n)
	select {
	case st.more <- struct{}{}:
	default:
	}
}

func sizeOf(r kvdb.Reply) int {
	n := len(r.Text)
	for _, item := range r.Items {
		n += messageCost + sizeOf(item)
	}
	return n
}

func (st *Stream) end(why string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.ended = why
	close(st.done)
}

// startStream collects what comes, until it is stopped. The request that began it may end before.
func (s *Session) startStream() bool {
	st := &Stream{more: make(chan struct{}, 1), done: make(chan struct{})}
	ctx, cancel := s.limit(context.Background())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != "" {
		cancel(nil)
		return false
	}
	s.cancel(nil)
	s.cancel, s.stream = cancel, st
	s.c.streams.Go(func() {
		err := s.kv.Listen(ctx, func(r kvdb.Reply, cut bool) {
			if r.Kind == kvdb.KindStatus {
				r.Text = maskMonitored(r.Text)
			}
			st.add(Message{At: s.c.o.Now(), Reply: r, Truncated: cut})
		})
		why := "It was stopped."
		switch {
		case err != nil:
			why = "The connection was lost: " + kvdb.Sentence(err) + " Messages since then are missing."
		case context.Cause(ctx) == errTimeLimit:
			why = fmt.Sprintf("It was stopped: it may take %s.", spell(s.c.o.Run))
		}
		s.finish()
		st.end(why)
	})
	return true
}

// maskMonitored masks the secrets in a line of MONITOR: 1339518083.107412 [0 127.0.0.1:60866] "command" "argument"
func maskMonitored(line string) string {
	head, rest, ok := strings.Cut(line, `] "`)
	if !ok {
		return line
	}
	head += "] "
	args, err := Split(`"` + rest)
	if err != nil {
		return head + "…"
	}
	masked := kvdb.Masked(args)
	if slices.Equal(args, masked) {
		return line
	}
	for i, arg := range masked {
		masked[i] = Quote(arg)
	}
	return head + strings.Join(masked, " ")
}
