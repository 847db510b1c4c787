// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/verify/envelope"
)

// appKeys are the keys that the Bundle's app carries, as they are now.
type appKeys struct {
	usable  []envelope.PublicKey
	broken  []error // of keys that cannot be had
	missing bool    // a ConfigMap is not there: nobody can tell whether its key changed
}

// findKeys reads the keys that may open the artifact. A key that cannot be had does not keep the others from opening it.
func (r *Reconciler) findKeys(ctx context.Context, s *scope) (time.Duration, error) {
	if s.envelope == nil {
		return 0, nil
	}
	hash := sha256.New()
	fmt.Fprintln(hash, s.trust.fingerprint)
	for _, k := range s.repository.Spec.Trust.EncryptionKeys {
		if k.App != s.bundle.Spec.App {
			continue
		}
		s.trust.live = s.trust.live || k.PublicKey.ConfigMapRef != nil
		key, err := r.library.EncryptionKey(ctx, s.repository, k)
		if e, ok := errors.AsType[*kit.Error](err); ok {
			s.keys.broken = append(s.keys.broken, e)
			s.keys.missing = s.keys.missing || e.Reason == otav1alpha1.ConfigMapNotFoundReason
			continue
		}
		if err != nil {
			return 0, err
		}
		hash.Write(key.DER())
		s.keys.usable = append(s.keys.usable, key)
	}
	s.trust.fingerprint = hex.EncodeToString(hash.Sum(nil))
	return 0, nil
}

// checkOpened holds what status says of the encryption against the keys of today: a key that was taken away, or replaced, no
// longer says anything.
func (s *scope) checkOpened() {
	a := s.bundle.Status.Artifact
	if a != nil && s.envelope != nil && !s.keys.opened(a.Encryption) {
		a.Encryption = &otav1alpha1.ArtifactEncryption{Checksum: otav1alpha1.ChecksumNotVerified}
	}
}

// opened tells whether a key of today opened the artifact.
func (k appKeys) opened(e *otav1alpha1.ArtifactEncryption) bool {
	if e == nil || e.Checksum != otav1alpha1.ChecksumVerified {
		return false
	}
	return k.missing || slices.ContainsFunc(k.usable, func(key envelope.PublicKey) bool { return key.ID() == e.KeyID })
}

// doubted tells whether the artifact has still to be opened: the Repository has a key of the app, and it was not used yet.
func (s *scope) doubted() bool {
	known := len(s.keys.usable)+len(s.keys.broken) > 0
	return s.envelope != nil && known && !s.keys.opened(s.bundle.Status.Artifact.Encryption)
}

// sealed tells whether the artifact is encrypted, and nobody opened it.
func (s *scope) sealed() bool {
	a := s.bundle.Status.Artifact
	return s.envelope != nil && (a == nil || !s.keys.opened(a.Encryption))
}

// needsKey gives the error of a key without which the artifact would pass unopened, though the Repository wants it opened.
func (s *scope) needsKey() error {
	if len(s.keys.usable) > 0 || len(s.keys.broken) == 0 {
		return nil
	}
	e := kit.Classify(s.keys.broken[0])
	s.set(otav1alpha1.VerifiedCondition, metav1.ConditionUnknown, e.Reason, e.Error())
	return e
}

// encryptionOf is what a transfer found out about the encryption.
func (s *scope) encryptionOf(openedBy string) *otav1alpha1.ArtifactEncryption {
	switch {
	case s.envelope == nil:
		return nil
	case openedBy == "":
		return &otav1alpha1.ArtifactEncryption{Checksum: otav1alpha1.ChecksumNotVerified}
	}
	return &otav1alpha1.ArtifactEncryption{Checksum: otav1alpha1.ChecksumVerified, KeyID: openedBy}
}

// encryptionNote tells people what the encryption is worth; empty for readable artifacts.
func (s *scope) encryptionNote() string {
	switch e := s.bundle.Status.Artifact.Encryption; {
	case e == nil:
		return ""
	case e.Checksum == otav1alpha1.ChecksumVerified:
		return "; encrypted, and its checksum verified with key " + e.KeyID
	}
	return fmt.Sprintf("; encrypted, and its checksum NOT verified: Repository %s has no encryption key of app %s", s.repository.Name, s.bundle.Spec.App)
}
