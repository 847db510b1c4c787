// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// kills is how often the manager is killed: 50 times with WINDLASS_CORPUS=full.
var kills = testkit.Sized(20, 50)

// The manager is killed at random moments while one release follows another, every third one bad. Whatever was going on,
// devices see only verified states that never go back, and each release ends as it should.
func TestManager_killedAtRandomMoments(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	r.StartManager()
	repo := r.Repository(r.Bucket, r.author)
	r.comes(repo, metav1.ConditionTrue, "")
	w := r.watch()

	n := 1
	r.release(n)
	ro := r.rollout("shop-1")
	for killed := 0; killed < kills; {
		select {
		case <-time.After(someTime(rng)):
		case <-t.Context().Done():
			t.Fatal("test ended early")
		}
		r.KillManager()
		killed++
		if r.ended(ro, n) {
			n++
			b := r.release(n)
			if n%3 == 0 {
				r.metrics.spoil(b.Spec.Version)
			}
			r.patch(ro, fmt.Sprintf(`{"bundleRef":{"name":%q}}`, b.Name))
		}
		r.StartManager()
	}
	r.finish(ro, n)
	t.Logf("%d kills in %d releases", kills, n)
	w.ends(r)
	testkit.StandStill(t, r.Client, ro, repo)
	r.recordedOnce(ro, n)
}

// ended tells whether the release of shop-n has ended, and checks that it ended right.
func (r *rig) ended(ro *otav1alpha1.Rollout, n int) bool {
	r.Helper()
	if err := r.read(ro); err != nil {
		r.Fatal(err)
	}
	rel := ro.Status.Release
	if rel == nil || rel.Bundle != fmt.Sprintf("shop-%d", n) {
		return false
	}
	switch rel.State {
	case otav1alpha1.ReleaseCompleted:
		if n%3 == 0 {
			r.Errorf("bad release %s completed", rel.Bundle)
		}
		return true
	case otav1alpha1.ReleaseRolledBack:
		if n%3 != 0 {
			r.Errorf("good release %s was rolled back: %s", rel.Bundle, rel.Reason)
		}
		return true
	case otav1alpha1.ReleaseAborted, otav1alpha1.ReleaseBundleRefused, otav1alpha1.ReleaseBundleNotAdmitted:
		r.Errorf("release %s ended as %s: %s", rel.Bundle, rel.State, rel.Reason)
		return true
	}
	return false
}

// finish lets the last release end, and checks what devices see then.
func (r *rig) finish(ro *otav1alpha1.Rollout, n int) {
	r.Helper()
	want, reason := metav1.ConditionTrue, otav1alpha1.CompletedReason
	if n%3 == 0 {
		want, reason = metav1.ConditionFalse, otav1alpha1.RolledBackReason
	}
	r.comes(ro, want, reason)
	testkit.CheckStatus(r.T, ro)
	ch := r.Channel("production")
	r.comes(ch, metav1.ConditionTrue, otav1alpha1.PublishedReason)
	testkit.CheckStatus(r.T, ch)
	good := n
	if n%3 == 0 {
		good = n - 1
	}
	if s := ch.Status.Stable; s == nil || s.Bundle != fmt.Sprintf("shop-%d", good) {
		r.Errorf("stable is %+v, want shop-%d", s, good)
	}
	if len(ch.Status.Refused) != n/3 {
		r.Errorf("%d digests are refused, want %d", len(ch.Status.Refused), n/3)
	}
}
