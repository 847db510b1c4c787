// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"
)

// Errors of a Ledger that callers tell apart.
var (
	// ErrUnavailable says that the database does not answer, or has taken nothing for long. The same call may succeed later.
	ErrUnavailable = errors.New("the ledger's database does not answer, or takes nothing; it is tried again in the background")
	// ErrFull says that there is no room for another device's override.
	ErrFull = errors.New("the ledger has no room for another override; raise MaxOverrides or delete some")
)

// Config of a Ledger. A zero value of any field but DSN, Path, Key and KeyFile means its default.
type Config struct {
	// DSN is the URL of a PostgreSQL database, such as postgres://user:password@host/name. It may hold a password: it is in no
	// log and no error. Replicas that share a database count as one.
	DSN string
	// Path of the SQLite database, without a DSN. Empty: in memory, for one process and until it ends.
	Path string
	// Key of the pseudonyms, of 32 bytes or more. With a DSN, either it or KeyFile is required, the same for all replicas.
	Key []byte
	// KeyFile holds the key: all its bytes but the end of its line. Without it and Key, a ledger in a file makes one once, beside
	// the file.
	KeyFile string
	// Replica names this process in the database. Default: the name of the host.
	Replica string

	// Of replicas that share a database and are told different times, all count by those of the last that started.
	ReadyTime time.Duration // between two checks of a device that runs a bundle, until they prove that it is well; default 30 s
	Window    time.Duration // how long after a failure a confirmation still wins, and after a first check one counts as a return; default 10 min
	Retention time.Duration // how long a row that nothing happens to is kept; default 90 days

	QueueSize    int // events that wait for the database; default 65536
	FilterSize   int // devices whose last check is remembered, in 8 bytes each; default 1048576
	MaxFailures  int // devices in memory that a bundle failed on, in about 40 bytes each; default 4194304
	MaxOverrides int // devices that have a channel of their own; default 100000

	// NetworkMinimum and NetworkShare limit the votes that come from one network: to the minimum, or to this share of the
	// votes in the series if that is more. In the control of a trial it is at least the share that the minimum is of the candidate's arm,
	// so that both arms take as much of each network. A share of 1 is no limit. Defaults: 20, and 0.05.
	NetworkMinimum int
	NetworkShare   float64

	FlushEvery time.Duration // how long an event waits for company; default 200 ms
	BatchSize  int           // events in one transaction; default 1000
	Refresh    time.Duration // how often the changes of other replicas are read; default 1 s
	Heartbeat  time.Duration // how often this process shows in the database that it lives; default 5 s

	Log *slog.Logger     // default: none
	Now func() time.Time // default: time.Now
}

// Config's times that nobody has to choose.
const (
	// maxWait is how long an event may wait for the database until the counts are not told any more: what failed since may be in
	// none of them.
	maxWait = 15 * time.Second
	// complainEvery is how often the log tells of a database that does not take what there is.
	complainEvery = time.Minute
)

// minKey is the smallest key, in bytes.
const minKey = 32

// withDefaults fills in what is not set, or says what is wrong.
func (c Config) withDefaults() (Config, error) {
	if c.Replica == "" {
		name, err := os.Hostname()
		if err != nil {
			return c, fmt.Errorf("ledger: expected a name of this replica, and the host has none: %w", err)
		}
		c.Replica = name
	}
	c.ReadyTime = cmp.Or(c.ReadyTime, 30*time.Second)
	c.Window = cmp.Or(c.Window, 10*time.Minute)
	c.Retention = cmp.Or(c.Retention, 90*24*time.Hour)
	c.QueueSize = cmp.Or(c.QueueSize, 1<<16)
	c.FilterSize = cmp.Or(c.FilterSize, 1<<20)
	c.MaxFailures = cmp.Or(c.MaxFailures, 1<<22)
	c.MaxOverrides = cmp.Or(c.MaxOverrides, 100_000)
	c.NetworkMinimum = cmp.Or(c.NetworkMinimum, 20)
	c.NetworkShare = cmp.Or(c.NetworkShare, 0.05)
	c.FlushEvery = cmp.Or(c.FlushEvery, 200*time.Millisecond)
	c.BatchSize = cmp.Or(c.BatchSize, 1000)
	c.Refresh = cmp.Or(c.Refresh, time.Second)
	c.Heartbeat = cmp.Or(c.Heartbeat, 5*time.Second)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c, c.validate()
}

// rules gives the rules that this process was told.
func (c *Config) rules() *rules {
	return &rules{ready: c.ReadyTime.Milliseconds(), window: c.Window.Milliseconds()}
}

// database names the database without its password.
func (c *Config) database() string {
	switch {
	case c.DSN != "":
		return "PostgreSQL"
	case c.Path != "":
		return "database " + c.Path
	}
	return "database in memory"
}

func (c *Config) validate() error {
	for name, n := range map[string]int64{
		"ReadyTime": int64(c.ReadyTime), "Window": int64(c.Window), "Retention": int64(c.Retention), "QueueSize": int64(c.QueueSize),
		"FilterSize": int64(c.FilterSize), "MaxFailures": int64(c.MaxFailures), "MaxOverrides": int64(c.MaxOverrides),
		"NetworkMinimum": int64(c.NetworkMinimum), "FlushEvery": int64(c.FlushEvery), "BatchSize": int64(c.BatchSize),
		"Refresh": int64(c.Refresh), "Heartbeat": int64(c.Heartbeat),
	} {
		if n < 0 {
			return fmt.Errorf("ledger: %s: expected more than 0, got %d", name, n)
		}
	}
	if c.NetworkShare < 0 || c.NetworkShare > 1 {
		return fmt.Errorf("ledger: NetworkShare: expected more than 0 and at most 1, got %g", c.NetworkShare)
	}
	if c.DSN != "" && c.Path != "" {
		return errors.New("ledger: expected a DSN or a Path, got both")
	}
	return nil
}
