// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gateway measures how many update checks one core answers, against a bare net/http handler that reads the same
// requests and writes the same answers; whether that depends on the number of channels and of devices in the ledger; and how
// many events the ledger takes.
package gateway

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"
)

// The load: enough connections to keep one core busy, and enough rounds that what else the machine does falls on all sides.
const (
	connections = 16
	devices     = 4096
	rounds      = 9
	roundTime   = 500 * time.Millisecond
	warmUp      = 300 * time.Millisecond
)

// Worlds of the servers.
const (
	small, hundred, large = "1 channel", "100 channels", "10000 channels"
	million               = "1 channel, 1 M devices in the ledger"
)

// Run measures and prints tables and the figures of them. The servers are processes of their own with GOMAXPROCS=1; this
// process is their client.
func Run(ctx context.Context, w io.Writer) error {
	dir, err := os.MkdirTemp("", "windlass-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "ledger.db")
	if err := measureLedgers(ctx, w, file); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	costs, err := measureCosts(ctx)
	if err != nil {
		return err
	}
	channels, err := startChild(ctx, map[string]*world{small: {Channels: 1}, hundred: {Channels: 100}, large: {Channels: 10_000}})
	if err != nil {
		return err
	}
	defer channels.stop()
	full, err := startChild(ctx, map[string]*world{million: {Channels: 1, Ledger: file}})
	if err != nil {
		return err
	}
	defer full.stop()
	sides := sidesOf(channels, full)
	if err := measureSides(ctx, sides); err != nil {
		return err
	}
	memory, err := full.used("memory")
	if err != nil {
		return err
	}
	return report(w, sides, costs, memory.RSS)
}

// measureCosts measures both protocols in this process.
func measureCosts(ctx context.Context) (map[string]cost, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	gateway, err := (&world{Channels: 1}).handler(ctx)
	if err != nil {
		return nil, err
	}
	costs := map[string]cost{}
	for i := range protocols {
		p := &protocols[i]
		bare, err := p.bare(gateway)
		if err != nil {
			return nil, err
		}
		costs[p.name], costs[bareOf("", p)] = p.measure(gateway), p.measure(bare)
	}
	return costs, nil
}

// sidesOf lists what is put under load: for each protocol the bare handler and the gateway, then the gateway with more to know.
func sidesOf(channels, full *child) []*side {
	var out []*side
	add := func(c *child, world, handler string, p *protocol, n int) {
		out = append(out, &side{name: p.name + ", " + world, server: c, address: c.addresses[handler], protocol: p, bodies: p.bodies(n)})
	}
	for i := range protocols {
		p := &protocols[i]
		add(channels, "bare net/http handler", bareOf(small, p), p, 1)
		add(channels, small, small, p, 1)
	}
	last := &protocols[len(protocols)-1]
	add(channels, hundred, hundred, last, 100)
	add(channels, large, large, last, 10_000)
	add(full, million, million, last, 1)
	return out
}

func measureSides(ctx context.Context, sides []*side) error {
	for _, s := range sides {
		if err := s.warm(ctx); err != nil {
			return err
		}
	}
	for range rounds {
		for _, s := range sides {
			if err := s.load(ctx, roundTime); err != nil {
				return err
			}
		}
	}
	return nil
}

// ratio is the median over the rounds of how much one side costs of the other; neighbouring rounds are compared, so that
// they share what else the machine does. It is that of CPU time, which is what one core can answer: by the clock the client
// and whatever else the machine does would count too.
func ratio(a, b *side) float64 {
	var all []float64
	for i := range a.rounds {
		all = append(all, float64(a.rounds[i].cpu)/float64(b.rounds[i].cpu))
	}
	return median(all)
}

func median[T cmp.Ordered](all []T) T {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}

func (s *side) median(of func(round) float64) float64 {
	var all []float64
	for _, r := range s.rounds {
		all = append(all, of(r))
	}
	return median(all)
}

// quantile of the latencies, by the nearest rank.
func (s *side) quantile(q float64) time.Duration {
	slices.Sort(s.latencies)
	return s.latencies[min(int(q*float64(len(s.latencies))), len(s.latencies)-1)].Round(10 * time.Microsecond)
}

// report prints the table and the figures.
func report(w io.Writer, sides []*side, costs map[string]cost, rss int64) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "Update checks on one core (GOMAXPROCS=1, %d connections over loopback, medians of %d rounds)\n\n", connections, rounds)
	fmt.Fprintln(t, "handler\tchecks a second of CPU\tby the clock\tp50\tp99\tp99.9")
	for _, s := range sides {
		fmt.Fprintf(t, "%s\t%.0f\t%.0f\t%s\t%s\t%s\n", s.name, 1/s.median(func(r round) float64 { return r.cpu.Seconds() }),
			s.median(func(r round) float64 { return r.perSecond }), s.quantile(0.5), s.quantile(0.99), s.quantile(0.999))
	}
	fmt.Fprintln(t)
	for i := range protocols {
		p := &protocols[i]
		gateway, bare := costs[p.name], costs[bareOf("", p)]
		fmt.Fprintf(t, "%s handler alone, in process: %s and %.0f allocations a check (bare: %s and %.0f)\n",
			p.name, gateway.took, gateway.allocs, bare.took, bare.allocs)
	}
	fmt.Fprintf(t, "memory with 1 M devices in the ledger: %.0f MiB\n\n", mebibytes(rss))
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	capgo := sides[3]
	_, err := fmt.Fprintf(w, "BENCH gateway_native_ratio %.3f ratio\nBENCH gateway_native_allocs %.0f allocs\n"+
		"BENCH gateway_capgo_ratio %.3f ratio\nBENCH gateway_capgo_allocs %.0f allocs\n"+
		"BENCH gateway_channels_slope %.3f ratio\nBENCH gateway_ledger_slope %.3f ratio\nBENCH gateway_rss_1m_mib %.0f MiB\n",
		ratio(sides[0], sides[1]), costs["native"].allocs, ratio(sides[2], capgo), costs["capgo"].allocs,
		ratio(sides[5], capgo), ratio(sides[6], capgo), mebibytes(rss))
	return err
}

func mebibytes(n int64) float64 { return float64(n) / (1 << 20) }
