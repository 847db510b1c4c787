// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package simulate

import "time"

// Peer is how Argo Rollouts, Flagger or the peeking test is tuned.
type Peer struct {
	Interval time.Duration // between two measurements
	Window   time.Duration // that the query looks back over
	MaxRate  float64       // highest good rate: successCondition, or the max of thresholdRange
	Failures int           // Argo: failureLimit; Flagger: threshold. In all, over the whole rollout
	Errors   int           // Argo: consecutiveErrorLimit. Flagger has none
	Level    float64       // Peeking: one-sided level of each look
}
