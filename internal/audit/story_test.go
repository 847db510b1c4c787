// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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

	lives  map[string]int  // Rollouts that were deleted, by channel: another one has another UID
	active map[string]int  // place in truth of the release that is offered as a candidate, by channel
	stable map[string]int  // and of the one that is stable
	halted map[string]bool // channels, and the empty name for the Repository
}

// offers writes down what is offered from now on: what is true of exposure, by the state of the world and not by records.
func (x *incident) offers(at time.Time) {
	for i := range x.truth {
		t, as := &x.truth[i], ""
		if n, ok := x.stable[t.Channel]; ok && n == i {
			as = "stable"
		}
		if n, ok := x.active[t.Channel]; ok && n == i {
			as = "candidate"
		}
		if x.halted[""] || x.halted[t.Channel] {
			as = ""
		}
		n := len(t.Exposure)
		open := n > 0 && t.Exposure[n-1].To.IsZero()
		if open && t.Exposure[n-1].As == as {
			continue
		}
		if open {
			t.Exposure[n-1].To = at
		}
		if as != "" {
			t.Exposure = append(t.Exposure, Exposure{From: at, As: as})
		}
	}
}

// halts stops a channel, or with an empty name all of them, or lets them go on.
func (x *incident) halts(channel string) {
	r := Record{Kind: "Channel", Name: channel, Channel: channel, Action: "Halted", Message: "no device is offered anything"}
	if channel == "" {
		r.Kind, r.Name, r.App = "Repository", "default", "none"
	}
	if x.halted[channel] {
		r.Action = "Unhalted"
	}
	r = x.tell(r)
	x.orders++
	x.halted[channel] = !x.halted[channel]
	x.offers(r.At)
}

// goes deletes the Rollout of a channel, or the Channel.
func (x *incident) goes(kind, channel string) {
	r := Record{Kind: kind, Name: channel, Channel: channel, Action: "Deleted", Message: kind + " is deleted"}
	if kind == "Rollout" {
		r.Name, r.UID = "shop", x.uid(channel)
	}
	r = x.tell(r)
	x.orders++
	delete(x.active, channel)
	if kind == "Channel" {
		delete(x.stable, channel)
		delete(x.halted, channel)
		x.offers(r.At)
		return
	}
	x.lives[channel]++
	for i := range x.truth {
		if t := &x.truth[i]; t.Channel == channel && t.Ended.IsZero() {
			t.Ended, t.Outcome, t.Why = r.At, "Deleted", r.Message
		}
	}
	x.offers(r.At)
}

func (x *incident) uid(channel string) string {
	return fmt.Sprintf("uid-%s-%d", channel, x.lives[channel])
}

// happens is what may come between two steps of a release.
func (x *incident) happens(channel string) {
	switch x.rng.IntN(8) {
	case 0:
		x.halts(channel)
	case 1:
		x.halts("")
	}
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
	about := Record{Kind: "Rollout", Name: "shop", UID: x.uid(channel), Channel: channel, Bundle: bundle, Version: fmt.Sprintf("%d.0.0", n), Digest: digest}
	of := func(action, weight string) Record { r := about; r.Action, r.Weight = action, weight; return r }
	x.tell(Record{Kind: "Bundle", Name: bundle, Bundle: bundle, Digest: digest, Action: "BundleReady", Message: "stored and signed by ci"})
	author := fmt.Sprintf("dev-%d@example.com", x.rng.IntN(3))
	begin := of("ReleaseStarted", "0")
	begin.By, begin.Actor = author, otav1alpha1.ActorVerified
	begin = x.tell(begin)
	delete(x.active, channel)
	x.offers(begin.At)
	for i := range x.truth {
		if o := &x.truth[i]; o.Channel == channel && o.Ended.IsZero() {
			o.Ended, o.Outcome = begin.At, "Superseded"
		}
	}
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
	x.truth = append(x.truth, fact)
	mine := len(x.truth) - 1
	for i, weight := range []string{"1", "5", "25"}[:1+x.rng.IntN(3)] {
		action := "WeightSet"
		if i == 0 {
			action = "Progressing"
		}
		r := of(action, weight)
		r.Candidate = &otav1alpha1.ArmCounts{Devices: int64(100 * (i + 1)), Failures: int64(x.rng.IntN(20))}
		r = x.tell(r)
		x.active[channel] = mine
		x.offers(r.At)
		fact := &x.truth[mine]
		fact.MaxWeight, fact.Outcome = weight, "Progressing"
		fact.Devices, fact.Failures = max(fact.Devices, r.Candidate.Devices), max(fact.Failures, r.Candidate.Failures)
		x.happens(channel)
	}
	x.end(mine, of)
}

func (x *incident) end(mine int, of func(action, weight string) Record) {
	t := &x.truth[mine]
	switch x.rng.IntN(6) {
	case 0: // still going on
	case 4:
		x.goes("Rollout", t.Channel)
	case 5:
		x.goes("Channel", t.Channel)
		x.goes("Rollout", t.Channel)
	case 1:
		done := x.tell(of("Completed", "100"))
		t.Ended, t.Outcome = done.At, "Completed"
		delete(x.active, t.Channel)
		before, had := x.stable[t.Channel]
		x.stable[t.Channel] = mine
		x.offers(done.At)
		x.tell(Record{Kind: "Channel", Name: t.Channel, Channel: t.Channel, Bundle: t.Bundle, Digest: t.Digest, Action: "StableChanged", At: done.At})
		if had && x.rng.IntN(3) == 0 { // a person takes it back
			old := &x.truth[before]
			r := x.tell(Record{Kind: "Channel", Name: t.Channel, Channel: t.Channel, Bundle: old.Bundle, Digest: old.Digest, Action: "StableChanged"})
			x.stable[t.Channel] = before
			x.offers(r.At)
		}
	case 2:
		back := of("RollingBack", "0")
		back.Message, back.Evidence = t.Bundle+": errors: 9 of 100", []string{"errors Failing: 9 of 100 devices"}
		back = x.tell(back)
		gone := x.tell(of("RolledBack", "0"))
		t.Ended, t.Outcome, t.Why, t.Rests = gone.At, "RolledBack", back.Message, back.Evidence
		delete(x.active, t.Channel)
		x.offers(gone.At)
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
		delete(x.active, t.Channel)
		x.offers(gone.At)
	}
}

func newIncident(seed uint64) *incident {
	x := &incident{rng: rand.New(rand.NewPCG(seed, 7)), now: epoch, lives: map[string]int{}, active: map[string]int{}, stable: map[string]int{}, halted: map[string]bool{}}
	for n := 1; n <= 3+x.rng.IntN(6); n++ {
		channel := []string{"production", "beta"}[x.rng.IntN(2)]
		x.release(channel, n)
		x.tell(Record{App: "com.example.other", Kind: "Rollout", Name: "other", UID: "other", Channel: "production", Bundle: "other-1", Action: "ReleaseStarted", By: "jane"})
		x.happens(channel)
	}
	return x
}

// folded is the log with a run of records of one object as one that stands for them, as the outbox folds them. The sequences of the others stay.
func (x *incident) folded(kind string) (out []Record, sequence int64, bundles map[string]bool) {
	var mine []int
	for i, r := range x.records {
		if r.Kind == kind && r.Channel == "production" && r.App == shopApp && (len(mine) == 0 || x.records[mine[0]].UID == r.UID) {
			mine = append(mine, i)
		}
	}
	if len(mine) < 3 {
		return nil, 0, nil
	}
	from := x.rng.IntN(len(mine) - 2)
	mine = mine[from:min(len(mine), from+2+x.rng.IntN(maxEvidence-2))]
	var told []string
	gone := map[int]bool{}
	bundles = map[string]bool{}
	for _, i := range mine {
		r := x.records[i]
		told = append(told, sentence(&otav1alpha1.PendingRecord{
			At: &metav1.MicroTime{Time: r.At}, Action: r.Action, Message: r.Message, By: r.By, Actor: r.Actor, Bundle: r.Bundle,
		}))
		gone[i] = true
		bundles[r.Bundle] = true
	}
	last := x.records[mine[len(mine)-1]]
	record := Record{
		Sequence: last.Sequence, ID: last.ID + "+", At: x.records[mine[0]].At, Kind: kind, Name: last.Name, UID: last.UID, App: shopApp, Channel: last.Channel,
		Action: FoldedAction, Message: "transitions while the log could not be written", Evidence: told,
	}
	for i, r := range x.records {
		if !gone[i] {
			out = append(out, r)
		}
	}
	return append(out, record), last.Sequence, bundles
}

// The report tells of 200 incidents what is true, among records of other apps and in whatever order they came into the log.
func TestStoryIsTrue(t *testing.T) {
	for seed := range uint64(200) {
		x := newIncident(seed)
		x.rng.Shuffle(len(x.records), func(i, j int) { x.records[i], x.records[j] = x.records[j], x.records[i] })
		got := Tell(x.records, shopApp, epoch.Add(-time.Hour), x.now.Add(time.Hour))
		ignore := cmpopts.IgnoreFields(Release{}, "Records")
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

// Where records were folded, the story tells the same releases, ends and exposures, says which it tells in part, and shows the sentences.
func TestStoryOfFolded(t *testing.T) {
	told := 0
	for seed := range uint64(200) {
		x := newIncident(seed)
		for _, kind := range []string{"Rollout", "Channel"} {
			records, sequence, bundles := x.folded(kind)
			if sequence == 0 {
				continue
			}
			told++
			got := Tell(records, shopApp, epoch.Add(-time.Hour), x.now.Add(time.Hour))
			ignore := cmpopts.IgnoreFields(Release{}, "Records", "Folded", "Version", "Digest", "MaxWeight", "Devices", "Failures", "Rests", "Approved")
			if diff := cmp.Diff(x.truth, got.Releases, ignore, cmpopts.EquateEmpty(), cmpopts.EquateApproxTime(time.Second), cmpopts.IgnoreUnexported(Release{})); diff != "" {
				t.Errorf("incident %d, %s (-true +told):\n%s", seed, kind, diff)
			}
			for _, r := range got.Releases {
				if kind == "Rollout" && r.Channel == "production" && bundles[r.Bundle] && !slices.Contains(r.Folded, sequence) {
					t.Errorf("incident %d: %s is not said to be told in part", seed, r.Bundle)
				}
				if len(r.Folded) > 0 && r.Channel != "production" {
					t.Errorf("incident %d: %s of another channel is said to be told in part", seed, r.Bundle)
				}
			}
			if !slices.ContainsFunc(got.Orders, func(o Order) bool { return o.Record == sequence && len(o.Told) > 1 }) {
				t.Errorf("incident %d: the sentences of record %d are not told: %+v", seed, sequence, got.Orders)
			}
		}
	}
	if told < 50 {
		t.Errorf("only %d logs had something to fold", told)
	}
}

// A release whose start is only counted begins with the first record that there is of it; what came of the one before is not known.
func TestStoryOfCounted(t *testing.T) {
	x := &incident{rng: rand.New(rand.NewPCG(1, 1)), now: epoch}
	of := func(n int, action string) Record {
		return Record{Kind: "Rollout", Name: "shop", UID: "u", Channel: "production", Bundle: fmt.Sprint("shop-", n), Action: action, Weight: "5"}
	}
	x.tell(of(1, "ReleaseStarted"))
	x.tell(of(1, "Progressing"))
	lost := of(0, FoldedAction)
	lost.Bundle, lost.Evidence = "", []string{"no sentence"}
	lost = x.tell(lost)
	rises := x.tell(of(2, "WeightSet"))
	got := Tell(x.records, shopApp, epoch, x.now).Releases
	if len(got) != 2 || got[0].Outcome != "Unknown" || got[1].Bundle != "shop-2" || got[1].MaxWeight != "5" || !got[1].Started.Equal(rises.At) {
		t.Fatalf("got %+v", got)
	}
	for _, r := range got {
		if !slices.Equal(r.Folded, []int64{lost.Sequence}) {
			t.Errorf("%s is told in part by %v", r.Bundle, r.Folded)
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
