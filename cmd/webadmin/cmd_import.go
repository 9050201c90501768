package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"webadmin/internal/dict"
)

const sniffed = 64 << 10 // bytes of a file that its format is told from

func importFile(ctx context.Context, c *call) error {
	name := c.args[0]
	mode := dict.Mode(cmp.Or(c.flags["mode"], string(dict.Merge)))
	if !slices.Contains([]dict.Mode{dict.Merge, dict.Replace}, mode) {
		return &usageError{fmt.Errorf("--mode: %q is neither merge nor replace", mode)}
	}
	format := dict.Format(c.flags["format"])
	if err := checkFormat(format); err != nil {
		return err
	}
	file, err := c.open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	body := bufio.NewReaderSize(file, sniffed)
	if format == "" {
		head, err := body.Peek(sniffed)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("%s: %w", name, err)
		}
		if format = dict.GuessFormat(name, head); format == "" {
			return &usageError{fmt.Errorf("%s: there is no telling its format; say it with --format", name)}
		}
	}
	options := dict.ImportOptions{Name: filepath.Base(name), Format: format, Mode: mode, DryRun: c.on("dry-run"), SkipRejected: c.on("skip-rejected")}
	return c.withStores(ctx, func(ctx context.Context, s *stores) error {
		result, err := s.importBody(ctx, body, options)
		var rejected *dict.RejectedError
		if errors.As(err, &rejected) {
			result = rejected.Result
			err = fmt.Errorf("nothing was imported: %d rows are rejected; --skip-rejected imports the others", result.RejectedTotal)
		} else if err != nil {
			return err
		}
		c.printImport(result, options.DryRun)
		return err
	})
}

// importBody imports; what is written is audited.
func (s *stores) importBody(ctx context.Context, body io.Reader, options dict.ImportOptions) (result dict.ImportResult, err error) {
	run := func() (before, after string, err error) {
		result, err = s.dict.Import(ctx, dict.By{Who: actor()}, body, options)
		return "", countsOf(result), err
	}
	if options.DryRun {
		_, _, err = run()
		return result, err
	}
	return result, s.audited(ctx, "import.apply", fmt.Sprintf("import %s, %s, %s", options.Name, options.Format, options.Mode), run)
}

// open opens a file to read; "-" is standard input.
func (c *call) open(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(c.stdin), nil
	}
	return os.Open(name)
}

func checkFormat(f dict.Format) error {
	if f != "" && !slices.Contains([]dict.Format{dict.CSV, dict.JSON, dict.Zato}, f) {
		return &usageError{fmt.Errorf("--format: %q is none of csv, json and zato", f)}
	}
	return nil
}

func countsOf(r dict.ImportResult) string {
	return fmt.Sprintf("%d created, %d updated, %d unchanged, %d deleted, %d rejected; %d entries created",
		r.Created, r.Updated, r.Unchanged, r.Deleted, r.RejectedTotal, r.EntriesCreated)
}

// printImport writes the rejected rows to standard error and the counts to standard output.
func (c *call) printImport(r dict.ImportResult, dryRun bool) {
	for _, x := range r.Rejected {
		fmt.Fprintf(c.stderr, "line %d: %s\n", x.Line, x.Reason)
	}
	if more := r.RejectedTotal - int64(len(r.Rejected)); more > 0 {
		fmt.Fprintf(c.stderr, "and %d more\n", more)
	}
	fmt.Fprintln(c.stdout, countsOf(r))
	switch {
	case dryRun:
		fmt.Fprintln(c.stdout, "dry run: nothing was written")
	case r.Change != "":
		fmt.Fprintf(c.stdout, "change %s\n", r.Change)
	}
}
