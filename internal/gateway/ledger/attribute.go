// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"cmp"
	"time"

	"github.com/windlass-dev/windlass/internal/resolve"
)

const (
	// offerHolds is how long after an offer a report that names no bundle may still mean it.
	offerHolds = millis(24 * time.Hour / time.Millisecond)
	// clockSlack is how far a device's clock may be behind until what it says seems to be of before an offer.
	clockSlack = millis(5 * time.Minute / time.Millisecond)
)

// seriesKey tells series apart.
type seriesKey struct {
	app, channel, digest, trial string
	stage                       int32
	arm                         resolve.Arm
}

func (s *Series) key() seriesKey {
	return seriesKey{s.App, s.Channel, s.Digest, s.Trial, s.Stage, s.Arm}
}

// continues tells whether a series is another one in no more than its stage: devices are counted in both.
func (s *Series) continues(o *Series) bool {
	key := s.key()
	key.stage = o.Stage
	return key == o.key()
}

// candidates gives the series of the candidate's arm in the stage of a trial; without one, it is of nothing.
func (s *Series) candidates() *Series {
	c := *s
	c.Digest, c.Arm = s.Candidate, resolve.Candidate
	return &c
}

// entry is a vote with the series that it is in.
type entry struct {
	series *Series
	vote   vote
	before vote  // as the database has it
	stored bool  // the database has it
	id     int64 // of the series; with stored
}

// told is when the device last heard of the bundle, or ran it.
func (e *entry) told() millis { return max(e.vote.exposedAt, e.vote.offeredAt, e.vote.seenAt) }

// device holds all votes of one device.
type device []*entry

// event is a check or a report, as far as the ledger keeps it.
type event struct {
	device     Pseudonym
	network    Network
	said       said
	series     Series // that a check exposes the device to, or that a report is counted in if no vote fits; see placed
	placed     bool
	report     bool
	digest     string // that the device runs, or that a report names
	version    string // like digest
	afterOffer bool
	blames     string // digest that a failure names; empty: none that is known
	taken      millis // when it came in

	written chan struct{} // of an event that says nothing: closed when all before it are in the database
}

// fromCheck makes e the event of a check.
func (e *event) fromCheck(c *Check) {
	e.device, e.network, e.digest, e.version = c.Device, c.Network, c.RunsDigest, c.RunsVersion
	e.said = said{what: markOf(Exposed), votes: c.Votes, client: c.Client, at: millisOf(c.At), heard: millisOf(c.At)}
	e.series, e.placed = SeriesOf(c.App, c.Channel, &c.Told)
	switch {
	case c.Told.Action == resolve.Update:
		e.said.what |= markOf(Offered)
	case e.placed && c.Told.Reason != resolve.ReasonNoStable:
		e.said.what |= seen
	}
}

// fromReport makes e the event of a report.
func (e *event) fromReport(r *Report) {
	e.report, e.device, e.network, e.digest, e.version = true, r.Device, r.Network, r.Digest, r.Version
	e.series, e.placed, e.afterOffer = r.Assigned, r.Known, r.AfterOffer
	e.said = said{what: markOf(r.Outcome), kind: r.Kind, votes: r.Votes, client: r.Client, at: millisOf(r.At), heard: millisOf(r.At)}
}

// by is the latest time at which the device may have been told of what the event means.
func (e *event) by() millis { return e.said.at + clockSlack }

// only gives what the event says with other marks.
func (e *event) only(what marks) *said {
	s := e.said
	s.what = what
	return &s
}

// apply adds an event to the votes of its device. A vote that is not there yet is made, and counts if there is room for
// another one. It gives false for a report that means no bundle that the ledger knows.
func (d *device) apply(e *event, r rules, room func(*event) bool) bool {
	defer d.inherit(r)
	if !e.report {
		d.applyCheck(e, r, room)
		return true
	}
	if e.afterOffer && !d.waits(e) {
		return true // the plugin says so after each answer: it means nothing
	}
	meant := d.staged(d.meant(e, r), e)
	if meant == nil && e.placed && (e.names() || len(*d) == 0) {
		meant = d.in(e, room)
	}
	if meant == nil {
		return false
	}
	meant.vote.fold(&e.said, r)
	d.heal(meant, &e.said, r)
	return true
}

func (d *device) applyCheck(e *event, r rules, room func(*event) bool) {
	if e.placed {
		in := d.in(e, room)
		in.vote.fold(&e.said, r)
		d.heal(in, &e.said, r)
	}
	d.back(e.said.at, r)
	if ran := d.named(e); ran != nil && e.said.what&seen == 0 {
		ran.vote.fold(e.only(seen), r)
		d.heal(ran, e.only(seen), r)
	}
	if offer, _ := d.offered(e.by()); offer != nil && e.said.what&markOf(Offered) == 0 {
		offer.vote.fold(e.only(answered), r)
	}
}

// back notes a check in all series in which the device has yet to return, whatever it was told: also when another stage has begun,
// or when it went back to another bundle. The last check that is known of the device counts, so that the order of those that are in a
// series makes no difference.
func (d *device) back(at millis, r rules) {
	for _, have := range *d {
		at = max(at, have.vote.checkedAt)
	}
	for _, have := range *d {
		if v := &have.vote; v.exposedAt != 0 && !r.returned(v) {
			v.checkedAt = at
		}
	}
}

// heal lets what speaks for a bundle in one stage make good a failure of just before, in the stage before.
func (d *device) heal(told *entry, s *said, r rules) {
	for _, have := range *d {
		if have != told && have.series.continues(told.series) && r.heals(&have.vote, s) {
			proof := *s
			proof.what &= markOf(Confirmed) | seen
			have.vote.fold(&proof, r)
		}
	}
}

// inherit notes for each vote in an arm since when its device has run the bundle by earlier votes, so that the first check of a stage
// confirms it: fleets that check in every few hours would else need two checks in each stage. A failure that any of those tells of begins
// that anew: only checks after it count. It is a function of what was folded, so that the order of what came in makes no difference; only a vote
// that needs no such help is left as it is, which is most of them, since a device may have many.
func (d *device) inherit(r rules) {
	for _, have := range *d {
		if v := &have.vote; have.series.Arm == resolve.NoArm || v.seenAt == 0 || v.failedAt != 0 || r.confirmedAt(v) != 0 {
			continue
		}
		if since, known := d.ranBefore(have); known { // else old votes were forgotten
			have.vote.ranSince = since
		}
	}
}

// ranBefore gives the first check after the last failure while the device ran the bundle, by the votes before another one; 0: none did.
func (d *device) ranBefore(e *entry) (since millis, known bool) {
	failed := millis(0)
	for _, have := range *d {
		if have.precedes(e) {
			known = true
			last(&failed, have.vote.failureHeardAt)
		}
	}
	if !known {
		return 0, false
	}
	for _, have := range *d {
		if !have.precedes(e) {
			continue
		}
		if at := firstAfter(failed, have.vote.firstSeenAt, have.vote.seenAt); at != 0 { // 0 would undo what another vote tells
			first(&since, at)
		}
	}
	return since, true
}

// precedes tells whether a vote is an earlier one on the same bundle, on the same native build: in an earlier stage, or, for the control,
// of before the trial.
func (e *entry) precedes(o *entry) bool {
	a, b, v, w := e.series, o.series, &e.vote, &o.vote
	if a.Digest != b.Digest || a.App != b.App || a.Channel != b.Channel || v.kind.native != w.kind.native {
		return false
	}
	if a.Trial == b.Trial {
		return a.Arm == b.Arm && a.Stage < b.Stage
	}
	return b.Arm == resolve.Control && v.exposedAt != 0 && v.exposedAt < w.exposedAt
}

// in gives the vote in the event's series, which it makes if need be.
func (d *device) in(e *event, room func(*event) bool) *entry {
	key := e.series.key()
	for _, have := range *d {
		if have.series.key() == key {
			return have
		}
	}
	fresh := &entry{series: &e.series, vote: vote{voting: e.said.votes && room(e)}}
	*d = append(*d, fresh)
	return fresh
}

func (e *event) names() bool { return e.digest != "" || e.version != "" }

// meant finds the vote that a report means: of the bundle that it names, else of the last offer before it, if that is not too old and
// the device did not confirm it since.
func (d *device) meant(e *event, r rules) *entry {
	if e.names() {
		return d.named(e)
	}
	offer, at := d.offered(e.by())
	if offer == nil || e.said.at-at > offerHolds {
		return nil
	}
	for _, have := range *d { // it may have been confirmed in another stage than it was offered in
		if have.series.continues(offer.series) && r.confirmedAt(&have.vote) >= at {
			return nil
		}
	}
	return offer
}

// staged gives the vote of the stage that a report is of: the newest one in which the device had checked when it happened. A failure
// that comes again is of the stage that it was counted in: devices repeat reports that nobody answered. nil gives nil.
func (d *device) staged(meant *entry, e *event) *entry {
	if meant == nil {
		return nil
	}
	found := meant
	for _, have := range *d {
		switch v := &have.vote; {
		case !have.series.continues(meant.series):
		case e.said.what&markOf(Failed) != 0 && v.failedAt == e.said.at:
			return have
		case v.exposedAt > e.said.at:
		case found.vote.exposedAt > e.said.at || have.series.Stage > found.series.Stage:
			found = have
		}
	}
	return found
}

// named finds the vote of the bundle that an event names, by digest before version.
func (d *device) named(e *event) *entry {
	var found *entry
	if e.digest != "" {
		found = d.newest(e.by(), func(s *Series) bool { return s.Digest == e.digest })
	}
	if found == nil && e.version != "" {
		found = d.newest(e.by(), func(s *Series) bool { return s.Version == e.version })
	}
	return found
}

// newest finds the vote of a bundle that the device heard of last, of those that it knew by a time: a late report is of an earlier
// trial. If it knew none by then, its clock is wrong, and the oldest is the best guess.
func (d *device) newest(by millis, match func(*Series) bool) *entry {
	var found, oldest *entry
	for _, have := range *d {
		if !match(have.series) {
			continue
		}
		if have.vote.exposedAt <= by && (found == nil || have.told() >= found.told()) {
			found = have
		}
		if oldest == nil || have.vote.exposedAt < oldest.vote.exposedAt {
			oldest = have
		}
	}
	return cmp.Or(found, oldest)
}

// offeredBy gives when the bundle was offered last, of the offers by a time that are known: the last one, and the first check if that
// was one; 0: none is.
func (v *vote) offeredBy(by millis) millis {
	switch {
	case v.offeredAt <= by:
		return v.offeredAt
	case v.exposedAt <= by && (v.firstSeenAt == 0 || v.firstSeenAt > v.exposedAt): // it did not run, so it was offered
		return v.exposedAt
	}
	return 0
}

// offered finds the last offer that is known of those by a time, and when it was; nil: there was none. An offer made later proves
// nothing of what the device was told before.
func (d *device) offered(by millis) (found *entry, at millis) {
	for _, have := range *d {
		if offeredAt := have.vote.offeredBy(by); offeredAt > at {
			found, at = have, offeredAt
		}
	}
	return found, at
}

// waits tells whether the device's last check was answered with an offer.
func (d *device) waits(e *event) bool {
	offer, at := d.offered(e.by())
	return offer != nil && at > offer.vote.answeredAt
}

// barred tells whether a bundle is not to be offered to the device again. The device need not have a vote on a bundle that it named.
func (d *device) barred(digest string) bool {
	known := false
	for _, have := range *d {
		if have.series.Digest == digest {
			if known = true; have.vote.barred {
				return true
			}
		}
	}
	return !known
}
