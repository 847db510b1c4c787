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

	uid string
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
}

// Tell gives the story of an app in a time from all records of its Repository.
func Tell(records []Record, app string, since, until time.Time) Story {
	t := teller{app: app, signed: map[string]string{}, current: map[string]*Release{}}
	ordered := slices.SortedStableFunc(slices.Values(records), func(a, b Record) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Sequence, b.Sequence)) })
	for i := range ordered {
		if r := &ordered[i]; !r.At.After(until) {
			t.hear(r)
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
	releases []*Release
	orders   []Order
}

func (t *teller) hear(r *Record) {
	if r.App != t.app && r.Kind != "Repository" {
		return
	}
	switch r.Kind {
	case "Bundle":
		if r.Action == "BundleReady" {
			t.signed[r.Name] = r.Message
		}
	case "Channel":
		t.channel(r)
	case "Rollout":
		t.rollout(r)
	}
	if r.By != "" && r.Action != "ReleaseStarted" || slices.Contains(stops, r.Action) {
		t.order(r)
	}
}

// stops are told whoever asked for them.
var stops = []string{"Halted", "Unhalted", "BundleRefused", "FloorRaised", "Revoked", "Deleted", FoldedAction, DamagedAction}

func (t *teller) order(r *Record) {
	o := Order{At: r.At, By: r.By, Actor: r.Actor, Object: r.Kind + " " + r.Name, Action: r.Action, Message: r.Message, Record: r.Sequence}
	if n := len(t.orders); n > 0 && r.Action != "CommandAccepted" && t.orders[n-1].Action == "CommandAccepted" && t.orders[n-1].At.Equal(o.At) && t.orders[n-1].Object == o.Object {
		return // what the command led to
	}
	t.orders = append(t.orders, o)
}

// rollout follows a release from its start to its end.
func (t *teller) rollout(r *Record) {
	now := t.current[r.UID]
	if r.Action == "ReleaseStarted" {
		if now != nil && now.Ended.IsZero() {
			now.end(r.At, "Superseded", "")
		}
		now = &Release{
			Channel: r.Channel, Rollout: r.Name, Bundle: r.Bundle, Version: r.Version, Digest: r.Digest, Signed: t.signed[r.Bundle],
			By: r.By, Actor: r.Actor, Started: r.At, Outcome: "Pending", MaxWeight: "0", uid: r.UID,
		}
		t.current[r.UID] = now
		t.releases = append(t.releases, now)
	}
	if now == nil || r.Bundle != "" && r.Bundle != now.Bundle {
		return
	}
	now.Records = append(now.Records, r.Sequence)
	if r.Candidate != nil {
		now.Devices, now.Failures = max(now.Devices, r.Candidate.Devices), max(now.Failures, r.Candidate.Failures)
	}
	now.weigh(r)
	switch r.Action {
	case "CommandAccepted":
		if isApproval(r) {
			now.Approved = append(now.Approved, Order{At: r.At, By: r.By, Actor: r.Actor, Object: "Rollout " + r.Name, Action: r.Action, Message: r.Message, Record: r.Sequence})
		}
	case "RollingBack":
		now.Outcome, now.Why, now.Rests = "RollingBack", r.Message, r.Evidence
	case "Completed":
		now.end(r.At, "Completed", r.Message)
		now.Rests = r.Evidence
		now.Exposure = append(now.Exposure, Exposure{From: r.At, As: "stable"})
	case "RolledBack", "Aborted", "BundleRefused", "BundleNotAdmitted":
		now.end(r.At, r.Action, cmp.Or(now.Why, r.Message))
		if len(now.Rests) == 0 {
			now.Rests = r.Evidence
		}
	case "Progressing", "Paused", "Promoting":
		now.Outcome = r.Action
	}
}

// isApproval tells an approval from other commands: its message begins with the name of the command.
func isApproval(r *Record) bool {
	return len(r.Message) > 8 && r.Message[:8] == "approve "
}

// weigh notes the share of devices from a record on.
func (x *Release) weigh(r *Record) {
	if !slices.Contains([]string{"Progressing", "WeightSet", "Promoting"}, r.Action) || r.Weight == "" || r.Weight == "0" {
		return
	}
	if heavier(r.Weight, x.MaxWeight) {
		x.MaxWeight = r.Weight
	}
	if len(x.Exposure) == 0 {
		x.Exposure = []Exposure{{From: r.At, As: "candidate"}}
	}
}

// end closes a release: from then on no device is offered its bundle as a candidate.
func (x *Release) end(at time.Time, outcome, why string) {
	x.Ended, x.Outcome, x.Why = at, outcome, why
	x.close(at)
}

func (x *Release) close(at time.Time) {
	if n := len(x.Exposure); n > 0 && x.Exposure[n-1].To.IsZero() {
		x.Exposure[n-1].To = at
	}
}

// channel ends the time in which a bundle was stable.
func (t *teller) channel(r *Record) {
	for _, x := range t.releases {
		if x.Channel != r.Name || x.Outcome != "Completed" {
			continue
		}
		switch {
		case r.Action == "StableChanged" && r.Digest != x.Digest, r.Action == "BundleRefused" && r.Digest == x.Digest, r.Action == "Deleted":
			if n := len(x.Exposure); n > 0 && !r.At.Before(x.Exposure[n-1].From) {
				x.close(r.At)
			}
			if r.Action == "BundleRefused" {
				x.Why = r.Message
				x.Records = append(x.Records, r.Sequence)
			}
		}
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
