// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Command gateway answers devices from a repository's signed metadata. It needs no access to Kubernetes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/windlass-dev/windlass/internal/gateway"
	"github.com/windlass-dev/windlass/internal/gateway/origin"
	"github.com/windlass-dev/windlass/internal/gateway/outcome"
)

type options struct {
	listen, internalListen string
	root                   string
	metadataURL            string
	s3                     origin.S3Config
	logLevel               slog.Level
	server                 gateway.Config
}

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
	if o.server.TokenFile != "" {
		if _, err := gateway.ReadToken(o.server.TokenFile); err != nil {
			return fmt.Errorf("--counts-token-file: %w", err)
		}
	}
	server, err := gateway.New(ctx, o.server)
	if err != nil {
		return err
	}
	var listen net.ListenConfig
	public, err := listen.Listen(ctx, "tcp", o.listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	internal, err := listen.Listen(ctx, "tcp", o.internalListen)
	if err != nil {
		return fmt.Errorf("--internal-listen: %w", err)
	}
	return server.Run(ctx, public, internal)
}

func parse(args []string) (*options, error) {
	o := &options{server: gateway.Config{Ledger: outcome.Config{Keep: time.Hour}}}
	f := flag.NewFlagSet("gateway", flag.ContinueOnError)
	f.StringVar(&o.listen, "listen", ":8080", "address for devices")
	f.StringVar(&o.internalListen, "internal-listen", "127.0.0.1:8081", "address for probes, /metrics and the manager's counts; keep it off the internet")
	f.StringVar(&o.root, "root", "", "file with the TUF root of trust of the Repository (required)")
	f.StringVar(&o.metadataURL, "metadata-url", "", "URL of the Repository's prefix, when a web server serves it; else give --s3-endpoint")
	f.StringVar(&o.s3.Endpoint, "s3-endpoint", "", "S3 endpoint, such as https://s3.example.com; keys come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or from the machine's identity")
	f.StringVar(&o.s3.Bucket, "s3-bucket", "", "bucket of the Repository")
	f.StringVar(&o.s3.Prefix, "s3-prefix", "", "prefix of the Repository in the bucket")
	f.StringVar(&o.s3.Region, "s3-region", "us-east-1", "region of the bucket")
	f.StringVar(&o.server.BaseURL, "public-base-url", "", "URL at which devices reach --listen, for artifact URLs; by default as each request came in")
	f.StringVar(&o.server.CacheDir, "cache-dir", "", "folder that keeps verified metadata, so that a restart serves without the bucket and never goes back to an older state; recommended")
	f.StringVar(&o.server.TokenFile, "counts-token-file", "", "file with the bearer token of /internal/v1/counts; without it nobody gets the counts")
	f.DurationVar(&o.server.PollInterval, "poll-interval", time.Second, "time between looks for new metadata")
	f.DurationVar(&o.server.NextCheck, "next-check", 0, "when devices are asked to check again; 0: as their app has it")
	f.DurationVar(&o.server.DrainDelay, "drain-delay", 3*time.Second, "time between losing readiness and closing the listeners, on SIGTERM")
	f.IntVar(&o.server.Ledger.PerBundle, "max-devices-per-bundle", 500_000, "devices that are counted in one arm of a bundle; further ones are served, but not counted")
	f.IntVar(&o.server.Ledger.Total, "max-devices", 4_000_000, "devices that are counted in all; one takes about 24 bytes")
	f.TextVar(&o.logLevel, "log-level", slog.LevelInfo, "debug, info, warn or error")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	o.server.Log = slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: o.logLevel}))
	o.server.BaseURL = strings.TrimSuffix(o.server.BaseURL, "/")
	return o, o.validate(f.Args())
}

func (o *options) validate(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("expected flags only, got %q", rest)
	case o.root == "":
		return errors.New("--root is required: the file with the TUF root of trust")
	case (o.metadataURL == "") == (o.s3.Endpoint == ""):
		return errors.New("give either --metadata-url or --s3-endpoint with --s3-bucket")
	case o.server.PollInterval < 10*time.Millisecond:
		return fmt.Errorf("--poll-interval: expected at least 10ms, got %s", o.server.PollInterval)
	case o.server.Ledger.PerBundle <= 0 || o.server.Ledger.Total <= 0:
		return errors.New("--max-devices and --max-devices-per-bundle: expected more than 0")
	}
	return nil
}

// open opens the Repository's prefix.
func open(o *options) (*origin.Origin, error) {
	if o.metadataURL != "" {
		return origin.NewHTTP(o.metadataURL)
	}
	return origin.NewS3(o.s3)
}
