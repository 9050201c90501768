package lua

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"webadmin/internal/kvdb"
)

// ChangedError says that a run is not the one that was tried. It is ErrConflict; nothing ran.
type ChangedError struct {
	Keys    []string // that are not as they were
	Program bool     // the program or its arguments aren't
}

func (e *ChangedError) Error() string {
	if e.Program {
		return "The program or its keys and values are not those of the dry run. Nothing was run: make a new dry run."
	}
	return "Changed since the dry run: " + some(e.Keys) + ". Nothing was run: make a new dry run."
}

// Is makes it ErrConflict.
func (*ChangedError) Is(target error) bool { return target == kvdb.ErrConflict }

// guard stands before the first statement of a program, on its line. It takes what it needs off the end of ARGV: a mark, their number,
// and the keys with the digests that their values had; a key that is not like that ends the run. The mark tells its reply from the program's.
const guard = `do local a,t=ARGV,table.remove; local m,n,b=t(a),tonumber(t(a)),{}; ` +
	`for _=1,n do local d=t(a); local k=t(a); local v=redis.pcall('DUMP',k); ` +
	`if type(v)=='table' or (v and redis.sha1hex(v) or '')~=d then b[#b+1]=k end end; ` +
	`if n>0 and #b>0 then table.insert(b,1,m) return b end end `

// Apply runs for real what a dry run tried, if all is as it was then: the server looks and runs in one step. What only the
// time to live of a key tells apart is not seen. The errors are those of Run, and *ChangedError.
func (s *Store) Apply(ctx context.Context, who Caller, c Call, e Expect) (Outcome, error) {
	src, err := s.prepare(ctx, who, c)
	if err != nil {
		return Outcome{}, err
	}
	if e.Call != callDigest(src, c) {
		return Outcome{}, &ChangedError{Program: true}
	}
	mark := rand.Text()
	args := append([]string(nil), c.Values...)
	for _, k := range e.Keys {
		args = append(args, k.Key, k.Digest)
	}
	args = append(args, strconv.Itoa(len(e.Keys)), mark)

	name := c.Name
	if name == "" {
		name = AdHoc
	}
	at := s.now()
	id := s.underway.begin(Running{Program: name, Who: who.Who, Since: at})
	finish := func(result kvdb.Result, err error) (Outcome, error) {
		s.underway.end(id)
		changed := changedKeys(result.Reply, mark)
		var out Outcome
		if err == nil && changed != nil {
			out, err = Outcome{Program: src.Program, Took: result.Took}, changed
		} else {
			// Its text is not the one that was sent, but a verdict is the same on both.
			out, err = s.outcome(ctx, src, c, result, err)
		}
		run := runOf(who, c, at, out, err)
		run.Mode = "apply"
		s.record(run)
		return out, err
	}
	result, err := s.db.Eval(ctx, kvdb.Eval{
		Text: onFirstLine(guard, src.Text), Keys: c.Keys, Args: args, ReadOnly: c.ReadOnly, AdHoc: true,
		Late: func(result kvdb.Result, err error) { _, _ = finish(result, err) },
	})
	if errors.Is(err, kvdb.ErrLate) {
		return Outcome{Program: src.Program}, fmt.Errorf("lua: apply %s: %w", name, err)
	}
	return finish(result, err)
}

// onFirstLine puts statements before a program, so that its lines keep their numbers. A shebang has a line of its own.
func onFirstLine(statements, text string) string {
	shebang := shebangForm.FindString(text)
	if shebang == "" {
		return statements + text
	}
	rest := strings.TrimPrefix(text[len(shebang):], "\n")
	return shebang + "\n" + statements + rest
}

// changedKeys reads the reply of the guard, nil if it is none.
func changedKeys(r kvdb.Reply, mark string) error {
	if r.Kind != kvdb.KindArray || len(r.Items) < 2 || r.Items[0].Text != mark {
		return nil
	}
	e := &ChangedError{}
	for _, item := range r.Items[1:] {
		e.Keys = append(e.Keys, item.Text)
	}
	return e
}
