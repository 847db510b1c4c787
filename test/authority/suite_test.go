// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package authority asks a real API server, with the roles and policies of config, who may do what: a matrix of roles, Channels and
// actions, ideas to get around approvals and names, and the story of a release that people have to approve.
package authority

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/windlass-dev/windlass/internal/devcluster"
	"github.com/windlass-dev/windlass/internal/testkit"
)

const root = "../.."

func TestMain(m *testing.M) { testkit.Main(m) }

// fieldOwner of what a cluster administrator installs.
const fieldOwner = client.FieldOwner("install")

// installed are the kinds that say who may do what.
var installed = []string{
	"ClusterRole", "ClusterRoleBinding", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
	"MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding",
}

// install puts the roles and policies of config/base onto the server, as kubectl apply -k does. Without is a kind that is left out.
func install(t *testing.T, env *testkit.Env, without ...string) {
	t.Helper()
	for _, obj := range built(t) {
		if !slices.Contains(installed, obj.GetKind()) || slices.Contains(without, obj.GetKind()) {
			continue
		}
		if err := env.Client.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(obj), fieldOwner, client.ForceOwnership); err != nil {
			t.Fatalf("apply %s %s: %v", obj.GetKind(), obj.GetName(), err)
		}
		t.Cleanup(func() { // other tests do without
			if err := env.Client.Delete(context.WithoutCancel(t.Context()), obj); client.IgnoreNotFound(err) != nil {
				t.Error(err)
			}
		})
	}
}

// built is what kustomize makes of config/base.
func built(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	kustomize, err := devcluster.Binary(t.Context(), "kustomize")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), kustomize, "build", filepath.Join(root, "config", "base")).Output()
	if err != nil {
		t.Fatalf("kustomize build config/base: %v", err)
	}
	var objects []*unstructured.Unstructured
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(out), 4096)
	for {
		obj := &unstructured.Unstructured{}
		if err := decoder.Decode(&obj.Object); errors.Is(err, io.EOF) {
			return objects
		} else if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, obj)
	}
}

// as is a client of a user whom the API server takes for authenticated. Nobody here is a member of system:masters.
func as(t *testing.T, env *testkit.Env, user string, groups ...string) client.Client {
	t.Helper()
	config := rest.CopyConfig(env.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: append(groups, "system:authenticated")}
	c, err := client.New(config, client.Options{Scheme: env.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// bind gives a user a ClusterRole in the test's namespace.
func bind(t *testing.T, env *testkit.Env, user, role string) {
	t.Helper()
	env.Create(t, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: env.Namespace, GenerateName: "test-"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}},
	})
}
