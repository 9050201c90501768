package api

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"webadmin/internal/account"
	"webadmin/internal/handlers/mw"
	"webadmin/internal/handlers/problem"
	"webadmin/internal/kvdb"
)

// maxCommandBody is the size of a command with its arguments as JSON.
const maxCommandBody = 16 << 20

const commandText = "The command runs once, on a connection of its own, and is never repeated. What it takes is what the server says of it: a " +
	"viewer runs what only reads, an operator what is neither dangerous nor scripting, an administrator all, what the server doesn't know and " +
	"commands of modules included. Keys of this program itself are for administrators: for others they are also left out of what SCAN, RANDOMKEY and " +
	"the like reply, so that there may be fewer than COUNT asks for. SELECT, MULTI, SUBSCRIBE and what else is about the connection is refused with " +
	"422. A command that waits (BLPOP) ends after 30 s as if its own time were up, any other may take 10 s. On a cluster, a command without keys runs " +
	"on one node, always the same."

// CommandRequest is a command as one types it.
type CommandRequest struct {
	Args    []Bytes `json:"args" example:"[\"GET\",\"greeting\"]" doc:"The name of the command and its arguments. Bytes that are not UTF-8 are {\"base64\":\"…\"}."`
	Confirm string  `json:"confirm,omitempty" doc:"The first word of a dangerous command, to confirm it. Those that only report (INFO, KEYS, CONFIG GET …) need none."`
}

type commandInput struct{ Body CommandRequest }

// infoAnswer is INFO: section → field → value. It writes itself, since the numbers are to stay as they are.
type infoAnswer kvdb.Info

// Schema describes the sections; their fields are those of the server's version.
func (infoAnswer) Schema(huma.Registry) *huma.Schema {
	value := &huma.Schema{OneOf: []*huma.Schema{{Type: huma.TypeNumber}, {Type: huma.TypeString}}}
	section := &huma.Schema{Type: huma.TypeObject, AdditionalProperties: value}
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: section, Description: "Section, field, value."}
}

// decimal is a number as one writes it, and not a version or a hash that looks like one.
var decimal = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`)

func (a infoAnswer) appendJSON(b []byte) []byte {
	b = append(b, '{')
	for i, section := range sortedKeys(a) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendText(b, section), ":{"...)
		for j, field := range sortedKeys(a[section]) {
			if j > 0 {
				b = append(b, ',')
			}
			b = append(appendText(b, field), ':')
			if value := a[section][field]; decimal.MatchString(value) && value != "-0" {
				b = append(b, value...)
			} else {
				b = appendText(b, value)
			}
		}
		b = append(b, '}')
	}
	return append(b, '}')
}

func (s *server) kvdbCalls() []operation {
	return slices.Concat(s.commandCalls(), s.pipelineCalls(), s.keyCalls())
}

func (s *server) commandCalls() []operation {
	return []operation{
		call(mw.Route{Name: "api.kvdb.info", Method: http.MethodGet, Path: Base + "/kvdb/info", Need: account.Viewer},
			about{group: "Redis", summary: "What the server says of itself",
				text: "INFO by section. A decimal number is a number, all else is text. Of a cluster it is one node."},
			s.info),
		call(mw.Route{Name: "api.kvdb.command", Method: http.MethodPost, Path: Base + "/kvdb/command",
			Need: account.Viewer, Body: maxCommandBody, Long: true},
			about{group: "Redis", summary: "Run a command", text: commandText, answers: map[int]answerDoc{
				http.StatusGatewayTimeout: {text: failures[http.StatusGatewayTimeout], of: []any{problem.Problem{}}},
			}},
			s.command),
	}
}

func (s *server) info(ctx context.Context, _ *struct{}) (infoAnswer, error) {
	info, err := s.DB.Info(ctx)
	return infoAnswer(info), err
}

func (s *server) command(ctx context.Context, in *commandInput) (CommandAnswer, error) {
	args := make([]string, len(in.Body.Args))
	for i, arg := range in.Body.Args {
		args[i] = string(arg)
	}
	class, err := s.DB.Classify(ctx, args)
	if err != nil {
		return CommandAnswer{}, err
	}
	run, err := class.Permit(string(mw.From(ctx).Principal.Role), in.Body.Confirm)
	if err != nil {
		return CommandAnswer{}, err
	}
	if !class.Changes {
		result, err := run.Run(ctx)
		return commandAnswerOf(result), err
	}
	object := class.Name
	switch {
	case !class.Known:
		object = "unknown command"
	case len(class.Keys) > 0:
		object = kvdb.Shown(class.Keys[0])
	}
	var result kvdb.Result
	refused := commandError("")
	err = s.Audited(ctx, "kvdb.command", object, func() (before, after string, err error) {
		if result, err = run.Run(ctx); err != nil {
			return "", class.Line(), err
		}
		if result.Reply.Kind == kvdb.KindError {
			refused = commandErrorOf(class, result.Reply.Text)
			return "", class.Line(), refused
		}
		return "", class.Line() + " → " + brief(result.Reply), nil
	})
	if refused != "" { // which is an answer, and no failure of the call
		err = nil
	}
	return commandAnswerOf(result), err
}

// commandError is an error of Redis in the audit log.
type commandError string

func commandErrorOf(c kvdb.Class, text string) commandError {
	if code, _, _ := strings.Cut(text, " "); c.Masks() {
		text = code + " …" // the error may repeat the secret
	}
	return commandError(strings.ToValidUTF8(text, "\uFFFD"))
}

func (e commandError) Error() string { return string(e) }

// Is makes it one whose words are for people.
func (commandError) Is(target error) bool { return target == kvdb.ErrInvalid }

// brief says in a few words what a command replied.
func brief(r kvdb.Reply) string {
	switch r.Kind {
	case kvdb.KindArray, kvdb.KindSet:
		return fmt.Sprintf("%s of %d", r.Kind, len(r.Items))
	case kvdb.KindMap:
		return fmt.Sprintf("map of %d", len(r.Items)/2)
	case kvdb.KindNil:
		return "nil"
	}
	return kvdb.Shown(r.Text)
}
