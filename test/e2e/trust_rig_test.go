// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/base64"
	"fmt"
	"maps"
	"testing"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/native"
	"github.com/windlass-dev/windlass/internal/testkit"
	"github.com/windlass-dev/windlass/internal/testkit/stack"
)

// The keyless identity that the authority github stands for.
const (
	issuer   = "https://ci.test"
	workflow = "https://ci.test/shop/release.yml@refs/heads/main"
)

// place is a Repository of its own, with a gateway, in a world whose manager several tests share. It trusts ci and lead by key and
// github by identity.
type place struct {
	*rig
	repo     *otav1alpha1.Repository
	lead     *testkit.Author
	sigstore *testkit.Sigstore
	root     *corev1.ConfigMap // the trusted root of github
	gateway  string            // URL
}

// place makes one. Nothing is created yet.
func (r *rig) place(t *testing.T, name string) *place {
	t.Helper()
	own := *r
	own.T, own.Stack = t, r.For(t, name)
	p := &place{rig: &own, lead: testkit.NewAuthor(t, "lead"), sigstore: newSigstore(t)}
	p.root = &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: r.Namespace, Name: name + "-sigstore"},
		Data:       map[string]string{"trusted_root.json": string(p.sigstore.TrustedRoot())},
	}
	p.repo = p.Repository(r.Bucket)
	p.repo.Name, p.repo.Spec.Storage.Prefix = name, name
	p.repo.Spec.Trust.Authorities = []otav1alpha1.Authority{p.byKey(p.author), p.byKey(p.lead), p.github()}
	return p
}

func newSigstore(t *testing.T) *testkit.Sigstore {
	t.Helper()
	s, err := testkit.NewSigstore()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// open creates the Repository and starts a gateway on what it publishes.
func (p *place) open() {
	p.Helper()
	p.Create(p.T, p.root, p.repo)
	p.comes(p.repo, metav1.ConditionTrue, "")
	p.gateway = "http://" + p.StartGateway(p.FreeAddress(), "")
}

func (p *place) byKey(a *testkit.Author) otav1alpha1.Authority {
	return otav1alpha1.Authority{Name: a.Name, PublicKey: &otav1alpha1.PublicKeySource{Inline: a.PublicPEM()}}
}

func (p *place) github() otav1alpha1.Authority {
	return otav1alpha1.Authority{Name: "github", Keyless: &otav1alpha1.KeylessIdentity{
		Issuer: issuer, Subject: workflow, TrustedRootConfigMapRef: otav1alpha1.KeyReference{Name: p.root.Name, Key: "trusted_root.json"},
	}}
}

// trust changes whom the Repository trusts.
func (p *place) trust(authorities ...otav1alpha1.Authority) {
	p.Helper()
	p.change(func() { p.repo.Spec.Trust.Authorities = authorities })
}

// change edits the Repository by a patch: the manager writes its status meanwhile.
func (p *place) change(edit func()) {
	p.Helper()
	patch := client.MergeFrom(p.repo.DeepCopy())
	edit()
	if err := p.Client.Patch(p.Context(), p.repo, patch); err != nil {
		p.Fatal(err)
	}
}

func (p *place) channel(name string, admission *otav1alpha1.Admission) *otav1alpha1.Channel {
	p.Helper()
	ch := p.Channel(p.Prefix + "-" + name)
	ch.Spec.RepositoryRef, ch.Spec.Admission = &otav1alpha1.LocalReference{Name: p.Prefix}, admission
	p.Create(p.T, ch)
	return ch
}

// bundle builds version 1.n.0, signed by authorities.
func (p *place) bundle(n int, content []byte, by ...string) *otav1alpha1.Bundle {
	p.Helper()
	name := fmt.Sprintf("%s-%d", p.Prefix, n)
	b := p.Bundle(name, fmt.Sprintf("1.%d.0", n), p.site.Publish(p.T, "/"+name, content))
	b.Spec.RepositoryRef = &otav1alpha1.LocalReference{Name: p.Prefix}
	for _, authority := range by {
		b.Spec.Signatures = append(b.Spec.Signatures, otav1alpha1.SignatureSource{Inline: p.sign(authority, content)})
	}
	return b
}

// sign gives a signature in base64.
func (p *place) sign(authority string, content []byte) string {
	p.Helper()
	switch authority {
	case "ci":
		return p.author.Sign(p.T, content)
	case "lead":
		return p.lead.Sign(p.T, content)
	}
	file, err := p.sigstore.SignBlob(issuer, workflow, content)
	if err != nil {
		p.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(file)
}

// www is a web build that no other place has, with more files.
func (p *place) www(n int, more map[string]string) []byte {
	p.Helper()
	files := map[string]string{"index.html": fmt.Sprintf("<h1>%s %d</h1>", p.Prefix, n)}
	maps.Copy(files, more)
	return testkit.Zip(p.T, files)
}

// ready creates a Bundle of a web build and waits until it could be released.
func (p *place) ready(n int, by ...string) *otav1alpha1.Bundle {
	p.Helper()
	b := p.bundle(n, p.www(n, nil), by...)
	p.Create(p.T, b)
	p.comes(b, metav1.ConditionTrue, "")
	return b
}

// try lets the one Rollout of a channel release a bundle.
func (p *place) try(ch *otav1alpha1.Channel, b *otav1alpha1.Bundle) *otav1alpha1.Rollout {
	p.Helper()
	o := p.Rollout(ch.Name, ch.Name, b.Name)
	if err := p.read(o); err != nil {
		p.Create(p.T, o)
		return o
	}
	p.patch(o, fmt.Sprintf(`{"bundleRef":{"name":%q}}`, b.Name))
	return o
}

// release makes a bundle stable and waits until the gateway offers it.
func (p *place) release(ch *otav1alpha1.Channel, b *otav1alpha1.Bundle) {
	p.Helper()
	p.comes(p.try(ch, b), metav1.ConditionTrue, otav1alpha1.CompletedReason)
	p.offers(ch, nil, b)
}

// denied tries to release a bundle and waits for the reason why that does not happen.
func (p *place) denied(ch *otav1alpha1.Channel, b *otav1alpha1.Bundle, reason string, parts ...string) {
	p.Helper()
	o := p.try(ch, b)
	p.comes(o, metav1.ConditionFalse, reason)
	testkit.Eventually(p.T, p.Client, o, testkit.HaveMessage(otav1alpha1.ReadyCondition, parts...))
	testkit.CheckStatus(p.T, o)
}

// offers waits until the gateway sends a device that runs one bundle to another. Nil is the app's embedded one.
func (p *place) offers(ch *otav1alpha1.Channel, running, want *otav1alpha1.Bundle) {
	p.Helper()
	device := stack.NewFleet(p.T, p.gateway, "production")
	ask := native.CheckRequest{App: string(ch.Spec.App), Channel: ch.Name, DeviceID: "device", Platform: "ios", NativeVersion: "0.9.0"}
	action := "none"
	if running != nil {
		ask.Current.Digest, action = string(running.Spec.Digest), "reset"
	}
	gomega.NewWithT(p.T).Eventually(func(g gomega.Gomega) {
		var got native.CheckResponse
		device.Post(native.CheckPath, ask, &got)
		if want == nil {
			g.Expect(got.Action).To(gomega.Equal(action), "%+v", got)
			return
		}
		g.Expect(got.Bundle).NotTo(gomega.BeNil(), "%+v", got)
		g.Expect(got.Bundle.Digest).To(gomega.Equal(string(want.Spec.Digest)))
	}).WithTimeout(testkit.Timeout).WithPolling(testkit.Interval).Should(gomega.Succeed())
}

// withdrawn waits until a channel refuses a bundle for a reason that people can read, and serves another one. Devices that run
// it are sent there. Nil is the embedded one.
func (p *place) withdrawn(ch *otav1alpha1.Channel, b, instead *otav1alpha1.Bundle, by string, parts ...string) {
	p.Helper()
	gomega.NewWithT(p.T).Eventually(func(g gomega.Gomega) {
		g.Expect(p.read(ch)).To(gomega.Succeed())
		i := refusal(ch, b)
		g.Expect(i).NotTo(gomega.BeNil(), "channel %s does not refuse %s: %+v", ch.Name, b.Name, ch.Status)
		g.Expect(i.By).To(gomega.Equal(by))
		for _, part := range parts {
			g.Expect(i.Reason).To(gomega.ContainSubstring(part))
		}
		if instead == nil {
			g.Expect(ch.Status.Stable).To(gomega.BeNil())
			return
		}
		g.Expect(ch.Status.Stable).NotTo(gomega.BeNil())
		g.Expect(ch.Status.Stable.Digest).To(gomega.Equal(instead.Spec.Digest))
	}).WithTimeout(testkit.Timeout).WithPolling(testkit.Interval).Should(gomega.Succeed())
	p.comes(ch, metav1.ConditionTrue, otav1alpha1.PublishedReason)
	testkit.CheckStatus(p.T, ch)
	p.offers(ch, b, instead)
	p.offers(ch, nil, instead)
}

func refusal(ch *otav1alpha1.Channel, b *otav1alpha1.Bundle) *otav1alpha1.RefusedBundle {
	for i := range ch.Status.Refused {
		if ch.Status.Refused[i].Digest == b.Spec.Digest {
			return &ch.Status.Refused[i]
		}
	}
	return nil
}
