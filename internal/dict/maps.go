package dict

import (
	"context"
	"maps"
	"slices"
	"strings"

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
	const together = 512 // fields of one HSET: short enough not to hold others up
	fields := map[string][]any{}
	started := map[string]bool{}
	pipe := t.s.db.Client().Pipeline()
	pending := 0
	flush := func(least int) error {
		for name, args := range fields {
			if len(args) < least || len(args) == 0 {
				continue
			}
			key := t.stagedMap(name)
			pipe.HSet(ctx, key, args...)
			if !started[name] {
				started[name] = true
				pipe.Expire(ctx, key, stagedKept)
			}
			pending -= len(args)
			fields[name] = args[:0]
		}
		if pipe.Len() == 0 {
			return nil
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return notDone(kvdb.WriteErr("prepare the change", err))
		}
		return nil
	}
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
		args := fields[string(name)]
		if args == nil {
			args = make([]any, 0, 2*together)
		}
		fields[string(name)] = append(args, string(value1Of(source)), string(value2))
		pending += 2
		if len(args)+2 >= 2*together {
			if err := flush(2 * together); err != nil {
				return err
			}
		} else if pending >= 64*together {
			if err := flush(0); err != nil {
				return err
			}
		}
	}
	if err := flush(0); err != nil {
		return err
	}
	return t.renew(ctx)
}

// stageInline moves what was to go with the script out of it.
func (t *tx) stageInline(ctx context.Context) error {
	if t.staging != nil {
		return t.flush(ctx)
	}
	return t.stage(ctx)
}
