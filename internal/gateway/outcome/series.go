// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/windlass-dev/windlass/internal/resolve"
)

// Outcome is a stage that a device reached with a bundle.
type Outcome uint8

// The outcomes. Confirmed and Failed are the vote; a device has one of them at most. DeliveryFailed says nothing of the bundle.
const (
	Exposed Outcome = iota // the device checked in and should run the bundle
	Offered
	Downloaded
	Installed
	Confirmed
	Failed
	DeliveryFailed
	outcomes = int(iota)
)

// Names of the outcomes as metrics and counts show them.
var names = [outcomes]string{"exposed", "offered", "downloaded", "installed", "confirmed", "failed", "delivery_failed"}

// changeOfMind is how long after a failure a confirmation still counts: a client that gave up too early may find the app
// well. Later the device has gone back, and what it confirms is another bundle.
const changeOfMind = 10 * time.Minute

// seriesID says what is counted together: one bundle in one arm of one trial.
type seriesID struct {
	digest    string // of the bundle that the devices should run; empty: the embedded one
	arm       resolve.Arm
	candidate string // digest of the trial's candidate; empty without one
	release   int64  // of the trial's rollout: a retry counts anew
}

// shards bounds how many checks wait for each other.
const shards = 16

// series holds the devices of one seriesID. Devices are known by a keyed hash only.
type series struct {
	seriesID
	version string
	limit   int // of devices in a shard
	shard   [shards]shard
	served  atomic.Int64 // when the view had it last; nanoseconds of Unix time
}

type shard struct {
	mu      sync.Mutex
	devices map[uint64]device
	now     [outcomes]int64 // devices that have the outcome
	first   [outcomes]int64 // devices that reached it once: only grows
}

// device is what is kept of one device, in 8 bytes.
type device struct {
	flags    uint8  // a bit for each Outcome
	ever     uint8  // a bit for each Outcome that it had once
	failedAt uint32 // seconds since the start of the ledger
}

func (d *device) has(o Outcome) bool { return d.flags&(1<<o) != 0 }

// mark notes an outcome of a device. It gives false when there is no room for another device.
func (s *series) mark(hash uint64, at uint32, room func() bool, what ...Outcome) bool {
	sh := &s.shard[hash%shards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	d, known := sh.devices[hash]
	if !known {
		if len(sh.devices) >= s.limit || !room() {
			return false
		}
		if sh.devices == nil {
			sh.devices = map[uint64]device{}
		}
	}
	before := d
	sh.set(&d, Exposed)
	for _, o := range what {
		sh.vote(&d, o, at)
	}
	if d != before || !known {
		sh.devices[hash] = d
	}
	return true
}

// vote sets an outcome by the rule of one vote: a failure counts against an earlier confirmation, and a confirmation against
// a failure of a short time ago.
func (sh *shard) vote(d *device, o Outcome, at uint32) {
	switch o {
	case Confirmed:
		if d.has(Failed) && at-d.failedAt > uint32(changeOfMind/time.Second) {
			return
		}
		sh.clear(d, Failed)
	case Failed:
		sh.clear(d, Confirmed)
		d.failedAt = at
	}
	sh.set(d, o)
}

func (sh *shard) set(d *device, o Outcome) {
	if !d.has(o) {
		d.flags |= 1 << o
		sh.now[o]++
	}
	if d.ever&(1<<o) == 0 {
		d.ever |= 1 << o
		sh.first[o]++
	}
}

func (sh *shard) clear(d *device, o Outcome) {
	if d.has(o) {
		d.flags &^= 1 << o
		sh.now[o]--
	}
}

// knows tells whether a device was seen in this series.
func (s *series) knows(hash uint64) bool {
	sh := &s.shard[hash%shards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	_, ok := sh.devices[hash]
	return ok
}

// totals sums the shards: devices that have each outcome, that reached it once, and devices in all.
func (s *series) totals() (now, first [outcomes]int64, devices int) {
	for i := range s.shard {
		sh := &s.shard[i]
		sh.mu.Lock()
		for o := range outcomes {
			now[o] += sh.now[o]
			first[o] += sh.first[o]
		}
		devices += len(sh.devices)
		sh.mu.Unlock()
	}
	return now, first, devices
}
