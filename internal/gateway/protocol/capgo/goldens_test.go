// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package capgo_test

import (
	"net/http"
	"strings"
	"time"

	"github.com/windlass-dev/windlass/internal/gateway/protocol/capgo"
	"github.com/windlass-dev/windlass/internal/gateway/view"
	"github.com/windlass-dev/windlass/internal/release"
)

// docs lists documents.
func docs(d ...*release.Document) []*release.Document { return d }

// guard edits the guards.
func guard(edit func(*release.Guards)) []*release.Document {
	return docs(production(func(d *release.Document) { edit(&d.Guards) }))
}

func builds(list ...string) []*release.Document {
	return docs(production(func(d *release.Document) { d.Audience.Builds = list }))
}

func at(t time.Time) func(*fixture) { return func(f *fixture) { f.now = t } }

// unlucky is a device that no other case has.
var unlucky = androidApp.with(fields{"device_id": "unlucky"})

// rolledBack has the device report that 2.4.0 failed.
func rolledBack(f *fixture) {
	f.call(http.MethodPost, capgo.StatsPath, unlucky.with(fields{"action": "update_fail", "version_name": "2.4.0"}).json())
}

func checkGoldens() []golden {
	return []golden{
		{name: "check_update", body: androidApp.json(), client: updates},
		{name: "check_update_encrypted", docs: docs(production(encrypted)), body: iosApp.with(fields{"key_id": keyID}).json(), client: updates},
		{name: "check_builtin", docs: docs(production(empty)), body: androidApp.with(fields{"version_name": "2.3.0"}).json(), client: resets},
		{name: "check_up_to_date", body: androidApp.with(fields{"version_name": "2.4.0"}).json(), client: current},
		{name: "check_already_on_builtin", docs: docs(production(empty)), body: androidApp.json(), client: current},
		{
			name: "check_halted", docs: docs(production(func(d *release.Document) { d.Serving = release.Halted })),
			body: androidApp.json(), client: current,
		},
		{name: "check_expired", body: androidApp.json(), before: at(now.Add(2 * time.Hour)), client: current},
		{
			name: "check_no_metadata", body: androidApp.json(), client: current,
			before: func(f *fixture) { f.handler.View = func() *view.View { return nil } },
		},
		{
			name: "check_shed", body: androidApp.json(), client: current, before: occupy,
		},
		{name: "check_platform_android", docs: docs(production(onlyOn("ios"))), body: androidApp.json(), client: blocks},
		{name: "check_platform_ios", docs: docs(production(onlyOn("android"))), body: iosApp.json(), client: blocks},
		{name: "check_platform_electron", docs: docs(production(onlyOn("android"))), body: electronApp.json(), client: blocks},
		{
			name: "check_platform_incompatible", docs: docs(production(func(d *release.Document) { d.Stable.Platforms = []string{"ios"} })),
			body: androidApp.json(), client: blocks,
		},
		{name: "check_emulator", docs: builds("Device"), body: androidApp.with(fields{"is_emulator": true}).json(), client: blocks},
		{name: "check_device", docs: builds("Emulator"), body: androidApp.json(), client: blocks},
		{name: "check_dev_build", docs: builds("Production"), body: androidApp.with(fields{"is_prod": false}).json(), client: blocks},
		{name: "check_prod_build", docs: builds("Development"), body: androidApp.json(), client: blocks},
		{name: "check_to_major", docs: docs(production(version("3.0.0"), func(d *release.Document) { d.Guards.AutoUpdate = "Minor" })), body: androidApp.json(), client: blocks},
		{name: "check_to_minor", docs: guard(func(g *release.Guards) { g.AutoUpdate = "Patch" }), body: androidApp.json(), client: blocks},
		{
			name: "check_to_patch", docs: guard(func(g *release.Guards) { g.AutoUpdate = "None" }),
			body: androidApp.with(fields{"version_build": "2.4.3"}).json(), client: blocks,
		},
		{name: "check_under_native", body: androidApp.with(fields{"version_build": "2.9.0"}).json(), client: blocks},
		{
			name: "check_native_incompatible", docs: docs(production(func(d *release.Document) { d.Stable.NativeVersion = ">=2.1.0" })),
			body: androidApp.json(), client: blocks,
		},
		{
			name: "check_runtime_incompatible", docs: docs(production(func(d *release.Document) { d.Stable.RuntimeVersion = "7" })),
			body: androidApp.json(), client: blocks,
		},
		{name: "check_below_floor", docs: guard(func(g *release.Guards) { g.FloorVersion = "2.5.0" }), body: androidApp.json(), client: blocks},
		{name: "check_key_mismatch", docs: docs(production(encrypted)), body: androidApp.json(), client: blocks},
		{name: "check_failed_before", body: unlucky.json(), before: rolledBack, client: blocks},
		{
			name: "check_private", docs: docs(production(follow("Private", "Denied"))),
			body: androidApp.with(fields{"defaultChannel": "production"}).json(), client: blocks,
		},
		{name: "check_no_channel", docs: docs(production(follow("Private", "Denied"))), body: androidApp.json(), client: fails},
		{name: "check_unknown_app", body: androidApp.with(fields{"app_id": "com.example.bank"}).json(), client: fails},
		{name: "check_unknown_build", body: androidApp.with(fields{"version_build": nil}).json(), client: fails},
		{name: "check_semver", body: androidApp.with(fields{"version_build": "four"}).json(), client: fails},
		{name: "check_old_plugin", body: oldApp.with(fields{"plugin_version": "6.14.26"}).json(), client: fails},
		{
			name: "check_cannot_reset", docs: docs(production(empty)),
			body: oldApp.with(fields{"plugin_version": "5.34.0", "version_name": "2.3.0"}).json(), client: fails,
		},
		{name: "check_missing_device", body: androidApp.with(fields{"device_id": nil}).json(), code: 400},
		{name: "check_missing_app", body: androidApp.with(fields{"app_id": ""}).json(), code: 400},
		{name: "check_no_json", body: "version=1", code: 400},
		{
			name: "check_too_many", body: androidApp.json(), code: 429, before: spend,
		},
		{name: "size_empty", path: capgo.SizePath, body: androidApp.with(fields{"version": "2.4.0", "manifest": []any{}}).json()},
		{
			name: "size_files", path: capgo.SizePath, body: androidApp.with(fields{"version": "2.4.0", "manifest": []any{
				fields{"file_name": "index.html", "file_hash": stableHex, "download_url": "https://cdn.example.com/a"},
				fields{"file_name": "no hash"}, "no object", fields{"file_name": "ä\"", "file_hash": trialHex, "download_url": nil},
			}}).json(),
		},
		{name: "size_busy", path: capgo.SizePath, body: androidApp.json(), code: 503, before: spend, header: []string{"User-Agent", "curl"}},
		{name: "size_no_json", path: capgo.SizePath, body: `{"manifest":[{]}`, code: 400},
	}
}

func onlyOn(platforms ...string) func(*release.Document) {
	return func(d *release.Document) { d.Audience.Platforms = platforms }
}

func statsGoldens() []golden {
	set := androidApp.with(fields{"action": "set", "version_name": "2.4.0", "old_version_name": "2.0.0", "timestamp": now.UnixMilli()})
	array := func(items ...any) string {
		var b strings.Builder
		for i, item := range items {
			if i > 0 {
				b.WriteByte(',')
			}
			switch item := item.(type) {
			case fields:
				b.WriteString(item.json())
			case string:
				b.WriteString(item)
			}
		}
		return "[" + b.String() + "]"
	}
	bank := fields{"app_id": "com.example.bank"}
	return []golden{
		{name: "stats_one", path: capgo.StatsPath, body: set.json()},
		{name: "stats_unknown_action", path: capgo.StatsPath, body: set.with(fields{"action": "sang_a_song"}).json()},
		{name: "stats_unknown_app", path: capgo.StatsPath, body: set.with(bank).json()},
		{name: "stats_none", path: capgo.StatsPath, body: "[]"},
		{
			name: "stats_many", path: capgo.StatsPath,
			body: array(set, "5", set.with(fields{"device_id": nil}), set.with(fields{"app_id": nil}), set.with(fields{"action": nil}), "null", set),
		},
		{name: "stats_full", path: capgo.StatsPath, body: array(set), before: func(f *fixture) { f.ledger.full = true }},
		{name: "stats_one_full", path: capgo.StatsPath, body: set.json(), before: func(f *fixture) { f.ledger.full = true }},
		{name: "stats_not_proved", path: capgo.StatsPath, body: array(set), before: demandProof},
		{name: "stats_mixed_apps", path: capgo.StatsPath, body: array(set, set.with(bank))},
		{name: "stats_missing_device", path: capgo.StatsPath, body: set.with(fields{"device_id": nil}).json(), code: 400},
		{name: "stats_missing_action", path: capgo.StatsPath, body: set.with(fields{"action": nil}).json(), code: 400},
		{name: "stats_no_object", path: capgo.StatsPath, body: "5", code: 400},
		{name: "stats_no_json", path: capgo.StatsPath, body: "[" + set.json(), code: 400},
		{name: "stats_shed", path: capgo.StatsPath, body: array(set), before: occupy},
		{name: "stats_too_many_requests", path: capgo.StatsPath, body: array(set), code: 429, before: spend},
		{
			name: "stats_too_many_requests_old", path: capgo.StatsPath, body: array(set), before: spend,
			header: []string{"User-Agent", "CapacitorUpdater/8.42.0 (" + app + ") ios/18.1"},
		},
	}
}

// channels has one channel of each kind.
func channels() []*release.Document {
	return docs(
		production(), production(named("beta"), follow("Public", "Allowed"), version("2.5.0")),
		production(named("qa"), follow("Private", "Allowed")), production(named("board"), follow("Private", "Denied")),
		production(named("apple"), follow("Public", "Allowed"), onlyOn("ios")),
	)
}

// put has the ledger keep a channel for a device.
func (f *fixture) put(device, channel string) {
	f.Helper()
	if err := f.ledger.SetOverride(f.Context(), app, f.ledger.Pseudonym(app, device), channel); err != nil {
		f.Fatal(err)
	}
}

func channelGoldens() []golden {
	var all []golden
	add := func(name, method string, who fields, extra fields, before func(*fixture)) {
		g := golden{name: "channel_" + name, docs: channels(), method: method, path: capgo.ChannelPath, before: before}
		if who = who.with(extra).with(fields{"device_id": g.name}); method == http.MethodGet {
			g.path += who.query()
		} else {
			g.body = who.json()
		}
		all = append(all, g)
	}
	beta := fields{"channel": "beta"}
	add("get_default", "PUT", androidApp, fields{"defaultChannel": "production"}, nil)
	add("get_none", "PUT", androidApp, nil, nil)
	add("get_own", "PUT", iosApp, beta, nil)
	add("get_closed", "PUT", androidApp, fields{"channel": "board"}, nil)
	add("get_old", "PUT", oldApp, nil, nil)
	add("get_old_override", "PUT", oldApp, nil, func(f *fixture) { f.put("channel_get_old_override", "qa") })
	add("get_old_unknown_app", "PUT", oldApp, fields{"app_id": "com.example.bank"}, nil)
	add("get_electron", "GET", electronApp, fields{"defaultChannel": "beta"}, nil)
	add("set", "POST", androidApp, beta, nil)
	add("set_old", "POST", oldApp, beta, nil)
	add("set_missing", "POST", androidApp, nil, nil)
	add("set_not_found", "POST", androidApp, fields{"channel": "gamma"}, nil)
	add("set_public", "POST", androidApp, fields{"channel": "production"}, nil)
	add("set_private", "POST", androidApp, fields{"channel": "board"}, nil)
	add("set_unserved", "POST", androidApp, fields{"channel": "apple"}, nil)
	add("set_unserved_old", "POST", oldApp, fields{"channel": "apple"}, nil)
	add("set_overridden", "POST", oldApp, beta, func(f *fixture) { f.put("channel_set_overridden", "board") })
	add("set_no_metadata", "POST", androidApp, beta, func(f *fixture) { f.handler.View = func() *view.View { return nil } })
	add("set_electron", "POST", electronApp, fields{"channel": "beta", "action": "set"}, nil)
	add("set_busy", "POST", oldApp, beta, occupy)
	add("unset_electron", "POST", electronApp, fields{"action": "unset"}, nil)
	add("unset", "DELETE", androidApp, nil, nil)
	add("unset_old", "DELETE", oldApp, nil, func(f *fixture) { f.put("channel_unset_old", "beta") })
	add("unset_overridden", "DELETE", oldApp, nil, func(f *fixture) { f.put("channel_unset_overridden", "board") })
	add("list", "GET", iosApp, nil, nil)
	add("list_unknown_app", "GET", iosApp, fields{"app_id": "com.example.bank"}, nil)
	add("list_electron", "GET", electronApp, fields{"action": "list"}, nil)
	all = append(all, golden{
		name: "channel_missing_device", method: "PUT", path: capgo.ChannelPath, body: androidApp.with(fields{"device_id": nil}).json(), code: 400,
	})
	return all
}
