// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/publish"
	"github.com/windlass-dev/windlass/internal/tuf"
)

// wantedFloors gives the floors of the spec, and what is wrong with the first that is none: it does not hold up the others.
func wantedFloors(spec []otav1alpha1.Floor) (floors tuf.Floors, problem error) {
	floors = tuf.Floors{}
	for _, f := range spec {
		one := tuf.Floors{string(f.App): string(f.MinVersion)}
		if err := one.Check(); err != nil {
			if problem == nil {
				problem = kit.Stall(otav1alpha1.InvalidSpecReason, "spec.floors: %w", err)
			}
			continue
		}
		floors = floors.Over(one)
	}
	return floors, problem
}

// floorsPublished says whether the root holds the floors of the spec. It is an error while one is missing that only people can
// publish. One that is higher than the spec asks for stays, and holds nothing up.
func (s *scope) floorsPublished(state publish.State, wait time.Duration) error {
	wanted, problem := wantedFloors(s.repo.Spec.Floors)
	if len(wanted) == 0 {
		apimeta.RemoveStatusCondition(&s.repo.Status.Conditions, otav1alpha1.FloorsPublishedCondition)
		return problem
	}
	missing, lowered := compareFloors(wanted, state.Floors)
	switch {
	case len(missing) > 0:
		reason, message := otav1alpha1.RootSignatureNeededReason, "holders of the root keys have to sign: "
		if state.RootOnline {
			reason, message = otav1alpha1.ProgressingReason, "the manager has not signed the floors of the spec yet"
		} else {
			message += strings.Join(missing, "; ") + afterCommand
		}
		s.set(otav1alpha1.FloorsPublishedCondition, metav1.ConditionFalse, reason, message)
		return kit.Wait(reason, wait, "%s", message)
	case len(lowered) > 0:
		s.set(otav1alpha1.FloorsPublishedCondition, metav1.ConditionFalse, otav1alpha1.FloorLoweredReason,
			"the spec has no effect, because a floor only rises: "+strings.Join(lowered, "; "))
	default:
		s.set(otav1alpha1.FloorsPublishedCondition, metav1.ConditionTrue, otav1alpha1.SucceededReason, "")
	}
	return problem
}

// compareFloors tells which floors of a spec the root does not hold, by the command that makes them, and which it holds higher.
func compareFloors(wanted, published tuf.Floors) (missing, lowered []string) {
	for _, app := range slices.Sorted(maps.Keys(wanted)) {
		switch have := published[app]; {
		case published.Raises(app, wanted[app]):
			missing = append(missing, fmt.Sprintf(floorCommand, app, wanted[app]))
		case wanted.Raises(app, have):
			lowered = append(lowered, fmt.Sprintf("app %s keeps %s, the spec has %s", app, have, wanted[app]))
		}
	}
	return missing, lowered
}

// publishedFloors gives the floors of the root as status shows them.
func publishedFloors(floors map[string]string) []otav1alpha1.Floor {
	var out []otav1alpha1.Floor
	for _, app := range slices.Sorted(maps.Keys(floors)) {
		out = append(out, otav1alpha1.Floor{App: otav1alpha1.AppID(app), MinVersion: otav1alpha1.Version(floors[app])})
	}
	return out
}
