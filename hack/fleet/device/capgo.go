// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package device

import (
	"context"
	"errors"
	"fmt"

	"github.com/windlass-dev/windlass/internal/gateway/protocol/native"
)

// The routes of the protocol, as they stand in an app's capacitor.config.
const (
	capgoUpdates = "/updates"
	capgoStats   = "/stats"
)

// capgoLibrary speaks as @capgo/capacitor-updater 8.51.23 does with its default settings: it knows the artifact's checksum and
// no author, deletes the bundle before the current one, and forgets a bundle that it went back from (autoDeleteFailed). Only
// the gateway can keep it from the same bad bundle for ever.
type capgoLibrary struct{}

// capgoInfo is the object that each request is made of.
type capgoInfo struct {
	Platform       string `json:"platform"`
	DeviceID       string `json:"device_id"`
	AppID          string `json:"app_id"`
	CustomID       string `json:"custom_id"`
	VersionBuild   string `json:"version_build"` // of the native build
	VersionCode    string `json:"version_code"`
	VersionOS      string `json:"version_os"`
	VersionName    string `json:"version_name"` // of the bundle that runs, or that a statistic is about
	PluginVersion  string `json:"plugin_version"`
	IsEmulator     bool   `json:"is_emulator"`
	IsProd         bool   `json:"is_prod"`
	DefaultChannel string `json:"defaultChannel"`
}

// capgoStat is one statistic.
type capgoStat struct {
	capgoInfo
	Action         string `json:"action"`
	OldVersionName string `json:"old_version_name"`
	Timestamp      int64  `json:"timestamp"` // Unix milliseconds
}

// capgoAnswer is the answer to a check. An update has neither kind nor error.
type capgoAnswer struct {
	Version  string  `json:"version"`
	URL      string  `json:"url"`
	Checksum string  `json:"checksum"` // SHA-256 of the artifact in hexadecimal
	Kind     *string `json:"kind"`
	Error    *string `json:"error"`
	Message  string  `json:"message"`
}

func (capgoLibrary) name() string    { return Capgo }
func (capgoLibrary) remembers() bool { return false }

func (capgoLibrary) info(g *gateway, d *device, runs installed) capgoInfo {
	return capgoInfo{
		Platform: d.platform, DeviceID: d.id, AppID: g.config.App, VersionBuild: g.config.NativeVersion, VersionCode: "1", VersionOS: "15",
		VersionName: capgoVersion(g, runs), PluginVersion: "8.51.23", IsProd: true, DefaultChannel: g.config.Channel,
	}
}

// capgoVersion is the name of a bundle; the embedded one is named as the native build.
func capgoVersion(g *gateway, b installed) string {
	if b == (installed{}) {
		return g.config.NativeVersion
	}
	return b.version
}

func (l capgoLibrary) check(ctx context.Context, g *gateway, d *device) (*answer, error) {
	var res capgoAnswer
	if err := g.call(ctx, d, capgoUpdates, l.info(g, d, d.current), &res); err != nil {
		return nil, err
	}
	switch {
	case res.Kind != nil && (*res.Kind == "up_to_date" || *res.Kind == "blocked"):
		return &answer{}, nil
	case res.Kind != nil || res.Error != nil:
		return nil, fmt.Errorf("%s: the plugin takes this answer for a failure: %s", capgoUpdates, res.Message)
	case res.Version == "builtin" && res.URL == "":
		return &answer{reset: true}, nil
	case res.Version == "" || res.URL == "" || res.Checksum == "":
		return nil, errors.New(capgoUpdates + ": the plugin wants version, url and checksum of an update")
	}
	return &answer{offer: &offer{installed: installed{version: res.Version, digest: "sha256:" + res.Checksum}, url: res.URL}}, nil
}

func (capgoLibrary) verify(content []byte, o *offer) error { return checkDigest(content, o.digest) }

// report sends all statistics at once: they are an array.
func (l capgoLibrary) report(ctx context.Context, g *gateway, d *device, events []event) (int, error) {
	var stats []capgoStat
	for _, e := range events {
		stats = append(stats, l.stats(g, d, e)...)
	}
	var res struct {
		Results []struct {
			Status, Message string
		} `json:"results"`
	}
	if err := g.call(ctx, d, capgoStats, stats, &res); err != nil {
		return 0, err
	}
	if len(res.Results) != len(stats) {
		return 0, fmt.Errorf("%s: %d results for %d statistics", capgoStats, len(res.Results), len(stats))
	}
	for _, r := range res.Results {
		if r.Status != "ok" {
			return 0, fmt.Errorf("%s: a statistic was refused: %s", capgoStats, r.Message)
		}
	}
	return len(events), nil
}

// stats is what the plugin sends for an event. A failed delivery names the bundle that runs, not the one that was offered.
func (l capgoLibrary) stats(g *gateway, d *device, e event) []capgoStat {
	stat := func(action string, about installed) capgoStat {
		return capgoStat{capgoInfo: l.info(g, d, about), Action: action, OldVersionName: capgoVersion(g, e.running), Timestamp: e.at.UnixMilli()}
	}
	switch e.outcome {
	case downloaded:
		return []capgoStat{stat("download_complete", e.bundle)}
	case started:
		return []capgoStat{stat("set", e.bundle)}
	case confirmed:
		return []capgoStat{stat("app_launch_ready", e.bundle)}
	}
	switch e.kind {
	case native.KindNetwork:
		return []capgoStat{stat("download_fail", e.running)}
	case native.KindVerification:
		return []capgoStat{stat("checksum_fail", e.running), stat("download_fail", e.running)}
	}
	return []capgoStat{stat("app_launch_timeout", e.bundle), stat("update_fail", e.bundle), stat("set", e.running)}
}
