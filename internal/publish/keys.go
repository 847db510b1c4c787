// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
)

// channelsRole names the key that signs the roles of all channels.
const channelsRole = "channels"

// keyRoles are the roles that have a key, in the order in which errors name them.
var keyRoles = []string{metadata.ROOT, metadata.TARGETS, metadata.SNAPSHOT, metadata.TIMESTAMP, channelsRole}

const (
	keySuffix = ".key"
	pemType   = "PRIVATE KEY"
)

// key is a private key and its TUF form.
type key struct {
	signer signature.Signer
	public *metadata.Key
	id     string
}

// Keys sign the metadata of one repository.
type Keys struct {
	byRole map[string]key // root is absent when it is kept offline
}

// HasRoot tells whether the root key is here, so that roots can be signed.
func (k *Keys) HasRoot() bool {
	_, ok := k.byRole[metadata.ROOT]
	return ok
}

// GenerateKeys makes an Ed25519 key for each role, as ParseKeys reads them: data of a Secret.
func GenerateKeys() (map[string][]byte, error) {
	data := make(map[string][]byte, len(keyRoles))
	for _, role := range keyRoles {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("generate the %s key: %w", role, err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(private)
		if err != nil {
			return nil, fmt.Errorf("encode the %s key: %w", role, err)
		}
		data[role+keySuffix] = pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})
	}
	return data, nil
}

// ParseKeys reads the data of a Secret: root.key, targets.key, snapshot.key, timestamp.key and channels.key, each an Ed25519
// private key as PEM in PKCS #8 ("openssl genpkey -algorithm ed25519"). root.key may be absent.
func ParseKeys(data map[string][]byte) (*Keys, error) {
	keys := &Keys{byRole: make(map[string]key, len(keyRoles))}
	for _, role := range keyRoles {
		name := role + keySuffix
		text, ok := data[name]
		if !ok && role == metadata.ROOT {
			continue
		}
		if !ok {
			return nil, kit.Retry(otav1alpha1.SecretNotFoundReason, "the signing Secret has no %s", name)
		}
		k, err := parseKey(text)
		if err != nil {
			return nil, kit.Retry(otav1alpha1.InvalidKeyReason, "%s of the signing Secret: %w", name, err)
		}
		keys.byRole[role] = k
	}
	return keys, nil
}

func parseKey(text []byte) (key, error) {
	block, rest := pem.Decode(text)
	switch {
	case block == nil:
		return key{}, fmt.Errorf("want a PEM block of type %s, found none", pemType)
	case block.Type != pemType:
		return key{}, fmt.Errorf("want a PEM block of type %s, found %q", pemType, block.Type)
	}
	if more, _ := pem.Decode(rest); more != nil {
		return key{}, errors.New("want one PEM block, found more")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return key{}, fmt.Errorf("want a private key in PKCS #8: %w", err)
	}
	private, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return key{}, fmt.Errorf("want an Ed25519 key, found %T", parsed)
	}
	return newKey(private)
}

func newKey(private ed25519.PrivateKey) (key, error) {
	signer, err := signature.LoadED25519Signer(private)
	if err != nil {
		return key{}, err
	}
	public, err := metadata.KeyFromPublicKey(private.Public())
	if err != nil {
		return key{}, err
	}
	id, err := public.ID()
	return key{signer: signer, public: public, id: id}, err
}

// matches is an error unless the root names these keys for their roles.
func (k *Keys) matches(root *metadata.RootType) error {
	for _, role := range []string{metadata.ROOT, metadata.TARGETS, metadata.SNAPSHOT, metadata.TIMESTAMP} {
		have, ok := k.byRole[role]
		if !ok {
			continue
		}
		want := root.Roles[role]
		if want == nil || len(want.KeyIDs) == 0 || want.Threshold > 1 && role != metadata.ROOT || !slices.Contains(want.KeyIDs, have.id) {
			return kit.Retry(otav1alpha1.KeysMismatchReason,
				"%s%s of the signing Secret is not the %s key of the root in the bucket: restore the Secret that belongs to this bucket and prefix", role, keySuffix, role)
		}
	}
	return nil
}
