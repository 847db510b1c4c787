// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"modernc.org/sqlite" // and the driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Limits of what is asked of the database.
const (
	connectTimeout = 5 * time.Second
	readTimeout    = 5 * time.Second
	changeTimeout  = 3 * time.Second // of an override: a device waits
	batchTimeout   = 30 * time.Second
	setUpTimeout   = 5 * time.Minute // of migrations, and of reading what failed
)

// PostgreSQL's advisory locks, by numbers that nobody else uses: of the writer, and of who changes the tables.
const (
	writerLock    = 0x77_69_6e_64_6c_61_73_73 // windlass
	migrationLock = writerLock + 1
)

// Pool sizes.
const (
	postgresConnections = 4
	sqliteReaders       = 4
)

//go:embed migrations/*.sql
var migrations embed.FS

// refusal is an error of a database that answers, and that waiting does not mend.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

// database is SQLite or PostgreSQL. Both understand the same statements.
type database struct {
	write, read *sql.DB
	postgres    bool
	statements  *statements
}

// openDatabase makes the pools. PostgreSQL need not answer yet.
func openDatabase(c *Config) (*database, error) {
	switch {
	case c.DSN != "":
		return openPostgres(c.DSN)
	case c.Path == "":
		db, err := sql.Open("sqlite", "file::memory:?_txlock=immediate")
		if err != nil {
			return nil, fmt.Errorf("ledger: open a database in memory: %w", err)
		}
		db.SetMaxOpenConns(1) // each connection has a memory of its own
		return &database{write: db, read: db, statements: sqliteStatements}, nil
	}
	return openSQLite(c.Path)
}

func openPostgres(dsn string) (*database, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil { // it may quote the DSN: its text stays here
		return nil, errors.New("ledger: DSN: expected a URL such as postgres://user:password@host:5432/name?sslmode=verify-full; it is not quoted here, as it may hold a password")
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "windlass-gateway"
	}
	db := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, keepAlive) // not in the DSN: a pooler such as PgBouncer refuses it there
		return err
	}))
	db.SetMaxOpenConns(postgresConnections)
	db.SetMaxIdleConns(postgresConnections)
	return &database{write: db, read: db, postgres: true, statements: postgresStatements}, nil
}

func openSQLite(path string) (*database, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) // so that nobody else can read it from the start
	if err != nil {
		return nil, fmt.Errorf("ledger: open the database: %w", err)
	}
	if err := file.Close(); err != nil {
		return nil, fmt.Errorf("ledger: open the database: %w", err)
	}
	options := url.Values{
		"_pragma": { // temp_store: a container may have no folder for temporary files that can be written
			"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(NORMAL)", "cache_size(-65536)", "wal_autocheckpoint(4000)", "temp_store(MEMORY)",
		},
		"_txlock": {"immediate"},
	}
	name := (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: options.Encode()}).String()
	d := &database{statements: sqliteStatements}
	for pool, size := range map[**sql.DB]int{&d.write: 1, &d.read: sqliteReaders} {
		if *pool, err = sql.Open("sqlite", name); err != nil {
			return nil, fmt.Errorf("ledger: open the database: %w", err)
		}
		(*pool).SetMaxOpenConns(size)
		(*pool).SetMaxIdleConns(size)
	}
	return d, nil
}

// isBadData tells whether a database refused what it was given, and would do so again: PostgreSQL's classes 22 and 23, and SQLite's
// errors of the same kind.
func isBadData(err error) bool {
	if e := (*pgconn.PgError)(nil); errors.As(err, &e) {
		return strings.HasPrefix(e.Code, "22") || strings.HasPrefix(e.Code, "23")
	}
	if e := (*sqlite.Error)(nil); errors.As(err, &e) {
		switch e.Code() & 0xff { // without the extended part
		case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_RANGE:
			return true
		}
	}
	return false
}

func (d *database) close() error {
	if d.read == d.write {
		return d.write.Close()
	}
	return errors.Join(d.read.Close(), d.write.Close())
}

// migrate brings the tables up to this version's form. Of several replicas one does it, and the others wait.
func (d *database) migrate(ctx context.Context) error {
	if d.postgres {
		turn, err := d.write.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer turn.Rollback() //nolint:errcheck // it only holds the lock
		if _, err := turn.ExecContext(ctx, migrationTurn, int64(migrationLock), int64(writerLock)); err != nil {
			return err
		}
	}
	p, err := d.migrations()
	if err != nil {
		return err
	}
	have, err := p.GetDBVersion(ctx)
	if err != nil {
		return err
	}
	sources := p.ListSources()
	if known := sources[len(sources)-1].Version; have > known {
		return refusal{fmt.Errorf("the ledger's tables have version %d, and this gateway knows them up to %d: run a gateway as new as the one that made them", have, known)}
	}
	_, err = p.Up(ctx)
	return err
}

func (d *database) migrations() (*goose.Provider, error) {
	dialect := goose.DialectSQLite3
	if d.postgres {
		dialect = goose.DialectPostgres
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(dialect, d.write, files,
		goose.WithTableName("ledger_migrations"), goose.WithLogger(goose.NopLogger()), goose.WithDisableGlobalRegistry(true))
}

// keepAlive lets the server find within minutes that a gateway is gone without a word, where it has some hours by default.
const keepAlive = "SELECT set_config('tcp_keepalives_idle', '30', false), set_config('tcp_keepalives_interval', '10', false), " +
	"set_config('tcp_keepalives_count', '3', false)"

// writerTurn waits for the writer's lock. A replica that vanishes while it has the lock would keep it for as long as the server takes
// it for alive, so its session ends when nothing comes of it. PostgreSQL plans by statistics, which a young table has none of, and keeps
// the plan: it would read the whole table for each batch. All that a writer looks up has an index. What it has to read whole all the same
// seems so expensive then that it would be compiled first, which takes a hundred times as long as to run it.
const writerTurn = "SELECT set_config('idle_in_transaction_session_timeout', '10s', true), set_config('statement_timeout', '60s', true), " +
	"set_config('lock_timeout', '15s', true), set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true), " +
	"pg_advisory_xact_lock($1)"

// migrationTurn waits for the lock of who changes the tables, and for that of the writer: replicas of an older version may still write.
// What it does meanwhile goes through another connection.
const migrationTurn = "SELECT set_config('idle_in_transaction_session_timeout', '6min', true), pg_advisory_xact_lock($1), pg_advisory_xact_lock($2)"

// change runs a transaction while no other writer, of this replica or another, runs one.
func (d *database) change(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := d.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit there is nothing left to roll back
	if d.postgres {     // SQLite locks when a transaction begins
		if _, err := tx.ExecContext(ctx, writerTurn, int64(writerLock)); err != nil {
			return err
		}
	}
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// numbers reserves n numbers of the database's sequence and gives the first. Numbers are in the order of commits, since who
// reserves them holds the writer's lock.
func numbers(ctx context.Context, tx *sql.Tx, n int) (int64, error) {
	var last int64
	err := tx.QueryRowContext(ctx, "UPDATE meta SET seq = seq + $1 WHERE one = 1 RETURNING seq", n).Scan(&last)
	return last - int64(n) + 1, err
}
