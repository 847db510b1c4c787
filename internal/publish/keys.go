// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"fmt"
	"slices"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/tuf"
)

// Keys sign the metadata of one repository. A role has one key, and a second one while its key is changed.
type Keys struct {
	byRole map[string][]tuf.Key // the root's are absent when they are kept offline
	next   map[string]tuf.Key   // those of byRole that are to replace the present one
}

// HasRoot tells whether a root key is here.
func (k *Keys) HasRoot() bool { return len(k.byRole[metadata.ROOT]) > 0 }

// GenerateKeys makes an Ed25519 key for each role, as ParseKeys reads them: data of a Secret.
func GenerateKeys() (map[string][]byte, error) {
	data := make(map[string][]byte, len(tuf.KeyRoles))
	for _, role := range tuf.KeyRoles {
		text, err := tuf.GenerateKey()
		if err != nil {
			return nil, fmt.Errorf("role %s: %w", role, err)
		}
		data[role+tuf.KeySuffix] = text
	}
	return data, nil
}

// ParseKeys reads the data of a Secret: root.key, targets.key, snapshot.key, timestamp.key and channels.key, each an Ed25519
// private key as PEM in PKCS #8 ("openssl genpkey -algorithm ed25519"). root.key may be absent. Beside or in place of each may be
// the one that comes next, such as timestamp.next.key: of the two, those sign that the root names.
func ParseKeys(data map[string][]byte) (*Keys, error) {
	keys := &Keys{byRole: make(map[string][]tuf.Key, len(tuf.KeyRoles)), next: map[string]tuf.Key{}}
	for _, role := range tuf.KeyRoles {
		for _, suffix := range []string{tuf.KeySuffix, tuf.NextSuffix} {
			text, ok := data[role+suffix]
			if !ok {
				continue
			}
			k, err := tuf.ParseKey(text)
			if err != nil {
				return nil, kit.Retry(otav1alpha1.InvalidKeyReason, "%s%s of the signing Secret: %w", role, suffix, err)
			}
			keys.byRole[role] = append(keys.byRole[role], k)
			if suffix == tuf.NextSuffix {
				keys.next[role] = k
			}
		}
		if len(keys.byRole[role]) == 0 && role != metadata.ROOT {
			return nil, kit.Retry(otav1alpha1.SecretNotFoundReason,
				"the signing Secret has no %s%s: restore it from your copy, or replace the key (docs/tuf.md, lost keys)", role, tuf.KeySuffix)
		}
	}
	return keys, nil
}

// named gives the keys of a role that a root names.
func (k *Keys) named(role string, root *metadata.RootType) []tuf.Key {
	var out []tuf.Key
	for _, have := range k.byRole[role] {
		if r := root.Roles[role]; r != nil && slices.Contains(r.KeyIDs, have.ID) {
			out = append(out, have)
		}
	}
	return out
}

// wanted is the key that a role is to have: the one that comes next, if there is one.
func (k *Keys) wanted(role string) tuf.Key {
	if next, ok := k.next[role]; ok {
		return next
	}
	return k.byRole[role][0]
}

// signRoots tells whether enough root keys are here to sign the successor of a root.
func (k *Keys) signRoots(root *metadata.RootType) bool {
	return k.HasRoot() && len(k.named(metadata.ROOT, root)) >= root.Roles[metadata.ROOT].Threshold
}

// sign tells whether enough keys are here to sign for a role.
func (k *Keys) sign(role string, root *metadata.RootType) bool {
	want := root.Roles[role]
	return want != nil && want.Threshold >= 1 && len(k.named(role, root)) >= want.Threshold
}

// matches is an error unless these keys can sign under a root. where says where the root is.
func (k *Keys) matches(root *metadata.RootType, where string) error {
	for _, role := range []string{metadata.ROOT, metadata.TARGETS, metadata.SNAPSHOT, metadata.TIMESTAMP} {
		if role == metadata.ROOT && (!k.HasRoot() || len(k.named(role, root)) > 0) || role != metadata.ROOT && k.sign(role, root) {
			continue
		}
		if role == metadata.ROOT {
			return kit.Retry(otav1alpha1.KeysMismatchReason,
				"root.key of the signing Secret is not a root key of the root %s: take root.key out of the Secret when the root keys are kept offline from now on, else restore the Secret that belongs to this bucket and prefix (docs/tuf.md)",
				where)
		}
		return kit.Retry(otav1alpha1.KeysMismatchReason,
			"%s%s of the signing Secret is not the %s key of the root %s: restore the Secret that belongs to this bucket and prefix (docs/tuf.md)",
			role, tuf.KeySuffix, role, where)
	}
	return nil
}
