// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gateway measures how many update checks one core answers, against a bare net/http handler that reads the same
// requests and writes the same answers.
package gateway

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// The load: enough connections to keep one core busy, and enough rounds that what else the machine does falls on both sides.
const (
	bareName    = "bare net/http handler"
	checkName   = "POST /v1/check"
	connections = 16
	devices     = 4096
	rounds      = 9
	roundTime   = 700 * time.Millisecond
	warmUp      = 300 * time.Millisecond
)

// side is one of the two handlers.
type side struct {
	name   string
	rounds []round
}

// round is one measurement over loopback.
type round struct {
	perSecond float64       // requests by the clock
	cpu       time.Duration // of the server, for one request
}

// Run measures and prints a table and the figures of it. The server is a process of its own with GOMAXPROCS=1; this process
// is its client.
func Run(ctx context.Context, w io.Writer) error {
	in, err := measureInProcess()
	if err != nil {
		return err
	}
	server, err := startChild(ctx)
	if err != nil {
		return err
	}
	defer server.stop()
	bare, checks := &side{name: bareName}, &side{name: checkName}
	if err := server.load(ctx, server.bare, warmUp, nil); err != nil {
		return err
	}
	for range rounds {
		for _, s := range []*side{bare, checks} {
			if err := server.round(ctx, s); err != nil {
				return err
			}
		}
	}
	return report(w, bare, checks, in)
}

// round measures one side once.
func (c *child) round(ctx context.Context, s *side) error {
	address := c.gateway
	if s.name == bareName {
		address = c.bare
	}
	var r round
	if err := c.load(ctx, address, roundTime, &r); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	s.rounds = append(s.rounds, r)
	return nil
}

// ratio is the median over the rounds of how much one side costs of the other; neighbouring rounds are compared, so that
// they share what else the machine does.
func ratio(bare, checks *side, of func(round) float64) float64 {
	var all []float64
	for i := range bare.rounds {
		all = append(all, of(bare.rounds[i])/of(checks.rounds[i]))
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

func perSecond(r round) float64 { return r.perSecond }
func cpu(r round) float64       { return r.cpu.Seconds() }

// report prints the table and the figures. The ratio is that of CPU time, which is what one core can answer: by the clock the
// client and whatever else the machine does would count too.
func report(w io.Writer, bare, checks *side, in inProcess) error {
	share := ratio(bare, checks, cpu)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "Update checks on one core (GOMAXPROCS=1, %d connections over loopback, medians of %d rounds)\n\n", connections, rounds)
	fmt.Fprintln(t, "handler\trequests a second of CPU\ttime of it for one\trequests a second by the clock")
	for _, s := range []*side{bare, checks} {
		used := s.median(cpu)
		fmt.Fprintf(t, "%s\t%.0f\t%s\t%.0f\n", s.name, 1/used, seconds(used), s.median(perSecond))
	}
	fmt.Fprintf(t, "ratio\t%.2f\n", share)
	fmt.Fprintf(t, "\nhandler alone, in process: %s and %.0f allocations a check (bare: %s and %.0f)\n\n",
		in.gateway.took, in.gateway.allocs, in.bare.took, in.bare.allocs)
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	_, err := fmt.Fprintf(w, "BENCH gateway_native_ratio %.3f ratio\nBENCH gateway_native_allocs %.0f allocs\n", share, in.gateway.allocs)
	return err
}

func seconds(s float64) time.Duration { return time.Duration(s * 1e9).Round(10 * time.Nanosecond) }
