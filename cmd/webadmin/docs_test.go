package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"webadmin/internal/kvdb/kvtest"
)

// The examples of the documents work when they are typed as they stand there, one after the other, in a shell as in Python; each
// language has a server with the demo data of its own.
func TestExamplesOfTheDocuments(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../docs/api-*.md")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d documents: %v", len(files), err)
	}
	files = slices.Insert(files, 0, "../../docs/api.md") // says what api is
	for language, open := range map[string]func(*testing.T, []string) session{"sh": openShell, "python": openPython} {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			s := serveDemo(t)
			made := s.command("token", "create", "--name", "trying", "--role", "operator")
			typed := open(t, append(os.Environ(), "SERVER="+s.URL, "TOKEN="+strings.TrimSpace(made)))
			for _, file := range files {
				n := 0
				for _, e := range examplesOf(t, file) {
					if e.language == language {
						n++
						e.try(t, file, typed)
					}
				}
				if n == 0 {
					t.Errorf("%s has no example in %s", file, language)
				}
			}
		})
	}
}

// demoServer is a serve with the demo data.
type demoServer struct {
	*server
	data string
}

func serveDemo(t *testing.T) *demoServer {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	s := &demoServer{serving(t, "--demo", "--data-dir", data, "--session-key", longKey), data}
	kvtest.Await(t, "the demo data is there", func() bool { return strings.Contains(s.out.String(), `"program":"stock.reserve"`) })
	return s
}

// command runs a subcommand beside the server and returns what it prints.
func (s *demoServer) command(args ...string) string {
	s.t.Helper()
	got := runIn(s.t, "", append(args, "--data-dir", s.data)...)
	if got.code != 0 {
		s.t.Fatalf("%v: %d %s", args, got.code, got.stderr)
	}
	return got.stdout
}

// example is one thing that one types, and what comes; without kind the document shows no answer.
type example struct{ language, code, kind, answer string }

var block = regexp.MustCompile("(?ms)^```(sh|python|json|text)\n(.*?)^```$")

// examplesOf reads the blocks of code of a document. An answer belongs to the block of each language right before it.
func examplesOf(t *testing.T, file string) (all []*example) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	open := map[string]*example{} // by language: have no answer yet
	end := 0
	for _, m := range block.FindAllSubmatchIndex(text, -1) {
		kind, code := string(text[m[2]:m[3]]), string(text[m[4]:m[5]])
		if len(bytes.TrimSpace(text[end:m[0]])) > 0 {
			clear(open)
		}
		end = m[1]
		if kind == "sh" || kind == "python" {
			open[kind] = &example{language: kind, code: code}
			all = append(all, open[kind])
			continue
		}
		for _, e := range open {
			e.kind, e.answer = kind, code
		}
		clear(open)
	}
	return all
}

// session is somebody who types, and remembers what they typed before.
type session interface {
	// enter types a text and returns what comes.
	enter(code string) string
}

// changing are examples that must not be typed twice.
var changing = regexp.MustCompile(` -d | -X |--data|"(POST|PUT|DELETE)"`)

func (e *example) try(t *testing.T, file string, in session) {
	t.Helper()
	var got, wrong string
	same := func() bool {
		got = in.enter(e.code)
		switch e.kind {
		case "json":
			wrong = differs(e.answer, got)
		case "text":
			if wrong = ""; strings.TrimSpace(got) != strings.TrimSpace(e.answer) {
				wrong = "want " + e.answer
			}
		}
		return wrong == ""
	}
	// What goes on in the background may take a moment; to read again does no harm.
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(patience / 3); !same(); <-again.C {
		if changing.MatchString(e.code) || time.Now().After(deadline) {
			t.Fatalf("%s: this\n%s\nanswers\n%s\nbut %s", file, e.code, got, wrong)
		}
	}
}

// typist is a program that reads what somebody types.
type typist struct {
	t    *testing.T
	in   io.Writer
	out  *bufio.Reader
	said bytes.Buffer // standard error
}

func start(t *testing.T, env []string, name string, args ...string) *typist {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = t.TempDir(), env
	p := &typist{t: t}
	cmd.Stderr = &p.said
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v (make setup installs what tests need)", err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", name, p.said.String())
		}
	})
	p.in, p.out = in, bufio.NewReader(out)
	return p
}

func (p *typist) send(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p.in, text); err != nil {
		p.t.Fatal(err)
	}
}

func (p *typist) line() string {
	p.t.Helper()
	line, err := p.out.ReadString('\n')
	if err != nil {
		p.t.Fatalf("%v: %s", err, p.said.String())
	}
	return line
}

// shell remembers in variables what the last answer that had one has called cid, id and so on.
type shell struct{ *typist }

func openShell(t *testing.T, env []string) session { return shell{start(t, env, "sh")} }

const endOfAnswer = "--- end of the answer ---\n"

var named = regexp.MustCompile(`"(cid|id|lease|change|version)": *"?([^",}]+)`)

func (s shell) enter(code string) string {
	s.send(code + "\nprintf '\\n" + strings.TrimSpace(endOfAnswer) + "\\n'\n")
	var out strings.Builder
	for line := s.line(); line != endOfAnswer; line = s.line() {
		out.WriteString(line)
	}
	answer := strings.TrimSpace(out.String())
	if last := lastJSON(answer); last != "" {
		answer = last
	}
	seen := map[string]bool{}
	for _, m := range named.FindAllStringSubmatch(answer, -1) {
		if name := strings.ToUpper(m[1]); !seen[name] {
			seen[name] = true
			s.send(name + "='" + m[2] + "'\n")
		}
	}
	return answer
}

// lastJSON is the last of several JSON values; "" = that is no JSON.
func lastJSON(text string) (last string) {
	var v json.RawMessage
	d := json.NewDecoder(strings.NewReader(text))
	for {
		if err := d.Decode(&v); err == io.EOF {
			return last
		} else if err != nil {
			return ""
		}
		last = string(v)
	}
}

// python shows the value of the last line, as its prompt does, but as JSON.
type python struct{ *typist }

const prompt = `
import ast, json, sys, traceback
names = {}
for line in sys.stdin:
    code, value = ast.parse(json.loads(line)), None
    last = code.body.pop() if isinstance(code.body[-1], ast.Expr) else None
    try:
        exec(compile(code, "example", "exec"), names)
        if last:
            value = eval(compile(ast.Expression(last.value), "example", "eval"), names)
    except Exception:
        value = traceback.format_exc()
    print(json.dumps(value), flush=True)
`

func openPython(t *testing.T, env []string) session {
	return python{start(t, env, "python3", "-u", "-c", prompt)}
}

func (p python) enter(code string) string {
	line, err := json.Marshal(code)
	if err != nil {
		p.t.Fatal(err)
	}
	p.send(string(line) + "\n")
	answer := p.line()
	if text, err := strconv.Unquote(strings.TrimSpace(answer)); err == nil {
		return text
	}
	return answer
}

// differs says in what an answer is not as the document has it.
func differs(said, got string) string {
	var want, is any
	if err := json.Unmarshal([]byte(said), &want); err != nil {
		return "the document: " + err.Error()
	}
	if err := json.Unmarshal([]byte(got), &is); err != nil {
		return err.Error()
	}
	return differsAt("the answer", want, is)
}

// anything stands in a document for what differs each time; as the name of a field, or last in a list, for what else there may be.
const anything = "…"

func differsAt(where string, want, got any) string {
	switch want := want.(type) {
	case string:
		if want == anything && got != nil {
			return ""
		}
	case map[string]any:
		is, _ := got.(map[string]any)
		for name, v := range want {
			if name == anything {
				continue
			}
			if wrong := differsAt(where+"."+name, v, is[name]); wrong != "" {
				return wrong
			}
		}
		for name := range is {
			if want[name] == nil && want[anything] == nil {
				if _, ok := want[name]; !ok {
					return where + " has " + name
				}
			}
		}
		return ""
	case []any:
		is, _ := got.([]any)
		if n := len(want) - 1; n >= 0 && want[n] == anything && len(is) > n {
			want, is = want[:n], is[:n]
		}
		if len(is) != len(want) {
			return fmt.Sprintf("%s has %d items", where, len(is))
		}
		for i, v := range want {
			if wrong := differsAt(fmt.Sprintf("%s[%d]", where, i), v, is[i]); wrong != "" {
				return wrong
			}
		}
		return ""
	}
	if want != got {
		return fmt.Sprintf("%s is %v", where, got)
	}
	return ""
}
