package main

import (
	"bytes"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// gate is the only way to a Redis server that the rest of the world knows: the server announces its address. What it does to
// connections, it does to those of webadmin alone, which have a name; replication, Sentinels and the bus of a cluster
// go through untouched.
type gate struct {
	net.Listener
	to string

	mu    sync.Mutex
	conns map[*passage]bool
	way   way
	late  time.Duration // for slow
	over  chan struct{} // closed when the way changes

	swallow   atomic.Int64 // replies of changes that are still to be kept back
	swallowed atomic.Int64
}

// way is how a gate lets through what comes.
type way int

const (
	open  way = iota
	cut       // connections are closed, and new ones too
	slow      // all comes later
	quiet     // no reply comes, until it is over and connections break
)

// passage is one connection.
type passage struct {
	down, up net.Conn
	ours     atomic.Bool
	deaf     atomic.Bool // the next reply is kept back, and the connection breaks
}

func (p *passage) close() {
	_ = p.down.Close()
	_ = p.up.Close()
}

// clientName is how connections of webadmin are called, in a request of Redis.
var clientName = []byte("webadmin")

func newGate(addr, to string) (*gate, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	g := &gate{Listener: l, to: to, conns: map[*passage]bool{}, over: make(chan struct{})}
	go g.accept()
	return g, nil
}

func (g *gate) accept() {
	for {
		conn, err := g.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		go g.pass(conn)
	}
}

// set changes the way. What is cut, and what was quiet, breaks.
func (g *gate) set(to way, late time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	was := g.way
	g.way, g.late = to, late
	close(g.over)
	g.over = make(chan struct{})
	if to == cut || was == quiet {
		for p := range g.conns {
			if p.ours.Load() {
				p.close()
			}
		}
	}
}

func (g *gate) now() (way, time.Duration, <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.way, g.late, g.over
}

func (g *gate) pass(conn net.Conn) {
	up, err := net.DialTimeout("tcp", g.to, time.Second)
	if err != nil {
		_ = conn.Close()
		return
	}
	p := &passage{down: conn, up: up}
	g.mu.Lock()
	g.conns[p] = true
	g.mu.Unlock()
	go g.replies(p)
	g.requests(p)
	p.close()
	g.mu.Lock()
	delete(g.conns, p)
	g.mu.Unlock()
}

func (g *gate) requests(p *passage) {
	buf := make([]byte, 64<<10)
	for named := 0; ; {
		n, err := p.down.Read(buf)
		if err != nil {
			return
		}
		if named < 4<<10 && !p.ours.Load() {
			named += n
			p.ours.Store(bytes.Contains(bytes.ToLower(buf[:n]), clientName))
		}
		if p.ours.Load() {
			switch way, late, over := g.now(); way {
			case cut:
				return
			case slow:
				linger(late, over)
			}
			if changes(buf[:n]) && g.take() {
				p.deaf.Store(true)
			}
		}
		if _, err := p.up.Write(buf[:n]); err != nil {
			return
		}
	}
}

// linger waits, but no longer than the way is as it was.
func linger(late time.Duration, over <-chan struct{}) {
	select {
	case <-over:
	case <-time.After(late):
	}
}

// changes says whether a request is likely one that changes something.
func changes(request []byte) bool {
	for _, command := range []string{"\r\nevalsha\r\n", "\r\nmulti\r\n", "\r\nhincrby\r\n", "\r\nset\r\n"} {
		if bytes.Contains(bytes.ToLower(request), []byte(command)) {
			return true
		}
	}
	return false
}

// take has one reply kept back, if any is to be.
func (g *gate) take() bool {
	for {
		n := g.swallow.Load()
		if n <= 0 {
			return false
		}
		if g.swallow.CompareAndSwap(n, n-1) {
			return true
		}
	}
}

func (g *gate) replies(p *passage) {
	defer p.close()
	buf := make([]byte, 64<<10)
	for {
		n, err := p.up.Read(buf)
		if err != nil {
			return
		}
		if p.deaf.Load() {
			g.swallowed.Add(1)
			return
		}
		if p.ours.Load() {
			switch way, late, over := g.now(); way {
			case slow:
				linger(late, over)
			case quiet:
				<-over
				return
			}
		}
		if _, err := p.down.Write(buf[:n]); err != nil {
			return
		}
	}
}
