package broker

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
)

// messageID is the ID of a message for the world: the epoch tells channels apart that began anew, and the time, Unix ms, messages with a number
// that was given out again after Redis had lost its newest ones. 0 = the time is not known.
func messageID(epoch string, n, at int64) string { return epoch + "-" + spot(n, at) }

// spot is a number, with the time of its message if that is known.
func spot(n, at int64) string {
	if at == 0 {
		return strconv.FormatInt(n, 10)
	}
	return strconv.FormatInt(n, 10) + "-" + strconv.FormatInt(at, 36)
}

// parseSpot reads what spot writes.
func parseSpot(s string) (n, at int64, ok bool) {
	digits, time, timed := strings.Cut(s, "-")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err == nil && timed {
		at, err = strconv.ParseInt(time, 36, 64)
	}
	return n, at, err == nil && n >= 0 && at >= 0
}

// IDBefore is the ID of the place before a message: who goes on after it gets the message again.
func (m Message) IDBefore() string {
	at, _ := parseID(m.ID)
	return messageID(at.epoch, at.n-1, 0)
}

// MessageNumber is the number of the message with an ID, 0 for what is none.
func MessageNumber(id string) int64 {
	at, _ := parseID(id)
	return at.n
}

// LastID is the ID of the newest message of a channel, kept or not; "" = there was none.
func (s *Store) LastID(ctx context.Context, channel string) (string, error) {
	if err := CheckChannel(channel); err != nil {
		return "", err
	}
	at, err := s.readBefore(ctx, channel, 0, 1)
	if err != nil || at.epoch == "" {
		return "", err
	}
	return messageID(at.epoch, at.last, at.timeOfLast()), nil
}

// parseID reads the ID of a message.
func parseID(id string) (p position, ok bool) {
	epoch, rest, _ := strings.Cut(id, "-")
	n, at, ok := parseSpot(rest)
	return position{epoch, n, at}, ok && epoch != ""
}

// stretch is a part of a channel, read at one moment.
type stretch struct {
	epoch    string // "" = nothing was ever published
	last     int64  // number of the newest message
	messages []Message
	complete bool  // there was no more in that direction
	at       int64 // when the message came after which it was read, Unix ms; 0 = it is not kept
}

// timeOfLast is when the newest message came, if it was read and is kept.
func (p stretch) timeOfLast() int64 {
	for _, m := range p.messages {
		if m.N == p.last {
			return m.At.UnixMilli()
		}
	}
	return 0
}

// bytes is how much data the messages have.
func (p stretch) bytes() (n int) {
	for _, m := range p.messages {
		n += len(m.Data)
	}
	return n
}

// readAfter reads count messages or one more that come after number n, the oldest first. It reads message n again, so that its
// reader can tell whether it is still the one that it knows.
func (s *Store) readAfter(ctx context.Context, channel string, n int64, count int) (stretch, error) {
	p, err := s.readStretch(ctx, channel, count+1, func(pipe redis.Pipeliner, log string) *redis.XMessageSliceCmd {
		return pipe.XRangeN(ctx, log, streamID(max(n, 1)), "+", int64(count)+1)
	})
	if len(p.messages) > 0 && p.messages[0].N == n {
		p.at, p.messages = p.messages[0].At.UnixMilli(), p.messages[1:]
	}
	return p, err
}

// readBefore reads at most count messages that come before number n, the newest first; n = 0: from the end.
func (s *Store) readBefore(ctx context.Context, channel string, n int64, count int) (stretch, error) {
	from := "+"
	if n > 0 {
		from = streamID(n - 1)
	}
	return s.readStretch(ctx, channel, count, func(pipe redis.Pipeliner, log string) *redis.XMessageSliceCmd {
		return pipe.XRevRangeN(ctx, log, from, "-", int64(count))
	})
}

func streamID(n int64) string { return strconv.FormatInt(n, 10) + "-0" }

func (s *Store) readStretch(ctx context.Context, channel string, count int,
	read func(redis.Pipeliner, string) *redis.XMessageSliceCmd) (stretch, error) {
	k := s.keys.Channel(channel)
	pipe := s.db.Client().TxPipeline() // one moment: the messages are of this epoch
	state := pipe.HMGet(ctx, k.State(), "epoch", "n")
	log := read(pipe, k.Log())
	if _, err := pipe.Exec(ctx); err != nil {
		return stretch{}, kvdb.ReadErr("read a channel", err)
	}
	p := stretch{complete: len(log.Val()) < count}
	p.epoch = text(state.Val()[0])
	p.last, _ = strconv.ParseInt(text(state.Val()[1]), 10, 64)
	p.messages = make([]Message, len(log.Val()))
	for i, x := range log.Val() {
		p.messages[i] = messageOf(p.epoch, x)
	}
	return p, nil
}

func messageOf(epoch string, x redis.XMessage) Message {
	digits, _, _ := strings.Cut(x.ID, "-")
	n, _ := strconv.ParseInt(digits, 10, 64)
	ms, _ := strconv.ParseInt(text(x.Values["t"]), 10, 64)
	data := []byte(text(x.Values["m"]))
	return Message{ID: messageID(epoch, n, ms), N: n, At: time.UnixMilli(ms), By: text(x.Values["by"]), Data: data, Size: len(data)}
}

// Message returns one message, whole. Error: kvdb.ErrNotFound, also for one that is no longer kept.
func (s *Store) Message(ctx context.Context, channel, id string) (Message, error) {
	at, ok := parseID(id)
	if !ok || CheckChannel(channel) != nil {
		return Message{}, fmt.Errorf("message %s: %w", id, kvdb.ErrNotFound)
	}
	p, err := s.readAfter(ctx, channel, at.n-1, 1)
	if err != nil {
		return Message{}, err
	}
	if p.epoch != at.epoch || len(p.messages) == 0 || p.messages[0].N != at.n || at.at > 0 && p.messages[0].At.UnixMilli() != at.at {
		return Message{}, fmt.Errorf("message %s: %w", id, kvdb.ErrNotFound)
	}
	return p.messages[0], nil
}

// MessageFilter chooses messages.
type MessageFilter struct {
	Q      string // part of the data or of the publisher's name, in upper or lower case
	Before string // ID: only older ones
	After  string // ID: only newer ones
}

// Matches says whether the filter's text is in a message.
func (f MessageFilter) Matches(m Message) bool {
	if f.Q == "" {
		return true
	}
	q := strings.ToLower(f.Q)
	return strings.Contains(strings.ToLower(m.By), q) || bytes.Contains(bytes.ToLower(m.Data), []byte(q))
}

// What one call of Messages reads at most, and keeps of each message.
const (
	searchMessages = 5000
	searchBytes    = 16 << 20
	listedData     = 2 << 10
)

// Messages lists those of a channel, newest first. A search reads a bounded part of the channel, so that a page may have few items, or
// none, and still a Next. An ID or a cursor of a channel that began anew since is *kvdb.InvalidError.
func (s *Store) Messages(ctx context.Context, channel string, f MessageFilter, cursor string, limit int) (Page[Message], error) {
	if err := CheckChannel(channel); err != nil {
		return Page[Message]{}, err
	}
	before, beforeEpoch, err := bound("before", f.Before)
	if err != nil {
		return Page[Message]{}, err
	}
	after, afterEpoch, err := bound("after", f.After)
	if err != nil {
		return Page[Message]{}, err
	}
	from, fromEpoch, err := bound("cursor", cursor)
	if err != nil {
		return Page[Message]{}, err
	}
	if from == 0 || before > 0 && before < from {
		from = before
	}
	var page Page[Message]
	var pace pace
	for read, size := 0, 0; ; {
		count := min(pace.next(), searchMessages-read)
		if f.Q == "" {
			count = min(count, limit-len(page.Items)+1)
		}
		p, err := s.readBefore(ctx, channel, from, count)
		if err != nil {
			return Page[Message]{}, err
		}
		for name, epoch := range map[string]string{"before": beforeEpoch, "after": afterEpoch, "cursor": fromEpoch} {
			if epoch != "" && epoch != p.epoch {
				return Page[Message]{}, kvdb.Invalid(name, "is of a time before the channel began anew")
			}
		}
		for _, m := range p.messages {
			if m.N <= after {
				return page, nil
			}
			if len(page.Items) == limit {
				page.Next = messageID(p.epoch, from, 0)
				return page, nil
			}
			from = m.N
			if f.Matches(m) {
				m.Data = cutData(m.Data)
				page.Items = append(page.Items, m)
			}
		}
		if p.complete {
			return page, nil
		}
		read, size = read+len(p.messages), size+p.bytes()
		pace.saw(p)
		if read >= searchMessages || size >= searchBytes {
			page.Next = messageID(p.epoch, from, 0)
			return page, nil
		}
	}
}

// bound reads an ID from a filter; 0 = none.
func bound(name, id string) (n int64, epoch string, err error) {
	if id == "" {
		return 0, "", nil
	}
	at, ok := parseID(id)
	if !ok {
		return 0, "", kvdb.Invalid(name, "is not the ID of a message")
	}
	return at.n, at.epoch, nil
}

// cutData copies what a list has of the data, without a half character at the end.
func cutData(data []byte) []byte {
	if len(data) <= listedData {
		return data
	}
	end := listedData
	for end > listedData-utf8.UTFMax && !utf8.RuneStart(data[end]) {
		end--
	}
	return slices.Clone(data[:end])
}

// pace says how many messages to read at once, so that it is some MiB at most, whatever their size.
type pace struct{ count int }

const (
	paceFirst = 16
	paceMost  = 512
	paceBytes = 2 << 20
)

func (p *pace) next() int {
	if p.count == 0 {
		p.count = paceFirst
	}
	return p.count
}

func (p *pace) saw(read stretch) {
	switch size := read.bytes(); {
	case size > paceBytes:
		p.count = max(1, len(read.messages)*paceBytes/size)
	case size < paceBytes/2 && len(read.messages) == p.count:
		p.count = min(2*p.count, paceMost)
	}
}
