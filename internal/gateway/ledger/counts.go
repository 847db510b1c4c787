// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/windlass-dev/windlass/internal/resolve"
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
	Trial          string `json:"trial,omitempty"`     // salt of the trial that the arm belongs to
	Stage          int32  `json:"stage,omitempty"`     // of the trial
	Candidate      string `json:"candidate,omitempty"` // digest of the trial's candidate
	Release        int64  `json:"release,omitempty"`   // of the candidate's rollout
	Devices        int64  `json:"devices"`             // exposed: checked in and should run the bundle
	Offered        int64  `json:"offered"`
	Downloaded     int64  `json:"downloaded"`
	Installed      int64  `json:"installed"`
	Confirmed      int64  `json:"confirmed"`
	Failed         int64  `json:"failed"`     // bundle failures only; a vote may heal
	FailedOnce     int64  `json:"failedOnce"` // failed, and those whose failure was made good: of confirmed and failed together
	DeliveryFailed int64  `json:"deliveryFailed"`
	Returned       int64  `json:"returned"` // checked in again, the heal window or more after the first check
}

// Entry is what is kept of a device and a bundle. A zero time means never.
type Entry struct {
	Series
	Client

	Votes            bool
	Returned         bool      // checked in again, the heal window or more after the first check
	Vote             string    // confirmed, failed, or empty: neither yet
	ExposedAt        time.Time // first check; never: only reports are known
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
// not answer or does not take what this replica has: what is not known is not zero, and what is old is not how it is.
func (l *Ledger) Counts(ctx context.Context, app, channel string) (Snapshot, error) {
	a := l.attached.Load()
	if a == nil || l.late() {
		return Snapshot{}, ErrUnavailable
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	s := Snapshot{Ledger: a.ledger, Since: a.since, Rows: []Row{}}
	err := each(ctx, l.db.read, func(rows *sql.Rows) error {
		var r Row
		err := rows.Scan(&r.Digest, &r.Version, &r.Arm, &r.Trial, &r.Stage, &r.Candidate, &r.Release, &r.Devices, &r.Offered, &r.Downloaded,
			&r.Installed, &r.Confirmed, &r.Failed, &r.DeliveryFailed, &r.Returned, &r.FailedOnce)
		r.Arm = armName(resolve.Arm(r.Arm))
		s.Rows = append(s.Rows, r)
		return err
	}, "SELECT digest, version, arm, trial, stage, candidate, release, exposed, offered, downloaded, installed, confirmed, failed, "+
		"delivery_failed, returned, failed_once FROM series WHERE app = $1 AND channel = $2 ORDER BY id", legible(app), legible(channel))
	if err != nil {
		return Snapshot{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return s, nil
}

func armName(a resolve.Arm) string {
	if a == resolve.NoArm {
		return "none"
	}
	return string(a)
}

// History gives all that is known of a device, the newest first, or ErrUnavailable.
func (l *Ledger) History(ctx context.Context, p Pseudonym) ([]Entry, error) {
	if l.attached.Load() == nil {
		return nil, ErrUnavailable
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	out := []Entry{}
	err := each(ctx, l.db.read, func(rows *sql.Rows) error {
		var s Series
		scan := scanned{extra: []any{&s.App, &s.Channel, &s.Digest, &s.Version, &s.Arm, &s.Trial, &s.Stage, &s.Candidate, &s.Release}}
		if err := scan.read(rows); err != nil {
			return err
		}
		out = append(out, l.entryOf(s, &scan.vote))
		return nil
	}, historyQuery, p[:])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return out, nil
}

func (l *Ledger) entryOf(s Series, v *vote) Entry {
	e := Entry{
		Series: s, Client: v.told(), Votes: v.voting, FailedKind: v.failedKind, DeliveryKind: v.deliveryKind,
		ExposedAt: timeOf(v.exposedAt), OfferedAt: timeOf(v.offeredAt), DownloadedAt: timeOf(v.downloadedAt),
		InstalledAt: timeOf(v.installedAt), SeenAt: timeOf(v.seenAt), ReadyAt: timeOf(v.readyAt), FailedAt: timeOf(v.failedAt),
		DeliveryFailedAt: timeOf(v.deliveryFailedAt), UpdatedAt: timeOf(v.updatedAt),
	}
	r := l.rules.Load()
	e.Returned = r.returned(v)
	if o, ok := r.voteOf(v); ok {
		e.Vote = names[o]
	}
	return e
}
