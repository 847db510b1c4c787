// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestHelm_takesOver takes what kustomize installed over into Helm, updates it, and uninstalls: resources, their definitions and the ledger
// outlive all of it.
func TestHelm_takesOver(t *testing.T) {
	t.Parallel()
	for version, more := range map[string][]string{"helm3": nil, "helm4": {"--force-conflicts"}} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, "shop")
			c.install(plain.kustomize(t))
			channel := c.Channel("production")
			c.Create(t, channel)

			c.helm(version, append([]string{"install", "windlass", chart(), "--take-ownership"}, more...)...)
			c.expectReplicas(1)
			c.helm(version, append([]string{"upgrade", "windlass", chart(), "--set", "manager.replicas=2"}, more...)...)
			c.expectReplicas(2)
			c.helm(version, "uninstall", "windlass")

			deployment := &appsv1.Deployment{}
			deployment.Namespace, deployment.Name = namespace, "windlass-manager"
			if err := c.Client.Get(t.Context(), client.ObjectKeyFromObject(deployment), deployment); client.IgnoreNotFound(err) != nil || err == nil && deployment.DeletionTimestamp == nil {
				t.Errorf("the manager is still installed: %v", err)
			}
			uid := channel.UID
			if err := c.Client.Get(t.Context(), client.ObjectKeyFromObject(channel), channel); err != nil || channel.UID != uid || channel.DeletionTimestamp != nil {
				t.Errorf("uninstalling removed a Channel: %v", err)
			}
			ledger := &corev1.PersistentVolumeClaim{}
			if err := c.Client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "windlass-gateway-ledger"}, ledger); err != nil || ledger.DeletionTimestamp != nil {
				t.Errorf("uninstalling removed the ledger: %v", err)
			}
		})
	}
}

// helm runs it against the cluster. It does not wait for pods: nothing here makes any.
func (c *cluster) helm(version string, args ...string) {
	c.Helper()
	out, complaints, err := run(c.T, version, append(args, "--namespace", namespace, "--kubeconfig", c.plane.Kubeconfig)...)
	if err != nil {
		c.Fatalf("%s %v: %v\n%s%s", version, args, err, out, complaints)
	}
}

func (c *cluster) expectReplicas(want int32) {
	c.Helper()
	deployment := &appsv1.Deployment{}
	if err := c.Client.Get(c.Context(), client.ObjectKey{Namespace: namespace, Name: "windlass-manager"}, deployment); err != nil {
		c.Fatal(err)
	}
	if got := *deployment.Spec.Replicas; got != want {
		c.Errorf("the manager has %d replicas, want %d", got, want)
	}
}
