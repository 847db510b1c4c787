// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unique"
)

// shards bounds how many lookups wait for a change.
const shards = 64

// Bounds of what the memory of failures takes beside its devices.
const (
	maxFailed = 8       // bundles of a device; older ones are forgotten
	maxLists  = 1 << 16 // combinations of more than one bundle; about 400 bytes each
)

// failures knows in memory which bundles failed on which devices. Devices with the same failures share the list of them, so
// that a device takes 20 bytes in a map without pointers.
type failures struct {
	limit, most int // devices and lists
	devices     atomic.Int64
	shard       [shards]struct {
		mu   sync.RWMutex
		list map[Pseudonym]uint32 // index in lists
	}
	lists atomic.Pointer[[][]string] // digests, the newest last; the first list is the empty one

	mu    sync.Mutex // of writers, for what follows
	index map[[maxFailed]string]uint32
	uses  []int    // devices of each list
	free  []uint32 // places in lists that nobody uses
}

func newFailures(limit int) *failures {
	f := &failures{limit: limit, most: maxLists, index: map[[maxFailed]string]uint32{{}: 0}, uses: []int{0}}
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
	defer s.mu.RUnlock() // while it is held, the list has a device and stays in its place
	return (*f.lists.Load())[s.list[p]]
}

// add notes a failure. It gives false when there is no room: for another device, or for what failed on this one before.
func (f *failures) add(p Pseudonym, digest string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	have := f.of(p)
	switch {
	case slices.Contains(have, digest):
		return true
	case have == nil && f.devices.Load() >= int64(f.limit):
		return false
	}
	digest = unique.Make(digest).Value() // one copy for all, and no part of a request
	if f.set(p, append(slices.Clone(have[max(0, len(have)-maxFailed+1):]), digest)) {
		return true
	}
	f.set(p, []string{digest})
	return false
}

// forget takes a failure back.
func (f *failures) forget(p Pseudonym, digest string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	have := f.of(p)
	if at := slices.Index(have, digest); at >= 0 {
		rest := slices.Delete(slices.Clone(have), at, at+1)
		if !f.set(p, rest) {
			f.set(p, rest[len(rest)-1:])
		}
	}
}

// set stores the list of a device. It gives false when there is no room for another combination of bundles. Hold mu.
func (f *failures) set(p Pseudonym, digests []string) bool {
	i, ok := f.listOf(digests)
	if !ok {
		return false
	}
	f.uses[i]++
	s := &f.shard[p[0]%shards]
	s.mu.Lock()
	old, before := s.list[p], len(s.list)
	if i == 0 {
		delete(s.list, p)
	} else {
		s.list[p] = i
	}
	f.devices.Add(int64(len(s.list) - before))
	s.mu.Unlock()
	if f.uses[old]--; old != 0 && f.uses[old] == 0 {
		lists := *f.lists.Load()
		delete(f.index, keyOf(lists[old]))
		lists[old] = nil
		f.free = append(f.free, old)
	}
	return true
}

// listOf gives the index of a list, which it makes if need be and there is room. A bundle alone always has room. Hold mu.
func (f *failures) listOf(digests []string) (uint32, bool) {
	key := keyOf(digests)
	if i, ok := f.index[key]; ok {
		return i, true
	}
	if len(f.index) > f.most && len(digests) > 1 {
		return 0, false
	}
	lists := *f.lists.Load()
	i := uint32(len(lists))
	if last := len(f.free) - 1; last >= 0 {
		i, f.free = f.free[last], f.free[:last]
		lists[i] = digests
	} else {
		lists = append(lists, digests)
		f.lists.Store(&lists)
		f.uses = append(f.uses, 0)
	}
	f.index[key] = i
	return i, true
}

func keyOf(digests []string) (key [maxFailed]string) {
	copy(key[:], digests)
	return key
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

// place gives a series its number. It keeps copies of the texts: those of an event may be parts of a request.
func (s *Series) place(id int64) *placedSeries {
	p := &placedSeries{Series: *s, id: id}
	for _, text := range [...]*string{&p.App, &p.Channel, &p.Digest, &p.Version, &p.Trial, &p.Candidate} {
		*text = strings.Clone(*text)
	}
	return p
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
