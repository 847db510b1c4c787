// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package attacks rewrites the bucket of a repository as an attacker would, and lets clients read it: go-tuf's, tuf-js from npm, and the
// gateway. None of them may take what is not the present (TUF specification, section 1.5.2; research META-1).
package attacks

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/windlass-dev/windlass/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// Patience of clients: what never comes has to end some time.
const (
	patience     = 20 * time.Second
	slowPatience = time.Second
	privateFile  = 0o600
)

// count is how many attacks of a class were tried.
type count struct {
	tried, accepted int
	same            int // read as if nothing had changed, such as the name of a field in capitals by Go
}

func TestAttacks(t *testing.T) {
	w := newWorld(t)
	for name, start := range map[string]func(*testing.T) client{
		"go-tuf":  func(*testing.T) client { return goTUF{} },
		"gateway": func(*testing.T) client { return gateway{} },
		"tuf-js":  func(t *testing.T) client { return startTUFJS(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t)
			w.good(t, name, c)
			counts := map[string]*count{}
			for _, a := range w.attacks(t) {
				w.try(t, c, a, counts)
			}
			for _, class := range slices.Sorted(maps.Keys(counts)) {
				n := counts[class]
				fmt.Fprintf(os.Stdout, "TRIED tuf %s (%s) %d ACCEPTED %d\n", class, name, n.tried, n.accepted)
				if n.same > 0 {
					fmt.Fprintf(os.Stdout, "SAME tuf %s (%s) %d: the change is none to this reader, and it got the present\n", class, name, n.same)
				}
			}
		})
	}
}

// device makes the state of one that pins the first root, and has seen a state.
func (w *world) device(t *testing.T, c client, seen int) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "root.json"), w.root.Root, privateFile); err != nil {
		t.Fatal(err)
	}
	if seen > 0 {
		w.follow(t, c, dir, seen)
	}
	return dir
}

// follow lets a device read a state that nobody changed.
func (w *world) follow(t *testing.T, c client, dir string, state int) {
	t.Helper()
	url, stop := mirror{files: w.states[state]}.start(t)
	defer stop()
	got, err := c.update(t.Context(), job{Dir: dir, URL: url, Target: target, TimeoutMs: patience.Milliseconds()})
	if err != nil || !w.present(t, state, got) {
		t.Fatalf("state %d as it is: got %.100q, %v", state, got, err)
	}
}

// present tells whether a client's answer is what a state says: its release document, or the version in it.
func (w *world) present(t *testing.T, state int, got []byte) bool {
	return bytes.Equal(got, w.states[state][w.chain(t, state)["document"]]) || string(got) == fmt.Sprintf("%d.0.0", state)
}

// good shows that the clients work: each state alone, and all of them one after another.
func (w *world) good(t *testing.T, name string, c client) {
	t.Helper()
	follower, n := w.device(t, c, 0), 0
	for state := 1; state <= 4; state++ {
		w.follow(t, c, w.device(t, c, 0), state)
		w.follow(t, c, follower, state)
		w.follow(t, c, follower, state)
		n += 3
	}
	fmt.Fprintf(os.Stdout, "GOOD tuf reads (%s) %d REFUSED 0\n", name, n)
}

func (w *world) try(t *testing.T, c client, a attack, counts map[string]*count) {
	t.Helper()
	url, stop := a.start(t)
	defer stop()
	j := job{Dir: w.device(t, c, a.seen), URL: url, Target: target, TimeoutMs: patience.Milliseconds()}
	if a.asks != "" {
		j.Target = a.asks
	}
	if a.class == "slow" {
		j.TimeoutMs = slowPatience.Milliseconds()
	}
	if !a.now.IsZero() {
		j.Now = a.now.UTC().Format(time.RFC3339)
	}
	got, err := c.update(t.Context(), j)
	if errors.Is(err, errNotAsked) {
		return
	}
	if counts[a.class] == nil {
		counts[a.class] = &count{}
	}
	counts[a.class].tried++
	if _, ours := c.(gateway); ours && err == nil && w.goesOn(a, string(got)) {
		return
	}
	if err == nil && a.class == oneBit && w.present(t, 4, got) {
		counts[a.class].same++
		return
	}
	if err == nil {
		counts[a.class].accepted++
		t.Errorf("%s, %s: accepted, got %.200q", a.class, a.name, got)
	}
}

// goesOn tells whether the gateway answers with what it had verified before the attack or, where what was changed is not what it
// reads, with the present.
func (w *world) goesOn(a attack, version string) bool {
	if !a.now.IsZero() {
		return false
	}
	return a.seen > 0 && version == fmt.Sprintf("%d.0.0", a.seen) || a.rootOnly && version == fmt.Sprintf("%d.0.0", max(a.seen, 3))
}
