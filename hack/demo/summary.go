// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/windlass-dev/windlass/hack/fleet/device"
	"github.com/windlass-dev/windlass/internal/cli"
)

// printTables shows the world at the end with the plugin itself.
func (s *stack) printTables(ctx context.Context) error {
	for _, args := range [][]string{{"list"}, {"get", "rollout", rollout}, {"history", channel}} {
		args = append(args, "-n", namespace)
		s.screen.print("\nkubectl windlass %s\n\n", strings.Join(args, " "))
		if err := s.plugin(ctx, args...); err != nil {
			return err
		}
	}
	s.screen.print("\n")
	return nil
}

// plugin runs kubectl windlass in this process, as an administrator of the cluster.
func (s *stack) plugin(ctx context.Context, args ...string) error {
	var out, errs bytes.Buffer
	streams := cli.System()
	streams.Out, streams.Err = &out, &errs
	code := cli.Run(ctx, streams, append(args, "--kubeconfig", s.controlPlane.Kubeconfig))
	s.screen.print("%s", out.String())
	if code != cli.ExitOK {
		return fmt.Errorf("kubectl windlass %s: exit code %d, want 0: %s", strings.Join(args, " "), code, strings.TrimSpace(errs.String()))
	}
	return nil
}

// printSummary tells what the bad release did to whom, and for how long.
func (s *stack) printSummary(bad *act, total time.Duration) {
	d := bad.last.devices
	b := d.Bundles[third]
	home := b.LastLeft.Sub(bad.breach)
	rows := [][2]string{
		{"devices that got the bad release", fmt.Sprintf("%d of %d (%.1f %%), it failed on %d", b.Exposed, d.Devices, 100*float64(b.Exposed)/float64(d.Devices), b.Failed)},
		{"first breach to committed rollback", millis(bad.commit.Sub(bad.breach))},
		{"first breach to last device home", millis(home) + ", devices ask every " + s.poll.String()},
		{"devices of the native protocol", did(d.Protocols[device.Native])},
		{"devices of the Capgo protocol", did(d.Protocols[device.Capgo])},
		{"artifacts that devices rejected", fmt.Sprintf("%d: digests and signatures were right each time", rejects(d))},
		{"failed bundles offered again", fmt.Sprintf("%d: the gateway remembers for devices that do not", d.OfferedAgain)},
		{"three releases took", seconds(total)},
	}
	s.screen.print("Summary\n")
	for _, r := range rows {
		s.screen.print("  %-36s %s\n", r[0], r[1])
	}
	s.screen.print("\n")
}

func did(p device.Protocol) string {
	return fmt.Sprintf("%d: %d checks, %d downloads, %d reports", p.Devices, p.Checks, p.Downloads, p.Reports)
}

func rejects(d device.Status) int64 {
	var n int64
	for check, k := range d.Rejected {
		if check != "network" {
			n += k
		}
	}
	return n
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

func millis(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return seconds(d)
}
