// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/artifact"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// Whatever it is that streams by, the scan holds nothing up: the other sinks get all of it, and the verdict is the same as that of
// a look at the whole.
func TestScan_holdsNothingUp(t *testing.T) {
	zip := testkit.Zip(t, map[string]string{"www/index.html": strings.Repeat("<p>hello</p>", 2000), "a": "1"})
	rapid.Check(t, func(t *rapid.T) {
		content := bytes.Clone(zip)
		for range rapid.IntRange(0, 2).Draw(t, "changes") {
			content[rapid.IntRange(0, len(content)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "by"))
		}
		content = append(content, bytes.Repeat([]byte("x"), rapid.SampledFrom([]int{0, 0, 1, 3 * chunk}).Draw(t, "more"))...)
		var all bytes.Buffer
		s := startScan()
		n, err := pump(&pieces{rest: content, sizes: []int{rapid.IntRange(100, 2*chunk).Draw(t, "size")}}, &all, s)
		s.finish(n, err)
		if err != nil || !bytes.Equal(all.Bytes(), content) {
			t.Fatalf("%d of %d bytes arrived, error %v", all.Len(), len(content), err)
		}
		_, want := artifact.Scan(bytes.NewReader(content), artifact.Limits{}, nil)
		if got := s.verdict(); (got == nil) != (want == nil) || got != nil && kit.Classify(got).Reason != otav1alpha1.ArchiveInvalidReason {
			t.Fatalf("verdict %v, want one as of %v", got, want)
		}
	})
}

// A transfer that breaks off ends the scan, too.
func TestScan_brokenTransfer(t *testing.T) {
	broken := errors.New("broken")
	for name, r := range map[string]io.Reader{
		"at once": iotest.ErrReader(broken),
		"later":   io.MultiReader(bytes.NewReader(testkit.Zip(t, map[string]string{"a": "1"})[:60]), iotest.ErrReader(broken)),
	} {
		s := startScan()
		n, err := pump(r, s)
		s.finish(n, err)
		if !errors.Is(err, broken) {
			t.Errorf("%s: got error %v", name, err)
		}
	}
}
