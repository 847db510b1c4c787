// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/store"
	"github.com/windlass-dev/windlass/internal/testkit"
)

func openBucket(t *testing.T, b *testkit.Bucket) *store.Bucket {
	t.Helper()
	bucket, err := store.Open(store.Config{Endpoint: b.Endpoint, Bucket: b.Name, AccessKey: b.AccessKeyID, SecretKey: b.SecretAccessKey})
	if err != nil {
		t.Fatal(err)
	}
	return bucket
}

// serves makes a Channel that says in status that it serves a Bundle.
func (s *story) serves(t *testing.T, name string, stable *otav1alpha1.Bundle) *otav1alpha1.Channel {
	t.Helper()
	c := s.Channel(name)
	s.Create(t, c)
	s.setServed(t, c, stable)
	return c
}

func (s *story) setServed(t *testing.T, c *otav1alpha1.Channel, stable *otav1alpha1.Bundle) {
	t.Helper()
	c.Status.Stable = nil
	if stable != nil {
		c.Status.Stable = &otav1alpha1.ServedBundle{Bundle: stable.Name, Version: stable.Spec.Version, Digest: stable.Spec.Digest}
	}
	if err := s.Client.Status().Update(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

// An artifact keeps the first version that it had, also when the Bundle that it had it by is gone.
func TestBundle_versionOfAnArtifact(t *testing.T) {
	t.Parallel()
	s := begin(t)
	first := s.Bundle("first", "1.0.0", s.publish(t, "/a", "one"))
	s.Create(t, first)
	s.wantReady(t, first)
	renamed := s.Bundle("a-renamed", "9.0.0", s.publish(t, "/a", "one"))
	another := s.Bundle("another", "9.0.0", s.publish(t, "/b", "two"))
	s.Create(t, renamed)
	s.wantStalled(t, renamed, otav1alpha1.VersionConflictReason)
	testkit.Eventually(t, s.Client, renamed, testkit.HaveMessage(otav1alpha1.ReadyCondition, "belongs to Bundle first with version 1.0.0, not to 9.0.0"))
	s.delete(t, first)
	s.wantGone(t, first)
	testkit.Eventually(t, s.Client, renamed, testkit.HaveCondition(otav1alpha1.StalledCondition, metav1.ConditionTrue, otav1alpha1.VersionConflictReason),
		testkit.HaveMessage(otav1alpha1.ReadyCondition, "is stored already as version 1.0.0"))
	s.delete(t, renamed)
	s.Create(t, another)
	s.wantReady(t, another)
	if keys := s.objects(t); len(keys) != 2 {
		t.Errorf("the bucket has %v, want two artifacts", keys)
	}
}

// A version belongs to the first Bundle that has it; the same digest may have it twice.
func TestBundle_versionConflict(t *testing.T) {
	t.Parallel()
	s := begin(t)
	first := s.Bundle("a-first", "1.0.0", s.publish(t, "/a", "one"))
	s.Create(t, first)
	s.wantReady(t, first)
	second := s.Bundle("a-earlier-by-name", "1.0.0", s.publish(t, "/b", "two"))
	twin := s.Bundle("twin", "1.0.0", s.publish(t, "/a", "one"))
	s.Create(t, second, twin)
	s.wantStalled(t, second, otav1alpha1.VersionConflictReason)
	testkit.Eventually(t, s.Client, second, testkit.HaveMessage(otav1alpha1.ReadyCondition, "a-first", string(first.Spec.Digest), string(second.Spec.Digest)))
	s.wantReady(t, twin)
	s.rest(t, first, second, twin)
	if keys := s.objects(t); len(keys) != 1 {
		t.Errorf("the bucket has %v, want one artifact", keys)
	}
	s.delete(t, twin)
	s.delete(t, first)
	s.wantGone(t, first)
	testkit.Eventually(t, s.Client, second, testkit.HaveCondition(otav1alpha1.StalledCondition, metav1.ConditionTrue, otav1alpha1.VersionConflictReason),
		testkit.HaveMessage(otav1alpha1.ReadyCondition, "stored already"))
}

// A Bundle that was refused gives its version up when it is deleted.
func TestBundle_versionFreed(t *testing.T) {
	t.Parallel()
	s := begin(t)
	bad := s.publish(t, "/a", "one")
	bad.Digest = testkit.Digest([]byte("x"))
	first := s.Bundle("first", "1.0.0", bad)
	s.Create(t, first)
	s.wantStalled(t, first, otav1alpha1.DigestMismatchReason)
	second := s.Bundle("second", "1.0.0", s.publish(t, "/a", "one"))
	second.Spec.Digest = otav1alpha1.Digest(testkit.Digest(bad.Content))
	s.Create(t, second)
	s.wantStalled(t, second, otav1alpha1.VersionConflictReason)
	s.delete(t, first)
	s.wantReady(t, second)
}

func TestBundle_usedBy(t *testing.T) {
	t.Parallel()
	g := gomega.NewWithT(t)
	s := begin(t)
	b := s.Bundle("shop", "1.0.0", s.publish(t, "/a", "one"))
	s.Create(t, b)
	s.wantReady(t, b)
	s.serves(t, "production", b)
	floor := s.Channel("old")
	floor.Spec.Guards = &otav1alpha1.Guards{Floor: "1.0.0"}
	s.Create(t, floor)
	g.Eventually(func(g gomega.Gomega) {
		g.Expect(s.Client.Get(t.Context(), client.ObjectKeyFromObject(b), b)).To(gomega.Succeed())
		g.Expect(b.Status.UsedBy).To(gomega.Equal([]otav1alpha1.BundleUse{
			{Channel: "old", As: otav1alpha1.RoleFloor}, {Channel: "production", As: otav1alpha1.RoleStable},
		}))
	}).WithTimeout(testkit.Timeout).Should(gomega.Succeed())
	s.rest(t, b)
	testkit.CheckStatus(t, b)
}

// A Bundle that is served cannot go, and stays ready meanwhile; its bytes outlive it.
func TestBundle_deletionWaits(t *testing.T) {
	t.Parallel()
	s := begin(t)
	b := s.Bundle("shop", "1.0.0", s.publish(t, "/a", "one"))
	s.Create(t, b)
	s.wantReady(t, b)
	production := s.serves(t, "production", b)
	s.delete(t, b)
	testkit.Eventually(t, s.Client, b,
		testkit.HaveCondition(otav1alpha1.ReconcilingCondition, metav1.ConditionTrue, otav1alpha1.InUseReason),
		testkit.HaveMessage(otav1alpha1.ReconcilingCondition, "production"),
		testkit.HaveCondition(otav1alpha1.ReadyCondition, metav1.ConditionTrue, otav1alpha1.SucceededReason))
	testkit.CheckStatus(t, b)
	s.wantEvent(t, b, otav1alpha1.InUseReason)
	s.rest(t, b)

	s.publishers.set(func(p *publishers) { p.referenced = string(b.Spec.Digest) })
	s.setServed(t, production, nil)
	testkit.Eventually(t, s.Client, b, testkit.HaveMessage(otav1alpha1.ReconcilingCondition, "metadata of Repository default"))
	s.publishers.set(func(p *publishers) { p.referenced = "" })
	s.delete(t, production) // wakes nobody: the periodic look finds out
	s.wantGone(t, b)
	if keys := s.objects(t); len(keys) != 1 {
		t.Errorf("the bucket has %v: the bytes are left to the garbage collection", keys)
	}
}

// What was never stored goes at once, whatever the state of its Repository.
func TestBundle_deletionOfRefused(t *testing.T) {
	t.Parallel()
	s := begin(t)
	bad := s.publish(t, "/a", "one")
	bad.Digest = testkit.Digest([]byte("x"))
	b := s.Bundle("shop", "1.0.0", bad)
	s.Create(t, b)
	s.wantStalled(t, b, otav1alpha1.DigestMismatchReason)
	s.publishers.set(func(p *publishers) { p.bucket = nil })
	s.delete(t, b)
	s.wantGone(t, b)
}

func TestBundle_revoked(t *testing.T) {
	t.Parallel()
	s := begin(t)
	b := s.Bundle("shop", "1.0.0", s.publish(t, "/a", "one"))
	s.Create(t, b)
	s.wantReady(t, b)
	update(t, s, b, func(b *otav1alpha1.Bundle) { b.Spec.Revoked = "CVE-2026-1234: drop it" })
	s.wantStalled(t, b, otav1alpha1.RevokedReason)
	testkit.Eventually(t, s.Client, b,
		testkit.HaveCondition(otav1alpha1.RevokedCondition, metav1.ConditionTrue, otav1alpha1.RevokedReason),
		testkit.HaveCondition(otav1alpha1.ReadyCondition, metav1.ConditionFalse, otav1alpha1.RevokedReason),
		testkit.HaveMessage(otav1alpha1.ReadyCondition, "CVE-2026-1234"))
	s.rest(t, b)
}

// An artifact that vanished from the bucket is noticed and fetched again, as often as it takes.
func TestBundle_artifactLost(t *testing.T) {
	t.Parallel()
	s := begin(t, func(s *story) { s.options.Recheck = 200 * time.Millisecond })
	a := s.publish(t, "/a", "one")
	b := s.Bundle("shop", "1.0.0", a)
	s.Create(t, b)
	s.wantReady(t, b)
	key := release.TargetObject(b.Status.Artifact.Path, a.Digest)
	lose := func() {
		t.Helper()
		if err := s.bucket.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	lose()
	s.wantEvent(t, b, otav1alpha1.ArtifactLostReason)
	s.wantReady(t, b)
	gomega.NewWithT(t).Eventually(func() []string { return s.objects(t) }).WithTimeout(testkit.Timeout).Should(gomega.ConsistOf(key))

	s.site.Put("/a", nil)
	lose()
	s.want(t, b, metav1.ConditionFalse, otav1alpha1.SourceNotFoundReason)
	testkit.Eventually(t, s.Client, b, testkit.HaveCondition(otav1alpha1.StoredCondition, metav1.ConditionFalse, otav1alpha1.ArtifactLostReason))
	s.site.Put("/a", a.Content)
	s.wantReady(t, b)
	s.rest(t, b)
}

// A Repository that moves to another object store takes its artifacts along, without waiting for the next routine check.
func TestBundle_storageMoves(t *testing.T) {
	t.Parallel()
	s := begin(t)
	b := s.Bundle("shop", "1.0.0", s.publish(t, "/a", "one"))
	s.Create(t, b)
	s.wantReady(t, b)
	s.bucket = openBucket(t, testkit.ObjectStore(t))
	s.publishers.set(func(p *publishers) { p.bucket = s.bucket })
	update(t, s, s.repo, func(r *otav1alpha1.Repository) { r.Spec.Storage.Endpoint = "https://elsewhere.example.com" })
	gomega.NewWithT(t).Eventually(func() []string { return s.objects(t) }).WithTimeout(testkit.Timeout).Should(gomega.HaveLen(1))
	s.wantReady(t, b)
	s.rest(t, b)
}

// When an authority goes, its signatures no longer count; when it comes back, they do. Neither needs the source.
func TestBundle_authoritiesChange(t *testing.T) {
	t.Parallel()
	s := begin(t)
	a := s.publish(t, "/a", "one")
	b := s.Bundle("shop", "1.0.0", a)
	s.Create(t, b)
	s.wantReady(t, b)
	s.site.Put("/a", nil)
	own := s.repo.Spec.Trust.Authorities
	other := testkit.NewAuthor(t, "other")
	update(t, s, s.repo, func(r *otav1alpha1.Repository) {
		r.Spec.Trust.Authorities = []otav1alpha1.Authority{{Name: "ci", PublicKey: &otav1alpha1.PublicKeySource{Inline: other.PublicPEM()}}}
	})
	s.wantStalled(t, b, otav1alpha1.SignatureInvalidReason)
	if len(b.Status.Verifications) != 0 {
		t.Errorf("verifications are %v: the key of ci is another one now", b.Status.Verifications)
	}
	s.rest(t, b)
	update(t, s, s.repo, func(r *otav1alpha1.Repository) { r.Spec.Trust.Authorities = own })
	s.wantReady(t, b)
	asked := s.asked.Load()
	update(t, s, s.repo, func(r *otav1alpha1.Repository) { // renamed: the key vouches on under its new name
		r.Spec.Trust.Authorities[0].Name = "build"
	})
	gomega.NewWithT(t).Eventually(func(g gomega.Gomega) {
		g.Expect(s.Client.Get(t.Context(), client.ObjectKeyFromObject(b), b)).To(gomega.Succeed())
		g.Expect(b.Status.Verifications).To(gomega.HaveLen(1))
		g.Expect(b.Status.Verifications[0].Authority).To(gomega.Equal("build"))
	}).WithTimeout(testkit.Timeout).Should(gomega.Succeed())
	s.wantReady(t, b)
	if s.asked.Load() != asked {
		t.Error("the source was asked for what is in the bucket")
	}
}

// A signature that nobody knew yet counts as soon as its authority is trusted; the Bundle is ready all the time.
func TestBundle_authorityAdded(t *testing.T) {
	t.Parallel()
	s := begin(t)
	managers := testkit.NewAuthor(t, "managers")
	content := testkit.Zip(t, map[string]string{"a": "1"})
	a := s.site.Publish(t, "/a", content, s.author, managers)
	b := s.Bundle("shop", "1.0.0", a)
	s.Create(t, b)
	s.wantReady(t, b)
	if len(b.Status.Verifications) != 1 {
		t.Fatalf("verifications are %v, want one", b.Status.Verifications)
	}
	s.rest(t, b)
	s.site.Put("/a", nil)
	since := b.Status.Conditions
	update(t, s, s.repo, func(r *otav1alpha1.Repository) {
		r.Spec.Trust.Authorities = append(r.Spec.Trust.Authorities, otav1alpha1.Authority{
			Name: "managers", PublicKey: &otav1alpha1.PublicKeySource{Inline: managers.PublicPEM()},
		})
	})
	gomega.NewWithT(t).Eventually(func(g gomega.Gomega) {
		g.Expect(s.Client.Get(t.Context(), client.ObjectKeyFromObject(b), b)).To(gomega.Succeed())
		g.Expect(b.Status.Verifications).To(gomega.HaveLen(2))
	}).WithTimeout(testkit.Timeout).Should(gomega.Succeed())
	s.wantReady(t, b)
	for _, c := range b.Status.Conditions {
		for _, was := range since {
			if was.Type == c.Type && !was.LastTransitionTime.Equal(&c.LastTransitionTime) {
				t.Errorf("%s flapped", c.Type)
			}
		}
	}
	s.rest(t, b)
}

// A key file that is no key is said, and a good one helps, also in a ConfigMap that nobody watches.
func TestBundle_keys(t *testing.T) {
	t.Parallel()
	s := prepare(t, func(s *story) { s.options.Recheck = 200 * time.Millisecond })
	s.repo.Spec.Trust.Authorities[0].PublicKey = &otav1alpha1.PublicKeySource{ConfigMapRef: &otav1alpha1.KeyReference{Name: "keys", Key: "ci.pub"}}
	b := s.Bundle("shop", "1.0.0", s.publish(t, "/a", "one"))
	s.Create(t, s.repo, b)
	s.start(t)
	s.want(t, b, metav1.ConditionFalse, otav1alpha1.ConfigMapNotFoundReason)
	keys := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: "keys"}, Data: map[string]string{"ci.pub": "no key"}}
	s.Create(t, keys)
	s.wantStalled(t, b, otav1alpha1.InvalidKeyReason)
	testkit.Eventually(t, s.Client, b, testkit.HaveMessage(otav1alpha1.ReadyCondition, "authority ci", "BEGIN PUBLIC KEY"))
	s.rest(t, b)
	update(t, s, keys, func(c *corev1.ConfigMap) { c.Data["ci.pub"] = s.author.PublicPEM() })
	s.wantReady(t, b)
	s.delete(t, keys) // nobody can tell whether the key changed: what was verified holds
	s.rest(t, b)
	s.wantReady(t, b)
}

func TestBundle_repository(t *testing.T) {
	t.Parallel()
	s := prepare(t, func(s *story) { s.publishers.bucket = nil })
	b := s.Bundle("shop", "1.0.0", s.publish(t, "/a", "one"))
	s.Create(t, b)
	s.start(t)
	s.want(t, b, metav1.ConditionUnknown, otav1alpha1.RepositoryNotFoundReason)
	s.Create(t, s.repo)
	s.want(t, b, metav1.ConditionUnknown, otav1alpha1.RepositoryNotReadyReason)
	s.rest(t, b)
	s.publishers.set(func(p *publishers) { p.bucket = s.bucket })
	s.repositoryReady(t)
	s.wantReady(t, b)
}

// A new manager neither fetches what is stored, nor lets readiness flap while its Repository is not open yet. What was refused
// stays so, and is tried once more.
func TestBundle_restart(t *testing.T) {
	t.Parallel()
	s := begin(t)
	b := s.Bundle("shop", "1.0.0", s.publish(t, "/a", "one"))
	bad := s.Bundle("bad", "2.0.0", s.publish(t, "/b", "two"))
	bad.Spec.Digest = otav1alpha1.Digest(testkit.Digest([]byte("x")))
	s.Create(t, b, bad)
	s.wantReady(t, b)
	s.wantStalled(t, bad, otav1alpha1.DigestMismatchReason)
	s.rest(t, b, bad)
	versions, asked := b.ResourceVersion+bad.ResourceVersion, s.asked.Load()
	s.stop()
	s.publishers.set(func(p *publishers) { p.bucket = nil })
	s.start(t)
	s.rest(t, b, bad)
	s.publishers.set(func(p *publishers) { p.bucket = s.bucket })
	s.repositoryReady(t)
	gomega.NewWithT(t).Eventually(func() int32 { return s.asked.Load() - asked }).WithTimeout(testkit.Timeout).Should(gomega.Equal(int32(1)))
	s.rest(t, b, bad)
	if b.ResourceVersion+bad.ResourceVersion != versions {
		t.Error("a status was written after a restart, though nothing changed")
	}
	if n := s.asked.Load() - asked; n != 1 {
		t.Errorf("the site was asked %d times after a restart, want once for what was refused", n)
	}
}

// repositoryReady says what the controller of Repositories says once the bucket can be used.
func (s *story) repositoryReady(t *testing.T) {
	t.Helper()
	s.repo.Status.Conditions = []metav1.Condition{{
		Type: otav1alpha1.ReadyCondition, Status: metav1.ConditionTrue, Reason: otav1alpha1.SucceededReason, LastTransitionTime: metav1.Now(),
	}}
	if err := s.Client.Status().Update(t.Context(), s.repo); err != nil {
		t.Fatal(err)
	}
}
