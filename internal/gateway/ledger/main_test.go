// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"testing"
)

// postgresDir holds the data of the PostgreSQL that the tests share.
var postgresDir string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if os.Getenv(childEnv) != "" { // it is to be killed, and could not clean up
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "windlass-ledger")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	postgresDir = dir
	defer func() {
		if postgres.server != nil {
			postgres.server.Stop()
		}
	}()
	return m.Run()
}

// execute runs statements on a PostgreSQL.
func execute(t testing.TB, dsn, statements string) {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // of a pool that served one test
	if _, err := db.ExecContext(context.Background(), statements); err != nil {
		t.Fatal(err)
	}
}
