// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/windlass-dev/windlass/internal/gateway/protocol/native"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// devices of a fleet.
const devices = 100

// Fleet is a hundred devices that do what a gateway tells them, without downloading: hack/fleet does that, and has tests.
type Fleet struct {
	tb      testing.TB
	base    string
	channel string

	mu       sync.Mutex
	running  map[int]string  // digest that a device runs
	bad      map[string]bool // digests that fail on every second device
	offered  map[string]int  // how often a digest was offered
	rejected int
}

// NewFleet makes devices that follow a channel at the URL of a gateway.
func NewFleet(tb testing.TB, gateway, channel string) *Fleet {
	return &Fleet{tb: tb, base: gateway, channel: channel, running: map[int]string{}, bad: map[string]bool{}, offered: map[string]int{}}
}

// Spoil makes a digest fail on every second device.
func (f *Fleet) Spoil(digest string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bad[digest] = true
}

// Live lets all devices ask and report again and again until stop is called.
func (f *Fleet) Live() (stop func()) {
	ctx, cancel := context.WithCancel(f.tb.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			for i := range devices {
				f.turn(i)
			}
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
	}()
	return func() { cancel(); <-done }
}

// turn is one device's check, and what follows from the answer.
func (f *Fleet) turn(i int) {
	f.mu.Lock()
	current := f.running[i]
	f.mu.Unlock()
	answer := f.Check(i, current)
	switch answer.Action {
	case "update":
		f.Report(i, answer.Bundle.Digest, "installed", "")
		f.mu.Lock()
		f.offered[answer.Bundle.Digest]++
		fails := f.bad[answer.Bundle.Digest] && i%2 == 0
		if !fails {
			f.running[i] = answer.Bundle.Digest
		}
		f.mu.Unlock()
		if fails {
			f.Report(i, answer.Bundle.Digest, "failed", native.KindCrash)
			return
		}
		f.Report(i, answer.Bundle.Digest, "confirmed", "")
	case "reset":
		f.mu.Lock()
		f.running[i] = ""
		f.mu.Unlock()
	}
}

// Digests are the bundles that devices run.
func (f *Fleet) Digests() map[string]bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[string]bool{}
	for _, d := range f.running {
		out[d] = true
	}
	return out
}

// Offered counts how often each digest was offered.
func (f *Fleet) Offered() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.offered)
}

// Rejected counts the answers that were not as the protocol says.
func (f *Fleet) Rejected() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rejected
}

// Check is what a device that runs a digest is told.
func (f *Fleet) Check(i int, digest string) (out native.CheckResponse) {
	f.Post(native.CheckPath, native.CheckRequest{
		App: testkit.App, Channel: f.channel, DeviceID: fmt.Sprint("device-", i), Platform: "ios", NativeVersion: "0.9.0",
		Current: native.Current{Digest: digest},
	}, &out)
	return out
}

// Report tells the gateway what became of a digest.
func (f *Fleet) Report(i int, digest, outcome, kind string) {
	f.Post(native.ReportPath, native.ReportRequest{
		App: testkit.App, Channel: f.channel, DeviceID: fmt.Sprint("device-", i), Digest: digest, Outcome: outcome, Kind: kind,
	}, &struct{}{})
}

// Post asks the gateway. An answer that is not as the protocol says is counted, and out stays as it is.
func (f *Fleet) Post(path string, in, out any) {
	raw, err := json.Marshal(in)
	if err != nil {
		f.tb.Error(err)
		return
	}
	res, err := (&http.Client{Timeout: 10 * time.Second}).Post(f.base+path, "application/json", bytes.NewReader(raw))
	if err != nil {
		f.tb.Error(err)
		return
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 || json.NewDecoder(res.Body).Decode(out) != nil {
		f.mu.Lock()
		f.rejected++
		f.mu.Unlock()
	}
}
