package kvdb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// This file says who may run which command. What a command is, the server says (see commandSpec); the tables below
// are about what it doesn't say.

// Roles, in the order of what they may; the names are those of package account.
var roles = []string{"viewer", "operator", "admin"}

const (
	viewer = iota
	operator
	admin
)

// reportOnly are the commands that the server calls dangerous, or counts among scripting, though all they do is report.
// The value is a further word with which they do more.
var reportOnly = map[string]string{
	"info": "", "keys": "", "role": "", "lastsave": "", "sort_ro": "", "config|get": "", "module|list": "",
	"client|list": "", "slowlog|get": "", "slowlog|len": "", "commandlog|get": "", "commandlog|len": "",
	"latency|doctor": "", "latency|graph": "", "latency|histogram": "", "latency|history": "", "latency|latest": "",
	"acl|list": "", "acl|users": "", "acl|getuser": "", "acl|dryrun": "", "acl|log": "reset",
	"cluster|replicas": "", "cluster|slaves": "", "cluster|count-failure-reports": "", "hotkeys|get": "",
	"script|exists": "", "script|help": "", "function|list": "", "function|dump": "", "function|stats": "", "function|help": "",
	// Before 7.0 the server said it of the whole container.
	"client|id": "", "client|info": "", "client|getname": "", "client|trackinginfo": "", "acl|whoami": "", "acl|cat": "", "acl|genpass": "",
	"cluster|info": "", "cluster|nodes": "", "cluster|slots": "", "cluster|myid": "", "cluster|keyslot": "",
	"cluster|countkeysinslot": "", "cluster|getkeysinslot": "",
}

const (
	itsOwnConnection = "each call has a connection of its own, which ends with it: what this would set is lost at once"
	noTransaction    = "each call has a connection of its own, which ends with it: a transaction can't go on in the next call"
	noEnd            = "what it asks for has no end, and a call has one answer"
	forReplicas      = "it is for servers that copy this one"
)

// outOfPlace are the commands that make no sense as a call of their own, or break its connection, and why. Whatever else
// changes the state of a connection does no harm, as it is closed.
var outOfPlace = map[string]string{
	"select": itsOwnConnection, "auth": itsOwnConnection, "hello": itsOwnConnection, "reset": itsOwnConnection, "quit": itsOwnConnection,
	"readonly": itsOwnConnection, "readwrite": itsOwnConnection, "asking": itsOwnConnection,
	"client|reply": itsOwnConnection, "client|tracking": itsOwnConnection, "client|caching": itsOwnConnection,
	"client|no-evict": itsOwnConnection, "client|no-touch": itsOwnConnection, "client|setname": itsOwnConnection,
	"client|setinfo": itsOwnConnection, "client|capa": itsOwnConnection, "client|import-source": itsOwnConnection,
	"script|debug": itsOwnConnection,
	"multi":        noTransaction, "exec": noTransaction, "discard": noTransaction, "watch": noTransaction, "unwatch": noTransaction,
	"monitor": noEnd, "subscribe": noEnd, "psubscribe": noEnd, "ssubscribe": noEnd,
	"unsubscribe": itsOwnConnection, "punsubscribe": itsOwnConnection, "sunsubscribe": itsOwnConnection,
	"sync": forReplicas, "psync": forReplicas, "replconf": forReplicas,
}

// Class is what there is to know about a command before it runs.
type Class struct {
	Args []string
	// Name is that of the command, with its subcommand: "CONFIG SET".
	Name string
	// Known is false for what the server doesn't have.
	Known bool
	// Need is the least role that may run it: viewer, operator or admin.
	Need string
	// Dangerous says that the server calls it so; Confirm, that it does more than report then, and wants to be confirmed.
	Dangerous, Confirm bool
	// Changes says that it may change something, data or else.
	Changes bool
	// Blocking says that it may wait until others do something.
	Blocking bool
	// OutOfPlace says why it can't run as a call of its own; "" = it can.
	OutOfPlace string
	// Keys are those that it touches, in the order of the arguments.
	Keys []string

	db        *DB
	place     []string // keys, or else, that say on which node of a cluster it runs
	ours      string   // a key of this program that it may touch; "" = none
	keysErr   error    // why the server can't tell the keys
	reads     bool
	scripting bool
	plain     bool // it leaves nothing behind on its connection
	whileBusy bool // the server runs it while a script blocks all else
}

// Classify asks the server what a command is and which keys it touches. The errors are ErrInvalid and ErrAway.
func (db *DB) Classify(ctx context.Context, args []string) (Class, error) {
	if len(args) == 0 || args[0] == "" {
		return Class{}, Invalid("args", "must hold the name of a command, and then its arguments")
	}
	c, err := db.classify(ctx, args)
	return c, ReadErr("classify", err)
}

func (db *DB) classify(ctx context.Context, args []string) (Class, error) {
	to, err := db.node(ctx, nil)
	if err != nil {
		return Class{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, ioTimeout)
	defer cancel()
	w, err := db.wire(ctx, to, wireOptions{anyDB: true})
	if err != nil {
		return Class{}, err
	}
	defer db.wires.put(w)
	table, err := db.table(ctx, w, args[0])
	if err != nil {
		return Class{}, err
	}
	spec := table.find(args)
	c := newClass(spec, args)
	c.db = db
	if spec == nil {
		return c, nil
	}
	keys, err := db.keysOf(ctx, w, spec, args)
	if refused := replyError(""); errors.As(err, &refused) {
		c.keysErr, err = refused, nil
	}
	c.place = keys
	if spec.channel {
		return c, err
	}
	c.Keys = keys
	candidates := keys
	if spec.is("movablekeys") {
		// Where keywords lead to the keys, the server can be led astray (GEORADIUS … STORE a STORE b; a consumer who is
		// called STREAMS), and its own ACL with it. So any argument might be a key.
		candidates = args[1:]
	}
	if i := slices.IndexFunc(candidates, db.isOurs); i >= 0 {
		c.ours = candidates[i]
	}
	return c, err
}

// isOurs says whether a key is one of this program's own.
func (db *DB) isOurs(key string) bool { return strings.HasPrefix(key, string(db.keys)) }

// newClass applies the rules to what the server says; a nil spec is a command that it doesn't have.
func newClass(spec *commandSpec, args []string) Class {
	word := strings.ToLower(args[0])
	words := word
	if len(args) > 1 {
		words += "|" + strings.ToLower(args[1])
	}
	c := Class{Args: args, Name: strings.ToUpper(args[0]), Need: roles[admin], Changes: true}
	for _, name := range []string{word, words} {
		if hint, ok := outOfPlace[name]; ok {
			c.OutOfPlace = hint
		}
	}
	if spec == nil {
		return c
	}
	c.Name, c.Known = strings.ToUpper(strings.ReplaceAll(spec.name, "|", " ")), true
	reports := false
	for _, name := range []string{word, words} {
		more, ok := reportOnly[name]
		reports = reports || ok && (more == "" || !slices.ContainsFunc(args[1:], func(a string) bool { return strings.EqualFold(a, more) }))
	}
	c.reads, c.scripting, c.whileBusy = spec.is("readonly"), spec.is("@scripting"), spec.is("allow_busy")
	c.Dangerous = spec.is("@dangerous") || spec.is("@admin")
	c.Confirm = c.Dangerous && !reports
	c.Blocking = spec.is("@blocking") || spec.is("blocking")
	c.Changes = spec.is("write") || c.Confirm || !c.reads && !reports &&
		(c.scripting || spec.is("module") || spec.is("@pubsub") && word != "pubsub")
	c.plain = (c.reads || spec.is("write")) && !c.Dangerous && !c.Blocking && !c.scripting && !spec.is("module")
	switch {
	// Nobody vouches for what the command of a module does: it may read keys that it doesn't name.
	case c.Dangerous, c.scripting, spec.is("module"), spec.unclear:
	case spec.is("@read") && !spec.is("write") && !c.Blocking:
		c.Need = roles[viewer]
	default:
		c.Need = roles[operator]
	}
	return c
}

// forbiddenError says to people why somebody may not do something. It is ErrForbidden.
type forbiddenError string

func (e forbiddenError) Error() string { return string(e) }

// Is makes it ErrForbidden.
func (forbiddenError) Is(target error) bool { return target == ErrForbidden }

// Permit returns the call of the command by somebody with the role; confirm is what they typed to confirm it. The errors
// are for people: ErrForbidden, and ErrInvalid where it can't run, or not unconfirmed.
func (c Class) Permit(role, confirm string) (*Call, error) {
	if err := c.refusal(role, confirm); err != nil {
		return nil, err
	}
	return &Call{Class: c, restricted: role != roles[admin]}, nil
}

// refusal is the error of Permit.
func (c *Class) refusal(role, confirm string) error {
	name := c.Name
	if !c.Known {
		name = fmt.Sprintf("%.50q", c.Name)
	}
	may := slices.Index(roles, role)
	switch {
	case may < 0, may < slices.Index(roles, c.Need) && c.Known:
		return forbiddenError(fmt.Sprintf("%s takes the role %s, yours is %s", name, c.Need, role))
	case may < admin && !c.Known:
		return forbiddenError(fmt.Sprintf("this server has no command %s, and what it doesn't know is for the role admin", name))
	case may < admin && c.ours != "":
		return forbiddenError(fmt.Sprintf("%.100q is, or could be, a key of this program itself: what starts with %q takes the role admin", c.ours,
			string(c.db.keys)))
	case c.OutOfPlace != "":
		return Invalid("args", "%s can't run here: %s", name, c.OutOfPlace)
	case may < admin && c.keysErr != nil:
		return Invalid("args", "Redis can't tell which keys this is about: %v", c.keysErr)
	case c.Confirm && !strings.EqualFold(confirm, c.Args[0]):
		return Invalid("confirm", "%s is dangerous: send confirm with the word %s to run it", name, strings.ToUpper(c.Args[0]))
	}
	return nil
}
