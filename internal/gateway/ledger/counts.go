// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"time"
)

// Snapshot is what the database holds of a channel, from all replicas that share it.
type Snapshot struct {
	Ledger string    // id of the database: replicas that give the same one must not be added up
	Since  time.Time // when the database was made
	Rows   []Row     // the oldest series first; never nil
}

// Row is the count of one series, in devices.
type Row struct {
	Digest         string `json:"digest"` // empty: the embedded bundle
	Version        string `json:"version"`
	Arm            string `json:"arm"`                 // candidate, control or none
	Candidate      string `json:"candidate,omitempty"` // digest of the candidate that the arm belongs to
	Release        int64  `json:"release,omitempty"`   // of the candidate's rollout
	Devices        int64  `json:"devices"`             // exposed: checked in and should run the bundle
	Offered        int64  `json:"offered"`
	Downloaded     int64  `json:"downloaded"`
	Installed      int64  `json:"installed"`
	Confirmed      int64  `json:"confirmed"`
	Failed         int64  `json:"failed"` // bundle failures only
	DeliveryFailed int64  `json:"deliveryFailed"`
}

// Entry is what is kept of a device and a bundle. A zero time means never.
type Entry struct {
	Series
	Client

	Votes            bool
	Vote             string // confirmed, failed, or empty: neither yet
	ExposedAt        time.Time
	OfferedAt        time.Time // last
	DownloadedAt     time.Time
	InstalledAt      time.Time
	SeenAt           time.Time // last check while it ran the bundle
	ReadyAt          time.Time // last word of the app that it is well
	FailedAt         time.Time // last
	FailedKind       Kind
	DeliveryFailedAt time.Time // last
	DeliveryKind     Kind
	UpdatedAt        time.Time
}

// Counts gives the counts of a channel, exact over all replicas of the database. It gives ErrUnavailable when the database does
// not answer: what is not known is not zero.
func (l *Ledger) Counts(ctx context.Context, app, channel string) (Snapshot, error) {
	panic("not written yet")
}

// History gives all that is known of a device, the newest first, or ErrUnavailable.
func (l *Ledger) History(ctx context.Context, p Pseudonym) ([]Entry, error) {
	panic("not written yet")
}
