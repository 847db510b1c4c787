// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package clock gives the manager a clock that does not jump.
package clock

import "time"

// Steady gives the wall time of its first use plus the time that has passed since by the monotonic clock, in microseconds as
// status keeps it. Somebody setting the machine's clock therefore neither shortens nor prolongs a step.
func Steady() func() time.Time {
	start := time.Now()
	return func() time.Time { return start.Add(time.Since(start)).Round(0).UTC().Truncate(time.Microsecond) }
}
