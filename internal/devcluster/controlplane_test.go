// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package devcluster

import (
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// TestControlPlane uses a real API server by its kubeconfig file, kills it, and finds everything again.
func TestControlPlane(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	c, err := StartControlPlane(t.Context(), t.TempDir(), filepath.Join(root, "config", "crd", "bases"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	secrets := client.CoreV1().Secrets("default")
	_, err = secrets.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "kept"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("create a Secret: %v", err)
	}
	kinds, err := client.Discovery().ServerResourcesForGroupVersion("ota.windlass.dev/v1alpha1")
	if err != nil || len(kinds.APIResources) < 4 {
		t.Errorf("the API server has %v of our group (%v), want at least four kinds", kinds, err)
	}

	c.APIServer.Kill()
	if _, err := secrets.Get(t.Context(), "kept", metav1.GetOptions{}); err == nil {
		t.Error("a killed API server still answers")
	}
	if err := c.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := secrets.Get(t.Context(), "kept", metav1.GetOptions{}); err != nil {
		t.Errorf("read the Secret after the API server's end: %v", err)
	}
}
