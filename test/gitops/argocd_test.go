// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/windlass-dev/windlass/internal/devcluster"
	"github.com/windlass-dev/windlass/internal/testkit/stack"
)

// What Argo CD is installed as.
const (
	argoNamespace = "argocd"
	argoAccount   = "argocd-application-controller"
)

// argoCD is a real Argo CD 3.2: application-controller and repo-server, with redis, a git server, and the controllers of Kubernetes that
// collect what was pruned. Nothing of it runs in a pod, and nothing listens but on loopback, save one port for metrics.
type argoCD struct {
	*stack.Stack
	t    *testing.T
	dir  string // short: sockets are in it
	git  string // URL of the git server
	work string // a clone that the test commits to
}

// install starts all of it. With the policies of Windlass in force, it has config/argocd/roles.yaml and no more.
func install(t *testing.T, s *stack.Stack) *argoCD {
	t.Helper()
	dir, err := os.MkdirTemp("", "argocd-") //nolint:usetesting // the logs of a test that failed stay
	if err != nil {
		t.Fatal(err)
	}
	a := &argoCD{Stack: s, t: t, dir: dir}
	t.Cleanup(a.clean)
	a.installObjects()
	a.startControllers()
	a.installPolicies()
	a.startGit()
	redis := a.startRedis()
	a.startApplicationController(redis, a.startRepoServer(redis))
	return a
}

// clean removes the folder; of a test that failed, logs stay.
func (a *argoCD) clean() {
	if a.t.Failed() {
		logs, _ := filepath.Glob(filepath.Join(a.dir, "*.log"))
		for _, path := range logs {
			raw, _ := os.ReadFile(path)
			a.t.Logf("%s ends with:\n%s", path, raw[max(0, len(raw)-3000):])
		}
		a.t.Logf("log of the manager:\n%s", a.ManagerLog())
		return
	}
	_ = filepath.WalkDir(a.dir, func(path string, _ os.DirEntry, _ error) error { return os.Chmod(path, 0o700) }) // repo-server hides its clones
	_ = os.RemoveAll(a.dir)
}

// installObjects: the resource definitions, what Argo CD wants to find, our snippet, and who it is.
func (a *argoCD) installObjects() {
	a.t.Helper()
	if _, err := envtest.InstallCRDs(a.Config, envtest.CRDInstallOptions{Paths: []string{
		filepath.Join(a.module(), "manifests", "crds", "application-crd.yaml"), filepath.Join(a.module(), "manifests", "crds", "appproject-crd.yaml"),
	}, ErrorIfPathMissing: true}); err != nil {
		a.t.Fatal(err)
	}
	meta := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: argoNamespace, Name: name, Labels: map[string]string{"app.kubernetes.io/part-of": "argocd"}}
	}
	a.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: argoNamespace}}, &corev1.ServiceAccount{ObjectMeta: meta(argoAccount)})
	for _, name := range []string{"argocd-rbac-cm", "argocd-cmd-params-cm", "argocd-tls-certs-cm", "argocd-ssh-known-hosts-cm", "argocd-gpg-keys-cm"} {
		a.create(&corev1.ConfigMap{ObjectMeta: meta(name)})
	}
	a.create(&corev1.Secret{ObjectMeta: meta("argocd-secret"), StringData: map[string]string{"server.secretkey": "for-tests-only"}})
	for _, obj := range a.file(filepath.Join(root, "config", "argocd", "argocd-cm.yaml")) {
		a.create(obj)
	}
	project := &unstructured.Unstructured{}
	project.SetAPIVersion("argoproj.io/v1alpha1")
	project.SetKind("AppProject")
	project.SetNamespace(argoNamespace)
	project.SetName("default")
	project.Object["spec"] = map[string]any{
		"sourceRepos": []any{"*"}, "destinations": []any{map[string]any{"namespace": "*", "server": "*"}},
		"clusterResourceWhitelist": []any{map[string]any{"group": "*", "kind": "*"}},
	}
	a.create(project)
	a.grant()
}

// grant gives Argo CD what it needs: to read everything, its own namespace, and windlass-argocd-sync where it syncs.
func (a *argoCD) grant() {
	a.t.Helper()
	for _, obj := range a.file(filepath.Join(root, "config", "argocd", "roles.yaml")) {
		a.create(obj)
	}
	subjects := []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: argoNamespace, Name: argoAccount}}
	reads := rbacv1.PolicyRule{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"get", "list", "watch"}}
	rest := rbacv1.PolicyRule{NonResourceURLs: []string{"*"}, Verbs: []string{"get"}}
	all := rbacv1.PolicyRule{APIGroups: []string{"", "argoproj.io"}, Resources: []string{"*"}, Verbs: []string{"*"}}
	waves := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"create", "update", "patch", "delete"}}
	role := func(name string) rbacv1.RoleRef {
		return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name}
	}
	a.create(
		&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "argocd-reads"}, Rules: []rbacv1.PolicyRule{reads, rest}},
		&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "argocd-reads"}, RoleRef: role("argocd-reads"), Subjects: subjects},
		&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "argocd-own"}, Rules: []rbacv1.PolicyRule{all}},
		&rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: argoNamespace, Name: "argocd-own"}, RoleRef: role("argocd-own"), Subjects: subjects},
		&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "argocd-waves"}, Rules: []rbacv1.PolicyRule{waves}},
		&rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: a.Namespace, Name: "argocd-waves"}, RoleRef: role("argocd-waves"), Subjects: subjects},
		&rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: a.Namespace, Name: "argocd-sync"}, RoleRef: role("windlass-argocd-sync"), Subjects: subjects},
	)
}

// create creates what is not there yet: resource definitions and cluster roles outlive a test.
func (a *argoCD) create(objs ...client.Object) {
	a.t.Helper()
	for _, obj := range objs {
		if err := a.Client.Create(a.t.Context(), obj); err != nil && !apierrors.IsAlreadyExists(err) {
			a.t.Fatalf("create %T %s: %v", obj, obj.GetName(), err)
		}
	}
}

// module is the folder of Argo CD's sources.
func (a *argoCD) module() string {
	a.t.Helper()
	cmd := exec.CommandContext(a.t.Context(), "go", "mod", "download", "-json", "github.com/argoproj/argo-cd/v3")
	cmd.Dir = filepath.Join(root, "hack", "argocd")
	out, err := cmd.Output()
	if err != nil {
		a.t.Fatalf("find Argo CD's sources: %v", err)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		a.t.Fatal(err)
	}
	return module.Dir
}

func (a *argoCD) file(path string) []*unstructured.Unstructured {
	a.t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.objects(raw)
}

func (a *argoCD) objects(raw []byte) []*unstructured.Unstructured {
	a.t.Helper()
	var out []*unstructured.Unstructured
	for decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(raw), 4096); ; {
		obj := &unstructured.Unstructured{}
		err := decoder.Decode(&obj.Object)
		switch {
		case errors.Is(err, io.EOF):
			return out
		case err != nil:
			a.t.Fatal(err)
		}
		out = append(out, obj)
	}
}

// installPolicies puts those in force that ask Argo CD for verbs on Channels, and stamp who changed what.
func (a *argoCD) installPolicies() {
	a.t.Helper()
	out := a.run(root, a.binary("kustomize"), "build", filepath.Join("config", "base"))
	for _, obj := range a.objects([]byte(out)) {
		if strings.Contains(obj.GetKind(), "AdmissionPolicy") {
			a.create(obj)
		}
	}
}

// startControllers starts the two controllers of Kubernetes that Argo CD relies on.
func (a *argoCD) startControllers() {
	a.t.Helper()
	a.start(devcluster.Command{
		Name: "kube-controller-manager", Path: a.binary("kube-controller-manager"),
		Args: []string{"--kubeconfig", a.Kubeconfig(), "--controllers=garbage-collector-controller,namespace-controller", "--leader-elect=false",
			"--bind-address=127.0.0.1", "--secure-port=" + a.port()},
	})
}

// startRedis prefers the machine's own redis, and else runs one in this process.
func (a *argoCD) startRedis() (address string) {
	a.t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		a.t.Log("redis is miniredis: no redis-server here")
		return miniredis.RunT(a.t).Addr()
	}
	port := a.port()
	address = "127.0.0.1:" + port
	a.start(devcluster.Command{Name: "redis", Path: path, Args: []string{"--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no"}, Ready: listens(address)})
	return address
}

func (a *argoCD) startRepoServer(redis string) (address string) {
	a.t.Helper()
	port := a.port()
	address = "127.0.0.1:" + port
	a.start(devcluster.Command{
		Name: "repo-server", Path: a.binary("argocd"),
		Env: []string{"ARGOCD_BINARY_NAME=argocd-repo-server", "ARGOCD_GPG_ENABLED=false", "TMPDIR=" + a.dir, "HOME=" + a.dir},
		Args: []string{"--port", port, "--address", "127.0.0.1", "--metrics-address", "127.0.0.1", "--metrics-port", a.port(), "--redis", redis, "--disable-tls",
			"--loglevel", "warn"},
		Ready: listens(address),
	})
	return address
}

// startApplicationController starts it with the rights of its service account. Health of each resource is kept in the Application, as
// the interface shows it; self-heal does not back off, so that many in a row take seconds.
func (a *argoCD) startApplicationController(redis, repo string) {
	a.t.Helper()
	token := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(7200))}}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: argoNamespace, Name: argoAccount}}
	if err := a.Client.SubResource("token").Create(a.t.Context(), account, token); err != nil {
		a.t.Fatal(err)
	}
	config := rest.CopyConfig(a.Config)
	config.BearerToken = token.Status.Token
	path := filepath.Join(a.dir, "kubeconfig")
	if err := stack.WriteKubeconfig(config, argoNamespace, path); err != nil {
		a.t.Fatal(err)
	}
	metrics := a.port()
	a.start(devcluster.Command{
		Name: "application-controller", Path: a.binary("argocd"),
		Env: []string{"ARGOCD_BINARY_NAME=argocd-application-controller", "ARGOCD_FAKE_IN_CLUSTER=true", "KUBECONFIG=" + path, "HOSTNAME=controller-0",
			"TMPDIR=" + a.dir, "HOME=" + a.dir},
		Args: []string{"--kubeconfig", path, "--namespace", argoNamespace, "--redis", redis, "--repo-server", repo, "--repo-server-plaintext",
			"--metrics-port", metrics, "--persist-resource-health", "--self-heal-backoff-timeout-seconds", "0", "--loglevel", "warn"},
		Ready: listens("127.0.0.1:" + metrics),
	})
}

// startGit serves bare repositories with git's own daemon.
func (a *argoCD) startGit() {
	a.t.Helper()
	if _, err := os.Stat(filepath.Join(strings.TrimSpace(a.run(a.dir, "git", "--exec-path")), "git-daemon")); err != nil {
		a.t.Skip("git has no daemon here: install Debian's package git")
	}
	base, port := filepath.Join(a.dir, "git"), a.port()
	a.run(a.dir, "git", "init", "-q", "--bare", "-b", "main", filepath.Join(base, "shop.git"))
	a.start(devcluster.Command{
		Name: "git-daemon", Path: "git", Args: []string{"daemon", "--base-path=" + base, "--export-all", "--listen=127.0.0.1", "--port=" + port, "--reuseaddr"},
		Ready: listens("127.0.0.1:" + port),
	})
	a.git, a.work = "git://127.0.0.1:"+port+"/shop.git", filepath.Join(a.dir, "work")
	a.run(a.dir, "git", "clone", "-q", filepath.Join(base, "shop.git"), a.work)
	a.run(a.work, "git", "config", "user.name", "Jane")
	a.run(a.work, "git", "config", "user.email", "jane@example.com")
	a.run(a.work, "git", "checkout", "-q", "-B", "main")
}

// commit writes files of the repository, or removes those without content, and pushes.
func (a *argoCD) commit(message string, files map[string]any) {
	a.t.Helper()
	for name, content := range files {
		path := filepath.Join(a.work, name)
		if content == nil {
			a.run(a.work, "git", "rm", "-q", name)
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			a.t.Fatal(err)
		}
		if err := os.WriteFile(path, a.manifest(content), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	a.run(a.work, "git", "add", "--all")
	a.run(a.work, "git", "commit", "-q", "-m", message)
	a.run(a.work, "git", "push", "-q", "origin", "main")
}

// manifest is an object as people write it: without status and namespace.
func (a *argoCD) manifest(content any) []byte {
	a.t.Helper()
	raw, err := runtime.DefaultUnstructuredConverter.ToUnstructured(content)
	if err != nil {
		a.t.Fatal(err)
	}
	obj := &unstructured.Unstructured{Object: raw}
	gvk, err := a.Client.GroupVersionKindFor(content.(client.Object))
	if err != nil {
		a.t.Fatal(err)
	}
	obj.SetGroupVersionKind(gvk)
	obj.SetNamespace("")
	unstructured.RemoveNestedField(raw, "status")
	out, err := yaml.Marshal(raw)
	if err != nil {
		a.t.Fatal(err)
	}
	return out
}

// revert takes the last commit back.
func (a *argoCD) revert() {
	a.t.Helper()
	a.run(a.work, "git", "revert", "--no-edit", "HEAD")
	a.run(a.work, "git", "push", "-q", "origin", "main")
}

func (a *argoCD) head() string { return strings.TrimSpace(a.run(a.work, "git", "rev-parse", "HEAD")) }

func (a *argoCD) run(dir, name string, args ...string) string {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(a.t.Context()), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var errs bytes.Buffer
	cmd.Dir, cmd.Stderr = dir, &errs
	out, err := cmd.Output()
	if err != nil {
		a.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, errs.String())
	}
	return string(out)
}

func (a *argoCD) start(c devcluster.Command) {
	a.t.Helper()
	c.Dir = a.dir
	if !filepath.IsAbs(c.Path) {
		path, err := exec.LookPath(c.Path)
		if err != nil {
			a.t.Fatal(err)
		}
		c.Path = path
	}
	p, err := devcluster.StartProcess(a.t.Context(), c)
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(p.Stop)
}

func (a *argoCD) binary(name string) string {
	a.t.Helper()
	path, err := devcluster.Binary(a.t.Context(), name)
	if err != nil {
		a.t.Fatal(err)
	}
	return path
}

func (a *argoCD) port() string {
	a.t.Helper()
	_, port, err := net.SplitHostPort(a.FreeAddress())
	if err != nil {
		a.t.Fatal(err)
	}
	return port
}

func listens(address string) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", address)
		if err != nil {
			return fmt.Errorf("not yet: %w", err)
		}
		return conn.Close()
	}
}
