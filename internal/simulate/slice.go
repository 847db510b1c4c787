// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"slices"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis/blame"
	"github.com/windlass-dev/windlass/internal/compat"
	"github.com/windlass-dev/windlass/internal/plan"
)

// slice finds what explains the failures, once there is reason to ask: as the controller, under suspicion.
func (s *rollout) slice() *plan.Slice {
	if len(s.world.parts) < 2 {
		return nil
	}
	for i, m := range s.config.Policy.Metrics {
		r := s.result(i)
		if r.DryRun || !r.Suspicious() {
			continue
		}
		tests := m.For(s.facts.Release).Tests()
		for _, f := range blame.Find(s.world.groups(s.from), blame.Options{Tests: tests, Limit: r.EvidenceLimit}) {
			return &plan.Slice{Match: f.Match, Message: f.Message, RestFine: f.RestFine}
		}
	}
	return nil
}

// groups are the kinds of devices as the gateways tell them, in each stage since one.
func (w *world) groups(from int32) []blame.Group {
	var out []blame.Group
	for i := range w.parts {
		p := &w.parts[i]
		for _, g := range append(slices.Clip(p.past), p.group(w.last().ID)) {
			if g.Stage >= from && !p.excluded {
				out = append(out, g)
			}
		}
	}
	return out
}

// matchesAny tells whether a kind of devices is in one of the slices.
func matchesAny(all []otav1alpha1.Slice, k kind) bool {
	return slices.ContainsFunc(all, func(s otav1alpha1.Slice) bool {
		return (s.Platform == "" || string(s.Platform) == k.platform) && (s.Region == "" || s.Region == k.region) &&
			contains(s.NativeVersion, k.native) && contains(s.OSVersion, k.os)
	})
}

// contains tells whether a version is in a range, as gateways do. What cannot be read is in none.
func contains(of, version string) bool {
	if of == "" {
		return true
	}
	r, err := compat.ParseRange(of)
	if err != nil {
		return false
	}
	v, err := compat.ParseVersion(version)
	return err == nil && r.WithPreReleases().Contains(v)
}
