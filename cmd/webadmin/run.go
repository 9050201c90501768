package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"webadmin/internal/kvdb"
)

// Exit codes.
const (
	exitOK    = 0
	exitError = 1 // it was understood and failed
	exitUsage = 2 // it was not understood
)

// process is what run gets from outside, so that it is a function of its arguments.
type process struct {
	environ  []string // as os.Environ
	readFile func(string) ([]byte, error)
	stdin    io.Reader
	stdout   io.Writer
	stderr   io.Writer
	now      func() time.Time
}

// command is one row of the table of subcommands.
type command struct {
	words string        // "user add"
	args  string        // what follows the words, for the help: "NAME"
	nargs int           // how many words follow
	help  string        // one sentence
	flags []commandFlag // its own; they win over options of the same name
	bare  bool          // runs without a configuration
	run   func(context.Context, *call) error
}

// commandFlag is a flag of one command. It has no environment variable.
type commandFlag struct {
	name, arg, help string
}

func (f commandFlag) option() option { return option{name: f.name, arg: f.arg, help: f.help} }

// call is one run of a command.
type call struct {
	process
	cfg      Config
	warnings []string          // names of environment variables that mean nothing
	args     []string          // the words after the command's own
	flags    map[string]string // the command's own flags as given
}

// on says whether a switch of the command was given.
func (c *call) on(name string) bool { return c.flags[name] == "true" }

// commands is the table of subcommands, in the order of the help.
func commands() []command {
	return []command{
		{words: "serve", help: "Serve pages and API until SIGTERM or SIGINT.", run: serve},
		{words: "user add", args: "NAME", nargs: 1, help: "Add a user; the password is asked for, or read from standard input.", run: userAdd,
			flags: []commandFlag{{"role", "ROLE", "viewer, operator or admin (default viewer)."}}},
		{words: "user passwd", args: "NAME", nargs: 1, help: "Give a user a new password and end their sessions.", run: userPasswd},
		{words: "user list", help: "List users.", run: userList},
		{words: "user remove", args: "NAME", nargs: 1, help: "Remove a user, their sessions with them.", run: userRemove},
		{words: "token create", help: "Create an API token and print it, alone, on standard output.", run: tokenCreate,
			flags: []commandFlag{{"name", "TEXT", "What the token is for; names need not be unique."}, {"role", "ROLE", "viewer, operator or admin."},
				{"expires", "WHEN", "90d, 12h, 2027-01-31 or never (default never)."}}},
		{words: "token list", help: "List API tokens.", run: tokenList},
		{words: "token revoke", args: "ID", nargs: 1, help: "Revoke an API token.", run: tokenRevoke},
		{words: "import", args: "FILE", nargs: 1, help: "Import dictionaries; - reads standard input.", run: importFile,
			flags: []commandFlag{{"format", "FORMAT", "csv, json or zato (default: told from the file)."},
				{"mode", "MODE", "merge or replace (default merge)."}, {"dry-run", "", "Say what would happen and write nothing."},
				{"skip-rejected", "", "Import the good rows though there are bad ones."}}},
		{words: "export", help: "Export dictionaries.", run: exportFile,
			flags: []commandFlag{{"o", "FILE", "File to write; - is standard output."},
				{"format", "FORMAT", "csv, json or zato (default: by the file's name, else csv)."}}},
		{words: "healthcheck", help: "Ask a running server at --listen whether it is alive.", run: healthcheck,
			flags: []commandFlag{{"ready", "", "Fail too while it is not ready, as when Redis is away."}}},
		{words: "version", help: "Print the version.", bare: true, run: printVersion},
	}
}

// run is the program: it returns the exit code and never ends the process.
func run(ctx context.Context, args []string, p process) int {
	err := dispatch(ctx, args, p)
	var usage *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		complain(p.stderr, err)
		fmt.Fprintln(p.stderr, "Try: webadmin --help")
		return exitUsage
	default:
		complain(p.stderr, err)
		return exitError
	}
}

// complain says what went wrong, and where Redis has to do with it, what to do.
func complain(w io.Writer, err error) {
	text := err.Error()
	if advice := kvdb.Sentence(err); advice != "" {
		text += "\n" + advice
	}
	for line := range strings.SplitSeq(text, "\n") {
		fmt.Fprintln(w, "webadmin: "+line)
	}
}

func dispatch(ctx context.Context, args []string, p process) error {
	given, words, help, err := splitArgs(args)
	if err != nil {
		return err
	}
	if slices.Equal(words, []string{"help"}) {
		help, words = true, nil
	}
	if len(words) == 0 {
		if help {
			return printHelp(p.stdout)
		}
		return &usageError{errors.New("say what to do: " + strings.Join(commandNames(), ", "))}
	}
	cmd, rest, err := findCommand(words)
	if err != nil {
		return err
	}
	if help {
		return printCommandHelp(p.stdout, cmd)
	}
	if len(rest) != cmd.nargs {
		return &usageError{fmt.Errorf("usage: %s", cmd.usage())}
	}
	c := &call{process: p, args: rest, flags: map[string]string{}}
	var shared []setting
	for _, f := range given {
		own := slices.IndexFunc(cmd.flags, func(own commandFlag) bool { return own.name == f.name })
		switch {
		case own >= 0 && cmd.flags[own].arg == "":
			on, err := strconv.ParseBool(f.value)
			if err != nil {
				return &usageError{fmt.Errorf("--%s: %q is neither true nor false", f.name, f.value)}
			}
			c.flags[f.name] = strconv.FormatBool(on)
		case own >= 0:
			c.flags[f.name] = f.value
		case slices.ContainsFunc(options, func(o option) bool { return o.name == f.name }):
			shared = append(shared, f)
		default:
			return &usageError{fmt.Errorf("%s has no flag --%s", cmd.words, f.name)}
		}
	}
	if !cmd.bare {
		if c.cfg, c.warnings, err = Load(shared, p.environ, p.readFile); err != nil {
			return err
		}
	}
	return cmd.run(ctx, c)
}

// findCommand looks the first words up; rest are those after the command's own.
func findCommand(words []string) (cmd command, rest []string, err error) {
	var more []string
	for _, c := range commands() {
		own := strings.Fields(c.words)
		if len(words) >= len(own) && slices.Equal(words[:len(own)], own) {
			return c, words[len(own):], nil
		}
		if own[0] == words[0] {
			more = append(more, own[1])
		}
	}
	if len(more) > 0 {
		return command{}, nil, &usageError{fmt.Errorf("%s what? %s", words[0], strings.Join(more, ", "))}
	}
	return command{}, nil, &usageError{fmt.Errorf("there is no command %q; there are %s", words[0], strings.Join(commandNames(), ", "))}
}

// commandNames are the first words of the commands, each once.
func commandNames() (names []string) {
	for _, c := range commands() {
		first, _, _ := strings.Cut(c.words, " ")
		names = append(names, first)
	}
	return slices.Compact(names)
}

// usage is the command's line in the help.
func (c command) usage() string {
	s := "webadmin " + c.words
	if c.args != "" {
		s += " " + c.args
	}
	if len(c.flags) > 0 {
		s += " [flags]"
	}
	return s
}

func printHelp(w io.Writer) error {
	fmt.Fprintln(w, "webadmin: operator's console and HTTP API for a key/value DB on Redis")
	fmt.Fprintln(w)
	fmt.Fprintln(w, "Usage: webadmin COMMAND [flags]     flags may stand before and after the words")
	fmt.Fprintln(w)
	table(w, func(row func(...string)) {
		for _, c := range commands() {
			row("  "+strings.TrimSpace(c.words+" "+c.args), c.help)
		}
	})
	fmt.Fprintln(w)
	printOptions(w)
	fmt.Fprintln(w)
	fmt.Fprintln(w, "webadmin COMMAND --help shows the flags of one command.")
	return nil
}

func printCommandHelp(w io.Writer, c command) error {
	fmt.Fprintf(w, "Usage: %s\n\n%s\n\n", c.usage(), c.help)
	if len(c.flags) > 0 {
		table(w, func(row func(...string)) {
			for _, f := range c.flags {
				row("  "+f.option().flag(), f.help)
			}
		})
		fmt.Fprintln(w)
	}
	printOptions(w)
	return nil
}

func printOptions(w io.Writer) {
	fmt.Fprintln(w, "Flags and their variables (flag over variable over default; * also as …_FILE, which names a file with the value):")
	fmt.Fprintln(w)
	table(w, func(row func(...string)) {
		for _, o := range options {
			env := o.env()
			if o.secret {
				env += " *"
			}
			row("  "+o.flag(), env, o.byDefault(), o.help)
		}
	})
}

// flag is the option as it is typed.
func (o option) flag() string {
	dashes := "--"
	if len(o.name) == 1 {
		dashes = "-"
	}
	return strings.TrimSpace(dashes + o.name + " " + o.arg)
}

// table writes aligned columns.
func table(w io.Writer, fill func(row func(cells ...string))) {
	tw := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fill(func(cells ...string) { fmt.Fprintln(tw, strings.Join(cells, "\t")) })
	tw.Flush()
}
