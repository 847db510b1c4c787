// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package device

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"
)

// Embedded stands in a Status for the bundle that the app was installed with.
const Embedded = "embedded"

// Status is what the devices of a fleet did so far, as they saw it.
type Status struct {
	Devices    int               `json:"devices"`
	Bundles    map[string]Bundle `json:"bundles"` // by version; Embedded for that of the installation
	LastChange time.Time         `json:"lastChange,omitzero"`

	Protocols    map[string]Protocol `json:"protocols"` // by name
	CheckErrors  int64               `json:"checkErrors"`
	ReportErrors int64               `json:"reportErrors"`
	OfferedAgain int64               `json:"offeredAgain"` // bundles, to a device that had told that they fail: an error of the gateway
	Bytes        int64               `json:"bytes"`        // downloaded
	Rejected     map[string]int64    `json:"rejected"`     // artifacts that were not installed: size, digest, signature, archive, network
	LastError    string              `json:"lastError,omitempty"`
	LateMillis   int64               `json:"lateMillis"` // how late the last poll was: a high number means that the machine is too busy
}

// Protocol counts what the devices of one protocol did.
type Protocol struct {
	Devices   int   `json:"devices"`
	Checks    int64 `json:"checks"`
	Downloads int64 `json:"downloads"`
	Reports   int64 `json:"reports"`
	Failed    int64 `json:"failed"` // bundles, each on one device
}

// Checks gives the checks of all devices.
func (s *Status) Checks() (n int64) {
	for _, p := range s.Protocols {
		n += p.Checks
	}
	return n
}

// Bundle counts the devices of one version.
type Bundle struct {
	Running   int       `json:"running"`   // now
	Exposed   int       `json:"exposed"`   // ever installed it
	Confirmed int       `json:"confirmed"` // ever ran it well
	Failed    int       `json:"failed"`    // ever failed on it
	FirstAt   time.Time `json:"firstAt,omitzero"`
	LastLeft  time.Time `json:"lastLeft,omitzero"` // when the last device left it
}

// stats counts.
type stats struct {
	mu sync.Mutex
	s  Status
}

func newStats(devices int) *stats {
	return &stats{s: Status{
		Devices: devices, Rejected: map[string]int64{}, Protocols: map[string]Protocol{},
		Bundles: map[string]Bundle{Embedded: {Running: devices, Exposed: devices, Confirmed: devices}},
	}}
}

func (s *stats) status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.s
	out.Bundles, out.Rejected, out.Protocols = maps.Clone(s.s.Bundles), maps.Clone(s.s.Rejected), maps.Clone(s.s.Protocols)
	return out
}

// Versions gives the versions of a Status, sorted, Embedded first.
func (s *Status) Versions() []string {
	out := slices.Sorted(maps.Keys(s.Bundles))
	if i := slices.Index(out, Embedded); i > 0 {
		out = slices.Insert(slices.Delete(out, i, i+1), 0, Embedded)
	}
	return out
}

func (i installed) label() string {
	if i.version == "" {
		return Embedded
	}
	return i.version
}

func (s *stats) change(f func(*Status)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.s)
}

func (s *Status) bundle(of installed, f func(*Bundle)) {
	b := s.Bundles[of.label()]
	f(&b)
	s.Bundles[of.label()] = b
}

func (s *Status) protocol(name string, f func(*Protocol)) {
	p := s.Protocols[name]
	f(&p)
	s.Protocols[name] = p
}

// moved counts a device that runs another bundle from now on, for the first time or again.
func (s *stats) moved(from, to installed, first bool) {
	s.change(func(st *Status) {
		now := time.Now()
		st.LastChange = now
		st.bundle(from, func(b *Bundle) { b.Running--; b.LastLeft = now })
		st.bundle(to, func(b *Bundle) {
			b.Running++
			if first {
				b.Exposed++
			}
			if b.FirstAt.IsZero() {
				b.FirstAt = now
			}
		})
	})
}

func (s *stats) confirmed(b installed) {
	s.change(func(st *Status) { st.bundle(b, func(b *Bundle) { b.Confirmed++ }) })
}

func (s *stats) failed(protocol string, b installed) {
	s.change(func(st *Status) {
		st.bundle(b, func(b *Bundle) { b.Failed++ })
		st.protocol(protocol, func(p *Protocol) { p.Failed++ })
	})
}

func (s *stats) offeredAgain(b installed) {
	s.change(func(st *Status) {
		st.OfferedAgain++
		st.LastError = b.label() + " was offered again to a device that it fails on"
	})
}

func (s *stats) joined(protocol string) {
	s.change(func(st *Status) { st.protocol(protocol, func(p *Protocol) { p.Devices++ }) })
}

func (s *stats) checked(protocol string) {
	s.change(func(st *Status) { st.protocol(protocol, func(p *Protocol) { p.Checks++ }) })
}

func (s *stats) reported(protocol string, n int) {
	s.change(func(st *Status) { st.protocol(protocol, func(p *Protocol) { p.Reports += int64(n) }) })
}

func (s *stats) downloaded(protocol string, bytes int) {
	s.change(func(st *Status) {
		st.Bytes += int64(bytes)
		st.protocol(protocol, func(p *Protocol) { p.Downloads++ })
	})
}

func (s *stats) late(d time.Duration) {
	s.change(func(st *Status) { st.LateMillis = d.Milliseconds() })
}

func (s *stats) checkFailed(ctx context.Context, err error) {
	if ctx.Err() == nil {
		s.change(func(st *Status) { st.CheckErrors++; st.LastError = err.Error() })
	}
}

func (s *stats) reportFailed(ctx context.Context, err error) {
	if ctx.Err() == nil {
		s.change(func(st *Status) { st.ReportErrors++; st.LastError = err.Error() })
	}
}

func (s *stats) rejected(err error) {
	check := "network"
	if r := (*rejection)(nil); errors.As(err, &r) {
		check = r.check
	}
	s.change(func(st *Status) { st.Rejected[check]++; st.LastError = err.Error() })
}
