// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package versions remembers parsed versions: parsing them makes most of a check's allocations.
package versions

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/Masterminds/semver/v3"
)

// maxKnown bounds how many versions are remembered. Fleets have some dozens.
const maxKnown = 1024

// Cache remembers what Parse gave for a text. It is full for ever once clients have sent maxKnown different ones; further ones
// are parsed each time. It is safe for concurrent use.
type Cache struct {
	Parse func(string) (*semver.Version, error)

	mu    sync.Mutex // of writers
	known atomic.Pointer[map[string]*semver.Version]
}

// Get gives the version of a text, or the error of Parse.
func (c *Cache) Get(text string) (*semver.Version, error) {
	known := c.known.Load()
	if known != nil {
		if v := (*known)[text]; v != nil {
			return v, nil
		}
	}
	v, err := c.Parse(text)
	if err == nil && (known == nil || len(*known) < maxKnown) {
		c.remember(text)
	}
	return v, err
}

func (c *Cache) remember(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := map[string]*semver.Version{}
	if known := c.known.Load(); known != nil {
		maps.Copy(next, *known)
	}
	if text = strings.Clone(text); len(next) < maxKnown { // not a part of a request's body
		next[text], _ = c.Parse(text)
		c.known.Store(&next)
	}
}
