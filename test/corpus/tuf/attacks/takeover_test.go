// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package attacks

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/tuf"
)

// evilVersion is what an attacker wants to be offered. No state has it.
const evilVersion = 66

// takeovers are forged roots that name an attacker's online keys, and everything below them signed with those: a client that took
// the root would serve the attacker's version.
func (w *world) takeovers(t *testing.T) []attack {
	key, one, two := newKey(t), parseKey(t, w.root.RootKeys[0].PEM), parseKey(t, w.root.RootKeys[1].PEM)
	own := func(r *metadata.RootType) { ownRole(r, metadata.ROOT, key) }
	half := func(r *metadata.RootType) { r.Roles[metadata.ROOT].Threshold = 1 }
	roots := map[string][]byte{
		"root of the attacker":                    w.usurp(t, key, own, key),
		"root of the attacker and one holder":     w.usurp(t, key, own, key, one),
		"holders' root, signed by nobody":         w.usurp(t, key, nil),
		"holders' root, signed by the attacker":   w.usurp(t, key, nil, key),
		"holders' root, signed by one":            w.usurp(t, key, nil, one),
		"holders' root, threshold of one, by one": w.usurp(t, key, half, two),
	}
	var out []attack
	for _, name := range slices.Sorted(maps.Keys(roots)) {
		for _, seen := range []int{0, 3} {
			change := w.below(t, key)
			change["metadata/2.root.json"] = roots[name]
			out = append(out, attack{class: "forged root", name: name, seen: seen, mirror: w.with(3, change)})
		}
	}
	return out
}

func newKey(t *testing.T) tuf.Key {
	t.Helper()
	text, err := tuf.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return parseKey(t, text)
}

func parseKey(t *testing.T, text []byte) tuf.Key {
	t.Helper()
	key, err := tuf.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// ownRole gives a role of a root one key.
func ownRole(r *metadata.RootType, role string, key tuf.Key) {
	r.Keys[key.ID] = key.Public
	r.Roles[role].KeyIDs, r.Roles[role].Threshold = []string{key.ID}, 1
}

// usurp is a second root that gives all online roles to a key.
func (w *world) usurp(t *testing.T, key tuf.Key, change func(r *metadata.RootType), signers ...tuf.Key) []byte {
	t.Helper()
	root, err := tuf.ParseRoot(w.root.Root)
	if err != nil {
		t.Fatal(err)
	}
	root.ClearSignatures()
	root.Signed.Version = 2
	for _, role := range []string{metadata.TARGETS, metadata.SNAPSHOT, metadata.TIMESTAMP} {
		ownRole(&root.Signed, role, key)
	}
	if change != nil {
		change(&root.Signed)
	}
	return signed(t, root, signers...)
}

func signed[T metadata.Roles](t *testing.T, m *metadata.Metadata[T], keys ...tuf.Key) []byte {
	t.Helper()
	raw, err := tuf.Sign(m, keys...)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// below is all metadata that an attacker's key signs, down to the document that names his version.
func (w *world) below(t *testing.T, key tuf.Key) files {
	t.Helper()
	const version = 1000
	at := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	doc := w.document(t, app, evilVersion)
	raw, err := doc.Encode()
	if err != nil {
		t.Fatal(err)
	}
	out := files{release.TargetObject(target, hexSum(raw)): raw}
	role := metadata.Targets(at)
	role.Signed.Version = version
	if role.Signed.Targets[target], err = metadata.TargetFile().FromBytes(target, raw, "sha256"); err != nil {
		t.Fatal(err)
	}
	targets := metadata.Targets(at)
	targets.Signed.Version = version
	targets.Signed.Delegations = &metadata.Delegations{Keys: map[string]*metadata.Key{key.ID: key.Public}, Roles: []metadata.DelegatedRole{
		{Name: shopRole, KeyIDs: []string{key.ID}, Threshold: 1, Paths: tuf.Paths(app, channel)},
		{Name: bankRole, KeyIDs: []string{key.ID}, Threshold: 1, Paths: tuf.Paths(other, channel)},
	}}
	snapshot := metadata.Snapshot(at)
	snapshot.Signed.Version = version
	for _, name := range []string{metadata.TARGETS, shopRole, bankRole} { // the bank's is missing, and nobody asks for it
		snapshot.Signed.Meta[name+".json"] = metadata.MetaFile(version)
	}
	timestamp := metadata.Timestamp(at)
	timestamp.Signed.Version = version
	timestamp.Signed.Meta["snapshot.json"] = metadata.MetaFile(version)
	out["metadata/1000."+shopRole+".json"] = signed(t, role, key)
	out["metadata/1000.targets.json"] = signed(t, targets, key)
	out["metadata/1000.snapshot.json"] = signed(t, snapshot, key)
	out["metadata/timestamp.json"] = signed(t, timestamp, key)
	return out
}
