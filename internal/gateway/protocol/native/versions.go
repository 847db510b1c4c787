// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package native

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/Masterminds/semver/v3"

	"github.com/windlass-dev/windlass/internal/compat"
)

// maxVersions bounds how many versions are remembered. Fleets have some dozens.
const maxVersions = 1024

// versions remembers parsed versions: parsing them makes most of a check's allocations. It is full for ever once clients have
// sent maxVersions different ones; further ones are parsed each time.
type versions struct {
	mu    sync.Mutex // of writers
	known atomic.Pointer[map[string]*semver.Version]
}

// parse is compat.ParseVersion.
func (c *versions) parse(text string) (*semver.Version, error) {
	known := c.known.Load()
	if known != nil {
		if v := (*known)[text]; v != nil {
			return v, nil
		}
	}
	v, err := compat.ParseVersion(text)
	if err == nil && (known == nil || len(*known) < maxVersions) {
		c.remember(v)
	}
	return v, err
}

func (c *versions) remember(v *semver.Version) {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := map[string]*semver.Version{}
	if known := c.known.Load(); known != nil {
		maps.Copy(next, *known)
	}
	if text := strings.Clone(v.Original()); len(next) < maxVersions { // not a part of a request's body
		next[text], _ = compat.ParseVersion(text)
		c.known.Store(&next)
	}
}
