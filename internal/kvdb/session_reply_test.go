package kvdb

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"testing"
)

// FuzzFrame: a reply that is cut ends where the same reply ends that is read in full.
func FuzzFrame(f *testing.F) {
	for _, reply := range []string{
		"+OK\r\n", "$-1\r\n", "$0\r\n\r\n", "$5\r\na\r\nbc\r\n", "*0\r\n", "*-1\r\n", "*2\r\n:1\r\n*1\r\n$1\r\nx\r\n", "%1\r\n+k\r\n~2\r\n,1.5\r\n#t\r\n",
		"=7\r\ntxt:abc\r\n", "!3\r\nERR\r\n", "|1\r\n+a\r\n*1\r\n:1\r\n*1\r\n|1\r\n+b\r\n_\r\n(12\r\n", ">2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n",
		"-ERR " + strings.Repeat("x", 5000) + "\r\n",
	} {
		f.Add([]byte(reply), 1, 10)
	}
	const next = "$4\r\nnext\r\n"
	f.Fuzz(func(t *testing.T, reply []byte, items, size int) {
		full := newReplyReader(bufio.NewReader(bytes.NewReader(reply)), 1_000_000, 1<<20)
		_, err := full.value(0)
		rest, _ := io.ReadAll(full.r)
		if err != nil || full.cut || len(rest) > 0 {
			return
		}
		w := &wire{r: bufio.NewReader(io.MultiReader(bytes.NewReader(reply), strings.NewReader(next)))}
		buf := bufio.NewReader(nil)
		if _, _, err := w.whole(buf, max(0, items%100), max(0, size%1000)); err != nil {
			t.Fatalf("%q: %v", reply, err)
		}
		if r, cut, err := w.whole(buf, 10, 100); err != nil || cut || r.Text != "next" {
			t.Errorf("after %q comes %v, %v, %v", reply, r, cut, err)
		}
	})
}
