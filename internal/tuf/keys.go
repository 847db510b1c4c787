// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package tuf

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/secure-systems-lab/go-securesystemslib/cjson"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Types of PEM blocks.
const (
	privatePEM = "PRIVATE KEY"
	publicPEM  = "PUBLIC KEY"
)

// Key signs metadata.
type Key struct {
	ID     string // as the specification computes it: SHA-256 of the canonical JSON of Public
	Public *metadata.Key

	private ed25519.PrivateKey
}

// GenerateKey makes an Ed25519 private key, as ParseKey reads it: PEM in PKCS #8.
func GenerateKey() ([]byte, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate a key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("encode a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: privatePEM, Bytes: der}), nil
}

// ParseKey reads an Ed25519 private key: one PEM block in PKCS #8, as "openssl genpkey -algorithm ed25519" writes it.
func ParseKey(text []byte) (Key, error) {
	der, err := block(text, privatePEM)
	if err != nil {
		return Key{}, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return Key{}, fmt.Errorf("want a private key in PKCS #8: %w", err)
	}
	private, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return Key{}, fmt.Errorf("want an Ed25519 key, found %T", parsed)
	}
	k := Key{private: private}
	if k.Public, err = metadata.KeyFromPublicKey(private.Public()); err != nil {
		return Key{}, err
	}
	k.ID, err = k.Public.ID()
	return k, err
}

// ParsePublicKey reads an Ed25519 public key: one PEM block, as "openssl pkey -pubout" writes it.
func ParsePublicKey(text []byte) (*metadata.Key, error) {
	der, err := block(text, publicPEM)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("want a public key in PKIX: %w", err)
	}
	public, ok := parsed.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("want an Ed25519 key, found %T", parsed)
	}
	return metadata.KeyFromPublicKey(public)
}

// PublicPEM writes the public half of a key.
func (k Key) PublicPEM() ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(k.private.Public())
	if err != nil {
		return nil, fmt.Errorf("encode a public key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: publicPEM, Bytes: der}), nil
}

// block gives the content of the one PEM block of a text. It never quotes the text.
func block(text []byte, kind string) ([]byte, error) {
	b, rest := pem.Decode(text)
	switch {
	case b == nil:
		return nil, fmt.Errorf("want a PEM block of type %s, found none", kind)
	case b.Type != kind:
		return nil, fmt.Errorf("want a PEM block of type %s, found %q", kind, b.Type)
	}
	if more, _ := pem.Decode(rest); more != nil {
		return nil, errors.New("want one PEM block, found more")
	}
	return b.Bytes, nil
}

// Sign signs metadata with keys, in addition to the signatures that they have; a key that has signed already signs anew. It
// gives the file.
func Sign[T metadata.Roles](m *metadata.Metadata[T], keys ...Key) ([]byte, error) {
	payload, err := cjson.EncodeCanonical(m.Signed)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		m.Signatures = slices.DeleteFunc(m.Signatures, func(s metadata.Signature) bool { return s.KeyID == k.ID })
		m.Signatures = append(m.Signatures, metadata.Signature{KeyID: k.ID, Signature: ed25519.Sign(k.private, payload)})
	}
	return m.ToBytes(false)
}

// signed tells which of some keys have signed metadata, by id.
func signed[T metadata.Roles](m *metadata.Metadata[T], keys map[string]*metadata.Key) (map[string]bool, error) {
	payload, err := cjson.EncodeCanonical(m.Signed)
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for _, s := range m.Signatures {
		key := keys[s.KeyID]
		if key == nil {
			continue
		}
		public, err := publicOf(key)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", s.KeyID, err)
		}
		if ed25519.Verify(public, payload, s.Signature) {
			out[s.KeyID] = true
		}
	}
	return out, nil
}

// publicOf gives the public key. Only Ed25519 is known: it is what we sign with.
func publicOf(k *metadata.Key) (ed25519.PublicKey, error) {
	if k.Type != metadata.KeyTypeEd25519 || k.Scheme != metadata.KeySchemeEd25519 {
		return nil, fmt.Errorf("type %q and scheme %q, expected ed25519", k.Type, k.Scheme)
	}
	raw, err := hex.DecodeString(k.Value.PublicKey)
	if err != nil || len(raw) != ed25519.PublicKeySize || hex.EncodeToString(raw) != k.Value.PublicKey {
		return nil, fmt.Errorf("expected %d bytes in lower-case hexadecimal", ed25519.PublicKeySize)
	}
	return raw, nil
}

// checkKeys checks the keys of a root or of delegations: each is one of ours, has the id that is computed from it, and comes
// once. used names the keys that roles have; no other may be there. When it is nil, any may.
func checkKeys(keys map[string]*metadata.Key, used map[string]bool) error {
	owner := map[string]string{}
	for id, k := range keys {
		if k == nil {
			return fmt.Errorf("key %s: expected a key, found null", id)
		}
		if _, err := publicOf(k); err != nil {
			return fmt.Errorf("key %s: %w", id, err)
		}
		if other, ok := owner[k.Value.PublicKey]; ok {
			return fmt.Errorf("keys %s and %s are the same", min(id, other), max(id, other))
		}
		owner[k.Value.PublicKey] = id
		if len(k.UnrecognizedFields) > 0 || len(k.Value.UnrecognizedFields) > 0 {
			return fmt.Errorf("key %s has fields that keys do not have", id)
		}
		if computed, err := k.ID(); err != nil || computed != id {
			return fmt.Errorf("key %s: its id should be %s", id, computed)
		}
		if used != nil && !used[id] {
			return fmt.Errorf("key %s is that of no role", id)
		}
	}
	return nil
}

// checkQuorum checks the keys and the threshold of a role.
func checkQuorum(ids []string, threshold int, keys map[string]*metadata.Key) error {
	seen := map[string]bool{}
	for _, id := range ids {
		switch {
		case seen[id]:
			return fmt.Errorf("key %s is named twice", id)
		case keys[id] == nil:
			return fmt.Errorf("key %s is not known", id)
		}
		seen[id] = true
	}
	switch {
	case len(ids) > MaxKeys:
		return fmt.Errorf("%d keys, expected at most %d", len(ids), MaxKeys)
	case threshold < 1 || threshold > len(ids):
		return fmt.Errorf("threshold %d, expected 1 to %d, the number of keys", threshold, len(ids))
	}
	return nil
}

// MaxKeys bounds the keys of a role.
const MaxKeys = 32

// Keys of the Secret that a Repository signs with: <role> and one of the suffixes.
const (
	KeySuffix  = ".key"      // signs now
	NextSuffix = ".next.key" // signs once the root, or for channels the targets, name it
	// ChannelsRole names the key that signs the roles of all channels.
	ChannelsRole = "channels"
)

// KeyRoles are the roles that have a key in the Secret, in the order in which errors name them. The root's may be absent.
var KeyRoles = []string{metadata.ROOT, metadata.TARGETS, metadata.SNAPSHOT, metadata.TIMESTAMP, ChannelsRole}
