package console_test

import (
	"errors"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/console"
	"webadmin/internal/kvdb/kvtest"
)

// cliHelp is what redis-cli says of a command: its arguments stand between colours.
var cliHelp = regexp.MustCompile(`\x1b\[1m(.*?)\x1b\[0m \x1b\[90m(.*?)\x1b\[0m\r\n  \x1b\[33msummary:\x1b\[0m (.*?)\r\n  \x1b\[33msince:\x1b\[0m (.*?)\r\n`)

// TestHelpIsThatOfRedisCLI compares all commands.
func TestHelpIsThatOfRedisCLI(t *testing.T) {
	t.Parallel()
	db := kvtest.Open(t)
	c := console.New(db, console.Options{})
	docs := must(db.CommandDocs(t.Context(), nil))(t)
	cmd := exec.CommandContext(t.Context(), "redis-cli", "-s", strings.TrimPrefix(db.Addr(), "unix://"))
	var in strings.Builder
	for _, name := range docs.Names() {
		in.WriteString("help " + name + "\n")
	}
	cmd.Stdin = strings.NewReader(in.String())
	out := must(cmd.Output())(t)
	seen := 0
	for _, m := range cliHelp.FindAllStringSubmatch(string(out), -1) {
		seen++
		h := must(c.Help(t.Context(), strings.Fields(m[1])...))(t)
		got := []string{h.Name, h.Syntax, strings.TrimSpace(h.Summary), h.Since}
		want := []string{m[1], m[2], strings.TrimSpace(m[3]), m[4]}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-redis-cli +here)\n%s", diff)
		}
	}
	if seen < 300 {
		t.Errorf("%d commands", seen)
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	db := kvtest.Open(t)
	c, s := open(t, db, "viewer", console.Options{})
	h := must(c.Help(t.Context(), "set", "k"))(t)
	if h.Group != "string" || h.Complexity != "O(1)" || h.Sub != nil {
		t.Errorf("%+v", h)
	}
	if h := must(c.Help(t.Context(), "getset"))(t); h.Deprecated != "Deprecated since 6.2.0: use `SET` with the `GET` argument." {
		t.Errorf("%+v", h)
	}
	if h := must(c.Help(t.Context(), "xinfo"))(t); !cmp.Equal(h.Sub, []string{"XINFO CONSUMERS", "XINFO GROUPS", "XINFO HELP", "XINFO STREAM"}) {
		t.Errorf("%+v", h)
	}
	if _, err := c.Help(t.Context(), "nosuch"); !errors.Is(err, kvdb.ErrNotFound) {
		t.Error(err)
	}
	if names := must(c.Group(t.Context(), "Transactions"))(t); !cmp.Equal(names, []string{"DISCARD", "EXEC", "MULTI", "UNWATCH", "WATCH"}) {
		t.Error(names)
	}
	prints(t, s, "help pfadd",
		"\n  PFADD key [element [element ...]]\n  summary: Adds the specified elements to the specified HyperLogLog.\n  since: 2.8.9\n  group: hyperloglog")
	prints(t, s, "? nosuch", "This server has no command or group of that name.")
	if text := do(t, s, "HELP @geo").Text(false); strings.Count(text, "summary:") != 10 {
		t.Error(text)
	}
}

// TestComplete: | is the cursor; of the syntax, what comes there stands in «».
func TestComplete(t *testing.T) {
	t.Parallel()
	c := console.New(kvtest.Open(t), console.Options{})
	for _, tt := range []struct{ line, suggest, syntax string }{
		{"zran|", "ZRANDMEMBER ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANGESTORE ZRANK", ""},
		{"  GETD|", "GETDEL", ""},
		{"5 getde|", "GETDEL", ""},
		{"config|", "CONFIG CONFIG GET CONFIG HELP CONFIG RESETSTAT CONFIG REWRITE CONFIG SET", ""},
		{"config |", "GET HELP RESETSTAT REWRITE SET", ""},
		{"CONFIG re|", "RESETSTAT REWRITE", ""},
		{"config get |", "", "«parameter [parameter ...]»"},
		{"config set a |", "", "«parameter value [parameter value ...]»"},
		{"nosuch |", "", ""},
		{"help @ha|", "@hash", ""},
		{"help hse|", "HSET HSETNX", ""},
		{"get |", "", "«key»"},
		{"get k |", "", "key"},
		{"GET k| x", "", "«key»"},
		{"mget a b |", "", "«key [key ...]»"},
		{"set k |", "", "key «value» [NX|XX] [GET] [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL]"},
		{"set k v |", "EX EXAT GET KEEPTTL NX PX PXAT XX",
			"key value «[NX|XX]» [GET] [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL]"},
		{"set k v e|", "EX EXAT", "key value [NX|XX] [GET] «[EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL]»"},
		{"set k v ex |", "", "key value [NX|XX] [GET] «[EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL]»"},
		{"set k v EX 10 |", "GET NX XX",
			"key value «[NX|XX]» [GET] [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL]"},
		{"hset h |", "", "key «field value [field value ...]»"},
		{"hset h f |", "", "key «field value [field value ...]»"},
		{"hset h f v |", "", "key «field value [field value ...]»"},
		{"lpop l |", "", "key «[count]»"},
		{"zadd z |", "CH GT INCR LT NX XX", "key «[NX|XX]» [GT|LT] [CH] [INCR] score member [score member ...]"},
		{"zadd z 1 |", "", "key [NX|XX] [GT|LT] [CH] [INCR] «score member [score member ...]»"},
		{"xadd s maxlen |", "= ~", "key [NOMKSTREAM] «[MAXLEN|MINID [=|~] threshold [LIMIT count]]» *|id field value [field value ...]"},
		{"xread count 1 str|", "STREAMS", "[COUNT count] [BLOCK milliseconds] «STREAMS key [key ...] id [id ...]»"},
		{"sort k by p |", "ALPHA ASC DESC GET LIMIT STORE",
			"key [BY pattern] «[LIMIT offset count]» [GET pattern [GET pattern ...]] [ASC|DESC] [ALPHA] [STORE destination]"},
		{`set "a b|`, "", "«key» value [NX|XX] [GET] [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL]"},
	} {
		line, rest, _ := strings.Cut(tt.line, "|")
		got := must(c.Complete(t.Context(), line+rest, len(line)))(t)
		var suggest, syntax []string
		for _, s := range got.Suggestions {
			suggest = append(suggest, s.Text)
		}
		slices.Sort(suggest)
		for _, p := range got.Syntax {
			if p.Current {
				p.Text = "«" + p.Text + "»"
			}
			syntax = append(syntax, p.Text)
		}
		if text := strings.Join(suggest, " "); text != tt.suggest {
			t.Errorf("%s suggests %s", tt.line, text)
		}
		if text := strings.Join(syntax, " "); text != tt.syntax && tt.syntax != "" {
			t.Errorf("%s has the syntax %s", tt.line, text)
		}
	}
	got := must(c.Complete(t.Context(), "  getde", 7))(t)
	if got.From != 2 || got.To != 7 || got.Suggestions[0].Kind != "command" || got.Suggestions[0].Summary == "" {
		t.Errorf("%+v", got)
	}
}

func FuzzComplete(f *testing.F) {
	for line := range strings.SplitSeq(cliLines, "\n") {
		f.Add(line, len(line))
	}
	c := console.New(kvtest.Open(f), console.Options{})
	f.Fuzz(func(t *testing.T, line string, cursor int) {
		got := must(c.Complete(t.Context(), line, cursor))(t)
		if got.From < 0 || got.From > got.To || got.To > len(line) {
			t.Errorf("%q, %d: %d to %d", line, cursor, got.From, got.To)
		}
	})
}
