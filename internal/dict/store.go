package dict

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"webadmin/internal/kvdb"
)

// Store keeps the dictionaries in Redis. It is safe for concurrent use, also by several processes.
type Store struct {
	db      *kvdb.DB
	keys    kvdb.DictKeys
	now     func() time.Time
	logger  *slog.Logger
	current atomic.Pointer[snapshot]
	loading sync.Mutex
	writing chan struct{} // holds one token: who has it commits
	cache   blockCache
	lookups *lookups
	misses  *missCounter
	uses    *useCounter
	work    background
}

// Options of a Store.
type Options struct {
	Now    func() time.Time // nil = time.Now
	Logger *slog.Logger     // nil = none
}

// New returns the dictionaries that db holds. It doesn't wait for the server.
func New(db *kvdb.DB, o Options) *Store {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{db: db, keys: db.Keys().Dict(), now: o.Now, logger: o.Logger, lookups: newLookups(db.Client()), writing: make(chan struct{}, 1), misses: newMissCounter(), uses: newUseCounter()}
	s.work.init()
	return s
}

// retryGone reads again when the snapshot was so old that its blocks were gone: once is enough, because a
// new one lasts for blockKept.
func (s *Store) retryGone(ctx context.Context, read func(sn *snapshot) error) error {
	for try := 0; ; try++ {
		sn, err := s.snapshot(ctx)
		if err != nil {
			return err
		}
		if err = read(sn); !errors.Is(err, errGone) || try > 0 {
			return err
		}
		s.current.CompareAndSwap(sn, nil)
	}
}

// entryAt returns the entry with a key; nil = there is none.
func (s *Store) entryAt(ctx context.Context, sn *snapshot, key []byte) (*Entry, error) {
	r, ok, err := s.find(ctx, sn.runs[runEntry], key)
	if err != nil || !ok {
		return nil, err
	}
	e, err := parseEntry(r)
	return &e, err
}

// translationAt returns the translation with a key; nil = there is none.
func (s *Store) translationAt(ctx context.Context, sn *snapshot, key []byte) (*Translation, error) {
	r, ok, err := s.find(ctx, sn.runs[runSource], key)
	if err != nil || !ok {
		return nil, err
	}
	t, err := parseSource(r)
	return &t, err
}

// byID follows an ID to its record: through the run of IDs to the key, and from there to run.
func (s *Store) byID(ctx context.Context, sn *snapshot, ids, run int, id string) (record, error) {
	at, ok, err := s.find(ctx, sn.runs[ids], []byte(id))
	if err != nil {
		return record{}, err
	}
	if !ok {
		return record{}, fmt.Errorf("%q: %w", id, kvdb.ErrNotFound)
	}
	r, ok, err := s.find(ctx, sn.runs[run], at.payload)
	if err == nil && !ok {
		err = fmt.Errorf("%w: ID %q leads nowhere", errBlock, id)
	}
	return r, err
}

func (s *Store) entryByID(ctx context.Context, sn *snapshot, id string) (Entry, error) {
	r, err := s.byID(ctx, sn, runEntryID, runEntry, id)
	if err != nil {
		return Entry{}, err
	}
	return parseEntry(r)
}

func (s *Store) translationByID(ctx context.Context, sn *snapshot, id string) (Translation, error) {
	r, err := s.byID(ctx, sn, runTranslation, runSource, id)
	if err != nil {
		return Translation{}, err
	}
	return parseSource(r)
}

// Entry returns an entry. ErrNotFound.
func (s *Store) Entry(ctx context.Context, id string) (e Entry, err error) {
	err = s.retryGone(ctx, func(sn *snapshot) error {
		e, err = s.entryByID(ctx, sn, id)
		return err
	})
	return e, err
}

// Translation returns a translation. ErrNotFound.
func (s *Store) Translation(ctx context.Context, id string) (t Translation, err error) {
	err = s.retryGone(ctx, func(sn *snapshot) error {
		t, err = s.translationByID(ctx, sn, id)
		return err
	})
	return t, err
}

// CreateEntry adds an entry. ID and Version are given by the store. InvalidError; ExistsError.
func (s *Store) CreateEntry(ctx context.Context, by By, e Entry) (Entry, Change, error) {
	if err := e.Check(); err != nil {
		return Entry{}, Change{}, err
	}
	e.ID = ""
	c, err := s.apply(ctx, by, func(ctx context.Context, sn *snapshot) (*plan, error) {
		if err := s.entryIsFree(ctx, sn, e); err != nil {
			return nil, err
		}
		p := &plan{kind: KindEdit, summary: "Created entry " + e.describe()}
		p.entries.addEntry(e)
		return p, nil
	})
	if err != nil {
		return Entry{}, Change{}, err
	}
	made, err := c.entryMade(e)
	return made, c, err
}

func (s *Store) entryIsFree(ctx context.Context, sn *snapshot, e Entry) error {
	have, err := s.entryAt(ctx, sn, e.entryKey())
	if err != nil || have == nil {
		return err
	}
	return &ExistsError{ID: have.ID, What: "The entry " + e.describe()}
}

// UpdateEntry renames the entry with e.ID, and with it each translation that it is part of; translations
// keep their IDs. An entry that is so already is left alone, and the Change has no ID. InvalidError;
// ErrNotFound; StaleError when e.Version isn't its version; ExistsError.
func (s *Store) UpdateEntry(ctx context.Context, by By, e Entry) (Entry, Change, error) {
	if err := e.Check(); err != nil {
		return Entry{}, Change{}, err
	}
	var old Entry
	c, err := s.apply(ctx, by, func(ctx context.Context, sn *snapshot) (*plan, error) {
		var err error
		if old, err = s.entryByID(ctx, sn, e.ID); err != nil {
			return nil, err
		}
		if old.Version != e.Version {
			return nil, &StaleError{Entry: &old}
		}
		if string(old.entryKey()) == string(e.entryKey()) {
			return nil, nil
		}
		if err := s.entryIsFree(ctx, sn, e); err != nil {
			return nil, err
		}
		p := &plan{kind: KindEdit, summary: fmt.Sprintf("Renamed entry %s to %s", old.describe(), e.describe())}
		p.entries.removeEntry(old)
		p.entries.addEntry(e)
		return p, s.eachUse(ctx, sn, old, func(t Translation) {
			p.rows.move(t, renamed(t, old, e))
		})
	})
	if err != nil {
		return Entry{}, Change{}, err
	}
	if c.ID == "" {
		return old, c, nil
	}
	s.answered(c)
	made, err := c.entryMade(e)
	return made, c, err
}

// renamed is t with the entry from replaced by the entry to, at either end.
func renamed(t Translation, from, to Entry) Translation {
	if t.System1 == from.System && t.Key1 == from.Key && t.Value1 == from.Value {
		t.System1, t.Key1, t.Value1 = to.System, to.Key, to.Value
	}
	if t.System2 == from.System && t.Key2 == from.Key && t.Value2 == from.Value {
		t.System2, t.Key2, t.Value2 = to.System, to.Key, to.Value
	}
	return t
}

// eachUse calls f with each translation that the entry is part of, once.
func (s *Store) eachUse(ctx context.Context, sn *snapshot, e Entry, f func(Translation)) error {
	spans := []span{prefixSpan(e.entryKey())}
	for r, err := range s.scan(ctx, sn.runs[runSource], spans, false) {
		if err != nil {
			return err
		}
		t, err := parseSource(r)
		if err != nil {
			return err
		}
		f(t)
	}
	for r, err := range s.scan(ctx, sn.runs[runTarget], spans, false) {
		if err != nil {
			return err
		}
		t, err := parseTarget(r)
		if err != nil {
			return err
		}
		if string(key(t.System1, t.Key1, t.Value1)) != string(e.entryKey()) { // else it was among the first
			f(t)
		}
	}
	return nil
}

// DeleteEntry deletes an entry with all translations that it is part of. version 0 = whatever it is.
// ErrNotFound; StaleError.
func (s *Store) DeleteEntry(ctx context.Context, by By, id string, version int64) (Change, error) {
	c, err := s.apply(ctx, by, func(ctx context.Context, sn *snapshot) (*plan, error) {
		e, err := s.entryByID(ctx, sn, id)
		if err != nil {
			return nil, err
		}
		if version != 0 && e.Version != version {
			return nil, &StaleError{Entry: &e}
		}
		p := &plan{kind: KindEdit, summary: "Deleted entry " + e.describe()}
		p.entries.removeEntry(e)
		return p, s.eachUse(ctx, sn, e, p.rows.removeTranslation)
	})
	if err == nil && !c.removes("e"+id) {
		return Change{}, errOtherOp
	}
	return c, err
}

// CreateTranslation adds a translation. ID and Version are given by the store. Ends that are no entries
// become entries if createEntries is set, else they are a MissingEntriesError. InvalidError; ExistsError.
func (s *Store) CreateTranslation(ctx context.Context, by By, t Translation, createEntries bool) (Translation, Change, error) {
	if err := t.Check(); err != nil {
		return Translation{}, Change{}, err
	}
	t.ID = ""
	c, err := s.apply(ctx, by, func(ctx context.Context, sn *snapshot) (*plan, error) {
		if err := s.translationIsFree(ctx, sn, t); err != nil {
			return nil, err
		}
		p := &plan{kind: KindEdit, strict: !createEntries, summary: fmt.Sprintf("Created translation %s: %q", t.describe(), t.Value2)}
		p.rows.addTranslation(t)
		return p, nil
	})
	if err != nil {
		return Translation{}, Change{}, err
	}
	s.answered(c)
	made, err := c.translationMade(t)
	return made, c, err
}

func (s *Store) translationIsFree(ctx context.Context, sn *snapshot, t Translation) error {
	have, err := s.translationAt(ctx, sn, t.sourceKey())
	if err != nil || have == nil || have.ID == t.ID {
		return err
	}
	return &ExistsError{ID: have.ID, What: "A translation of " + t.describe()}
}

// UpdateTranslation changes the translation with t.ID; a new natural key moves it. One that is so already
// is left alone, and the Change has no ID. InvalidError; ErrNotFound; StaleError; ExistsError;
// MissingEntriesError as CreateTranslation, but correcting Value2 alone creates the entry that it needs.
func (s *Store) UpdateTranslation(ctx context.Context, by By, t Translation, createEntries bool) (Translation, Change, error) {
	if err := t.Check(); err != nil {
		return Translation{}, Change{}, err
	}
	var old Translation
	c, err := s.apply(ctx, by, func(ctx context.Context, sn *snapshot) (*plan, error) {
		var err error
		if old, err = s.translationByID(ctx, sn, t.ID); err != nil {
			return nil, err
		}
		if old.Version != t.Version {
			return nil, &StaleError{Translation: &old}
		}
		if err := s.translationIsFree(ctx, sn, t); err != nil {
			return nil, err
		}
		moved := old.Query() != t.Query()
		p := &plan{kind: KindEdit, strict: !createEntries && moved}
		p.rows.move(old, t)
		if moved {
			p.summary = fmt.Sprintf("Moved translation %s to %s: %q", old.describe(), t.describe(), t.Value2)
		} else {
			p.summary = fmt.Sprintf("Changed translation %s from %q to %q", t.describe(), old.Value2, t.Value2)
		}
		return p, nil
	})
	if err != nil {
		return Translation{}, Change{}, err
	}
	if c.ID == "" {
		return old, c, nil
	}
	s.answered(c)
	made, err := c.translationMade(t)
	return made, c, err
}

// DeleteTranslation deletes a translation; its entries stay. version 0 = whatever it is. ErrNotFound; StaleError.
func (s *Store) DeleteTranslation(ctx context.Context, by By, id string, version int64) (Change, error) {
	c, err := s.apply(ctx, by, func(ctx context.Context, sn *snapshot) (*plan, error) {
		t, err := s.translationByID(ctx, sn, id)
		if err != nil {
			return nil, err
		}
		if version != 0 && t.Version != version {
			return nil, &StaleError{Translation: &t}
		}
		p := &plan{kind: KindEdit, summary: fmt.Sprintf("Deleted translation %s: %q", t.describe(), t.Value2)}
		p.rows.removeTranslation(t)
		return p, nil
	})
	if err == nil && !c.removes("t"+id) {
		return Change{}, errOtherOp
	}
	return c, err
}

// errOtherOp says that an operation token came again with another change.
var errOtherOp = &conflictError{"this operation was used for another change already; nothing was changed"}

// entryMade is the entry as the change left it.
func (c Change) entryMade(e Entry) (Entry, error) {
	for _, i := range c.Items {
		if a := i.EntryAfter; a != nil && string(a.entryKey()) == string(e.entryKey()) {
			return *a, nil
		}
	}
	if !c.Large || c.Kind != KindEdit || e.ID == "" {
		return Entry{}, errOtherOp
	}
	e.Version = c.version()
	return e, nil
}

// removes says whether the change took out what has the ID, in the form of Item.goneID. Of a large one
// only the kind is known.
func (c Change) removes(id string) bool {
	if c.Large {
		return c.Kind == KindEdit
	}
	return slices.ContainsFunc(c.Items, func(i Item) bool { return i.goneID() == id })
}

// translationMade is the translation as the change left it.
func (c Change) translationMade(t Translation) (Translation, error) {
	for _, i := range c.Items {
		if a := i.TranslationAfter; a != nil && string(a.sourceKey()) == string(t.sourceKey()) && a.Value2 == t.Value2 {
			return *a, nil
		}
	}
	return Translation{}, errOtherOp
}
