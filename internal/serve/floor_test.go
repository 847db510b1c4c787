// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/release"
)

func TestBelow(t *testing.T) {
	for _, tc := range []struct {
		version, floor string
		want           bool
	}{
		{"1.0.0", "", false},
		{"1.0.0", "1.0.0", false},
		{"1.0.0-rc.1", "1.0.0", true},
		{"0.9.0", "1.0.0", true},
		{"1.10.0", "1.9.0", false},
		{"latest", "1.0.0", true}, // nobody can tell
		{"2.0", "1.0.0", true},
		{"9.0.0", "latest", true},
	} {
		if got := Below(tc.version, tc.floor); got != tc.want {
			t.Errorf("Below(%q, %q) = %v, want %v", tc.version, tc.floor, got, tc.want)
		}
	}
}

// An artifact that anything of the Repository knows under a version below the floor is below it under every name.
func TestWithdrawn(t *testing.T) {
	served := otav1alpha1.ServedBundle{Bundle: "old", Version: "0.9.0", Digest: digestOf(2)}
	channelWith := func(change func(*otav1alpha1.Channel)) Known {
		ch := channel()
		ch.Name = "beta"
		change(ch)
		return Known{Channels: []otav1alpha1.Channel{*ch}}
	}
	bundleWith := func(change func(*otav1alpha1.Bundle)) Known {
		b := bundle(2)
		b.Name, b.Spec.Version = "old", "0.9.0"
		change(b)
		return Known{Bundles: []otav1alpha1.Bundle{*b}}
	}
	for name, tc := range map[string]struct {
		known Known
		want  bool
	}{
		"nothing":               {Known{}, false},
		"a Bundle":              {bundleWith(func(*otav1alpha1.Bundle) {}), true},
		"one without trust":     {bundleWith(func(b *otav1alpha1.Bundle) { verified(b, metav1.ConditionFalse, "gone") }), true},
		"one above":             {bundleWith(func(b *otav1alpha1.Bundle) { b.Spec.Version = "1.0.0" }), false},
		"one that says so only": {bundleWith(func(b *otav1alpha1.Bundle) { b.Status.Artifact = nil }), false},
		"another app's":         {bundleWith(func(b *otav1alpha1.Bundle) { b.Spec.App = "bank" }), false},
		"another Repository's": {bundleWith(func(b *otav1alpha1.Bundle) {
			b.Spec.RepositoryRef = &otav1alpha1.LocalReference{Name: "other"}
		}), false},
		"stable elsewhere": {channelWith(func(ch *otav1alpha1.Channel) { ch.Status.Stable = &served }), true},
		"a candidate": {channelWith(func(ch *otav1alpha1.Channel) {
			ch.Status.Candidate = &otav1alpha1.CandidateBundle{Version: "0.9.0", Digest: digestOf(2)}
		}), true},
		"history": {channelWith(func(ch *otav1alpha1.Channel) {
			ch.Status.History = []otav1alpha1.ChannelHistoryEntry{{Version: "0.9.0", Digest: digestOf(2)}}
		}), true},
		"refused": {channelWith(func(ch *otav1alpha1.Channel) {
			ch.Status.Refused = []otav1alpha1.RefusedBundle{{Version: "0.9.0", Digest: digestOf(2)}}
		}), true},
		"refused, nobody knows as what": {channelWith(func(ch *otav1alpha1.Channel) {
			ch.Status.Refused = []otav1alpha1.RefusedBundle{{Digest: digestOf(2)}}
		}), false},
		"on another app's channel": {channelWith(func(ch *otav1alpha1.Channel) {
			ch.Spec.App, ch.Status.Stable = "bank", &served
		}), false},
	} {
		t.Run(name, func(t *testing.T) {
			f := facts(published(), rollout("shop", candidateOf(2, "10")))
			f.LeastVersion = "1.0.0"
			f.Withdrawn = Withdrawn(f.LeastVersion, "shop", otav1alpha1.DefaultRepository, tc.known)
			f.Bundles["shop-2"].Spec.Version = "9.0.0" // the new name
			o := Next(f)
			if denied := strings.Contains(o.Problem, "the same artifact is known as version 0.9.0, and version 0.9.0 is below the floor 1.0.0"); denied != tc.want {
				t.Errorf("%s: %q, want denied %v", summary(o.Document), o.Problem, tc.want)
			}
			if Withdrawn("", "shop", otav1alpha1.DefaultRepository, tc.known) != nil {
				t.Error("withdrawn without a floor")
			}
		})
	}
}

// However often the floor rises, there is room for what has to be refused of what is out.
func TestNext_floorsLeaveRoom(t *testing.T) {
	f := facts(published())
	for n := range 20 {
		f.Channel.Status.History = append(f.Channel.Status.History, otav1alpha1.ChannelHistoryEntry{
			Bundle: fmt.Sprintf("old-%d", n), Version: otav1alpha1.Version(fmt.Sprintf("0.%d.0", n)), Digest: digestOf(100 + n)})
	}
	for n := 1; n <= 2*MaxRefused; n++ {
		b := bundle(1000 + n)
		f.Bundles[b.Name] = b
		f.Committed.Previous, f.Committed.Stable = f.Committed.Stable, Bundle(b)
		f.Now, f.LeastVersion = f.Now.Add(1), fmt.Sprintf("1.%d.1", 1000+n)
		d := Next(f).Document
		if d.Stable != nil || !d.Refuses(string(b.Spec.Digest)) || len(d.Refused) > fullRefused {
			t.Fatalf("raise %d: %s", n, summary(d))
		}
		f.Committed = d
		if diff := cmp.Diff(d, Next(f).Document); diff != "" {
			t.Fatalf("raise %d does not come to rest: %s", n, diff)
		}
	}
	next := bundle(9999)
	f.Bundles[next.Name] = next
	f.Rollouts = []otav1alpha1.Rollout{rollout("shop", candidateOf(9999, "10"))}
	if o := Next(f); o.Full || o.Document.Candidate == nil {
		t.Errorf("nothing can be released any more: %s", o.Problem)
	}
}

// What fills the list and can be tried again is told from what cannot.
func TestNext_fullOfWhat(t *testing.T) {
	f := facts(published(), rollout("shop", candidateOf(2, "10")))
	for n := range fullRefused {
		f.Committed.Refused = append(f.Committed.Refused, release.Refusal{Digest: string(digestOf(100 + n)), Version: fmt.Sprintf("2.%d.0", n), At: int64(n + 1)})
	}
	revoked := bundle(1)
	revoked.Name, revoked.Spec.Digest, revoked.Spec.Revoked = "bad", digestOf(100), "bad"
	f.Bundles["bad"] = revoked
	o := Next(f)
	if want := "96 digests are refused, 1 of them for good"; !o.Full || !strings.HasPrefix(o.Problem, want) {
		t.Errorf("got %q, want %q", o.Problem, want)
	}
	f.LeastVersion = "2.96.0"
	if o := Next(f); o.Full || len(o.Document.Refused) > keptLow+2 {
		t.Errorf("a floor above all that is refused takes it off the list: %s", summary(o.Document))
	}
}
