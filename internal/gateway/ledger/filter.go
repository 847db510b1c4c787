// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"hash/maphash"
	"math/bits"
	"sync/atomic"
)

// filter remembers what devices said last, so that a check that says nothing new stays out of the queue. A device has one
// place, by its pseudonym; when two devices share one, the checks of both pass more often than they had to.
type filter struct {
	seed   maphash.Seed
	places []atomic.Uint64 // hash of what was said, above the second at which it was
	period uint64          // seconds for which the same word is old, and a part of the next one: places hold whole seconds
}

// secondBits of a place hold the time, modulo 2^24 s; the rest a hash of what was said.
const secondBits = 24

// newFilter makes a filter of a size, which is rounded up to a power of two, for a period in milliseconds.
func newFilter(size int, period millis) *filter {
	n := uint64(1) << bits.Len(uint(max(1, size-1)))
	return &filter{seed: maphash.MakeSeed(), places: make([]atomic.Uint64, n), period: max(1, uint64(period+999)/1000)}
}

// pass tells whether a check says something that its device did not say within the period, and remembers it. The place and
// what it held serve to take that back.
func (f *filter) pass(e *event) (place *atomic.Uint64, before uint64, news bool) {
	place = &f.places[f.hashDevice(e)&uint64(len(f.places)-1)]
	now := uint64(e.said.at/1000) & (1<<secondBits - 1)
	word := f.hashWord(e)<<secondBits | now
	before = place.Load()
	if before>>secondBits == word>>secondBits && (now-before)&(1<<secondBits-1) <= f.period {
		return place, before, false
	}
	place.Store(word)
	return place, before, true
}

func (f *filter) hashDevice(e *event) uint64 { return maphash.Bytes(f.seed, e.device[:]) }

func (f *filter) hashWord(e *event) uint64 {
	h := f.hashDevice(e)
	flags := uint64(e.said.what) << 1
	if e.said.votes {
		flags |= 1
	}
	h = mix(mix(h, flags), uint64(e.series.Stage))
	for _, text := range [...]string{
		e.series.Channel, e.series.Digest, e.series.Trial, string(e.series.Arm), e.digest, e.version, e.said.client.NativeVersion,
	} {
		h = mix(h, maphash.String(f.seed, text))
	}
	return h
}

// mix makes one hash of two.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0x9e3779b97f4a7c15, b^0xd1b54a32d192ed03)
	return hi ^ lo ^ bits.RotateLeft64(a, 29)
}
