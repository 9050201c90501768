package console

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"webadmin/internal/kvdb"
)

// This file reads a batch and says what it would do, before any of it runs.

// reader gives the commands of a text one by one, those that are repeated as often.
type reader struct {
	rest string
	line int
	last Command
	left int
}

func (r *reader) next() (c Command, ok bool, err error) {
	for r.left == 0 {
		if r.rest == "" {
			return Command{}, false, nil
		}
		line, rest, _ := strings.Cut(r.rest, "\n")
		r.rest = rest
		r.line++
		commands, err := Parse(line)
		if wrong := (*SyntaxError)(nil); errors.As(err, &wrong) {
			wrong.Line = r.line
		}
		if err != nil {
			return Command{}, false, err
		}
		if len(commands) > 0 {
			r.last, r.left = commands[0], commands[0].Repeat
			r.last.Line, r.last.Repeat = r.line, 1
		}
	}
	r.left--
	return r.last, true, nil
}

// take gives up to n of them.
func (r *reader) take(n int) (commands []Command, args [][]string, err error) {
	for len(commands) < n {
		c, ok, err := r.next()
		if err != nil {
			return nil, nil, err
		}
		if !ok {
			break
		}
		commands, args = append(commands, c), append(args, c.Args)
	}
	return commands, args, nil
}

// NewBatch checks commands, one on each line, for somebody with the role. Nothing runs yet. The errors are ErrInvalid (also a *SyntaxError),
// ErrAway, and a *BusyError where there are too many batches.
func (c *Console) NewBatch(ctx context.Context, who, role, text string, o BatchOptions) (*Batch, error) {
	if len(text) > MaxBatch {
		return nil, kvdb.Invalid("text", "must not be longer than %d MiB", MaxBatch>>20)
	}
	b := &Batch{ID: rand.Text(), Who: who, Role: role, BatchOptions: o, Made: c.o.Now(), c: c, text: text}
	if err := b.check(ctx); err != nil {
		return nil, err
	}
	if err := c.keep(b); err != nil {
		return nil, err
	}
	return b, nil
}

// check reads all commands and asks what they are.
func (b *Batch) check(ctx context.Context) error {
	counts := map[string]int{}
	r := &reader{rest: b.text}
	for {
		commands, args, err := r.take(kvdb.MaxPipeline)
		if err != nil {
			return err
		}
		if len(commands) == 0 {
			break
		}
		if b.Commands += len(commands); b.Commands > MaxBatchCommands {
			return kvdb.Invalid("text", "has more than %d commands", MaxBatchCommands)
		}
		classes, err := b.c.db.ClassifyAll(ctx, args)
		if err != nil {
			return err
		}
		for i := range classes {
			counts[classes[i].Name]++
			b.look(commands[i].Line, &classes[i])
		}
		if b.Transaction && b.RefusedCount == 0 {
			b.lookTogether(commands, classes)
		}
	}
	switch {
	case b.Commands == 0:
		return kvdb.Invalid("text", "has no command in it")
	case b.Transaction && b.Commands > kvdb.MaxPipeline:
		return kvdb.Invalid("transaction", "takes at most %d commands, and these are %d", kvdb.MaxPipeline, b.Commands)
	}
	for name, n := range counts {
		b.Counts = append(b.Counts, BatchCount{name, n})
	}
	slices.SortFunc(b.Counts, func(x, y BatchCount) int { return cmp.Or(cmp.Compare(y.N, x.N), cmp.Compare(x.Name, y.Name)) })
	return nil
}

// look says of one command whether it can run.
func (b *Batch) look(line int, class *kvdb.Class) {
	b.Changes = b.Changes || class.Changes
	if _, err := class.Permit(b.Role, class.Args[0]); err != nil {
		b.refuse(line, class, reasonOf(err))
		return
	}
	if class.Blocking {
		b.refuse(line, class, class.Name+" may wait for others, and all that follows would wait, too")
		return
	}
	if !class.Confirm {
		return
	}
	if b.DangerousCount++; len(b.Dangerous) < batchNames {
		b.Dangerous = append(b.Dangerous, BatchLine{Line: line, Command: class.Line()})
	}
	if word := strings.ToUpper(class.Args[0]); !slices.Contains(b.Confirm, word) {
		b.Confirm = append(b.Confirm, word)
	}
}

// lookTogether says whether the commands can be one transaction.
func (b *Batch) lookTogether(commands []Command, classes []kvdb.Class) {
	_, err := b.c.db.NewPipeline(classes, b.Role, b.Confirm, true)
	var invalid *kvdb.InvalidError
	if !errors.As(err, &invalid) {
		return
	}
	for _, f := range invalid.Fields {
		var i int
		if _, err := fmt.Sscanf(f.Field, "commands[%d]", &i); err == nil && i < len(classes) {
			b.refuse(commands[i].Line, &classes[i], f.Message)
		}
	}
}

func (b *Batch) refuse(line int, class *kvdb.Class, reason string) {
	if b.RefusedCount++; len(b.Refused) < batchNames {
		b.Refused = append(b.Refused, BatchLine{line, class.Line(), reason})
	}
}

// reasonOf is the sentence of an error that was made for people.
func reasonOf(err error) string {
	var invalid *kvdb.InvalidError
	if errors.As(err, &invalid) && len(invalid.Fields) > 0 {
		return invalid.Fields[0].Message
	}
	return err.Error()
}
