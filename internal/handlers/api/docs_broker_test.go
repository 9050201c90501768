package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"webadmin/internal/account"
	"webadmin/internal/kvdb/kvtest"
)

// typed is an example of a document: what one types, and what comes.
var typed = regexp.MustCompile("(?s)```sh\n(.*?)```(?:\n```json\n(.*?)```)?")

// The examples of the document work when they are typed as they stand there, one after the other.
func TestExamplesOfTheBrokerDocument(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	text, err := os.ReadFile("../../../docs/api-broker.md")
	if err != nil {
		t.Fatal(err)
	}
	w.broker.StartWorkers(t.Context(), 1)
	env := append(os.Environ(), "SERVER="+w.url, "TOKEN="+w.token[account.Operator])
	examples := typed.FindAllStringSubmatch(string(text), -1)
	if len(examples) < 10 {
		t.Fatalf("%d examples", len(examples))
	}
	for _, e := range examples {
		var out []byte
		var wrong string
		// What goes on in the background may take a moment; to ask again does no harm.
		try := func() bool {
			out, wrong = shell(t, e[1], env), ""
			if e[2] != "" {
				wrong = differs([]byte(e[2]), out)
			}
			return wrong == ""
		}
		if !try() {
			if strings.Contains(e[1], " -d ") {
				t.Fatalf("%s\nanswers %s\n%s", e[1], out, wrong)
			}
			kvtest.Await(t, e[1]+" answers as it should", try)
		}
		for name, re := range map[string]*regexp.Regexp{"CID": regexp.MustCompile(`"cid":"(.*?)"`), "LEASE": regexp.MustCompile(`"lease":"(.*?)"`)} {
			if m := re.FindSubmatch(out); m != nil {
				env = append(env, name+"="+string(m[1]))
			}
		}
	}
}

// shell types a text into a shell and returns the last JSON value that it puts out.
func shell(t *testing.T, text string, env []string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-euc", text)
	cmd.Env = env
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v (it takes curl, which make setup installs)", text, err)
	}
	var last json.RawMessage
	for d := json.NewDecoder(bytes.NewReader(out)); d.Decode(&last) == nil; {
	}
	return last
}

// differs says in what an answer is not as the document has it.
func differs(said, got []byte) string {
	var want, is any
	if err := json.Unmarshal(said, &want); err != nil {
		return "the document: " + err.Error()
	}
	if err := json.Unmarshal(got, &is); err != nil {
		return err.Error()
	}
	return differsAt("answer", want, is)
}

func differsAt(where string, want, got any) string {
	switch want := want.(type) {
	case string:
		if want == "…" && got != nil {
			return ""
		}
	case object:
		is, _ := got.(object)
		for name, v := range want {
			if wrong := differsAt(where+"."+name, v, is[name]); wrong != "" {
				return wrong
			}
		}
		for name := range is {
			if _, ok := want[name]; !ok {
				return where + " has " + name
			}
		}
		return ""
	case []any:
		is, _ := got.([]any)
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
