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
	c := versions.Cache{Parse: compat.ParseVersion}
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

// More versions than are remembered are still read right, by many at once.
func TestFullCache(t *testing.T) {
	t.Parallel()
	c := versions.Cache{Parse: compat.ParseVersion}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 1500 {
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
