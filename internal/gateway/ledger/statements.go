// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"strconv"
	"strings"
)

const (
	voteColumns = "device, series_id, voting, exposed_at, checked_at, offered_at, answered_at, downloaded_at, installed_at, first_seen_at, seen_at, " +
		"ran_since, ready_at, failed_at, failed_kind, failure_heard_at, recovered_at, proven_at, barred, delivery_failed_at, delivery_kind, " +
		"platform, native_version, plugin, client_at, first_native_version, first_os_version, first_region, updated_at"
	seriesColumns = "id, app, channel, digest, version, arm, trial, stage, candidate, release"
)

const historyQuery = "SELECT " + voteColumns + ", app, channel, digest, version, arm, trial, stage, candidate, release " +
	"FROM votes JOIN series ON series.id = votes.series_id WHERE device = $1 ORDER BY updated_at DESC, series_id DESC"

// chunks are how many rows one statement is about. They are few, so that the database knows the statements.
var chunks = []int{128, 32, 8, 4, 2, 1}

// chunked cuts a list into such pieces.
func chunked[T any](list []T) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		for _, n := range chunks {
			for ; len(list) >= n; list = list[n:] {
				if !yield(list[:n]) {
					return
				}
			}
		}
	}
}

// statements are texts that were made once for a kind of database.
type statements struct {
	votesOf, putVotes, putFailures, votersOf map[int]string // by the number of rows
}

var (
	postgresStatements = makeStatements(func(i int) string { return "$" + strconv.Itoa(i) })
	// A place with a number is a name to SQLite, and it looks for names one by one: with some thousand places in a statement
	// that takes nearly all of the time.
	sqliteStatements = makeStatements(func(int) string { return "?" })
)

func makeStatements(place func(int) string) *statements {
	s := &statements{votesOf: map[int]string{}, putVotes: map[int]string{}, putFailures: map[int]string{}, votersOf: map[int]string{}}
	for _, n := range chunks {
		s.votesOf[n] = "SELECT " + voteColumns + " FROM votes WHERE device IN " + places(place, 1, n)
		s.votersOf[n] = "SELECT id, exposed FROM series WHERE id IN " + places(place, 1, n)
		s.putVotes[n] = "INSERT INTO votes (" + voteColumns + ") VALUES " + places(place, n, strings.Count(voteColumns, ",")+1) +
			" ON CONFLICT (device, series_id) DO UPDATE SET " + voteUpdates()
		s.putFailures[n] = "INSERT INTO failures (device, digest, at, lifted, seq) VALUES " + places(place, n, 5) +
			" ON CONFLICT (device, digest) DO UPDATE SET at = excluded.at, lifted = excluded.lifted, seq = excluded.seq " +
			"WHERE excluded.lifted <> failures.lifted OR excluded.lifted = 0 AND excluded.at > failures.at"
	}
	return s
}

// voteUpdates sets all columns of a vote but those of its key.
func voteUpdates() string {
	var set []string
	for _, column := range strings.Split(voteColumns, ", ")[2:] {
		set = append(set, column+" = excluded."+column)
	}
	return strings.Join(set, ", ")
}

// places gives ($1, $2), ($3, $4) for two rows of two values.
func places(place func(int) string, rows, values int) string {
	var b strings.Builder
	for i := range rows * values {
		switch {
		case i == 0:
			b.WriteByte('(')
		case i%values == 0:
			b.WriteString("), (")
		default:
			b.WriteString(", ")
		}
		b.WriteString(place(i + 1))
	}
	b.WriteByte(')')
	return b.String()
}

// scanned is a row of voteColumns, and what a statement selects after them.
type scanned struct {
	device []byte
	series int64
	vote   vote
	extra  []any
}

func (s *scanned) read(rows *sql.Rows) error {
	v := &s.vote
	return rows.Scan(append([]any{
		&s.device, &s.series, &v.voting, &v.exposedAt, &v.checkedAt, &v.offeredAt, &v.answeredAt, &v.downloadedAt, &v.installedAt, &v.firstSeenAt,
		&v.seenAt, &v.ranSince, &v.readyAt, &v.failedAt, &v.failedKind, &v.failureHeardAt, &v.recoveredAt, &v.provenAt, &v.barred, &v.deliveryFailedAt, &v.deliveryKind,
		&v.client.Platform, &v.client.NativeVersion, &v.client.Plugin, &v.clientAt,
		&v.kind.native, &v.kind.os, &v.kind.region, &v.updatedAt,
	}, s.extra...)...)
}

// voteValues adds the values of voteColumns.
func voteValues(to []any, device *Pseudonym, series int64, v *vote) []any {
	return append(to, device[:], series, bit(v.voting), v.exposedAt, v.checkedAt, v.offeredAt, v.answeredAt, v.downloadedAt, v.installedAt, v.firstSeenAt,
		v.seenAt, v.ranSince, v.readyAt, v.failedAt, string(v.failedKind), v.failureHeardAt, v.recoveredAt, v.provenAt, bit(v.barred), v.deliveryFailedAt, string(v.deliveryKind),
		v.client.Platform, v.client.NativeVersion, v.client.Plugin, v.clientAt,
		v.kind.native, v.kind.os, v.kind.region, v.updatedAt)
}

// bit is a truth as both databases have it.
func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// querier is a pool or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// each calls scan for all rows that a query gives.
func each(ctx context.Context, q querier, scan func(*sql.Rows) error, query string, args ...any) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // Err tells what went wrong
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// pseudonymOf reads a pseudonym as the database has it.
func pseudonymOf(raw []byte) (p Pseudonym, err error) {
	if len(raw) != len(p) {
		return p, fmt.Errorf("pseudonym: expected %d bytes, got %d", len(p), len(raw))
	}
	return Pseudonym(raw), nil
}
