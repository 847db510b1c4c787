// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/testkit"
	"github.com/windlass-dev/windlass/internal/testkit/argo"
)

// application is what Argo CD's Application says.
type application struct {
	Status struct {
		Health struct{ Status string }
		Sync   struct{ Status, Revision string }
		// Resources have the health of each object.
		Resources []struct {
			Kind, Name, Status string
			Health             *argo.Health
		}
		OperationState *struct {
			Phase, Message string
			StartedAt      string
			Operation      struct {
				Info []struct{ Name, Value string }
			}
		}
	}
}

// sync asks Argo CD to follow a folder of the git repository, by itself unless it is told when.
func (a *argoCD) sync(name string, auto bool) {
	a.t.Helper()
	spec := map[string]any{
		"project": "default", "source": map[string]any{"repoURL": a.git, "path": name, "targetRevision": "main"},
		"destination": map[string]any{"server": "https://kubernetes.default.svc", "namespace": a.Namespace},
	}
	if auto {
		spec["syncPolicy"] = map[string]any{"automated": map[string]any{"prune": true, "selfHeal": true}}
	}
	app := appRef(name)
	app.Object["spec"] = spec
	a.create(app)
	a.t.Cleanup(func() {
		if err := a.Client.Delete(context.WithoutCancel(a.t.Context()), appRef(name)); err != nil {
			a.t.Error(err)
		}
	})
}

func appRef(name string) *unstructured.Unstructured {
	app := &unstructured.Unstructured{}
	app.SetAPIVersion("argoproj.io/v1alpha1")
	app.SetKind("Application")
	app.SetNamespace(argoNamespace)
	app.SetName(name)
	return app
}

func (a *argoCD) application(ctx context.Context, name string) (application, error) {
	obj, out := appRef(name), application{}
	if err := a.Client.Get(ctx, client.ObjectKeyFromObject(obj), obj); err != nil {
		return out, err
	}
	raw, err := json.Marshal(obj.Object)
	if err != nil {
		return out, err
	}
	return out, json.Unmarshal(raw, &out)
}

// refresh tells Argo CD to look at Git: normal, or hard without its cache of manifests.
func (a *argoCD) refresh(name, how string) {
	a.t.Helper()
	a.patch(appRef(name), fmt.Sprintf(`{"metadata":{"annotations":{"argocd.argoproj.io/refresh":%q}}}`, how))
}

// syncNow presses the button, and waits until Argo CD has done so.
func (a *argoCD) syncNow(name, id string) {
	a.t.Helper()
	a.begin(name, id)
	gomega.NewWithT(a.t).Eventually(func(g gomega.Gomega) {
		app, err := a.application(a.t.Context(), name)
		g.Expect(err).NotTo(gomega.HaveOccurred())
		op := app.Status.OperationState
		g.Expect(op).NotTo(gomega.BeNil())
		g.Expect(op.Operation.Info).NotTo(gomega.BeEmpty())
		g.Expect(op.Operation.Info[0].Value).To(gomega.Equal(id))
		g.Expect(op.Phase).To(gomega.Equal("Succeeded"), op.Message)
	}).WithTimeout(testkit.Timeout).WithPolling(testkit.Interval / 2).Should(gomega.Succeed())
}

func (a *argoCD) begin(name, id string) {
	a.t.Helper()
	a.patch(appRef(name), fmt.Sprintf(`{"operation":{"info":[{"name":"id","value":%q}],"initiatedBy":{"username":"jane"},"sync":{"revision":%q}}}`, id, a.head()))
}

func (a *argoCD) patch(obj client.Object, patch string) {
	a.t.Helper()
	if err := a.Client.Patch(a.t.Context(), obj, client.RawPatch("application/merge-patch+json", []byte(patch))); err != nil {
		a.t.Fatal(err)
	}
}

// comes waits until the Application is at the last commit and has a health, and gives what it says of the Rollout, which begins as wanted.
func (a *argoCD) comes(name, sync, health, begins string) (rollout argo.Health) {
	a.t.Helper()
	gomega.NewWithT(a.t).Eventually(func(g gomega.Gomega) {
		app, err := a.application(a.t.Context(), name)
		g.Expect(err).NotTo(gomega.HaveOccurred())
		g.Expect(app.Status.Sync.Revision).To(gomega.Equal(a.head()))
		g.Expect(app.Status.Sync.Status).To(gomega.Equal(sync))
		g.Expect(app.Status.Health.Status).To(gomega.Equal(health), "%+v", app.Status.Resources)
		rollout = argo.Health{}
		for _, r := range app.Status.Resources {
			if r.Kind == "Rollout" && r.Health != nil {
				rollout = *r.Health
			}
		}
		if !strings.HasPrefix(rollout.Message, begins) {
			a.refresh(name, "normal") // Argo CD looks again when a health changes, not its sentence
		}
		g.Expect(rollout.Message).To(gomega.HavePrefix(begins))
	}).WithTimeout(2 * testkit.Timeout).WithPolling(testkit.Interval).Should(gomega.Succeed())
	return rollout
}

// observer sees every change of the Application's health, and of the Channel: what Argo CD would say of it, and which digests it has.
type observer struct {
	mu       sync.Mutex
	health   []string
	channel  []string
	served   []string // since the last reset
	problems []string
}

// observe watches until the test ends.
func (a *argoCD) observe(app string) *observer {
	a.t.Helper()
	o := &observer{}
	watcher, err := client.NewWithWatch(a.Config, client.Options{Scheme: a.Scheme})
	if err != nil {
		a.t.Fatal(err)
	}
	apps := &unstructured.UnstructuredList{}
	apps.SetAPIVersion("argoproj.io/v1alpha1")
	apps.SetKind("ApplicationList")
	o.follow(a, watcher, apps, client.InNamespace(argoNamespace), func(obj client.Object) {
		if raw, ok := obj.(*unstructured.Unstructured); ok && obj.GetName() == app {
			health, _, _ := unstructured.NestedString(raw.Object, "status", "health", "status")
			o.health = appendNew(o.health, health)
		}
	})
	o.follow(a, watcher, &otav1alpha1.ChannelList{}, client.InNamespace(a.Namespace), func(obj client.Object) {
		if ch, ok := obj.(*otav1alpha1.Channel); ok && ch.Name == "production" {
			o.channelIs(ch)
		}
	})
	return o
}

func (o *observer) channelIs(ch *otav1alpha1.Channel) {
	obj, err := argo.FromObject(ch)
	if err != nil {
		o.problems = append(o.problems, err.Error())
		return
	}
	health, err := argo.HealthOf(obj)
	if err != nil {
		o.problems = append(o.problems, err.Error())
	}
	o.channel = appendNew(o.channel, health.Status)
	if s := ch.Status.Stable; s != nil {
		o.served = appendNew(o.served, string(s.Digest))
	}
	if c := ch.Status.Candidate; c != nil {
		o.served = appendNew(o.served, string(c.Digest))
	}
}

func (o *observer) follow(a *argoCD, c client.WithWatch, list client.ObjectList, in client.InNamespace, see func(client.Object)) {
	a.t.Helper()
	w, err := c.Watch(a.t.Context(), list, in)
	if err != nil {
		a.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for event := range w.ResultChan() {
			if obj, ok := event.Object.(client.Object); ok {
				o.mu.Lock()
				see(obj)
				o.mu.Unlock()
			}
		}
	}()
	a.t.Cleanup(func() { w.Stop(); <-done })
}

func appendNew(list []string, value string) []string {
	if value == "" || len(list) > 0 && list[len(list)-1] == value {
		return list
	}
	return append(list, value)
}

// since gives what was seen, and forgets it.
func (o *observer) since() (health, channel, served []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	health, channel, served = o.health, o.channel, o.served
	o.health, o.channel, o.served = nil, nil, nil
	return health, channel, served
}

// inOrder tells whether all of want are in got, in this order, whatever is between.
func inOrder(got []string, want ...string) bool {
	for _, g := range got {
		if len(want) > 0 && g == want[0] {
			want = want[1:]
		}
	}
	return len(want) == 0
}
