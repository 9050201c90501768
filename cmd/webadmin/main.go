// Command webadmin is the operator's console and HTTP API for the key/value DB of an integration platform.
//
// This package is the only place that wires the others: it reads the configuration, opens Redis (or starts the
// embedded one), makes the domains and hands them to the handlers. Nothing imports it.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A later signal ends the process at once. One that comes with the first is no wish of anybody's: timeout(1) and others send two.
	context.AfterFunc(ctx, func() { time.AfterFunc(2*time.Second, stop) })
	os.Exit(run(ctx, os.Args[1:], process{
		environ:  os.Environ(),
		readFile: os.ReadFile,
		stdin:    os.Stdin,
		stdout:   os.Stdout,
		stderr:   os.Stderr,
		now:      time.Now,
	}))
}
