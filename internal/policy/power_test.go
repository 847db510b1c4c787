// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/intstr"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

func counting() *otav1alpha1.Rollout {
	r := valid()
	r.Spec.Steps = []otav1alpha1.Step{
		setWeight(intstr.FromInt32(1)), pause("30m", nil), setWeight(intstr.FromInt32(10)), pause("1s", nil),
		setWeight(intstr.FromInt32(50)), pause("", nil), setWeight(intstr.FromInt32(80)), pause("1s", new(int32(500))),
	}
	r.Spec.Analysis.Bake, r.Spec.Analysis.Holdout = "2h", new(int32(5))
	r.Spec.Analysis.Metrics[0].MaxRate, r.Spec.Analysis.Metrics[0].MaxIncrease = "", "1"
	return r
}

func TestPower(t *testing.T) {
	p, err := Parse(counting())
	if err != nil {
		t.Fatal(err)
	}
	got := p.Power(Traffic{Rate: 20, Failing: 0.01})
	var steps []int32
	for i := range got {
		steps = append(steps, got[i].Step)
	}
	if diff := cmp.Diff([]int32{0, 2, 4, 6, 8}, steps); diff != "" {
		t.Fatal(diff)
	}
	for i, want := range []struct {
		devices int64
		sees    bool
		message string
	}{
		{360, true, "step 1 (1 %, 30m, about 360 devices) sees x"},
		{2, false, "step 3 (10 %, 1s, about 2 devices) could not even see a total outage"},
		{0, false, "step 5 (50 %) lasts until a person promotes"},
		{500, true, "step 7 (80 %, 1s, about 500 devices) sees x"},
		{136800, true, "the bake (95 %, 2h, about 136800 devices) sees x"},
	} {
		g := got[i]
		if g.Devices != want.devices || (g.Detects != "") != want.sees || !strings.HasPrefix(g.Message, want.message) {
			t.Errorf("%d: %+v, want %+v", i, g, want)
		}
	}
	if last := len(got) - 1; got[last].Detects >= got[0].Detects {
		t.Errorf("the bake detects %s, the first step %s: more devices have to see more", got[last].Detects, got[0].Detects)
	}
}

// To go to all devices and become stable at once is one rise; there is no step in between that could see anything.
func TestPower_noTimeAtAll(t *testing.T) {
	r := counting()
	r.Spec.Analysis.Bake, r.Spec.Analysis.Holdout = "", nil
	r.Spec.Analysis.Metrics[0].MaxRate = "0.02"
	r.Spec.Steps = append(r.Spec.Steps[:2], setWeight(intstr.FromInt32(100)))
	p, err := Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Power(Traffic{Rate: 20, Failing: 0.01}); len(got) != 1 || got[0].Step != 0 {
		t.Errorf("%+v, want the first step only", got)
	}
}

// A metric that does not count devices, or only watches, has no power to tell of.
func TestPower_nobodyCounts(t *testing.T) {
	r := counting()
	r.Spec.Steps = r.Spec.Steps[:2]
	r.Spec.Analysis.Metrics[0].DryRun = otav1alpha1.DryRunEnabled
	p, err := Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Power(Traffic{Rate: 20}); got != nil {
		t.Errorf("%+v, want none", got)
	}
}

func BenchmarkPower(b *testing.B) {
	p, err := Parse(counting())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		p.Power(Traffic{Rate: 20, Failing: 0.01})
	}
}

// Of a fleet whose size is known, no more devices come than it has.
func TestPowerOfFleet(t *testing.T) {
	p, err := Parse(counting())
	if err != nil {
		t.Fatal(err)
	}
	got := p.Power(Traffic{Rate: 20, Failing: 0.01, Devices: 72_000}) // once an hour each
	if got[0].Devices != 283 || got[4].Devices != 59143 {
		t.Errorf("%d devices in half an hour and %d in two hours, want 283 and 59143", got[0].Devices, got[4].Devices)
	}
}
