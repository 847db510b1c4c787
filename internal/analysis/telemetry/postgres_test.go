// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/windlass-dev/windlass/internal/devcluster"
	"github.com/windlass-dev/windlass/internal/gateway/ledger"
)

// Two gateways on one PostgreSQL tell the counts of both, which are taken once. Without the database nobody can tell.
func TestReplicasOfOneLedger(t *testing.T) {
	t.Parallel()
	server, err := devcluster.StartPostgres(t.Context(), t.TempDir())
	if errors.Is(err, devcluster.ErrNoPostgres) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	repo, url := publish(t)
	shared := func(name string) ledger.Config {
		return ledger.Config{DSN: server.DSN, Key: []byte(strings.Repeat("k", 32)), Replica: name}
	}
	replicas := []*replica{startReplica(t, repo, url, shared("a")), startReplica(t, repo, url, shared("b"))}
	want := drive(replicas...)
	both := client(t, replicas[0].internal.URL, replicas[1].internal.URL)
	eventually(t, both, want)
	eventually(t, client(t, replicas[1].internal.URL), want) // any of them knows all

	server.Stop()
	got, err := both.Counts(t.Context(), trial(1))
	if err == nil || !strings.Contains(err.Error(), "answers 503") || got != nil {
		t.Errorf("without the database: %+v, %v", got, err)
	}
	if got, err := both.Slices(t.Context(), trial(1)); err == nil || !strings.Contains(err.Error(), "answers 503") || got != nil {
		t.Errorf("groups without the database: %+v, %v", got, err)
	}
	replicas[0].waitFor("candidate") // checks go on
}
