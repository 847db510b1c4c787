// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package resolve

// Action is what a device is told to do.
type Action string

// The actions.
const (
	None   Action = "none"   // stay as you are
	Update Action = "update" // install the decision's bundle
	Reset  Action = "reset"  // go back to the bundle that the app was installed with
)

// Arm is the side of a rollout's comparison that a device is on.
type Arm string

// The arms. A device is in no arm when no rollout is active, when it could not run the candidate anyway or is excluded from it, and
// when it is offered stable because the candidate failed on it: it has no vote for stable.
const (
	NoArm     Arm = ""
	Candidate Arm = "candidate"
	Control   Arm = "control"
)

// Reason says why a device is told what it is told. Protocols map it to their own words.
type Reason string

// The reasons that come with Update. Reasons lists all reasons.
const (
	ReasonCandidate Reason = "Candidate" // the device is in the candidate's cohort
	ReasonStable    Reason = "Stable"    // the channel's stable bundle
	ReasonFloor     Reason = "Floor"     // the device has to pass through the channel's floor first
	ReasonRefused   Reason = "Refused"   // the device runs a bundle that was taken back; also with Reset
	ReasonExcluded  Reason = "Excluded"  // the device runs a bundle that was taken back from devices like it; also with Reset
)

// The reasons that come with Reset, beside ReasonRefused and ReasonExcluded.
const (
	ReasonNoStable Reason = "NoStable" // the channel serves no bundle, and the device runs one
)

// The reasons that come with None because all is well.
const (
	ReasonUpToDate        Reason = "UpToDate"
	ReasonNothingReleased Reason = "NothingReleased" // the channel serves no bundle, and the device runs none
	ReasonLeaseExpired    Reason = "LeaseExpired"    // the device has the candidate, and keeps it while nobody watches the rollout
)

// The reasons that come with None because the channel does not serve this device.
const (
	ReasonHalted            Reason = "Halted"
	ReasonPlatformNotServed Reason = "PlatformNotServed"
	ReasonBuildNotServed    Reason = "BuildNotServed"
)

// The reasons that come with None because the bundle does not fit this device.
const (
	ReasonPlatformIncompatible       Reason = "PlatformIncompatible"
	ReasonNativeVersionIncompatible  Reason = "NativeVersionIncompatible"
	ReasonRuntimeVersionIncompatible Reason = "RuntimeVersionIncompatible"
	ReasonAutoUpdateDenied           Reason = "AutoUpdateDenied" // a larger jump from the native build than the channel allows
	ReasonBelowNative                Reason = "BelowNative"      // older than the native build
	ReasonKeyMismatch                Reason = "KeyMismatch"      // encrypted to another key than the app carries, or not encrypted though it carries one
	ReasonFailedBefore               Reason = "FailedBefore"     // the device tried it, and it failed there
	ReasonBelowFloor                 Reason = "BelowFloor"       // older than the channel's floor; or the device is, and there is no floor bundle
)

// The reasons that come with None because the device follows no channel.
const (
	ReasonChannelPrivate Reason = "ChannelPrivate" // the channel is for devices that were put there
	ReasonNoChannel      Reason = "NoChannel"      // the app has no public channel
)

// The reasons that come with None because the gateway cannot tell.
const (
	ReasonUnknownApp        Reason = "UnknownApp"
	ReasonUnknownChannel    Reason = "UnknownChannel"
	ReasonReleaseUnreadable Reason = "ReleaseUnreadable" // the channel's release document is not one that this version reads
	ReasonMetadataExpired   Reason = "MetadataExpired"   // nobody signed the metadata again in time
	ReasonNoMetadata        Reason = "NoMetadata"        // nothing was read since the start
)

// Reasons lists every reason that a decision can have, and with which actions.
var Reasons = map[Reason][]Action{
	ReasonCandidate:                  {Update},
	ReasonStable:                     {Update},
	ReasonFloor:                      {Update},
	ReasonRefused:                    {Update, Reset},
	ReasonExcluded:                   {Update, Reset},
	ReasonNoStable:                   {Reset},
	ReasonUpToDate:                   {None},
	ReasonNothingReleased:            {None},
	ReasonLeaseExpired:               {None},
	ReasonHalted:                     {None},
	ReasonPlatformNotServed:          {None},
	ReasonBuildNotServed:             {None},
	ReasonPlatformIncompatible:       {None},
	ReasonNativeVersionIncompatible:  {None},
	ReasonRuntimeVersionIncompatible: {None},
	ReasonAutoUpdateDenied:           {None},
	ReasonBelowNative:                {None},
	ReasonKeyMismatch:                {None},
	ReasonFailedBefore:               {None},
	ReasonBelowFloor:                 {None},
	ReasonChannelPrivate:             {None},
	ReasonNoChannel:                  {None},
	ReasonUnknownApp:                 {None},
	ReasonUnknownChannel:             {None},
	ReasonReleaseUnreadable:          {None},
	ReasonMetadataExpired:            {None},
	ReasonNoMetadata:                 {None},
}

// noReason lets check functions say that nothing speaks against a bundle.
const noReason Reason = ""
