// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gitops runs a real Argo CD over the real manager and gateway: what a commit does, and what Argo CD says of it.
package gitops

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/devcluster"
	"github.com/windlass-dev/windlass/internal/testkit"
	"github.com/windlass-dev/windlass/internal/testkit/argo"
	"github.com/windlass-dev/windlass/internal/testkit/stack"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// root of the project.
var root = func() string {
	dir, err := devcluster.Root()
	if err != nil {
		panic(err)
	}
	return dir
}()

// story is one world for all of it: Argo CD takes half a minute to start.
type story struct {
	*argoCD
	site   *testkit.Site
	author *testkit.Author
	fleet  *stack.Fleet
	seen   *observer
}

// A commit releases. Argo CD sees it go, wait for a person, and end; a bad one is taken back, and no sync brings it back, until Git
// takes it back too. Then waves, and a Rollout that is pruned.
func TestArgoCD(t *testing.T) {
	s := &story{argoCD: install(t, stack.New(t)), site: testkit.NewSite(t), author: testkit.NewAuthor(t, "ci")}
	s.Create(t, s.Credentials(s.Bucket))
	token, internal := s.WriteToken(), s.FreeAddress()
	s.StartManager("--gateway-url", "dns+http://"+internal, "--gateway-token-file", token)

	s.commit("A Repository and a Channel", map[string]any{
		"shop/repository.yaml": s.Repository(s.Bucket, s.author), "shop/channel.yaml": s.Channel("production"),
	})
	s.sync("shop", true)
	s.comes("shop", "Synced", argo.Healthy, "")
	s.seen = s.observe("shop")
	s.fleet = stack.NewFleet(t, "http://"+s.StartGateway(internal, token), "production")
	stop := s.fleet.Live()

	good, bad := s.bundle(1), s.bundle(2)
	for _, part := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"release", func(t *testing.T) { s.releases(t, good) }},
		{"rollback", func(t *testing.T) { s.isTakenBack(t, bad) }},
		{"sync a hundred times", func(t *testing.T) { s.staysBack(t, good, bad) }},
		{"git revert", func(t *testing.T) { s.reverts(t, good) }},
		{"prune", s.prunes},
		{"waves", s.waves},
	} {
		if !t.Run(part.name, part.run) {
			break // what follows stands on it
		}
	}
	stop()
}

func (s *story) bundle(n int) *otav1alpha1.Bundle {
	s.t.Helper()
	version := fmt.Sprintf("1.%d.0", n)
	content := testkit.Zip(s.t, map[string]string{"index.html": "<h1>" + version + "</h1>"})
	return s.Bundle(fmt.Sprintf("shop-%d", n), version, s.site.Publish(s.t, "/shop-"+version+".zip", content, s.author))
}

// rollout waits for a person at half of the devices.
func (s *story) rollout(bundle string) *otav1alpha1.Rollout {
	r := s.Rollout("shop", "production", bundle, testkit.SetWeight(50), testkit.Pause(), testkit.SetWeight(100))
	r.Spec.Analysis = &otav1alpha1.Analysis{Metrics: []otav1alpha1.Metric{{
		Name: "update-failures", Interval: "1s", Telemetry: &otav1alpha1.TelemetryMetric{Outcome: otav1alpha1.OutcomeFailed}, MaxRate: "0.1",
		MinSamples: new(int32(15)),
	}}}
	return r
}

// in runs a part of the story: helpers fail the part.
func (s *story) in(t *testing.T) func() {
	t.Helper()
	outer := s.t
	s.t = t
	return func() { s.t = outer }
}

// releases: Progressing, Suspended at the pause, and Healthy once a person promoted it. What the person's command leaves on the object
// stays there, whatever Argo CD syncs.
func (s *story) releases(t *testing.T, good *otav1alpha1.Bundle) {
	defer s.in(t)()
	s.commit("Release 1.1.0", map[string]any{"shop/shop-1.yaml": good, "shop/rollout.yaml": s.rollout("shop-1")})
	s.refresh("shop", "normal")
	s.comes("shop", "Synced", argo.Suspended, "Bundle shop-1 is paused on Channel production: ")
	ro := s.rollout("shop-1")
	testkit.Eventually(t, s.Client, ro, testkit.HaveCondition("AnalysisPassing", metav1.ConditionTrue, ""))
	s.plugin("promote", "shop", "--reason", "looks good")
	s.comes("shop", "Synced", argo.Healthy, "Bundle shop-1 is stable on Channel production")
	s.refresh("shop", "hard")
	s.syncNow("shop", "after-promote")
	if err := s.Client.Get(t.Context(), client.ObjectKeyFromObject(ro), ro); err != nil {
		t.Fatal(err)
	}
	if id := ro.Annotations[otav1alpha1.CommandIDAnnotation]; id == "" || ro.Status.LastCommand == nil || ro.Status.LastCommand.ID != id {
		t.Errorf("the command is gone from the Rollout after a sync: annotations %v, last command %+v", ro.Annotations, ro.Status.LastCommand)
	}
	health, channel, _ := s.seen.since()
	if !inOrder(health, argo.Progressing, argo.Suspended, argo.Healthy) {
		t.Errorf("the Application went %v, want Progressing, Suspended and Healthy in this order", health)
	}
	if i := slices.Index(channel, argo.Healthy); i < 0 || slices.ContainsFunc(channel[max(i, 0):], func(h string) bool { return h != argo.Healthy }) {
		t.Errorf("the Channel went %v, want Healthy for good: a Rollout is no matter of its own", channel)
	}
}

// plugin runs kubectl windlass as a person does.
func (s *story) plugin(args ...string) {
	s.t.Helper()
	args = append(args, "--namespace", s.Namespace, "--kubeconfig", s.Kubeconfig())
	out, err := exec.CommandContext(s.t.Context(), stack.Program(s.t, "kubectl-windlass"), args...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("kubectl windlass %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// isTakenBack: devices fail, and the Application says so in one plain sentence.
func (s *story) isTakenBack(t *testing.T, bad *otav1alpha1.Bundle) {
	defer s.in(t)()
	s.fleet.Spoil(string(bad.Spec.Digest))
	s.commit("Release 1.2.0", map[string]any{"shop/shop-2.yaml": bad, "shop/rollout.yaml": s.rollout("shop-2")})
	s.refresh("shop", "normal")
	testkit.Eventually(t, s.Client, s.rollout("shop-2"), testkit.HaveCondition("Stalled", metav1.ConditionTrue, otav1alpha1.RolledBackReason))
	rollout := s.comes("shop", "Synced", argo.Degraded, "Bundle shop-2 is taken back on Channel production: update-failures: ")
	if strings.ContainsAny(rollout.Message, "\n{}") {
		t.Errorf("the Rollout says %q, want one plain sentence", rollout.Message)
	}
	t.Logf("Argo CD shows: %s: %s", rollout.Status, rollout.Message)
	gomega.NewWithT(t).Eventually(s.fleet.Digests).WithTimeout(testkit.Timeout).Should(gomega.HaveLen(1), "devices come home to one bundle")
}

// syncs is how often Argo CD is made to sync what is refused.
const syncs = 100

// staysBack: nothing that Argo CD does brings the refused bundle back to devices: syncs, hard refreshes, self-heal of a bundleRef that
// somebody changed by hand, and a Rollout that is made anew because somebody deleted it.
func (s *story) staysBack(t *testing.T, good, bad *otav1alpha1.Bundle) {
	defer s.in(t)()
	s.seen.since()
	before := s.fleet.Offered()[string(bad.Spec.Digest)]
	for i := range syncs {
		switch {
		case i%10 == 3:
			s.refresh("shop", "hard")
		case i%25 == 7:
			s.patch(s.rollout("shop-2"), fmt.Sprintf(`{"spec":{"bundleRef":{"name":%q}}}`, good.Name))
			s.healed(bad.Name)
		case i == 50:
			if err := s.Client.Delete(t.Context(), s.rollout("shop-2")); err != nil {
				t.Fatal(err)
			}
			s.healed(bad.Name)
		}
		s.syncNow("shop", fmt.Sprint("sync-", i))
	}
	s.comes("shop", "Synced", argo.Degraded, "Bundle shop-2 is refused on Channel production: ")
	_, _, served := s.seen.since()
	if slices.Contains(served, string(bad.Spec.Digest)) {
		t.Errorf("the Channel offered the refused digest again: %v", served)
	}
	if after := s.fleet.Offered()[string(bad.Spec.Digest)]; after != before {
		t.Errorf("devices were offered the refused digest %d times more", after-before)
	}
	for i := range 1000 {
		if answer := s.fleet.Check(10_000+i, ""); answer.Action == "update" && answer.Bundle.Digest != string(good.Spec.Digest) {
			t.Fatalf("a new device is told %+v", answer)
		}
	}
	ch := s.Channel("production")
	testkit.Eventually(t, s.Client, ch, testkit.HaveCondition("Ready", metav1.ConditionTrue, otav1alpha1.PublishedReason))
	if len(ch.Status.Refused) != 1 || ch.Status.Refused[0].Digest != bad.Spec.Digest || ch.Status.Stable.Digest != good.Spec.Digest {
		t.Errorf("refused %+v, stable %+v", ch.Status.Refused, ch.Status.Stable)
	}
}

// healed waits until Argo CD has put back what Git says, and the manager has looked at it.
func (s *story) healed(bundle string) {
	s.t.Helper()
	r := s.rollout(bundle)
	testkit.Eventually(s.t, s.Client, r, testkit.BeObserved(), testkit.HaveCondition("Stalled", metav1.ConditionTrue, ""),
		gomega.WithTransform(func(r *otav1alpha1.Rollout) string { return r.Spec.BundleRef.Name }, gomega.Equal(bundle)))
}

func (s *story) reverts(t *testing.T, good *otav1alpha1.Bundle) {
	defer s.in(t)()
	s.revert()
	s.refresh("shop", "normal")
	s.comes("shop", "Synced", argo.Healthy, "Bundle shop-1 is stable on Channel production")
	if answer := s.fleet.Check(20_000, ""); answer.Action != "update" || answer.Bundle.Digest != string(good.Spec.Digest) {
		t.Errorf("after git revert a new device is told %+v", answer)
	}
}

// prunes: a Rollout that leaves Git takes its candidate with it, and leaves what is stable.
func (s *story) prunes(t *testing.T) {
	defer s.in(t)()
	next := s.bundle(3)
	s.commit("Release 1.3.0", map[string]any{"shop/shop-3.yaml": next, "shop/rollout.yaml": s.rollout("shop-3")})
	s.refresh("shop", "normal")
	s.comes("shop", "Synced", argo.Suspended, "Bundle shop-3 is paused on Channel production: ")
	s.commit("Remove the Rollout", map[string]any{"shop/rollout.yaml": nil})
	s.refresh("shop", "normal")
	s.comes("shop", "Synced", argo.Healthy, "")
	ch := s.Channel("production")
	testkit.Eventually(t, s.Client, ch, gomega.WithTransform(func(ch *otav1alpha1.Channel) bool { return ch.Status.Candidate == nil }, gomega.BeTrue()))
	if ch.Status.Stable == nil || ch.Status.Stable.Version != "1.1.0" {
		t.Errorf("stable is %+v after the Rollout was pruned, want 1.1.0", ch.Status.Stable)
	}
	err := s.Client.Get(t.Context(), client.ObjectKeyFromObject(s.rollout("")), &otav1alpha1.Rollout{})
	if client.IgnoreNotFound(err) != nil || err == nil {
		t.Errorf("the pruned Rollout: %v, want it gone", err)
	}
}

// waves: what comes after a Rollout in a sync waits until it has completed, unless the Rollout asks for no more than its first step; a
// sync does not wait for its last wave.
func (s *story) waves(t *testing.T) {
	defer s.in(t)()
	for _, tc := range []struct {
		name, wave, firstStep string
		waits                 bool
	}{
		{"early", "0", "", true},
		{"first-step", "0", "FirstStep", false},
		{"last", "2", "", false},
	} {
		ro := s.Rollout(tc.name, tc.name, "shop-1", testkit.SetWeight(10), testkit.Pause(), testkit.SetWeight(100))
		ro.Annotations = map[string]string{"argocd.argoproj.io/sync-wave": tc.wave}
		if tc.firstStep != "" {
			ro.Annotations[argo.FirstStep] = tc.firstStep
		}
		ch := s.Channel(tc.name)
		ch.Annotations = map[string]string{"argocd.argoproj.io/sync-wave": "-1"}
		after := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: tc.name + "-after", Annotations: map[string]string{"argocd.argoproj.io/sync-wave": "1"}}}
		s.commit(tc.name, map[string]any{tc.name + "/channel.yaml": ch, tc.name + "/rollout.yaml": ro, tc.name + "/after.yaml": after})
		s.sync(tc.name, false)
		s.begin(tc.name, "go")
		s.wave(tc.name, ro, after, tc.waits)
	}
}

func (s *story) wave(name string, ro *otav1alpha1.Rollout, after *corev1.ConfigMap, waits bool) {
	s.t.Helper()
	phase := func() string {
		app, err := s.application(s.t.Context(), name)
		if err != nil || app.Status.OperationState == nil {
			return fmt.Sprint(err)
		}
		return app.Status.OperationState.Phase
	}
	exists := func() bool {
		return s.Client.Get(s.t.Context(), client.ObjectKeyFromObject(after), after.DeepCopy()) == nil
	}
	g := gomega.NewWithT(s.t)
	if waits {
		testkit.Eventually(s.t, s.Client, ro, testkit.HaveCondition("Paused", metav1.ConditionTrue, otav1alpha1.PausedReason))
		g.Consistently(func() bool { return phase() == "Running" && !exists() }).WithTimeout(2*testkit.Interval*10).WithPolling(testkit.Interval).
			Should(gomega.BeTrue(), "the sync waits for the Rollout")
		s.promoteByAction(ro)
	}
	g.Eventually(phase).WithTimeout(testkit.Timeout).WithPolling(testkit.Interval).Should(gomega.Equal("Succeeded"), name)
	g.Eventually(exists).WithTimeout(testkit.Timeout).WithPolling(testkit.Interval).Should(gomega.BeTrue(), name)
	if err := s.Client.Get(s.t.Context(), client.ObjectKeyFromObject(ro), ro); err != nil {
		s.t.Fatal(err)
	}
	state := ro.Status.Release.State
	if completed := state == otav1alpha1.ReleaseCompleted; completed != waits {
		s.t.Errorf("%s: the sync ended with the release %s, want it to wait for the end: %t", name, state, waits)
	}
}

// promoteByAction does what argocd-server does when a person presses the button.
func (s *story) promoteByAction(ro *otav1alpha1.Rollout) {
	s.t.Helper()
	obj, err := argo.FromObject(ro)
	if err != nil {
		s.t.Fatal(err)
	}
	menu, err := argo.ActionsOf(obj)
	if err != nil || menu["promote"].Disabled {
		s.t.Fatalf("a paused Rollout offers %+v (%v), want promote", menu, err)
	}
	annotations, err := argo.Run(obj, "promote", map[string]string{"reason": "looks good"})
	if err != nil {
		s.t.Fatal(err)
	}
	ro.Annotations = annotations
	if err := s.Client.Update(s.t.Context(), ro); err != nil {
		s.t.Fatal(err)
	}
}
