// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package capgo_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/windlass-dev/windlass/internal/gateway/ledger"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/capgo"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/resolve"
)

var (
	someVersions = []string{"1.9.0", "2.0.0", "2.0.1", "2.4.0", "3.0.0"}
	someDigests  = map[string]string{}
)

func init() {
	for i, v := range someVersions {
		someDigests[v] = "sha256:" + strings.Repeat(string(rune('a'+i)), 64)
	}
}

func oneOf[T any](t *rapid.T, name string, values ...T) T {
	return rapid.SampledFrom(values).Draw(t, name)
}

// mostly draws the usual value four times out of five.
func mostly[T any](t *rapid.T, name string, usual T, others ...T) T {
	if rapid.IntRange(0, 9).Draw(t, name+" is usual") < 8 {
		return usual
	}
	return oneOf(t, name, others...)
}

func drawBundle(t *rapid.T) *release.Bundle {
	return bundleOf(t, oneOf(t, "bundle", someVersions...))
}

func bundleOf(t *rapid.T, v string) *release.Bundle {
	b := &release.Bundle{
		Name: "b", Version: v, Digest: someDigests[v], Size: 1, Path: "bundles/" + app + "/" + v + ".zip",
		Platforms:      mostly(t, "platforms", nil, []string{"ios"}, []string{"android", "electron"}),
		NativeVersion:  mostly(t, "native", "", ">=2.0.1"),
		RuntimeVersion: mostly(t, "runtime", "", "7"),
	}
	if mostly(t, "encrypted", false, true) {
		b.Encryption = &release.Encryption{SessionKey: "aXY=:a2V5", Checksum: strings.Repeat("e", 512), KeyID: keyID}
	}
	return b
}

func drawDocument(t *rapid.T, channel string) *release.Document {
	d := production(named(channel), follow(mostly(t, "visibility", "Public", "Private"), oneOf(t, "assignment", "Allowed", "Denied")))
	d.Serving = mostly(t, "serving", release.Active, release.Halted)
	d.Audience.Platforms = mostly(t, "audience", nil, []string{"ios", "electron"})
	d.Audience.Builds = mostly(t, "builds", nil, []string{"Production"}, []string{"Device"}, []string{"Development", "Emulator"})
	d.Guards.AutoUpdate = mostly(t, "autoUpdate", "", "None", "Patch", "Minor")
	d.Guards.BelowNative = oneOf(t, "belowNative", "Denied", "Allowed")
	if d.Guards.FloorVersion = mostly(t, "floor", "", "2.0.1", "2.4.0"); d.Guards.FloorVersion != "" && rapid.Bool().Draw(t, "floor's bundle") {
		d.Guards.Floor = bundleOf(t, d.Guards.FloorVersion)
	}
	if mostly(t, "previous", false, true) {
		d.Previous = drawBundle(t)
	}
	d.Stable = nil
	if mostly(t, "stable", true, false) {
		d.Stable = drawBundle(t)
	}
	if rapid.Bool().Draw(t, "trial") {
		d.Candidate = &release.Candidate{
			Bundle: *drawBundle(t), Weight: oneOf[int32](t, "weight", 0, 5000, release.FullWeight), Salt: "s", Release: 1,
			LeaseExpires: now.Add(oneOf(t, "lease", time.Hour, -time.Hour)).Unix(), OnLoss: oneOf(t, "onLoss", "StopOffering", "Retract", "Continue"),
		}
	}
	for _, v := range someVersions {
		if mostly(t, "refuses", false, true) {
			d.Refused = append(d.Refused, release.Refusal{Digest: someDigests[v], Version: v})
		}
	}
	return d
}

func drawDevice(t *rapid.T) fields {
	return androidApp.with(fields{
		"app_id":         mostly[any](t, "app", app, "com.example.bank"),
		"platform":       oneOf[any](t, "platform", "android", "ios", "electron", "web", nil),
		"version_build":  mostly[any](t, "build", "2.0.0", "2", "1.0", "four", "", nil),
		"version_name":   oneOf[any](t, "name", "builtin", "2.0.0", "2.0.1", "2.4.0", "3.0.0", "mine", "", nil, 2),
		"plugin_version": mostly[any](t, "plugin", "8.51.23", "8.2.0", "7.10.0", "6.14.0", "5.10.0", "0.0.1", "", nil),
		"is_emulator":    mostly[any](t, "emulator", false, true, nil),
		"is_prod":        mostly[any](t, "prod", true, false, "false"),
		"defaultChannel": oneOf[any](t, "wish", "", "production", "beta", "gone", nil),
		"version_os":     mostly[any](t, "os", "15", nil),
		"key_id":         mostly[any](t, "key", nil, keyID, "MIIBCgKCAQEAxxxxxxxx"),
	})
}

// Whatever the channels publish and whatever the device is, all clients take the answer alike, and as what was decided.
func TestClientsAgree(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	kinds, codes := map[reaction]int{}, map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		f.handler.View = f.compile(drawDocument(rt, "production"), drawDocument(rt, "beta"))
		f.now = now.Add(mostly(rt, "now", 0, 2*time.Hour))
		for range 8 {
			f.ledger.failed = []string{}
			for _, v := range someVersions {
				if mostly(rt, "failed", false, true) {
					f.ledger.failed = append(f.ledger.failed, someDigests[v])
				}
			}
			kind, code := clientsAgree(rt, f, drawDevice(rt))
			kinds[kind]++
			codes[code]++
		}
	})
	for _, c := range []string{"failed_before", "below_floor", "key_id_mismatch"} {
		if codes[c] == 0 {
			t.Errorf("no case was answered with %s", c)
		}
	}
	for _, k := range []reaction{updates, resets, current, blocks, fails} {
		if kinds[k] == 0 {
			t.Errorf("no case was taken as %s", k)
		}
	}
}

func clientsAgree(t *rapid.T, f *fixture, who fields) (taken reaction, said string) {
	f.ledger.checks = nil
	w := f.call(http.MethodPost, capgo.CheckPath, who.json())
	takes := reactions(w.Code, w.Body.Bytes())
	got := takes["android 8.51.23"]
	for client, other := range takes {
		if other != got || other == breakage {
			t.Fatalf("%s takes %s as %s, Android as %s", client, w.Body, other, got)
		}
	}
	if len(f.ledger.checks) > 0 {
		agrees(t, w.Body.Bytes(), got, &f.ledger.checks[0])
		if told := f.ledger.checks[0].Told; told.Action == resolve.Update && slices.Contains(f.ledger.failed, told.Bundle.Digest) {
			t.Fatalf("offers what failed: %s", w.Body)
		}
	} else if got != fails && (who["platform"] != "electron" || len(f.ledger.failed) == 0) {
		t.Fatalf("not noted, although the device can be served and its check may prove something: %s", w.Body)
	}
	return got, code(w.Body.String())
}

// agrees holds an answer against what was decided.
func agrees(t *rapid.T, body []byte, got reaction, c *ledger.Check) {
	var a map[string]string // every value is a text
	if err := json.Unmarshal(body, &a); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	told := &c.Told
	switch {
	case told.Action == resolve.Update:
		want := strings.TrimPrefix(told.Bundle.Digest, "sha256:")
		if told.Bundle.Encryption != nil {
			want = told.Bundle.Encryption.Checksum
		}
		if got != updates || len(a) != 4 || a["version"] != told.Bundle.Version || a["checksum"] != want || a["version"] == c.RunsVersion {
			t.Fatalf("decided %+v, answered %s", told, body)
		}
	case told.Action == resolve.Reset:
		if got != resets && a["error"] != "revert_to_builtin_plugin_version_too_old" || c.RunsVersion == "" && c.Client.Platform != "electron" {
			t.Fatalf("decided %+v, answered %s", told, body)
		}
	case got == updates || got == resets || !slices.Contains(knownCodes, a["error"]) || a["message"] == "":
		t.Fatalf("decided %+v, answered %s", told, body)
	}
}

// knownCodes are those that the contract names for a check that was decided.
var knownCodes = strings.Fields(`
	no_new_version_available already_on_builtin
	cannot_update_via_private_channel disabled_platform_ios disabled_platform_android disabled_platform_electron disabled_platform_other
	disable_auto_update_to_major disable_auto_update_to_minor disable_auto_update_to_patch disable_auto_update_to_metadata
	disable_auto_update_under_native disable_prod_build disable_dev_build disable_device disable_emulator key_id_mismatch
	below_floor failed_before no_channel`)
