package dict

import (
	"encoding/json"
	"io"
	"strings"
)

// The export of the system that this one replaces: {"meta":…, "data":{"dict_list":[entry…],
// "translation_list":[{"<name>":{id, id1, id2, value2}}…], "last_dict_id":…, "last_translation_id":…}}.
// The name of a translation is the key that it had in Redis there.
const (
	zatoPrefix    = "zato:kvdb:data-dict:translation:::"
	zatoSeparator = ":::"
)

type zatoEntry struct {
	ID     json.RawMessage `json:"id"`
	System *string         `json:"system"`
	Key    *string         `json:"key"`
	Value  *string         `json:"value"`
}

type zatoTranslation struct {
	ID     json.RawMessage `json:"id"`
	ID1    json.RawMessage `json:"id1"`
	ID2    json.RawMessage `json:"id2"`
	Value2 *string         `json:"value2"`
}

// splitZatoName reads system1, key1, value1, system2 and key2 out of the name. Only the value may hold the
// separator, because names can't hold a colon: so the split is never in doubt.
func splitZatoName(name string) (f [5]string, reason string) {
	rest, ok := strings.CutPrefix(name, zatoPrefix)
	if !ok {
		return f, "names the Redis key " + quoteShort(name) + ", which is no translation; it must start with " + zatoPrefix
	}
	var ok1, ok2 bool
	f[0], rest, ok1 = strings.Cut(rest, zatoSeparator)
	f[1], rest, ok2 = strings.Cut(rest, zatoSeparator)
	last := strings.LastIndex(rest, zatoSeparator)
	if !ok1 || !ok2 || last < 0 {
		return f, "has the name " + quoteShort(name) + ", which has too few parts"
	}
	f[4], rest = rest[last+len(zatoSeparator):], rest[:last]
	last = strings.LastIndex(rest, zatoSeparator)
	if last < 0 {
		return f, "has the name " + quoteShort(name) + ", which has too few parts"
	}
	f[3], f[2] = rest[last+len(zatoSeparator):], rest[:last]
	return f, ""
}

func (rd *reading) readZato(r io.Reader) error {
	j := rd.json(r)
	found := false
	err := j.object("The file", func(name string) error {
		if name != "data" {
			return j.skip()
		}
		return j.object("data", func(name string) error {
			found = found || name == "dict_list" || name == "translation_list"
			switch name {
			case "dict_list":
				return j.list(name, func(line int64, raw []byte) {
					var e zatoEntry
					rd.jsonEntryRow(line, raw, &e, func() ([]string, string) {
						return texts(entryFields[:], e.System, e.Key, e.Value)
					})
				})
			case "translation_list":
				return j.list(name, rd.zatoTranslations)
			}
			return j.skip()
		})
	})
	if err != nil {
		return err
	}
	if !found {
		return j.wrong("The file has no data; it is no export of the old system.")
	}
	return j.end()
}

func (rd *reading) zatoTranslations(line int64, raw []byte) {
	named := map[string]zatoTranslation{}
	if reason := decodeElement(raw, &named); reason != "" {
		rd.count()
		rd.reject(line, reason, nil)
		return
	}
	if len(named) == 0 {
		rd.count()
		rd.reject(line, "names no translation", nil)
	}
	for name, t := range named {
		f, reason := splitZatoName(name)
		fields := append(f[:], "")
		if reason == "" && t.Value2 == nil {
			reason = "has no value2"
		}
		if reason != "" {
			rd.count()
			rd.reject(line, reason, fields)
			continue
		}
		fields[5] = *t.Value2
		rd.translation(line, fields)
	}
}
