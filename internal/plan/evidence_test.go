// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"testing"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis"
)

// What was measured of one release decides nothing about the next: a good bundle that is ready when it is asked for, after a bad one or
// in place of it, starts, and is not refused for what the other did.
func TestPlan_nextReleaseIsNotTheLast(t *testing.T) {
	for name, change := range map[string]func(*Facts){
		"rolled back": func(f *Facts) { f.Release.State, f.Release.Weight = otav1alpha1.ReleaseRolledBack, 0 },
		"aborted":     func(f *Facts) { f.Release.State, f.Release.Weight = otav1alpha1.ReleaseAborted, 0 },
		"withdrawn":   func(f *Facts) { f.Release.State, f.Release.Weight = otav1alpha1.ReleaseSuperseding, 0 },
		"a metric pauses it": func(f *Facts) {
			f.Release.State, f.Analysis[0] = otav1alpha1.ReleaseAborted, analysis.Result{Name: "m", Verdict: otav1alpha1.VerdictProviderError, Pause: true}
		},
	} {
		f := running()
		failing(&f)
		f.Slice = &Slice{RestFine: true}
		f.Spec.OnSlice = otav1alpha1.SliceExclude
		change(&f)
		f.Channel.Candidate = nil
		f.Channel.Refused = map[string]string{"d1": "8 of 100 devices failed"}
		f.Spec.Bundle, f.Bundle = "shop-2", Bundle{Found: true, Ready: true, Version: "2.0.0", Digest: "d2"}
		if name == "withdrawn" {
			f.Analysis[0].Verdict, f.Channel.Refused = otav1alpha1.VerdictPassing, nil // else it is refused first
		}
		d := Plan(f)
		if r := d.Release; r.Bundle != "shop-2" || r.Digest != "d2" || r.State != otav1alpha1.ReleaseProgressing || r.Weight != 1000 || len(r.Exclude) > 0 {
			t.Errorf("%s: the next release is %+v (%s), want shop-2 in progress at 10 %%", name, r, d.Message)
		}
	}
}
