// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// shards bounds how many lookups wait for a change.
const shards = 64

// failures knows in memory which bundles failed on which devices. Devices with the same failures share the list of them, so
// that a device takes 20 bytes in a map without pointers.
type failures struct {
	limit   int
	devices atomic.Int64
	shard   [shards]struct {
		mu   sync.RWMutex
		list map[Pseudonym]uint32 // index in lists
	}
	mu    sync.Mutex                 // of writers
	lists atomic.Pointer[[][]string] // sorted digests; only grows
	index map[string]uint32          // by the digests, one after the other
}

func newFailures(limit int) *failures {
	f := &failures{limit: limit, index: map[string]uint32{"": 0}}
	for i := range f.shard {
		f.shard[i].list = map[Pseudonym]uint32{}
	}
	f.lists.Store(&[][]string{nil})
	return f
}

// of gives the digests that failed on a device.
func (f *failures) of(p Pseudonym) []string {
	s := &f.shard[p[0]%shards]
	s.mu.RLock()
	i := s.list[p]
	s.mu.RUnlock()
	return (*f.lists.Load())[i]
}

// add notes a failure. It gives false when there is no room for another device.
func (f *failures) add(p Pseudonym, digest string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	have := f.of(p)
	at, known := slices.BinarySearch(have, digest)
	switch {
	case known:
		return true
	case have == nil && f.devices.Load() >= int64(f.limit):
		return false
	}
	f.set(p, slices.Insert(slices.Clone(have), at, digest))
	return true
}

// forget takes a failure back.
func (f *failures) forget(p Pseudonym, digest string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	have := f.of(p)
	if at, known := slices.BinarySearch(have, digest); known {
		f.set(p, slices.Delete(slices.Clone(have), at, at+1))
	}
}

// set stores the list of a device. Hold mu.
func (f *failures) set(p Pseudonym, digests []string) {
	i := f.listOf(digests)
	s := &f.shard[p[0]%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.list)
	if i == 0 {
		delete(s.list, p)
	} else {
		s.list[p] = i
	}
	f.devices.Add(int64(len(s.list) - before))
}

// listOf gives the index of a list, which it makes if need be. Hold mu.
func (f *failures) listOf(digests []string) uint32 {
	key := strings.Join(digests, "\n")
	if i, ok := f.index[key]; ok {
		return i
	}
	lists := *f.lists.Load()
	i := uint32(len(lists))
	digests = slices.Clone(digests)
	for j, d := range digests {
		digests[j] = strings.Clone(d)
	}
	lists = append(lists, digests)
	f.lists.Store(&lists)
	f.index[key] = i
	return i
}

// overrides knows in memory which devices have a channel of their own.
type overrides struct {
	limit   int
	devices atomic.Int64 // that have one
	mu      sync.RWMutex
	list    map[Pseudonym]override
	names   map[string]string // each channel's name once
}

// override is a channel, or none after it was deleted, with the change that made it so.
type override struct {
	channel string
	seq     int64
}

func newOverrides(limit int) *overrides {
	return &overrides{limit: limit, list: map[Pseudonym]override{}, names: map[string]string{}}
}

// of gives the channel of a device.
func (o *overrides) of(p Pseudonym) string {
	if o.devices.Load() == 0 {
		return ""
	}
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.list[p].channel
}

// full tells whether a device without a channel of its own can get none.
func (o *overrides) full(p Pseudonym) bool {
	return o.of(p) == "" && o.devices.Load() >= int64(o.limit)
}

// set notes a change, unless a later one is known.
func (o *overrides) set(p Pseudonym, channel string, seq int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	have := o.list[p]
	if have.seq >= seq {
		return
	}
	name, ok := o.names[channel]
	if !ok {
		name = strings.Clone(channel)
		o.names[name] = name
	}
	o.list[p] = override{name, seq}
	o.devices.Add(occupied(name) - occupied(have.channel))
}

// settle forgets deletions up to a change: nothing older is to come.
func (o *overrides) settle(p Pseudonym, seq int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if have := o.list[p]; have.channel == "" && have.seq <= seq {
		delete(o.list, p)
	}
}

func occupied(channel string) int64 {
	if channel == "" {
		return 0
	}
	return 1
}

// catalog knows the series of the database in memory.
type catalog struct {
	mu     sync.RWMutex
	byKey  map[seriesKey]*placedSeries
	byID   map[int64]*placedSeries
	digest map[nameKey]string // of bundles
	newest int64              // largest id
}

// placedSeries is a series of the database.
type placedSeries struct {
	Series

	id     int64
	voters int64 // as the database had it last
}

// nameKey names a bundle of an app by digest or version.
type nameKey struct{ app, name string }

func newCatalog() *catalog {
	return &catalog{byKey: map[seriesKey]*placedSeries{}, byID: map[int64]*placedSeries{}, digest: map[nameKey]string{}}
}

func (c *catalog) add(s *placedSeries) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byKey[s.key()], c.byID[s.id] = s, s
	c.newest = max(c.newest, s.id)
	if s.Digest != "" {
		c.digest[nameKey{s.App, s.Digest}], c.digest[nameKey{s.App, s.Version}] = s.Digest, s.Digest
	}
}

// remove forgets a series that the database forgot. Its bundle stays known: that does no harm.
func (c *catalog) remove(s *placedSeries) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byKey[s.key()] == s {
		delete(c.byKey, s.key())
	}
	delete(c.byID, s.id)
}

func (c *catalog) find(key seriesKey) *placedSeries {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.byKey[key]
}

func (c *catalog) byNumber(id int64) *placedSeries {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.byID[id]
}

// last is the largest number of a series that is known.
func (c *catalog) last() int64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.newest
}

// digestOf gives the digest of a bundle that a report names, if it is known.
func (c *catalog) digestOf(r *Report) string {
	if s := &r.Assigned; r.Known && s.Digest != "" && (r.Digest == s.Digest || r.Digest == "" && r.Version == s.Version) {
		return s.Digest
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	if r.Digest != "" {
		return c.digest[nameKey{r.App, r.Digest}]
	}
	return c.digest[nameKey{r.App, r.Version}]
}
