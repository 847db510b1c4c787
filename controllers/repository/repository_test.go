// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/audit"
	"github.com/windlass-dev/windlass/internal/publish"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// story is a test with a running controller.
type story struct {
	*testkit.Env
	set    *publish.Set
	logs   *audit.Set
	bucket *testkit.Bucket
	repo   *otav1alpha1.Repository
	secret *corev1.Secret
}

// begin starts the controller in a namespace of its own. Secrets are looked at again every 100 ms.
func begin(t *testing.T) *story {
	s := &story{Env: testkit.Start(t), bucket: testkit.ObjectStore(t)}
	s.repo = s.Repository(s.bucket, testkit.NewAuthor(t, "ci"))
	s.secret = s.Credentials(s.bucket)
	mgr, err := ctrl.NewManager(s.Config, ctrl.Options{
		Scheme: s.Scheme, Metrics: metricsserver.Options{BindAddress: "0"},
		Cache:      cache.Options{DefaultNamespaces: map[string]cache.Config{s.Namespace: {}}},
		Controller: config.Controller{SkipNameValidation: new(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	news := make(chan event.GenericEvent, 1000)
	s.set = publish.NewSet(func(repo types.NamespacedName, _ []publish.ChannelKey) {
		news <- event.GenericEvent{Object: &otav1alpha1.Repository{ObjectMeta: metav1.ObjectMeta{Namespace: repo.Namespace, Name: repo.Name}}}
	})
	s.logs = audit.NewSet(func(repo types.NamespacedName, _ []audit.Ref) {
		news <- event.GenericEvent{Object: &otav1alpha1.Repository{ObjectMeta: metav1.ObjectMeta{Namespace: repo.Namespace, Name: repo.Name}}}
	})
	r := &Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Recorder: mgr.GetEventRecorder("repository-controller"),
		Set: s.set, Logs: s.logs, Now: time.Now, Options: Options{Recheck: 100 * time.Millisecond, Egress: testkit.Loopback()},
	}
	if err := r.SetupWithManager(t.Context(), mgr, news, controller.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(mgr.Add(s.set), mgr.Add(s.logs)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("manager: %v", err)
		}
	})
	return s
}

// want waits for the Repository's Ready condition.
func (s *story) want(t *testing.T, status metav1.ConditionStatus, reason string) {
	t.Helper()
	testkit.Eventually(t, s.Client, s.repo, testkit.HaveCondition(otav1alpha1.ReadyCondition, status, reason))
	testkit.CheckStatus(t, s.repo)
}

// rest checks that nobody writes any more.
func (s *story) rest(t *testing.T) {
	t.Helper()
	testkit.StandStill(t, s.Client, s.repo)
	testkit.CheckStatus(t, s.repo)
}

func (s *story) delete(t *testing.T, obj client.Object) {
	t.Helper()
	if err := s.Client.Delete(t.Context(), obj); err != nil {
		t.Fatal(err)
	}
}

func TestRepository_ready(t *testing.T) {
	g := gomega.NewWithT(t)
	s := begin(t)
	s.Create(t, s.secret, s.repo)
	s.want(t, metav1.ConditionTrue, otav1alpha1.SucceededReason)
	testkit.Eventually(t, s.Client, s.repo, testkit.BeObserved(),
		testkit.HaveCondition(otav1alpha1.StorageReachableCondition, metav1.ConditionTrue, otav1alpha1.SucceededReason),
		testkit.HaveCondition(otav1alpha1.SigningReadyCondition, metav1.ConditionTrue, otav1alpha1.KeysGeneratedReason),
		testkit.LackCondition(otav1alpha1.ReconcilingCondition), testkit.LackCondition(otav1alpha1.StalledCondition))
	st := s.repo.Status
	g.Expect(st.Storage.ConditionalWrites).To(gomega.Equal(otav1alpha1.ConditionalWritesAtomic))
	g.Expect(st.Metadata.Version).To(gomega.Equal(int64(1)))
	g.Expect(st.Metadata.Keys).To(gomega.Equal("Generated"))
	g.Expect(*st.Channels).To(gomega.BeZero())
	g.Expect(testkit.KStatus(s.repo)).To(gomega.Equal("Current"))
	s.rest(t)

	var keys corev1.Secret
	g.Expect(s.Client.Get(t.Context(), client.ObjectKey{Namespace: s.Namespace, Name: "default-signing"}, &keys)).To(gomega.Succeed())
	g.Expect(*keys.Immutable).To(gomega.BeTrue())
	g.Expect(keys.Labels).To(gomega.HaveKeyWithValue(RepositoryLabel, "default"))
	g.Expect(keys.OwnerReferences).To(gomega.BeEmpty())
}

func TestRepository_followsCommits(t *testing.T) {
	s := begin(t)
	s.Create(t, s.secret, s.repo)
	s.want(t, metav1.ConditionTrue, otav1alpha1.SucceededReason)
	p, ok := s.set.Get(client.ObjectKeyFromObject(s.repo))
	if !ok {
		t.Fatal("a Repository that is ready has no publisher")
	}
	for i := range int64(20) {
		p.Submit(&release.Document{Schema: release.Schema, App: "com.example.shop", Channel: "beta", Revision: i + 1, Serving: release.Halted})
	}
	gomega.NewWithT(t).Eventually(func(g gomega.Gomega) {
		g.Expect(s.Client.Get(t.Context(), client.ObjectKeyFromObject(s.repo), s.repo)).To(gomega.Succeed())
		c, ok := p.Committed("com.example.shop", "beta")
		g.Expect(ok && c.Document.Revision == 20).To(gomega.BeTrue())
		g.Expect(s.repo.Status.Metadata.Version).To(gomega.Equal(p.State().Version))
		g.Expect(*s.repo.Status.Channels).To(gomega.Equal(int32(1)))
	}).WithTimeout(testkit.Timeout).Should(gomega.Succeed())
	s.rest(t)
}

func TestRepository_bucketComesLater(t *testing.T) {
	s := begin(t)
	s.repo.Spec.Storage.Bucket = "not-yet-" + strings.ToLower(s.bucket.Name)
	s.Create(t, s.secret, s.repo)
	s.want(t, metav1.ConditionFalse, otav1alpha1.BucketNotFoundReason)
	testkit.Eventually(t, s.Client, s.repo,
		testkit.HaveCondition(otav1alpha1.StorageReachableCondition, metav1.ConditionFalse, otav1alpha1.BucketNotFoundReason))
	u, err := url.Parse(s.bucket.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	c, err := minio.New(u.Host, &minio.Options{Creds: credentials.NewStaticV4(s.bucket.AccessKeyID, s.bucket.SecretAccessKey, "")})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.MakeBucket(t.Context(), s.repo.Spec.Storage.Bucket, minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	s.want(t, metav1.ConditionTrue, otav1alpha1.SucceededReason)
	s.rest(t)
}

func TestRepository_wrongCredentials(t *testing.T) {
	s := begin(t)
	s.secret.StringData[secretAccessKey] = "wrong"
	s.Create(t, s.secret, s.repo)
	s.want(t, metav1.ConditionFalse, otav1alpha1.StorageAccessDeniedReason)
	s.secret.StringData = map[string]string{secretAccessKey: s.bucket.SecretAccessKey}
	if err := s.Client.Update(t.Context(), s.secret); err != nil {
		t.Fatal(err)
	}
	s.want(t, metav1.ConditionTrue, otav1alpha1.SucceededReason)
	s.rest(t)
}

func TestRepository_secretsAreMissedAndFound(t *testing.T) {
	s := begin(t)
	s.Create(t, s.repo)
	s.want(t, metav1.ConditionFalse, otav1alpha1.SecretNotFoundReason)
	s.Create(t, s.secret)
	s.want(t, metav1.ConditionTrue, otav1alpha1.SucceededReason)

	again := s.Credentials(s.bucket)
	s.delete(t, s.secret)
	s.want(t, metav1.ConditionFalse, otav1alpha1.SecretNotFoundReason)
	if _, ok := s.set.Get(client.ObjectKeyFromObject(s.repo)); !ok {
		t.Error("the publisher was closed: a rollback could not reach devices any more")
	}
	s.Create(t, again)
	s.want(t, metav1.ConditionTrue, otav1alpha1.SucceededReason)
}

// Devices pin the root that the lost keys have signed: new keys would lock them out without anybody noticing.
func TestRepository_lostSigningKeysAreNotReplaced(t *testing.T) {
	s := begin(t)
	s.Create(t, s.secret, s.repo)
	s.want(t, metav1.ConditionTrue, otav1alpha1.SucceededReason)
	keys := &corev1.Secret{}
	name := client.ObjectKey{Namespace: s.Namespace, Name: "default-signing"}
	if err := s.Client.Get(t.Context(), name, keys); err != nil {
		t.Fatal(err)
	}
	s.delete(t, keys)
	s.want(t, metav1.ConditionFalse, otav1alpha1.SecretNotFoundReason)
	testkit.Eventually(t, s.Client, s.repo,
		testkit.HaveCondition(otav1alpha1.SigningReadyCondition, metav1.ConditionFalse, otav1alpha1.SecretNotFoundReason),
		testkit.HaveMessage(otav1alpha1.SigningReadyCondition, "default-signing", "backup"))
	if err := s.Client.Get(t.Context(), name, &corev1.Secret{}); !apierrors.IsNotFound(err) {
		t.Errorf("got %v, want that nobody made the Secret again", err)
	}

	foreign, err := publish.GenerateKeys()
	if err != nil {
		t.Fatal(err)
	}
	other := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: name.Name}, Data: foreign}
	s.Create(t, other)
	s.want(t, metav1.ConditionFalse, otav1alpha1.KeysMismatchReason)
	s.delete(t, other)
	s.Create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: name.Name}, Data: keys.Data})
	s.want(t, metav1.ConditionTrue, otav1alpha1.SucceededReason)
	testkit.Eventually(t, s.Client, s.repo,
		testkit.HaveCondition(otav1alpha1.SigningReadyCondition, metav1.ConditionTrue, otav1alpha1.KeysProvidedReason))
	s.rest(t)
}

func TestRepository_trust(t *testing.T) {
	s := begin(t)
	s.repo.Spec.Trust.Authorities = []otav1alpha1.Authority{{Name: "ci", Keyless: &otav1alpha1.KeylessIdentity{
		Issuer: "https://issuer.example.com", Subject: "someone", TrustedRootConfigMapRef: otav1alpha1.KeyReference{Name: "root", Key: "root.json"},
	}}}
	s.Create(t, s.secret, s.repo)
	s.want(t, metav1.ConditionFalse, otav1alpha1.ConfigMapNotFoundReason)

	s.repo.Spec.Trust.Authorities = []otav1alpha1.Authority{{Name: "ci", PublicKey: &otav1alpha1.PublicKeySource{Inline: "no key"}}}
	if err := s.Client.Update(t.Context(), s.repo); err != nil {
		t.Fatal(err)
	}
	s.want(t, metav1.ConditionFalse, otav1alpha1.InvalidKeyReason)

	s.repo.Spec.Trust.Authorities[0].PublicKey = &otav1alpha1.PublicKeySource{ConfigMapRef: &otav1alpha1.KeyReference{Name: "keys", Key: "ci.pem"}}
	if err := s.Client.Update(t.Context(), s.repo); err != nil {
		t.Fatal(err)
	}
	s.want(t, metav1.ConditionFalse, otav1alpha1.ConfigMapNotFoundReason)
	s.Create(t, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: "keys"},
		Data: map[string]string{"ci.pem": testkit.NewAuthor(t, "ci").PublicPEM()}})
	s.want(t, metav1.ConditionTrue, otav1alpha1.SucceededReason)
	s.rest(t)
}

func TestRepository_durationsAreChecked(t *testing.T) {
	s := begin(t)
	s.repo.Spec.Signing = &otav1alpha1.SigningSpec{TimestampExpiry: "5s"}
	s.Create(t, s.secret, s.repo)
	for _, c := range []struct {
		signing   otav1alpha1.SigningSpec
		retention otav1alpha1.Duration
		say       string
	}{
		{otav1alpha1.SigningSpec{TimestampExpiry: "5s"}, "", "timestampExpiry"},
		{otav1alpha1.SigningSpec{RootExpiry: "30m"}, "", "rootExpiry"},
		{otav1alpha1.SigningSpec{RootExpiry: "2h", TimestampExpiry: "3h"}, "", "rootExpiry"},
		{otav1alpha1.SigningSpec{}, "10m", "unreferencedAfter"},
	} {
		base := s.repo.DeepCopy()
		s.repo.Spec.Signing, s.repo.Spec.Retention = &c.signing, &otav1alpha1.RetentionSpec{UnreferencedAfter: c.retention}
		if err := s.Client.Patch(t.Context(), s.repo, client.MergeFrom(base)); err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, s.Client, s.repo, testkit.BeObserved(), testkit.HaveMessage(otav1alpha1.StalledCondition, c.say),
			testkit.HaveCondition(otav1alpha1.StalledCondition, metav1.ConditionTrue, otav1alpha1.InvalidSpecReason))
		testkit.CheckStatus(t, s.repo)
	}
	base := s.repo.DeepCopy()
	s.repo.Spec.Signing, s.repo.Spec.Retention = nil, nil
	if err := s.Client.Patch(t.Context(), s.repo, client.MergeFrom(base)); err != nil {
		t.Fatal(err)
	}
	s.want(t, metav1.ConditionTrue, otav1alpha1.SucceededReason)
	s.rest(t)
}

func TestDigestsOfBundlesAreKept(t *testing.T) {
	s := begin(t)
	bundle := s.Bundle("web-1.0.0", "1.0.0", &testkit.Artifact{
		URL: "https://ci.example.com/web.zip", Digest: testkit.Digest([]byte("web")), Signatures: []string{"bm90IGEgcmVhbCBzaWduYXR1cmU="}})
	s.Create(t, bundle)
	key := client.ObjectKeyFromObject(s.repo)
	web, none := string(bundle.Spec.Digest), testkit.Digest([]byte("other"))
	if !wanted(t.Context(), s.Client, key, web) || wanted(t.Context(), s.Client, key, none) {
		t.Error("the digests of Bundles are not those that are kept")
	}
	if wanted(t.Context(), s.Client, client.ObjectKey{Namespace: key.Namespace, Name: "other"}, web) {
		t.Error("a Bundle of another Repository counts")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if !wanted(ended, s.Client, key, none) {
		t.Error("a digest counts as unwanted although nobody could tell")
	}
}

func TestRepository_deletionWaitsForItsUsers(t *testing.T) {
	s := begin(t)
	channel := s.Channel("beta")
	s.Create(t, s.secret, s.repo, channel)
	s.want(t, metav1.ConditionTrue, otav1alpha1.SucceededReason)
	s.delete(t, s.repo)
	testkit.Eventually(t, s.Client, s.repo,
		testkit.HaveCondition(otav1alpha1.ReconcilingCondition, metav1.ConditionTrue, otav1alpha1.InUseReason),
		testkit.HaveMessage(otav1alpha1.ReconcilingCondition, "Channel beta"))
	testkit.CheckStatus(t, s.repo)
	if _, ok := s.set.Get(client.ObjectKeyFromObject(s.repo)); !ok {
		t.Error("the publisher was closed although a Channel needs it")
	}
	s.delete(t, channel)
	gomega.NewWithT(t).Eventually(func() error {
		return s.Client.Get(t.Context(), client.ObjectKeyFromObject(s.repo), &otav1alpha1.Repository{})
	}).WithTimeout(testkit.Timeout).Should(gomega.MatchError(apierrors.IsNotFound, "IsNotFound"))
	if _, ok := s.set.Get(client.ObjectKeyFromObject(s.repo)); ok {
		t.Error("the publisher is still open")
	}
}
