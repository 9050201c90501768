package lua

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"webadmin/internal/kvdb"
	"webadmin/internal/lua/check"
)

// maxFactsAge is how long the globals of a server count. They change with its start, and hardly else.
const maxFactsAge = 5 * time.Minute

// serverFacts is what one run of the server has for programs.
type serverFacts struct {
	mu    sync.Mutex
	run   string // of the server
	at    time.Time
	facts check.Facts
}

// Check says what is wrong with a text, and what looks wrong, in the order of its lines. Nothing of it is run. A text that the
// server can't compile has that one problem, an Error; all others warn.
//
// A text that no program may have is ErrInvalid (field source). ErrAway says that the server could not be asked: the problems
// are what can be told without it.
func (s *Store) Check(ctx context.Context, text string) ([]Problem, error) {
	if err := CheckText(text); err != nil {
		return nil, err
	}
	unasked := s.verdictOnly(ctx, text)
	var syntax *SyntaxError
	if errors.As(unasked, &syntax) {
		return []Problem{wrong(text, syntax)}, nil
	}
	facts, err := s.factsOf(ctx)
	if unasked == nil {
		unasked = err
	}
	found := check.Check(text, facts)
	problems := make([]Problem, len(found))
	for i, p := range found {
		problems[i] = Problem{Line: p.Line, Column: p.Column, Rule: p.Rule, Message: p.Message}
		if p.Rule == "parse" && unasked == nil {
			problems[i].Message = "the server accepts the text, but the further checks can't read it: " + p.Message
		}
	}
	if unasked != nil {
		return problems, fmt.Errorf("lua: check: %w", unasked)
	}
	return problems, nil
}

// wrong is the verdict of the server as a problem. The server names no columns; the parser does, where it sees the same.
func wrong(text string, verdict *SyntaxError) Problem {
	p := Problem{Line: verdict.Line, Error: true, Rule: "syntax", Message: verdict.Message}
	for _, found := range check.Check(text, check.Facts{}) {
		if (found.Rule == "parse" || found.Rule == "goto" || found.Rule == "shebang") && found.Line == p.Line {
			p.Column = found.Column
			break
		}
	}
	return p
}

// factsOf returns the facts of the server. With an error come those that were known before.
func (s *Store) factsOf(ctx context.Context) (check.Facts, error) {
	k := &s.facts
	k.mu.Lock()
	defer k.mu.Unlock()
	run, err := s.db.ServerRun(ctx)
	if err != nil {
		return k.facts, err
	}
	if k.run == run && s.now().Sub(k.at) < maxFactsAge {
		return k.facts, nil
	}
	facts, err := s.readFacts(ctx)
	if err != nil {
		return k.facts, err
	}
	k.run, k.at, k.facts = run, s.now(), facts
	return facts, nil
}

// globalsScript replies the globals that programs see, and the members of those that are tables, as "table.member".
const globalsScript = `local out = {}
for name, value in pairs(_G) do
  if type(name) == 'string' then
    out[#out + 1] = name
    if type(value) == 'table' and value ~= _G then
      for member in pairs(value) do
        if type(member) == 'string' then out[#out + 1] = name .. '.' .. member end
      end
    end
  end
end
return out`

func (s *Store) readFacts(ctx context.Context) (check.Facts, error) {
	commands, err := s.db.CommandFacts(ctx)
	if err != nil {
		return check.Facts{}, err
	}
	ask := kvdb.Eval{Text: globalsScript, ReadOnly: true, AdHoc: true}
	result, err := s.db.Eval(ctx, ask)
	if errors.Is(err, kvdb.ErrInvalid) { // before Redis 7.0
		ask.ReadOnly = false
		result, err = s.db.Eval(ctx, ask)
	}
	switch {
	case errors.Is(err, kvdb.ErrUnknown):
		return check.Facts{}, kvdb.NotDone("globals", "Redis did not answer in time. Try again in a moment.")
	case err != nil:
		return check.Facts{}, err
	case result.Reply.Kind != kvdb.KindArray || result.Truncated:
		return check.Facts{}, kvdb.NotDone("globals", "Redis does not say what programs have there: "+Render(result.Reply))
	}
	facts := check.Facts{
		Globals: map[string]bool{"KEYS": true, "ARGV": true}, Libs: map[string]map[string]bool{},
		Commands: make(map[string]check.Command, len(commands)), Cluster: s.db.IsCluster(),
	}
	for _, item := range result.Reply.Items {
		lib, member, isMember := strings.Cut(item.Text, ".")
		if !isMember {
			facts.Globals[item.Text] = true
			continue
		}
		if facts.Libs[lib] == nil {
			facts.Libs[lib] = map[string]bool{}
		}
		facts.Libs[lib][member] = true
	}
	for name, c := range commands {
		facts.Commands[name] = check.Command{NoScript: c.NoScript, Arity: c.Arity, FirstKey: c.FirstKey, LastKey: c.LastKey, Step: c.Step}
	}
	return facts, nil
}

// Arguments returns how many keys and values a program reads: the highest index that it takes of KEYS and of ARGV. It is -1 where
// that depends on the call, is more than a call can have, or can't be told.
func Arguments(text string) (keys, values int) {
	keys, values = check.Arguments(text)
	if keys > MaxArguments {
		keys = -1
	}
	if values > MaxArguments {
		values = -1
	}
	return keys, values
}
