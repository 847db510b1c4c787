// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/testkit"
)

const (
	issuer   = "https://ci.test"
	workflow = "https://ci.test/shop/release.yml@refs/heads/main"
)

func sigstore(t *testing.T) *testkit.Sigstore {
	t.Helper()
	s, err := testkit.NewSigstore()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// github is the keyless authority of the workflow, with its trusted root in the ConfigMap sigstore.
func github() otav1alpha1.Authority {
	return otav1alpha1.Authority{Name: "github", Keyless: &otav1alpha1.KeylessIdentity{
		Issuer: issuer, Subject: workflow, TrustedRootConfigMapRef: otav1alpha1.KeyReference{Name: "sigstore", Key: "trusted_root.json"},
	}}
}

func (s *story) trustedRoot(instance *testkit.Sigstore) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: "sigstore"},
		Data:       map[string]string{"trusted_root.json": string(instance.TrustedRoot())},
	}
}

// setAuthorities changes whom the Repository trusts.
func (s *story) setAuthorities(t *testing.T, authorities ...otav1alpha1.Authority) {
	t.Helper()
	update(t, s, s.repo, func(r *otav1alpha1.Repository) { r.Spec.Trust.Authorities = authorities })
}

func (s *story) ci() otav1alpha1.Authority {
	return otav1alpha1.Authority{Name: "ci", PublicKey: &otav1alpha1.PublicKeySource{Inline: s.author.PublicPEM()}}
}

func base64Of(file []byte) string { return base64.StdEncoding.EncodeToString(file) }

func signed(t *testing.T, file []byte, err error) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// wantLost waits until nobody vouches for a Bundle any more, and it says why.
func (s *story) wantLost(t *testing.T, b *otav1alpha1.Bundle, parts ...string) {
	t.Helper()
	s.wantStalled(t, b, otav1alpha1.SignatureInvalidReason)
	testkit.Eventually(t, s.Client, b, testkit.HaveCondition(otav1alpha1.VerifiedCondition, metav1.ConditionFalse, otav1alpha1.SignatureInvalidReason),
		testkit.HaveMessage(otav1alpha1.VerifiedCondition, parts...), testkit.HaveMessage(otav1alpha1.ReadyCondition, parts...))
	if len(b.Status.Verifications) != 0 {
		t.Errorf("verifications are %+v, want none", b.Status.Verifications)
	}
	if b.Status.Artifact == nil {
		t.Error("the artifact was forgotten: it is in the bucket still")
	}
	s.wantEvent(t, b, otav1alpha1.SignatureInvalidReason)
}

// A keyless identity vouches as long as the Repository expects that identity under that trusted root. What proves it is kept.
func TestBundle_keyless(t *testing.T) {
	t.Parallel()
	g := gomega.NewWithT(t)
	s := prepare(t, func(s *story) { s.options.Recheck = 200 * time.Millisecond })
	instance := sigstore(t)
	root := s.trustedRoot(instance)
	s.repo.Spec.Trust.Authorities = []otav1alpha1.Authority{github()}
	a := s.publish(t, "/a", "one")
	file, err := instance.SignBlob(issuer, workflow, a.Content)
	s.site.Put("/a.sigstore.json", signed(t, file, err))
	b := s.Bundle("shop", "1.0.0", a)
	b.Spec.Signatures = []otav1alpha1.SignatureSource{{URL: otav1alpha1.URL(s.site.URL + "/a.sigstore.json")}}
	s.Create(t, s.repo, b)
	s.start(t)
	s.want(t, b, metav1.ConditionFalse, otav1alpha1.ConfigMapNotFoundReason)
	s.Create(t, root)
	s.wantReady(t, b)
	v := b.Status.Verifications[0]
	g.Expect(v.Authority).To(gomega.Equal("github"))
	g.Expect(v.Format).To(gomega.Equal(otav1alpha1.FormatSigstoreBundle))
	g.Expect([]string{v.Issuer, v.Subject, v.Signature, v.KeyID}).To(gomega.Equal([]string{issuer, workflow, "", ""}))
	g.Expect(v.Trust).To(gomega.MatchRegexp("^[0-9a-f]{64}$"))
	stored, _, err := s.bucket.Get(t.Context(), release.EvidenceObject(string(v.Evidence)), 1<<20)
	g.Expect(err).NotTo(gomega.HaveOccurred())
	g.Expect(bytes.Equal(stored, file)).To(gomega.BeTrue())
	s.rest(t, b)

	// The trusted root is refreshed after the sources have vanished: what proves the signature is in the bucket.
	s.site.Put("/a", nil)
	s.site.Put("/a.sigstore.json", nil)
	update(t, s, root, func(c *corev1.ConfigMap) { c.Data["trusted_root.json"] += "\n" })
	g.Eventually(func(g gomega.Gomega) {
		g.Expect(s.Client.Get(t.Context(), client.ObjectKeyFromObject(b), b)).To(gomega.Succeed())
		g.Expect(b.Status.Verifications).To(gomega.HaveLen(1))
		g.Expect(b.Status.Verifications[0].Trust).NotTo(gomega.Equal(v.Trust))
	}).WithTimeout(testkit.Timeout).Should(gomega.Succeed())
	s.wantReady(t, b)
	if at := b.Status.Verifications[0].At; !at.Equal(v.At) {
		t.Errorf("verified at %v, want %v: it is the same signature", at, v.At)
	}

	update(t, s, root, func(c *corev1.ConfigMap) { c.Data["trusted_root.json"] = "<html>moved</html>" })
	s.rest(t, b) // nobody can tell: what was verified holds
	s.wantReady(t, b)
	update(t, s, root, func(c *corev1.ConfigMap) { c.Data["trusted_root.json"] = string(sigstore(t).TrustedRoot()) })
	testkit.Eventually(t, s.Client, b, testkit.HaveMessage(otav1alpha1.VerifiedCondition, "authority github now expects", "under the trusted root sha256:"))
	gomega.NewWithT(t).Eventually(func(g gomega.Gomega) {
		g.Expect(s.Client.Get(t.Context(), client.ObjectKeyFromObject(b), b)).To(gomega.Succeed())
		g.Expect(apimeta.IsStatusConditionFalse(b.Status.Conditions, otav1alpha1.VerifiedCondition)).To(gomega.BeTrue())
		g.Expect(b.Status.Verifications).To(gomega.BeEmpty())
	}).WithTimeout(testkit.Timeout).Should(gomega.Succeed())
	s.rest(t, b)
	s.site.Put("/a.sigstore.json", file)
	s.wantLost(t, b, "authority github now expects", "under the trusted root sha256:")
	update(t, s, root, func(c *corev1.ConfigMap) { c.Data["trusted_root.json"] = string(instance.TrustedRoot()) })
	s.wantReady(t, b)
}

// Whatever takes an author's trust away takes the Bundle back at once, says why, and says the same after a restart.
func TestBundle_trustLost(t *testing.T) {
	t.Parallel()
	late := metav1.NewTime(time.Now().Add(-time.Hour).Truncate(time.Second))
	for name, tc := range map[string]struct {
		edit func(s *story, instance *testkit.Sigstore) []otav1alpha1.Authority
		want []string
	}{
		"removed": {func(s *story, _ *testkit.Sigstore) []otav1alpha1.Authority {
			a := s.ci()
			a.Name = "other"
			return []otav1alpha1.Authority{a}
		}, []string{"authority github was removed: ", "tried other"}},
		"end in the past": {func(*story, *testkit.Sigstore) []otav1alpha1.Authority {
			a := github()
			a.NotAfter = &late
			return []otav1alpha1.Authority{a}
		}, []string{"after authority github's notAfter " + late.UTC().Format(time.RFC3339), "no longer valid: github"}},
		"another identity": {func(*story, *testkit.Sigstore) []otav1alpha1.Authority {
			a := github()
			a.Keyless.Subject += "-2"
			return []otav1alpha1.Authority{a}
		}, []string{"authority github now expects subject " + workflow + "-2 of issuer " + issuer, "tried github"}},
		"provenance asked for": {func(*story, *testkit.Sigstore) []otav1alpha1.Authority {
			a := github()
			a.Provenance = &otav1alpha1.ProvenancePolicy{BuilderID: "https://ci.test/builder"}
			return []otav1alpha1.Authority{a}
		}, []string{"authority github now expects", "provenance of builder https://ci.test/builder"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, instance := prepare(t), sigstore(t)
			a := s.publish(t, "/a", "one")
			file, err := instance.SignBlob(issuer, workflow, a.Content)
			b := s.Bundle("shop", "1.0.0", a)
			b.Spec.Signatures = []otav1alpha1.SignatureSource{{Inline: base64Of(signed(t, file, err))}}
			s.repo.Spec.Trust.Authorities = []otav1alpha1.Authority{github()}
			s.Create(t, s.trustedRoot(instance), s.repo, b)
			s.start(t)
			s.wantReady(t, b)
			asked := s.asked.Load()
			s.setAuthorities(t, tc.edit(s, instance)...)
			s.wantLost(t, b, tc.want...)
			if s.asked.Load() != asked {
				t.Error("the source was asked for what is in the bucket")
			}
			s.rest(t, b)
			version := b.ResourceVersion
			s.stop()
			s.start(t)
			s.rest(t, b)
			if b.ResourceVersion != version {
				t.Errorf("a restart rewrote the status, which says now %+v", b.Status.Conditions)
			}
			s.setAuthorities(t, github())
			s.wantReady(t, b)
		})
	}
}

// What happened while no manager ran counts as soon as one starts.
func TestBundle_trustLostMeanwhile(t *testing.T) {
	t.Parallel()
	s := begin(t)
	b := s.Bundle("shop", "1.0.0", s.publish(t, "/a", "one"))
	s.Create(t, b)
	s.wantReady(t, b)
	s.stop()
	other := s.ci()
	other.Name, other.PublicKey.Inline = "other", testkit.NewAuthor(t, "other").PublicPEM()
	s.setAuthorities(t, other)
	s.start(t)
	s.wantLost(t, b, "authority ci was removed")
	s.wantEvent(t, b, "TrustLost")
}

// A planned end takes nothing away, also when other things change after it; nothing new counts then.
func TestBundle_plannedEnd(t *testing.T) {
	t.Parallel()
	s := begin(t)
	old := s.Bundle("old", "1.0.0", s.publish(t, "/a", "one"))
	s.Create(t, old)
	s.wantReady(t, old)
	ending := s.ci()
	ending.NotAfter = new(metav1.NewTime(time.Now().Add(time.Hour)))
	s.setAuthorities(t, ending)
	s.rest(t, old)
	s.ahead.Store(int64(2 * time.Hour))
	late := s.Bundle("late", "2.0.0", s.publish(t, "/b", "two"))
	s.Create(t, late)
	s.wantStalled(t, late, otav1alpha1.SignatureInvalidReason)
	testkit.Eventually(t, s.Client, late, testkit.HaveMessage(otav1alpha1.ReadyCondition, "no longer valid: ci"))
	ending.Hash = otav1alpha1.HashSHA256 // verified again, after the end
	s.setAuthorities(t, ending)
	s.rest(t, old, late)
	s.wantReady(t, old)
	if v := old.Status.Verifications; len(v) != 1 || v[0].At.After(ending.NotAfter.Time) {
		t.Errorf("verifications are %+v", v)
	}
}

// One of two authors is enough to stay ready; the other one is gone from the status.
func TestBundle_oneOfTwoLost(t *testing.T) {
	t.Parallel()
	s := prepare(t)
	manager := testkit.NewAuthor(t, "manager")
	both := []otav1alpha1.Authority{s.ci(), {Name: "manager", PublicKey: &otav1alpha1.PublicKeySource{Inline: manager.PublicPEM()}}}
	s.repo.Spec.Trust.Authorities = both
	b := s.Bundle("shop", "1.0.0", s.site.Publish(t, "/a", testkit.Zip(t, map[string]string{"a": "1"}), s.author, manager))
	s.Create(t, s.repo, b)
	s.start(t)
	s.wantReady(t, b)
	s.setAuthorities(t, both[1])
	s.wantEvent(t, b, "TrustLost")
	s.wantReady(t, b)
	testkit.Eventually(t, s.Client, b, testkit.HaveMessage(otav1alpha1.ReadyCondition, "stored and signed by manager"))
	if len(b.Status.Verifications) != 1 {
		t.Errorf("verifications are %+v, want that of manager", b.Status.Verifications)
	}
	s.setAuthorities(t, both...)
	testkit.Eventually(t, s.Client, b, testkit.HaveMessage(otav1alpha1.ReadyCondition, "signed by ci, manager"))
	s.rest(t, b)
}

// Who lost the trust cannot keep it by sources that never answer: the doubt ends after a time.
func TestBundle_doubtEnds(t *testing.T) {
	t.Parallel()
	s := prepare(t)
	a := s.publish(t, "/a", "one")
	hang, ended := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(ended) })
	url := s.handle("/sig", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
			select {
			case <-ended:
			case <-r.Context().Done():
			}
		default:
			_, _ = w.Write([]byte(a.Signatures[0]))
		}
	})
	b := s.Bundle("shop", "1.0.0", a)
	b.Spec.Signatures = []otav1alpha1.SignatureSource{{URL: otav1alpha1.URL(url)}}
	s.Create(t, s.repo, b)
	s.start(t)
	s.wantReady(t, b)
	close(hang)
	other := s.ci()
	other.Name, other.PublicKey.Inline = "other", testkit.NewAuthor(t, "other").PublicPEM()
	s.setAuthorities(t, other)
	testkit.Eventually(t, s.Client, b, testkit.HaveCondition(otav1alpha1.VerifiedCondition, metav1.ConditionUnknown, otav1alpha1.ProgressingReason),
		testkit.HaveMessage(otav1alpha1.VerifiedCondition, "verifying it again: authority ci was removed"))
	s.ahead.Store(int64(2 * doubtTime))
	update(t, s, s.repo, func(r *otav1alpha1.Repository) { // wakes it sooner than the clock of this machine
		r.Spec.Retention = &otav1alpha1.RetentionSpec{UnreferencedAfter: "1000h"}
	})
	testkit.Eventually(t, s.Client, b, testkit.HaveCondition(otav1alpha1.VerifiedCondition, metav1.ConditionFalse, otav1alpha1.SignatureInvalidReason))
}

// What an older version has verified is verified again, by today's rules, and taken from nobody meanwhile.
func TestBundle_upgrade(t *testing.T) {
	t.Parallel()
	s := begin(t)
	b := s.Bundle("shop", "1.0.0", s.publish(t, "/a", "one"))
	s.Create(t, b)
	s.wantReady(t, b)
	s.rest(t, b)
	s.stop()
	v := &b.Status.Verifications[0]
	at := v.At
	v.Format, v.Trust, b.Status.Inspection = "", "", nil
	if err := s.Client.Status().Update(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	asked := s.asked.Load()
	s.start(t)
	gomega.NewWithT(t).Eventually(func(g gomega.Gomega) {
		g.Expect(s.Client.Get(t.Context(), client.ObjectKeyFromObject(b), b)).To(gomega.Succeed())
		g.Expect(b.Status.Inspection).NotTo(gomega.BeNil())
		g.Expect(b.Status.Verifications[0].Trust).NotTo(gomega.BeEmpty())
	}).WithTimeout(testkit.Timeout).Should(gomega.Succeed())
	s.wantReady(t, b)
	if !b.Status.Verifications[0].At.Equal(at) || b.Status.Verifications[0].Format != otav1alpha1.FormatDetached {
		t.Errorf("verification is %+v, want one of %v", b.Status.Verifications[0], at)
	}
	if s.asked.Load() != asked {
		t.Error("the source was asked for what is in the bucket")
	}
	if c := b.Status.Conditions; strings.Contains(c[0].Message, "older version") {
		t.Errorf("conditions still speak of the upgrade: %+v", c)
	}
	s.rest(t, b)
}
