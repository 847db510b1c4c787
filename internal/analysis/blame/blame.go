// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package blame finds the part of the devices that explains the failures of a candidate: the platform, native version, version of the operating
// system or region on which it fails, while it does well elsewhere.
package blame

import "github.com/windlass-dev/windlass/internal/analysis/eprocess"

// Group counts the devices that are alike, in one stage of a release. An empty text means that the devices did not tell.
type Group struct {
	// Stage in which they are counted. Sums over stages would mislead: when the weight rises and the base rate with it, most of the
	// candidate's devices are counted at the higher rate and most of the control's at the lower one.
	Stage         int32
	Platform      string
	NativeVersion string // semantic version
	OSVersion     string // as the device tells it
	Region        string
	Candidate     eprocess.Arm
	Control       eprocess.Arm
}
