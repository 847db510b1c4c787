// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ceremony

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/windlass-dev/windlass/internal/tuf"
)

// Change is a difference between a root and its successor.
type Change func(*metadata.RootType) error

// Renew lets the successor expire at another time.
func Renew(at time.Time) Change {
	return func(r *metadata.RootType) error {
		r.Expires = at.UTC().Truncate(time.Second)
		return nil
	}
}

// RotateKey replaces a key of a role with another. The old one may be named by the beginning of its id, as messages show it; an
// empty one stands for the only key of the role.
func RotateKey(role, oldID string, newPublicKey []byte) Change {
	return func(r *metadata.RootType) error {
		public, err := tuf.ParsePublicKey(newPublicKey)
		if err != nil {
			return err
		}
		return replaceKey(r, role, oldID, public)
	}
}

// ReplaceKeys lets a role have one key and no other.
func ReplaceKeys(role string, public *metadata.Key) Change {
	return func(r *metadata.RootType) error {
		id, err := public.ID()
		if err != nil {
			return err
		}
		r.Keys[id] = public
		r.Roles[role].KeyIDs, r.Roles[role].Threshold = []string{id}, 1
		return nil
	}
}

func replaceKey(r *metadata.RootType, role, oldID string, public *metadata.Key) error {
	have := r.Roles[role]
	if have == nil {
		return fmt.Errorf("role %q, expected root, targets, snapshot or timestamp", role)
	}
	i, err := find(have.KeyIDs, oldID)
	if err != nil {
		return fmt.Errorf("role %s: %w", role, err)
	}
	id, err := public.ID()
	switch {
	case err != nil:
		return err
	case slices.Contains(have.KeyIDs, id):
		return fmt.Errorf("role %s has key %s already", role, id)
	}
	r.Keys[id] = public
	have.KeyIDs = slices.Clone(have.KeyIDs)
	have.KeyIDs[i] = id
	return nil
}

// find gives the index of the one key id that begins with a text.
func find(ids []string, start string) (int, error) {
	found := -1
	for i, id := range ids {
		if !strings.HasPrefix(id, start) {
			continue
		}
		if found >= 0 {
			return 0, fmt.Errorf("%q stands for several of its %d keys: name one of %s", start, len(ids), strings.Join(ids, ", "))
		}
		found = i
	}
	if found < 0 {
		return 0, fmt.Errorf("it has no key %q, but %s", start, strings.Join(ids, ", "))
	}
	return found, nil
}

// AddRootKey adds a root key. The threshold stays.
func AddRootKey(publicKey []byte) Change {
	return func(r *metadata.RootType) error {
		public, err := tuf.ParsePublicKey(publicKey)
		if err != nil {
			return err
		}
		return addRootKey(r, public)
	}
}

func addRootKey(r *metadata.RootType, public *metadata.Key) error {
	id, err := public.ID()
	if err != nil {
		return err
	}
	role := r.Roles[metadata.ROOT]
	if slices.Contains(role.KeyIDs, id) {
		return fmt.Errorf("role root has key %s already", id)
	}
	r.Keys[id] = public
	role.KeyIDs = append(slices.Clone(role.KeyIDs), id)
	return nil
}

// RemoveRootKey takes a root key away, named by its id or the beginning of it. The threshold stays.
func RemoveRootKey(id string) Change {
	return func(r *metadata.RootType) error {
		role := r.Roles[metadata.ROOT]
		if id == "" {
			return fmt.Errorf("name one of the root keys %s", strings.Join(role.KeyIDs, ", "))
		}
		i, err := find(role.KeyIDs, id)
		if err != nil {
			return fmt.Errorf("role root: %w", err)
		}
		role.KeyIDs = slices.Delete(slices.Clone(role.KeyIDs), i, i+1)
		return nil
	}
}

// SetThreshold says how many root keys have to sign a root from this one on.
func SetThreshold(n int) Change {
	return func(r *metadata.RootType) error {
		r.Roles[metadata.ROOT].Threshold = n
		return nil
	}
}

// RaiseFloor withdraws all versions of an app below one, for ever.
func RaiseFloor(app, minVersion string) Change {
	return func(r *metadata.RootType) error {
		floors, err := tuf.FloorsOf(r)
		if err != nil {
			return err
		}
		if floors, err = floors.Raise(app, minVersion); err != nil {
			return err
		}
		floors.Apply(r)
		return nil
	}
}

// dropUnused removes the keys that no role has any more.
func dropUnused(r *metadata.RootType) {
	used := map[string]bool{}
	for _, role := range r.Roles {
		for _, id := range role.KeyIDs {
			used[id] = true
		}
	}
	for id := range r.Keys {
		if !used[id] {
			delete(r.Keys, id)
		}
	}
}
