// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package testkit is the bench that controller tests stand on: a real API server per test package and a namespace per test,
// a real object server with a bucket per test, builders, condition matchers, and checks that hold for every status.
//
//	func TestMain(m *testing.M) { testkit.Main(m) }
//
//	func TestBundle_stored(t *testing.T) {
//		env := testkit.Start(t)
//		...
//		testkit.Eventually(t, env.Client, bundle, testkit.HaveCondition("Ready", metav1.ConditionTrue, "Succeeded"))
//		testkit.CheckStatus(t, bundle)
//		testkit.StandStill(t, env.Client, bundle)
//	}
package testkit

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/devcluster"
)

const (
	// Timeout is how long Eventually waits.
	Timeout = 30 * time.Second
	// Interval is how often Eventually and StandStill look.
	Interval = 100 * time.Millisecond
)

// shared is what all tests of a package use together. Each part starts with the first test that asks for it; when that fails,
// the next test need not try again.
var shared struct {
	mu    sync.Mutex
	main  bool
	stops []func() // in the order of the starts

	controlPlane    *devcluster.ControlPlane
	controlPlaneErr error

	objectStore    *devcluster.ObjectStore
	objectStoreErr error
	buckets        int
}

// Main runs the tests of a package and then stops what they shared. Call it from TestMain.
func Main(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	shared.main = true
	code := m.Run()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	for _, stop := range slices.Backward(shared.stops) {
		stop()
	}
	os.Exit(code)
}

// Env is one test's share of the API server.
type Env struct {
	// Config of a cluster administrator.
	Config *rest.Config
	// Client reads from the API server itself, without a cache.
	Client client.Client
	// Scheme knows Kubernetes' own kinds and those of this project.
	Scheme *runtime.Scheme
	// Namespace belongs to the test.
	Namespace string
}

// Start gives a test a namespace of its own on the package's API server. The project's objects in it are removed at the end of
// the test, finalizers or not, so that a manager of a later test does not meet them.
func Start(tb testing.TB) *Env {
	tb.Helper()
	cp := controlPlane(tb)
	env := &Env{Config: rest.CopyConfig(cp.Config), Scheme: Scheme(tb)}
	c, err := client.New(env.Config, client.Options{Scheme: env.Scheme})
	if err != nil {
		tb.Fatalf("make a client: %v", err)
	}
	env.Client = c
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: namespacePrefix(tb.Name())}}
	if err := c.Create(tb.Context(), ns); err != nil {
		tb.Fatalf("create the test's namespace: %v", err)
	}
	env.Namespace = ns.Name
	tb.Cleanup(func() { env.clean(tb) })
	return env
}

// Scheme knows Kubernetes' own kinds and those of this project.
func Scheme(tb testing.TB) *runtime.Scheme {
	tb.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, otav1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			tb.Fatalf("build the scheme: %v", err)
		}
	}
	return scheme
}

// namespacePrefix makes a test's name recognizable in the name of its namespace.
func namespacePrefix(test string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(strings.TrimPrefix(test, "Test")))
	return "t-" + strings.Trim(name[:min(len(name), 40)], "-") + "-"
}

func controlPlane(tb testing.TB) *devcluster.ControlPlane {
	tb.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	requireMain(tb)
	if shared.controlPlane == nil && shared.controlPlaneErr == nil {
		shared.controlPlane, shared.controlPlaneErr = startControlPlane()
	}
	if shared.controlPlaneErr != nil {
		tb.Fatalf("no API server for this test: %v", shared.controlPlaneErr)
	}
	return shared.controlPlane
}

func requireMain(tb testing.TB) {
	tb.Helper()
	if !shared.main {
		tb.Fatal("this package needs func TestMain(m *testing.M) { testkit.Main(m) }: it stops what tests share")
	}
}

func startControlPlane() (*devcluster.ControlPlane, error) {
	root, err := devcluster.Root()
	if err != nil {
		return nil, err
	}
	dir, err := tempDir()
	if err != nil {
		return nil, err
	}
	c, err := devcluster.StartControlPlane(context.Background(), dir, filepath.Join(root, "config", "crd", "bases"))
	if err == nil {
		shared.stops = append(shared.stops, c.Stop)
	}
	return c, err
}

// tempDir makes a folder that is removed at the end of all tests, after the servers that use it.
func tempDir() (string, error) {
	dir, err := os.MkdirTemp("", "windlass-test-")
	if err != nil {
		return "", fmt.Errorf("make a folder for a server: %w", err)
	}
	shared.stops = append(shared.stops, func() { _ = os.RemoveAll(dir) }) // what stays is in the system's temporary folder
	return dir, nil
}

// SharedDir makes a folder for what all tests of the package use. Main removes it.
func SharedDir() (string, error) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	return tempDir()
}

// clean removes the project's objects of the test, whose controllers are gone by now, with their finalizers.
func (e *Env) clean(tb testing.TB) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Timeout)
	defer cancel()
	lists := []client.ObjectList{&otav1alpha1.RolloutList{}, &otav1alpha1.ChannelList{}, &otav1alpha1.BundleList{}, &otav1alpha1.RepositoryList{}}
	for _, list := range lists {
		if err := e.Client.List(ctx, list, client.InNamespace(e.Namespace)); err != nil {
			tb.Errorf("clean up: %v", err)
			continue
		}
		for _, obj := range objectsOf(tb, list) {
			e.remove(ctx, tb, obj)
		}
	}
	err := e.Client.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: e.Namespace}})
	if client.IgnoreNotFound(err) != nil {
		tb.Errorf("clean up: %v", err)
	}
}

func (e *Env) remove(ctx context.Context, tb testing.TB, obj client.Object) {
	tb.Helper()
	if len(obj.GetFinalizers()) > 0 {
		patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))
		if err := e.Client.Patch(ctx, obj, patch); client.IgnoreNotFound(err) != nil {
			tb.Errorf("clean up: %v", err)
		}
	}
	if err := e.Client.Delete(ctx, obj); client.IgnoreNotFound(err) != nil {
		tb.Errorf("clean up: %v", err)
	}
}
