package console

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"webadmin/internal/kvdb"
)

// Completion is what may come next on a line.
type Completion struct {
	From, To    int // bytes of the line that a suggestion takes the place of
	Suggestions []Suggestion
	Help        *Help  // of the command that the line begins with; nil = there is none yet
	Syntax      []Part // its arguments
}

// Suggestion is a word, or a command with its subcommand.
type Suggestion struct {
	Text    string
	Kind    string // command, subcommand, option or group
	Summary string
}

// Part is an argument in the syntax of a command.
type Part struct {
	Text    string
	Current bool // it is what comes at the cursor
}

const maxSuggestions = 100

// Complete says what may come at the cursor (in bytes) of a line. The errors are kvdb.ErrAway.
func (c *Console) Complete(ctx context.Context, line string, cursor int) (Completion, error) {
	docs, err := c.commandDocs(ctx)
	if err != nil {
		return Completion{}, err
	}
	return complete(docs, line, cursor), nil
}

func complete(docs *kvdb.CommandDocs, line string, cursor int) Completion {
	cursor = min(max(cursor, 0), len(line))
	all, _ := split(line[:cursor])
	now := word{start: cursor, end: cursor}
	if n := len(all); n > 0 && all[n-1].end == cursor {
		now, all = all[n-1], all[:n-1]
	}
	var words []string
	for _, w := range all {
		words = append(words, w.text)
	}
	if _, ok := repeat(append(slices.Clone(words), now.text)); ok && len(words) > 0 {
		words = words[1:]
	}
	out := Completion{From: now.start, To: cursor}
	help := len(words) > 0 && (strings.EqualFold(words[0], "help") || words[0] == "?")
	if help {
		words = words[1:]
	}
	start := strings.ToUpper(now.text)
	if len(words) == 0 {
		out.suggestCommands(docs, start, help)
		words = append(words, now.text) // the help of a name that is complete
	}
	doc, n := docs.Find(words...)
	if doc == nil {
		return out
	}
	if len(words) == 1 && len(all) > 0 && doc.Container {
		out.suggestSubcommands(docs, doc, start)
		if about, m := docs.Find(words[0], now.text); m == 2 {
			doc, n, words = about, m, append(words, now.text)
		}
	}
	h := helpOf(docs, doc)
	out.Help = &h
	var typed []string
	if n <= len(words) {
		typed = words[n:]
	}
	at := walk(doc.Args, typed)
	for _, option := range options(at.next) {
		if start != "" && strings.HasPrefix(strings.ToUpper(option), start) || start == "" && len(all) > 0 && !doc.Container && !help {
			out.suggest(option, "option", "")
		}
	}
	current := at.at
	for i, a := range doc.Args {
		if start != "" && slices.ContainsFunc(options([]kvdb.ArgDoc{a}), func(o string) bool { return strings.HasPrefix(strings.ToUpper(o), start) }) &&
			i >= current {
			current = i
			break
		}
	}
	for i, text := range syntax(doc.Args) {
		out.Syntax = append(out.Syntax, Part{text, i == current && at.used == len(typed) && len(all) > 0})
	}
	return out
}

// suggestCommands suggests the commands that begin so, in capitals; of help also the groups of commands.
func (c *Completion) suggestCommands(docs *kvdb.CommandDocs, start string, help bool) {
	for _, name := range docs.Names() {
		doc, _ := docs.Find(strings.Fields(name)...)
		if strings.HasPrefix(name, start) && (!strings.Contains(name, " ") || strings.HasPrefix(start, strings.Fields(name)[0])) {
			c.suggest(name, "command", doc.Summary)
		}
		if group := "@" + doc.Group; help && strings.HasPrefix(group, strings.ToLower(start)) {
			if !slices.ContainsFunc(c.Suggestions, func(s Suggestion) bool { return s.Text == group }) {
				c.suggest(group, "group", "")
			}
		}
	}
}

// suggestSubcommands suggests those of a command that begin so, in capitals.
func (c *Completion) suggestSubcommands(docs *kvdb.CommandDocs, of *kvdb.CommandDoc, start string) {
	for _, name := range docs.Names() {
		if sub, ok := strings.CutPrefix(name, of.Name+" "); ok && strings.HasPrefix(sub, start) {
			doc, _ := docs.Find(strings.Fields(name)...)
			c.suggest(sub, "subcommand", doc.Summary)
		}
	}
}

func (c *Completion) suggest(text, kind, summary string) {
	if len(c.Suggestions) < maxSuggestions {
		c.Suggestions = append(c.Suggestions, Suggestion{text, kind, summary})
	}
}

// options are the words that may begin one of the arguments.
func options(args []kvdb.ArgDoc) (words []string) {
	add := func(more ...string) {
		for _, w := range more {
			if w != "" && !slices.Contains(words, w) {
				words = append(words, w)
			}
		}
	}
	for _, a := range args {
		switch {
		case a.HasToken:
			add(a.Token)
		case a.Type == "oneof":
			add(options(a.Args)...)
		case a.Type == "block":
			for i := range a.Args {
				add(options(a.Args[i : i+1])...)
				if !a.Args[i].Optional {
					break
				}
			}
		}
	}
	return words
}

// place is how far words lead through arguments.
type place struct {
	used int           // words that fit
	next []kvdb.ArgDoc // what may come then
	at   int           // the argument that comes then
	open bool          // it is within one
}

// walk follows the words through the arguments as far as they fit. Optional ones that stand together come in any order.
func walk(args []kvdb.ArgDoc, words []string) place {
	used := 0
	var again []kvdb.ArgDoc // the last one, where it may come several times
	last := 0
	for i := 0; i <= len(args); {
		j := i
		for j < len(args) && args[j].Optional {
			j++
		}
		seen := map[int]bool{}
		for k := i; k < j; k++ {
			if seen[k] {
				continue
			}
			p := walkOne(args[k], words[used:])
			if p.used == 0 {
				continue
			}
			used += p.used
			if p.open {
				return place{used, p.next, k, true}
			}
			seen[k], again, last = true, p.next, k
			k = i - 1
		}
		if used == len(words) || j == len(args) {
			out := place{used: used, next: again, at: j, open: j < len(args)}
			for k := j - 1; k >= i; k-- {
				if !seen[k] {
					out.at = k
					out.next = append(out.next, args[k])
				}
			}
			if j < len(args) {
				out.next = append(out.next, args[j])
			}
			if len(again) > 0 {
				out.at = last
			}
			return out
		}
		p := walkOne(args[j], words[used:])
		used += p.used
		if p.used == 0 || p.open {
			return place{used, p.next, j, true}
		}
		again, last, i = p.next, j, j+1
	}
	return place{used: used, at: len(args)}
}

// walkOne follows the words through one argument, as often as it comes. It uses none where they don't fit.
func walkOne(a kvdb.ArgDoc, words []string) place {
	used := 0
	value := a
	value.HasToken, value.Token = false, ""
	if a.HasToken {
		if len(words) == 0 {
			return place{next: []kvdb.ArgDoc{a}, open: true}
		}
		if !strings.EqualFold(a.Token, words[0]) {
			return place{}
		}
		used = 1
		if a.Type == "pure-token" {
			return place{used: used}
		}
	}
	p := walkValue(value, words[used:])
	if p.used == 0 && used > 0 && used == len(words) {
		return place{used, []kvdb.ArgDoc{value}, 0, true}
	}
	if p.used == 0 {
		return p
	}
	used += p.used
	if p.open {
		return place{used, p.next, 0, true}
	}
	if !a.Multiple {
		return place{used: used, next: p.next}
	}
	next := value
	if a.EachTime {
		next = a
	}
	for used < len(words) {
		p := walkValue(next, words[used:])
		if a.EachTime {
			once := a
			once.Multiple, once.EachTime = false, false
			p = walkOne(once, words[used:])
		}
		if p.used == 0 {
			break
		}
		used += p.used
		if p.open {
			return place{used, p.next, 0, true}
		}
	}
	return place{used: used, next: []kvdb.ArgDoc{next}}
}

// walkValue is walkOne for what comes once, after its token.
func walkValue(a kvdb.ArgDoc, words []string) place {
	switch a.Type {
	case "oneof":
		best := place{}
		for _, option := range a.Args {
			if p := walkOne(option, words); p.used > best.used {
				best = p
			}
		}
		if best.used == 0 {
			best.next = a.Args
		}
		return best
	case "block":
		return walk(a.Args, words)
	case "integer", "double", "unix-time":
		if len(words) > 0 && a.Optional {
			if _, err := strconv.ParseFloat(words[0], 64); err != nil {
				return place{}
			}
		}
	}
	if len(words) == 0 {
		return place{next: []kvdb.ArgDoc{a}, open: true}
	}
	return place{used: 1}
}
