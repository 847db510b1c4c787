// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package simulate

// Run simulates one rollout, with its timeline.
func Run(c Config) Trace { panic("built in the next commit") }

// Many simulates n rollouts, without timelines. The level is that of the intervals: 0.99.
func Many(c Config, n int, level float64) Summary { panic("built in the next commit") }

// PeerOf translates the policy for a peer, as somebody would who knows the base rate of the fleet.
func PeerOf(c Config) Peer { panic("built in the next commit") }
