// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"bytes"
	"context"
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
	ctx := t.Context()
	rapid.Check(t, func(t *rapid.T) {
		content := bytes.Clone(zip)
		for range rapid.IntRange(0, 2).Draw(t, "changes") {
			content[rapid.IntRange(0, len(content)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "by"))
		}
		content = append(content, bytes.Repeat([]byte("x"), rapid.SampledFrom([]int{0, 0, 1, 3 * chunk}).Draw(t, "more"))...)
		var all bytes.Buffer
		s := startScan(ctx)
		n, err := pump(&pieces{rest: content, sizes: []int{rapid.IntRange(100, 2*chunk).Draw(t, "size")}}, &all, s)
		if stopped := s.finish(n, err); stopped != nil {
			t.Fatal(stopped)
		}
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
		s := startScan(t.Context())
		n, err := pump(r, s)
		if stopped := s.finish(n, err); stopped != nil {
			t.Errorf("%s: finish: %v", name, stopped)
		}
		if !errors.Is(err, broken) {
			t.Errorf("%s: got error %v", name, err)
		}
	}
}

// When the transfer is given up the scan holds up neither writes nor the end.
func TestScan_endsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := startScan(ctx)
	if _, err := s.Write(testkit.Zip(t, map[string]string{"a": "1"})[:40]); err != nil {
		t.Fatal(err)
	}
	cancel()
	for range 100 {
		if n, err := s.Write(make([]byte, chunk)); n != chunk || err != nil {
			t.Fatalf("Write: %d, %v", n, err)
		}
	}
	if err := s.finish(0, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("finish: %v, want that the context has ended", err)
	}
	<-s.done // the goroutine ends, too
}
