package kvdb

import (
	"context"
	"fmt"
	"slices"
	"strconv"
)

// valueReader reads a page.
type valueReader struct {
	db *DB
	q  ValueQuery
	o  together

	// Where the page begins, from the cursor.
	kind  string   // of the page before; "" = this is the first
	at    int64    // index, rank or offset
	after string   // ID of a stream entry, or a name
	scan  uint64   // cursor of the server
	run   string   // of the server which gave it
	ended bool     // it has given all
	sort  bool     // it gives all at once: the pages are by name, and after is the last one
	carry []string // names that were met, and wait for this page

	v Value
}

func (r *valueReader) sum() uint32 { return filterSum("value", r.q.Key) }

func (r *valueReader) resume() error {
	if r.q.Cursor == "" {
		return nil
	}
	c := readCursor(r.q.Cursor, r.sum())
	r.kind, r.at, r.after, r.scan, r.run = c.text(), int64(c.number()&(1<<62-1)), c.text(), c.number(), c.text()
	flags := c.number()
	r.sort, r.ended = flags&1 != 0, flags&2 != 0
	r.carry = c.texts()
	return c.done()
}

func (r *valueReader) next() string {
	c := newCursor(r.sum())
	c.text(r.v.Type)
	c.number(uint64(r.at))
	c.text(r.after)
	c.number(r.scan)
	c.text(r.run)
	flags := uint64(0)
	if r.sort {
		flags = 1
	}
	if r.ended {
		flags |= 2
	}
	c.number(flags)
	c.texts(r.carry)
	return c.String()
}

func (r *valueReader) changed(now string) error {
	return &KeyChangedError{Key: r.q.Key, Type: now,
		words: fmt.Sprintf("the key %s was a %s when you began to read it, and is %s now: read it from the beginning", Shown(r.q.Key), r.kind, now)}
}

// lengths are the commands that say how long a value of each type is.
var lengths = map[string]string{"string": "STRLEN", "list": "LLEN", "set": "SCARD", "zset": "ZCARD", "hash": "HLEN", "stream": "XLEN"}

func (r *valueReader) read(ctx context.Context) (Value, error) {
	key := r.q.Key
	about, err := r.db.onNodeOf(ctx, key, r.o, append(describing(key), []string{"OBJECT", "ENCODING", key})...)
	if err != nil {
		return Value{}, err
	}
	if r.v.Key, err = r.db.described(key, about); err != nil {
		return Value{}, err
	}
	switch kind := r.v.Type; {
	case kind == "":
		return Value{}, about[0].failure()
	case kind == "none":
		return Value{}, fmt.Errorf("key: %w", ErrNotFound)
	case r.kind != "" && kind != r.kind:
		return Value{}, r.changed(kind)
	}
	if e := about[3]; e.reply.Kind == KindBulk {
		r.v.Encoding = e.reply.Text
	}
	length := lengths[r.v.Type]
	if length == "" {
		return r.v, nil
	}
	limit, err := r.limit(ctx, length)
	if err != nil {
		return Value{}, err
	}
	switch r.v.Type {
	case "string":
		err = r.text(ctx)
	case "list":
		err = r.positions(ctx, limit, "LRANGE")
	case "zset":
		err = r.positions(ctx, limit, "ZRANGE", "WITHSCORES")
	case "stream":
		err = r.entries(ctx, limit)
	default:
		err = r.names(ctx, limit)
	}
	return r.v, err
}

// limit is how many elements the page may have: fewer where they are so large that it would be a burden.
func (r *valueReader) limit(ctx context.Context, length string) (int, error) {
	if r.v.Type == "string" || r.v.Size < bigValue {
		return r.q.Limit, nil
	}
	all, err := r.db.onNodeOf(ctx, r.q.Key, r.o, []string{length, r.q.Key})
	if err != nil {
		return 0, err
	}
	n, _ := strconv.ParseInt(all[0].reply.Text, 10, 64)
	each := r.v.Size / max(1, n)
	return int(min(int64(r.q.Limit), max(1, pageBytes/max(1, each)))), all[0].failure()
}

// ask reads the length of the value, and what else is asked for.
func (r *valueReader) ask(ctx context.Context, commands ...[]string) ([]Reply, error) {
	all, err := r.db.onNodeOf(ctx, r.q.Key, r.o, append([][]string{{lengths[r.v.Type], r.q.Key}}, commands...)...)
	if err != nil {
		return nil, err
	}
	if err := firstError(all); err != nil {
		return nil, err
	}
	r.v.Length, _ = strconv.ParseInt(all[0].reply.Text, 10, 64)
	replies := make([]Reply, len(commands))
	for i := range commands {
		if all[i+1].cut {
			return nil, errTooMuch
		}
		replies[i] = all[i+1].reply
	}
	return replies, nil
}

// text reads a part of a string. It ends with a whole character where it is text.
func (r *valueReader) text(ctx context.Context) error {
	replies, err := r.ask(ctx, []string{"GETRANGE", r.q.Key, number(r.at), number(r.at + StringPage - 1)})
	if err != nil {
		return err
	}
	text := replies[0].Text
	if r.at+int64(len(text)) < r.v.Length {
		text = string(wholeRunes([]byte(text)))
	}
	r.v.Text, r.v.Offset = text, r.at
	if r.at += int64(len(text)); r.at < r.v.Length && text != "" {
		r.v.Next = r.next()
	}
	return nil
}

// positions reads a part of a list or a sorted set.
func (r *valueReader) positions(ctx context.Context, limit int, command string, more ...string) error {
	args := append([]string{command, r.q.Key, number(r.at), number(r.at + int64(limit) - 1)}, more...)
	replies, err := r.ask(ctx, args)
	if err != nil {
		return err
	}
	for _, item := range replies[0].Items {
		e := Element{Index: r.at}
		if command == "LRANGE" {
			e.Value = partOf(item)
		} else {
			if len(item.Items) != 2 {
				return errNotRedis
			}
			e.Name, e.Score = partOf(item.Items[0]), item.Items[1].Text
		}
		r.v.Elements = append(r.v.Elements, e)
		r.at++
	}
	if r.at < r.v.Length && len(replies[0].Items) > 0 {
		r.v.Next = r.next()
	}
	return nil
}

// entries reads a part of a stream.
func (r *valueReader) entries(ctx context.Context, limit int) error {
	from := "-"
	if r.after != "" {
		from = "(" + r.after
	}
	replies, err := r.ask(ctx, []string{"XRANGE", r.q.Key, from, "+", "COUNT", strconv.Itoa(limit + 1)})
	if err != nil {
		return err
	}
	items := replies[0].Items
	for i, item := range items {
		if i == limit {
			r.v.Next = r.next()
			break
		}
		if len(item.Items) != 2 {
			return errNotRedis
		}
		e := Element{ID: item.Items[0].Text}
		for pair := range slices.Chunk(item.Items[1].Items, 2) {
			e.Fields = append(e.Fields, Pair{partOf(pair[0]), partOf(pair[len(pair)-1])})
		}
		r.v.Elements = append(r.v.Elements, e)
		r.after = e.ID
	}
	return nil
}
