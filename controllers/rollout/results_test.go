// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis"
	"github.com/windlass-dev/windlass/internal/analysis/blame"
	"github.com/windlass-dev/windlass/internal/analysis/eprocess"
	"github.com/windlass-dev/windlass/internal/plan"
	"github.com/windlass-dev/windlass/internal/policy"
	"github.com/windlass-dev/windlass/internal/testkit"
	"github.com/windlass-dev/windlass/internal/window"
)

func parsed(t *testing.T, r *otav1alpha1.Rollout) policy.Policy {
	t.Helper()
	p, err := policy.Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A result survives the way into status and back; what does not is the precision of the past.
func TestResults_roundTrip(t *testing.T) {
	at := time.Unix(1_800_000_000, 123_000).UTC()
	p := parsed(t, rollout("shop", "production"))
	rel := plan.Release{Revision: 1, Tries: 2}
	r := p.Metrics[0].Judge(rel, 0, analysis.Result{Name: "failures"},
		analysis.Measurement{At: at.Add(-2 * time.Minute), Stages: []eprocess.Stage{arms(1, 1000, 24, 1000, 10)}})
	r = p.Metrics[0].Judge(rel, 0, r, analysis.Measurement{At: at, Stages: []eprocess.Stage{arms(1, 1000, 24, 1000, 10), arms(2, 2000, 30, 2000, 20)}})
	if r.Evidence == 0 || len(r.Tests) != 1 || len(r.History) != 2 {
		t.Fatalf("the test tests nothing: %+v", r)
	}
	st := otav1alpha1.RolloutStatus{Analysis: metricStatuses([]analysis.Result{r})}
	got := results(st, p, rel)
	near := cmp.Comparer(func(a, b float64) bool { return a == b || math.Abs(a-b) < 0.06*math.Max(math.Abs(a), 1) })
	if diff := cmp.Diff([]analysis.Result{r}, got, near, cmpopts.EquateApproxTime(time.Second)); diff != "" {
		t.Error(diff)
	}
	if got[0].Evidence != r.Evidence || got[0].EvidenceLimit != r.EvidenceLimit {
		t.Errorf("evidence %v of %v, want %v of %v", got[0].Evidence, got[0].EvidenceLimit, r.Evidence, r.EvidenceLimit)
	}
	again := metricStatuses(got)
	if diff := cmp.Diff(st.Analysis, again); diff != "" {
		t.Errorf("another status for the same results: %s", diff)
	}
}

// What a release leaves is found again by its digest, whatever came in between; a good one, and one that nobody can name, leave nothing.
func TestLeft(t *testing.T) {
	p := parsed(t, rollout("shop", "production"))
	rel := plan.Release{Revision: 1, Digest: "sha256:a", State: otav1alpha1.ReleaseSuperseding, Stage: 1}
	r := p.Metrics[0].Judge(rel, 0, analysis.Result{Name: "failures"}, analysis.Measurement{Stages: []eprocess.Stage{arms(1, 1000, 24, 1000, 10)}})
	entry := func(digest string, state otav1alpha1.ReleaseState) otav1alpha1.RolloutHistoryEntry {
		of := rel
		of.Digest, of.State = digest, state
		return historyEntry(of, evidenceLeft(of, []analysis.Result{r, {Name: "query", Verdict: otav1alpha1.VerdictPassing}}))
	}
	before := []otav1alpha1.RolloutHistoryEntry{entry("sha256:b", rel.State), entry("sha256:a", rel.State), entry("sha256:a", otav1alpha1.ReleaseCompleted)}
	again := plan.Release{Revision: 4, Digest: "sha256:a", Tries: 1}
	got, _ := p.After(plan.Release{Revision: 3, Digest: "sha256:b"}, again, nil, left(before, again.Digest))
	if len(got) != 1 || got[0].Name != "failures" || math.Abs(got[0].Evidence-r.Evidence) > 1e-6 || got[0].Tests[0].Len != 0 {
		t.Errorf("got %+v, want the evidence %v", got, r.Evidence)
	}
	before[1].Evidence[0].State = "v9:x"
	for name, in := range map[string][]analysis.Result{
		"unreadable": left(before, "sha256:a"), "good": left(before[2:], "sha256:a"), "unknown": left(before, "sha256:c"), "none": left(before, ""),
	} {
		if in != nil {
			t.Errorf("%s: %+v", name, in)
		}
	}
}

// State that cannot be read is no error: the next measurement rebuilds it.
func TestResults_unreadableState(t *testing.T) {
	p := parsed(t, rollout("shop", "production"))
	for _, state := range []string{"", "v2:x", "v1:", "v1:1/0", "nonsense"} {
		st := otav1alpha1.RolloutStatus{Analysis: []otav1alpha1.MetricStatus{{Name: "failures", Verdict: otav1alpha1.VerdictPassing, State: state, Evidence: "3"}}}
		got := results(st, p, plan.Release{})
		if len(got) != 1 || got[0].Tests != nil {
			t.Errorf("%q: %+v", state, got)
			continue
		}
		r := p.Metrics[0].Judge(plan.Release{}, 0, got[0], analysis.Measurement{At: time.Unix(1, 0), Stages: []eprocess.Stage{arms(1, 1000, 60, 1000, 10)}})
		if r.Verdict != otav1alpha1.VerdictFailing {
			t.Errorf("%q: %s: %s", state, r.Verdict, r.Message)
		}
	}
}

func TestOutage(t *testing.T) {
	from := time.Unix(1000, 0)
	for after, want := range map[time.Duration]otav1alpha1.Duration{
		0: "", 1500 * time.Millisecond: "1s", 59 * time.Second: "59s", 200 * time.Second: "3m", time.Hour: "1h", 90*time.Minute + time.Second: "1h30m",
		100 * 24 * time.Hour: "2400h",
	} {
		r := analysis.Result{Verdict: otav1alpha1.VerdictProviderError, Since: from, MeasuredAt: from.Add(after)}
		if got := outage(&r); got != want {
			t.Errorf("after %s: %q, want %q", after, got, want)
		}
	}
	if got := outage(&analysis.Result{Verdict: otav1alpha1.VerdictPassing, Since: from, MeasuredAt: from.Add(time.Hour)}); got != "" {
		t.Errorf("a metric that passes has an outage of %s", got)
	}
}

// The largest status that there can be is one that the API server takes.
func TestRecord_largest(t *testing.T) {
	s := largest(t)
	s.record()
	s.setPowered(func(string, metav1.ConditionStatus, string, string) {})
	raw, err := runtime.DefaultUnstructuredConverter.ToUnstructured(s.rollout)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range crd(t).Validate(raw["status"]).Errors {
		t.Error(problem)
	}
	st := s.rollout.Status
	if len(st.Analysis) != 16 || len(st.Slices) != 8 || len(st.Power) != 33 || len(st.Release.Rises) != 64 || len(st.History) != 10 {
		t.Errorf("not the largest: %d metrics, %d slices, %d steps, %d rises, %d releases",
			len(st.Analysis), len(st.Slices), len(st.Power), len(st.Release.Rises), len(st.History))
	}
	for _, m := range st.Analysis {
		if m.State == "" || len(m.State) > maxState {
			t.Errorf("the state of %s has %d bytes, expected 1 to %d", m.Name, len(m.State), maxState)
		}
	}
	text, err := yaml.Marshal(st)
	if err != nil || len(text) > 512<<10 {
		t.Errorf("status has %d bytes (%v), expected at most 512 KiB", len(text), err)
	}
}

// largest is a scope in which everything is as long and as often as it can be.
func largest(t *testing.T) *scope {
	t.Helper()
	long := strings.Repeat("x", 5000)
	at := time.Unix(1_800_000_000, 0)
	r := rollout(strings.Repeat("r", 253), "production")
	spec := &r.Spec
	spec.Steps = nil
	for i := range 32 {
		spec.Steps = append(spec.Steps, testkit.SetWeight(fmt.Sprintf("%d.%02d", i+1, i)), testkit.PauseFor("99999h59m59s", 1000000000))
	}
	spec.Analysis.Bake = "1h"
	metric := spec.Analysis.Metrics[0]
	metric.MaxRate = "0.123456789"
	metric.MaxIncrease = "12345.123456789"
	spec.Analysis.Metrics = nil
	for i := range 16 {
		metric.Name = fmt.Sprintf("%02d%s", i, strings.Repeat("m", 61))
		spec.Analysis.Metrics = append(spec.Analysis.Metrics, metric)
	}
	s := &scope{rollout: r, policy: parsed(t, r), measurable: true, wasQueued: true}
	huge := eprocess.Arm{Exposed: 1 << 58, Voted: 1 << 58, Failed: 1<<58 - 1, Returned: 1<<58 - 1}
	for _, m := range s.policy.Metrics {
		var tests []eprocess.State
		for range m.Limits.Tests() {
			var state eprocess.State
			for j := range state.Logs {
				state.Logs[j] = -1.2345678901234567e-300
			}
			for j := range state.Seen {
				state.Seen[j] = eprocess.Stage{ID: math.MaxInt32 - eprocess.MaxStages + int32(j), Candidate: huge, Control: huge}
			}
			state.Len, state.From = eprocess.MaxStages, math.MaxInt32-eprocess.MaxStages
			tests = append(tests, state)
		}
		res := analysis.Result{
			Name: m.Name, Verdict: otav1alpha1.VerdictNotEnoughSamples, Message: long, Value: long, Limit: long, Tests: tests, Evidence: 1e300, EvidenceLimit: 1e3,
			Candidate: &analysis.Counts{Devices: math.MaxInt64, Failures: math.MaxInt64, Exposed: 1 << 40, Returned: math.MaxInt64},
			Control:   &analysis.Counts{Exposed: 1 << 60}, MeasuredAt: at, Since: at.Add(-time.Hour), Held: at, Failures: math.MaxInt32, Errors: math.MaxInt32,
		}
		for range 10 {
			res.History = append(res.History, analysis.Past{At: at, Verdict: otav1alpha1.VerdictNotEnoughSamples, Value: long, Evidence: 1e300})
		}
		s.notes.results = append(s.notes.results, res)
	}
	slice := otav1alpha1.Slice{Platform: "android", NativeVersion: strings.Repeat("1", 128), OSVersion: strings.Repeat("1", 128), Region: strings.Repeat("r", 32)}
	rel := plan.Release{
		Revision: math.MaxInt64, Bundle: strings.Repeat("b", 253), Version: "1.0.0", Digest: "sha256:" + strings.Repeat("a", 64),
		State: otav1alpha1.ReleaseProgressing, Outcome: otav1alpha1.ReleaseBundleNotAdmitted, Reason: long, StepsHash: s.policy.Spec.StepsHash,
		Step: 63, Weight: 3231, CommittedAt: at.Add(-time.Hour), EnteredAt: at, Stage: math.MaxInt32, Tries: math.MaxInt32, StartedAt: at, EndedAt: at, Overruled: long,
	}
	for i := range 8 {
		rel.Exclude = append(rel.Exclude, slice)
		if i < 7 {
			r.Status.Slices = append(r.Status.Slices, otav1alpha1.SliceStatus{
				Slice: fmt.Sprintf("%d%s", i, strings.Repeat("s", 255)), Match: slice, State: otav1alpha1.SliceExcluded, Stage: 2, Message: strings.Repeat("x", 512)})
		}
	}
	for range 64 {
		rel.Rises = append(rel.Rises, plan.Rise{At: at, By: 9999})
	}
	for range 12 {
		r.Status.History = append(r.Status.History, historyEntry(rel, evidenceLeft(rel, s.notes.results)))
	}
	s.notes.sought = search{at: at, found: &blame.Finding{Match: slice, Slice: long, Message: long, Evidence: 1e300, Candidate: huge, RestCandidate: huge}}
	s.facts = plan.Facts{
		Now: at, UID: "u", Spec: s.policy.Spec, Release: rel, Queue: plan.Queue{Limit: 1000, Active: math.MaxInt32, Ahead: 100_000},
		Window: plan.Window{Closed: true, Reason: strings.Repeat("w", 256), NextOpen: at, NextClose: at}, Analysis: s.notes.results,
	}
	s.policy.Windows = append(s.policy.Windows, window.Window{})
	before := rel
	s.decision = plan.Decision{
		Release: rel, Ended: &before, Reason: otav1alpha1.QueuedReason, Message: long,
		Command: &plan.CommandResult{Command: plan.Command{ID: strings.Repeat("i", 128), Name: strings.Repeat("n", 32), By: strings.Repeat("b", 256)}, Refused: long},
	}
	return s
}

// crd validates as the API server does, but for rules in CEL.
func crd(t *testing.T) validation.SchemaValidator {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "config", "crd", "bases", "ota.windlass.dev_rollouts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var def apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(raw, &def); err != nil {
		t.Fatal(err)
	}
	status := def.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["status"]
	var internal apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(&status, &internal, nil); err != nil {
		t.Fatal(err)
	}
	v, _, err := validation.NewSchemaValidator(&internal)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
