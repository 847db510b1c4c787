// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"maps"
	"slices"
)

// ExplainParameters are the parameters of ExplainPath, sorted.
func ExplainParameters() []string { return slices.Sorted(maps.Keys(parameters)) }
