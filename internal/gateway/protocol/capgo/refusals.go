// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package capgo

import (
	"net/http"

	"github.com/windlass-dev/windlass/internal/gateway/protocol/jsonlex"
	"github.com/windlass-dev/windlass/internal/resolve"
)

// kind is how a client takes a check that brought no update.
type kind string

// The kinds. With failed, or without any, the client reports a failed download and tells the app so.
const (
	upToDate kind = "up_to_date" // quiet
	blocked  kind = "blocked"    // quiet, but the app is told the code
	failed   kind = "failed"
)

// refusal is an answer to a check that is no update.
type refusal struct {
	kind    kind
	code    string
	message string
	rest    func(c *check) string // of the code; nil: the code is whole
	names   bool                  // the bundle that is held back, of which the client tells the app, and the native version that holds it back
}

// refusals has the answer for each reason that comes with None. What is nobody's fault is never "failed": for an old client
// that would be a failure of what it was offered last. What only an operator can put right is, so that somebody sees it.
var refusals = map[resolve.Reason]refusal{
	resolve.ReasonUpToDate:        {kind: upToDate, code: "no_new_version_available", message: "The device runs the latest version"},
	resolve.ReasonNothingReleased: {kind: upToDate, code: "already_on_builtin", message: "The channel serves no bundle, and the device runs none"},
	resolve.ReasonLeaseExpired:    {kind: upToDate, code: "no_new_version_available", message: "The device keeps the version that it runs"},

	resolve.ReasonHalted:            {kind: upToDate, code: "no_new_version_available", message: "The channel is halted"},
	resolve.ReasonReleaseUnreadable: {kind: upToDate, code: "no_new_version_available", message: "The channel cannot be read at the moment"},
	resolve.ReasonMetadataExpired:   {kind: upToDate, code: "no_new_version_available", message: "Releases cannot be verified at the moment"},
	resolve.ReasonNoMetadata:        {kind: upToDate, code: "no_new_version_available", message: "Releases cannot be read at the moment"},

	resolve.ReasonPlatformNotServed:    {kind: blocked, code: "disabled_platform_", rest: platformOf, message: "The channel does not serve this platform"},
	resolve.ReasonPlatformIncompatible: {kind: blocked, code: "disabled_platform_", rest: platformOf, message: "The version does not run on this platform"},
	resolve.ReasonBuildNotServed:       {kind: blocked, code: "disable_", rest: buildOf, message: "The channel does not serve this kind of build"},
	resolve.ReasonAutoUpdateDenied: {
		kind: blocked, code: "disable_auto_update_to_", rest: jumpOf, names: true, message: "The channel does not allow this jump from the native version",
	},
	resolve.ReasonNativeVersionIncompatible: {
		kind: blocked, code: "disable_auto_update_to_metadata", names: true, message: "The version needs another native version",
	},
	resolve.ReasonRuntimeVersionIncompatible: {
		kind: blocked, code: "disable_auto_update_to_metadata", names: true, message: "The version needs another runtime version",
	},
	resolve.ReasonBelowNative: {
		kind: blocked, code: "disable_auto_update_under_native", names: true, message: "The version is older than the native version",
	},
	resolve.ReasonBelowFloor:     {kind: blocked, code: "below_floor", message: "The version is older than the channel's floor, or the device has to pass through it"},
	resolve.ReasonKeyMismatch:    {kind: blocked, code: "key_id_mismatch", message: "The version is encrypted to another key than the app's"},
	resolve.ReasonFailedBefore:   {kind: blocked, code: "failed_before", message: "The version failed on this device before"},
	resolve.ReasonChannelPrivate: {kind: blocked, code: "cannot_update_via_private_channel", message: "The channel is private"},

	resolve.ReasonNoChannel:      noChannel,
	resolve.ReasonUnknownApp:     noChannel,
	resolve.ReasonUnknownChannel: noChannel,
}

// noChannel is the same for an app that does not exist, so that nobody can find out which do.
var noChannel = refusal{kind: failed, code: "no_channel", message: "No channel serves this device"}

// Refusals of devices that cannot be told anything else.
var (
	noBuild   = refusal{kind: failed, code: "unknown_version_build", message: "Expected version_build, the version of the native build"}
	badBuild  = refusal{kind: failed, code: "semver_error", message: "Expected a semantic version such as 4.2.0 in version_build"}
	oldPlugin = refusal{
		kind: failed, code: "unsupported_plugin_version", message: "The plugin cannot verify bundles by SHA-256: update it to 5.10.0, 6.25.0, 7.0.30 or later",
	}
	cannotReset = refusal{
		kind: failed, code: "revert_to_builtin_plugin_version_too_old", message: "The plugin cannot go back to the builtin bundle: update it to 6.2.0 or later",
	}
	onBuiltin = refusals[resolve.ReasonNothingReleased]
	shed      = refusal{kind: upToDate, code: "no_new_version_available", message: "The gateway is busy: ask again later"}
)

// platformOf ends a code. Other platforms than the three have none.
func platformOf(c *check) string { return c.device.Platform }

// jumpOf is the highest part of the version that differs between the native build and the bundle.
func jumpOf(c *check) string {
	bundle, err := c.names.Get(c.noted.Told.Bundle.Version)
	native := c.device.NativeVersion
	switch {
	case err != nil || bundle.Major() != native.Major():
		return "major"
	case bundle.Minor() != native.Minor():
		return "minor"
	}
	return "patch"
}

// buildOf is the property of the build that the channel does not serve: if it would serve the other kind of hardware, that.
func buildOf(c *check) string {
	other := c.device
	other.Hardware = resolve.Emulator
	if c.device.Hardware == resolve.Emulator {
		other.Hardware = resolve.Physical
	}
	_, told := c.told(&other)
	switch served := told.Reason != resolve.ReasonBuildNotServed; {
	case served && c.device.Hardware == resolve.Emulator:
		return "emulator"
	case served:
		return "device"
	case c.device.Distribution == resolve.Development:
		return "dev_build"
	}
	return "prod_build"
}

// appendRefusal renders a refusal; c is only needed by those that depend on the check.
func appendRefusal(b []byte, f *refusal, c *check) []byte {
	b = append(b, `{"error":"`...)
	b = append(b, f.code...)
	if f.rest != nil {
		b = append(b, f.rest(c)...)
	}
	b = jsonlex.AppendText(append(b, `","message":`...), f.message)
	b = append(b, `,"kind":"`...)
	b = append(b, f.kind...)
	b = append(b, '"')
	if f.names && c.noted.Told.Bundle != nil {
		b = jsonlex.AppendText(append(b, `,"version":`...), c.noted.Told.Bundle.Version)
		b = jsonlex.AppendText(append(b, `,"old":`...), c.info.build)
	}
	return append(b, '}')
}

// shedCheck answers a check that nobody has the time for.
func shedCheck(w http.ResponseWriter) error {
	return answer(w, http.StatusOK, appendRefusal(nil, &shed, nil))
}
