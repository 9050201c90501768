package dict

import (
	"context"
	"fmt"
	"io"
	"path"
	"strings"

	"webadmin/internal/kvdb"
)

const sampleMost = 50 // items that a dry run shows

// GuessFormat tells the format of a file by its name and its first bytes; "" = by neither.
func GuessFormat(name string, start []byte) Format {
	name = strings.ToLower(path.Base(name))
	switch {
	case strings.HasSuffix(name, ".csv"):
		return CSV
	case strings.HasSuffix(name, ".bz2"), strings.HasPrefix(string(start), "BZh"):
		return Zato
	}
	text := strings.TrimLeft(strings.TrimPrefix(string(start), "\ufeff"), " \t\r\n")
	switch {
	case strings.HasPrefix(text, csvHeader[:len("system1")]):
		return CSV
	case !strings.HasPrefix(text, "{"):
		return ""
	}
	first := strings.TrimLeft(text[1:], " \t\r\n")
	if strings.HasPrefix(first, `"meta"`) || strings.HasPrefix(first, `"data"`) {
		return Zato
	}
	return JSON
}

// Import reads a file and makes the dictionaries hold what it says: all of it or, after an error, nothing.
//
// With rows that can't be imported it is a RejectedError, unless o.SkipRejected leaves them out; a file that
// can't be read to its end is a FileError. With o.DryRun nothing is written and rejected rows are no
// error. The counts are those of the file against what was there. Merging keeps what the file doesn't name;
// of a translation that it names twice the first row holds, and the others are rejected.
func (s *Store) Import(ctx context.Context, by By, r io.Reader, o ImportOptions) (ImportResult, error) {
	if o.Mode != Merge && o.Mode != Replace {
		return ImportResult{}, kvdb.Invalid("mode", "is %q; merge and replace are known", string(o.Mode))
	}
	progress := func(stage string, done, total int64) {
		if o.Progress != nil {
			o.Progress(Progress{stage, done, total})
		}
	}
	rd := &reading{tick: func(rows int64) { progress("reading", rows, 0) }}
	if err := rd.read(ctx, r, o.Format); err != nil {
		return ImportResult{}, err
	}
	p := rd.plan
	p.kind, p.replace, p.tick = KindImport, o.Mode == Replace, progress
	p.summary = importSummary(o)
	if o.DryRun || rd.rejected > 0 && !o.SkipRejected {
		res, err := s.dryRun(ctx, p)
		if err != nil {
			return res, err
		}
		res.Rejected, res.RejectedTotal = rd.rejects, rd.rejected
		if !o.DryRun {
			return res, &RejectedError{res}
		}
		return res, nil
	}
	c, err := s.apply(ctx, by, func(context.Context, *snapshot) (*plan, error) { return p, nil })
	if err == nil && c.ID != "" && c.Kind != KindImport {
		err = errOtherOp
	}
	if err != nil {
		return ImportResult{}, err
	}
	s.answered(c)
	res := p.result()
	if c.ID != "" { // also of an import that was made before and is repeated
		res.Created, res.Updated, res.Deleted = c.Counts.Created, c.Counts.Updated, c.Counts.Deleted
		res.EntriesCreated, res.EntriesDeleted = c.Counts.EntriesCreated, c.Counts.EntriesDeleted
	}
	res.Change, res.Rejected, res.RejectedTotal = c.ID, rd.rejects, rd.rejected
	return res, nil
}

func importSummary(o ImportOptions) string {
	name := o.Name
	if name == "" {
		name = "a " + string(o.Format) + " file"
	}
	if o.Mode == Replace {
		return fmt.Sprintf("Replaced everything by %s", name)
	}
	return fmt.Sprintf("Imported %s", name)
}

func (p *plan) result() ImportResult {
	return ImportResult{Created: p.counts.Created, Updated: p.counts.Updated, Unchanged: p.unchanged,
		Deleted: p.counts.Deleted, EntriesCreated: p.counts.EntriesCreated, EntriesDeleted: p.counts.EntriesDeleted}
}

// dryRun compares a plan with what is there.
func (s *Store) dryRun(ctx context.Context, p *plan) (res ImportResult, err error) {
	err = s.retryGone(ctx, func(sn *snapshot) error {
		p.reset()
		if err := p.compare(ctx, s, sn); err != nil {
			return err
		}
		p.sortTargets()
		if err := p.compareEntries(ctx, s, sn, nil, nil); err != nil {
			return err
		}
		res = p.result()
		res.Sample, err = p.sample(sn.version + 1)
		return err
	})
	return res, err
}

// sample returns the first items of a plan, of translations if there are any.
func (p *plan) sample(version int64) ([]Item, error) {
	p.number(version)
	some := *p
	if len(p.effects) > 0 {
		some.entEffects = nil
	}
	var items []Item
	for r := range some.items(version) {
		item, err := parseItem(r)
		if err != nil {
			return nil, err
		}
		if items = append(items, item); len(items) == sampleMost {
			break
		}
	}
	return items, nil
}
