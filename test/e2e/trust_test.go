// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// What may be released, from the author's key to what a gateway tells devices, with every controller at work. The stories share a
// manager, and each has a Repository and a gateway of its own.
func TestTrust(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.Allowed = "127.0.0.1"
	r.StartManager("--recheck-interval", "1s")
	for name, story := range map[string]func(*place){
		"both": bothRequired, "removed": authorityRemoved, "ended": authorityEnded, "root": trustedRootChanged,
		"floor": floorRaised, "offline": floorSignedOffline, "native": nativeCodeOverridden, "opaque": opaqueAttested, "redirect": redirectDenied,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			story(r.place(t, name))
		})
	}
}

// A channel that requires two authorities, and one with a quorum: one signature is not enough, two are, and once one of them counts
// no more the bundle is withdrawn from both, though it is Ready still. Trust that comes back brings nothing back by itself.
func bothRequired(p *place) {
	p.open()
	production := p.channel("production", &otav1alpha1.Admission{RequiredAuthorities: []string{"ci", "github"}})
	beta := p.channel("beta", &otav1alpha1.Admission{Quorums: []otav1alpha1.Quorum{{Required: 2, Authorities: []string{"ci", "github", "lead"}}}})
	one, both := p.ready(1, "ci"), p.ready(2, "ci", "github")
	p.denied(production, one, otav1alpha1.BundleNotAdmittedReason, "requires signatures of ci, github", "missing github")
	p.denied(beta, one, otav1alpha1.BundleNotAdmittedReason, "requires signatures of 2 of ci, github, lead", "signed by ci")
	p.release(production, both)
	p.release(beta, both)

	p.trust(p.byKey(p.author), p.byKey(p.lead))
	p.withdrawn(production, both, nil, "bundle/"+both.Name, "no longer trusted: signatures of github do not count any more: authority github was removed")
	p.withdrawn(beta, both, nil, "bundle/"+both.Name, "no longer trusted: signatures of github", "do not count any more: authority github was removed")
	p.comes(both, metav1.ConditionTrue, "")

	p.trust(p.byKey(p.author), p.byKey(p.lead), p.github())
	testkit.Eventually(p.T, p.Client, both, testkit.HaveMessage(otav1alpha1.ReadyCondition, "signed by ci, github"))
	testkit.StandStill(p.T, p.Client, production, beta, both)
	for _, ch := range []*otav1alpha1.Channel{production, beta} {
		p.withdrawn(ch, both, nil, "bundle/"+both.Name, "no longer trusted")
	}
}

// lost releases what lead signed and then what another authority signed, and takes the trust in that one away.
func (p *place) lost(authority string, edit func(), parts ...string) {
	p.Helper()
	p.open()
	production := p.channel("production", nil)
	before, b := p.ready(1, "lead"), p.ready(2, authority)
	p.release(production, before)
	p.release(production, b)
	edit()
	testkit.Eventually(p.T, p.Client, b, testkit.HaveCondition(otav1alpha1.VerifiedCondition, metav1.ConditionFalse, otav1alpha1.SignatureInvalidReason),
		testkit.HaveMessage(otav1alpha1.VerifiedCondition, parts...), testkit.HaveMessage(otav1alpha1.ReadyCondition, parts...))
	testkit.CheckStatus(p.T, b)
	p.withdrawn(production, b, before, "bundle/"+b.Name, append(parts, "no longer trusted: SignatureInvalid")...)
	p.comes(before, metav1.ConditionTrue, "")
	testkit.StandStill(p.T, p.Client, production, b, before)
}

func authorityRemoved(p *place) {
	p.lost("ci", func() { p.trust(p.byKey(p.lead), p.github()) }, "authority ci was removed")
}

func authorityEnded(p *place) {
	ended := p.byKey(p.author)
	ended.NotAfter = new(metav1.NewTime(time.Now().Add(-time.Hour)))
	p.lost("ci", func() { p.trust(ended, p.byKey(p.lead), p.github()) }, "after authority ci's notAfter", "no longer valid: ci")
}

func trustedRootChanged(p *place) {
	p.lost("github", func() {
		patch := client.MergeFrom(p.root.DeepCopyObject().(*corev1.ConfigMap))
		p.root.Data["trusted_root.json"] = string(newSigstore(p.T).TrustedRoot())
		if err := p.Client.Patch(p.Context(), p.root, patch); err != nil {
			p.Fatal(err)
		}
	}, "authority github now expects", "under the trusted root sha256:")
}
