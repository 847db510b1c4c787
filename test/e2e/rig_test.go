// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package e2e runs the real manager as a process, on a real API server and a real object store, and looks at the bucket as
// devices do.
package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/devcluster"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// managerBinary and gatewayBinary are built once for all tests of the package.
var managerBinary, gatewayBinary = built("manager"), built("gateway")

func built(name string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		dir, err := os.MkdirTemp("", "windlass-e2e-")
		if err != nil {
			return "", err
		}
		bin := filepath.Join(dir, name)
		out, err := exec.Command("go", "build", "-o", bin, "github.com/windlass-dev/windlass/cmd/"+name).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("build the %s: %w\n%s", name, err, out)
		}
		return bin, nil
	})
}

func TestMain(m *testing.M) { testkit.Main(m) }

// rig is one test's world.
type rig struct {
	*testkit.Env
	*testing.T
	bucket  *testkit.Bucket
	site    *testkit.Site
	author  *testkit.Author
	metrics *metricServer
	dir     string
	prefix  string // of the Repository
	allowed string // what the manager may connect to, besides public addresses
	manager *devcluster.Process
	starts  int
}

func newRig(t *testing.T) *rig {
	t.Helper()
	author := testkit.NewAuthor(t, "ci")
	r := &rig{Env: testkit.Start(t), T: t, bucket: testkit.ObjectStore(t), site: testkit.NewSite(t), author: author, dir: t.TempDir(),
		prefix: "mobile", allowed: "127.0.0.0/8"}
	r.metrics = newMetricServer(t)
	r.writeKubeconfig()
	r.Create(t, r.Credentials(r.bucket), r.Repository(r.bucket, author), r.Channel("production"))
	t.Cleanup(r.stopManager)
	return r
}

// writeKubeconfig lets the manager reach the API server as the test does.
func (r *rig) writeKubeconfig() {
	r.Helper()
	cfg := clientcmdapi.NewConfig()
	cfg.Clusters["e2e"] = &clientcmdapi.Cluster{Server: r.Config.Host, CertificateAuthorityData: r.Config.CAData, InsecureSkipTLSVerify: r.Config.Insecure}
	cfg.AuthInfos["e2e"] = authInfo(r.Config)
	cfg.Contexts["e2e"] = &clientcmdapi.Context{Cluster: "e2e", AuthInfo: "e2e", Namespace: r.Namespace}
	cfg.CurrentContext = "e2e"
	if err := clientcmd.WriteToFile(*cfg, r.kubeconfig()); err != nil {
		r.Fatal(err)
	}
}

func authInfo(c *rest.Config) *clientcmdapi.AuthInfo {
	return &clientcmdapi.AuthInfo{ClientCertificateData: c.CertData, ClientKeyData: c.KeyData, Token: c.BearerToken}
}

func (r *rig) kubeconfig() string { return filepath.Join(r.dir, "kubeconfig") }

// startManager starts the manager and waits until it answers its probe.
func (r *rig) startManager(more ...string) {
	r.Helper()
	bin, err := managerBinary()
	if err != nil {
		r.Fatal(err)
	}
	port, err := devcluster.FreePort()
	if err != nil {
		r.Fatal(err)
	}
	r.starts++
	probe := fmt.Sprintf("127.0.0.1:%d", port)
	r.manager, err = devcluster.StartProcess(r.Context(), devcluster.Command{
		Name: fmt.Sprintf("manager-%d", r.starts), Path: bin, Dir: r.dir, Env: []string{"KUBECONFIG=" + r.kubeconfig()},
		Args: append([]string{
			"--namespace", r.Namespace, "--leader-elect=false", "--metrics-bind-address=0", "--health-probe-bind-address", probe, "--allow-address", r.allowed,
			"--scratch-dir", filepath.Join(r.dir, "scratch"),
		}, more...),
		Ready: func(ctx context.Context) error { return answers(ctx, "http://"+probe+"/healthz") },
	})
	if err != nil {
		r.Fatal(err)
	}
}

func answers(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, res.Status)
	}
	return nil
}

func (r *rig) stopManager() {
	if r.manager != nil {
		r.manager.Stop()
	}
}

// kill ends the manager as a crash does.
func (r *rig) kill() {
	r.manager.Kill()
	<-r.manager.Done()
}

// log is what the last manager wrote, for a test that fails.
func (r *rig) log() string {
	raw, _ := os.ReadFile(filepath.Join(r.dir, fmt.Sprintf("manager-%d.log", r.starts)))
	if len(raw) > 8000 {
		raw = raw[len(raw)-8000:]
	}
	return string(raw)
}

// release makes a signed artifact and its Bundle of version 1.n.0.
func (r *rig) release(n int) *otav1alpha1.Bundle {
	r.Helper()
	version := fmt.Sprintf("1.%d.0", n)
	content := testkit.Zip(r.T, map[string]string{"index.html": "<h1>" + version + "</h1>"})
	b := r.Bundle(fmt.Sprintf("shop-%d", n), version, r.site.Publish(r.T, "/shop-"+version+".zip", content, r.author))
	r.Create(r.T, b)
	return b
}

// rollout releases a bundle through steps that pass quickly, measured once a second.
func (r *rig) rollout(bundle string) *otav1alpha1.Rollout {
	r.Helper()
	o := r.Rollout("shop", "production", bundle, testkit.SetWeight(1), testkit.PauseFor("200ms", 0), testkit.SetWeight(10),
		testkit.PauseFor("200ms", 0), testkit.SetWeight(100))
	o.Spec.Analysis = &otav1alpha1.Analysis{Metrics: []otav1alpha1.Metric{{
		Name: "crash-free", Interval: "1s",
		Prometheus:     &otav1alpha1.PrometheusMetric{Address: otav1alpha1.URL(r.metrics.URL), Query: `crash_free{version={{ quote .version }}}`},
		ThresholdRange: &otav1alpha1.ThresholdRange{Min: "0.99"},
	}}}
	r.Create(r.T, o)
	return o
}

func (r *rig) read(o client.Object) error {
	return r.Client.Get(r.Context(), client.ObjectKeyFromObject(o), o)
}

// patch changes a spec with a merge patch.
func (r *rig) patch(o client.Object, spec string) {
	r.Helper()
	if err := r.Client.Patch(r.Context(), o, client.RawPatch("application/merge-patch+json", []byte(`{"spec":`+spec+`}`))); err != nil {
		r.Fatal(err)
	}
}

// comes waits for the reason of Ready.
func (r *rig) comes(o client.Object, status metav1.ConditionStatus, reason string) {
	r.Helper()
	defer func() {
		if r.Failed() {
			r.Logf("log of the manager:\n%s", r.log())
		}
	}()
	testkit.Eventually(r.T, r.Client, o, testkit.HaveCondition(otav1alpha1.ReadyCondition, status, reason), testkit.BeObserved())
}

// metricServer answers queries as Prometheus does: 1 for good versions, 0.5 for bad ones, unless it is told to lie.
type metricServer struct {
	*httptest.Server
	mu  sync.Mutex
	bad map[string]bool
	lie http.HandlerFunc
}

func newMetricServer(t testing.TB) *metricServer {
	s := &metricServer{bad: map[string]bool{}}
	s.Server = httptest.NewServer(http.HandlerFunc(s.answer))
	t.Cleanup(s.Close)
	return s
}

func (s *metricServer) answer(w http.ResponseWriter, req *http.Request) {
	query := req.FormValue("query")
	s.mu.Lock()
	lie := s.lie
	s.mu.Unlock()
	if lie != nil {
		lie(w, req)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	value := "1"
	for version := range s.bad {
		if strings.Contains(query, `"`+version+`"`) {
			value = "0.5"
		}
	}
	s.write(w, value)
}

func (s *metricServer) write(w io.Writer, value string) {
	_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": map[string]any{"resultType": "vector",
		"result": []any{map[string]any{"metric": map[string]string{}, "value": []any{float64(time.Now().UnixMilli()) / 1000, value}}}}})
}

// spoil makes a version bad.
func (s *metricServer) spoil(version otav1alpha1.Version) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bad[string(version)] = true
}

func (s *metricServer) tell(lie http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lie = lie
}

// someTime is a random moment within a second and a half.
func someTime(rng *rand.Rand) time.Duration { return time.Duration(rng.IntN(1500)) * time.Millisecond }
