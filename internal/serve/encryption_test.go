// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/release"
)

// What CI wrote is published as it is; where it names no key, the one that opened the artifact is named.
func TestBundle_encryption(t *testing.T) {
	for name, tc := range map[string]struct {
		spec   *otav1alpha1.EncryptionSpec
		status *otav1alpha1.ArtifactEncryption
		want   *release.Encryption
	}{
		"readable":      {nil, nil, nil},
		"readable, too": {&otav1alpha1.EncryptionSpec{Mode: otav1alpha1.EncryptionNone}, nil, nil},
		"not opened": {&otav1alpha1.EncryptionSpec{Mode: otav1alpha1.EncryptionOpaque, SessionKey: "s", Checksum: "c"},
			&otav1alpha1.ArtifactEncryption{Checksum: otav1alpha1.ChecksumNotVerified}, &release.Encryption{SessionKey: "s", Checksum: "c"}},
		"opened": {&otav1alpha1.EncryptionSpec{Mode: otav1alpha1.EncryptionOpaque, SessionKey: "s", Checksum: "c"},
			&otav1alpha1.ArtifactEncryption{Checksum: otav1alpha1.ChecksumVerified, KeyID: "k"}, &release.Encryption{SessionKey: "s", Checksum: "c", KeyID: "k"}},
		"named": {&otav1alpha1.EncryptionSpec{Mode: otav1alpha1.EncryptionOpaque, SessionKey: "s", Checksum: "c", KeyID: "n"},
			&otav1alpha1.ArtifactEncryption{Checksum: otav1alpha1.ChecksumVerified, KeyID: "k"}, &release.Encryption{SessionKey: "s", Checksum: "c", KeyID: "n"}},
		"not stored yet": {&otav1alpha1.EncryptionSpec{Mode: otav1alpha1.EncryptionOpaque, SessionKey: "s", Checksum: "c"}, nil,
			&release.Encryption{SessionKey: "s", Checksum: "c"}},
	} {
		b := bundle(2)
		b.Spec.Encryption, b.Status.Artifact.Encryption = tc.spec, tc.status
		if name == "not stored yet" {
			b.Status.Artifact = nil
		}
		if diff := cmp.Diff(tc.want, Bundle(b).Encryption); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A candidate keeps what it was published with while its Bundle is looked at again, and when it becomes stable; one whose
// checksum turns out to be wrong is withdrawn.
func TestNext_encryption(t *testing.T) {
	b := bundle(2)
	b.Spec.Encryption = &otav1alpha1.EncryptionSpec{Mode: otav1alpha1.EncryptionOpaque, SessionKey: "s", Checksum: "c"}
	want := &release.Encryption{SessionKey: "s", Checksum: "c"}
	next := func(committed *release.Document, state otav1alpha1.AssignmentState) *release.Document {
		a := candidateOf(2, "5")
		a.State = state
		f := facts(committed, rollout("shop", a))
		f.Bundles[b.Name] = b
		return Next(f).Document
	}
	out := next(published(), otav1alpha1.AssignmentCandidate)
	if diff := cmp.Diff(want, out.Candidate.Bundle.Encryption); diff != "" {
		t.Errorf("candidate (-want +got):\n%s", diff)
	}
	ready := b.Status
	b.Status.Conditions = []metav1.Condition{{Type: otav1alpha1.ReadyCondition, Status: metav1.ConditionUnknown}, {Type: otav1alpha1.VerifiedCondition, Status: metav1.ConditionUnknown}}
	if again := next(out, otav1alpha1.AssignmentCandidate); again.Candidate == nil || again.Candidate.Bundle.Encryption == nil || again.Revision != out.Revision {
		t.Errorf("while it is looked at again: %s", summary(again))
	}
	b.Status.Conditions[1].Status = metav1.ConditionFalse
	if gone := next(out, otav1alpha1.AssignmentCandidate); gone.Candidate != nil {
		t.Errorf("with a wrong checksum: %s", summary(gone))
	}
	b.Status = ready
	if diff := cmp.Diff(want, next(out, otav1alpha1.AssignmentPromoted).Stable.Encryption); diff != "" {
		t.Errorf("stable (-want +got):\n%s", diff)
	}
}
