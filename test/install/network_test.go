// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// TestNetwork_secondRepository holds that the manager reaches gateways in its own namespace and in another one, and that this lets nobody
// else in or out.
func TestNetwork_secondRepository(t *testing.T) {
	t.Parallel()
	for tool, objects := range map[string][]*unstructured.Unstructured{"kustomize": plain.kustomize(t), "helm": plain.helm(t, "helm4")} {
		manager, gateway := policyOf(t, objects, "windlass-manager"), policyOf(t, objects, "windlass-gateway")
		pods := map[string]labels.Set{}
		for name, kind := range map[string]string{"manager": "Deployment", "gateway": "StatefulSet"} {
			pods[name] = podOf(t, find(t, objects, kind, "windlass-"+name)).Labels
		}
		pods["stranger"] = labels.Set{"app.kubernetes.io/name": "shop"}
		var out, in []networkingv1.NetworkPolicyPeer
		for _, rule := range manager.Spec.Egress {
			if slices.ContainsFunc(rule.Ports, isPort(intstr.FromInt32(8081))) {
				out = append(out, rule.To...)
			}
		}
		for _, rule := range gateway.Spec.Ingress {
			if slices.ContainsFunc(rule.Ports, isPort(intstr.FromString("internal"))) {
				in = append(in, rule.From...)
			}
		}
		for _, other := range []string{namespace, "shop"} {
			for name, pod := range pods {
				if got, want := selects(t, out, other, pod), name == "gateway"; got != want {
					t.Errorf("%s: the manager reaches 8081 of a %s in %s: %t, want %t", tool, name, other, got, want)
				}
				if got, want := selects(t, in, other, pod), name == "manager"; got != want {
					t.Errorf("%s: a %s in %s reaches 8081 of the gateway: %t, want %t", tool, name, other, got, want)
				}
			}
		}
		if !selects(t, in, "monitoring", pods["stranger"]) {
			t.Errorf("%s: Prometheus does not reach the gateway", tool)
		}
	}
}

// TestNetwork_machineIdentity holds that nothing reaches the services of the node unless it is told to, and the gateway not when it has
// keys.
func TestNetwork_machineIdentity(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		values           []string
		manager, gateway bool
	}{
		"as it is":          {},
		"without keys":      {values: []string{"gateway.s3.secretName="}},
		"allowed":           {values: []string{"networkPolicy.machineIdentity=true", "gateway.s3.secretName="}, manager: true, gateway: true},
		"allowed with keys": {values: []string{"networkPolicy.machineIdentity=true"}, manager: true},
	} {
		objects := option{values: tc.values}.helm(t, "helm4")
		for component, want := range map[string]bool{"manager": tc.manager, "gateway": tc.gateway} {
			for _, host := range []string{"169.254.169.254/32", "169.254.170.23/32"} {
				if got := reaches(policyOf(t, objects, "windlass-"+component), host); got != want {
					t.Errorf("%s: the %s reaches %s: %t, want %t", name, component, host, got, want)
				}
			}
		}
	}
}

// reaches says whether a rule of its own lets pods to port 80 of an address, or one lets them to it at every address.
func reaches(policy *networkingv1.NetworkPolicy, cidr string) bool {
	return slices.ContainsFunc(policy.Spec.Egress, func(rule networkingv1.NetworkPolicyEgressRule) bool {
		named := len(rule.To) == 0 || slices.ContainsFunc(rule.To, func(to networkingv1.NetworkPolicyPeer) bool {
			return to.IPBlock != nil && to.IPBlock.CIDR == cidr
		})
		return named && (len(rule.Ports) == 0 || slices.ContainsFunc(rule.Ports, isPort(intstr.FromInt32(80))))
	})
}

func policyOf(t *testing.T, objects []*unstructured.Unstructured, name string) *networkingv1.NetworkPolicy {
	t.Helper()
	out := &networkingv1.NetworkPolicy{}
	convert(t, find(t, objects, "NetworkPolicy", name), out)
	return out
}

func isPort(want intstr.IntOrString) func(networkingv1.NetworkPolicyPort) bool {
	return func(p networkingv1.NetworkPolicyPort) bool { return p.Port != nil && *p.Port == want }
}

// selects says whether one of the peers is a pod with these labels in a namespace, for a policy in namespace windlass-system.
func selects(t *testing.T, peers []networkingv1.NetworkPolicyPeer, home string, pod labels.Set) bool {
	t.Helper()
	return slices.ContainsFunc(peers, func(peer networkingv1.NetworkPolicyPeer) bool {
		inside := home == namespace
		if peer.NamespaceSelector != nil {
			inside = matches(t, peer.NamespaceSelector, labels.Set{corev1.LabelMetadataName: home})
		}
		return inside && (peer.PodSelector == nil || matches(t, peer.PodSelector, pod))
	})
}

func matches(t *testing.T, selector *metav1.LabelSelector, set labels.Set) bool {
	t.Helper()
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	return s.Matches(set)
}
