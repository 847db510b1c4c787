// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/windlass-dev/windlass/internal/store"
)

// memory is a bucket for tests with a clock of their own or with more histories than a real server could serve.
type memory struct {
	now func() time.Time

	mu      sync.Mutex
	objects map[string]stored
}

type stored struct {
	store.Object
	content []byte
}

func newMemory(now func() time.Time) *memory { return &memory{now: now, objects: map[string]stored{}} }

func (m *memory) object(key string) (store.Object, bool) {
	o, ok := m.objects[key]
	return o.Object, ok
}

func (m *memory) put(key string, content []byte) string {
	digest := md5.Sum(content)
	m.objects[key] = stored{content: slices.Clone(content), Object: store.Object{
		Key: key, Size: int64(len(content)), ETag: hex.EncodeToString(digest[:]), LastModified: m.now(), SHA256: sum(content),
	}}
	return m.objects[key].ETag
}

func (m *memory) PutImmutable(_ context.Context, key string, content []byte, _ string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if obj, ok := m.object(key); ok {
		if obj.SHA256 != sum(content) {
			return store.ErrDifferent
		}
		return nil
	}
	m.put(key, content)
	return nil
}

func (m *memory) Get(_ context.Context, key string, limit int64) ([]byte, store.Object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	obj, ok := m.object(key)
	switch {
	case !ok:
		return nil, obj, store.ErrNotExist
	case obj.Size > limit:
		return nil, obj, store.ErrTooLarge
	}
	return slices.Clone(m.objects[key].content), obj, nil
}

func (m *memory) Head(_ context.Context, key string) (store.Object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	obj, ok := m.object(key)
	if !ok {
		return obj, store.ErrNotExist
	}
	return obj, nil
}

func (m *memory) List(_ context.Context, prefix string) iter.Seq2[store.Object, error] {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []store.Object
	for _, key := range slices.Sorted(maps.Keys(m.objects)) {
		if strings.HasPrefix(key, prefix) {
			obj, _ := m.object(key)
			found = append(found, obj)
		}
	}
	return func(yield func(store.Object, error) bool) {
		for _, obj := range found {
			if !yield(obj, nil) {
				return
			}
		}
	}
}

func (m *memory) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, key)
	return nil
}

func (m *memory) CompareAndSwap(_ context.Context, key, old string, content []byte, _ string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if obj, ok := m.object(key); ok != (old != "") || ok && obj.ETag != old {
		return "", store.ErrConflict
	}
	return m.put(key, content), nil
}

// faulty is a bucket that goes wrong at one call.
type faulty struct {
	Bucket
	failAt int  // counted from one; zero: never
	after  bool // the call has its effect, only its answer is lost; then writes are counted only
	once   bool // later calls work again; otherwise the writer has died
	before func(call int)

	mu    sync.Mutex
	calls int
	dead  bool
}

var errInjected = errors.New("injected fault")

// call counts a call, and tells whether it may have its effect and what it answers.
func (f *faulty) call(write bool) (effect bool, err error) {
	f.mu.Lock()
	if write || !f.after {
		f.calls++
	}
	n := f.calls
	if f.dead && !f.once {
		f.mu.Unlock()
		return false, errInjected
	}
	effect = true
	if n == f.failAt && (write || !f.after) {
		f.dead, effect, err = true, f.after, errInjected
	}
	f.mu.Unlock()
	if f.before != nil {
		f.before(n)
	}
	return effect, err
}

func (f *faulty) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

func (f *faulty) died() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dead
}

func (f *faulty) PutImmutable(ctx context.Context, key string, content []byte, contentType string) error {
	effect, err := f.call(true)
	if effect {
		err = errors.Join(err, f.Bucket.PutImmutable(ctx, key, content, contentType))
	}
	return err
}

func (f *faulty) Get(ctx context.Context, key string, limit int64) ([]byte, store.Object, error) {
	if _, err := f.call(false); err != nil {
		return nil, store.Object{}, err
	}
	return f.Bucket.Get(ctx, key, limit)
}

func (f *faulty) Head(ctx context.Context, key string) (store.Object, error) {
	if _, err := f.call(false); err != nil {
		return store.Object{}, err
	}
	return f.Bucket.Head(ctx, key)
}

func (f *faulty) List(ctx context.Context, prefix string) iter.Seq2[store.Object, error] {
	if _, err := f.call(false); err != nil {
		return func(yield func(store.Object, error) bool) { yield(store.Object{}, err) }
	}
	return f.Bucket.List(ctx, prefix)
}

func (f *faulty) Delete(ctx context.Context, key string) error {
	effect, err := f.call(true)
	if effect {
		err = errors.Join(err, f.Bucket.Delete(ctx, key))
	}
	return err
}

func (f *faulty) CompareAndSwap(ctx context.Context, key, old string, content []byte, contentType string) (string, error) {
	effect, err := f.call(true)
	if !effect {
		return "", err
	}
	etag, swap := f.Bucket.CompareAndSwap(ctx, key, old, content, contentType)
	return etag, errors.Join(err, swap)
}
