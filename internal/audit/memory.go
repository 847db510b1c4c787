// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"slices"
	"time"
)

const (
	// maxMemory is how many ids are remembered; the older half of more is forgotten, and read again when it is asked for.
	maxMemory = 16_384
	// skew is how far the clocks of two leaders may be apart.
	skew = 10 * time.Minute
)

// memory has the ids of the last records: all of those that were appended since a moment.
type memory struct {
	ids   map[string]bool
	order []remembered // the oldest first
	first int64        // sequence of the oldest record that was looked at; zero: none was
	since time.Time    // all that was appended since then is known; zero: nobody knows since when
	all   bool         // there is no older record
}

type remembered struct {
	id       string
	at       time.Time // when it was appended
	sequence int64
}

func newMemory() memory { return memory{ids: map[string]bool{}} }

func (m *memory) has(id string) bool { return m.ids[id] }

// covers tells whether a record of something that happened at a moment would be known.
func (m *memory) covers(at time.Time) bool {
	return m.all || !m.since.IsZero() && at.Add(-skew).After(m.since)
}

// add remembers a record that was appended after all others.
func (m *memory) add(r *Record) {
	if m.first == 0 {
		m.first = r.Sequence
	}
	if r.ID == "" || m.ids[r.ID] {
		return
	}
	m.ids[r.ID] = true
	m.order = append(m.order, remembered{r.ID, r.Recorded, r.Sequence})
	if len(m.order) <= maxMemory {
		return
	}
	for _, old := range m.order[:maxMemory/2] {
		delete(m.ids, old.id)
	}
	m.order = slices.Clone(m.order[maxMemory/2:])
	m.since, m.first, m.all = m.order[0].at, m.order[0].sequence, false
}

// addOlder remembers records that come right before the oldest one, the oldest first.
func (m *memory) addOlder(records []Record, first int64) {
	older := make([]remembered, 0, len(records)+len(m.order))
	for i := range records {
		if id := records[i].ID; id != "" && !m.ids[id] {
			m.ids[id] = true
			older = append(older, remembered{id, records[i].Recorded, records[i].Sequence})
		}
	}
	if len(records) > 0 {
		m.since = records[0].Recorded
	}
	m.order = append(older, m.order...)
	m.first, m.all = first, first <= 1
}
