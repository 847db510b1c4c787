// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/devcluster"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// cluster is an API server of a test's own with nothing on it but what the test installs. It has no kubelet: run does what one would,
// but for the network and the file system that a pod has for itself.
type cluster struct {
	*testing.T
	*testkit.Env // in the namespace of the test's resources
	plane        *devcluster.ControlPlane
	dir          string
	service      string // address in place of the Service windlass-gateway-internal
	starts       int
}

// newCluster starts an API server and makes the namespace for resources.
func newCluster(t *testing.T, work string) *cluster {
	t.Helper()
	c := &cluster{T: t, dir: t.TempDir()}
	plane, err := devcluster.StartControlPlane(t.Context(), c.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(plane.Stop)
	c.plane, c.service = plane, c.freeAddress()
	c.Env = &testkit.Env{Config: rest.CopyConfig(plane.Config), Scheme: testkit.Scheme(t), Namespace: work}
	if c.Client, err = client.New(c.Config, client.Options{Scheme: c.Scheme}); err != nil {
		t.Fatal(err)
	}
	apply(t, c.Env, namespaceNamed(work))
	return c
}

func (c *cluster) freeAddress() string {
	c.Helper()
	port, err := devcluster.FreePort()
	if err != nil {
		c.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// install applies objects in the order in which kubectl and Helm do: what others are in or of goes first.
func (c *cluster) install(objects []*unstructured.Unstructured) {
	c.Helper()
	rank := map[string]int{"Namespace": -2, "CustomResourceDefinition": -1}
	objects = slices.Clone(objects)
	slices.SortStableFunc(objects, func(a, b *unstructured.Unstructured) int { return rank[a.GetKind()] - rank[b.GetKind()] })
	var waited bool
	for _, obj := range objects {
		if rank[obj.GetKind()] == 0 && !waited {
			c.awaitDefinitions(objects)
			waited = true
		}
		apply(c.T, c.Env, obj)
	}
	gomega.NewWithT(c.T).Eventually(func() error { // the API server learns the definitions for its policies a little later than for itself
		return c.Client.Create(c.Context(), c.Channel("tried"), client.DryRunAll)
	}).WithTimeout(testkit.Timeout).WithPolling(testkit.Interval).Should(gomega.Succeed())
}

func (c *cluster) awaitDefinitions(objects []*unstructured.Unstructured) {
	c.Helper()
	var crds []*apiextensionsv1.CustomResourceDefinition
	for _, obj := range objects {
		if obj.GetKind() == "CustomResourceDefinition" {
			crd := &apiextensionsv1.CustomResourceDefinition{}
			convert(c.T, obj, crd)
			crds = append(crds, crd)
		}
	}
	if err := envtest.WaitForCRDs(c.Config, crds, envtest.CRDInstallOptions{MaxTime: testkit.Timeout, PollInterval: testkit.Interval}); err != nil {
		c.Fatal(err)
	}
	gomega.NewWithT(c.T).Eventually(func(g gomega.Gomega) { // established ones are served a moment later
		for _, list := range []client.ObjectList{&otav1alpha1.RepositoryList{}, &otav1alpha1.BundleList{}, &otav1alpha1.ChannelList{}, &otav1alpha1.RolloutList{}} {
			g.Expect(c.Client.List(c.Context(), list)).To(gomega.Succeed())
		}
	}).WithTimeout(testkit.Timeout).WithPolling(testkit.Interval).Should(gomega.Succeed())
}

// secret makes a Secret beside the programs.
func (c *cluster) secret(name string, data map[string]string) {
	c.Helper()
	c.Create(c.T, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, StringData: data})
}

// running is a program that was started as its pod would be.
type running struct {
	*devcluster.Process
	address map[string]string // by name of the container's port
}

// run starts the program of a workload with the arguments, environment, files and service account that its pod has. More are
// arguments that only a test needs.
func (c *cluster) run(binary string, workload *unstructured.Unstructured, more ...string) *running {
	c.Helper()
	pod := podOf(c.T, workload)
	pod.Namespace = workload.GetNamespace()
	container := pod.Spec.Containers[0]
	c.starts++
	out := &running{address: map[string]string{}}
	for _, port := range container.Ports {
		out.address[port.Name] = c.freeAddress()
	}
	if _, gateway := out.address["internal"]; gateway {
		out.address["internal"] = c.service
	}
	env := c.environment(pod)
	args := c.arguments(pod, env, out.address)
	if pod.Spec.AutomountServiceAccountToken == nil {
		env["KUBECONFIG"] = c.kubeconfig(pod)
	}
	probe := container.ReadinessProbe.HTTPGet
	var err error
	out.Process, err = devcluster.StartProcess(c.Context(), devcluster.Command{
		Name: fmt.Sprintf("%s-%d", container.Name, c.starts), Path: binary, Dir: filepath.Join(c.dir, "run"), Args: append(args, more...), Env: pairs(env),
		Ready: func(ctx context.Context) error {
			return answers(ctx, "http://"+out.address[probe.Port.StrVal]+probe.Path)
		},
	})
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(out.Stop)
	return out
}

// environment is that of the container, read from the API server as the kubelet does.
func (c *cluster) environment(pod *corev1.Pod) map[string]string {
	c.Helper()
	out := map[string]string{}
	for _, v := range pod.Spec.Containers[0].Env {
		switch from := v.ValueFrom; {
		case from == nil:
			out[v.Name] = v.Value
		case from.FieldRef != nil && from.FieldRef.FieldPath == "metadata.namespace":
			out[v.Name] = pod.Namespace
		case from.ConfigMapKeyRef != nil:
			out[v.Name] = string(c.data(pod.Namespace, "ConfigMap", from.ConfigMapKeyRef.Name)[from.ConfigMapKeyRef.Key])
		case from.SecretKeyRef != nil:
			out[v.Name] = string(c.data(pod.Namespace, "Secret", from.SecretKeyRef.Name)[from.SecretKeyRef.Key])
		default:
			c.Fatalf("%s: this test does not know where the variable comes from", v.Name)
		}
	}
	return out
}

// data of a ConfigMap or Secret.
func (c *cluster) data(ns, kind, name string) map[string][]byte {
	c.Helper()
	key, out := client.ObjectKey{Namespace: ns, Name: name}, map[string][]byte{}
	if kind == "Secret" {
		var secret corev1.Secret
		if err := c.Client.Get(c.Context(), key, &secret); err != nil {
			c.Fatal(err)
		}
		return secret.Data
	}
	var configMap corev1.ConfigMap
	if err := c.Client.Get(c.Context(), key, &configMap); err != nil {
		c.Fatal(err)
	}
	for k, v := range configMap.Data {
		out[k] = []byte(v)
	}
	return out
}

// arguments are those of the container, with addresses of this machine in place of the pod's own and of the Service, and folders of
// this machine in place of the mounts. Ports that are not in the arguments are given by the flags that have them by default.
func (c *cluster) arguments(pod *corev1.Pod, env, address map[string]string) []string {
	c.Helper()
	container := pod.Spec.Containers[0]
	mounts := c.mounts(pod)
	out := slices.Clone(container.Args)
	for i, arg := range out {
		arg = variable.ReplaceAllStringFunc(arg, func(v string) string { return env[v[2:len(v)-1]] })
		flag, value, _ := strings.Cut(arg, "=")
		for path, dir := range mounts {
			if value == path || strings.HasPrefix(value, path+"/") {
				value = dir + strings.TrimPrefix(value, path)
			}
		}
		for _, port := range container.Ports {
			if value == fmt.Sprintf(":%d", port.ContainerPort) {
				value = address[port.Name]
			}
		}
		out[i] = flag + "=" + strings.Replace(value, "windlass-gateway-internal:8081", c.service, 1)
	}
	if container.Name == "manager" {
		out = append(out, "--metrics-bind-address="+address["metrics"], "--health-probe-bind-address="+address["probes"])
	}
	return out
}

// mounts are folders of this machine by where the container has them. Volumes that outlive a pod are the same for its next start.
func (c *cluster) mounts(pod *corev1.Pod) map[string]string {
	c.Helper()
	out := map[string]string{}
	for _, mount := range pod.Spec.Containers[0].VolumeMounts {
		dir := filepath.Join(c.dir, "volumes", pod.Spec.Containers[0].Name, mount.Name)
		if err := os.MkdirAll(dir, 0o750); err != nil {
			c.Fatal(err)
		}
		out[mount.MountPath] = dir
		at := slices.IndexFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == mount.Name })
		if at < 0 {
			c.Fatalf("no volume %s", mount.Name)
		}
		files := map[string][]byte{}
		switch volume := pod.Spec.Volumes[at]; {
		case volume.Secret != nil:
			files = c.data(pod.Namespace, "Secret", volume.Secret.SecretName)
		case volume.ConfigMap != nil:
			files = c.data(pod.Namespace, "ConfigMap", volume.ConfigMap.Name)
		}
		for name, content := range files {
			if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
				c.Fatal(err)
			}
		}
	}
	return out
}

// kubeconfig is a file with a token of the pod's service account, as the API server gives it out.
func (c *cluster) kubeconfig(pod *corev1.Pod) string {
	c.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Spec.ServiceAccountName}}
	cfg := clientcmdapi.NewConfig()
	cfg.Clusters["c"] = &clientcmdapi.Cluster{Server: c.Config.Host, CertificateAuthorityData: c.Config.CAData}
	cfg.AuthInfos["c"] = &clientcmdapi.AuthInfo{Token: c.token(account)}
	cfg.Contexts["c"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "c", Namespace: pod.Namespace}
	cfg.CurrentContext = "c"
	path := filepath.Join(c.dir, account.Name+".kubeconfig")
	if err := clientcmd.WriteToFile(*cfg, path); err != nil {
		c.Fatal(err)
	}
	return path
}

func (c *cluster) token(account *corev1.ServiceAccount) string {
	c.Helper()
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(3600))}}
	if err := c.Client.SubResource("token").Create(c.Context(), account, request); err != nil {
		c.Fatalf("a token of ServiceAccount %s: %v", account.Name, err)
	}
	return request.Status.Token
}

func pairs(env map[string]string) []string {
	var out []string
	for name, value := range env {
		out = append(out, name+"="+value)
	}
	return out
}

func answers(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
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

// log is what a program wrote.
func (c *cluster) log(r *running) string {
	c.Helper()
	raw, err := os.ReadFile(r.LogPath)
	if err != nil {
		c.Fatal(err)
	}
	return string(bytes.TrimSpace(raw))
}
