// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package capgo

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// version is major, minor and patch of a plugin.
type version [3]int

// plugin is the update library of a device. What it cannot do is told by its version alone; one that tells no version is taken
// for an old one where that is safe, and is served all the same.
type plugin struct {
	version  version
	known    bool // it told a version
	electron bool // @capgo/electron-updater, whose releases all report 0.0.1: its version says nothing
}

// The releases that brought something, one for each major version that got it; later majors have it from the start.
var (
	hasSHA256       = []version{{5, 10, 0}, {6, 25, 0}, {7, 0, 30}} // before: a plain bundle is compared with its CRC-32
	hasHexChecksum  = []version{{5, 30, 0}, {6, 30, 0}, {7, 30, 0}} // before: another form of the encrypted checksum
	hasLocalChannel = []version{{5, 34, 0}, {6, 34, 0}, {7, 34, 0}} // before: the server keeps the channel that a device chose
	hasBuiltin      = []version{{6, 2, 0}}                          // before: "builtin" is downloaded as any other version
	hasKeyID        = []version{{8, 2, 0}}                          // before: nothing is told of keys
	hasRetryAfter   = []version{{8, 51, 5}}                         // before: a 429 stops it until the app starts again
)

func parsePlugin(text string, electron bool) plugin {
	p := plugin{electron: electron}
	rest, _, _ := strings.Cut(text, "-")
	for i := range p.version {
		var part string
		part, rest, _ = strings.Cut(rest, ".")
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return plugin{electron: electron}
		}
		p.version[i] = n
	}
	p.known = rest == ""
	return p
}

// The names under which the ledger knows plugins, before their versions.
const (
	pluginName   = "capgo/"
	electronName = "capgo-electron/"
)

// Plugin tells of a plugin by the name that the ledger has, such as capgo/8.51.23: whether it keeps the channel that its device
// chose, so that an override of the server counts no longer, and whether it can open encrypted bundles. It gives false for a
// name that is none.
func Plugin(name string) (keepsChannel, decrypts, ok bool) {
	text, isElectron := strings.CutPrefix(name, electronName)
	if !isElectron {
		if text, ok = strings.CutPrefix(name, pluginName); !ok {
			return false, false, false
		}
	}
	p := parsePlugin(text, isElectron)
	return p.keepsChannel(), p.decrypts(), true
}

// agent reads the plugin off a request's header, where all clients write it: CapacitorUpdater/8.51.23 (com.example.shop) ios/18.1.
func agent(r *http.Request) plugin {
	text, rest, _ := strings.Cut(strings.TrimPrefix(r.UserAgent(), "CapacitorUpdater/"), " ")
	return parsePlugin(text, strings.Contains(rest, electron+"/"))
}

// since tells whether the plugin has what some releases brought.
func (p plugin) since(releases []version) bool {
	last := releases[len(releases)-1]
	for _, r := range releases {
		if r[0] == p.version[0] {
			last = r
		}
	}
	return p.known && slices.Compare(p.version[:], last[:]) >= 0
}

// verifies tells whether the plugin can check a bundle by its SHA-256.
func (p plugin) verifies() bool { return p.electron || !p.known || p.since(hasSHA256) }

// decrypts tells whether the plugin can open encrypted bundles. Electron's reads the session key under another name.
func (p plugin) decrypts() bool { return !p.electron && (!p.known || p.since(hasHexChecksum)) }

// keepsChannel tells whether the channel that a device chose is stored on the device.
func (p plugin) keepsChannel() bool { return p.electron || p.since(hasLocalChannel) }

// resets tells whether the plugin understands to go back to the embedded bundle. Electron's ignores it.
func (p plugin) resets() bool { return p.electron || !p.known || p.since(hasBuiltin) }

// tellsKeys tells whether the plugin would name the key that its app carries.
func (p plugin) tellsKeys() bool { return p.since(hasKeyID) }

// waits tells whether the plugin comes back by itself after a 429.
func (p plugin) waits() bool { return !p.electron && p.since(hasRetryAfter) }
