// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

func TestMain(m *testing.M) { Main(m) }

func condition(kind string, status metav1.ConditionStatus, change ...func(*metav1.Condition)) metav1.Condition {
	c := metav1.Condition{Type: kind, Status: status, Reason: "Succeeded", Message: "all is well", ObservedGeneration: 3, LastTransitionTime: metav1.Now()}
	for _, f := range change {
		f(&c)
	}
	return c
}

func TestStatusProblems(t *testing.T) {
	ready := condition("Ready", metav1.ConditionTrue)
	notReady := condition("Ready", metav1.ConditionFalse)
	tests := map[string]struct {
		conds    []metav1.Condition
		observed int64
		want     string // part of the only problem; empty: none
	}{
		"ready":               {[]metav1.Condition{ready}, 3, ""},
		"stalled":             {[]metav1.Condition{notReady, condition("Stalled", metav1.ConditionTrue)}, 3, ""},
		"retrying, behind":    {[]metav1.Condition{notReady, condition("Reconciling", metav1.ConditionTrue)}, 2, ""},
		"ready missing":       {[]metav1.Condition{condition("Fetched", metav1.ConditionTrue)}, 3, "Ready is missing"},
		"neither":             {[]metav1.Condition{notReady}, 3, "neither Reconciling nor Stalled"},
		"ready while stalled": {[]metav1.Condition{ready, condition("Stalled", metav1.ConditionTrue)}, 3, "while Stalled is there"},
		"both": {[]metav1.Condition{notReady, condition("Stalled", metav1.ConditionTrue), condition("Reconciling", metav1.ConditionTrue)}, 3,
			"there together"},
		"stalled false":   {[]metav1.Condition{notReady, condition("Stalled", metav1.ConditionFalse)}, 3, "only while True"},
		"ahead":           {[]metav1.Condition{ready}, 4, "ahead of generation"},
		"waits for ever":  {[]metav1.Condition{ready}, 2, "wait for ever"},
		"condition ahead": {[]metav1.Condition{ready, condition("Fetched", metav1.ConditionTrue, func(c *metav1.Condition) { c.ObservedGeneration = 4 })}, 3, "Fetched has observedGeneration 4"},
		"no generation":   {[]metav1.Condition{ready, condition("Fetched", metav1.ConditionTrue, func(c *metav1.Condition) { c.ObservedGeneration = 0 })}, 3, "no observedGeneration"},
		"twice":           {[]metav1.Condition{ready, ready}, 3, "twice"},
		"reason":          {[]metav1.Condition{condition("Ready", metav1.ConditionTrue, func(c *metav1.Condition) { c.Reason = "all fine" })}, 3, "UpperCamelCase"},
		"no time":         {[]metav1.Condition{condition("Ready", metav1.ConditionTrue, func(c *metav1.Condition) { c.LastTransitionTime = metav1.Time{} })}, 3, "lastTransitionTime"},
		"clock in message": {[]metav1.Condition{condition("Ready", metav1.ConditionTrue, func(c *metav1.Condition) {
			c.Message = "failed at 2026-01-02T03:04:05Z"
		})}, 3, "has a time in its message"},
		"signed URL": {[]metav1.Condition{condition("Ready", metav1.ConditionTrue, func(c *metav1.Condition) {
			c.Message = "GET http://s3/x?X-Amz-Signature=abc: 403"
		})}, 3, "signed URL"},
		"lines": {[]metav1.Condition{condition("Ready", metav1.ConditionTrue, func(c *metav1.Condition) { c.Message = "a\nb" })}, 3, "several lines"},
		"long":  {[]metav1.Condition{condition("Ready", metav1.ConditionTrue, func(c *metav1.Condition) { c.Message = strings.Repeat("x", 1025) })}, 3, "1025 bytes"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			obj := &otav1alpha1.Bundle{ObjectMeta: metav1.ObjectMeta{Name: "b", Generation: 3}}
			obj.Status.Conditions, obj.Status.ObservedGeneration = tc.conds, tc.observed
			got := StatusProblems(obj)
			if tc.want == "" && len(got) > 0 {
				t.Fatalf("got problems %q, want none", got)
			}
			if tc.want != "" && (len(got) != 1 || !strings.Contains(got[0], tc.want)) {
				t.Fatalf("got problems %q, want one with %q", got, tc.want)
			}
		})
	}
}

// Nothing that was not looked at yet is done: the default of the API server says so, since kstatus takes no status for Current.
func TestKStatus_nothingYet(t *testing.T) {
	env := Start(t)
	for name, obj := range map[string]client.Object{
		"Repository": env.Repository(&Bucket{Name: "updates", Endpoint: "http://127.0.0.1:1"}, NewAuthor(t, "ci")), "Channel": env.Channel("production"),
		"Bundle": env.Bundle("shop-1", "1.0.0", NewSite(t).Publish(t, "/a.zip", []byte("a"), NewAuthor(t, "ci"))), "Rollout": env.Rollout("shop", "production", "shop-1"),
	} {
		env.Create(t, obj)
		if err := env.Client.Get(t.Context(), client.ObjectKeyFromObject(obj), obj); err != nil {
			t.Fatal(err)
		}
		if got := KStatus(obj); got != InProgress {
			t.Errorf("%s: kstatus says %s of a new object, want %s", name, got, InProgress)
		}
	}
}

func TestMatchers(t *testing.T) {
	g := gomega.NewWithT(t)
	obj := &otav1alpha1.Bundle{ObjectMeta: metav1.ObjectMeta{Name: "b", Generation: 3}}
	obj.Status.Conditions = []metav1.Condition{condition("Ready", metav1.ConditionTrue)}
	g.Expect(obj).To(HaveCondition("Ready", metav1.ConditionTrue, ""))
	g.Expect(obj).To(HaveCondition("Ready", metav1.ConditionTrue, "Succeeded"))
	g.Expect(obj).NotTo(HaveCondition("Ready", metav1.ConditionTrue, "Progressing"))
	g.Expect(obj).NotTo(HaveCondition("Ready", metav1.ConditionFalse, ""))
	g.Expect(obj).NotTo(HaveCondition("Stalled", metav1.ConditionTrue, ""))
	g.Expect(obj).To(LackCondition("Stalled"))
	g.Expect(obj).To(HaveMessage("Ready", "all", "well"))
	g.Expect(obj).NotTo(HaveMessage("Ready", "all", "bad"))
	g.Expect(obj).NotTo(BeObserved())
	message := HaveCondition("Ready", metav1.ConditionFalse, "InUse").FailureMessage(obj)
	for _, part := range []string{"Ready=False, reason=InUse", "all is well", "Bundle b"} {
		g.Expect(message).To(gomega.ContainSubstring(part))
	}
}

// TestEnvironment holds against the real API server: a namespace for each test, builders that the schema accepts, waiting, and
// a cleanup that finalizers do not stop.
func TestEnvironment(t *testing.T) {
	store := ObjectStore(t)
	if other := ObjectStore(t); store.Endpoint != other.Endpoint || store.Name == other.Name {
		t.Errorf("two calls gave the buckets %+v and %+v, want two on one server", store, other)
	}
	author := NewAuthor(t, "ci")
	site := NewSite(t)
	bundle := func(env *Env) *otav1alpha1.Bundle {
		return env.Bundle("shop-1-0-0", "1.0.0", site.Publish(t, "/1.zip", Zip(t, map[string]string{"index.html": "hi"}), author))
	}
	var first *Env
	t.Run("objects", func(t *testing.T) {
		first = Start(t)
		b := bundle(first)
		b.Finalizers = []string{"ota.windlass.dev/test"}
		first.Create(t, first.Credentials(store), first.Repository(store, author), first.Channel("production"), b,
			first.Rollout("shop", "production", b.Name, SetWeight(1), PauseFor("2s", 10), SetWeight("2.5"), Pause()))
		apimeta.SetStatusCondition(&b.Status.Conditions, condition("Ready", metav1.ConditionTrue, func(c *metav1.Condition) { c.ObservedGeneration = 1 }))
		b.Status.ObservedGeneration = 1
		if err := first.Client.Status().Update(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		Eventually(t, first.Client, b, HaveCondition("Ready", metav1.ConditionTrue, "Succeeded"), BeObserved())
		CheckStatus(t, b)
		StandStill(t, first.Client, b)
	})
	second := Start(t)
	if first.Namespace == second.Namespace {
		t.Errorf("two tests got the namespace %s", first.Namespace)
	}
	var left otav1alpha1.BundleList
	if err := second.Client.List(t.Context(), &left, client.InNamespace(first.Namespace)); err != nil {
		t.Fatal(err)
	}
	if len(left.Items) > 0 {
		t.Errorf("the first test left %d Bundles behind", len(left.Items))
	}
}

// recorder stands in for a test, to see that a check fails.
type recorder struct {
	testing.TB
	failed string
}

func (r *recorder) Helper() {}
func (r *recorder) Fatalf(format string, _ ...any) {
	r.failed = format
	panic(r)
}

// TestStandStill_restless sees that StandStill tells a controller that never stops writing.
func TestStandStill_restless(t *testing.T) {
	env := Start(t)
	channel := env.Channel("production")
	env.Create(t, channel)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for tick := time.NewTicker(500 * time.Millisecond); ; {
			select {
			case now := <-tick.C:
				patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":{"t":"`+now.String()+`"}}}`))
				_ = env.Client.Patch(ctx, env.Channel("production"), patch) // refused only when the test is over
			case <-ctx.Done():
				return
			}
		}
	}()
	defer func() { stop(); <-done }()
	r := &recorder{TB: t}
	func() {
		defer func() {
			if v := recover(); v != nil && v != any(r) {
				panic(v)
			}
		}()
		standStill(r, env.Client, 2*standStillFor, []client.Object{channel})
	}()
	if !strings.Contains(r.failed, "again and again") {
		t.Errorf("StandStill said %q, want it to fail", r.failed)
	}
}
