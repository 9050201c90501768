package dict

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
)

// appendPair names the pair of a row as the keys of Redis do.
func appendPair(b, source, names2 []byte) []byte {
	b, _ = appendName(b, source)
	b, _ = appendName(append(b, '/'), names2)
	return b
}

// appendName appends system/key, and returns what follows the two.
func appendName(b, k []byte) (name, rest []byte) {
	system, rest, _ := cutField(k)
	ofKey, rest, _ := cutField(rest)
	return append(append(append(b, system...), '/'), ofKey...), rest
}

func value1Of(source []byte) []byte {
	v := skipFields(source, 2)
	return v[:len(v)-1]
}

// maps decides which maps the script writes field by field, and stages the others as a whole.
func (t *tx) maps(ctx context.Context) error {
	p := t.plan
	t.pairs = make(map[string]*pairChange)
	var name []byte
	for _, e := range p.effects {
		r := p.rows.row(int(e.row))
		name = appendPair(name[:0], r.source(), r.names2())
		pc := t.pairs[string(name)]
		if pc == nil {
			pc = &pairChange{}
			t.pairs[string(name)] = pc
		}
		pc.writes++
		switch {
		case e.before == noRef:
			pc.delta++
		case r.remove():
			pc.delta--
		}
	}
	if len(p.effects) <= directMost {
		return nil
	}
	most := slices.SortedFunc(maps.Keys(t.pairs), func(a, b string) int { return t.pairs[b].writes - t.pairs[a].writes })
	direct := len(p.effects)
	sources := map[string]bool{} // system1 key1 of the maps to stage
	for _, name := range most {
		if direct <= directMost {
			break
		}
		direct -= t.pairs[name].writes
		t.pairs[name].staged = true
		f := strings.Split(name, "/")
		sources[string(key(f[0], f[1]))] = true
	}
	if !t.leased {
		if err := t.acquire(ctx); err != nil {
			return err
		}
	}
	var spans []span
	for _, source := range slices.Sorted(maps.Keys(sources)) {
		spans = append(spans, prefixSpan([]byte(source)))
	}
	return t.stageMaps(ctx, spans)
}

// stageMaps writes the maps that the change touches most, whole, from the new run, of which they are the spans.
func (t *tx) stageMaps(ctx context.Context, spans []span) error {
	if err := t.stageInline(ctx); err != nil {
		return err
	}
	w := &mapWriter{tx: t, pipe: t.s.db.Client().Pipeline(), fields: map[string][]any{}, started: map[string]bool{}}
	var name []byte
	n, total := int64(0), int64(0)
	for _, sp := range spans {
		total += t.after[runSource].most(sp)
	}
	for r, err := range t.s.scan(ctx, t.after[runSource], spans, false) {
		if err != nil {
			return err
		}
		if n++; n%20_000 == 0 {
			if err := t.renew(ctx); err != nil {
				return err
			}
			t.plan.progress("writing", n, total)
		}
		names2 := skipFields(r.key, 3)
		source := r.key[:len(r.key)-len(names2)]
		name = appendPair(name[:0], source, names2)
		if pc := t.pairs[string(name)]; pc == nil || !pc.staged {
			continue
		}
		value2, _, ok := cutField(r.payload)
		if !ok {
			return errBlock
		}
		if err := w.add(ctx, name, string(value1Of(source)), string(value2)); err != nil {
			return err
		}
	}
	if err := w.flush(ctx, 0); err != nil {
		return err
	}
	return t.renew(ctx)
}

// mapWriter writes fields of staged maps, many at a time.
type mapWriter struct {
	tx      *tx
	pipe    redis.Pipeliner
	fields  map[string][]any // what waits, by map: fields and values in turn
	started map[string]bool  // maps that are there
	waiting int              // fields and values of all maps
}

// fieldsTogether is how many fields one HSET writes: few enough not to hold others up.
const fieldsTogether = 512

func (w *mapWriter) add(ctx context.Context, name []byte, field, value string) error {
	args := w.fields[string(name)]
	if args == nil {
		args = make([]any, 0, 2*fieldsTogether)
	}
	args = append(args, field, value)
	w.fields[string(name)] = args
	w.waiting += 2
	switch {
	case len(args) >= 2*fieldsTogether:
		return w.flush(ctx, len(args))
	case w.waiting >= 64*fieldsTogether:
		return w.flush(ctx, 0)
	}
	return nil
}

// flush writes the maps of which at least so much waits.
func (w *mapWriter) flush(ctx context.Context, least int) error {
	for name, args := range w.fields {
		if len(args) < least || len(args) == 0 {
			continue
		}
		key := w.tx.stagedMap(name)
		w.pipe.HSet(ctx, key, args...)
		if !w.started[name] {
			w.started[name] = true
			w.pipe.Expire(ctx, key, stagedKept)
		}
		w.waiting -= len(args)
		w.fields[name] = args[:0]
	}
	if w.pipe.Len() == 0 {
		return nil
	}
	if _, err := w.pipe.Exec(ctx); err != nil {
		return notDone(kvdb.WriteErr("prepare the change", err))
	}
	return nil
}

// stageInline moves what was to go with the script out of it.
func (t *tx) stageInline(ctx context.Context) error {
	if t.staging != nil {
		return t.flush(ctx)
	}
	return t.stage(ctx)
}
