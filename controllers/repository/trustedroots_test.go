// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/testkit"
	"github.com/windlass-dev/windlass/internal/trust"
	"github.com/windlass-dev/windlass/internal/verify"
)

func keyless(name, configMap string) otav1alpha1.Authority {
	return otav1alpha1.Authority{Name: name, Keyless: &otav1alpha1.KeylessIdentity{
		Issuer: "https://ci.test", Subject: "me", TrustedRootConfigMapRef: otav1alpha1.KeyReference{Name: configMap, Key: "trusted_root.json"},
	}}
}

// A keyless authority needs a trusted root that can be read; its digest and age are in the status.
func TestRepository_trustedRoots(t *testing.T) {
	g := gomega.NewWithT(t)
	s := begin(t)
	instance, err := testkit.NewSigstore()
	if err != nil {
		t.Fatal(err)
	}
	own := s.repo.Spec.Trust.Authorities
	s.repo.Spec.Trust.Authorities = slices.Concat(own, []otav1alpha1.Authority{keyless("github", "sigstore")})
	s.Create(t, s.secret, s.repo)
	s.want(t, metav1.ConditionFalse, otav1alpha1.ConfigMapNotFoundReason)
	testkit.Eventually(t, s.Client, s.repo, testkit.HaveMessage(otav1alpha1.ReadyCondition, "ConfigMap sigstore", "the trusted root of authority github"))
	if _, ok := s.set.Get(client.ObjectKeyFromObject(s.repo)); !ok {
		t.Error("the publisher was closed: a rollback could not reach devices any more")
	}
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: "sigstore"}, Data: map[string]string{"trusted_root.json": "<html>"}}
	s.Create(t, cm)
	s.want(t, metav1.ConditionFalse, otav1alpha1.TrustedRootInvalidReason)
	testkit.Eventually(t, s.Client, s.repo, testkit.HaveMessage(otav1alpha1.ReadyCondition, "authority github", "key trusted_root.json of ConfigMap sigstore"))
	s.rest(t)
	cm.Data["trusted_root.json"] = string(instance.TrustedRoot())
	if err := s.Client.Update(t.Context(), cm); err != nil {
		t.Fatal(err)
	}
	s.want(t, metav1.ConditionTrue, otav1alpha1.SucceededReason)
	testkit.Eventually(t, s.Client, s.repo, testkit.HaveCondition(otav1alpha1.TrustedRootsFreshCondition, metav1.ConditionTrue, otav1alpha1.SucceededReason))
	roots := s.repo.Status.TrustedRoots
	g.Expect(roots).To(gomega.HaveLen(1))
	g.Expect(roots[0].Authority).To(gomega.Equal("github"))
	g.Expect(string(roots[0].Digest)).To(gomega.Equal(testkit.Digest(instance.TrustedRoot())))
	g.Expect(*roots[0].AgeDays).To(gomega.BeZero())
	g.Expect(time.Since(roots[0].UpdatedAt.Time)).To(gomega.BeNumerically("<", time.Hour))
	s.rest(t)

	base := s.repo.DeepCopy()
	s.repo.Spec.Trust.Authorities = own
	if err := s.Client.Patch(t.Context(), s.repo, client.MergeFrom(base)); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, s.Client, s.repo, testkit.LackCondition(otav1alpha1.TrustedRootsFreshCondition))
	g.Expect(s.repo.Status.TrustedRoots).To(gomega.BeEmpty())
}

// From 90 days on a trusted root is old, and the message says which, and what to do. It does not change from day to day.
func TestDescribeRoots(t *testing.T) {
	instance, err := testkit.NewSigstore()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := verify.ParseTrustedRoot(instance.TrustedRoot())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	of := func(name string, age time.Duration) sigstoreRoot {
		a := trust.Authority{Authority: verify.Authority{Name: name, Identity: &verify.Identity{Root: parsed}}, RootUpdatedAt: now.Add(-age)}
		return sigstoreRoot{authority: a, from: otav1alpha1.KeyReference{Name: "sigstore", Key: "root"}}
	}
	s := &scope{repo: &otav1alpha1.Repository{}}
	describe := func(ages ...time.Duration) *metav1.Condition {
		var roots []sigstoreRoot
		for i, age := range ages {
			roots = append(roots, of(string(rune('a'+i)), age))
		}
		s.describeRoots(roots, now)
		return apimeta.FindStatusCondition(s.repo.Status.Conditions, otav1alpha1.TrustedRootsFreshCondition)
	}
	if c := describe(); c != nil {
		t.Errorf("condition is %+v without any trusted root", c)
	}
	if c := describe(90*day-time.Second, -time.Hour); c.Status != metav1.ConditionTrue || *s.repo.Status.TrustedRoots[0].AgeDays != 89 || *s.repo.Status.TrustedRoots[1].AgeDays != 0 {
		t.Errorf("condition is %+v, status %+v", c, s.repo.Status.TrustedRoots)
	}
	first := describe(90*day, time.Hour).DeepCopy()
	if first.Status != metav1.ConditionFalse || first.Reason != otav1alpha1.TrustedRootOldReason || !strings.Contains(first.Message, "authority a (key root of ConfigMap sigstore)") || strings.Contains(first.Message, "b (") {
		t.Errorf("condition is %+v", first)
	}
	if c := describe(91*day, day); c.Message != first.Message {
		t.Errorf("message changes from %q to %q", first.Message, c.Message)
	}
	old := &otav1alpha1.Repository{}
	if got := transitions(old, s.repo); len(got) != 1 || got[0].Reason != otav1alpha1.TrustedRootOldReason {
		t.Errorf("events are %+v", got)
	}
	if got := transitions(s.repo, s.repo); len(got) != 0 {
		t.Errorf("events are %+v of what stays", got)
	}
}
