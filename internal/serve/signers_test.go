// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// signedBy is a bundle that is signed as "<authority>=<key>" say; a key with an @ is the subject of a keyless signature.
func signedBy(claims ...string) *otav1alpha1.Bundle {
	b := bundle(2)
	b.Status.Verifications = nil
	for _, c := range claims {
		name, key, _ := strings.Cut(c, "=")
		v := otav1alpha1.Verification{Authority: name, KeyID: key, Trust: "trust of " + name, Signature: "c2ln"}
		if strings.Contains(key, "@") {
			v.KeyID, v.Issuer, v.Subject = "", "https://issuer.example", key
		}
		b.Status.Verifications = append(b.Status.Verifications, v)
	}
	return b
}

func quorum(required int32, authorities ...string) otav1alpha1.Quorum {
	return otav1alpha1.Quorum{Required: required, Authorities: authorities}
}

func TestAdmit_signatures(t *testing.T) {
	for name, tc := range map[string]struct {
		required []string
		quorums  []otav1alpha1.Quorum
		bundle   *otav1alpha1.Bundle
		want     string
	}{
		"all that are required": {[]string{"ci", "boss"}, nil, signedBy("ci=1", "boss=2"), ""},
		"one is missing":        {[]string{"ci", "boss"}, nil, signedBy("ci=1"), "requires signatures of ci, boss: missing boss, signed by ci"},
		"nobody":                {[]string{"ci"}, nil, signedBy(), "missing ci, signed by nobody"},
		"one key, two names":    {[]string{"ci", "boss"}, nil, signedBy("ci=1", "boss=1"), "missing boss (its key or identity is that of ci, and counts once)"},
		"one person, two names": {[]string{"anna", "boss"}, nil, signedBy("anna=a@example.com", "boss=a@example.com"), "missing boss (its key or identity is that of anna"},
		"two people":            {[]string{"anna", "ben"}, nil, signedBy("anna=a@example.com", "ben=b@example.com"), ""},
		"key and person":        {[]string{"ci", "ben"}, nil, signedBy("ci=1", "ben=b@example.com"), ""},
		"two of three":          {nil, []otav1alpha1.Quorum{quorum(2, "a", "b", "c")}, signedBy("a=1", "c=3"), ""},
		"one of three":          {nil, []otav1alpha1.Quorum{quorum(2, "a", "b", "c")}, signedBy("c=3", "d=4"), "requires signatures of 2 of a, b, c: 1 count, signed by c, d"},
		"two of three, one key": {nil, []otav1alpha1.Quorum{quorum(2, "a", "b", "c")}, signedBy("a=1", "c=1"), "2 of a, b, c (its key or identity is that of a, and counts once): 1 count"},
		"three names, two keys": {nil, []otav1alpha1.Quorum{quorum(2, "a", "b", "c")}, signedBy("a=1", "b=1", "c=3"), ""},
		"required and quorum":   {[]string{"ci"}, []otav1alpha1.Quorum{quorum(1, "a", "b")}, signedBy("ci=1", "b=2"), ""},
		"ci under a second name is no second opinion": {[]string{"ci"}, []otav1alpha1.Quorum{quorum(1, "a", "b")}, signedBy("ci=1", "b=1"),
			"1 of a, b (its key or identity is that of ci, and counts once): 0 count"},
		"required, and named in the quorum": {[]string{"ci"}, []otav1alpha1.Quorum{quorum(2, "ci", "a", "b")}, signedBy("ci=1", "b=2"), ""},
		"two quorums, one of them short":    {nil, []otav1alpha1.Quorum{quorum(1, "a", "b"), quorum(1, "c", "d")}, signedBy("a=1"), "1 of c, d: 0 count"},
		"two quorums with one name":         {nil, []otav1alpha1.Quorum{quorum(1, "a", "b"), quorum(1, "a", "c")}, signedBy("a=1"), ""},
		"two quorums, one key":              {nil, []otav1alpha1.Quorum{quorum(1, "a"), quorum(1, "c")}, signedBy("a=1", "c=1"), "1 of c (its key"},
		"many names that nobody asks for":   {[]string{"ci"}, nil, signedBy("x=1", "ci=1"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := AdmitFacts{Channel: channel(), Bundle: tc.bundle, Now: start}
			f.Channel.Spec.Admission = &otav1alpha1.Admission{RequiredAuthorities: tc.required, Quorums: tc.quorums}
			if v := Admit(f); !strings.Contains(v.Denied, tc.want) || tc.want == "" && !v.Admitted() {
				t.Errorf("got %+v, want %q", v, tc.want)
			}
		})
	}
}

// Two trusts of one key, and one trust under two names, are one signer, through any chain of such.
func TestAdmit_signersInChains(t *testing.T) {
	b := signedBy("a=1", "b=2", "c=3")
	b.Status.Verifications[1].Trust = "trust of a" // a and b are one
	b.Status.Verifications[2].KeyID = "2"          // b and c are one
	f := AdmitFacts{Channel: channel(), Bundle: b, Now: start}
	f.Channel.Spec.Admission = &otav1alpha1.Admission{Quorums: []otav1alpha1.Quorum{quorum(2, "a", "c")}}
	if v := Admit(f); !strings.Contains(v.Denied, "1 count") {
		t.Errorf("got %+v, want one signer", v)
	}
}

var (
	someNames = []string{"a", "b", "c", "d"}
	someKeys  = []string{"1", "2", "3", "x@example.com"}
)

func drawBundle(t *rapid.T) *otav1alpha1.Bundle {
	var claims []string
	for _, name := range rapid.SliceOfDistinct(rapid.SampledFrom(someNames), rapid.ID).Draw(t, "signed by") {
		claims = append(claims, name+"="+rapid.SampledFrom(someKeys).Draw(t, "with"))
	}
	return signedBy(claims...)
}

func drawAdmission(t *rapid.T) *otav1alpha1.Admission {
	names := rapid.SliceOfDistinct(rapid.SampledFrom(someNames), rapid.ID)
	a := &otav1alpha1.Admission{RequiredAuthorities: names.Draw(t, "required")}
	for range rapid.IntRange(0, 2).Draw(t, "quorums") {
		of := rapid.SliceOfNDistinct(rapid.SampledFrom(someNames), 1, 4, rapid.ID).Draw(t, "of")
		a.Quorums = append(a.Quorums, quorum(int32(rapid.IntRange(1, len(of)).Draw(t, "at least")), of...))
	}
	return a
}

// To require more admits nothing more.
func TestAdmit_requiringMoreAdmitsNoMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, a := drawBundle(t), drawAdmission(t)
		more := a.DeepCopy()
		switch rapid.IntRange(0, 2).Draw(t, "how") {
		case 0:
			name := rapid.SampledFrom(someNames).Draw(t, "name")
			if slices.Contains(more.RequiredAuthorities, name) {
				return
			}
			at := rapid.IntRange(0, len(more.RequiredAuthorities)).Draw(t, "at")
			more.RequiredAuthorities = slices.Insert(more.RequiredAuthorities, at, name)
		case 1:
			more.Quorums = append(more.Quorums, quorum(1, rapid.SampledFrom(someNames).Draw(t, "name")))
		default:
			if len(more.Quorums) == 0 {
				return
			}
			more.Quorums[0].Required++
		}
		before, after := unsigned(a, signersOf(b)), unsigned(more, signersOf(b))
		if before != "" && after == "" {
			t.Fatalf("%+v admits what %+v denies: %s", more, a, before)
		}
	})
}

// No more people count than there are keys, whatever the names.
func TestAdmit_neverMoreSignersThanKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := drawBundle(t)
		keys := map[string]bool{}
		for _, v := range b.Status.Verifications {
			keys[v.KeyID+v.Subject] = true
		}
		a := &otav1alpha1.Admission{Quorums: []otav1alpha1.Quorum{quorum(int32(len(keys))+1, someNames...)}}
		if why := unsigned(a, signersOf(b)); why == "" {
			t.Fatalf("%d signers of %+v count", len(keys)+1, b.Status.Verifications)
		}
		if a.Quorums[0].Required--; len(keys) > 0 && unsigned(a, signersOf(b)) != "" {
			t.Fatalf("%d signers of %+v do not count", len(keys), b.Status.Verifications)
		}
	})
}
