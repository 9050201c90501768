package kvdb_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// pipeline runs commands, each a line of words, as an admin.
func pipeline(t testing.TB, db *kvdb.DB, transaction bool, lines ...string) ([]kvdb.Result, error) {
	t.Helper()
	p, err := newPipeline(t, db, transaction, lines...)
	must(t, err)
	return p.Run(t.Context())
}

func newPipeline(t testing.TB, db *kvdb.DB, transaction bool, lines ...string) (*kvdb.Pipeline, error) {
	t.Helper()
	commands := make([][]string, len(lines))
	for i, line := range lines {
		commands[i] = strings.Split(line, " ")
	}
	classes, err := db.ClassifyAll(t.Context(), commands)
	must(t, err)
	return db.NewPipeline(classes, "admin", nil, transaction)
}

func shown(results []kvdb.Result) string {
	var out []string
	for _, r := range results {
		text := r.Reply.Text
		if r.Reply.Kind == kvdb.KindError {
			text, _, _ = strings.Cut(text, " ")
		}
		out = append(out, r.Reply.Kind.String()+" "+text)
	}
	return strings.Join(out, ", ")
}

// TestClassifyAll: a command is classified in a list as it is alone.
func TestClassifyAll(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		own := string(db.Keys()) + "x"
		var commands [][]string
		for _, line := range []string{
			"GET k", "get k", "GET", "MGET a b a", "GET " + own, "SET k v", "set k v", "CONFIG GET x", "CONFIG SET x y", "config",
			"CONFIG NOSUCH", "NOSUCH k", "nosuch",
			"CLIENT LIST", "CLIENT REPLY OFF", "CLIENT", "ACL LOG", "ACL LOG RESET", "ACL SETUSER u >p",
			"XREAD COUNT 1 STREAMS a b 0 0", "XREAD STREAMS " + own + " 0",
			"XREADGROUP GROUP g c STREAMS a >", "ZUNION 2 a b", "ZUNIONSTORE d 2 a " + own, "EVAL x 1 k", "EVAL x", "SINTERCARD 5 a b",
			"SPUBLISH c m", "PUBLISH c m", "MULTI", "SELECT 1",
			"OBJECT ENCODING k", "OBJECT ENCODING " + own, "MEMORY USAGE k", "SORT k BY w_* STORE d", "BLPOP a b 0", "FLUSHALL", "MONITOR", "DBSIZE",
			"GEORADIUS k 0 0 1 m STORE " + own, "SCRIPT DEBUG YES",
		} {
			commands = append(commands, strings.Split(line, " "))
		}
		got, err := db.ClassifyAll(t.Context(), commands)
		must(t, err)
		for i, args := range commands {
			want, err := db.Classify(t.Context(), args)
			must(t, err)
			if !reflect.DeepEqual(want, got[i]) {
				t.Errorf("%q:\n%+v alone\n%+v in a list", args, want, got[i])
			}
			for _, role := range []string{"viewer", "operator", "admin"} {
				_, alone := want.Permit(role, "")
				_, together := got[i].Permit(role, "")
				if fmt.Sprint(alone) != fmt.Sprint(together) {
					t.Errorf("%s, %q: %v; %v", role, args, alone, together)
				}
			}
		}
		for _, commands := range [][][]string{nil, {}, {{"PING"}, nil}, {{""}}, make([][]string, kvdb.MaxPipeline+1)} {
			if _, err := db.ClassifyAll(t.Context(), commands); !errors.Is(err, kvdb.ErrInvalid) {
				t.Errorf("%d commands: %v", len(commands), err)
			}
		}
	})
}

func TestPipeline(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		k := "pipe-" + string(db.Keys())
		r, err := pipeline(t, db, false, "SET "+k+" 1", "INCR "+k, "EVAL return(redis.call('INCR',KEYS[1])) 1 "+k, "CLIENT ID", "LPUSH "+k+" x", "GET "+k)
		must(t, err)
		if got := shown(r); !strings.HasPrefix(got, "status OK, integer 2, integer 3, integer ") || !strings.HasSuffix(got, ", error WRONGTYPE, bulk 3") {
			t.Error(got)
		}
		r, err = pipeline(t, db, true, "SET "+k+" 1", "INCR "+k, "EVAL return(redis.call('INCR',KEYS[1])) 1 "+k, "GET "+k)
		must(t, err)
		if got := shown(r); got != "status OK, integer 2, integer 3, bulk 3" {
			t.Error(got)
		}
		var lines []string
		for i := range 5000 {
			lines = append(lines, "SET "+k+strconv.Itoa(i)+" "+strings.Repeat("x", 100), "GET "+k+strconv.Itoa(i))
		}
		r, err = pipeline(t, db, false, lines...)
		must(t, err)
		for i := 1; i < len(r); i += 2 {
			if len(r[i].Reply.Text) != 100 {
				t.Fatalf("reply %d is %v", i, r[i].Reply)
			}
		}
	})
}

// TestPipelineFollowsAMovingSlot: nothing is done twice or in another order.
func TestPipelineFollowsAMovingSlot(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	srv, url := newServer(t, "cluster")
	other, _ := newServer(t, "empty cluster")
	from, to := open(t, srv.URL()).Client(), open(t, other.URL()).Client()
	must(t, to.Do(ctx, "CLUSTER", "MEET", "127.0.0.1", srv.Port()).Err())
	fromID, toID := from.Do(ctx, "CLUSTER", "MYID").Val(), to.Do(ctx, "CLUSTER", "MYID").Val()
	await(t, func() bool {
		return strings.Contains(to.ClusterInfo(ctx).Val(), "cluster_state:ok") && strings.Contains(from.ClusterNodes(ctx).Val(), toID.(string))
	})
	db := open(t, url)
	_, err := pipeline(t, db, false, "SET other v", "GET {k}")
	must(t, err)
	slot := from.ClusterKeySlot(ctx, "k").Val()
	must(t, to.Do(ctx, "CLUSTER", "SETSLOT", slot, "IMPORTING", fromID).Err())
	must(t, from.Do(ctx, "CLUSTER", "SETSLOT", slot, "MIGRATING", toID).Err())
	r, err := pipeline(t, db, false, "INCR k", "GET other", "INCR k", "INCR k")
	must(t, err)
	if got := shown(r); got != "integer 1, bulk v, integer 2, integer 3" {
		t.Errorf("ASK: %s", got)
	}
	if _, err := pipeline(t, db, true, "INCR {k}a", "INCR {k}b"); !errors.Is(err, kvdb.ErrAway) || !strings.Contains(kvdb.Sentence(err), "moving") {
		t.Errorf("a transaction while the slot moves: %v", err)
	}
	must(t, to.Do(ctx, "CLUSTER", "SETSLOT", slot, "NODE", toID).Err())
	must(t, from.Do(ctx, "CLUSTER", "SETSLOT", slot, "NODE", toID).Err())
	r, err = pipeline(t, db, true, "INCR k", "INCR {k}a")
	must(t, err)
	if got := shown(r); got != "integer 4, integer 1" {
		t.Errorf("MOVED, transaction: %s", got)
	}
	r, err = pipeline(t, db, false, "INCR k", "INCR {k}a")
	must(t, err)
	if got := shown(r); got != "integer 5, integer 2" {
		t.Errorf("MOVED: %s", got)
	}
}

// TestPipelineWithoutANode: what is not sent says so, and the rest is done.
func TestPipelineWithoutANode(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	// The node without a third of the slots goes, and the others go on.
	srv, _ := newServer(t, "empty cluster", "--cluster-require-full-coverage", "no")
	other, _ := newServer(t, "empty cluster")
	a, b := open(t, srv.URL()).Client().(*redis.Client), open(t, other.URL()).Client().(*redis.Client)
	must(t, a.ClusterAddSlotsRange(ctx, 0, 8000).Err())
	must(t, b.ClusterAddSlotsRange(ctx, 8001, 16383).Err())
	must(t, b.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", 2).Err())
	must(t, b.ClusterMeet(ctx, "127.0.0.1", srv.Port()).Err())
	for _, c := range []*redis.Client{a, b} {
		await(t, func() bool {
			info := c.ClusterInfo(ctx).Val()
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_size:2")
		})
	}
	db := open(t, "redis-cluster://127.0.0.1:"+srv.Port())
	// Slots: bar 5061, foo 12182.
	r, err := pipeline(t, db, false, "SET bar 1", "SET foo 1")
	must(t, err)
	if got := shown(r); got != "status OK, status OK" {
		t.Fatal(got)
	}
	other.Kill()
	r, err = pipeline(t, db, false, "INCR bar", "INCR foo", "INCR bar")
	must(t, err)
	if got := shown(r); got != "integer 2, error CLUSTERDOWN, integer 3" || !strings.Contains(r[1].Reply.Text, "not done") {
		t.Errorf("%s: %v", got, r)
	}
	if _, err := pipeline(t, db, false, "INCR foo", "INCR foo"); !errors.Is(err, kvdb.ErrAway) {
		t.Errorf("%v", err)
	}
}

// TestPipelineRunsAtMostOnce stalls the server during pipelines.
func TestPipelineRunsAtMostOnce(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	db := srv.DB(t)
	for _, transaction := range []bool{false, true} {
		// CLIENT first: it is no part of a handshake here.
		for _, first := range []string{"CLIENT ID", "GET k"} {
			p, err := newPipeline(t, db, transaction, first, "INCR n")
			must(t, err)
			_, err = pipeline(t, db, transaction, "GET k")
			must(t, err)
			reads, err := newPipeline(t, db, transaction, "GET k", "GET n")
			must(t, err)
			before, _ := db.Client().Get(t.Context(), "n").Int()
			srv.Pause()
			short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			_, err = p.Run(short)
			if first == "GET k" && !errors.Is(err, kvdb.ErrUnknown) || !errors.Is(err, kvdb.ErrUnknown) && !errors.Is(err, kvdb.ErrAway) {
				t.Errorf("%s: %v", first, err)
			}
			if _, err := reads.Run(short); !errors.Is(err, kvdb.ErrAway) || errors.Is(err, kvdb.ErrUnknown) {
				t.Errorf("reads: %v", err)
			}
			cancel()
			srv.Resume()
			awaitHealth(t, db, kvdb.StatusOK)
			if n, _ := db.Client().Get(t.Context(), "n").Int(); n > before+1 {
				t.Errorf("it was done %d times", n-before)
			}
		}
	}
}

// TestPipelineOfAHostileServer: what answers is no Redis, or a liar.
func TestPipelineOfAHostileServer(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	for name, answer := range map[string]string{
		"not enough":          "+OK\r\n+QUEUED\r\n",
		"another protocol":    "HTTP/1.1 400\r\n\r\n",
		"a huge list":         "*100000000\r\n",
		"lists in lists":      strings.Repeat("*1\r\n", 100_000),
		"too many":            "+OK\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n:1\r\n:1\r\n:1\r\n",
		"no queue":            "+OK\r\n:1\r\n:2\r\n*2\r\n:1\r\n:1\r\n",
		"MULTI is refused":    "-LOADING x\r\n:1\r\n:2\r\n-ERR EXEC without MULTI\r\n",
		"nothing":             "",
		"a text without size": "$x\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := listen(t)
			go lie(l, srv, answer)
			db := open(t, "redis://"+l.Addr().String())
			for _, transaction := range []bool{false, true} {
				r, err := pipeline(t, db, transaction, "INCR hostile", "INCR hostile")
				if !errors.Is(err, kvdb.ErrUnknown) && (transaction || err != nil || len(r) != 2) {
					t.Errorf("%v: %s, %v", transaction, shown(r), err)
				}
			}
		})
	}
}

func TestSlots(t *testing.T) {
	t.Parallel()
	client := kvtest.OpenCluster(t).Client()
	for _, key := range []string{"", "a", "foo", "{foo}bar", "{}foo", "foo{}{bar}", "a{b", "{a}{b}", "\xff\x00", "x{y}z",
		"}{a}", strings.Repeat("long", 100)} {
		if diff := cmp.Diff(int(client.ClusterKeySlot(t.Context(), key).Val()), kvdb.SlotOf(key)); diff != "" {
			t.Errorf("%q: %s", key, diff)
		}
	}
}

// BenchmarkPipeline holds a pipeline of 1,000 commands against that of the client.
func BenchmarkPipeline(b *testing.B) {
	db := kvtest.Open(b)
	commands := make([][]string, 1000)
	for i := range commands {
		commands[i] = []string{"SET", "bench:" + strconv.Itoa(i), "some value"}
	}
	b.Run("client", func(b *testing.B) {
		for b.Loop() {
			_, err := db.Client().Pipelined(b.Context(), func(p redis.Pipeliner) error {
				for _, c := range commands {
					p.Do(b.Context(), c[0], c[1], c[2])
				}
				return nil
			})
			must(b, err)
		}
	})
	b.Run("here", func(b *testing.B) {
		for b.Loop() {
			classes, err := db.ClassifyAll(b.Context(), commands)
			must(b, err)
			p, err := db.NewPipeline(classes, "operator", nil, false)
			must(b, err)
			_, err = p.Run(b.Context())
			must(b, err)
		}
	})
}
