package lua

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

func TestArchive(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		dir := t.TempDir()
		write(t, dir, map[string]string{"f": "return 'f'\r\n", "over": "return 'below'", "bad": "\x00", "a b": "return 1"})
		now := newClock()
		s := newStore(t, db, withDir(dir), withClock(now))
		want := []string{`f.lua "return 'f'\r\n"`, `over.lua "return 'above'"`}
		for i := range 120 { // more than a page
			name := fmt.Sprintf("u%03d", i)
			mustPut(t, s, name, "return '"+name+"'")
			want = append(want, fmt.Sprintf("%s.lua %q", name, "return '"+name+"'"))
		}
		mustPut(t, s, "over", "return 'above'")
		mustPut(t, s, "gone", "return 1")
		must(t, s.Delete(t.Context(), By{}, "gone", -1))
		var first, second bytes.Buffer
		must(t, s.Archive(t.Context(), &first))
		must(t, s.Archive(t.Context(), &second))
		if !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Error("two archives of the same differ")
		}
		z, err := zip.NewReader(bytes.NewReader(first.Bytes()), int64(first.Len()))
		must(t, err)
		var got []string
		for _, f := range z.File {
			r, err := f.Open()
			must(t, err)
			text, err := io.ReadAll(r)
			must(t, err)
			got = append(got, fmt.Sprintf("%s %q", f.Name, text))
			if f.Name[0] == 'u' && !f.Modified.Equal(now.now()) {
				t.Errorf("%s is of %v", f.Name, f.Modified)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	})
}
