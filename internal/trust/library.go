// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/verify"
)

const (
	// fresh is how long a ConfigMap that was read serves all who ask for it on behalf of one generation of a Repository: a
	// change of a Repository wakes all its Bundles at once, and they all ask.
	fresh = time.Second
	// maxKept bounds the ConfigMaps and trusted roots that are kept.
	maxKept = 256
)

// Library reads ConfigMaps, which nobody caches or watches, and keeps what costs time to read. It is safe for concurrent use.
type Library struct {
	live client.Reader
	now  func() time.Time

	mu    sync.Mutex
	maps  map[mapKey]configMap
	roots map[[sha256.Size]byte]*verify.TrustedRoot // by the digest of their text
}

// mapKey is a ConfigMap as one generation of a Repository sees it.
type mapKey struct {
	repository types.UID
	generation int64
	object     types.NamespacedName
}

type configMap struct {
	data      map[string]string // nil: there is none
	updatedAt time.Time
	readAt    time.Time
}

// NewLibrary makes a Library. Live reads from the API server.
func NewLibrary(live client.Reader, now func() time.Time) *Library {
	return &Library{live: live, now: now, maps: map[mapKey]configMap{}, roots: map[[sha256.Size]byte]*verify.TrustedRoot{}}
}

// text is the value of one key of a ConfigMap.
type text struct {
	value     string
	updatedAt time.Time
}

// value reads one key of a ConfigMap in the namespace of a Repository. What says what it holds.
func (l *Library) value(ctx context.Context, repo *otav1alpha1.Repository, ref otav1alpha1.KeyReference, what string) (text, error) {
	cm, err := l.configMap(ctx, mapKey{repo.UID, repo.Generation, types.NamespacedName{Namespace: repo.Namespace, Name: ref.Name}})
	if err != nil {
		return text{}, err
	}
	value, ok := cm.data[ref.Key]
	if !ok {
		return text{}, kit.Retry(otav1alpha1.ConfigMapNotFoundReason, "there is no ConfigMap %s with key %s, which holds %s", ref.Name, ref.Key, what)
	}
	return text{value, cm.updatedAt}, nil
}

func (l *Library) configMap(ctx context.Context, key mapKey) (configMap, error) {
	now := l.now()
	l.mu.Lock()
	kept, ok := l.maps[key]
	l.mu.Unlock()
	if ok && now.Sub(kept.readAt) < fresh {
		return kept, nil
	}
	var cm corev1.ConfigMap
	if err := l.live.Get(ctx, key.object, &cm); err != nil && !apierrors.IsNotFound(err) {
		return configMap{}, fmt.Errorf("get ConfigMap %s: %w", key.object.Name, err)
	}
	out := configMap{data: cm.Data, updatedAt: updatedAt(&cm), readAt: now}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.maps) >= maxKept {
		maps.DeleteFunc(l.maps, func(_ mapKey, m configMap) bool { return now.Sub(m.readAt) >= fresh })
	}
	if len(l.maps) < maxKept {
		l.maps[key] = out
	}
	return out, nil
}

// updatedAt is when somebody last changed a ConfigMap, as the API server says.
func updatedAt(cm *corev1.ConfigMap) time.Time {
	newest := cm.CreationTimestamp.Time
	for _, f := range cm.ManagedFields {
		if f.Time != nil && f.Time.After(newest) {
			newest = f.Time.Time
		}
	}
	return newest
}

// trustedRoot parses a trusted root, each text once.
func (l *Library) trustedRoot(content string) (*verify.TrustedRoot, error) {
	sum := sha256.Sum256([]byte(content))
	l.mu.Lock()
	root := l.roots[sum]
	l.mu.Unlock()
	if root != nil {
		return root, nil
	}
	root, err := verify.ParseTrustedRoot([]byte(content))
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.roots) >= maxKept {
		clear(l.roots)
	}
	l.roots[sum] = root
	return root, nil
}
