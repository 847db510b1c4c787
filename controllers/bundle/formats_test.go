// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"sync/atomic"
	"testing"

	"aead.dev/minisign"
	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/author"
	"github.com/windlass-dev/windlass/internal/content"
	"github.com/windlass-dev/windlass/internal/egress"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// statement makes one in-toto statement about contents.
func statement(t *testing.T, kind string, predicate any, about ...[]byte) []byte {
	t.Helper()
	var subjects []author.Subject
	for i, c := range about {
		subjects = append(subjects, author.Subject{Name: string(rune('a' + i)), Digest: testkit.Digest(c)})
	}
	out, err := author.Statement(kind, predicate, subjects...)
	return signed(t, out, err)
}

// Each format of signatures counts for the authority that it is by, and only what the format has is in the status.
func TestBundle_formats(t *testing.T) {
	t.Parallel()
	zip := testkit.Zip(t, map[string]string{"www/index.html": "x"})
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	byKey := otav1alpha1.Authority{Name: "ci", PublicKey: &otav1alpha1.PublicKeySource{Inline: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))}}
	instance := sigstore(t)
	const builder = "https://ci.test/builder"
	provenance := map[string]any{"buildDefinition": map[string]any{"buildType": "https://ci.test/type"}, "runDetails": map[string]any{"builder": map[string]any{"id": builder}}}
	built := github()
	built.Provenance = &otav1alpha1.ProvenancePolicy{BuilderID: builder}
	for name, tc := range map[string]struct {
		authority otav1alpha1.Authority
		sign      func(t *testing.T) []byte
		format    otav1alpha1.SignatureFormat
		algorithm string
		evidence  bool
	}{
		"Sigstore bundle by key": {byKey, func(t *testing.T) []byte {
			file, err := instance.Blob(testkit.Signing{Key: key, ByKey: true}, zip)
			return signed(t, file, err)
		}, otav1alpha1.FormatSigstoreBundle, "ECDSA-P256-SHA256", true},
		"provenance": {built, func(t *testing.T) []byte {
			file, err := instance.SignStatement(issuer, workflow, statement(t, "https://slsa.dev/provenance/v1", provenance, zip))
			return signed(t, file, err)
		}, otav1alpha1.FormatSigstoreBundle, "ECDSA-P256-SHA256", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := prepare(t)
			s.repo.Spec.Trust.Authorities = []otav1alpha1.Authority{tc.authority}
			b := s.Bundle("shop", "1.0.0", s.site.Publish(t, "/a", zip))
			b.Spec.Signatures = []otav1alpha1.SignatureSource{{Inline: base64Of(tc.sign(t))}}
			s.Create(t, s.trustedRoot(instance), s.repo, b)
			s.start(t)
			s.wantReady(t, b)
			v := b.Status.Verifications[0]
			if v.Format != tc.format || v.Algorithm != tc.algorithm || v.Signature != "" || (v.Evidence != "") != tc.evidence {
				t.Errorf("verification is %+v", v)
			}
			s.rest(t, b)
		})
	}
}

// A signature of minisign is for one version of one app.
func TestBundle_minisign(t *testing.T) {
	t.Parallel()
	public, private, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text, err := public.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	s := prepare(t)
	s.repo.Spec.Trust.Authorities = []otav1alpha1.Authority{{Name: "laptop", PublicKey: &otav1alpha1.PublicKeySource{Inline: string(text)}}}
	a, other := s.publish(t, "/a", "one"), s.publish(t, "/b", "two")
	sign := func(content []byte, version string) []otav1alpha1.SignatureSource {
		reader := minisign.NewReader(bytes.NewReader(content))
		if _, err := io.Copy(io.Discard, reader); err != nil {
			t.Fatal(err)
		}
		return []otav1alpha1.SignatureSource{{Inline: base64Of(reader.SignWithComments(private, testkit.App+"/"+version, "untrusted"))}}
	}
	good, bad := s.Bundle("good", "1.0.0", a), s.Bundle("bad", "2.0.0", other)
	good.Spec.Signatures, bad.Spec.Signatures = sign(a.Content, "1.0.0"), sign(other.Content, "1.0.0")
	s.Create(t, s.repo, good, bad)
	s.start(t)
	s.wantReady(t, good)
	if v := good.Status.Verifications[0]; v.Format != otav1alpha1.FormatMinisign || v.Signature != "" || v.Evidence != "" {
		t.Errorf("verification is %+v", v)
	}
	s.wantStalled(t, bad, otav1alpha1.SignatureInvalidReason)
	testkit.Eventually(t, s.Client, bad, testkit.HaveMessage(otav1alpha1.ReadyCondition, testkit.App+"/1.0.0", testkit.App+"/2.0.0"))
	s.rest(t, good, bad)
}

// An image in a private registry, with what cosign attached to it.
func TestBundle_image(t *testing.T) {
	t.Parallel()
	s, instance := prepare(t), sigstore(t)
	images := testkit.NewImages(t, map[string]string{"puller": "password-of-puller"})
	zip := testkit.Zip(t, map[string]string{"www/index.html": "x"})
	manifest, ref := images.Push(t, zip)
	b := s.Bundle("shop", "1.0.0", &testkit.Artifact{Digest: testkit.Digest(zip)})
	b.Spec.Source = otav1alpha1.BundleSource{OCI: &otav1alpha1.OCISource{Image: ref, PullSecretRef: &otav1alpha1.LocalReference{Name: "pull"}}}
	b.Spec.Signatures = []otav1alpha1.SignatureSource{{Attached: otav1alpha1.AttachedCosign}}
	s.repo.Spec.Trust.Authorities = []otav1alpha1.Authority{github()}
	s.Create(t, s.trustedRoot(instance), s.repo, b)
	s.start(t)
	s.want(t, b, metav1.ConditionFalse, otav1alpha1.SecretNotFoundReason)
	config, err := json.Marshal(map[string]any{"auths": map[string]any{images.Host: map[string]any{"auth": base64Of([]byte("puller:password-of-puller"))}}})
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: "pull"}, Type: corev1.SecretTypeDockerConfigJson,
		Data: map[string][]byte{corev1.DockerConfigJsonKey: signed(t, config, err)},
	}
	s.Create(t, secret)
	s.want(t, b, metav1.ConditionFalse, otav1alpha1.SignatureUnreadableReason)
	testkit.Eventually(t, s.Client, b, testkit.HaveMessage(otav1alpha1.ReadyCondition, "no signature is attached"))
	file, err := instance.SignBlob(issuer, workflow, manifest)
	images.Attach(t, manifest, signed(t, file, err))
	s.wantReady(t, b)
	v := b.Status.Verifications[0]
	if v.Format != otav1alpha1.FormatCosignImage || v.Authority != "github" || v.Evidence == "" || v.Signature != "" {
		t.Errorf("verification is %+v", v)
	}
	s.rest(t, b)
	images.Stop() // registries forget: the bucket does not
	refreshed := github()
	refreshed.Keyless.Subject, refreshed.Keyless.SubjectRegExp = "", "^https://ci\\.test/shop/.*$"
	s.setAuthorities(t, refreshed)
	gomega.NewWithT(t).Eventually(func(g gomega.Gomega) {
		g.Expect(s.Client.Get(t.Context(), client.ObjectKeyFromObject(b), b)).To(gomega.Succeed())
		g.Expect(b.Status.Verifications).To(gomega.HaveLen(1))
		g.Expect(b.Status.Verifications[0].Trust).NotTo(gomega.Equal(v.Trust))
	}).WithTimeout(testkit.Timeout).Should(gomega.Succeed())
	s.wantReady(t, b)
}

// Code that stores forbid is in the status, and in the message that people see.
func TestBundle_nativeCode(t *testing.T) {
	t.Parallel()
	g := gomega.NewWithT(t)
	s := begin(t)
	files := map[string]string{
		"index.html": "x", "lib/plugin.png": "\x7fELF\x02\x01\x01" + string(make([]byte, 64)),
		"native-dependencies.json": `{"nativeDependencies":{"@capacitor/camera":"^6.1.0"}}`,
	}
	b := s.Bundle("shop", "1.0.0", s.site.Publish(t, "/a", testkit.Zip(t, files), s.author))
	s.Create(t, b)
	s.wantReady(t, b)
	testkit.Eventually(t, s.Client, b, testkit.HaveMessage(otav1alpha1.ReadyCondition, "signed by ci; found in it: native-code (ELF: lib/plugin.png)"),
		testkit.HaveMessage(otav1alpha1.InspectedCondition, "native-code (1)"))
	i := b.Status.Inspection
	g.Expect(i.By).To(gomega.Equal(otav1alpha1.InspectorManager))
	g.Expect(i.Ruleset).To(gomega.Equal(int32(content.Ruleset)))
	g.Expect(i.NativeCode).To(gomega.Equal(otav1alpha1.NativeCodeFound))
	g.Expect(i.NativeDependencies.Packages).To(gomega.Equal([]otav1alpha1.NativeDependency{{Name: "@capacitor/camera", Version: "^6.1.0"}}))
	s.rest(t, b)
}

// A look by older checks is renewed in the background; the Bundle stays ready.
func TestBundle_olderChecks(t *testing.T) {
	t.Parallel()
	s := begin(t)
	b := s.Bundle("shop", "1.0.0", s.publish(t, "/a", "one"))
	s.Create(t, b)
	s.wantReady(t, b)
	s.rest(t, b)
	s.stop()
	b.Status.Inspection = nil
	since := apimeta.FindStatusCondition(b.Status.Conditions, otav1alpha1.ReadyCondition).LastTransitionTime
	if err := s.Client.Status().Update(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	s.start(t)
	gomega.NewWithT(t).Eventually(func(g gomega.Gomega) {
		g.Expect(s.Client.Get(t.Context(), client.ObjectKeyFromObject(b), b)).To(gomega.Succeed())
		g.Expect(b.Status.Inspection).NotTo(gomega.BeNil())
	}).WithTimeout(testkit.Timeout).Should(gomega.Succeed())
	ready := apimeta.FindStatusCondition(b.Status.Conditions, otav1alpha1.ReadyCondition)
	if !ready.LastTransitionTime.Equal(&since) {
		t.Errorf("readiness flapped: since %v, want %v", ready.LastTransitionTime, since)
	}
	s.rest(t, b)
}

// What nobody here can open is known by an attestation, as long as its authority is trusted.
func TestBundle_attested(t *testing.T) {
	t.Parallel()
	g := gomega.NewWithT(t)
	app, _, _ := keysOf(t)
	s, instance := prepare(t), sigstore(t)
	zip := testkit.Zip(t, archive)
	c := app.Encrypt(t, zip)
	report := content.Report{Ruleset: content.Ruleset, Files: 2, Unpacked: 6, Findings: []content.Finding{{Check: content.CheckNativeCode, Count: 1, Values: []string{"lib.so"}}}}
	file, err := instance.SignStatement(issuer, workflow, statement(t, content.PredicateType, report, zip, c.Content))
	signed(t, file, err)
	s.repo.Spec.Trust.Authorities = []otav1alpha1.Authority{s.ci(), github()}
	b := s.encrypted(t, "shop", "1.0.0", c)
	b.Spec.Attestations = []otav1alpha1.AttestationSource{{Inline: base64Of(file)}}
	other := s.encrypted(t, "other", "2.0.0", app.Encrypt(t, zip))
	other.Spec.Attestations = b.Spec.Attestations
	s.Create(t, s.trustedRoot(instance), s.repo, b, other)
	s.start(t)
	s.wantReady(t, b)
	testkit.Eventually(t, s.Client, b, testkit.HaveMessage(otav1alpha1.ReadyCondition, "signed by ci", "found in it: native-code (lib.so)"),
		testkit.HaveMessage(otav1alpha1.InspectedCondition, "attested by authority github", "native-code (1)"))
	i := b.Status.Inspection
	g.Expect(i.By).To(gomega.Equal(otav1alpha1.InspectorAttestation))
	g.Expect([]string{i.Authority, string(i.NativeCode)}).To(gomega.Equal([]string{"github", "Found"}))
	g.Expect(i.Evidence).NotTo(gomega.BeEmpty())
	g.Expect(authoritiesOf(b.Status.Verifications)).To(gomega.Equal("ci"), "an inspection is no approval")
	s.wantStalled(t, other, otav1alpha1.AttestationInvalidReason)
	testkit.Eventually(t, s.Client, other, testkit.HaveCondition(otav1alpha1.InspectedCondition, metav1.ConditionFalse, otav1alpha1.AttestationInvalidReason),
		testkit.HaveCondition(otav1alpha1.VerifiedCondition, metav1.ConditionTrue, otav1alpha1.SucceededReason),
		testkit.HaveMessage(otav1alpha1.ReadyCondition, "about other artifacts", string(other.Spec.Digest)))
	s.rest(t, b, other)
	s.stop()
	s.start(t)
	s.rest(t, b, other)

	s.setAuthorities(t, s.ci())
	s.wantStalled(t, b, otav1alpha1.AttestationInvalidReason)
	testkit.Eventually(t, s.Client, b, testkit.HaveMessage(otav1alpha1.ReadyCondition, "authority github was removed"),
		testkit.HaveCondition(otav1alpha1.VerifiedCondition, metav1.ConditionTrue, otav1alpha1.SucceededReason))
	if b.Status.Inspection != nil {
		t.Errorf("inspection is %+v by nobody", b.Status.Inspection)
	}
	s.setKeys(t, inline("now", app)) // the manager can look itself, and finds that the attestation is wrong
	s.rest(t, b)
	s.setAuthorities(t, s.ci(), github())
	s.wantStalled(t, b, otav1alpha1.AttestationInvalidReason)
	testkit.Eventually(t, s.Client, b, testkit.HaveMessage(otav1alpha1.ReadyCondition, "something else than the manager found"))
	s.rest(t, b)
}

// An address that the manager does not connect to is refused before a connection is made.
func TestBundle_deniedAddress(t *testing.T) {
	t.Parallel()
	s := prepare(t, func(s *story) { s.options.Source.Egress = egress.Policy{} })
	b := s.Bundle("shop", "1.0.0", s.publish(t, "/a", "x"))
	s.Create(t, s.repo, b)
	s.start(t)
	s.want(t, b, metav1.ConditionFalse, otav1alpha1.AddressDeniedReason)
	testkit.Eventually(t, s.Client, b, testkit.HaveCondition(otav1alpha1.FetchedCondition, metav1.ConditionFalse, otav1alpha1.AddressDeniedReason),
		testkit.HaveMessage(otav1alpha1.ReadyCondition, "127.0.0.1", "--allow-address"))
	s.wantEvent(t, b, otav1alpha1.AddressDeniedReason)
	s.rest(t, b)
	if s.asked.Load() != 0 {
		t.Error("the site was asked")
	}
}

// A manager that ends in the middle of a transfer leaves nothing behind that is wrong, and its successor starts afresh.
func TestBundle_restartInTheMiddle(t *testing.T) {
	t.Parallel()
	s := prepare(t)
	a := s.publish(t, "/a", "one")
	var answers atomic.Int32
	half := make(chan struct{})
	a.URL = s.handle("/slow", func(w http.ResponseWriter, r *http.Request) {
		if answers.Add(1) > 1 {
			_, _ = w.Write(a.Content)
			return
		}
		_, _ = w.Write(a.Content[:len(a.Content)/2])
		_ = http.NewResponseController(w).Flush()
		close(half)
		<-r.Context().Done()
	})
	b := s.Bundle("shop", "1.0.0", a)
	s.Create(t, s.repo, b)
	s.start(t)
	<-half
	s.stop()
	if keys := s.objects(t); len(keys) > 0 {
		t.Errorf("the bucket has %v of half an artifact", keys)
	}
	s.start(t)
	s.wantReady(t, b)
	if *b.Status.Artifact.Files != 2 || b.Status.Inspection == nil {
		t.Errorf("status is %+v", b.Status)
	}
	s.rest(t, b)
}
