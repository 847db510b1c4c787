// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"context"
	"sync"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

const (
	// Remembered is how long an answer of the API server holds: who waits for the policies looks again then.
	Remembered = time.Minute
	// readTimeout bounds one look at the policies. One that fails is not repeated for as long, so that nobody waits in line for it.
	readTimeout = 5 * time.Second
)

// Trust is how far the names of people can be relied on now.
type Trust struct {
	Actor otav1alpha1.Actor
	Doubt string // why they cannot, and what to install; empty: they can
}

// Asker tells how far names can be relied on. A nil one relies on none.
type Asker func(context.Context) Trust

// Ask asks.
func (a Asker) Ask(ctx context.Context) Trust {
	if a == nil {
		return of("the manager does not ask for the admission policies")
	}
	return a(ctx)
}

// Witness asks the API server whether the policies are installed, at most once a minute. It is safe for concurrent use.
type Witness struct {
	Live client.Reader // without a cache: nothing of policies is listed or watched
	Now  func() time.Time

	mu    sync.Mutex
	until time.Time
	last  Trust
}

// Trust tells how far the names of people can be relied on. What cannot be read proves nothing, and is read again soon.
func (w *Witness) Trust(ctx context.Context) Trust {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.Now()
	if now.Before(w.until) {
		return w.last
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	p, err := w.read(ctx)
	w.last, w.until = of(Doubt(p)), now.Add(Remembered)
	if err != nil {
		w.last, w.until = of("the admission policies cannot be read: "+err.Error()), w.Now().Add(readTimeout)
	}
	return w.last
}

func of(doubt string) Trust {
	if doubt == "" {
		return Trust{Actor: otav1alpha1.ActorVerified}
	}
	return Trust{Actor: otav1alpha1.ActorUnverified, Doubt: doubt}
}

// read gets the policies by name. What is not there, not known to this server, or not to be read by the manager, is nil.
func (w *Witness) read(ctx context.Context) (p Policies, err error) {
	if p.Authority, err = get(ctx, w.Live, AuthorityPolicy, &admissionv1.ValidatingAdmissionPolicy{}); err != nil {
		return p, err
	}
	if p.AuthorityBinding, err = get(ctx, w.Live, AuthorityPolicy, &admissionv1.ValidatingAdmissionPolicyBinding{}); err != nil {
		return p, err
	}
	if p.Stamp, err = get(ctx, w.Live, StampPolicy, &admissionv1.MutatingAdmissionPolicy{}); err != nil {
		return p, err
	}
	p.StampBinding, err = get(ctx, w.Live, StampPolicy, &admissionv1.MutatingAdmissionPolicyBinding{})
	return p, err
}

func get[T client.Object](ctx context.Context, c client.Reader, name string, into T) (T, error) {
	var none T
	switch err := c.Get(ctx, client.ObjectKey{Name: name}, into); {
	case err == nil:
		return into, nil
	case apierrors.IsNotFound(err), apierrors.IsForbidden(err), apimeta.IsNoMatchError(err):
		return none, nil
	default:
		return none, err
	}
}
