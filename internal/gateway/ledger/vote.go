// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"cmp"
	"strings"
	"time"
)

// millis is a time in Unix milliseconds; 0 is never.
type millis = int64

func millisOf(t time.Time) millis {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func timeOf(ms millis) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// vote is what is kept of a device and a bundle. There are two clocks: checks tell the server's time, and reports the device's,
// which may be wrong. So what a check proves is held against when a failure came in, and what the app says against when it says that
// it failed.
type vote struct {
	voting           bool   // false once an event said so
	exposedAt        millis // first check; 0: only reports are known
	checkedAt        millis // last check, also one that was told to run something else; see device.back
	offeredAt        millis // last offer
	answeredAt       millis // last check after an offer that was answered otherwise
	downloadedAt     millis // first
	installedAt      millis // first activation, or first check while it ran
	firstSeenAt      millis // first check while it ran
	seenAt           millis // last check while it ran
	ranSince         millis // first check while it ran that earlier votes on the bundle tell of; see device.inherit
	readyAt          millis // last word of the app that it is well; device time
	failedAt         millis // last; device time
	failedKind       Kind
	failureHeardAt   millis // when that failure came in first
	recoveredAt      millis // first word of the app after failedAt that it is well; device time
	provenAt         millis // first check after failureHeardAt that proves the same
	barred           bool   // the client gave the bundle up, and nothing has proved since that it does well
	deliveryFailedAt millis // last
	deliveryKind     Kind
	kind             kind   // at the first check
	client           Client // as it was told last, without what kind has: native reports tell nothing of it
	clientAt         millis
	updatedAt        millis // last event that came in
}

// kind is what tells a device from others that a bundle may do better or worse on. It stays as it was at the first check of the series:
// a device that fails and then gets a new native build or system has failed with the old ones, and a group that devices leave after
// they failed, or join after they did well, proves nothing.
type kind struct{ native, os, region string }

func (k kind) less(o kind) bool {
	return cmp.Or(strings.Compare(k.native, o.native), strings.Compare(k.os, o.os), strings.Compare(k.region, o.region)) < 0
}

// marks says which fields an event concerns: a bit for each Outcome, and these.
type marks uint16

const (
	seen     marks = 1 << (outcomes + iota) // the device ran the bundle when it checked
	answered                                // a check was answered with something else than an offer
)

func markOf(o Outcome) marks { return 1 << o }

// said is an event, as far as it concerns one vote.
type said struct {
	what   marks
	kind   Kind // with Failed and DeliveryFailed
	votes  bool
	client Client
	at     millis // of a report by the device's clock
	heard  millis // when it came in
}

// outcomes is how many there are.
const outcomes = int(Returned) + 1

// names of the outcomes, as metrics show them.
var names = [outcomes]string{"exposed", "offered", "downloaded", "installed", "confirmed", "failed", "delivery_failed", "returned"}

// fold adds an event to a vote. Any order of events, and any repetition, gives the same, but for three fields: recoveredAt, provenAt
// and barred are what they should be when events come in the order of their times, whatever comes again later. In another order a proof
// may be overlooked, so that a vote that should be Confirmed is Failed; never the reverse.
func (v *vote) fold(s *said, r rules) {
	v.voting = v.voting && s.votes
	last(&v.updatedAt, s.heard)
	if c := (Client{Platform: s.client.Platform, NativeVersion: s.client.NativeVersion, Plugin: s.client.Plugin}); c != (Client{}) &&
		(s.heard > v.clientAt || s.heard == v.clientAt && less(&v.client, &c)) {
		v.clientAt, v.client = s.heard, c
	}
	if s.what&markOf(Exposed) != 0 {
		v.foldCheck(s)
	}
	if s.what&markOf(Offered) != 0 {
		last(&v.offeredAt, s.at)
	}
	if s.what&answered != 0 {
		last(&v.answeredAt, s.at)
	}
	if s.what&markOf(Downloaded) != 0 {
		first(&v.downloadedAt, s.at)
	}
	if s.what&(markOf(Installed)|seen) != 0 {
		first(&v.installedAt, s.at)
	}
	if s.what&markOf(DeliveryFailed) != 0 {
		lastKind(&v.deliveryFailedAt, &v.deliveryKind, s)
	}
	v.foldFailure(s, r)
	v.foldProof(s, r)
	if r.healed(v) {
		v.barred = false
	}
}

func (v *vote) foldCheck(s *said) {
	k := kind{s.client.NativeVersion, s.client.OSVersion, s.client.Region}
	if v.exposedAt == 0 || s.at < v.exposedAt || s.at == v.exposedAt && k.less(v.kind) {
		v.kind = k
	}
	first(&v.exposedAt, s.at)
	last(&v.checkedAt, s.at)
}

// foldFailure adds what speaks against the bundle. A new failure leaves only the proofs that came after it.
func (v *vote) foldFailure(s *said, r rules) {
	if s.what&markOf(Failed) == 0 {
		return
	}
	if s.at >= v.failedAt || s.at >= v.readyAt { // else it comes again, or late: the app has come up since
		v.barred = v.barred || s.kind.bars()
	}
	switch {
	case s.at > v.failedAt:
		v.failedAt, v.failedKind, v.failureHeardAt = s.at, s.kind, s.heard
		v.recoveredAt = firstAfter(v.failedAt, v.recoveredAt, v.readyAt)
	case s.at == v.failedAt:
		v.failedKind = max(v.failedKind, s.kind)
		first(&v.failureHeardAt, s.heard)
	}
	v.provenAt = firstAfter(v.failureHeardAt, v.provenAt, r.provenAt(v))
}

// foldProof adds what speaks for the bundle.
func (v *vote) foldProof(s *said, r rules) {
	if s.what&markOf(Confirmed) != 0 {
		last(&v.readyAt, s.at)
		if v.failedAt != 0 && s.at > v.failedAt {
			first(&v.recoveredAt, s.at)
		}
	}
	if s.what&seen != 0 {
		first(&v.firstSeenAt, s.at)
		last(&v.seenAt, s.at)
		if v.failedAt != 0 && s.at > v.failureHeardAt && s.at-v.firstSeenAt >= r.ready {
			first(&v.provenAt, s.at)
		}
	}
}

// firstAfter gives the first of two times that is after another one; 0: none is.
func firstAfter(after, a, b millis) (found millis) {
	for _, at := range [...]millis{a, b} {
		if at > after {
			first(&found, at)
		}
	}
	return found
}

func first(register *millis, at millis) {
	if *register == 0 || at < *register {
		*register = at
	}
}

func last(register *millis, at millis) { *register = max(*register, at) }

func lastKind(register *millis, kind *Kind, s *said) {
	if s.at > *register || s.at == *register && s.kind > *kind {
		*register, *kind = s.at, s.kind
	}
}

// told is what is known of the device.
func (v *vote) told() Client {
	c := v.client
	c.OSVersion, c.Region = v.kind.os, v.kind.region
	return c
}

// less orders clients, so that of two events at one time always the same one is kept.
func less(a, b *Client) bool {
	return cmp.Or(strings.Compare(a.Plugin, b.Plugin), strings.Compare(a.NativeVersion, b.NativeVersion), strings.Compare(a.Platform, b.Platform)) < 0
}

// rules are the times that turn what was kept into a vote. The database has them, so that all who write to it count alike.
type rules struct {
	ready  millis // between two checks of a device that runs a bundle, until they prove that it is well
	window millis // how long after a failure a proof still wins; also, between two checks of any device, until it has returned
}

// provenAt is when a check proved last that the device runs the bundle well; 0: none did. A check does if an earlier one, at least the
// ready time before, found the device running the bundle: one that does not come up is taken back by the client before.
func (r rules) provenAt(v *vote) millis {
	if v.firstSeenAt != 0 && v.seenAt-v.firstSeenAt >= r.ready {
		return v.seenAt
	}
	return 0
}

// confirmedAt is the last proof that the device runs the bundle well; 0: there is none.
func (r rules) confirmedAt(v *vote) millis { return max(v.readyAt, r.provenAt(v)) }

// returned tells whether the device came back: whether any check came in so long after its first one in the series that the update had come up
// or failed by then. That is less than to do well: a device that went back to another bundle returns, and so does one whose app opens on a white page. Who does
// not return may be broken so that it cannot even tell, or is not used any more; only a comparison with the other arm tells these apart.
// The checks of an app that starts, downloads, installs and starts again are none of a device that came back: with those, an update that
// the app never comes up from would not be seen.
func (r rules) returned(v *vote) bool {
	return v.exposedAt != 0 && v.checkedAt-v.exposedAt >= max(r.ready, r.window)
}

// ranOn tells whether a check proved that the device runs the bundle well, as it did in an earlier stage. It makes no failure good.
func (r rules) ranOn(v *vote) bool { return v.ranSince != 0 && v.seenAt-v.ranSince >= r.ready }

// voteOf gives Confirmed or Failed, or false for neither. After a failure that is no crash a proof wins, but only soon: later the device has gone
// back, and its next try is another story. What was made good once stays so until the next failure.
func (r rules) voteOf(v *vote) (Outcome, bool) {
	switch {
	case v.failedAt == 0:
		return Confirmed, r.confirmedAt(v) != 0 || r.ranOn(v)
	case r.healed(v):
		return Confirmed, true
	}
	return Failed, true
}

// healed tells whether a failure was made good. A crash never is: that the app starts again after it proves nothing.
func (r rules) healed(v *vote) bool {
	if v.failedKind == KindCrash {
		return false
	}
	return v.recoveredAt != 0 && v.recoveredAt-v.failedAt <= r.window || v.provenAt != 0 && v.provenAt-v.failureHeardAt <= r.window
}

// heals tells whether something that was said may make the failure good.
func (r rules) heals(v *vote, s *said) bool {
	soon := func(after, at millis) bool { return at > after && at-after <= r.window }
	return v.failedAt != 0 && v.failedKind != KindCrash && !r.healed(v) &&
		(s.what&markOf(Confirmed) != 0 && soon(v.failedAt, s.at) || s.what&seen != 0 && soon(v.failureHeardAt, s.at))
}

// tally holds a number for each Outcome, and at failedOnce another one.
type tally [outcomes + 1]int64

// failedOnce is where a tally has the devices that ever failed, also when that was made good. A vote may heal; this never falls while a
// device votes, as the sequential tests need it: counts that go up and down are no martingale.
const failedOnce = outcomes

// counted gives what a vote adds to the counts of its series: 0 or 1 for each outcome, and never both Confirmed and Failed.
func (r rules) counted(v *vote) tally {
	t := r.reached(v)
	t[Confirmed], t[Failed] = 0, 0
	if o, ok := r.voteOf(v); ok && v.voting {
		t[o] = 1
	}
	return t
}

// reached gives the outcomes that the device ever reached in the series, as 0 or 1 each. While it votes, none is lost again: what an earlier
// stage proves is not in it, since a failure there that is told late takes that back.
func (r rules) reached(v *vote) tally {
	if !v.voting {
		return tally{}
	}
	t := tally{
		Exposed: one(v.updatedAt), Offered: one(v.offeredAt), Downloaded: one(v.downloadedAt), Installed: one(v.installedAt),
		Confirmed: one(r.confirmedAt(v)), Failed: one(v.failedAt), DeliveryFailed: one(v.deliveryFailedAt),
		failedOnce: one(v.failedAt),
	}
	if r.returned(v) {
		t[Returned] = 1
	}
	return t
}

func one(at millis) int64 {
	if at == 0 {
		return 0
	}
	return 1
}

// plus and minus add up tallies.
func (t tally) plus(o tally) tally {
	for i, n := range o {
		t[i] += n
	}
	return t
}

func (t tally) minus(o tally) tally {
	for i, n := range o {
		t[i] -= n
	}
	return t
}
