// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package stack runs the real manager and the real gateway as processes, and devices that ask and report, for the tests of the whole.
package stack

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/windlass-dev/windlass/internal/devcluster"
	"github.com/windlass-dev/windlass/internal/store"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// programs are built once for all tests of a package.
var programs = struct {
	mu    sync.Mutex
	built map[string]func() (string, error)
}{built: map[string]func() (string, error){}}

// Program builds a program of cmd and gives its path.
func Program(tb testing.TB, name string) string {
	tb.Helper()
	programs.mu.Lock()
	if programs.built[name] == nil {
		programs.built[name] = sync.OnceValues(func() (string, error) { return build(name) })
	}
	build := programs.built[name]
	programs.mu.Unlock()
	path, err := build()
	if err != nil {
		tb.Fatal(err)
	}
	return path
}

func build(name string) (string, error) {
	dir, err := testkit.SharedDir()
	if err != nil {
		return "", fmt.Errorf("build the %s: %w", name, err)
	}
	bin := filepath.Join(dir, name)
	out, err := exec.Command("go", "build", "-o", bin, "github.com/windlass-dev/windlass/cmd/"+name).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the %s: %w\n%s", name, err, out)
	}
	return bin, nil
}

// Stack is one test's manager and gateway, with the Repository of its namespace.
type Stack struct {
	*testkit.Env
	// Bucket of the Repository, whose objects are below Prefix.
	Bucket *testkit.Bucket
	Prefix string
	// Dir has the logs.
	Dir string
	// Allowed is what the manager may connect to, besides public addresses.
	Allowed string
	// Manager that was started last.
	Manager *devcluster.Process

	tb     testing.TB
	starts int
}

// New starts nothing yet but what the test shares with others.
func New(tb testing.TB) *Stack {
	tb.Helper()
	s := &Stack{Env: testkit.Start(tb), Bucket: testkit.ObjectStore(tb), Prefix: "mobile", Dir: tb.TempDir(), Allowed: "127.0.0.0/8", tb: tb}
	if err := WriteKubeconfig(s.Config, s.Namespace, s.Kubeconfig()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.StopManager)
	return s
}

// For is the same stack for a test within the test, whose Repository has a prefix of its own.
func (s *Stack) For(tb testing.TB, prefix string) *Stack {
	own := *s
	own.tb, own.Prefix = tb, prefix
	return &own
}

// Kubeconfig is the path of a file by which programs reach the API server as the test does.
func (s *Stack) Kubeconfig() string { return filepath.Join(s.Dir, "kubeconfig") }

// WriteKubeconfig lets a program reach the API server by a file.
func WriteKubeconfig(c *rest.Config, namespace, path string) error {
	const name = "windlass"
	cfg := clientcmdapi.NewConfig()
	cfg.Clusters[name] = &clientcmdapi.Cluster{Server: c.Host, CertificateAuthorityData: c.CAData, InsecureSkipTLSVerify: c.Insecure}
	cfg.AuthInfos[name] = &clientcmdapi.AuthInfo{ClientCertificateData: c.CertData, ClientKeyData: c.KeyData, Token: c.BearerToken}
	cfg.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name, Namespace: namespace}
	cfg.CurrentContext = name
	if err := clientcmd.WriteToFile(*cfg, path); err != nil {
		return fmt.Errorf("write a kubeconfig file: %w", err)
	}
	return nil
}

// StartManager starts the manager and waits until it answers its probe.
func (s *Stack) StartManager(more ...string) {
	s.tb.Helper()
	bin, address := Program(s.tb, "manager"), s.FreeAddress()
	s.starts++
	var err error
	s.Manager, err = devcluster.StartProcess(s.tb.Context(), devcluster.Command{
		Name: fmt.Sprintf("manager-%d", s.starts), Path: bin, Dir: s.Dir, Env: []string{"KUBECONFIG=" + s.Kubeconfig()},
		Args: append([]string{
			"--namespace", s.Namespace, "--leader-elect=false", "--metrics-bind-address=0", "--health-probe-bind-address", address, "--allow-address", s.Allowed,
			"--scratch-dir", filepath.Join(s.Dir, "scratch"),
		}, more...),
		Ready: func(ctx context.Context) error { return Answers(ctx, "http://"+address+"/healthz") },
	})
	if err != nil {
		s.tb.Fatal(err)
	}
}

// StopManager ends the manager as Kubernetes does.
func (s *Stack) StopManager() {
	if s.Manager != nil {
		s.Manager.Stop()
	}
}

// KillManager ends the manager as a crash does.
func (s *Stack) KillManager() {
	s.Manager.Kill()
	<-s.Manager.Done()
}

// ManagerLog is what the last manager wrote at the end, for a test that fails.
func (s *Stack) ManagerLog() string {
	raw, _ := os.ReadFile(filepath.Join(s.Dir, fmt.Sprintf("manager-%d.log", s.starts)))
	return string(raw[max(0, len(raw)-8000):])
}

var probe = &http.Client{Timeout: 10 * time.Second}

// Answers is nil when a server answers with 200.
func Answers(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return fmt.Errorf("ask %s: %w", url, err)
	}
	res, err := probe.Do(req)
	if err != nil {
		return fmt.Errorf("ask %s: %w", url, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, res.Status)
	}
	return nil
}

// FreeAddress is one that nobody listens at now.
func (s *Stack) FreeAddress() string {
	s.tb.Helper()
	port, err := devcluster.FreePort()
	if err != nil {
		s.tb.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// OpenBucket opens the part of the bucket that the Repository writes.
func (s *Stack) OpenBucket() *store.Bucket {
	s.tb.Helper()
	bucket, err := store.Open(store.Config{
		Endpoint: s.Bucket.Endpoint, Bucket: s.Bucket.Name, Prefix: s.Prefix, AccessKey: s.Bucket.AccessKeyID, SecretKey: s.Bucket.SecretAccessKey,
	})
	if err != nil {
		s.tb.Fatal(err)
	}
	return bucket
}

// FirstRoot is the root of trust as it is at install time. The Repository must have been published.
func (s *Stack) FirstRoot() []byte {
	s.tb.Helper()
	root, _, err := s.OpenBucket().Get(s.tb.Context(), "metadata/1.root.json", 1<<20)
	if err != nil {
		s.tb.Fatal(err)
	}
	return root
}

// WriteToken writes a token of the gateway's internal listener, and gives its path.
func (s *Stack) WriteToken() string {
	s.tb.Helper()
	path := filepath.Join(s.Dir, "token")
	if err := os.WriteFile(path, []byte("for-tests-only-and-long-enough"), 0o600); err != nil {
		s.tb.Fatal(err)
	}
	return path
}

// StartGateway pins the published root and serves devices at the address that it gives, and the manager at internal.
func (s *Stack) StartGateway(internal, token string) (public string) {
	s.tb.Helper()
	bin := Program(s.tb, "gateway")
	dir := s.tb.TempDir()
	root := filepath.Join(dir, "root.json")
	if err := os.WriteFile(root, s.FirstRoot(), 0o600); err != nil {
		s.tb.Fatal(err)
	}
	public = s.FreeAddress()
	p, err := devcluster.StartProcess(s.tb.Context(), devcluster.Command{
		Name: "gateway", Path: bin, Dir: dir,
		Env: []string{"AWS_ACCESS_KEY_ID=" + s.Bucket.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + s.Bucket.SecretAccessKey},
		Args: []string{"--listen", public, "--internal-listen", internal, "--root", root, "--s3-endpoint", s.Bucket.Endpoint,
			"--s3-bucket", s.Bucket.Name, "--s3-prefix", s.Prefix, "--counts-token-file", token, "--poll-interval", "200ms", "--drain-delay", "0s",
			"--network-votes-share", "1"}, // all devices are of this machine's network
		Ready: func(ctx context.Context) error { return Answers(ctx, "http://"+public+"/readyz") },
	})
	if err != nil {
		s.tb.Fatal(err)
	}
	s.tb.Cleanup(p.Stop)
	return public
}
