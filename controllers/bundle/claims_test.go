// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/testkit"
	"github.com/windlass-dev/windlass/internal/verify"
)

// keyed makes an authority with a new key.
func keyed(t *testing.T, name string) verify.Authority {
	t.Helper()
	key, err := verify.ParsePublicKey([]byte(testkit.NewAuthor(t, name).PublicPEM()))
	if err != nil {
		t.Fatal(err)
	}
	return verify.Authority{Name: name, Key: key}
}

// claimBy is what an authority vouched for at a time.
func claimBy(a verify.Authority, at time.Time) otav1alpha1.Verification {
	return otav1alpha1.Verification{Authority: a.Name, KeyID: a.Key.ID(), Trust: a.Fingerprint(), At: new(metav1.NewTime(at))}
}

func authoritiesOf(claims []otav1alpha1.Verification) string {
	var names []string
	for _, v := range claims {
		names = append(names, v.Authority)
	}
	return strings.Join(names, " ")
}

// A claim holds while its authority is there, known by the same, and was made before its end.
func TestTrusted_weigh(t *testing.T) {
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	ci, other := keyed(t, "ci"), keyed(t, "other")
	named := func(a verify.Authority, name string) verify.Authority { a.Name = name; return a }
	until := func(a verify.Authority, end time.Time) verify.Authority { a.NotAfter = end; return a }
	lostConfigMap := func(end *metav1.Time) trusted {
		return trusted{unknown: []otav1alpha1.Authority{{Name: "ci", NotAfter: end}}}
	}
	for name, tc := range map[string]struct {
		today            trusted
		old              []otav1alpha1.Verification
		held, doubted    string
		doubts, lossText string
	}{
		"nothing":              {trusted{authorities: []verify.Authority{ci}}, nil, "", "", "", ""},
		"unchanged":            {trusted{authorities: []verify.Authority{ci}}, []otav1alpha1.Verification{claimBy(ci, at)}, "ci", "", "", ""},
		"removed":              {trusted{authorities: []verify.Authority{other}}, []otav1alpha1.Verification{claimBy(ci, at)}, "", "", "", "authority ci was removed"},
		"renamed":              {trusted{authorities: []verify.Authority{named(ci, "build")}}, []otav1alpha1.Verification{claimBy(ci, at)}, "build", "", "", ""},
		"two names":            {trusted{authorities: []verify.Authority{ci, named(ci, "build")}}, []otav1alpha1.Verification{claimBy(ci, at)}, "ci build", "", "", ""},
		"another key":          {trusted{authorities: []verify.Authority{named(other, "ci")}}, []otav1alpha1.Verification{claimBy(ci, at)}, "", "ci", "authority ci now expects key " + other.Key.ID(), ""},
		"end before":           {trusted{authorities: []verify.Authority{until(ci, at.Add(-time.Second))}}, []otav1alpha1.Verification{claimBy(ci, at)}, "", "", "", "verified at 2026-05-01T12:00:00Z, after authority ci's notAfter 2026-05-01T11:59:59Z"},
		"end at the same time": {trusted{authorities: []verify.Authority{until(ci, at)}}, []otav1alpha1.Verification{claimBy(ci, at)}, "ci", "", "", ""},
		"end later":            {trusted{authorities: []verify.Authority{until(ci, at.Add(time.Hour))}}, []otav1alpha1.Verification{claimBy(ci, at)}, "ci", "", "", ""},
		"another key, and end before": {trusted{authorities: []verify.Authority{until(named(other, "ci"), at.Add(-time.Hour))}}, []otav1alpha1.Verification{claimBy(ci, at)},
			"", "", "", "notAfter 2026-05-01T11:00:00Z"},
		"renamed, and end before": {trusted{authorities: []verify.Authority{until(named(ci, "build"), at.Add(-time.Hour))}}, []otav1alpha1.Verification{claimBy(ci, at)},
			"", "", "", "authority ci was removed"},
		"of an older version":        {trusted{authorities: []verify.Authority{ci}}, []otav1alpha1.Verification{{Authority: "ci", KeyID: ci.Key.ID()}}, "", "ci", "older version", ""},
		"older version, and removed": {trusted{}, []otav1alpha1.Verification{{Authority: "ci", KeyID: ci.Key.ID()}}, "", "", "", "authority ci was removed"},
		"ConfigMap is gone":          {lostConfigMap(nil), []otav1alpha1.Verification{claimBy(ci, at)}, "ci", "", "", ""},
		"ConfigMap is gone, and end": {lostConfigMap(new(metav1.NewTime(at.Add(-time.Hour)))), []otav1alpha1.Verification{claimBy(ci, at)}, "", "", "", "notAfter"},
		"one of two is removed": {trusted{authorities: []verify.Authority{other}}, []otav1alpha1.Verification{claimBy(ci, at), claimBy(other, at)},
			"other", "", "", "authority ci was removed"},
	} {
		t.Run(name, func(t *testing.T) {
			v := tc.today.weigh(tc.old)
			if got := authoritiesOf(v.held); got != tc.held {
				t.Errorf("held %q, want %q", got, tc.held)
			}
			if got := authoritiesOf(v.doubted); got != tc.doubted {
				t.Errorf("in doubt %q, want %q", got, tc.doubted)
			}
			for what, texts := range map[string][2]string{"doubts": {strings.Join(v.doubts, ";"), tc.doubts}, "losses": {strings.Join(v.losses, ";"), tc.lossText}} {
				if !strings.Contains(texts[0], texts[1]) || texts[1] == "" && texts[0] != "" {
					t.Errorf("%s are %q, want %q", what, texts[0], texts[1])
				}
			}
		})
	}
}

// Whatever is asked: nobody has two claims, nothing holds that was made too late or by somebody who is gone, and to weigh twice
// changes nothing.
func TestTrusted_weighAlways(t *testing.T) {
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	pool := []verify.Authority{keyed(t, "a"), keyed(t, "b"), keyed(t, "c")}
	names := []string{"a", "b", "c", "d"}
	rapid.Check(t, func(t *rapid.T) {
		var today trusted
		for _, name := range rapid.SliceOfDistinct(rapid.SampledFrom(names), rapid.ID).Draw(t, "authorities") {
			a := rapid.SampledFrom(pool).Draw(t, "key")
			a.Name = name
			if rapid.Bool().Draw(t, "ends") {
				a.NotAfter = at.Add(time.Duration(rapid.IntRange(-2, 2).Draw(t, "end")) * time.Hour)
			}
			today.authorities = append(today.authorities, a)
		}
		var old []otav1alpha1.Verification
		for _, name := range rapid.SliceOfDistinct(rapid.SampledFrom(names), rapid.ID).Draw(t, "claims") {
			c := claimBy(rapid.SampledFrom(pool).Draw(t, "by"), at.Add(time.Duration(rapid.IntRange(-2, 2).Draw(t, "at"))*time.Hour))
			c.Authority = name
			old = append(old, c)
		}
		v := today.weigh(old)
		all := slices.Concat(v.held, v.doubted)
		for i, c := range all {
			if slices.ContainsFunc(all[:i], func(o otav1alpha1.Verification) bool { return o.Authority == c.Authority }) {
				t.Fatalf("%s has two claims in %+v", c.Authority, all)
			}
			j := slices.IndexFunc(today.authorities, func(a verify.Authority) bool { return a.Name == c.Authority })
			if j < 0 || late(c, today.authorities[j].NotAfter) {
				t.Fatalf("%+v holds, or is only in doubt, with authorities %+v", c, today.authorities)
			}
			if held := i < len(v.held); held != (c.Trust == today.authorities[j].Fingerprint()) {
				t.Fatalf("%+v holds: %v, with authority %+v", c, held, today.authorities[j])
			}
		}
		if again := today.weigh(all); authoritiesOf(again.held) != authoritiesOf(v.held) || authoritiesOf(again.doubted) != authoritiesOf(v.doubted) || len(again.losses) > 0 {
			t.Fatalf("weighed twice: first %+v, then %+v", v, again)
		}
	})
}
