package lua

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/yuin/gopher-lua/ast"
	"github.com/yuin/gopher-lua/parse"

	"webadmin/internal/kvdb"
)

// The directory is polled: notifications don't come from network file systems, nor always for the symlinks
// of a mounted config map. What is kept of a file is all but its text.
const (
	pollEvery = 2 * time.Second
	pollRest  = 50 // a scan that takes long is followed by this many times its duration
	// A file that was written this short before it was read may be written again without a change of its time
	// or size: it is read again.
	settledAfter = 2 * time.Second
)

// file is a program file, as it was found last.
type file struct {
	Program
	base    string      // its name in the directory
	info    fs.FileInfo // of what was read; nil = it could not be
	settled bool
	suspect bool // its syntax looks wrong, and the server has not been asked yet
}

// fileSet is what a scan has found. It is never changed.
type fileSet struct {
	byName map[string]*file
	names  []string // in order
	local  []string // names, and those of what is built in
}

// files looks after the directory.
type files struct {
	dir    string
	logger *slog.Logger
	found  atomic.Pointer[fileSet]
	mu     sync.Mutex      // who has it scans
	warned map[string]bool // what was logged about, so that it is logged once
}

// all returns what the last scan has found; the first who asks scans.
func (f *files) all() *fileSet {
	if set := f.found.Load(); set != nil {
		return set
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.found.Load() == nil {
		f.scanLocked()
	}
	return f.found.Load()
}

func (f *files) scan() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.scanLocked()
}

// scanLocked looks at the directory. Files that are as they were are not read again.
func (f *files) scanLocked() {
	before, set, warned := f.found.Load(), &fileSet{byName: map[string]*file{}}, map[string]bool{}
	if before == nil {
		before = &fileSet{byName: map[string]*file{}}
	}
	err := f.scanInto(set, before, warned)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.warn(warned, f.dir, "the directory of Lua programs can't be read", err)
		set = &fileSet{byName: before.byName, names: before.names} // a network that is away for a moment takes no program away
	}
	set.local = set.names
	for _, name := range builtinNames {
		if i, found := slices.BinarySearch(set.local, name); !found {
			set.local = slices.Insert(slices.Clone(set.local), i, name)
		}
	}
	f.warned = warned
	f.found.Store(set)
}

func (f *files) scanInto(set, before *fileSet, warned map[string]bool) error {
	if f.dir == "" {
		return nil
	}
	d, err := openDir(f.dir)
	if err != nil {
		return err
	}
	defer d.close()
	bases, err := d.list()
	if err != nil {
		return err
	}
	for _, base := range bases {
		name := shownName(base)
		if set.byName[name] != nil {
			continue
		}
		if found, problem := d.look(base, name, before.byName[name], time.Now()); problem != "" {
			f.warn(warned, base, problem, nil)
		} else if found != nil {
			set.byName[name] = found
			set.names = append(set.names, name)
		}
	}
	slices.Sort(set.names)
	return nil
}

// warn logs what was not so at the scan before.
func (f *files) warn(warned map[string]bool, what, problem string, err error) {
	key := what + "\x00" + problem
	warned[key] = true
	if f.warned[key] {
		return
	}
	if err != nil {
		f.logger.Warn(problem, "error", err)
		return
	}
	f.logger.Warn("not a Lua program: "+problem, "file", what)
}

// shownName is the name of the program in a file, as valid text.
func shownName(base string) string {
	name := strings.TrimSuffix(base, ".lua")
	if name == "" {
		name = base
	}
	if utf8.ValidString(name) {
		return name
	}
	var b strings.Builder
	for i, r := range name {
		if _, n := utf8.DecodeRuneInString(name[i:]); r == utf8.RuneError && n == 1 {
			fmt.Fprintf(&b, `\x%02x`, name[i])
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// dir is the directory while it is looked at.
type dir struct {
	real string // its path without symlinks
	root *os.Root
}

func openDir(path string) (*dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return &dir{real: path, root: root}, nil
}

// list returns the names in the directory, in order.
func (d *dir) list() ([]string, error) {
	f, err := d.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

func (d *dir) close() { _ = d.root.Close() }

// look finds out what a name in the directory is. A problem says why it is no program; if there is neither a
// file nor a problem, it has just gone.
func (d *dir) look(base, name string, before *file, now time.Time) (found *file, problem string) {
	if !strings.HasSuffix(base, ".lua") {
		if strings.HasPrefix(base, ".") { // as tools have theirs
			return nil, ""
		}
		return nil, "its name does not end in .lua"
	}
	path, info, err := d.stat(base)
	var leads *symlinkError
	switch {
	case errors.As(err, &leads):
		return nil, leads.Error()
	case errors.Is(err, fs.ErrNotExist):
		return nil, ""
	}
	if err == nil && !info.Mode().IsRegular() {
		return nil, "it is not a regular file"
	}
	if err == nil && before != nil && before.base == base && before.settled && sameFile(before.info, info) {
		return before, ""
	}
	found = &file{Program: Program{Name: name, Origin: File}, base: base}
	var text string
	if err == nil {
		text, info, err = readRegular(d.root, path)
	}
	switch {
	case errors.Is(err, errNotRegular):
		return nil, "it is not a regular file"
	case err != nil:
		found.Error = "can't be read: " + plainCause(err)
		return found, ""
	}
	found.info, found.UpdatedAt, found.Size = info, info.ModTime().UTC(), info.Size()
	found.settled = now.Sub(info.ModTime()) > settledAfter
	found.take(text)
	if before != nil && before.SHA1 == found.SHA1 && found.SHA1 != "" { // the server's verdict is known
		found.Error, found.suspect = before.Error, before.suspect
	}
	return found, ""
}

// take notes what a text says of the file.
func (f *file) take(text string) {
	f.SHA1, f.Error, f.suspect = "", "", false
	var fault *kvdb.InvalidError
	if err := errors.Join(CheckName(strings.TrimSuffix(f.base, ".lua")), CheckText(text)); errors.As(err, &fault) {
		what := "its text "
		if fault.Fields[0].Field == "name" {
			what = "its name "
		}
		f.Error = what + fault.Fields[0].Message
		return
	}
	f.SHA1, f.Size, f.suspect = sha1Of(text), int64(len(text)), suspicious(text)
}

// symlinkError says where a symlink leads that must not be followed.
type symlinkError struct{ where string }

func (e *symlinkError) Error() string { return "it is a symlink that leads " + e.where }

// stat returns where in the directory a file is, behind symlinks, and what.
func (d *dir) stat(base string) (path string, info fs.FileInfo, err error) {
	info, err = d.root.Lstat(base)
	if err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return base, info, err
	}
	real, err := filepath.EvalSymlinks(filepath.Join(d.real, base))
	if err != nil {
		return "", nil, &symlinkError{"nowhere"}
	}
	path, err = filepath.Rel(d.real, real)
	if err != nil || !filepath.IsLocal(path) {
		return "", nil, &symlinkError{"out of the directory"}
	}
	info, err = d.root.Stat(path)
	return path, info, err
}

var errNotRegular = errors.New("not a regular file")

// readRegular reads a file: of one that is too large, as much as shows that. A pipe that took its place in the
// meantime makes nobody wait.
func readRegular(root *os.Root, path string) (string, fs.FileInfo, error) {
	f, err := root.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", nil, err
	}
	if !info.Mode().IsRegular() {
		return "", nil, errNotRegular
	}
	var w strings.Builder
	w.Grow(int(min(info.Size(), MaxText+1)))
	_, err = io.Copy(&w, io.LimitReader(f, MaxText+1))
	return w.String(), info, err
}

func sameFile(a, b fs.FileInfo) bool {
	return a != nil && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && os.SameFile(a, b)
}

// plainCause is why a file can't be read, without its path.
func plainCause(err error) string {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return err.Error()
}

// suspicious says whether a text may not compile. It asks a parser that isn't quite Redis's, so that it is no
// verdict: what passes is Lua 5.1 but for what that parser takes too.
func suspicious(text string) bool {
	if strings.HasPrefix(text, "#!") {
		var first string
		if first, text, _ = strings.Cut(text, "\n"); first != "#!lua" {
			return true // it may ask for what the server doesn't know
		}
	}
	chunk, err := parse.Parse(strings.NewReader(text), "")
	return err != nil || oddities(chunk, false)
}

// oddities finds goto and labels, which are of a later Lua, and break outside of a loop.
func oddities(chunk []ast.Stmt, inLoop bool) bool {
	for _, stmt := range chunk {
		odd := false
		switch s := stmt.(type) {
		case *ast.GotoStmt, *ast.LabelStmt:
			odd = true
		case *ast.BreakStmt:
			odd = !inLoop
		case *ast.DoBlockStmt:
			odd = oddities(s.Stmts, inLoop)
		case *ast.IfStmt:
			odd = oddities(s.Then, inLoop) || oddities(s.Else, inLoop)
		case *ast.WhileStmt:
			odd = oddities(s.Stmts, true)
		case *ast.RepeatStmt:
			odd = oddities(s.Stmts, true)
		case *ast.NumberForStmt:
			odd = oddities(s.Stmts, true)
		case *ast.GenericForStmt:
			odd = oddities(s.Stmts, true)
		}
		if odd {
			return true
		}
	}
	return false
}

// read returns a file that a scan has found, as it is now: without a text where it can't be run. It is
// ErrNotFound when it has gone meanwhile.
func (f *files) read(x *file) (Source, error) {
	gone := fmt.Errorf("program file %s: %w", x.Name, kvdb.ErrNotFound)
	d, err := openDir(f.dir)
	if err != nil {
		return Source{}, gone
	}
	defer d.close()
	now, text := &file{Program: x.Program, base: x.base}, ""
	path, _, err := d.stat(x.base)
	if err == nil {
		text, now.info, err = readRegular(d.root, path)
	}
	var leads *symlinkError
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errNotRegular), errors.As(err, &leads):
		return Source{}, gone
	case err != nil:
		now.SHA1, now.Error = "", "can't be read: "+plainCause(err)
		return Source{Program: now.Program}, nil
	}
	now.UpdatedAt, now.Size = now.info.ModTime().UTC(), now.info.Size()
	if now.take(text); now.SHA1 == "" {
		return Source{Program: now.Program}, nil
	}
	if now.SHA1 == x.SHA1 {
		now.Error = x.Error
	}
	return Source{Program: now.Program, Text: text}, nil
}

// judge asks the server about the files that look wrong. Those about which it doesn't answer stay suspect.
func (s *Store) judge(ctx context.Context) {
	set, verdicts := s.files.all(), map[*file]string{}
	defer func() { s.files.judged(verdicts) }()
	for _, name := range set.names {
		x := set.byName[name]
		if !x.suspect {
			continue
		}
		src, err := s.files.read(x)
		if err != nil || src.SHA1 != x.SHA1 {
			continue // it has changed: the next scan sees to it
		}
		var syntax *SyntaxError
		switch err := s.verdict(ctx, src.Text); {
		case errors.As(err, &syntax):
			verdicts[x] = syntax.Error()
		case err == nil:
			verdicts[x] = ""
		default:
			return
		}
	}
}

// judged notes the server's verdicts on files, but where a scan has found another in their place.
func (f *files) judged(verdicts map[*file]string) {
	if len(verdicts) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	set := f.found.Load()
	set = &fileSet{byName: maps.Clone(set.byName), names: set.names, local: set.local} // whoever reads the old one has no lock
	for x, fault := range verdicts {
		if set.byName[x.Name] == x {
			y := *x
			y.Error, y.suspect = fault, false
			set.byName[x.Name] = &y
		}
	}
	f.found.Store(set)
}

// watchFiles polls the directory until ctx ends.
func (s *Store) watchFiles(ctx context.Context) {
	for {
		start := time.Now()
		s.files.scan()
		rest := max(pollEvery, pollRest*time.Since(start))
		s.judge(ctx)
		select {
		case <-ctx.Done():
			return
		case <-time.After(rest):
		}
	}
}
