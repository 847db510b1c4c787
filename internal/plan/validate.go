// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "fmt"

// Validate refuses steps that cannot be carried out safely. Weights must not fall: a later rise would start from a weight
// whose measurements say nothing about it.
func Validate(steps []Step) error {
	var weight int32
	for i, s := range steps {
		if s.Pause {
			continue
		}
		if s.Weight < weight {
			return fmt.Errorf("steps[%d].setWeight is %s, below the %s before it: weights must not fall; to take a release back, abort it",
				i, FormatWeight(s.Weight), FormatWeight(weight))
		}
		weight = s.Weight
	}
	return nil
}
