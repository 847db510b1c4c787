// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"

	"github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/artifact"
	"github.com/windlass-dev/windlass/internal/author"
	"github.com/windlass-dev/windlass/internal/content"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/capgo"
	"github.com/windlass-dev/windlass/internal/testkit"
	"github.com/windlass-dev/windlass/internal/testkit/stack"
)

func appStores() *otav1alpha1.Admission {
	return &otav1alpha1.Admission{Content: &otav1alpha1.ContentPolicy{Profile: otav1alpha1.ContentProfileAppStores}}
}

const elf = "\x7fELF\x02\x01\x01"

// Native code under an innocent name does not get through to devices, until a person lets it pass by a command with a reason.
func nativeCodeOverridden(p *place) {
	p.open()
	stores, lab := p.channel("stores", appStores()), p.channel("lab", nil)
	b := p.bundle(1, p.www(1, map[string]string{"img/logo.png": elf + string(make([]byte, 64))}), "ci")
	p.Create(p.T, b)
	p.comes(b, metav1.ConditionTrue, "")
	p.denied(stores, b, otav1alpha1.BundleNotAdmittedReason, "content checks deny it (native-code)", "img/logo.png")
	p.offers(stores, nil, nil)
	p.release(lab, b) // which has no rules

	p.command(stores, "wrong-1", string(b.Spec.Digest)+" native-cod because")
	p.obeyed(stores, "wrong-1", otav1alpha1.CommandRefused)
	p.command(stores, "pass-1", string(b.Spec.Digest)+" native-code a demo that no store reviews")
	p.obeyed(stores, "pass-1", otav1alpha1.CommandAccepted)
	if o := stores.Status.Overrides; len(o) != 1 || o[0].Digest != b.Spec.Digest || !slices.Equal(o[0].Checks, []string{"native-code"}) ||
		o[0].Reason != "a demo that no store reviews" || o[0].By != "unverified" || o[0].At == nil {
		p.Errorf("overrides are %+v", o)
	}
	p.release(stores, b)
	other := p.bundle(2, p.www(2, map[string]string{"img/logo.png": elf + string(make([]byte, 64))}), "ci")
	p.Create(p.T, other)
	p.comes(other, metav1.ConditionTrue, "")
	p.denied(stores, other, otav1alpha1.BundleNotAdmittedReason, "native-code") // one digest was let pass, not the check
	p.offers(stores, nil, b)
}

// command gives the command override.
func (p *place) command(ch *otav1alpha1.Channel, id, args string) {
	p.Helper()
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:"override",%q:%q,%q:%q}}}`,
		otav1alpha1.CommandAnnotation, otav1alpha1.CommandIDAnnotation, id, otav1alpha1.CommandArgsAnnotation, args)
	if err := p.Client.Patch(p.Context(), ch, client.RawPatch("application/merge-patch+json", []byte(patch))); err != nil {
		p.Fatal(err)
	}
}

func (p *place) obeyed(ch *otav1alpha1.Channel, id string, result otav1alpha1.CommandResult) {
	p.Helper()
	gomega.NewWithT(p.T).Eventually(func(g gomega.Gomega) {
		g.Expect(p.read(ch)).To(gomega.Succeed())
		g.Expect(ch.Status.LastCommand).NotTo(gomega.BeNil())
		g.Expect(ch.Status.LastCommand.ID).To(gomega.Equal(id))
		g.Expect(ch.Status.LastCommand.Result).To(gomega.Equal(result), "%+v", ch.Status.LastCommand)
	}).WithTimeout(testkit.Timeout).WithPolling(testkit.Interval).Should(gomega.Succeed())
}

// What nobody can open is not admitted where there are rules, unless an authority signed what was in it: about this archive and
// this ciphertext.
func opaqueAttested(p *place) {
	p.open()
	stores := p.channel("stores", appStores())
	app := testkit.NewCapgoKey(p.T)
	closed, _ := p.encrypted(1, app)
	p.Create(p.T, closed)
	p.comes(closed, metav1.ConditionTrue, "")
	testkit.Eventually(p.T, p.Client, closed, testkit.HaveCondition(otav1alpha1.InspectedCondition, metav1.ConditionUnknown, otav1alpha1.NotOpenedReason))
	p.denied(stores, closed, otav1alpha1.BundleNotAdmittedReason, "content checks deny it (inspection)")
	p.offers(stores, nil, nil)

	b, plain := p.encrypted(2, app)
	statement, err := author.Statement(content.PredicateType, p.inspect(plain),
		author.Subject{Name: "www.zip", Digest: testkit.Digest(plain)}, author.Subject{Name: "www.zip.enc", Digest: string(b.Spec.Digest)})
	if err != nil {
		p.Fatal(err)
	}
	file, err := p.sigstore.SignStatement(issuer, workflow, statement)
	if err != nil {
		p.Fatal(err)
	}
	b.Spec.Attestations = []otav1alpha1.AttestationSource{{Inline: base64.StdEncoding.EncodeToString(file)}}
	p.Create(p.T, b)
	p.comes(b, metav1.ConditionTrue, "")
	if i := b.Status.Inspection; i == nil || i.By != otav1alpha1.InspectorAttestation || i.Authority != "github" {
		p.Errorf("inspection is %+v, want one that github attested", i)
	}
	p.comes(p.try(stores, b), metav1.ConditionTrue, otav1alpha1.CompletedReason)
	p.offersOpaque(stores, b, app)
}

// offersOpaque waits until the gateway offers a bundle to devices that have the key of the app, in the protocol that has words for
// that, with what opens it.
func (p *place) offersOpaque(ch *otav1alpha1.Channel, b *otav1alpha1.Bundle, key *testkit.CapgoKey) {
	p.Helper()
	device := stack.NewFleet(p.T, p.gateway, "production")
	ask := map[string]any{
		"platform": "android", "device_id": "device", "app_id": b.Spec.App, "custom_id": "", "version_build": "0.9.0", "version_code": "7",
		"version_os": "15", "version_name": "builtin", "plugin_version": "8.51.23", "is_emulator": false, "is_prod": true,
		"defaultChannel": ch.Name, "key_id": key.ID(),
	}
	gomega.NewWithT(p.T).Eventually(func(g gomega.Gomega) {
		var got struct {
			Version    string
			SessionKey string `json:"session_key"`
			Error      string
			Message    string
		}
		device.Post(capgo.CheckPath, ask, &got)
		g.Expect(got.Version).To(gomega.Equal(string(b.Spec.Version)), "%+v", got)
		g.Expect(got.SessionKey).To(gomega.Equal(b.Spec.Encryption.SessionKey))
	}).WithTimeout(testkit.Timeout).WithPolling(testkit.Interval).Should(gomega.Succeed())
}

// encrypted builds a Bundle of mode Opaque, which ci signed, and tells what is in it.
func (p *place) encrypted(n int, key *testkit.CapgoKey) (b *otav1alpha1.Bundle, plain []byte) {
	p.Helper()
	plain = p.www(n, nil)
	c := key.Encrypt(p.T, plain)
	b = p.bundle(n, c.Content, "ci")
	b.Spec.Encryption = &otav1alpha1.EncryptionSpec{Mode: otav1alpha1.EncryptionOpaque, SessionKey: c.SessionKey, Checksum: c.Checksum}
	return b, plain
}

// inspect does what kubectl windlass bundle inspect does in CI.
func (p *place) inspect(archive []byte) content.Report {
	p.Helper()
	scanner := content.NewScanner()
	if _, err := artifact.Scan(bytes.NewReader(archive), artifact.Limits{}, scanner.File); err != nil {
		p.Fatal(err)
	}
	return scanner.Report()
}
