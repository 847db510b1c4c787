// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package rollback

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/devcluster"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/store"
)

const (
	namespace = "bench"
	app       = "shop"
	bucket    = "updates"
	prefix    = "mobile"
)

// world is all real parts: API server, object store, manager and gateway, each a process.
type world struct {
	dir     string
	client  client.Client
	store   *devcluster.ObjectStore
	bucket  *store.Bucket
	metrics *metrics
	gateway string // URL
	digest  otav1alpha1.Digest

	mu   sync.Mutex
	gone map[string]time.Time // by channel: the last commit that has no candidate

	http  *http.Client
	stops []func()
}

func (w *world) stop() {
	for _, stop := range slices.Backward(w.stops) {
		stop()
	}
}

// newWorld starts everything and publishes the channels.
func newWorld(ctx context.Context, channels int) (*world, error) {
	dir, err := os.MkdirTemp("", "windlass-bench-")
	if err != nil {
		return nil, err
	}
	w := &world{dir: dir, metrics: newMetrics(), gone: map[string]time.Time{}, http: &http.Client{Timeout: 10 * time.Second}}
	w.stops = append(w.stops, func() { _ = os.RemoveAll(dir) }, w.metrics.server.Close)
	for _, step := range []func(context.Context) error{
		w.build, w.startAPIServer, w.startStore, w.startManager,
		func(ctx context.Context) error { return w.createObjects(ctx, channels) }, w.startGateway,
	} {
		if err := step(ctx); err != nil {
			w.stop()
			return nil, err
		}
	}
	return w, nil
}

// build makes the binaries.
func (w *world) build(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", w.dir+"/", "github.com/windlass-dev/windlass/cmd/manager", "github.com/windlass-dev/windlass/cmd/gateway")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	return nil
}

func (w *world) startAPIServer(ctx context.Context) error {
	root, err := devcluster.Root()
	if err != nil {
		return err
	}
	cp, err := devcluster.StartControlPlane(ctx, filepath.Join(w.dir, "control-plane"), filepath.Join(root, "config", "crd", "bases"))
	if err != nil {
		return err
	}
	w.stops = append(w.stops, cp.Stop)
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), otav1alpha1.AddToScheme(scheme)); err != nil {
		return err
	}
	if w.client, err = client.New(cp.Config, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	return os.Link(cp.Kubeconfig, filepath.Join(w.dir, "kubeconfig"))
}

func (w *world) startStore(ctx context.Context) error {
	s, err := devcluster.StartObjectStore(ctx, filepath.Join(w.dir, "store"), bucket)
	if err != nil {
		return err
	}
	w.store = s
	w.stops = append(w.stops, s.Stop)
	w.bucket, err = store.Open(store.Config{Endpoint: s.Endpoint, Bucket: bucket, Prefix: prefix, AccessKey: s.AccessKey, SecretKey: s.SecretKey})
	return err
}

func (w *world) startManager(ctx context.Context) error {
	p, err := devcluster.StartProcess(ctx, devcluster.Command{
		Name: "manager", Path: filepath.Join(w.dir, "manager"), Dir: w.dir, Env: []string{"KUBECONFIG=" + filepath.Join(w.dir, "kubeconfig")},
		Args: []string{"--leader-elect=false", "--metrics-bind-address=0", "--health-probe-bind-address=0", "--concurrency=16", "--allow-address=127.0.0.0/8",
			"--scratch-dir", filepath.Join(w.dir, "scratch")},
	})
	if err == nil {
		w.stops = append(w.stops, p.Stop)
	}
	return err
}

// startGateway pins the root of trust that the manager made, as an operator would at install time.
func (w *world) startGateway(ctx context.Context) error {
	root, _, err := w.bucket.Get(ctx, "metadata/1.root.json", 1<<20)
	if err != nil {
		return fmt.Errorf("read the root of trust: %w", err)
	}
	rootFile := filepath.Join(w.dir, "root.json")
	if err := os.WriteFile(rootFile, root, 0o600); err != nil {
		return err
	}
	port, err := devcluster.FreePort()
	if err != nil {
		return err
	}
	addr := net.JoinHostPort("127.0.0.1", fmt.Sprint(port))
	w.gateway = "http://" + addr
	p, err := devcluster.StartProcess(ctx, devcluster.Command{
		Name: "gateway", Path: filepath.Join(w.dir, "gateway"), Dir: w.dir,
		Env: []string{"AWS_ACCESS_KEY_ID=" + w.store.AccessKey, "AWS_SECRET_ACCESS_KEY=" + w.store.SecretKey},
		Args: []string{"--listen", addr, "--internal-listen", "127.0.0.1:0", "--root", rootFile, "--s3-endpoint", w.store.Endpoint,
			"--s3-bucket", bucket, "--s3-prefix", prefix},
		Ready: func(ctx context.Context) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.gateway+"/readyz", nil)
			if err != nil {
				return err
			}
			res, err := w.http.Do(req)
			if err != nil {
				return err
			}
			defer func() { _ = res.Body.Close() }()
			if res.StatusCode != http.StatusOK {
				return errors.New(res.Status)
			}
			return nil
		},
	})
	if err == nil {
		w.stops = append(w.stops, p.Stop)
	}
	return err
}

// createObjects makes a Repository, a Bundle, and for each channel a Channel and a Rollout at 50 %.
func (w *world) createObjects(ctx context.Context, channels int) error {
	objects, err := w.base()
	if err != nil {
		return err
	}
	for i := range channels {
		objects = append(objects,
			&otav1alpha1.Channel{ObjectMeta: meta(channelName(i)), Spec: otav1alpha1.ChannelSpec{App: app, MaxFirstWeight: "100"}},
			w.rollout(channelName(i)))
	}
	for _, o := range objects {
		if err := w.client.Create(ctx, o); err != nil {
			return err
		}
	}
	return w.waitReady(ctx)
}

func channelName(i int) string { return fmt.Sprintf("channel-%d", i) }

func meta(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: namespace, Name: name} }

// base makes what all channels share: a signed artifact behind a web server, and the Repository.
func (w *world) base() ([]client.Object, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	content, err := archive()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(content)
	signature, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	if err != nil {
		return nil, err
	}
	w.metrics.serve("/shop.zip", content)
	w.digest = otav1alpha1.Digest(release.DigestPrefix + hex.EncodeToString(sum[:]))
	public := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	return []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		&corev1.Secret{ObjectMeta: meta("bucket"), StringData: map[string]string{"accessKeyID": w.store.AccessKey, "secretAccessKey": w.store.SecretKey}},
		&otav1alpha1.Repository{ObjectMeta: meta(otav1alpha1.DefaultRepository), Spec: otav1alpha1.RepositorySpec{
			Storage: otav1alpha1.StorageSpec{Endpoint: w.store.Endpoint, Insecure: otav1alpha1.InsecureAllowed, Bucket: bucket, Prefix: prefix,
				CredentialsSecretRef: &otav1alpha1.LocalReference{Name: "bucket"}},
			Trust: otav1alpha1.TrustSpec{Authorities: []otav1alpha1.Authority{{Name: "ci", PublicKey: &otav1alpha1.PublicKeySource{Inline: public}}}},
		}},
		&otav1alpha1.Bundle{ObjectMeta: meta("shop-1"), Spec: otav1alpha1.BundleSpec{
			App: app, Version: "1.1.0", Digest: w.digest,
			Source:     otav1alpha1.BundleSource{HTTP: &otav1alpha1.HTTPSource{URL: otav1alpha1.URL(w.metrics.server.URL + "/shop.zip")}},
			Signatures: []otav1alpha1.SignatureSource{{Inline: base64.StdEncoding.EncodeToString(signature)}},
		}},
	}, nil
}

func archive() ([]byte, error) {
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	f, err := z.Create("index.html")
	if err != nil {
		return nil, err
	}
	if _, err := f.Write([]byte("<h1>shop</h1>")); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

func (w *world) rollout(channel string) *otav1alpha1.Rollout {
	half := intstr.FromInt32(50)
	return &otav1alpha1.Rollout{ObjectMeta: meta(channel), Spec: otav1alpha1.RolloutSpec{
		ChannelRef: otav1alpha1.LocalReference{Name: channel}, BundleRef: otav1alpha1.LocalReference{Name: "shop-1"},
		Steps: []otav1alpha1.Step{{SetWeight: &half}, {Pause: &otav1alpha1.PauseStep{}}},
		Analysis: &otav1alpha1.Analysis{Metrics: []otav1alpha1.Metric{{
			Name: "errors", Interval: "1s", ThresholdRange: &otav1alpha1.ThresholdRange{Max: "0.01"},
			Prometheus: &otav1alpha1.PrometheusMetric{Address: otav1alpha1.URL(w.metrics.server.URL), Query: "errors{channel={{ quote .channel }}}"},
		}}},
	}}
}

// waitReady waits until the Repository is published.
func (w *world) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		var repo otav1alpha1.Repository
		err := w.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: otav1alpha1.DefaultRepository}, &repo)
		if err != nil {
			return err
		}
		if apimeta.IsStatusConditionTrue(repo.Status.Conditions, otav1alpha1.ReadyCondition) {
			return nil
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("the Repository did not become ready: %+v", repo.Status.Conditions)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
