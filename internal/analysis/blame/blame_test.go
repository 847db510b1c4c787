// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package blame

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/Masterminds/semver/v3"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis/eprocess"
	"github.com/windlass-dev/windlass/internal/compat"
)

// increase is a test that asks for no more failures than stable has.
var increase = Options{Tests: []eprocess.Test{{Kind: eprocess.Increase, Limit: 1, Budget: 0.05}}, Limit: math.Log(20)}

// rate is a test without a control.
var rate = Options{Tests: []eprocess.Test{{Kind: eprocess.Rate, Limit: 0.02, Budget: 0.05}}, Limit: math.Log(20)}

func arm(failed, exposed int64) eprocess.Arm {
	return eprocess.Arm{Exposed: exposed, Voted: exposed, Failed: failed}
}

// phones are groups of which the candidate fails on Android below 4.3.0: 31 of 40 devices.
func phones() []Group {
	return []Group{
		{Stage: 1, Platform: "android", NativeVersion: "4.2.0", OSVersion: "13", Region: "de", Candidate: arm(16, 20), Control: arm(5, 500)},
		{Stage: 1, Platform: "android", NativeVersion: "4.2.1", OSVersion: "14", Region: "fr", Candidate: arm(15, 20), Control: arm(5, 500)},
		{Stage: 1, Platform: "android", NativeVersion: "4.3.0", OSVersion: "13", Region: "fr", Candidate: arm(0, 40), Control: arm(8, 900)},
		{Stage: 1, Platform: "android", NativeVersion: "4.4.0", OSVersion: "14", Region: "de", Candidate: arm(1, 30), Control: arm(8, 900)},
		{Stage: 1, Platform: "ios", NativeVersion: "4.2.0", OSVersion: "17.5", Region: "de", Candidate: arm(0, 40), Control: arm(9, 900)},
		{Stage: 1, Platform: "ios", NativeVersion: "4.4.0", OSVersion: "18.0.1", Region: "fr", Candidate: arm(1, 50), Control: arm(10, 900)},
	}
}

func TestFind(t *testing.T) {
	without := func(groups []Group, change func(*Group)) []Group {
		for i := range groups {
			change(&groups[i])
		}
		return groups
	}
	for name, tc := range map[string]struct {
		groups []Group
		o      Options
		want   string // message; empty: no finding
		fine   bool
	}{
		"nothing is known": {nil, increase, "", false},
		"platform and native version": {
			phones(), increase, "slice: android, nativeVersion<4.3.0: 31/40 failures", true,
		},
		"without a control, against the rate": {
			without(phones(), func(g *Group) { g.Control = eprocess.Arm{} }), rate, "slice: android, nativeVersion<4.3.0: 31/40 failures", true,
		},
		"without a control, and no rate": {without(phones(), func(g *Group) { g.Control = eprocess.Arm{} }), increase, "", false},
		"no test":                        {phones(), Options{Limit: 3}, "", false},
		"a test of silence has no failures": {
			phones(), Options{Tests: []eprocess.Test{{Kind: eprocess.Silence, Limit: 1, Budget: 0.05}}, Limit: 3}, "", false,
		},
		"two stages": {
			slices.Concat(phones(), without(phones(), func(g *Group) { g.Stage = 2 })), increase, "slice: android, nativeVersion<4.3.0: 62/80 failures", true,
		},
		"nobody tells": {without(phones(), func(g *Group) { *g = Group{Candidate: g.Candidate, Control: g.Control} }), increase, "", false},
		"only some tell": {
			slices.Concat(phones(), []Group{{Stage: 1, Candidate: arm(0, 100), Control: arm(20, 2000)}}), increase,
			"slice: android, nativeVersion<4.3.0: 31/40 failures", true,
		},
		"versions that nobody can read": {
			without(phones(), func(g *Group) { g.NativeVersion, g.OSVersion = "latest", "vista" }), increase,
			"slice: android: 32/110 failures", true,
		},
		"a region": {
			[]Group{
				{Region: "eu-west-1", Candidate: arm(12, 60), Control: arm(6, 600)}, {Region: "us-east-1", Candidate: arm(1, 200), Control: arm(20, 2000)},
			}, increase, "slice: region=eu-west-1: 12/60 failures", true,
		},
		"a version of the system": {
			[]Group{
				{Platform: "ios", OSVersion: "iOS 18", Candidate: arm(12, 60), Control: arm(6, 600)},
				{Platform: "ios", OSVersion: "17.5.1", Candidate: arm(1, 200), Control: arm(20, 2000)},
			}, increase, "slice: osVersion>=18.0.0: 12/60 failures", true,
		},
		"it fails everywhere": {
			[]Group{
				{Platform: "ios", Candidate: arm(50, 100), Control: arm(10, 1000)}, {Platform: "android", Candidate: arm(450, 900), Control: arm(90, 9000)},
			}, increase, "", false,
		},
		"it fails as often as stable does, which is often there": {
			[]Group{
				{Platform: "ios", Candidate: arm(50, 100), Control: arm(5000, 10000)}, {Platform: "android", Candidate: arm(1, 100), Control: arm(100, 10000)},
			}, increase, "", false,
		},
		"it fails everywhere, and the base rates differ": {
			[]Group{
				{Platform: "ios", Candidate: arm(100, 1000), Control: arm(200, 10000)}, {Platform: "android", Candidate: arm(10, 1000), Control: arm(20, 10000)},
			}, increase, "", false,
		},
		"two slices with half of the failures each": {
			[]Group{
				{Platform: "ios", Candidate: arm(30, 100), Control: arm(10, 1000)}, {Platform: "android", Candidate: arm(30, 100), Control: arm(10, 1000)},
				{Platform: "web", Candidate: arm(1, 100), Control: arm(10, 1000)}, {Platform: "electron", Candidate: arm(1, 100), Control: arm(10, 1000)},
			}, increase, "", false,
		},
		"the rest fails, too, though less": {
			[]Group{
				{Platform: "ios", Candidate: arm(80, 100), Control: arm(10, 1000)}, {Platform: "android", Candidate: arm(16, 200), Control: arm(20, 2000)},
			}, increase, "slice: ios: 80/100 failures", false,
		},
		"too few are left": {
			[]Group{
				{Platform: "ios", Candidate: arm(40, 60), Control: arm(6, 600)}, {Platform: "android", Candidate: arm(0, 60), Control: arm(6, 600)},
			}, Options{Tests: increase.Tests, Limit: 400}, "slice: ios: 40/60 failures", false,
		},
		"more slices ask for more evidence": {
			slices.Concat(
				[]Group{{Region: "eu", Candidate: arm(5, 60), Control: arm(6, 600)}, {Region: "us", Candidate: arm(1, 100), Control: arm(10, 1000)}},
				many(60, func(g *Group, i int) {
					g.Platform, g.NativeVersion = "ios", version3(i)
					g.Candidate, g.Control = arm(0, 1), arm(0, 10)
				}),
			), increase, "", false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := Find(tc.groups, tc.o)
			if tc.want == "" {
				if len(got) > 0 {
					t.Errorf("found %+v, want nothing", got)
				}
				return
			}
			if len(got) != 1 || got[0].Message != tc.want || got[0].RestFine != tc.fine {
				t.Errorf("found %+v, want %q and rest fine: %t", got, tc.want, tc.fine)
			}
		})
	}
}

func many(n int, change func(*Group, int)) []Group {
	out := make([]Group, n)
	for i := range out {
		change(&out[i], i)
	}
	return out
}

func version3(i int) string { return "1." + string(rune('0'+i/10)) + "." + string(rune('0'+i%10)) }

// Devices that are well say so late: the rest is fine without their votes.
func TestFewVotes(t *testing.T) {
	groups := phones()
	for i := range groups {
		groups[i].Candidate.Voted, groups[i].Control.Voted = groups[i].Candidate.Failed, groups[i].Control.Failed
	}
	if got := Find(groups, increase); len(got) != 1 || !got[0].RestFine {
		t.Errorf("found %+v, want one slice and a rest that is fine", got)
	}
}

// The rest is judged as a metric is: one test that is suspicious is enough, however sure the other one is.
func TestRest(t *testing.T) {
	rest := part{{ID: 1, Candidate: arm(12, 400), Control: arm(80, 3600)}}
	o := Options{Tests: slices.Concat(increase.Tests, []eprocess.Test{{Kind: eprocess.Rate, Limit: 0.006, Budget: 0.05}})}
	logs := o.logs(rest)
	if len(logs) != 2 || !(logs[1] > logs[0]) || o.verdict(rest) != logs[1] || !(o.evidence(rest) < logs[1]) {
		t.Errorf("tests say %v, the verdict is %v and the e-value %v", logs, o.verdict(rest), o.evidence(rest))
	}
}

// A finding has the counts of the slice and of the rest.
func TestCounts(t *testing.T) {
	got := Find(phones(), increase)
	if len(got) != 1 {
		t.Fatalf("found %+v", got)
	}
	f := got[0]
	f.Evidence, f.RestEvidence = math.Round(f.Evidence), math.Round(f.RestEvidence)
	want := Finding{
		Match: otav1alpha1.Slice{Platform: "android", NativeVersion: "<4.3.0"}, Slice: "android, nativeVersion<4.3.0",
		Candidate: arm(31, 40), Control: arm(10, 1000), RestCandidate: arm(2, 160), RestControl: arm(35, 3600),
		Evidence: 75, RestEvidence: -1, RestFine: true, Message: "slice: android, nativeVersion<4.3.0: 31/40 failures",
	}
	if diff := cmp.Diff(want, f); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// fleet is groups of many kinds, without failures. Weights rise from stage to stage, and base rates with them.
func fleet(r *rand.Rand, stages int32) []Group {
	var out []Group
	for stage := range stages {
		for _, platform := range []string{"ios", "android", ""} {
			for native := range 6 {
				for system := range 3 {
					g := Group{Stage: stage + 1, Platform: platform, NativeVersion: version3(native), OSVersion: version3(10 + system)[2:]}
					g.Region = []string{"eu", "us", "asia", "au"}[r.IntN(4)]
					devices := 20 + r.Int64N(200)
					candidates := devices * int64(stage+1) / 8
					g.Candidate.Exposed, g.Control.Exposed = candidates, devices-candidates
					out = append(out, g)
				}
			}
		}
	}
	return out
}

// fail draws failures. The base rate differs between platforms and versions, and grows from stage to stage.
func fail(r *rand.Rand, groups []Group, ratio func(*Group) float64) {
	for i := range groups {
		g := &groups[i]
		base := 0.01 * float64(g.Stage)
		if g.Platform == "android" {
			base *= 3
		}
		g.Control.Failed = draw(r, g.Control.Exposed, base)
		g.Candidate.Failed = draw(r, g.Candidate.Exposed, base*ratio(g))
		g.Candidate.Voted, g.Control.Voted = g.Candidate.Exposed, g.Control.Exposed
	}
}

// draw counts successes of n tries.
func draw(r *rand.Rand, n int64, p float64) (hits int64) {
	for range n {
		if r.Float64() < p {
			hits++
		}
	}
	return hits
}

// Where no slice is to blame, one is found in at most the share of rollouts that the level says: when the candidate is as stable is, and
// when it fails everywhere in the same way, though kinds of devices and stages have base rates of their own.
func TestFalseDiscoveries(t *testing.T) {
	const rounds, level = 120, 0.1
	o := increase
	o.Level = level
	for name, ratio := range map[string]float64{"good": 1, "bad": 6, "better": 0.3} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			found := 0
			for range rounds {
				groups := fleet(r, 1+r.Int32N(3))
				fail(r, groups, func(*Group) float64 { return ratio })
				found += len(Find(groups, o))
			}
			// One in 1000 tests of a true level of 10 % would have more than 22 of 120.
			if found > 22 {
				t.Errorf("%d findings in %d rollouts, want at most %g %%", found, rounds, 100*level)
			}
			t.Logf("%d findings in %d rollouts", found, rounds)
		})
	}
}

// What was planted is found, with no more devices than belong to it.
func TestPlanted(t *testing.T) {
	for name, tc := range map[string]struct {
		in   func(*Group) bool
		want string
	}{
		"platform":             {func(g *Group) bool { return g.Platform == "android" }, "android"},
		"region":               {func(g *Group) bool { return g.Region == "eu" }, "region=eu"},
		"native version":       {func(g *Group) bool { return g.NativeVersion >= "1.0.4" }, "nativeVersion>=1.0.4"},
		"version of a system":  {func(g *Group) bool { return g.OSVersion < "1.1" }, "osVersion<1.1.0"},
		"platform and version": {func(g *Group) bool { return g.Platform == "ios" && g.NativeVersion < "1.0.2" }, "ios, nativeVersion<1.0.2"},
	} {
		t.Run(name, func(t *testing.T) {
			const rounds = 20
			r := rand.New(rand.NewPCG(3, 4))
			found, others := 0, map[string]int{}
			for range rounds {
				groups := fleet(r, 2)
				fail(r, groups, func(g *Group) float64 {
					if tc.in(g) {
						return 15
					}
					return 1
				})
				for _, f := range Find(groups, increase) {
					if f.Slice == tc.want && f.RestFine {
						found++
					} else {
						others[f.Message]++
					}
				}
			}
			if found < rounds*9/10 {
				t.Errorf("found in %d of %d rollouts; others: %v", found, rounds, others)
			}
		})
	}
}

// groupGen makes groups of any kind, hostile ones among them.
func groupGen() *rapid.Generator[Group] {
	arms := rapid.Custom(func(t *rapid.T) eprocess.Arm {
		n := rapid.OneOf(rapid.Int64Range(0, 200), rapid.Int64Range(-1, 2_000_000_000), rapid.Just(int64(math.MaxInt64/1024))).Draw(t, "exposed")
		failed := rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, max(n, 0)), rapid.Int64Range(-5, 1<<40)).Draw(t, "failed")
		return eprocess.Arm{Exposed: n, Failed: failed, Voted: rapid.Int64Range(-1, max(n, 0)).Draw(t, "voted")}
	})
	versions := rapid.SampledFrom([]string{"", "1", "1.2", "4.3.0", "4.3.0-beta.1", "v5", "latest", "13", "Android 14", "18.1.2+7", strings.Repeat("9", 80)})
	return rapid.Custom(func(t *rapid.T) Group {
		return Group{
			Stage: rapid.Int32Range(-1, 7).Draw(t, "stage"), Platform: rapid.SampledFrom([]string{"", "ios", "android", "web"}).Draw(t, "platform"),
			NativeVersion: versions.Draw(t, "native"), OSVersion: versions.Draw(t, "os"),
			Region:    rapid.SampledFrom([]string{"", "eu", "us", strings.Repeat("x", 40)}).Draw(t, "region"),
			Candidate: arms.Draw(t, "candidate"), Control: arms.Draw(t, "control"),
		}
	})
}

// Whatever the counts are: the order of groups says nothing, a finding is a part of the devices and not all of them, it matches what its
// ranges say, and its numbers are numbers.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		groups := rapid.SliceOfN(groupGen(), 0, 30).Draw(t, "groups")
		o := Options{Level: rapid.SampledFrom([]float64{0, 0.05, 0.9}).Draw(t, "level"), Limit: 3}
		o.Tests = rapid.SampledFrom([][]eprocess.Test{increase.Tests, rate.Tests, slices.Concat(increase.Tests, rate.Tests)}).Draw(t, "tests")
		got := Find(groups, o)
		if diff := cmp.Diff(got, Find(rapid.Permutation(groups).Draw(t, "order"), o)); diff != "" {
			t.Fatalf("another order finds something else:\n%s", diff)
		}
		for _, f := range got {
			check(t, groups, f)
		}
	})
}

func check(t *rapid.T, groups []Group, f Finding) {
	if math.IsNaN(f.Evidence) || math.IsInf(f.Evidence, 0) || math.IsNaN(f.RestEvidence) || f.Evidence <= 0 {
		t.Fatalf("evidence %g, rest %g", f.Evidence, f.RestEvidence)
	}
	if f.Candidate.Failed == 0 || f.RestCandidate.Exposed+f.RestControl.Exposed == 0 || f.Match == (otav1alpha1.Slice{}) {
		t.Fatalf("not a part of the devices with failures: %+v", f)
	}
	if len(f.Message) > 512 || len(f.Slice) > 256 || len(f.Match.Region) > maxRegion {
		t.Fatalf("too long for a status: %+v", f)
	}
	var want eprocess.Arm
	for _, g := range groups {
		if matches(t, f.Match, g) {
			want = sum(want, sane(g.Candidate))
		}
	}
	if want != f.Candidate {
		t.Fatalf("%s: %+v, want %+v", f.Slice, f.Candidate, want)
	}
}

// matches reads a slice as gateways do.
func matches(t *rapid.T, m otav1alpha1.Slice, g Group) bool {
	within := func(text, version string, parse func(string) (*semver.Version, error)) bool {
		if text == "" {
			return true
		}
		r, err := compat.ParseRange(text)
		if err != nil {
			t.Fatalf("%q is no range: %v", text, err)
		}
		v, err := parse(version)
		return err == nil && r.WithPreReleases().Contains(v)
	}
	return (m.Platform == "" || string(m.Platform) == g.Platform) && (m.Region == "" || m.Region == g.Region) &&
		within(m.NativeVersion, g.NativeVersion, compat.ParseVersion) && within(m.OSVersion, g.OSVersion, compat.ParseOSVersion)
}

// Slices are bounded, and different from each other, and none holds all devices.
func TestEnumerate(t *testing.T) {
	groups := many(3000, func(g *Group, i int) {
		g.Platform = []string{"ios", "android", "web"}[i%3]
		g.NativeVersion, g.OSVersion = version3(i%100), version3(i/30%100)
		g.Region = "region-" + version3(i%97)
		g.Candidate, g.Control = arm(0, 1+int64(i%5)), arm(0, 100)
	})
	tab := tabulate(groups)
	all := enumerate(tab.kinds)
	if most := 3 + maxRegions + 4*4*maxVersions; len(all) > most || len(all) < most/2 {
		t.Errorf("%d slices, want at most %d, and many", len(all), most)
	}
	seen := map[string]bool{}
	for _, s := range all {
		key := describe(s.match)
		if seen[key] || !slices.Contains(s.in, true) || !slices.Contains(s.in, false) {
			t.Errorf("%s: twice, nothing or everything", key)
		}
		seen[key] = true
	}
	// One version has nine in ten devices: there is a threshold right above it.
	groups = many(200, func(g *Group, i int) {
		g.NativeVersion, g.Candidate = version3(i/2), arm(0, 1)
		if i == 0 {
			g.Candidate = arm(0, 1800)
		}
	})
	tab = tabulate(groups)
	if all := enumerate(tab.kinds); !slices.ContainsFunc(all, func(s slice) bool { return s.match.NativeVersion == ">=1.0.1" }) {
		t.Error("no threshold above the version that most devices have")
	}
}

// The evidence that a slice does worse is an e-value: its mean over rollouts in which the slice does as all others do is at most 1.
func TestWorseIsEValue(t *testing.T) {
	for name, control := range map[string]int64{"with a control": 400, "without": 0} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(5, 6))
			const rounds = 5_000
			var total float64
			for range rounds {
				tab := tabulate([]Group{
					{Platform: "ios", Candidate: arm(draw(r, 40, 0.1), 40), Control: arm(draw(r, control, 0.02), control)},
					{Platform: "web", Candidate: arm(draw(r, 60, 0.1), 60), Control: arm(draw(r, control, 0.02), control)},
				})
				m := newModel(&tab)
				total += math.Exp(m.worse([]bool{true, false}))
			}
			if mean := total / rounds; mean > 1 {
				t.Errorf("the mean is %g, want at most 1", mean)
			}
		})
	}
}

func BenchmarkFind(b *testing.B) {
	r := rand.New(rand.NewPCG(7, 8))
	groups := many(2000, func(g *Group, i int) {
		g.Stage, g.Platform = int32(i%4), []string{"ios", "android"}[i%2]
		g.NativeVersion, g.OSVersion, g.Region = version3(r.IntN(60)), version3(r.IntN(30)), version3(r.IntN(40))
		g.Candidate, g.Control = arm(r.Int64N(3), 50+r.Int64N(100)), arm(r.Int64N(20), 1000)
	})
	b.ReportAllocs()
	for b.Loop() {
		Find(groups, increase)
	}
}
