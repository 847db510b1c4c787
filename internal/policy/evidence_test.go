// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/intstr"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis"
	"github.com/windlass-dev/windlass/internal/analysis/eprocess"
	"github.com/windlass-dev/windlass/internal/plan"
)

// one parses a spec with a counting metric and a query.
func one(t *testing.T, increase otav1alpha1.Decimal) (Policy, Metric) {
	t.Helper()
	r := valid()
	r.Spec.Steps = []otav1alpha1.Step{setWeight(intstr.FromInt32(10))}
	r.Spec.Analysis.Metrics[0].MaxRate, r.Spec.Analysis.Metrics[0].MaxIncrease = "", increase
	p, err := Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	return p, p.Metrics[0]
}

// stage has a thousand devices in each arm; ten of the stable ones fail.
func stage(id int32, failed int64) eprocess.Stage {
	return eprocess.Stage{
		ID: id, Candidate: eprocess.Arm{Exposed: 1000, Voted: 1000, Failed: failed}, Control: eprocess.Arm{Exposed: 1000, Voted: 1000, Failed: 10},
	}
}

func measured(stages ...eprocess.Stage) analysis.Measurement {
	return analysis.Measurement{At: time.Unix(1000, 0), Stages: stages}
}

var (
	running = plan.Release{Revision: 1, Digest: "sha256:a", Stage: 1}
	second  = plan.Release{Revision: 1, Digest: "sha256:a", Stage: 2}
)

// State that is lost comes back from the counts of the stages: the evidence is what it was, when looks do not matter.
func TestJudge_rebuildsLostState(t *testing.T) {
	_, m := one(t, "1")
	kept := m.Judge(running, 0, analysis.Result{Name: m.Name}, measured(stage(1, 14)))
	kept = m.Judge(second, 0, kept, measured(stage(1, 14), stage(2, 12)))
	lost := kept
	lost.Tests = nil
	lost = m.Judge(second, 0, lost, measured(stage(1, 14), stage(2, 12)))
	if lost.Evidence != kept.Evidence || kept.Evidence == 0 {
		t.Errorf("evidence is %v after the loss, %v before", lost.Evidence, kept.Evidence)
	}
}

// After an exclusion, what is rebuilt leaves out the stages in which the excluded devices still counted.
func TestJudge_rebuildsFromTheExclusion(t *testing.T) {
	_, m := one(t, "1")
	r := m.Judge(second, 2, analysis.Result{Name: m.Name}, measured(stage(1, 200), stage(2, 10)))
	if r.Verdict != otav1alpha1.VerdictPassing {
		t.Errorf("%s: %s", r.Verdict, r.Message)
	}
	if r = m.Judge(second, 0, analysis.Result{Name: m.Name}, measured(stage(1, 200), stage(2, 10))); r.Verdict != otav1alpha1.VerdictFailing {
		t.Errorf("without an exclusion: %s: %s", r.Verdict, r.Message)
	}
}

// Evidence against a limit says nothing of another one.
func TestJudge_changedLimit(t *testing.T) {
	_, strict := one(t, "1")
	_, loose := one(t, "5")
	r := strict.Judge(running, 0, analysis.Result{Name: strict.Name}, measured(stage(1, 30)))
	if r.Verdict == otav1alpha1.VerdictPassing {
		t.Fatalf("a third of 30 failures passes: %s", r.Message)
	}
	if r = loose.Judge(running, 0, r, measured(stage(1, 30))); r.Verdict != otav1alpha1.VerdictPassing {
		t.Errorf("%s: %s", r.Verdict, r.Message)
	}
	r = strict.Judge(second, 2, analysis.Result{Name: strict.Name}, measured(stage(1, 200), stage(2, 10)))
	if r = loose.Judge(second, 2, r, measured(stage(1, 200), stage(2, 10))); r.Verdict != otav1alpha1.VerdictPassing {
		t.Errorf("with another limit, what was excluded counts again: %s: %s", r.Verdict, r.Message)
	}
}

func TestAfter(t *testing.T) {
	p, m := one(t, "1")
	query := analysis.Result{Name: p.Metrics[1].Name, Verdict: otav1alpha1.VerdictProviderError, Errors: 2}
	bad := m.Judge(running, 0, analysis.Result{Name: m.Name}, measured(stage(1, 60)))
	if bad.Verdict != otav1alpha1.VerdictFailing || bad.Evidence <= bad.EvidenceLimit {
		t.Fatalf("%s: %s", bad.Verdict, bad.Message)
	}
	results := []analysis.Result{bad, query}
	excluding, again, other := running, running, running
	excluding.Stage, excluding.Tries, excluding.Exclude = 2, 1, []otav1alpha1.Slice{{Platform: "ios"}}
	again.Revision, again.Tries = 2, 1
	other.Revision, other.Digest = 2, "sha256:b"

	if got, anew := p.After(running, running, results, nil); anew || !cmp.Equal(got, results) {
		t.Error("nothing happened, but the results are other ones")
	}
	held := []analysis.Result{{Name: m.Name, Held: time.Unix(1, 0), Pause: true, Candidate: &analysis.Counts{Devices: 9}, Control: &analysis.Counts{Devices: 9}}, {Name: p.Metrics[1].Name, Pause: true}}
	if got, anew := p.After(running, second, held, nil); anew || got[0].Pause || !got[0].Held.IsZero() || !got[1].Pause || !held[0].Pause || got[0].Candidate != nil || got[0].Control != nil {
		t.Errorf("a rise waits anew for what held the one before, and nothing else: %+v", got)
	}
	if got, anew := p.After(running, other, results, nil); !anew || got != nil {
		t.Errorf("another digest: %+v", got)
	}
	// It comes back after another one: with what it left.
	if got, anew := p.After(other, plan.Release{Revision: 3, Digest: "sha256:a", Tries: 1}, nil, results); !anew || len(got) != 1 || got[0].Evidence < bad.EvidenceLimit-1e-9 {
		t.Errorf("the digest of before: %+v", got)
	}
	// Its Bundle is away for a while: it is known what it is when it is there again.
	away := plan.Release{Revision: 2}
	if got, anew := p.After(running, away, results, nil); !anew || got != nil {
		t.Errorf("away: %+v", got)
	}
	if got, anew := p.After(away, away, nil, nil); anew || got != nil {
		t.Errorf("still away: %+v", got)
	}
	if got, anew := p.After(away, again, nil, results); !anew || len(got) != 1 || got[0].Evidence < bad.EvidenceLimit-1e-9 {
		t.Errorf("there again: %+v", got)
	}
	got, anew := p.After(running, excluding, results, nil)
	if !anew || len(got) != 2 || got[0].Evidence != 0 || got[0].Verdict != otav1alpha1.VerdictNotEnoughSamples || got[0].Tests[0].From != 2 {
		t.Errorf("exclusion: %+v", got)
	}
	if !cmp.Equal(got[1], query) {
		t.Errorf("an exclusion says nothing of a query, but it is %+v", got[1])
	}
	got, anew = p.After(running, again, results, nil)
	if !anew || len(got) != 1 || got[0].Verdict != otav1alpha1.VerdictNotEnoughSamples || !got[0].MeasuredAt.IsZero() {
		t.Fatalf("retry: %+v", got)
	}
	if diff := got[0].Evidence - bad.EvidenceLimit; diff > 1e-9 || diff < -1e-9 {
		t.Errorf("a retry starts with %v, want the limit that was reached, %v", got[0].Evidence, bad.EvidenceLimit)
	}
	was := again // the analysis had spoken when the release ended
	if got, _ := p.After(was, plan.Release{Revision: 3, Digest: was.Digest, Tries: 1}, results, nil); got[0].Evidence > bad.EvidenceLimit+1e-9 {
		t.Errorf("a retry starts with %v, more than the limit that was reached, %v", got[0].Evidence, bad.EvidenceLimit)
	}
	// One more failure among few is no longer forgiven, but the release is not condemned before it has begun.
	if r := m.Judge(again, 0, got[0], measured(stage(1, 10))); r.Verdict == otav1alpha1.VerdictFailing {
		t.Errorf("a good retry fails: %s", r.Message)
	}
}
