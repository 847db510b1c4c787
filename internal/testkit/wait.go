// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	"github.com/onsi/gomega/format"
	"github.com/onsi/gomega/types"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// Eventually reads an object again and again until every matcher holds, and leaves what it read in obj. It fails the test after
// Timeout with what did not hold and the whole status.
func Eventually[T client.Object](tb testing.TB, c client.Client, obj T, matchers ...types.GomegaMatcher) {
	tb.Helper()
	key := client.ObjectKeyFromObject(obj)
	gomega.NewWithT(tb).Eventually(func(g gomega.Gomega) {
		g.Expect(c.Get(tb.Context(), key, obj)).To(gomega.Succeed())
		for _, m := range matchers {
			g.Expect(obj).To(m)
		}
	}).WithTimeout(Timeout).WithPolling(Interval).WithContext(tb.Context()).Should(gomega.Succeed())
}

// HaveCondition holds for an object that has a condition with a status and, unless reason is empty, a reason.
func HaveCondition(kind string, status metav1.ConditionStatus, reason string) types.GomegaMatcher {
	want := fmt.Sprintf("have condition %s=%s", kind, status)
	if reason != "" {
		want += ", reason=" + reason
	}
	return &conditionMatcher{want: want, match: func(conds []metav1.Condition) bool {
		c := apimeta.FindStatusCondition(conds, kind)
		return c != nil && c.Status == status && (reason == "" || c.Reason == reason)
	}}
}

// LackCondition holds for an object without a condition.
func LackCondition(kind string) types.GomegaMatcher {
	return &conditionMatcher{want: "lack condition " + kind, match: func(conds []metav1.Condition) bool {
		return apimeta.FindStatusCondition(conds, kind) == nil
	}}
}

// HaveMessage holds for an object that has a condition whose message contains every part.
func HaveMessage(kind string, parts ...string) types.GomegaMatcher {
	want := fmt.Sprintf("have condition %s with %q in its message", kind, parts)
	return &conditionMatcher{want: want, match: func(conds []metav1.Condition) bool {
		c := apimeta.FindStatusCondition(conds, kind)
		if c == nil {
			return false
		}
		for _, p := range parts {
			if !strings.Contains(c.Message, p) {
				return false
			}
		}
		return true
	}}
}

// BeObserved holds for an object whose status describes its newest generation.
func BeObserved() types.GomegaMatcher {
	return gomega.WithTransform(func(obj client.Object) (bool, error) {
		_, observed, err := statusOf(obj)
		return observed == obj.GetGeneration(), err
	}, gomega.BeTrue())
}

type conditionMatcher struct {
	want  string
	match func([]metav1.Condition) bool
}

func (m *conditionMatcher) Match(actual any) (bool, error) {
	obj, ok := actual.(client.Object)
	if !ok {
		return false, fmt.Errorf("want a Kubernetes object, got %T", actual)
	}
	conds, _, err := statusOf(obj)
	return err == nil && m.match(conds), err
}

func (m *conditionMatcher) FailureMessage(actual any) string { return m.describe(actual, "to ") }

func (m *conditionMatcher) NegatedFailureMessage(actual any) string {
	return m.describe(actual, "not to ")
}

func (m *conditionMatcher) describe(actual any, to string) string {
	return fmt.Sprintf("Expected %s\n%s\nto be found: %s%s", describe(actual), format.Indent, to, m.want)
}

// describe gives an object's name and status as YAML, which is what a person needs in order to see why it is not as wanted.
func describe(actual any) string {
	obj, ok := actual.(client.Object)
	if !ok {
		return fmt.Sprint(actual)
	}
	raw, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		return err.Error()
	}
	text, err := yaml.Marshal(map[string]any{"generation": obj.GetGeneration(), "status": raw["status"]})
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%T %s\n%s", obj, obj.GetName(), text)
}

const (
	// standStillFor is how long nothing may write before objects count as at rest: longer than the controllers' short requeues.
	standStillFor = 2 * time.Second
	// settleWithin is how long the last writes of a story may take before that.
	settleWithin = 15 * time.Second
)

// StandStill fails the test unless all objects come to rest: for 2 s nobody writes any of them. A controller that writes the
// same state again and again is caught by it, and so are two controllers that undo each other's writes. It leaves what it read in objs.
func StandStill(tb testing.TB, c client.Client, objs ...client.Object) {
	tb.Helper()
	standStill(tb, c, settleWithin, objs)
}

func standStill(tb testing.TB, c client.Client, within time.Duration, objs []client.Object) {
	tb.Helper()
	limit := time.NewTimer(within)
	defer limit.Stop()
	tick := time.NewTicker(Interval)
	defer tick.Stop()
	seen := make([]string, len(objs))
	var moved string
	rest := time.Now()
	for time.Since(rest) < standStillFor {
		for i, obj := range objs {
			before := obj.DeepCopyObject()
			if err := c.Get(tb.Context(), client.ObjectKeyFromObject(obj), obj); err != nil {
				tb.Fatalf("stand still: %v", err)
			}
			if v := obj.GetResourceVersion(); v != seen[i] {
				if seen[i] != "" {
					moved = fmt.Sprintf("%s\nbefore:\n%s", describe(obj), describe(before))
				}
				seen[i], rest = v, time.Now()
			}
		}
		select {
		case <-tick.C:
		case <-limit.C:
			tb.Fatalf("objects are written again and again, want them to stand still for %s; the last one written:\n%s", standStillFor, moved)
		}
	}
}
