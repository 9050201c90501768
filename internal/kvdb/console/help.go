package console

import (
	"context"
	"fmt"
	"strings"

	"webadmin/internal/kvdb"
)

// Help is what there is to read about a command.
type Help struct {
	Name       string
	Syntax     string // of its arguments, as redis-cli shows it
	Summary    string
	Since      string
	Group      string
	Complexity string
	Deprecated string   // a sentence; "" = it is not
	Sub        []string // the names of the subcommands of a container
}

// Help is about the command that the words begin with. The errors are kvdb.ErrAway, and kvdb.ErrNotFound where the server has no such command.
func (c *Console) Help(ctx context.Context, words ...string) (Help, error) {
	docs, err := c.commandDocs(ctx)
	if err != nil {
		return Help{}, err
	}
	doc, _ := docs.Find(words...)
	if doc == nil {
		return Help{}, fmt.Errorf("help: %w", kvdb.ErrNotFound)
	}
	return helpOf(docs, doc), nil
}

func helpOf(docs *kvdb.CommandDocs, doc *kvdb.CommandDoc) Help {
	h := Help{Name: doc.Name, Syntax: strings.Join(syntax(doc.Args), " "), Summary: doc.Summary, Since: doc.Since,
		Group: doc.Group, Complexity: doc.Complexity}
	if doc.Deprecated != "" {
		h.Deprecated = "Deprecated since " + doc.Deprecated
		if doc.ReplacedBy != "" {
			h.Deprecated += ": use " + doc.ReplacedBy
		}
		h.Deprecated = strings.ReplaceAll(h.Deprecated, "`!", "`") + "."
	}
	for _, name := range docs.Names() {
		if doc.Container && strings.HasPrefix(name, doc.Name+" ") {
			h.Sub = append(h.Sub, name)
		}
	}
	return h
}

// Group returns the names of the commands of a group ("string", "sorted-set" …), sorted. The errors are kvdb.ErrAway.
func (c *Console) Group(ctx context.Context, group string) ([]string, error) {
	docs, err := c.commandDocs(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, name := range docs.Names() {
		if doc, _ := docs.Find(strings.Fields(name)...); doc != nil && strings.EqualFold(doc.Group, group) {
			names = append(names, name)
		}
	}
	return names, nil
}

// syntax writes arguments as redis-cli does.
func syntax(args []kvdb.ArgDoc) []string {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = argSyntax(a)
	}
	return out
}

func argSyntax(a kvdb.ArgDoc) string {
	text := a.Name
	switch a.Type {
	case "block":
		text = strings.Join(syntax(a.Args), " ")
	case "oneof":
		text = strings.Join(syntax(a.Args), "|")
	case "pure-token":
		text = ""
	}
	token := a.Token
	if a.HasToken && token == "" {
		token = `""`
	}
	if a.Multiple && !a.EachTime {
		text += " [" + text + " ...]"
	}
	if a.HasToken {
		text = strings.TrimSpace(token + " " + text)
	}
	if a.Multiple && a.EachTime {
		text += " [" + text + " ...]"
	}
	if a.Optional {
		text = "[" + text + "]"
	}
	return text
}

const aboutHelp = `help <command>  what a command does, and its arguments
help @<group>   the commands of a group: @string, @hash, @server …
A number before a command runs it so often. clear empties the screen, quit closes the console.`

// helpText answers "help …".
func (c *Console) helpText(ctx context.Context, words []string) (string, error) {
	if len(words) == 0 {
		return aboutHelp, nil
	}
	docs, err := c.commandDocs(ctx)
	if err != nil {
		return "", err
	}
	group, isGroup := strings.CutPrefix(words[0], "@")
	var b strings.Builder
	for _, name := range docs.Names() {
		doc, _ := docs.Find(strings.Fields(name)...)
		same := strings.EqualFold(name, strings.Join(words, " "))
		if isGroup && !strings.EqualFold(doc.Group, group) || !isGroup && !same &&
			(len(words) > 1 || !strings.HasPrefix(name, strings.ToUpper(words[0])+" ")) {
			continue
		}
		h := helpOf(docs, doc)
		fmt.Fprintf(&b, "\n  %s\n  summary: %s\n  since: %s\n", strings.TrimSpace(h.Name+" "+h.Syntax), h.Summary, h.Since)
		if !isGroup {
			fmt.Fprintf(&b, "  group: %s\n", h.Group)
		}
	}
	if b.Len() == 0 {
		return "This server has no command or group of that name.", nil
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}
