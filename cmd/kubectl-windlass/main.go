// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Command kubectl-windlass is the command line of Windlass: as a plugin, kubectl windlass. It makes and checks updates in CI, keeps
// the offline keys of repositories, and tries release policies.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // windows name time zones, and not every machine has a database of them

	"github.com/windlass-dev/windlass/internal/cli"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return cli.Run(ctx, cli.System(), os.Args[1:])
}
