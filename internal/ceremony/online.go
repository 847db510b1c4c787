// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ceremony

import (
	"fmt"
	"maps"
	"slices"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/windlass-dev/windlass/internal/tuf"
)

// NextKey gives the data of a signing Secret in which a role has a new key beside the present one, under <role>.next.key. With
// an online root the manager then signs a root that names the new key; with an offline one the root of a ceremony has to
// (RotateKey with the public half of the new key, which is returned in PEM). The root is the published one: it tells which of
// two keys is the present one. Roles are root, targets, snapshot, timestamp and channels.
func NextKey(data map[string][]byte, root []byte, role string) (next map[string][]byte, publicKey []byte, err error) {
	if !slices.Contains(tuf.KeyRoles, role) {
		return nil, nil, fmt.Errorf("role %q, expected one of %q", role, tuf.KeyRoles)
	}
	r, err := tuf.ParseRoot(root)
	if err != nil {
		return nil, nil, err
	}
	next = maps.Clone(data)
	present, upcoming := role+tuf.KeySuffix, role+tuf.NextSuffix
	if role == metadata.ROOT && data[present] == nil && data[upcoming] == nil {
		return nil, nil, fmt.Errorf("the Secret has no %s: the root keys are kept offline", present)
	}
	if adopted, err := isPresent(data[upcoming], r, role); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", upcoming, err)
	} else if adopted {
		next[present] = data[upcoming]
	}
	text, key, err := generate()
	if err != nil {
		return nil, nil, err
	}
	next[upcoming] = text
	publicKey, err = key.PublicPEM()
	return next, publicKey, err
}

// isPresent tells whether the key that was to come next signs already. The key of the channels does at once: targets.json
// names it, which the manager signs itself.
func isPresent(text []byte, r *tuf.Root, role string) (bool, error) {
	if text == nil {
		return false, nil
	}
	key, err := tuf.ParseKey(text)
	if err != nil || role == tuf.ChannelsRole {
		return err == nil, err
	}
	named := r.Signed.Roles[role]
	return named != nil && slices.Contains(named.KeyIDs, key.ID), nil
}
