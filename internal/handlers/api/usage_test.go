package api_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"webadmin/internal/account"
)

func TestUsage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, v := range []string{"PL", "BQ", "AW"} {
		w.want(201, "POST", "/dictionary/translations", translation("CRM", "C", v, "ERP", "C", v+"!"))
	}
	w.want(201, "POST", "/dictionary/translations", translation("CRM", "C", "PL", "BILLING", "C", "616"))
	ask := object{"system1": "CRM", "key1": "C", "system2": "ERP", "key2": "C"}
	before := time.Now().Add(-time.Second)
	for range 3 {
		w.want(200, "POST", "/translate", but(ask, "value1", "PL"), w.as(account.Viewer))
	}
	w.want(200, "POST", "/translate/batch", but(ask, "values", []string{"PL", "??", "BQ"}))

	items := w.items("/dictionary/usage")
	if len(items) != 2 {
		t.Fatalf("%v", items)
	}
	idle, used := items[0].(object), items[1].(object)
	for _, at := range []any{used["last_at"], used["since"], idle["since"]} {
		text, _ := at.(string)
		if at, err := time.Parse(time.RFC3339, text); err != nil || at.Before(before.Add(-time.Minute)) || at.After(time.Now()) {
			t.Errorf("time %v", text)
		}
	}
	if diff := cmp.Diff(but(ask, "translations", 3.0, "hits", 5.0, "hits_total", 5.0), but(used, "last_at", nil, "since", nil)); diff != "" {
		t.Errorf("used (-want +got):\n%s", diff)
	}
	if at, there := idle["last_at"]; !there || at != nil || idle["hits"] != 0.0 || idle["system2"] != "BILLING" {
		t.Errorf("idle: %v", idle)
	}
	if n := len(w.items("/dictionary/usage?limit=1")); n != 2 {
		t.Errorf("paged: %d", n)
	}
	if n := len(w.items("/dictionary/usage?system2=ERP&key2=C")); n != 1 {
		t.Errorf("filtered: %d", n)
	}

	today := time.Now().UTC().Format(time.DateOnly)
	var values []string
	for _, i := range w.items("/dictionary/translations?system2=ERP&unused_since=" + today) {
		values = append(values, i.(object)["value1"].(string))
	}
	if diff := cmp.Diff([]string{"AW"}, values); diff != "" {
		t.Errorf("unused (-want +got):\n%s", diff)
	}
	for _, date := range []string{"2026-13-01", "yesterday", "2999-01-01", "2001-01-01", today + "T00:00:00Z"} {
		w.want(422, "GET", "/dictionary/translations?unused_since="+date, nil)
	}
}
