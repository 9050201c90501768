package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"webadmin/internal/kvdb"
)

// Preset is a message that is kept under a name, for sending it again.
type Preset struct {
	Name string
	Data []byte // JSON
	By   string
	At   time.Time
}

// Limits of presets.
const (
	maxPresets    = 50 // of a channel
	maxPresetData = 64 << 10
)

// presetRecord is a Preset as it is kept.
type presetRecord struct {
	Data string `json:"data"`
	By   string `json:"by"`
	At   int64  `json:"at"` // Unix ms
}

// presetScript keeps a preset under a name that is free.
//
// KEYS: 1 presets. ARGV: 1 name, 2 the record, 3 how many there may be. Returns 1; 0 = the name is taken; -1 = there are too many.
var presetScript = kvdb.NewScript(`
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return 0 end
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then return -1 end
return redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])`)

// SavePreset keeps a message under a name. Errors: *kvdb.InvalidError, also for a name that is taken; *JSONError, *TooLargeError.
func (s *Store) SavePreset(ctx context.Context, channel string, p Preset) error {
	if err := CheckChannel(channel); err != nil {
		return err
	}
	if p.Name == "" || len(p.Name) > maxChannelName || strings.TrimSpace(p.Name) != p.Name || checkSubscriber(p.Name) != nil {
		return kvdb.Invalid("name", "must be 1 to %d bytes of text", maxChannelName)
	}
	if len(p.Data) > maxPresetData {
		return &TooLargeError{What: "preset", Size: len(p.Data), Max: maxPresetData}
	}
	if err := CheckJSON(p.Data); err != nil {
		return err
	}
	record, err := json.Marshal(presetRecord{Data: string(p.Data), By: p.By, At: s.now().UnixMilli()})
	if err != nil {
		return err
	}
	n, err := presetScript.Run(ctx, s.db, []string{s.keys.Channel(channel).Presets()}, p.Name, record, maxPresets).Int()
	switch {
	case err != nil:
		return kvdb.WriteErr("save a preset", err)
	case n == 0:
		return kvdb.Invalid("name", "is taken: delete the preset of this name first, or choose another")
	case n < 0:
		return kvdb.Invalid("name", "is one too many: a channel has up to %d presets", maxPresets)
	}
	return nil
}

// DeletePreset deletes one. Error: kvdb.ErrNotFound.
func (s *Store) DeletePreset(ctx context.Context, channel, name string) error {
	if err := CheckChannel(channel); err != nil {
		return err
	}
	n, err := s.db.Client().HDel(ctx, s.keys.Channel(channel).Presets(), name).Result()
	if err != nil {
		return kvdb.WriteErr("delete a preset", err)
	}
	if n == 0 {
		return fmt.Errorf("preset %q: %w", name, kvdb.ErrNotFound)
	}
	return nil
}

// Presets returns those of a channel by name.
func (s *Store) Presets(ctx context.Context, channel string) ([]Preset, error) {
	records, err := s.db.Client().HGetAll(ctx, s.keys.Channel(channel).Presets()).Result() // at most maxPresets
	if err != nil {
		return nil, kvdb.ReadErr("read the presets", err)
	}
	out := make([]Preset, 0, len(records))
	for name, text := range records {
		var r presetRecord
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			return nil, fmt.Errorf("preset %q: %w", name, err)
		}
		out = append(out, Preset{Name: name, Data: []byte(r.Data), By: r.By, At: time.UnixMilli(r.At)})
	}
	slices.SortFunc(out, func(a, b Preset) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}
