// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// A key of an app that is none is said as one of an authority is; publishing goes on meanwhile.
func TestRepository_encryptionKeys(t *testing.T) {
	s := begin(t)
	app := testkit.NewCapgoKey(t)
	set := func(key otav1alpha1.PublicKeySource) {
		t.Helper()
		base := s.repo.DeepCopy()
		s.repo.Spec.Trust.EncryptionKeys = []otav1alpha1.EncryptionKey{
			{Name: "shop-2026", App: testkit.App, PublicKey: otav1alpha1.PublicKeySource{Inline: app.PublicPEM()}},
			{Name: "shop-2027", App: testkit.App, PublicKey: key},
		}
		if err := s.Client.Patch(t.Context(), s.repo, client.MergeFrom(base)); err != nil {
			t.Fatal(err)
		}
	}
	s.Create(t, s.secret, s.repo)
	s.want(t, metav1.ConditionTrue, otav1alpha1.SucceededReason)
	set(otav1alpha1.PublicKeySource{Inline: testkit.NewAuthor(t, "ci").PublicPEM()})
	s.want(t, metav1.ConditionFalse, otav1alpha1.InvalidKeyReason)
	testkit.Eventually(t, s.Client, s.repo, testkit.HaveMessage(otav1alpha1.StalledCondition, "encryption key shop-2027", "expected RSA", ".capgo_key_v2.pub"))
	if _, ok := s.set.Get(client.ObjectKeyFromObject(s.repo)); !ok {
		t.Error("the publisher was closed: a rollback could not reach devices any more")
	}
	s.rest(t)

	set(otav1alpha1.PublicKeySource{ConfigMapRef: &otav1alpha1.KeyReference{Name: "app-keys", Key: "shop.pub"}})
	s.want(t, metav1.ConditionFalse, otav1alpha1.ConfigMapNotFoundReason)
	testkit.Eventually(t, s.Client, s.repo, testkit.HaveMessage(otav1alpha1.ReadyCondition, "encryption key shop-2027", "app-keys"))
	s.Create(t, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: "app-keys"}, Data: map[string]string{"shop.pub": app.PublicPEM()}})
	s.want(t, metav1.ConditionTrue, otav1alpha1.SucceededReason)
	s.rest(t)
}
