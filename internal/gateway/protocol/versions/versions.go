// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package versions remembers parsed versions: parsing them makes most of a check's allocations.
package versions

import (
	"hash/maphash"
	"strings"
	"sync/atomic"

	"github.com/Masterminds/semver/v3"
)

// How many versions are remembered. Fleets have some dozens.
const (
	sets = 1 << 9
	ways = 4 // of each set
)

// Cache remembers what its parser gave for a text. It is a table of fixed size without locks: a new version takes the place of
// another one in the set that a secret hash gives it. Clients can send as many different ones as they like: what a fleet asks
// with comes back with its next request. It is safe for concurrent use.
type Cache struct {
	parse func(string) (*semver.Version, error)
	seed  maphash.Seed
	turn  atomic.Uint32 // which way the next one takes
	sets  [sets][ways]atomic.Pointer[entry]
}

type entry struct {
	text    string
	version *semver.Version
}

// New makes a Cache in front of a parser.
func New(parse func(string) (*semver.Version, error)) *Cache {
	return &Cache{parse: parse, seed: maphash.MakeSeed()}
}

// Get gives the version of a text, or the parser's error.
func (c *Cache) Get(text string) (*semver.Version, error) {
	set := &c.sets[maphash.String(c.seed, text)%sets]
	for i := range set {
		if e := set[i].Load(); e != nil && e.text == text {
			return e.version, nil
		}
	}
	text = strings.Clone(text) // not a part of a request's body
	v, err := c.parse(text)
	if err != nil {
		return nil, err
	}
	set[c.turn.Add(1)%ways].Store(&entry{text, v})
	return v, nil
}
