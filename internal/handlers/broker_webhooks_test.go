package handlers

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"webadmin/internal/audit"
	"webadmin/internal/broker"
	"webadmin/internal/kvdb"
)

func newHookApp(t *testing.T) *brokerApp {
	a := newApp(t)
	return &brokerApp{a, session(a.signIn(Admin))}
}

func TestWebhooks(t *testing.T) {
	t.Parallel()
	a := newHookApp(t)
	ctx := context.Background()
	if got := a.page("/settings/webhooks").Find(".empty").Text(); !strings.Contains(got, "No webhooks") {
		t.Errorf("empty: %q", got)
	}
	rec := a.send("/settings/webhooks", "service", "crm/sync", "url", "https://crm.example.com/hook", "timeout", "1 min")
	wantStatus(t, rec, http.StatusCreated)
	d := doc(t, rec)
	secret := d.Find(testid("secret") + " .v").Text()
	if !strings.HasPrefix(secret, "whsec_") || d.Find(testid("webhook")).Length() != 1 {
		t.Fatalf("created: %s", d.Find("main").Text())
	}
	if got := a.get("/settings/webhooks", a.as).Body.String(); strings.Contains(got, secret) {
		t.Error("the secret is shown again")
	}
	saved, err := a.deps.Broker.SecretWebhook(ctx, "crm/sync")
	a.must(err)
	if saved.Secret != secret || saved.Timeout.Seconds() != 60 || saved.AllowPrivate || saved.UpdatedBy != "admin" {
		t.Errorf("saved: %+v", saved)
	}
	wantStatus(t, a.send("/settings/webhooks", "service", "crm/sync", "url", "https://other.example.com/"), http.StatusConflict)

	const page = "/settings/webhooks/crm%2Fsync"
	at(t, a.send(page, "version", "1", "url", "http://10.0.0.7/hook", "private", "on", "timeout", ""))
	saved, err = a.deps.Broker.SecretWebhook(ctx, "crm/sync")
	a.must(err)
	if saved.Secret != secret || !saved.AllowPrivate || saved.Timeout != broker.WebhookTimeout {
		t.Errorf("changed: %+v", saved)
	}
	stale := a.send(page, "version", "1", "url", "https://mine.example.com/", "timeout", "5 s")
	wantStatus(t, stale, http.StatusConflict)
	if d := doc(t, stale); d.Find("[name=url]").AttrOr("value", "") != "https://mine.example.com/" ||
		!strings.Contains(d.Find(testid("theirs")).Text(), "http://10.0.0.7/hook") {
		t.Errorf("stale: %s", d.Find("main").Text())
	}
	renewed := doc(t, a.send(page, "version", "2", "url", "https://crm.example.com/hook", "renew", "on")).Find(testid("secret") + " .v").Text()
	if renewed == secret || !strings.HasPrefix(renewed, "whsec_") {
		t.Errorf("renewed: %q", renewed)
	}
	for field, bad := range map[string]string{"url": "ftp://x", "timeout": "soon", "secret": "short"} {
		fields := map[string]string{"version": "3", "url": "https://crm.example.com/", "timeout": "5 s"}
		fields[field] = bad
		var list []string
		for k, v := range fields {
			list = append(list, k, v)
		}
		rec := a.send(page, list...)
		wantStatus(t, rec, http.StatusUnprocessableEntity)
		if got := doc(t, rec).Find("#webhook-" + field + "-error").Text(); got == "" {
			t.Errorf("%s %q is taken for good", field, bad)
		}
	}
	wantStatus(t, a.send(page+"/delete", "confirm", "crm"), http.StatusUnprocessableEntity)
	at(t, a.send(page+"/delete", "confirm", "crm/sync"))
	if _, err := a.deps.Broker.Webhook(ctx, "crm/sync"); !errors.Is(err, kvdb.ErrNotFound) {
		t.Errorf("deleted: %v", err)
	}
	items, _, err := a.deps.Audit.List(ctx, audit.Filter{}, "", 100)
	a.must(err)
	for _, r := range items {
		if strings.Contains(r.Before+r.After+r.Detail+r.Object, "whsec_") {
			t.Errorf("a secret is in the audit log: %+v", r)
		}
	}
	a.wantRecord("admin | webhook.save | webhook crm/sync | done")
	a.wantRecord("admin | webhook.delete | webhook crm/sync | done")
}
