package kvdb

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// commandSpec is what the server says of one command, or of one with its subcommand ("config|get").
type commandSpec struct {
	name       string
	arity      int // number of arguments with the name; negative = at least so many
	flags      []string
	categories []string // "@read" …
	// The keys are the arguments from first to last (negative = from the end), every step. 0 = there are none.
	first, last, step int
	// unclear is set where the server can't tell all keys from the arguments.
	unclear bool
	// channel is set where what counts as a key is a channel, which a cluster puts on a node like a key (SPUBLISH).
	channel bool
	sub     map[string]*commandSpec // by name without that of the command
}

func (s *commandSpec) is(word string) bool {
	if strings.HasPrefix(word, "@") {
		return slices.Contains(s.categories, word)
	}
	return slices.Contains(s.flags, word)
}

// commandTable is what one run of the server knows.
type commandTable struct {
	run    string
	read   time.Time
	byName map[string]*commandSpec
}

// find returns the spec of a command, nil if the server has none. The subcommands of a container are all that there are,
// where it names any (since 7.0).
func (t *commandTable) find(args []string) *commandSpec {
	spec := t.byName[strings.ToLower(args[0])]
	if spec == nil || len(spec.sub) == 0 || len(args) == 1 {
		return spec
	}
	return spec.sub[strings.ToLower(args[1])]
}

// commandTables keeps the table of the server.
type commandTables struct {
	mu  sync.Mutex
	now *commandTable
}

const (
	// minTableAge is how old a table gets before an unknown command is a reason to look for a new one.
	minTableAge   = time.Second
	maxTableItems = 1_000_000
	maxTableBytes = 64 << 20
)

// table returns the table of the server that w is connected to. It is read again when the server was started anew since,
// maybe as another version, or a module was loaded (or so one may think, when a command is unknown).
func (db *DB) table(ctx context.Context, w *wire, name string) (*commandTable, error) {
	tables := &db.tables
	tables.mu.Lock()
	defer tables.mu.Unlock()
	run, err := w.runOf(ctx)
	if tables.now != nil && redis.HasErrorPrefix(err, "BUSY") {
		return tables.now, nil // so that what blocks it can be killed
	}
	if err != nil {
		return nil, err
	}
	if t := tables.now; t != nil && t.run == run && (t.byName[strings.ToLower(name)] != nil || time.Since(t.read) < minTableAge) {
		return t, nil
	}
	reply, err := w.askMuch(ctx, maxTableItems, maxTableBytes, []string{"COMMAND"})
	if err != nil {
		return nil, err
	}
	t := &commandTable{run: run, read: time.Now(), byName: map[string]*commandSpec{}}
	for _, item := range reply.Items {
		if spec := newCommandSpec(item); spec != nil {
			t.byName[spec.name] = spec
		}
	}
	tables.now = t
	return t, nil
}

// runOf returns what changes with each start of the server.
func (w *wire) runOf(ctx context.Context) (string, error) {
	if w.run != "" {
		return w.run, nil
	}
	reply, err := w.ask(ctx, "INFO", "server")
	var refused replyError
	switch {
	case errors.As(err, &refused) && redis.HasErrorPrefix(refused, "NOPERM"):
		w.run = rand.Text() // unknown: a table for each connection
	case err != nil:
		return "", err
	default:
		server := parseInfo(reply.Text)["server"]
		w.run = server["run_id"] + " " + server["redis_version"]
	}
	return w.run, nil
}

// newCommandSpec reads an entry of COMMAND: name, arity, flags, first, last and step of the keys, categories and, since
// 7.0, tips, key specifications and subcommands. It returns nil for what is no such entry.
func newCommandSpec(entry Reply) *commandSpec {
	e := entry.Items
	if len(e) < 7 {
		return nil
	}
	s := &commandSpec{
		name: strings.ToLower(e[0].Text), arity: e[1].int(), flags: e[2].texts(),
		first: e[3].int(), last: e[4].int(), step: e[5].int(), categories: e[6].texts(),
	}
	if len(e) > 8 {
		for _, key := range e[8].Items {
			begin, _ := key.field("begin_search")
			kind, _ := begin.field("type")
			s.unclear = s.unclear || kind.Text == "unknown"
			flags, _ := key.field("flags")
			s.channel = slices.Contains(flags.texts(), "not_key")
		}
	}
	if len(e) > 9 {
		s.sub = map[string]*commandSpec{}
		for _, item := range e[9].Items {
			if sub := newCommandSpec(item); sub != nil {
				s.sub[strings.TrimPrefix(sub.name, s.name+"|")] = sub
			}
		}
	}
	return s
}

func (r Reply) int() int {
	n, _ := strconv.Atoi(r.Text)
	return n
}

func (r Reply) texts() []string {
	out := make([]string, len(r.Items))
	for i, item := range r.Items {
		out[i] = item.Text
	}
	return out
}

// errNoKeys is the reply of COMMAND GETKEYS when there are none.
const errNoKeys = "ERR The command has no key arguments"

// keysOf returns the keys that a command touches, as the server says. A replyError says why it can't tell.
func (db *DB) keysOf(ctx context.Context, w *wire, s *commandSpec, args []string) ([]string, error) {
	if !s.is("movablekeys") {
		return s.plainKeys(args), nil
	}
	if !s.fits(len(args)) {
		return nil, nil // it will be refused
	}
	reply, err := w.askMuch(ctx, maxTableItems, maxTableBytes, append([]string{"COMMAND", "GETKEYS"}, args...))
	var refused replyError
	if errors.As(err, &refused) && strings.HasPrefix(string(refused), errNoKeys) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return reply.texts(), nil
}

func (s *commandSpec) fits(n int) bool { return n == s.arity || s.arity < 0 && n >= -s.arity }

// plainKeys finds the keys where the positions alone say which arguments they are.
func (s *commandSpec) plainKeys(args []string) (keys []string) {
	last := s.last
	if last < 0 {
		last += len(args)
	}
	if s.first <= 0 || s.step <= 0 {
		return nil
	}
	for i := s.first; i <= min(last, len(args)-1); i += s.step {
		keys = append(keys, args[i])
	}
	return keys
}
