// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Command bench measures what Windlass promises about speed, on real parts, and prints a table for each, with one line a
// figure for scripts below it: BENCH <name> <value> <unit>.
//
//	go run ./test/bench                  # all
//	go run ./test/bench gateway commit   # some
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/windlass-dev/windlass/test/bench/commit"
	"github.com/windlass-dev/windlass/test/bench/gateway"
	"github.com/windlass-dev/windlass/test/bench/ingest"
	"github.com/windlass-dev/windlass/test/bench/rollback"
)

var benches = []struct {
	name string
	run  func(context.Context, io.Writer) error
}{
	{"ingest", ingest.Run}, {"trust", ingest.RunTrust}, {"commit", commit.Run}, {"rollback", rollback.Run}, {"gateway", gateway.Run},
}

func main() {
	ctrl.SetLogger(logr.Discard())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, only []string) error {
	var known []string
	for _, b := range benches {
		known = append(known, b.name)
	}
	for _, name := range only {
		if !slices.Contains(known, name) {
			return fmt.Errorf("there is no benchmark %q, there are %q", name, known)
		}
	}
	var failed error
	for _, b := range benches {
		if len(only) > 0 && !slices.Contains(only, b.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "measuring %s ...\n", b.name)
		if err := b.run(ctx, os.Stdout); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", b.name, err))
		}
		fmt.Fprintln(os.Stdout)
	}
	return failed
}
