package lua

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"webadmin/internal/kvdb"
	"webadmin/internal/lua/ldb"
)

// The rungs of a dry run, the best first.
const (
	RungFork     = "fork"      // in a fork of the target
	RungScratch  = "scratch"   // in a server of ours, with copies of the declared keys
	RungReadOnly = "read-only" // on the target, which refuses the first write
	RungStatic   = "static"    // nothing ran
)

// DryRun is what a program would do: nothing of it was done.
type DryRun struct {
	Rung      string // how it was found out: one of the rungs
	Why       string // why not by a better rung; "" = there is none
	Program   Program
	Calls     []TracedCall // in order
	MoreCalls int          // how many came after those
	Changes   []KeyChange  // in the order of the first write; also keys that a write left as they were
	Reply     kvdb.Reply
	Truncated bool     // the reply is the part before the limits
	Failure   *Failure // the program raised or returned an error
	Took      time.Duration
	Notes     []string // what to know of this dry run, in sentences
	Expect    Expect   // for Apply
	Published int      // messages that it would publish
}

// TracedCall is one call of redis.call or redis.pcall.
type TracedCall struct {
	N      int      // 1, 2, 3 …
	Line   int      // of the program; 0 = the call is what the program returns (a tail call has no line)
	Name   string   // of the command, in capitals
	Args   []string // after the name, each cut to 1 KiB
	Reply  string   // on one line as redis-cli shows it, cut to 1 KiB
	Failed bool     // the reply is an error
	Writes bool
}

// KeyChange is a key that a write was to.
type KeyChange struct {
	Key           string
	Before, After KeyState
}

// KeyState is what a key holds.
type KeyState struct {
	Type  string        // "" = there is no such key
	TTL   time.Duration // -1 = none
	Lines []string      // the value, one element a line in an order that is stable; at most 200 lines and 16 KiB
	Cut   bool          // there is more
	Size  int64         // bytes of a string, else elements
}

// Expect is what Apply holds a dry run to: the same program with the same arguments, and keys as they were.
type Expect struct {
	Call string // digest of the program and its arguments
	Keys []ExpectedKey
}

// ExpectedKey is a key as it was when the dry run began.
type ExpectedKey struct {
	Key    string
	Digest string // SHA-1 of its DUMP; "" = there was no such key
}

// expectJSON is how an Expect is written: keys may be any bytes.
type expectJSON struct {
	Call string      `json:"c"`
	Keys [][2][]byte `json:"k"`
}

// MarshalText makes it a field of a form.
func (e Expect) MarshalText() ([]byte, error) {
	j := expectJSON{Call: e.Call}
	for _, k := range e.Keys {
		j.Keys = append(j.Keys, [2][]byte{[]byte(k.Key), []byte(k.Digest)})
	}
	return json.Marshal(j)
}

// UnmarshalText reads what MarshalText wrote. Its error is ErrInvalid (field "expect").
func (e *Expect) UnmarshalText(text []byte) error {
	var j expectJSON
	if err := json.Unmarshal(text, &j); err != nil || len(j.Keys) > maxExpected {
		return kvdb.Invalid("expect", "is not what the dry run gave")
	}
	*e = Expect{Call: j.Call}
	for _, k := range j.Keys {
		if digest := string(k[1]); digest != "" && !digestForm.MatchString(digest) {
			return kvdb.Invalid("expect", "is not what the dry run gave")
		}
		e.Keys = append(e.Keys, ExpectedKey{string(k[0]), string(k[1])})
	}
	return nil
}

const maxExpected = 1000

var digestForm = regexp.MustCompile(`^[0-9a-f]{40}$`)

// callDigest is that of a program with its arguments.
func callDigest(src Source, c Call) string {
	h := sha1.New()
	fmt.Fprintf(h, "%s %t %d\n", src.SHA1, c.ReadOnly, len(c.Keys))
	for _, list := range [][]string{c.Keys, c.Values} {
		for _, text := range list {
			fmt.Fprintf(h, "%d:%s", len(text), text)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// tryTime is how long a program is tried for, at most. A server ends it before that, unless it is set otherwise.
const tryTime = 15 * time.Second

// DryRun finds out what a run would do, and does none of it. Where the program fails, that is a Failure, not an error; the
// errors are those of Run but ErrUnknown.
func (s *Store) DryRun(ctx context.Context, who Caller, c Call) (DryRun, error) {
	src, err := s.prepare(ctx, who, c)
	if err != nil {
		return DryRun{}, err
	}
	at := s.now()
	d, err := s.dryRun(ctx, who, src, c)
	if err != nil && !errors.As(err, new(*SyntaxError)) {
		err = fmt.Errorf("lua: dry run: %w", err)
	}
	run := runOf(who, c, at, Outcome{Program: src.Program, Reply: d.Reply, Took: d.Took, Failure: d.Failure}, err)
	run.Mode = "dry-run"
	s.record(run)
	return d, err
}

// tried is what a rung found out.
type tried struct {
	trace   *trace
	failure *Failure // that the trace doesn't hold
	took    time.Duration
	notes   []string
	digests map[string]string // of the keys, where the trace's are not those of the target
}

func (s *Store) dryRun(ctx context.Context, who Caller, src Source, c Call) (DryRun, error) {
	rungs := []struct {
		name string
		try  func() (tried, error)
	}{
		{RungFork, func() (tried, error) { return s.tryFork(ctx, src, c) }},
		{RungScratch, func() (tried, error) { return s.tryScratch(ctx, who, src, c) }},
		{RungReadOnly, func() (tried, error) { return s.tryReadOnly(ctx, src, c) }},
	}
	d := DryRun{Rung: RungStatic, Program: src.Program}
	var why []string
	for _, rung := range rungs {
		try, err := rung.try()
		var no *noForkError
		switch {
		case errors.As(err, &no):
			why = append(why, no.why)
			continue
		case err != nil:
			return d, err
		case try.trace.syntax != nil:
			return d, try.trace.syntax
		}
		d.Rung, d.Why = rung.name, strings.Join(why, " ")
		s.fill(&d, try, src, c)
		return d, nil
	}
	d.Why = strings.Join(why, " ")
	d.Notes = []string{"Nothing was run: see what the checks find in the program."}
	return d, s.verdictOnly(ctx, src.Text)
}

// fill says what a rung found out.
func (s *Store) fill(d *DryRun, try tried, src Source, c Call) {
	t := try.trace
	d.Calls, d.MoreCalls = t.calls, max(0, t.total-len(t.calls))
	d.Reply, d.Truncated, d.Took, d.Published = t.reply, t.cut, try.took, t.published
	d.Failure = t.failure
	if d.Failure == nil {
		d.Failure = try.failure
	}
	if d.Failure == nil && d.Reply.Kind == kvdb.KindError {
		d.Failure = failureOf(d.Reply.Text, s.db.HasProgramUser())
	}
	if d.Failure != nil {
		d.Reply = kvdb.Reply{Kind: kvdb.KindError, Text: d.Failure.Raw}
	}
	for _, key := range t.changed {
		d.Changes = append(d.Changes, KeyChange{Key: key, Before: t.before[key], After: t.after[key]})
	}
	d.Expect.Call = callDigest(src, c)
	var unchecked, undeclared []string
	for _, k := range t.seen {
		if try.digests != nil {
			digest, ok := try.digests[k.Key]
			if !ok {
				digest = "-"
			}
			k.Digest = digest
		}
		if k.Digest == "-" || len(d.Expect.Keys) == maxExpected {
			unchecked = append(unchecked, k.Key)
		} else {
			d.Expect.Keys = append(d.Expect.Keys, k)
		}
		if !slices.Contains(c.Keys, k.Key) {
			undeclared = append(undeclared, k.Key)
		}
	}
	d.Notes = append(slices.Concat(try.notes, t.notes), s.notes(t, src)...)
	if len(undeclared) > 0 && s.db.IsCluster() {
		d.Notes = append(d.Notes, "On a cluster, all keys have to be among the keys of the call. It also uses "+some(undeclared)+".")
	}
	if len(unchecked) > 0 {
		d.Notes = append(d.Notes, "Too large, too many or not readable, so not checked when you apply this: "+some(unchecked)+".")
	}
}

// byChance are commands of which the next run may get something else.
var byChance = []string{"TIME", "RANDOMKEY", "SRANDMEMBER", "SPOP", "HRANDFIELD", "ZRANDMEMBER"}

func (s *Store) notes(t *trace, src Source) []string {
	var notes []string
	if name := reaches(src.Text); name != "" {
		notes = append(notes, fmt.Sprintf("The program uses %s: what it calls by way of that is not listed.", name))
	}
	var chance []string
	for _, call := range t.calls {
		if slices.Contains(byChance, call.Name) && !slices.Contains(chance, call.Name) {
			chance = append(chance, call.Name)
		}
	}
	if len(chance) > 0 {
		notes = append(notes, "It depends on time or chance ("+strings.Join(chance, ", ")+"): the next run may do something else.")
	}
	if t.logged > 0 {
		notes = append(notes, fmt.Sprintf("It would write to the log of the server %d times.", t.logged))
	}
	if t.hidden > 0 {
		notes = append(notes, fmt.Sprintf("It changes %d more keys, which are not shown.", t.hidden))
	}
	return notes
}

// some lists a few of many keys.
func some(keys []string) string {
	const most = 5
	var b strings.Builder
	for i, key := range keys[:min(most, len(keys))] {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%.100q", key)
	}
	if len(keys) > most {
		fmt.Fprintf(&b, " and %d more", len(keys)-most)
	}
	return b.String()
}

// tryFork runs the program in a fork of the target.
func (s *Store) tryFork(ctx context.Context, src Source, c Call) (tried, error) {
	tracer := newTracer(src, c, RungFork)
	f, err := s.fork(ctx, c.Keys, tracer.name, tracer.args)
	if err != nil {
		return tried{}, err
	}
	defer f.close()
	limited, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	start := time.Now()
	stop := f.stop
	for err == nil && !stop.Ended && stop.Reason != ldb.Timeout {
		stop, err = f.Continue(limited)
	}
	took := time.Since(start)
	switch {
	case err != nil && limited.Err() != nil && ctx.Err() == nil:
		return notEnded(took), nil
	case errors.Is(err, io.EOF):
		return tried{}, &noForkError{"The fork of the server ended in the middle of the program."}
	case err != nil:
		return tried{}, err
	case !stop.Ended:
		return s.endless(limited, f, stop, tracer.name, took)
	}
	if stop.Reply.Kind == kvdb.KindError {
		return s.readReply(kvdb.Result{Reply: stop.Reply, Took: took})
	}
	// The tracer's own is the last. Without one, it was not in a debugger, and nothing ran.
	report := ""
	for _, e := range stop.Log {
		if text, err := ldb.Unquote(e.Text); e.Kind == ldb.KindDebug && err == nil {
			report = text
		}
	}
	if report == "" {
		return tried{}, &noForkError{"The server offers a debugger, but it did not debug."}
	}
	try, err := s.readTrace(report)
	try.took = took
	return try, err
}

// readReply reads the reply of the tracer where it didn't run in a debugger.
func (s *Store) readReply(r kvdb.Result) (tried, error) {
	if r.Reply.Kind == kvdb.KindError {
		if isVerdict(r.Reply.Text) {
			return tried{}, &SyntaxError{Message: strings.TrimPrefix(r.Reply.Text, "ERR "), Line: 1}
		}
		return tried{trace: &trace{}, took: r.Took, failure: failureOf(r.Reply.Text, s.db.HasProgramUser())}, nil
	}
	try, err := s.readTrace(r.Reply.Text)
	try.took = r.Took
	return try, err
}

// readTrace reads what the tracer reported.
func (s *Store) readTrace(report string) (tried, error) {
	t, err := parseTrace(report, s.db.HasProgramUser())
	if err != nil {
		return tried{}, err
	}
	if t.garbled {
		return tried{}, &noForkError{"The server has garbled the arguments of the program."}
	}
	if t.reaches {
		return tried{}, &noForkError{"The program can reach commands such as FLUSHALL past the trace, " +
			"and the Redis user may run them: what they do to the files of the server would stay."}
	}
	return tried{trace: t}, nil
}

// endless says what a program did up to where the server found that it takes too long.
func (s *Store) endless(ctx context.Context, f *forked, stop ldb.Stop, name string, took time.Duration) (tried, error) {
	try := tried{trace: &trace{}, took: took, failure: &Failure{
		Line: stop.Line, Message: fmt.Sprintf("it does not end: Redis stopped it after %.0f s", took.Seconds()),
	}}
	try.failure.Raw = try.failure.Message
	try.notes = []string{"What its keys hold then is not shown, as it was stopped midway."}
	if err := f.Maxlen(ctx, 0); err != nil {
		return try, nil
	}
	text, ok, err := f.Value(ctx, name)
	if err != nil || !ok {
		return try, nil
	}
	if records, err := ldb.ParseStrings(text); err == nil {
		if t, err := parseTrace(strings.Join(records, ""), s.db.HasProgramUser()); err == nil {
			try.trace = t
		}
	}
	_, _ = f.Abort(ctx)
	return try, nil
}

// readOnlyTime is how long a program may keep a server itself busy, and not a fork.
const readOnlyTime = 3 * time.Second

// eval is the command where it is not to be debugged.
func (t tracer) eval(c Call) kvdb.Eval {
	return kvdb.Eval{
		Text: t.args[1], Keys: c.Keys, Args: t.args[3+len(c.Keys):], ReadOnly: t.args[0] == "EVAL_RO", AdHoc: true, Limit: readOnlyTime,
		Late: func(kvdb.Result, error) {},
	}
}

// notEnded is what is known of a program that was given up.
func notEnded(after time.Duration) tried {
	text := fmt.Sprintf("it had not ended after %.0f s, and was ended", after.Seconds())
	return tried{trace: &trace{}, took: after, failure: &Failure{Message: text, Raw: text}}
}

// tryReadOnly runs the program on the target, which refuses its first write.
func (s *Store) tryReadOnly(ctx context.Context, src Source, c Call) (tried, error) {
	result, err := s.db.Eval(ctx, newTracer(src, c, RungReadOnly).eval(c))
	switch {
	case errors.Is(err, kvdb.ErrInvalid):
		return tried{}, &noForkError{"The server has no read-only runs: that takes Redis 7.0 or newer."}
	case errors.Is(err, kvdb.ErrLate):
		killing, cancel := context.WithTimeout(context.WithoutCancel(ctx), readOnlyTime)
		defer cancel()
		if err := s.db.KillScript(killing); err != nil {
			s.logger.WarnContext(ctx, "a dry run that takes too long was not ended", "error", err)
		}
		return notEnded(readOnlyTime), nil
	case err != nil:
		return tried{}, err
	case result.Reply.Kind == kvdb.KindError && lacksPermission(result.Reply.Text):
		return tried{}, &noForkError{"The Redis user has no permission for read-only runs (EVAL_RO)."}
	}
	try, err := s.readReply(result)
	if err != nil {
		return tried{}, err
	}
	try.trace.changed = nil
	try.notes = []string{"It ran on live data, read-only: nothing was changed."}
	if !c.ReadOnly {
		for _, call := range try.trace.calls {
			if call.Failed && (call.Writes || call.Name == "PUBLISH" || call.Name == "SPUBLISH") {
				try.notes = append(try.notes, fmt.Sprintf("It would write at line %d (%s). What comes after that is not known.", call.Line, call.Name))
				break
			}
		}
	}
	return try, nil
}
