// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/controllers/bundle"
	"github.com/windlass-dev/windlass/controllers/channel"
	"github.com/windlass-dev/windlass/controllers/repository"
	"github.com/windlass-dev/windlass/controllers/rollout"
	"github.com/windlass-dev/windlass/internal/actor"
	"github.com/windlass-dev/windlass/internal/analysis/ask"
	"github.com/windlass-dev/windlass/internal/analysis/blame"
	"github.com/windlass-dev/windlass/internal/analysis/eprocess"
	"github.com/windlass-dev/windlass/internal/analysis/fetch"
	"github.com/windlass-dev/windlass/internal/analysis/prometheus"
	"github.com/windlass-dev/windlass/internal/analysis/telemetry"
	"github.com/windlass-dev/windlass/internal/analysis/web"
	"github.com/windlass-dev/windlass/internal/audit"
	"github.com/windlass-dev/windlass/internal/clock"
	"github.com/windlass-dev/windlass/internal/ingest"
	"github.com/windlass-dev/windlass/internal/notify"
	"github.com/windlass-dev/windlass/internal/publish"
	"github.com/windlass-dev/windlass/internal/source"
	"github.com/windlass-dev/windlass/internal/tokenfile"
)

// wakeBuffer is how many commits may wait until their wake-up calls are taken.
const wakeBuffer = 4096

// waiters is how many more Rollouts than other objects are worked on at the same time.
const waiters = 16

// setup registers all controllers.
func setup(ctx context.Context, mgr ctrl.Manager, o options) error {
	now := clock.Steady()
	witness := &actor.Witness{Live: mgr.GetAPIReader(), Now: now}
	commits := newCommits(ctx)
	set := publish.NewSet(commits.notify)
	logs := audit.NewSet(commits.recorded)
	if err := errors.Join(mgr.Add(set), mgr.Add(logs), metrics.Registry.Register(set), metrics.Registry.Register(logs)); err != nil {
		return fmt.Errorf("add the publishers: %w", err)
	}
	outbox := audit.Outbox{Logs: logs}
	notifier := newNotifier(mgr.GetAPIReader(), logs, commits, o)
	if err := mgr.Add(notifier); err != nil {
		return fmt.Errorf("add the notifications: %w", err)
	}
	repo := &repository.Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Recorder: mgr.GetEventRecorder("repository-controller"),
		Set: set, Logs: logs, Notifier: notifier, Trust: witness.Trust, Now: now, Options: repository.Options{Recheck: o.recheckEvery, Egress: o.allowed.policy},
	}
	if err := repo.SetupWithManager(ctx, mgr, commits.repositories, controllerOptions(o)); err != nil {
		return err
	}
	bundles := &bundle.Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Recorder: mgr.GetEventRecorder("bundle-controller"),
		Repositories: publishers{set}, Now: now, Outbox: outbox, Recorded: commits.bundles, Options: bundle.Options{
			Transfers: o.transfers, Recheck: o.recheckEvery, ScratchDir: o.scratchDir,
			Source: source.Options{MaxSize: o.maxArtifactSize.Value(), Egress: o.allowed.policy},
		},
	}
	if err := bundles.SetupWithManager(ctx, mgr, controllerOptions(o)); err != nil {
		return err
	}
	channels := &channel.Reconciler{
		Client: mgr.GetClient(), Recorder: mgr.GetEventRecorder("channel-controller"), Publishers: publishers{set}, Trust: witness.Trust, Wall: time.Now, Steady: now,
		Outbox: outbox,
	}
	if err := channels.SetupWithManager(ctx, mgr, commits.channels, controllerOptions(o)); err != nil {
		return err
	}
	measurer, err := newMeasurer(mgr.GetAPIReader(), now, o)
	if err != nil {
		return err
	}
	rollouts := &rollout.Reconciler{
		Client: mgr.GetClient(), Recorder: mgr.GetEventRecorder("rollout-controller"), Measurer: measurer, Now: now, Trust: witness.Trust,
		Outbox: outbox, Recorded: commits.rollouts,
	}
	patient := controllerOptions(o)
	patient.MaxConcurrentReconciles *= waiters // a Rollout whose metrics are slow does nothing but wait, and holds up no other one
	return rollouts.SetupWithManager(ctx, mgr, patient)
}

// newNotifier connects receivers of notifications to the audit logs. What they have taken is written into their Repository's status.
func newNotifier(live client.Reader, logs *audit.Set, commits *commits, o options) *notify.Dispatcher {
	return notify.NewDispatcher(notify.Config{
		Log: func(repo types.NamespacedName) (notify.Log, bool) {
			log, ok := logs.For(repo)
			return log, ok
		},
		Key:     notify.Secrets{Live: live, Egress: o.allowed.policy}.Key,
		Post:    notify.NewPoster(o.allowed.policy, time.Now).Post,
		Changed: func(repo types.NamespacedName) { commits.notify(repo, nil) },
		Now:     time.Now,
	})
}

// commits turns what publishers say into events for the controllers.
type commits struct {
	done         <-chan struct{}
	repositories chan event.GenericEvent
	channels     chan event.GenericEvent
	bundles      chan event.GenericEvent
	rollouts     chan event.GenericEvent
}

func newCommits(ctx context.Context) *commits {
	wakes := func() chan event.GenericEvent { return make(chan event.GenericEvent, wakeBuffer) }
	return &commits{done: ctx.Done(), repositories: wakes(), channels: wakes(), bundles: wakes(), rollouts: wakes()}
}

func (c *commits) notify(repo types.NamespacedName, keys []publish.ChannelKey) {
	c.send(c.repositories, &otav1alpha1.Repository{ObjectMeta: metav1.ObjectMeta{Namespace: repo.Namespace, Name: repo.Name}})
	for _, k := range keys {
		c.send(c.channels, &otav1alpha1.Channel{ObjectMeta: metav1.ObjectMeta{Namespace: repo.Namespace, Name: k.Channel}})
	}
}

// recorded wakes the objects whose records are in the audit log, and the Repository that has it.
func (c *commits) recorded(repo types.NamespacedName, refs []audit.Ref) {
	c.send(c.repositories, &otav1alpha1.Repository{ObjectMeta: metav1.ObjectMeta{Namespace: repo.Namespace, Name: repo.Name}})
	for _, ref := range refs {
		about := metav1.ObjectMeta{Namespace: ref.Namespace, Name: ref.Name}
		switch ref.Kind {
		case "Rollout":
			c.send(c.rollouts, &otav1alpha1.Rollout{ObjectMeta: about})
		case "Channel":
			c.send(c.channels, &otav1alpha1.Channel{ObjectMeta: about})
		case "Bundle":
			c.send(c.bundles, &otav1alpha1.Bundle{ObjectMeta: about})
		}
	}
}

func (c *commits) send(to chan event.GenericEvent, obj client.Object) {
	select {
	case to <- event.GenericEvent{Object: obj}:
	case <-c.done:
	}
}

// publishers lets controllers see the open publishers by their own small interfaces.
type publishers struct{ set *publish.Set }

func (p publishers) For(repo client.ObjectKey) (channel.Publisher, bool) {
	publisher, ok := p.set.Get(repo)
	if !ok {
		return nil, false
	}
	return publisher, true
}

func (p publishers) Bucket(repo types.NamespacedName) (ingest.Bucket, bool) {
	bucket, ok := p.set.Bucket(repo)
	if !ok {
		return nil, false
	}
	return bucket, true
}

func (p publishers) References(repo types.NamespacedName, digest string) (refers, known bool) {
	return p.set.References(repo, digest)
}

// newMeasurer connects the analysis to its providers. Headers of web metrics are read from Secrets when they are asked.
func newMeasurer(live client.Reader, now func() time.Time, o options) (rollout.Measurer, error) {
	desk, err := ask.New(now, metrics.Registry)
	if err != nil {
		return nil, err
	}
	http := fetch.New(o.allowed.policy, fetch.Timeout)
	out := rollout.Providers{
		Desk: desk, Prometheus: prometheus.New(http), Web: web.New(http, web.Secrets{Live: live, Egress: o.allowed.policy}),
	}
	if len(o.gatewayURLs) == 0 {
		return out, nil
	}
	token := func() ([]byte, error) { return tokenfile.Read(o.gatewayTokenFile) }
	if _, err := token(); err != nil {
		return nil, fmt.Errorf("--gateway-token-file: %w", err)
	}
	out.Telemetry = counter{telemetry.New(telemetry.Config{Targets: o.gatewayURLs, Token: token})}
	return out, nil
}

// counter asks the gateways about a Rollout's release.
type counter struct{ client *telemetry.Client }

func (c counter) Counts(ctx context.Context, s rollout.Subject) ([]eprocess.Stage, error) {
	return c.client.Counts(ctx, trialOf(s))
}

func (c counter) Slices(ctx context.Context, s rollout.Subject) ([]blame.Group, error) {
	return c.client.Slices(ctx, trialOf(s))
}

func trialOf(s rollout.Subject) telemetry.Trial {
	return telemetry.Trial{App: s.App, Channel: s.Channel, Digest: s.Digest, Salt: s.Salt, Began: s.Began}
}
