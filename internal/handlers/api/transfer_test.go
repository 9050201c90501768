package api_test

import (
	"bytes"
	"compress/bzip2"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"webadmin/internal/account"
	"webadmin/internal/handlers/api"
	"webadmin/internal/kvdb/kvtest"
)

const csvHead = "system1,key1,value1,system2,key2,value2\n"

func TestImport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const path = "/dictionary/import"
	file := csvHead + "A,k,1,B,k,one\nA,k,2,B,k,two\n"
	result := func(a answer) (r api.ImportResult) {
		a.into(t, &r)
		return r
	}
	none := []api.Reject{}

	got := result(w.want(200, "POST", path+"?format=csv&mode=merge&dry_run=true", file))
	if diff := cmp.Diff(api.ImportResult{Created: 2, EntriesCreated: 4, Rejected: none}, got); diff != "" {
		t.Errorf("dry run (-want +got):\n%s", diff)
	}
	if n := len(w.items("/dictionary/entries")); n != 0 {
		t.Errorf("a dry run wrote %d entries", n)
	}
	got = result(w.want(200, "POST", path+"?format=csv", file, header("Content-Type", "image/png")))
	if diff := cmp.Diff(api.ImportResult{Created: 2, EntriesCreated: 4, Rejected: none, Change: "1"}, got); diff != "" {
		t.Errorf("import (-want +got):\n%s", diff)
	}
	got = result(w.want(200, "POST", path+"?format=csv", "\ufeff"+strings.ReplaceAll(csvHead+"A,k,1,B,k,uno\nA,k,2,B,k,two\nA,k,3,B,k,three\n", "\n", "\r\n")))
	if diff := cmp.Diff(api.ImportResult{Created: 1, Updated: 1, Unchanged: 1, EntriesCreated: 3, Rejected: none, Change: "2"}, got); diff != "" {
		t.Errorf("merge (-want +got):\n%s", diff)
	}
	got = result(w.want(200, "POST", path+"?format=csv&mode=replace", file))
	if got.Updated != 1 || got.Unchanged != 1 || got.Deleted != 1 || got.Change != "3" {
		t.Errorf("replace: %+v", got)
	}

	bad := csvHead + "A,k,9,B,k,nine\nA,k,8,B\nA b,k,7,B,k,seven\n"
	refused := w.want(422, "POST", path+"?format=csv", bad)
	detail, _ := refused.problem(t)
	got = result(refused)
	if got.Created != 1 || len(got.Rejected) != 2 || got.Rejected[0].Line != 3 || got.Rejected[0].Reason == "" || got.Rejected[1].Line != 4 || got.Change != "" || !strings.Contains(detail, "2 rows") {
		t.Errorf("rejected: %s", refused.raw)
	}
	if n := len(w.items("/dictionary/translations")); n != 2 {
		t.Errorf("a refused import wrote: %d translations", n)
	}
	if got = result(w.want(200, "POST", path+"?format=csv&dry_run=1", bad)); len(got.Rejected) != 2 || got.Created != 1 || got.Change != "" {
		t.Errorf("dry run with rejected rows: %+v", got)
	}
	if got = result(w.want(200, "POST", path+"?format=csv&skip_rejected=true", bad)); len(got.Rejected) != 2 || got.Created != 1 || got.Change == "" {
		t.Errorf("the others: %+v", got)
	}
	for name, body := range map[string]string{"empty": "", "another header": "a,b\n1,2\n", "UTF-16": "\xff\xfes\x00"} {
		if detail, _ := w.want(422, "POST", path+"?format=csv", body).problem(t); detail == "" {
			t.Errorf("%s: nothing is said", name)
		}
	}
	w.want(422, "POST", path+"?format=json", `{"entries":[`).problem(t)
}

func TestImportOfTheOldSystem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plain, err := os.ReadFile("../../../demo/zato-sample-export.json")
	if err != nil {
		t.Fatal(err)
	}
	var got api.ImportResult
	w.want(200, "POST", "/dictionary/import?format=zato&mode=merge", string(plain)).into(t, &got)
	if got.Created == 0 {
		t.Errorf("%+v", got)
	}
	packed := w.want(200, "GET", "/dictionary/export?format=zato&compress=bz2", nil).raw
	w.want(200, "POST", "/dictionary/import?format=zato&mode=replace", bytes.NewReader(packed)).into(t, &got)
	if got.Created+got.Updated+got.Deleted != 0 || got.Unchanged == 0 {
		t.Errorf("its own export, packed: %+v", got)
	}
}

func TestExportGivesEverythingBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.want(201, "POST", "/dictionary/entries", entry("LONE", "k", "no translation"))
	for _, v := range awkward {
		w.want(201, "POST", "/dictionary/translations", translation("A", "k", v, "B", "k", v))
	}
	plain := func(w *world, list string) []any {
		items := w.items("/dictionary/" + list + "?limit=1000")
		for _, i := range items {
			delete(i.(object), "id")
			delete(i.(object), "version")
		}
		return items
	}
	for query, want := range map[string]struct{ kind, name string }{
		"format=csv":               {"text/csv; charset=utf-8", "translations.csv"},
		"format=json":              {"application/json", "dictionaries.json"},
		"format=zato":              {"application/json", "zato-data-dict-export.json"},
		"format=zato&compress=bz2": {"application/x-bzip2", "zato-data-dict-export.json.bz2"},
	} {
		a := w.want(200, "GET", "/dictionary/export?"+query, nil, w.as(account.Viewer))
		if got := a.header.Get("Content-Type"); got != want.kind || a.header.Get("Content-Disposition") != "attachment; filename="+want.name {
			t.Errorf("%s: %s, %s", query, got, a.header.Get("Content-Disposition"))
		}
		if strings.HasSuffix(query, "bz2") {
			if _, err := io.Copy(io.Discard, bzip2.NewReader(bytes.NewReader(a.raw))); err != nil {
				t.Errorf("%s: %v", query, err)
			}
		}
		into := newWorld(t)
		format, _, _ := strings.Cut(query, "&")
		into.want(200, "POST", "/dictionary/import?"+format, bytes.NewReader(a.raw))
		if diff := cmp.Diff(plain(w, "translations"), plain(into, "translations")); diff != "" {
			t.Errorf("%s: translations (-before +after):\n%s", query, diff)
		}
		if format == "format=csv" {
			if !bytes.HasPrefix(a.raw, []byte(csvHead)) {
				t.Errorf("%.60s", a.raw)
			}
			continue
		}
		if diff := cmp.Diff(plain(w, "entries"), plain(into, "entries")); diff != "" {
			t.Errorf("%s: entries (-before +after):\n%s", query, diff)
		}
	}
}

// manyMegabytes is a file of n translations of 4 KiB.
func manyMegabytes(n int) io.Reader {
	var file bytes.Buffer
	file.WriteString(csvHead)
	for i := range n {
		fmt.Fprintf(&file, "FROM,k,%d,TO,k,%d %s\n", i, i, strings.Repeat("x", 4000))
	}
	return &file
}

// Who downloads half a file has to notice.
func TestExportThatFailsMidwayIsCutOff(t *testing.T) {
	t.Parallel()
	server := kvtest.NewServer(t)
	db := server.DB(t)
	newWorldOn(t, db).want(200, "POST", "/dictionary/import?format=csv", manyMegabytes(3000))

	w := newWorldOn(t, db) // another replica, which has read nothing yet
	res, err := w.client.Do(w.request("GET", base+"/dictionary/export?format=csv", nil, w.as(account.Viewer), header("Accept-Encoding", "identity")))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.CopyN(io.Discard, res.Body, 1000); err != nil || res.StatusCode != 200 {
		t.Fatalf("%d %v", res.StatusCode, err)
	}
	server.Kill()
	if n, err := io.Copy(io.Discard, res.Body); err == nil {
		t.Errorf("after %d bytes the download ended as if it were whole", n)
	}
}

func TestImportTooLarge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	to, err := url.Parse(w.url)
	if err != nil {
		t.Fatal(err)
	}
	// Announced: refused before a byte of it is sent.
	conn, err := net.Dial("tcp", to.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST %s/dictionary/import?format=csv HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n", base, w.token[account.Operator], api.MaxImport+1)
	answered := make([]byte, 16)
	if _, err := io.ReadFull(conn, answered); err != nil || string(answered[:12]) != "HTTP/1.1 413" {
		t.Errorf("%q %v", answered, err)
	}
	if testing.Short() {
		return
	}
	// Not announced: refused when the limit is passed, and nothing is written.
	row := []byte("A,k," + strings.Repeat("x", 500_000) + ",B,k,1\n") // rejected at a glance
	endless := io.MultiReader(strings.NewReader(csvHead), &repeating{row: row}, strings.NewReader("x"))
	res, err := w.client.Do(w.request("POST", base+"/dictionary/import?format=csv", io.LimitReader(endless, api.MaxImport+100_000), w.as(account.Operator)))
	if err != nil { // it stopped reading, and the client may notice that first
		t.Logf("the upload was cut off: %v", err)
	} else {
		defer res.Body.Close()
		if res.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%d", res.StatusCode)
		}
	}
	if n := len(w.items("/dictionary/entries")); n != 0 {
		t.Errorf("%d entries", n)
	}
}

// repeating is a row again and again.
type repeating struct {
	row []byte
	at  int
}

func (r *repeating) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		c := copy(p[n:], r.row[r.at:])
		n, r.at = n+c, (r.at+c)%len(r.row)
	}
	return n, nil
}
