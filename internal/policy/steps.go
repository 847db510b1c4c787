// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"

	"k8s.io/apimachinery/pkg/util/intstr"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/plan"
	"github.com/windlass-dev/windlass/internal/serve"
)

func parseSteps(in []otav1alpha1.Step) ([]plan.Step, error) {
	out := make([]plan.Step, 0, len(in))
	for i, s := range in {
		if s.SetWeight != nil {
			weight, err := plan.ParseWeight(weightText(s.SetWeight))
			if err != nil {
				return nil, fmt.Errorf("steps[%d].setWeight: %w", i, err)
			}
			out = append(out, plan.Step{Weight: weight})
			continue
		}
		d, err := serve.Duration(s.Pause.Duration, 0)
		if err != nil {
			return nil, fmt.Errorf("steps[%d].pause.duration: %w", i, err)
		}
		if s.Pause.Duration != "" && d == 0 {
			return nil, fmt.Errorf("steps[%d].pause.duration is %s: leave it out to pause until a person promotes, or give a time above 0", i, s.Pause.Duration)
		}
		step := plan.Step{Pause: true, Duration: d}
		if s.Pause.MinSamples != nil {
			step.MinSamples = int64(*s.Pause.MinSamples)
		}
		out = append(out, step)
	}
	return out, plan.Validate(out)
}

func weightText(w *intstr.IntOrString) string {
	if w.Type == intstr.Int {
		return strconv.Itoa(int(w.IntVal))
	}
	return w.StrVal
}

// hashSteps notices a changed list of steps.
func hashSteps(steps []otav1alpha1.Step) string {
	raw, err := json.Marshal(steps)
	if err != nil {
		return "" // cannot happen: steps came from JSON
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:8])
}
