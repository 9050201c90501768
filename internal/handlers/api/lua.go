package api

import (
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"webadmin/internal/account"
	"webadmin/internal/handlers/mw"
	"webadmin/internal/handlers/problem"
	"webadmin/internal/kvdb"
	"webadmin/internal/lua"
)

// MIMELua is the media type of a program's text.
const MIMELua = "text/x-lua"

// Program is all about a program but its text.
type Program struct {
	Name      string     `json:"name" example:"mylib.rename_if_exists"`
	SHA1      string     `json:"sha1" doc:"Of the text; empty when a file can't be read."`
	Origin    string     `json:"origin" enum:"upload,file,builtin" doc:"Of one name, an upload overrides a file, and both what is built in."`
	Version   int64      `json:"version" example:"4" doc:"Of an upload: grows with each change. 0 for all else."`
	UpdatedAt *time.Time `json:"updated_at,omitempty"`
	UpdatedBy string     `json:"updated_by,omitempty"`
	Error     string     `json:"error,omitempty" doc:"Why a file can't be run."`
}

// ProgramSource is a program with its text.
type ProgramSource struct {
	Program
	Source string `json:"source" doc:"The text, as it came."`
}

// SavedProgram is a program that was saved.
type SavedProgram struct {
	Program
	Warnings []ProgramWarning `json:"warnings" doc:"What the checks found. They refuse nothing."`
}

func (p SavedProgram) location() string { return Base + "/lua/programs/" + p.Name }

// ProgramWarning is a finding of the checks.
type ProgramWarning struct {
	Line    int    `json:"line" doc:"From 1; 0 = not known."`
	Column  int    `json:"column" doc:"From 1; 0 = not known."`
	Rule    string `json:"rule" example:"undefined-global"`
	Message string `json:"message"`
}

// ProgramError answers a text that doesn't compile, and a run that ended with an error of the program.
type ProgramError struct {
	problem.Problem
	Line    int    `json:"line" doc:"Of the program, from 1; 0 = not known."`
	Message string `json:"message"`
}

// UnknownProgram answers a name that no program has.
type UnknownProgram struct {
	problem.Problem
	Near []string `json:"near" doc:"Names that look like it."`
}

// StaleProgram answers a change of a program that somebody else has changed meanwhile.
type StaleProgram struct {
	problem.Problem
	Current *ProgramSource `json:"current,omitempty" doc:"The program as it is now."`
}

func programOf(p lua.Program) Program {
	out := Program{Name: p.Name, SHA1: p.SHA1, Origin: string(p.Origin), Version: p.Version, UpdatedBy: p.UpdatedBy, Error: p.Error}
	if !p.UpdatedAt.IsZero() {
		at := p.UpdatedAt.UTC()
		out.UpdatedAt = &at
	}
	return out
}

func sourceOf(s lua.Source) *ProgramSource { return &ProgramSource{programOf(s.Program), s.Text} }

func warningsOf(problems []lua.Problem) []ProgramWarning {
	out := make([]ProgramWarning, 0, len(problems))
	for _, p := range problems {
		out = append(out, ProgramWarning{Line: p.Line, Column: p.Column, Rule: p.Rule, Message: p.Message})
	}
	return out
}

// RunRequest are the arguments of a program.
type RunRequest struct {
	Keys     []Bytes `json:"keys,omitempty" example:"[\"from\",\"to\"]" doc:"KEYS of the program. Bytes that are not UTF-8 are {\"base64\":\"…\"}."`
	Values   []Bytes `json:"values,omitempty" doc:"ARGV of the program."`
	ReadOnly bool    `json:"read_only,omitempty" doc:"The server refuses all that the program would write."`
}

// AdHocRequest is a text that is not saved, and its arguments.
type AdHocRequest struct {
	Source   string  `json:"source" maxLength:"262144" example:"return redis.call('GET', KEYS[1])" doc:"The text of the program, up to 256 KiB."`
	Keys     []Bytes `json:"keys,omitempty" example:"[\"greeting\"]" doc:"KEYS of the program."`
	Values   []Bytes `json:"values,omitempty" doc:"ARGV of the program."`
	ReadOnly bool    `json:"read_only,omitempty" doc:"The server refuses all that the program would write."`
}

// RunAnswer is what a program replied.
type RunAnswer struct {
	Type      string     `json:"type" enum:"status,bulk,integer,nil,error,array,map,set,double,boolean,big_number,verbatim" example:"integer" doc:"Of the reply, as RESP3 has them."`
	Result    replyValue `json:"result"`
	Duration  int64      `json:"duration_us" doc:"From sending it to the end of the reply, in microseconds."`
	Truncated bool       `json:"truncated,omitempty" doc:"The reply has more than 10,000 elements or 8 MiB, and this is the part before."`
}

func runAnswerOf(o lua.Outcome) RunAnswer {
	return RunAnswer{Type: o.Reply.Kind.String(), Result: replyValue{o.Reply}, Duration: o.Took.Microseconds(), Truncated: o.Truncated}
}

func (a RunAnswer) appendJSON(b []byte) []byte {
	return appendMeasured(appendTyped(b, "result", a.Result.Reply), a.Duration, a.Truncated)
}

type listProgramsInput struct {
	paging
	Q      string `query:"q" doc:"Only those with this text in their name, whatever its case."`
	Origin string `query:"origin" enum:"upload,file,builtin" doc:"Only of this origin."`
}

type programInput struct {
	Name string `path:"name" doc:"Letters, digits, _ - and ., no leading dot, up to 128 characters."`
}

type saveProgramInput struct {
	programInput
	idempotent
	IfMatch string `header:"If-Match" doc:"The version that was read; 0 = there must be no upload of this name yet. Another one meanwhile is 409."`
}

type deleteProgramInput struct {
	programInput
	idempotent
	IfMatch string `header:"If-Match" doc:"The version that was read. Another one meanwhile is 409."`
}

type runInput struct {
	programInput
	Body RunRequest
}

type adHocInput struct{ Body AdHocRequest }

const runText = "The program runs once, as a Redis user who may reach neither dangerous commands nor this product's own keys. " +
	"An error that it raises is 422 with its line; what it wrote before that stays written. 504 says that nobody knows whether it ran to its end."

// runProblems are the answers that runs have beyond the usual.
var runProblems = map[int]answerDoc{
	http.StatusUnprocessableEntity: {"The arguments are wrong, the text doesn't compile, or the program raised an error.",
		[]any{ProgramError{}, problem.Problem{}}},
	http.StatusNotFound:       {"There is no such program.", []any{UnknownProgram{}}},
	http.StatusGatewayTimeout: {failures[http.StatusGatewayTimeout], []any{problem.Problem{}}},
}

func (s *server) luaCalls() []operation {
	const group = "Lua programs"
	unknown := map[int]answerDoc{http.StatusNotFound: {"There is no such program.", []any{UnknownProgram{}}}}
	stale := answerDoc{"Somebody else has changed it meanwhile.", []any{StaleProgram{}, problem.Problem{}}}
	path := Base + "/lua/programs/:name"
	return []operation{
		call(mw.Route{Name: "api.lua.programs", Method: http.MethodGet, Path: Base + "/lua/programs", Need: account.Viewer},
			about{group: group, summary: "List programs", text: "In the order of their names; of each name the one that runs."},
			s.listPrograms),
		raw[programInput, ProgramSource](mw.Route{Name: "api.lua.program", Method: http.MethodGet, Path: path, Need: account.Viewer},
			about{group: group, summary: "Get a program", text: "With Accept: text/x-lua the answer is the text itself, byte for byte.",
				produces: []string{echo.MIMEApplicationJSON, MIMELua}, answers: unknown},
			s.getProgram),
		raw[saveProgramInput, SavedProgram](mw.Route{Name: "api.lua.program.save", Method: http.MethodPut, Path: path,
			Need: account.Operator, Body: lua.MaxText},
			about{group: group, summary: "Upload a program",
				text: "The body is the text, up to 256 KiB; its Content-Type is ignored. A new program is 201. It is refused only when the server can't " +
					"compile it; it does not run.",
				accepts: MIMELua, example: "--data-binary @mylib.rename_if_exists.lua", mayCreate: true, answers: map[int]answerDoc{
					http.StatusConflict:            stale,
					http.StatusUnprocessableEntity: {"The name is wrong, or the text doesn't compile. Nothing was saved.", []any{ProgramError{}, problem.Problem{}}},
				}},
			s.saveProgram),
		call(mw.Route{Name: "api.lua.program.delete", Method: http.MethodDelete, Path: path, Need: account.Operator},
			about{group: group, summary: "Delete an upload", text: "A file or a built-in program of the same name runs again then. The versions stay.",
				status:  http.StatusNoContent,
				answers: map[int]answerDoc{http.StatusConflict: stale, http.StatusNotFound: unknown[http.StatusNotFound]}},
			s.deleteProgram),
		call(mw.Route{Name: "api.lua.program.run", Method: http.MethodPost, Path: path + "/run", Need: account.Operator, Body: maxCommandBody, Quick: true},
			about{group: group, summary: "Run a program", text: runText, answers: runProblems},
			s.runProgram),
		call(mw.Route{Name: "api.lua.run", Method: http.MethodPost, Path: Base + "/lua/run", Need: account.Operator, Body: maxCommandBody, Long: true},
			about{group: group, summary: "Run a text that is not saved", text: runText, answers: runProblems},
			s.runText),
	}
}

func (s *server) listPrograms(ctx context.Context, in *listProgramsInput) (list[Program], error) {
	page, err := s.Lua.Programs(ctx, lua.Filter{Q: in.Q, Origin: lua.Origin(in.Origin)}, in.Cursor, in.Limit)
	return listOf(page.Items, page.Next, programOf), err
}

func (s *server) getProgram(c echo.Context, in *programInput) error {
	source, err := s.Lua.Program(c.Request().Context(), in.Name)
	if err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderVary, echo.HeaderAccept)
	if !accepts(c.Request().Header.Get(echo.HeaderAccept), MIMELua) {
		return answer(c, http.StatusOK, sourceOf(source))
	}
	c.Response().Header().Set(echo.HeaderCacheControl, "no-store")
	return c.Blob(http.StatusOK, MIMELua+"; charset=utf-8", []byte(source.Text))
}

// accepts says whether an Accept header asks for a media type by name.
func accepts(accept, want string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		if kind, _, err := mime.ParseMediaType(part); err == nil && kind == want {
			return true
		}
	}
	return false
}

func (s *server) saveProgram(c echo.Context, in *saveProgramInput) error {
	ctx := c.Request().Context()
	version, err := ifMatch(in.IfMatch)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(c.Request().Body)
	if err != nil {
		return bodyError(err)
	}
	var (
		saved   lua.Program
		created bool
	)
	err = s.luaAudited(ctx, "lua.save", in.Name, func() (before, after string, err error) {
		saved, created, err = s.Lua.Put(ctx, s.luaBy(ctx, in.idempotent), in.Name, string(text), version)
		return "", versionWords(saved), err
	})
	if err != nil {
		return err
	}
	problems, err := s.Lua.Check(ctx, string(text))
	if err != nil {
		problems = append(problems, lua.Problem{Rule: "not-checked", Message: "Redis could not be asked; the checks are not complete."})
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	return answer(c, status, SavedProgram{programOf(saved), warningsOf(problems)})
}

// versionWords is a saved program in the audit log.
func versionWords(p lua.Program) string {
	if p.SHA1 == "" {
		return ""
	}
	return fmt.Sprintf("version %d, SHA-1 %s", p.Version, p.SHA1)
}

func (s *server) deleteProgram(ctx context.Context, in *deleteProgramInput) (*struct{}, error) {
	version, err := ifMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	return nil, s.luaAudited(ctx, "lua.delete", in.Name, func() (before, after string, err error) {
		return "", "", s.Lua.Delete(ctx, s.luaBy(ctx, in.idempotent), in.Name, version)
	})
}

// ifMatch reads the version of an If-Match header, which may stand in quotes; -1 = whatever it is.
func ifMatch(header string) (int64, error) {
	if header == "" || header == "*" {
		return -1, nil
	}
	n, err := strconv.ParseInt(strings.Trim(header, `"`), 10, 64)
	if err != nil || n < 0 {
		return 0, kvdb.Invalid("If-Match", "must be the version of the program, a number")
	}
	return n, nil
}

func (s *server) runProgram(ctx context.Context, in *runInput) (RunAnswer, error) {
	return s.run(ctx, "program "+in.Name, lua.Call{Name: in.Name, Keys: texts(in.Body.Keys), Values: texts(in.Body.Values), ReadOnly: in.Body.ReadOnly})
}

func (s *server) runText(ctx context.Context, in *adHocInput) (RunAnswer, error) {
	return s.run(ctx, "ad hoc", lua.Call{Text: in.Body.Source, Keys: texts(in.Body.Keys), Values: texts(in.Body.Values), ReadOnly: in.Body.ReadOnly})
}

// run runs a program under an audit record. An error that the program raised is the answer of the call, and a run that failed.
func (s *server) run(ctx context.Context, object string, call lua.Call) (RunAnswer, error) {
	var outcome lua.Outcome
	info := mw.From(ctx)
	who := lua.Caller{Who: info.Principal.Name, Address: info.Address, Admin: info.Principal.Role.Allows(account.Admin)}
	err := s.AuditedOften(ctx, "lua.run", object, func() (before, after string, err error) {
		if outcome, err = s.Lua.Run(ctx, who, call); err == nil && outcome.Failure != nil {
			err = outcome.Failure
		}
		return "", "", err
	})
	return runAnswerOf(outcome), err
}

func texts(list []Bytes) []string {
	out := make([]string, len(list))
	for i, b := range list {
		out[i] = string(b)
	}
	return out
}

// luaBy says who changes a program, and for which operation.
func (s *server) luaBy(ctx context.Context, i idempotent) lua.By {
	by := i.by(ctx)
	return lua.By{Who: by.Who, Op: by.Op}
}

// luaAudited makes a change of a program under an audit record. A change whose outcome is unknown says where to look.
func (s *server) luaAudited(ctx context.Context, verb, name string, change func() (before, after string, err error)) error {
	return checked(s.Audited(ctx, verb, "program "+name, change), verb, Base+"/lua/programs/"+name)
}
