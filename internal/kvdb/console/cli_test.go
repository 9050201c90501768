package console_test

import (
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/console"
	"webadmin/internal/kvdb/kvtest"
)

// redisCLI runs the lines in one redis-cli and returns what it printed for each.
func redisCLI(t *testing.T, socket string, args, lines []string) []string {
	t.Helper()
	// A word that begins with a colon is for redis-cli itself, whatever state the connection is in.
	mark := func(i int) string { return fmt.Sprintf("unknown redis-cli internal command ':mark%d'\n", i) }
	var in strings.Builder
	for i, line := range lines {
		fmt.Fprintf(&in, "%s\n:mark%d\n", line, i)
	}
	cmd := exec.CommandContext(t.Context(), "redis-cli", append([]string{"-s", socket}, args...)...)
	cmd.Env = append(cmd.Environ(), "REDISCLI_HISTFILE=/dev/null", "REDISCLI_RCFILE=/dev/null")
	cmd.Stdin = strings.NewReader(in.String())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("redis-cli: %v\n%s", err, out)
	}
	text := string(out)
	printed := make([]string, len(lines))
	for i := range lines {
		before, after, ok := strings.Cut(text, mark(i))
		if !ok {
			t.Fatalf("redis-cli ended at %q:\n%s", lines[i], text)
		}
		before = strings.TrimPrefix(before, readingMessages)
		printed[i], text = took.ReplaceAllString(before, ""), after
	}
	return printed
}

// inConsole runs the lines in a session and returns what it prints for each.
func inConsole(t *testing.T, s *console.Session, protocol string, raw bool, lines []string) []string {
	t.Helper()
	for _, line := range []string{"HELLO " + protocol, "SELECT 0"} {
		if r := do(t, s, line); r.Err != nil || r.Reply.Kind == kvdb.KindError {
			t.Fatal(line, r.Err, r.Reply)
		}
	}
	printed := make([]string, len(lines))
	for i, line := range lines {
		commands, err := console.Parse(line)
		if err != nil {
			printed[i] = "Invalid argument(s)\n"
			if strings.Contains(err.Error(), "a command runs") {
				printed[i] = "Invalid redis-cli repeat command option value.\n"
			}
			continue
		}
		_, err = s.Run(t.Context(), line, console.RunOptions{Confirm: commands[0].Args[0]}, func(r console.Result) {
			printed[i] += r.Text(raw)
			if r.Err != nil {
				t.Errorf("%s: %v", line, r.Err)
			}
		})
		if err != nil {
			t.Error(err)
		}
	}
	return printed
}

// What redis-cli prints that is no reply: the console has other words for it.
const readingMessages = "Reading messages... (press Ctrl-C to quit)\n"

// took is how long a command took, from half a second on.
var took = regexp.MustCompile(`\(\d+\.\d\ds\)\n$`)

// historyDB is where the history of the console is, out of the way.
var historyDB = regexp.MustCompile(`db15:.*\r\n`)

// numbers are those of connections.
var numbers = regexp.MustCompile(`("?id"?(?: => |\n *\d+\) |\n| )(?:\(integer\) )?)\d+`)

// TestPrintsAsRedisCLI runs each line in redis-cli and in the console.
func TestPrintsAsRedisCLI(t *testing.T) {
	t.Parallel()
	quiet := []string{"--enable-debug-command", "yes", "--slowlog-log-slower-than", "-1", "--hz", "100"}
	srv := kvtest.NewServer(t, quiet...)
	node := kvtest.NewServer(t, append([]string{"--port", kvtest.FreePort(), "--bind", "127.0.0.1", "--cluster-enabled", "yes"}, quiet...)...)
	prepare := node.DB(t).Client()
	if err := prepare.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	await(t, "the cluster", func() bool { return strings.Contains(prepare.ClusterInfo(t.Context()).Val(), "cluster_state:ok") })
	settle(t, srv.DB(t))
	settle(t, node.DB(t))
	for _, mode := range cliModes {
		for name, on := range map[string]struct {
			srv  *kvtest.Server
			text string
			db   string
		}{"": {srv, cliLines, "?db=15"}, " cluster": {node, clusterLines, ""}} {
			t.Run(mode.name+name, func(t *testing.T) {
				lines := linesOf(on.text, mode.protocol)
				db := must(kvdb.Open(kvdb.Config{URL: on.srv.URL() + on.db, Prefix: "history:"}))(t)
				defer db.Close()
				clear(t, db)
				want := redisCLI(t, on.srv.Dir()+"/s", mode.args, lines)
				clear(t, db)
				_, s := open(t, db, "admin", console.Options{})
				got := inConsole(t, s, mode.protocol, mode.raw, lines)
				s.Close()
				for i, line := range lines {
					want, got := numbers.ReplaceAllString(want[i], "${1}N"), historyDB.ReplaceAllString(numbers.ReplaceAllString(got[i], "${1}N"), "")
					if got != want {
						t.Errorf("%s\nredis-cli: %q\n  console: %q", line, want, got)
					}
				}
			})
		}
	}
}

// settle makes a server list the subcommands of what the lines ask COMMAND about in one order for good. Its table of
// them grew as it was filled, and each look into it moves one bucket on and so changes the order, until all are moved.
func settle(t *testing.T, db *kvdb.DB) {
	t.Helper()
	for _, container := range []string{"CONFIG", "XGROUP"} {
		const buckets = 16 // more than either has
		for range buckets {
			if err := db.Client().Do(t.Context(), container, "HELP").Err(); err != nil {
				t.Fatal(container, err)
			}
		}
	}
}

// clear makes a server as it was.
func clear(t *testing.T, db *kvdb.DB) {
	t.Helper()
	for _, line := range []string{"FLUSHALL", "SCRIPT FLUSH", "FUNCTION FLUSH", "ACL DELUSER bob", "ACL LOG RESET", "LATENCY RESET"} {
		var args []any
		for arg := range strings.FieldsSeq(line) {
			args = append(args, arg)
		}
		if err := db.Client().Do(t.Context(), args...).Err(); err != nil {
			t.Fatal(line, err)
		}
	}
}

// TestEveryCommandIsCompared holds the lines above against the commands of the server.
func TestEveryCommandIsCompared(t *testing.T) {
	t.Parallel()
	db := kvtest.Open(t)
	docs := must(db.CommandDocs(t.Context(), nil))(t)
	compared := map[string]bool{}
	groups := map[string]int{}
	for _, line := range slices.Concat(linesOf(cliLines, "2"), linesOf(clusterLines, "2")) {
		args, err := console.Split(line)
		if err != nil || len(args) == 0 {
			continue
		}
		if doc, _ := docs.Find(args...); doc != nil && !compared[doc.Name] && (!doc.Container || len(args) == 1) {
			compared[doc.Name] = true
			groups[doc.Group]++
		}
	}
	all := map[string]int{}
	for _, name := range docs.Names() {
		doc, _ := docs.Find(strings.Fields(name)...)
		all[doc.Group]++
		if cliLeftOut[name] == "" && !compared[name] {
			t.Errorf("%s is not compared with redis-cli, and nothing says why", name)
		}
	}
	if len(compared) < 200 {
		t.Errorf("%d commands are compared", len(compared))
	}
	for group, n := range all {
		if groups[group] == 0 {
			t.Errorf("none of the %d commands of the group %s", n, group)
		}
	}
	t.Logf("%d of %d commands: %v", len(compared), len(docs.Names()), groups)
}

// TestStreamsPrintAsRedisCLI: what comes without an end is printed alike.
func TestStreamsPrintAsRedisCLI(t *testing.T) {
	t.Parallel()
	db := kvtest.NewServer(t).DB(t)
	socket := strings.TrimPrefix(db.Addr(), "unix://")
	const last = "the last one"
	for _, mode := range cliModes {
		for _, line := range []string{"SUBSCRIBE a b", "PSUBSCRIBE a* nosuch", "SSUBSCRIBE a", "MONITOR"} {
			t.Run(mode.name+" "+line, func(t *testing.T) {
				_, s := open(t, db, "admin", console.Options{})
				do(t, s, "HELLO "+mode.protocol)
				r := do(t, s, line)
				if r.Err != nil || !r.Streaming {
					t.Fatal(r)
				}
				cmd := exec.CommandContext(t.Context(), "redis-cli", append([]string{"-s", socket}, mode.args...)...)
				in := must(cmd.StdinPipe())(t)
				var out syncBuffer
				cmd.Stdout, cmd.Stderr = &out, &out
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				fmt.Fprintln(in, line)
				isMonitor := line == "MONITOR"
				await(t, "two listeners", func() bool {
					word := map[string]string{"S": " sub=2 ", "P": " psub=2 "}[line[:1]]
					switch {
					case isMonitor:
						return clients(t, db, " cmd=monitor ") == 2
					case strings.HasPrefix(line, "SSUB"):
						word = " ssub=1 "
					}
					return clients(t, db, word) == 2
				})
				publish := db.Client().Publish
				if strings.HasPrefix(line, "SSUB") {
					publish = db.Client().SPublish
				}
				publish(t.Context(), "a", "\xffone")
				publish(t.Context(), "a", last)
				await(t, "redis-cli", func() bool { return strings.Contains(out.String(), last) })
				_ = cmd.Process.Kill()
				in.Close()
				_ = cmd.Wait()
				got := r.Text(mode.raw)
				for !strings.Contains(got, last) {
					for _, m := range must(s.Stream().Next(t.Context()))(t) {
						got += m.Text(mode.raw)
					}
				}
				s.Stop()
				want := strings.TrimPrefix(out.String(), readingMessages)
				if isMonitor { // one came after the other
					want, got = published(want), published(got)
				}
				if got != want {
					t.Errorf("\nredis-cli: %q\n  console: %q", want, got)
				}
			})
		}
	}
}

// published is what MONITOR says of PUBLISH.
func published(text string) (out string) {
	for line := range strings.Lines(text) {
		if strings.Contains(line, `"publish"`) {
			out += line
		}
	}
	return out
}
