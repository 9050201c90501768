package kvdb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// How the connections of this program are called on the server: its own, those on which commands of people and programs run, and those
// of sessions, unless the person has given it another name.
const (
	clientName  = "webadmin"
	commandName = clientName + ":command"
	sessionName = clientName + ":console"
)

// sayName names a connection, for those who look at the list of clients. A user who may not do so does without.
func sayName(ctx context.Context, conn *redis.Conn) error {
	err := conn.ClientSetName(ctx, clientName).Err()
	if refused := redis.Error(nil); errors.As(err, &refused) {
		return nil
	}
	return err
}

// Client is a connection to a server.
type Client struct {
	Node      string // address of the server
	ID        int64
	Addr      string
	Name      string
	User      string
	Age, Idle time.Duration
	DB        int
	Command   string // the last one; "" = none yet
	Memory    int64  // bytes, with its buffers; 0 = the server doesn't tell
	Flags     string // as the server writes them
	Kind      string // normal, pubsub, master or replica
	Ours      bool   // of this program, be it this process or another
}

// clientFlags says what the letters of CLIENT LIST mean.
var clientFlags = map[rune]string{
	'A': "is to be closed at once", 'b': "waits in a blocking command", 'c': "is to be closed after its reply",
	'd': "a key that it watches has changed: its EXEC will fail",
	'e': "is never evicted", 'i': "waits for a read from disk", 'M': "is the master of this replica", 'N': "nothing special",
	'O': "watches all commands (MONITOR)", 'P': "listens to channels",
	'r': "reads from a replica of a cluster", 'S': "is a replica", 't': "is told when keys that it cached change", 'B': "such messages go to all",
	'R': "such messages go to a client that is gone",
	'T': "doesn't count as a use of keys", 'u': "is unblocked", 'x': "is in a transaction",
}

// FlagWords explains the flags; none for those that say nothing special.
func (c Client) FlagWords() []string {
	var words []string
	for _, flag := range c.Flags {
		if flag == 'N' || flag == 'U' { // the address says that it comes through a socket
			continue
		}
		if word := clientFlags[flag]; word != "" {
			words = append(words, word)
		} else {
			words = append(words, "flag "+string(flag))
		}
	}
	return words
}

// ListClients returns the connections of all servers, to somebody with the role, by server and number. The errors are ErrAway and ErrForbidden.
func (db *DB) ListClients(ctx context.Context, role string) ([]Client, error) {
	if _, err := access(role, viewer, "the list of clients"); err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var all []Client
	var failed error
	answered := false
	err := db.eachNode(ctx, func(ctx context.Context, addr string, node *redis.Client) {
		text, err := node.ClientList(ctx).Result()
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			failed = err
			return
		}
		answered = true
		for line := range strings.Lines(text) {
			if c, ok := parseClient(line); ok {
				c.Node = addr
				all = append(all, c)
			}
		}
	})
	switch {
	case err != nil:
		return nil, ReadErr("clients", &notSentError{err})
	case !answered && failed != nil:
		return nil, ReadErr("clients", failed)
	}
	slices.SortFunc(all, func(a, b Client) int { return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.ID, b.ID)) })
	return all, nil
}

// parseClient reads a line of CLIENT LIST. Names have no blanks: the server refuses them.
func parseClient(line string) (c Client, ok bool) {
	fields := map[string]string{}
	for word := range strings.FieldsSeq(line) {
		name, value, _ := strings.Cut(word, "=")
		fields[name] = value
	}
	var err error
	if c.ID, err = strconv.ParseInt(fields["id"], 10, 64); err != nil {
		return c, false
	}
	number := func(name string) int64 {
		n, _ := strconv.ParseInt(fields[name], 10, 64)
		return n
	}
	c.Addr, c.Name, c.User, c.Flags = fields["addr"], fields["name"], fields["user"], fields["flags"]
	c.Age, c.Idle = time.Duration(number("age"))*time.Second, time.Duration(number("idle"))*time.Second
	c.DB, c.Memory = int(number("db")), number("tot-mem")
	if cmd := fields["cmd"]; cmd != "NULL" {
		c.Command = strings.ReplaceAll(cmd, "|", " ")
	}
	switch {
	case strings.Contains(c.Flags, "M"):
		c.Kind = "master"
	case strings.Contains(c.Flags, "S"):
		c.Kind = "replica"
	case strings.Contains(c.Flags, "P"):
		c.Kind = "pubsub"
	default:
		c.Kind = "normal"
	}
	c.Ours = c.Name == clientName || strings.HasPrefix(c.Name, clientName+":")
	return c, true
}

// KillClient closes a connection, for an admin. It is that with the number and the address: numbers begin anew when a server restarts.
// When it is gone already, the error is ErrNotFound. The others are those of writes, and ErrForbidden.
func (db *DB) KillClient(ctx context.Context, role, node string, id int64, addr string) error {
	if _, err := access(role, admin, "closing a connection"); err != nil {
		return err
	}
	found := false
	var killed int64
	var failed error
	var mu sync.Mutex
	err := db.eachNode(ctx, func(ctx context.Context, at string, client *redis.Client) {
		if at != node {
			return
		}
		n, err := client.ClientKillByFilter(ctx, "ID", strconv.FormatInt(id, 10), "ADDR", addr, "SKIPME", "no").Result()
		mu.Lock()
		defer mu.Unlock()
		found, killed, failed = true, n, err
	})
	switch {
	case err != nil:
		return WriteErr("client kill", &notSentError{err})
	case failed != nil:
		return WriteErr("client kill", failed)
	case !found || killed == 0:
		return fmt.Errorf("client %d: %w", id, ErrNotFound)
	}
	return nil
}
