package broker_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"webadmin/internal/broker"
	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

func TestChannels(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		t.Parallel()
		s, ctx := onChannels(t, db), t.Context()
		if p, err := s.Channels(ctx, "", "", 10); err != nil || len(p.Items) != 0 || p.Next != "" {
			t.Errorf("%+v, %v", p, err)
		}
		for i := range 7 {
			say(t, s, fmt.Sprintf("orders/%d", i), "1")
		}
		sayMany(t, s, "News", 1, 3)
		names := func(q string, limit int) (all []string, pages int) {
			for cursor := ""; ; pages++ {
				p, err := s.Channels(ctx, q, cursor, limit)
				if err != nil || len(p.Items) > limit {
					t.Fatalf("%d, %v", len(p.Items), err)
				}
				for _, c := range p.Items {
					all = append(all, c.Name)
				}
				if cursor = p.Next; cursor == "" {
					return all, pages + 1
				}
			}
		}
		want := []string{"News", "orders/0", "orders/1", "orders/2", "orders/3", "orders/4", "orders/5", "orders/6"}
		if got, pages := names("", 3); !slices.Equal(got, want) || pages != 3 {
			t.Errorf("%v in %d pages", got, pages)
		}
		if got, pages := names("", 8); !slices.Equal(got, want) || pages != 1 {
			t.Errorf("%v in %d pages", got, pages)
		}
		if got, _ := names("ORDERS/", 2); !slices.Equal(got, want[1:]) {
			t.Error(got)
		}
		if got, _ := names("news", 2); !slices.Equal(got, want[:1]) {
			t.Error(got)
		}
		p, err := s.Channels(ctx, "news", "", 2)
		if err != nil || p.Items[0].Published != 3 || p.Items[0].Length != 3 || p.Items[0].RatePerMinute < 1 || p.Items[0].Connected != 0 {
			t.Errorf("%+v, %v", p, err)
		}
	})
}

func TestMessages(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		t.Parallel()
		s, ctx := onChannels(t, db), t.Context()
		sent := sayMany(t, s, "c", 1, 250)
		found := func(f broker.MessageFilter, limit int) (all []string) {
			for cursor := ""; ; {
				p, err := s.Messages(ctx, "c", f, cursor, limit)
				if err != nil || len(p.Items) > limit {
					t.Fatalf("%d, %v", len(p.Items), err)
				}
				for _, m := range p.Items {
					all = append(all, string(m.Data))
				}
				if cursor = p.Next; cursor == "" {
					return all
				}
			}
		}
		if got := found(broker.MessageFilter{}, 100); len(got) != 250 || got[0] != "250" || got[249] != "1" {
			t.Errorf("%d: %v", len(got), got)
		}
		if got := found(broker.MessageFilter{}, 50); len(got) != 250 {
			t.Errorf("%d", len(got))
		}
		if got := found(broker.MessageFilter{Before: sent[9].ID, After: sent[4].ID}, 3); !slices.Equal(got, []string{"9", "8", "7", "6"}) {
			t.Error(got)
		}
		if got := found(broker.MessageFilter{Q: "24"}, 4); !slices.Equal(got,
			[]string{"249", "248", "247", "246", "245", "244", "243", "242", "241", "240", "224", "124", "24"}) {
			t.Error(got)
		}
		if got := found(broker.MessageFilter{Q: "ANNA"}, 100); len(got) != 250 {
			t.Errorf("%d of the publisher", len(got))
		}
		long := say(t, s, "c", `"`+strings.Repeat("ä", 5000)+`"`)
		p, err := s.Messages(ctx, "c", broker.MessageFilter{}, "", 1)
		if err != nil || p.Items[0].Size != 10002 || len(p.Items[0].Data) != 2047 || p.Next == "" {
			t.Errorf("%d of %d bytes, %v", len(p.Items[0].Data), p.Items[0].Size, err)
		}
		if m, err := s.Message(ctx, "c", long.ID); err != nil || len(m.Data) != 10002 {
			t.Errorf("%d bytes, %v", len(m.Data), err)
		}
	})
}

// TestSearchIsBounded: one call reads a part of a long channel, and says where to go on.
func TestSearchIsBounded(t *testing.T) {
	t.Parallel()
	s, ctx := onChannels(t, kvtest.Open(t)), t.Context()
	say(t, s, "c", `"needle"`)
	for range 8 {
		if _, _, err := s.PublishTimes(ctx, "c", []byte(`"hay"`), "", "", 1000); err != nil {
			t.Fatal(err)
		}
	}
	pages, found := 0, 0
	for cursor := ""; ; pages++ {
		p, err := s.Messages(ctx, "c", broker.MessageFilter{Q: "NEEDLE"}, cursor, 10)
		if err != nil {
			t.Fatal(err)
		}
		found += len(p.Items)
		if cursor = p.Next; cursor == "" {
			break
		}
	}
	if found != 1 || pages != 1 {
		t.Errorf("%d found, after %d pages", found, pages)
	}
}

func TestChannelSettings(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		t.Parallel()
		s, ctx := onChannels(t, db), t.Context()
		for range 3 {
			if _, _, err := s.PublishTimes(ctx, "c", []byte("1"), "", "", 1000); err != nil {
				t.Fatal(err)
			}
		}
		set := broker.DefaultChannelSettings
		set.KeepN = 500
		saved, err := s.SetChannelSettings(ctx, "c", set)
		if err != nil || saved.Version != 1 {
			t.Fatalf("%+v, %v", saved, err)
		}
		c, err := s.Channel(ctx, "c")
		if err != nil || c.Length < 500 || c.Length > 700 || c.Published != 3000 || c.Settings != saved {
			t.Errorf("%+v, %v", c, err)
		}
		var stale *broker.StaleSettingsError
		if _, err := s.SetChannelSettings(ctx, "c", set); !errors.As(err, &stale) || stale.Current != saved {
			t.Error(err)
		}
		for _, bad := range []broker.ChannelSettings{{KeepN: 0, Keep: time.Hour}, {KeepN: 1, Keep: time.Second}, {KeepN: 1e9, Keep: time.Hour}} {
			if _, err := s.SetChannelSettings(ctx, "c", bad); !errors.Is(err, kvdb.ErrInvalid) {
				t.Errorf("%+v: %v", bad, err)
			}
		}
	})
}

func TestPresets(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		t.Parallel()
		s, ctx := onChannels(t, db), t.Context()
		for _, name := range []string{"b", "a"} {
			if err := s.SavePreset(ctx, "c", broker.Preset{Name: name, Data: []byte(`{"x": 1.0}`), By: "anna"}); err != nil {
				t.Fatal(err)
			}
		}
		all, err := s.Presets(ctx, "c")
		if err != nil || len(all) != 2 || all[0].Name != "a" || string(all[1].Data) != `{"x": 1.0}` || all[1].By != "anna" || all[1].At.IsZero() {
			t.Errorf("%+v, %v", all, err)
		}
		for _, bad := range []broker.Preset{{Name: "a", Data: []byte("2")}, {Name: "", Data: []byte("2")}, {Name: "c", Data: []byte("{")},
			{Name: "c", Data: []byte(`"` + strings.Repeat("x", 1<<17) + `"`)}} {
			if err := s.SavePreset(ctx, "c", bad); !errors.Is(err, kvdb.ErrInvalid) {
				t.Errorf("%q: %v", bad.Name, err)
			}
		}
		if err := s.DeletePreset(ctx, "c", "a"); err != nil {
			t.Error(err)
		}
		if err := s.DeletePreset(ctx, "c", "a"); !errors.Is(err, kvdb.ErrNotFound) {
			t.Error(err)
		}
	})
}
