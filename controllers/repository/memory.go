// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// identity stands for a set of named values, without showing them.
type identity struct{ parts map[string]string }

func (i *identity) add(name string, value []byte) {
	if i.parts == nil {
		i.parts = map[string]string{}
	}
	digest := sha256.Sum256(value)
	i.parts[name] = hex.EncodeToString(digest[:])
}

func (i *identity) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(i.parts)) {
		b.WriteString(strconv.Quote(name) + i.parts[name])
	}
	digest := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(digest[:])
}

// memory is what a restart may forget. Its zero value is ready.
type memory struct {
	mu    sync.Mutex
	notes map[types.NamespacedName]note
}

type note struct {
	probed string // identity of the access that was probed
}

func (m *memory) update(key types.NamespacedName, change func(*note)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.notes == nil {
		m.notes = map[types.NamespacedName]note{}
	}
	n := m.notes[key]
	change(&n)
	m.notes[key] = n
}

func (m *memory) probed(key types.NamespacedName, access string) {
	m.update(key, func(n *note) { n.probed = access })
}

// changed tells whether the access is another than the one that was probed. After a restart nobody knows, and the status
// counts.
func (m *memory) changed(key types.NamespacedName, access string) (changed bool) {
	m.update(key, func(n *note) {
		changed = n.probed != "" && n.probed != access
		if n.probed == "" {
			n.probed = access
		}
	})
	return changed
}

func (m *memory) forget(key types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.notes, key)
}
