// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package trust turns what a Repository says of authors and apps into what signatures are checked against. It is the one place
// that reads public keys and trusted roots, inline or from ConfigMaps.
package trust

import (
	"cmp"
	"context"
	"crypto"
	"fmt"
	"strings"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/verify"
	"github.com/windlass-dev/windlass/internal/verify/envelope"
)

// Authority is an authority whose key or trusted root was read.
type Authority struct {
	verify.Authority
	RootUpdatedAt time.Time // when the ConfigMap of its trusted root was last changed; zero: it is known by a key
}

// Authority reads an authority of a Repository. Its errors are of package kit when the Repository or a ConfigMap are at fault,
// with reason ConfigMapNotFound, InvalidKey, TrustedRootInvalid or InvalidSpec.
func (l *Library) Authority(ctx context.Context, repo *otav1alpha1.Repository, a otav1alpha1.Authority) (Authority, error) {
	out := Authority{Authority: verify.Authority{Name: a.Name, Hash: hashes[a.Hash]}}
	if a.NotAfter != nil {
		out.NotAfter = a.NotAfter.Time
	}
	if p := a.Provenance; p != nil {
		out.Provenance = &verify.Provenance{BuilderID: p.BuilderID, SourceRepository: p.SourceRepository, Ref: p.Ref}
	}
	read := func() error { return l.key(ctx, repo, *a.PublicKey, &out) }
	if a.Keyless != nil {
		read = func() error { return l.identity(ctx, repo, *a.Keyless, &out) }
	}
	if err := read(); err != nil {
		return Authority{}, err
	}
	if err := out.Check(); err != nil {
		return Authority{}, invalid(repo, otav1alpha1.InvalidSpecReason, out.owner(), err)
	}
	return out, nil
}

// owner names the authority for messages.
func (a Authority) owner() string { return "authority " + a.Name }

var hashes = map[otav1alpha1.SignatureHash]crypto.Hash{
	otav1alpha1.HashSHA256: crypto.SHA256, otav1alpha1.HashSHA384: crypto.SHA384, otav1alpha1.HashSHA512: crypto.SHA512,
}

// key completes an authority that is known by a key.
func (l *Library) key(ctx context.Context, repo *otav1alpha1.Repository, from otav1alpha1.PublicKeySource, out *Authority) error {
	text, err := l.publicKey(ctx, repo, from, out.owner())
	if err != nil {
		return err
	}
	if out.Key, err = verify.ParsePublicKey([]byte(text)); err != nil {
		return invalid(repo, otav1alpha1.InvalidKeyReason, out.owner(), err)
	}
	return nil
}

// identity completes an authority that is keyless.
func (l *Library) identity(ctx context.Context, repo *otav1alpha1.Repository, k otav1alpha1.KeylessIdentity, out *Authority) error {
	ref := k.TrustedRootConfigMapRef
	text, err := l.value(ctx, repo, ref, "the trusted root of "+out.owner())
	if err != nil {
		return err
	}
	root, err := l.trustedRoot(text.value)
	if err != nil {
		return invalid(repo, otav1alpha1.TrustedRootInvalidReason, out.owner(), fmt.Errorf("key %s of ConfigMap %s: %w", ref.Key, ref.Name, err))
	}
	out.RootUpdatedAt = text.updatedAt
	out.Identity = &verify.Identity{
		Issuer: string(k.Issuer), Subject: k.Subject, SubjectRegExp: k.SubjectRegExp,
		LogOptional: k.TransparencyLog == otav1alpha1.LogOptional, Root: root,
	}
	return nil
}

// EncryptionKey reads the public key of an app. Its errors are as those of Authority.
func (l *Library) EncryptionKey(ctx context.Context, repo *otav1alpha1.Repository, k otav1alpha1.EncryptionKey) (envelope.PublicKey, error) {
	owner := "encryption key " + k.Name
	text, err := l.publicKey(ctx, repo, k.PublicKey, owner)
	if err != nil {
		return envelope.PublicKey{}, err
	}
	key, err := envelope.ParsePublicKey([]byte(text))
	if err != nil {
		return envelope.PublicKey{}, invalid(repo, otav1alpha1.InvalidKeyReason, owner, err)
	}
	return key, nil
}

func (l *Library) publicKey(ctx context.Context, repo *otav1alpha1.Repository, from otav1alpha1.PublicKeySource, owner string) (string, error) {
	if from.ConfigMapRef == nil {
		return from.Inline, nil
	}
	text, err := l.value(ctx, repo, *from.ConfigMapRef, "the public key of "+owner)
	return text.value, err
}

func invalid(repo *otav1alpha1.Repository, reason, owner string, err error) error {
	return kit.Stall(reason, "%s of Repository %s: %w", owner, repo.Name, err)
}

// Unwatched tells whether an authority depends on a ConfigMap, whose changes nobody hears of.
func Unwatched(a otav1alpha1.Authority) bool {
	return a.Keyless != nil || a.PublicKey.ConfigMapRef != nil
}

// Describe says for people by what an authority is known now.
func Describe(a verify.Authority) string {
	var parts []string
	if i := a.Identity; i != nil {
		parts = append(parts, fmt.Sprintf("subject %.200s of issuer %.200s under the trusted root %.19s", cmp.Or(i.Subject, i.SubjectRegExp), i.Issuer, i.Root.Digest()))
	} else {
		parts = append(parts, "key "+a.Key.ID())
	}
	if a.Hash != 0 {
		parts = append(parts, "over "+a.Hash.String())
	}
	if p := a.Provenance; p != nil {
		parts = append(parts, fmt.Sprintf("with provenance of builder %.200s", p.BuilderID))
	}
	return strings.Join(parts, " ")
}
