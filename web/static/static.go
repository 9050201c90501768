// Package static serves the stylesheet and the scripts of the pages. They are built from src/ into dist/ by "make assets"
// and embedded; at run time nothing is read from disk. Each file's URL holds a hash of its content, so that a browser may keep it for ever.
package static

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

// Prefix is where Handler has to be mounted.
const Prefix = "/static/"

// dist/.keep is committed, so that the package compiles before the assets are built.
//
//go:embed all:dist
var dist embed.FS

var built = sync.OnceValue(func() set {
	sub, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the directory is embedded above
	}
	s, err := load(sub)
	if err != nil {
		panic(err)
	}
	return s
})

// Path returns the URL path of a built file, such as "app.css". It panics on a name that was not built: that is a mistake in
// the code or a build without its assets, and both show in the first test that renders a page.
func Path(name string) string { return built().path(name) }

// Handler serves everything below Prefix: immutable for a year, compressed as the browser accepts it.
func Handler() http.Handler { return built() }

type file struct {
	hash, contentType string
	plain, br, gz     []byte // br and gz are nil where compression does not help
}

type set map[string]file

// load reads the files of a build: name, and beside it name.br and name.gz.
func load(fsys fs.FS) (set, error) {
	s := set{}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		ext := path.Ext(name)
		if err != nil || d.IsDir() || ext == ".br" || ext == ".gz" || d.Name() == ".keep" {
			return err
		}
		contentType, ok := contentTypes[ext]
		if !ok {
			return fmt.Errorf("static: %s: no content type for %q", name, ext)
		}
		f := file{contentType: contentType}
		if f.plain, err = fs.ReadFile(fsys, name); err != nil {
			return err
		}
		f.br, _ = fs.ReadFile(fsys, name+".br")
		f.gz, _ = fs.ReadFile(fsys, name+".gz")
		sum := sha256.Sum256(f.plain)
		f.hash = hex.EncodeToString(sum[:6])
		s[name] = f
		return nil
	})
	return s, err
}

var contentTypes = map[string]string{
	".css":   "text/css; charset=utf-8",
	".js":    "text/javascript; charset=utf-8",
	".svg":   "image/svg+xml",
	".png":   "image/png",
	".woff2": "font/woff2",
}

func (s set) path(name string) string {
	f, ok := s[name]
	if !ok {
		panic(fmt.Sprintf("static: no file %q is built; run \"make assets\"", name))
	}
	return Prefix + f.hash + "/" + name
}

func (s set) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "Method not allowed.", http.StatusMethodNotAllowed)
		return
	}
	hash, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, Prefix), "/")
	f, ok := s[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	// While replicas are being replaced, a page of one version may ask another for its files: it gets what there is, but must not keep it.
	if hash == f.hash {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		h.Set("Cache-Control", "no-store")
	}
	body := f.plain
	accepts := r.Header.Get("Accept-Encoding")
	switch {
	case f.br != nil && accept(accepts, "br"):
		body = f.br
		h.Set("Content-Encoding", "br")
	case f.gz != nil && accept(accepts, "gzip"):
		body = f.gz
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Vary", "Accept-Encoding")
	h.Set("Content-Type", f.contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // the browser may have gone; there is no one to tell
}

// accept reports whether an Accept-Encoding header names the coding and does not refuse it with q=0.
func accept(header, coding string) bool {
	for part := range strings.SplitSeq(header, ",") {
		name, params, _ := strings.Cut(part, ";")
		if !strings.EqualFold(strings.TrimSpace(name), coding) {
			continue
		}
		q, given := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q=")
		if !given {
			return true
		}
		weight, err := strconv.ParseFloat(q, 64)
		return err == nil && weight > 0
	}
	return false
}
