package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"webadmin/internal/account"
	"webadmin/internal/handlers/mw"
	"webadmin/internal/handlers/problem"
	"webadmin/internal/kvdb"
)

// RedisKey is a key of the KVDB.
type RedisKey struct {
	Key  Bytes  `json:"key"`
	Type string `json:"type" example:"string" doc:"As Redis names it: string, list, set, zset, hash, stream, or that of a module. Empty where the Redis user of your role may not know."`
	TTL  *int64 `json:"ttl_ms" doc:"In how many milliseconds it expires; null = never."`
	Size int64  `json:"size_bytes" doc:"In memory, with what Redis needs around it; of large collections an estimate of the server."`
	Own  bool   `json:"own,omitempty" doc:"It is one of this program itself. Only administrators see these, and only where the pattern begins with what all of them do."`
}

// RedisKeys is a page of keys.
type RedisKeys struct {
	Items      []RedisKey `json:"items"`
	NextCursor string     `json:"next_cursor" doc:"Send it as cursor to get what follows; empty at the end. It stays good while others write."`
	LookedAt   int64      `json:"looked_at" doc:"At how many keys the list has looked up to here, about."`
	About      int64      `json:"about" doc:"How many keys there are, about."`
}

// RedisValue is a key with a page of its value.
type RedisValue struct {
	RedisKey
	Encoding   string    `json:"encoding" example:"embstr" doc:"How Redis keeps it."`
	Length     int64     `json:"length" doc:"Bytes of a string, elements of anything else."`
	Value      pageValue `json:"value"`
	NextCursor string    `json:"next_cursor" doc:"Send it as cursor to get what follows of the value; empty at the end."`
	Truncated  bool      `json:"truncated,omitempty" doc:"A text in the value is longer than 64 KiB and was cut; cut says which."`
	Cut        []CutText `json:"cut,omitempty"`
}

// CutText says where a text of a value was cut.
type CutText struct {
	Item int   `json:"item" doc:"Index in value, from 0."`
	Size int64 `json:"size_bytes" doc:"Of the whole text."`
}

// pageValue is a page of a value. It writes itself, since what it is depends on the type.
type pageValue struct{ kvdb.Value }

// Schema says in words what a schema can't: it depends on the type.
func (pageValue) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Description: "By type: text of a string, up to 64 KiB of it; the elements of a list or set; the pairs [member, score] of a " +
		"sorted set, where a score is its exact number, or \"inf\" or \"-inf\"; " +
		"the pairs [field, value] of a hash; {\"id\", \"fields\"} of each stream entry, where fields are pairs [field, value]; null of a type of a " +
		"module. Bytes that are not UTF-8 are {\"base64\":\"…\"}."}
}

func redisKeyOf(k kvdb.Key) RedisKey {
	out := RedisKey{Key: Bytes(k.Name), Type: k.Type, Size: k.Size, Own: k.Own}
	if k.TTL != kvdb.NoTTL {
		ms := k.TTL.Milliseconds()
		out.TTL = &ms
	}
	return out
}

func (k RedisKey) appendFields(b []byte) []byte {
	b = appendBytes(append(b, `"key":`...), string(k.Key))
	b = appendText(append(b, `,"type":`...), k.Type)
	b = append(b, `,"ttl_ms":`...)
	if k.TTL == nil {
		b = append(b, "null"...)
	} else {
		b = strconv.AppendInt(b, *k.TTL, 10)
	}
	b = strconv.AppendInt(append(b, `,"size_bytes":`...), k.Size, 10)
	if k.Own {
		b = append(b, `,"own":true`...)
	}
	return b
}

func (p RedisKeys) appendJSON(b []byte) []byte {
	b = append(b, `{"items":[`...)
	for i, k := range p.Items {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(k.appendFields(append(b, '{')), '}')
	}
	b = appendText(append(b, `],"next_cursor":`...), p.NextCursor)
	b = strconv.AppendInt(append(b, `,"looked_at":`...), p.LookedAt, 10)
	b = strconv.AppendInt(append(b, `,"about":`...), p.About, 10)
	return append(b, '}')
}

func redisValueOf(v kvdb.Value) RedisValue {
	out := RedisValue{RedisKey: redisKeyOf(v.Key), Encoding: v.Encoding, Length: v.Length, Value: pageValue{v}, NextCursor: v.Next}
	for i, e := range v.Elements {
		parts := []kvdb.Part{e.Name, e.Value}
		for _, f := range e.Fields {
			parts = append(parts, f.Name, f.Value)
		}
		for _, p := range parts {
			if p.Cut() {
				out.Truncated = true
				out.Cut = append(out.Cut, CutText{Item: i, Size: p.Size})
			}
		}
	}
	return out
}

func (v RedisValue) appendJSON(b []byte) []byte {
	b = v.RedisKey.appendFields(append(b, '{'))
	b = appendText(append(b, `,"encoding":`...), v.Encoding)
	b = strconv.AppendInt(append(b, `,"length":`...), v.Length, 10)
	b = v.Value.appendJSON(append(b, `,"value":`...))
	b = appendText(append(b, `,"next_cursor":`...), v.NextCursor)
	if v.Truncated {
		b = append(b, `,"truncated":true,"cut":[`...)
		for i, c := range v.Cut {
			if i > 0 {
				b = append(b, ',')
			}
			b = fmt.Appendf(b, `{"item":%d,"size_bytes":%d}`, c.Item, c.Size)
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

func (v pageValue) appendJSON(b []byte) []byte {
	switch v.Type {
	case "string":
		return appendBytes(b, v.Text)
	case "list", "set", "zset", "hash", "stream":
	default:
		return append(b, "null"...)
	}
	b = append(b, '[')
	for i, e := range v.Elements {
		if i > 0 {
			b = append(b, ',')
		}
		switch v.Type {
		case "list":
			b = appendBytes(b, e.Value.Text)
		case "set":
			b = appendBytes(b, e.Name.Text)
		case "zset":
			b = append(appendBytes(append(b, '['), e.Name.Text), ',')
			b = append(appendDouble(b, e.Score), ']')
		case "hash":
			b = appendPair(b, kvdb.Pair{Name: e.Name, Value: e.Value})
		case "stream":
			b = appendText(append(b, `{"id":`...), e.ID)
			b = append(b, `,"fields":[`...)
			for j, f := range e.Fields {
				if j > 0 {
					b = append(b, ',')
				}
				b = appendPair(b, f)
			}
			b = append(b, "]}"...)
		}
	}
	return append(b, ']')
}

func appendPair(b []byte, p kvdb.Pair) []byte {
	b = append(appendBytes(append(b, '['), p.Name.Text), ',')
	return append(appendBytes(b, p.Value.Text), ']')
}

// MarshalJSON is for what looks at an answer without appendJSON.
func (v pageValue) MarshalJSON() ([]byte, error) { return json.RawMessage(v.appendJSON(nil)), nil }

type redisKeysInput struct {
	paging
	Match rawBytes `query:"match" doc:"A pattern as SCAN takes it (*, ?, [a-z], and \\ before one that is meant itself), percent-encoded bytes."`
	Type  string   `query:"type" doc:"Only keys of this type."`
}

type keyInput struct {
	Key rawBytes `query:"key" required:"true" example:"greeting" doc:"Percent-encoded bytes, empty allowed."`
}

type valueInput struct {
	keyInput
	paging
}

const keysText = "In the order of SCAN. A page looks at a bounded number of keys, so that it may have few or none though others follow: go on " +
	"until next_cursor is empty. A key that is there all the time comes at least once, whatever others write. Keys of this program itself are for " +
	"administrators."

func (s *server) keyCalls() []operation {
	const group = "Redis"
	path := Base + "/kvdb/key"
	gone := answerDoc{"There is no such key.", []any{problem.Problem{}}}
	return []operation{
		call(mw.Route{Name: "api.kvdb.keys", Method: http.MethodGet, Path: Base + "/kvdb/keys", Need: account.Viewer},
			about{group: group, summary: "List keys", text: keysText},
			s.redisKeys),
		call(mw.Route{Name: "api.kvdb.key", Method: http.MethodGet, Path: path, Need: account.Viewer},
			about{group: group, summary: "Get a key",
				text: "With a page of its value: up to 64 KiB of a string, up to limit elements of anything else, of which texts over 64 KiB are cut.",
				answers: map[int]answerDoc{
					http.StatusNotFound: gone,
					http.StatusConflict: {"The key is of another type than on the page before.", []any{problem.Problem{}}},
				}},
			s.redisKey),
		call(mw.Route{Name: "api.kvdb.key.delete", Method: http.MethodDelete, Path: path, Need: account.Operator},
			about{group: group, summary: "Delete a key", text: "Whatever it holds. Keys of this program itself are not deleted here.",
				status: http.StatusNoContent,
				answers: map[int]answerDoc{
					http.StatusNotFound:       gone,
					http.StatusConflict:       {"It became a key of another type at this moment; it was not deleted.", []any{problem.Problem{}}},
					http.StatusGatewayTimeout: {failures[http.StatusGatewayTimeout], []any{problem.Problem{}}},
				}},
			s.deleteRedisKey),
	}
}

func role(ctx context.Context) string { return string(mw.From(ctx).Principal.Role) }

func (s *server) redisKeys(ctx context.Context, in *redisKeysInput) (RedisKeys, error) {
	page, err := s.DB.ListKeys(ctx, role(ctx), kvdb.KeyQuery{KeyFilter: kvdb.KeyFilter{Match: string(in.Match), Type: in.Type},
		Cursor: in.Cursor, Limit: in.Limit, WithoutOwn: true})
	if err != nil {
		return RedisKeys{}, err
	}
	l := listOf(page.Items, page.Next, redisKeyOf)
	return RedisKeys{Items: l.Items, NextCursor: l.NextCursor, LookedAt: page.Looked, About: page.About}, nil
}

func (s *server) redisKey(ctx context.Context, in *valueInput) (RedisValue, error) {
	v, err := s.DB.ReadValue(ctx, role(ctx), kvdb.ValueQuery{Key: string(in.Key), Cursor: in.Cursor, Limit: in.Limit})
	return redisValueOf(v), err
}

func (s *server) deleteRedisKey(ctx context.Context, in *keyInput) (*struct{}, error) {
	key := string(in.Key)
	if s.DB.OwnKey(key) {
		edit := kvdb.Edit{DB: s.DB, Role: role(ctx), Key: key}
		return nil, edit.Delete(ctx, "none", "") // which says why not
	}
	v, err := s.DB.ReadValue(ctx, role(ctx), kvdb.ValueQuery{Key: key, Limit: 1})
	if err != nil {
		return nil, err
	}
	err = s.Audited(ctx, "key.delete", kvdb.Shown(key), func() (before, after string, err error) {
		edit := kvdb.Edit{DB: s.DB, Role: role(ctx), Key: key}
		return keyWords(v), "", edit.Delete(ctx, v.Type, "")
	})
	return nil, err
}

// keyWords is a key in the audit log.
func keyWords(v kvdb.Value) string {
	words := fmt.Sprintf("%s, length %d", v.Type, v.Length)
	if v.Type == "string" {
		words += ": " + kvdb.Shown(v.Text)
	}
	if v.TTL != kvdb.NoTTL {
		words += ", expires in " + v.TTL.Round(time.Second).String()
	}
	return words
}
