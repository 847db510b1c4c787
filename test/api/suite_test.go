// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package api holds the schema of the resources against a real API server: what is accepted, what is refused and with which
// words, how the objects print and how they are found.
package api

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// startTimeout is generous: the first start after a build reads two large binaries from disk.
const startTimeout = 2 * time.Minute

const root = "../.."

var (
	config *rest.Config
	// strict refuses unknown fields, as kubectl and GitOps tools ask the server to.
	strict client.Client
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "test/api:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	assets, err := assetsFolder()
	if err != nil {
		return 1, err
	}
	env := &envtest.Environment{
		BinaryAssetsDirectory:    assets,
		CRDDirectoryPaths:        []string{crdFolder()},
		ErrorIfCRDPathMissing:    true,
		ControlPlaneStartTimeout: startTimeout,
		ControlPlaneStopTimeout:  startTimeout,
	}
	if config, err = env.Start(); err != nil {
		return 1, fmt.Errorf("start the API server: %w", err)
	}
	defer func() { err = stop(env, err) }()
	if err := connect(); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

func stop(env *envtest.Environment, err error) error {
	if stopErr := env.Stop(); stopErr != nil && err == nil {
		return fmt.Errorf("stop the API server: %w", stopErr)
	}
	return err
}

// connect makes the client of the tests and a Namespace's worth of nothing else: all cases are dry runs or use names of
// their own.
func connect() error {
	scheme := runtime.NewScheme()
	if err := otav1alpha1.AddToScheme(scheme); err != nil {
		return err
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	strict = client.WithFieldValidation(c, metav1.FieldValidationStrict)
	return nil
}

func crdFolder() string { return filepath.Join(root, "config", "crd", "bases") }

// assetsFolder is where kube-apiserver and etcd are: KUBEBUILDER_ASSETS, else what hack/bin.sh built.
func assetsFolder() (string, error) {
	if dir := os.Getenv("KUBEBUILDER_ASSETS"); dir != "" {
		return dir, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute) // a cold build takes about four
	defer cancel()
	out, err := exec.CommandContext(ctx, filepath.Join(root, "hack", "bin.sh"), "assets").Output()
	if err != nil {
		return "", fmt.Errorf("hack/bin.sh assets: %w (set KUBEBUILDER_ASSETS to a folder with kube-apiserver and etcd to skip the build)", err)
	}
	return string(bytes.TrimSpace(out)), nil
}
