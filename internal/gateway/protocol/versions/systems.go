// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package versions

import (
	"github.com/Masterminds/semver/v3"

	"github.com/windlass-dev/windlass/internal/compat"
)

// maxSystem is the longest version of an operating system that is read, in bytes.
const maxSystem = 32

// Systems reads versions of operating systems, and remembers them. It is safe for concurrent use.
type Systems struct{ cache *Cache }

// NewSystems makes Systems.
func NewSystems() *Systems { return &Systems{New(compat.ParseOSVersion)} }

// Get gives the version that a device tells, such as 17.5.1 or "Android 14". It gives nil for what is none, or not legible: as if the
// device had not told it.
func (s *Systems) Get(text string) *semver.Version {
	if !IsSystem(text) {
		return nil
	}
	v, err := s.cache.Get(text)
	if err != nil {
		return nil
	}
	return v
}

// IsSystem tells whether a text can be the version of an operating system: 1 to 32 printable ASCII characters.
func IsSystem(text string) bool {
	if text == "" || len(text) > maxSystem {
		return false
	}
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

// Kept is the version as the ledger keeps it: three numbers, and nothing else that the device told; empty for none.
func Kept(v *semver.Version) string {
	if v == nil {
		return ""
	}
	return v.Original() // of compat.ParseOSVersion: without work
}
