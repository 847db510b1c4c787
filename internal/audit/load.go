// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/windlass-dev/windlass/internal/store"
)

const (
	blockSize = 256 // records that are read at once
	parallel  = 16  // requests
	// maxJump is how many records may be missing in one place at the end of the log. What lies beyond is none of its records: else
	// one object with a high number would use up all numbers.
	maxJump = 100_000
)

// load finds the end of the log, once: the last object that is listed from the last anchor on. What is missing there was removed by
// somebody, and its sequences are not used again.
func (l *Log) load(ctx context.Context) error {
	l.mu.Lock()
	loaded, base := l.loaded, l.head
	l.mu.Unlock()
	if loaded {
		return nil
	}
	l.mu.Lock()
	l.faults = nil // of an attempt that failed
	l.mu.Unlock()
	last, err := l.last(ctx, base.Sequence)
	if err != nil {
		return fmt.Errorf("find the end of the audit log: %w", err)
	}
	if err := l.holdAgainst(ctx, base, last); err != nil {
		return err
	}
	if last > base.Sequence {
		if err := l.takeLast(ctx, last); err != nil {
			return err
		}
	}
	if err := l.older(ctx, max(last, base.Sequence)+1); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.loaded = true
	return nil
}

// last lists the records from one on, and gives the sequence of the last; zero: there are none.
func (l *Log) last(ctx context.Context, from int64) (last int64, err error) {
	after, next := "", int64(1)
	if from > 1 {
		after, next = Key(from-1), from
	}
	for obj, err := range l.cfg.Bucket.ListAfter(ctx, Folder, after) {
		if err != nil {
			return 0, err
		}
		sequence, ok := SequenceOf(obj.Key)
		if !ok || sequence < next {
			continue
		}
		if sequence-next > maxJump { // and so do all after it
			l.fault(sequence, "lies more than %d beyond the records of this log: somebody else put it there, and it is ignored", maxJump)
			break
		}
		if sequence > next {
			l.fault(next, "is missing%s", upTo(next, sequence-1))
		}
		last, next = sequence, sequence+1
	}
	if last < from {
		l.fault(next, "is missing%s", upTo(next, from))
	}
	return last, nil
}

// holdAgainst compares the record that an anchor names, where there is one.
func (l *Log) holdAgainst(ctx context.Context, base Head, last int64) error {
	if base.Sequence == 0 || last < base.Sequence {
		return nil
	}
	line, _, err := l.fetch(ctx, base.Sequence)
	switch {
	case errors.Is(err, store.ErrNotExist):
	case err != nil:
		return fmt.Errorf("read record %d: %w", base.Sequence, err)
	case HashOf(line) != base.Hash:
		l.fault(base.Sequence, "is not the one that was the last, or one before it was changed: its hash is %s, expected %s", HashOf(line), base.Hash)
	}
	return nil
}

// fetch reads a record as it is in the bucket.
func (l *Log) fetch(ctx context.Context, sequence int64) ([]byte, store.Object, error) {
	line, obj, err := l.cfg.Bucket.Get(ctx, Key(sequence), MaxRecord)
	if errors.Is(err, store.ErrTooLarge) {
		return []byte(Oversized), store.Object{Key: Key(sequence)}, nil
	}
	return line, obj, err
}

// appended tells when a record of the bucket was: what it says, or when its object was put, or now, when nobody knows.
func (l *Log) appended(r *Record, obj store.Object) time.Time {
	return cmp.Or(r.Recorded, obj.LastModified.UTC(), l.cfg.Now().UTC().Truncate(time.Microsecond))
}

// takeLast makes the last record of the bucket the head.
func (l *Log) takeLast(ctx context.Context, last int64) error {
	line, obj, err := l.fetch(ctx, last)
	if err != nil {
		return fmt.Errorf("read record %d: %w", last, err)
	}
	r, err := Decode(line)
	if err != nil {
		l.fault(last, "cannot be read: %v", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.head = Head{Sequence: last, Hash: HashOf(line), At: l.appended(&r, obj)}
	return nil
}

// reach makes sure that the memory goes back far enough to tell whether something that happened at a moment was recorded.
func (l *Log) reach(ctx context.Context, at time.Time) error {
	for {
		l.mu.Lock()
		first, enough := l.memory.first, l.memory.covers(at)
		l.mu.Unlock()
		if enough || first <= 1 {
			return nil
		}
		if err := l.older(ctx, first); err != nil {
			return err
		}
	}
}

// older remembers the records before one. None of those that are missing or spoiled can be remembered.
func (l *Log) older(ctx context.Context, before int64) error {
	first := max(before-blockSize, 1)
	records, err := l.read(ctx, first, before-1)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.memory.addOlder(records, first)
	return nil
}

// read gives the records of some sequences that can be read.
func (l *Log) read(ctx context.Context, first, last int64) ([]Record, error) {
	if last < first {
		return nil, nil
	}
	found := make([]Record, last-first+1)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i := range found {
		group.Go(func() error {
			line, _, err := l.fetch(ctx, first+int64(i))
			switch {
			case errors.Is(err, store.ErrNotExist):
				return nil
			case err != nil:
				return fmt.Errorf("read record %d: %w", first+int64(i), err)
			}
			if r, err := Decode(line); err == nil && r.Sequence == first+int64(i) {
				found[i] = r
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var out []Record
	for i := range found {
		if found[i].Sequence > 0 {
			out = append(out, found[i])
		}
	}
	return out, nil
}

// Read gives the next records from a sequence on, in order and at most limit. Records that are missing or spoiled are left out: the
// verification tells of them. None means that there are no more. It waits for the bucket.
func (l *Log) Read(ctx context.Context, from int64, limit int) ([]Record, error) {
	from = max(from, 1)
	for last := l.Head().Sequence; from <= last; {
		end := min(last, from+int64(min(max(limit, 1), blockSize))-1)
		records, err := l.read(ctx, from, end)
		if len(records) > 0 || err != nil || end == last {
			return records, err
		}
		if from, err = l.after(ctx, end); err != nil || from == 0 {
			return nil, err
		}
	}
	return nil, nil
}

// after lists for the first record after a sequence, so that a gap costs one request however wide it is. Zero: there is none.
func (l *Log) after(ctx context.Context, sequence int64) (int64, error) {
	for obj, err := range l.cfg.Bucket.ListAfter(ctx, Folder, Key(sequence)) {
		if err != nil {
			return 0, fmt.Errorf("find the record after %d: %w", sequence, err)
		}
		if n, ok := SequenceOf(obj.Key); ok {
			return n, nil
		}
	}
	return 0, nil
}
