// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package ceremony makes roots of trust whose keys are kept offline: the first one, its successors, and the signatures that
// people add one after another. It is pure: files come in and go out as bytes, and nothing is read from or written to anywhere.
//
// A ceremony is Init or Next once, Sign by one key holder after another until Describe says that it is complete, and then the
// file goes into the ConfigMap that Repository.spec.signing.rootConfigMapRef names (docs/tuf.md).
package ceremony

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/windlass-dev/windlass/internal/tuf"
)

// Params of a first root.
type Params struct {
	PublicKeys [][]byte      // of root keys that people have already: Ed25519 in PEM ("openssl pkey -pubout")
	Generate   int           // how many root keys are made besides
	Threshold  int           // how many root keys have to sign a root
	Life       time.Duration // of the root
	Now        time.Time
}

// PrivateKey is a root key that was made: for one holder, to be kept offline.
type PrivateKey struct {
	ID  string
	PEM []byte // Ed25519 in PKCS #8
}

// Result of Init.
type Result struct {
	Root     []byte            // 1.root.json, signed by the keys that were made here
	RootKeys []PrivateKey      // that were made here
	Online   map[string][]byte // data of the Secret that spec.signing.keysSecretRef names: all keys but the root's
}

// Init makes a first root and the online keys that it names.
func Init(p Params) (*Result, error) {
	root := metadata.Root(expires(p.Now, p.Life))
	out := &Result{Online: map[string][]byte{}}
	for i, text := range p.PublicKeys {
		public, err := tuf.ParsePublicKey(text)
		if err != nil {
			return nil, fmt.Errorf("public key %d: %w", i+1, err)
		}
		if err := addRootKey(&root.Signed, public); err != nil {
			return nil, fmt.Errorf("public key %d: %w", i+1, err)
		}
	}
	var signers []tuf.Key
	for range p.Generate {
		text, key, err := generate()
		if err != nil {
			return nil, err
		}
		if err := addRootKey(&root.Signed, key.Public); err != nil {
			return nil, err
		}
		out.RootKeys = append(out.RootKeys, PrivateKey{ID: key.ID, PEM: text})
		signers = append(signers, key)
	}
	for _, role := range onlineRoles {
		text, key, err := generate()
		if err != nil {
			return nil, err
		}
		out.Online[role+tuf.KeySuffix] = text
		if role != tuf.ChannelsRole { // which targets.json names
			if err := root.Signed.AddKey(key.Public, role); err != nil {
				return nil, err
			}
		}
	}
	root.Signed.Roles[metadata.ROOT].Threshold = p.Threshold
	if err := tuf.CheckRoot(&root.Signed, p.Now); err != nil {
		return nil, err
	}
	var err error
	out.Root, err = tuf.Sign(root, signers...)
	return out, err
}

// onlineRoles have their keys in the Secret of a Repository whose root keys are kept offline.
var onlineRoles = []string{metadata.TARGETS, metadata.SNAPSHOT, metadata.TIMESTAMP, tuf.ChannelsRole}

func generate() ([]byte, tuf.Key, error) {
	text, err := tuf.GenerateKey()
	if err != nil {
		return nil, tuf.Key{}, err
	}
	key, err := tuf.ParseKey(text)
	return text, key, err
}

// expires gives a time as TUF writes it: UTC and whole seconds.
func expires(now time.Time, life time.Duration) time.Time {
	return now.Add(life).UTC().Truncate(time.Second)
}

// Next makes the successor of a root, without signatures. Without Renew it expires when its predecessor does.
func Next(previous []byte, now time.Time, changes ...Change) ([]byte, error) {
	before, err := tuf.ParseRoot(previous)
	if err != nil {
		return nil, err
	}
	after, err := Successor(before, now, changes...)
	if err != nil {
		return nil, err
	}
	return after.ToBytes(false)
}

// Successor is Next for who has parsed the root already.
func Successor(before *tuf.Root, now time.Time, changes ...Change) (*tuf.Root, error) {
	raw, err := before.ToBytes(false)
	if err != nil {
		return nil, err
	}
	after, err := metadata.Root().FromBytes(raw) // a deep copy
	if err != nil {
		return nil, err
	}
	after.ClearSignatures()
	after.Signed.Version++
	for _, change := range changes {
		if err := change(&after.Signed); err != nil {
			return nil, err
		}
	}
	dropUnused(&after.Signed)
	return after, tuf.CheckSuccession(&before.Signed, &after.Signed, now)
}

// Sign adds the signature of a root key to a root. The key must be one of the root itself, or of its predecessor, which may be
// nil when there is none. To sign twice changes nothing.
func Sign(root, previous, privateKey []byte) ([]byte, error) {
	r, before, err := parse(root, previous)
	if err != nil {
		return nil, err
	}
	key, err := tuf.ParseKey(privateKey)
	if err != nil {
		return nil, err
	}
	named := slices.Contains(rootKeys(r), key.ID)
	if !named && (before == nil || !slices.Contains(rootKeys(before), key.ID)) {
		return nil, fmt.Errorf("key %s is no root key of version %d or of the one before", key.ID, r.Signed.Version)
	}
	return tuf.Sign(r, key)
}

// Description tells people what a root says and what it lacks.
type Description struct {
	Version  int64
	Expires  time.Time
	Roles    []Role            // root, targets, snapshot and timestamp
	Floors   map[string]string // least version, by app
	Quorums  []tuf.Quorum      // of the predecessor, if there is one, and of the root itself
	Complete bool              // enough keys have signed
}

// Role is a role of a root.
type Role struct {
	Name      string
	Threshold int
	Keys      []string // key ids
}

// Describe tells what a root says, and who of its own keys and of those of its predecessor has signed it. The predecessor may
// be nil: then only the root's own keys count, which is enough for version 1 only.
func Describe(root, previous []byte) (*Description, error) {
	r, before, err := parse(root, previous)
	if err != nil {
		return nil, err
	}
	if err := tuf.CheckRoot(&r.Signed, time.Time{}); err != nil {
		return nil, err
	}
	d := &Description{Version: r.Signed.Version, Expires: r.Signed.Expires, Complete: true}
	for _, name := range []string{metadata.ROOT, metadata.TARGETS, metadata.SNAPSHOT, metadata.TIMESTAMP} {
		role := r.Signed.Roles[name]
		d.Roles = append(d.Roles, Role{Name: name, Threshold: role.Threshold, Keys: role.KeyIDs})
	}
	floors, err := tuf.FloorsOf(&r.Signed)
	if err != nil {
		return nil, err
	}
	d.Floors = floors
	for _, by := range []*tuf.Root{before, r} {
		if by == nil {
			d.Complete = d.Complete && r.Signed.Version == 1
			continue
		}
		q, err := tuf.QuorumOf(by, r)
		if err != nil {
			return nil, err
		}
		d.Quorums = append(d.Quorums, q)
		d.Complete = d.Complete && q.Missing() == 0
	}
	return d, nil
}

// Verify checks that a root may be published after another, or, when that one is nil, as the first. The error is a
// *tuf.UnsignedError when only signatures are missing.
func Verify(root, previous []byte, now time.Time) error {
	r, before, err := parse(root, previous)
	switch {
	case err != nil:
		return err
	case before == nil:
		return tuf.CheckFirst(r, now)
	}
	return tuf.CheckSuccessor(before, r, now)
}

// parse reads a root and its predecessor, which may be nil.
func parse(root, previous []byte) (r, before *tuf.Root, err error) {
	if r, err = tuf.ParseRoot(root); err != nil {
		return nil, nil, err
	}
	if previous == nil {
		return r, nil, nil
	}
	if before, err = tuf.ParseRoot(previous); err != nil {
		return nil, nil, fmt.Errorf("the root before: %w", err)
	}
	if before.Signed.Version != r.Signed.Version-1 {
		return nil, nil, fmt.Errorf("the root before has version %d, expected %d", before.Signed.Version, r.Signed.Version-1)
	}
	return r, before, nil
}

func rootKeys(r *tuf.Root) []string {
	if role := r.Signed.Roles[metadata.ROOT]; role != nil {
		return role.KeyIDs
	}
	return nil
}

// KeyID gives the id of a key, private or public, in PEM.
func KeyID(text []byte) (string, error) {
	if key, err := tuf.ParseKey(text); err == nil {
		return key.ID, nil
	}
	public, err := tuf.ParsePublicKey(text)
	if err != nil {
		return "", errors.New("want an Ed25519 key, private or public, in PEM")
	}
	return public.ID()
}

// PublicKey gives the public half of a private key, in PEM.
func PublicKey(privateKey []byte) ([]byte, error) {
	key, err := tuf.ParseKey(privateKey)
	if err != nil {
		return nil, err
	}
	return key.PublicPEM()
}
