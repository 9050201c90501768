package kvdb

import (
	"slices"
	"strconv"
	"strings"
)

// This file keeps up with what the commands of a session left on its connection, the transaction above all.

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

// forget makes nothing of a transaction that was lost: of an EXEC, its own error says what is known.
func (s *Session) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = false
}

// transactionLost is the error of a command of a transaction that is no more.
func (s *Session) transactionLost(err error) error {
	s.forget()
	return &awayError{op: "transaction", err: err,
		sentence: "The connection to Redis was lost, and with it the transaction, or what was watched for it. None of its commands was run. Begin again " +
			"with WATCH or MULTI."}
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
