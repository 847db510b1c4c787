// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package query

import (
	"strconv"
	"time"
)

// Bounds of the window that a query may look back.
const (
	minWindow = 10 * time.Second
	maxWindow = time.Hour
)

// Window is .window of a query that is asked some time after a weight was committed: that time, within bounds.
func Window(took time.Duration) string {
	return strconv.Itoa(int(min(max(took, minWindow), maxWindow).Seconds())) + "s"
}
