// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package native_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/windlass-dev/windlass/internal/gateway/edge"
	"github.com/windlass-dev/windlass/internal/gateway/ledger"
	"github.com/windlass-dev/windlass/internal/gateway/netaddr"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/native"
	"github.com/windlass-dev/windlass/internal/release"
)

// spy is the real ledger, and remembers the checks that it was handed.
type spy struct {
	*ledger.Ledger

	checks []ledger.Check
}

func (s *spy) Checked(c *ledger.Check) {
	s.checks = append(s.checks, *c)
	s.Ledger.Checked(c)
}

// proxied trusts the peer of all test requests to tell regions.
func proxied() edge.Config {
	return edge.Config{Proxies: netaddr.Config{
		Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}, RegionHeader: "CF-IPCountry",
	}}
}

// What a device tells of its system, and the proxy of its region, decides whether it is in an excluded slice, and is what the ledger
// is told. The contract holds for each of the answers.
func TestExcludedSlices(t *testing.T) {
	t.Parallel()
	doc := document()
	doc.Candidate.Stage, doc.Candidate.Exclude = 3, []release.Slice{{Platform: "ios", OSVersion: "<13.0.0"}, {Region: "FR"}}
	runs := `{"version":"2.4.1","digest":"sha256:` + trialHex + `"}`
	f := newFixture(t, doc)
	f.withEdge(proxied())
	spy := &spy{Ledger: f.ledger}
	f.handler.Ledger = spy
	contract := loadContract(t)
	for _, tc := range []struct {
		name, system, region, current string
		want                          string
		kept                          ledger.Client
	}{
		{"told nothing", "", "", "", "update Candidate candidate 2.4.1", ledger.Client{}},
		{"new system", `"17.5.1"`, "DE", "", "update Candidate candidate 2.4.1", ledger.Client{OSVersion: "17.5.1", Region: "DE"}},
		{"old system", `"12.4"`, "DE", "", "update Stable  2.4.0", ledger.Client{OSVersion: "12.4.0", Region: "DE"}},
		{"old system, has it", `"iOS 12"`, "", runs, "update Excluded  2.4.0", ledger.Client{OSVersion: "12.0.0"}},
		{"region, has it", `"17.5.1"`, "fr", runs, "update Excluded  2.4.0", ledger.Client{OSVersion: "17.5.1", Region: "FR"}},
		{"no version of a system", `"beta"`, "", "", "update Candidate candidate 2.4.1", ledger.Client{}},
		{"no region", "", "D\u00c9", runs, "none UpToDate candidate ", ledger.Client{}},
	} {
		edits := []string{}
		for name, value := range map[string]string{"osVersion": tc.system, "current": tc.current} {
			if value != "" {
				edits = append(edits, name, value)
			}
		}
		spy.checks = nil
		w := f.post(native.CheckPath, request(edits...), "CF-IPCountry", tc.region)
		contract.CheckAnswer(http.MethodPost, native.CheckPath, w)
		got := decode[native.CheckResponse](t, w, 200)
		line := strings.Join([]string{got.Action, got.Reason, got.Arm, ""}, " ")
		if got.Bundle != nil {
			line += got.Bundle.Version
		}
		if line != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, line, tc.want)
		}
		tc.kept.Platform, tc.kept.NativeVersion = "ios", "2.0"
		if diff := cmp.Diff(tc.kept, spy.checks[0].Client); diff != "" {
			t.Errorf("%s: the ledger was told (-want +got):\n%s", tc.name, diff)
		}
		if told := spy.checks[0].Told; got.Arm != "" && told.Trial.Stage != 3 || got.Arm == "" && told.Trial != nil {
			t.Errorf("%s: counted in %+v", tc.name, told.Trial)
		}
	}
}

// Without a trusted proxy nobody's word counts for a region.
func TestRegionOfAStranger(t *testing.T) {
	t.Parallel()
	f := newFixture(t, document())
	spy := &spy{Ledger: f.ledger}
	f.handler.Ledger = spy
	f.post(native.CheckPath, request(), "CF-IPCountry", "DE")
	if got := spy.checks[0].Client.Region; got != "" {
		t.Errorf("region %q", got)
	}
}

func TestSystemVersionIsBounded(t *testing.T) {
	t.Parallel()
	f := newFixture(t, document())
	for _, text := range []string{`""`, `"` + strings.Repeat("1", 33) + `"`, `"14\u0000"`, `"Ω 14"`, `14`} {
		if w := f.post(native.CheckPath, request("osVersion", text)); w.Code != 400 || !strings.Contains(w.Body.String(), "printable ASCII") {
			t.Errorf("%s: %d %s", text, w.Code, w.Body)
		}
	}
}
