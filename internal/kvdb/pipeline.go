package kvdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// MaxPipeline is how many commands a pipeline has at most.
const MaxPipeline = 10_000

const maxWrong = 100 // commands that one error names

// Pipeline is a list of commands that go out together, by somebody who may run each of them.
type Pipeline struct {
	// Changes says that one of them may change something.
	Changes bool

	db          *DB
	calls       []Class
	transaction bool
	wire        wireOptions
}

// ClassifyAll is Classify for a list of commands. The server is asked about those alone whose keys their arguments decide (XREAD, ZUNION …), in
// one round trip. In an ErrInvalid, the field says which command is wrong: commands[3].
func (db *DB) ClassifyAll(ctx context.Context, commands [][]string) ([]Class, error) {
	var wrong []FieldError
	for i, args := range commands {
		if (len(args) == 0 || args[0] == "") && len(wrong) < maxWrong {
			wrong = append(wrong, FieldError{commandField(i), "must hold the name of a command, and then its arguments"})
		}
	}
	switch {
	case wrong != nil:
		return nil, &InvalidError{Fields: wrong}
	case len(commands) == 0 || len(commands) > MaxPipeline:
		return nil, Invalid("commands", "must be from 1 to %d commands", MaxPipeline)
	}
	classes, err := db.classifyAll(ctx, commands)
	return classes, ReadErr("classify", err)
}

func commandField(i int) string { return "commands[" + strconv.Itoa(i) + "]" }

// kindOf is what one spelling of a command's name means; specs of containers depend on the next word as well.
type kindOf struct {
	spec  *commandSpec
	class Class
	fixed bool // the class holds for all arguments
}

func (db *DB) classifyAll(ctx context.Context, commands [][]string) ([]Class, error) {
	to, err := db.node(ctx, nil)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, ioTimeout)
	defer cancel()
	w, err := db.wire(ctx, to, wireOptions{anyDB: true})
	if err != nil {
		return nil, err
	}
	table, err := db.tableFor(ctx, w, commands)
	db.wires.put(w)
	if err != nil {
		return nil, err
	}
	kinds := map[string]kindOf{}
	classes := make([]Class, len(commands))
	specs := make([]*commandSpec, len(commands))
	var ask []exchange // about the keys
	var asked []int
	for i, args := range commands {
		kind, ok := kinds[args[0]]
		if !ok {
			kind.spec = table.find(args)
			kind.class = newClass(kind.spec, args)
			kind.fixed = !isContainer(table, args[0])
			kinds[args[0]] = kind
		} else if !kind.fixed {
			kind.spec = table.find(args)
			kind.class = newClass(kind.spec, args)
		}
		c := &classes[i]
		*c = kind.class
		c.Args, c.db = args, db
		specs[i] = kind.spec
		switch {
		case kind.spec == nil:
		case !kind.spec.is("movablekeys"):
			c.setKeys(kind.spec, kind.spec.keysWithin(args))
		case kind.spec.fits(len(args)): // else it will be refused
			asked = append(asked, i)
			ask = append(ask, exchange{args: append([]string{"COMMAND", "GETKEYS"}, args...), to: to})
		default:
			c.setKeys(kind.spec, nil)
		}
	}
	if len(ask) > 0 {
		db.exchangeAll(ctx, ask, together{wire: wireOptions{anyDB: true}, bytes: maxTableBytes})
	}
	for n, i := range asked {
		e := &ask[n]
		switch err := e.failure(); {
		case e.err != nil:
			return nil, e.err
		case e.cut:
			classes[i].keysErr = replyError("it has too many")
		case err != nil && !strings.HasPrefix(err.Error(), errNoKeys):
			classes[i].keysErr = err
		case err == nil:
			classes[i].setKeys(specs[i], e.reply.texts())
			continue
		}
		classes[i].setKeys(specs[i], nil)
	}
	return classes, nil
}

// tableFor is table for a list of commands.
func (db *DB) tableFor(ctx context.Context, w *wire, commands [][]string) (*commandTable, error) {
	t, err := db.table(ctx, w, commands[0][0])
	if err != nil {
		return nil, err
	}
	var last string
	for _, args := range commands {
		if args[0] == last {
			continue
		}
		if last = args[0]; t.byName[strings.ToLower(last)] == nil {
			return db.table(ctx, w, last)
		}
	}
	return t, nil
}

// isContainer says whether the second word of a command tells what it is.
func isContainer(t *commandTable, name string) bool {
	name = strings.ToLower(name)
	if spec := t.byName[name]; spec != nil && len(spec.sub) > 0 {
		return true
	}
	name += "|"
	for _, tables := range []map[string]string{reportOnly, outOfPlace} {
		for words := range tables {
			if strings.HasPrefix(words, name) {
				return true
			}
		}
	}
	return false
}

// keysWithin is plainKeys, as a part of the arguments where the keys stand together.
func (s *commandSpec) keysWithin(args []string) []string {
	last := s.last
	if last < 0 {
		last += len(args)
	}
	if last = min(last, len(args)-1); s.step != 1 || s.first <= 0 || s.first > last {
		return s.plainKeys(args)
	}
	return args[s.first : last+1 : last+1]
}

// setKeys notes which keys a command touches, as Classify does.
func (c *Class) setKeys(spec *commandSpec, keys []string) {
	c.place = keys
	if spec.channel {
		return
	}
	c.Keys = keys
	candidates := keys
	if spec.is("movablekeys") {
		candidates = c.Args[1:]
	}
	if i := slices.IndexFunc(candidates, c.db.isOurs); i >= 0 {
		c.ours = candidates[i]
	}
}

// NewPipeline returns the pipeline of the commands by somebody with the role. confirm holds the first words of those that they confirm.
// As a transaction, the commands run one after the other, with nothing else in between, and none runs when the server refuses to queue one
// of them; in a cluster, all their keys must be of one slot. What may wait for others can't be in a pipeline. The errors are ErrForbidden, and
// ErrInvalid with the fields commands[3] and confirm.
func (db *DB) NewPipeline(classes []Class, role string, confirm []string, transaction bool) (*Pipeline, error) {
	p := &Pipeline{db: db, calls: classes, transaction: transaction}
	var wrong []FieldError
	reject := func(i int, field string, message string) {
		if field != "confirm" {
			field = commandField(i)
		}
		if len(wrong) < maxWrong && !slices.Contains(wrong, FieldError{field, message}) {
			wrong = append(wrong, FieldError{field, message})
		}
	}
	first := ""
	for i := range classes {
		c := &classes[i]
		word := ""
		if c.Confirm && slices.ContainsFunc(confirm, func(s string) bool { return strings.EqualFold(s, c.Args[0]) }) {
			word = c.Args[0]
		}
		err := c.refusal(role, word)
		var invalid *InvalidError
		switch {
		case errors.As(err, &invalid):
			for _, f := range invalid.Fields {
				reject(i, f.Field, f.Message)
			}
			continue
		case err != nil:
			return nil, forbiddenError(commandField(i) + ": " + err.Error())
		case c.Blocking:
			reject(i, "", c.Name+" may wait for others, and all that follows it would wait, too: send it as a command of its own")
			continue
		}
		if transaction && db.IsCluster() {
			for _, key := range c.place {
				if first == "" {
					first = key
				}
				if slotOf(key) != slotOf(first) {
					reject(i, "", fmt.Sprintf("CROSSSLOT: the key %s is in another slot than %s, and a transaction of a cluster has one slot. Names with the same "+
						"{part} in braces share a slot", Shown(key), Shown(first)))
					break
				}
			}
		}
		p.Changes = p.Changes || c.Changes
		p.wire.restricted = role != roles[admin]
		p.wire.fresh = p.wire.fresh || !c.plain
	}
	if wrong != nil {
		return nil, &InvalidError{Fields: wrong}
	}
	return p, nil
}

// Run runs the commands, each at most once, in their order, and returns their replies in that order. They go out in one round trip, on one
// connection; in a cluster, to each of the nodes concerned, where those of different nodes run at the same time. Replies
// beyond the limits are cut: each has 10,000 elements at most, and all together have 8 MiB (but each 1 KiB).
//
// The errors are ErrAway where none of them was done, and, if one may change something, ErrUnknown where it isn't known what was done.
// Where one node of several can't be reached, its commands are not done, and say so in error replies of their own.
func (p *Pipeline) Run(ctx context.Context) ([]Result, error) {
	results, err := p.run(ctx)
	if !p.Changes {
		return results, ReadErr("pipeline", err)
	}
	err = WriteErr("pipeline", err)
	var unknown *UnknownError
	if errors.As(err, &unknown) {
		unknown.Check = "what the commands should have changed: those before the last reply were done, those after it maybe"
		for i := range p.calls {
			if c := &p.calls[i]; c.Changes && len(c.Keys) > 0 {
				unknown.Check = fmt.Sprintf("what the commands should have changed, as the key %.100q", c.Keys[0])
				break
			}
		}
	}
	return results, err
}

func (p *Pipeline) run(ctx context.Context) ([]Result, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	if p.transaction {
		return p.transact(ctx)
	}
	all := make([]exchange, len(p.calls))
	to, err := p.db.node(ctx, nil)
	if err != nil {
		return nil, err
	}
	for i := range p.calls {
		c := &p.calls[i]
		all[i] = exchange{args: c.Args, to: to, stay: c.scripting}
		if len(c.place) > 0 && p.db.IsCluster() {
			if all[i].to, err = p.db.node(ctx, c.place); err != nil {
				return nil, err
			}
		}
	}
	start := time.Now()
	p.db.exchangeAll(ctx, all, together{wire: p.wire, time: commandTime})
	took := time.Since(start)
	results := make([]Result, len(all))
	var unsent, lost error
	sent := false
	for i := range all {
		e := &all[i]
		switch {
		case e.err == nil:
			sent = true
			results[i] = p.result(i, e.reply, e.cut, took)
		case errors.As(e.err, new(*notSentError)) || errors.Is(e.err, ErrAway):
			unsent = e.err
			results[i] = Result{Reply: Reply{Kind: KindError,
				Text: "CLUSTERDOWN This command was not sent, as its node of the cluster can't be reached. It was not done."}, Took: took}
		default:
			lost = e.err
		}
	}
	switch {
	case lost != nil:
		return nil, lost
	case unsent != nil && !sent:
		return nil, unsent
	}
	return results, nil
}

// result is what came of a command, without the names of keys that are not for whoever sent it.
func (p *Pipeline) result(i int, r Reply, cut bool, took time.Duration) Result {
	if c := &p.calls[i]; p.wire.restricted && len(c.Keys) == 0 {
		if r.Kind == KindBulk && c.reads && c.db.isOurs(r.Text) { // RANDOMKEY
			r = Reply{}
		}
		c.db.dropOurs(&r)
	}
	return Result{Reply: r, Truncated: cut, Took: took}
}

// transact runs the commands as a transaction, and follows it where a cluster says that the keys are elsewhere: then nothing was
// done.
func (p *Pipeline) transact(ctx context.Context) ([]Result, error) {
	var place []string
	for i := range p.calls {
		if place = p.calls[i].place; len(place) > 0 {
			break
		}
	}
	to, err := p.db.node(ctx, place)
	if err != nil {
		return nil, err
	}
	for hop := 0; ; hop++ {
		results, next, err := p.transactOn(ctx, to)
		client, ok := p.db.client.(*redis.ClusterClient)
		if err != nil || next == "" || !ok || hop == maxHops || !p.db.knows(ctx, to, next) {
			return results, err
		}
		client.ReloadState(context.WithoutCancel(ctx))
		to = dialable(next)
	}
}

// transactOn runs the transaction on a node. It returns the node that has the keys, if that is why nothing was done.
func (p *Pipeline) transactOn(ctx context.Context, to string) (results []Result, next string, err error) {
	w, err := p.db.wire(ctx, to, p.wire)
	if err != nil {
		return nil, "", err
	}
	defer func() {
		w.over = w.over || p.wire.fresh
		p.db.wires.put(w)
	}()
	w.out = appendRequest(w.out[:0], []string{"MULTI"})
	for i := range p.calls {
		w.out = appendRequest(w.out, p.calls[i].Args)
	}
	w.out = appendRequest(w.out, []string{"EXEC"})
	start := time.Now()
	stop, err := w.sendMany(ctx, deadlineOf(ctx))
	if err != nil {
		return nil, "", err
	}
	results, next, err = p.readTransaction(w)
	w.over = !stop() || errors.Is(err, errNotRedis) || err != nil && !errors.As(err, new(replyError))
	if errors.Is(err, errNotRedis) {
		err = fmt.Errorf("%w: %w", err, io.ErrUnexpectedEOF) // an answer that nobody understands is none
	}
	took := time.Since(start)
	for i := range results {
		results[i] = p.result(i, results[i].Reply, results[i].Truncated, took)
	}
	return results, next, err
}

// readTransaction reads the replies from that of MULTI to that of EXEC. A replyError says that nothing was done.
func (p *Pipeline) readTransaction(w *wire) (results []Result, next string, err error) {
	rr := newReplyReader(w.r, 0, MaxReplyBytes)
	rr.whole = true
	begun, err := rr.next()
	if err != nil {
		return nil, "", err
	}
	results = make([]Result, len(p.calls))
	alone := false // a command was run though it should have waited
	var moving replyError
	for i := range results {
		if results[i].Reply, err = rr.next(); err != nil {
			return nil, "", err
		}
		r := results[i].Reply
		words := strings.Split(r.Text, " ")
		switch {
		case r.Kind != KindError:
			alone = alone || r.Kind != KindStatus || r.Text != "QUEUED"
		case words[0] == "MOVED" && len(words) == 3 && p.db.IsCluster():
			next = words[2]
		case words[0] == "ASK":
			moving = replyError(r.Text)
		}
	}
	line, err := rr.line()
	if err != nil || len(line) == 0 {
		return nil, "", errors.Join(err, errNotRedis)
	}
	switch {
	case begun.Kind == KindError && alone:
		return nil, "", &UnknownError{Op: "pipeline", Err: errors.New("the server refused MULTI and ran commands all the same")}
	case begun.Kind == KindError:
		return nil, "", replyError(begun.Text)
	case line[0] == '-' && moving != "":
		return nil, "", moving
	case line[0] == '-':
		for i := range results {
			if results[i].Reply.Kind != KindError {
				results[i].Reply = Reply{Kind: KindError, Text: string(line[1:])}
			}
		}
		return results, next, nil
	case alone || !bytes.Equal(line, []byte("*"+strconv.Itoa(len(results)))):
		return nil, "", errNotRedis
	}
	for i := range results {
		if results[i].Reply, err = rr.next(); err != nil {
			return nil, "", err
		}
		results[i].Truncated = rr.cut
	}
	return results, "", nil
}
