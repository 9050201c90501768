package lua

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"webadmin/internal/kvdb"
)

// Limits of examples.
const (
	MaxExamples     = 100      // of a program
	MaxExampleTitle = 200      // characters
	MaxExampleBytes = 64 << 10 // of its keys, values and expected reply together
)

// Example is a saved call of a program. With an expected reply it is a test.
type Example struct {
	ID, Title    string
	Keys, Values []string
	ReadOnly     bool
	Expect       string // JSON of the expected reply as the API gives it, {"type","result"}; "" = only that it succeeds
	UpdatedAt    time.Time
	UpdatedBy    string
}

// exampleRecord is an example as it stands in Redis.
type exampleRecord struct {
	Title    string   `json:"title"`
	Keys     [][]byte `json:"keys,omitempty"`
	Values   [][]byte `json:"values,omitempty"`
	ReadOnly bool     `json:"read_only,omitempty"`
	Expect   string   `json:"expect,omitempty"`
	At       int64    `json:"at"`
	By       string   `json:"by"`
}

func decodeExample(id, text string) (Example, error) {
	var x exampleRecord
	if err := json.Unmarshal([]byte(text), &x); err != nil {
		return Example{}, fmt.Errorf("example %s: %w", id, err)
	}
	return Example{ID: id, Title: x.Title, Keys: toTexts(x.Keys), Values: toTexts(x.Values), ReadOnly: x.ReadOnly,
		Expect: x.Expect, UpdatedAt: fromMillis(x.At), UpdatedBy: x.By}, nil
}

// check returns an InvalidError that names each field that is wrong, or nil.
func (e Example) check() error {
	var fields []kvdb.FieldError
	wrong := func(field, format string, args ...any) {
		fields = append(fields, kvdb.FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
	}
	switch n := utf8.RuneCountInString(e.Title); {
	case strings.TrimSpace(e.Title) == "":
		wrong("title", "is missing")
	case !utf8.ValidString(e.Title):
		wrong("title", "is not UTF-8")
	case n > MaxExampleTitle:
		wrong("title", "has %d characters; %d are allowed", n, MaxExampleTitle)
	}
	if n := len(e.Keys) + len(e.Values); n > MaxArguments {
		wrong("values", "are %d with the keys; %d are allowed", n, MaxArguments)
	}
	bytes := len(e.Expect)
	for _, text := range slices.Concat(e.Keys, e.Values) {
		bytes += len(text)
	}
	if bytes > MaxExampleBytes {
		wrong("values", "have %d bytes with the keys and the expected reply; %d are allowed", bytes, MaxExampleBytes)
	}
	if e.Expect != "" && !json.Valid([]byte(e.Expect)) {
		wrong("expect", "is not JSON")
	}
	if fields == nil {
		return nil
	}
	return &kvdb.InvalidError{Fields: fields}
}

// exampleScript saves or deletes an example.
//
// KEYS: 1 examples, 2 op. ARGV: 1 what the op is to do, "" = it is not remembered, 2 seconds to remember it,
// 3 ID, 4 the example, "" = it is deleted, 5 "1" = it must be there already, 6 how many there may be. Returns
// {code, example}: 1 done, also when this op was applied before, example is as it is now; 2 this op was
// something else; 3 there is none; 4 there are too many. In all but 1 nothing was done.
var exampleScript = kvdb.NewScript(`
local id, text = ARGV[3], ARGV[4]
if ARGV[1] ~= '' then
  local done = redis.call('GET', KEYS[2])
  if done then
    if done ~= ARGV[1] then return {2, ''} end
    return {1, redis.call('HGET', KEYS[1], id) or text}
  end
end
local there = redis.call('HEXISTS', KEYS[1], id) == 1
if not there then
  if ARGV[5] == '1' then return {3, ''} end
  if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[6]) then return {4, ''} end
end
if ARGV[1] ~= '' then redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[2]) end
if text == '' then redis.call('HDEL', KEYS[1], id) else redis.call('HSET', KEYS[1], id, text) end
return {1, text}`)

const codeFull = 4

// Examples lists the examples of a program by their titles; there are at most MaxExamples. They are those of
// the name, so that they stay when an upload is deleted.
func (s *Store) Examples(ctx context.Context, name string) ([]Example, error) {
	if CheckName(name) != nil {
		return nil, nil
	}
	// No more than MaxExamples of MaxExampleBytes each.
	all, err := s.db.Client().HGetAll(ctx, s.keys.Examples(name)).Result()
	if err != nil {
		return nil, kvdb.ReadErr("read the examples", err)
	}
	var list []Example
	for id, text := range all {
		e, err := decodeExample(id, text)
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b Example) int {
		return cmp.Or(strings.Compare(a.Title, b.Title), strings.Compare(a.ID, b.ID))
	})
	return list, nil
}

// SaveExample adds an example to a program, or changes the one with e.ID. InvalidError; NotFoundError if there
// is no such program; ErrNotFound for an ID that is not there (any more); ErrConflict if there are too many.
func (s *Store) SaveExample(ctx context.Context, by By, name string, e Example) (Example, error) {
	if err := e.check(); err != nil {
		return Example{}, err
	}
	if _, err := s.Program(ctx, name); err != nil {
		return Example{}, err
	}
	x := exampleRecord{Title: e.Title, Keys: toBytes(e.Keys), Values: toBytes(e.Values), ReadOnly: e.ReadOnly, Expect: e.Expect}
	content, err := json.Marshal(x)
	if err != nil {
		return Example{}, err
	}
	x.At, x.By = s.now().UnixMilli(), by.Who
	text, err := json.Marshal(x)
	if err != nil {
		return Example{}, err
	}
	id, must := e.ID, "1"
	if id == "" {
		id, must = newToken(), "0"
		if by.Op != "" { // sent again, it is the same example
			id = hashed(by.Op)[:12]
		}
	}
	sum := sha256.Sum256(content)
	return s.changeExample(ctx, by, "save the example", name, "save "+e.ID+" "+hex.EncodeToString(sum[:16]), id, string(text), must)
}

// DeleteExample removes an example. ErrNotFound.
func (s *Store) DeleteExample(ctx context.Context, by By, name, id string) error {
	if CheckName(name) != nil {
		return s.notFound(ctx, name)
	}
	_, err := s.changeExample(ctx, by, "delete the example", name, "delete "+id, id, "", "1")
	return err
}

func (s *Store) changeExample(ctx context.Context, by By, op, name, what, id, text, must string) (Example, error) {
	if by.Op == "" {
		what = ""
	} else {
		what = "example " + name + " " + what
	}
	reply, err := exampleScript.Run(ctx, s.db, []string{s.keys.Examples(name), s.opKey(by.Op)},
		what, int(opKept.Seconds()), id, text, must, MaxExamples).Slice()
	if err != nil {
		return Example{}, changeErr(op, "the examples of "+name, err)
	}
	if len(reply) != 2 {
		return Example{}, fmt.Errorf("%s: the reply is %.100v", op, reply)
	}
	switch code, _ := reply[0].(int64); code {
	case codeOtherOp:
		return Example{}, errOtherOp()
	case codeNothing:
		return Example{}, fmt.Errorf("example %s of %s: %w", id, name, kvdb.ErrNotFound)
	case codeFull:
		return Example{}, &conflictError{fmt.Sprintf("the program has %d examples, more are not allowed: delete one first", MaxExamples)}
	}
	if now, _ := reply[1].(string); now != "" {
		return decodeExample(id, now)
	}
	return Example{ID: id}, nil
}
