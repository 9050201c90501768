package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// idle: a process that nobody uses.
func (b *bench) idle() error {
	a, err := b.start("idle:")
	if err != nil {
		return err
	}
	time.Sleep(3 * time.Second) // let start-up settle: this is about what stays
	rss, err := memory(a.cmd.Process.Pid, "VmRSS")
	b.atMost("memory of an idle process", rss, 50, single("MiB", ""))
	return err
}

var assetPath = regexp.MustCompile(`(?:href|src)="(/static/[^"]+)"`)

// page: the first page of somebody who has nothing in the cache, as it goes over the wire.
func (b *bench) page() error {
	a, err := b.main()
	if err != nil {
		return err
	}
	if err := b.small(a); err != nil { // a list with full pages
		return err
	}
	for _, path := range []string{"/login", "/", "/dictionaries/translations"} {
		total, what := 0, []string{}
		seen := map[string]bool{}
		html, size, err := a.wire(path)
		if err != nil {
			return err
		}
		total += size
		what = append(what, fmt.Sprintf("page %d", size))
		for _, m := range assetPath.FindAllStringSubmatch(html, -1) {
			if seen[m[1]] {
				continue
			}
			seen[m[1]] = true
			_, size, err := a.wire(m[1])
			if err != nil {
				return err
			}
			total += size
			what = append(what, fmt.Sprintf("%s %d", m[1][strings.LastIndexByte(m[1], '/')+1:], size))
		}
		b.atMost("first load of "+path, float64(total)/1000, 60, single("KB", "bytes: "+strings.Join(what, ", ")))
	}
	return nil
}

// wire fetches a path as a browser does, and returns its text and the bytes of body and headers that came.
func (a *app) wire(path string) (text string, size int, err error) {
	get := func(encoding string) (*http.Response, []byte, error) {
		r, err := http.NewRequest(http.MethodGet, a.url+path, nil)
		if err != nil {
			return nil, nil, err
		}
		r.Header.Set("Accept-Encoding", encoding)
		answer, err := a.web.Do(r)
		if err != nil {
			return nil, nil, err
		}
		defer func() { _ = answer.Body.Close() }()
		body, err := io.ReadAll(answer.Body)
		if err == nil && answer.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %s", path, answer.Status)
		}
		return answer, body, err
	}
	_, plain, err := get("identity")
	if err != nil {
		return "", 0, err
	}
	answer, packed, err := get("br, gzip")
	if err != nil {
		return "", 0, err
	}
	size = len(packed)
	for name, values := range answer.Header {
		for _, v := range values {
			size += len(name) + len(v) + 4
		}
	}
	return string(plain), size, nil
}

const question = `{"system1":"CRM","key1":"CUSTOMER","value1":"C00000042","system2":"ERP","key2":"customer_no"}`

func (a *app) post(path, body string) ([]byte, error) { return a.call(http.MethodPost, path, body) }

func (a *app) get(path string) ([]byte, error) { return a.call(http.MethodGet, path, "") }

func (a *app) call(method, path, body string) ([]byte, error) {
	r, err := http.NewRequest(method, a.url+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+a.token)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode/100 != 2 {
		err = fmt.Errorf("%s: %s: %.300s", path, answer.Status, text)
	}
	return text, err
}

// small puts a thousand translations into the store, enough for lookups.
func (b *bench) small(a *app) error {
	_, err := a.post("/dictionary/import?format=csv&mode=merge", csvOf(1000))
	return err
}

// csvOf makes translations there and back: values of two systems, in no order.
func csvOf(n int) string {
	var s strings.Builder
	s.WriteString("system1,key1,value1,system2,key2,value2\n")
	eachRow(n, func(_ int, customer, number string) {
		fmt.Fprintf(&s, "CRM,CUSTOMER,%s,ERP,customer_no,%s\nERP,customer_no,%s,CRM,CUSTOMER,%s\n", customer, number, number, customer)
	})
	return s.String()
}

func eachRow(n int, f func(i int, customer, number string)) {
	for i := range n / 2 {
		f(i, fmt.Sprintf("C%08d", i*7919%(n/2)), fmt.Sprintf("%010d", i))
	}
}

// translate: the API against a bare handler that does one HGET, with the same client and server.
func (b *bench) translate() error {
	a, err := b.main()
	if err != nil {
		return err
	}
	if err := b.small(a); err != nil {
		return err
	}
	if err := b.rdb.HSet(context.Background(), "bare:CRM/CUSTOMER/ERP/customer_no", "C00000042", "0000000042").Err(); err != nil {
		return err
	}
	bare, err := b.startBare()
	if err != nil {
		return err
	}
	var rates, costs, ours, theirs, cost1, cost2 []float64
	for i := range rounds + 1 {
		r1, c1, err := measured(a.cmd.Process.Pid, func() (float64, error) { return hammer(a.url, "/api/v1/translate", a.token, question) })
		if err != nil {
			return err
		}
		r2, c2, err := measured(b.bare.Process.Pid, func() (float64, error) { return hammer(bare, "/translate", "", question) })
		if err != nil {
			return err
		}
		if i == 0 {
			continue // warm-up
		}
		rates, costs = append(rates, r1/r2), append(costs, c1/c2)
		ours, theirs, cost1, cost2 = append(ours, r1), append(theirs, r2), append(cost1, c1), append(cost2, c2)
	}
	b.atLeast("POST /translate, requests/s against bare", median(rates), 0.8, pair("%.0f/s", median(ours), median(theirs)))
	b.atMost("POST /translate, CPU a request against bare", median(costs), 1.6, pair("%.1f µs", median(cost1), median(cost2)))
	return nil
}

// batch: a hundred values a request against a Go program that pipelines HMGET of a hundred.
func (b *bench) batch() error {
	a, err := b.main()
	if err != nil {
		return err
	}
	if err := b.small(a); err != nil {
		return err
	}
	var values []string
	for i := range 100 {
		values = append(values, fmt.Sprintf("C%08d", i))
	}
	list, _ := json.Marshal(values)
	body := `{"system1":"CRM","key1":"CUSTOMER","system2":"ERP","key2":"customer_no","values":` + string(list) + `}`
	var ratios, ours, theirs []float64
	for i := range rounds + 1 {
		rate, err := hammer(a.url, "/api/v1/translate/batch", a.token, body)
		if err != nil {
			return err
		}
		raw, err := b.pipelined(values)
		if err != nil {
			return err
		}
		if i > 0 {
			ratios, ours, theirs = append(ratios, 100*rate/raw), append(ours, 100*rate), append(theirs, raw)
		}
	}
	b.atLeast("batch of 100, values/s against raw HMGET", median(ratios), 0.5, pair("%.0f/s", median(ours), median(theirs)))
	return nil
}

func (b *bench) pipelined(values []string) (float64, error) {
	ctx := context.Background()
	var n int
	start := time.Now()
	for time.Since(start) < roundTime {
		pipe := b.rdb.Pipeline()
		for range 10 {
			pipe.HMGet(ctx, "kvdb:{dict}:map:CRM/CUSTOMER/ERP/customer_no", values...)
		}
		cmds, err := pipe.Exec(ctx)
		if err != nil {
			return 0, err
		}
		for _, c := range cmds {
			n += len(c.(*redis.SliceCmd).Val())
		}
	}
	return float64(n) / time.Since(start).Seconds(), nil
}

// importing: a million translations by the API, against a Go pipeline that writes them raw.
func (b *bench) importing() error {
	a, err := b.start("big:")
	if err != nil {
		return err
	}
	file := csvOf(b.rows)
	raw, err := b.raw()
	if err != nil {
		return err
	}
	stop := make(chan struct{})
	var pings []time.Duration
	var wg sync.WaitGroup
	wg.Go(func() { pings = b.ping(stop) })
	start := time.Now()
	answer, err := a.post("/dictionary/import?format=csv&mode=merge", file)
	took := time.Since(start)
	close(stop)
	wg.Wait()
	if err != nil {
		return err
	}
	var counts struct{ Created int }
	if err := json.Unmarshal(answer, &counts); err != nil || counts.Created != b.rows {
		return fmt.Errorf("created %d of %d: %v", counts.Created, b.rows, err)
	}
	peak, err := memory(a.cmd.Process.Pid, "VmHWM")
	if err != nil {
		return err
	}
	slices.Sort(pings)
	p99 := pings[len(pings)*99/100]
	b.atMost(fmt.Sprintf("import of %d against a raw pipeline", b.rows), took.Seconds()/raw.Seconds(), 3, pair("%.2f s", took.Seconds(), raw.Seconds()))
	b.atMost("import, peak of the process", peak, 300, single("MiB", ""))
	b.atMost("import, p99 of PING beside it", float64(p99.Microseconds())/1000, 20,
		single("ms", fmt.Sprintf("of %d, worst %.1f ms", len(pings), float64(pings[len(pings)-1].Microseconds())/1000)))
	b.app, b.filled = a, true
	return nil
}

// raw writes the rows of csvOf as two HSETs each.
func (b *bench) raw() (time.Duration, error) {
	ctx := context.Background()
	start := time.Now()
	pipe := b.rdb.Pipeline()
	var failed error
	eachRow(b.rows, func(_ int, customer, number string) {
		for range 2 { // a row there and one back, two HSETs each
			pipe.HSet(ctx, "raw:there", customer, number)
			pipe.HSet(ctx, "raw:back", number, customer)
		}
		if pipe.Len() >= 1000 {
			if _, err := pipe.Exec(ctx); err != nil {
				failed = err
			}
		}
	})
	if _, err := pipe.Exec(ctx); err != nil {
		failed = err
	}
	return time.Since(start), failed
}

func (b *bench) ping(stop chan struct{}) (took []time.Duration) {
	for {
		select {
		case <-stop:
			return took
		case <-time.After(2 * time.Millisecond):
		}
		start := time.Now()
		if b.rdb.Ping(context.Background()).Err() == nil {
			took = append(took, time.Since(start))
		}
	}
}

func (b *bench) fill() error {
	if b.filled {
		return nil
	}
	return b.importing()
}

// lists: each page of a million rows against the same of a thousand.
func (b *bench) lists() error {
	if err := b.fill(); err != nil {
		return err
	}
	few, err := b.start("few:")
	if err != nil {
		return err
	}
	if err := b.small(few); err != nil {
		return err
	}
	middle := func(n int) string { return fmt.Sprintf("%010d", n/4) }
	for _, l := range []struct {
		what string
		path func(n int) string
	}{
		{"translations, first", func(int) string { return "/dictionaries/translations" }},
		{"translations, last", func(int) string { return "/dictionaries/translations?last=1" }},
		{"translations, by target", func(int) string { return "/dictionaries/translations?sort=target" }},
		{"translations, by target, down", func(int) string { return "/dictionaries/translations?sort=target&desc=1" }},
		{"translations, of a system", func(int) string { return "/dictionaries/translations?system1=ERP" }},
		{"translations, to a system", func(int) string { return "/dictionaries/translations?system2=ERP" }},
		{"translations, of a value", func(n int) string {
			return "/dictionaries/translations?system1=ERP&key1=customer_no&value1=" + middle(n)
		}},
		{"entries, first", func(int) string { return "/dictionaries/entries" }},
		{"entries, last", func(int) string { return "/dictionaries/entries?last=1" }},
		{"entries, of a system", func(int) string { return "/dictionaries/entries?system=ERP" }},
	} {
		if err := b.compareLists("page: "+l.what, func() (time.Duration, error) { return b.app.timed(l.path(b.rows)) },
			func() (time.Duration, error) { return few.timed(l.path(1000)) }); err != nil {
			return err
		}
	}
	far, err := b.app.middleCursor("/dictionary/translations", middle(b.rows))
	if err != nil {
		return err
	}
	near, err := few.middleCursor("/dictionary/translations", middle(1000))
	if err != nil {
		return err
	}
	return b.compareLists("page: translations, middle",
		func() (time.Duration, error) { return b.app.timed("/dictionaries/translations?cursor=" + far) },
		func() (time.Duration, error) { return few.timed("/dictionaries/translations?cursor=" + near) })
}

func (b *bench) compareLists(what string, many, few func() (time.Duration, error)) error {
	var ratios, ours, theirs []float64
	for i := range 40 {
		x, err := many()
		if err != nil {
			return err
		}
		y, err := few()
		if err != nil {
			return err
		}
		if i >= 5 {
			ratios = append(ratios, x.Seconds()/y.Seconds())
			ours, theirs = append(ours, x.Seconds()*1000), append(theirs, y.Seconds()*1000)
		}
	}
	b.atMost(what+", against 1,000 rows", median(ratios), 2, pair("%.2f ms", median(ours), median(theirs)))
	return nil
}

// timed fetches a page.
func (a *app) timed(path string) (time.Duration, error) {
	start := time.Now()
	err := expect(a.web.Get(a.url + path))
	return time.Since(start), err
}

// middleCursor finds a cursor in the middle of a list: that behind a translation of a value there.
func (a *app) middleCursor(path, value string) (string, error) {
	r, err := http.NewRequest(http.MethodGet, a.url+"/api/v1"+path+"?limit=1&q="+url.QueryEscape(value), nil)
	if err != nil {
		return "", err
	}
	r.Header.Set("Authorization", "Bearer "+a.token)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	var list struct {
		NextCursor string `json:"next_cursor"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&list); err != nil {
		return "", err
	}
	if list.NextCursor == "" {
		return "", fmt.Errorf("no cursor behind %s", value)
	}
	return list.NextCursor, nil
}

// search: a substring to its first page, against a full HSCAN of the same rows.
func (b *bench) search() error {
	if err := b.fill(); err != nil {
		return err
	}
	if n, err := b.rdb.Exists(context.Background(), "raw:there").Result(); err != nil || n == 0 {
		return fmt.Errorf("no rows to scan: %w", err)
	}
	for _, q := range []struct{ what, text string }{
		{"no hit", "nosuchvalue"},
		{"one hit", fmt.Sprintf("%010d", b.rows/2-1)[2:]},
		{"a tenth of the rows", "7"},
	} {
		var ratios, ours, theirs []float64
		for range rounds {
			start := time.Now()
			if err := b.app.list("/dictionary/translations?limit=50&q=" + q.text); err != nil {
				return err
			}
			x := time.Since(start).Seconds()
			start = time.Now()
			if err := b.hscan(); err != nil {
				return err
			}
			y := time.Since(start).Seconds()
			ratios, ours, theirs = append(ratios, x/y), append(ours, x*1000), append(theirs, y*1000)
		}
		b.atMost("search, "+q.what+", against HSCAN", median(ratios), 0.3, pair("%.0f ms", median(ours), median(theirs)))
	}
	return nil
}

func (a *app) list(path string) error {
	r, err := http.NewRequest(http.MethodGet, a.url+"/api/v1"+path, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+a.token)
	return expect(http.DefaultClient.Do(r))
}

func (b *bench) hscan() error {
	ctx := context.Background()
	for _, key := range []string{"raw:there", "raw:back"} {
		for cursor := uint64(0); ; {
			_, next, err := b.rdb.HScan(ctx, key, cursor, "", 1000).Result()
			if err != nil {
				return err
			}
			if cursor = next; cursor == 0 {
				break
			}
		}
	}
	return nil
}
