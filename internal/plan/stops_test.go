// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strings"
	"testing"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// A stop that comes before the manager looks at the release that it is meant for holds that release all the same: no device sees it.
func TestPlan_earlyStops(t *testing.T) {
	for name, before := range map[string]func(*Facts){
		"the first release": func(f *Facts) { f.Release, f.Channel.Candidate = Release{}, nil },
		"after one that is out": func(f *Facts) {
			f.Release.State, f.Channel.Candidate, f.Spec.Bundle = otav1alpha1.ReleaseCompleted, nil, "shop-2"
		},
		"after one that failed": func(f *Facts) {
			f.Release.State, f.Channel.Candidate, f.Spec.Bundle = otav1alpha1.ReleaseRolledBack, nil, "shop-2"
		},
	} {
		for _, stop := range []string{Pause, Abort} {
			f := running()
			before(&f)
			f.Bundle = Bundle{Found: true, Ready: true, Version: "2.0.0", Digest: "d2"}
			f.Command = &Command{ID: "1", Name: stop, By: "jane"}
			d := Plan(f)
			if d.Command == nil || d.Command.Refused != "" || d.Release.Weight != 0 || d.Release.Active() || d.Release.Bundle != f.Spec.Bundle {
				t.Errorf("%s, %s: %+v, command %+v", name, stop, d.Release, d.Command)
			}
			next := after(f, d)
			next.Command = nil
			if d = Plan(next); d.Release.Weight != 0 || !strings.Contains(d.Message, "by jane") {
				t.Errorf("%s, after %s: %+v: %s", name, stop, d.Release, d.Message)
			}
		}
	}
}

// A stop that is given while the release before it is withdrawn waits for the one that it is meant for.
func TestPlan_stopWhileSuperseding(t *testing.T) {
	f := running()
	f.Spec.Bundle, f.Bundle = "shop-2", Bundle{Found: true, Ready: true, Digest: "d2"}
	f.Command = &Command{ID: "1", Name: Pause, By: "jane"}
	d := Plan(f)
	if d.Release.State != otav1alpha1.ReleaseSuperseding || d.Command != nil {
		t.Fatalf("%s, command %+v", d.Release.State, d.Command)
	}
	command := f.Command // which nobody has acted upon
	f = after(f, d)
	f.Channel.Candidate, f.Command = nil, command
	if d = Plan(f); d.Release.Bundle != "shop-2" || d.Reason != otav1alpha1.PausedReason || d.Command == nil || d.Command.Refused != "" {
		t.Errorf("%+v: %s: %s, command %+v", d.Release, d.Reason, d.Message, d.Command)
	}
}

// What is paused before it starts goes on when a person resumes it, and not before, whatever else it waited for.
func TestPlan_pausePending(t *testing.T) {
	f := running()
	f.Release, f.Channel.Candidate, f.Window = Release{}, nil, Window{Closed: true, Reason: "closed"}
	f = after(f, Plan(f))
	f.Command = &Command{ID: "1", Name: Pause, By: "jane", Args: "wait for the press release"}
	f = after(f, Plan(f))
	f.Command, f.Window = nil, Window{}
	if d := Plan(f); d.Reason != otav1alpha1.PausedReason || d.Message != "paused by jane: wait for the press release" || d.Release.Weight != 0 {
		t.Fatalf("%s: %s", d.Reason, d.Message)
	}
	f.Command = &Command{ID: "2", Name: Resume, By: "kim"}
	if d := Plan(f); d.Release.State != otav1alpha1.ReleaseProgressing || d.Release.Reason != "" || d.Release.Weight == 0 {
		t.Errorf("resumed: %+v: %s", d.Release, d.Message)
	}
}
