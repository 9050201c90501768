// Command asynq enqueues and processes tasks with hibiken/asynq, for comparison: asynq ADDRESS TASKS PAYLOAD-BYTES. It prints how many a second
// were done, from the first enqueued to the last processed, with 50 who enqueue, 50 who process, and tasks that are kept for an hour. It is a
// module of its own, so that the product does not depend on what it is compared with.
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
)

const parallel = 50

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("usage: asynq ADDRESS TASKS PAYLOAD-BYTES")
	}
	tasks, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return err
	}
	size, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	opt := asynq.RedisClientOpt{Addr: args[0], PoolSize: parallel}
	var done atomic.Int64
	over := make(chan struct{})
	server := asynq.NewServer(opt, asynq.Config{Concurrency: parallel, LogLevel: asynq.ErrorLevel})
	if err := server.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error {
		if done.Add(1) == tasks {
			close(over)
		}
		return nil
	})); err != nil {
		return err
	}
	defer server.Shutdown()
	client := asynq.NewClient(opt)
	defer client.Close()
	payload := bytes.Repeat([]byte("x"), size)
	var left atomic.Int64
	left.Store(tasks)
	var all sync.WaitGroup
	errs := make(chan error, parallel)
	start := time.Now()
	for range parallel {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if _, err := client.Enqueue(asynq.NewTask("none", payload), asynq.Retention(time.Hour)); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	all.Wait()
	select {
	case err := <-errs:
		return err
	case <-over:
	}
	fmt.Printf("%.0f\n", float64(tasks)/time.Since(start).Seconds())
	return nil
}
