// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/windlass-dev/windlass/internal/gateway"
	"github.com/windlass-dev/windlass/internal/gateway/ledger"
	"github.com/windlass-dev/windlass/internal/gateway/openapitest"
	"github.com/windlass-dev/windlass/internal/gateway/view/viewtest"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/resolve"
)

// rollout has production in the middle of a rollout to everybody, a private channel, and one that devices may choose.
func rollout(repo *viewtest.Repo) []*release.Document {
	stable := document(repo, "1.1.0")
	trial := *stable.Stable
	trial.Name, trial.Version, trial.Digest = "1.2.0", "1.2.0", release.DigestPrefix+strings.Repeat("b", 64)
	stable.Candidate = &release.Candidate{
		Bundle: trial, Weight: release.FullWeight, Salt: "salt", Rollout: "shop", Release: 3, Stage: 2, LeaseExpires: time.Now().Add(time.Hour).Unix(),
		OnLoss: "StopOffering", Exclude: []release.Slice{{OSVersion: "<15", Region: "DE"}},
	}
	private := document(repo, "1.1.0")
	private.Channel, private.Follow.Visibility = "staff", "Private"
	beta := document(repo, "1.1.0")
	beta.Channel, beta.Follow.SelfAssignment = "beta", "Allowed"
	return []*release.Document{stable, private, beta}
}

// startRollout is a gateway with that rollout.
func startRollout(t *testing.T) *running {
	t.Helper()
	repo, cfg := world(t)
	repo.Publish(rollout(repo)...)
	r := start(t, cfg)
	r.eventually("the candidate", func() bool { return offers(r.check("another"), "1.2.0") })
	return r
}

// ask asks the internal listener with the manager's token, and holds the answer against the contract.
func (r *running) ask(path string, query ...string) *httptest.ResponseRecorder {
	r.Helper()
	values := url.Values{}
	for i := 0; i+1 < len(query); i += 2 {
		values.Add(query[i], query[i+1])
	}
	req := httptest.NewRequest(http.MethodGet, path+"?"+values.Encode(), http.NoBody)
	req.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	r.server.Internal().ServeHTTP(w, req)
	openapitest.Load(r, "gateway-internal-v1.yaml").CheckAnswer(http.MethodGet, path, w)
	return w
}

func (r *running) explain(query ...string) gateway.Explanation {
	r.Helper()
	w := r.ask(gateway.ExplainPath, query...)
	var out gateway.Explanation
	d := json.NewDecoder(w.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&out); err != nil || w.Code != http.StatusOK {
		r.Fatalf("explain %v: %d, %v", query, w.Code, err)
	}
	return out
}

func TestExplainsWhatTheLedgerKnows(t *testing.T) {
	t.Parallel()
	r := startRollout(t)
	if w := r.ask(gateway.ExplainPath, "app", "shop", "device", "Jane"); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "give platform and nativeVersion") {
		t.Errorf("a device that nobody knows: %d %s", w.Code, w.Body)
	}
	r.check("jane")
	var got gateway.Explanation
	r.eventually("the ledger knows the device", func() bool {
		return r.ask(gateway.ExplainPath, "app", "shop", "device", "Jane").Code == http.StatusOK
	})
	got = r.explain("app", "shop", "device", "Jane")
	if got.Channel != "production" || got.Action != resolve.Update || got.Reason != resolve.ReasonCandidate || got.Arm != "candidate" || got.Bundle.Version != "1.2.0" {
		t.Errorf("decision %+v", got)
	}
	if got.Trial == nil || got.Trial.Salt != "salt" || got.Trial.Weight != release.FullWeight || got.Slot == nil || got.Trial.Release != 3 || got.Trial.Stage != 2 {
		t.Errorf("trial %+v, slot %v", got.Trial, got.Slot)
	}
	want := gateway.DeviceFacts{
		Protocol: "native", Channel: "production", Platform: "ios", NativeVersion: "1.0.0", Distribution: resolve.Production, Hardware: resolve.Physical,
	}
	if got.Device != want {
		t.Errorf("device %+v, want %+v", got.Device, want)
	}
	if len(got.Ledger.History) != 1 || got.Ledger.History[0].OfferedAt.IsZero() || got.Ledger.History[0].Version != "1.2.0" || got.Ledger.History[0].Stage != 2 || !got.Ledger.Reachable {
		t.Errorf("ledger %+v", got.Ledger)
	}
	if last := got.Steps[len(got.Steps)-1]; last.Rule != resolve.RuleAnswer || len(got.Steps) < 5 {
		t.Errorf("steps %+v", got.Steps)
	}

	report := fmt.Sprintf(`{"app":"shop","channel":"production","deviceID":"jane","digest":%q,"outcome":"failed","kind":"rollback"}`, got.Bundle.Digest)
	res, err := http.Post(r.public+"/v1/report", "application/json", strings.NewReader(report))
	if err != nil || res.StatusCode != http.StatusAccepted {
		t.Fatalf("report: %v, %v", res, err)
	}
	res.Body.Close()
	r.eventually("the failure is in the history", func() bool {
		got = r.explain("app", "shop", "device", "jane")
		return got.Ledger.History[0].FailedKind == ledger.KindRollback
	})
	if !slices.Equal(got.Ledger.Failed, []string{got.Trial.Candidate.Digest}) || got.Reason == resolve.ReasonCandidate {
		t.Errorf("after the failure: %+v", got)
	}
	r.stop()
	if log := r.log.String(); strings.Contains(strings.ToLower(log), "jane") || !strings.Contains(log, "route=explain") {
		t.Errorf("log: %s", log)
	}
}

// The query wins over the ledger, and is enough for a device that nobody knows.
func TestExplainsWhatTheQueryTells(t *testing.T) {
	t.Parallel()
	r := startRollout(t)
	base := []string{"app", "shop", "device", "d", "platform", "android", "nativeVersion", "1.0.0"}
	for _, tc := range []struct {
		name            string
		query           []string
		protocol        string
		channel, reason string
	}{
		{"without a channel", nil, "capgo", "beta", "Stable"},
		{"named channel", []string{"channel", "production"}, "native", "production", "Candidate"},
		{"private channel, native", []string{"channel", "staff"}, "native", "", "ChannelPrivate"},
		{"private channel, capgo", []string{"channel", "staff", "protocol", "capgo"}, "capgo", "beta", "Stable"},
		{"no such channel", []string{"channel", "gamma"}, "native", "", "UnknownChannel"},
		{"runs the candidate", []string{"channel", "production", "version", "1.2.0"}, "native", "production", "UpToDate"},
		{"excluded", []string{"channel", "production", "osVersion", "14.8.1", "region", "DE"}, "native", "production", "Stable"},
		{"elsewhere", []string{"channel", "production", "osVersion", "14.8.1", "region", "FR"}, "native", "production", "Candidate"},
		{"newer system", []string{"channel", "production", "osVersion", "15", "region", "DE"}, "native", "production", "Candidate"},
		{"no version of a system", []string{"channel", "production", "osVersion", "old", "region", "DE"}, "native", "production", "Candidate"},
		{"newer build", []string{"channel", "production", "nativeVersion", "9.0.0"}, "native", "production", "BelowNative"},
	} {
		query := append(slices.Clone(base), tc.query...)
		if i := slices.Index(query[:len(base)], "nativeVersion"); slices.Contains(tc.query, "nativeVersion") {
			query = slices.Delete(query, i, i+2)
		}
		got := r.explain(query...)
		if got.Channel != tc.channel || string(got.Reason) != tc.reason || got.Device.Protocol != tc.protocol || len(got.Ledger.History) != 0 {
			t.Errorf("%s: %+v", tc.name, got)
		}
	}
}

// A channel that the server keeps for a device counts for plugins that leave it to the server, as in a check.
func TestExplainsOverrides(t *testing.T) {
	t.Parallel()
	r := startRollout(t)
	for plugin, want := range map[string]string{"7.33.0": "beta", "8.51.23": "production"} {
		body := fmt.Sprintf(`{"app_id":"shop","device_id":"o%s","platform":"ios","version_build":"1.0.0","version_name":"builtin","plugin_version":%q,`+
			`"is_prod":true,"is_emulator":false,"channel":"beta","defaultChannel":"production"}`, plugin, plugin)
		for _, path := range []string{"/updates", "/channel_self", "/updates"} {
			res, err := http.Post(r.public+path, "application/json", strings.NewReader(body))
			if err != nil || res.StatusCode != http.StatusOK {
				t.Fatalf("%s: %v, %v", path, res, err)
			}
			res.Body.Close()
		}
		var got gateway.Explanation
		r.eventually("the ledger knows the device", func() bool {
			w := r.ask(gateway.ExplainPath, "app", "shop", "device", "o"+plugin)
			return json.Unmarshal(w.Body.Bytes(), &got) == nil && w.Code == http.StatusOK
		})
		got = r.explain("app", "shop", "device", "o"+plugin, "channel", "production")
		if got.Channel != want || got.Device.Protocol != "capgo" || got.Device.Plugin != "capgo/"+plugin || (got.Ledger.Override != "") != (want == "beta") {
			t.Errorf("%s: follows %q, want %q: %+v", plugin, got.Channel, want, got)
		}
	}
}

func TestExplainRefuses(t *testing.T) {
	t.Parallel()
	r := startRollout(t)
	for _, tc := range []struct {
		query []string
		want  string
	}{
		{nil, `"field":"app","expected":"a value"`},
		{[]string{"app", "shop"}, `"field":"device","expected":"a value"`},
		{[]string{"app", "shop", "device", "secret-id", "plattform", "ios"}, `"field":"plattform","expected":"no such parameter"`},
		{[]string{"app", "shop", "device", "secret-id", "device", "secret-id2"}, `"field":"device","expected":"the parameter once"`},
		{[]string{"app", "shop", "device", "secret-id", "platform", "iOS"}, `"field":"platform","expected":"one of ios, android`},
		{[]string{"app", "shop", "device", strings.Repeat("x", 257)}, `"field":"device","expected":"at most 256 bytes"`},
		{[]string{"app", "shop", "device", "secret-id", "platform", "ios", "nativeVersion", "four"}, `"field":"nativeVersion","expected":"a semantic version`},
		{[]string{"app", "shop", "device", "secret-id", "platform", "ios", "nativeVersion", "1.0.0", "version", "x"}, `"field":"version","expected":"a semantic version`},
	} {
		w := r.ask(gateway.ExplainPath, tc.query...)
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), tc.want) || strings.Contains(w.Body.String(), "secret-id") {
			t.Errorf("%v: %d %s, want %s", tc.query, w.Code, w.Body, tc.want)
		}
	}
	for _, path := range []string{gateway.ExplainPath, gateway.CountsPath, gateway.SlicesPath} {
		if code, _ := r.get(r.internal + path + "?app=shop&device=d&channel=production&trial=salt"); code != http.StatusUnauthorized {
			t.Errorf("%s without a token: %d", path, code)
		}
		if code, _ := r.get(r.public + path + "?app=shop&device=d&channel=production&trial=salt"); code != http.StatusNotFound {
			t.Errorf("%s is on the public side: %d", path, code)
		}
	}
}

// The contract has the parameters and the rules that there are, and no others.
func TestInternalContract(t *testing.T) {
	t.Parallel()
	c := openapitest.Load(t, "gateway-internal-v1.yaml")
	var got []string
	for _, p := range c.At("paths", gateway.ExplainPath, "get", "parameters").([]any) {
		got = append(got, p.(map[string]any)["name"].(string))
	}
	slices.Sort(got)
	if want := gateway.ExplainParameters(); !slices.Equal(got, want) {
		t.Errorf("parameters: the contract has %v, the code %v", got, want)
	}
	rules := []string{
		string(resolve.RuleMetadata), string(resolve.RuleOverride), string(resolve.RuleWish), string(resolve.RulePublic), string(resolve.RuleSigned),
		string(resolve.RuleServing), string(resolve.RuleAudience), string(resolve.RuleExclude), string(resolve.RuleLease), string(resolve.RuleCohort), string(resolve.RulePassage),
		string(resolve.RuleRefused), string(resolve.RuleRunning), string(resolve.RuleFailed), string(resolve.RuleKey), string(resolve.RuleFloor),
		string(resolve.RuleAutoUpdate), string(resolve.RuleCompatibility), string(resolve.RuleBelowNative), string(resolve.RuleAnswer),
	}
	slices.Sort(rules)
	if got := c.Enum("Step", "rule"); !slices.Equal(got, rules) {
		t.Errorf("rules: the contract has %v, the code %v", got, rules)
	}
}

// What the ledger does not answer is a 503: neither an empty history nor zero votes.
func TestWithoutTheLedger(t *testing.T) {
	t.Parallel()
	repo, cfg := world(t)
	repo.Publish(rollout(repo)...)
	cfg.Ledger = ledger.Config{DSN: "postgres://nobody@127.0.0.1:1/none?sslmode=disable&connect_timeout=1", Key: []byte(strings.Repeat("k", 32))}
	r := start(t, cfg)
	r.eventually("checks go on", func() bool { return offers(r.check("d1"), "1.2.0") })
	for path, query := range map[string][]string{
		gateway.CountsPath:  {"app", "shop", "channel", "production"},
		gateway.SlicesPath:  {"app", "shop", "channel", "production", "trial", "salt"},
		gateway.ExplainPath: {"app", "shop", "device", "d"},
	} {
		if w := r.ask(path, query...); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "the ledger's database does not answer") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	got := r.explain("app", "shop", "device", "d", "platform", "ios", "nativeVersion", "1.0.0", "channel", "production")
	if got.Reason != resolve.ReasonCandidate || got.Ledger.Reachable {
		t.Errorf("got %+v", got)
	}
}
