// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package devcluster

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestObjectStoreStartsStopsAndComesBack(t *testing.T) {
	dir := t.TempDir()
	s, err := StartObjectStore(t.Context(), dir, "first", "second")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	pid := s.PID()
	if err := s.MakeBuckets(t.Context(), "first"); err != nil {
		t.Errorf("making a bucket again: %v", err)
	}
	for _, name := range []string{"first", "second"} {
		if _, err := os.Stat(filepath.Join(dir, "objects", name)); err != nil {
			t.Errorf("bucket folder: %v", err)
		}
	}
	s.Stop()
	s.Stop()
	if err := syscall.Kill(-pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process group %d after Stop: got %v, want none", pid, err)
	}
}

func TestStartProcessTellsWhyAServerEnded(t *testing.T) {
	_, err := StartProcess(t.Context(), Command{
		Name: "broken", Path: "/bin/sh", Args: []string{"-c", "echo no such flag; exit 3"}, Dir: t.TempDir(),
		Ready: func(context.Context) error { return errors.New("not yet") },
	})
	if err == nil || !strings.Contains(err.Error(), "no such flag") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("got %v, want the log and the exit status", err)
	}
}

func TestStopKillsWhatIgnoresTheSignal(t *testing.T) {
	dir := t.TempDir()
	p, err := StartProcess(t.Context(), Command{
		Name: "stubborn", Path: "/bin/sh", Args: []string{"-c", "trap '' TERM; : >ready; while :; do sleep 1; done"}, Dir: dir, Grace: time.Millisecond,
		Ready: func(context.Context) error { _, err := os.Stat(filepath.Join(dir, "ready")); return err },
	})
	if err != nil {
		t.Fatal(err)
	}
	p.Stop()
	if err := syscall.Kill(p.PID(), 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process after Stop: got %v, want none", err)
	}
}
