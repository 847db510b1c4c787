// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"cmp"
	"fmt"
	"slices"
)

// Anchor is what somebody else says of a record: that it was the last one at some time.
type Anchor struct {
	Head
	Source string // who says so, for messages: "timestamp.json version 12"
}

// Fault is what is wrong with a log.
type Fault struct {
	Sequence int64  `json:"sequence"` // of the first record that is bad or missing
	Message  string `json:"message"`
}

func (f Fault) String() string { return fmt.Sprintf("record %d: %s", f.Sequence, f.Message) }

// Report says what was verified.
type Report struct {
	Records int64    // that were read
	First   int64    // sequence; zero: there is none
	Head    Head     // of the last one
	Anchors []Anchor // that the records agree with
	Faults  []Fault  // in the order of sequences
}

// Verifier checks records one by one, in order. It finds each record that is changed, missing, out of order, inserted or told twice,
// as far as a later record or an anchor covers it: what comes after the last anchor may have been cut off without a trace.
type Verifier struct {
	anchors []Anchor
	next    int64  // sequence that is expected
	hash    string // of the record before, empty: it is not known
	ids     map[string]int64
	report  Report
}

// NewVerifier expects records from a sequence on; 1 is the first of all.
func NewVerifier(from int64, anchors ...Anchor) *Verifier {
	v := &Verifier{next: from, ids: map[string]int64{}}
	for _, a := range anchors {
		if a.Sequence >= from {
			v.anchors = append(v.anchors, a)
		}
	}
	slices.SortStableFunc(v.anchors, func(a, b Anchor) int { return cmp.Compare(a.Sequence, b.Sequence) })
	return v
}

// Add takes the next record as it is stored. named is the sequence in the name of its object; zero: it has none.
func (v *Verifier) Add(named int64, line []byte) (Record, bool) {
	v.report.Records++
	if len(line) > MaxRecord {
		line = []byte(Oversized)
	}
	r, err := Decode(line)
	at := cmp.Or(named, v.next)
	switch {
	case err != nil:
		v.fault(at, "cannot be read: %v", err)
		v.gap(at)
		v.settle(at, HashOf(line))
		return Record{}, false
	case named > 0 && named != r.Sequence:
		v.fault(named, "its object is called %s, but it says that it is record %d", Key(named), r.Sequence)
		v.gap(named)
		v.settle(named, r.Hash)
		return Record{}, false
	case r.Sequence < v.next:
		v.fault(r.Sequence, "comes again, or too late: record %d was expected", v.next)
		return r, false
	}
	v.gap(r.Sequence)
	v.follows(&r)
	v.settle(r.Sequence, r.Hash)
	if v.report.First == 0 {
		v.report.First = r.Sequence
	}
	v.report.Head = Head{Sequence: r.Sequence, Hash: r.Hash, At: r.Recorded}
	return r, true
}

// gap tells of records that are missing before one.
func (v *Verifier) gap(sequence int64) {
	if sequence > v.next {
		v.fault(v.next, "is missing%s", upTo(v.next, sequence-1))
		v.hash = ""
	}
	for len(v.anchors) > 0 && v.anchors[0].Sequence < sequence {
		v.anchors = v.anchors[1:] // of a record that is missing
	}
}

func upTo(first, last int64) string {
	if first == last {
		return ""
	}
	return fmt.Sprintf(", and all up to %d", last)
}

// follows checks that a record is the next one after the one before.
func (v *Verifier) follows(r *Record) {
	switch {
	case r.Sequence == 1 && r.Previous != "":
		v.fault(1, "is the first one, but names one before it")
	case r.Sequence > 1 && r.Previous == "":
		v.fault(r.Sequence, "names no record before it")
	case v.hash != "" && r.Previous != v.hash:
		v.fault(r.Sequence-1, "was changed, or record %d was put after another one: its hash is %s, record %d names %s",
			r.Sequence, v.hash, r.Sequence, r.Previous)
	}
	if first, twice := v.ids[r.ID]; twice {
		v.fault(r.Sequence, "tells again what record %d tells (id %s)", first, r.ID)
	}
	v.ids[r.ID] = r.Sequence
}

// settle goes on after a record, and holds it against anchors.
func (v *Verifier) settle(sequence int64, hash string) {
	for len(v.anchors) > 0 && v.anchors[0].Sequence == sequence {
		if a := v.anchors[0]; a.Hash == hash {
			v.report.Anchors = append(v.report.Anchors, a)
		} else {
			v.fault(sequence, "is not the one that %s names, or one before it was changed: its hash is %s, expected %s", a.Source, hash, a.Hash)
		}
		v.anchors = v.anchors[1:]
	}
	v.next, v.hash = max(v.next, sequence+1), hash
}

func (v *Verifier) fault(sequence int64, format string, args ...any) {
	v.report.Faults = append(v.report.Faults, Fault{Sequence: sequence, Message: fmt.Sprintf(format, args...)})
}

// Report ends the verification.
func (v *Verifier) Report() Report {
	for _, a := range v.anchors {
		v.fault(v.next, "is missing%s: %s names record %d as the last one", upTo(v.next, a.Sequence), a.Source, a.Sequence)
	}
	v.anchors = nil
	slices.SortStableFunc(v.report.Faults, func(a, b Fault) int { return cmp.Compare(a.Sequence, b.Sequence) })
	return v.report
}
