package handlers

import (
	"archive/zip"
	"bytes"
	"context"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"webadmin/internal/account"
	"webadmin/internal/lua"
)

// luaApp is the server with somebody signed in as an operator, and a directory of programs.
type luaApp struct{ *dictApp }

// newLuaApp returns it with these files in the directory: name, text, name, text.
func newLuaApp(t testing.TB, files ...string) *luaApp {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i+1 < len(files); i += 2 {
		if err := os.WriteFile(filepath.Join(dir, files[i]), []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a := newDictApp(t, func(d *Deps) { d.Lua = lua.New(d.DB, lua.Options{Dir: dir, Now: d.Now, Logger: d.Logger}) })
	t.Cleanup(func() { _ = a.deps.Lua.Close(context.Background()) })
	return &luaApp{a}
}

func (a *luaApp) as(role account.Role) *luaApp { return &luaApp{a.dictApp.as(role)} }

// put saves a program past the pages.
func (a *luaApp) put(name, text string) lua.Program {
	a.t.Helper()
	p, _, err := a.deps.Lua.Put(context.Background(), lua.By{Who: "anna"}, name, text, -1)
	if err != nil {
		a.t.Fatal(err)
	}
	return p
}

// text is that of a program.
func (a *luaApp) text(name string) string {
	a.t.Helper()
	x, err := a.deps.Lua.Program(context.Background(), name)
	if err != nil {
		a.t.Fatal(err)
	}
	return x.Text
}

// sent is the form of the editor as a browser sends it.
func (a *luaApp) sent(path string, pairs ...string) []string {
	a.t.Helper()
	rec := a.show(path)
	wantStatus(a.t, rec, http.StatusOK)
	d := doc(a.t, rec)
	form := d.Find("form#program")
	fields := []string{"source", strings.ReplaceAll(form.Find("textarea").Text(), "\n", "\r\n")}
	for _, el := range form.Find("input[name]").EachIter() {
		name, _ := el.Attr("name")
		value, _ := el.Attr("value")
		fields = append(fields, name, value)
	}
	return instead(fields, pairs...)
}

func head(r *http.Request) {
	fragment(r)
	r.Header.Set("HX-Target", "div#editor-head")
}

const (
	get1    = "return redis.call('GET', KEYS[1])\n"
	get2    = "-- reads one key\nreturn redis.call('GET', KEYS[1])\n"
	noLua   = "local a =\nreturn a\n"
	builtin = "kvdb.rename_if_exists"
)

func TestProgramsAreListed(t *testing.T) {
	t.Parallel()
	a := newLuaApp(t, "other.lua", get1)
	a.put("mylib.get", get1)
	a.put(builtin, get1)
	rec := a.show("/lua")
	wantStatus(t, rec, http.StatusOK)
	d := doc(t, rec)
	wantText(t, d.Find("nav#nav"), "Lua")
	rows := d.Find(testid("program"))
	if rows.Length() != 3 {
		t.Fatalf("%d rows:\n%s", rows.Length(), words(d.Find("main")))
	}
	wantText(t, rows.Eq(0), builtin, "upload", "overrides the built-in", "anna")
	wantText(t, rows.Eq(1), "mylib.get", "upload", "never")
	wantText(t, rows.Eq(2), "other", "file")
	if to, _ := rows.Eq(1).Find("td[data-label=Version] a").Attr("href"); to != "/lua/mylib.get/versions" {
		t.Errorf("the version leads to %q", to)
	}
	if sum, _ := rows.Eq(1).Find("[data-copy]").Attr("data-copy"); len(sum) != 40 {
		t.Errorf("%q is copied", sum)
	}
	part := a.show("/lua?q=MYLIB&origin=upload", fragment)
	wantStatus(t, part, http.StatusOK)
	p := doc(t, part)
	if p.Find("section#list").Length() != 1 || p.Find("nav#nav").Length() != 0 || p.Find(testid("program")).Length() != 1 {
		t.Errorf("not the list alone:\n%.300s", part.Body)
	}
	wantText(t, doc(t, a.show("/lua?q=nothing")).Find(".empty"), "Nothing matches", "Clear the filters")
	if d.Find("main .notice").Length() != 0 {
		t.Error("a notice without need")
	}
	bare := newDictApp(t, func(d *Deps) { d.ProgramUser = "" })
	wantText(t, doc(t, bare.show("/lua")).Find("main .notice"), "no Redis user for programs")
}

func TestAProgramIsSavedAsAVersion(t *testing.T) {
	t.Parallel()
	a := newLuaApp(t)
	rec := a.send("/lua", a.sent("/lua/-/scratch?new=1", "name", "mylib.get", "source", get1))
	wantRedirect(t, rec, "/lua/mylib.get")
	rec = a.show("/lua/mylib.get")
	wantStatus(t, rec, http.StatusOK)
	d := doc(t, rec)
	wantText(t, d.Find("#toasts"), "Saved as version 1.")
	wantText(t, d.Find("#facts"), "upload", "version 1", "operator", "never run")
	wantText(t, d.Find("#problems"), "No problems")
	if csp := rec.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "style-src 'self' 'nonce-") {
		t.Errorf("the editor can't have its style sheet: %s", csp)
	}
	a.wantRecord("operator | lua.save | program mylib.get | done")

	// The same form once more changes nothing, and says so.
	fields := a.sent("/lua/mylib.get")
	rec = a.send("/lua/mylib.get", fields, head)
	wantStatus(t, rec, http.StatusOK)
	wantText(t, doc(t, rec).Find("#toasts"), "Nothing was different")

	rec = a.send("/lua/mylib.get", instead(fields, "source", get2), head)
	wantStatus(t, rec, http.StatusOK)
	d = doc(t, rec)
	if v := valueOf(d, "version"); d.Find("#editor-head").Length() != 1 || v != "2" {
		t.Errorf("the form goes on from version %q:\n%.300s", v, rec.Body)
	}
	wantText(t, d.Find("#facts"), "version 2")
	wantText(t, d.Find("#toasts"), "Saved as version 2.")
	if got := a.text("mylib.get"); got != get2 {
		t.Errorf("saved is %q", got)
	}

	// A warning keeps nobody from saving.
	rec = a.send("/lua/mylib.get", a.sent("/lua/mylib.get", "source", "return undefined_name\n"), head)
	wantStatus(t, rec, http.StatusOK)
	wantText(t, doc(t, rec).Find("#toasts"), "Saved as version 3; 1 warning.")
}

func TestLineEndsStayAsTheyWere(t *testing.T) {
	t.Parallel()
	a := newLuaApp(t)
	for name, text := range map[string]string{
		"lf": "\nlocal a = 1\nreturn a", "crlf": "local a = 1\r\nreturn a\r\n", "bom": "-- \ufeff\nreturn 1\n",
		"odd": "\n\n-- \u00e9\t\u2028 & <b>\nreturn '&lt;'\n\n",
	} {
		a.put(name, text)
		fields := a.sent("/lua/" + name)
		rec := a.send("/lua/"+name, fields, head)
		wantStatus(t, rec, http.StatusOK)
		wantText(t, doc(t, rec).Find("#toasts"), "Nothing was different")
		rec = a.show("/lua/" + name + "/download")
		if got := rec.Body.String(); got != text {
			t.Errorf("%s: %q became %q", name, text, got)
		}
		if to := rec.Header().Get("Content-Disposition"); to != "attachment; filename*=UTF-8''"+name+".lua" {
			t.Errorf("it is called %s", to)
		}
	}
	a.put("mixed", "local a = 1\r\nreturn a\n")
	wantText(t, doc(t, a.show("/lua/mixed")).Find("#editor-head"), "line ends of this text are not all alike")
}

func TestAnErrorOfTheSyntaxIsShownWithTheForm(t *testing.T) {
	t.Parallel()
	a := newLuaApp(t)
	a.put("mylib.get", get1)
	for name, alter := range map[string][]with{"page": nil, "fragment": {head}} {
		t.Run(name, func(t *testing.T) {
			rec := a.send("/lua/mylib.get", a.sent("/lua/mylib.get", "source", noLua), alter...)
			wantStatus(t, rec, http.StatusUnprocessableEntity)
			d := doc(t, rec)
			wantText(t, d.Find("#editor-head"), "It was not saved: line 2")
			if at, _ := d.Find("#problems [data-problem][data-kind=error]").Attr("data-problem"); !strings.HasPrefix(at, "2:") {
				t.Errorf("the problem is at %q", at)
			}
			if name == "page" && d.Find("#source").Text() != noLua {
				t.Errorf("what was typed is lost: %q", d.Find("#source").Text())
			}
		})
	}
	rec := a.send("/lua", a.sent("/lua/-/scratch", "name", "bad name", "source", get1))
	wantStatus(t, rec, http.StatusUnprocessableEntity)
	d := doc(t, rec)
	wantText(t, d.Find(".field-error"), "letters")
	if d.Find("#source").Text() != get1 {
		t.Error("what was typed is lost")
	}
	if a.text("mylib.get") != get1 {
		t.Error("it was saved")
	}
}

func TestAStaleProgramShowsBoth(t *testing.T) {
	t.Parallel()
	a := newLuaApp(t)
	a.put("mylib.get", get1)
	fields := a.sent("/lua/mylib.get", "source", "return 7\n")
	a.put("mylib.get", get2)
	rec := a.send("/lua/mylib.get", fields)
	wantStatus(t, rec, http.StatusConflict)
	d := doc(t, rec)
	wantText(t, d.Find(testid("stale")), "anna has saved version 2 meanwhile", "return 7", "reads one key")
	if got := d.Find("#source").Text(); got != "return 7\n" {
		t.Errorf("what was typed is lost: %q", got)
	}
	rec = a.send("/lua/mylib.get", fields, head)
	wantStatus(t, rec, http.StatusConflict)
	d = doc(t, rec)
	rec = a.send("/lua/mylib.get", instead(fields, "version", valueOf(d, "version"), "op", valueOf(d, "op")), head)
	wantStatus(t, rec, http.StatusOK)
	wantText(t, doc(t, rec).Find("#toasts"), "Saved as version 3")

	// A new program does not take the place of one that is there.
	rec = a.send("/lua", a.sent("/lua/-/scratch?new=1", "name", "mylib.get", "source", get1))
	wantStatus(t, rec, http.StatusConflict)
	wantText(t, doc(t, rec).Find(testid("stale")), "There is an upload of this name already: version 3")
	if a.text("mylib.get") != "return 7\n" {
		t.Error("it was saved over")
	}
}

func TestAFileBecomesAnUploadByteForByte(t *testing.T) {
	t.Parallel()
	const text = "local a = 1\r\nreturn a\n"
	a := newLuaApp(t, "mixed.lua", text)
	d := doc(t, a.show("/lua/mixed"))
	wantText(t, d.Find("#editor-head"), "A file can't be changed here", "Copy to an upload")
	if _, readonly := d.Find("#source").Attr("readonly"); !readonly {
		t.Error("a file can be edited")
	}
	fields := []string{}
	for _, el := range d.Find("form#copy input").EachIter() {
		name, _ := el.Attr("name")
		value, _ := el.Attr("value")
		fields = append(fields, name, value)
	}
	wantRedirect(t, a.send("/lua/mixed", fields), "/lua/mixed")
	d = doc(t, a.show("/lua/mixed"))
	wantText(t, d.Find("#facts"), "upload", "overrides the file", "version 1")
	if got := a.text("mixed"); got != text {
		t.Errorf("%q", got)
	}
	// What has changed since the page was shown is not copied.
	wantRedirect(t, a.send("/lua/"+builtin, []string{"copy", strings.Repeat("0", 40), "op", "x"}), "/lua/"+builtin)
	wantText(t, doc(t, a.show("/lua/"+builtin)).Find("#toasts"), "Nothing was copied")
}

// sendFiles uploads files: name, text, name, text.
func (a *luaApp) sendFiles(files ...string) *httptest.ResponseRecorder {
	a.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	_ = w.WriteField("op", "op-1")
	for i := 0; i+1 < len(files); i += 2 {
		part, err := w.CreateFormFile("file", files[i])
		if err != nil {
			a.t.Fatal(err)
		}
		_, _ = io.WriteString(part, files[i+1])
	}
	_ = w.Close()
	r := httptest.NewRequest(http.MethodPost, "/lua/-/upload", &body)
	r.Header.Set("Content-Type", w.FormDataContentType())
	return a.do(r, a.who)
}

func TestManyFilesAreUploaded(t *testing.T) {
	t.Parallel()
	a := newLuaApp(t, "below.lua", get1)
	a.put("same", get1)
	rec := a.sendFiles("new.lua", get1, "same.lua", get1, "below.lua", get2, "wrong.lua", noLua, "notes.txt", "x", "bad name.lua", get1, "nul.lua",
		"a\x00b", "big.lua", strings.Repeat("-", lua.MaxText+1))
	wantStatus(t, rec, http.StatusOK)
	results := doc(t, rec).Find(testid("result"))
	for i, want := range []string{
		"Saved as version 1.", "Unchanged: it is version 1 already.", "Saved as version 1, which overrides the file.",
		"Not saved: line 2", "it is no .lua file",
		"Refused: the name", "Refused: the text has a NUL byte in line 1", "Refused: the text has",
	} {
		wantText(t, results.Eq(i), want)
	}
	if a.text("new") != get1 || a.text("below") != get2 {
		t.Error("not saved as they were sent")
	}
	a.wantRecord("operator | lua.upload | program new | done")
	a.wantRecord("operator | lua.upload | program wrong | failed")

	rec = a.sendFiles()
	wantStatus(t, rec, http.StatusUnprocessableEntity)
	wantText(t, doc(t, rec).Find(testid("results")), "No file was picked")
	wantStatus(t, a.sendFiles("wrong.lua", noLua), http.StatusUnprocessableEntity)

	archive := a.show("/lua/-/archive")
	wantStatus(t, archive, http.StatusOK)
	z, err := zip.NewReader(bytes.NewReader(archive.Body.Bytes()), int64(archive.Body.Len()))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range z.File {
		names = append(names, f.Name)
	}
	if got := strings.Join(names, " "); !strings.Contains(got, "below.lua") || !strings.Contains(got, "new.lua") {
		t.Errorf("the archive holds %s", got)
	}
}

func TestVersionsAreComparedAndBroughtBack(t *testing.T) {
	t.Parallel()
	a := newLuaApp(t)
	a.put("mylib.get", get1)
	a.put("mylib.get", get2)
	a.put("mylib.get", "return 7\n")
	rec := a.show("/lua/mylib.get/versions")
	wantStatus(t, rec, http.StatusOK)
	rows := doc(t, rec).Find(testid("version"))
	if rows.Length() != 3 {
		t.Fatalf("%d versions", rows.Length())
	}
	wantText(t, rows.Eq(0), "3", "anna", "saved", "current")
	d := doc(t, a.show("/lua/mylib.get/versions/2"))
	wantText(t, d.Find(testid("compared")), "From version 1 to version 2", "1 line added", "0 removed", "reads one key")
	part := doc(t, a.show("/lua/mylib.get/versions/2?against=3", fragment))
	wantText(t, part.Find(testid("compared")), "From version 3 to version 2", "2 lines added", "1 removed")
	if part.Find("nav").Length() != 0 {
		t.Error("not the comparison alone")
	}
	wantText(t, doc(t, a.show("/lua/mylib.get/versions/1")).Find(testid("compared")), "The first version")
	if got := a.show("/lua/mylib.get/download?version=2").Body.String(); got != get2 {
		t.Errorf("version 2 is %q", got)
	}
	wantStatus(t, a.show("/lua/mylib.get/versions/9"), http.StatusNotFound)
	wantStatus(t, a.show("/lua/mylib.get/versions/x"), http.StatusNotFound)

	fields := hiddenOf(d.Find(testid("restore")).Parent())
	a.put("mylib.get", "return 8\n")
	rec = a.send("/lua/mylib.get/versions/2/restore", fields)
	wantStatus(t, rec, http.StatusConflict)
	wantText(t, doc(t, rec).Find("main .notice"), "anna has saved version 4 meanwhile")
	rec = a.send("/lua/mylib.get/versions/2/restore", instead(fields, "version", "4", "op", "again"))
	wantRedirect(t, rec, "/lua/mylib.get")
	if a.text("mylib.get") != get2 {
		t.Error("it is not back")
	}
	a.wantRecord("operator | lua.restore | program mylib.get | done")
	wantText(t, doc(t, a.show("/lua/mylib.get/versions")).Find(testid("version")).First(), "version 2 brought back", "current")
	wantText(t, doc(t, a.show("/lua/"+builtin+"/versions")).Find(".empty"), "There are no versions")
}

func TestDeletingSaysWhatRunsThen(t *testing.T) {
	t.Parallel()
	a := newLuaApp(t)
	a.put("mylib.get", get1)
	a.put(builtin, get1)
	d := doc(t, a.show("/lua/mylib.get/delete"))
	wantText(t, d.Find(testid("delete")), "will be refused", "versions are kept")
	fields := hiddenOf(d.Find("main"))
	wantStatus(t, a.send("/lua/mylib.get/delete", instead(fields, "version", "9")), http.StatusConflict)
	wantRedirect(t, a.send("/lua/mylib.get/delete", fields), "/lua")
	a.wantRecord("operator | lua.delete | program mylib.get | done")
	rec := a.show("/lua/mylib.get")
	wantStatus(t, rec, http.StatusNotFound)
	wantText(t, doc(t, rec).Find("main"), "It was deleted", "Its versions")
	versions := doc(t, a.show("/lua/mylib.get/versions"))
	wantText(t, versions.Find("main"), "The program is deleted")
	wantRedirect(t, a.send("/lua/mylib.get/versions/1/restore", hiddenOf(versions.Find(testid("version")).Eq(1))), "/lua/mylib.get")

	d = doc(t, a.show("/lua/"+builtin+"/delete"))
	wantText(t, d.Find(testid("delete")), "the built-in of the same name runs again")
	wantRedirect(t, a.send("/lua/"+builtin+"/delete", hiddenOf(d.Find("main"))), "/lua/"+builtin)
	wantText(t, doc(t, a.show("/lua/"+builtin)).Find("#facts"), "built-in")
	wantStatus(t, a.send("/lua/"+builtin+"/delete", nil), http.StatusConflict)
}

func TestAnUnknownNameLeadsToNearOnes(t *testing.T) {
	t.Parallel()
	a := newLuaApp(t)
	a.put("mylib.get", get1)
	rec := a.show("/lua/mylib.gte")
	wantStatus(t, rec, http.StatusNotFound)
	d := doc(t, rec)
	wantText(t, d.Find("main"), "There is no program", "mylib.gte", "Perhaps you mean")
	if to, _ := d.Find("main .link").Attr("href"); to != "/lua/mylib.get" {
		t.Errorf("leads to %q", to)
	}
	to, _ := d.Find("main a.btn").First().Attr("href")
	wantStatus(t, a.show(to), http.StatusOK)
	if name := valueOf(doc(t, a.show(to)), "name"); name != "mylib.gte" {
		t.Errorf("the new program is called %q", name)
	}
	wantStatus(t, a.show("/lua/bad%20name%3Cb%3E"), http.StatusNotFound)
	wantStatus(t, a.show("/lua/-"), http.StatusNotFound)
	a.put("-", get1)
	wantText(t, doc(t, a.show("/lua/-")).Find("h1"), "-")
}

func TestProblemsAreToldAsTheTextIsTyped(t *testing.T) {
	t.Parallel()
	a := newLuaApp(t).as(Viewer)
	rec := a.send("/lua/-/check", []string{"source", "local x = 1\r\nreturn redis.call('GET', KEYS[1]))\r\n"}, fragment)
	wantStatus(t, rec, http.StatusOK)
	d := doc(t, rec)
	if at, _ := d.Find("#problems [data-kind=error]").Attr("data-goto"); at != "" {
		t.Error("the mark is on the wrong element")
	}
	if at, _ := d.Find("#problems [data-kind=error] a").Attr("data-goto"); !strings.HasPrefix(at, "2:") {
		t.Errorf("leads to %q", at)
	}
	wantText(t, doc(t, a.send("/lua/-/check", []string{"source", get1}, fragment)).Find("#problems"), "No problems")
	wantText(t, doc(t, a.send("/lua/-/check", []string{"source", " \r\n"}, fragment)).Find("#problems"), "Nothing is typed yet")
}

func TestViewersReadPrograms(t *testing.T) {
	t.Parallel()
	a := newLuaApp(t)
	a.put("mylib.get", get1)
	a.put("mylib.get", get2)
	v := a.as(Viewer)
	for _, path := range []string{"/lua", "/lua/mylib.get", "/lua/mylib.get/versions", "/lua/mylib.get/versions/1", "/lua/-/scratch"} {
		rec := v.show(path)
		wantStatus(t, rec, http.StatusOK)
		d := doc(t, rec)
		if n := d.Find(`main form[method=post], [data-save]`).Length(); n != 0 {
			t.Errorf("%s: a viewer finds %d ways to change something", path, n)
		}
	}
	for _, path := range []string{"/lua", "/lua/mylib.get", "/lua/mylib.get/delete", "/lua/mylib.get/versions/1/restore", "/lua/-/upload"} {
		wantStatus(t, v.send(path, nil), http.StatusForbidden)
	}
}

func TestPagesOfProgramsAreWholeAccessiblePages(t *testing.T) {
	t.Parallel()
	a := newLuaApp(t)
	a.put("mylib.get", get1)
	a.put("mylib.get", get2)
	for _, path := range []string{"/lua", "/lua?q=nothing", "/lua/mylib.get", "/lua/" + builtin, "/lua/-/scratch", "/lua/-/scratch?new=1",
		"/lua/-/scratch?from=mylib.get", "/lua/mylib.get/delete", "/lua/mylib.get/versions", "/lua/mylib.get/versions/2"} {
		t.Run(path, func(t *testing.T) {
			rec := a.show(path)
			wantStatus(t, rec, http.StatusOK)
			d := doc(t, rec)
			if d.Find("h1").Length() != 1 || d.Find("title").Text() == "" {
				t.Error("no heading or no title")
			}
			if ids := duplicateIDs(d); len(ids) > 0 {
				t.Errorf("ids that occur twice: %v", ids)
			}
			if d.Find("[style], [onclick], script:not([src]), style").Length() != 0 {
				t.Error("the content policy forbids inline scripts and styles")
			}
			for _, el := range d.Find("main input:not([type=hidden]), main select, main textarea").EachIter() {
				id, _ := el.Attr("id")
				if d.Find(`label[for="`+id+`"]`).Length() == 0 && el.Closest("label").Length() == 0 {
					t.Errorf("a field without a label: %q", id)
				}
			}
		})
	}
}
