// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package rollback measures how long a bad release stays visible: from the measurement that fails to the committed metadata,
// and to the gateway's answer.
package rollback

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/native"
)

const (
	channels = 10
	rounds   = 10
	// look is how often the bucket and the gateway are asked; it is part of what is measured.
	look = 10 * time.Millisecond
	// patience bounds one round.
	patience = time.Minute
)

// sample is one rollback.
type sample struct{ commit, gateway time.Duration }

// Run takes 100 releases back, on ten channels at a time, and prints how long it took.
func Run(ctx context.Context, out io.Writer) error {
	w, err := newWorld(ctx, channels)
	if err != nil {
		return err
	}
	defer w.stop()
	samples := make([][]sample, channels)
	following, stop := context.WithCancel(ctx)
	defer stop()
	followed := make(chan error, 1)
	go func() { followed <- w.follow(following) }()
	group, ctx := errgroup.WithContext(ctx)
	for i := range channels {
		group.Go(func() (err error) {
			samples[i], err = w.rounds(ctx, channelName(i))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	stop()
	if err := <-followed; err != nil {
		return err
	}
	report(out, slices.Concat(samples...))
	return nil
}

func report(out io.Writer, all []sample) {
	var commit, gateway, follow []time.Duration
	for _, s := range all {
		commit, gateway, follow = append(commit, s.commit), append(gateway, s.gateway), append(follow, s.gateway-s.commit)
	}
	fmt.Fprintf(out, "Rollback: from the failing measurement, %d rollbacks on %d channels, gateway polls every second\n\n", len(all), channels)
	fmt.Fprintf(out, "%-28s %10s %10s %10s\n", "until", "p50", "p99", "max")
	for _, row := range []struct {
		name   string
		values []time.Duration
	}{{"the metadata are committed", commit}, {"the gateway answers so", gateway}, {"from commit to that answer", follow}} {
		fmt.Fprintf(out, "%-28s %7d ms %7d ms %7d ms\n", row.name, quantile(row.values, 0.5), quantile(row.values, 0.99), quantile(row.values, 1))
	}
	fmt.Fprintf(out, "\nBENCH rollback_commit_p50_ms %d ms\nBENCH rollback_commit_p99_ms %d ms\n", quantile(commit, 0.5), quantile(commit, 0.99))
	fmt.Fprintf(out, "BENCH rollback_gateway_p50_ms %d ms\nBENCH rollback_gateway_p99_ms %d ms\n", quantile(gateway, 0.5), quantile(gateway, 0.99))
	fmt.Fprintf(out, "BENCH gateway_follow_p50_ms %d ms\nBENCH gateway_follow_p99_ms %d ms\n", quantile(follow, 0.5), quantile(follow, 0.99))
}

// quantile in milliseconds, by the nearest rank.
func quantile(values []time.Duration, q float64) int64 {
	slices.Sort(values)
	i := min(int(q*float64(len(values))), len(values)-1)
	return values[i].Milliseconds()
}

// rounds releases and takes back again and again.
func (w *world) rounds(ctx context.Context, channel string) ([]sample, error) {
	var out []sample
	for round := range rounds {
		s, err := w.round(ctx, channel, round)
		if err != nil {
			return nil, fmt.Errorf("%s, round %d: %w", channel, round, err)
		}
		out = append(out, s)
	}
	return out, nil
}

// round waits until devices get the candidate, lets it fail, and waits until they do not.
func (w *world) round(ctx context.Context, channel string, round int) (sample, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	w.metrics.set(channel, false)
	if round > 0 {
		if err := w.retry(ctx, channel, round); err != nil {
			return sample{}, err
		}
	}
	device, n := "", 0 // one of the candidate's cohort, which half of the devices are
	err := w.until(ctx, func() (bool, error) {
		n++
		device = fmt.Sprint("device-", n)
		return w.offers(ctx, channel, device)
	})
	if err != nil {
		return sample{}, fmt.Errorf("wait for the candidate: %w; %s", err, w.state(context.WithoutCancel(ctx), channel))
	}
	start := time.Now()
	w.metrics.set(channel, true)
	var committed, answered time.Time
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		committed, err = w.withdrawn(gctx, channel, start)
		return err
	})
	group.Go(func() (err error) {
		err = w.until(gctx, func() (bool, error) { seen, err := w.offers(gctx, channel, device); return !seen, err })
		answered = time.Now()
		return err
	})
	if err := group.Wait(); err != nil {
		return sample{}, fmt.Errorf("wait for the rollback: %w; %s", err, w.state(context.WithoutCancel(ctx), channel))
	}
	told := w.metrics.toldAt(channel)
	return sample{commit: committed.Sub(told), gateway: answered.Sub(told)}, nil
}

func (w *world) until(ctx context.Context, done func() (bool, error)) error {
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		if err := sleep(ctx, look); err != nil {
			return err
		}
	}
}

// retry asks for the same release again, once the last one has ended.
func (w *world) retry(ctx context.Context, channel string, round int) error {
	var r otav1alpha1.Rollout
	err := w.until(ctx, func() (bool, error) {
		err := w.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: channel}, &r)
		return err == nil && r.Status.Release != nil && r.Status.Release.State == otav1alpha1.ReleaseRolledBack, err
	})
	if err != nil {
		return fmt.Errorf("wait for the end of the last release: %w", err)
	}
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"retry",%q:"%d"}}}`, otav1alpha1.CommandAnnotation, otav1alpha1.CommandIDAnnotation, round)
	return w.client.Patch(ctx, &r, client.RawPatch("application/merge-patch+json", patch))
}

// offers tells whether the gateway offers the candidate to a device.
func (w *world) offers(ctx context.Context, channel, device string) (bool, error) {
	answer, err := w.check(ctx, channel, device)
	return err == nil && answer.Action == "update", err
}

func (w *world) check(ctx context.Context, channel, device string) (*native.CheckResponse, error) {
	raw, err := json.Marshal(native.CheckRequest{App: app, Channel: channel, DeviceID: device, Platform: "ios", NativeVersion: "1.0.0"})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.gateway+native.CheckPath, bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := w.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	var out native.CheckResponse
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the gateway answers %s", res.Status)
	}
	return &out, json.NewDecoder(res.Body).Decode(&out)
}

// state says where a Rollout is, for an error.
func (w *world) state(ctx context.Context, channel string) string {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	var r otav1alpha1.Rollout
	if err := w.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: channel}, &r); err != nil {
		return err.Error()
	}
	return "the Rollout says: " + r.Status.Message
}
