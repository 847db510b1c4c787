// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/serve"
)

var committedAt = time.Unix(1_800_000_000, 0).UTC()

// What devices can see of a release is in the status: its stage, and which slices do not get it, also once it is stable.
func TestProject_stagesAndSlices(t *testing.T) {
	kept := []release.Slice{{Platform: "android", NativeVersion: "<4.3.0"}, {OSVersion: "<13.0.0", Region: "FR"}}
	want := []otav1alpha1.Slice{{Platform: "android", NativeVersion: "<4.3.0"}, {OSVersion: "<13.0.0", Region: "FR"}}
	doc := &release.Document{
		Revision: 7, Stable: &release.Bundle{Name: "shop-1", Version: "1.0.0", Digest: "sha256:aa"},
		Candidate: &release.Candidate{
			Bundle: release.Bundle{Name: "shop-2", Version: "2.0.0", Digest: "sha256:bb"}, Weight: 1000, Salt: "s", Rollout: "shop", Release: 4,
			Stage: 3, Exclude: kept,
		},
	}
	st := project(otav1alpha1.ChannelStatus{}, release.Committed{Document: doc, At: committedAt}, &serve.Outcome{Document: doc})
	if diff := cmp.Diff(&otav1alpha1.CandidateBundle{
		Bundle: "shop-2", Version: "2.0.0", Digest: "sha256:bb", Weight: "10", Salt: "s", RolloutRef: &otav1alpha1.LocalReference{Name: "shop"},
		Release: 4, Stage: 3, Exclude: want,
	}, st.Candidate); diff != "" {
		t.Errorf("candidate (-want +got):\n%s", diff)
	}
	if st.Stable.Exclude != nil {
		t.Errorf("stable is kept from %v", st.Stable.Exclude)
	}
	stable := doc.Candidate.Bundle
	stable.Exclude = kept
	next := *doc
	next.Revision, next.Stable, next.Candidate = 8, &stable, nil
	st = project(st, release.Committed{Document: &next, At: committedAt.Add(time.Second)}, &serve.Outcome{Document: &next})
	if diff := cmp.Diff(want, st.Stable.Exclude); diff != "" {
		t.Errorf("stable (-want +got):\n%s", diff)
	}
}

// Limits of weights are for Rollouts to keep; one that cannot be read stalls the Channel, since nobody could keep it.
func TestImpossible_limits(t *testing.T) {
	for name, tc := range map[string]struct {
		spec otav1alpha1.ChannelSpec
		want string
	}{
		"none":                  {otav1alpha1.ChannelSpec{}, ""},
		"both":                  {otav1alpha1.ChannelSpec{MaxFirstWeight: "0.25", MaxWeightPerHour: "100"}, ""},
		"first weight":          {otav1alpha1.ChannelSpec{MaxFirstWeight: "101"}, "spec.maxFirstWeight: "},
		"weight within an hour": {otav1alpha1.ChannelSpec{MaxWeightPerHour: "fast"}, "spec.maxWeightPerHour: "},
	} {
		err := impossible(&otav1alpha1.Channel{ObjectMeta: metav1.ObjectMeta{Name: "production"}, Spec: tc.spec})
		switch {
		case tc.want == "" && err == nil:
		case err == nil || tc.want == "" || !strings.HasPrefix(err.Error(), tc.want) || !strings.Contains(err.Error(), "or remove it"):
			t.Errorf("%s: %v, want an error with %q", name, err, tc.want)
		case kit.Classify(err).Reason != otav1alpha1.InvalidSpecReason:
			t.Errorf("%s: reason %s", name, kit.Classify(err).Reason)
		}
	}
}
