// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/yaml"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// installed are the policies as config/policy has them, under the names that kustomize gives them.
func installed(t *testing.T) Policies {
	t.Helper()
	p := Policies{
		Authority: &admissionv1.ValidatingAdmissionPolicy{}, AuthorityBinding: &admissionv1.ValidatingAdmissionPolicyBinding{},
		Stamp: &admissionv1.MutatingAdmissionPolicy{}, StampBinding: &admissionv1.MutatingAdmissionPolicyBinding{},
	}
	for file, into := range map[string][]any{"authority.yaml": {p.Authority, p.AuthorityBinding}, "stamp.yaml": {p.Stamp, p.StampBinding}} {
		data, err := os.ReadFile(filepath.Join("../../config/policy", file))
		if err != nil {
			t.Fatal(err)
		}
		documents := strings.Split(string(data), "\n---\n")
		for i, obj := range into {
			if err := yaml.UnmarshalStrict([]byte(documents[i]), obj); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
		}
	}
	p.Authority.Name, p.AuthorityBinding.Name, p.AuthorityBinding.Spec.PolicyName = AuthorityPolicy, AuthorityPolicy, AuthorityPolicy
	p.Stamp.Name, p.StampBinding.Name = StampPolicy, StampPolicy
	return p
}

func TestDoubt(t *testing.T) {
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}
	ignore, deleted := admissionv1.Ignore, &metav1.Time{Time: time.Unix(1, 0)}
	cluster := admissionv1.ClusterScope
	for name, tc := range map[string]struct {
		change func(*Policies)
		want   string // empty: names can be relied on
	}{
		"as config has them":      {func(*Policies) {}, ""},
		"as servers fill them in": {func(p *Policies) { p.Stamp.Spec.MatchConstraints.NamespaceSelector = &metav1.LabelSelector{} }, ""},
		"no authority":            {func(p *Policies) { p.Authority = nil }, "ValidatingAdmissionPolicy windlass-authority is not installed"},
		"authority is not bound":  {func(p *Policies) { p.AuthorityBinding = nil }, "ValidatingAdmissionPolicyBinding windlass-authority is not"},
		"no stamp":                {func(p *Policies) { p.Stamp = nil }, "MutatingAdmissionPolicy windlass-stamp is not installed"},
		"stamp is not bound":      {func(p *Policies) { p.StampBinding = nil }, "MutatingAdmissionPolicyBinding windlass-stamp is not"},
		"authority warns": {func(p *Policies) {
			p.AuthorityBinding.Spec.ValidationActions = []admissionv1.ValidationAction{admissionv1.Warn}
		}, "without the action Deny"},
		"authority says nothing":       {func(p *Policies) { p.Authority.Spec.Validations = nil }, "has no validations"},
		"stamp stamps nothing":         {func(p *Policies) { p.Stamp.Spec.Mutations = nil }, "has no mutations"},
		"authority is ignored":         {func(p *Policies) { p.Authority.Spec.FailurePolicy = &ignore }, "failurePolicy Ignore"},
		"stamp is ignored":             {func(p *Policies) { p.Stamp.Spec.FailurePolicy = &ignore }, "failurePolicy Ignore"},
		"authority of another":         {func(p *Policies) { p.AuthorityBinding.Spec.PolicyName = "x" }, "binding for another policy, x"},
		"stamp of another":             {func(p *Policies) { p.StampBinding.Spec.PolicyName = "x" }, "binding for another policy, x"},
		"authority with parameters":    {func(p *Policies) { p.AuthorityBinding.Spec.ParamRef = &admissionv1.ParamRef{} }, "with parameters"},
		"stamp with conditions":        {func(p *Policies) { p.Stamp.Spec.MatchConditions = []admissionv1.MatchCondition{{}} }, "has matchConditions"},
		"stamp is being deleted":       {func(p *Policies) { p.StampBinding.DeletionTimestamp = deleted }, "is being deleted"},
		"authority of some namespaces": {func(p *Policies) { p.Authority.Spec.MatchConstraints.NamespaceSelector = selector }, "selects namespaces"},
		"bound in some namespaces": {func(p *Policies) {
			p.AuthorityBinding.Spec.MatchResources = &admissionv1.MatchResources{NamespaceSelector: selector}
		}, "selects namespaces"},
		"stamp of some objects": {func(p *Policies) { p.Stamp.Spec.MatchConstraints.ObjectSelector = selector }, "selects objects"},
		"stamp bound for some resources": {func(p *Policies) {
			p.StampBinding.Spec.MatchResources = &admissionv1.MatchResources{ResourceRules: make([]admissionv1.NamedRuleWithOperations, 1)}
		}, "for some resources only"},
		"stamp but for some resources": {func(p *Policies) {
			p.Stamp.Spec.MatchConstraints.ExcludeResourceRules = make([]admissionv1.NamedRuleWithOperations, 1)
		}, "excludes resources"},
		"stamp matches nothing": {func(p *Policies) { p.Stamp.Spec.MatchConstraints = nil }, "matches nothing"},
		"stamp of no Rollouts": {func(p *Policies) {
			p.Stamp.Spec.MatchConstraints.ResourceRules[0].Resources = []string{"channels", "repositories"}
		}, "does not match create of rollouts"},
		"stamp of new objects": {func(p *Policies) {
			p.Stamp.Spec.MatchConstraints.ResourceRules[0].Operations = []admissionv1.OperationType{admissionv1.Create}
		}, "does not match update of channels"},
		"authority of one version": {func(p *Policies) {
			p.Authority.Spec.MatchConstraints.ResourceRules[0].APIVersions = []string{"v1alpha1"}
		}, "does not match"},
		"authority of some names":   {func(p *Policies) { p.Authority.Spec.MatchConstraints.ResourceRules[0].ResourceNames = []string{"a"} }, "does not match"},
		"authority of no namespace": {func(p *Policies) { p.Authority.Spec.MatchConstraints.ResourceRules[0].Scope = &cluster }, "does not match"},
	} {
		p := installed(t)
		tc.change(&p)
		if got := Doubt(p); (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

// TestWitness asks at most once a minute, believes a server that does not know the kinds, and soon asks again for what it could not read.
func TestWitness(t *testing.T) {
	p := installed(t)
	var asked int
	var fails error
	live := interceptor.NewClient(fake.NewClientBuilder().WithScheme(scheme.Scheme).
		WithObjects(p.Authority, p.AuthorityBinding, p.Stamp, p.StampBinding).Build(), interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
			if asked++; fails != nil {
				return fails
			}
			return c.Get(ctx, key, obj, opts...)
		},
	})
	now := time.Unix(1_800_000_000, 0)
	w := &Witness{Live: live, Now: func() time.Time { return now }}
	look := func(want otav1alpha1.Actor, doubt string, gets int) {
		t.Helper()
		asked = 0
		if got := Asker(w.Trust).Ask(t.Context()); got.Actor != want || !strings.Contains(got.Doubt, doubt) || (doubt == "") != (got.Doubt == "") || asked != gets {
			t.Errorf("%+v after %d questions, want %s, %q after %d", got, asked, want, doubt, gets)
		}
	}
	look(otav1alpha1.ActorVerified, "", 4)
	look(otav1alpha1.ActorVerified, "", 0)
	now = now.Add(Remembered)
	if err := live.Delete(t.Context(), p.Stamp); err != nil {
		t.Fatal(err)
	}
	look(otav1alpha1.ActorUnverified, "MutatingAdmissionPolicy windlass-stamp is not installed", 4)
	look(otav1alpha1.ActorUnverified, "is not installed", 0)
	for _, err := range []error{ // an older server, and a manager without the role
		&apimeta.NoKindMatchError{GroupKind: schema.GroupKind{Kind: "MutatingAdmissionPolicy"}},
		apierrors.NewForbidden(schema.GroupResource{}, "x", nil),
	} {
		now, fails = now.Add(Remembered), err
		look(otav1alpha1.ActorUnverified, "may not get it", 4)
		look(otav1alpha1.ActorUnverified, "may not get it", 0)
	}
	now, fails = now.Add(Remembered), errors.New("connection refused")
	look(otav1alpha1.ActorUnverified, "cannot be read: connection refused", 1)
	look(otav1alpha1.ActorUnverified, "cannot be read: connection refused", 0)
	now, fails = now.Add(readTimeout), nil
	look(otav1alpha1.ActorUnverified, "windlass-stamp is not installed", 4)
	if got := Asker(nil).Ask(t.Context()); got.Actor != otav1alpha1.ActorUnverified || got.Doubt == "" {
		t.Errorf("nobody asked: %+v", got)
	}
}
