package lua

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
)

// MaxVersions is how many versions of an upload are kept; older ones go.
const MaxVersions = 100

// opKept is how long an operation is remembered.
const opKept = 24 * time.Hour

// Kinds of versions.
const (
	kindUpload  = "upload"
	kindRestore = "restore"
	kindDelete  = "delete"
)

// changeScript makes the next version of an upload.
//
// KEYS: 1 version of all uploads, 2 names, 3 uploads, 4 versions of this one, 5 op.
// ARGV: 1 what the op is to do, "" = it is not remembered, 2 seconds to remember it, 3 version that the upload
// must have, 0 = there must be none, -1 = any, 4 kind, 5 name, 6 at, 7 by, 8 sha1, 9 text, 10 from, 11 versions
// to keep.
// Returns {code, created, entry}: 0 stale, entry is the current state, if there is any; 1 done, entry
// without its text, also when this op was applied before or the text is what it is; 2 this op was something
// else; 3 there is nothing to delete. In all but 1 nothing was done.
var changeScript = kvdb.NewScript(`
local op, kind, text = ARGV[1], ARGV[4], ARGV[9]
local function entry(e, whole)
  if not e then return false end
  local f = {}
  for i = 1, #e[2], 2 do f[e[2][i]] = e[2][i + 1] end
  return {e[1], f.at, f.by, f.kind, f.sha1, f.from, #f.text, whole and f.text or ''}, f
end
if op ~= '' then
  local done = redis.call('GET', KEYS[5])
  if done then
    local n, created, what = string.match(done, '^(%d+) (%d) (.*)$')
    if what ~= op then return {2, 0, false} end
    return {1, tonumber(created), (entry(redis.call('XRANGE', KEYS[4], n .. '-0', n .. '-0')[1]))}
  end
end
local last = redis.call('XREVRANGE', KEYS[4], '+', '-', 'COUNT', 1)[1]
local state, f = entry(last, true)
local n = last and tonumber(string.match(last[1], '^%d+')) or 0
local exists = last and f.kind ~= 'delete'
if kind == 'delete' and not exists then return {3, 0, false} end
if ARGV[3] ~= '-1' and tonumber(ARGV[3]) ~= (exists and n or 0) then return {0, 0, exists and state or false} end
local created = exists and 0 or 1
local same = exists and kind ~= 'delete' and f.text == text
if not same then n = n + 1 end
local id = string.format('%d', n)
if op ~= '' then redis.call('SET', KEYS[5], id .. ' ' .. created .. ' ' .. op, 'EX', ARGV[2]) end
if same then return {1, 0, (entry(last))} end
redis.call('INCR', KEYS[1])
redis.call('XADD', KEYS[4], 'MAXLEN', '=', ARGV[11], id .. '-0', 'at', ARGV[6], 'by', ARGV[7], 'kind', kind, 'sha1', ARGV[8], 'from', ARGV[10], 'text', text)
if kind == 'delete' then
  redis.call('ZREM', KEYS[2], ARGV[5])
  redis.call('HDEL', KEYS[3], ARGV[5])
else
  redis.call('ZADD', KEYS[2], 0, ARGV[5])
  redis.call('HSET', KEYS[3], ARGV[5], cjson.encode({version = n, sha1 = ARGV[8], size = #text, at = tonumber(ARGV[6]), by = ARGV[7]}))
end
return {1, created, {id .. '-0', ARGV[6], ARGV[7], kind, ARGV[8], ARGV[10], #text, ''}}`)

const (
	codeStale = iota
	codeDone
	codeOtherOp
	codeNothing
)

// versionsScript reads versions without their texts, the newest first.
//
// KEYS: 1 versions. ARGV: 1 ID to start from, "+" or "(" and an ID, 2 how many. Returns entries as
// changeScript does.
var versionsScript = kvdb.NewScript(`
local list, from = {}, ARGV[1]
while #list < tonumber(ARGV[2]) do
  local e = redis.call('XREVRANGE', KEYS[1], from, '-', 'COUNT', 1)[1]
  if not e then break end
  local f = {}
  for i = 1, #e[2], 2 do f[e[2][i]] = e[2][i + 1] end
  list[#list + 1] = {e[1], f.at, f.by, f.kind, f.sha1, f.from, #f.text, ''}
  from = '(' .. e[1]
end
return list`)

// conflictError is a conflict in words.
type conflictError struct{ text string }

func (e *conflictError) Error() string        { return e.text }
func (e *conflictError) Is(target error) bool { return target == kvdb.ErrConflict }

// parseEntry reads an entry as the scripts return it; nil is the zero value.
func parseEntry(v any) (x VersionText, err error) {
	list, ok := v.([]any)
	if !ok || len(list) != 8 {
		if v == nil {
			return x, nil
		}
		return x, fmt.Errorf("a version of a program is %.100v", v)
	}
	text := func(i int) string { s, _ := list[i].(string); return s }
	x.Size, _ = list[6].(int64)
	x.By, x.Kind, x.SHA1, x.Text = text(2), text(3), text(4), text(7)
	return x, x.numbers(text(0), text(1), text(5))
}

// numbers reads what a version has of numbers.
func (v *Version) numbers(id, at, from string) error {
	n, _, _ := strings.Cut(id, "-")
	var err1, err2, err3 error
	var ms int64
	v.Number, err1 = strconv.ParseInt(n, 10, 64)
	ms, err2 = strconv.ParseInt(at, 10, 64)
	if v.At = fromMillis(ms); from != "" {
		v.From, err3 = strconv.ParseInt(from, 10, 64)
	}
	return errors.Join(err1, err2, err3)
}

// parseMessage reads a version of the stream.
func parseMessage(m redis.XMessage) (x VersionText, err error) {
	text := func(field string) string { s, _ := m.Values[field].(string); return s }
	x.By, x.Kind, x.SHA1, x.Text = text("by"), text("kind"), text("sha1"), text("text")
	x.Size = int64(len(x.Text))
	return x, x.numbers(m.ID, text("at"), text("from"))
}

// source is the program that a version makes the current one.
func (v VersionText) source(name string) Source {
	return Source{Program: Program{Name: name, SHA1: v.SHA1, Origin: Upload, Version: v.Number, Size: v.Size,
		UpdatedAt: v.At, UpdatedBy: v.By}, Text: v.Text}
}

// upload returns an upload as it is now; its Version is 0 if there is none.
func (s *Store) upload(ctx context.Context, name string) (Source, error) {
	last, err := s.db.Client().XRevRangeN(ctx, s.keys.Versions(name), "+", "-", 1).Result()
	if err != nil {
		return Source{}, kvdb.ReadErr("look up the program", err)
	}
	if len(last) == 0 {
		return Source{}, nil
	}
	v, err := parseMessage(last[0])
	if err != nil || v.Kind == kindDelete {
		return Source{}, err
	}
	return v.source(name), nil
}

// change is one change of an upload.
type change struct {
	by        By
	op        string // in words, for errors
	kind      string
	name      string
	text      string
	ifVersion int64
	from      int64
}

// apply makes a change: once, if it has an operation. UnknownError; StaleError; ErrNotFound where there is
// nothing to delete.
func (s *Store) apply(ctx context.Context, c change) (p Program, created bool, err error) {
	what, sha1, from := "", "", ""
	if c.kind != kindDelete {
		sha1 = sha1Of(c.text)
	}
	if c.by.Op != "" {
		what = strings.Join([]string{c.kind, c.name, sha1, strconv.FormatInt(c.from, 10)}, " ")
	}
	if c.from > 0 {
		from = strconv.FormatInt(c.from, 10)
	}
	keys := []string{s.keys.Version(), s.keys.Names(), s.keys.Uploads(), s.keys.Versions(c.name), s.opKey(c.by.Op)}
	defer s.cache.forget(c.name)
	reply, err := changeScript.Run(ctx, s.db, keys, what, int(opKept.Seconds()), c.ifVersion, c.kind, c.name,
		s.now().UnixMilli(), c.by.Who, sha1, c.text, from, MaxVersions).Slice()
	if err != nil {
		return Program{}, false, changeErr(c.op, "the versions of "+c.name, err)
	}
	if len(reply) != 3 {
		return Program{}, false, fmt.Errorf("%s: the reply is %.100v", c.op, reply)
	}
	v, err := parseEntry(reply[2])
	if err != nil {
		return Program{}, false, err
	}
	switch code, _ := reply[0].(int64); code {
	case codeStale:
		current := Source{Program: Program{Name: c.name}}
		if v.Number > 0 {
			current = v.source(c.name)
			current.Overrides = s.below(Upload, c.name)
		}
		return Program{}, false, &StaleError{Current: current}
	case codeOtherOp:
		return Program{}, false, errOtherOp()
	case codeNothing:
		return Program{}, false, fmt.Errorf("%s: %w", c.op, kvdb.ErrNotFound)
	}
	src := v.source(c.name)
	if v.Number == 0 { // applied so long ago that its version is gone
		if src, err = s.Program(ctx, c.name); err != nil {
			return Program{}, false, err
		}
	}
	src.Overrides = s.below(Upload, c.name)
	n, _ := reply[1].(int64)
	return src.Program, n == 1, nil
}

// changeErr is WriteErr that says where to look after an unknown outcome.
func changeErr(op, check string, err error) error {
	err = kvdb.WriteErr(op, err)
	var unknown *kvdb.UnknownError
	if errors.As(err, &unknown) && unknown.Check == "" {
		return &kvdb.UnknownError{Op: unknown.Op, Check: check, Err: unknown.Err}
	}
	return err
}

func errOtherOp() error {
	return &conflictError{"this form or Idempotency-Key was used for something else before; nothing was changed: load the page again, or use a key that is new"}
}

// opKey is where an operation is remembered. What a caller chose is hashed, so that it can be anything.
func (s *Store) opKey(op string) string { return s.keys.Op(hashed(op)) }

func hashed(text string) string {
	h := sha256.Sum256([]byte(text))
	return hex.EncodeToString(h[:16])
}

// Put uploads a program, as its next version. ifVersion is the version that it must have now: 0 = there must be
// no upload of this name, -1 = whatever it is. A text that is the current one makes no new version. created says
// that there was no upload before. It is refused if the server says that it doesn't compile (SyntaxError),
// else not: nothing is run. InvalidError; StaleError.
func (s *Store) Put(ctx context.Context, by By, name, text string, ifVersion int64) (p Program, created bool, err error) {
	if err := CheckName(name); err != nil {
		return Program{}, false, err
	}
	if err := CheckText(text); err != nil {
		return Program{}, false, err
	}
	if err := s.verdict(ctx, text); err != nil {
		return Program{}, false, err
	}
	return s.apply(ctx, change{by: by, op: "save the program", kind: kindUpload, name: name, text: text, ifVersion: ifVersion})
}

// Delete removes an upload; its versions stay, and can be restored. What a file has or what is built in of this
// name is there again then. ifVersion is as in Put. NotFoundError; StaleError; ErrConflict where the name is that
// of a file or built in.
func (s *Store) Delete(ctx context.Context, by By, name string, ifVersion int64) error {
	err := error(kvdb.ErrNotFound)
	if CheckName(name) == nil {
		_, _, err = s.apply(ctx, change{by: by, op: "delete the program", kind: kindDelete, name: name, ifVersion: ifVersion})
	}
	if !errors.Is(err, kvdb.ErrNotFound) {
		return err
	}
	switch s.below(Upload, name) {
	case File:
		return &conflictError{"this program comes from a file, so that it can't be deleted here: remove the file from the directory of Lua programs"}
	case Builtin:
		return &conflictError{"this program is built in, so that it can't be deleted: upload another of this name to override it"}
	}
	return s.notFound(ctx, name)
}

// Versions lists the versions of an upload, the newest first, also after it was deleted. Of the last
// deletion and all before it, MaxVersions are kept. NotFoundError if there was never an upload of this name.
func (s *Store) Versions(ctx context.Context, name, cursor string, limit int) (page Page[Version], err error) {
	if limit, err = pageLimit(limit); err != nil {
		return page, err
	}
	from := "+"
	if cursor != "" {
		n, err := strconv.ParseInt(cursor, 10, 64)
		if err != nil || n < 1 {
			return page, errCursor
		}
		from = "(" + cursor + "-0"
	}
	if CheckName(name) != nil {
		return page, s.notFound(ctx, name)
	}
	list, err := versionsScript.Run(ctx, s.db, []string{s.keys.Versions(name)}, from, min(limit, MaxVersions)+1).Slice()
	if err != nil {
		return page, kvdb.ReadErr("read the versions", err)
	}
	for i, e := range list {
		if i == limit {
			page.Next = strconv.FormatInt(page.Items[i-1].Number, 10)
			break
		}
		v, err := parseEntry(e)
		if err != nil {
			return page, err
		}
		page.Items = append(page.Items, v.Version)
	}
	if len(list) == 0 && cursor == "" {
		if s.below(Upload, name) == "" {
			return page, s.notFound(ctx, name)
		}
	}
	return page, nil
}

// VersionOf returns a version with its text. ErrNotFound if there is none of this number (any more).
func (s *Store) VersionOf(ctx context.Context, name string, n int64) (VersionText, error) {
	if CheckName(name) != nil || n < 1 {
		return VersionText{}, fmt.Errorf("version %d of %s: %w", n, name, kvdb.ErrNotFound)
	}
	id := strconv.FormatInt(n, 10) + "-0"
	list, err := s.db.Client().XRange(ctx, s.keys.Versions(name), id, id).Result()
	if err != nil {
		return VersionText{}, kvdb.ReadErr("read the version", err)
	}
	if len(list) == 0 {
		return VersionText{}, fmt.Errorf("version %d of %s: %w", n, name, kvdb.ErrNotFound)
	}
	return parseMessage(list[0])
}

// Restore makes the text of an old version the next version, also of an upload that was deleted. ifVersion and
// errors are as of Put; ErrNotFound if there is no such version; ErrConflict if it is a deletion.
func (s *Store) Restore(ctx context.Context, by By, name string, n, ifVersion int64) (Program, error) {
	v, err := s.VersionOf(ctx, name, n)
	if err != nil {
		return Program{}, err
	}
	if v.Kind == kindDelete {
		return Program{}, &conflictError{fmt.Sprintf("version %d is the deletion of the program: restore the one before it", n)}
	}
	if err := s.verdict(ctx, v.Text); err != nil {
		return Program{}, err
	}
	p, _, err := s.apply(ctx, change{by: by, op: "restore the program", kind: kindRestore, name: name, text: v.Text, ifVersion: ifVersion, from: n})
	return p, err
}
