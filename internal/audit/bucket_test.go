// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/windlass-dev/windlass/internal/store"
)

// bucket is one in memory, as *store.Bucket behaves.
type bucket struct {
	mu      sync.Mutex
	objects map[string][]byte
	asked   int              // reads
	before  func(key string) // a put; nil: nothing happens
}

func newBucket() *bucket { return &bucket{objects: map[string][]byte{}} }

func (b *bucket) Get(_ context.Context, key string, limit int64) ([]byte, store.Object, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	raw, ok := b.objects[key]
	if !ok {
		return nil, store.Object{}, store.ErrNotExist
	}
	if int64(len(raw)) > limit {
		return nil, store.Object{}, store.ErrTooLarge
	}
	return bytes.Clone(raw), store.Object{Key: key}, nil
}

func (b *bucket) PutImmutable(_ context.Context, key string, content []byte, _ string) error {
	if b.before != nil {
		b.before(key)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if old, ok := b.objects[key]; ok && !bytes.Equal(old, content) {
		return store.ErrDifferent
	}
	b.objects[key] = bytes.Clone(content)
	return nil
}

func (b *bucket) ListAfter(_ context.Context, prefix, after string) iter.Seq2[store.Object, error] {
	b.mu.Lock()
	keys := slices.Sorted(maps.Keys(b.objects))
	b.mu.Unlock()
	return func(yield func(store.Object, error) bool) {
		for _, key := range keys {
			if strings.HasPrefix(key, prefix) && key > after && !yield(store.Object{Key: key}, nil) {
				return
			}
		}
	}
}

// lines gives the log as it is exported.
func (b *bucket) lines() [][]byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out [][]byte
	for _, key := range slices.Sorted(maps.Keys(b.objects)) {
		out = append(out, b.objects[key])
	}
	return out
}

var errDead = errors.New("the manager was killed")

// mortal is a bucket whose user is killed at the n-th call, before or after the call takes effect.
type mortal struct {
	*bucket
	mu    sync.Mutex
	calls int
	dieAt int
	after bool // the call takes effect, and nobody hears of it
}

func (m *mortal) call() (effect bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	switch {
	case m.calls < m.dieAt:
		return true, nil
	case m.calls == m.dieAt:
		return m.after, errDead
	}
	return false, errDead
}

func (m *mortal) Get(ctx context.Context, key string, limit int64) ([]byte, store.Object, error) {
	if _, err := m.call(); err != nil {
		return nil, store.Object{}, err
	}
	return m.bucket.Get(ctx, key, limit)
}

func (m *mortal) PutImmutable(ctx context.Context, key string, content []byte, kind string) error {
	effect, dead := m.call()
	if effect {
		if err := m.bucket.PutImmutable(ctx, key, content, kind); err != nil {
			return errors.Join(err, dead)
		}
	}
	return dead
}

func (m *mortal) ListAfter(ctx context.Context, prefix, after string) iter.Seq2[store.Object, error] {
	if _, err := m.call(); err != nil {
		return func(yield func(store.Object, error) bool) { yield(store.Object{}, err) }
	}
	return m.bucket.ListAfter(ctx, prefix, after)
}
