// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package blame finds the part of the devices that explains the failures of a candidate: the platform, native version, version of the operating
// system or region on which it fails, while it does well elsewhere.
//
// For each slice of a bounded list there are two questions, each answered by an e-value (a number whose expectation is at most 1 when
// the answer is no): does the candidate fail more often in the slice than the limit allows, compared with the stable devices of the same
// slice; and does it do worse there than on all other devices. The smaller of the two counts, so that a bundle that fails everywhere
// is not blamed on the platform that most devices have. Of all slices, those are found whose e-value is large enough for their number
// (e-BH: Wang and Ramdas, False discovery rate control with e-values, 2022): at most the asked share of findings is wrong, though
// slices overlap and depend on each other in any way. Of these, the one that makes what was seen most likely is named.
package blame

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis/eprocess"
)

// Group counts the devices that are alike, in one stage of a release. An empty text means that the devices did not tell.
type Group struct {
	// Stage in which they are counted. Sums over stages would mislead: when the weight rises and the base rate with it, most of the
	// candidate's devices are counted at the higher rate and most of the control's at the lower one.
	Stage         int32
	Platform      string
	NativeVersion string // semantic version
	OSVersion     string // as the device tells it
	Region        string
	Candidate     eprocess.Arm
	Control       eprocess.Arm
}

// Options say what failing is.
type Options struct {
	Tests []eprocess.Test // of the metric that speaks against the candidate: Increase, Rate, or both; others are left out
	Level float64         // highest share of findings that are wrong, in (0, 1); 0: 0.1
	Limit float64         // evidence that takes the release back, as a natural logarithm
}

// Finding is a slice that explains the failures.
type Finding struct {
	Match otav1alpha1.Slice
	Slice string // for people: android, nativeVersion<4.3.0

	Candidate, Control         eprocess.Arm // in the slice, over all stages
	RestCandidate, RestControl eprocess.Arm // outside of it

	Evidence     float64 // that the candidate fails in the slice, as a natural logarithm
	RestEvidence float64 // the same outside of it, by the test that has most of it, as in the verdict of a metric
	RestFine     bool    // nothing speaks against the candidate outside, and there are devices enough to say so
	Message      string  // slice: android, nativeVersion<4.3.0: 31/40 failures
}

const (
	defaultLevel = 0.1
	mostOf       = 0.8 // share of the failures beyond the limit that a slice has to hold
)

// Find gives the slice that explains the failures best, if one does. There is one at most: what is found in the rest of the devices,
// after looking at them in this way, would not be covered by the level.
func Find(groups []Group, o Options) []Finding {
	t := tabulate(groups)
	all := enumerate(t.kinds)
	if len(all) == 0 || len(o.tests()) == 0 {
		return nil
	}
	m := newModel(&t)
	suspects := make([]suspect, len(all))
	size := map[int]int{}
	for i, s := range all {
		inside, outside := t.split(s.in)
		suspects[i] = suspect{slice: s, inside: inside, outside: outside, evidence: o.evidence(inside), worse: m.worse(s.in)}
		size[s.family]++
	}
	var best *suspect
	var most float64
	for _, s := range o.reject(suspects) {
		// As likely as any other family of slices before anything was seen, and as the others in its own.
		likely := s.worse - math.Log(float64(size[s.slice.family]))
		if o.explains(s) && (best == nil || likely > most) {
			best, most = s, likely
		}
	}
	if best == nil {
		return nil
	}
	return []Finding{o.finding(best)}
}

// suspect is a slice with what speaks against it.
type suspect struct {
	slice           slice
	inside, outside part
	evidence        float64 // that the candidate fails in it
	worse           float64 // that it does worse there than elsewhere
}

// reject gives the slices that are found at the level: the k with the most evidence, for the largest k so that all of them have at
// least K / (level k), K being the number of slices.
func (o Options) reject(all []suspect) []*suspect {
	order := make([]*suspect, len(all))
	for i := range all {
		order[i] = &all[i]
	}
	value := func(s *suspect) float64 { return min(s.evidence, s.worse) }
	slices.SortStableFunc(order, func(a, b *suspect) int { return cmp.Compare(value(b), value(a)) })
	level := o.Level
	if level == 0 {
		level = defaultLevel
	}
	for k := len(order); k > 0; k-- {
		if value(order[k-1]) >= math.Log(float64(len(order))/(level*float64(k))) {
			return order[:k]
		}
	}
	return nil
}

func (o Options) tests() []eprocess.Test {
	return slices.DeleteFunc(slices.Clone(o.Tests), func(t eprocess.Test) bool { return t.Kind == eprocess.Silence })
}

// evidence that the candidate fails in a part of the devices, as a natural logarithm: the mean of the tests that can tell, so
// that it is an e-value, too.
func (o Options) evidence(p part) float64 {
	logs := o.logs(p)
	return mixture(logs, weights(logs, func(float64) float64 { return 1 }))
}

// verdict is the evidence that the analysis would find in a part: that of the test that has most of it.
func (o Options) verdict(p part) float64 { return slices.Max(o.logs(p)) }

// logs is the evidence of each test that can tell, and that of nothing when there is none, or when counts beyond all bounds say nothing.
func (o Options) logs(p part) []float64 {
	_, control := p.totals()
	var logs []float64
	for _, t := range o.tests() {
		if t.Kind != eprocess.Rate && control.Exposed == 0 {
			continue
		}
		state, err := t.Update(eprocess.State{}, p)
		if err != nil {
			return []float64{0}
		}
		logs = append(logs, t.Log(state))
	}
	if len(logs) == 0 {
		return []float64{0}
	}
	return logs
}

// explains tells whether a slice holds most of the failures beyond what is allowed.
func (o Options) explains(s *suspect) bool {
	inside, outside := o.excess(s.inside), o.excess(s.outside)
	return inside > 0 && inside >= mostOf*(inside+outside)
}

// excess is how many devices failed beyond the limits.
func (o Options) excess(p part) float64 {
	var total float64
	for _, s := range p {
		allowed := float64(s.Candidate.Exposed)
		for _, t := range o.tests() {
			switch {
			case t.Kind == eprocess.Rate:
				allowed = min(allowed, t.Limit*float64(s.Candidate.Exposed))
			case s.Control.Exposed > 0:
				allowed = min(allowed, t.Limit*float64(s.Control.Failed)*float64(s.Candidate.Exposed)/float64(s.Control.Exposed))
			}
		}
		total += float64(s.Candidate.Failed) - allowed
	}
	return max(total, 0)
}

func (o Options) finding(s *suspect) Finding {
	f := Finding{Match: s.slice.match, Slice: describe(s.slice.match), Evidence: s.evidence, RestEvidence: o.verdict(s.outside)}
	f.Candidate, f.Control = s.inside.totals()
	f.RestCandidate, f.RestControl = s.outside.totals()
	f.RestFine = f.RestEvidence < eprocess.Suspicion*o.Limit && o.verdict(s.outside.failing(f.Candidate)) >= o.Limit
	f.Message = fmt.Sprintf("slice: %s: %d/%d failures", f.Slice, f.Candidate.Failed, f.Candidate.Exposed)
	return f
}

// failing is the part as it would be if its candidates failed as often as those of an arm. A rest that would not have been caught even
// then is too small to be called fine.
func (p part) failing(as eprocess.Arm) part {
	out := slices.Clone(p)
	for i := range out {
		c := &out[i].Candidate
		c.Failed = int64(float64(c.Exposed) * float64(as.Failed) / float64(as.Exposed))
		c.Voted = max(c.Voted, c.Failed)
	}
	return out
}
