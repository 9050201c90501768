package api_test
import "testing"
func TestTmp(t *testing.T) {
	w := newWorld(t)
	w.want(201, "POST", "/dictionary/entries", entry("LONE", "k", "no translation"))
	w.want(201, "POST", "/dictionary/translations", translation("A", "k", "v", "B", "k", "v"))
	a := w.want(200, "GET", "/dictionary/export?format=json", nil)
	t.Logf("%s", a.raw)
	into := newWorld(t)
	t.Logf("%s", into.want(200, "POST", "/dictionary/import?format=json", string(a.raw)).raw)
	t.Logf("%s", into.want(200, "GET", "/dictionary/entries", nil).raw)
}
