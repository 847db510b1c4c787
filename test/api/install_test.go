// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package api

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/windlass-dev/windlass/internal/devcluster"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// installations are the folders of config that are applied as they are.
var installations = []string{"default", "postgres"}

// TestInstall applies them as kubectl apply -k does, and asks the server whether the pods keep to the restricted Pod Security
// Standard.
func TestInstall(t *testing.T) {
	env := testkit.Start(t)
	for _, folder := range installations {
		t.Run(folder, func(t *testing.T) { install(t, env, folder) })
	}
}

func install(t *testing.T, env *testkit.Env, folder string) {
	t.Helper()
	var workloads int
	for _, obj := range build(t, folder) {
		if obj.GetKind() == "Namespace" { // for real: the others are dry runs inside of it
			apply(t, env, obj)
			continue
		}
		apply(t, env, obj, client.DryRunAll)
		if pod := podOf(t, obj); pod != nil {
			workloads++
			pod.Namespace = obj.GetNamespace()
			if err := strict(env).Create(t.Context(), pod, client.DryRunAll); err != nil {
				t.Errorf("a pod of %s %s is refused: %v", obj.GetKind(), obj.GetName(), err)
			}
		}
	}
	if workloads != 2 {
		t.Errorf("config/%s has %d workloads, want the manager and the gateway", folder, workloads)
	}
}

// TestInstall_updates applies config/default over what people have installed, as kubectl apply -k does. A field that may not
// change would stop the gateway's update half-way: resource definitions and the manager would be new, and the gateway old.
func TestInstall_updates(t *testing.T) {
	env := testkit.Start(t)
	before := load(t, filepath.Join("testdata", "installed", "before-ledger.yaml"))
	installed := map[string]bool{}
	for _, obj := range append([]*unstructured.Unstructured{namespaceOf(before)}, before...) {
		apply(t, env, obj)
		installed[obj.GetKind()+"/"+obj.GetName()] = true
	}
	for _, folder := range installations {
		updated := 0
		for _, obj := range build(t, folder) {
			if installed[obj.GetKind()+"/"+obj.GetName()] {
				apply(t, env, obj, client.DryRunAll)
				updated++
			}
		}
		if updated != len(installed) {
			t.Errorf("config/%s updates %d of %d objects that are installed", folder, updated, len(installed))
		}
	}
}

func namespaceOf(objects []*unstructured.Unstructured) *unstructured.Unstructured {
	out := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace"}}
	out.SetName(objects[0].GetNamespace())
	return out
}

// TestInstall_namesItsOwnRoles holds that each binding refers to a role and an account which the same build makes.
func TestInstall_namesItsOwnRoles(t *testing.T) {
	made := map[string]bool{}
	objects := build(t, "default")
	for _, obj := range objects {
		made[obj.GetKind()+"/"+obj.GetName()] = true
	}
	for _, obj := range objects {
		role, ok, err := unstructured.NestedStringMap(obj.Object, "roleRef")
		if err != nil {
			t.Error(err)
		}
		if !ok {
			continue
		}
		if want := role["kind"] + "/" + role["name"]; !made[want] {
			t.Errorf("%s %s refers to %s, which is not in the build", obj.GetKind(), obj.GetName(), want)
		}
		subjects, _, err := unstructured.NestedSlice(obj.Object, "subjects")
		if err != nil || len(subjects) == 0 {
			t.Errorf("%s %s has no subjects: %v", obj.GetKind(), obj.GetName(), err)
		}
		for _, s := range subjects {
			subject := s.(map[string]any)
			if want := fmt.Sprintf("%s/%s", subject["kind"], subject["name"]); !made[want] {
				t.Errorf("%s %s is bound to %s, which is not in the build", obj.GetKind(), obj.GetName(), want)
			}
		}
	}
}

// TestInstall_usesFlagsThatExist starts the real programs with the arguments of their workloads, and asks for help.
func TestInstall_usesFlagsThatExist(t *testing.T) {
	dir := t.TempDir()
	compile := exec.CommandContext(t.Context(), "go", "build", "-o", dir+"/", "./cmd/...")
	compile.Dir = root
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	var objects []*unstructured.Unstructured
	for _, folder := range installations {
		objects = append(objects, build(t, folder)...)
	}
	for _, obj := range objects {
		pod := podOf(t, obj)
		if pod == nil {
			continue
		}
		container := pod.Spec.Containers[0]
		program := filepath.Join(dir, container.Command[0])
		var args []string
		for _, arg := range container.Args {
			args = append(args, variable.ReplaceAllString(arg, ""))
		}
		if out, err := exec.CommandContext(t.Context(), program, append(args, "-h")...).CombinedOutput(); err != nil {
			t.Errorf("%s does not take %q: %v\n%s", container.Name, container.Args, err, out)
		}
	}
}

// variable is what the kubelet replaces in an argument.
var variable = regexp.MustCompile(`\$\(\w+\)`)

// build runs kustomize on a folder of config.
func build(t *testing.T, folder string) []*unstructured.Unstructured {
	t.Helper()
	kustomize, err := devcluster.Binary(t.Context(), "kustomize")
	if err != nil {
		t.Fatal(err)
	}
	var complaints bytes.Buffer
	cmd := exec.CommandContext(t.Context(), kustomize, "build", filepath.Join(root, "config", folder))
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("kustomize build config/%s: %v\n%s", folder, err, complaints.String())
	}
	if complaints.Len() > 0 {
		t.Errorf("kustomize complains: %s", complaints.String())
	}
	return decode(t, folder, out)
}

func apply(t *testing.T, env *testkit.Env, obj *unstructured.Unstructured, opts ...client.ApplyOption) {
	t.Helper()
	opts = append(opts, client.FieldOwner("install"))
	if err := strict(env).Apply(t.Context(), client.ApplyConfigurationFromUnstructured(obj), opts...); err != nil {
		t.Errorf("apply %s %s: %v", obj.GetKind(), obj.GetName(), err)
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
