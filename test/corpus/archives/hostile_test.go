// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package archives

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/windlass-dev/windlass/internal/artifact"
)

const seed = 4

// Archives as those below, but for the fault, are taken.
func TestHonest(t *testing.T) {
	for kind, data := range Honest(seed, 25) {
		if _, err := artifact.Scan(bytes.NewReader(data), artifact.Limits{}, nil); err != nil {
			t.Errorf("a good %s is refused: %v", kind, err)
		}
	}
}

// No archive with a fault is taken, and each is refused for its own fault.
func TestHostile(t *testing.T) {
	t.Parallel()
	each := 2 // archives a class
	if full() {
		each = 16
	}
	tried, accepted := map[string]int{}, map[string]int{}
	var classes []string
	for c := range Hostile(seed, each) {
		if tried[c.Class] == 0 {
			classes = append(classes, c.Class)
		}
		tried[c.Class]++
		_, err := artifact.Scan(bytes.NewReader(c.Data), c.Limits, func(_ string, r io.Reader) error {
			_, err := io.Copy(io.Discard, r)
			return err
		})
		switch {
		case err == nil:
			accepted[c.Class]++
			t.Errorf("%s: an archive of %d bytes is accepted", c.Class, len(c.Data))
		case !errors.Is(err, artifact.ErrInvalid):
			t.Errorf("%s: got error %v, want ErrInvalid", c.Class, err)
		case !strings.Contains(err.Error(), c.Want):
			t.Errorf("%s: got error %v, want one that says %q", c.Class, err, c.Want)
		case len(err.Error()) > 1500:
			t.Errorf("%s: the error has %d bytes", c.Class, len(err.Error()))
		}
	}
	var all, let int
	for _, class := range classes {
		fmt.Fprintf(os.Stdout, "TRIED archive-%s %d ACCEPTED %d\n", class, tried[class], accepted[class])
		all, let = all+tried[class], let+accepted[class]
	}
	fmt.Fprintf(os.Stdout, "TRIED archives %d ACCEPTED %d (%d classes)\n", all, let, len(classes))
	if all < 400 || len(classes) < 40 {
		t.Errorf("%d archives of %d classes were tried, want at least 400 of 40", all, len(classes))
	}
}
