// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"time"

	"github.com/windlass-dev/windlass/internal/resolve"
)

// Pseudonym stands for a device of an app: the first 16 bytes of HMAC-SHA-256(key, app || 0x00 || lower-case device id).
// Nothing else of a device's id is kept.
type Pseudonym [16]byte

// Outcome is what a device reached with a bundle.
type Outcome uint8

// The outcomes. Confirmed and Failed are the vote; a device has one of them at most. DeliveryFailed says nothing of the bundle, and
// Returned no more than that the device can still ask.
const (
	Exposed Outcome = iota // the device checked in and should run the bundle
	Offered
	Downloaded
	Installed
	Confirmed
	Failed
	DeliveryFailed
	Returned // the device checked in again, the heal window or more after its first check
)

// Kind says why a device failed, in the words of the native protocol.
type Kind string

// The kinds. Network and Disk are failures of delivery, the others are failures of the bundle.
const (
	KindNetwork      Kind = "network"      // the download failed
	KindDisk         Kind = "disk"         // no space or memory, or it could not be written
	KindCrash        Kind = "crash"        // the app crashed while running the bundle
	KindVerification Kind = "verification" // digest, signature, archive or decryption
	KindRollback     Kind = "rollback"     // the app did not become ready, and the client went back
)

// bars tells whether a device on which a bundle failed so must not get it again: its client gave it up, or never took it. An app that
// crashed may crash for another reason, and the client goes on with the bundle.
func (k Kind) bars() bool { return k == KindRollback || k == KindVerification }

// Series says what is counted together: one bundle in one arm of one stage of a trial.
type Series struct {
	App, Channel string
	Digest       string // of the bundle that the devices should run; empty: the embedded one
	Version      string // of that bundle
	Arm          resolve.Arm
	Trial        string // salt of the trial; empty without one
	Stage        int32  // of the trial: devices are counted anew in each
	Candidate    string // digest of the trial's candidate
	Release      int64  // of the trial's Rollout
}

// Embedded is the version by which the bundle that the app was installed with is counted.
const Embedded = "embedded"

// SeriesOf gives the series that a decision puts a device into. It gives false for a decision that exposes the device to
// no bundle.
func SeriesOf(app, channel string, told *resolve.Decision) (Series, bool) {
	s := Series{App: app, Channel: channel, Arm: told.Arm, Version: Embedded}
	if told.Bundle != nil {
		s.Digest, s.Version = told.Bundle.Digest, told.Bundle.Version
	}
	if t := told.Trial; t != nil {
		s.Trial, s.Stage, s.Candidate, s.Release = t.Salt, t.Stage, t.Bundle.Digest, t.Release
	}
	switch told.Reason {
	case resolve.ReasonUpToDate, resolve.ReasonLeaseExpired:
		return s, true
	case resolve.ReasonNothingReleased, resolve.ReasonNoStable:
		return s, told.Arm != resolve.NoArm
	}
	return s, told.Action == resolve.Update
}

// Client is what the ledger keeps of a device beside its votes.
type Client struct {
	Platform      string
	NativeVersion string
	OSVersion     string // as the device tells it with its first check; empty: not told
	Region        string // where it was with its first check; empty: not told
	Plugin        string // name and version of the update library, such as capgo/8.51.23; empty: not told
}

// Network stands for the network that a request came from, by a keyed hash that is forgotten with the process. Zero is a
// device that proved who it is: the limit of votes per network does not hold for it.
type Network uint64

// Check is an update check and its answer.
type Check struct {
	App, Channel string
	Device       Pseudonym
	Client       Client
	Network      Network
	Votes        bool // a production build on a real device that did not opt out
	Told         resolve.Decision
	RunsVersion  string // of the bundle that the device runs, if it is told; empty: the embedded one
	RunsDigest   string
	At           time.Time
}

// Report is what a device tells of a bundle.
type Report struct {
	App      string
	Device   Pseudonym
	Client   Client
	Network  Network
	Votes    bool
	Outcome  Outcome
	Kind     Kind   // with Failed and DeliveryFailed
	Digest   string // of the bundle, when it is told
	Version  string // of the bundle, when it is told. Neither: what the device was offered last is meant
	Assigned Series // where the device would be counted if the ledger never saw it, when Known
	Known    bool
	// AfterOffer says that the report counts only if the device's last check was answered with an offer: Capgo plugins before
	// 7.17.0 and 6.14.25 send download_fail after each other answer, too.
	AfterOffer bool
	At         time.Time // when it happened, by the device's clock: never in the future
}
