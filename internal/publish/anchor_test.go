// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/windlass-dev/windlass/internal/audit"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/tuf"
)

// Each commit signs the end of the audit log. It never goes back, also when nobody has looked into the log, and stock clients read on.
func TestCommitsSignTheEndOfTheAuditLog(t *testing.T) {
	b, keys := openBucket(t), generateKeys(t)
	one := artifact(t, b, "1.0.0")
	named := func() audit.Head {
		raw, _, err := b.Get(t.Context(), timestampName, tuf.MaxTimestamp)
		if err != nil {
			t.Fatal(err)
		}
		timestamp, err := metadata.Timestamp().FromBytes(raw)
		if err != nil {
			t.Fatal(err)
		}
		return AnchorOf(&timestamp.Signed)
	}
	head := func(n int64) audit.Head { return audit.Head{Sequence: n, Hash: audit.HashOf([]byte{byte(n)})} }
	var sequence atomic.Int64
	p := open(t, Config{Bucket: b, Keys: keys, Audit: func() audit.Head {
		if n := sequence.Load(); n > 0 {
			return head(n)
		}
		return audit.Head{}
	}})
	if got := named(); got.Sequence != 0 {
		t.Errorf("without a record: %+v", got)
	}
	device := newReader(t, b)
	for i, step := range []struct{ log, want int64 }{{3, 3}, {0, 3}, {2, 3}, {12, 12}} {
		sequence.Store(step.log)
		publishAndWait(t, p, document("a", int64(i+1), one))
		if got := named(); got != head(step.want) || p.State().Audit != got {
			t.Errorf("the log has %d records: the commit names %+v, state %+v, want record %d", step.log, got, p.State().Audit, step.want)
		}
		if _, err := device.read(); err != nil {
			t.Errorf("a device: %v", err)
		}
	}
	p.Close()
	next := open(t, Config{Bucket: b, Keys: keys})
	publishAndWait(t, next, document("a", 9, one))
	if got := named(); got != head(12) {
		t.Errorf("a writer without a log: the commit names %+v, want record 12", got)
	}
}

// However old they are, collections delete no records.
func TestCollectSparesTheAuditLog(t *testing.T) {
	fake := clocktesting.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	b := newMemory(fake.Now)
	p := open(t, Config{Bucket: b, Keys: generateKeys(t), Clock: fake})
	if err := b.PutImmutable(t.Context(), audit.Key(1), []byte("{}\n"), jsonType); err != nil {
		t.Fatal(err)
	}
	old := artifact(t, b, "1.0.0")
	step(t, fake, 400*day)
	out, err := p.Collect(t.Context(), Collection{Grace: time.Hour, Keep: func(string) bool { return false }})
	if err != nil || !slices.Contains(out.Deleted, release.TargetObject(old.Path, old.Digest)) {
		t.Fatalf("deleted %v, %v: want the artifact", out.Deleted, err)
	}
	if _, err := b.Head(t.Context(), audit.Key(1)); err != nil {
		t.Errorf("the record is gone: %v", err)
	}
}

// What is in the field is believed only when it is whole.
func TestAnchorOf(t *testing.T) {
	hash := audit.HashOf(nil)
	for name, tc := range map[string]struct {
		field any
		want  int64
	}{
		"whole":         {map[string]any{"sequence": "7", "hash": hash}, 7},
		"a number":      {map[string]any{"sequence": 7.0, "hash": hash}, 0},
		"zero":          {map[string]any{"sequence": "0", "hash": hash}, 0},
		"no hash":       {map[string]any{"sequence": "7"}, 0},
		"half a hash":   {map[string]any{"sequence": "7", "hash": hash[:20]}, 0},
		"another shape": {"7", 0},
		"none":          {nil, 0},
	} {
		if got := AnchorOf(&metadata.TimestampType{UnrecognizedFields: map[string]any{auditField: tc.field}}); got.Sequence != tc.want {
			t.Errorf("%s: got %+v, want record %d", name, got, tc.want)
		}
	}
}
