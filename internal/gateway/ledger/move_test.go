// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/windlass-dev/windlass/internal/gateway/ledger"
)

// A ledger moves from SQLite to PostgreSQL by a copy of its tables, as docs/ledger.md says.
func TestMoveToPostgres(t *testing.T) {
	t.Parallel()
	there := ledger.Config{DSN: newDatabase(t)}
	here := ledger.Config{Path: filepath.Join(t.TempDir(), "ledger.db")}
	l, stop := open(t, here)
	for _, s := range fleet(50) {
		s.to(t, l)
	}
	if err := l.SetOverride(t.Context(), app, l.Pseudonym(app, "device-3"), "beta"); err != nil {
		t.Fatal(err)
	}
	expected := rows(t, l)
	stop()
	_, stop = open(t, there) // makes the tables
	stop()

	from := openDB(t, here)
	execute(t, there.DSN, "DELETE FROM meta; DELETE FROM sessions")
	to := openDB(t, there)
	for _, table := range tables {
		copyTable(t, from, to, table)
	}
	l, _ = open(t, there)
	if diff := cmp.Diff(expected, rows(t, l)); diff != "" {
		t.Errorf("counts (-before +after):\n%s", diff)
	}
	if p := l.Pseudonym(app, "device-3"); l.Override(p) != "beta" {
		t.Errorf("override: %q, want beta", l.Override(p))
	}
	if p := l.Pseudonym(app, "device-0"); len(l.Failed(p)) != 1 {
		t.Errorf("failed: %v, want one", l.Failed(p))
	}
	for _, s := range fleet(60) { // the old ones count no second time
		s.to(t, l)
	}
	got := rows(t, l)
	if n := got[0].Devices + got[1].Devices; n != 60 {
		t.Errorf("%d devices after ten new ones, want 60", n)
	}
}

var tables = []string{"meta", "series", "votes", "failures", "overrides", "sessions"}

// openDB opens a ledger's database, beside the ledger.
func openDB(t *testing.T, cfg ledger.Config) *sql.DB {
	t.Helper()
	driver, name := "sqlite", cfg.Path
	if cfg.DSN != "" {
		driver, name = "pgx", cfg.DSN
	}
	db, err := sql.Open(driver, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// columnsOf gives the columns of a table.
func columnsOf(t *testing.T, db *sql.DB, table string) []string {
	t.Helper()
	found, err := db.QueryContext(t.Context(), "SELECT * FROM "+table+" LIMIT 0")
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close() //nolint:errcheck // Err tells what went wrong
	columns, err := found.Columns()
	if err := errors.Join(err, found.Err()); err != nil {
		t.Fatal(err)
	}
	return columns
}

// copyTable copies the columns that the target has.
func copyTable(t *testing.T, from, to *sql.DB, table string) {
	t.Helper()
	columns := columnsOf(t, to, table)
	found, err := from.QueryContext(t.Context(), "SELECT "+strings.Join(columns, ", ")+" FROM "+table)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close() //nolint:errcheck // Err tells what went wrong
	values, targets, places := make([]any, len(columns)), make([]any, len(columns)), make([]string, len(columns))
	for i := range values {
		targets[i], places[i] = &values[i], fmt.Sprint("$", i+1)
	}
	statement := fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", table, strings.Join(columns, ", "), strings.Join(places, ", "))
	for found.Next() {
		if err := found.Scan(targets...); err != nil {
			t.Fatal(err)
		}
		if _, err := to.ExecContext(t.Context(), statement, values...); err != nil {
			t.Fatal(err)
		}
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
}
