// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
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
	Weight    string                 `json:"weight,omitempty"` // percent
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
