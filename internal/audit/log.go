// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"errors"
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// Log is the audit log of one Repository. Its methods do not wait for the bucket, but for Read.
type Log struct{}

// Submit asks to append records. What the log has already, by id, is not appended again. Sequence, Previous, Recorded, Hash and
// MetadataVersion are set by the log.
func (*Log) Submit(...Record) {}

// Recorded tells whether the record of an id is in the bucket.
func (*Log) Recorded(string) bool { return false }

// Head is the last record that is in the bucket.
func (*Log) Head() Head { return Head{} }

// Read gives at most limit records from a sequence on, in order. It waits for the bucket.
func (*Log) Read(context.Context, int64, int) ([]Record, error) {
	return nil, errors.New("not built yet")
}

// Set holds the open log of each Repository.
type Set struct {
	mu   sync.Mutex
	open map[types.NamespacedName]*Log
}

// For gives the log of a Repository. False: it is not open, since its bucket cannot be used now.
func (s *Set) For(repository types.NamespacedName) (*Log, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, ok := s.open[repository]
	return l, ok
}
