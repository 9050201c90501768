package console

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"webadmin/internal/kvdb"
)

// BatchPart is a part of a batch that runs together. Results are those so far.
type BatchPart struct {
	First   int // the first command, from 1
	Classes []kvdb.Class
	Results []kvdb.Result
}

// BatchRecorder has a part recorded that may change something: it calls run, once. Where it can't record it, it returns an error instead, and
// nothing of the part runs.
type BatchRecorder func(ctx context.Context, part *BatchPart, run func() error) error

// Start has the batch run in the background, as ctx says but for its end. The errors are ErrInvalid, where words are missing that confirm
// what is dangerous or a command can't run, and a *BusyError where it has run already.
func (b *Batch) Start(ctx context.Context, confirm []string, record BatchRecorder) error {
	for _, word := range b.Confirm {
		if !slices.ContainsFunc(confirm, func(s string) bool { return strings.EqualFold(s, word) }) {
			return kvdb.Invalid("confirm", "type %s", strings.Join(b.Confirm, " "))
		}
	}
	if b.RefusedCount > 0 {
		return kvdb.Invalid("text", "has commands that can't run")
	}
	out, err := os.CreateTemp("", "webadmin-batch-*")
	if err != nil {
		return fmt.Errorf("batch: %w", err)
	}
	_ = os.Remove(out.Name()) // so that nothing is left behind, however this program ends
	b.c.mu.Lock()
	defer b.c.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.begun || b.c.closed {
		_ = out.Close()
		return &BusyError{"This batch has run already."}
	}
	ctx, b.cancel = context.WithCancel(context.WithoutCancel(ctx))
	b.begun, b.since, b.out = true, b.c.o.Now(), out
	b.c.streams.Go(func() {
		why, err := b.run(ctx, record)
		b.mu.Lock()
		defer b.mu.Unlock()
		b.cancel()
		b.cancel, b.ended, b.err, b.took = nil, why, err, b.c.o.Now().Sub(b.since)
	})
	return nil
}

// Stop stops the batch after what is on its way.
func (b *Batch) Stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cancel != nil {
		b.cancel()
	}
}

// run runs part after part.
func (b *Batch) run(ctx context.Context, record BatchRecorder) (why string, err error) {
	n := kvdb.MaxPipeline
	if b.StopAtError && !b.Transaction {
		n = stepwise
	}
	r := &reader{rest: b.text}
	for first := 1; ; first += n {
		commands, args, err := r.take(n)
		if err != nil || len(commands) == 0 {
			return "", err
		}
		if ctx.Err() != nil {
			return "It was stopped.", nil
		}
		part := &BatchPart{First: first}
		if part.Classes, err = b.c.db.ClassifyAll(ctx, args); err != nil {
			return b.broke(first, err)
		}
		run := func() error { return b.runPart(ctx, part) }
		if changes := slices.ContainsFunc(part.Classes, func(c kvdb.Class) bool { return c.Changes }); changes && record != nil {
			err = record(ctx, part, run)
		} else {
			err = run()
		}
		failed, keepErr := b.store(commands, part)
		switch {
		case errors.Is(err, errStopped):
			return "It was stopped.", nil
		case err != nil:
			return b.broke(first+len(part.Results), err)
		case keepErr != nil:
			return "The replies can't be kept: there is no room for them.", keepErr
		case failed && b.StopAtError && !b.Transaction:
			return "It stopped at the first error.", nil
		}
	}
}

func (b *Batch) broke(at int, err error) (string, error) {
	return fmt.Sprintf("It ended at command %d.", at), err
}

// runPart runs a part: in one round trip, or, to stop at the first error, one by one.
func (b *Batch) runPart(ctx context.Context, part *BatchPart) error {
	if !b.StopAtError || b.Transaction {
		// What was sent runs whether somebody waits for it or not, so it is waited for.
		return b.send(context.WithoutCancel(ctx), part, part.Classes)
	}
	for i := range part.Classes {
		if ctx.Err() != nil {
			return errStopped
		}
		if err := b.send(context.WithoutCancel(ctx), part, part.Classes[i:i+1]); err != nil {
			return err
		}
		if part.Results[i].Reply.Kind == kvdb.KindError {
			return nil
		}
	}
	return nil
}

func (b *Batch) send(ctx context.Context, part *BatchPart, classes []kvdb.Class) error {
	p, err := b.c.db.NewPipeline(classes, b.Role, b.Confirm, b.Transaction)
	if err != nil {
		return err
	}
	results, err := p.Run(ctx)
	part.Results = append(part.Results, results...)
	return err
}
