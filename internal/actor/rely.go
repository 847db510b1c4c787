// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package actor tells whether the names of people on objects can be relied on. The API server stamps them, and keeps anybody from
// writing another's (config/policy), if two policies are installed and nothing narrows them. The rule is pure; Witness asks the server.
package actor

import (
	"fmt"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// Names of the policies, and of their bindings.
const (
	AuthorityPolicy = "windlass-authority" // a ValidatingAdmissionPolicy
	StampPolicy     = "windlass-stamp"     // a MutatingAdmissionPolicy
)

// Policies are what is installed under these names. Nil: it is not there.
type Policies struct {
	Authority        *admissionv1.ValidatingAdmissionPolicy
	AuthorityBinding *admissionv1.ValidatingAdmissionPolicyBinding
	Stamp            *admissionv1.MutatingAdmissionPolicy
	StampBinding     *admissionv1.MutatingAdmissionPolicyBinding
}

// stamped are the resources that people give commands to, or whose spec has an author.
var stamped = []string{"channels", "repositories", "rollouts"}

// Doubt says why the names cannot be relied on; empty: they can.
func Doubt(p Policies) string {
	switch {
	case p.Authority == nil:
		return missing("ValidatingAdmissionPolicy", AuthorityPolicy)
	case p.AuthorityBinding == nil:
		return missing("ValidatingAdmissionPolicyBinding", AuthorityPolicy)
	case p.Stamp == nil:
		return missing("MutatingAdmissionPolicy", StampPolicy)
	case p.StampBinding == nil:
		return missing("MutatingAdmissionPolicyBinding", StampPolicy)
	}
	if flaw := authorityFlaw(p.Authority, p.AuthorityBinding); flaw != "" {
		return "ValidatingAdmissionPolicy " + AuthorityPolicy + " " + flaw + anew
	}
	if flaw := stampFlaw(p.Stamp, p.StampBinding); flaw != "" {
		return "MutatingAdmissionPolicy " + StampPolicy + " " + flaw + anew
	}
	return ""
}

const anew = ": install it as config/policy has it"

func missing(kind, name string) string {
	return kind + " " + name + " is not installed, or the manager may not get it (config/policy and config/rbac have it; it takes Kubernetes 1.36)"
}

func authorityFlaw(p *admissionv1.ValidatingAdmissionPolicy, b *admissionv1.ValidatingAdmissionPolicyBinding) string {
	switch {
	case !slices.Contains(b.Spec.ValidationActions, admissionv1.Deny):
		return "is bound without the action Deny"
	case len(p.Spec.Validations) == 0:
		return "has no validations"
	}
	return firstOf(
		bound(b.Spec.PolicyName, p.Name, b.Spec.ParamRef != nil),
		strict(p.Spec.FailurePolicy, len(p.Spec.MatchConditions), p.DeletionTimestamp, b.DeletionTimestamp),
		whole(p.Spec.MatchConstraints), unnarrowed(b.Spec.MatchResources))
}

func stampFlaw(p *admissionv1.MutatingAdmissionPolicy, b *admissionv1.MutatingAdmissionPolicyBinding) string {
	if len(p.Spec.Mutations) == 0 {
		return "has no mutations"
	}
	return firstOf(
		bound(b.Spec.PolicyName, p.Name, b.Spec.ParamRef != nil),
		strict(p.Spec.FailurePolicy, len(p.Spec.MatchConditions), p.DeletionTimestamp, b.DeletionTimestamp),
		whole(p.Spec.MatchConstraints), unnarrowed(b.Spec.MatchResources))
}

func firstOf(flaws ...string) string {
	for _, f := range flaws {
		if f != "" {
			return f
		}
	}
	return ""
}

// bound says how a binding does not bind the policy as it is.
func bound(to, policy string, params bool) string {
	switch {
	case to != policy:
		return "has a binding for another policy, " + to
	case params:
		return "is bound with parameters, which may be missing"
	}
	return ""
}

// strict says how a policy lets writes through that it was not asked about.
func strict(failure *admissionv1.FailurePolicyType, conditions int, deleted ...*metav1.Time) string {
	switch {
	case failure != nil && *failure != admissionv1.Fail:
		return "has failurePolicy " + string(*failure) + ", want Fail"
	case conditions > 0:
		return "has matchConditions, which let writes through"
	case slices.ContainsFunc(deleted, func(at *metav1.Time) bool { return at != nil }):
		return "is being deleted"
	}
	return ""
}

// whole says which writes of Windlass' objects a policy is not asked about.
func whole(m *admissionv1.MatchResources) string {
	if m == nil {
		return "matches nothing"
	}
	if flaw := selects(m); flaw != "" {
		return flaw
	}
	for _, resource := range stamped {
		for _, operation := range []admissionv1.OperationType{admissionv1.Create, admissionv1.Update} {
			if !slices.ContainsFunc(m.ResourceRules, func(r admissionv1.NamedRuleWithOperations) bool { return covers(r, resource, operation) }) {
				return fmt.Sprintf("does not match %s of %s", strings.ToLower(string(operation)), resource)
			}
		}
	}
	return ""
}

// unnarrowed says how a binding leaves out what its policy matches.
func unnarrowed(m *admissionv1.MatchResources) string {
	switch {
	case m == nil:
		return ""
	case len(m.ResourceRules) > 0:
		return "is bound for some resources only"
	}
	return selects(m)
}

// selects says which objects are left out by where or what they are.
func selects(m *admissionv1.MatchResources) string {
	var all metav1.LabelSelector
	switch {
	case m.NamespaceSelector != nil && !apiequality.Semantic.DeepEqual(*m.NamespaceSelector, all):
		return "selects namespaces"
	case m.ObjectSelector != nil && !apiequality.Semantic.DeepEqual(*m.ObjectSelector, all):
		return "selects objects"
	case len(m.ExcludeResourceRules) > 0:
		return "excludes resources"
	}
	return ""
}

// covers tells whether a rule matches an operation on all objects of a resource, in all versions of the API.
func covers(r admissionv1.NamedRuleWithOperations, resource string, operation admissionv1.OperationType) bool {
	has := func(list []string, want string) bool {
		return slices.Contains(list, want) || slices.Contains(list, "*")
	}
	return len(r.ResourceNames) == 0 && has(r.APIGroups, otav1alpha1.Group) && slices.Contains(r.APIVersions, "*") && has(r.Resources, resource) &&
		(slices.Contains(r.Operations, operation) || slices.Contains(r.Operations, admissionv1.OperationAll)) &&
		(r.Scope == nil || *r.Scope == admissionv1.AllScopes || *r.Scope == admissionv1.NamespacedScope)
}
