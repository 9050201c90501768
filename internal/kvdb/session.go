package kvdb

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// This file has connections that somebody keeps over several commands: a transaction, a database, what one subscribes to. As
// ever, nothing is sent twice; and what belongs to a transaction never runs outside of it because the connection was lost.

const (
	maxQueued     = 10_000  // commands in one transaction
	maxQueuedText = 4 << 10 // bytes of what the audit log says of them
	maxPushes     = 100     // that come before one reply
	pushTime      = time.Second
)

// Session is a connection of one's own, on which each command finds what those before it left: transactions, SELECT, HELLO,
// names, subscriptions. It is for one goroutine at a time, but State and Close may be called by any.
//
// It connects when there is something to run, and again after the connection was lost: the database, the protocol and the
// name are as before then. A transaction, or what was watched, is not: the next command is refused and says so.
type Session struct {
	db     *DB
	role   string
	buf    *bufio.Reader
	to     string // the node of a cluster that it is connected to, or is to be
	placed bool   // to is set

	mu     sync.Mutex
	w      *wire // nil = not connected
	closed bool
	state  SessionState
	queue  []queued // the commands of the transaction
	lines  string   // those of them that change something, as far as there is room
	lost   bool     // a transaction or what was watched is gone, and nobody was told yet
	ever   bool     // it was connected before
}

// SessionState is what the commands of a Session left behind.
type SessionState struct {
	Database      int
	Protocol      int    // 2 or 3
	Name          string // CLIENT SETNAME
	InTransaction bool
	Queued        int    // commands in the transaction
	Watching      bool   // for changes of keys
	Node          string // of a cluster; "" = not connected yet, or there is only one
}

// queued is what is to be remembered of a command in a transaction.
type queued struct {
	args  []string // of one that changes the connection
	keys  bool     // it names keys
	reads bool
}

// OpenSession returns a session of somebody with the role. It doesn't connect yet. Close it.
func (db *DB) OpenSession(role string, protocol int) *Session {
	return &Session{
		db: db, role: role, buf: bufio.NewReader(nil),
		state: SessionState{Database: db.target.db, Protocol: protocol},
	}
}

// State is what the commands so far left behind.
func (s *Session) State() SessionState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Is says whether a client of the server is the connection of this session.
func (s *Session) Is(c Client) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.w == nil || s.w.id != strconv.FormatInt(c.ID, 10) {
		return false
	}
	return !s.db.IsCluster() || c.Node == s.w.to || c.Node == s.w.RemoteAddr().String()
}

// Close closes the connection, and ends what runs on it. It may be called again.
func (s *Session) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.w != nil {
		_ = s.w.Close()
	}
}

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

// Restricted says that this runs on behalf of somebody who is no admin.
func (c *SessionCall) Restricted() bool { return c.restricted }

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

// connection returns the connection, a new one where there is none any more.
func (s *Session) connection(ctx context.Context, place []string, out *SessionReply) (*wire, []Reply, error) {
	s.mu.Lock()
	w, closed := s.w, s.closed
	s.mu.Unlock()
	if closed {
		return nil, nil, &notSentError{ErrSessionEnded}
	}
	var pushes []Reply
	if w != nil {
		var ok bool
		if pushes, ok = s.settle(w); ok {
			return w, pushes, nil
		}
		s.drop()
	}
	s.mu.Lock()
	lost := s.lost
	s.mu.Unlock()
	if lost {
		return nil, pushes, s.transactionLost(errConnLost)
	}
	w, err := s.connect(ctx, place)
	if err != nil {
		return nil, pushes, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = w.Close()
		return nil, pushes, &notSentError{ErrSessionEnded}
	}
	out.Anew = out.Anew || s.ever && out.Node == ""
	s.w, s.ever = w, true
	if s.db.IsCluster() {
		s.state.Node = w.RemoteAddr().String()
	}
	return w, pushes, nil
}

// ErrSessionEnded says that a session was closed. It is ErrNotFound.
var ErrSessionEnded = fmt.Errorf("the session has ended: %w", ErrNotFound)

var errConnLost = errors.New("the connection was lost")

// forget makes nothing of a transaction that was lost: of an EXEC, its own error says what is known.
func (s *Session) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = false
}

// transactionLost is the error of a command of a transaction that is no more.
func (s *Session) transactionLost(err error) error {
	s.forget()
	return &awayError{op: "transaction", err: err, sentence: "The connection to Redis was lost, and with it the transaction, or what was watched for it. None of its commands was run. Begin again with WATCH or MULTI."}
}

func (s *Session) connect(ctx context.Context, place []string) (*wire, error) {
	if !s.placed {
		to, err := s.db.node(ctx, place)
		if err != nil {
			return nil, err
		}
		s.to, s.placed = to, s.db.IsCluster()
	}
	state := s.State()
	w, err := s.db.wire(ctx, s.to, wireOptions{restricted: s.role != roles[admin], fresh: true, name: cmp.Or(state.Name, sessionName)})
	if err != nil {
		s.placed = false // the node may be gone for good
		return nil, err
	}
	commands := [][]string{{"HELLO", strconv.Itoa(state.Protocol)}}
	if state.Database != w.db {
		commands = append(commands, []string{"SELECT", strconv.Itoa(state.Database)})
	}
	ctx, cancel := context.WithTimeout(ctx, ioTimeout)
	defer cancel()
	for _, args := range commands {
		if _, err := w.ask(ctx, args...); err != nil {
			_ = w.Close()
			return nil, &notSentError{err}
		}
	}
	return w, nil
}

// drop gives the connection up, and what was on it.
func (s *Session) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.w != nil {
		_ = s.w.Close()
	}
	s.w = nil
	s.lost = s.lost || s.state.InTransaction || s.state.Watching
	s.endTransaction()
}

// endTransaction is for who holds the lock.
func (s *Session) endTransaction() {
	s.state.InTransaction, s.state.Watching, s.state.Queued = false, false, 0
	s.queue, s.lines = nil, ""
}

// reset is RESET: as good as new.
func (s *Session) reset() {
	s.drop()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost, s.ever = false, false
	s.state = SessionState{Database: s.db.target.db, Protocol: 2}
}

// settle reads what came since the last reply, and says whether the connection is still good.
func (s *Session) settle(w *wire) (pushes []Reply, ok bool) {
	for len(pushes) < maxPushes {
		if w.over {
			return pushes, false
		}
		if w.r.Buffered() == 0 && (w.sys == nil || w.quiet()) {
			return pushes, true
		}
		if err := w.SetReadDeadline(time.Now().Add(pushTime)); err != nil {
			return pushes, false
		}
		r, _, err := w.whole(s.buf, MaxReplyItems, MaxReplyBytes)
		switch {
		case err != nil && isTimeout(err) && w.r.Buffered() == 0 && len(pushes) == 0 && w.open():
			return pushes, true // what came was of TLS
		case err != nil, r.Kind != kindPush:
			return pushes, false
		}
		r.Kind = KindArray
		pushes = append(pushes, r)
	}
	return pushes, true
}

// open says whether the server has not closed the connection.
func (w *wire) open() bool {
	if w.sys == nil {
		return true
	}
	var n int
	err := w.sys.Read(func(fd uintptr) bool {
		var b [1]byte
		n, _, _ = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return true
	})
	return err == nil && n != 0
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

// track keeps up with what the command did to the connection.
func (c *SessionCall) track(r Reply) {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	failed := r.Kind == KindError
	switch {
	case c.word == "exec" && s.state.InTransaction: // whatever the reply: a transaction that is refused is over as well
		queue := s.queue
		s.endTransaction()
		for i, q := range queue {
			if i < len(r.Items) && r.Items[i].Kind != KindError {
				s.state.set(q.args)
			}
		}
	case c.word == "discard" && !failed:
		s.endTransaction()
	case s.state.InTransaction:
		if r.Kind == KindStatus && r.Text == "QUEUED" {
			q := queued{keys: len(c.Keys) > 0, reads: c.reads}
			if c.writes {
				s.note(c.line)
			}
			if slices.Contains([]string{"select", "client", "unwatch"}, c.word) {
				q.args = c.Args
			}
			s.queue = append(s.queue, q)
			s.state.Queued = len(s.queue)
		}
	case c.word == "multi" && !failed:
		s.state.InTransaction = true
	case !failed:
		s.state.set(c.Args)
	}
}

// note adds a command to the lines. The lock is held.
func (s *Session) note(line string) {
	room := maxQueuedText - len(s.lines)
	switch {
	case room <= 0:
		return
	case len(line) > room:
		line = string(wholeRunes([]byte(line[:room]))) + "…"
	}
	if s.lines == "" {
		s.lines = ": " + line
		return
	}
	s.lines += "; " + line
}

// set notes what a command that succeeded did to the connection.
func (st *SessionState) set(args []string) {
	if len(args) == 0 {
		return
	}
	switch strings.ToLower(args[0]) {
	case "select":
		st.Database, _ = strconv.Atoi(args[1])
	case "hello":
		if len(args) > 1 {
			st.Protocol, _ = strconv.Atoi(args[1])
		}
		for i := 2; i+1 < len(args); i++ {
			switch strings.ToLower(args[i]) {
			case "auth":
				i += 2
			case "setname":
				st.Name = args[i+1]
			}
		}
	case "client":
		if len(args) > 2 && strings.EqualFold(args[1], "setname") {
			st.Name = args[2]
		}
	case "watch":
		st.Watching = true
	case "unwatch":
		st.Watching = false
	}
}

// Listen gives each message to each until ctx ends, or the connection does: cut says that a message is the part before the
// limits of a reply. Afterwards the connection is a new one. The errors are ErrAway.
func (s *Session) Listen(ctx context.Context, each func(message Reply, cut bool)) error {
	s.mu.Lock()
	w := s.w
	s.mu.Unlock()
	if w == nil {
		return ReadErr("listen", &notSentError{errConnLost})
	}
	defer s.drop()
	defer context.AfterFunc(ctx, func() { _ = w.SetDeadline(time.Unix(1, 0)) })()
	for {
		r, cut, err := w.whole(s.buf, MaxReplyItems, MaxReplyBytes)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return ReadErr("listen", err)
		}
		if r.Kind == kindPush {
			r.Kind = KindArray
		}
		if s.role == roles[admin] || !s.db.tellsOfOurs(r) {
			each(r, cut)
		}
	}
}

// tellsOfOurs says whether a message is a keyspace event of one of this program's own keys.
func (db *DB) tellsOfOurs(r Reply) bool {
	n := len(r.Items)
	if n < 3 {
		return false
	}
	channel, payload := r.Items[n-2].Text, r.Items[n-1].Text
	if strings.HasPrefix(channel, "__keyevent@") {
		return db.isOurs(payload)
	}
	_, key, ok := strings.Cut(channel, "__:")
	return ok && strings.HasPrefix(channel, "__keyspace@") && db.isOurs(key)
}

// Masked returns the arguments of a command with secrets masked, also those of a command that it is about.
func Masked(args []string) []string {
	out := slices.Clone(args)
	for i := range secretArgs(args) {
		out[i] = masked
	}
	if len(args) < 3 {
		return out
	}
	about := len(args)
	switch strings.ToLower(args[0] + " " + args[1]) {
	case "command getkeys", "command getkeysandflags":
		about = 2
	case "acl dryrun":
		about = 3
	}
	if about < len(args) {
		copy(out[about:], Masked(args[about:]))
	}
	return out
}
