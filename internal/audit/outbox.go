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
	maxWaiting  = 32  // records in status.unrecorded
	maxEvidence = 16  // sentences of a record
	maxSentence = 512 // bytes
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

// Next gives status.unrecorded as it is to be written: what waited and is not in the log yet, and the transitions that the same
// write brings.
func (o Outbox) Next(s Subject, waiting []otav1alpha1.PendingRecord, told []kit.Event, now time.Time) []otav1alpha1.PendingRecord {
	if o.Logs == nil {
		return waiting
	}
	var out []otav1alpha1.PendingRecord
	log, open := o.log(s)
	for i := range waiting {
		if !open || !log.Recorded(waiting[i].ID) {
			out = append(out, waiting[i])
		}
	}
	for i := range told {
		out = append(out, pending(s, &told[i], i, now))
	}
	return fold(out)
}

// Submit asks the log for what a status that was written, or read, has waiting.
func (o Outbox) Submit(s Subject, waiting []otav1alpha1.PendingRecord) {
	log, open := o.log(s)
	if !open || len(waiting) == 0 {
		return
	}
	records := make([]Record, 0, len(waiting))
	for i := range waiting {
		records = append(records, s.record(&waiting[i]))
	}
	log.Submit(records...)
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
	waiting = append(slices.Clone(waiting), last)
	o.Submit(s, waiting)
	log, open := o.log(s)
	if open && !slices.ContainsFunc(waiting, func(p otav1alpha1.PendingRecord) bool { return !log.Recorded(p.ID) }) {
		return true, nil
	}
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

// fold keeps what waits within its bound: the oldest become sentences of one record. First those that are records of their own, then
// records of sentences, of which only the number stays when even they are too many.
func fold(waiting []otav1alpha1.PendingRecord) []otav1alpha1.PendingRecord {
	for len(waiting) > maxWaiting {
		first := slices.IndexFunc(waiting, func(p otav1alpha1.PendingRecord) bool { return p.Action != FoldedAction })
		if first < 0 || len(waiting)-first <= maxEvidence { // nearly all are folded: two of them become one
			waiting = slices.Replace(waiting, 0, 2, merge(waiting[0], waiting[1]))
			continue
		}
		waiting = slices.Replace(waiting, first, first+maxEvidence, foldOf(waiting[first:first+maxEvidence]))
	}
	return waiting
}

// foldOf is the record that stands for others. It has the time of the first of them, and an id that tells how many they are: one that
// stands for more is another record.
func foldOf(these []otav1alpha1.PendingRecord) otav1alpha1.PendingRecord {
	out := otav1alpha1.PendingRecord{At: these[0].At, Action: FoldedAction}
	for i := range these {
		out.Evidence = append(out.Evidence, sentence(&these[i]))
	}
	return standsFor(out, these[0].ID, len(these))
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

// merge makes one record of two, the first of which is folded. Of too many sentences the first ones and the last ones stay.
func merge(a, b otav1alpha1.PendingRecord) otav1alpha1.PendingRecord {
	transitions := transitionsIn(&a) + transitionsIn(&b)
	if b.Action != FoldedAction {
		b = foldOf([]otav1alpha1.PendingRecord{b})
	}
	a.Evidence = append(slices.Clone(a.Evidence), b.Evidence...)
	if more := len(a.Evidence) - maxEvidence; more > 0 {
		a.Evidence = slices.Delete(a.Evidence, maxEvidence/2, maxEvidence/2+more)
	}
	return standsFor(a, a.ID, transitions)
}
