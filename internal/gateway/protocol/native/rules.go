// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package native

import (
	"slices"
	"strings"

	"github.com/windlass-dev/windlass/internal/gateway/ledger"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/versions"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/resolve"
)

// rule says what a text may be.
type rule struct {
	expected string
	ok       func(string) bool
}

// Rules of the fields, as in the API types and docs/api/gateway-v1.yaml.
var (
	anApp      = rule{"an app id such as com.example.shop", isApp}
	aChannel   = rule{"a channel of at most 63 lower-case letters, digits and dashes", isChannel}
	aDevice    = rule{"1 to 128 printable ASCII characters without space", isDeviceID}
	aVersion   = rule{"a semantic version such as 4.2.0", isVersion}
	aRuntime   = rule{"1 to 64 characters", func(s string) bool { return s != "" && len(s) <= 64 }}
	aSystem    = rule{"1 to 32 printable ASCII characters, such as 17.5.1", versions.IsSystem}
	aDigest    = rule{"sha256: and 64 lower-case hexadecimal digits", isDigest}
	aPlatform  = oneOf("ios", "android", "electron", "linux", "windows", "macos", "web")
	aBuild     = oneOf(resolve.Production, resolve.Development)
	aHardware  = oneOf(resolve.Physical, resolve.Emulator)
	anOutcome  = oneOf("downloaded", "installed", "confirmed", "failed")
	aKind      = oneOf(KindNetwork, KindDisk, KindCrash, KindVerification, KindRollback)
	outcomesOf = map[string]ledger.Outcome{
		"downloaded": ledger.Downloaded, "installed": ledger.Installed, "confirmed": ledger.Confirmed, "failed": ledger.Failed,
	}
)

func oneOf(values ...string) rule {
	return rule{"one of " + strings.Join(values, ", "), func(s string) bool { return slices.Contains(values, s) }}
}

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// isApp is the pattern ^[A-Za-z0-9]+([._-][A-Za-z0-9]+)*$ of at most 128 characters.
func isApp(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	separated := true // at the start, or after a separator
	for i := range len(s) {
		switch c := s[i]; {
		case alphanumeric(c):
			separated = false
		case separated || c != '.' && c != '_' && c != '-':
			return false
		default:
			separated = true
		}
	}
	return !separated
}

// isChannel is the pattern ^[a-z0-9]([a-z0-9-]*[a-z0-9])?$ of at most 63 characters.
func isChannel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c != '-' && (!alphanumeric(c) || 'A' <= c && c <= 'Z') {
			return false
		}
	}
	return true
}

func isDeviceID(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// isVersion bounds a version's length; device parses it.
func isVersion(s string) bool { return s != "" && len(s) <= 64 }

func isDigest(s string) bool {
	hex, ok := strings.CutPrefix(s, release.DigestPrefix)
	return ok && isHex(hex)
}

func isHex(s string) bool {
	if len(s) != 64 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
