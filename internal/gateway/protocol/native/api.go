// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package native speaks the gateway's own JSON protocol: POST /v1/check, POST /v1/report. docs/api/gateway-v1.yaml is its
// contract; a test holds these types and handlers against it.
package native

import "github.com/windlass-dev/windlass/internal/gateway/ledger"

// Routes of the protocol.
const (
	CheckPath  = "/v1/check"
	ReportPath = "/v1/report"
)

// CheckRequest is a device asking what it should run.
type CheckRequest struct {
	App            string  `json:"app"`
	Channel        string  `json:"channel"`
	DeviceID       string  `json:"deviceID"`      // stable over updates; 1 to 128 printable ASCII characters without space
	Platform       string  `json:"platform"`      // ios, android, electron, linux, windows, macos, web
	NativeVersion  string  `json:"nativeVersion"` // of the installed app build: semantic version, 4.2 means 4.2.0
	RuntimeVersion string  `json:"runtimeVersion,omitempty"`
	OSVersion      string  `json:"osVersion,omitempty"` // of the operating system, such as 17.5.1; its first three numbers count
	Build          Build   `json:"build,omitzero"`      // when absent: Production on a Device
	Current        Current `json:"current,omitzero"`    // when absent: the bundle that the app was installed with
}

// Build says what kind of installation a device is. Only Production on a Device votes in the analysis of a rollout.
type Build struct {
	Distribution string `json:"distribution,omitempty"` // Production (default) or Development
	Hardware     string `json:"hardware,omitempty"`     // Device (default) or Emulator
}

// Current is the bundle that a device runs, by version, digest or both.
type Current struct {
	Version string `json:"version,omitempty"`
	Digest  string `json:"digest,omitempty"` // sha256:<64 hexadecimal digits>
}

// CheckResponse tells a device what to do.
type CheckResponse struct {
	Action           string  `json:"action"`                     // update, none, reset (back to the embedded bundle)
	Reason           string  `json:"reason"`                     // one of resolve.Reasons, or ReasonBusy
	Arm              string  `json:"arm,omitempty"`              // candidate or control while a rollout measures this device
	Bundle           *Bundle `json:"bundle,omitempty"`           // with action update only
	NextCheckSeconds int     `json:"nextCheckSeconds,omitempty"` // when the gateway would like to be asked again
}

// ReasonBusy comes with action none: the gateway works on as many checks as it can, and did not look at this one.
const ReasonBusy = "Busy"

// Bundle is an update to download, check and install.
type Bundle struct {
	Version    string      `json:"version"`
	Digest     string      `json:"digest"` // sha256:<hex> of the artifact
	Size       int64       `json:"size"`   // bytes
	URL        string      `json:"url"`    // absolute; may redirect (307); serves Range
	MediaType  string      `json:"mediaType,omitempty"`
	Signatures []Signature `json:"signatures,omitempty"`
}

// Signature is an author's detached signature over the artifact.
type Signature struct {
	Authority string `json:"authority"`
	KeyID     string `json:"keyID"`
	Algorithm string `json:"algorithm"`
	Signature string `json:"signature"` // base64
}

// ReportRequest is a device telling how a bundle did.
type ReportRequest struct {
	App      string `json:"app"`
	Channel  string `json:"channel"`
	DeviceID string `json:"deviceID"`
	Digest   string `json:"digest"`         // of the bundle that is reported on
	Outcome  string `json:"outcome"`        // downloaded, installed, confirmed, failed
	Kind     string `json:"kind,omitempty"` // with outcome failed, and only then; see the Kind constants
	Build    Build  `json:"build,omitzero"` // as in the check
}

// Kinds of failure, in the words of the ledger. Delivery failures say nothing of the bundle and are counted apart.
const (
	KindNetwork      = string(ledger.KindNetwork)      // delivery: the download failed
	KindDisk         = string(ledger.KindDisk)         // delivery: no space, or it could not be written
	KindCrash        = string(ledger.KindCrash)        // bundle: the app crashed while running it
	KindVerification = string(ledger.KindVerification) // bundle: digest or signature did not match
	KindRollback     = string(ledger.KindRollback)     // bundle: the app did not become ready and the client went back
)

// ReportResponse acknowledges a report. Reports are counted some moments later, in batches.
type ReportResponse struct {
	Accepted bool   `json:"accepted"` // the report is kept; send it again later when it is not
	Reason   Result `json:"reason"`
}

// Result says what becomes of a report.
type Result string

// The results. The first three are accepted.
const (
	Accepted       Result = "Accepted"       // it counts, once for the device and bundle
	NotVoting      Result = "NotVoting"      // it is kept for this device, but counts nowhere: a development build or an emulator
	UnknownBundle  Result = "UnknownBundle"  // the channel does not hand the bundle out now: it counts if the device was offered it before
	UnknownChannel Result = "UnknownChannel" // there is no such app or channel
	QueueFull      Result = "QueueFull"      // more reports come in than can be written
)

func (r Result) accepted() bool { return r == Accepted || r == NotVoting || r == UnknownBundle }
