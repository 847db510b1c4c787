// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package native

import (
	"cmp"
	"time"

	"github.com/windlass-dev/windlass/internal/compat"
	"github.com/windlass-dev/windlass/internal/gateway/httpx"
	"github.com/windlass-dev/windlass/internal/gateway/ledger"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/jsonlex"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/versions"
	"github.com/windlass-dev/windlass/internal/resolve"
)

// The fields of the requests. docs/api/gateway-v1.yaml says the same; a test compares them.
var (
	buildFields = []field[Build]{
		{name: "distribution", text: func(b *Build) *string { return &b.Distribution }, valid: aBuild},
		{name: "hardware", text: func(b *Build) *string { return &b.Hardware }, valid: aHardware},
	}
	currentFields = []field[Current]{
		{name: "version", text: func(c *Current) *string { return &c.Version }, valid: aVersion},
		{name: "digest", text: func(c *Current) *string { return &c.Digest }, valid: aDigest},
	}
	checkFields = []field[CheckRequest]{
		{name: "app", required: true, text: func(q *CheckRequest) *string { return &q.App }, valid: anApp},
		{name: "channel", required: true, text: func(q *CheckRequest) *string { return &q.Channel }, valid: aChannel},
		{name: "deviceID", required: true, text: func(q *CheckRequest) *string { return &q.DeviceID }, valid: aDevice},
		{name: "platform", required: true, text: func(q *CheckRequest) *string { return &q.Platform }, valid: aPlatform},
		{name: "nativeVersion", required: true, text: func(q *CheckRequest) *string { return &q.NativeVersion }, valid: aVersion},
		{name: "runtimeVersion", text: func(q *CheckRequest) *string { return &q.RuntimeVersion }, valid: aRuntime},
		{name: "osVersion", text: func(q *CheckRequest) *string { return &q.OSVersion }, valid: aSystem},
		{name: "build", object: func(r *reader, q *CheckRequest) { object(r, "build.", buildFields, &q.Build) }},
		{name: "current", object: readCurrent},
	}
	reportFields = []field[ReportRequest]{
		{name: "app", required: true, text: func(q *ReportRequest) *string { return &q.App }, valid: anApp},
		{name: "channel", required: true, text: func(q *ReportRequest) *string { return &q.Channel }, valid: aChannel},
		{name: "deviceID", required: true, text: func(q *ReportRequest) *string { return &q.DeviceID }, valid: aDevice},
		{name: "digest", required: true, text: func(q *ReportRequest) *string { return &q.Digest }, valid: aDigest},
		{name: "outcome", required: true, text: func(q *ReportRequest) *string { return &q.Outcome }, valid: anOutcome},
		{name: "kind", text: func(q *ReportRequest) *string { return &q.Kind }, valid: aKind},
		{name: "build", object: func(r *reader, q *ReportRequest) { object(r, "build.", buildFields, &q.Build) }},
	}
)

func readCurrent(r *reader, q *CheckRequest) {
	errors := len(r.fields)
	object(r, "current.", currentFields, &q.Current)
	if q.Current == (Current{}) && len(r.fields) == errors && r.Syntax == "" {
		r.wrong("current", "version, digest or both; leave it out for the embedded bundle", "an empty object")
	}
}

// device is what the request tells of the device. A version of an operating system that is none counts as not told: apps pass it on.
func (q *CheckRequest) device(v *versions.Cache, systems *versions.Systems, d *resolve.Device) error {
	*d = resolve.Device{
		Device:    compat.Device{Platform: q.Platform, RuntimeVersion: q.RuntimeVersion},
		OSVersion: systems.Get(q.OSVersion), ID: q.DeviceID, Distribution: cmp.Or(q.Build.Distribution, resolve.Production),
		Hardware: cmp.Or(q.Build.Hardware, resolve.Physical), Digest: q.Current.Digest,
		Key: resolve.Key{Told: true}, // the protocol has no words for encrypted bundles: they are not for its devices
	}
	var err error
	if d.NativeVersion, err = v.Get(q.NativeVersion); err != nil {
		return invalid(httpx.FieldError{Field: "nativeVersion", Expected: aVersion.expected, Actual: quote(q.NativeVersion)})
	}
	if q.Current.Version == "" {
		return nil
	}
	if d.Version, err = v.Get(q.Current.Version); err != nil {
		return invalid(httpx.FieldError{Field: "current.version", Expected: aVersion.expected, Actual: quote(q.Current.Version)})
	}
	return nil
}

// parseReport reads a report.
func parseReport(body string) (ReportRequest, error) {
	var q ReportRequest
	if err := read(&reader{Lexer: jsonlex.Lexer{In: body}}, reportFields, &q); err != nil {
		return q, err
	}
	switch {
	case q.Outcome == "failed" && q.Kind == "":
		return q, invalid(httpx.FieldError{Field: "kind", Expected: aKind.expected + " with outcome failed", Actual: "nothing"})
	case q.Outcome != "failed" && q.Kind != "":
		return q, invalid(httpx.FieldError{Field: "kind", Expected: "nothing with outcome " + q.Outcome, Actual: quote(q.Kind)})
	}
	return q, nil
}

// report is the request in the words of the ledger.
func (q *ReportRequest) report(device ledger.Pseudonym, network ledger.Network, now time.Time) ledger.Report {
	what := outcomesOf[q.Outcome]
	if q.Kind == KindNetwork || q.Kind == KindDisk {
		what = ledger.DeliveryFailed
	}
	return ledger.Report{
		App: q.App, Device: device, Network: network, Digest: q.Digest, Outcome: what, Kind: ledger.Kind(q.Kind), At: now,
		Votes: q.Build.Distribution != resolve.Development && q.Build.Hardware != resolve.Emulator,
	}
}
