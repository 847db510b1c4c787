// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Admission says which bundles may be released on a channel.
type Admission struct {
	// requiredAuthorities must all have signed a bundle.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	RequiredAuthorities []string `json:"requiredAuthorities,omitempty"`

	// quorums ask each for signatures by some of several authorities, beside those that requiredAuthorities names. Two names
	// with one key count once.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Quorums []Quorum `json:"quorums,omitempty"`

	// content rules.
	// +optional
	Content *ContentPolicy `json:"content,omitempty"`

	// promotedFrom asks that a bundle was served by another channel first.
	// +optional
	PromotedFrom *PromotedFrom `json:"promotedFrom,omitempty"`
}

// Quorum asks for signatures by some of several authorities.
//
// +kubebuilder:validation:XValidation:rule="self.required <= size(self.authorities)",message="required is more than there are authorities: nothing could be released"
type Quorum struct {
	// required is how many of the authorities must have signed.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=16
	Required int32 `json:"required,omitempty"`

	// authorities of the Repository, by name.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	Authorities []string `json:"authorities,omitempty"`
}

// ContentProfile is a set of content rules that belong together.
//
// +kubebuilder:validation:Enum=None;AppStores
type ContentProfile string

const (
	// ContentProfileNone has no rules of its own.
	ContentProfileNone ContentProfile = "None"
	// ContentProfileAppStores has the rules of Apple (2.5.2, 3.3.1(B)) and Google Play (Device and Network Abuse) for code that is
	// loaded at run time.
	ContentProfileAppStores ContentProfile = "AppStores"
)

// CheckAction says what a finding of a check leads to.
//
// +kubebuilder:validation:Enum=Deny;Warn;Allow
type CheckAction string

const (
	// CheckDeny refuses the bundle.
	CheckDeny CheckAction = "Deny"
	// CheckWarn admits the bundle and says so in status.
	CheckWarn CheckAction = "Warn"
	// CheckAllow admits the bundle.
	CheckAllow CheckAction = "Allow"
)

// ContentCheck says what the findings of one check lead to, whatever the profile says.
type ContentCheck struct {
	// name of the check, as docs/content-rules.md lists them.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')",message="must be the name of a check, such as remote-script: see docs/content-rules.md"
	Name string `json:"name,omitempty"`

	// action on findings.
	// +required
	Action CheckAction `json:"action,omitempty"`
}

// NativeBaseline is what the installed apps contain that a channel serves.
type NativeBaseline struct {
	// packages in the installed apps. Where they differ, the oldest version that the channel serves.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=256
	Packages []NativePackage `json:"packages,omitempty"`
}

// NativePackage is a package with native code in the installed app.
type NativePackage struct {
	// name of the package, such as @capacitor/camera.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=214
	Name string `json:"name,omitempty"`

	// version that is installed.
	// +required
	Version Version `json:"version,omitempty"`
}

// NativeCode says whether bundles may contain native code.
//
// +kubebuilder:validation:Enum=Denied;Allowed
type NativeCode string

const (
	// NativeCodeDenied refuses bundles with native code.
	NativeCodeDenied NativeCode = "Denied"
	// NativeCodeAllowed accepts them.
	NativeCodeAllowed NativeCode = "Allowed"
)

// ReleaseNotesPolicy says whether bundles need release notes.
//
// +kubebuilder:validation:Enum=Required;Optional
type ReleaseNotesPolicy string

const (
	// ReleaseNotesRequired refuses bundles without release notes.
	ReleaseNotesRequired ReleaseNotesPolicy = "Required"
	// ReleaseNotesOptional accepts them.
	ReleaseNotesOptional ReleaseNotesPolicy = "Optional"
)

// ContentPolicy says what a bundle may contain.
//
// +kubebuilder:validation:MinProperties=1
type ContentPolicy struct {
	// profile of rules to start from. When unset, None.
	// +optional
	Profile ContentProfile `json:"profile,omitempty"`

	// checks change single rules of the profile, or add them.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Checks []ContentCheck `json:"checks,omitempty"`

	// nativeCode in the bundle, by content. When unset, as the profile says.
	// +optional
	NativeCode NativeCode `json:"nativeCode,omitempty"`

	// nativeBaseline is what the installed apps contain. When set, a bundle must say what it needs, and needs nothing else. An
	// empty one means that they contain nothing that a bundle could call.
	// +optional
	NativeBaseline *NativeBaseline `json:"nativeBaseline,omitempty"`

	// releaseNotes of the bundle. When unset, Optional.
	// +optional
	ReleaseNotes ReleaseNotesPolicy `json:"releaseNotes,omitempty"`

	// maxSize of the artifact, such as 50Mi. When unset, the manager's limit.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="self.matches('^[1-9][0-9]{0,11}(k|M|G|Ki|Mi|Gi)?$')",message="must be a size such as 50Mi or 2000000"
	MaxSize string `json:"maxSize,omitempty"`
}

// PromotedFrom asks that a bundle was served by another channel first.
type PromotedFrom struct {
	// name of a Channel of the same namespace and app.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name,omitempty"`

	// requiredSoakTime is how long the bundle must have been stable there. When unset, 0s.
	// +optional
	RequiredSoakTime Duration `json:"requiredSoakTime,omitempty"`
}
