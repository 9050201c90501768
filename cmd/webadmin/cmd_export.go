package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"webadmin/internal/dict"
)

func exportFile(ctx context.Context, c *call) error {
	name := c.flags["o"]
	if name == "" {
		return &usageError{errors.New("export needs -o FILE; - is standard output")}
	}
	format := dict.Format(c.flags["format"])
	if err := checkFormat(format); err != nil {
		return err
	}
	if format == "" && filepath.Ext(name) == ".json" {
		format = dict.JSON
	}
	format = cmp.Or(format, dict.GuessFormat(name, nil), dict.CSV)
	host, _ := os.Hostname() // only noted in the file
	options := dict.ExportOptions{Host: host, User: actor(), Bzip2: format == dict.Zato && strings.HasSuffix(name, ".bz2")}
	if strings.HasSuffix(name, ".bz2") && !options.Bzip2 {
		return &usageError{errors.New("only the format zato is written as .bz2")}
	}
	return c.withStores(ctx, func(ctx context.Context, s *stores) error {
		write := func(w io.Writer) error {
			return s.dict.Export(ctx, w, format, options)
		}
		if name == "-" {
			return write(c.stdout)
		}
		return replaceFile(name, write)
	})
}

// replaceFile writes a file whole or not at all: beside its place first, then there.
func replaceFile(name string, write func(io.Writer) error) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	if err := errors.Join(write(tmp), tmp.Chmod(0o644), tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return os.Rename(tmp.Name(), name)
}
