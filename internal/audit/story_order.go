// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"cmp"
	"regexp"
	"slices"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// heard is a record, or a sentence of one that stands for several, which lacks version, digest, weight and counts.
type heard struct {
	Record
	sentence bool
}

// inOrder gives records in the order in which they happened, each that stands for several followed by what it tells. Records of an
// object come in the order of the log, whatever times they have: sentences, and deletions, have whole seconds only.
func inOrder(records []Record) []heard {
	var out []heard
	latest := map[string]time.Time{}
	for _, r := range slices.SortedStableFunc(slices.Values(records), func(a, b Record) int { return cmp.Compare(a.Sequence, b.Sequence) }) {
		object := r.Kind + "/" + r.Name + "/" + r.UID
		for _, h := range unfold(r) {
			if h.At.Before(latest[object]) {
				h.At = latest[object]
			}
			latest[object] = h.At
			out = append(out, h)
		}
	}
	slices.SortStableFunc(out, func(a, b heard) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Sequence, b.Sequence)) })
	return out
}

// told matches what sentence writes.
var told = regexp.MustCompile(`^(\S+Z) ([A-Za-z]+)(?: by (.*?) \((Verified|Unverified|)\))?(?: of ([^\s:]+))?(?:: (.*))?$`)

// unfold gives a record, and the transitions that it tells in sentences.
func unfold(r Record) []heard {
	out := []heard{{Record: r}}
	if r.Action != FoldedAction {
		return out
	}
	for _, text := range r.Evidence {
		m := told.FindStringSubmatch(text)
		if m == nil {
			continue
		}
		at, err := time.Parse(time.RFC3339, m[1])
		if err != nil {
			continue
		}
		one := r
		one.Evidence, one.At, one.Action, one.By, one.Actor, one.Bundle, one.Message = nil, at, m[2], m[3], otav1alpha1.Actor(m[4]), m[5], m[6]
		out = append(out, heard{one, true})
	}
	return out
}
