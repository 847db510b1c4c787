// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package devcluster

import (
	"database/sql"
	"errors"
	"net/url"
	"strconv"
	"testing"
)

func TestPostgresStopsAndComesBackWithItsData(t *testing.T) {
	dir := t.TempDir()
	p, err := StartPostgres(t.Context(), dir)
	if errors.Is(err, ErrNoPostgres) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop() })
	u, err := url.Parse(p.DSN)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("pgx", p.DSN)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE kept (n INTEGER); INSERT INTO kept VALUES (7)"); err != nil {
		t.Fatal(err)
	}
	p.Stop()
	if err := db.PingContext(t.Context()); err == nil {
		t.Fatal("the server answers after Stop")
	}
	if p, err = RestartPostgres(t.Context(), dir, port); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := db.QueryRowContext(t.Context(), "SELECT n FROM kept").Scan(&n); err != nil || n != 7 {
		t.Errorf("after the restart: %d, %v, want 7", n, err)
	}
}
