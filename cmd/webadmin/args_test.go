package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSplitArgs(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]struct {
		flags []setting
		words []string
		help  bool
	}{
		"serve":                                 {words: []string{"serve"}},
		"serve --listen :0 --demo":              {flags: []setting{{"listen", ":0"}, {"demo", "true"}}, words: []string{"serve"}},
		"--listen :0 user --demo=false add ann": {flags: []setting{{"listen", ":0"}, {"demo", "false"}}, words: []string{"user", "add", "ann"}},
		"token create --name n --role=admin":    {flags: []setting{{"name", "n"}, {"role", "admin"}}, words: []string{"token", "create"}},
		"export -o - --format csv":              {flags: []setting{{"o", "-"}, {"format", "csv"}}, words: []string{"export"}},
		"import - --dry-run":                    {flags: []setting{{"dry-run", "true"}}, words: []string{"import", "-"}},
		"import --demo -- --odd -- x":           {flags: []setting{{"demo", "true"}}, words: []string{"import", "--odd", "--", "x"}},
		"user add --help --role viewer":         {flags: []setting{{"role", "viewer"}}, words: []string{"user", "add"}, help: true},
		"-h":                                    {help: true},
		"":                                      {},
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			flags, words, help, err := splitArgs(strings.Fields(line))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want.flags, flags, cmp.AllowUnexported(setting{})); diff != "" {
				t.Errorf("flags (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(want.words, words); diff != "" {
				t.Errorf("words (-want +got):\n%s", diff)
			}
			if help != want.help {
				t.Errorf("help: got %v, want %v", help, want.help)
			}
		})
	}
}

func TestSplitArgsRefuses(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"serve --lisen :0":     "there is no flag --lisen",
		"serve --listen":       "flag needs an argument",
		"serve --demo=perhaps": "", // a switch takes any text here; Load refuses it
	} {
		_, _, _, err := splitArgs(strings.Fields(line))
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", line, err)
			}
			continue
		}
		if _, ok := errors.AsType[*usageError](err); !ok || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", line, err, want)
		}
	}
}

func FuzzSplitArgs(f *testing.F) {
	f.Add("serve --listen :0 -- a")
	f.Add("--help -h -o")
	f.Fuzz(func(t *testing.T, line string) {
		args := strings.Split(line, " ")
		flags, words, _, err := splitArgs(args)
		if err == nil && len(flags)+len(words) > len(args) {
			t.Errorf("%q became %v and %q", args, flags, words)
		}
	})
}
