package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

const maxPasswordLine = 4096 // bytes read from a pipe

// newPassword asks twice on a terminal, without echo, and reads one line where standard input is none.
func (c *call) newPassword(ctx context.Context) (string, error) {
	if !isTerminal(c.stdin) {
		line, err := bufio.NewReader(io.LimitReader(c.stdin, maxPasswordLine)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("password from standard input: %w", err)
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	first, err := c.hidden(ctx, "Password: ")
	if err != nil {
		return "", err
	}
	second, err := c.hidden(ctx, "Again: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", errors.New("the two passwords differ; nothing was changed")
	}
	return first, nil
}

// hidden reads a line without echo. An interrupt gives the terminal back as it was.
func (c *call) hidden(ctx context.Context, prompt string) (string, error) {
	fd := int(c.stdin.(*os.File).Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("terminal: %w", err)
	}
	fmt.Fprint(c.stderr, prompt)
	defer fmt.Fprintln(c.stderr)
	type answer struct {
		text []byte
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		got <- answer{text, err}
	}()
	select {
	case a := <-got:
		return string(a.text), a.err
	case <-ctx.Done():
		return "", errors.Join(errors.New("interrupted"), term.Restore(fd, before))
	}
}
