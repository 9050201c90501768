package broker

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
)

const (
	mostSelected = 10_000 // CIDs of one call
	deadAtATime  = 100    // that are changed in one step
)

// Dead lists dead letters, service by service in the order of names, in each the newest first. One that searches for a text may hold few and
// have a Next.
func (s *Store) Dead(ctx context.Context, f DeadFilter, cursor string, limit int) (Page[Invocation], error) {
	page, err := s.list(ctx, f.listing(), cursor, limit)
	return page, kvdb.ReadErr("broker: list dead letters", err)
}

func (f DeadFilter) listing() listing {
	l := listing{service: f.Service, sets: f.sets}
	if !f.Before.IsZero() {
		l.before = f.Before.UnixMicro()
	}
	if f.ErrorContains != "" {
		l.keep = func(i *Invocation) bool { return strings.Contains(i.Error, f.ErrorContains) }
	}
	return l
}

func (f DeadFilter) sets(k kvdb.ServiceKeys) []set {
	if f.Group != "" {
		return []set{{k.DeadGroup(f.Group), 1}}
	}
	return []set{setOf(k, Dead)}
}

// DeadGroups returns the groups of a service ("" = of all), the largest first; of each service at most some hundreds.
func (s *Store) DeadGroups(ctx context.Context, service string) ([]DeadGroup, error) {
	services, err := s.listed(ctx, listing{service: service, sets: DeadFilter{}.sets}, "")
	if err != nil {
		return nil, err
	}
	examples := make([]*redis.MapStringStringCmd, len(services))
	cmds, err := s.db.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		for n, service := range services {
			examples[n] = p.HGetAll(ctx, s.keys.Service(service).Errors()) // at most MOST_GROUPS of common.lua, and "other"
		}
		return nil
	})
	if err := firstErr(cmds, err); err != nil {
		return nil, kvdb.ReadErr("broker: list groups of dead letters", err)
	}
	var all []DeadGroup
	for n, service := range services {
		for print, example := range examples[n].Val() {
			all = append(all, DeadGroup{Service: service, Fingerprint: print, Example: example})
		}
	}
	if len(all) == 0 {
		return nil, nil
	}
	counts, newest := make([]*redis.IntCmd, len(all)), make([]*redis.ZSliceCmd, len(all))
	cmds, err = s.db.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		for n, g := range all {
			key := s.keys.Service(g.Service).DeadGroup(g.Fingerprint)
			counts[n], newest[n] = p.ZCard(ctx, key), p.ZRevRangeWithScores(ctx, key, 0, 0)
		}
		return nil
	})
	if err := firstErr(cmds, err); err != nil {
		return nil, kvdb.ReadErr("broker: list groups of dead letters", err)
	}
	for n := range all {
		all[n].Count = counts[n].Val()
		if z := newest[n].Val(); len(z) > 0 {
			all[n].Newest = time.UnixMicro(int64(z[0].Score)).UTC()
		}
	}
	all = slices.DeleteFunc(all, func(g DeadGroup) bool { return g.Count == 0 })
	slices.SortFunc(all, func(a, b DeadGroup) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), b.Newest.Compare(a.Newest), cmp.Compare(a.Service, b.Service),
			cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	return all, nil
}

// RetryDead puts dead letters back into their queues, those first that died first, with as many attempts again as the policy says, and
// returns how many it did. What dies meanwhile is not among them. With DryRun it counts. When it fails, those that it returns are done.
func (s *Store) RetryDead(ctx context.Context, sel DeadSelect, o DeadOptions) (n int64, err error) {
	return s.changeDead(ctx, sel, o, "retry", func(service string, cids []any) ([]any, error) {
		return s.revive(ctx, service, append([]any{"", "", ""}, cids...))
	})
}

// DeleteDead deletes dead letters as RetryDead retries them.
func (s *Store) DeleteDead(ctx context.Context, sel DeadSelect, o DeadOptions) (n int64, err error) {
	return s.changeDead(ctx, sel, o, "delete", func(service string, cids []any) ([]any, error) {
		return s.run(ctx, buryScript, service, cids...).Slice()
	})
}

// RetryDeadOne puts one dead letter back into its queue, with another payload unless that is nil. Errors: *StateError if it isn't dead;
// kvdb.ErrNotFound, *JSONError, *TooLargeError.
func (s *Store) RetryDeadOne(ctx context.Context, cid string, payload []byte, by string) error {
	if err := s.checkBody("payload", payload); err != nil {
		return err
	}
	service, err := s.ServiceOf(ctx, cid)
	if err != nil {
		return err
	}
	edited := ""
	if payload != nil {
		edited = "1"
	}
	states, err := s.revive(ctx, service, []any{edited, payload, cleanText(by), cid})
	if err != nil {
		return changeErr("retry", cid, err)
	}
	switch was, _ := states[0].(string); was {
	case string(Dead):
		return nil
	case "":
		return fmt.Errorf("broker: invocation %s: %w", cid, kvdb.ErrNotFound)
	default:
		return &StateError{CID: cid, State: State(was)}
	}
}

// revive runs revive.lua; args follow the doorbell.
func (s *Store) revive(ctx context.Context, service string, args []any) ([]any, error) {
	channel, text := s.doorbell(service)
	states, err := s.run(ctx, reviveScript, service, append([]any{channel, text}, args...)...).Slice()
	if err == nil && len(states) == 0 {
		err = fmt.Errorf("broker: a retry answered nothing")
	}
	if err == nil {
		s.bell.ring(service)
	}
	return states, err
}

// changeDead changes the dead letters that were selected, so many of a service at a time; change returns the states in which they were.
func (s *Store) changeDead(ctx context.Context, sel DeadSelect, o DeadOptions, verb string,
	change func(service string, cids []any) ([]any, error)) (done int64, err error) {
	refs, err := s.selected(ctx, sel)
	if err != nil {
		return 0, err
	}
	matched := int64(len(refs))
	if o.DryRun {
		return matched, nil
	}
	size := deadAtATime
	if o.PerSecond > 0 {
		size = min(size, o.PerSecond/10+1)
	}
	for len(refs) > 0 {
		some := refs[:min(size, len(refs))]
		if i := slices.IndexFunc(some, func(r ref) bool { return r.service != some[0].service }); i > 0 {
			some = some[:i]
		}
		refs = refs[len(some):]
		cids := make([]any, len(some))
		for i, r := range some {
			cids[i] = r.cid
		}
		states, err := change(some[0].service, cids)
		if err != nil {
			return done, changeErr(verb, some[0].cid+" and others", err)
		}
		for _, state := range states {
			if state == string(Dead) {
				done++
			}
		}
		if o.Progress != nil {
			o.Progress(done, matched)
		}
		if o.PerSecond > 0 && len(refs) > 0 {
			if err := pause(ctx, time.Duration(len(some))*time.Second/time.Duration(o.PerSecond)); err != nil {
				return done, kvdb.ReadErr("broker: "+verb+" dead letters", err)
			}
		}
	}
	return done, nil
}

// selected returns the dead letters that were chosen, in each service those first that died first.
func (s *Store) selected(ctx context.Context, sel DeadSelect) (refs []ref, err error) {
	if len(sel.CIDs) > 0 {
		return s.chosen(ctx, sel.CIDs)
	}
	if sel.DeadFilter == (DeadFilter{}) {
		return nil, kvdb.Invalid("cids", "name the dead letters, or say by a service, an error or a time which ones")
	}
	l := sel.listing()
	services, err := s.listed(ctx, l, "")
	if err != nil {
		return nil, err
	}
	for _, service := range services {
		start := len(refs)
		for at, more := (place{service: service, at: l.before}), true; more; {
			var some []ref
			if some, more, err = s.newest(ctx, l.sets(s.keys.Service(service)), at, maxLimit); err != nil {
				return nil, kvdb.ReadErr("broker: select dead letters", err)
			}
			if len(some) > 0 {
				at.at, at.cid = some[len(some)-1].at, some[len(some)-1].cid
			}
			if sel.ErrorContains != "" {
				if some, err = s.withError(ctx, some, l.keep); err != nil {
					return nil, kvdb.ReadErr("broker: select dead letters", err)
				}
			}
			refs = append(refs, some...)
		}
		slices.Reverse(refs[start:])
	}
	return refs, nil
}

// withError returns those that the listing keeps.
func (s *Store) withError(ctx context.Context, refs []ref, keep func(i *Invocation) bool) (those []ref, err error) {
	all, at, err := s.read(ctx, refs, 1)
	for n := range all {
		if keep(&all[n]) {
			those = append(those, refs[at[n]])
		}
	}
	return those, err
}

// chosen returns those of the CIDs that are dead letters, each once.
func (s *Store) chosen(ctx context.Context, cids []string) (refs []ref, err error) {
	if len(cids) > mostSelected {
		return nil, kvdb.Invalid("cids", "are %d; at most %d are taken at a time", len(cids), mostSelected)
	}
	cids = slices.Compact(slices.Sorted(slices.Values(cids)))
	services := make([]string, len(cids))
	for n, cid := range cids {
		if services[n], err = s.ServiceOf(ctx, cid); err != nil && !isNotFound(err) {
			return nil, err
		}
	}
	scores := make([]*redis.FloatCmd, len(cids))
	cmds, err := s.db.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		for n, service := range services {
			if service != "" {
				scores[n] = p.ZScore(ctx, setOf(s.keys.Service(service), Dead).key, cids[n])
			}
		}
		return nil
	})
	if err := firstErr(cmds, err); err != nil {
		return nil, kvdb.ReadErr("broker: select dead letters", err)
	}
	for n, score := range scores {
		if score != nil && score.Err() == nil {
			refs = append(refs, ref{services[n], cids[n], int64(score.Val())})
		}
	}
	slices.SortFunc(refs, func(a, b ref) int {
		return cmp.Or(cmp.Compare(a.service, b.service), cmp.Compare(a.at, b.at), cmp.Compare(a.cid, b.cid))
	})
	return refs, nil
}
