// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/testkit"
)

func TestBundle_ready(t *testing.T) {
	t.Parallel()
	g := gomega.NewWithT(t)
	s := begin(t)
	a := s.publish(t, "/a.zip", "good")
	b := s.Bundle("shop-1", "1.0.0", a)
	s.Create(t, b)
	s.wantReady(t, b)
	testkit.Eventually(t, s.Client, b, testkit.BeObserved(),
		testkit.HaveCondition(otav1alpha1.FetchedCondition, metav1.ConditionTrue, otav1alpha1.SucceededReason),
		testkit.HaveCondition(otav1alpha1.VerifiedCondition, metav1.ConditionTrue, otav1alpha1.SucceededReason),
		testkit.HaveCondition(otav1alpha1.InspectedCondition, metav1.ConditionTrue, otav1alpha1.SucceededReason),
		testkit.HaveCondition(otav1alpha1.StoredCondition, metav1.ConditionTrue, otav1alpha1.SucceededReason),
		testkit.LackCondition(otav1alpha1.RevokedCondition), testkit.LackCondition(otav1alpha1.ReconcilingCondition))
	st := b.Status
	g.Expect(string(st.Artifact.Digest)).To(gomega.Equal(a.Digest))
	g.Expect(st.Artifact.Size).To(gomega.Equal(int64(len(a.Content))))
	g.Expect(st.Artifact.MediaType).To(gomega.Equal("application/zip"))
	g.Expect(*st.Artifact.Files).To(gomega.Equal(int32(2)))
	g.Expect(st.Artifact.Path).To(gomega.Equal("bundles/" + testkit.App + "/1.0.0.zip"))
	g.Expect(st.Verifications).To(gomega.HaveLen(1))
	g.Expect(st.Verifications[0].Authority).To(gomega.Equal("ci"))
	g.Expect(st.Verifications[0].Algorithm).To(gomega.Equal("ECDSA-P256-SHA256"))
	g.Expect(st.Verifications[0].Signature).To(gomega.Equal(a.Signatures[0]))
	g.Expect(st.Verifications[0].KeyID).To(gomega.MatchRegexp("^[0-9a-f]{16}$"))
	g.Expect(b.Finalizers).To(gomega.ConsistOf(Finalizer))
	stored, _, err := s.bucket.Get(t.Context(), release.TargetObject(st.Artifact.Path, a.Digest), maxSize)
	g.Expect(err).NotTo(gomega.HaveOccurred())
	g.Expect(stored).To(gomega.Equal(a.Content))
	g.Expect(s.asked.Load()).To(gomega.Equal(int32(1)))
	s.wantEvent(t, b, "BundleReady")
	s.rest(t, b)
	testkit.CheckStatus(t, b)
}

// Each artifact that must not be released is refused with the reason, asked for no more than once, and not stored.
func TestBundle_refused(t *testing.T) {
	t.Parallel()
	zip := testkit.Zip(t, map[string]string{"a": "1"})
	stranger := testkit.NewAuthor(t, "stranger")
	for name, tc := range map[string]struct {
		content []byte
		edit    func(*testing.T, *story, *otav1alpha1.Bundle)
		reason  string
		failed  string // condition that says so
		parts   []string
	}{
		"wrong digest": {zip, func(_ *testing.T, _ *story, b *otav1alpha1.Bundle) {
			b.Spec.Digest = otav1alpha1.Digest(testkit.Digest([]byte("x")))
		}, otav1alpha1.DigestMismatchReason, otav1alpha1.FetchedCondition, []string{testkit.Digest(zip), testkit.Digest([]byte("x"))}},
		"foreign signature": {zip, func(t *testing.T, _ *story, b *otav1alpha1.Bundle) {
			b.Spec.Signatures[0].Inline = stranger.Sign(t, zip)
		}, otav1alpha1.SignatureInvalidReason, otav1alpha1.VerifiedCondition, []string{"tried ci"}},
		"signature of another artifact": {zip, func(t *testing.T, s *story, b *otav1alpha1.Bundle) {
			b.Spec.Signatures[0].Inline = s.author.Sign(t, []byte("x"))
		}, otav1alpha1.SignatureInvalidReason, otav1alpha1.VerifiedCondition, nil},
		"unreadable signature": {zip, func(_ *testing.T, _ *story, b *otav1alpha1.Bundle) {
			b.Spec.Signatures[0].Inline = "bm90IGEgc2lnbmF0dXJl"
		}, otav1alpha1.SignatureUnreadableReason, otav1alpha1.VerifiedCondition, nil},
		"sigstore bundle of nothing": {zip, func(_ *testing.T, s *story, b *otav1alpha1.Bundle) {
			s.site.Put("/sig.json", []byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json"}`))
			b.Spec.Signatures = []otav1alpha1.SignatureSource{{URL: otav1alpha1.URL(s.site.URL + "/sig.json")}}
		}, otav1alpha1.SignatureUnreadableReason, otav1alpha1.VerifiedCondition, nil},
		"escaping path": {testkit.Zip(t, map[string]string{"../../etc/passwd": "1"}), nil, otav1alpha1.ArchiveInvalidReason, otav1alpha1.InspectedCondition, []string{"../../etc/passwd"}},
		"too large":     {bytes.Repeat([]byte("x"), maxSize+1), nil, otav1alpha1.TooLargeReason, otav1alpha1.FetchedCondition, []string{fmt.Sprint(maxSize)}},
		"endless": {zip, func(_ *testing.T, s *story, b *otav1alpha1.Bundle) {
			b.Spec.Source.HTTP.URL = otav1alpha1.URL(s.handle("/endless", func(w http.ResponseWriter, _ *http.Request) {
				for {
					if _, err := w.Write(make([]byte, 64<<10)); err != nil {
						return
					}
				}
			}))
		}, otav1alpha1.TooLargeReason, otav1alpha1.FetchedCondition, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := prepare(t)
			b := s.Bundle("shop", "1.0.0", s.site.Publish(t, "/a", tc.content, s.author))
			if tc.edit != nil {
				tc.edit(t, s, b)
			}
			s.Create(t, s.repo, b)
			s.start(t)
			s.wantStalled(t, b, tc.reason)
			testkit.Eventually(t, s.Client, b,
				testkit.HaveCondition(otav1alpha1.ReadyCondition, metav1.ConditionFalse, tc.reason),
				testkit.HaveCondition(tc.failed, metav1.ConditionFalse, tc.reason),
				testkit.HaveMessage(otav1alpha1.ReadyCondition, tc.parts...))
			asked := s.asked.Load()
			s.rest(t, b)
			if s.asked.Load() != asked {
				t.Errorf("the source is asked again and again for what was refused")
			}
			if keys := s.objects(t); len(keys) > 0 {
				t.Errorf("the bucket has %v of a refused artifact", keys)
			}
			s.wantEvent(t, b, tc.reason)
		})
	}
}

// What this version cannot do, or the schema could not check, is said without asking the source.
func TestBundle_invalidSpec(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		edit   func(*otav1alpha1.BundleSpec)
		reason string
	}{
		"checksum of another size": {func(s *otav1alpha1.BundleSpec) {
			s.Encryption = &otav1alpha1.EncryptionSpec{
				Mode: otav1alpha1.EncryptionOpaque, Checksum: strings.Repeat("0", 768),
				SessionKey: strings.Repeat("A", 22) + "==:" + strings.Repeat("A", 342) + "==",
			}
		}, otav1alpha1.InvalidSpecReason},
		"recipients": {func(s *otav1alpha1.BundleSpec) {
			s.Encryption = &otav1alpha1.EncryptionSpec{Mode: otav1alpha1.EncryptionRecipients}
		}, otav1alpha1.NotSupportedYetReason},
		"range": {func(s *otav1alpha1.BundleSpec) {
			s.Compatibility = &otav1alpha1.Compatibility{NativeVersion: "four or so"}
		}, otav1alpha1.InvalidSpecReason},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := begin(t)
			b := s.Bundle("shop", "1.0.0", s.publish(t, "/a", "x"))
			tc.edit(&b.Spec)
			s.Create(t, b)
			s.wantStalled(t, b, tc.reason)
			if s.asked.Load() != 0 {
				t.Error("the source was asked")
			}
		})
	}
}

// A source that fails is tried again, does not rewrite the status meanwhile, and the Bundle recovers by itself.
func TestBundle_sourceFails(t *testing.T) {
	t.Parallel()
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	for name, tc := range map[string]struct {
		h      http.HandlerFunc
		reason string
	}{
		"404":           {status(404), otav1alpha1.SourceNotFoundReason},
		"410":           {status(410), otav1alpha1.SourceNotFoundReason},
		"401":           {status(401), otav1alpha1.SourceAccessDeniedReason},
		"403":           {status(403), otav1alpha1.SourceAccessDeniedReason},
		"500":           {status(500), otav1alpha1.FetchFailedReason},
		"redirect loop": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }, otav1alpha1.FetchFailedReason},
		"truncated": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100000")
			fmt.Fprint(w, "PK\x03\x04")
		}, otav1alpha1.FetchFailedReason},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := prepare(t)
			a := s.publish(t, "/a", "x")
			var repaired atomic.Bool
			a.URL = s.handle("/flaky", func(w http.ResponseWriter, r *http.Request) {
				if repaired.Load() {
					_, _ = w.Write(a.Content)
					return
				}
				tc.h(w, r)
			}) + "?signature=secret"
			b := s.Bundle("shop", "1.0.0", a)
			s.Create(t, s.repo, b)
			s.start(t)
			s.want(t, b, metav1.ConditionFalse, tc.reason)
			testkit.Eventually(t, s.Client, b,
				testkit.HaveCondition(otav1alpha1.ReconcilingCondition, metav1.ConditionTrue, otav1alpha1.ProgressingWithRetryReason),
				testkit.HaveCondition(otav1alpha1.FetchedCondition, metav1.ConditionFalse, tc.reason))
			asked := s.asked.Load()
			s.rest(t, b)
			if s.asked.Load() == asked {
				t.Error("nothing is tried again")
			}
			repaired.Store(true)
			s.wantReady(t, b)
		})
	}
}

func TestBundle_tlsError(t *testing.T) {
	t.Parallel()
	s := begin(t)
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secure.Close)
	a := s.publish(t, "/a", "x")
	a.URL = secure.URL + "/a"
	b := s.Bundle("shop", "1.0.0", a)
	s.Create(t, b)
	s.want(t, b, metav1.ConditionFalse, otav1alpha1.FetchFailedReason)
	testkit.Eventually(t, s.Client, b, testkit.HaveMessage(otav1alpha1.ReadyCondition, "TLS certificate", "unknown authority"))
}

// Bytes of two answers are never mixed: the first answer breaks off half-way through another artifact.
func TestBundle_changingSource(t *testing.T) {
	t.Parallel()
	s := prepare(t)
	a := s.publish(t, "/a", strings.Repeat("good", 10_000))
	var answers atomic.Int32
	a.URL = s.handle("/changing", func(w http.ResponseWriter, _ *http.Request) {
		if answers.Add(1) == 1 {
			w.Header().Set("Content-Length", fmt.Sprint(len(a.Content)))
			_, _ = w.Write(bytes.Repeat([]byte("evil"), 5_000))
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write(a.Content)
	})
	b := s.Bundle("shop", "1.0.0", a)
	s.Create(t, s.repo, b)
	s.start(t)
	s.wantReady(t, b)
	if n := answers.Load(); n != 2 {
		t.Errorf("the source was asked %d times, want 2", n)
	}
}

// A transfer that takes its time is visible and keeps nothing else from being done.
func TestBundle_progress(t *testing.T) {
	t.Parallel()
	s := prepare(t)
	slow, fast := s.publish(t, "/slow-content", "slow"), s.publish(t, "/fast", "fast")
	finish := make(chan struct{})
	release := sync.OnceFunc(func() { close(finish) })
	defer release()
	slow.URL = s.handle("/slow", func(w http.ResponseWriter, _ *http.Request) { <-finish; _, _ = w.Write(slow.Content) })
	a, b := s.Bundle("slow", "1.0.0", slow), s.Bundle("fast", "2.0.0", fast)
	s.Create(t, s.repo, a, b)
	s.start(t)
	s.wantReady(t, b)
	s.want(t, a, metav1.ConditionUnknown, otav1alpha1.ProgressingReason)
	testkit.Eventually(t, s.Client, a, testkit.HaveMessage(otav1alpha1.ReconcilingCondition, "fetching"))
	s.rest(t, a)
	release()
	s.wantReady(t, a)
}

func TestBundle_credentials(t *testing.T) {
	t.Parallel()
	s := prepare(t)
	a := s.publish(t, "/a", "x")
	guard := func(path string, content []byte) string {
		return s.handle(path, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer token-of-ci" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			_, _ = w.Write(content)
		})
	}
	a.URL = guard("/guarded", a.Content)
	b := s.Bundle("shop", "1.0.0", a)
	b.Spec.Source.HTTP.SecretRef = &otav1alpha1.LocalReference{Name: "ci-token"}
	b.Spec.Signatures = []otav1alpha1.SignatureSource{{URL: otav1alpha1.URL(guard("/sig", []byte(a.Signatures[0])))}}
	s.Create(t, s.repo, b)
	s.start(t)
	s.want(t, b, metav1.ConditionFalse, otav1alpha1.SecretNotFoundReason)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: "ci-token"}, StringData: map[string]string{"other": "x"}}
	s.Create(t, secret)
	host, _, _ := strings.Cut(strings.TrimPrefix(a.URL, "http://"), "/")
	testkit.Eventually(t, s.Client, b, testkit.HaveCondition(otav1alpha1.ReadyCondition, metav1.ConditionFalse, otav1alpha1.CredentialsNotAllowedReason),
		testkit.HaveMessage(otav1alpha1.ReadyCondition, "kubectl annotate --overwrite secret ci-token ota.windlass.dev/hosts="+host))
	update(t, s, secret, func(o *corev1.Secret) {
		o.Annotations = map[string]string{kit.HostsAnnotation: "ci.example.com, " + host}
	})
	testkit.Eventually(t, s.Client, b, testkit.HaveMessage(otav1alpha1.ReadyCondition, "token, or username and password"))
	update(t, s, secret, func(o *corev1.Secret) { o.StringData = map[string]string{"token": "token-of-ci"} })
	s.wantReady(t, b)
}

func TestBundle_s3Source(t *testing.T) {
	t.Parallel()
	s := prepare(t)
	from := testkit.ObjectStore(t)
	a := s.publish(t, "/a", "x")
	bucket := openBucket(t, from)
	if err := bucket.PutImmutable(t.Context(), "builds/a.zip", a.Content, "application/zip"); err != nil {
		t.Fatal(err)
	}
	b := s.Bundle("shop", "1.0.0", a)
	b.Spec.Source = otav1alpha1.BundleSource{S3: &otav1alpha1.S3Source{
		Endpoint: from.Endpoint, Bucket: from.Name, Key: "builds/a.zip", CredentialsSecretRef: &otav1alpha1.LocalReference{Name: "builds"},
	}}
	secret := s.Credentials(from)
	secret.Name = "builds"
	s.Create(t, s.repo, secret, b)
	s.start(t)
	s.wantReady(t, b)

	anonymous := s.Bundle("shop-2", "2.0.0", s.publish(t, "/b", "y"))
	anonymous.Spec.Source = *b.Spec.Source.DeepCopy()
	anonymous.Spec.Source.S3.CredentialsSecretRef = nil
	s.Create(t, anonymous)
	s.want(t, anonymous, metav1.ConditionFalse, otav1alpha1.SourceAccessDeniedReason)
}
