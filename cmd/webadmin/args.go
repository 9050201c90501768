package main

import (
	"errors"
	"flag"
	"io"
	"strings"
)

// usageError is a mistake in how the program was called; it ends with exit code 2 and a hint at --help.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// recorder notes a flag as it is met, so that which option it is can be decided once the words are known.
type recorder struct {
	name   string
	toggle bool
	to     *[]setting
}

func (r recorder) String() string   { return "" }
func (r recorder) IsBoolFlag() bool { return r.toggle }
func (r recorder) Set(v string) error {
	*r.to = append(*r.to, setting{r.name, v})
	return nil
}

// splitArgs parts a command line into flags, in order, and words. Flags of any command may stand before, between and
// after the words; all that follows "--" is words. help is true when -h or --help was met.
func splitArgs(args []string) (flags []setting, words []string, help bool, err error) {
	fs := flag.NewFlagSet("webadmin", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	define := func(o option) {
		if fs.Lookup(o.name) == nil {
			fs.Var(recorder{o.name, o.arg == "", &flags}, o.name, "")
		}
	}
	for _, o := range options {
		define(o)
	}
	for _, c := range commands() {
		for _, o := range c.flags {
			define(o.option())
		}
	}
	for {
		before := len(args)
		if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
			help, args = true, args[before-fs.NArg():]
			continue
		} else if err != nil {
			return nil, nil, false, &usageError{errors.New(strings.Replace(err.Error(), "flag provided but not defined: -", "there is no flag --", 1))}
		}
		rest := fs.Args()
		ended := len(rest) < before && args[before-len(rest)-1] == "--"
		if ended || len(rest) == 0 {
			return flags, append(words, rest...), help, nil
		}
		words, args = append(words, rest[0]), rest[1:]
	}
}
