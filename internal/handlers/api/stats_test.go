package api_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"webadmin/internal/account"
	"webadmin/internal/audit"
)

// flush has what was recorded written, as it is once a second.
func (w *world) flush() {
	w.t.Helper()
	if err := w.stats.Flush(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func sample(service string, ms any, more ...any) object {
	return but(object{"service": service, "duration_ms": ms}, more...)
}

func TestRecordSamples(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	now := time.Now()
	got := w.want(202, "POST", "/stats/record", object{"samples": []any{
		sample("svc", 1), sample("svc", 2.5), sample("svc", 3, "failed", true, "cid", "c3"),
		sample("svc", 4, "at", now.UTC()), sample("svc", json.Number("89.5")),
		sample("svc", -1), sample("", 1), sample("svc", "1"), sample("svc", nil), object{"service": "svc"},
		object{"duration_ms": 1}, sample("svc", 1, "failed", 1),
		sample("svc", 1, "at", "yesterday"), sample("svc", 1, "at", now.Add(-36*24*time.Hour)), sample("svc", 1, "at", now.Add(2*time.Minute)),
		sample(strings.Repeat("x", 201), 1), sample("svc", 1, "color", "red"), sample("svc", json.Number("1e400")), 7,
		sample("svc", 86_400_001), sample("svc", json.Number("1e-3")),
		sample("svc", 0, "failed", nil, "at", nil, "cid", nil),
	}}).object(t)
	reasons := map[float64]string{}
	for _, r := range got["rejected"].([]any) {
		reasons[r.(object)["index"].(float64)] = r.(object)["reason"].(string)
	}
	for index, reason := range map[float64]string{
		5: "duration_ms is negative", 6: "service is missing", 7: "duration_ms must be a number",
		8: "duration_ms must be a number", 9: "duration_ms is missing",
		10: "service is missing", 11: "failed must be true or false", 12: "at must be a time", 13: "at is over 35 days ago",
		14: "at is more than 60 seconds ahead",
		15: "service is longer than 200 characters", 16: "color is not known", 17: "duration_ms is over 24 hours",
		18: "it is not an object", 19: "duration_ms is over 24 hours",
	} {
		if !strings.HasPrefix(reasons[index], reason) {
			t.Errorf("sample %v: %q, want %q", index, reasons[index], reason)
		}
	}
	if got["accepted"] != 7.0 || len(reasons) != 15 {
		t.Errorf("accepted %v, rejected %v", got["accepted"], reasons)
	}
	w.flush()
	item := w.want(200, "GET", "/stats/services", nil, w.as(account.Viewer)).object(t)["items"].([]any)[0].(object)
	if item["service"] != "svc" || item["usage"] != 7.0 || item["failed"] != 1.0 || item["min_ms"] != 0.0 || item["max_ms"] != 89.5 ||
		item["total_ms"] != 100.001 || item["usage_share"] != 1.0 {
		t.Errorf("%v", item)
	}
	for body, status := range map[string]int{`{"samples":[{"service":"a"`: 400, `{"samples":7}`: 422, `{}`: 422, `{"samples":[]}`: 202,
		`{"samples":[{"service":"a","duration_ms":NaN}]}`: 400} {
		if a := w.call("POST", "/stats/record", body); a.status != status {
			t.Errorf("%s: %d %s", body, a.status, a.raw)
		}
	}
	if a := w.call("POST", "/stats/record", `{"samples":[`+strings.Repeat(`1,`, 10_000)+`1]}`); a.status != 422 {
		t.Errorf("10,001 samples: %d", a.status)
	}
	w.want(403, "POST", "/stats/record", object{"samples": []any{}}, w.as(account.Viewer))
	records, _, err := w.audit.List(t.Context(), audit.Filter{Verb: "stats.record"}, "", 10)
	if err != nil || len(records) == 0 || records[len(records)-1].After != "7 accepted" {
		t.Errorf("audit: %+v, %v", records, err)
	}
}

// What get-trends, get-by-service and get-summary-by-* answered is answered here.
func TestStatsReports(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	now := time.Now().UTC()
	var samples []any
	for i := range 20 {
		samples = append(samples, sample("fast/{odd} é", 1+i), sample("slow", 1000+i, "cid", fmt.Sprint("c", i)),
			sample("fast/{odd} é", 5, "at", now.Add(-26*time.Hour)))
	}
	w.want(202, "POST", "/stats/record", object{"samples": samples})
	w.flush()
	names := func(path string) (list []string) {
		t.Helper()
		for _, item := range w.want(200, "GET", path, nil).object(t)["items"].([]any) {
			list = append(list, item.(object)["service"].(string))
		}
		return list
	}
	for path, want := range map[string]string{
		"/stats/services?sort=mean&limit=1": "[slow]", "/stats/services?sort=usage&limit=1&span=year": "[fast/{odd} é]", "/stats/services?q=SLO": "[slow]",
		"/stats/services?span=day&tz=UTC&at=" + now.Add(-26*time.Hour).Format(time.RFC3339): "[fast/{odd} é]",
		"/stats/services?span=day&at=" + now.AddDate(0, 0, -20).Format(time.RFC3339):        "[]",
	} {
		if got := fmt.Sprint(names(path)); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	if got := names("/stats/services?internal=true&q=api:"); !slices.Contains(got, "api:stats.record") {
		t.Errorf("the product's own: %v", got)
	}
	one := "/stats/services/" + url.PathEscape("fast/{odd} é")
	item := w.want(200, "GET", one+"?compare=day&span=today", nil).object(t)["items"].([]any)[0].(object)
	if item["service"] != "fast/{odd} é" || item["usage"].(float64) < 20 || item["p50_ms"].(float64) < 4 {
		t.Errorf("%v", item)
	}
	report := w.want(200, "GET", "/stats/services?points=30&compare=day", nil).object(t)
	if item := report["items"].([]any)[0].(object); len(item["usage_trend"].([]any)) < 10 || report["error_bound"].(float64) > 0.02 ||
		report["all"].(object)["usage"] != 40.0 {
		t.Errorf("%v", report)
	}
	points := w.want(200, "GET", one+"/trend?step=hour&sort=usage&limit=5&from="+now.Add(-30*time.Hour).Format(time.RFC3339),
		nil).object(t)["points"].([]any)
	usage := 0.0
	for _, p := range points {
		usage += p.(object)["usage"].(float64)
	}
	if usage != 40 || len(points) < 30 || len(points) > 32 {
		t.Errorf("%d points add up to %v", len(points), usage)
	}
	slow := w.want(200, "GET", "/stats/slow?min_ms=1015&service=slow", nil).object(t)["items"].([]any)
	if len(slow) != 5 || slow[0].(object)["cid"] != "c19" || slow[0].(object)["duration_ms"] != 1019.0 {
		t.Errorf("%v", slow)
	}
	for path, column := range map[string]string{"/stats/services?format=csv": "service", one + "/trend?format=csv&step=minute": "at",
		"/stats/slow?format=csv": "service"} {
		a := w.do(w.request("GET", base+path, nil, w.as(account.Viewer)))
		rows, err := csv.NewReader(strings.NewReader(string(a.raw))).ReadAll()
		if a.status != 200 || !strings.HasPrefix(a.header.Get("Content-Type"), "text/csv") || err != nil || len(rows) < 2 || rows[0][0] != column {
			t.Errorf("%s: %d %q, %v", path, a.status, a.raw, err)
		}
	}
	if a := w.do(w.request("GET", base+"/stats/services", nil, w.as(account.Viewer),
		header("Accept", "text/csv"))); !strings.HasPrefix(string(a.raw), "service,usage,") {
		t.Errorf("by its type: %s", a.raw)
	}
}

func TestStatsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for path, field := range map[string]string{
		"/stats/services?tz=Mars/Base":                                      "tz",
		"/stats/services?span=year&from=2026-01-01T00:00:00Z":               "span",
		"/stats/services?at=2026-01-01T00:00:00Z":                           "at",
		"/stats/services?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z": "to",
		"/stats/services?sort=name":                                         "sort",
		"/stats/services/x/trend?step=week":                                 "step",
		"/stats/services/x/trend?step=minute&from=" + time.Now().Add(-23*time.Hour).UTC().Format(time.RFC3339) + "&to=" +
			time.Now().Add(300*24*time.Hour).UTC().Format(time.RFC3339): "",
	} {
		a := w.call("GET", path, nil)
		if field == "" {
			if a.status != 200 {
				t.Errorf("%s: %d %s", path, a.status, a.raw)
			}
			continue
		}
		if _, fields := a.problem(t); a.status != 422 || fields[field] == "" {
			t.Errorf("%s: %d %v", path, a.status, fields)
		}
	}
}

func TestDeleteStats(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := time.Now().UTC().Add(-3 * time.Hour)
	w.want(202, "POST", "/stats/record", object{"samples": []any{sample("a", 1, "at", old), sample("b", 1, "at", old), sample("a", 1)}})
	path := "/stats?service=a&from=" + old.Add(-time.Hour).Format(time.RFC3339) + "&to=" + old.Add(time.Hour).Format(time.RFC3339)
	w.want(403, "DELETE", path, nil)
	got := w.want(200, "DELETE", path, nil, w.as(account.Admin)).object(t)
	if got["calls"] != 1.0 || got["services"] != 1.0 || got["slow"] != 1.0 {
		t.Errorf("%v", got)
	}
	left := w.want(200, "GET", "/stats/services?span=year", nil).object(t)["all"].(object)["usage"]
	if left != 2.0 {
		t.Errorf("%v calls are left", left)
	}
	records, _, err := w.audit.List(t.Context(), audit.Filter{Verb: "stats.delete"}, "", 10)
	if err != nil || len(records) != 1 || records[0].After != "1 calls deleted" {
		t.Errorf("audit: %+v, %v", records, err)
	}
}

// Prometheus gets what this process has recorded.
func TestServiceMetrics(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.want(202, "POST", "/stats/record", object{"samples": []any{sample("svc", 1), sample("svc", 500, "failed", true)}})
	a := w.do(w.request("GET", "/metrics", nil))
	for _, line := range []string{`webadmin_service_duration_seconds_count{service="svc"} 2`,
		`webadmin_service_duration_seconds_sum{service="svc"} 0.501`,
		`webadmin_service_failed_total{service="svc"} 1`, `webadmin_service_duration_seconds_count{service="api:stats.record"} 1`,
		"webadmin_stats_dropped_total 0"} {
		if !strings.Contains(string(a.raw), line+"\n") {
			t.Errorf("%q is not there", line)
		}
	}
	native := w.do(w.request("GET", "/metrics", nil,
		header("Accept", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text")))
	if text := string(native.raw); !regexp.MustCompile(`schema:\s+3\b`).MatchString(text) || !strings.Contains(text, "positive_span") {
		t.Errorf("no native histogram: %.500s", text)
	}
}

// What workers and the product's own calls take is recorded as the issue of each asks: running and waiting apart, with the cid.
func TestEverythingIsMeasured(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cid := w.want(202, "POST", "/broker/invoke", object{"service": "orders", "payload": 1}).object(t)["cid"].(string)
	got := w.want(200, "POST", "/broker/services/orders/receive", object{"wait_ms": 5000}).object(t)["invocations"].([]any)[0].(object)
	w.want(204, "POST", "/broker/invocations/"+cid+"/nack", object{"lease": got["lease"], "error": "no", "retry_after_ms": 60_000})
	w.call("POST", "/broker/invocations/"+cid+"/ack", object{"lease": got["lease"]}) // too late
	w.want(200, "POST", "/translate", object{"system1": "a", "key1": "b", "value1": "c", "system2": "d", "key2": "e"})
	w.flush()
	usage := map[string]object{}
	for _, item := range w.want(200, "GET", "/stats/services?internal=true", nil).object(t)["items"].([]any) {
		usage[item.(object)["service"].(string)] = item.(object)
	}
	for _, service := range []string{"orders", "wait:orders", "translate", "api:translate", "api:broker.invoke"} {
		if one := usage[service]; one == nil || one["usage"] != 1.0 || one["failed"] == 1.0 != (service == "orders") {
			t.Errorf("%s: %v", service, one)
		}
	}
	slow := w.want(200, "GET", "/stats/slow?service=wait:orders", nil).object(t)["items"].([]any)
	if len(slow) != 1 || slow[0].(object)["cid"] != cid {
		t.Errorf("%v", slow)
	}
}
