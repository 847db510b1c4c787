// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"testing"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/ingest"
	"github.com/windlass-dev/windlass/internal/testkit"
	"github.com/windlass-dev/windlass/internal/verify"
)

// Nothing but a transfer tells whether somebody else vouches for an artifact, unless all were tried in vain.
func TestScope_hopeless(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	authority := func(name string) verify.Authority {
		key, err := verify.ParsePublicKey([]byte(testkit.NewAuthor(t, name).PublicPEM()))
		if err != nil {
			t.Fatal(err)
		}
		return verify.Authority{Name: name, Key: key}
	}
	ci, lead, other := authority("ci"), authority("lead"), authority("other")
	ended := lead
	ended.NotAfter = now.Add(-time.Hour)
	signedByCI := ingest.Result{Matches: []ingest.Match{{Match: verify.Match{Authority: "ci", Trust: ci.Fingerprint()}}}}
	for name, tc := range map[string]struct {
		tried []verify.Authority
		res   ingest.Result
		now   []verify.Authority
		edit  func(*scope)
		want  bool
	}{
		"the other one was tried":          {[]verify.Authority{ci, lead}, signedByCI, []verify.Authority{lead}, nil, true},
		"nobody is left":                   {[]verify.Authority{ci}, signedByCI, nil, nil, true},
		"only one that has ended is left":  {[]verify.Authority{ci}, signedByCI, []verify.Authority{ended}, nil, true},
		"a new one":                        {[]verify.Authority{ci, lead}, signedByCI, []verify.Authority{lead, other}, nil, false},
		"one that had signed it":           {[]verify.Authority{ci, lead}, signedByCI, []verify.Authority{ci}, nil, false},
		"one that had ended, and has not":  {[]verify.Authority{ci, ended}, signedByCI, []verify.Authority{lead}, nil, false},
		"after a restart":                  {nil, ingest.Result{}, []verify.Authority{lead}, nil, false},
		"not all signatures could be had":  {[]verify.Authority{ci, lead}, ingest.Result{Matches: signedByCI.Matches, Untried: true}, []verify.Authority{lead}, nil, false},
		"a key that cannot be had":         {[]verify.Authority{ci}, signedByCI, nil, func(s *scope) { s.trust.unknown = []otav1alpha1.Authority{{Name: "x"}} }, false},
		"a registry may know more":         {[]verify.Authority{ci}, signedByCI, nil, func(s *scope) { s.bundle.Spec.Signatures[0].Attached = "Cosign" }, false},
		"a web server may know more":       {[]verify.Authority{ci}, signedByCI, nil, func(s *scope) { s.bundle.Spec.Signatures[0] = otav1alpha1.SignatureSource{URL: "https://x"} }, false},
		"somebody vouches, or is in doubt": {[]verify.Authority{ci}, signedByCI, nil, func(s *scope) { s.bundle.Status.Verifications = make([]otav1alpha1.Verification, 1) }, false},
		"nothing is stored":                {[]verify.Authority{ci}, signedByCI, nil, func(s *scope) { s.bundle.Status.Artifact = nil }, false},
		"nothing was lost":                 {[]verify.Authority{ci}, signedByCI, nil, func(s *scope) { s.note.blames = nil }, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := &scope{bundle: &otav1alpha1.Bundle{}, note: &note{blames: []string{"authority ci was removed"}}}
			s.bundle.Spec.Signatures = []otav1alpha1.SignatureSource{{Inline: "x"}}
			s.bundle.Status.Artifact = &otav1alpha1.ArtifactStatus{}
			s.note.vain, s.trust.authorities = inVain(tc.tried, tc.res, now), tc.now
			if tc.edit != nil {
				tc.edit(s)
			}
			if got := s.hopeless(now); got != tc.want {
				t.Errorf("hopeless = %v, want %v", got, tc.want)
			}
		})
	}
}

// What was tried against all who are left is withdrawn without a look at the artifact: the bucket has lost it here, and nobody noticed.
func TestBundle_hopelessAtOnce(t *testing.T) {
	t.Parallel()
	s := prepare(t, func(s *story) { s.options.Recheck = time.Hour })
	lead := otav1alpha1.Authority{Name: "lead", PublicKey: &otav1alpha1.PublicKeySource{Inline: testkit.NewAuthor(t, "lead").PublicPEM()}}
	s.repo.Spec.Trust.Authorities = []otav1alpha1.Authority{s.ci(), lead}
	b := s.Bundle("shop", "1.0.0", s.publish(t, "/a", "one"))
	s.Create(t, s.repo, b)
	s.start(t)
	s.wantReady(t, b)
	for _, key := range s.objects(t) {
		if err := s.bucket.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	s.site.Put("/a", nil)
	s.setAuthorities(t, lead)
	s.wantLost(t, b, "authority ci was removed: none of 1 signatures matches an authority of the Repository: tried lead")
	if !apimeta.IsStatusConditionTrue(b.Status.Conditions, otav1alpha1.StoredCondition) {
		t.Errorf("the bucket was asked first: %+v", b.Status.Conditions)
	}
}
