// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package capgo_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/windlass-dev/windlass/internal/gateway/edge"
	"github.com/windlass-dev/windlass/internal/gateway/ledger"
	"github.com/windlass-dev/windlass/internal/gateway/limit"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/capgo"
	"github.com/windlass-dev/windlass/internal/gateway/view"
	"github.com/windlass-dev/windlass/internal/resolve"
)

// stat asks as a client does that sends one statistic.
func (f *fixture) stat(who fields, action, name string) {
	f.Helper()
	body := who.with(fields{"action": action, "version_name": name}).json()
	if w := f.call(http.MethodPost, capgo.StatsPath, body); w.Body.String() != `{"status":"ok"}` {
		f.Fatalf("%s %s: got %d %s", action, name, w.Code, w.Body)
	}
}

// ask is an update check.
func (f *fixture) ask(who fields, header ...string) string {
	f.Helper()
	return f.call(http.MethodPost, capgo.CheckPath, who.json(), header...).Body.String()
}

// row gives what the ledger counts of a version, over its arms.
func (f *fixture) row(version string) ledger.Row {
	f.Helper()
	if err := f.ledger.Flush(f.Context()); err != nil {
		f.Fatal(err)
	}
	snapshot, err := f.ledger.Counts(f.Context(), app, "production")
	if err != nil {
		f.Fatal(err)
	}
	var sum ledger.Row
	for _, r := range snapshot.Rows {
		if r.Version == version {
			sum.Devices, sum.Offered, sum.Downloaded = sum.Devices+r.Devices, sum.Offered+r.Offered, sum.Downloaded+r.Downloaded
			sum.Installed, sum.Confirmed = sum.Installed+r.Installed, sum.Confirmed+r.Confirmed
			sum.Failed, sum.DeliveryFailed = sum.Failed+r.Failed, sum.DeliveryFailed+r.DeliveryFailed
		}
	}
	return sum
}

// What each statistic says, and on which platforms its version_name is the bundle that it is about.
func TestMeanings(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	const everywhere, nowhere = "android ios electron", ""
	for action, want := range map[string]struct {
		outcome ledger.Outcome
		kind    ledger.Kind
		names   string
	}{
		"download_complete":               {ledger.Downloaded, "", everywhere},
		"set":                             {ledger.Installed, "", everywhere},
		"app_launch_ready":                {ledger.Confirmed, "", everywhere},
		"update_fail":                     {ledger.Failed, ledger.KindRollback, everywhere},
		"app_launch_timeout":              {ledger.Failed, ledger.KindRollback, everywhere},
		"set_fail":                        {ledger.Failed, ledger.KindRollback, everywhere},
		"app_crash":                       {ledger.Failed, ledger.KindCrash, everywhere},
		"app_crash_native":                {ledger.Failed, ledger.KindCrash, everywhere},
		"webview_render_process_gone":     {ledger.Failed, ledger.KindCrash, everywhere},
		"finish_download_fail":            {ledger.Failed, ledger.KindVerification, everywhere},
		"manifest_path_fail":              {ledger.Failed, ledger.KindVerification, everywhere},
		"download_manifest_checksum_fail": {ledger.Failed, ledger.KindVerification, everywhere},
		"download_manifest_brotli_fail":   {ledger.Failed, ledger.KindVerification, everywhere},
		"checksum_fail":                   {ledger.Failed, ledger.KindVerification, "ios electron"},
		"checksum_required":               {ledger.Failed, ledger.KindVerification, "ios electron"},
		"session_key_required":            {ledger.Failed, ledger.KindVerification, "ios electron"},
		"decrypt_fail":                    {ledger.Failed, ledger.KindVerification, "ios electron"},
		"unzip_fail":                      {ledger.Failed, ledger.KindVerification, nowhere},
		"windows_path_fail":               {ledger.Failed, ledger.KindVerification, nowhere},
		"canonical_path_fail":             {ledger.Failed, ledger.KindVerification, nowhere},
		"directory_path_fail":             {ledger.Failed, ledger.KindVerification, nowhere},
		"download_fail":                   {ledger.DeliveryFailed, ledger.KindNetwork, "electron"},
		"download_manifest_file_fail":     {ledger.DeliveryFailed, ledger.KindNetwork, everywhere},
		"low_mem_fail":                    {ledger.DeliveryFailed, ledger.KindDisk, nowhere},
		"insufficient_disk_space":         {ledger.DeliveryFailed, ledger.KindDisk, nowhere},
	} {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			for platform, who := range map[string]fields{"android": androidApp, "ios": iosApp, "electron": electronApp} {
				f := fixtureOn(t, l, production())
				who = who.with(crashed)
				f.stat(who, action, "2.4.0:assets/app.js")
				f.stat(who, action, "2.0.0") // the embedded bundle
				named := strings.Contains(want.names, platform)
				onEmbedded := !named || want.kind == ledger.KindCrash
				if got := len(f.ledger.reports); onEmbedded && got != 2 || !onEmbedded && got != 1 {
					t.Fatalf("%s: %d reports", platform, got)
				}
				got := f.ledger.reports[0]
				if got.Outcome != want.outcome || got.Kind != want.kind || (got.Version == "2.4.0") != named || (got.Digest != "") != named || got.Known != named {
					t.Errorf("%s: got %+v", platform, got)
				}
				if !got.Votes || got.Network == 0 || got.Device != f.ledger.Pseudonym(app, device) || got.Client.Platform != platform || got.Client.NativeVersion != "2.0.0" {
					t.Errorf("%s: got %+v", platform, got)
				}
			}
		})
	}
}

// crashed is what Android tells of a process and of a renderer that crashed.
var crashed = fields{"metadata": fields{"exit_reason": "crash", "exit_reason_code": "4", "did_crash": "true"}}

// What is called a crash is one only if the system says so.
func TestCrashes(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	const process, native, renderer = "app_crash", "app_crash_native", "webview_render_process_gone"
	unclean := fields{"exit_reason": "unclean_foreground_exit", "exit_source": "ios_session_marker"}
	for _, tc := range []struct {
		who      fields
		action   string
		metadata any
		counts   bool
	}{
		{androidApp, process, fields{"exit_reason": "crash"}, true},
		{androidApp, process, fields{"exit_reason": "anr"}, false},
		{androidApp, process, nil, false},
		{androidApp, process, []any{"crash"}, false},
		{iosApp, process, unclean, false},
		{androidApp, native, fields{"exit_reason": "crash_native"}, true},
		{androidApp, native, nil, true},
		{androidApp, renderer, fields{"did_crash": "true"}, true},
		{androidApp, renderer, fields{"did_crash": true}, true},
		{androidApp, renderer, fields{"did_crash": "false"}, false}, // ended for want of memory
		{androidApp, renderer, fields{"error_type": "render_process_gone"}, false},
		{iosApp, "webview_content_process_terminated", unclean, false},
	} {
		f := fixtureOn(t, l, production())
		f.stat(tc.who.with(fields{"metadata": tc.metadata}), tc.action, "2.4.0")
		if got := len(f.ledger.reports) == 1 && f.ledger.reports[0].Kind == ledger.KindCrash; got != tc.counts || len(f.ledger.reports) > 1 {
			t.Errorf("%s with %v: %+v, want a crash: %t", tc.action, tc.metadata, f.ledger.reports, tc.counts)
		}
	}
}

// A crash of the embedded bundle is told as one: it may be the control that a candidate is compared with. A name that is
// missing is none.
func TestEmbeddedBundleCrashes(t *testing.T) {
	t.Parallel()
	f := newFixture(t, production(empty))
	for name, want := range map[string]string{"2.0.0": "embedded", "builtin": "embedded", "": "", "mine": ""} {
		f.ledger.reports = nil
		f.stat(androidApp.with(crashed), "app_crash", name)
		switch got := f.ledger.reports; {
		case want == "" && len(got) != 0:
			t.Errorf("%q: reports %+v", name, got)
		case want != "" && (len(got) != 1 || got[0].Version != want || got[0].Digest != "" || got[0].Outcome != ledger.Failed || !got[0].Votes):
			t.Errorf("%q: reports %+v", name, got)
		}
	}
}

// All other statistics are taken, and say nothing of a bundle.
func TestMeaningless(t *testing.T) {
	t.Parallel()
	f := newFixture(t, production())
	for action := range strings.FieldsSeq(`
		download_manifest_start download_manifest_complete download_zip_start download_zip_complete download_0 download_90
		set_next reset delete app_anr app_killed_low_memory app_killed_excessive_resource_usage app_initialization_failure
		app_memory_warning webview_javascript_error webview_unhandled_rejection webview_resource_error
		webview_security_policy_violation webview_unclean_restart webview_content_process_terminated webview_dom_content_loaded
		webview_page_loaded ping app_launch_start app_moved_to_foreground app_moved_to_background os_version_changed
		native_app_version_changed blocked_by_server_url rate_limit_reached backend_refusal nobody_knows`) {
		f.stat(androidApp, action, "2.4.0")
	}
	if len(f.ledger.reports) != 0 {
		t.Errorf("reports %+v", f.ledger.reports)
	}
}

func TestActionsAreCounted(t *testing.T) {
	t.Parallel()
	f := newFixture(t, production())
	for _, action := range []string{"set", "set", "sang_a_song", "Set", "ping"} {
		f.stat(androidApp, action, "2.4.0")
	}
	metrics, err := f.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, family := range metrics {
		if family.GetName() == "windlass_gateway_capgo_events_total" {
			for _, m := range family.GetMetric() {
				if v := m.GetCounter().GetValue(); v > 0 {
					got[m.GetLabel()[0].GetValue()] = v
				}
			}
		}
	}
	if diff := cmp.Diff(map[string]float64{"set": 2, "other": 2, "ping": 1}, got); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}
	if problems, err := testutil.GatherAndLint(f.metrics, "windlass_gateway_capgo_events_total"); err != nil || len(problems) > 0 {
		t.Errorf("problems %v, %v", problems, err)
	}
}

// A device that runs into a bad bundle: the failure names it, and then the bundle that the device went back to is set.
func TestRollbackIsAttributed(t *testing.T) {
	t.Parallel()
	f := newFixture(t, production())
	if !strings.Contains(f.ask(androidApp), `"version":"2.4.0"`) {
		t.Fatal("no offer")
	}
	for _, s := range [][2]string{
		{"download_complete", "2.4.0"}, {"set", "2.4.0"}, {"app_launch_timeout", "2.4.0"}, {"update_fail", "2.4.0"}, {"set", "2.0.0"},
	} {
		f.stat(androidApp, s[0], s[1])
	}
	want := ledger.Row{Devices: 1, Offered: 1, Downloaded: 1, Installed: 1, Failed: 1}
	if diff := cmp.Diff(want, f.row("2.4.0")); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	if got := f.ask(androidApp); !strings.Contains(got, `"failed_before"`) {
		t.Errorf("offered again: %s", got)
	}
	if got := f.ask(androidApp.with(fields{"device_id": "another"})); !strings.Contains(got, `"version":"2.4.0"`) {
		t.Errorf("another device: %s", got)
	}
}

// A failure that names the running bundle is about what was offered last.
func TestFailureIsAttributedToTheLastOffer(t *testing.T) {
	t.Parallel()
	f := newFixture(t, production())
	on := androidApp.with(fields{"version_name": "2.3.0"})
	f.ask(on)
	f.stat(androidApp, "checksum_fail", "2.3.0")
	f.stat(androidApp, "download_fail", "2.3.0")
	if got := f.row("2.4.0"); got.Failed != 1 || got.DeliveryFailed != 1 {
		t.Errorf("counts %+v", got)
	}
	if got := f.row("2.3.0"); got != (ledger.Row{}) {
		t.Errorf("the running bundle got %+v", got)
	}
}

// Electron's client goes on with a bundle that did not get ready in time, so that its checks prove nothing. Others have gone
// back to it because it works.
func TestElectronKeepsWhatFailed(t *testing.T) {
	t.Parallel()
	for name, who := range map[string]fields{"electron": electronApp, "android": androidApp} {
		f := newFixture(t, production())
		f.ask(who)
		f.stat(who, "set_fail", "2.4.0")
		on := who.with(fields{"version_name": "2.4.0"})
		for i := range 4 {
			f.now = now.Add(time.Duration(i) * time.Minute)
			if got := code(f.ask(on)); got != "no_new_version_available" {
				t.Errorf("%s: got %s", name, got)
			}
			f.stat(who, "set", "2.4.0")
		}
		want := ledger.Row{Devices: 1, Offered: 1, Installed: 1, Confirmed: 1}
		if name == "electron" {
			want.Confirmed, want.Failed = 0, 1
		}
		if diff := cmp.Diff(want, f.row("2.4.0")); diff != "" {
			t.Errorf("%s: counts (-want +got):\n%s", name, diff)
		}
		f.handler.View = f.compile(production(version("2.5.0")))
		if got := code(f.ask(on)); got != "2.5.0" || f.row("2.5.0").Offered != 1 {
			t.Errorf("%s: got %s, counts %+v", name, got, f.row("2.5.0"))
		}
		if diff := cmp.Diff(want, f.row("2.4.0")); diff != "" {
			t.Errorf("%s: after another offer: counts (-want +got):\n%s", name, diff)
		}
	}
}

// Clients send download_fail when a check failed, too, and old ones after each check that brought no update.
func TestFalseAlarms(t *testing.T) {
	t.Parallel()
	f := newFixture(t, production())
	f.ask(androidApp) // an offer, which came through
	f.ask(androidApp.with(fields{"version_name": "2.4.0"}))
	f.stat(androidApp, "download_fail", "2.4.0")
	if got := f.row("2.4.0"); got.DeliveryFailed != 0 || got.Offered != 1 {
		t.Errorf("after no update: %+v", got)
	}
	f.stat(androidApp, "insufficient_disk_space", "2.4.0")
	f.stat(electronApp, "download_fail", "2.4.0")
	r := f.ledger.reports
	if !r[0].AfterOffer || r[0].Version != "" || r[1].AfterOffer || r[2].AfterOffer || r[2].Version != "2.4.0" || r[2].Client.Plugin != "capgo-electron/0.0.1" {
		t.Errorf("got %+v", r)
	}
	one := androidApp.with(fields{"device_id": "another"})
	f.ask(one)
	f.stat(one, "download_fail", "2.0.0")
	if got := f.row("2.4.0"); got.DeliveryFailed != 2 {
		t.Errorf("after an offer: %+v", got)
	}
}

// Full batches, with events twice and in any order, count as each event once.
func TestBatches(t *testing.T) {
	t.Parallel()
	f := newFixture(t, production())
	var items []string
	for i := range 100 {
		who := androidApp.with(fields{"device_id": fmt.Sprintf("device-%d", i), "timestamp": now.Add(-time.Hour).UnixMilli()})
		last := "app_launch_ready"
		if i < 15 {
			last = "update_fail"
		}
		for _, action := range []string{"download_complete", "set", last} {
			items = append(items, who.with(fields{"action": action, "version_name": "2.4.0"}).json())
		}
	}
	items = append(items, items[:200]...)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
	w := f.call(http.MethodPost, capgo.StatsPath, "["+strings.Join(items, ",")+"]")
	var res struct {
		Status  string
		Results []struct {
			Status string
			Index  int
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &res); err != nil || w.Code != 200 || res.Status != "ok" || len(res.Results) != 500 {
		t.Fatalf("got %d with %d results, %v", w.Code, len(res.Results), err)
	}
	for i, r := range res.Results {
		if r.Status != "ok" || r.Index != i {
			t.Fatalf("result %d: %+v", i, r)
		}
	}
	if len(f.ledger.reports) != 300 {
		t.Errorf("%d reports, want those that came twice once", len(f.ledger.reports))
	}
	want := ledger.Row{Downloaded: 100, Installed: 100, Confirmed: 85, Failed: 15}
	got := f.row("2.4.0")
	got.Devices, got.Offered = 0, 0 // what reports without a check make of these is the ledger's matter
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

func TestTooManyEvents(t *testing.T) {
	t.Parallel()
	f := newFixture(t, production())
	var items strings.Builder
	for i := range 500 {
		items.WriteString(androidApp.with(fields{"action": "set", "version_name": "2.4.0", "timestamp": now.UnixMilli() - int64(i)}).json() + ",")
	}
	got := f.call(http.MethodPost, capgo.StatsPath, "["+items.String()+"no JSON").Body.String()
	if !strings.HasSuffix(got, `{"status":"ok","index":499},{"status":"error","index":500,"error":"too_many_events",`+
		`"message":"Expected at most 500 statistics: this one and those after it were not read"}]}`) {
		t.Errorf("got …%s", got[max(0, len(got)-300):])
	}
	if len(f.ledger.reports) != 500 {
		t.Errorf("%d reports", len(f.ledger.reports))
	}
}

// What became of a statistic holds for its repetitions, too: none is dropped in silence.
func TestRepetitionsOfWhatIsNotTaken(t *testing.T) {
	t.Parallel()
	f := newFixture(t, production())
	f.ledger.full = true
	item := androidApp.with(fields{"action": "set", "version_name": "2.4.0"})
	got := f.call(http.MethodPost, capgo.StatsPath, "["+item.json()+","+item.json()+"]").Body.String()
	if strings.Count(got, `"error":"not_recorded"`) != 2 || len(f.ledger.reports) != 1 {
		t.Errorf("got %s after %d reports", got, len(f.ledger.reports))
	}
}

// A network pays for the statistics that it sends and for the devices that it speaks for, not for the requests that it packs
// them into.
func TestStatisticsCost(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	for _, tc := range []struct{ events, devices, requests int }{
		{0, 1, 20}, {1, 1, 20}, {50, 1, 20}, {51, 1, 10}, {200, 1, 5}, {500, 1, 2}, {10, 10, 2}, {50, 4, 5}, {500, 20, 1},
	} {
		f := fixtureOn(t, l, production())
		f.withEdge(edge.Config{Limits: limit.Config{Reports: limit.Budget{PerSecond: 1. / (24 * 60 * 60), Burst: 20}}})
		items := make([]string, tc.events)
		for i := range items {
			items[i] = fmt.Sprintf(`{"device_id":"d%d"}`, i*tc.devices/tc.events)
		}
		passed := 0
		for range 30 {
			if f.call(http.MethodPost, capgo.StatsPath, "["+strings.Join(items, ",")+"]").Code == http.StatusOK {
				passed++
			}
		}
		if passed != tc.requests {
			t.Errorf("%d requests with %d statistics of %d devices passed, want %d", passed, tc.events, tc.devices, tc.requests)
		}
	}
}

func TestWhenItHappened(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	hour := now.Add(-time.Hour)
	for _, tc := range []struct {
		name  string
		extra fields
		want  time.Time
	}{
		{"told", fields{"timestamp": hour.UnixMilli()}, hour},
		{"as a text", fields{"timestamp": fmt.Sprint(hour.UnixMilli())}, hour},
		{"not told", nil, now},
		{"null", fields{"timestamp": nil}, now},
		{"in the future", fields{"timestamp": now.Add(time.Second).UnixMilli()}, now},
		{"a week ago", fields{"timestamp": now.Add(-7 * 24 * time.Hour).UnixMilli()}, now.Add(-7 * 24 * time.Hour)},
		{"more than a week ago", fields{"timestamp": now.Add(-7*24*time.Hour - time.Millisecond).UnixMilli()}, now},
		{"in seconds", fields{"timestamp": hour.Unix()}, now},
		{"no time", fields{"timestamp": "yesterday"}, now},
		{"of the process that crashed", fields{"timestamp": now.UnixMilli(), "metadata": fields{"exit_timestamp": fmt.Sprint(hour.UnixMilli()), "a": 1}}, hour},
		{"with odd metadata", fields{"timestamp": hour.UnixMilli(), "metadata": []int{1}}, hour},
	} {
		f := fixtureOn(t, l, production())
		f.stat(androidApp.with(tc.extra), "app_crash_native", "2.4.0")
		if got := f.ledger.reports[0].At; !got.Equal(tc.want) {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
	}
}

func TestWhoVotes(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	for _, tc := range []struct {
		name  string
		who   fields
		votes bool
	}{
		{"production", androidApp, true},
		{"not told", androidApp.with(fields{"is_prod": nil, "is_emulator": nil}), true},
		{"emulator", androidApp.with(fields{"is_emulator": true}), false},
		{"emulator as a number", androidApp.with(fields{"is_emulator": 1}), false},
		{"development", androidApp.with(fields{"is_prod": false}), false},
		{"development as a text", androidApp.with(fields{"is_prod": "false"}), false},
	} {
		f := fixtureOn(t, l, production())
		f.ask(tc.who)
		f.stat(tc.who, "set", "2.4.0")
		if f.ledger.checks[0].Votes != tc.votes || f.ledger.reports[0].Votes != tc.votes {
			t.Errorf("%s: check %t, report %t", tc.name, f.ledger.checks[0].Votes, f.ledger.reports[0].Votes)
		}
	}
}

// A device that asks not to be counted is served, and only what it has to be kept from is remembered.
func TestOptOut(t *testing.T) {
	t.Parallel()
	for _, header := range [][]string{{"Sec-GPC", "1"}, {"DNT", "1"}, {"X-OTA-Telemetry", "off"}} {
		f := newFixture(t, production())
		if got := f.ask(androidApp, header...); !strings.Contains(got, `"version":"2.4.0"`) {
			t.Errorf("%s: not served: %s", header, got)
		}
		for _, action := range []string{"set", "app_launch_ready", "download_fail", "app_crash_native", "update_fail"} {
			f.call(http.MethodPost, capgo.StatsPath, androidApp.with(fields{"action": action, "version_name": "2.4.0"}).json(), header...)
		}
		if got := f.row("2.4.0"); len(f.ledger.checks) != 0 || len(f.ledger.reports) != 1 || f.ledger.reports[0].Votes || got.Failed != 0 || got.Installed != 0 {
			t.Errorf("%s: %d checks, reports %+v, counts %+v", header, len(f.ledger.checks), f.ledger.reports, got)
		}
		if got := f.ask(androidApp, header...); !strings.Contains(got, `"failed_before"`) {
			t.Errorf("%s: offered again: %s", header, got)
		}
	}
	f := newFixture(t, production())
	f.ask(androidApp, "DNT", "0")
	if len(f.ledger.checks) != 1 {
		t.Error("DNT: 0 is no opt-out")
	}
}

// A report about a device that the ledger never saw says where that device would be counted.
func TestAssignment(t *testing.T) {
	t.Parallel()
	f := newFixture(t, channels()...)
	f.stat(androidApp.with(fields{"defaultChannel": "beta"}), "set", "2.5.0")
	f.stat(androidApp.with(fields{"defaultChannel": "beta"}), "set", "2.4.0")
	want := ledger.Series{App: app, Channel: "beta", Digest: "sha256:" + trialHex, Version: "2.5.0"}
	if r := f.ledger.reports[0]; !r.Known || r.Assigned != want || r.Digest != want.Digest {
		t.Errorf("got %+v", r)
	}
	if r := f.ledger.reports[1]; r.Known || r.Version != "2.4.0" || r.Digest != "" {
		t.Errorf("a bundle of another channel: %+v", r)
	}
	f.handler.View = func() *view.View { return nil }
	f.stat(androidApp, "update_fail", "2.5.0")
	if r := f.ledger.reports[2]; r.Known || r.Version != "2.5.0" {
		t.Errorf("without metadata: %+v", r)
	}
}

// A check notes what the device runs, and who it is.
func TestCheckIsNoted(t *testing.T) {
	t.Parallel()
	f := newFixture(t, production())
	upper := androidApp.with(fields{"device_id": strings.ToUpper(device), "version_name": "2.3.0"})
	f.ask(upper)
	f.ask(oldApp)
	c := f.ledger.checks
	if len(c) != 2 || c[0].App != app || c[0].Channel != "production" || c[0].Device != c[1].Device || c[0].RunsVersion != "2.3.0" || c[1].RunsVersion != "" {
		t.Fatalf("got %+v", c)
	}
	if c[0].Network == 0 || !c[0].At.Equal(now) || c[0].Told.Reason != resolve.ReasonStable || c[0].Client.Plugin != "capgo/8.51.23" {
		t.Errorf("got %+v", c[0])
	}
	if got := f.row("2.4.0"); got.Devices != 1 || got.Offered != 1 {
		t.Errorf("counts %+v", got)
	}
}
