// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package devcluster

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // driver "pgx"
)

// ErrNoPostgres says that this machine has no PostgreSQL server. Tests skip with it.
var ErrNoPostgres = errors.New("no PostgreSQL server: expected initdb and postgres on PATH or in /usr/lib/postgresql/*/bin; " +
	"on Debian, apt-get install postgresql brings them")

// Postgres is a running PostgreSQL that keeps nothing safe: its data are for one test.
type Postgres struct {
	*Process
	DSN string // URL of the database postgres, with a password
}

// postgresUser and postgresPassword are for loopback only and thrown away with the server.
const (
	postgresUser     = "windlass"
	postgresPassword = "windlass-dev-only"
)

// How long and how often RestartPostgres tries.
const (
	restartTimeout = time.Minute
	restartPause   = 250 * time.Millisecond
)

// postgresGrace is how long a shutdown may take.
const postgresGrace = 30 * time.Second

// StartPostgres starts a PostgreSQL on a free port of the loopback interface, with its data and log below dir. PostgreSQL
// refuses to run as root: it runs as nobody then, which must be able to reach dir; t.TempDir() is made so.
func StartPostgres(ctx context.Context, dir string) (*Postgres, error) {
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		p, err := StartPostgresOn(ctx, dir, port)
		if err == nil || attempt == startAttempts || ctx.Err() != nil || errors.Is(err, ErrNoPostgres) {
			return p, err
		}
		if port, err = FreePort(); err != nil {
			return nil, err
		}
	}
}

// StartPostgresOn is StartPostgres with a chosen port: a server that was stopped comes back where it was, with its data.
func StartPostgresOn(ctx context.Context, dir string, port int) (*Postgres, error) {
	bin, err := postgresFolder()
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "postgres")
	owner, err := postgresOwner()
	if err != nil {
		return nil, err
	}
	if err := initPostgres(ctx, bin, data, owner); err != nil {
		return nil, err
	}
	p := &Postgres{DSN: fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d/postgres?sslmode=disable", postgresUser, postgresPassword, port)}
	p.Process, err = StartProcess(ctx, Command{
		Name: "postgres", Path: filepath.Join(bin, "postgres"), Dir: dir, Grace: postgresGrace, Credential: owner,
		Args: []string{
			"-D", data, "-p", strconv.Itoa(port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
			"-c", "fsync=off", "-c", "max_connections=50",
		},
		Ready: p.answers,
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// RestartPostgres is StartPostgresOn for a port that somebody else may have for a moment, such as one that was free while the server
// was stopped: it tries for a minute.
func RestartPostgres(ctx context.Context, dir string, port int) (*Postgres, error) {
	within, cancel := context.WithTimeout(ctx, restartTimeout)
	defer cancel()
	for {
		p, err := StartPostgresOn(ctx, dir, port)
		if err == nil || errors.Is(err, ErrNoPostgres) {
			return p, err
		}
		select {
		case <-within.Done():
			return nil, fmt.Errorf("restart postgres: no success within %s: %w", restartTimeout, err)
		case <-time.After(restartPause):
		}
	}
}

// postgresFolder finds the newest server's programs.
func postgresFolder() (string, error) {
	folders := filepath.SplitList(os.Getenv("PATH"))
	debian, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // the pattern is right
	slices.SortFunc(debian, func(a, b string) int { return postgresVersion(b) - postgresVersion(a) })
	for _, folder := range append(folders, debian...) {
		if hasPrograms(folder, "initdb", "postgres") {
			return folder, nil
		}
	}
	return "", ErrNoPostgres
}

// postgresVersion reads 15 from /usr/lib/postgresql/15/bin.
func postgresVersion(folder string) int {
	n, err := strconv.Atoi(filepath.Base(filepath.Dir(folder)))
	if err != nil {
		return 0
	}
	return n
}

func hasPrograms(folder string, names ...string) bool {
	for _, name := range names {
		if _, err := exec.LookPath(filepath.Join(folder, name)); err != nil {
			return false
		}
	}
	return true
}

// initPostgres makes the data folder, unless it is there from before.
func initPostgres(ctx context.Context, bin, data string, owner *syscall.Credential) error {
	if _, err := os.Stat(filepath.Join(data, "PG_VERSION")); err == nil {
		return nil
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	secret := filepath.Join(data, "..", "postgres-password")
	if err := os.WriteFile(secret, []byte(postgresPassword+"\n"), 0o600); err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", data, "-U", postgresUser, "--pwfile", secret,
		"-A", "scram-sha-256", "-E", "UTF8", "--locale", "C", "--no-sync", "--no-instructions")
	cmd.Env = append(os.Environ(), "TZ=UTC")
	if owner != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
		for _, path := range []string{data, secret} {
			if err := os.Chown(path, int(owner.Uid), int(owner.Gid)); err != nil {
				return fmt.Errorf("start postgres: %w", err)
			}
		}
		if err := openWay(filepath.Dir(data)); err != nil {
			return err
		}
	}
	cmd.Dir = data
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// postgresOwner gives who runs the server; nil: whoever runs this process.
func postgresOwner() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("start postgres: user %s: %w", name, err)
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("start postgres: group of user %s: %w", name, err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("start postgres: it refuses to run as root, and there is neither a user postgres nor nobody")
}

// openWay lets others pass through the folders below the one for temporary files that lead to dir, which tests make for
// themselves alone.
func openWay(dir string) error {
	temporary := filepath.Clean(os.TempDir()) + string(filepath.Separator)
	for ; strings.HasPrefix(dir, temporary); dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return fmt.Errorf("start postgres: %w", err)
		}
		if err := os.Chmod(dir, info.Mode().Perm()|0o011); err != nil {
			return fmt.Errorf("start postgres: %w", err)
		}
	}
	return nil
}

// Stop ends the server, and the sessions with it.
func (p *Postgres) Stop() {
	p.Signal(syscall.SIGINT) // a fast shutdown; SIGTERM, which follows, would wait for the sessions
	p.Process.Stop()
}

// answers is nil when the server takes connections.
func (p *Postgres) answers(ctx context.Context) error {
	db, err := sql.Open("pgx", p.DSN)
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // of a pool that served one question
	return db.PingContext(ctx)
}
