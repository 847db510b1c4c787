// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

const shopApp = "com.example.shop"

// incident makes up what happened, writes down what is true of it, and records it as the controllers do.
type incident struct {
	rng     *rand.Rand
	now     time.Time
	records []Record
	truth   []Release
	orders  int
}

func (x *incident) pass() time.Time {
	x.now = x.now.Add(time.Duration(1+x.rng.IntN(3600)) * time.Second)
	return x.now
}

// tell records one transition, at a time of its own.
func (x *incident) tell(r Record) Record {
	r.Sequence = int64(len(x.records) + 1)
	r.ID = fmt.Sprint("id.", r.Sequence)
	if r.At.IsZero() {
		r.At = x.pass()
	}
	if r.App == "" {
		r.App = shopApp
	}
	x.records = append(x.records, r)
	return r
}

// release lives through one release of a bundle on a channel. Its outcome is drawn.
func (x *incident) release(channel string, n int) {
	bundle, digest := fmt.Sprintf("shop-%d", n), fmt.Sprintf("sha256:%064d", n)
	about := Record{Kind: "Rollout", Name: "shop", UID: "uid-" + channel, Channel: channel, Bundle: bundle, Version: fmt.Sprintf("%d.0.0", n), Digest: digest}
	of := func(action, weight string) Record { r := about; r.Action, r.Weight = action, weight; return r }
	x.tell(Record{Kind: "Bundle", Name: bundle, Bundle: bundle, Digest: digest, Action: "BundleReady", Message: "stored and signed by ci"})
	author := fmt.Sprintf("dev-%d@example.com", x.rng.IntN(3))
	begin := of("ReleaseStarted", "0")
	begin.By, begin.Actor = author, otav1alpha1.ActorVerified
	begin = x.tell(begin)
	fact := Release{
		Channel: channel, Rollout: "shop", Bundle: bundle, Version: about.Version, Digest: digest, Signed: "stored and signed by ci",
		By: author, Actor: otav1alpha1.ActorVerified, Started: begin.At, Outcome: "Pending", MaxWeight: "0",
	}
	if x.rng.IntN(3) == 0 {
		approval := of("CommandAccepted", "0")
		approval.By, approval.Actor, approval.Message = "qa@example.com", otav1alpha1.ActorVerified, "approve by qa@example.com"
		approval = x.tell(approval)
		x.orders++
		fact.Approved = []Order{{At: approval.At, By: approval.By, Actor: approval.Actor, Object: "Rollout shop", Action: "CommandAccepted", Message: approval.Message, Record: approval.Sequence}}
	}
	var exposed time.Time
	for i, weight := range []string{"1", "5", "25"}[:1+x.rng.IntN(3)] {
		action := "WeightSet"
		if i == 0 {
			action = "Progressing"
		}
		r := of(action, weight)
		r.Candidate = &otav1alpha1.ArmCounts{Devices: int64(100 * (i + 1)), Failures: int64(x.rng.IntN(20))}
		r = x.tell(r)
		if i == 0 {
			exposed = r.At
		}
		fact.MaxWeight, fact.Outcome = weight, "Progressing"
		fact.Devices, fact.Failures = max(fact.Devices, r.Candidate.Devices), max(fact.Failures, r.Candidate.Failures)
	}
	x.end(&fact, of, exposed)
	x.truth = append(x.truth, fact)
}

func (x *incident) end(t *Release, of func(action, weight string) Record, exposed time.Time) {
	t.Exposure = []Exposure{{From: exposed, As: "candidate"}}
	switch x.rng.IntN(4) {
	case 0: // still going on
	case 1:
		done := x.tell(of("Completed", "100"))
		t.Ended, t.Outcome = done.At, "Completed"
		t.Exposure[0].To = done.At
		t.Exposure = append(t.Exposure, Exposure{From: done.At, As: "stable"})
		x.tell(Record{Kind: "Channel", Name: t.Channel, Channel: t.Channel, Digest: t.Digest, Action: "StableChanged", At: done.At})
		for i := range x.truth {
			if o := &x.truth[i]; o.Channel == t.Channel && o.Outcome == "Completed" && o.Exposure[1].To.IsZero() {
				o.Exposure[1].To = done.At
			}
		}
	case 2:
		back := of("RollingBack", "0")
		back.Message, back.Evidence = t.Bundle+": errors: 9 of 100", []string{"errors Failing: 9 of 100 devices"}
		back = x.tell(back)
		gone := x.tell(of("RolledBack", "0"))
		t.Ended, t.Outcome, t.Why, t.Rests = gone.At, "RolledBack", back.Message, back.Evidence
		t.Exposure[0].To = gone.At
		x.tell(Record{Kind: "Channel", Name: t.Channel, Channel: t.Channel, Digest: t.Digest, Action: "BundleRefused", Message: "refused"})
		x.orders++
	default:
		abort := of("CommandAccepted", "0")
		abort.By, abort.Actor, abort.Message = "admin@example.com", otav1alpha1.ActorUnverified, "abort by admin@example.com: crashes"
		abort = x.tell(abort)
		x.orders++
		back := of("RollingBack", "0")
		back.At, back.By, back.Message = abort.At, abort.By, t.Bundle+": crashes"
		x.tell(back)
		gone := x.tell(of("Aborted", "0"))
		t.Ended, t.Outcome, t.Why = gone.At, "Aborted", back.Message
		t.Exposure[0].To = gone.At
	}
}

// next ends a release that goes on when its Rollout begins another one.
func (x *incident) next(channel string, n int) {
	open := -1
	for i := range x.truth {
		if x.truth[i].Channel == channel && x.truth[i].Ended.IsZero() {
			open = i
		}
	}
	before := len(x.records)
	x.release(channel, n)
	if open < 0 {
		return
	}
	for _, r := range x.records[before:] {
		if r.Action == "ReleaseStarted" {
			o := &x.truth[open]
			o.Ended, o.Outcome, o.Exposure[0].To = r.At, "Superseded", r.At
			return
		}
	}
}

// The report tells of 20 incidents what is true, among records of other apps and in whatever order they came into the log.
func TestStoryIsTrue(t *testing.T) {
	for seed := range uint64(20) {
		x := &incident{rng: rand.New(rand.NewPCG(seed, 7)), now: epoch}
		for n := 1; n <= 3+x.rng.IntN(6); n++ {
			x.next([]string{"production", "beta"}[x.rng.IntN(2)], n)
			x.tell(Record{App: "com.example.other", Kind: "Rollout", Name: "other", UID: "other", Channel: "production", Bundle: "other-1", Action: "ReleaseStarted", By: "jane"})
		}
		x.rng.Shuffle(len(x.records), func(i, j int) { x.records[i], x.records[j] = x.records[j], x.records[i] })
		got := Tell(x.records, shopApp, epoch.Add(-time.Hour), x.now.Add(time.Hour))
		ignore := cmpopts.IgnoreFields(Release{}, "Records", "uid")
		if diff := cmp.Diff(x.truth, got.Releases, ignore, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(Release{})); diff != "" {
			t.Errorf("incident %d (-true +told):\n%s", seed, diff)
		}
		if len(got.Orders) != x.orders {
			t.Errorf("incident %d: %d commands and stops, want %d: %+v", seed, len(got.Orders), x.orders, got.Orders)
		}
		for i := range got.Releases {
			if len(got.Releases[i].Records) < 2 {
				t.Errorf("incident %d: %s rests on records %v", seed, got.Releases[i].Bundle, got.Releases[i].Records)
			}
		}
	}
}

// Only what touches the time is told; what was stable then counts, however old it is.
func TestStoryOfATime(t *testing.T) {
	x := &incident{rng: rand.New(rand.NewPCG(1, 1)), now: epoch}
	of := func(n int, action string) Record {
		return Record{Kind: "Rollout", Name: "shop", UID: "u", Channel: "production", Bundle: fmt.Sprint("shop-", n), Digest: fmt.Sprint("sha256:", n), Action: action, Weight: "5"}
	}
	for n := 1; n <= 3; n++ {
		x.tell(of(n, "ReleaseStarted"))
		x.tell(of(n, "Progressing"))
		done := x.tell(of(n, "Completed"))
		x.tell(Record{Kind: "Channel", Name: "production", Channel: "production", Digest: done.Digest, Action: "StableChanged", At: done.At})
	}
	last := x.records[len(x.records)-1].At
	got := Tell(x.records, shopApp, last.Add(time.Second), last.Add(time.Hour))
	if len(got.Releases) != 1 || got.Releases[0].Bundle != "shop-3" {
		t.Errorf("after the last one: got %+v", got.Releases)
	}
	if got := Tell(x.records, shopApp, epoch.Add(-time.Hour), epoch); len(got.Releases) != 0 {
		t.Errorf("before the first one: got %+v", got.Releases)
	}
}
