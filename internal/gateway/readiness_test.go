// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/windlass-dev/windlass/internal/devcluster"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/native"
)

// away is a PostgreSQL that does not answer.
const away = "postgres://windlass:secret@127.0.0.1:1/windlass?sslmode=disable"

// A replica that starts without its database leaves devices to those that know what failed on them, for a while. Who comes in any
// case is served.
func TestStartsWithoutTheDatabase(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		wait time.Duration
		code int
		text string
	}{
		"waits":          {time.Hour, http.StatusServiceUnavailable, "which bundles failed on which devices is not known yet"},
		"has waited":     {time.Nanosecond, http.StatusOK, "ok"},
		"is not to wait": {0, http.StatusOK, "ok"},
		"needs nobody":   {time.Hour, http.StatusOK, "ok"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repo, cfg := world(t)
			repo.Publish(document(repo, "1.1.0"))
			cfg.LedgerWait = tc.wait
			if name != "needs nobody" {
				cfg.Ledger.DSN, cfg.Ledger.Key = away, []byte(strings.Repeat("k", 32))
			}
			r := start(t, cfg)
			r.eventually("an update", func() bool { return offers(r.check("d1"), "1.1.0") })
			if code, body := r.get(r.internal + "/readyz"); code != tc.code || !strings.Contains(body, tc.text) || strings.Contains(body, "secret") {
				t.Errorf("ready: %d %s, want %d", code, body, tc.code)
			}
		})
	}
}

// The database comes back: the replica is ready, and knows what failed on a device before its time.
func TestReadyWithTheDatabase(t *testing.T) {
	t.Parallel()
	port, err := devcluster.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	database := postgres(t, dir, port)
	repo, cfg := world(t)
	repo.Publish(rollout(repo)...)
	cfg.LedgerWait, cfg.Ledger.DSN, cfg.Ledger.Key = time.Hour, database.DSN, []byte(strings.Repeat("k", 32))
	cfg.Ledger.Refresh = 10 * time.Millisecond
	first := start(t, cfg)
	first.eventually("the candidate", func() bool { return offers(first.check("d1"), "1.2.0") })
	first.fail("d1", first.check("d1").Bundle.Digest)
	first.stop()
	database.Stop()

	second := start(t, cfg)
	second.eventually("the candidate", func() bool { return offers(second.check("d2"), "1.2.0") })
	if code, _ := second.get(second.public + "/readyz"); code != http.StatusServiceUnavailable {
		t.Errorf("without the database: ready with %d", code)
	}
	t.Cleanup(postgres(t, dir, port).Stop)
	second.eventually("ready", func() bool { code, _ := second.get(second.public + "/readyz"); return code == http.StatusOK })
	if offers(second.check("d1"), "1.2.0") || !offers(second.check("d2"), "1.2.0") {
		t.Errorf("d1 gets %+v, on which the candidate failed; d2 gets %+v", second.check("d1"), second.check("d2"))
	}
	second.stop()
}

// postgres starts a PostgreSQL, or skips the test.
func postgres(t *testing.T, dir string, port int) *devcluster.Postgres {
	t.Helper()
	server, err := devcluster.RestartPostgres(t.Context(), dir, port)
	if errors.Is(err, devcluster.ErrNoPostgres) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// fail reports that a bundle failed on a device.
func (r *running) fail(device, digest string) {
	r.Helper()
	report := fmt.Sprintf(`{"app":"shop","channel":"production","deviceID":%q,"digest":%q,"outcome":"failed","kind":"rollback"}`, device, digest)
	res, err := http.Post(r.public+native.ReportPath, "application/json", strings.NewReader(report))
	if err != nil || res.StatusCode != http.StatusAccepted {
		r.Fatalf("report: %v, %v", res, err)
	}
	_ = res.Body.Close()
}
