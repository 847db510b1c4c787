// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

const (
	// Folder holds the records, below the Repository's prefix.
	Folder = "audit/"
	// MaxRecord is the largest record in bytes: all fields of a PendingRecord at their limits, escaped, have less.
	MaxRecord = 256 << 10

	hashPrefix     = "sha256:"
	sequenceDigits = 12

	// Oversized stands for an object that is larger than MaxRecord wherever the bytes of a record are asked for: its hash is the hash
	// of such an object, so that all who look agree without reading it.
	Oversized = "too large\n"
)

// Record is one line of the log. The order of the fields is that of the JSON.
type Record struct {
	Sequence int64  `json:"sequence"` // from 1
	Previous string `json:"previous"` // hash of the record before; empty in the first
	ID       string `json:"id"`       // unique in the Repository: the same one is never recorded twice

	At       time.Time `json:"at"`       // when it happened, in microseconds
	Recorded time.Time `json:"recorded"` // when it was appended

	Kind      string `json:"kind"` // of the object: Rollout, Channel, Bundle or Repository
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid"`
	App       string `json:"app,omitempty"`
	Channel   string `json:"channel,omitempty"`

	Action  string            `json:"action"` // the reason of the Kubernetes event (docs/events.md)
	Message string            `json:"message,omitempty"`
	By      string            `json:"by,omitempty"` // empty: the manager decided by itself
	Actor   otav1alpha1.Actor `json:"actor,omitempty"`

	Bundle    string                 `json:"bundle,omitempty"`
	Version   string                 `json:"version,omitempty"`
	Digest    string                 `json:"digest,omitempty"`
	Weight    string                 `json:"weight,omitempty"` // percent of the devices, from then on
	Evidence  []string               `json:"evidence,omitempty"`
	Candidate *otav1alpha1.ArmCounts `json:"candidate,omitempty"`
	Control   *otav1alpha1.ArmCounts `json:"control,omitempty"`

	MetadataVersion int64 `json:"metadataVersion,omitempty"` // that devices could see when it was appended

	// Hash of the record, sha256: and 64 hexadecimal digits. It is that of the bytes, and not part of them.
	Hash string `json:"-"`
}

// Head is the end of a log.
type Head struct {
	Sequence int64 // of the last record; zero: there is none
	Hash     string
	At       time.Time // when it was appended
}

// Encode gives the record as it is in the bucket, one line with a line feed at its end, and its hash.
func (r Record) Encode() (line []byte, hash string, err error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		return nil, "", fmt.Errorf("encode record %s: %w", r.ID, err)
	}
	if b.Len() > MaxRecord {
		return nil, "", fmt.Errorf("record %s has %d bytes, at most %d are allowed", r.ID, b.Len(), MaxRecord)
	}
	return b.Bytes(), HashOf(b.Bytes()), nil
}

// HashOf is the hash of a record as it is in the bucket, whatever is in it.
func HashOf(line []byte) string {
	sum := sha256.Sum256(line)
	return hashPrefix + hex.EncodeToString(sum[:])
}

// Decode reads a record as it is in the bucket. Fields that it does not know are of later versions.
func Decode(line []byte) (Record, error) {
	var r Record
	body, ok := bytes.CutSuffix(line, []byte("\n"))
	switch {
	case !ok || bytes.ContainsRune(body, '\n'):
		return r, errors.New("it is not one line that ends with a line feed")
	case len(line) > MaxRecord, string(line) == Oversized:
		return r, fmt.Errorf("it has more than the %d bytes that a record can have", MaxRecord)
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return Record{}, errors.New("it is not the JSON of a record")
	}
	if r.Sequence < 1 || r.ID == "" || r.Action == "" {
		return Record{}, errors.New("it lacks sequence, id or action")
	}
	r.Hash = HashOf(line)
	return r, nil
}

// Key is the name of the object of a sequence. Names are in the order of their sequences.
func Key(sequence int64) string {
	return fmt.Sprintf("%s%0*d.json", Folder, sequenceDigits, sequence)
}

// SequenceOf is the inverse of Key. A name with more digits is none: it would not be in the order of its sequence.
func SequenceOf(key string) (int64, bool) {
	digits, ok := strings.CutSuffix(strings.TrimPrefix(key, Folder), ".json")
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, ok && err == nil && n > 0 && len(digits) == sequenceDigits && Key(n) == key
}
