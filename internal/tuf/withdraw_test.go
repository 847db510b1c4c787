// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package tuf

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/windlass-dev/windlass/internal/release"
)

// Whatever a document names, nothing of it is below the floor after a withdrawal, what is above stays, and the document itself is
// not changed.
func TestWithdraw(t *testing.T) {
	bundle := func(version, digest string) *release.Bundle {
		return &release.Bundle{Version: version, Digest: digest, Path: release.BundleTarget("shop", version, "zip")}
	}
	rapid.Check(t, func(rt *rapid.T) {
		draw := func(label string) *release.Bundle {
			version := rapid.SampledFrom([]string{"", "1.0.0", "1.5.0-rc.1", "1.5.0", "2.0.0", "none"}).Draw(rt, label)
			if version == "" {
				return nil
			}
			return bundle(version, rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "digest of "+label))
		}
		d := &release.Document{App: "shop", Stable: draw("stable"), Previous: draw("previous")}
		d.Guards.Floor = draw("floor")
		if c := draw("candidate"); c != nil {
			d.Candidate = &release.Candidate{Bundle: *c}
		}
		before := len(d.Bundles())
		floors := Floors{"shop": "1.5.0"}
		got := floors.Withdraw(d, time.Unix(1, 0))
		if left := floors.Withdrawn(got); len(left) > 0 {
			rt.Fatalf("%+v is left", left)
		}
		for _, b := range d.Bundles() {
			below := floors.Below("shop", b.Version)
			if kept := floors.keeps(d, b.Digest); below && got.Refuses(b.Digest) == kept {
				rt.Fatalf("%+v: refused %v, kept under another version %v", b, got.Refuses(b.Digest), kept)
			}
		}
		if g := d.Guards.Floor; g != nil && !floors.Below("shop", g.Version) && got.Guards.Floor != g {
			rt.Fatalf("%+v is gone, though it is above the floor", g)
		}
		if s := d.Stable; s != nil && !floors.Below("shop", s.Version) && got.Stable != s {
			rt.Fatalf("stable %+v is gone, though it is above the floor", s)
		}
		if len(d.Bundles()) != before || len(d.Refused) != 0 {
			rt.Fatal("the document itself was changed")
		}
	})
}

// One content under two versions: the lower version goes, the content stays.
func TestWithdrawOfContentWithTwoVersions(t *testing.T) {
	low := release.Bundle{Version: "1.0.0", Digest: "a", Path: "1"}
	high := release.Bundle{Version: "2.0.0", Digest: "a", Path: "2"}
	got := Floors{"shop": "1.5.0"}.Withdraw(&release.Document{App: "shop", Stable: &low, Previous: &high}, time.Unix(1, 0))
	if got.Stable != &high || got.Previous != nil || len(got.Refused) != 0 {
		t.Errorf("got %+v", got)
	}
}
