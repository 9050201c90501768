package main

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"webadmin/demo"
	"webadmin/internal/dict"
	"webadmin/internal/lua"
)

// demo puts the demo data into an empty store, where that was asked for. That it can't is no reason not to run.
func (s *starter) demo(ctx context.Context) {
	if !s.cfg.Demo {
		return
	}
	if err := s.loadDemo(ctx); err != nil {
		s.logger.Warn("demo data", "error", err)
	}
}

func (s *starter) loadDemo(ctx context.Context) error {
	empty, err := s.empty(ctx)
	if err != nil {
		return err
	}
	if !empty {
		s.logger.Info("the store is not empty: no demo data")
		return nil
	}
	dictionaries, err := fs.Glob(demo.Dictionaries, "*")
	if err != nil {
		return err
	}
	for _, name := range dictionaries {
		if err := s.importDemo(ctx, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if err := s.uploadDemo(ctx); err != nil {
		return err
	}
	return s.sendFirstOrders(ctx)
}

// empty says whether there is nothing in the dictionaries, and never was: one that was emptied by hand has a history.
func (s *starter) empty(ctx context.Context) (bool, error) {
	entries, err := s.dict.Entries(ctx, dict.Filter{}, dict.ListOptions{Limit: 1})
	if err != nil || len(entries.Items) > 0 {
		return false, err
	}
	changes, err := s.dict.Changes(ctx, "", 1)
	return len(changes.Items) == 0, err
}

func (s *starter) importDemo(ctx context.Context, name string) error {
	file, err := demo.Dictionaries.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	body := bufio.NewReader(file)
	head, err := body.Peek(64)
	if err != nil {
		return err
	}
	// The operation's name has a second replica that starts at the same moment not do it again.
	by := dict.By{Who: "demo", Op: "demo:" + name}
	result, err := s.dict.Import(ctx, by, body, dict.ImportOptions{Name: name, Format: dict.GuessFormat(name, head), Mode: dict.Merge})
	if err != nil {
		return err
	}
	s.logger.Info("demo data", "file", name, "result", countsOf(result))
	return nil
}

// uploadDemo uploads the programs, with an example of how to call the first of them.
func (s *starter) uploadDemo(ctx context.Context) error {
	files, err := fs.Glob(demo.Programs, "lua/*.lua")
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := demo.Programs.ReadFile(file)
		if err != nil {
			return err
		}
		name := strings.TrimSuffix(path.Base(file), ".lua")
		by := lua.By{Who: "demo", Op: "demo:" + name}
		if _, _, err := s.lua.Put(ctx, by, name, string(text), 0); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		s.logger.Info("demo data", "program", name)
	}
	example := lua.Example{Title: "No such key", Keys: []string{"demo:no such key", "demo:to"}, Expect: `{"type":"integer","result":11}`}
	_, err = s.lua.SaveExample(ctx, lua.By{Who: "demo", Op: "demo:example"}, "mylib.rename_if_exists", example)
	return err
}
