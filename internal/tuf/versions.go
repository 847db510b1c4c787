// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package tuf

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Versions are what devices may have seen: of the timestamp, which is also that of the snapshot, and of all roles.
type Versions struct {
	Timestamp int64
	Roles     map[string]int64 // by role name, without .json
}

// CheckSnapshot checks a snapshot against what was published before: no version falls, and no role is forgotten.
func CheckSnapshot(s *metadata.SnapshotType, before Versions, now time.Time) error {
	if err := (head{s.Type, s.SpecVersion, s.Version, s.Expires}).check(metadata.SNAPSHOT, now); err != nil {
		return err
	}
	if s.Version <= before.Timestamp {
		return fmt.Errorf("version %d, expected more than %d", s.Version, before.Timestamp)
	}
	if err := integers(s.UnrecognizedFields); err != nil {
		return err
	}
	if s.Meta[metadata.TARGETS+".json"] == nil {
		return errors.New("it names no targets.json")
	}
	for _, file := range slices.Sorted(maps.Keys(s.Meta)) {
		if err := checkListed(file, s.Meta[file], s.Version); err != nil {
			return fmt.Errorf("%.120q: %w", file, err)
		}
	}
	for _, role := range slices.Sorted(maps.Keys(before.Roles)) {
		switch meta := s.Meta[role+".json"]; {
		case meta == nil:
			return fmt.Errorf("role %s is forgotten", role)
		case meta.Version < before.Roles[role]:
			return fmt.Errorf("role %s falls from version %d to %d", role, before.Roles[role], meta.Version)
		}
	}
	return nil
}

// checkListed checks an entry of a snapshot. No role is newer than the snapshot that lists it.
func checkListed(file string, meta *metadata.MetaFiles, version int64) error {
	role, ok := strings.CutSuffix(file, ".json")
	if !ok {
		return errors.New("expected <role>.json")
	}
	if role != metadata.TARGETS {
		if _, _, err := splitRole(role); err != nil {
			return err
		}
	}
	switch {
	case meta == nil:
		return errors.New("expected a version, found null")
	case meta.Version < 1 || meta.Version > version:
		return fmt.Errorf("version %d, expected 1 to %d", meta.Version, version)
	case meta.Length < 0 || meta.Length > MaxTargets:
		return fmt.Errorf("length %d, expected 0 to %d", meta.Length, MaxTargets)
	}
	return integers(meta.UnrecognizedFields)
}

// CheckTimestamp checks a timestamp against the version that was published before. It names one snapshot, of its own version,
// with length and hash.
func CheckTimestamp(t *metadata.TimestampType, before int64, now time.Time) error {
	if err := (head{t.Type, t.SpecVersion, t.Version, t.Expires}).check(metadata.TIMESTAMP, now); err != nil {
		return err
	}
	if t.Version <= before {
		return fmt.Errorf("version %d, expected more than %d", t.Version, before)
	}
	if err := integers(t.UnrecognizedFields); err != nil {
		return err
	}
	meta := t.Meta[metadata.SNAPSHOT+".json"]
	switch {
	case meta == nil || len(t.Meta) != 1:
		return errors.New("expected one entry, snapshot.json")
	case meta.Version != t.Version:
		return fmt.Errorf("snapshot version %d, expected %d", meta.Version, t.Version)
	case meta.Length < 1 || meta.Length > MaxSnapshot:
		return fmt.Errorf("snapshot length %d, expected 1 to %d", meta.Length, MaxSnapshot)
	case len(meta.Hashes["sha256"]) != sha256.Size:
		return errors.New("snapshot has no SHA-256")
	}
	return integers(meta.UnrecognizedFields)
}

// CheckSize is an error when a file is larger than clients read.
func CheckSize(raw []byte, limit int) error {
	if len(raw) > limit {
		return fmt.Errorf("%d bytes, expected at most %d, which is what clients read", len(raw), limit)
	}
	return nil
}
