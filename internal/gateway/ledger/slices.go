// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"time"
)

const (
	// maxGroups is how many groups are told one by one. Devices say themselves what they are, and can make it up.
	maxGroups = 2000
	// slicesTimeout bounds reading the votes of a trial.
	slicesTimeout = 8 * time.Second
)

// Slices are the devices of a trial in groups that are alike, from all replicas that share the database.
type Slices struct {
	Ledger string    // id of the database: replicas that give the same one must not be added up
	Since  time.Time // when the database was made
	Groups []Group   // the largest first, and then the rests, the oldest stage first; never nil
}

// Group counts the devices that told the same of themselves with their first check in a stage. An empty text is one that they did not tell.
type Group struct {
	Stage         int32  `json:"stage"`
	Platform      string `json:"platform"`
	NativeVersion string `json:"nativeVersion"`
	OSVersion     string `json:"osVersion"`
	Region        string `json:"region"`
	Rest          bool   `json:"rest,omitempty"` // it is all smaller groups of the stage; the texts are empty
	Candidate     Arm    `json:"candidate"`
	Control       Arm    `json:"control"`
}

// Arm counts devices of one arm, those that vote.
type Arm struct {
	Exposed    int64 `json:"exposed"`
	Voted      int64 `json:"voted"`      // confirmed or failed
	Failed     int64 `json:"failed"`     // a vote may heal
	FailedOnce int64 `json:"failedOnce"` // failed, and those whose failure was made good; of those who voted
	Returned   int64 `json:"returned"`
}

func (a *Arm) add(o Arm) {
	a.Exposed += o.Exposed
	a.Voted += o.Voted
	a.Failed += o.Failed
	a.FailedOnce += o.FailedOnce
	a.Returned += o.Returned
}

// slicesQuery groups the votes of a trial, by the rules of rules.counted with the times that the database has.
const slicesQuery = `SELECT stage, platform, native_version, os_version, region,
  SUM(candidate), SUM(candidate * voted), SUM(candidate * failed), SUM(candidate * failed_once), SUM(candidate * returned),
  SUM(1 - candidate), SUM((1 - candidate) * voted), SUM((1 - candidate) * failed), SUM((1 - candidate) * failed_once), SUM((1 - candidate) * returned)
FROM (
  SELECT s.stage, v.platform, COALESCE(NULLIF(v.first_native_version, ''), v.native_version) AS native_version,
    v.first_os_version AS os_version, v.first_region AS region,
    CASE WHEN s.arm = 'candidate' THEN 1 ELSE 0 END AS candidate,
    CASE WHEN v.failed_at > 0 OR v.ready_at > 0 OR v.first_seen_at > 0 AND v.seen_at - v.first_seen_at >= ready_time
      OR v.ran_since > 0 AND v.seen_at - v.ran_since >= ready_time THEN 1 ELSE 0 END AS voted,
    CASE WHEN v.failed_at > 0 AND (v.failed_kind = 'crash' OR NOT (v.recovered_at > 0 AND v.recovered_at - v.failed_at <= heal_window
           OR v.proven_at > 0 AND v.proven_at - v.failure_heard_at <= heal_window)) THEN 1 ELSE 0 END AS failed,
    CASE WHEN v.failed_at > 0 THEN 1 ELSE 0 END AS failed_once,
    CASE WHEN v.exposed_at > 0 AND v.checked_at - v.exposed_at >= CASE WHEN ready_time > heal_window THEN ready_time ELSE heal_window END THEN 1 ELSE 0 END AS returned
  FROM series s JOIN votes v ON v.series_id = s.id CROSS JOIN meta
  WHERE s.app = $1 AND s.channel = $2 AND s.trial = $3 AND s.arm <> '' AND v.voting = 1
) voters
GROUP BY stage, platform, native_version, os_version, region
ORDER BY COUNT(*) DESC, stage, platform, native_version, os_version, region`

// Slices gives the devices of a trial, by its salt, in groups that are alike. Their sums are the counts of the trial's stages. It reads
// all votes of the trial, for one caller at a time, and gives ErrUnavailable as Counts does, also when that takes too long.
func (l *Ledger) Slices(ctx context.Context, app, channel, trial string) (Slices, error) {
	a := l.attached.Load()
	if a == nil || l.late() {
		return Slices{}, ErrUnavailable
	}
	ctx, cancel := context.WithTimeout(ctx, slicesTimeout)
	defer cancel()
	select {
	case l.slicing <- struct{}{}:
		defer func() { <-l.slicing }()
	case <-ctx.Done():
		return Slices{}, fmt.Errorf("%w: others ask for groups of devices: %w", ErrUnavailable, ctx.Err())
	}
	out, rests := Slices{Ledger: a.ledger, Since: a.since, Groups: []Group{}}, map[int32]Group{}
	err := each(ctx, l.db.read, func(rows *sql.Rows) error {
		g, err := scanGroup(rows)
		if len(out.Groups) < maxGroups {
			out.Groups = append(out.Groups, g)
			return err
		}
		rest := rests[g.Stage]
		rest.Stage, rest.Rest = g.Stage, true
		rest.Candidate.add(g.Candidate)
		rest.Control.add(g.Control)
		rests[g.Stage] = rest
		return err
	}, slicesQuery, legible(app), legible(channel), legible(trial))
	if err != nil {
		return Slices{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	for _, stage := range slices.Sorted(maps.Keys(rests)) {
		out.Groups = append(out.Groups, rests[stage])
	}
	return out, nil
}

func scanGroup(rows *sql.Rows) (g Group, err error) {
	to := []any{&g.Stage, &g.Platform, &g.NativeVersion, &g.OSVersion, &g.Region}
	for _, a := range [...]*Arm{&g.Candidate, &g.Control} {
		to = append(to, &a.Exposed, &a.Voted, &a.Failed, &a.FailedOnce, &a.Returned)
	}
	return g, rows.Scan(to...)
}
