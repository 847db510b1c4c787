// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package release

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onsi/gomega"
	registries "github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	otav1alpha1ac "github.com/windlass-dev/windlass/api/v1alpha1/applyconfiguration/api/v1alpha1"
	"github.com/windlass-dev/windlass/controllers/channel"
	"github.com/windlass-dev/windlass/controllers/rollout"
	"github.com/windlass-dev/windlass/internal/analysis"
	"github.com/windlass-dev/windlass/internal/analysis/ask"
	"github.com/windlass-dev/windlass/internal/analysis/blame"
	"github.com/windlass-dev/windlass/internal/analysis/eprocess"
	"github.com/windlass-dev/windlass/internal/analysis/fetch"
	"github.com/windlass-dev/windlass/internal/analysis/prometheus"
	"github.com/windlass-dev/windlass/internal/analysis/telemetry"
	"github.com/windlass-dev/windlass/internal/analysis/web"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// clockwork is a world in which time passes when the test says so: both reconcilers on a real API server, called by the test and not by
// their queues, with the real clients of the providers of metrics.
type clockwork struct {
	*bench

	cached   client.Client // knows all that was written through it
	rollouts *rollout.Reconciler
	channels reconcile.Reconciler
	patient  rollout.Providers
	hasty    rollout.Providers            // for servers that never answer
	gateways map[string]*telemetry.Client // by Channel
	actors   map[string]*actor

	mu   sync.Mutex
	time time.Time
}

// actor is a Rollout with a Channel of the same name, and the server that its metrics come from.
type actor struct {
	*teller

	name string
	due  time.Time // when the Rollout asked to be looked at
}

// teller is a server that answers what the test says.
type teller struct {
	url   string
	hasty atomic.Bool // it never answers: do not wait for long

	mu   sync.Mutex
	says map[string]http.HandlerFunc // by the first part of the path
}

func newTeller(t *testing.T) *teller {
	t.Helper()
	s := &teller{says: map[string]http.HandlerFunc{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// say lets the server answer, below a path.
func (s *teller) say(path string, h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.says[path] = h
}

func (s *teller) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, _, _ := strings.Cut(r.URL.Path[1:], "/")
	s.mu.Lock()
	answer := s.says[path]
	s.mu.Unlock()
	answer(w, r)
}

// newClockwork makes a world with a Repository and a Bundle shop-1.
func newClockwork(t *testing.T) *clockwork {
	t.Helper()
	env := testkit.Start(t)
	c := &clockwork{time: time.Now().UTC().Truncate(time.Second), gateways: map[string]*telemetry.Client{}, actors: map[string]*actor{}}
	c.bench = &bench{Env: env, T: t, publisher: &memoryPublisher{committed: map[string]release.Committed{}, wake: func(string) {}}}
	desk, err := ask.New(c.now, registries.NewRegistry())
	must(t, err)
	providers := func(timeout time.Duration) rollout.Providers {
		http := fetch.New(testkit.Loopback(), timeout)
		return rollout.Providers{Desk: desk, Telemetry: c, Prometheus: prometheus.New(http), Web: web.New(http, nil)}
	}
	c.patient, c.hasty = providers(fetch.Timeout), providers(200*time.Millisecond)
	c.start()
	c.create(&otav1alpha1.Repository{
		ObjectMeta: c.meta("default"),
		Spec: otav1alpha1.RepositorySpec{
			Storage: otav1alpha1.StorageSpec{Endpoint: "https://s3.example.com", Bucket: "updates"},
			Trust:   otav1alpha1.TrustSpec{Authorities: []otav1alpha1.Authority{{Name: "ci", PublicKey: &otav1alpha1.PublicKeySource{Inline: "PEM"}}}},
		},
	})
	c.bundle(1)
	eventually(t, func(g gomega.Gomega) {
		o := &otav1alpha1.Bundle{}
		g.Expect(c.cached.Get(t.Context(), c.key("shop-1"), o)).To(gomega.Succeed())
		g.Expect(o.Status.Conditions).NotTo(gomega.BeEmpty())
		g.Expect(c.cached.Get(t.Context(), c.key("default"), &otav1alpha1.Repository{})).To(gomega.Succeed())
	})
	return c
}

// start runs the cache with the indexes of the controllers, but not the controllers.
func (c *clockwork) start() {
	mgr, err := ctrl.NewManager(c.Config, ctrl.Options{
		Scheme: c.Scheme, Metrics: metricsserver.Options{BindAddress: "0"},
		Cache:      cache.Options{DefaultNamespaces: map[string]cache.Config{c.Namespace: {}}},
		Controller: config.Controller{SkipNameValidation: new(true)},
	})
	must(c.T, err)
	writes, err := client.NewWithWatch(c.Config, client.Options{Scheme: c.Scheme, Cache: &client.CacheOptions{Reader: mgr.GetCache()}})
	must(c.T, err)
	c.cached = interceptor.NewClient(writes, interceptor.Funcs{
		Patch: func(ctx context.Context, w client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			if err := w.Patch(ctx, o, p, opts...); err != nil {
				return err
			}
			return c.catchUp(ctx, o.DeepCopyObject().(client.Object), o.GetResourceVersion())
		},
		SubResourceApply: func(ctx context.Context, w client.Client, sub string, o runtime.ApplyConfiguration, opts ...client.SubResourceApplyOption) error {
			if err := w.SubResource(sub).Apply(ctx, o, opts...); err != nil {
				return err
			}
			switch ac := o.(type) {
			case *otav1alpha1ac.RolloutApplyConfiguration:
				return c.catchUp(ctx, &otav1alpha1.Rollout{ObjectMeta: c.meta(*ac.Name)}, *ac.ResourceVersion)
			case *otav1alpha1ac.ChannelApplyConfiguration:
				return c.catchUp(ctx, &otav1alpha1.Channel{ObjectMeta: c.meta(*ac.Name)}, *ac.ResourceVersion)
			}
			return fmt.Errorf("unexpected write of %T", o)
		},
	})
	recorder := &events.FakeRecorder{}
	c.rollouts = &rollout.Reconciler{Client: c.cached, Recorder: recorder, Measurer: c, Now: c.now}
	must(c.T, c.rollouts.SetupWithManager(c.Context(), mgr, controller.Options{}))
	channels := &channel.Reconciler{Client: c.cached, Recorder: recorder, Publishers: c, Wall: c.now, Steady: c.now}
	must(c.T, channels.SetupWithManager(c.Context(), mgr, nil, controller.Options{}))
	c.channels = reconcile.AsReconciler(c.cached, channels)
	ctx, cancel := context.WithCancel(c.Context())
	done := make(chan error, 1)
	go func() { done <- mgr.GetCache().Start(ctx) }()
	c.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			c.Errorf("cache: %v", err)
		}
	})
}

// catchUp waits until the cache knows a version of an object.
func (c *clockwork) catchUp(ctx context.Context, o client.Object, version string) error {
	want, err := strconv.ParseUint(version, 10, 64)
	if err != nil {
		return err
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		err := c.cached.Get(ctx, client.ObjectKeyFromObject(o), o)
		if have, perr := strconv.ParseUint(o.GetResourceVersion(), 10, 64); err == nil && perr == nil && have >= want {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the cache does not learn of %s: %w", o.GetName(), ctx.Err())
		}
	}
}

func (c *clockwork) key(name string) client.ObjectKey {
	return client.ObjectKey{Namespace: c.Namespace, Name: name}
}

func (c *clockwork) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.time
}

// For gives the publisher of all Repositories, whose commits are made at the time of the test.
func (c *clockwork) For(client.ObjectKey) (channel.Publisher, bool) {
	return timedPublisher{c.publisher, c.now}, true
}

type timedPublisher struct {
	*memoryPublisher

	now func() time.Time
}

func (p timedPublisher) Submit(doc *release.Document) {
	p.memoryPublisher.Submit(doc)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.committed[doc.App+"/"+doc.Channel] = release.Committed{Document: doc, MetadataVersion: p.version, At: p.now()}
}

// Measure asks the real providers.
func (c *clockwork) Measure(ctx context.Context, s rollout.Subject) analysis.Measurement {
	if c.actors[s.Channel].hasty.Load() {
		return c.hasty.Measure(ctx, s)
	}
	return c.patient.Measure(ctx, s)
}

// Slices are not what these stories are about.
func (c *clockwork) Slices(context.Context, rollout.Subject) ([]blame.Group, error) { return nil, nil }

// Counts asks the gateway of the Channel.
func (c *clockwork) Counts(ctx context.Context, s rollout.Subject) ([]eprocess.Stage, error) {
	return c.gateways[s.Channel].Counts(ctx, telemetry.Trial{App: s.App, Channel: s.Channel, Digest: s.Digest, Salt: s.Salt, Began: s.Began})
}

// add makes an actor: a Channel, and a Rollout that shows its Bundle to some percent of the devices for a minute each.
func (c *clockwork) add(name string, by *teller, metrics []otav1alpha1.Metric, weights ...int) *actor {
	c.Helper()
	a := &actor{teller: by, name: name}
	target, err := telemetry.ParseTarget(a.url)
	must(c.T, err)
	c.gateways[name] = telemetry.New(telemetry.Config{Targets: []telemetry.Target{target}, Token: func() ([]byte, error) { return []byte("token"), nil }})
	var steps []otav1alpha1.Step
	for _, w := range weights {
		steps = append(steps, testkit.SetWeight(w), otav1alpha1.Step{Pause: &otav1alpha1.PauseStep{Duration: "1m"}})
	}

	c.create(&otav1alpha1.Channel{ObjectMeta: c.meta(name), Spec: otav1alpha1.ChannelSpec{App: "shop"}})
	c.create(&otav1alpha1.Rollout{ObjectMeta: c.meta(name), Spec: otav1alpha1.RolloutSpec{
		ChannelRef: otav1alpha1.LocalReference{Name: name}, BundleRef: otav1alpha1.LocalReference{Name: "shop-1"}, Steps: steps,
		LeaseDuration: "24h", Analysis: &otav1alpha1.Analysis{Metrics: metrics},
	}})
	c.actors[name] = a
	return a
}

// each does something for all actors, side by side.
func (c *clockwork) each(do func(a *actor) error) {
	c.Helper()
	group := errgroup.Group{}
	group.SetLimit(8)
	for _, a := range c.actors {
		group.Go(func() error {
			if err := do(a); err != nil {
				return fmt.Errorf("%s: %w", a.name, err)
			}
			return nil
		})
	}
	must(c.T, group.Wait())
}

// pass lets time pass, and everything happen that is then due.
func (c *clockwork) pass(d time.Duration) {
	c.Helper()
	c.mu.Lock()
	c.time = c.time.Add(d)
	c.mu.Unlock()
	c.each(c.settle)
}

// settle reconciles an actor's objects when they are due, until nothing is due any more.
func (c *clockwork) settle(a *actor) error {
	if c.now().Before(a.due) {
		return nil
	}
	ctx, req := c.Context(), reconcile.Request{NamespacedName: c.key(a.name)}
	for range 50 {
		before := c.read(a).Status
		res, err := c.rollouts.Reconcile(ctx, req)
		if err != nil {
			return fmt.Errorf("reconcile the Rollout: %w", err)
		}
		moved, err := c.publish(a, before)
		if err != nil {
			return fmt.Errorf("reconcile the Channel: %w", err)
		}
		if !moved && res.RequeueAfter != time.Millisecond {
			a.due = c.now().Add(res.RequeueAfter)
			return nil
		}
	}
	return errors.New("it does not come to rest")
}

// publish reconciles the Channel until it does not change, when its Rollout asks for something new. It tells whether it did.
func (c *clockwork) publish(a *actor, before otav1alpha1.RolloutStatus) (bool, error) {
	if now := c.read(a).Status; equality.Semantic.DeepEqual(now.Assignment, before.Assignment) && equality.Semantic.DeepEqual(now.Release, before.Release) {
		return false, nil
	}
	was := ""
	for range 50 {
		if _, err := c.channels.Reconcile(c.Context(), reconcile.Request{NamespacedName: c.key(a.name)}); err != nil {
			return false, err
		}
		o := &otav1alpha1.Channel{}
		if err := c.cached.Get(c.Context(), c.key(a.name), o); err != nil {
			return false, err
		}
		committed, _ := c.publisher.Committed("shop", a.name)
		is := fmt.Sprint(o.ResourceVersion, committed.MetadataVersion)
		if was == is {
			return true, nil
		}
		was = is
	}
	return false, errors.New("it does not come to rest")
}

// read gives an actor's Rollout.
func (c *clockwork) read(a *actor) *otav1alpha1.Rollout {
	o := &otav1alpha1.Rollout{}
	if err := c.cached.Get(c.Context(), c.key(a.name), o); err != nil {
		c.Errorf("%s: %v", a.name, err)
	}
	return o
}

// known waits until the cache knows all actors.
func (c *clockwork) known() {
	c.Helper()
	c.each(func(a *actor) error {
		ctx, cancel := context.WithTimeout(c.Context(), testkit.Timeout)
		defer cancel()
		return errors.Join(c.catchUp(ctx, &otav1alpha1.Rollout{ObjectMeta: c.meta(a.name)}, "1"),
			c.catchUp(ctx, &otav1alpha1.Channel{ObjectMeta: c.meta(a.name)}, "1"))
	})
}

// offered are the weights that were committed for an actor's release, in order, without repetition.
func (c *clockwork) offered(a *actor) []int32 {
	var out []int32
	for _, d := range c.publisher.documents() {
		if x := d.Candidate; d.Channel == a.name && x != nil && (len(out) == 0 || out[len(out)-1] != x.Weight) {
			out = append(out, x.Weight)
		}
	}
	return out
}
