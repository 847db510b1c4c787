// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/windlass-dev/windlass/internal/testkit"
)

// TestInstall asks the API server for a dry run of every object of every option, by kustomize and Helm, and for a pod of each workload in
// a namespace that the server's own Pod Security admission holds to the restricted standard.
func TestInstall(t *testing.T) {
	env := testkit.Start(t)
	installForeign(t, env)
	for _, o := range options {
		t.Run(o.name, func(t *testing.T) {
			prepare(t, env, o.kustomize(t))
			dryRun(t, env, o.kustomize(t))
			dryRun(t, env, o.helm(t, "helm4"))
		})
	}
}

// prepare makes the namespaces for real: everything else is a dry run inside of them.
func prepare(t *testing.T, env *testkit.Env, objects []*unstructured.Unstructured) {
	t.Helper()
	apply(t, env, namespaceNamed("monitoring"))
	apply(t, env, find(t, objects, "Namespace", namespace))
}

func dryRun(t *testing.T, env *testkit.Env, objects []*unstructured.Unstructured) {
	t.Helper()
	workloads := 0
	for _, obj := range objects {
		if obj.GetKind() == "Namespace" {
			continue
		}
		apply(t, env, obj, client.DryRunAll)
		pod := podOf(t, obj)
		if pod == nil {
			continue
		}
		workloads++
		pod.Namespace = obj.GetNamespace()
		if err := strict(env).Create(t.Context(), pod, client.DryRunAll); err != nil {
			t.Errorf("a pod of %s %s is refused: %v", obj.GetKind(), obj.GetName(), err)
		}
		pod.Spec.Containers[0].SecurityContext = nil
		if err := strict(env).Create(t.Context(), pod, client.DryRunAll); err == nil {
			t.Errorf("the namespace takes a pod that does not keep to the restricted standard, so that it would take any")
		}
	}
	if workloads != 2 {
		t.Errorf("%d workloads, want the manager and the gateway", workloads)
	}
}

// TestInstall_updates applies what is installed today over what people installed earlier. A field that may not change would stop the
// gateway's update half-way: resource definitions and the manager would be new, and the gateway old.
func TestInstall_updates(t *testing.T) {
	for _, before := range []string{"before-ledger.yaml", "before-helm.yaml"} {
		t.Run(before, func(t *testing.T) {
			env := testkit.Start(t)
			objects := load(t, filepath.Join("testdata", "installed", before))
			installed := map[string]bool{}
			for _, obj := range append([]*unstructured.Unstructured{namespaceNamed(namespace)}, objects...) {
				apply(t, env, obj)
				installed[id(obj)] = obj.GetKind() != "Namespace"
			}
			t.Cleanup(func() { remove(t, env, objects) })
			for _, o := range []option{plain, postgres} {
				for tool, built := range map[string][]*unstructured.Unstructured{"kustomize": o.kustomize(t), "helm": o.helm(t, "helm4")} {
					updated := 0
					for _, obj := range built {
						if installed[id(obj)] {
							apply(t, env, obj, client.DryRunAll)
							updated++
						}
					}
					if updated < 2 {
						t.Errorf("%s, %s: %d objects that are installed are updated, want the workloads at least", tool, o.name, updated)
					}
				}
			}
		})
	}
}

func remove(t *testing.T, env *testkit.Env, objects []*unstructured.Unstructured) {
	t.Helper()
	for _, obj := range objects {
		if err := env.Client.Delete(context.WithoutCancel(t.Context()), obj); client.IgnoreNotFound(err) != nil {
			t.Logf("clean up: %v", err)
		}
	}
}

func namespaceNamed(name string) *unstructured.Unstructured {
	out := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace"}}
	out.SetName(name)
	return out
}

// TestInstall_namesItsOwnRoles holds that each binding refers to a role which the same build makes, and to an account of it or of the
// platform.
func TestInstall_namesItsOwnRoles(t *testing.T) {
	t.Parallel()
	for _, o := range options {
		made := map[string]bool{"ServiceAccount/kube-state-metrics": true}
		objects := o.kustomize(t)
		for _, obj := range objects {
			made[obj.GetKind()+"/"+obj.GetName()] = true
		}
		for _, obj := range objects {
			checkBinding(t, o, obj, made)
		}
	}
}

func checkBinding(t *testing.T, o option, obj *unstructured.Unstructured, made map[string]bool) {
	t.Helper()
	role, ok, err := unstructured.NestedStringMap(obj.Object, "roleRef")
	if err != nil {
		t.Error(err)
	}
	if !ok {
		return
	}
	if want := role["kind"] + "/" + role["name"]; !made[want] {
		t.Errorf("%s: %s refers to %s, which is not in the build", o.name, id(obj), want)
	}
	subjects, _, err := unstructured.NestedSlice(obj.Object, "subjects")
	if err != nil || len(subjects) == 0 {
		t.Errorf("%s: %s has no subjects: %v", o.name, id(obj), err)
	}
	for _, s := range subjects {
		subject := s.(map[string]any)
		if want := fmt.Sprintf("%s/%s", subject["kind"], subject["name"]); !made[want] {
			t.Errorf("%s: %s is bound to %s, which is not in the build", o.name, id(obj), want)
		}
	}
}

// flags are what the programs of the images are built with.
var flags = []string{"-trimpath", "-buildvcs=false", "-ldflags=-s -w"}

// programs are built once for all tests of the package.
var programs = sync.OnceValues(func() (string, error) {
	out, err := os.MkdirTemp("", "windlass-install-")
	if err != nil {
		return "", err
	}
	compile := exec.Command("go", append(append([]string{"build"}, flags...), "-o", out+"/", "./cmd/...")...)
	compile.Dir, compile.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if log, err := compile.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the programs: %w\n%s", err, log)
	}
	return out, nil
})

// program gives the path of the manager, the gateway or kubectl-windlass.
func program(t *testing.T, name string) string {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// TestInstall_usesFlagsThatExist starts the real programs with the arguments of their workloads, and asks for help.
func TestInstall_usesFlagsThatExist(t *testing.T) {
	t.Parallel()
	for _, o := range options {
		for _, obj := range o.kustomize(t) {
			pod := podOf(t, obj)
			if pod == nil {
				continue
			}
			container := pod.Spec.Containers[0]
			var args []string
			for _, arg := range container.Args {
				args = append(args, variable.ReplaceAllString(arg, ""))
			}
			if out, err := exec.CommandContext(t.Context(), program(t, container.Command[0]), append(args, "-h")...).CombinedOutput(); err != nil {
				t.Errorf("%s: %s does not take %q: %v\n%s", o.name, container.Name, container.Args, err, out)
			}
		}
	}
}

// variable is what the kubelet replaces in an argument.
var variable = regexp.MustCompile(`\$\((\w+)\)`)

// strict is a client that has the server refuse unknown fields, as kubectl and GitOps tools do.
func strict(env *testkit.Env) client.Client {
	return client.WithFieldValidation(env.Client, metav1.FieldValidationStrict)
}

func apply(t *testing.T, env *testkit.Env, obj *unstructured.Unstructured, opts ...client.ApplyOption) {
	t.Helper()
	opts = append(opts, client.FieldOwner("install"), client.ForceOwnership)
	if err := strict(env).Apply(t.Context(), client.ApplyConfigurationFromUnstructured(obj.DeepCopy()), opts...); err != nil {
		t.Errorf("apply %s: %v", id(obj), err)
	}
}

// podOf is a pod of a workload; nil for other kinds.
func podOf(t *testing.T, obj *unstructured.Unstructured) *corev1.Pod {
	t.Helper()
	var template corev1.PodTemplateSpec
	switch obj.GetKind() {
	case "Deployment":
		var workload appsv1.Deployment
		convert(t, obj, &workload)
		template = workload.Spec.Template
	case "StatefulSet":
		var workload appsv1.StatefulSet
		convert(t, obj, &workload)
		template = workload.Spec.Template
		for _, claim := range workload.Spec.VolumeClaimTemplates { // its controller puts the volumes in
			template.Spec.Volumes = append(template.Spec.Volumes, corev1.Volume{Name: claim.Name})
		}
	default:
		return nil
	}
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "pod-", Labels: template.Labels}, Spec: template.Spec}
}

func convert(t *testing.T, obj *unstructured.Unstructured, into any) {
	t.Helper()
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, into); err != nil {
		t.Fatal(err)
	}
}

// installForeign installs the resource definitions of the Prometheus operator and of cert-manager: their own, from their modules, or
// ones that take anything where these are out of reach.
func installForeign(t *testing.T, env *testkit.Env) {
	t.Helper()
	paths := []string{
		foreign(t, "github.com/prometheus-operator/prometheus-operator", "v0.85.0", "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml"),
		foreign(t, "github.com/prometheus-operator/prometheus-operator", "v0.85.0", "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml"),
		foreign(t, "github.com/cert-manager/cert-manager", "v1.21.2", "deploy/crds/cert-manager.io_certificates.yaml"),
		foreign(t, "github.com/cert-manager/cert-manager", "v1.21.2", "deploy/crds/cert-manager.io_issuers.yaml"),
	}
	if slices.Contains(paths, "") {
		paths = []string{filepath.Join("testdata", "foreign.yaml")}
		t.Log("the modules of prometheus-operator and cert-manager are out of reach: their objects are not held against their schemas")
	}
	if _, err := envtest.InstallCRDs(env.Config, envtest.CRDInstallOptions{Paths: paths, ErrorIfPathMissing: true}); err != nil {
		t.Fatal(err)
	}
}
