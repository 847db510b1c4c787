// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Command gateway answers devices from a repository's signed metadata. It needs no access to Kubernetes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/windlass-dev/windlass/internal/gateway"
	"github.com/windlass-dev/windlass/internal/gateway/origin"
	"github.com/windlass-dev/windlass/internal/tokenfile"
)

func main() {
	if err := run(os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "gateway:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if o.server.Origin, err = open(o); err != nil {
		return err
	}
	if o.server.Root, err = os.ReadFile(o.root); err != nil {
		return fmt.Errorf("--root: %w", err)
	}
	if err := o.ledgerPlace(); err != nil {
		return err
	}
	if o.server.TokenFile != "" {
		if _, err := tokenfile.Read(o.server.TokenFile); err != nil {
			return fmt.Errorf("--counts-token-file: %w", err)
		}
	}
	return serve(ctx, o)
}

// serve listens before it opens anything: a gateway that cannot listen has begun nothing that would look as if it was killed.
func serve(ctx context.Context, o *options) error {
	var listen net.ListenConfig
	public, err := listen.Listen(ctx, "tcp", o.listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	defer public.Close() // Run has closed it, but for errors before
	internal, err := listen.Listen(ctx, "tcp", o.internalListen)
	if err != nil {
		return fmt.Errorf("--internal-listen: %w", err)
	}
	defer internal.Close()
	server, err := gateway.New(ctx, o.server)
	if err != nil {
		return err
	}
	return server.Run(ctx, public, internal)
}

// open opens the Repository's prefix.
func open(o *options) (*origin.Origin, error) {
	if o.metadataURL != "" {
		return origin.NewHTTP(o.metadataURL)
	}
	return origin.NewS3(o.s3)
}
