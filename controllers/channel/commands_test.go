// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"fmt"
	"slices"
	"testing"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/actor"
	"github.com/windlass-dev/windlass/internal/command"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/serve"
)

// world is a Channel with everything around it: an API server, a cache that lags behind, a bucket, a publisher that commits some time
// later or never, a manager that may be killed anywhere, a Rollout that asks for anything, and a person who gives commands.
type world struct {
	stored    *otav1alpha1.Channel // in the API server
	cached    *otav1alpha1.Channel // as the manager sees it
	bucket    *release.Document
	submitted *release.Document // by this manager; lost when it is killed
	rollout   otav1alpha1.Rollout
	bundles   map[string]*otav1alpha1.Bundle
	repo      *otav1alpha1.Repository
	now       time.Time
	given     int
	accepted  int64 // commands that change what is served

	owed    map[int64]string // digests of rollbacks that are recorded, by order
	taken   map[string]bool  // digests that a person has taken back, and that nobody has allowed since
	revoked map[string]bool
}

func digestOf(n int) otav1alpha1.Digest { return otav1alpha1.Digest(fmt.Sprintf("sha256:%064d", n)) }

func bundleOf(n int) *otav1alpha1.Bundle {
	b := &otav1alpha1.Bundle{}
	b.Name = fmt.Sprintf("shop-%d", n)
	b.Spec = otav1alpha1.BundleSpec{App: "shop", Version: otav1alpha1.Version(fmt.Sprintf("1.%d.0", n)), Digest: digestOf(n)}
	b.Status.Conditions = []metav1.Condition{{Type: otav1alpha1.ReadyCondition, Status: metav1.ConditionTrue}}
	b.Status.Artifact = &otav1alpha1.ArtifactStatus{Digest: b.Spec.Digest, Size: 100, Path: "bundles/shop/" + string(b.Spec.Version) + ".zip"}
	return b
}

func newWorld() *world {
	w := &world{
		stored: &otav1alpha1.Channel{}, repo: &otav1alpha1.Repository{}, bundles: map[string]*otav1alpha1.Bundle{}, now: time.Unix(1_800_000_000, 0),
		owed: map[int64]string{}, taken: map[string]bool{}, revoked: map[string]bool{},
	}
	w.stored.Name, w.stored.Spec.App, w.stored.ResourceVersion, w.repo.Name = "production", "shop", "1", "default"
	for n := range 4 {
		b := bundleOf(n)
		w.bundles[b.Name] = b
	}
	w.bucket = &release.Document{Schema: release.Schema, App: "shop", Channel: "production", Revision: 1, Serving: release.Active,
		Stable: serve.Bundle(bundleOf(1)), Previous: serve.Bundle(bundleOf(0))}
	w.cached = w.stored.DeepCopy()
	return w
}

// change is what somebody else writes to the Channel.
func (w *world) change(do func(*otav1alpha1.Channel)) {
	do(w.stored)
	w.stored.ResourceVersion += "1"
}

// write is a status write of the manager; one that rests on something old is lost.
func (w *world) write(st otav1alpha1.ChannelStatus) {
	if w.cached.ResourceVersion != w.stored.ResourceVersion || apiequality.Semantic.DeepEqual(w.cached.Status, st) {
		return
	}
	c, last := st.LastCommand, w.stored.Status.LastCommand
	if c != nil && (last == nil || last.ID != c.ID) && c.Result == otav1alpha1.CommandAccepted && (c.Name == command.Rollback || c.Name == command.Allow) {
		w.accepted++
	}
	if r := st.Rollback; r != nil && r.From != "" && r.Order > w.bucket.Orders {
		w.owed[r.Order] = string(r.From)
	}
	if a := st.Allowed; a != nil {
		delete(w.taken, string(a.Digest)) // from here on it may be served again
	}
	w.change(func(ch *otav1alpha1.Channel) { ch.Status = *st.DeepCopy() })
}

// pass is one reconcile, as Reconcile does it.
func (w *world) pass() {
	ch := w.cached.DeepCopy()
	f := serve.Facts{Channel: ch, Repository: w.repo, Committed: w.bucket, Rollouts: []otav1alpha1.Rollout{w.rollout}, Bundles: w.bundles, Now: w.now}
	for _, facts := range []*serve.Facts{nil, &f} {
		if st, _ := serve.Obey(ch, w.now, actor.Trust{Actor: otav1alpha1.ActorVerified}, facts); st != nil {
			w.write(*st)
			return
		}
	}
	o := serve.Next(f)
	if o.Document.Revision != w.bucket.Revision {
		w.submitted = o.Document
	}
	s := &scope{channel: ch, repository: w.repo, facts: f, outcome: o, committed: &release.Committed{Document: w.bucket, At: w.now}}
	ch.Status = project(ch.Status, *s.committed, &o)
	ch.Status.Deviation = deviation(s)
	s.setServing()
	w.write(ch.Status)
}

func (w *world) commit(t *rapid.T) {
	if w.submitted == nil {
		return
	}
	if w.submitted.Revision == w.bucket.Revision+1 { // as the publisher holds it: one writer, one revision after the other
		w.bucket = w.submitted
	}
	w.submitted = nil
	w.check(t)
}

func (w *world) kill() { w.submitted, w.cached = nil, w.stored.DeepCopy() }

// settle lets everything come to rest.
func (w *world) settle(t *rapid.T) {
	for range 30 {
		before, rev := w.stored.ResourceVersion, w.bucket.Revision
		w.cached = w.stored.DeepCopy()
		w.pass()
		w.commit(t)
		if w.stored.ResourceVersion == before && w.bucket.Revision == rev {
			return
		}
	}
	t.Fatalf("does not come to rest: %+v", w.stored.Status)
}

// command gives one.
func (w *world) command(t *rapid.T) {
	w.given++
	n := rapid.IntRange(0, 3).Draw(t, "n")
	args := map[string]string{
		command.Halt: "why", command.Unhalt: "why", command.Allow: string(digestOf(n)) + " why",
		command.Rollback: rapid.SampledFrom([]string{"Stable why", "Embedded why", fmt.Sprintf("Bundle/shop-%d why", n)}).Draw(t, "target"),
	}
	name := rapid.SampledFrom([]string{command.Rollback, command.Rollback, command.Allow, command.Halt, command.Unhalt}).Draw(t, "command")
	w.change(func(ch *otav1alpha1.Channel) {
		ch.Annotations = command.Given{ID: fmt.Sprint(w.given), Name: name, Args: args[name]}.Annotations()
	})
}

// disturb does one random thing.
func (w *world) disturb(t *rapid.T) {
	switch rapid.IntRange(0, 12).Draw(t, "what") {
	case 0, 1, 2:
		w.pass()
	case 3, 4:
		w.commit(t)
	case 5, 6:
		w.cached = w.stored.DeepCopy()
	case 7:
		w.command(t)
	case 8, 9:
		w.ask(t)
	case 10:
		w.kill()
	case 11:
		if rapid.IntRange(0, 4).Draw(t, "rare") == 0 {
			n := rapid.IntRange(0, 3).Draw(t, "revoked")
			w.bundles[fmt.Sprintf("shop-%d", n)].Spec.Revoked = "CVE"
		}
		w.repo.Status.Halt = rapid.SampledFrom([]*otav1alpha1.Halt{nil, nil, {By: "ben", Reason: "why"}}).Draw(t, "repository halt")
	default:
		w.now = w.now.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "seconds")) * time.Second)
	}
}

// ask makes the Rollout ask for something, as it would: it releases what is not refused, and makes stable what it has offered.
func (w *world) ask(t *rapid.T) {
	st := w.stored.Status
	a := w.rollout.Status.Assignment
	if a != nil && a.State == otav1alpha1.AssignmentCandidate && offers(st, a.Digest) && st.Candidate.Release == a.Release && rapid.Bool().Draw(t, "promote") {
		next := *a
		next.State = otav1alpha1.AssignmentPromoted
		w.rollout.Status.Assignment = &next
		return
	}
	n := rapid.IntRange(0, 3).Draw(t, "bundle")
	next := &otav1alpha1.Assignment{Release: 1, Bundle: fmt.Sprintf("shop-%d", n), Digest: digestOf(n), State: otav1alpha1.AssignmentCandidate, Weight: "10", Salt: "s"}
	if a != nil {
		next.Release = a.Release + 1
	}
	next.Salt = fmt.Sprint("salt", next.Release)
	if rapid.IntRange(0, 3).Draw(t, "withdraw") == 0 {
		next.State, next.Weight = otav1alpha1.AssignmentWithdrawn, ""
	}
	w.rollout.Name, w.rollout.Status.Assignment = "shop", next
}

// check holds what the bucket has come to against what people asked for.
func (w *world) check(t *rapid.T) {
	for _, b := range w.bucket.Bundles() {
		if w.taken[b.Digest] {
			t.Fatalf("%s is served again, and nobody has allowed it: %+v", b.Version, w.stored.Status)
		}
	}
	for order, from := range w.owed {
		if order > w.bucket.Orders {
			continue
		}
		if !w.bucket.Refuses(from) {
			t.Fatalf("%s was to be taken back by command %d of %d, and is not refused", from, order, w.bucket.Orders)
		}
		delete(w.owed, order)
		w.taken[from] = true
	}
}

// Whatever happens around it, also a manager that is killed at any instruction and a cache that lags behind: what a person takes back is
// not served again before a person allows it, what is revoked stays so, a halt holds, and each command that was accepted is carried out
// once.
func TestCommands_survive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		w.settle(t)
		for range 120 {
			w.disturb(t)
		}
		w.settle(t)
		st := w.stored.Status
		if id := w.stored.Annotations[otav1alpha1.CommandIDAnnotation]; id != "" && (st.LastCommand == nil || st.LastCommand.ID != id) {
			t.Fatalf("command %s was lost: %+v", id, st.LastCommand)
		}
		if w.accepted != w.bucket.Orders || st.Allowed != nil {
			t.Fatalf("accepted %d commands, carried out %d: %+v, %+v", w.accepted, w.bucket.Orders, st.Rollback, st.Allowed)
		}
		halted := st.Halt != nil || w.repo.Status.Halt != nil
		if halted != (w.bucket.Serving == release.Halted) {
			t.Fatalf("halted: %v, %+v, but serving is %s", st.Halt, w.repo.Status.Halt, w.bucket.Serving)
		}
		for _, b := range w.bucket.Bundles() {
			if w.bundles[b.Name].Spec.Revoked != "" || w.bucket.Refuses(b.Digest) {
				t.Fatalf("serves %s, which is revoked or refused", b.Name)
			}
		}
		if s := st.Stable; s != nil && (w.bucket.Stable == nil || string(s.Digest) != w.bucket.Stable.Digest) {
			t.Fatalf("status says %s is stable, the bucket has %+v", s.Version, w.bucket.Stable)
		}
	})
}

// A person's rollback and allowance, one after the other, with everything in between, leave what they say.
func TestCommands_inOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		w.settle(t)
		give := func(name, args string) {
			w.given++
			w.change(func(ch *otav1alpha1.Channel) {
				ch.Annotations = command.Given{ID: fmt.Sprint(w.given), Name: name, Args: args}.Annotations()
			})
			for range rapid.IntRange(0, 6).Draw(t, "turbulence") {
				rapid.SampledFrom([]func(){w.pass, func() { w.commit(t) }, w.kill, func() { w.cached = w.stored.DeepCopy() }}).Draw(t, "what")()
			}
			w.settle(t)
		}
		to := rapid.SampledFrom([]string{"Stable", "Embedded", "Bundle/shop-0"}).Draw(t, "to")
		give(command.Rollback, to+" why")
		refused := func() bool {
			return slices.ContainsFunc(w.stored.Status.Refused, func(r otav1alpha1.RefusedBundle) bool {
				return r.Digest == digestOf(1) && r.By == "user/"+command.Unverified && r.Reason == "why"
			})
		}
		stable := w.stored.Status.Stable
		if !refused() || (stable == nil) != (to == "Embedded") || stable != nil && stable.Digest != digestOf(0) || w.bucket.Orders != 1 {
			t.Fatalf("%s: %+v, order %d", to, w.stored.Status, w.bucket.Orders)
		}
		if h := w.stored.Status.History; h[0].Digest != digestOf(1) || h[0].Ended != otav1alpha1.RolledBackReason {
			t.Fatalf("the history says %+v", h)
		}
		if d := w.stored.Status.Deviation; d == nil || d.Reason != otav1alpha1.RolledBackReason {
			t.Fatalf("the deviation is %+v", d)
		}
		give(command.Allow, string(digestOf(1))+" mended")
		if refused() || w.bucket.Orders != 2 || w.stored.Status.Allowed != nil || w.stored.Status.Rollback == nil {
			t.Fatalf("%+v, order %d", w.stored.Status, w.bucket.Orders)
		}
	})
}
