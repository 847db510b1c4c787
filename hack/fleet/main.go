// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Fleet runs simulated devices against a gateway until it is told to stop. See package device for what they do.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/windlass-dev/windlass/hack/fleet/device"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "fleet:", err)
		os.Exit(1)
	}
}

type options struct {
	device.Config
	publicKey    string
	platforms    string
	statusListen string
}

func parse(args []string) (*options, error) {
	var o options
	fs := flag.NewFlagSet("fleet", flag.ContinueOnError)
	fs.StringVar(&o.Gateway, "gateway", "http://127.0.0.1:8080", "base URL of the gateway")
	fs.StringVar(&o.App, "app", "com.example.shop", "id of the app")
	fs.StringVar(&o.Channel, "channel", "production", "channel that the devices follow")
	fs.StringVar(&o.NativeVersion, "native-version", "1.0.0", "version of the installed app build")
	fs.StringVar(&o.platforms, "platforms", "ios,android", "platforms, between commas; devices take turns")
	fs.IntVar(&o.Devices, "devices", 2000, "number of devices")
	fs.Float64Var(&o.Capgo, "capgo", 0.5, "share of the devices that speak the Capgo protocol, 0 to 1")
	fs.Uint64Var(&o.Seed, "seed", 1, "of device ids and of the spread of their polls")
	fs.DurationVar(&o.Poll, "poll", 2*time.Second, "time between two checks of a device")
	fs.IntVar(&o.Workers, "workers", 32, "checks at a time")
	fs.IntVar(&o.Downloads, "downloads", 16, "downloads at a time")
	fs.StringVar(&o.publicKey, "public-key", "", "PEM file with the author's ECDSA public key, which devices pin")
	fs.StringVar(&o.statusListen, "status-listen", "", "address for GET /status, such as 127.0.0.1:8090; empty: none")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	o.Platforms = strings.Split(o.platforms, ",")
	return &o, o.readKey()
}

func (o *options) readKey() error {
	if o.publicKey == "" {
		return errors.New("-public-key is missing: name the PEM file with the author's public key")
	}
	text, err := os.ReadFile(o.publicKey)
	if err != nil {
		return fmt.Errorf("read the author's key: %w", err)
	}
	o.Author, err = device.ParseAuthor(text)
	return err
}

func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	fleet, err := device.New(o.Config)
	if err != nil {
		return err
	}
	if o.statusListen != "" {
		stop, err := serveStatus(ctx, o.statusListen, fleet)
		if err != nil {
			return err
		}
		defer stop()
	}
	show := newProgress(out)
	done := make(chan struct{})
	go func() {
		defer close(done)
		show.run(ctx, fleet)
	}()
	fleet.Run(ctx)
	<-done
	return nil
}

// serveStatus answers GET /status with a device.Status.
func serveStatus(ctx context.Context, address string, fleet *device.Fleet) (stop func(), err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for status: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(fleet.Status()) // the client is gone: nobody is left to tell
	})
	server := &http.Server{Handler: mux, ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }() // ends with Close
	return func() { _ = server.Close() }, nil  // at the end of the program
}

// progress shows a line that is redrawn on a terminal and written now and then to a log.
type progress struct {
	out      io.Writer
	terminal bool
	every    time.Duration
	last     string
	checks   int64
	at       time.Time
}

func newProgress(out io.Writer) *progress {
	p := &progress{out: out, every: 5 * time.Second, at: time.Now()}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.terminal, p.every = true, 500*time.Millisecond
	}
	return p
}

func (p *progress) run(ctx context.Context, fleet *device.Fleet) {
	tick := time.NewTicker(p.every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.show(fleet.Status(), time.Now())
		case <-ctx.Done():
			p.show(fleet.Status(), time.Now())
			if p.terminal {
				fmt.Fprintln(p.out)
			}
			return
		}
	}
}

func (p *progress) show(s device.Status, now time.Time) {
	line := p.line(s, now)
	switch {
	case p.terminal:
		fmt.Fprintf(p.out, "\r\x1b[K%s", line)
	case line != p.last:
		fmt.Fprintln(p.out, line)
	}
	p.last = line
}

func (p *progress) line(s device.Status, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d devices:", s.Devices)
	for _, v := range s.Versions() {
		n := s.Bundles[v]
		if n.Running > 0 || n.Failed > 0 {
			fmt.Fprintf(&b, " %s %d", v, n.Running)
		}
		if n.Failed > 0 {
			fmt.Fprintf(&b, " (%d failed)", n.Failed)
		}
	}
	rate := float64(s.Checks()-p.checks) / max(now.Sub(p.at).Seconds(), 1e-3)
	p.checks, p.at = s.Checks(), now
	fmt.Fprintf(&b, " | %.0f checks/s, %d errors", rate, s.CheckErrors+s.ReportErrors+s.OfferedAgain)
	for _, check := range []string{"size", "digest", "signature", "archive", "network"} {
		if n := s.Rejected[check]; n > 0 {
			fmt.Fprintf(&b, ", %d rejected by %s", n, check)
		}
	}
	if late := time.Duration(s.LateMillis) * time.Millisecond; late > time.Second {
		fmt.Fprintf(&b, ", polls are %s late", late.Round(100*time.Millisecond))
	}
	return b.String()
}
