// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package bucketing puts devices into cohorts. A device's slot depends on its id and the rollout's salt alone, so that the
// cohort is sticky without any state, a larger weight only adds devices, and anyone who reads the signed metadata can
// recompute who gets what.
package bucketing

import (
	"crypto/sha256"
	"encoding/binary"
)

// Slots is the number of slots: one is one basis point of weight.
const Slots = 10_000

// stackInput is the length of salt and device id together, with the separator, up to which Slot does not allocate. The API
// allows 64 bytes of salt and the protocols 128 of device id.
const stackInput = 256

// Slot gives the slot of a device, 0 to 9 999: the first 8 bytes, big-endian, of SHA-256(salt || 0x00 || device id) modulo
// 10 000. A to Z in the device id count as a to z; other characters count as they are. The modulo favours no slot by more
// than 1 in 10^15.
func Slot(salt, deviceID string) int32 {
	var buf [stackInput]byte
	in := append(buf[:0], salt...)
	in = append(in, 0)
	for i := range len(deviceID) {
		c := deviceID[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		in = append(in, c)
	}
	sum := sha256.Sum256(in)
	return int32(binary.BigEndian.Uint64(sum[:8]) % Slots)
}

// InCohort tells whether a slot is in the cohort of a weight in basis points.
func InCohort(slot, weight int32) bool { return slot < weight }
