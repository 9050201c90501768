package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"
)

const (
	rounds      = 7
	roundTime   = 2 * time.Second
	connections = 16
)

// hammer sends one request again and again over several connections, and returns the answers a second. It
// writes prepared bytes, so that it takes little of the machine that both sides share.
func hammer(base, path, token, body string) (float64, error) {
	u, err := url.Parse(base)
	if err != nil {
		return 0, err
	}
	request := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n", path, u.Host, len(body))
	if token != "" {
		request += "Authorization: Bearer " + token + "\r\n"
	}
	request += "\r\n" + body
	var done atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, connections)
	start := time.Now()
	for range connections {
		wg.Go(func() {
			if err := hammerOne(u.Host, request, start.Add(roundTime), &done); err != nil {
				errs <- err
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return 0, err
	default:
	}
	return float64(done.Load()) / time.Since(start).Seconds(), nil
}

func hammerOne(host, request string, end time.Time, done *atomic.Int64) error {
	conn, err := net.Dial("tcp", host)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	r := bufio.NewReader(conn)
	for time.Now().Before(end) {
		if _, err := io.WriteString(conn, request); err != nil {
			return err
		}
		answer, err := http.ReadResponse(r, nil)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, answer.Body); err != nil {
			return err
		}
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("%s", answer.Status)
		}
		done.Add(1)
	}
	return nil
}

// measured is hammer with the processor time that the process took for each answer.
func measured(pid int, f func() (float64, error)) (rate, cost float64, err error) {
	before, err := cpu(pid)
	if err != nil {
		return 0, 0, err
	}
	start := time.Now()
	if rate, err = f(); err != nil {
		return 0, 0, err
	}
	n := rate * time.Since(start).Seconds()
	after, err := cpu(pid)
	return rate, float64((after - before).Microseconds()) / n, err
}

func (b *bench) startBare() (string, error) {
	addr, err := freePort()
	if err != nil {
		return "", err
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	b.bare = exec.Command(self, "bare", addr+","+b.socket)
	b.bare.Stderr = os.Stderr
	if err := b.bare.Start(); err != nil {
		return "", err
	}
	b.procs = append(b.procs, b.bare)
	return "http://" + addr, until(func() error {
		_, err := http.Get("http://" + addr)
		return err
	})
}
