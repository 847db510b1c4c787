// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package native_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/windlass-dev/windlass/internal/gateway/openapitest"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/native"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/resolve"
)

func loadContract(t testing.TB) openapitest.Contract {
	t.Helper()
	return openapitest.Load(t, "gateway-v1.yaml")
}

func requestSchema(path string) []string {
	return []string{"paths", path, "post", "requestBody", "content", "application/json", "schema"}
}

// bodies are requests, good and bad, of which the contract and the handlers must think alike.
func bodies() map[string][]string {
	long := func(n int) string { return `"` + strings.Repeat("x", n) + `"` }
	checks := []string{
		request(), request("current", `{"version":"2.4.1"}`), request("current", `{"digest":"sha256:`+stableHex+`"}`),
		request("build", `{"distribution":"Development","hardware":"Emulator"}`), request("build", `{}`), request("runtimeVersion", `"52"`),
		request("app", `"nobody"`), request("channel", `"nothing"`), request("deviceID", long(128)), request("app", long(128)),
		request("platform", `"web"`), request("nativeVersion", `"v4"`), request("channel", `"a-1"`), request("app", `"a_b-c.D"`),
		// bad
		`{}`, `[]`, `"x"`, `null`, request("app", ""), request("channel", ""), request("deviceID", ""), request("platform", ""), request("nativeVersion", ""),
		request("app", `""`), request("app", `"a..b"`), request("app", `"a."`), request("app", long(129)), request("app", `"ä"`),
		request("channel", `"-a"`), request("channel", `"a-"`), request("channel", `"A"`), request("channel", long(64)),
		request("deviceID", `""`), request("deviceID", long(129)), request("deviceID", `"a b"`), request("deviceID", `"é"`), request("deviceID", `1`),
		request("platform", `"IOS"`), request("nativeVersion", `""`), request("nativeVersion", long(65)), request("nativeVersion", `4`),
		request("runtimeVersion", `""`), request("runtimeVersion", long(65)), request("runtimeVersion", `null`),
		request("build", `"Production"`), request("build", `{"hardware":"Phone"}`), request("build", `{"distribution":"Beta"}`), request("build", `{"x":"y"}`),
		request("current", `{}`), request("current", `null`), request("current", `{"digest":"abc"}`), request("current", `{"digest":"sha256:`+strings.ToUpper(stableHex)+`"}`),
		request("current", `{"version":""}`), request("extra", `"x"`),
	}
	reports := []string{
		reportOf("downloaded", ""), reportOf("installed", ""), reportOf("confirmed", ""), reportOf("confirmed", `,"build":{"hardware":"Emulator"}`),
		strings.Replace(reportOf("confirmed", ""), "production", "beta", 1),
		// bad
		`{}`, reportOf("done", ""), reportOf("failed", `,"kind":"x"`), reportOf("failed", `,"kind":1`), reportOf("confirmed", `,"digest2":"x"`),
		strings.Replace(reportOf("confirmed", ""), "sha256:", "", 1),
	}
	for _, kind := range []string{native.KindNetwork, native.KindDisk, native.KindCrash, native.KindVerification, native.KindRollback} {
		reports = append(reports, reportOf("failed", `,"kind":"`+kind+`"`))
	}
	return map[string][]string{native.CheckPath: checks, native.ReportPath: reports}
}

func TestHandlersKeepTheContract(t *testing.T) {
	t.Parallel()
	c := loadContract(t)
	f := newFixture(t, document())
	for path, list := range bodies() {
		good := 0
		for _, body := range list {
			w := f.post(path, body)
			c.CheckAnswer(http.MethodPost, path, w)
			problems := c.Problems([]byte(body), requestSchema(path)...)
			if (len(problems) == 0) != (w.Code/100 == 2) {
				t.Errorf("%s: answered %d %s, but the contract says %v", body, w.Code, w.Body, problems)
			}
			if w.Code/100 == 2 {
				good++
			}
		}
		if good == 0 || good == len(list) {
			t.Errorf("%s: %d of %d requests are good: both kinds are needed", path, good, len(list))
		}
	}
	for name, w := range map[string]*httptest.ResponseRecorder{
		"media type": f.post(native.CheckPath, request(), "Content-Type", "text/plain"),
		"too large":  f.post(native.ReportPath, strings.Repeat(" ", 65<<10)),
	} {
		if w.Code < 400 {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	c.CheckAnswer(http.MethodPost, native.CheckPath, f.post(native.CheckPath, request(), "Content-Type", "text/plain"))
	c.CheckAnswer(http.MethodPost, native.ReportPath, f.post(native.ReportPath, strings.Repeat(" ", 65<<10)))
}

// The contract names every reason, action and result that there is, and no other.
func TestContractNamesAllValues(t *testing.T) {
	t.Parallel()
	c := loadContract(t)
	reasons := []string{native.ReasonBusy}
	actions := map[string]bool{}
	for reason, list := range resolve.Reasons {
		reasons = append(reasons, string(reason))
		for _, a := range list {
			actions[string(a)] = true
		}
	}
	var results []string
	for _, r := range []native.Result{native.Accepted, native.NotVoting, native.UnknownBundle, native.UnknownChannel, native.QueueFull} {
		results = append(results, string(r))
	}
	for _, tc := range []struct {
		schema, field string
		want          []string
	}{
		{"CheckResponse", "reason", reasons},
		{"CheckResponse", "action", slices.Collect(maps.Keys(actions))},
		{"CheckResponse", "arm", []string{string(resolve.Candidate), string(resolve.Control)}},
		{"ReportResponse", "reason", results},
		{"ReportRequest", "kind", []string{native.KindNetwork, native.KindDisk, native.KindCrash, native.KindVerification, native.KindRollback}},
	} {
		got := c.Enum(tc.schema, tc.field)
		slices.Sort(tc.want)
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s.%s: the contract has %v, the code %v", tc.schema, tc.field, got, tc.want)
		}
	}
}

// The contract has every route of the protocol, and the Go types marshal to what it allows.
func TestContractHasAllRoutes(t *testing.T) {
	t.Parallel()
	c := loadContract(t)
	f := newFixture(t, document())
	for _, r := range f.handler.Routes() {
		c.At("paths", r.Path, strings.ToLower(r.Method))
	}
	raw, err := json.Marshal(native.CheckRequest{
		App: "a", Channel: "b", DeviceID: "c", Platform: "ios", NativeVersion: "1.0.0", RuntimeVersion: "1",
		Build: native.Build{Distribution: "Production", Hardware: "Device"}, Current: native.Current{Version: "1.0.0", Digest: release.DigestPrefix + stableHex},
	})
	if err != nil {
		t.Fatal(err)
	}
	if problems := c.Problems(raw, requestSchema(native.CheckPath)...); len(problems) > 0 {
		t.Errorf("%s: %v", raw, problems)
	}
	raw, err = json.Marshal(native.ReportRequest{
		App: "a", Channel: "b", DeviceID: "c", Digest: release.DigestPrefix + stableHex, Outcome: "failed", Kind: "crash",
	})
	if err != nil {
		t.Fatal(err)
	}
	if problems := c.Problems(raw, requestSchema(native.ReportPath)...); len(problems) > 0 {
		t.Errorf("%s: %v", raw, problems)
	}
	if w := f.post(native.CheckPath, string(raw)); w.Code != http.StatusBadRequest {
		t.Errorf("a report is no check, but got %d", w.Code)
	}
}
