// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import "time"

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

// vote is what is kept of a device and a bundle. Each field is the smallest or the largest of what events said, or says which
// event that was: so the order of events, and how often one comes, make no difference.
type vote struct {
	voting           bool   // false once an event said so
	exposedAt        millis // first event
	offeredAt        millis // last offer
	answeredAt       millis // last check after an offer that was answered otherwise
	downloadedAt     millis // first
	installedAt      millis // first activation, or first check while it ran
	seenAt           millis // last check while it ran
	readyAt          millis // first word of the app that it is well
	lastReadyAt      millis
	failedAt         millis // last
	failedKind       Kind
	deliveryFailedAt millis // last
	deliveryKind     Kind
	client           Client // as it was told last: native reports tell nothing of it
	clientAt         millis
	updatedAt        millis // last event
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
	at     millis
}

// outcomes is how many there are.
const outcomes = int(DeliveryFailed) + 1

// names of the outcomes, as metrics show them.
var names = [outcomes]string{"exposed", "offered", "downloaded", "installed", "confirmed", "failed", "delivery_failed"}

// fold adds an event to a vote. It is commutative, associative and idempotent.
func (v *vote) fold(s *said) {
	v.voting = v.voting && s.votes
	first(&v.exposedAt, s.at)
	last(&v.updatedAt, s.at)
	if s.client != (Client{}) && (s.at > v.clientAt || s.at == v.clientAt && less(&v.client, &s.client)) {
		v.clientAt, v.client = s.at, s.client
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
	if s.what&seen != 0 {
		last(&v.seenAt, s.at)
	}
	v.foldProof(s)
}

// foldProof adds what speaks for or against the bundle.
func (v *vote) foldProof(s *said) {
	if s.what&markOf(Confirmed) != 0 {
		first(&v.readyAt, s.at)
		last(&v.lastReadyAt, s.at)
	}
	if s.what&markOf(Failed) != 0 {
		lastKind(&v.failedAt, &v.failedKind, s)
	}
	if s.what&markOf(DeliveryFailed) != 0 {
		lastKind(&v.deliveryFailedAt, &v.deliveryKind, s)
	}
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

// less orders clients, so that of two events at one time always the same one is kept.
func less(a, b *Client) bool {
	if a.Plugin != b.Plugin {
		return a.Plugin < b.Plugin
	}
	if a.NativeVersion != b.NativeVersion {
		return a.NativeVersion < b.NativeVersion
	}
	return a.Platform < b.Platform
}

// rules are the times that turn what was kept into a vote.
type rules struct {
	ready  millis // how long a device has to run a bundle until a check proves that it is well
	window millis // how long after a failure a proof still wins
}

// provenAt is when a check proved last that the device runs the bundle well; 0: none did. A check does if the device has run
// the bundle for the ready time: a bundle that does not come up is taken back by the client before.
func (r rules) provenAt(v *vote) millis {
	if v.seenAt != 0 && v.seenAt-v.installedAt >= r.ready {
		return v.seenAt
	}
	return 0
}

// confirmedAt is the last proof that the device runs the bundle well; 0: there is none.
func (r rules) confirmedAt(v *vote) millis { return max(v.lastReadyAt, r.provenAt(v)) }

// voteOf gives Confirmed or Failed, or false for neither. After a failure a proof wins only soon: later the device has gone
// back, and its next try is another story. Of the app's own words the first one counts as well as the last one, so that
// a failure that was made good stays so while the app goes on being well.
func (r rules) voteOf(v *vote) (Outcome, bool) {
	switch {
	case v.failedAt == 0:
		return Confirmed, r.confirmedAt(v) != 0
	case r.healed(v, v.readyAt), r.healed(v, v.lastReadyAt), r.healed(v, r.provenAt(v)):
		return Confirmed, true
	}
	return Failed, true
}

func (r rules) healed(v *vote, proof millis) bool {
	return proof > v.failedAt && proof-v.failedAt <= r.window
}

// tally holds a number for each Outcome.
type tally [outcomes]int64

// counted gives what a vote adds to the counts of its series: 0 or 1 for each outcome, and never both Confirmed and Failed.
func (r rules) counted(v *vote) tally {
	t := r.reached(v)
	t[Confirmed], t[Failed] = 0, 0
	if o, ok := r.voteOf(v); ok && v.voting {
		t[o] = 1
	}
	return t
}

// reached gives the outcomes that the device ever reached, as 0 or 1 each. While it votes, none is lost again.
func (r rules) reached(v *vote) tally {
	if !v.voting {
		return tally{}
	}
	return tally{
		Exposed: one(v.exposedAt), Offered: one(v.offeredAt), Downloaded: one(v.downloadedAt), Installed: one(v.installedAt),
		Confirmed: one(r.confirmedAt(v)), Failed: one(v.failedAt), DeliveryFailed: one(v.deliveryFailedAt),
	}
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
