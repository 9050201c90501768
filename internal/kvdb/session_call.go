package kvdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// This file has one command of a session: whether it may run, its exchange with the server, and what of the reply its role may see.

// Commands that make no sense on any connection of ours, and those that don't go together with a transaction: their replies
// are not those of one command.
var (
	outOfSession = map[string]string{
		"client|reply": "the console waits for each reply",
		"script|debug": "scripts are debugged on the Lua page",
		"sync":         forReplicas, "psync": forReplicas, "replconf": forReplicas,
	}
	subscribe   = []string{"subscribe", "psubscribe", "ssubscribe"}
	unsubscribe = []string{"unsubscribe", "punsubscribe", "sunsubscribe"}
)

// SessionCall is a command that may run in a session.
type SessionCall struct {
	Class
	restricted bool
	s          *Session
	word       string
	line       string
	writes     bool      // it changes something, maybe only when the transaction runs
	raw        io.Writer // where the reply goes that is not to be kept; nil = it is
}

// SessionReply is what came of it.
type SessionReply struct {
	Result
	More      []Reply // further replies: UNSUBSCRIBE has one for each channel
	Pushes    []Reply // what the server said by itself before, such as that a tracked key has changed
	Streaming bool    // from here on, messages come: give them to Listen
	Node      string  // of a cluster, to which the command was redirected; "" = it was not
	Anew      bool    // the connection is a new one: of what was set before, database, protocol and name hold
	Ended     bool    // QUIT
}

// Permit is Class.Permit for this session: also for what needs a connection that lasts. Changes of the call says whether it
// changes something by itself: commands in a transaction don't, but its EXEC does.
func (s *Session) Permit(c Class, confirm string) (*SessionCall, error) {
	state := s.State()
	word := strings.ToLower(c.Args[0])
	words := word
	if len(c.Args) > 1 {
		words += "|" + strings.ToLower(c.Args[1])
	}
	c.OutOfPlace = ""
	for _, name := range []string{word, words} {
		if hint, ok := outOfSession[name]; ok {
			c.OutOfPlace = hint
		}
	}
	switch {
	case words == "client|reply" && len(c.Args) == 3 && strings.EqualFold(c.Args[2], "on"):
		c.OutOfPlace = ""
	case state.InTransaction && (word == "monitor" || slices.Contains(subscribe, word) || slices.Contains(unsubscribe, word)):
		c.OutOfPlace = "it can't be part of a transaction"
	case state.Queued >= maxQueued && !slices.Contains([]string{"exec", "discard", "reset", "quit"}, word):
		c.OutOfPlace = fmt.Sprintf("the transaction has %d commands, and takes no more", maxQueued)
	}
	call, err := c.Permit(s.role, confirm)
	if err != nil {
		return nil, err
	}
	isAuth := func(arg string) bool { return strings.EqualFold(arg, "auth") }
	if call.restricted && (word == "auth" || word == "hello" && slices.ContainsFunc(c.Args, isAuth)) {
		return nil, forbiddenError("to sign in to Redis as somebody else takes the role admin")
	}
	sc := &SessionCall{Class: call.Class, restricted: call.restricted, s: s, word: word, line: c.Line(), writes: c.Changes}
	if !state.InTransaction {
		return sc, nil
	}
	sc.Changes = false
	if word == "exec" {
		sc.Changes = s.lines != ""
		sc.line = "EXEC" + s.lines
	}
	return sc, nil
}

// Line is that of the Class; of an EXEC, also those of the commands that it runs.
func (c *SessionCall) Line() string { return c.line }

// Run runs the command at most once, until the reply has come or ctx ends: then a command that waits is unblocked, and any
// other loses the connection. The errors are ErrAway, and ErrUnknown for one that changes something and was cut off.
func (c *SessionCall) Run(ctx context.Context) (SessionReply, error) {
	switch c.word {
	case "quit":
		c.s.Close()
		return SessionReply{Result: Result{Reply: Reply{Kind: KindStatus, Text: "OK"}}, Ended: true}, nil
	case "reset": // which would also make the program user the default user
		c.s.reset()
		return SessionReply{Result: Result{Reply: Reply{Kind: KindStatus, Text: "RESET"}}}, nil
	}
	inTransaction := c.s.State().InTransaction
	r, err := c.run(ctx)
	if err == nil {
		return r, nil
	}
	if ctx.Err() != nil && !errors.Is(err, ErrAway) {
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	if errors.Is(err, errNotRedis) && !errors.Is(err, ErrAway) {
		err = fmt.Errorf("%w: %w", err, io.ErrUnexpectedEOF)
	}
	if inTransaction && c.word != "exec" {
		return r, c.s.transactionLost(err)
	}
	if !c.Changes {
		return r, ReadErr("command", err)
	}
	err = WriteErr("command", err)
	if inTransaction {
		c.s.forget()
	}
	var unknown *UnknownError
	if errors.As(err, &unknown) {
		switch {
		case inTransaction:
			unknown.Check = fmt.Sprintf("what the transaction should have changed: all of it was done, or nothing (%.300s)", c.line)
		case len(c.Keys) > 0:
			unknown.Check = fmt.Sprintf("the key %.100q", c.Keys[0])
		default:
			unknown.Check = "what " + c.Name + " should have changed"
		}
	}
	return r, err
}

func (c *SessionCall) run(ctx context.Context) (SessionReply, error) {
	s := c.s
	var out SessionReply
	for hops := 0; ; hops++ {
		w, pushes, err := s.connection(ctx, c.place, &out)
		out.Pushes = append(out.Pushes, pushes...)
		if err != nil {
			return out, err
		}
		if hops > 0 && out.Reply.Kind == KindError && strings.HasPrefix(out.Reply.Text, "ASK ") {
			if _, err := w.ask(ctx, "ASKING"); err != nil {
				s.drop()
				return out, &notSentError{err}
			}
		}
		if err := c.exchange(ctx, w, &out); err != nil {
			s.drop()
			return out, err
		}
		state := s.State()
		if state.InTransaction || state.Watching || c.word == "exec" || hops >= maxHops {
			break
		}
		call := &Call{Class: c.Class}
		next, _ := call.redirection(out.Reply)
		if next == "" || !s.db.isMember(ctx, w, next) {
			break
		}
		s.drop()
		s.to, s.placed, out.Node = dialable(next), true, next
	}
	// RANDOMKEY: another one, please.
	for range 100 {
		if !c.restricted || len(c.Keys) > 0 || !c.reads || out.Reply.Kind != KindBulk || !s.db.isOurs(out.Reply.Text) {
			break
		}
		s.mu.Lock()
		w := s.w
		s.mu.Unlock()
		if err := c.exchange(ctx, w, &out); err != nil {
			s.drop()
			return out, err
		}
	}
	c.hideOurs(&out)
	c.track(out.Reply)
	return out, nil
}

// hideOurs takes this program's own keys out of what lists keys.
func (c *SessionCall) hideOurs(out *SessionReply) {
	if !c.restricted {
		return
	}
	hide := func(r *Reply, q queued) {
		if q.keys {
			return
		}
		if q.reads && r.Kind == KindBulk && c.s.db.isOurs(r.Text) {
			*r = Reply{}
		}
		c.s.db.dropOurs(r)
	}
	for i := range out.Pushes {
		c.s.db.dropOurs(&out.Pushes[i])
	}
	if c.word != "exec" {
		hide(&out.Reply, queued{keys: len(c.Keys) > 0, reads: c.reads})
		return
	}
	for i := range out.Reply.Items {
		if i < len(c.s.queue) {
			hide(&out.Reply.Items[i], c.s.queue[i])
		}
	}
}

// exchange sends the command and reads what belongs to it.
func (c *SessionCall) exchange(ctx context.Context, w *wire, out *SessionReply) error {
	s := c.s
	reading, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ended := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		defer close(ended)
		if s.db.unblock(reading, w) {
			time.AfterFunc(unblockTime, stop)
		} else {
			stop()
		}
	})
	defer func() {
		if !cancel() {
			<-ended // or it would unblock the next command
		}
	}()
	subscribes, unsubscribes := slices.Contains(subscribe, c.word), slices.Contains(unsubscribe, c.word)
	replies := 1
	if unsubscribes {
		replies = max(1, len(c.Args)-1)
	}
	start := time.Now()
	w.out = appendRequest(w.out[:0], c.Args)
	done, err := w.send(reading, time.Time{})
	if err != nil {
		return err
	}
	out.More = nil
	for n := 0; n < replies; {
		r, cut, err := c.read(w)
		if err != nil {
			done()
			return err
		}
		if r.Kind == kindPush {
			r.Kind = KindArray
			if !subscribes && !unsubscribes || len(r.Items) == 0 || r.Items[0].Text != c.word {
				if len(out.Pushes) < maxPushes {
					out.Pushes = append(out.Pushes, r)
				}
				continue
			}
		}
		if n++; n == 1 {
			out.Reply, out.Truncated = r, cut
		} else {
			out.More = append(out.More, r)
		}
		if r.Kind == KindError {
			break
		}
	}
	w.over = !done()
	out.Took = time.Since(start)
	out.Streaming = out.Reply.Kind != KindError && (c.word == "monitor" || subscribes)
	return nil
}
