// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// BundleStatus is what the manager found out about an update.
type BundleStatus struct {
	// conditions are Ready, Fetched, Verified, Inspected, Stored, Revoked; Reconciling and Stalled only while True.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation that this status describes.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// artifact as it is in the bucket.
	// +optional
	Artifact *ArtifactStatus `json:"artifact,omitempty"`

	// verifications are the signatures that matched an authority.
	// +optional
	// +listType=map
	// +listMapKey=authority
	// +kubebuilder:validation:MaxItems=32
	Verifications []Verification `json:"verifications,omitempty"`

	// inspection tells what is in the artifact.
	// +optional
	Inspection *Inspection `json:"inspection,omitempty"`

	// signedBy names the authorities of verifications, for people.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2080
	SignedBy string `json:"signedBy,omitempty"`

	// usedBy lists the channels that serve this bundle, or offer it.
	// +optional
	// +listType=map
	// +listMapKey=channel
	// +kubebuilder:validation:MaxItems=64
	UsedBy []BundleUse `json:"usedBy,omitempty"`

	// unrecorded are decisions and commands that are not in the Repository's audit log yet; the oldest first.
	// +optional
	// +listType=map
	// +listMapKey=id
	// +kubebuilder:validation:MaxItems=32
	Unrecorded []PendingRecord `json:"unrecorded,omitempty"`
}

// ArtifactStatus is an artifact as it is in the bucket.
type ArtifactStatus struct {
	// digest that was computed.
	// +required
	Digest Digest `json:"digest,omitempty"`

	// size in bytes.
	// +required
	// +kubebuilder:validation:Minimum=1
	Size int64 `json:"size,omitempty"`

	// mediaType by content.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	MediaType string `json:"mediaType,omitempty"`

	// files in the archive. Unset when the artifact is no archive, or an encrypted one that was not opened.
	// +optional
	Files *int32 `json:"files,omitempty"`

	// path of the TUF target, relative to the Repository's targets.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Path string `json:"path,omitempty"`

	// storedAt is when the artifact was stored.
	// +optional
	StoredAt *metav1.Time `json:"storedAt,omitempty"`

	// encryption tells whether an artifact of mode Opaque was opened. Unset when it is readable.
	// +optional
	Encryption *ArtifactEncryption `json:"encryption,omitempty"`
}

// ChecksumState tells whether somebody checked an encrypted checksum.
//
// +kubebuilder:validation:Enum=Verified;NotVerified
type ChecksumState string

const (
	// ChecksumVerified means that a key of the Repository opened the artifact, and the checksum is that of what is in it.
	ChecksumVerified ChecksumState = "Verified"
	// ChecksumNotVerified means that the Repository has no key of the app: session key and checksum are as CI wrote them.
	ChecksumNotVerified ChecksumState = "NotVerified"
)

// ArtifactEncryption is what is known of an encrypted artifact.
type ArtifactEncryption struct {
	// checksum is Verified or NotVerified.
	// +required
	Checksum ChecksumState `json:"checksum,omitempty"`

	// keyID of the Repository's key that opened the artifact: the first 20 characters of its body in PEM.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=20
	KeyID string `json:"keyID,omitempty"`
}

// Verification is a signature that matched an authority.
type Verification struct {
	// authority of the Repository that the signature matched.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Authority string `json:"authority,omitempty"`

	// keyID is the SHA-256 of the public key (SubjectPublicKeyInfo, DER), its first 16 hexadecimal digits.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	KeyID string `json:"keyID,omitempty"`

	// format of the signature.
	// +optional
	Format SignatureFormat `json:"format,omitempty"`

	// issuer and subject of the certificate that a keyless signature was made with.
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	Issuer string `json:"issuer,omitempty"`

	// subject of that certificate.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Subject string `json:"subject,omitempty"`

	// trust identifies all that decided whether the signature counts: key or identity, trusted root, provenance. When the
	// Repository changes one of them, the signature is verified again.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Trust string `json:"trust,omitempty"`

	// evidence is the digest of the signature file in the bucket, for formats that are more than a signature:
	// evidence/sha256/<hex>.json.
	// +optional
	Evidence Digest `json:"evidence,omitempty"`

	// algorithm of the signature, such as ECDSA-P256-SHA256.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Algorithm string `json:"algorithm,omitempty"`

	// signature in base64, as devices get it to check the author themselves.
	// +optional
	// +kubebuilder:validation:MaxLength=8192
	Signature string `json:"signature,omitempty"`

	// at is when it was verified.
	// +optional
	At *metav1.Time `json:"at,omitempty"`
}

// SignatureFormat is how a signature was given.
//
// +kubebuilder:validation:Enum=Detached;Minisign;SigstoreBundle;CosignImage
type SignatureFormat string

const (
	// FormatDetached is a bare signature over the artifact.
	FormatDetached SignatureFormat = "Detached"
	// FormatMinisign is a pre-hashed signature of minisign.
	FormatMinisign SignatureFormat = "Minisign"
	// FormatSigstoreBundle is a Sigstore bundle, with a message signature or a signed in-toto statement.
	FormatSigstoreBundle SignatureFormat = "SigstoreBundle"
	// FormatCosignImage is a signature that cosign attached to the image of the artifact.
	FormatCosignImage SignatureFormat = "CosignImage"
)

// Inspector says who looked into an artifact.
//
// +kubebuilder:validation:Enum=Manager;Attestation
type Inspector string

const (
	// InspectorManager means that the manager looked into the artifact.
	InspectorManager Inspector = "Manager"
	// InspectorAttestation means that an authority signed what was in the artifact before it was encrypted.
	InspectorAttestation Inspector = "Attestation"
)

// NativeCodeState tells whether there is native code in an artifact.
//
// +kubebuilder:validation:Enum=None;Found
type NativeCodeState string

const (
	// NativeCodeNone means that no file of the artifact is native code.
	NativeCodeNone NativeCodeState = "None"
	// NativeCodeFound means that some are.
	NativeCodeFound NativeCodeState = "Found"
)

// Inspection tells what is in an artifact: facts, on which each Channel applies its own policy.
type Inspection struct {
	// by whom: Manager or Attestation.
	// +required
	By Inspector `json:"by,omitempty"`

	// authority that signed the attestation.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Authority string `json:"authority,omitempty"`

	// trust identifies all that decided whether the attestation counts, as that of verifications does.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:MinLength=1
	Trust string `json:"trust,omitempty"`

	// evidence is the digest of the attestation in the bucket: evidence/sha256/<hex>.json.
	// +optional
	Evidence Digest `json:"evidence,omitempty"`

	// at is when the attestation was verified.
	// +optional
	At *metav1.Time `json:"at,omitempty"`

	// ruleset is the version of the checks that were made.
	// +required
	// +kubebuilder:validation:Minimum=1
	Ruleset int32 `json:"ruleset,omitempty"`

	// unpackedSize of all files in bytes.
	// +optional
	// +kubebuilder:validation:Minimum=1
	UnpackedSize int64 `json:"unpackedSize,omitempty"`

	// nativeCode in the artifact, by content: None or Found.
	// +required
	NativeCode NativeCodeState `json:"nativeCode,omitempty"`

	// findings by check, as docs/content-rules.md lists them.
	// +optional
	// +listType=map
	// +listMapKey=check
	// +kubebuilder:validation:MaxItems=64
	Findings []Finding `json:"findings,omitempty"`

	// nativeDependencies that the archive itself names in native-dependencies.json.
	// +optional
	NativeDependencies *NativeDependencies `json:"nativeDependencies,omitempty"`
}

// Finding is what one check found.
type Finding struct {
	// check that found it, such as native-code.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Check string `json:"check,omitempty"`

	// count of what was found.
	// +required
	// +kubebuilder:validation:Minimum=1
	Count int32 `json:"count,omitempty"`

	// values that were found, sorted: paths, origins, directives. At most 16 are kept.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=256
	Values []string `json:"values,omitempty"`

	// more tells that there are values beyond those that are kept.
	// +optional
	// +kubebuilder:validation:Enum=Omitted
	More string `json:"more,omitempty"`
}

// BundleRole is what a channel uses a bundle for.
//
// +kubebuilder:validation:Enum=Stable;Candidate;Floor
type BundleRole string

const (
	// RoleStable is the bundle that a channel serves.
	RoleStable BundleRole = "Stable"
	// RoleCandidate is the bundle that a rollout lets out.
	RoleCandidate BundleRole = "Candidate"
	// RoleFloor is the bundle that old devices have to pass through.
	RoleFloor BundleRole = "Floor"
)

// BundleUse tells which channel uses a bundle and for what.
type BundleUse struct {
	// channel that uses the bundle.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Channel string `json:"channel,omitempty"`

	// as what the channel uses it.
	// +required
	As BundleRole `json:"as,omitempty"`
}
