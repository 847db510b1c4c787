// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package install holds what people install: that the chart and kustomize make the same objects, that the API server takes each,
// that the real programs work with exactly those arguments and rights, and that an upgrade loses nothing.
package install

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"

	"github.com/windlass-dev/windlass/internal/devcluster"
	"github.com/windlass-dev/windlass/internal/testkit"
)

const (
	root      = "../.."
	namespace = "windlass-system"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// option is one way to install, by both tools.
type option struct {
	name       string
	base       string   // folder of config
	components []string // of config/components
	values     []string // of the chart
	patches    string   // of the overlay: YAML of kustomize's field patches
	old        bool     // for a server without MutatingAdmissionPolicy
}

var (
	plain    = option{name: "as it is", base: "default"}
	postgres = option{name: "PostgreSQL", base: "default", components: []string{"postgres"},
		values: []string{"gateway.ledger.type=PostgreSQL", "gateway.replicas=2"}}
	monitoring = []string{"monitoring.serviceMonitor.enabled=true", "monitoring.prometheusRule.enabled=true", "monitoring.dashboard.enabled=true",
		"monitoring.kubeStateMetrics.enabled=true"}
	scaled = []string{"gateway.ledger.type=PostgreSQL", "gateway.autoscaling.enabled=true", "manager.replicas=2"}
)

// options are all components, alone and together.
var options = []option{
	plain,
	{name: "without network policies", base: "base", values: []string{"networkPolicy.enabled=false"}},
	postgres,
	{name: "highly available", base: "default", components: []string{"ha"}, values: scaled},
	{name: "monitoring", base: "default", components: []string{"monitoring"}, values: monitoring},
	{name: "certificates", base: "default", components: []string{"cert-manager"}, values: []string{"certManager.enabled=true"}},
	{name: "TLS of the gateway", base: "default", components: []string{"gateway-tls"},
		values: []string{"gateway.tls.enabled=true", "gateway.tls.certManager.enabled=true"}},
	{name: "Kubernetes before 1.36", base: "default", components: []string{"without-stamp"}, old: true},
	{name: "identity of the machine", base: "default", components: []string{"machine-identity"},
		values: []string{"networkPolicy.machineIdentity=true", "gateway.s3.secretName="}},
	{name: "one namespace", base: "default", components: []string{"namespaced"}, values: []string{"rbac.scope=Namespace"}},
	{name: "everything", base: "default", components: []string{"monitoring", "cert-manager", "ha", "gateway-tls", "namespaced"},
		values: append(append([]string{"certManager.enabled=true", "gateway.tls.enabled=true", "gateway.tls.certManager.enabled=true",
			"rbac.scope=Namespace"}, monitoring...), scaled...)},
}

// kustomize builds an overlay as docs/install.md shows it.
func (o option) kustomize(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	dir := t.TempDir()
	config, err := filepath.Abs(filepath.Join(root, "config"))
	if err != nil {
		t.Fatal(err)
	}
	if config, err = filepath.Rel(resolved(t, dir), resolved(t, config)); err != nil {
		t.Fatal(err)
	}
	text := "resources:\n- " + filepath.Join(config, o.base) + "\ncomponents:\n"
	for _, c := range o.components {
		text += "- " + filepath.Join(config, "components", c) + "\n"
	}
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text+o.patches), 0o600); err != nil {
		t.Fatal(err)
	}
	return kustomize(t, dir)
}

func resolved(t *testing.T, dir string) string {
	t.Helper()
	out, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// kustomize builds a folder.
func kustomize(t *testing.T, dir string) []*unstructured.Unstructured {
	t.Helper()
	out, complaints, err := run(t, "kustomize", "build", dir)
	if err != nil || complaints != "" {
		t.Fatalf("kustomize build %s: %v\n%s", dir, err, complaints)
	}
	return decode(t, out)
}

// helm renders the chart as for a server of the version that the tests use. Version is helm3 or helm4.
func (o option) helm(t *testing.T, version string) []*unstructured.Unstructured {
	t.Helper()
	args := render(o.values)
	if o.old {
		args = slices.Replace(args, slices.Index(args, "--kube-version"), slices.Index(args, "--api-versions")+2, "--kube-version", "1.32.0")
	}
	out, complaints, err := run(t, version, args...)
	if err != nil {
		t.Fatalf("helm template: %v\n%s", err, complaints)
	}
	return decode(t, out)
}

func chart() string { return filepath.Join(root, "charts", "windlass") }

// render are the arguments that have Helm render the chart without a server.
func render(values []string) []string {
	args := []string{"template", "windlass", chart(), "--namespace", namespace, "--kube-version", "1.36.3",
		"--api-versions", "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"}
	for _, v := range values {
		args = append(args, "--set", v)
	}
	return args
}

// run runs a program that hack/bin.sh builds.
func run(t *testing.T, program string, args ...string) (out []byte, complaints string, err error) {
	t.Helper()
	path, err := devcluster.Binary(t.Context(), program)
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	return stdout.Bytes(), stderr.String(), err
}

// decode reads all objects of YAML documents.
func decode(t *testing.T, data []byte) []*unstructured.Unstructured {
	t.Helper()
	var out []*unstructured.Unstructured
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
	for {
		obj := &unstructured.Unstructured{}
		err := decoder.Decode(&obj.Object)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("read objects: %v", err)
		}
		if len(obj.Object) > 0 {
			out = append(out, obj)
		}
	}
}

func load(t *testing.T, path string) []*unstructured.Unstructured {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, data)
}

// id names an object for messages and maps.
func id(obj *unstructured.Unstructured) string {
	return strings.Join([]string{obj.GetKind(), obj.GetNamespace(), obj.GetName()}, "/")
}

// find gives the object of a kind and name.
func find(t *testing.T, objects []*unstructured.Unstructured, kind, name string) *unstructured.Unstructured {
	t.Helper()
	for _, obj := range objects {
		if obj.GetKind() == kind && obj.GetName() == name {
			return obj
		}
	}
	t.Fatalf("no %s %s is installed", kind, name)
	return nil
}
