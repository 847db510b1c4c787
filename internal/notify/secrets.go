// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/windlass-dev/windlass/internal/egress"
	"github.com/windlass-dev/windlass/internal/kit"
)

const (
	// secretKey is the key of a Secret that the signing key is under.
	secretKey = "key"
	// secretTimeout bounds the reading of a Secret.
	secretTimeout = 10 * time.Second
)

// Secrets reads signing keys from Secrets, each time anew: a key that was changed signs the next delivery.
type Secrets struct {
	Live   client.Reader // not a cache: the manager neither lists nor watches Secrets
	Egress egress.Policy
}

// Key gives the key of a Secret for the receiver at a URL, when the Secret's owner lets that server have what it signs. Its errors are
// sentences without anything of the Secret.
func (s Secrets) Key(ctx context.Context, secret types.NamespacedName, to string) (Key, error) {
	ctx, cancel := context.WithTimeout(ctx, secretTimeout)
	defer cancel()
	found := &corev1.Secret{}
	switch err := s.Live.Get(ctx, secret, found); {
	case apierrors.IsNotFound(err):
		return Key{}, fmt.Errorf("there is no Secret %s, which secretRef names", secret.Name)
	case err != nil:
		return Key{}, fmt.Errorf("the key of Secret %s cannot be read: %s", secret.Name, cmp.Or(string(apierrors.ReasonForError(err)), "the API server did not answer"))
	}
	if err := kit.MayBeShown(found, to); err != nil {
		return Key{}, err
	}
	u, err := url.Parse(to)
	if err != nil {
		return Key{}, errors.New("the URL cannot be read")
	}
	if u.Scheme != "https" && !s.Egress.Lists(u.Host) {
		return Key{}, fmt.Errorf("%s would be told without TLS: expected an https URL, or the manager started with --allow-address=%s", u.Host, u.Host)
	}
	raw, ok := found.Data[secretKey]
	if !ok {
		return Key{}, fmt.Errorf("the Secret %s has no key named %s", secret.Name, secretKey)
	}
	key, err := ParseKey(raw)
	if err != nil {
		return Key{}, fmt.Errorf("key of Secret %s: %w", secret.Name, err)
	}
	return key, nil
}
