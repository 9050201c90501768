package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// module is what import paths of ours start with.
const module = "webadmin"

// pkg is what go list says of a package. Imports are those of its own files, generated ones included, not of its tests.
type pkg struct {
	ImportPath string
	Imports    []string
}

// importRule holds for the packages that it names; the first one that does decides. Paths are relative to the module; "x/..." is
// x and what is below it, "std" the standard library, "modules" all that go.mod brings.
type importRule struct {
	of     []string
	may    []string
	butNot []string // of what may would let through
}

const (
	redis = "github.com/redis/..."
	templ = "github.com/a-h/templ/..."
	tests = "internal/kvdb/kvtest" // for _test.go files only
	cid   = "internal/correlation" // for all that write down what happened
)

// web is what nothing below the handlers may know.
var web = []string{"net/http", "github.com/labstack/...", templ, "github.com/danielgtaylor/...", "github.com/gorilla/..."}

var importRules = []importRule{
	{of: []string{"cmd/..."}, may: []string{"..."}, butNot: []string{tests, redis}},
	{of: []string{cid}, may: []string{"std"}, butNot: web},
	{of: []string{tests}, may: []string{"std", "modules", "internal/kvdb"}, butNot: web},
	{of: []string{"internal/kvdb"}, may: []string{"std", "modules"}, butNot: web},
	{of: []string{"internal/kvdb/console"}, may: []string{"std", "modules", "internal/kvdb"}, butNot: append(web, redis)},
	{of: []string{"internal/lua/..."}, may: []string{"std", "modules", cid, "internal/kvdb", "internal/lua/..."}, butNot: web},
	{of: []string{"internal/account", "internal/audit", "internal/dict", "internal/stats"},
		may: []string{"std", "modules", cid, "internal/kvdb"}, butNot: web},
	{of: []string{"internal/broker"}, may: []string{"std", "modules", cid, "internal/kvdb"}, butNot: web},
	{of: []string{"internal/broker/webhook"}, may: []string{"std", cid, "internal/kvdb", "internal/broker"}}, // the only client of HTTP
	{of: []string{"internal/handlers/mw"}, may: []string{"std", "modules", cid, "internal/account", "internal/kvdb"}, butNot: []string{redis}},
	{of: []string{"internal/handlers/..."}, may: []string{"std", "modules", "internal/...", "web/..."}, butNot: []string{tests, redis}},
	{of: []string{"web/static"}, may: []string{"std"}},
	{of: []string{"web/templates/ui"}, may: []string{"std", "web/static", templ}, butNot: []string{"net/http"}},
	{of: []string{"web/templates/layout"}, may: []string{"std", "web/static", "web/templates/ui", templ}, butNot: []string{"net/http"}},
	{of: []string{"web/templates/..."}, may: []string{"std", "web/templates/layout", "web/templates/ui", templ}, butNot: []string{"net/http"}},
	{of: []string{"demo"}, may: []string{"std"}},
}

func TestImports(t *testing.T) {
	t.Parallel()
	packages := listPackages(t)
	if len(packages) < 10 {
		t.Fatalf("go list found %d packages of ours; that can't be all", len(packages))
	}
	for _, p := range packages {
		path := own(p.ImportPath)
		i := slices.IndexFunc(importRules, func(r importRule) bool { return matchesAny(r.of, path) })
		if i < 0 {
			t.Errorf("%s: no rule says what it may import; add one", path)
			continue
		}
		for _, imported := range p.Imports {
			if !importRules[i].allows(own(imported)) {
				t.Errorf("%s must not import %s", path, own(imported))
			}
		}
	}
}

// The test above would pass for ever if its rules allowed everything.
func TestImportRulesRefuse(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ of, imported string }{
		{"internal/dict", "internal/account"}, {cid, "internal/broker"}, {"internal/audit", "net/http"}, {"internal/kvdb", "internal/dict"},
		{"internal/broker", "net/http"}, {"internal/broker", "internal/lua"}, {"internal/broker/webhook", "internal/lua"},
		{"internal/account", "github.com/labstack/echo/v4"}, {"internal/dict", "github.com/a-h/templ"},
		{"internal/handlers", "github.com/redis/go-redis/v9"}, {"internal/handlers/mw", "internal/dict"},
		{"internal/handlers/mw", "web/templates/dictview"},
		{"internal/handlers/api", "github.com/redis/go-redis/v9"}, {"internal/handlers", "internal/kvdb/kvtest"},
		{"web/templates/dictview", "internal/dict"}, {"web/templates/ui", "github.com/labstack/echo/v4"},
		{"web/templates/layout", "web/templates/dictview"},
		{"web/static", "web/templates/ui"}, {"cmd/webadmin", "internal/kvdb/kvtest"},
	} {
		i := slices.IndexFunc(importRules, func(r importRule) bool { return matchesAny(r.of, tc.of) })
		if importRules[i].allows(tc.imported) {
			t.Errorf("%s may import %s", tc.of, tc.imported)
		}
	}
}

func (r importRule) allows(path string) bool {
	if matchesAny(r.butNot, path) {
		return false
	}
	// A module's path begins with a domain, one of the standard library does not, and neither is one of our folders.
	first, _, _ := strings.Cut(path, "/")
	kind := "std"
	if strings.Contains(first, ".") {
		kind = "modules"
	} else if slices.Contains([]string{"cmd", "internal", "web", "demo", "e2e"}, first) {
		kind = ""
	}
	return matchesAny(r.may, path) || slices.Contains(r.may, kind)
}

func matchesAny(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		tree, all := strings.CutSuffix(p, "...")
		return p == path || all && (strings.HasPrefix(path, tree) || path+"/" == tree)
	})
}

// own makes an import path relative to the module.
func own(path string) string { return strings.TrimPrefix(path, module+"/") }

func listPackages(t *testing.T) (packages []pkg) {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./cmd/...", "./internal/...", "./web/...", "./demo/...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		t.Fatalf("go list: %s", exit.Stderr)
	} else if err != nil {
		t.Fatal(err)
	}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}
