// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"fmt"
	"strings"

	"github.com/windlass-dev/windlass/internal/gateway/protocol/capgo"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/native"
)

const app = "com.example.shop"

// protocol is one wire format that is measured.
type protocol struct {
	name, path string
	first      int                                     // device of those that check: one that the ledger of a million devices knows, and that nothing failed on
	update     string                                  // that an answer with an update holds
	body       func(device int, channel string) string // the check of one device that runs stable and is offered the candidate
}

var protocols = []protocol{
	{name: "native", first: 500_000, path: native.CheckPath, update: `"action":"update"`, body: nativeBody},
	{name: "capgo", first: 600_000, path: capgo.CheckPath, update: `"session_key"`, body: capgoBody},
}

func deviceID(device int) string { return fmt.Sprintf("3f2c8a1e-0000-4000-8000-%012d", device) }

func nativeBody(device int, channel string) string {
	return fmt.Sprintf(`{"app":%q,"channel":%q,"deviceID":%q,"platform":"ios",`+
		`"nativeVersion":"2.3.0","build":{"distribution":"Production","hardware":"Device"},`+
		`"current":{"version":"2.4.0","digest":"sha256:%s"}}`, app, channel, deviceID(device), strings.Repeat("a", 64))
}

// capgoBody has what version 8 of the plugin sends.
func capgoBody(device int, channel string) string {
	return fmt.Sprintf(`{"platform":"android","device_id":%q,"app_id":%q,"custom_id":"","version_build":"2.3.0","version_code":"20300",`+
		`"version_os":"15","version_name":"2.4.0","plugin_version":"8.51.23","is_emulator":false,"is_prod":true,`+
		`"install_source":"google_play","defaultChannel":%q}`, deviceID(device), app, channel)
}

// bodies of all devices, which follow the channels in turn. Each protocol has devices of its own: one that changes its protocol is
// news to the ledger each time. What news costs the ledger, off the path of the check, its own figures show.
func (p *protocol) bodies(channels int) []string {
	all := make([]string, devices)
	for i := range all {
		all[i] = p.body(p.first+i, channelName(i%channels))
	}
	return all
}

func channelName(i int) string { return fmt.Sprintf("channel-%d", i) }
