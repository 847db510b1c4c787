// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package outcome counts how bundles do on devices: one device, one vote for a bundle, in the arm that it was assigned to.
// This first form keeps the counts in memory, for one process: a restart begins anew, which the counts' Since tells.
package outcome

import (
	"hash/maphash"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/windlass-dev/windlass/internal/bucketing"
	"github.com/windlass-dev/windlass/internal/resolve"
)

// Config bounds a Ledger. A device takes about 24 bytes in each series that it is in.
type Config struct {
	PerBundle int           // devices in one arm of a bundle
	Total     int           // devices in all series
	Keep      time.Duration // how long the counts of a bundle outlive its place in the view
}

// Ledger counts outcomes. It is safe for concurrent use; checks of different devices hardly ever wait for each other.
type Ledger struct {
	cfg     Config
	since   time.Time
	seed    maphash.Seed // random per process: the hashes tell nothing outside of it
	metrics *metrics
	total   atomic.Int64 // devices in all series

	channels atomic.Pointer[map[channelID]*channel] // copied on write
	mu       sync.Mutex                             // of writers of channels and their series
}

type channelID struct{ app, name string }

// channel holds the series of one channel: a handful.
type channel struct {
	series atomic.Pointer[[]*series] // copied on write; the newest first
}

func (c *channel) all() []*series {
	if c == nil {
		return nil
	}
	return *c.series.Load()
}

// New makes a Ledger that counts from now on.
func New(cfg Config, now time.Time) *Ledger {
	l := &Ledger{cfg: cfg, since: now, seed: maphash.MakeSeed()}
	l.channels.Store(&map[channelID]*channel{})
	l.metrics = newMetrics(l)
	return l
}

// Since is when counting began.
func (l *Ledger) Since() time.Time { return l.since }

// Checked notes what a device was told. Devices that have no vote are counted in the decisions only.
func (l *Ledger) Checked(app, name string, d *resolve.Device, told *resolve.Decision, now time.Time) {
	l.metrics.decided(told)
	if !d.Votes() || !counts(told) {
		return
	}
	s := l.seriesFor(channelID{app, name}, idOf(told), versionOf(told.Bundle), now)
	var offered []Outcome
	if told.Action == resolve.Update {
		offered = offer
	}
	if !s.mark(l.hash(d.ID), l.seconds(now), l.room, offered...) {
		l.metrics.dropped.Inc()
	}
}

// offer is what an offered update marks; a variable so that a check allocates nothing.
var offer = []Outcome{Offered}

// counts tells whether a decision exposes the device to a bundle: it gets it, or runs it. The embedded bundle counts as a
// control, like any other.
func counts(told *resolve.Decision) bool {
	switch told.Reason {
	case resolve.ReasonUpToDate, resolve.ReasonLeaseExpired:
		return true
	case resolve.ReasonNothingReleased, resolve.ReasonNoStable:
		return told.Arm != resolve.NoArm
	}
	return told.Action == resolve.Update
}

func idOf(told *resolve.Decision) seriesID {
	id := seriesID{arm: told.Arm}
	if told.Bundle != nil {
		id.digest = told.Bundle.Digest
	}
	if told.Trial != nil {
		id.candidate, id.release = told.Trial.Bundle.Digest, told.Trial.Release
	}
	return id
}

func versionOf(b *resolve.Bundle) string {
	if b == nil {
		return "embedded"
	}
	return b.Version
}

// Report is what a device tells of a bundle.
type Report struct {
	App, Channel string
	DeviceID     string
	Digest       string
	Votes        bool // Production on a Device
	Outcome      Outcome
}

// Result says whether a report counted.
type Result string

// The results.
const (
	Counted        Result = "Counted"
	NotVoting      Result = "NotVoting"
	UnknownChannel Result = "UnknownChannel"
	UnknownBundle  Result = "UnknownBundle"
	DeviceLimit    Result = "DeviceLimit"
)

// Reported notes what a device tells. The current state of the channel places devices that checked in elsewhere, or before
// a restart; it may be nil.
func (l *Ledger) Reported(r Report, current *resolve.Channel, now time.Time) Result {
	result := l.reported(r, current, now)
	l.metrics.reports[result].Inc()
	return result
}

func (l *Ledger) reported(r Report, current *resolve.Channel, now time.Time) Result {
	if !r.Votes {
		return NotVoting
	}
	id := channelID{r.App, r.Channel}
	known := (*l.channels.Load())[id]
	if known == nil && current == nil {
		return UnknownChannel
	}
	hash := l.hash(r.DeviceID)
	s := l.place(known, r, hash)
	if s == nil && current != nil {
		if at, version, ok := assigned(r, current); ok {
			s = l.seriesFor(id, at, version, now)
		}
	}
	if s == nil {
		s = latest(known, r.Digest)
	}
	switch {
	case s == nil:
		return UnknownBundle
	case !s.mark(hash, l.seconds(now), l.room, r.Outcome):
		l.metrics.dropped.Inc()
		return DeviceLimit
	}
	return Counted
}

// place finds the series that the device was assigned to with this bundle; the newest counts.
func (l *Ledger) place(c *channel, r Report, hash uint64) *series {
	for _, s := range c.all() {
		if s.digest == r.Digest && s.knows(hash) {
			return s
		}
	}
	return nil
}

// latest finds the newest series of a bundle, which may have been taken back since.
func latest(c *channel, digest string) *series {
	for _, s := range c.all() {
		if s.digest == digest {
			return s
		}
	}
	return nil
}

// assigned computes the series of a device that this process has not seen, as the check would have.
func assigned(r Report, c *resolve.Channel) (seriesID, string, bool) {
	t := c.Trial()
	if t != nil && t.Bundle.Digest == r.Digest {
		return seriesID{r.Digest, resolve.Candidate, r.Digest, t.Release}, t.Bundle.Version, true
	}
	for _, b := range c.Bundles() {
		if b.Digest != r.Digest {
			continue
		}
		if t != nil && b == c.Stable() && !bucketing.InCohort(bucketing.Slot(t.Salt, r.DeviceID), t.Weight) {
			return seriesID{r.Digest, resolve.Control, t.Bundle.Digest, t.Release}, b.Version, true
		}
		return seriesID{digest: r.Digest}, b.Version, true
	}
	return seriesID{}, "", false
}

// seriesFor finds a series or makes it.
func (l *Ledger) seriesFor(id channelID, sid seriesID, version string, now time.Time) *series {
	if s := find((*l.channels.Load())[id], sid); s != nil {
		return s
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	channels := *l.channels.Load()
	c := channels[id]
	if s := find(c, sid); s != nil {
		return s
	}
	s := &series{seriesID: sid, version: version, limit: max(1, l.cfg.PerBundle/shards)}
	s.served.Store(now.UnixNano())
	list := append([]*series{s}, c.all()...)
	if c == nil {
		c = &channel{}
		c.series.Store(&list)
		channels = maps.Clone(channels)
		channels[id] = c
		l.channels.Store(&channels)
	}
	c.series.Store(&list)
	return s
}

func find(c *channel, id seriesID) *series {
	for _, s := range c.all() {
		if s.seriesID == id {
			return s
		}
	}
	return nil
}

// Retain drops the counts of bundles that the view has not had for a while. Call it when the view changes and from time to time.
func (l *Ledger) Retain(v *resolve.View, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	channels := maps.Clone(*l.channels.Load())
	for id, c := range channels {
		list := slices.DeleteFunc(slices.Clone(c.all()), func(s *series) bool {
			if serves(v.Apps[id.app][id.name], s.seriesID) {
				s.served.Store(now.UnixNano())
			}
			return now.Sub(time.Unix(0, s.served.Load())) > l.cfg.Keep
		})
		for _, s := range c.all() {
			if !slices.Contains(list, s) {
				_, _, devices := s.totals()
				l.total.Add(-int64(devices))
			}
		}
		c.series.Store(&list)
		if len(list) == 0 {
			delete(channels, id)
		}
	}
	l.channels.Store(&channels)
}

// serves tells whether a channel still assigns devices to a series.
func serves(c *resolve.Channel, id seriesID) bool {
	if c == nil {
		return false
	}
	if id.arm != resolve.NoArm {
		t := c.Trial()
		return t != nil && t.Bundle.Digest == id.candidate && t.Release == id.release
	}
	return slices.ContainsFunc(c.Bundles(), func(b *resolve.Bundle) bool { return b.Digest == id.digest })
}

// Row is the count of one series.
type Row struct {
	Digest         string `json:"digest"` // empty: the embedded bundle
	Version        string `json:"version"`
	Arm            string `json:"arm"`                 // candidate, control or none
	Candidate      string `json:"candidate,omitempty"` // digest of the candidate that the arm belongs to
	Release        int64  `json:"release,omitempty"`   // of the candidate's rollout
	Devices        int64  `json:"devices"`             // exposed: checked in and should run the bundle
	Offered        int64  `json:"offered"`
	Downloaded     int64  `json:"downloaded"`
	Installed      int64  `json:"installed"`
	Confirmed      int64  `json:"confirmed"`
	Failed         int64  `json:"failed"` // bundle failures only
	DeliveryFailed int64  `json:"deliveryFailed"`
}

// Counts gives the counts of a channel; none when it has no devices yet.
func (l *Ledger) Counts(app, name string) []Row {
	rows := []Row{}
	for _, s := range (*l.channels.Load())[channelID{app, name}].all() {
		n, _, _ := s.totals()
		rows = append(rows, Row{
			Digest: s.digest, Version: s.version, Arm: armName(s.arm), Candidate: s.candidate, Release: s.release,
			Devices: n[Exposed], Offered: n[Offered], Downloaded: n[Downloaded], Installed: n[Installed],
			Confirmed: n[Confirmed], Failed: n[Failed], DeliveryFailed: n[DeliveryFailed],
		})
	}
	return rows
}

func armName(a resolve.Arm) string {
	if a == resolve.NoArm {
		return "none"
	}
	return string(a)
}

// room takes a place in the total, if there is one.
func (l *Ledger) room() bool {
	if l.total.Add(1) > int64(l.cfg.Total) {
		l.total.Add(-1)
		return false
	}
	return true
}

// seconds since counting began; never before.
func (l *Ledger) seconds(now time.Time) uint32 { return uint32(max(0, now.Sub(l.since)/time.Second)) }

// stackID is the length of a device id up to which hash does not allocate; protocols allow no longer one.
const stackID = 128

// hash knows a device by a keyed hash of its id, without regard to case as bucketing has none.
func (l *Ledger) hash(deviceID string) uint64 {
	var buf [stackID]byte
	id := append(buf[:0], deviceID...)
	for i, c := range id {
		if 'A' <= c && c <= 'Z' {
			id[i] = c + 'a' - 'A'
		}
	}
	return maphash.Bytes(l.seed, id)
}
