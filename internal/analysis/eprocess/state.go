// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package eprocess

// State is what a test has seen. The zero State has seen nothing.
type State struct {
	Logs   []float64 // natural logarithm of the likelihood ratio of each alternative, of all that was seen
	Seen   []Stage   // counts that Logs has, the newest stage last; at most MaxStages
	Frozen []float64 // as Logs, of older stages that Seen no longer has
}

// MaxStages is how many stages a State goes on counting: what comes later of an older one is left out.
const MaxStages = 4
