// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/ceremony"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// floor asks for the least version of the app.
func (p *place) floor(version string) {
	p.Helper()
	p.change(func() {
		p.repo.Spec.Floors = []otav1alpha1.Floor{{App: testkit.App, MinVersion: otav1alpha1.Version(version), Reason: "a stolen session key"}}
	})
}

func (p *place) floors(status metav1.ConditionStatus, reason string, parts ...string) {
	p.Helper()
	testkit.Eventually(p.T, p.Client, p.repo, testkit.BeObserved(), testkit.HaveCondition(otav1alpha1.FloorsPublishedCondition, status, reason),
		testkit.HaveMessage(otav1alpha1.FloorsPublishedCondition, parts...))
	testkit.CheckStatus(p.T, p.repo)
}

// A floor withdraws what is below it, at once and for ever: neither a lower one nor a release brings it back.
func floorRaised(p *place) {
	p.open()
	production := p.channel("production", nil)
	old, b := p.ready(1, "ci"), p.ready(2, "ci")
	p.release(production, old)
	p.release(production, b)

	const below = "is below the floor 1.3.0 of the Repository, withdrawn for security"
	p.floor("1.3.0")
	p.floors(metav1.ConditionTrue, otav1alpha1.SucceededReason)
	for _, gone := range []*otav1alpha1.Bundle{old, b} {
		p.withdrawn(production, gone, nil, "repository/"+p.repo.Name, "version "+string(gone.Spec.Version)+" "+below)
	}
	p.floor("1.0.0")
	p.floors(metav1.ConditionFalse, otav1alpha1.FloorLoweredReason, "app "+testkit.App+" keeps 1.3.0, the spec has 1.0.0")
	testkit.StandStill(p.T, p.Client, production, p.repo)
	p.denied(production, p.ready(0, "ci"), otav1alpha1.BundleNotAdmittedReason, "version 1.0.0 "+below)
	p.denied(production, old, otav1alpha1.BundleRefusedReason)
	p.withdrawn(production, b, nil, "repository/"+p.repo.Name, below)
	p.release(production, p.ready(3, "ci"))
}

// Where the root keys are kept offline, the manager asks for what it cannot sign: one of three holders is not enough, two are.
func floorSignedOffline(p *place) {
	made, err := ceremony.Init(ceremony.Params{Generate: 3, Threshold: 2, Life: 365 * 24 * time.Hour, Now: time.Now()})
	if err != nil {
		p.Fatal(err)
	}
	keys, roots := p.Prefix+"-keys", p.Prefix+"-roots"
	p.repo.Spec.Signing = &otav1alpha1.SigningSpec{
		KeysSecretRef: &otav1alpha1.LocalReference{Name: keys}, RootConfigMapRef: &otav1alpha1.LocalReference{Name: roots},
	}
	files := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: roots}, Data: map[string]string{"1.root.json": string(made.Root)}}
	p.Create(p.T, files, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: keys}, Data: made.Online})
	p.open()
	production := p.channel("production", nil)
	b := p.ready(1, "ci")
	p.release(production, b)

	p.floor("1.2.0")
	const command = "kubectl windlass repository floor --app " + testkit.App + " --min-version 1.2.0"
	p.floors(metav1.ConditionFalse, otav1alpha1.RootSignatureNeededReason, command)
	next, err := ceremony.Next(made.Root, time.Now(), ceremony.RaiseFloor(testkit.App, "1.2.0"))
	for i, holder := range made.RootKeys[1:] {
		if err == nil {
			next, err = ceremony.Sign(next, made.Root, holder.PEM)
		}
		if err != nil {
			p.Fatal(err)
		}
		files.Data["2.root.json"] = string(next)
		if err := p.Client.Update(p.Context(), files); err != nil {
			p.Fatal(err)
		}
		if i == 0 {
			p.comes(p.repo, metav1.ConditionFalse, otav1alpha1.RootSignatureNeededReason)
			testkit.Eventually(p.T, p.Client, p.repo, testkit.HaveMessage(otav1alpha1.SigningReadyCondition, "2.root.json", made.RootKeys[0].ID[:8]))
			p.floors(metav1.ConditionFalse, otav1alpha1.RootSignatureNeededReason, command)
			p.offers(production, nil, b)
		}
	}
	p.floors(metav1.ConditionTrue, otav1alpha1.SucceededReason)
	p.comes(p.repo, metav1.ConditionTrue, "")
	if m := p.repo.Status.Metadata; m.RootVersion != 2 || m.RootKeys != "Offline" {
		p.Errorf("metadata is %+v, want version 2 of an offline root", m)
	}
	p.withdrawn(production, b, nil, "repository/"+p.repo.Name, "version 1.1.0 is below the floor 1.2.0 of the Repository")
	p.release(production, p.ready(2, "ci"))
}
