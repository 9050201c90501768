package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// usage is what a webadmin holds.
type usage struct{ goroutines, files int }

// sample reads what each webadmin holds.
func sample(w *world) (all []usage) {
	for _, a := range w.apps {
		all = append(all, a.usage())
	}
	return all
}

func (a *app) usage() (u usage) {
	r, err := health.Get(a.url + "/metrics")
	if err != nil {
		return u
	}
	defer func() { _ = r.Body.Close() }()
	for s := bufio.NewScanner(r.Body); s.Scan(); {
		name, value, _ := strings.Cut(s.Text(), " ")
		n, _ := strconv.ParseFloat(value, 64)
		switch name {
		case "go_goroutines":
			u.goroutines = int(n)
		case "process_open_fds":
			u.files = int(n)
		}
	}
	return u
}

// What may stay of a load: connections to Redis are kept for some minutes, up to 16 of the pool of each server that is asked; goroutines
// are of what is looked at once and kept up since.
const (
	moreGoroutines = 40
	poolSize       = 16
	otherConns     = 12
)

// ourConns counts the connections of webadmins to each server of Redis.
func ourConns(w *world) (n []int) {
	for _, node := range w.nodes {
		list, _ := node.rdb.ClientList(context.Background()).Result()
		n = append(n, strings.Count(list, " name="+string(clientName)))
	}
	return n
}

// leftovers compares what the webadmins hold with what they held before, stops them, and looks for what they leave behind.
func leftovers(w *world, l *load, before []usage) (wrong []string) {
	for _, c := range l.all {
		c.http.CloseIdleConnections()
	}
	http.DefaultClient.CloseIdleConnections()
	bound := poolSize + otherConns
	if w.kind == "cluster" {
		bound *= len(w.nodes)
	}
	var now []usage
	_ = until(30*time.Second, func() error {
		now = sample(w)
		for i := range now {
			if now[i].goroutines > before[i].goroutines+moreGoroutines || now[i].files > before[i].files+bound {
				return fmt.Errorf("too much")
			}
		}
		return nil
	})
	conns := ourConns(w)
	for i, a := range w.apps {
		fmt.Printf("  %s (life %d): %d goroutines, %d before; %d open files, %d before\n",
			a.name, a.life(), now[i].goroutines, before[i].goroutines, now[i].files, before[i].files)
		if now[i].goroutines > before[i].goroutines+moreGoroutines {
			wrong = append(wrong, fmt.Sprintf("%s has %d goroutines, and had %d", a.name, now[i].goroutines, before[i].goroutines))
		}
		if now[i].files > before[i].files+bound {
			wrong = append(wrong, fmt.Sprintf("%s has %d open files, and had %d", a.name, now[i].files, before[i].files))
		}
	}
	fmt.Printf("  connections of webadmin at each Redis: %v\n", conns)
	for i, n := range conns {
		if n > 2*(poolSize+otherConns) {
			wrong = append(wrong, fmt.Sprintf("%s has %d connections of webadmin", w.nodes[i].name, n))
		}
	}
	for _, a := range w.apps {
		code, err := a.stop(drainMax)
		if err != nil {
			wrong = append(wrong, err.Error())
		} else if code != 0 {
			wrong = append(wrong, fmt.Sprintf("%s ended with code %d", a.name, code))
		}
	}
	if left := marked(w.mark); len(left) > 0 {
		wrong = append(wrong, fmt.Sprintf("left behind: %v", left))
	}
	if err := until(5*time.Second, func() error {
		for i, n := range ourConns(w) {
			if n > 0 {
				return fmt.Errorf("%s still has %d connections of webadmin", w.nodes[i].name, n)
			}
		}
		return nil
	}); err != nil {
		wrong = append(wrong, err.Error())
	}
	if len(wrong) == 0 {
		fmt.Println("  both stopped with code 0 and left nothing behind")
	}
	return wrong
}

// logged counts what the webadmins logged as errors. A fault of the program is wrong; that Redis was away is not.
func logged(w *world) (wrong []string) {
	errors := map[string]int{}
	for _, a := range w.apps {
		f, err := os.Open(filepath.Join(w.dir, a.name+".log"))
		if err != nil {
			return []string{err.Error()}
		}
		r := bufio.NewReader(f)
		for {
			line, err := r.ReadBytes('\n')
			var entry struct {
				Level, Msg string
				Status     any // a number of a request
			}
			bad := json.Unmarshal(line, &entry) != nil
			status, isRequest := entry.Status.(float64)
			switch {
			case len(line) > 0 && bad:
				wrong = append(wrong, fmt.Sprintf("%s wrote: %.200s", a.name, line))
			case entry.Level == "ERROR" && isRequest:
				errors[entry.Msg+" "+strconv.Itoa(int(status))]++
			case entry.Level == "ERROR":
				errors[entry.Msg]++
			}
			if err == io.EOF {
				break
			}
		}
		_ = f.Close()
	}
	for msg, n := range errors {
		fmt.Printf("  logged as an error, %d times: %s\n", n, msg)
		if strings.Contains(msg, "panic") || strings.HasSuffix(msg, " 500") {
			wrong = append(wrong, fmt.Sprintf("logged %d times: %s", n, msg))
		}
	}
	return wrong[:min(len(wrong), 10)]
}

// signedIn signs a browser in, and returns its cookies.
func signedIn(c *client) (cookies string) {
	form := url.Values{"username": {"admin"}, "password": {password}}.Encode()
	_ = until(10*time.Second, func() error {
		r := c.send(http.MethodPost, "/login", form)
		if cookies = r.cookies; r.verdict != done || cookies == "" {
			return fmt.Errorf("%d", r.status)
		}
		return nil
	})
	return cookies
}
