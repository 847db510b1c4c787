// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
)

// FoldedAction is the action of a record that stands for several: more happened than status has room for while the bucket could not
// be written. Its evidence has a sentence for each of them.
const FoldedAction = "RecordsFolded"

const (
	maxWaiting = 32 // records in status.unrecorded
	// maxSubmitted is how many of them, the oldest, the log is asked for at a time. Only what it was never asked for is folded: else a
	// transition could be told by itself and in a fold. The place in the status says so also after a restart.
	maxSubmitted = 8
	minSingle    = 8   // records, the last ones, that are not folded
	maxEvidence  = 16  // sentences of a record
	maxSentence  = 512 // bytes
)

// Subject is the object whose transitions are recorded.
type Subject struct {
	Kind       string
	Object     metav1.Object
	App        string
	Channel    string
	Repository types.NamespacedName // whose log it is; without a name, nobody knows
}

// Logs finds the log of a Repository. False: it is not open. *Set is one.
type Logs interface {
	For(repository types.NamespacedName) (*Log, bool)
}

// Outbox moves what waits in status.unrecorded into the log. Its zero value records nothing: for tests of other things.
type Outbox struct{ Logs Logs }

func (o Outbox) log(s Subject) (*Log, bool) {
	if o.Logs == nil || s.Repository.Name == "" {
		return nil, false
	}
	return o.Logs.For(s.Repository)
}

// at is the object as it was when a transition happened: what it belonged to may be gone since, or be another one.
func (s Subject) at(p *otav1alpha1.PendingRecord) Subject {
	if p.Repository != "" {
		s.App, s.Channel = p.App, p.Channel
		s.Repository = types.NamespacedName{Namespace: s.Object.GetNamespace(), Name: p.Repository}
	}
	return s
}

// recorded tells whether the log has a transition.
func (o Outbox) recorded(s Subject, p *otav1alpha1.PendingRecord) bool {
	log, open := o.log(s.at(p))
	return open && log.Recorded(p.ID)
}

// Next gives status.unrecorded as it is to be written: what waited and is not in the log yet, and the transitions that the same
// write brings.
func (o Outbox) Next(s Subject, waiting []otav1alpha1.PendingRecord, told []kit.Event, now time.Time) []otav1alpha1.PendingRecord {
	if o.Logs == nil {
		return waiting
	}
	var out []otav1alpha1.PendingRecord
	for i := range waiting {
		if !o.recorded(s, &waiting[i]) {
			out = append(out, waiting[i])
		}
	}
	for i := range told {
		out = append(out, pending(s, &told[i], i, now))
	}
	return fold(out)
}

// Submit asks the log for the oldest of what a status that was written, or read, has waiting. Once it has them it wakes the object, whose
// next status has others as the oldest.
func (o Outbox) Submit(s Subject, waiting []otav1alpha1.PendingRecord) {
	o.submit(s, waiting[:min(len(waiting), maxSubmitted)])
}

func (o Outbox) submit(s Subject, waiting []otav1alpha1.PendingRecord) {
	for i := range waiting {
		about := s.at(&waiting[i])
		if log, open := o.log(about); open {
			log.Submit(about.record(&waiting[i]))
		}
	}
}

// Patience is how long a deleted object waits for the log to have its records, as long as it has a Repository that stays.
const Patience = time.Minute

// Drained tells whether a deleted object can go: the log has what waited, and that the object is gone. It does not wait for a log
// that nobody can open, nor for ever.
func (o Outbox) Drained(ctx context.Context, c client.Reader, s Subject, waiting []otav1alpha1.PendingRecord, gone kit.Event) (bool, error) {
	deleted := s.Object.GetDeletionTimestamp()
	if o.Logs == nil || s.Repository.Name == "" || deleted == nil {
		return true, nil
	}
	last := pending(s, &gone, 0, deleted.Time)
	last.ID = string(s.Object.GetUID()) + ".gone"
	waiting = slices.DeleteFunc(append(slices.Clone(waiting), last), func(p otav1alpha1.PendingRecord) bool { return o.recorded(s, &p) })
	if len(waiting) == 0 {
		return true, nil
	}
	o.submit(s, waiting) // all of them: nothing is folded any more
	repo, err := kit.Find(ctx, c, s.Repository, &otav1alpha1.Repository{})
	if err != nil {
		return false, err
	}
	return repo == nil || !repo.DeletionTimestamp.IsZero() || clock.RealClock{}.Since(deleted.Time) > Patience, nil
}

// pending is a transition as it waits. Its id is that of the object and of what it was decided on, which can be written over once, and
// of the moment, since a status that was restored from a backup is written over again.
func pending(s Subject, e *kit.Event, index int, now time.Time) otav1alpha1.PendingRecord {
	at := now.UTC().Truncate(time.Microsecond)
	return otav1alpha1.PendingRecord{
		ID: fmt.Sprintf("%s.%s.%d.%d", s.Object.GetUID(), s.Object.GetResourceVersion(), at.UnixMicro(), index), At: &metav1.MicroTime{Time: at},
		Action: e.Reason, Message: kit.Clip(e.Note, 1024), By: kit.Clip(e.By, 256), Actor: e.Actor,
		Bundle: e.Bundle, Version: e.Version, Digest: e.Digest, Weight: e.Weight,
		Evidence: sentences(e.Evidence), Candidate: e.Candidate, Control: e.Control,
		App: s.App, Channel: s.Channel, Repository: s.Repository.Name,
	}
}

// sentences keeps evidence within what the API server takes: a status must never be refused for what it has to tell.
func sentences(evidence []string) []string {
	var out []string
	for _, text := range evidence {
		if text != "" && len(out) < maxEvidence {
			out = append(out, kit.Clip(text, maxSentence))
		}
	}
	return out
}

func (s Subject) record(p *otav1alpha1.PendingRecord) Record {
	r := Record{
		ID: p.ID, Kind: s.Kind, Namespace: s.Object.GetNamespace(), Name: s.Object.GetName(), UID: string(s.Object.GetUID()),
		App: s.App, Channel: s.Channel, Action: p.Action, Message: p.Message, By: p.By, Actor: p.Actor,
		Bundle: p.Bundle, Version: string(p.Version), Digest: string(p.Digest), Weight: string(p.Weight),
		Evidence: p.Evidence, Candidate: p.Candidate, Control: p.Control,
	}
	if p.At != nil {
		r.At = p.At.UTC()
	}
	return r
}

// fold keeps what waits within its bound. The first maxSubmitted stay as they are, since the log may have them already. Behind them the
// oldest become sentences of records that stand for several; of these the oldest two become one when even they are too many, and
// the number of what they stand for stays.
func fold(waiting []otav1alpha1.PendingRecord) []otav1alpha1.PendingRecord {
	for len(waiting) > maxWaiting {
		first := maxSubmitted // record of its own
		for first < len(waiting) && waiting[first].Action == FoldedAction {
			first++
		}
		at := maxSubmitted
		switch full := len(waiting[first-1].Evidence) == maxEvidence; {
		case first > maxSubmitted && !full && first < len(waiting):
			at = first - 1 // one more sentence for the last that is folded
		case len(waiting)-first > minSingle:
			at = first // two begin another one
		}
		waiting = slices.Replace(waiting, at, at+2, merge(waiting[at], waiting[at+1]))
	}
	return waiting
}

// folded is a record that stands for another one, and that more are added to. It has the time of the first of them, and an id that tells
// how many they are: one that stands for more is another record.
func folded(p otav1alpha1.PendingRecord) otav1alpha1.PendingRecord {
	if p.Action == FoldedAction {
		return p
	}
	return otav1alpha1.PendingRecord{
		ID: p.ID, At: p.At, Action: FoldedAction, App: p.App, Channel: p.Channel, Repository: p.Repository, Evidence: []string{sentence(&p)},
	}
}

// standsFor gives a folded record its id and its message.
func standsFor(p otav1alpha1.PendingRecord, first string, transitions int) otav1alpha1.PendingRecord {
	base, _, _ := strings.Cut(first, "+")
	p.ID = base + "+" + strconv.Itoa(transitions)
	p.Message = fmt.Sprintf("%d transitions while the log could not be written", transitions)
	if without := transitions - len(p.Evidence); without > 0 {
		p.Message += fmt.Sprintf("; %d of them are only counted", without)
	}
	return p
}

// transitionsIn is how many transitions a record stands for.
func transitionsIn(p *otav1alpha1.PendingRecord) int {
	_, number, _ := strings.Cut(p.ID, "+")
	if n, err := strconv.Atoi(number); err == nil {
		return n
	}
	return 1
}

// sentence tells of a record all that people need of it.
func sentence(p *otav1alpha1.PendingRecord) string {
	text := p.Action
	if p.At != nil {
		text = p.At.UTC().Format(time.RFC3339) + " " + text
	}
	if p.By != "" {
		text += " by " + kit.Clip(p.By, 64) + " (" + string(p.Actor) + ")"
	}
	if p.Bundle != "" {
		text += " of " + kit.Clip(p.Bundle, 64)
	}
	if p.Message != "" {
		text += ": " + strings.Join(strings.Fields(p.Message), " ")
	}
	return kit.Clip(text, maxSentence)
}

// merge makes one record of two. Of too many sentences the first ones and the last ones stay.
func merge(a, b otav1alpha1.PendingRecord) otav1alpha1.PendingRecord {
	transitions := transitionsIn(&a) + transitionsIn(&b)
	a, b = folded(a), folded(b)
	a.Evidence = append(slices.Clone(a.Evidence), b.Evidence...)
	if more := len(a.Evidence) - maxEvidence; more > 0 {
		a.Evidence = slices.Delete(a.Evidence, maxEvidence/2, maxEvidence/2+more)
	}
	return standsFor(a, a.ID, transitions)
}
