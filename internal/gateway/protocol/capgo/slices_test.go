// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package capgo_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/windlass-dev/windlass/internal/gateway/edge"
	"github.com/windlass-dev/windlass/internal/gateway/netaddr"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/capgo"
	"github.com/windlass-dev/windlass/internal/release"
)

// slicedTrial lets 2.5.0 out to all but some devices.
func slicedTrial(parts ...release.Slice) func(*release.Document) {
	return func(d *release.Document) {
		b := *d.Stable
		b.Name, b.Version, b.Digest, b.Path = "c", "2.5.0", "sha256:"+strings.Repeat("9", 64), "bundles/shop/2.5.0.zip"
		d.Candidate = &release.Candidate{
			Bundle: b, Weight: release.FullWeight, Salt: "s", Rollout: "shop", Release: 1, Stage: 2, Exclude: parts,
			LeaseExpires: now.Add(time.Hour).Unix(),
		}
	}
}

func proxied() edge.Config {
	return edge.Config{Proxies: netaddr.Config{
		Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}, RegionHeader: "CF-IPCountry",
	}}
}

// A device of an excluded slice keeps to stable, is brought back to it, and counts in no arm. The ledger is told of system and region,
// with checks and with statistics.
func TestExcludedSlices(t *testing.T) {
	t.Parallel()
	f := newFixture(t, production(slicedTrial(release.Slice{Platform: "android", OSVersion: "<13.0.0"}, release.Slice{Region: "FR"})))
	f.withEdge(proxied())
	for name, tc := range map[string]struct {
		app           fields
		region        string
		want, arm     string
		system, place string
	}{
		"new system":             {fields{"version_os": "15"}, "", "2.5.0", "candidate", "15.0.0", ""},
		"old system":             {fields{"version_os": "12.1"}, "DE", "2.4.0", "", "12.1.0", "DE"},
		"old system as a number": {fields{"version_os": 12}, "", "2.4.0", "", "12.0.0", ""},
		"old system, has it":     {fields{"version_os": "Android 12", "version_name": "2.5.0"}, "", "2.4.0", "", "12.0.0", ""},
		"old system, has stable": {fields{"version_os": "12", "version_name": "2.4.0"}, "", "no_new_version_available", "", "12.0.0", ""},
		"system is none":         {fields{"version_os": "S"}, "", "2.5.0", "candidate", "", ""},
		"system is too long":     {fields{"version_os": "12" + strings.Repeat(" ", 40)}, "", "2.5.0", "candidate", "", ""},
		"region, has it":         {fields{"version_os": "15", "version_name": "2.5.0"}, "FR", "2.4.0", "", "15.0.0", "FR"},
		"another region":         {fields{"version_os": "15", "version_name": "2.5.0"}, "DE", "no_new_version_available", "candidate", "15.0.0", "DE"},
	} {
		f.ledger.checks, f.ledger.reports = nil, nil
		got := f.call(http.MethodPost, capgo.CheckPath, androidApp.with(tc.app).json(), "CF-IPCountry", tc.region)
		if code(got.Body.String()) != tc.want {
			t.Errorf("%s: got %s, want %s", name, got.Body, tc.want)
		}
		c := f.ledger.checks[0]
		if string(c.Told.Arm) != tc.arm || (c.Told.Trial != nil) != (tc.arm != "") {
			t.Errorf("%s: arm %q, want %q", name, c.Told.Arm, tc.arm)
		}
		f.call(http.MethodPost, capgo.StatsPath, androidApp.with(tc.app).with(fields{"action": "set", "version_name": "2.5.0"}).json(), "CF-IPCountry", tc.region)
		if r := f.ledger.reports; len(r) == 1 && (string(r[0].Assigned.Arm) != tc.arm || r[0].Version != "2.5.0") {
			t.Errorf("%s: reported in arm %q, want %q", name, r[0].Assigned.Arm, tc.arm)
		}
		if len(f.ledger.reports) != 1 || f.ledger.reports[0].Client != c.Client || c.Client.OSVersion != tc.system || c.Client.Region != tc.place {
			t.Errorf("%s: checked as %+v, reported as %+v", name, c.Client, f.ledger.reports)
		}
	}
}

// A report puts a device that the ledger never saw where a check would: in the control only if it could get the candidate.
func TestReportOfTheControl(t *testing.T) {
	t.Parallel()
	outside := func(edit func(*release.Candidate)) func(*release.Document) {
		return func(d *release.Document) {
			slicedTrial()(d)
			d.Candidate.Weight = 0
			edit(d.Candidate)
		}
	}
	for name, tc := range map[string]struct {
		edit func(*release.Candidate)
		arm  string
	}{
		"could get it":   {func(*release.Candidate) {}, "control"},
		"platform":       {func(c *release.Candidate) { c.Bundle.Platforms = []string{"ios"} }, ""},
		"native version": {func(c *release.Candidate) { c.Bundle.NativeVersion = ">=9.0.0" }, ""},
		"excluded":       {func(c *release.Candidate) { c.Exclude = []release.Slice{{Platform: "android"}} }, ""},
	} {
		f := newFixture(t, production(outside(tc.edit)))
		f.call(http.MethodPost, capgo.StatsPath, androidApp.with(fields{"action": "set", "version_name": "2.4.0"}).json())
		if r := f.ledger.reports; len(r) != 1 || string(r[0].Assigned.Arm) != tc.arm || r[0].Digest != "sha256:"+stableHex {
			t.Errorf("%s: %+v, want arm %q", name, r, tc.arm)
		}
	}
}

// With nothing before it, what a slice is kept from gives way to the embedded bundle.
func TestExcludedWithoutStable(t *testing.T) {
	t.Parallel()
	f := newFixture(t, production(slicedTrial(release.Slice{Platform: "android"}), func(d *release.Document) { d.Stable, d.Previous = nil, nil }))
	for version, want := range map[string]string{"2.5.0": "builtin", "builtin": "already_on_builtin"} {
		got := f.call(http.MethodPost, capgo.CheckPath, androidApp.with(fields{"version_name": version}).json())
		if code(got.Body.String()) != want {
			t.Errorf("%s: got %s, want %s", version, got.Body, want)
		}
	}
}

// A check of an excluded device costs what others cost.
func TestExcludedAllocations(t *testing.T) {
	f := newFixture(t, production(slicedTrial(release.Slice{Platform: "android", OSVersion: "<13.0.0", NativeVersion: ">=1.0.0 <9.0.0"})))
	f.handler.Ledger = f.ledger.Ledger // the spy allocates
	var cost [2]float64
	for i, system := range []string{"12.1", "15"} {
		ask := replayed(f, androidApp.with(fields{"version_os": system}).json())
		ask()
		cost[i] = testing.AllocsPerRun(100, ask)
	}
	t.Logf("%v allocations for an excluded device, %v for others", cost[0], cost[1])
	if cost[0] > mostAllocations || cost[1] > mostAllocations {
		t.Errorf("at most %d are allowed", mostAllocations)
	}
}
