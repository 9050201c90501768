package kvdb

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	masked   = "***"
	maxShown = 200 // bytes of one argument
)

// Line is the command as one reads it, for the audit log: secrets are masked, long arguments cut, and of a command that
// the server doesn't know, which may be a misspelt AUTH, only the name is there.
func (c Class) Line() string {
	if !c.Known {
		return Shown(c.Args[0]) + " … (" + strconv.Itoa(len(c.Args)-1) + " arguments)"
	}
	var b strings.Builder
	hide := secretArgs(c.Args)
	for i, arg := range c.Args {
		if i > 0 {
			b.WriteByte(' ')
		}
		switch {
		case hide[i]:
			b.WriteString(masked)
		default:
			b.WriteString(Shown(arg))
		}
	}
	return b.String()
}

// Masks says whether the command has a secret in it, which an error of the server may repeat.
func (c Class) Masks() bool { return !c.Known || len(secretArgs(c.Args)) > 0 }

// secretArgs returns which arguments of a command are secrets.
func secretArgs(args []string) map[int]bool {
	hide := map[int]bool{}
	all := func(from int) {
		for i := from; i < len(args); i++ {
			hide[i] = true
		}
	}
	word := func(i int) string {
		if i >= len(args) {
			return ""
		}
		return strings.ToLower(args[i])
	}
	switch word(0) {
	case "auth":
		all(1)
	case "hello", "migrate":
		for i := 1; i < len(args); i++ {
			switch word(i) {
			case "auth":
				if hide[i+1] = true; word(0) == "hello" {
					hide[i+2] = true
				}
			case "auth2":
				hide[i+1], hide[i+2] = true, true
			}
		}
	case "acl": // passwords and their hashes, added and removed
		for i := 2; i < len(args) && word(1) == "setuser"; i++ {
			hide[i] = strings.IndexAny(args[i], "><#!") == 0
		}
	case "config", "sentinel", "module": // names and values in turn, of a module after the path
		for i := 2; i < len(args); i++ {
			hide[i] = secretName(word(i - 1))
		}
	}
	for i := range hide {
		if !hide[i] || i >= len(args) {
			delete(hide, i)
		}
	}
	return hide
}

// secretName says whether a setting of this name is a secret: requirepass, masterauth, tls-key-file-pass, auth-pass …
func secretName(name string) bool {
	return strings.Contains(name, "pass") || strings.Contains(name, "auth") || strings.Contains(name, "secret")
}

// Shown is an argument as people read it: as it is where that is plain, else quoted.
func Shown(arg string) string {
	short := arg
	if len(short) > maxShown {
		short = string(wholeRunes([]byte(short[:maxShown])))
	}
	text := short
	odd := func(r rune) bool {
		return r == ' ' || r == '"' || r == '\'' || r == utf8.RuneError || !unicode.IsPrint(r)
	}
	if text == "" || strings.ContainsFunc(text, odd) {
		text = strconv.Quote(text)
	}
	if len(short) < len(arg) {
		text += "… (" + strconv.Itoa(len(arg)) + " bytes)"
	}
	return text
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
