// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package trust_test

import (
	"context"
	"crypto"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/testkit"
	"github.com/windlass-dev/windlass/internal/trust"
)

// shelf is a Library over ConfigMaps, with a clock that stands still.
type shelf struct {
	*trust.Library
	repo   *otav1alpha1.Repository
	client client.Client
	now    time.Time
	reads  int
	broken error // of the API server
}

func newShelf(t *testing.T, data map[string]string) *shelf {
	t.Helper()
	s := &shelf{now: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)}
	s.repo = &otav1alpha1.Repository{ObjectMeta: metav1.ObjectMeta{Namespace: "mobile", Name: "default", UID: "1", Generation: 1}}
	cm := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "mobile", Name: "trust", CreationTimestamp: metav1.NewTime(s.now.AddDate(0, -2, 0))}, Data: data,
	}
	s.client = fake.NewClientBuilder().WithObjects(cm).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			s.reads++
			if s.broken != nil {
				return s.broken
			}
			err := c.Get(ctx, key, o, opts...)
			o.SetManagedFields([]metav1.ManagedFieldsEntry{ // the fake client keeps none
				{Manager: "a", Time: new(metav1.NewTime(s.now.AddDate(0, 0, -7)))}, {Manager: "b", Time: new(metav1.NewTime(s.now.AddDate(0, -1, 0)))}, {Manager: "c"},
			})
			return err
		},
	}).Build()
	s.Library = trust.NewLibrary(s.client, func() time.Time { return s.now })
	return s
}

func in(key string) *otav1alpha1.PublicKeySource {
	return &otav1alpha1.PublicKeySource{ConfigMapRef: &otav1alpha1.KeyReference{Name: "trust", Key: key}}
}

func keyless(edit func(*otav1alpha1.KeylessIdentity)) *otav1alpha1.KeylessIdentity {
	k := &otav1alpha1.KeylessIdentity{Issuer: "https://ci.test", Subject: "me", TrustedRootConfigMapRef: otav1alpha1.KeyReference{Name: "trust", Key: "root"}}
	edit(k)
	return k
}

func TestAuthority(t *testing.T) {
	instance, err := testkit.NewSigstore()
	if err != nil {
		t.Fatal(err)
	}
	author := testkit.NewAuthor(t, "ci")
	s := newShelf(t, map[string]string{"root": string(instance.TrustedRoot()), "ci.pub": author.PublicPEM(), "page": "<html>"})
	end := metav1.NewTime(s.now)
	a, err := s.Authority(t.Context(), s.repo, otav1alpha1.Authority{
		Name: "github", NotAfter: &end, Provenance: &otav1alpha1.ProvenancePolicy{BuilderID: "b", SourceRepository: "s", Ref: "r"},
		Keyless: keyless(func(k *otav1alpha1.KeylessIdentity) { k.TransparencyLog = otav1alpha1.LogOptional }),
	})
	if err != nil {
		t.Fatal(err)
	}
	if a.Identity.Issuer != "https://ci.test" || a.Identity.Subject != "me" || !a.Identity.LogOptional || a.Provenance.BuilderID+a.Provenance.SourceRepository+a.Provenance.Ref != "bsr" || !a.NotAfter.Equal(s.now) {
		t.Errorf("authority is %+v, identity %+v", a, a.Identity)
	}
	if want := s.now.AddDate(0, 0, -7); !a.RootUpdatedAt.Equal(want) {
		t.Errorf("trusted root of %v, want %v, when the ConfigMap was last changed", a.RootUpdatedAt, want)
	}
	if text := trust.Describe(a.Authority); !strings.Contains(text, "subject me of issuer https://ci.test under the trusted root sha256:") || !strings.Contains(text, "builder b") {
		t.Errorf("described as %q", text)
	}
	byKey, err := s.Authority(t.Context(), s.repo, otav1alpha1.Authority{Name: "ci", PublicKey: in("ci.pub"), Hash: otav1alpha1.HashSHA512})
	if err != nil || byKey.Hash != crypto.SHA512 || !byKey.RootUpdatedAt.IsZero() || trust.Describe(byKey.Authority) != "key "+byKey.Key.ID()+" over SHA-512" {
		t.Errorf("authority is %+v, error %v", byKey, err)
	}
	for name, tc := range map[string]struct {
		a      otav1alpha1.Authority
		class  kit.Class
		reason string
		text   string
	}{
		"no such key":       {otav1alpha1.Authority{Name: "ci", PublicKey: in("x")}, kit.Transient, otav1alpha1.ConfigMapNotFoundReason, "key x, which holds the public key of authority ci"},
		"no key":            {otav1alpha1.Authority{Name: "ci", PublicKey: in("page")}, kit.Stalled, otav1alpha1.InvalidKeyReason, "authority ci of Repository default"},
		"inline":            {otav1alpha1.Authority{Name: "ci", PublicKey: &otav1alpha1.PublicKeySource{Inline: "x"}}, kit.Stalled, otav1alpha1.InvalidKeyReason, "authority ci"},
		"no such root":      {otav1alpha1.Authority{Name: "gh", Keyless: keyless(func(k *otav1alpha1.KeylessIdentity) { k.TrustedRootConfigMapRef.Name = "x" })}, kit.Transient, otav1alpha1.ConfigMapNotFoundReason, "the trusted root of authority gh"},
		"no root":           {otav1alpha1.Authority{Name: "gh", Keyless: keyless(func(k *otav1alpha1.KeylessIdentity) { k.TrustedRootConfigMapRef.Key = "page" })}, kit.Stalled, otav1alpha1.TrustedRootInvalidReason, "key page of ConfigMap trust"},
		"broken expression": {otav1alpha1.Authority{Name: "gh", Keyless: keyless(func(k *otav1alpha1.KeylessIdentity) { k.Subject, k.SubjectRegExp = "", "^(me$" })}, kit.Stalled, otav1alpha1.InvalidSpecReason, "regular expression"},
		"hash of nobody":    {otav1alpha1.Authority{Name: "gh", Hash: otav1alpha1.HashSHA256, Keyless: keyless(func(*otav1alpha1.KeylessIdentity) {})}, kit.Stalled, otav1alpha1.InvalidSpecReason, "keyless"},
	} {
		_, err := s.Authority(t.Context(), s.repo, tc.a)
		if e, ok := errors.AsType[*kit.Error](err); !ok || e.Class != tc.class || e.Reason != tc.reason || !strings.Contains(err.Error(), tc.text) {
			t.Errorf("%s: got error %+v, want %s that says %q", name, err, tc.reason, tc.text)
		}
	}
	app := testkit.NewCapgoKey(t)
	for text, reason := range map[string]string{app.PublicPEM(): "", "x": otav1alpha1.InvalidKeyReason} {
		_, err := s.EncryptionKey(t.Context(), s.repo, otav1alpha1.EncryptionKey{Name: "shop", PublicKey: otav1alpha1.PublicKeySource{Inline: text}})
		if (err == nil) != (reason == "") || err != nil && kit.Classify(err).Reason != reason {
			t.Errorf("key of an app: got error %v, want %q", err, reason)
		}
	}
}

// A change of a Repository wakes all its Bundles at once: its ConfigMaps are read once for all of them, and anew after the next.
func TestLibrary_reads(t *testing.T) {
	s := newShelf(t, map[string]string{"ci.pub": testkit.NewAuthor(t, "ci").PublicPEM()})
	ask := func() error {
		_, err := s.Authority(t.Context(), s.repo, otav1alpha1.Authority{Name: "ci", PublicKey: in("ci.pub")})
		return err
	}
	for range 200 {
		if err := ask(); err != nil {
			t.Fatal(err)
		}
	}
	if s.reads != 1 {
		t.Errorf("read %d times for one generation, want once", s.reads)
	}
	s.repo.Generation++
	if err := ask(); err != nil || s.reads != 2 {
		t.Errorf("read %d times, want again for another generation; error %v", s.reads, err)
	}
	s.now = s.now.Add(time.Second)
	s.broken = errors.New("down")
	err := ask()
	if _, typed := errors.AsType[*kit.Error](err); err == nil || typed {
		t.Errorf("got error %v, want an untyped one: the API server says nothing of the Repository", err)
	}
	for i := range 1000 { // what was read for Repositories that are gone is forgotten
		s.broken, s.repo.Generation, s.now = nil, int64(i+10), s.now.Add(time.Second)
		if err := ask(); err != nil {
			t.Fatal(err)
		}
	}
	s.reads = 0
	if err := ask(); err != nil || s.reads != 0 {
		t.Errorf("read %d times, want that the newest is kept; error %v", s.reads, err)
	}
}
