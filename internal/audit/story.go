// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// Story is what happened to an app, as the log tells it.
type Story struct {
	App      string    `json:"app"`
	Since    time.Time `json:"since"`
	Until    time.Time `json:"until"`
	Releases []Release `json:"releases"` // that devices could get then, or that people asked for; the oldest first
	Orders   []Order   `json:"orders"`   // of people, and stops
}

// Release is one release of a bundle on a channel.
type Release struct {
	Channel string `json:"channel"`
	Rollout string `json:"rollout"`
	Bundle  string `json:"bundle"`
	Version string `json:"version,omitempty"`
	Digest  string `json:"digest,omitempty"`
	Signed  string `json:"signed,omitempty"` // by whom, as the manager verified it

	By       string            `json:"by,omitempty"` // who asked for it; empty: nobody knows
	Actor    otav1alpha1.Actor `json:"actor,omitempty"`
	Approved []Order           `json:"approved,omitempty"`

	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"` // zero: it is under way
	Outcome string    `json:"outcome"`        // the state that it came to
	Why     string    `json:"why,omitempty"`
	Rests   []string  `json:"evidence,omitempty"` // on which the end rests

	MaxWeight string     `json:"maxWeight"` // largest share of the devices, in percent
	Devices   int64      `json:"devices"`   // that reported on it, as far as the release was measured
	Failures  int64      `json:"failures"`  // of them
	Exposure  []Exposure `json:"exposure,omitempty"`

	Records []int64 `json:"records"` // sequences that all of this rests on
	// Folded are the sequences of records that stand for several, some of which may belong to this release: it is told only in part.
	Folded []int64 `json:"folded,omitempty"`

	offered string // as what, while its channel is not halted; empty: not
}

// Exposure is a time in which devices were offered a bundle.
type Exposure struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to,omitzero"` // zero: they still are
	As   string    `json:"as"`          // candidate or stable
}

// Order is what a person asked for, or a stop that took effect.
type Order struct {
	At      time.Time         `json:"at"`
	By      string            `json:"by,omitempty"`
	Actor   otav1alpha1.Actor `json:"actor,omitempty"`
	Object  string            `json:"object"`
	Action  string            `json:"action"`
	Message string            `json:"message,omitempty"`
	Record  int64             `json:"record"`
	Told    []string          `json:"told,omitempty"` // the sentences of a record that stands for several
}

// Tell gives the story of an app in a time from all records of its Repository.
func Tell(records []Record, app string, since, until time.Time) Story {
	t := teller{app: app, signed: map[string]string{}, current: map[string]*Release{}, folded: map[string]int64{}, halted: map[string]bool{}}
	for _, h := range inOrder(records) {
		if !h.At.After(until) {
			t.hear(&h)
		}
	}
	s := Story{App: app, Since: since, Until: until, Releases: []Release{}, Orders: []Order{}}
	for _, r := range t.releases {
		if r.touches(since) {
			s.Releases = append(s.Releases, *r)
		}
	}
	for _, o := range t.orders {
		if !o.At.Before(since) {
			s.Orders = append(s.Orders, o)
		}
	}
	return s
}

// teller goes through the records in the order in which they happened.
type teller struct {
	app      string
	signed   map[string]string   // what was said of a Bundle's signatures, by name
	current  map[string]*Release // by the UID of the Rollout
	folded   map[string]int64    // the last record that stands for several, by the UID of the Rollout
	halted   map[string]bool     // Channels by name; the empty one is the Repository
	releases []*Release
	orders   []Order
}

func (t *teller) hear(h *heard) {
	r := &h.Record
	if r.App != t.app && r.Kind != "Repository" {
		return
	}
	switch r.Kind {
	case "Bundle":
		if r.Action == "BundleReady" {
			t.signed[r.Name] = r.Message
		}
	case "Repository":
		t.halt(r, "")
	case "Channel":
		t.halt(r, r.Name)
		t.channel(h)
	case "Rollout":
		t.rollout(h)
	}
	if !h.sentence && (r.By != "" && r.Action != "ReleaseStarted" || slices.Contains(stops, r.Action)) {
		t.order(r)
	}
}

// stops are told whoever asked for them.
var stops = []string{"Halted", "Unhalted", "BundleRefused", "FloorRaised", "Revoked", "Deleted", FoldedAction, DamagedAction}

func (t *teller) order(r *Record) {
	o := Order{At: r.At, By: r.By, Actor: r.Actor, Object: r.Kind + " " + r.Name, Action: r.Action, Message: r.Message, Record: r.Sequence}
	if r.Action == FoldedAction {
		o.Told = r.Evidence
	}
	if n := len(t.orders); n > 0 && r.Action != "CommandAccepted" && r.Action != FoldedAction && t.orders[n-1].Action == "CommandAccepted" && t.orders[n-1].At.Equal(o.At) && t.orders[n-1].Object == o.Object {
		return // what the command led to
	}
	t.orders = append(t.orders, o)
}

// rollout follows a release from its start to its end.
func (t *teller) rollout(h *heard) {
	r := &h.Record
	now := t.current[r.UID]
	if r.Action == FoldedAction {
		t.folded[r.UID] = r.Sequence
	}
	if r.Action == "ReleaseStarted" || t.missed(r, now) {
		now = t.begin(r, now)
	}
	if now == nil || r.Bundle != "" && r.Bundle != now.Bundle || !now.Ended.IsZero() {
		return
	}
	now.Records = append(now.Records, r.Sequence)
	if h.sentence || r.Action == FoldedAction || t.missed(r, nil) && len(now.Records) == 1 {
		now.inPart(t.folded[r.UID])
	}
	if r.Candidate != nil {
		now.Devices, now.Failures = max(now.Devices, r.Candidate.Devices), max(now.Failures, r.Candidate.Failures)
	}
	t.weigh(now, h)
	t.moves(now, r)
}

// moves is what a record of a release leads to.
func (t *teller) moves(now *Release, r *Record) {
	switch r.Action {
	case "CommandAccepted":
		if isApproval(r) {
			now.Approved = append(now.Approved, Order{At: r.At, By: r.By, Actor: r.Actor, Object: "Rollout " + r.Name, Action: r.Action, Message: r.Message, Record: r.Sequence})
		}
	case "RollingBack":
		now.Outcome, now.Why, now.Rests = "RollingBack", r.Message, r.Evidence
	case "Progressing", "Paused", "Promoting":
		now.Outcome = r.Action
	default:
		t.ends(now, r)
	}
}

// ends closes a release by the record of its end. That of a Rollout which is deleted is its end, too: its Channel withdraws the bundle.
func (t *teller) ends(now *Release, r *Record) {
	switch r.Action {
	case "Completed":
		t.end(now, r.At, "Completed", r.Message)
		now.Rests = r.Evidence
		t.offer(now, "stable", r.At)
	case "RolledBack", "Aborted", "BundleRefused", "BundleNotAdmitted", "Deleted":
		t.end(now, r.At, r.Action, cmp.Or(now.Why, r.Message))
		if len(now.Rests) == 0 {
			now.Rests = r.Evidence
		}
	}
}

// begin is the start of a release. One of the same Rollout that goes on gives way to it; its end may be among what was folded.
func (t *teller) begin(r *Record, before *Release) *Release {
	if before != nil && before.Ended.IsZero() {
		outcome := "Superseded"
		if r.Action != "ReleaseStarted" {
			outcome = "Unknown"
		}
		t.end(before, r.At, outcome, "")
	}
	now := &Release{
		Channel: r.Channel, Rollout: r.Name, Bundle: r.Bundle, Version: r.Version, Digest: r.Digest, Signed: t.signed[r.Bundle],
		Started: r.At, Outcome: "Pending", MaxWeight: "0",
	}
	if r.Action == "ReleaseStarted" {
		now.By, now.Actor = r.By, r.Actor
	}
	t.current[r.UID] = now
	t.releases = append(t.releases, now)
	return now
}

// goesOn are what only a release that has begun can come to.
var goesOn = []string{"Progressing", "WeightSet", "BakeBegan", "Paused", "Promoting", "Completed", "RollingBack", "RolledBack", "Aborted"}

// missed tells whether a record is of a release whose start is among what was folded, and is told only by its number.
func (t *teller) missed(r *Record, now *Release) bool {
	return t.folded[r.UID] > 0 && r.Bundle != "" && (now == nil || now.Bundle != r.Bundle) && slices.Contains(goesOn, r.Action)
}

// isApproval tells an approval from other commands: its message begins with the name of the command.
func isApproval(r *Record) bool {
	return len(r.Message) > 8 && r.Message[:8] == "approve "
}

// weigh notes the share of devices from a record on. A sentence does not tell it.
func (t *teller) weigh(x *Release, h *heard) {
	r := &h.Record
	known := r.Weight != "" && r.Weight != "0"
	if !slices.Contains([]string{"Progressing", "WeightSet", "Promoting"}, r.Action) || !known && !h.sentence {
		return
	}
	if known && heavier(r.Weight, x.MaxWeight) {
		x.MaxWeight = r.Weight
	}
	t.offer(x, "candidate", r.At)
}

// end closes a release: from then on no device is offered its bundle as a candidate.
func (t *teller) end(x *Release, at time.Time, outcome, why string) {
	x.Ended, x.Outcome, x.Why = at, outcome, why
	t.offer(x, "", at)
}

// offer notes as what a bundle is offered from a time on; empty: it is not. Of a channel that is halted nothing is.
func (t *teller) offer(x *Release, as string, at time.Time) {
	x.offered = as
	if t.halted[""] || t.halted[x.Channel] {
		as = ""
	}
	n := len(x.Exposure)
	open := n > 0 && x.Exposure[n-1].To.IsZero()
	if open && x.Exposure[n-1].As != as {
		x.Exposure[n-1].To = at
		open = false
	}
	if as != "" && !open {
		x.Exposure = append(x.Exposure, Exposure{From: at, As: as})
	}
}

// halt stops what is offered from a Channel, or without a name from all of them, and lets it go on.
func (t *teller) halt(r *Record, channel string) {
	if r.Action != "Halted" && r.Action != "Unhalted" {
		return
	}
	t.halted[channel] = r.Action == "Halted"
	for _, x := range t.releases {
		if channel == "" || x.Channel == channel {
			t.offer(x, x.offered, r.At)
		}
	}
}

// channel follows which bundle is stable, and the end of a Channel.
func (t *teller) channel(h *heard) {
	r := &h.Record
	if r.Action == "Deleted" {
		t.halted[r.Name] = false
	}
	back := false
	for _, x := range slices.Backward(t.releases) {
		if x.Channel != r.Name {
			continue
		}
		same := x.is(r)
		if (h.sentence || r.Action == FoldedAction) && x.offered != "" {
			x.inPart(r.Sequence)
		}
		switch {
		case r.Action == "Deleted":
			t.offer(x, "", r.At)
		case x.Outcome != "Completed":
		case r.Action == "StableChanged":
			if same && !back {
				t.offer(x, "stable", r.At)
				back = true
			} else {
				t.offer(x, "", r.At)
			}
		case r.Action == "BundleRefused" && same:
			t.offer(x, "", r.At)
			x.Why = r.Message
			x.Records = append(x.Records, r.Sequence)
		}
	}
}

// is tells whether a record is about the bundle of a release: by its digest, which sentences lack.
func (x *Release) is(r *Record) bool {
	if r.Digest == "" || x.Digest == "" {
		return r.Bundle != "" && r.Bundle == x.Bundle
	}
	return r.Digest == x.Digest
}

// inPart notes that some of a release is told by a record that stands for several.
func (x *Release) inPart(sequence int64) {
	if !slices.Contains(x.Folded, sequence) {
		x.Folded = append(x.Folded, sequence)
	}
}

// touches tells whether a release belongs to what happened since a time.
func (x *Release) touches(since time.Time) bool {
	n := len(x.Exposure)
	return x.Ended.IsZero() || !x.Ended.Before(since) || n > 0 && (x.Exposure[n-1].To.IsZero() || !x.Exposure[n-1].To.Before(since))
}

// heavier compares two percentages as plan.FormatWeight writes them.
func heavier(a, b string) bool {
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	return errX == nil && (errY != nil || x > y)
}
