package kvdb

import "context"

// CommandFacts is what the server says of a command.
type CommandFacts struct {
	NoScript bool // scripts may not call it
	Write    bool // it may change data
	Blocking bool // it may wait until others do something
	Arity    int  // number of arguments with the name; negative = at least so many
	// The keys are the arguments from FirstKey to LastKey (negative = from the end), every Step. FirstKey 0 = there are none, or
	// their places depend on the other arguments.
	FirstKey, LastKey, Step int
	// Movable says that there may be keys in other places.
	Movable bool
}

// CommandFacts returns the facts of all commands of the server by their names in lower case; a subcommand is called "config|get",
// where the server tells them apart (since 7.0). The server is asked once in each of its runs. The errors are ErrAway.
func (db *DB) CommandFacts(ctx context.Context) (map[string]CommandFacts, error) {
	facts := map[string]CommandFacts{}
	err := db.onWire(ctx, func(ctx context.Context, w *wire) error {
		t, err := db.table(ctx, w, "command") // which every server has
		if err != nil {
			return err
		}
		for name, s := range t.byName {
			facts[name] = s.facts()
			for _, sub := range s.sub {
				facts[sub.name] = sub.facts()
			}
		}
		return nil
	})
	return facts, ReadErr("command facts", err)
}

// ServerRun returns what identifies this run of the server: it is another text after a restart, or on another server. It mostly
// takes no round trip. The errors are ErrAway.
func (db *DB) ServerRun(ctx context.Context) (run string, err error) {
	err = db.onWire(ctx, func(ctx context.Context, w *wire) error {
		run, err = w.runOf(ctx)
		return err
	})
	return run, ReadErr("server run", err)
}

// onWire uses a connection to the node for what concerns no key.
func (db *DB) onWire(ctx context.Context, use func(context.Context, *wire) error) error {
	to, err := db.node(ctx, nil)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, ioTimeout)
	defer cancel()
	w, err := db.wire(ctx, to, wireOptions{anyDB: true})
	if err != nil {
		return err
	}
	defer db.wires.put(w)
	return use(ctx, w)
}

func (s *commandSpec) facts() CommandFacts {
	f := CommandFacts{
		NoScript: s.is("noscript"), Write: s.is("write"), Blocking: s.is("blocking") || s.is("@blocking"), Arity: s.arity,
		FirstKey: s.first, LastKey: s.last, Step: s.step, Movable: s.is("movablekeys") || s.unclear,
	}
	if s.channel {
		f.FirstKey, f.LastKey, f.Step = 0, 0, 0
	}
	return f
}
