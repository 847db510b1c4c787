// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package versions_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/windlass-dev/windlass/internal/compat"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/versions"
)

func TestCache(t *testing.T) {
	t.Parallel()
	c := versions.New(compat.ParseVersion)
	first, err := c.Get("4.2")
	if err != nil || first.String() != "4.2.0" {
		t.Fatalf("got %v, %v", first, err)
	}
	a, _ := c.Get("4.2")
	if b, _ := c.Get("4.2"); a != b {
		t.Error("the second of two equal texts was parsed again")
	}
	for range 2 {
		if v, err := c.Get("four"); err == nil {
			t.Errorf("four: got %v", v)
		}
	}
}

// flood asks for far more versions than are remembered, by many at once. They are all read right.
func flood(t *testing.T, c *versions.Cache) {
	t.Helper()
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 10_000 {
				text := fmt.Sprintf("1.%d.%d", i, w%2)
				if v, err := c.Get(text); err != nil || v.String() != text {
					t.Errorf("%s: got %v, %v", text, v, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// Whatever strangers send, the versions of a fleet are remembered again once it asks, and cost nothing then.
func TestFullCache(t *testing.T) {
	c := versions.New(compat.ParseVersion)
	flood(t, c)
	fleet := make([]string, 30)
	for i := range fleet {
		fleet[i] = fmt.Sprintf("9.%d.0", i)
	}
	ask := func() {
		for _, text := range fleet {
			if v, err := c.Get(text); err != nil || v.Original() != text {
				t.Fatalf("%s: got %v, %v", text, v, err)
			}
		}
	}
	for range 10 { // two may push each other out of a set, but not for long
		ask()
	}
	if n := testing.AllocsPerRun(100, func() {
		for _, text := range fleet {
			_, _ = c.Get(text)
		}
	}); n != 0 {
		t.Errorf("%v allocations for versions that were asked for before, want 0", n)
	}
}
