package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	smallProgram = "return ARGV[1] .. redis.call('INCR', KEYS[1])"
	arguments    = `{"keys":["bench:runs"],"values":["run "]}`
)

// lua: runs of a small program against a bare handler that does one EVALSHA, and replies of any size.
func (b *bench) lua() error {
	a, err := b.start("lua:") // of its own, for the memory
	if err != nil {
		return err
	}
	if err := b.upload(a, "small", smallProgram); err != nil {
		return err
	}
	bare, err := b.startBare()
	if err != nil {
		return err
	}
	var rates, costs, ours, theirs, cost1, cost2 []float64
	for i := range rounds + 1 {
		r1, c1, err := measured(a.cmd.Process.Pid, func() (float64, error) { return hammer(a.url, "/api/v1/lua/programs/small/run", a.token, arguments) })
		if err != nil {
			return err
		}
		r2, c2, err := measured(b.bare.Process.Pid, func() (float64, error) { return hammer(bare, "/run", "", arguments) })
		if err != nil {
			return err
		}
		if i == 0 {
			continue // warm-up
		}
		rates, costs = append(rates, r1/r2), append(costs, c1/c2)
		ours, theirs, cost1, cost2 = append(ours, r1), append(theirs, r2), append(cost1, c1), append(cost2, c2)
	}
	b.atLeast("run of a program, requests/s against bare", median(rates), 0.8, pair("%.0f/s", median(ours), median(theirs)))
	b.atMost("run of a program, CPU a request against bare", median(costs), 2, pair("%.1f µs", median(cost1), median(cost2)))
	return b.large(a)
}

// large: replies that nobody can look at, while others go on.
func (b *bench) large(a *app) error {
	if err := b.small(a); err != nil {
		return err
	}
	stop := make(chan struct{})
	var beside error
	answered, refused := 0, 0 // Redis itself may take seconds to make such a reply
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			_, err := a.post("/translate", question)
			switch {
			case err == nil:
				answered++
			case strings.Contains(err.Error(), "503 Service Unavailable"):
				refused++
			default:
				beside = err
				return
			}
		}
	})
	var failed error
	start := time.Now()
	for name, text := range map[string]string{
		"million": "local t = {} for i = 1, 1000000 do t[i] = i end return t",
		"large":   "local s = string.rep('x', 1048576) for _ = 1, 7 do s = s .. s end return s .. string.sub(s, 1, 72 * 1048576)",
	} {
		if failed = b.upload(a, name, text); failed != nil {
			break
		}
		for range 3 {
			answer, err := a.post("/lua/programs/"+name+"/run", "{}")
			var run struct{ Truncated bool }
			if err == nil {
				err = json.Unmarshal(answer, &run)
			}
			if err == nil && !run.Truncated {
				err = fmt.Errorf("the reply of %s is not cut", name)
			}
			failed = errors.Join(failed, err)
		}
	}
	took := time.Since(start)
	close(stop)
	wg.Wait()
	if err := errors.Join(failed, beside); err != nil {
		return err
	}
	peak, err := memory(a.cmd.Process.Pid, "VmHWM")
	b.atMost("peak memory, replies of a million elements and 200 MB", peak, 300,
		single("MiB", fmt.Sprintf("in %.1f s; beside it %d translations, %d refused as Redis was busy", took.Seconds(), answered, refused)))
	return err
}

// upload puts a program.
func (b *bench) upload(a *app, name, text string) error {
	r, err := http.NewRequest(http.MethodPut, a.url+"/api/v1/lua/programs/"+name, strings.NewReader(text))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+a.token)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode/100 != 2 {
		err = fmt.Errorf("upload of %s: %s: %.300s", name, answer.Status, body)
	}
	return err
}
