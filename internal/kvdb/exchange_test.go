package kvdb_test

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// lie passes on what a server answers, but answers a request with INCR or MULTI in it itself, and hangs up.
func lie(l net.Listener, srv *kvtest.Server, answer string) { lieTo(l, srv, answer, "INCR", "MULTI") }

// lieTo is lie for requests with one of the words, in capitals or not.
func lieTo(l net.Listener, srv *kvtest.Server, answer string, words ...string) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			up, err := net.Dial("unix", strings.TrimPrefix(srv.URL(), "unix://"))
			if err != nil {
				return
			}
			defer up.Close()
			go func() { _, _ = io.Copy(conn, up) }()
			buf := make([]byte, 64<<10)
			for {
				n, err := conn.Read(buf)
				if err != nil {
					return
				}
				text := strings.ToUpper(string(buf[:n]))
				if slices.ContainsFunc(words, func(word string) bool { return strings.Contains(text, word) }) {
					_, _ = io.WriteString(conn, answer)
					return
				}
				if _, err := up.Write(buf[:n]); err != nil {
					return
				}
			}
		}()
	}
}

// TestReadToTheEnd: a reply that is cut is read to its end all the same.
func TestReadToTheEnd(t *testing.T) {
	t.Parallel()
	bulk := func(text string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text) }
	long := strings.Repeat("x", 10_000)
	for _, tt := range []struct {
		in                 string
		items, bytes, part int
		want               string
		cut                bool
	}{
		{bulk("abc"), 10, 100, 0, "abc", false},
		{bulk(long), 10, 3, 0, "xxx", true},
		{"+" + long + "\r\n", 10, 3, 0, "xx", true},
		{"*3\r\n:1\r\n:2\r\n:3\r\n", 2, 1000, 0, "[1 2]", true},
		{"*3\r\n*2\r\n:1\r\n" + bulk(long) + "%1\r\n+a\r\n*1\r\n_\r\n~2\r\n#t\r\n,1.5\r\n", 1, 1000, 0, "[[1]]", true},
		{"*2\r\n" + bulk(long) + "|1\r\n+a\r\n+b\r\n(123\r\n", 10, 50, 0, "[" + strings.Repeat("x", 50) + "]", true},
		{"%2\r\n+a\r\n:1\r\n+b\r\n:2\r\n", 1, 1000, 0, "[a 1]", true},
		{strings.Repeat("*1\r\n", 1100) + ":1\r\n", 10, 1 << 20, 0, strings.Repeat("[", 1001) + strings.Repeat("]", 1001), true},
		{"*3\r\n" + bulk(long) + "$-1\r\n" + bulk("b"), 10, 100_000, 5, "[xxxxx/10000  b]", false},
		{"*2\r\n" + bulk(long) + bulk(long), 10, 10, 1000, "[" + strings.Repeat("x", 256) + "/10000 " + strings.Repeat("x", 256) + "/10000]", false},
		{bulk("é☺"), 10, 100, 3, "é/5", false},
	} {
		reply, cut, rest, err := kvdb.ReadParts(strings.NewReader(tt.in+"rest"), tt.items, tt.bytes, tt.part)
		if err != nil || rest != "rest" || cut != tt.cut {
			t.Errorf("%.60q: cut %v, rest %.20q, %v", tt.in, cut, rest, err)
		}
		if diff := cmp.Diff(tt.want, tree(reply)); diff != "" {
			t.Errorf("%.60q (-want +got):\n%s", tt.in, diff)
		}
	}
	for _, in := range []string{"*2\r\n:1\r\n", "*1\r\n?\r\n", "*2\r\n:1\r\n$5\r\nab", "*1\r\n$x\r\n", "*1\r\n\r\n", bulk(long)[:5000]} {
		for _, items := range []int{0, 10} {
			if _, _, _, err := kvdb.ReadParts(strings.NewReader(in), items, 3, 0); err == nil {
				t.Errorf("%q: no error", in)
			}
		}
	}
}

// tree writes a reply; a text that was read in parts has its size after it.
func tree(r kvdb.Reply) string {
	switch {
	case r.Kind == kvdb.KindBulk && len(r.Items) == 1:
		return r.Text + "/" + r.Items[0].Text
	case r.Kind != kvdb.KindArray && r.Kind != kvdb.KindMap && r.Kind != kvdb.KindSet:
		return r.Text
	}
	var items []string
	for _, item := range r.Items {
		items = append(items, tree(item))
	}
	return "[" + strings.Join(items, " ") + "]"
}
