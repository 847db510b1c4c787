// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package gettingstarted

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/windlass-dev/windlass/internal/devcluster"
	"github.com/windlass-dev/windlass/internal/testkit"
	"github.com/windlass-dev/windlass/internal/testkit/stack"
)

const system = "windlass-system"

// world is what the page is followed in.
type world struct {
	t      *testing.T
	root   string // of the project's tree
	dir    string
	config *rest.Config
	client client.Client
	shell  *shell

	gateway, internal string // addresses
}

// newWorld starts an API server that knows nothing of Windlass, and a shell that can reach it.
func newWorld(t *testing.T) *world {
	t.Helper()
	root, err := devcluster.Root()
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range []string{"openssl", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(tool + " is not installed")
		}
	}
	w := &world{t: t, root: root, dir: t.TempDir(), gateway: freeAddress(t), internal: freeAddress(t)}
	cp, err := devcluster.StartControlPlane(t.Context(), filepath.Join(w.dir, "kubernetes"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cp.Stop)
	w.config = cp.Config
	if w.client, err = client.New(cp.Config, client.Options{Scheme: testkit.Scheme(t)}); err != nil {
		t.Fatal(err)
	}
	w.shell = newShell(t, "KUBECONFIG="+cp.Kubeconfig)
	return w
}

// instead are the blocks for which the test has something else than a cluster.
func (w *world) instead() map[string]func() {
	return map[string]func(){"programs": w.programs, "store": w.store, "manager": w.startManager, "gateway": w.startGateway}
}

// programs puts real clients and our programs on the PATH.
func (w *world) programs() {
	w.t.Helper()
	bin := filepath.Join(w.dir, "bin")
	if err := os.MkdirAll(bin, 0o750); err != nil {
		w.t.Fatal(err)
	}
	for name, tool := range map[string]string{"kubectl": "kubectl", "helm": "helm4"} {
		path, err := devcluster.Binary(w.t.Context(), tool)
		if err != nil {
			w.t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(bin, name)); err != nil {
			w.t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(w.t.Context(), "go", "build", "-o", bin+"/", "./cmd/kubectl-windlass", "./cmd/manager", "./cmd/gateway", "./hack/fleet")
	cmd.Dir = w.root
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("build: %v\n%s", err, out)
	}
	w.shell.export("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	w.shell.export("WINDLASS", w.root)
}

// store runs the object store, which is nowhere but here.
func (w *world) store() {
	w.t.Helper()
	s, err := devcluster.StartObjectStore(w.t.Context(), filepath.Join(w.dir, "store"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(s.Stop)
	for _, name := range []string{"STORE", "HERE"} {
		w.shell.export(name, s.Endpoint)
	}
	for name, value := range map[string]string{"KEY": s.AccessKey, "SECRET": s.SecretKey} {
		if out, _ := w.shell.run("echo $" + name); strings.TrimSpace(out) != value {
			w.t.Fatalf("the page has %s=%s, the store of the test %s", name, out, value)
		}
	}
}

// startManager runs what the Deployment says, with the rights of its service account.
func (w *world) startManager() {
	w.t.Helper()
	var d appsv1.Deployment
	w.get("windlass-manager", &d)
	pod := d.Spec.Template.Spec
	probe := freeAddress(w.t)
	w.start("manager", "http://"+probe+"/readyz", w.account(pod.ServiceAccountName), slices.Concat(w.arguments(pod.Containers[0], map[string]string{
		"/scratch":          filepath.Join(w.dir, "scratch"),
		"/var/run/windlass": w.secret("windlass-gateway-token"),
		"dns+http://windlass-gateway-internal:8081": "http://" + w.internal,
	}), []string{"--metrics-bind-address=0", "--health-probe-bind-address=" + probe, "--allow-address=127.0.0.0/8"}))
}

// startGateway runs what the StatefulSet says, with its ConfigMap and Secrets and without rights.
func (w *world) startGateway() {
	w.t.Helper()
	var s appsv1.StatefulSet
	w.get("windlass-gateway", &s)
	var cm corev1.ConfigMap
	w.get("windlass-gateway", &cm)
	root := filepath.Join(w.dir, "root")
	w.write(root, "root.json", cm.Data["root.json"])
	w.start("gateway", "http://"+w.internal+"/readyz", nil, w.arguments(s.Spec.Template.Spec.Containers[0], map[string]string{
		"/etc/windlass": root, "/var/run/windlass": w.secret("windlass-gateway-token"), "=/cache": "=" + filepath.Join(w.dir, "cache"),
		"=/ledger/": "=" + w.dir + "/", "--listen=:8080": "--listen=" + w.gateway, "--internal-listen=:8081": "--internal-listen=" + w.internal,
	}))
	w.shell.export("GATEWAY", "http://"+w.gateway)
}

func (w *world) start(name, ready string, env, args []string) {
	w.t.Helper()
	if name == "gateway" {
		var secret corev1.Secret
		w.get("windlass-gateway-s3", &secret)
		env = append(env, "AWS_ACCESS_KEY_ID="+string(secret.Data["accessKeyID"]), "AWS_SECRET_ACCESS_KEY="+string(secret.Data["secretAccessKey"]))
	}
	p, err := devcluster.StartProcess(w.t.Context(), devcluster.Command{
		Name: name, Path: filepath.Join(w.dir, "bin", name), Dir: w.dir, Args: args, Env: env,
		Ready: func(ctx context.Context) error { return stack.Answers(ctx, ready) },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(p.Stop)
}

// arguments are those of a container, with the values of its variables, and with what is elsewhere here.
func (w *world) arguments(c corev1.Container, here map[string]string) []string {
	w.t.Helper()
	values := map[string]string{"POD_NAMESPACE": system}
	for _, v := range c.Env {
		if v.ValueFrom != nil && v.ValueFrom.ConfigMapKeyRef != nil {
			var cm corev1.ConfigMap
			w.get(v.ValueFrom.ConfigMapKeyRef.Name, &cm)
			values[v.Name] = cm.Data[v.ValueFrom.ConfigMapKeyRef.Key]
		}
	}
	used := map[string]bool{}
	out := make([]string, 0, len(c.Args))
	for _, arg := range c.Args {
		for name, value := range values {
			arg = strings.ReplaceAll(arg, "$("+name+")", value)
		}
		for there, value := range here {
			if strings.Contains(arg, there) {
				arg, used[there] = strings.ReplaceAll(arg, there, value), true
			}
		}
		out = append(out, arg)
	}
	if len(used) != len(here) {
		w.t.Fatalf("the container's arguments are %v, want each of %v in them", c.Args, here)
	}
	return out
}

// account gives a program the rights of a service account, and no more.
func (w *world) account(name string) (env []string) {
	w.t.Helper()
	account := &corev1.ServiceAccount{}
	w.get(name, account)
	token := &authenticationv1.TokenRequest{}
	if err := w.client.SubResource("token").Create(w.t.Context(), account, token); err != nil {
		w.t.Fatal(err)
	}
	config := rest.AnonymousClientConfig(w.config)
	config.BearerToken = token.Status.Token
	path := filepath.Join(w.dir, name+".kubeconfig")
	if err := stack.WriteKubeconfig(config, system, path); err != nil {
		w.t.Fatal(err)
	}
	return []string{"KUBECONFIG=" + path}
}

// secret writes a Secret into a folder, as a volume of it is.
func (w *world) secret(name string) (dir string) {
	w.t.Helper()
	var s corev1.Secret
	w.get(name, &s)
	dir = filepath.Join(w.dir, name)
	for key, value := range s.Data {
		w.write(dir, key, string(value))
	}
	return dir
}

func (w *world) write(dir, name, text string) {
	w.t.Helper()
	if err := os.MkdirAll(dir, 0o750); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) get(name string, into client.Object) {
	w.t.Helper()
	if err := w.client.Get(w.t.Context(), client.ObjectKey{Namespace: system, Name: name}, into); err != nil {
		w.t.Fatal(err)
	}
}

// logs are the ends of those of our programs, for a test that fails.
func (w *world) logs() string {
	var out strings.Builder
	for _, name := range []string{"manager", "gateway"} {
		raw, err := os.ReadFile(filepath.Join(w.dir, name+".log"))
		if err == nil {
			fmt.Fprintf(&out, "--- log of the %s\n%s", name, raw[max(0, len(raw)-4000):])
		}
	}
	return out.String()
}

func freeAddress(t *testing.T) string {
	t.Helper()
	port, err := devcluster.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}
