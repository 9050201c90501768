package console

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"webadmin/internal/kvdb"
)

// The limits of a batch.
const (
	MaxBatch         = 16 << 20  // bytes of its text
	MaxBatchCommands = 1_000_000 // those that a number repeats count as often
	batchesPerPerson = 3
	maxBatchTexts    = 64 << 20  // bytes of all texts
	maxBatchReplies  = 256 << 20 // bytes of replies that are kept of one
	batchNames       = 50        // lines that are named of each kind
	maxBatchAgain    = 1000      // cut replies of which there is a way to the rest
	longestAgain     = 4 << 10   // bytes of a command that has one
	stepwise         = 1000      // commands that are recorded together where each waits for the one before
)

// BatchOptions say how a batch runs.
type BatchOptions struct {
	// Transaction has all of it run as one, with MULTI and EXEC: kvdb.MaxPipeline commands at most.
	Transaction bool
	// StopAtError sends each command when the one before has its reply, and none after an error. Otherwise they go out by
	// kvdb.MaxPipeline in a round trip, and errors don't stop them.
	StopAtError bool
}

// BatchLine is a line of a batch, and what there is to say about it.
type BatchLine struct {
	Line    int
	Command string // secrets masked
	Reason  string
}

// BatchCount says how often a command comes.
type BatchCount struct {
	Name string
	N    int
}

// Batch is a list of commands that was checked, and can run. All of its methods may be called at any time.
type Batch struct {
	ID, Who, Role string
	BatchOptions
	Made time.Time
	// Commands is how many there are, Counts how many of each, the most frequent first.
	Commands int
	Counts   []BatchCount
	// Dangerous and Refused name the first of those that are to be confirmed and that can't run. With a refused one, nothing runs.
	Dangerous, Refused           []BatchLine
	DangerousCount, RefusedCount int
	Confirm                      []string // words that confirm the dangerous ones
	Changes                      bool     // some of it may change something

	c    *Console
	text string
	out  *os.File // the replies; its name is gone already

	mu     sync.Mutex
	cancel context.CancelFunc // nil = it doesn't run
	begun  bool
	took   time.Duration
	since  time.Time
	offs   []int64 // where each reply begins
	size   int64
	failed []int // the commands that failed
	again  map[int]string
	ended  string
	err    error
}

// BatchState is a batch as it stands.
type BatchState struct {
	Begun, Running bool
	Done, Failed   int
	Took           time.Duration
	Ended          string // why it has ended before its end; "" = it has not
	Err            error  // with Ended: what went wrong; nil = it was stopped, or a command failed
}

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

// keep makes room for a batch among those of all people: of somebody's own, the oldest that doesn't run goes.
func (c *Console) keep(b *Batch) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return &EndedError{"This program is shutting down."}
	}
	own, size, idle := 0, len(b.text), -1
	for i, other := range c.batches {
		size += len(other.text)
		if other.Who != b.Who {
			continue
		}
		if own++; idle < 0 && !other.State().Running {
			idle = i
		}
	}
	if own >= batchesPerPerson || size > maxBatchTexts {
		if idle < 0 {
			return &BusyError{"There are as many batches as there may be. Wait until one has ended."}
		}
		c.batches[idle].drop()
		c.batches = slices.Delete(c.batches, idle, idle+1)
	}
	c.batches = append(c.batches, b)
	return nil
}

// Batch returns somebody's batch. The error is an *EndedError.
func (c *Console) Batch(id, who string) (*Batch, error) {
	for _, b := range c.Batches(who) {
		if b.ID == id {
			return b, nil
		}
	}
	return nil, &EndedError{"This batch is not kept any more, or not here."}
}

// Batches are those of somebody that are kept, the newest first. They are not kept longer than this program runs.
func (c *Console) Batches(who string) []*Batch {
	c.mu.Lock()
	defer c.mu.Unlock()
	var own []*Batch
	for _, b := range slices.Backward(c.batches) {
		if b.Who == who {
			own = append(own, b)
		}
	}
	return own
}

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

// drop frees what a batch holds.
func (b *Batch) drop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.out != nil {
		_ = b.out.Close()
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

// State is the batch as it stands.
func (b *Batch) State() BatchState {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := BatchState{Begun: b.begun, Running: b.cancel != nil, Done: len(b.offs), Failed: len(b.failed), Took: b.took, Ended: b.ended, Err: b.err}
	if s.Running {
		s.Took = b.c.o.Now().Sub(b.since)
	}
	return s
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
