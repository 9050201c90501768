package console

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"webadmin/internal/kvdb"
)

// This file keeps the replies of a batch, in a file that has no name, and gives them back.

// store keeps the replies of a part: each as a line with the command, and then what redis-cli prints.
func (b *Batch) store(commands []Command, part *BatchPart) (failed bool, err error) {
	var text strings.Builder
	for i, r := range part.Results {
		text.Reset()
		fmt.Fprintf(&text, "%d> %s\n", commands[i].Line, part.Classes[i].Line())
		if isFull := b.full(); isFull {
			text.WriteString("(the reply was not kept: there are too many)\n")
		} else {
			text.WriteString(Print(commands[i].Args, r.Reply, false))
		}
		if r.Truncated {
			text.WriteString("(this is the part of the reply before the limit)\n")
			b.rest(&part.Classes[i])
		}
		bad := r.Reply.Kind == kvdb.KindError
		failed = failed || bad
		if err := b.append(text.String(), bad); err != nil {
			return failed, err
		}
	}
	return failed, nil
}

// rest keeps what gives all of a reply that is cut, which is the next to be kept.
func (b *Batch) rest(class *kvdb.Class) {
	text := Join(class.Args)
	if !class.Repeatable(b.Role) || class.Masks() || len(text) > longestAgain {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.again == nil {
		b.again = map[int]string{}
	}
	if len(b.again) < maxBatchAgain {
		b.again[len(b.offs)] = text
	}
}

func (b *Batch) full() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.size > maxBatchReplies
}

func (b *Batch) append(text string, failed bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, err := b.out.WriteAt([]byte(text), b.size); err != nil {
		return fmt.Errorf("batch: %w", err)
	}
	if failed {
		b.failed = append(b.failed, len(b.offs))
	}
	b.offs = append(b.offs, b.size)
	b.size += int64(len(text))
	return nil
}

// BatchReply is what came of a command.
type BatchReply struct {
	N       int    // of the command, from 1
	Command string // its line in the text, and it
	Text    string // as redis-cli prints it
	Cut     bool   // Text is only its beginning
	Again   string // the reply was cut where limits are: this command gives all of it in a Session (see Download); "" = it was not, or there is none
	Failed  bool
}

const maxBatchReply = 4 << 10 // bytes of it that Replies returns

// Replies returns up to limit replies from the n-th on (from 0) of all, or of those that failed.
func (b *Batch) Replies(onlyFailed bool, n, limit int) ([]BatchReply, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	total := len(b.offs)
	if onlyFailed {
		total = len(b.failed)
	}
	var out []BatchReply
	for ; n >= 0 && n < total && len(out) < limit; n++ {
		i := n
		if onlyFailed {
			i = b.failed[n]
		}
		end := b.size
		if i+1 < len(b.offs) {
			end = b.offs[i+1]
		}
		buf := make([]byte, min(end-b.offs[i], maxBatchReply))
		if _, err := b.out.ReadAt(buf, b.offs[i]); err != nil {
			return nil, fmt.Errorf("batch: %w", err)
		}
		_, failed := slices.BinarySearch(b.failed, i)
		command, text, _ := strings.Cut(string(buf), "\n")
		out = append(out, BatchReply{N: i + 1, Command: command, Text: text, Cut: int64(len(buf)) < end-b.offs[i], Again: b.again[i], Failed: failed})
	}
	return out, nil
}

// WriteTo writes the commands and replies so far.
func (b *Batch) WriteTo(w io.Writer) (int64, error) {
	b.mu.Lock()
	out, size := b.out, b.size
	b.mu.Unlock()
	if out == nil {
		return 0, nil
	}
	return io.Copy(w, io.NewSectionReader(out, 0, size))
}
