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
	// Until the manager has seen the object, observedGeneration is -1: tools that wait (kstatus) would take no status for done.
	// +optional
	// +kubebuilder:default:={observedGeneration:-1}
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
