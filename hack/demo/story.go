// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/hack/fleet/device"
)

// Versions of the story.
const (
	first  = "1.0.0"
	second = "1.1.0" // signed by a key, and by an identity too
	third  = "1.2.0" // the bad one
)

// allWeights are those of config/samples/demo/rollout.yaml.
var allWeights = []string{"1", "10", "50", "100"}

// play tells the story: a first release, a good one, and a bad one that is taken back.
func play(ctx context.Context, s *stack) error {
	if err := open(ctx, s); err != nil {
		return err
	}
	start := time.Now()
	s.screen.start(start, s.devices)
	if _, err := s.release(ctx, first, "the first release", completed); err != nil {
		return err
	}
	if _, err := s.release(ctx, second, "a good update", completed); err != nil {
		return err
	}
	bad, err := s.release(ctx, third, "an update with a bug", rolledBack)
	if err != nil {
		return err
	}
	total := time.Since(start)
	s.screen.stop()
	if err := checkDevices(bad.last.devices); err != nil {
		return err
	}
	if err := s.printTables(ctx); err != nil {
		return err
	}
	s.printSummary(bad, total)
	return nil
}

// open starts everything up to an empty channel with devices that follow it.
func open(ctx context.Context, s *stack) error {
	start := time.Now()
	s.screen.say("Starting etcd, kube-apiserver and an object store.")
	if err := s.startServers(ctx); err != nil {
		return err
	}
	s.screen.say("Starting the manager, then the gateway and %d devices.", s.devices)
	if err := s.applyFile(ctx, "platform.yaml", nil); err != nil {
		return err
	}
	if err := s.startManager(ctx); err != nil {
		return err
	}
	if err := s.waitRepository(ctx); err != nil {
		return err
	}
	if err := s.applyFile(ctx, "channel.yaml", nil); err != nil {
		return err
	}
	starts := []func(context.Context) error{s.waitChannel, s.startGateway, s.startFleet}
	if s.options.prometheus {
		starts = append(starts, s.startPrometheus)
	}
	for _, f := range starts {
		if err := f(ctx); err != nil {
			return err
		}
	}
	s.screen.say("All parts run after %s.", time.Since(start).Round(100*time.Millisecond))
	if s.verbose {
		s.screen.say("Data and logs are in %s; export KUBECONFIG=%s", s.dir, s.controlPlane.Kubeconfig)
	}
	return nil
}

func (s *stack) sample(name string) string {
	return filepath.Join(s.root, "config", "samples", "demo", name)
}

func (s *stack) applyFile(ctx context.Context, name string, more vars) error {
	objs, err := load(s.sample(name), s.vars().with(more))
	if err != nil {
		return err
	}
	return apply(ctx, s.client, objs...)
}

// waitRepository waits until the manager has made its keys and published the first metadata.
func (s *stack) waitRepository(ctx context.Context) error {
	repo := &otav1alpha1.Repository{}
	repo.Name = otav1alpha1.DefaultRepository
	return s.waitReady(ctx, repo, &repo.Status.Conditions)
}

// waitChannel waits until gateways can see the channel: Capgo devices take it for a failure when there is none to follow.
func (s *stack) waitChannel(ctx context.Context) error {
	ch := &otav1alpha1.Channel{}
	ch.Name = channel
	return s.waitReady(ctx, ch, &ch.Status.Conditions)
}

// waitReady waits until a named object is Ready.
func (s *stack) waitReady(ctx context.Context, obj client.Object, conditions *[]metav1.Condition) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		err := s.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: obj.GetName()}, obj)
		if err == nil && apimeta.IsStatusConditionTrue(*conditions, otav1alpha1.ReadyCondition) {
			return nil
		}
		if err := s.ended(); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			ready := apimeta.FindStatusCondition(*conditions, otav1alpha1.ReadyCondition)
			return errors.Join(fmt.Errorf("%T %s did not become Ready: %w; its condition: %+v", obj, obj.GetName(), context.Cause(ctx), ready), err)
		}
	}
}

// ending tells when a release has ended as it should, and checks how it went.
type ending struct {
	state otav1alpha1.ReleaseState
	home  func(version string, s *device.Status) bool // the devices have followed
	check func(*act) error
	tell  func(*act) string
}

var completed = ending{
	state: otav1alpha1.ReleaseCompleted,
	home: func(version string, s *device.Status) bool {
		return s.Bundles[version].Running+s.Bundles[version].Failed >= s.Devices
	},
	check: func(a *act) error {
		if !slices.Equal(a.weights, allWeights) {
			return fmt.Errorf("the weights of %s were %s, want %s", a.version, strings.Join(a.weights, ", "), strings.Join(allWeights, ", "))
		}
		if got := a.last.stable(); got != a.version {
			return fmt.Errorf("the stable version is %s, want %s", got, a.version)
		}
		return nil
	},
	tell: func(a *act) string {
		b := a.last.devices.Bundles[a.version]
		return fmt.Sprintf("%s is stable after %s: %s %%; it failed on %d of %d devices.", a.version, seconds(a.ended.Sub(a.started)),
			strings.Join(a.weights, ", "), b.Failed, b.Exposed)
	},
}

var rolledBack = ending{
	state: otav1alpha1.ReleaseRolledBack,
	home:  func(version string, s *device.Status) bool { return s.Bundles[version].Running == 0 },
	check: func(a *act) error {
		switch got := a.last.stable(); {
		case got != second:
			return fmt.Errorf("the stable version is %s, want %s", got, second)
		case len(a.weights) == 0 || len(a.weights) > 2 || !slices.Equal(a.weights, allWeights[:len(a.weights)]):
			return fmt.Errorf("%s went to weights %q, want it to be taken back at the first or second step", a.version, a.weights)
		case a.breach.IsZero() || a.commit.IsZero():
			return fmt.Errorf("a failing measurement was seen at %s and the committed rollback at %s, want both", a.breach, a.commit)
		}
		return nil
	},
	tell: func(a *act) string {
		return fmt.Sprintf("%s was taken back by itself after %s, at %s %%:\n       %s.", a.version, seconds(a.ended.Sub(a.started)),
			a.weights[len(a.weights)-1], a.why)
	},
}

// release commits a Bundle and the changed Rollout, and follows the release to its end.
func (s *stack) release(ctx context.Context, version, what string, end ending) (*act, error) {
	u, err := s.author.publish(s.sample("app"), version, version == second)
	if err != nil {
		return nil, err
	}
	signatures, err := json.Marshal(u.signatures)
	if err != nil {
		return nil, fmt.Errorf("encode the signatures: %w", err)
	}
	s.screen.say("Releasing %s, %s: one new Bundle, and bundleRef of the Rollout.", version, what)
	a := &act{version: version, digest: u.digest, started: time.Now()}
	more := vars{"VERSION": version, "URL": u.url, "DIGEST": u.digest, "SIGNATURES": string(signatures)}
	if err := s.applyFile(ctx, "bundle.yaml", more); err != nil {
		return nil, err
	}
	if err := s.applyRollout(ctx, more); err != nil {
		return nil, err
	}
	err = s.follow(ctx, a, func(v *view) bool {
		return finished(v.state(version)) && (v.state(version) != end.state || end.home(version, &v.devices))
	})
	if err != nil {
		return nil, err
	}
	if err := s.tellSigners(ctx, version); err != nil {
		return nil, err
	}
	if got := a.last.state(version); got != end.state {
		return nil, fmt.Errorf("the release of %s ended as %s, want %s: %s", version, got, end.state, a.last.rollout.Status.Message)
	}
	if err := end.check(a); err != nil {
		return nil, err
	}
	s.screen.say("%s", end.tell(a))
	return a, nil
}

// tellSigners says who signed a version, as the manager verified it, and fails when it is not who it should be.
func (s *stack) tellSigners(ctx context.Context, version string) error {
	var b otav1alpha1.Bundle
	if err := s.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "shop-" + version}, &b); err != nil {
		return fmt.Errorf("get the Bundle of %s: %w", version, err)
	}
	want := map[string]string{"ci": "its key"}
	if version == second {
		want["ci-workflow"] = "Sigstore, as " + workflow
	}
	var said []string
	for _, v := range b.Status.Verifications {
		if how, ok := want[v.Authority]; ok {
			said = append(said, v.Authority+" by "+how)
			delete(want, v.Authority)
		}
	}
	if len(want) > 0 {
		return fmt.Errorf("nobody verified the signatures of %v over %s: its verifications are %+v", slices.Collect(maps.Keys(want)), version, b.Status.Verifications)
	}
	s.screen.say("%s was signed by %s.", version, strings.Join(said, " and by "))
	return nil
}

func (s *stack) applyRollout(ctx context.Context, more vars) error {
	all := s.vars().with(more)
	objs, err := load(s.sample("rollout.yaml"), all)
	if err != nil {
		return err
	}
	if s.prometheus != nil {
		if err := addMetric(objs[0], s.sample("metric-prometheus.yaml"), all); err != nil {
			return err
		}
	}
	return apply(ctx, s.client, objs...)
}

// finished tells whether nothing more happens with a release by itself.
func finished(state otav1alpha1.ReleaseState) bool {
	switch state {
	case otav1alpha1.ReleaseCompleted, otav1alpha1.ReleaseRolledBack, otav1alpha1.ReleaseAborted,
		otav1alpha1.ReleaseBundleRefused, otav1alpha1.ReleaseBundleNotAdmitted:
		return true
	}
	return false
}

// checkDevices holds what devices saw against what a sound release gives: no artifact was rejected, no request failed, and no
// device was offered again what had failed on it.
func checkDevices(st device.Status) error {
	for check, n := range st.Rejected {
		if n > 0 && check != "network" { // a bundle that is taken back is gone in the middle of a download
			return fmt.Errorf("devices rejected %d artifacts by %s, want none: %s", n, check, st.LastError)
		}
	}
	if n := st.CheckErrors + st.ReportErrors; n > 0 {
		return fmt.Errorf("%d requests of devices failed, want none: %s", n, st.LastError)
	}
	if n := st.OfferedAgain; n > 0 {
		return fmt.Errorf("devices were offered %d times what had failed on them, want never: %s", n, st.LastError)
	}
	return nil
}
