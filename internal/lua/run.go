package lua

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/correlation"
	"webadmin/internal/kvdb"
	"webadmin/internal/lua/check"
)

// forbiddenError says in words for people why a call may not be made. It is ErrForbidden.
type forbiddenError string

func (e forbiddenError) Error() string { return string(e) }

// Is makes it ErrForbidden.
func (forbiddenError) Is(target error) bool { return target == kvdb.ErrForbidden }

// Run runs a program, or a text that nobody saved, at most once. An error undoes nothing of what was written before it. A run
// that takes longer than 10 s, or than its caller waits, goes on without the caller, who gets ErrUnknown; see Running.
//
// An error that the program raises or replies is in the Outcome. The errors are *NotFoundError, *SyntaxError, ErrInvalid
// (fields name, source, keys, values, read_only), ErrForbidden, ErrAway (it didn't run) and ErrUnknown.
func (s *Store) Run(ctx context.Context, who Caller, c Call) (Outcome, error) {
	src, err := s.prepare(ctx, who, c)
	if err != nil {
		return Outcome{}, err
	}
	name := c.Name
	if name == "" {
		name = AdHoc
	}
	at := s.now()
	id := s.underway.begin(Running{Program: name, Who: who.Who, Since: at})
	finish := func(result kvdb.Result, err error) (Outcome, error) {
		s.underway.end(id)
		out, err := s.outcome(ctx, src, c, result, err)
		r := runOf(who, c, at, out, err)
		r.CID = correlation.ID(ctx)
		s.record(r)
		return out, err
	}
	result, err := s.db.Eval(ctx, kvdb.Eval{
		Text: src.Text, SHA1: src.SHA1, Keys: c.Keys, Args: c.Values, ReadOnly: c.ReadOnly, AdHoc: c.Name == "",
		Late: func(result kvdb.Result, err error) { _, _ = finish(result, err) },
	})
	if errors.Is(err, kvdb.ErrLate) {
		return Outcome{Program: src.Program}, fmt.Errorf("lua: run %s: %w", name, err)
	}
	return finish(result, err)
}

// prepare finds what a call is to run, and refuses calls that may not be made.
func (s *Store) prepare(ctx context.Context, who Caller, c Call) (Source, error) {
	if err := checkArguments(c); err != nil {
		return Source{}, err
	}
	if !who.Admin {
		for _, key := range c.Keys {
			if s.db.OwnKey(key) {
				return Source{}, forbiddenError(fmt.Sprintf("%.100q is a key of this program itself: what starts with %q takes the role admin", key, string(s.db.Keys())))
			}
		}
	}
	if c.Name == "" {
		if err := CheckText(c.Text); err != nil {
			return Source{}, err
		}
		return Source{Program: Program{SHA1: sha1Of(c.Text)}, Text: c.Text}, nil
	}
	src, err := s.resolve(ctx, c.Name)
	switch {
	case err != nil:
		return Source{}, err
	case src.Error != "":
		return Source{}, kvdb.Invalid("name", "%s can't be run: %s", c.Name, src.Error)
	}
	return src, nil
}

func checkArguments(c Call) error {
	if n := len(c.Keys) + len(c.Values); n > MaxArguments {
		field := "values"
		if len(c.Keys) > len(c.Values) {
			field = "keys"
		}
		return kvdb.Invalid(field, "are too many: %d keys and values together, and %d are allowed", n, MaxArguments)
	}
	keys, values := 0, 0
	for _, key := range c.Keys {
		keys += len(key)
	}
	for _, value := range c.Values {
		values += len(value)
	}
	if keys+values > MaxArgBytes {
		field := "values"
		if keys > values {
			field = "keys"
		}
		return kvdb.Invalid(field, "are too large: %d bytes of keys and values together, and %d are allowed", keys+values, MaxArgBytes)
	}
	return nil
}

// outcome says what came of a run.
func (s *Store) outcome(ctx context.Context, src Source, c Call, result kvdb.Result, err error) (Outcome, error) {
	out := Outcome{Program: src.Program, Reply: result.Reply, Truncated: result.Truncated, Took: result.Took}
	if err != nil {
		return out, runError(c, err)
	}
	if result.Reply.Kind != kvdb.KindError {
		return out, nil
	}
	if c.Name == "" && isVerdict(result.Reply.Text) {
		// It may also be the text's own reply, after it has run.
		var syntax *SyntaxError
		if errors.As(s.verdictOnly(context.WithoutCancel(ctx), src.Text), &syntax) {
			return out, syntax
		}
	}
	out.Failure = failureOf(result.Reply.Text, s.db.HasProgramUser())
	return out, nil
}

// runError gives an error of Eval its kind.
func runError(c Call, err error) error {
	if syntax := verdictOf(err); syntax != nil {
		return syntax
	}
	name := c.Name
	if name == "" {
		name = AdHoc
	}
	return fmt.Errorf("lua: run %s: %w", name, err)
}

// runOf is what is kept of a run.
func runOf(who Caller, c Call, at time.Time, out Outcome, err error) Run {
	r := Run{
		Program: c.Name, SHA1: out.Program.SHA1, At: at, Who: who.Who, Address: who.Address, Mode: "run",
		Keys: c.Keys, Values: c.Values, Text: c.Text, Took: out.Took, Outcome: "done",
	}
	if c.ReadOnly {
		r.Mode = "read-only"
	}
	if c.Name != "" {
		r.Text = ""
	}
	failure := out.Failure
	var syntax *SyntaxError
	switch {
	case errors.As(err, &syntax):
		r.Outcome, r.Error, r.Line = "failed", syntax.Message, syntax.Line
	case errors.Is(err, kvdb.ErrUnknown):
		r.Outcome, r.Error = "unknown", kvdb.Sentence(err)
	case err != nil:
		r.Outcome, r.Error = "failed", cmp.Or(kvdb.Sentence(err), err.Error())
	case failure != nil:
		r.Outcome, r.Type, r.Error, r.Line = "failed", out.Reply.Kind.String(), failure.Message, failure.Line
	default:
		r.Type, r.Result = out.Reply.Kind.String(), Render(out.Reply)
	}
	return r
}

var (
	// Since Redis 7.0, and in Valkey: "ERR user_script:3: boom script: <sha1>, on @user_script:3."
	raisedAt = regexp.MustCompile(`(?s)^(.*?) ?script: [0-9a-f]{40}, on @user_script:(\d+)\.\s*$`)
	// Before: "ERR Error running script (call to f_<sha1>): @user_script:3: user_script:3: boom"
	raisedIn = regexp.MustCompile(`^Error running script \(call to f_[0-9a-f]{40}\): (?:@enable_strict_lua:\d+: )?`)
	position = regexp.MustCompile(`^@?user_script: ?(\d+): `)
)

// failureOf reads an error that a script raised or replied.
func failureOf(raw string, ownUser bool) *Failure {
	f := &Failure{Raw: raw, Message: raw}
	if m := raisedAt.FindStringSubmatch(raw); m != nil {
		f.Message = m[1]
		f.Line, _ = strconv.Atoi(m[2])
	}
	f.Message = strings.TrimPrefix(f.Message, "ERR ")
	f.Message = strings.TrimPrefix(f.Message, raisedIn.FindString(f.Message))
	// The innermost position is that of the error itself.
	for m := position.FindStringSubmatch(f.Message); m != nil; m = position.FindStringSubmatch(f.Message) {
		f.Message = f.Message[len(m[0]):]
		f.Line, _ = strconv.Atoi(m[1])
	}
	f.Message = strings.TrimPrefix(strings.TrimSpace(f.Message), "ERR ")
	if lacksPermission(f.Message) {
		f.Message = strings.TrimSuffix(f.Message, ".") + ". "
		if ownUser {
			f.Message += "Programs run as a Redis user of their own, who may not run administrative and dangerous commands, and may not touch this product's own keys."
		} else {
			f.Message += "Programs run as the Redis user of the Redis URL, who has no permission for this."
		}
	}
	return f
}

// lacksPermission knows the words with which Redis 6.2, 7 and 8 refuse a user a command within a script.
func lacksPermission(message string) bool {
	return strings.HasPrefix(message, "NOPERM") || strings.HasPrefix(message, "The user executing the script can't") || strings.HasPrefix(message, "ACL failure in script")
}

// The beginnings of the server's verdicts on a text; all but the first are on its first line, the shebang.
var verdicts = []string{
	"ERR Error compiling script (new function): ",
	"ERR Invalid script shebang", "ERR Invalid engine in script shebang", "ERR Unexpected engine in script shebang", "ERR Could not find scripting engine",
	"ERR Unknown lua shebang option", "ERR Unexpected flag in script shebang",
}

func isVerdict(reply string) bool {
	return slices.ContainsFunc(verdicts, func(start string) bool { return strings.HasPrefix(reply, start) })
}

// verdictOf is the server's verdict on a text that doesn't compile, nil for any other error.
func verdictOf(err error) *SyntaxError {
	var reply redis.Error
	if errors.Is(err, kvdb.ErrAway) || errors.Is(err, kvdb.ErrUnknown) || !errors.As(err, &reply) {
		return nil
	}
	if rest, ok := strings.CutPrefix(reply.Error(), verdicts[0]); ok {
		return syntaxError(rest)
	}
	if !isVerdict(reply.Error()) {
		return nil
	}
	return &SyntaxError{Message: strings.TrimPrefix(reply.Error(), "ERR "), Line: 1}
}

// syntaxError reads what the compiler says: "user_script:3: '=' expected near 'x'".
func syntaxError(text string) *SyntaxError {
	e := &SyntaxError{Message: strings.TrimSpace(text)}
	if m := position.FindStringSubmatch(e.Message); m != nil {
		e.Message = e.Message[len(m[0]):]
		e.Line, _ = strconv.Atoi(m[1])
	}
	return e
}

// verdict has the server compile a text, which it remembers; nothing runs. The errors are *SyntaxError and ErrAway.
func (s *Store) verdict(ctx context.Context, text string) error {
	_, err := s.db.LoadScript(ctx, text)
	if syntax := verdictOf(err); syntax != nil {
		return syntax
	}
	if err != nil {
		return fmt.Errorf("lua: compile: %w", err)
	}
	return nil
}

// verdictScript compiles a text as the server does, but doesn't have it remember it: before 7.0 as the body of a function and without a shebang, since
// then as it is, and without the line of the shebang.
//
// ARGV 1 the text
// Returns what is wrong with it ("" = nothing), and 1 if the server knows shebangs.
const verdictScript = `local text, shebangs = ARGV[1], redis.REDIS_VERSION_NUM and 1 or 0
if shebangs == 1 then
  text = string.gsub(text, '^#![^\n]*', '')
else
  text = 'function f() ' .. text .. '\nend'
end
local _, wrong = loadstring(text, '@user_script')
return {wrong or '', shebangs}`

const verdictTime = 3 * time.Second

// verdictOnly is verdict of a text that the server doesn't remember: for checks while people type.
func (s *Store) verdictOnly(ctx context.Context, text string) error {
	result, err := s.db.Eval(ctx, kvdb.Eval{Text: verdictScript, Args: []string{text}, Limit: verdictTime})
	switch {
	case errors.Is(err, kvdb.ErrUnknown):
		return kvdb.NotDone("lua: compile", "Redis did not answer in time. Try again in a moment.")
	case err != nil:
		return fmt.Errorf("lua: compile: %w", err)
	case len(result.Reply.Items) != 2:
		return fmt.Errorf("lua: compile: %s", Render(result.Reply))
	}
	wrong, shebangs := result.Reply.Items[0].Text, result.Reply.Items[1].Text == "1"
	if shebangs {
		if message := shebangFault(text); message != "" {
			return &SyntaxError{Message: message, Line: 1}
		}
	}
	if wrong != "" {
		return syntaxError(wrong)
	}
	return nil
}

// shebangFault says what is wrong with the shebang of a text, in the words of the server; "" = nothing.
func shebangFault(text string) string {
	if !strings.HasPrefix(text, "#!") {
		return ""
	}
	line, _, ended := strings.Cut(text, "\n")
	if !ended {
		return "Invalid script shebang"
	}
	words := strings.Fields(line)
	if words[0] != "#!lua" {
		return "Unexpected engine in script shebang: " + words[0]
	}
	for _, word := range words[1:] {
		flags, ok := strings.CutPrefix(word, "flags=")
		if !ok {
			return "Unknown lua shebang option: " + word
		}
		for flag := range strings.SplitSeq(flags, ",") {
			if flags != "" && !slices.Contains(check.ShebangFlags, flag) {
				return "Unexpected flag in script shebang: " + flag
			}
		}
	}
	return ""
}
