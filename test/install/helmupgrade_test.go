// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// TestHelm_upgrades has Helm update a chart whose definition of Rollouts lacks a field that this one has, in the middle of two releases.
// Objects and what was decided stay, the field is there afterwards, and the releases go on to their end.
func TestHelm_upgrades(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "shop")
	allow := []string{"--set", "manager.allowAddresses={127.0.0.0/8}"}
	gomega.NewWithT(t).Eventually(func() error { // docs/install.md: policies know the definitions some seconds later
		args := append([]string{"upgrade", "--install", "windlass", chartWithout(t, "leaseDuration"), "--create-namespace",
			"--namespace", namespace, "--kubeconfig", c.plane.Kubeconfig}, allow...)
		_, complaints, err := run(t, "helm4", args...)
		if err != nil {
			t.Log(complaints)
		}
		return err
	}).WithTimeout(testkit.Timeout).WithPolling(testkit.Interval).Should(gomega.Succeed())
	c.secret("windlass-gateway-token", map[string]string{"token": "for-tests-only-and-long-enough"})
	deployment := find(t, option{values: []string{"manager.allowAddresses={127.0.0.0/8}"}}.helm(t, "helm4"), "Deployment", "windlass-manager")
	manager := c.run(program(t, "manager"), deployment)
	c.stock()
	timed, paused := c.underWay()
	before, uid := c.decided(timed, paused), timed.UID
	c.patch(paused, `{"leaseDuration":"30m"}`)
	if paused.Spec.LeaseDuration != "" {
		t.Fatal("the earlier definition has the field already, so that nothing is updated")
	}
	manager.Stop()

	c.helm("helm4", append([]string{"upgrade", "windlass", chart()}, allow...)...)
	gomega.NewWithT(t).Eventually(func() otav1alpha1.Duration {
		c.patch(paused, `{"leaseDuration":"30m"}`)
		return paused.Spec.LeaseDuration
	}).WithTimeout(testkit.Timeout).WithPolling(testkit.Interval).ShouldNot(gomega.BeZero())
	c.run(program(t, "manager"), deployment)
	testkit.Eventually(t, c.Client, paused, testkit.BeObserved())
	if diff := cmp.Diff(before, c.decided(timed, paused)); diff != "" || timed.UID != uid {
		t.Errorf("the upgrade changed what was decided (-before +after):\n%s", diff)
	}
	c.command(timed, "promote-full")
	c.command(paused, "promote")
	for _, rollout := range []client.Object{timed, paused} {
		testkit.Eventually(t, c.Client, rollout, testkit.HaveCondition(otav1alpha1.ReadyCondition, metav1.ConditionTrue, otav1alpha1.CompletedReason))
	}
}

// chartWithout is a copy of the chart, as an earlier version whose Rollouts do not have a field of spec.
func chartWithout(t *testing.T, field string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "windlass")
	if err := os.CopyFS(dir, os.DirFS(chart())); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "files", "crds", "customresourcedefinition.rollouts.ota.windlass.dev.yaml")
	crd := load(t, path)[0]
	versions, _, err := unstructured.NestedSlice(crd.Object, "spec", "versions")
	if err != nil {
		t.Fatal(err)
	}
	at := []string{"schema", "openAPIV3Schema", "properties", "spec", "properties", field}
	if _, found, err := unstructured.NestedMap(versions[0].(map[string]any), at...); err != nil || !found {
		t.Fatalf("Rollouts have no spec.%s: %v", field, err)
	}
	unstructured.RemoveNestedField(versions[0].(map[string]any), at...)
	if err := unstructured.SetNestedSlice(crd.Object, versions, "spec", "versions"); err != nil {
		t.Fatal(err)
	}
	raw, err := yaml.Marshal(crd.Object)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}
