// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Bundle is one immutable update of one app: where it comes from, its digest, and who signed it.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=otab,categories=ota
// +kubebuilder:selectablefield:JSONPath=`.spec.app`
// +kubebuilder:selectablefield:JSONPath=`.spec.version`
// +kubebuilder:selectablefield:JSONPath=`.spec.digest`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="App",type=string,JSONPath=`.spec.app`
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.spec.version`
// +kubebuilder:printcolumn:name="Size",type=integer,JSONPath=`.status.artifact.size`
// +kubebuilder:printcolumn:name="Signed-By",type=string,JSONPath=`.status.signedBy`
// +kubebuilder:printcolumn:name="Checksum",type=string,priority=1,JSONPath=`.status.artifact.encryption.checksum`
// +kubebuilder:printcolumn:name="Key",type=string,priority=1,JSONPath=`.status.artifact.encryption.keyID`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Bundle struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the author says of the update. It cannot be changed, but for revoked.
	// +required
	Spec BundleSpec `json:"spec,omitzero"`

	// status is what the manager found out.
	// +optional
	Status BundleStatus `json:"status,omitzero"`
}

// BundleList is a list of Bundle.
//
// +kubebuilder:object:root=true
type BundleList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items of the list.
	Items []Bundle `json:"items"`
}

// BundleSpec is what the author says of an update.
//
// +kubebuilder:validation:XValidation:rule="self.app == oldSelf.app && self.version == oldSelf.version && self.digest == oldSelf.digest",message="app, version and digest cannot be changed: devices take a version for one digest for ever; make a new Bundle"
// +kubebuilder:validation:XValidation:rule="self.source == oldSelf.source && self.signatures == oldSelf.signatures",message="source and signatures cannot be changed; make a new Bundle"
// +kubebuilder:validation:XValidation:rule="has(self.repositoryRef) == has(oldSelf.repositoryRef) && (!has(self.repositoryRef) || self.repositoryRef == oldSelf.repositoryRef)",message="repositoryRef cannot be changed; make a new Bundle"
// +kubebuilder:validation:XValidation:rule="has(self.compatibility) == has(oldSelf.compatibility) && (!has(self.compatibility) || self.compatibility == oldSelf.compatibility)",message="compatibility cannot be changed; make a new Bundle"
// +kubebuilder:validation:XValidation:rule="has(self.releaseNotes) == has(oldSelf.releaseNotes) && (!has(self.releaseNotes) || self.releaseNotes == oldSelf.releaseNotes)",message="releaseNotes cannot be changed; make a new Bundle"
// +kubebuilder:validation:XValidation:rule="has(self.encryption) == has(oldSelf.encryption) && (!has(self.encryption) || self.encryption == oldSelf.encryption)",message="encryption cannot be changed; make a new Bundle"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.revoked) || has(self.revoked)",message="revoked is for ever: the reason may be reworded, but not removed"
// +kubebuilder:validation:XValidation:rule="has(self.attestations) == has(oldSelf.attestations) && (!has(self.attestations) || self.attestations == oldSelf.attestations)",message="attestations cannot be changed; make a new Bundle"
// +kubebuilder:validation:XValidation:rule="has(self.nativeDependencies) == has(oldSelf.nativeDependencies) && (!has(self.nativeDependencies) || self.nativeDependencies == oldSelf.nativeDependencies)",message="nativeDependencies cannot be changed; make a new Bundle"
// +kubebuilder:validation:XValidation:rule="has(self.source.oci) || self.signatures.all(s, !has(s.attached))",message="attached signatures are those of an image: use source.oci, or name the signature by inline or url"
type BundleSpec struct {
	// repositoryRef names the Repository that keeps the artifact. When unset, the one named default.
	// +optional
	RepositoryRef *LocalReference `json:"repositoryRef,omitempty"`

	// app that the update is for.
	// +required
	App AppID `json:"app,omitempty"`

	// version of the update. In an app and Repository a version means one digest for ever.
	// +required
	Version Version `json:"version,omitempty"`

	// source of the artifact.
	// +required
	Source BundleSource `json:"source,omitzero"`

	// digest of the artifact: what the author signed.
	// +required
	Digest Digest `json:"digest,omitempty"`

	// signatures of authors over the artifact. Any authority of the Repository may match; one that matches is enough for the
	// Bundle to be Ready, a Channel can ask for more.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Signatures []SignatureSource `json:"signatures,omitempty"`

	// compatibility says on which devices the update can run. When unset, on all.
	// +optional
	Compatibility *Compatibility `json:"compatibility,omitempty"`

	// releaseNotes for people, by language tag (BCP 47).
	// +optional
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.matches('^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$') && size(self[k]) <= 4000)",message="keys must be language tags such as en or de-CH, and notes have at most 4000 characters"
	ReleaseNotes map[string]ReleaseNote `json:"releaseNotes,omitempty"`

	// encryption says whether the artifact is readable. When unset, mode None.
	// +optional
	Encryption *EncryptionSpec `json:"encryption,omitempty"`

	// attestations are signed statements about the artifact. The one that kubectl windlass bundle inspect makes in CI tells what is
	// in an artifact that the manager cannot open.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	Attestations []AttestationSource `json:"attestations,omitempty"`

	// nativeDependencies are what the update needs of the installed app. When unset, those of the file
	// native-dependencies.json in the archive; without either nobody knows, and a Channel that compares them admits nothing.
	// +optional
	NativeDependencies *NativeDependencies `json:"nativeDependencies,omitempty"`

	// revoked is why this update must not be used. Once set it is pulled from every channel at once, for ever.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Revoked string `json:"revoked,omitempty"`
}

// ReleaseNote is a text for people in one language.
//
// +kubebuilder:validation:MaxLength=4000
type ReleaseNote string

// BundleSource is where an artifact comes from.
//
// +kubebuilder:validation:ExactlyOneOf=http;s3;oci
type BundleSource struct {
	// http fetches from a web server.
	// +optional
	HTTP *HTTPSource `json:"http,omitempty"`

	// s3 fetches from an S3-compatible object store.
	// +optional
	S3 *S3Source `json:"s3,omitempty"`

	// oci fetches from a container registry.
	// +optional
	OCI *OCISource `json:"oci,omitempty"`
}

// HTTPSource is an artifact on a web server.
type HTTPSource struct {
	// url of the artifact.
	// +required
	URL URL `json:"url,omitempty"`

	// secretRef names a Secret with token (bearer), or username and password (basic). Its annotation ota.windlass.dev/hosts names
	// the host of url.
	// +optional
	SecretRef *LocalReference `json:"secretRef,omitempty"`
}

// S3Source is an artifact in an S3-compatible object store.
type S3Source struct {
	// endpoint of the object store, such as https://s3.example.com, without a path.
	// +required
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^@#?/]+/?$')",message="must be a URL such as https://s3.example.com, without user name, path or query"
	Endpoint string `json:"endpoint,omitempty"`

	// bucket of the artifact.
	// +required
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=63
	Bucket string `json:"bucket,omitempty"`

	// key of the artifact.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Key string `json:"key,omitempty"`

	// region of the bucket. When unset, us-east-1.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Region string `json:"region,omitempty"`

	// credentialsSecretRef names a Secret with accessKeyID, secretAccessKey and optionally sessionToken.
	// When unset, the object is read without credentials.
	// +optional
	CredentialsSecretRef *LocalReference `json:"credentialsSecretRef,omitempty"`
}

// OCISource is an artifact in a container registry: the layer of an image or artifact manifest that has the digest of the Bundle.
type OCISource struct {
	// image by digest of its manifest: registry.example.com/shop/updates@sha256:...
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.matches('^[^@ ]+@sha256:[a-f0-9]{64}$')",message="must name the image by digest: registry/repository@sha256:..."
	Image string `json:"image,omitempty"`

	// pullSecretRef names a Secret of type kubernetes.io/dockerconfigjson.
	// +optional
	PullSecretRef *LocalReference `json:"pullSecretRef,omitempty"`
}

// SignatureSource is a signature over the artifact: a detached one, one of minisign, or a Sigstore bundle.
//
// +kubebuilder:validation:ExactlyOneOf=inline;url;attached
type SignatureSource struct {
	// inline is the signature file in base64.
	// +optional
	// +kubebuilder:validation:MinLength=16
	// +kubebuilder:validation:MaxLength=65536
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9+/=\\n]+$')",message="must be base64"
	Inline string `json:"inline,omitempty"`

	// url of the signature file, as it is or in base64.
	// +optional
	URL URL `json:"url,omitempty"`

	// attached takes the signatures that cosign attached to the image of source.oci, as referrers or by tag. They are made over
	// the manifest, which names the artifact by its digest.
	// +optional
	Attached AttachedSignatures `json:"attached,omitempty"`
}

// AttachedSignatures names a convention by which signatures are attached to images.
//
// +kubebuilder:validation:Enum=Cosign
type AttachedSignatures string

// AttachedCosign are signatures of cosign: Sigstore bundles as referrers, or the tag sha256-<digest>.sig.
const AttachedCosign AttachedSignatures = "Cosign"

// AttestationSource is a signed in-toto statement about the artifact, as a Sigstore bundle.
//
// +kubebuilder:validation:ExactlyOneOf=inline;url
type AttestationSource struct {
	// inline is the Sigstore bundle in base64.
	// +optional
	// +kubebuilder:validation:MinLength=16
	// +kubebuilder:validation:MaxLength=131072
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9+/=\\n]+$')",message="must be base64"
	Inline string `json:"inline,omitempty"`

	// url of the Sigstore bundle.
	// +optional
	URL URL `json:"url,omitempty"`
}

// NativeDependencies are what an update needs of the installed app. Without packages: nothing.
type NativeDependencies struct {
	// packages that the update calls into.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=256
	Packages []NativeDependency `json:"packages,omitempty"`
}

// NativeDependency is a package with native code that an update calls into, such as a Capacitor plugin.
type NativeDependency struct {
	// name of the package, such as @capacitor/camera.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=214
	Name string `json:"name,omitempty"`

	// version range that the update works with, such as ^6.1.0. When unset, any.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Version string `json:"version,omitempty"`
}

// Compatibility says on which devices an update can run.
type Compatibility struct {
	// platforms that the update runs on. When unset, on all.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Platforms []Platform `json:"platforms,omitempty"`

	// nativeVersion is a range of installed app builds that this update can run on, such as ">=4.2.0 <5.0.0".
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	NativeVersion string `json:"nativeVersion,omitempty"`

	// runtimeVersion must equal the device's, as Expo does it.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	RuntimeVersion string `json:"runtimeVersion,omitempty"`
}

// EncryptionMode says who can read an artifact.
//
// +kubebuilder:validation:Enum=None;Opaque;Recipients
type EncryptionMode string

const (
	// EncryptionNone means that the artifact is readable.
	EncryptionNone EncryptionMode = "None"
	// EncryptionOpaque means that CI encrypted the artifact as Capgo's CLI does, and devices get it as it is.
	EncryptionOpaque EncryptionMode = "Opaque"
	// EncryptionRecipients means that the artifact is encrypted to known recipients.
	EncryptionRecipients EncryptionMode = "Recipients"
)

// EncryptionSpec says whether an artifact is readable, and what devices need to read it.
//
// +kubebuilder:validation:XValidation:rule="self.mode != 'Opaque' || (has(self.sessionKey) && has(self.checksum))",message="mode Opaque needs sessionKey and checksum: take ivSessionKey and checksum of: capgo bundle encrypt --json"
// +kubebuilder:validation:XValidation:rule="self.mode == 'Opaque' || !(has(self.sessionKey) || has(self.checksum) || has(self.keyID))",message="sessionKey, checksum and keyID go with mode Opaque: set it, or remove them"
type EncryptionSpec struct {
	// mode of encryption. Recipients is not supported yet: the Bundle stalls.
	// +required
	Mode EncryptionMode `json:"mode,omitempty"`

	// sessionKey is the initial vector, a colon, and the AES key as the app's private key encrypted it, both in base64: the
	// ivSessionKey of capgo bundle encrypt --json. Required with mode Opaque.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9+/]{22}==:([A-Za-z0-9+/]{342}==|[A-Za-z0-9+/]{512}|[A-Za-z0-9+/]{683}=)$')",message="must be the ivSessionKey of capgo bundle encrypt --json: 16 bytes in base64, a colon, and 256, 384 or 512 bytes in base64"
	SessionKey string `json:"sessionKey,omitempty"`

	// checksum is the SHA-256 of the readable archive as the app's private key encrypted it, in hexadecimal: the checksum of
	// capgo bundle encrypt --json. Required with mode Opaque.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9]*$')",message="must be hexadecimal: one in base64 is of the old form, which devices refuse with checksum_fail (Cap-go/CLI issue 470); run bundle encrypt --json of @capgo/cli 8.68 or newer where package.json has @capgo/capacitor-updater 5.30, 6.30, 7.30, 8 or newer"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[A-Za-z0-9]*$') || (self.matches('^[a-f0-9]*$') && size(self) in [512, 768, 1024])",message="must be 512, 768 or 1024 lower-case hexadecimal digits, the checksum of capgo bundle encrypt --json: the SHA-256 of the archive is its input, not this"
	Checksum string `json:"checksum,omitempty"`

	// keyID names the key: the first 20 characters of the body of the app's public key in PEM. Devices whose app has another
	// key are not offered the update. When unset, that of the Repository's key that fits, if one does.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9+/]{20}$')",message="must be the first 20 characters of the body of the app's public key: grep -v -e ----- .capgo_key_v2.pub | head -c 20"
	KeyID string `json:"keyID,omitempty"`
}

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
