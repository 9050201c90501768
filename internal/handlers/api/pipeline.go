package api

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"webadmin/internal/account"
	"webadmin/internal/handlers/mw"
	"webadmin/internal/handlers/problem"
	"webadmin/internal/kvdb"
)

const pipelineText = "The commands go out in one round trip, each runs once, in their order; in a cluster, those of different nodes run at the " +
	"same time. Each is looked at before anything is sent, as with a single command: if one is refused, nothing runs, and errors names it by its " +
	"index. Commands that wait, or are about the connection (SELECT, MULTI, SUBSCRIBE), are refused with 422. A transaction runs with nothing else in " +
	"between, or not at all where the server refuses to queue one of its commands; in a cluster, its keys are of one slot. An error of Redis is the " +
	"reply of its command, and does not keep the others from running. All of it may take 10 s. Together the replies have up to 8 MiB."

// PipelineRequest is a list of commands.
type PipelineRequest struct {
	Commands    commandList `json:"commands" maxItems:"10000" example:"[[\"SET\",\"greeting\",\"hello\"],[\"GET\",\"greeting\"]]" doc:"Each is the name of a command and its arguments. Bytes that are not UTF-8 are {\"base64\":\"…\"}."`
	Transaction bool        `json:"transaction,omitempty" doc:"MULTI before and EXEC after them."`
	Confirm     []string    `json:"confirm,omitempty" example:"[]" doc:"The first words of the dangerous commands, to confirm them."`
}

type pipelineInput struct{ Body PipelineRequest }

// PipelineAnswer has the replies in the order of the commands.
type PipelineAnswer struct {
	Replies pipelineReplies `json:"replies"`
}

// PipelineReply is the reply to one command.
type PipelineReply struct {
	Type      string     `json:"type" enum:"status,bulk,integer,nil,error,array,map,set,double,boolean,big_number,verbatim" example:"status" doc:"Of the reply, as RESP3 has them."`
	Value     replyValue `json:"value"`
	Truncated bool       `json:"truncated,omitempty" doc:"The reply has more than 10,000 elements, or all have more than 8 MiB, and this is the part before."`
}

// pipelineReplies are written as a list of PipelineReply.
type pipelineReplies []kvdb.Result

// Schema is that of a list of PipelineReply.
func (pipelineReplies) Schema(r huma.Registry) *huma.Schema {
	return r.Schema(reflect.TypeFor[[]PipelineReply](), true, "")
}

func (a PipelineAnswer) appendJSON(b []byte) []byte {
	b = append(b, `{"replies":[`...)
	for i := range a.Replies {
		r := &a.Replies[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"type":"`...)
		b = append(b, r.Reply.Kind.String()...)
		b = appendValue(append(b, `","value":`...), r.Reply)
		if r.Truncated {
			b = append(b, `,"truncated":true`...)
		}
		b = append(b, '}')
	}
	return append(b, "]}"...)
}

func (s *server) pipelineCalls() []operation {
	return []operation{
		call(mw.Route{Name: "api.kvdb.pipeline", Method: http.MethodPost, Path: Base + "/kvdb/pipeline",
			Need: account.Viewer, Body: maxCommandBody, Long: true},
			about{group: "Redis", summary: "Run many commands", text: pipelineText, answers: map[int]answerDoc{
				http.StatusGatewayTimeout: {text: failures[http.StatusGatewayTimeout], of: []any{problem.Problem{}}},
			}},
			s.pipeline),
	}
}

func (s *server) pipeline(ctx context.Context, in *pipelineInput) (PipelineAnswer, error) {
	classes, err := s.DB.ClassifyAll(ctx, in.Body.Commands)
	if err != nil {
		return PipelineAnswer{}, err
	}
	run, err := s.DB.NewPipeline(classes, role(ctx), in.Body.Confirm, in.Body.Transaction)
	if err != nil {
		return PipelineAnswer{}, err
	}
	if !run.Changes {
		results, err := run.Run(ctx)
		return PipelineAnswer{results}, err
	}
	var results []kvdb.Result
	refused := commandError("")
	audited := s.AuditedOften
	if slices.ContainsFunc(classes, func(c kvdb.Class) bool { return c.Confirm }) { // never one of many
		audited = s.Audited
	}
	err = audited(ctx, "kvdb.pipeline", pipelineObject(classes), func() (before, after string, err error) {
		if results, err = run.Run(ctx); err != nil {
			return "", pipelineWords(classes, nil), err
		}
		if refused = refusedAll(classes, results); refused != "" {
			return "", pipelineWords(classes, results), refused
		}
		return "", pipelineWords(classes, results), nil
	})
	if refused != "" { // which is an answer, and no failure of the call
		err = nil
	}
	return PipelineAnswer{results}, err
}

// pipelineObject says in the audit log what a pipeline is about.
func pipelineObject(classes []kvdb.Class) string {
	words := fmt.Sprintf("%d commands", len(classes))
	for i := range classes {
		if c := &classes[i]; c.Changes && len(c.Keys) > 0 {
			return words + ", first key " + kvdb.Shown(c.Keys[0])
		}
	}
	return words
}

// maxPipelineWords is how much the audit log may have of a pipeline; it cuts what is more.
const maxPipelineWords = 4 << 10

// pipelineWords is a pipeline in the audit log: what changes something, each with what came of it.
func pipelineWords(classes []kvdb.Class, results []kvdb.Result) string {
	var b strings.Builder
	for i := range classes {
		c := &classes[i]
		if !c.Changes {
			continue
		}
		if b.Len() > maxPipelineWords {
			b.WriteString("\n…")
			break
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(c.Line())
		if results == nil {
			continue
		}
		b.WriteString(" → ")
		if r := results[i].Reply; r.Kind == kvdb.KindError {
			b.WriteString(string(commandErrorOf(*c, r.Text)))
		} else {
			b.WriteString(brief(r))
		}
	}
	return b.String()
}

// refusedAll returns the first error if nothing that changes something worked, else "".
func refusedAll(classes []kvdb.Class, results []kvdb.Result) (first commandError) {
	for i := range classes {
		switch c := &classes[i]; {
		case !c.Changes:
		case results[i].Reply.Kind != kvdb.KindError:
			return ""
		case first == "":
			first = commandErrorOf(*c, results[i].Reply.Text)
		}
	}
	return first
}

// commandList are commands, each a list of Bytes.
type commandList [][]string

// Schema is that of a list of lists of Bytes.
func (commandList) Schema(r huma.Registry) *huma.Schema {
	return r.Schema(reflect.TypeFor[[][]Bytes](), true, "")
}

// commands reads a list of commands. As there may be very many, they share the memory of their words.
func (d *decoder) commands(f *bodyField, to *commandList) {
	if d.peek() != '[' {
		d.reject(f.name, "must be a list of commands")
		d.skip()
		return
	}
	r := wordReader{d: d, field: f.name, body: string(d.b)}
	list := commandList{}
	d.items(func() {
		switch {
		case f.maxItems > 0 && r.n >= f.maxItems:
			d.skip()
		case d.peek() != '[':
			d.reject(f.name+"["+strconv.Itoa(r.n)+"]", "must be a list: the name of a command and its arguments")
			d.skip()
		default:
			list = append(list, r.command())
		}
		r.n++
	})
	if f.maxItems > 0 && r.n > f.maxItems {
		d.reject(f.name, "holds %d commands; at most %d are allowed", r.n, f.maxItems)
		return
	}
	*to = list
}

// wordReader reads the words of commands.
type wordReader struct {
	d     *decoder
	field string
	body  string   // what d reads
	n     int      // the number of the command
	words []string // of this one and of those before, until a new list begins
}

func (r *wordReader) command() []string {
	d := r.d
	if cap(r.words)-len(r.words) < 4 {
		r.words = make([]string, 0, min(1024, 16+4*r.n))
	}
	start := len(r.words)
	d.items(func() {
		if len(r.words) == cap(r.words) {
			r.words = append(make([]string, 0, max(1024, 2*(len(r.words)-start))), r.words[start:]...)
			start = 0
		}
		word := ""
		switch d.peek() {
		case '"':
			at := d.i + 1
			text := d.quoted()
			if end := at + len(text); end < d.i && d.i == end+1 {
				word = r.body[at:end] // it has no escapes
			} else {
				word = string(text)
			}
		case '{':
			word = string(d.base64(fmt.Sprintf("%s[%d][%d]", r.field, r.n, len(r.words)-start)))
		default:
			d.reject(fmt.Sprintf("%s[%d][%d]", r.field, r.n, len(r.words)-start), `must be text or {"base64":"…"}`)
			d.skip()
		}
		r.words = append(r.words, word)
	})
	return r.words[start:len(r.words):len(r.words)]
}
