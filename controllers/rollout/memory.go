// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/windlass-dev/windlass/internal/analysis"
	"github.com/windlass-dev/windlass/internal/analysis/blame"
)

// memory keeps what need not be in status: notes of a release, and when its status was last written. Losing it costs one measurement.
type memory struct {
	mu      sync.Mutex
	entries map[types.NamespacedName]*remembered
}

type remembered struct {
	of      trial
	notes   notes
	written time.Time
}

// notes are what the next reconcile of a release goes on with.
type notes struct {
	results []analysis.Result // of all metrics
	sought  search
}

// trial is the release that something is remembered of.
type trial struct {
	uid      types.UID
	revision int64
}

// search is the last one for a slice that explains the failures.
type search struct {
	at      time.Time // zero: there was none
	failing bool      // the analysis failed already
	found   *blame.Finding
	foundAt time.Time // when it was asked for
}

func (m *memory) entry(key types.NamespacedName) *remembered {
	if m.entries == nil {
		m.entries = map[types.NamespacedName]*remembered{}
	}
	if m.entries[key] == nil {
		m.entries[key] = &remembered{}
	}
	return m.entries[key]
}

// recall gives what was remembered of a release; nothing when that is another one.
func (m *memory) recall(key types.NamespacedName, of trial) notes {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.entries[key]; e != nil && e.of == of {
		return e.notes
	}
	return notes{}
}

func (m *memory) remember(key types.NamespacedName, of trial, n notes) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.entry(key)
	e.of, e.notes = of, n
}

// drop forgets the notes: status has what holds now.
func (m *memory) drop(key types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.entry(key)
	e.of, e.notes = trial{}, notes{}
}

// pace is how long to wait before values alone are written again.
func (m *memory) pace(key types.NamespacedName, now time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return max(statusPace-now.Sub(m.entry(key).written), 0)
}

func (m *memory) wrote(key types.NamespacedName, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entry(key).written = now
}

func (m *memory) forget(key types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.entries, key)
}
