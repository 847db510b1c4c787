// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package device

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/windlass-dev/windlass/internal/gateway/protocol/native"
)

// TestCapgo_release follows devices of the Capgo protocol through a good release, a bad one and the way back.
func TestCapgo_release(t *testing.T) {
	s, a := newServer(t), newAuthor(t)
	f := start(t, s, a, devices, 1)
	good, goodContent := a.bundle(t, "1.1.0", declares("1.1.0", 0))
	s.offer(good, goodContent)
	s.settled(t, devices)
	bad, badContent := a.bundle(t, "1.2.0", declares("1.2.0", 0.2))
	s.offer(bad, badContent)
	s.settled(t, devices)
	failing := int(f.Status().Protocols[Capgo].Failed)
	if failing < devices/10 || failing > devices*3/10 {
		t.Errorf("%d of %d devices failed, want about a fifth", failing, devices)
	}
	want := map[string]Bundle{
		Embedded: {Exposed: devices, Confirmed: devices},
		"1.1.0":  {Running: failing, Exposed: devices, Confirmed: devices},
		"1.2.0":  {Running: devices - failing, Exposed: devices, Confirmed: devices - failing, Failed: failing},
	}
	if diff := cmp.Diff(want, bundles(f), noTimes); diff != "" {
		t.Fatalf("after the bad release (-want +got):\n%s", diff)
	}
	downloads := f.Status().Protocols[Capgo].Downloads
	s.offer(good, goodContent)
	s.settled(t, devices)
	if got := f.Status().Protocols[Capgo].Downloads - downloads; got != int64(devices-failing) {
		t.Errorf("the way back took %d downloads, want %d: the library deletes the bundle before the current one", got, devices-failing)
	}
	wantStats := map[string]int{
		"download_complete 1.1.0": 2*devices - failing, "set 1.1.0": 2*devices - failing + failing, "app_launch_ready 1.1.0": 2*devices - failing,
		"download_complete 1.2.0": devices, "set 1.2.0": devices, "app_launch_ready 1.2.0": devices - failing,
		"app_launch_timeout 1.2.0": failing, "update_fail 1.2.0": failing,
	}
	s.set(func() {
		if diff := cmp.Diff(wantStats, s.stats); diff != "" {
			t.Errorf("statistics (-want +got):\n%s", diff)
		}
		if len(s.networks) != devices {
			t.Errorf("%d devices came from %d addresses, want one each", devices, len(s.networks))
		}
	})
	if st := f.Status(); st.OfferedAgain != 0 || st.CheckErrors != 0 || st.ReportErrors != 0 || len(st.Rejected) != 0 {
		t.Errorf("something went wrong: %+v", st)
	}
	s.set(func() { s.answer = native.CheckResponse{Action: "reset"} })
	eventually(t, "all devices are reset", func() bool { return bundles(f)[Embedded].Running == devices })
}

// TestCapgo_forgets sees that a device tries a bad bundle again and again when the gateway lets it, and that this is noticed.
func TestCapgo_forgets(t *testing.T) {
	s, a := newServer(t), newAuthor(t)
	s.forgetful = true
	f := start(t, s, a, 1, 1)
	bad, content := a.bundle(t, "1.2.0", declares("1.2.0", 1))
	s.offer(bad, content)
	eventually(t, "the loop", func() bool { return f.Status().Protocols[Capgo].Downloads > 3 })
	st := f.Status()
	if st.OfferedAgain < 2 || st.Bundles["1.2.0"].Failed != 1 {
		t.Errorf("the bundle was offered again %d times and failed on %d devices, want at least 2 and 1", st.OfferedAgain, st.Bundles["1.2.0"].Failed)
	}
}

// TestCapgo_rejects sees that a device installs nothing but what the checksum names, and tells which bundle it runs.
func TestCapgo_rejects(t *testing.T) {
	s, a := newServer(t), newAuthor(t)
	f := start(t, s, a, 1, 1)
	good, content := a.bundle(t, "1.1.0", declares("1.1.0", 0))
	flipped := bytes.Clone(content)
	flipped[len(flipped)/2] ^= 1
	s.offer(good, flipped)
	eventually(t, "the device rejects twice", func() bool { return f.Status().Rejected["digest"] > 1 })
	if st := f.Status(); st.Bundles["1.1.0"].Exposed != 0 || st.OfferedAgain != 0 {
		t.Errorf("a device installed what it rejected, or the gateway is to blame: %+v", st)
	}
	s.offer(good, nil)
	eventually(t, "a download fails", func() bool { return f.Status().Rejected["network"] > 0 })
	s.offer(good, content)
	eventually(t, "the device follows at last", func() bool { return bundles(f)["1.1.0"].Running == 1 })
	s.set(func() {
		if s.stats["checksum_fail 1.0.0"] == 0 || s.stats["download_fail 1.0.0"] <= s.stats["checksum_fail 1.0.0"] {
			t.Errorf("statistics are %v, want failed deliveries of the bundle that runs", s.stats)
		}
	})
}

// TestCapgo_answers sees that a device takes an answer for a failure whenever the plugin would.
func TestCapgo_answers(t *testing.T) {
	tests := map[string]struct {
		body string
		want *answer
	}{
		"update":           {`{"version":"1","url":"http://x","checksum":"ab"}`, &answer{offer: &offer{installed: installed{"1", "sha256:ab"}, url: "http://x"}}},
		"up to date":       {`{"kind":"up_to_date","error":"no_new_version_available"}`, &answer{}},
		"blocked":          {`{"kind":"blocked","error":"disable_emulator"}`, &answer{}},
		"builtin":          {`{"version":"builtin"}`, &answer{reset: true}},
		"failed":           {`{"kind":"failed","error":"no_channel"}`, nil},
		"old error":        {`{"error":"no_new_version_available"}`, nil},
		"update with kind": {`{"kind":"","version":"1","url":"http://x","checksum":"ab"}`, nil},
		"no checksum":      {`{"version":"1","url":"http://x"}`, nil},
		"nothing":          {`{}`, nil},
		"empty":            {``, nil},
		"wrong type":       {`{"version":1}`, nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(tc.body)) }))
			defer server.Close()
			c := &Config{Gateway: server.URL, Platforms: []string{"ios"}, Capgo: 1, NativeVersion: "1.0.0", Workers: 1}
			got, err := capgoLibrary{}.check(t.Context(), newGateway(c), newDevice(c, 0))
			if (err == nil) != (tc.want != nil) || !cmp.Equal(tc.want, got, cmp.AllowUnexported(answer{}, offer{}, installed{})) {
				t.Errorf("got %+v and %v, want %+v", got, err, tc.want)
			}
		})
	}
}

// TestCapgo_results sees that a device sends again what was not taken.
func TestCapgo_results(t *testing.T) {
	for body, sent := range map[string]int{
		`{"status":"ok","results":[{"status":"ok"}]}`:                        1,
		`{"status":"ok","results":[{"status":"error","message":"unknown"}]}`: 0,
		`{"status":"ok"}`:              0,
		`{"status":"ok","results":[]}`: 0,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var stats []map[string]any
			if err := json.NewDecoder(r.Body).Decode(&stats); err != nil || len(stats) != 1 || stats[0]["version_name"] != "1.1.0" || stats[0]["timestamp"] == 0.0 {
				t.Errorf("got %v and %v, want one statistic of 1.1.0", stats, err)
			}
			_, _ = w.Write([]byte(body))
		}))
		c := &Config{Gateway: server.URL, Platforms: []string{"ios"}, Capgo: 1, NativeVersion: "1.0.0", Workers: 1}
		d := newDevice(c, 0)
		d.report(confirmed, installed{version: "1.1.0", digest: "sha256:a"}, "")
		n, err := d.protocol.report(t.Context(), newGateway(c), d, d.outbox)
		if n != sent || (err == nil) != (sent == 1) {
			t.Errorf("%s: %d sent and %v, want %d", body, n, err, sent)
		}
		server.Close()
	}
}

// TestShare sees that each platform has its share of each protocol.
func TestShare(t *testing.T) {
	for _, share := range []float64{0, 0.25, 0.5, 1} {
		c := &Config{Platforms: []string{"ios", "android"}, Capgo: share}
		got := map[string]int{}
		for i := range 800 {
			if d := newDevice(c, i); d.protocol.name() == Capgo {
				got[d.platform]++
			}
		}
		if want := int(400 * share); got["ios"] != want || got["android"] != want {
			t.Errorf("with a share of %g %v speak Capgo, want %d of each platform", share, got, want)
		}
	}
}
