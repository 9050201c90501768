package kvdb

import (
	"context"
	"slices"
	"strconv"
	"strings"
)

// This file has the pages of sets and hashes, whose elements come in no order.

// names reads a part of a set or a hash. A small one comes whole; where it is more than a page, the pages are parts of it by name.
func (r *valueReader) names(ctx context.Context, limit int) error {
	to, err := r.db.node(ctx, []string{r.q.Key})
	if err != nil {
		return err
	}
	run, err := r.db.runAt(ctx, to)
	if err != nil {
		return err
	}
	if r.run != run { // its cursor means nothing to this server
		r.scan, r.ended, r.run = 0, false, run
	}
	carried, waiting := r.carry[:min(limit, len(r.carry))], r.carry[min(limit, len(r.carry)):]
	room := limit - len(carried)
	count := room
	if r.ended {
		count = 0
	}
	for range 20 {
		kept, batch, next, err := r.scanned(ctx, carried, count)
		if err != nil {
			return err
		}
		if count == 0 {
			r.v.Elements, r.carry = kept, waiting
			break
		}
		if r.scan == 0 && next == 0 && len(carried) == 0 && (r.sort || len(batch) > room) && shortNames(batch) {
			r.sorted(batch, limit)
			return nil
		}
		r.sort, r.after = false, ""
		rest := batch[min(room, len(batch)):]
		if names := namesOf(rest); fitsCursor(names) {
			batch, r.carry = batch[:len(batch)-len(rest)], append(slices.Clone(waiting), names...)
		} else if count > 1 {
			count /= 2
			continue
		}
		r.v.Elements, r.scan, r.ended = append(kept, batch...), next, next == 0
		if len(r.v.Elements) > 0 || r.ended {
			break
		}
	}
	if !r.ended || len(r.carry) > 0 {
		r.v.Next = r.next()
	}
	return nil
}

// scanned returns what there is now of the carried names, and what the server gives from its cursor on; count 0 = nothing.
func (r *valueReader) scanned(ctx context.Context, carried []string, count int) (kept, batch []Element, next uint64, err error) {
	scan, get := "HSCAN", "HMGET"
	if r.v.Type == "set" {
		scan, get = "SSCAN", "SMISMEMBER"
	}
	var commands [][]string
	if len(carried) > 0 {
		commands = append(commands, append([]string{get, r.q.Key}, carried...))
	}
	if count > 0 {
		commands = append(commands, []string{scan, r.q.Key, strconv.FormatUint(r.scan, 10), "COUNT", strconv.Itoa(count)})
	}
	replies, err := r.ask(ctx, commands...)
	if err != nil {
		return nil, nil, 0, err
	}
	given := map[string]bool{}
	if len(carried) > 0 {
		if len(replies[0].Items) != len(carried) {
			return nil, nil, 0, errNotRedis
		}
		for i, item := range replies[0].Items {
			given[carried[i]] = true
			e := Element{Name: Part{carried[i], int64(len(carried[i]))}}
			if r.v.Type == "hash" {
				e.Value = partOf(item)
			}
			if item.Kind != KindNil && (r.v.Type == "hash" || item.Text == "1") {
				kept = append(kept, e)
			}
		}
	}
	if count == 0 {
		return kept, nil, 0, nil
	}
	reply := replies[len(replies)-1].Items
	if len(reply) != 2 {
		return nil, nil, 0, errNotRedis
	}
	if next, err = strconv.ParseUint(reply[0].Text, 10, 64); err != nil {
		return nil, nil, 0, errNotRedis
	}
	step := 1
	if r.v.Type == "hash" {
		step = 2
	}
	for pair := range slices.Chunk(reply[1].Items, step) {
		e := Element{Name: partOf(pair[0])}
		if step == 2 {
			e.Value = partOf(pair[len(pair)-1])
		}
		if e.Name.Cut() || !given[e.Name.Text] {
			batch = append(batch, e)
		}
		given[e.Name.Text] = true
	}
	return kept, batch, next, nil
}

// sorted makes a page of a collection that came whole.
func (r *valueReader) sorted(all []Element, limit int) {
	slices.SortFunc(all, func(a, b Element) int { return strings.Compare(a.Name.Text, b.Name.Text) })
	if r.sort {
		all = all[countFunc(all, func(e Element) bool { return e.Name.Text <= r.after }):]
	}
	r.v.Elements = all[:min(limit, len(all))]
	if len(all) > limit {
		r.sort, r.after, r.scan = true, r.v.Elements[limit-1].Name.Text, 0
		r.v.Next = r.next()
	}
}

// countFunc counts the elements from the beginning for which it is so.
func countFunc[T any](list []T, is func(T) bool) int {
	if i := slices.IndexFunc(list, func(v T) bool { return !is(v) }); i >= 0 {
		return i
	}
	return len(list)
}

func namesOf(list []Element) []string {
	names := make([]string, len(list))
	for i, e := range list {
		names[i] = e.Name.Text
		if e.Name.Cut() {
			names[i] = strings.Repeat(" ", maxCarry+1) // which fits in no cursor
		}
	}
	return names
}

func shortNames(list []Element) bool {
	return !slices.ContainsFunc(list, func(e Element) bool { return e.Name.Size > maxCarry/2 })
}
