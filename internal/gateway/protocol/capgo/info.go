// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package capgo

import (
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/windlass-dev/windlass/internal/compat"
	"github.com/windlass-dev/windlass/internal/gateway/ledger"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/jsonlex"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/versions"
	"github.com/windlass-dev/windlass/internal/resolve"
)

// Longest texts that are read, in bytes. A longer one counts as not told.
const (
	maxID      = 128 // of apps and devices
	maxText    = 64  // versions, channels and so on
	maxVersion = 512 // of version_name, to which manifest events add a file's path
)

// info is the object that every request is made of, with what the routes add to it. Numbers and booleans are kept as text, since
// clients are free with types. The texts are parts of the request's body.
type info struct {
	app, device, platform   string
	build                   string // version of the native build
	name                    string // version of the running bundle, or of the one that a statistic is about
	plugin                  string
	os                      string // version of the operating system: all devices tell it
	defaultChannel, channel string
	key                     string // id of the public key that the app carries
	emulator, production    string // "true", "1" or another text
	action, timestamp       string // of statistics; times in Unix milliseconds
	exitTime, exitReason    string // of the process that a statistic is about; with metadata
	didCrash                string // "true" of a renderer that crashed; with metadata
}

// target gives the field of a name, and how long its text may be.
func (in *info) target(name string) (field *string, limit int) {
	switch name {
	case "app_id":
		return &in.app, maxID
	case "device_id":
		return &in.device, maxID
	case "platform":
		return &in.platform, maxText
	case "version_build":
		return &in.build, maxText
	case "version_os":
		return &in.os, maxText
	case "version_name":
		return &in.name, maxVersion
	case "plugin_version":
		return &in.plugin, maxText
	case "defaultChannel":
		return &in.defaultChannel, maxText
	case "channel":
		return &in.channel, maxText
	case "key_id":
		return &in.key, maxText
	case "is_emulator":
		return &in.emulator, maxText
	case "is_prod":
		return &in.production, maxText
	case "action":
		return &in.action, maxText
	case "timestamp":
		return &in.timestamp, maxText
	}
	return nil, 0
}

// set notes a field. The last of several counts, as with encoding/json; an empty one is as good as none.
func set(field *string, limit int, text string) {
	if len(text) > limit {
		text = ""
	}
	*field = text
}

// read reads an object. other, when it is not nil, reads fields that are not the info's own; it tells whether it did.
func (in *info) read(l *jsonlex.Lexer, other func(name string) bool) {
	l.Fields(func(name string) {
		field, limit := in.target(name)
		switch {
		case field != nil:
			set(field, limit, l.Scalar())
		case name == "metadata":
			in.readMetadata(l)
		case other == nil || !other(name):
			l.Skip()
		}
	})
	in.device = strings.ToLower(in.device)
}

// readMetadata looks for when and why the process ended that a crash is reported of: it is reported by the next one.
func (in *info) readMetadata(l *jsonlex.Lexer) {
	if l.Space(); l.Kind() != "an object" {
		l.Skip()
		return
	}
	l.Fields(func(name string) {
		switch name {
		case "exit_timestamp":
			in.exitTime = l.Scalar()
		case "exit_reason":
			in.exitReason = l.Scalar()
		case "did_crash":
			in.didCrash = l.Scalar()
		default:
			l.Skip()
		}
	})
}

// parseInfo reads a body that is one object.
func parseInfo(in *info, body string, other func(l *jsonlex.Lexer, name string) bool) error {
	l := jsonlex.Lexer{In: body}
	if !utf8.ValidString(body) {
		return errNotJSON
	}
	if other == nil {
		in.read(&l, nil)
	} else {
		in.read(&l, func(name string) bool { return other(&l, name) })
	}
	if l.End(); l.Syntax != "" {
		return errNotJSON
	}
	return in.identified()
}

// parseQuery reads the parameters of an address.
func parseQuery(in *info, query url.Values) {
	for name, values := range query {
		if field, limit := in.target(name); field != nil {
			set(field, limit, values[len(values)-1])
		}
	}
	in.device = strings.ToLower(in.device)
}

// identified gives the fault of a request that does not say which device of which app asks.
func (in *info) identified() error {
	switch {
	case !printable(in.device):
		return errNoDevice
	case in.app == "":
		return errNoApp
	}
	return nil
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != ""
}

// The platforms that the plugin runs on.
const (
	android  = "android"
	ios      = "ios"
	electron = "electron"
)

// place is what decides which channels a device may follow: all of a device but its versions.
func (in *info) place() resolve.Device {
	d := resolve.Device{
		ID: in.device, Device: compat.Device{Platform: "other"}, Distribution: resolve.Production, Hardware: resolve.Physical,
	}
	for _, known := range [...]string{android, ios, electron} {
		if strings.EqualFold(in.platform, known) {
			d.Platform = known
		}
	}
	if in.production == "false" || in.production == "0" {
		d.Distribution = resolve.Development
	}
	if in.emulator == "true" || in.emulator == "1" {
		d.Hardware = resolve.Emulator
	}
	return d
}

// embedded tells whether version_name is that of the bundle that the app was installed with: old plugins say builtin, new ones
// the version of the native build.
func (in *info) embedded(name string) bool {
	return name == "" || name == "builtin" || name == in.build
}

// keyIDLength is how long key ids are, in characters. Before 8.40.8 they had four, which compare with nothing.
const keyIDLength = 20

// openedBy is what the device can open. A plugin that cannot open encrypted bundles is a device without a key. What tells no
// system is no device but "capgo probe" of the command line, which says the version of a plugin, but nothing of its key.
func (in *info) openedBy(p plugin) resolve.Key {
	switch {
	case !p.decrypts():
		return resolve.Key{Told: true}
	case len(in.key) == keyIDLength:
		return resolve.Key{Told: true, ID: in.key}
	}
	return resolve.Key{Told: in.key == "" && in.os != "" && p.tellsKeys()}
}

// client is what the ledger keeps of a device whose place is filled in.
func (in *info) client(d *resolve.Device) ledger.Client {
	name := pluginName
	if d.Platform == electron {
		name = electronName
	}
	return ledger.Client{
		Platform: d.Platform, NativeVersion: in.build, OSVersion: versions.Kept(d.OSVersion), Region: d.Region, Plugin: name + in.plugin,
	}
}

// maxAge is how old a statistic may say that it is. Devices keep them over restarts.
const maxAge = 7 * 24 * time.Hour

// at is when a statistic happened, or now if what it says cannot be.
func (in *info) at(now time.Time) time.Time {
	text := in.timestamp
	if in.exitTime != "" {
		text = in.exitTime
	}
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil || ms > now.UnixMilli() || ms < now.Add(-maxAge).UnixMilli() {
		return now
	}
	return time.UnixMilli(ms)
}
