// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"context"
	"flag"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onsi/gomega"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/ingest"
	"github.com/windlass-dev/windlass/internal/source"
	"github.com/windlass-dev/windlass/internal/store"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// parallel is how many stories run at once unless -parallel says otherwise: they wait more than they work.
const parallel = "8"

func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", parallel); err != nil {
		panic(err)
	}
	testkit.Main(m)
}

// maxSize is the limit of artifacts in these tests.
const maxSize = 1 << 20

// publishers stands for those of the Repositories, over a real bucket.
type publishers struct {
	mu         sync.Mutex
	bucket     ingest.Bucket // nil: the Repository cannot publish yet
	referenced string        // digest that metadata refers to
}

func (p *publishers) Bucket(types.NamespacedName) (ingest.Bucket, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bucket, p.bucket != nil
}

func (p *publishers) References(_ types.NamespacedName, digest string) (refers, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.referenced == digest, p.bucket != nil
}

func (p *publishers) set(edit func(*publishers)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	edit(p)
}

// story is a test with a running controller.
type story struct {
	*testkit.Env
	publishers *publishers
	bucket     *store.Bucket
	site       *testkit.Site
	author     *testkit.Author
	repo       *otav1alpha1.Repository
	asked      atomic.Int32 // requests to the site
	ahead      atomic.Int64 // nanoseconds by which the manager's clock is ahead
	options    Options
	stop       func()
}

// begin starts the controller in a namespace of its own, with a Repository that trusts the author ci and a site.
func begin(t *testing.T, edit ...func(*story)) *story {
	t.Helper()
	s := prepare(t, edit...)
	s.Create(t, s.repo)
	s.start(t)
	return s
}

func prepare(t *testing.T, edit ...func(*story)) *story {
	t.Helper()
	b := testkit.ObjectStore(t)
	bucket, err := store.Open(store.Config{Endpoint: b.Endpoint, Bucket: b.Name, Prefix: "mobile", AccessKey: b.AccessKeyID, SecretKey: b.SecretAccessKey})
	if err != nil {
		t.Fatal(err)
	}
	s := &story{Env: testkit.Start(t), publishers: &publishers{bucket: bucket}, bucket: bucket, site: testkit.NewSite(t), author: testkit.NewAuthor(t, "ci")}
	s.repo = s.Repository(b, s.author)
	s.options = Options{
		RetryMin: 20 * time.Millisecond, RetryMax: 200 * time.Millisecond, ScratchDir: t.TempDir(),
		Source: source.Options{MaxSize: maxSize, Idle: 10 * time.Second, Egress: testkit.Loopback()},
	}
	serve := s.site.Config.Handler
	s.site.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.asked.Add(1); serve.ServeHTTP(w, r) })
	for _, e := range edit {
		e(s)
	}
	return s
}

// start starts a manager; its end is part of the test's end, if stop does not end it before.
func (s *story) start(t *testing.T) {
	t.Helper()
	mgr, err := ctrl.NewManager(s.Config, ctrl.Options{
		Scheme: s.Scheme, Metrics: metricsserver.Options{BindAddress: "0"},
		Cache:      cache.Options{DefaultNamespaces: map[string]cache.Config{s.Namespace: {}}},
		Controller: config.Controller{SkipNameValidation: new(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Recorder: mgr.GetEventRecorder("bundle-controller"),
		Repositories: s.publishers, Options: s.options,
		Now: func() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) },
	}
	ctx, cancel := context.WithCancel(context.Background())
	if err := r.SetupWithManager(ctx, mgr, controller.Options{}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("manager: %v", err)
		}
	})
	t.Cleanup(s.stop)
}

// want waits for a Bundle's Ready condition.
func (s *story) want(t *testing.T, b *otav1alpha1.Bundle, status metav1.ConditionStatus, reason string) {
	t.Helper()
	testkit.Eventually(t, s.Client, b, testkit.HaveCondition(otav1alpha1.ReadyCondition, status, reason))
	testkit.CheckStatus(t, b)
}

func (s *story) wantReady(t *testing.T, b *otav1alpha1.Bundle) {
	t.Helper()
	s.want(t, b, metav1.ConditionTrue, otav1alpha1.SucceededReason)
	if got := testkit.KStatus(b); got != testkit.Current {
		t.Errorf("kstatus says %s, want Current", got)
	}
}

func (s *story) wantStalled(t *testing.T, b *otav1alpha1.Bundle, reason string) {
	t.Helper()
	testkit.Eventually(t, s.Client, b, testkit.HaveCondition(otav1alpha1.StalledCondition, metav1.ConditionTrue, reason))
	testkit.CheckStatus(t, b)
	if got := testkit.KStatus(b); got != testkit.Failed {
		t.Errorf("kstatus says %s, want Failed", got)
	}
}

// rest checks that nobody writes any more.
func (s *story) rest(t *testing.T, bundles ...client.Object) {
	t.Helper()
	testkit.StandStill(t, s.Client, bundles...)
}

// update changes an object as a person would, on its newest state.
func update[T client.Object](t *testing.T, s *story, obj T, edit func(T)) {
	t.Helper()
	gomega.NewWithT(t).Eventually(func(g gomega.Gomega) {
		g.Expect(s.Client.Get(t.Context(), client.ObjectKeyFromObject(obj), obj)).To(gomega.Succeed())
		edit(obj)
		g.Expect(s.Client.Update(t.Context(), obj)).To(gomega.Succeed())
	}).WithTimeout(testkit.Timeout).Should(gomega.Succeed())
}

func (s *story) delete(t *testing.T, obj client.Object) {
	t.Helper()
	if err := s.Client.Delete(t.Context(), obj); err != nil {
		t.Fatal(err)
	}
}

func (s *story) wantGone(t *testing.T, obj client.Object) {
	t.Helper()
	gomega.NewWithT(t).Eventually(func() bool {
		return apierrors.IsNotFound(s.Client.Get(t.Context(), client.ObjectKeyFromObject(obj), obj))
	}).WithTimeout(testkit.Timeout).WithPolling(testkit.Interval).Should(gomega.BeTrue())
}

// objects are the keys in the bucket.
func (s *story) objects(t *testing.T) []string {
	t.Helper()
	var keys []string
	for obj, err := range s.bucket.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, obj.Key)
	}
	return keys
}

// wantEvent waits for an event about an object.
func (s *story) wantEvent(t *testing.T, obj client.Object, reason string) {
	t.Helper()
	gomega.NewWithT(t).Eventually(func(g gomega.Gomega) {
		var list eventsv1.EventList
		g.Expect(s.Client.List(t.Context(), &list, client.InNamespace(s.Namespace))).To(gomega.Succeed())
		g.Expect(slices.ContainsFunc(list.Items, func(e eventsv1.Event) bool {
			return e.Regarding.UID == obj.GetUID() && e.Reason == reason
		})).To(gomega.BeTrue(), "no event %s", reason)
	}).WithTimeout(testkit.Timeout).WithPolling(testkit.Interval).Should(gomega.Succeed())
}

// handle answers a path by a function until the test ends.
func (s *story) handle(path string, h http.HandlerFunc) string {
	next := s.site.Config.Handler
	s.site.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, path) {
			s.asked.Add(1)
			h(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
	return s.site.URL + path
}

// publish serves a good archive under a path, signed by ci.
func (s *story) publish(t *testing.T, path, content string) *testkit.Artifact {
	t.Helper()
	return s.site.Publish(t, path, testkit.Zip(t, map[string]string{"www/index.html": content, "www/main.js": "1"}), s.author)
}
