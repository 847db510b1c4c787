// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Demo releases three versions of an app to thousands of simulated devices, on this machine and with real parts only: etcd,
// kube-apiserver, an object store, the manager, the gateway and, when asked for, Prometheus. It ends with DEMO OK when the two
// good versions were released and the bad one was taken back by itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
)

// errInterrupted ends the demo when a person, or what started it, ends it.
var errInterrupted = errors.New("interrupted")

type options struct {
	prometheus bool
	keep       bool
	verbose    bool
	devices    int
	poll       time.Duration
	timeout    time.Duration
}

// minDevices gives ten devices at the first step: with fewer nothing could be concluded from them.
const minDevices = 1000

func main() {
	o, err := parse(os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(2)
	}
	ctrl.SetLogger(logr.Discard()) // of the libraries; Windlass' parts have their own logs
	ctx, cancel := context.WithCancelCause(context.Background())
	go cancelOnSignal(cancel)
	go cancelOnOrphan(cancel)
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo:", err)
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	var o options
	fs := flag.NewFlagSet("demo", flag.ContinueOnError)
	fs.BoolVar(&o.prometheus, "prometheus", false, "add a real Prometheus that scrapes the gateway, and a metric from it (its first build takes minutes)")
	fs.BoolVar(&o.keep, "keep", false, "keep everything running at the end, until Ctrl-C")
	fs.BoolVar(&o.verbose, "v", false, "print where the logs are, and each commit of the channel")
	fs.IntVar(&o.devices, "devices", 5000, "number of simulated devices")
	fs.DurationVar(&o.poll, "poll", 2*time.Second, "time between two checks of a device")
	fs.DurationVar(&o.timeout, "timeout", 3*time.Minute, "how long it may take after the builds")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	switch {
	case fs.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	case o.devices < minDevices:
		return o, fmt.Errorf("-devices is %d, want at least %d: the first step goes to 1 %% of them", o.devices, minDevices)
	case o.poll < 100*time.Millisecond:
		return o, fmt.Errorf("-poll is %s, want at least 100ms", o.poll)
	}
	return o, nil
}

// cancelOnSignal ends the demo in order, also when its terminal or the reader of its output is gone.
func cancelOnSignal(cancel context.CancelCauseFunc) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	<-signals
	cancel(errInterrupted)
}

// cancelOnOrphan ends the demo when the process that started it has ended: go run dies of SIGTERM without passing it on.
func cancelOnOrphan(cancel context.CancelCauseFunc) {
	parent := os.Getppid()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if os.Getppid() != parent {
			cancel(errInterrupted)
			return
		}
	}
}

// run plays the demo and leaves nothing behind.
func run(ctx context.Context, o options, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "windlass-demo-")
	if err != nil {
		return fmt.Errorf("make a folder for the demo: %w", err)
	}
	show := newScreen(out)
	s := &stack{dir: dir, options: o, screen: show}
	defer func() {
		show.close()
		if err != nil && !errors.Is(err, errInterrupted) {
			s.printLogs(out)
		}
		s.stop()
		err = errors.Join(err, os.RemoveAll(dir))
		if err == nil {
			fmt.Fprintln(out, "DEMO OK")
		}
	}()
	if err := s.build(ctx); err != nil {
		return cause(ctx, err)
	}
	limited, cancel := context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("not done within %s", o.timeout))
	defer cancel()
	if err := play(limited, s); err != nil {
		return cause(limited, err)
	}
	if o.keep {
		s.printAccess(out)
		<-ctx.Done()
		fmt.Fprintln(out) // after the ^C of the terminal
	}
	return nil
}

// cause puts the reason of a context's end in the place of "context canceled".
func cause(ctx context.Context, err error) error {
	if why := context.Cause(ctx); why != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return why
	}
	return err
}
