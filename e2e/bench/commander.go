package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// commanderVersion is the redis-commander that npm fetches to be compared with.
const commanderVersion = "redis-commander@0.9.0"

const (
	commanderDB = 4 // of the bench's server, where a million keys are
	someKey     = "dict:07:42:13"
	someFolder  = "dict:00:00:"
	browsed     = 500 // key pages that are opened while memory is looked at
	looks       = 10  // at the memory
)

// commander compares with redis-commander: the same server, the same million keys, one run. Where npm can't fetch it, there is nothing to compare
// with, and the part fails.
func (b *bench) commander() error {
	if err := b.redis(); err != nil {
		return err
	}
	rdb := b.onDB(commanderDB)
	defer func() { _ = rdb.Close() }()
	if err := rdb.Eval(context.Background(), `
		for i = 0, 99 do for j = 0, 99 do for k = 0, 99 do redis.call('SET', string.format('dict:%02d:%02d:%02d', i, j, k), 'value') end end end
		return 1`, nil).Err(); err != nil {
		return err
	}
	theirs, err := b.startCommander()
	if err != nil {
		return err
	}
	ours, err := b.startOn(commanderDB)
	if err != nil {
		return err
	}
	if err := b.commanderStarts(theirs); err != nil {
		return err
	}
	if err := b.commanderBytes(theirs, ours.pages()); err != nil {
		return err
	}
	if err := b.commanderKeys(theirs, ours); err != nil {
		return err
	}
	if err := b.commanderRate(theirs, ours); err != nil {
		return err
	}
	return b.beside(ours)
}

// rival is a running redis-commander.
type rival struct {
	cmd  *exec.Cmd
	file string // what node runs
	home string // where it keeps its settings
	site
	tree string // the address of its tree of keys, and of one key
	key  string
}

// site is what answers to GET.
type site struct {
	url    string
	cookie string
}

// pages are what a signed-in browser gets.
func (a *app) pages() site {
	u, _ := url.Parse(a.url)
	var all []string
	for _, c := range a.web.Jar.Cookies(u) {
		all = append(all, c.Name+"="+c.Value)
	}
	return site{url: a.url, cookie: strings.Join(all, "; ")}
}

// get fetches a page.
func (s site) get(path string) ([]byte, error) {
	r, err := http.NewRequest(http.MethodGet, s.url+path, nil)
	if err != nil {
		return nil, err
	}
	if s.cookie != "" {
		r.Header.Set("Cookie", s.cookie)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %.200s", path, answer.Status, body)
	}
	return body, err
}

// startCommander has npm fetch it, and starts it.
func (b *bench) startCommander() (*rival, error) {
	dir := filepath.Join(b.dir, "commander")
	install := exec.Command("npm", "install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", dir, commanderVersion)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if out, err := install.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("npm can't fetch %s: %w: %.500s", commanderVersion, err, out)
	}
	v := &rival{file: filepath.Join(dir, "node_modules", "redis-commander", "bin", "redis-commander.js"), home: dir}
	if _, err := b.startRival(v); err != nil {
		return nil, err
	}
	body, err := v.get("/connections")
	if err != nil {
		return nil, err
	}
	var said struct {
		Connections []struct {
			ConID string `json:"conId"`
		} `json:"connections"`
	}
	if err := json.Unmarshal(body, &said); err != nil || len(said.Connections) == 0 || said.Connections[0].ConID == "" {
		return nil, fmt.Errorf("redis-commander has no connection: %v: %.300s", err, body)
	}
	id := url.PathEscape(said.Connections[0].ConID)
	v.tree, v.key = "/apiv1/keystree/"+id, "/apiv1/key/"+id+"/"+someKey
	return v, nil
}

// startRival starts a process of it and returns how long its first page took from then on.
func (b *bench) startRival(v *rival) (time.Duration, error) {
	addr, err := freePort()
	if err != nil {
		return 0, err
	}
	_, port, _ := strings.Cut(addr, ":")
	v.cmd = exec.Command("node", v.file, "--address", "127.0.0.1", "--port", port, "--redis-socket", b.socket, "--redis-db",
		fmt.Sprint(commanderDB), "--nosave", "--no-log-data")
	v.cmd.Env = append(os.Environ(), "HOME="+v.home)
	v.cmd.Dir = v.home
	v.url = "http://" + addr
	return b.firstAnswer(v.cmd, v.url+"/")
}

// firstAnswer starts a process and waits until it answers.
func (b *bench) firstAnswer(cmd *exec.Cmd, at string) (time.Duration, error) {
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	b.procs = append(b.procs, cmd)
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for ; time.Since(begun) < 20*time.Second; <-again.C {
		if err := expect(http.Get(at)); err == nil {
			return time.Since(begun), nil
		}
	}
	return 0, fmt.Errorf("%s does not answer", at)
}

// commanderStarts: from the start of a process to its first page, each side some times in turns.
func (b *bench) commanderStarts(v *rival) error {
	var one, two []float64
	for i := range 5 {
		addr, err := freePort()
		if err != nil {
			return err
		}
		cmd := exec.Command(b.bin, "serve", "--listen", addr, "--redis-url", fmt.Sprintf("unix://%s?db=%d", b.socket, commanderDB), "--state-url",
			"unix://"+b.socket, "--data-dir", filepath.Join(b.dir, fmt.Sprint("start-", i)))
		cmd.Env = append(os.Environ(), "WEBADMIN_ADMIN_PASSWORD="+password, "WEBADMIN_SESSION_KEY="+sessionKey)
		ours, err := b.firstAnswer(cmd, "http://"+addr+"/login")
		if err != nil {
			return err
		}
		other := &rival{file: v.file, home: v.home}
		theirs, err := b.startRival(other)
		if err != nil {
			return err
		}
		for _, cmd := range []*exec.Cmd{cmd, other.cmd} {
			b.end(cmd)
		}
		one, two = append(one, ours.Seconds()), append(two, theirs.Seconds())
	}
	b.atMost("start to first answer against redis-commander", median(one)/median(two), 0.3, pair("%.0f ms", 1e3*median(one), 1e3*median(two)))
	return nil
}

// end stops a process that the bench has started.
func (b *bench) end(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	b.procs = slices.DeleteFunc(b.procs, func(other *exec.Cmd) bool { return other == cmd })
}

var linked = regexp.MustCompile(`<(?:script|link)[^>]+(?:src|href)="([^"]+\.(?:js|css)[^"]*)"`)

// commanderBytes: the page with the keys and what it links to. Of redis-commander, templates and pictures that its scripts fetch are not counted.
func (b *bench) commanderBytes(v *rival, ours site) error {
	load := func(s site, page string) (total int, err error) {
		html, size, err := s.wire(page)
		if err != nil {
			return 0, err
		}
		total = size
		for _, m := range linked.FindAllStringSubmatch(html, -1) {
			if _, size, err := s.wire(path.Join("/", m[1])); err == nil { // redis-commander links to one file that it hasn't
				total += size
			}
		}
		return total, nil
	}
	theirs, err := load(v.site, "/")
	if err != nil {
		return err
	}
	mine, err := load(ours, "/redis/keys")
	if err != nil {
		return err
	}
	b.atMost("bytes of the first load against redis-commander", float64(mine)/float64(theirs), 0.1,
		pair("%.0f KB", float64(mine)/1000, float64(theirs)/1000))
	return nil
}

// wire fetches as a browser does and returns the text, and how many bytes of it came.
func (s site) wire(at string) (text string, size int, err error) {
	plain, err := s.get(at)
	if err != nil {
		return "", 0, err
	}
	r, err := http.NewRequest(http.MethodGet, s.url+at, nil)
	if err != nil {
		return "", 0, err
	}
	r.Header.Set("Accept-Encoding", "br, gzip")
	r.Header.Set("Cookie", s.cookie)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = answer.Body.Close() }()
	n, err := io.Copy(io.Discard, answer.Body)
	return string(plain), int(n), err
}

// commanderKeys: until the first keys are there, and what both processes hold after some have been looked at.
func (b *bench) commanderKeys(v *rival, a *app) error {
	ours := a.pages()
	timed := func(s site, at string) (float64, error) {
		begun := time.Now()
		_, err := s.get(at)
		return time.Since(begun).Seconds(), err
	}
	theirs, err := timed(v.site, v.tree) // half a minute: once is enough
	if err != nil {
		return err
	}
	var mine []float64
	for range paged {
		took, err := timed(ours, "/redis/keys")
		if err != nil {
			return err
		}
		mine = append(mine, took)
	}
	b.atMost("first keys of 1,000,000 against redis-commander", median(mine)/theirs, 0.01, pair("%.1f ms", 1e3*median(mine), 1e3*theirs))
	for range 3 {
		if _, err := v.get(v.tree + "/" + someFolder); err != nil {
			return err
		}
		if _, err := ours.get("/redis/keys?match=" + url.QueryEscape(someFolder+"*")); err != nil {
			return err
		}
	}
	var one, two []float64 // now and then, as either gives memory back when it likes
	for i := range browsed {
		if _, err := v.get(v.key); err != nil {
			return err
		}
		if _, err := ours.get("/redis/key?key=" + url.QueryEscape(someKey)); err != nil {
			return err
		}
		if i%(browsed/looks) != 0 {
			continue
		}
		m1, err1 := memory(a.cmd.Process.Pid, "VmRSS")
		m2, err2 := memory(v.cmd.Process.Pid, "VmRSS")
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		one, two = append(one, m1), append(two, m2)
	}
	b.atMost("memory after browsing against redis-commander", median(one)/median(two), 0.2, pair("%.0f MiB", median(one), median(two)))
	return nil
}

// commanderRate: what its page fetches to show a key, and the API call for the same here, from 16 clients.
func (b *bench) commanderRate(v *rival, a *app) error {
	ours := site{url: a.url}
	var rates, tails, mine, theirs, myTail, theirTail []float64
	for i := range rounds {
		one, oneTail, err := pound(ours, "/api/v1/kvdb/key?key="+url.QueryEscape(someKey), a.token, connections)
		if err != nil {
			return err
		}
		two, twoTail, err := pound(v.site, v.key, "", connections)
		if err != nil {
			return err
		}
		if i > 0 {
			rates, tails = append(rates, one/two), append(tails, oneTail[99]/twoTail[99])
			mine, theirs = append(mine, one), append(theirs, two)
			myTail, theirTail = append(myTail, 1e3*oneTail[99]), append(theirTail, 1e3*twoTail[99])
		}
	}
	b.atLeast("keys a second of 16 clients against redis-commander", median(rates), 2.5, pair("%.0f/s", median(mine), median(theirs)))
	b.atMost("p99 of 16 clients against redis-commander", median(tails), 0.5, pair("%.1f ms", median(myTail), median(theirTail)))
	return nil
}

// pound gets an address again and again and returns the answers a second, and the percentiles of their times in seconds.
func pound(s site, at, token string, clients int) (rate float64, percentile []float64, err error) {
	u, err := url.Parse(s.url)
	if err != nil {
		return 0, nil, err
	}
	request := "GET " + at + " HTTP/1.1\r\nHost: " + u.Host + "\r\n"
	if token != "" {
		request += "Authorization: Bearer " + token + "\r\n"
	}
	if s.cookie != "" {
		request += "Cookie: " + s.cookie + "\r\n"
	}
	request += "\r\n"
	var mu sync.Mutex
	var all []float64
	var failed error
	var wg sync.WaitGroup
	begun := time.Now()
	for range clients {
		wg.Go(func() {
			times, err := poundOne(u.Host, request, begun.Add(roundTime))
			mu.Lock()
			defer mu.Unlock()
			if all = append(all, times...); err != nil {
				failed = err
			}
		})
	}
	wg.Wait()
	took := time.Since(begun).Seconds()
	if failed != nil || len(all) == 0 {
		return 0, nil, fmt.Errorf("%s: %w", at, failed)
	}
	slices.Sort(all)
	for p := range 100 {
		percentile = append(percentile, all[len(all)*p/100])
	}
	return float64(len(all)) / took, percentile, nil
}

func poundOne(host, request string, end time.Time) (times []float64, err error) {
	conn, err := net.Dial("tcp", host)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	r := bufio.NewReader(conn)
	for begun := time.Now(); begun.Before(end); begun = time.Now() {
		if _, err := io.WriteString(conn, request); err != nil {
			return nil, err
		}
		answer, err := http.ReadResponse(r, nil)
		if err != nil {
			return nil, err
		}
		var body bytes.Buffer
		if _, err := body.ReadFrom(answer.Body); err != nil {
			return nil, err
		}
		if answer.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("%s: %.200s", answer.Status, body.String())
		}
		times = append(times, time.Since(begun).Seconds())
	}
	return times, nil
}

// beside: what a key costs one while somebody lists a million keys, and while somebody's commands wait.
func (b *bench) beside(a *app) error {
	at, me := "/api/v1/kvdb/key?key="+url.QueryEscape(someKey), site{url: a.url}
	for _, other := range []struct{ what, method, path, body string }{
		{"p50 beside a listing of 1,000,000 keys against p50 alone", http.MethodGet, "/kvdb/keys?limit=100&match=none*", ""},
		{"p50 beside commands that wait against p50 alone", http.MethodPost, "/kvdb/command", `{"args":["BLPOP","nothing:there","5"]}`},
	} {
		var ratios, alone, with []float64
		for i := range rounds {
			_, one, err := pound(me, at, a.token, 1)
			if err != nil {
				return err
			}
			stop, ended := make(chan struct{}), make(chan error, 1)
			go func() {
				for {
					select {
					case <-stop:
						ended <- nil
						return
					default:
					}
					if _, err := a.call(other.method, other.path, other.body); err != nil {
						ended <- err
						return
					}
				}
			}()
			_, two, err := pound(me, at, a.token, 1)
			close(stop)
			if err = errors.Join(err, <-ended); err != nil {
				return err
			}
			if i > 0 {
				ratios, alone, with = append(ratios, two[50]/one[50]), append(alone, one[50]), append(with, two[50])
			}
		}
		b.atMost(other.what, median(ratios), 1.5, pair("%.2f ms", 1e3*median(with), 1e3*median(alone)))
	}
	return nil
}
