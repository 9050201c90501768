package audit

import (
	"context"
	"regexp"
	"strconv"
	"strings"
	"time"

	"webadmin/internal/kvdb"
)

const (
	defaultLimit = 100
	maxLimit     = 1000
	readStep     = 500  // records of one round trip
	readMost     = 5000 // records that one List looks at
)

// Filter narrows a list. An empty field matches everything.
type Filter struct {
	Actor   string    // whole
	Verb    string    // whole, or up to a dot: "entry" is "entry.create" too
	Object  string    // any part, whatever its case
	Outcome string    // whole
	CID     string    // whole
	From    time.Time // recorded then or later, to the millisecond
	To      time.Time // recorded then or earlier, to the millisecond
}

// List returns records that match, the newest first. next continues after the last of them, "" = there are no more; it stays
// good while others write. limit is 1 to 1,000, 0 = 100. One call looks at 5,000 records at most: where few match, it
// returns fewer than limit, or none, with a next to go on from.
func (l *Log) List(ctx context.Context, f Filter, cursor string, limit int) (items []Record, next string, err error) {
	switch {
	case limit == 0:
		limit = defaultLimit
	case limit < 0 || limit > maxLimit:
		return nil, "", kvdb.Invalid("limit", "must be 1 to %d", maxLimit)
	}
	newest, oldest := f.bounds()
	if cursor != "" {
		if !cursorForm.MatchString(cursor) {
			return nil, "", kvdb.Invalid("cursor", "is not one that a list gave")
		}
		newest = "(" + cursor
	}
	step := readStep
	if !f.picks() {
		step = limit + 1 // the one more tells whether there is a next page
	}
	items = []Record{}
	for seen := 0; seen < readMost; seen += step {
		page, err := l.db.Client().XRevRangeN(ctx, l.keys.Records(), newest, oldest, int64(step)).Result()
		if err != nil {
			return nil, "", kvdb.ReadErr("audit: list", err)
		}
		for _, m := range page {
			r := recordOf(m)
			if !f.matches(r) {
				continue
			}
			if len(items) == limit {
				return items, items[limit-1].ID, nil
			}
			items = append(items, r)
		}
		if len(page) < step {
			return items, "", nil
		}
		next = page[len(page)-1].ID
		newest = "(" + next
	}
	return items, next, nil
}

// cursorForm is the form of a record's ID.
var cursorForm = regexp.MustCompile(`^[0-9]{1,19}-[0-9]{1,19}$`)

// bounds are the IDs between which records of the filter's time are. An ID without its second part stands for
// the last one of its millisecond above, and for the first one below.
func (f Filter) bounds() (newest, oldest string) {
	newest, oldest = "+", "-"
	if !f.From.IsZero() {
		oldest = strconv.FormatInt(max(0, f.From.UnixMilli()), 10)
	}
	if !f.To.IsZero() {
		newest = strconv.FormatInt(max(0, f.To.UnixMilli()), 10)
	}
	return newest, oldest
}

// picks reports whether the filter looks at more than the time.
func (f Filter) picks() bool {
	f.From, f.To = time.Time{}, time.Time{}
	return f != Filter{}
}

func (f Filter) matches(r Record) bool {
	return (f.Actor == "" || f.Actor == r.Actor) &&
		(f.Verb == "" || f.Verb == r.Verb || strings.HasPrefix(r.Verb, f.Verb+".")) &&
		(f.Outcome == "" || f.Outcome == r.Outcome) &&
		(f.CID == "" || f.CID == r.CID) &&
		(f.Object == "" || strings.Contains(strings.ToLower(r.Object), strings.ToLower(f.Object)))
}

// timeOf is the time in a record's ID; zero when there is none.
func timeOf(id string) time.Time {
	ms, _, _ := strings.Cut(id, "-")
	n, err := strconv.ParseInt(ms, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(n).UTC()
}
