// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/ceremony"
	"github.com/windlass-dev/windlass/internal/publish"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/testkit"
)

const shop = "com.example.shop"

// holders are the people with the root keys of a story: two, who both have to sign.
type holders struct {
	*story
	made   *ceremony.Result
	cm     *corev1.ConfigMap
	secret *corev1.Secret // with the online keys
}

// beginOffline makes a Repository whose root keys are kept offline. Nothing is created yet.
func beginOffline(t *testing.T, life time.Duration) *holders {
	t.Helper()
	s := begin(t)
	made, err := ceremony.Init(ceremony.Params{Generate: 2, Threshold: 2, Life: life, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	s.repo.Spec.Signing = &otav1alpha1.SigningSpec{
		KeysSecretRef: &otav1alpha1.LocalReference{Name: "signing"}, RootConfigMapRef: &otav1alpha1.LocalReference{Name: "roots"},
	}
	return &holders{
		story: s, made: made,
		cm: &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: "roots"},
			Data: map[string]string{"1.root.json": string(made.Root), "README": "roots of trust"}},
		secret: &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: "signing"}, Data: made.Online},
	}
}

// sign makes the successor of a version, signed by so many holders, and applies the ConfigMap.
func (h *holders) sign(t *testing.T, version, signatures int, changes ...ceremony.Change) {
	t.Helper()
	before := []byte(h.cm.Data[fmt.Sprintf("%d.root.json", version)])
	next, err := ceremony.Next(before, time.Now(), changes...)
	for _, key := range h.made.RootKeys[:signatures] {
		if err == nil {
			next, err = ceremony.Sign(next, before, key.PEM)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	h.cm.Data[fmt.Sprintf("%d.root.json", version+1)] = string(next)
	if err := h.Client.Update(t.Context(), h.cm); err != nil {
		t.Fatal(err)
	}
}

// serves checks that the Repository goes on to publish.
func (s *story) serves(t *testing.T, revision int64) {
	t.Helper()
	p, ok := s.set.Get(client.ObjectKeyFromObject(s.repo))
	if !ok {
		t.Fatal("there is no publisher")
	}
	p.Submit(&release.Document{Schema: release.Schema, App: shop, Channel: "beta", Revision: revision, Serving: release.Halted})
	gomega.NewWithT(t).Eventually(func() bool {
		c, ok := p.Committed(shop, "beta")
		return ok && c.Document.Revision == revision
	}).WithTimeout(testkit.Timeout).Should(gomega.BeTrue())
}

func TestRepository_offlineRoot(t *testing.T) {
	g := gomega.NewWithT(t)
	h := beginOffline(t, 365*24*time.Hour)
	h.Create(t, h.story.secret, h.repo)
	signing := func(status metav1.ConditionStatus, reason string, say ...string) {
		t.Helper()
		testkit.Eventually(t, h.Client, h.repo, testkit.HaveCondition(otav1alpha1.SigningReadyCondition, status, reason),
			testkit.HaveMessage(otav1alpha1.SigningReadyCondition, say...))
		testkit.CheckStatus(t, h.repo)
	}
	signing(metav1.ConditionFalse, otav1alpha1.SecretNotFoundReason, "signing")
	if err := h.Client.Get(t.Context(), client.ObjectKeyFromObject(h.secret), &corev1.Secret{}); !apierrors.IsNotFound(err) {
		t.Errorf("got %v: the manager made keys that no root of the ceremony names", err)
	}
	h.Create(t, h.secret)
	signing(metav1.ConditionFalse, otav1alpha1.RootInvalidReason, "1.root.json")
	h.Create(t, h.cm)
	h.want(t, metav1.ConditionTrue, otav1alpha1.SucceededReason)
	g.Expect(h.repo.Status.Metadata.RootKeys).To(gomega.Equal("Offline"))
	g.Expect(h.repo.Status.Metadata.RootThreshold).To(gomega.Equal(int32(2)))
	g.Expect(h.repo.Status.Metadata.RootExpiresAt.Time).To(gomega.BeTemporally(">", time.Now().Add(364*24*time.Hour)))

	h.sign(t, 1, 1)
	h.want(t, metav1.ConditionFalse, otav1alpha1.RootSignatureNeededReason)
	signing(metav1.ConditionFalse, otav1alpha1.RootSignatureNeededReason, "2.root.json", "1 of the root keys", h.made.RootKeys[1].ID[:8], "repository sign")
	h.serves(t, 1)
	h.cm.Data["02.root.json"] = "{}"
	h.sign(t, 1, 2)
	h.want(t, metav1.ConditionFalse, otav1alpha1.RootInvalidReason)
	delete(h.cm.Data, "02.root.json")
	h.sign(t, 1, 2)
	h.want(t, metav1.ConditionTrue, otav1alpha1.SucceededReason)
	testkit.Eventually(t, h.Client, h.repo, rootVersion(2))
	h.delete(t, h.cm)
	h.want(t, metav1.ConditionFalse, otav1alpha1.ConfigMapNotFoundReason)
	h.serves(t, 2)
}

func rootVersion(want int64) types.GomegaMatcher {
	return gomega.WithTransform(func(r *otav1alpha1.Repository) int64 {
		if r.Status.Metadata == nil {
			return 0
		}
		return r.Status.Metadata.RootVersion
	}, gomega.Equal(want))
}

// A root that holds for less than a third of what new ones do has to be renewed by people, who are told how.
func TestRepository_offlineRootExpires(t *testing.T) {
	h := beginOffline(t, 100*24*time.Hour)
	h.Create(t, h.story.secret, h.secret, h.cm, h.repo)
	h.want(t, metav1.ConditionTrue, otav1alpha1.SucceededReason)
	testkit.Eventually(t, h.Client, h.repo,
		testkit.HaveCondition(otav1alpha1.SigningReadyCondition, metav1.ConditionTrue, otav1alpha1.RootSignatureNeededReason),
		testkit.HaveMessage(otav1alpha1.SigningReadyCondition, "version 1 of the root of trust has less than a third", "kubectl windlass repository renew"))
	h.rest(t)
	h.sign(t, 1, 2, ceremony.Renew(time.Now().Add(365*24*time.Hour)))
	testkit.Eventually(t, h.Client, h.repo, rootVersion(2),
		testkit.HaveCondition(otav1alpha1.SigningReadyCondition, metav1.ConditionTrue, otav1alpha1.KeysProvidedReason))
	h.rest(t)
}

func (s *story) setFloor(t *testing.T, version otav1alpha1.Version) {
	t.Helper()
	base := s.repo.DeepCopy()
	s.repo.Spec.Floors = []otav1alpha1.Floor{{App: shop, MinVersion: version, Reason: "CVE-2026-1"}}
	if version == "" {
		s.repo.Spec.Floors = nil
	}
	if err := s.Client.Patch(t.Context(), s.repo, client.MergeFrom(base)); err != nil {
		t.Fatal(err)
	}
}

func TestRepository_floors(t *testing.T) {
	s := begin(t)
	s.Create(t, s.secret, s.repo)
	s.want(t, metav1.ConditionTrue, otav1alpha1.SucceededReason)
	testkit.Eventually(t, s.Client, s.repo, testkit.LackCondition(otav1alpha1.FloorsPublishedCondition))
	for _, step := range []struct {
		spec, want otav1alpha1.Version
		status     metav1.ConditionStatus
		reason     string
	}{
		{"2.0.0", "2.0.0", metav1.ConditionTrue, otav1alpha1.SucceededReason},
		{"1.0.0", "2.0.0", metav1.ConditionFalse, otav1alpha1.FloorLoweredReason},
		{"2.1.0", "2.1.0", metav1.ConditionTrue, otav1alpha1.SucceededReason},
		{"", "2.1.0", "", ""},
	} {
		s.setFloor(t, step.spec)
		condition := testkit.HaveCondition(otav1alpha1.FloorsPublishedCondition, step.status, step.reason)
		if step.status == "" {
			condition = testkit.LackCondition(otav1alpha1.FloorsPublishedCondition)
		}
		testkit.Eventually(t, s.Client, s.repo, testkit.BeObserved(), condition)
		s.want(t, metav1.ConditionTrue, otav1alpha1.SucceededReason)
		if f := s.repo.Status.Floors; len(f) != 1 || f[0].App != shop || f[0].MinVersion != step.want {
			t.Errorf("spec %s: got %+v, want %s", step.spec, f, step.want)
		}
	}
	s.rest(t)
}

func TestRepository_floorsOfAnOfflineRoot(t *testing.T) {
	h := beginOffline(t, 365*24*time.Hour)
	h.Create(t, h.story.secret, h.secret, h.cm, h.repo)
	h.want(t, metav1.ConditionTrue, otav1alpha1.SucceededReason)
	h.setFloor(t, "2.0.0")
	testkit.Eventually(t, h.Client, h.repo, testkit.BeObserved(),
		testkit.HaveCondition(otav1alpha1.FloorsPublishedCondition, metav1.ConditionFalse, otav1alpha1.RootSignatureNeededReason),
		testkit.HaveMessage(otav1alpha1.FloorsPublishedCondition, "kubectl windlass repository floor --app com.example.shop --min-version 2.0.0"),
		testkit.HaveCondition(otav1alpha1.ReconcilingCondition, metav1.ConditionTrue, otav1alpha1.RootSignatureNeededReason))
	testkit.CheckStatus(t, h.repo)
	h.serves(t, 1)
	h.sign(t, 1, 2, ceremony.RaiseFloor(shop, "2.0.0"))
	h.want(t, metav1.ConditionTrue, otav1alpha1.SucceededReason)
	testkit.Eventually(t, h.Client, h.repo,
		testkit.HaveCondition(otav1alpha1.FloorsPublishedCondition, metav1.ConditionTrue, otav1alpha1.SucceededReason))
	if f := h.repo.Status.Floors; len(f) != 1 || f[0].MinVersion != "2.0.0" {
		t.Errorf("got %+v, want the floor", f)
	}
	h.rest(t)
}

// The generated Secret is replaced by one with the next key of a role, five times, and the manager signs the root for it.
func TestRepository_onlineRotation(t *testing.T) {
	s := begin(t)
	s.Create(t, s.secret, s.repo)
	s.want(t, metav1.ConditionTrue, otav1alpha1.SucceededReason)
	name := client.ObjectKey{Namespace: s.Namespace, Name: "default-signing"}
	for round := range int64(5) {
		var secret corev1.Secret
		if err := s.Client.Get(t.Context(), name, &secret); err != nil {
			t.Fatal(err)
		}
		bucket, _ := s.set.Bucket(client.ObjectKeyFromObject(s.repo))
		root, _, err := bucket.Get(t.Context(), fmt.Sprintf("metadata/%d.root.json", round+1), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		data, _, err := ceremony.NextKey(secret.Data, root, "timestamp")
		if err != nil {
			t.Fatal(err)
		}
		s.delete(t, &secret)
		s.Create(t, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name, Labels: secret.Labels, Annotations: secret.Annotations},
			Immutable:  new(true), Data: data,
		})
		testkit.Eventually(t, s.Client, s.repo, rootVersion(round+2),
			testkit.HaveCondition(otav1alpha1.SigningReadyCondition, metav1.ConditionTrue, otav1alpha1.KeysGeneratedReason))
		s.serves(t, round+1)
	}
	s.want(t, metav1.ConditionTrue, otav1alpha1.SucceededReason)
	if s.repo.Status.Metadata.RootKeys != "Online" {
		t.Errorf("got %+v", s.repo.Status.Metadata)
	}
}

func TestRootFiles(t *testing.T) {
	for name, tc := range map[string]struct {
		data map[string]string
		want []int64
		bad  bool
	}{
		"two":            {map[string]string{"1.root.json": "a", "2.root.json": "b", "note": ""}, []int64{1, 2}, false},
		"none":           {map[string]string{"root.json": "a"}, nil, true},
		"leading zero":   {map[string]string{"01.root.json": "a"}, nil, true},
		"zero":           {map[string]string{"0.root.json": "a"}, nil, true},
		"negative":       {map[string]string{"-1.root.json": "a"}, nil, true},
		"not a number":   {map[string]string{"x.root.json": "a"}, nil, true},
		"beside another": {map[string]string{"1.root.json": "a", "x.root.json": "b"}, []int64{1}, true},
	} {
		got, err := rootFiles(&corev1.ConfigMap{Data: tc.data})
		if versions := slices.Sorted(maps.Keys(got)); !slices.Equal(versions, tc.want) || (err != nil) != tc.bad {
			t.Errorf("%s: got %v, %v, want %v", name, versions, err, tc.want)
		}
	}
}

func TestTransitionsOfRootsAndFloors(t *testing.T) {
	old := &otav1alpha1.Repository{Status: otav1alpha1.RepositoryStatus{Metadata: &otav1alpha1.MetadataStatus{RootVersion: 1}}}
	now := old.DeepCopy()
	if got := transitions(old, now); len(got) != 0 {
		t.Errorf("nothing changed: got %v", got)
	}
	now.Status.Metadata.RootVersion = 2
	now.Status.Floors = publishedFloors(map[string]string{shop: "2.0.0"})
	s := &scope{repo: now}
	now.Spec.Floors = []otav1alpha1.Floor{{App: shop, MinVersion: "1.0.0"}}
	if err := s.floorsPublished(publish.State{Floors: map[string]string{shop: "2.0.0"}}, time.Second); err != nil {
		t.Error(err)
	}
	var reasons []string
	for _, n := range transitions(old, now) {
		reasons = append(reasons, n.Reason)
	}
	if want := []string{"RootPublished", "FloorRaised", otav1alpha1.FloorLoweredReason}; !slices.Equal(reasons, want) {
		t.Errorf("got %v, want %v", reasons, want)
	}
}
