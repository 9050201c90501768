package kvdb

import (
	"context"
	"errors"
	"slices"
	"strings"
)

// CommandDoc is what the server says about a command for people.
type CommandDoc struct {
	Name       string // in capitals, with the subcommand: "CONFIG GET"
	Summary    string // the rest is empty where the server has no documentation (before 7.0, modules), but for Group and Args
	Since      string
	Group      string
	Complexity string
	Deprecated string // since which version
	ReplacedBy string
	Args       []ArgDoc
	Container  bool // it has subcommands
}

// ArgDoc is an argument, or a group of them.
type ArgDoc struct {
	Name     string
	Type     string // string, integer, double, key, pattern, unix-time, pure-token, oneof (of Args), block (of Args)
	Token    string // the word before it, or that it is; HasToken tells an empty one
	HasToken bool
	Optional bool
	Multiple bool // it may come several times
	EachTime bool // with the token each time
	Args     []ArgDoc
}

// CommandDocs are those of all commands of one run of the server.
type CommandDocs struct {
	table  *commandTable
	byName map[string]*CommandDoc
	names  []string
}

// Names are those of all commands, and of all subcommands with that of their command, sorted.
func (d *CommandDocs) Names() []string { return d.names }

// Find returns the command that a line begins with, and how many words its name has; nil if the server has none of that
// name. Of a container without a subcommand that it has, it is the container.
func (d *CommandDocs) Find(words ...string) (doc *CommandDoc, n int) {
	if len(words) > 1 {
		if doc := d.byName[strings.ToUpper(words[0]+" "+words[1])]; doc != nil {
			return doc, 2
		}
	}
	if len(words) > 0 {
		doc = d.byName[strings.ToUpper(words[0])]
	}
	if doc == nil {
		return nil, 0
	}
	return doc, 1
}

// CommandDocs asks the server about its commands: all that COMMAND knows, with what COMMAND DOCS says of them, where it has that
// (7.0). have, from an earlier call, is returned as it is while the server is the same. It may be nil. The errors are ErrAway.
func (db *DB) CommandDocs(ctx context.Context, have *CommandDocs) (*CommandDocs, error) {
	to, err := db.node(ctx, nil)
	if err != nil {
		return nil, ReadErr("command docs", err)
	}
	ctx, cancel := context.WithTimeout(ctx, ioTimeout)
	defer cancel()
	w, err := db.wire(ctx, to, wireOptions{anyDB: true})
	if err != nil {
		return nil, ReadErr("command docs", err)
	}
	defer db.wires.put(w)
	table, err := db.table(ctx, w, "command")
	if err != nil || have != nil && have.table == table {
		return have, ReadErr("command docs", err)
	}
	reply, err := w.askMuch(ctx, maxTableItems, maxTableBytes, []string{"COMMAND", "DOCS"})
	if refused := replyError(""); err != nil && !errors.As(err, &refused) {
		return nil, ReadErr("command docs", err)
	}
	d := &CommandDocs{table: table, byName: map[string]*CommandDoc{}}
	for name, spec := range table.byName {
		doc, _ := reply.field(name)
		d.add(spec, doc)
	}
	slices.Sort(d.names)
	return d, nil
}

// add adds a command and its subcommands; entry is what COMMAND DOCS says of it, if anything.
func (d *CommandDocs) add(spec *commandSpec, entry Reply) {
	text := func(field string) string {
		value, _ := entry.field(field)
		return value.Text
	}
	doc := &CommandDoc{
		Name:    strings.ToUpper(strings.ReplaceAll(spec.name, "|", " ")),
		Summary: text("summary"), Since: text("since"), Group: text("group"), Complexity: text("complexity"),
		Deprecated: text("deprecated_since"), ReplacedBy: text("replaced_by"), Container: len(spec.sub) > 0,
	}
	d.byName[doc.Name] = doc
	d.names = append(d.names, doc.Name)
	if entry.Kind == KindMap {
		args, _ := entry.field("arguments")
		doc.Args = argDocs(args)
	} else {
		doc.Group, doc.Args = spec.group(), spec.plainArgs()
	}
	subs, _ := entry.field("subcommands")
	for _, sub := range spec.sub {
		entry, _ := subs.field(sub.name)
		d.add(sub, entry)
	}
}

func argDocs(r Reply) []ArgDoc {
	var args []ArgDoc
	for _, item := range r.Items {
		var a ArgDoc
		for i := 0; i+1 < len(item.Items); i += 2 {
			value := item.Items[i+1]
			switch item.Items[i].Text {
			case "name":
				if a.Name == "" {
					a.Name = value.Text
				}
			case "display_text":
				a.Name = value.Text
			case "type":
				a.Type = value.Text
			case "token":
				a.Token, a.HasToken = value.Text, true
			case "arguments":
				a.Args = argDocs(value)
			case "flags":
				flags := value.texts()
				a.Optional, a.Multiple, a.EachTime = slices.Contains(flags, "optional"), slices.Contains(flags, "multiple"),
					slices.Contains(flags, "multiple_token")
			}
		}
		args = append(args, a)
	}
	return args
}

// groups are the groups of COMMAND DOCS by the categories of COMMAND that mean the same.
var groups = []struct{ category, group string }{
	{"@string", "string"}, {"@list", "list"}, {"@set", "set"}, {"@sortedset", "sorted-set"}, {"@hash", "hash"}, {"@stream", "stream"},
	{"@bitmap", "bitmap"}, {"@hyperloglog", "hyperloglog"}, {"@geo", "geo"}, {"@pubsub", "pubsub"}, {"@transaction", "transactions"},
	{"@scripting", "scripting"}, {"@connection", "connection"}, {"@keyspace", "generic"},
}

func (s *commandSpec) group() string {
	for _, g := range groups {
		if s.is(g.category) {
			return g.group
		}
	}
	if s.is("module") {
		return "module"
	}
	return "server"
}

// plainArgs is what the number of arguments and the place of the first key tell.
func (s *commandSpec) plainArgs() []ArgDoc {
	var args []ArgDoc
	n := max(s.arity, -s.arity) - 1 - strings.Count(s.name, "|")
	for i := range max(0, n) {
		if i == 0 && s.first > 0 {
			args = append(args, ArgDoc{Name: "key", Type: "key"})
			continue
		}
		args = append(args, ArgDoc{Name: "arg", Type: "string"})
	}
	if s.arity < 0 {
		args = append(args, ArgDoc{Name: "arg", Type: "string", Optional: true, Multiple: true})
	}
	return args
}
