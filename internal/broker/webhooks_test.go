package broker

import (
	"errors"
	"strings"
	"testing"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

func hookStore(db *kvdb.DB, secret string) *Store { return New(db, Options{Secret: []byte(secret)}) }

func TestWebhooksAreKeptSealed(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s, ctx := hookStore(db, "key one"), t.Context()
		made, err := s.SaveWebhook(ctx, Webhook{Service: "orders", URL: "https://example.com/hook?a=b", UpdatedBy: "joe"})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(made.Secret, "whsec_") || made.Version != 1 || made.Timeout != WebhookTimeout ||
			made.UpdatedBy != "joe" || made.UpdatedAt.IsZero() {
			t.Errorf("%+v", made)
		}
		if !s.HasWebhook("orders") {
			t.Error("this process doesn't know of it")
		}
		read, err := s.Webhook(ctx, "orders")
		want := made
		want.Secret = ""
		if err != nil || read != want {
			t.Errorf("%+v, %v", read, err)
		}
		if list, err := s.Webhooks(ctx); err != nil || len(list) != 1 || list[0] != want {
			t.Errorf("%+v, %v", list, err)
		}
		stored, err := db.Client().HGet(ctx, db.Keys().Broker().Webhooks(), "orders").Result()
		if err != nil || strings.Contains(stored, "example.com") || strings.Contains(stored, made.Secret) {
			t.Errorf("stored %q, %v", stored, err)
		}

		read.URL, read.AllowPrivate, read.UpdatedBy = "http://10.0.0.1:8080/", true, "ann"
		changed, err := s.SaveWebhook(ctx, read)
		if err != nil || changed.Secret != "" || changed.Version != 2 {
			t.Errorf("%+v, %v", changed, err)
		}
		if w, err := s.SecretWebhook(ctx, "orders"); err != nil || w.Secret != made.Secret || w.URL != read.URL {
			t.Errorf("the secret is not kept: %+v, %v", w, err)
		}
		_, err = s.SaveWebhook(ctx, read)
		if stale, ok := errors.AsType[*WebhookStaleError](err); !ok || stale.Current != changed || !errors.Is(err, kvdb.ErrConflict) {
			t.Errorf("stale: %v", err)
		}
		if err := s.DeleteWebhook(ctx, "orders", 1); !errors.Is(err, kvdb.ErrConflict) {
			t.Errorf("delete a stale one: %v", err)
		}
		if err := s.DeleteWebhook(ctx, "orders", 2); err != nil || s.HasWebhook("orders") {
			t.Error(err)
		}
		if _, err := s.Webhook(ctx, "orders"); !errors.Is(err, kvdb.ErrNotFound) {
			t.Errorf("deleted: %v", err)
		}
		if err := s.DeleteWebhook(ctx, "orders", 0); !errors.Is(err, kvdb.ErrNotFound) {
			t.Errorf("delete again: %v", err)
		}
		_, err = s.SaveWebhook(ctx, changed)
		if stale, ok := errors.AsType[*WebhookStaleError](err); !ok || stale.Current != (Webhook{Service: "orders"}) {
			t.Errorf("save a deleted one: %v", err)
		}
	})
}

// Who can write to Redis can't have invocations sent elsewhere.
func TestForgedWebhooksAreRefused(t *testing.T) {
	t.Parallel()
	db, ctx := kvtest.Open(t), t.Context()
	s, key := hookStore(db, "key one"), db.Keys().Broker().Webhooks()
	for _, service := range []string{"a", "b"} {
		if _, err := s.SaveWebhook(ctx, Webhook{Service: service, URL: "https://" + service + ".example.com"}); err != nil {
			t.Fatal(err)
		}
	}
	sealed, err := db.Client().HGet(ctx, key, "b").Result()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"that of another service": sealed, "plain": `{"url":"https://evil.example.com"}`, "nothing": ""} {
		if err := db.Client().HSet(ctx, key, "a", text).Err(); err != nil {
			t.Fatal(err)
		}
		w, err := s.SecretWebhook(ctx, "a")
		if err != nil || w.Broken == "" || w.URL != "" || w.Secret != "" {
			t.Errorf("%s: %+v, %v", name, w, err)
		}
	}
	other, err := hookStore(db, "key two").SecretWebhook(ctx, "b")
	if err != nil || other.Broken == "" || other.URL != "" {
		t.Errorf("with another session key: %+v, %v", other, err)
	}
	broken, err := s.Webhook(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	broken.URL = "https://mended.example.com"
	if w, err := s.SaveWebhook(ctx, broken); err != nil || w.Secret == "" || w.Version != 1 {
		t.Errorf("saved anew: %+v, %v", w, err)
	}
}

func TestWebhooksAreChecked(t *testing.T) {
	t.Parallel()
	s, ctx := hookStore(kvtest.Open(t), "key"), t.Context()
	s.Handle(func(service string) bool { return strings.HasPrefix(service, "lua:") }, HandlerLua, nil)
	good := Webhook{Service: "s", URL: "https://example.com", Secret: "0123456789abcdef"}
	with := func(change func(w *Webhook)) Webhook {
		w := good
		change(&w)
		return w
	}
	for name, tc := range map[string]struct {
		w     Webhook
		field string
	}{
		"no service":       {with(func(w *Webhook) { w.Service = "" }), "service"},
		"a strange name":   {with(func(w *Webhook) { w.Service = "a b" }), "service"},
		"echo":             {with(func(w *Webhook) { w.Service = "echo" }), "service"},
		"a program":        {with(func(w *Webhook) { w.Service = "lua:x" }), "service"},
		"no URL":           {with(func(w *Webhook) { w.URL = "" }), "url"},
		"http":             {with(func(w *Webhook) { w.URL = "http://example.com" }), "url"},
		"ftp":              {with(func(w *Webhook) { w.URL, w.AllowPrivate = "ftp://example.com", true }), "url"},
		"unix":             {with(func(w *Webhook) { w.URL, w.AllowPrivate = "unix:///run/x", true }), "url"},
		"opaque":           {with(func(w *Webhook) { w.URL = "https:example.com" }), "url"},
		"a path":           {with(func(w *Webhook) { w.URL = "/x" }), "url"},
		"no host":          {with(func(w *Webhook) { w.URL = "https:///x" }), "url"},
		"a password":       {with(func(w *Webhook) { w.URL = "https://u:p@example.com" }), "url"},
		"a fragment":       {with(func(w *Webhook) { w.URL = "https://example.com/#x" }), "url"},
		"port 0":           {with(func(w *Webhook) { w.URL = "https://example.com:0" }), "url"},
		"port 70000":       {with(func(w *Webhook) { w.URL = "https://example.com:70000" }), "url"},
		"a line break":     {with(func(w *Webhook) { w.URL = "https://example.com/\n" }), "url"},
		"too long":         {with(func(w *Webhook) { w.URL += "/" + strings.Repeat("x", MaxWebhookURL) }), "url"},
		"a short secret":   {with(func(w *Webhook) { w.Secret = "short" }), "secret"},
		"a strange secret": {with(func(w *Webhook) { w.Secret += "\n" }), "secret"},
		"a long timeout":   {with(func(w *Webhook) { w.Timeout = MaxWebhookTimeout + 1 }), "timeout"},
		"a negative one":   {with(func(w *Webhook) { w.Timeout = -1 }), "timeout"},
	} {
		_, err := s.SaveWebhook(ctx, tc.w)
		if invalid, ok := errors.AsType[*kvdb.InvalidError](err); !ok || len(invalid.Fields) != 1 || invalid.Fields[0].Field != tc.field {
			t.Errorf("%s: %v", name, err)
		}
	}
	if w, err := s.SaveWebhook(ctx, good); err != nil || w.Secret != "" {
		t.Errorf("%+v, %v", w, err)
	}
	if w, err := s.SecretWebhook(ctx, "s"); err != nil || w.Secret != good.Secret {
		t.Errorf("%+v, %v", w, err)
	}
}

// Other processes learn of a webhook by themselves.
func TestWebhooksOfOtherProcesses(t *testing.T) {
	t.Parallel()
	db := kvtest.Open(t)
	s := process(t, db, 0, nil)
	if _, err := hookStore(db, "x").SaveWebhook(t.Context(), Webhook{Service: "orders", URL: "https://example.com"}); err != nil {
		t.Fatal(err)
	}
	kvtest.Await(t, "the webhook is known", func() bool { return s.HasWebhook("orders") })
}
