// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Repository is a bucket prefix with its trust roots, signing keys and retention. It is one TUF repository.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=otarepo,categories=ota
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Metadata",type=integer,JSONPath=`.status.metadata.version`
// +kubebuilder:printcolumn:name="Expires",type=string,JSONPath=`.status.metadata.expiresAt`
// +kubebuilder:printcolumn:name="Channels",type=integer,JSONPath=`.status.channels`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Repository struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the platform team asks for.
	// +required
	Spec RepositorySpec `json:"spec,omitzero"`

	// status is what the manager found and did.
	// Until the manager has seen the object, observedGeneration is -1: tools that wait (kstatus) would take no status for done.
	// +optional
	// +kubebuilder:default:={observedGeneration:-1}
	Status RepositoryStatus `json:"status,omitzero"`
}

// RepositoryList is a list of Repository.
//
// +kubebuilder:object:root=true
type RepositoryList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items of the list.
	Items []Repository `json:"items"`
}

// RepositorySpec is the wanted state of a Repository.
type RepositorySpec struct {
	// storage says where artifacts and metadata are kept.
	// +required
	Storage StorageSpec `json:"storage,omitzero"`

	// delivery says how devices reach artifacts. When unset, the gateway streams them from the bucket.
	// +optional
	Delivery *DeliverySpec `json:"delivery,omitempty"`

	// trust says who may author updates.
	// +required
	Trust TrustSpec `json:"trust,omitzero"`

	// signing says who signs the metadata that devices and gateways verify.
	// +optional
	Signing *SigningSpec `json:"signing,omitempty"`

	// retention says when artifacts that nothing refers to are deleted.
	// +optional
	Retention *RetentionSpec `json:"retention,omitempty"`

	// maxActiveRollouts is how many releases of the Repository's Channels may be under way at a time; others wait in line. When unset,
	// there is no limit.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MaxActiveRollouts *int32 `json:"maxActiveRollouts,omitempty"`

	// floors withdraw versions for security, for ever: nothing below the floor of its app is offered again, by nobody. A floor is
	// part of the root of trust. Where the root key is kept offline, its holders have to sign: kubectl windlass repository floor.
	// +optional
	// +listType=map
	// +listMapKey=app
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Floors []Floor `json:"floors,omitempty"`

	// notifications are receivers of what happens in the Repository: releases, rollbacks, commands, refusals. When unset, there are none.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Notifications []Notification `json:"notifications,omitempty"`
}

// InsecureMode says whether storage may be reached without TLS.
//
// +kubebuilder:validation:Enum=Denied;Allowed
type InsecureMode string

const (
	// InsecureDenied asks for https.
	InsecureDenied InsecureMode = "Denied"
	// InsecureAllowed accepts http too.
	InsecureAllowed InsecureMode = "Allowed"
)

// StorageSpec is a prefix in a bucket of an S3-compatible object store.
//
// +kubebuilder:validation:XValidation:rule="self.endpoint.startsWith('https://') || (has(self.insecure) && self.insecure == 'Allowed')",message="endpoint uses http: use https, or set insecure: Allowed if the network between manager and store is trusted"
// +kubebuilder:validation:XValidation:rule="self.bucket == oldSelf.bucket",message="bucket cannot be changed: devices hold its trust root; make a new Repository"
// +kubebuilder:validation:XValidation:rule="has(self.prefix) == has(oldSelf.prefix) && (!has(self.prefix) || self.prefix == oldSelf.prefix)",message="prefix cannot be changed: devices hold its trust root; make a new Repository"
type StorageSpec struct {
	// endpoint of the object store, such as https://s3.example.com, without a path.
	// +required
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^@#?/]+/?$')",message="must be a URL such as https://s3.example.com, without user name, path or query"
	Endpoint string `json:"endpoint,omitempty"`

	// insecure allows http. When unset, Denied.
	// +optional
	Insecure InsecureMode `json:"insecure,omitempty"`

	// bucket must exist.
	// +required
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9][a-z0-9.-]+[a-z0-9]$')",message="must be a bucket name: lower-case letters, digits, dots and dashes"
	Bucket string `json:"bucket,omitempty"`

	// prefix of all object names, without slashes at its ends. When unset, the whole bucket.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9_.-]*[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_.-]*[A-Za-z0-9_-][A-Za-z0-9_.-]*)*$')",message="must be a path such as mobile or teams/mobile: letters, digits, dots, dashes and underscores between single slashes"
	Prefix string `json:"prefix,omitempty"`

	// region of the bucket. When unset, us-east-1, which most S3-compatible servers ignore.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Region string `json:"region,omitempty"`

	// credentialsSecretRef names a Secret with accessKeyID, secretAccessKey and optionally sessionToken.
	// When unset, the manager's own cloud identity is used.
	// +optional
	CredentialsSecretRef *LocalReference `json:"credentialsSecretRef,omitempty"`

	// caBundleConfigMapRef names PEM certificates to trust for the endpoint, beside those of the system.
	// +optional
	CABundleConfigMapRef *KeyReference `json:"caBundleConfigMapRef,omitempty"`
}

// DeliverySpec says how devices reach artifacts.
type DeliverySpec struct {
	// publicURL is where devices find the Repository's prefix, for example a CDN. The gateway redirects downloads there.
	// +required
	PublicURL URL `json:"publicURL,omitempty"`
}

// TrustSpec lists who may author updates.
type TrustSpec struct {
	// authorities are the authors whose signatures count. An empty list trusts nobody.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Authorities []Authority `json:"authorities,omitempty"`

	// encryptionKeys are the public keys of apps whose updates CI encrypts as Capgo's CLI does. With a key of its app, a Bundle
	// of encryption mode Opaque is opened and checked before it is Ready; without one it passes as it is.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	EncryptionKeys []EncryptionKey `json:"encryptionKeys,omitempty"`
}

// EncryptionKey is the public key that an app carries. An app can have several while its key is changed.
type EncryptionKey struct {
	// name of the key, for messages.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')",message="must be lower-case letters, digits and dashes"
	Name string `json:"name,omitempty"`

	// app that carries the key.
	// +required
	App AppID `json:"app,omitempty"`

	// publicKey is RSA of 2048, 3072 or 4096 bits, such as the .capgo_key_v2.pub of capgo key create. The app itself needs it
	// as a BEGIN RSA PUBLIC KEY; here BEGIN PUBLIC KEY does as well.
	// +required
	PublicKey PublicKeySource `json:"publicKey,omitzero"`
}

// Authority is an author of updates, known by a public key or by a keyless identity.
//
// +kubebuilder:validation:ExactlyOneOf=publicKey;keyless
type Authority struct {
	// name of the authority, as Channel.spec.admission.requiredAuthorities uses it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')",message="must be lower-case letters, digits and dashes"
	Name string `json:"name,omitempty"`

	// publicKey verifies detached signatures, minisign signatures and Sigstore bundles: ECDSA P-256, P-384 or P-521, Ed25519, or
	// RSA of 2048 bits and more in PEM, or the public key file of minisign.
	// +optional
	PublicKey *PublicKeySource `json:"publicKey,omitempty"`

	// keyless verifies Sigstore bundles by the identity of the signer, offline.
	// +optional
	Keyless *KeylessIdentity `json:"keyless,omitempty"`

	// hash that signatures by the ECDSA or RSA key are made over. When unset, that of an ECDSA key's curve and SHA-256, and
	// SHA-256 and SHA-512 for RSA. No other hash is ever tried.
	// +optional
	Hash SignatureHash `json:"hash,omitempty"`

	// provenance lets only signed SLSA provenance of this build count as this authority's signature.
	// +optional
	Provenance *ProvenancePolicy `json:"provenance,omitempty"`

	// notAfter is when this authority stops to count: what was verified later is not trusted. Set it to the past when a key was
	// stolen then: every Bundle that it vouched for since is withdrawn from every channel.
	// +optional
	NotAfter *metav1.Time `json:"notAfter,omitempty"`
}

// SignatureHash names the hash that a signature is made over.
//
// +kubebuilder:validation:Enum=SHA256;SHA384;SHA512
type SignatureHash string

const (
	// HashSHA256 is SHA-256.
	HashSHA256 SignatureHash = "SHA256"
	// HashSHA384 is SHA-384.
	HashSHA384 SignatureHash = "SHA384"
	// HashSHA512 is SHA-512.
	HashSHA512 SignatureHash = "SHA512"
)

// ProvenancePolicy asks for in-toto statements with SLSA provenance 0.2 or 1 that name a build. Each field is compared exactly.
type ProvenancePolicy struct {
	// builderID is the builder.id (0.2) or runDetails.builder.id (1) of the statement.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	BuilderID string `json:"builderID,omitempty"`

	// sourceRepository that was built, such as https://github.com/acme/shop.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	SourceRepository string `json:"sourceRepository,omitempty"`

	// ref that was built, such as refs/heads/main.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Ref string `json:"ref,omitempty"`
}

// PublicKeySource is a PEM public key, inline or in a ConfigMap.
//
// +kubebuilder:validation:ExactlyOneOf=inline;configMapRef
type PublicKeySource struct {
	// inline is the PEM text.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=8192
	Inline string `json:"inline,omitempty"`

	// configMapRef names the key of a ConfigMap that holds the PEM text.
	// +optional
	ConfigMapRef *KeyReference `json:"configMapRef,omitempty"`
}

// KeylessIdentity is the issuer and subject of a short-lived signing certificate.
//
// +kubebuilder:validation:ExactlyOneOf=subject;subjectRegExp
type KeylessIdentity struct {
	// issuer of the identity, compared exactly.
	// +required
	Issuer URL `json:"issuer,omitempty"`

	// subject of the certificate, compared exactly.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Subject string `json:"subject,omitempty"`

	// subjectRegExp matches the subject. It must be anchored at both ends.
	// +optional
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.startsWith('^') && self.endsWith('$')",message="must be anchored: start with ^ and end with $"
	SubjectRegExp string `json:"subjectRegExp,omitempty"`

	// trustedRootConfigMapRef names the Sigstore trusted root to verify against, offline.
	// +required
	TrustedRootConfigMapRef KeyReference `json:"trustedRootConfigMapRef,omitzero"`

	// transparencyLog says whether a signature must be in a transparency log of the trusted root. When unset, Required. Optional
	// is for private instances without a log: then a signed timestamp of the trusted root is required instead.
	// +optional
	TransparencyLog TransparencyLog `json:"transparencyLog,omitempty"`
}

// TransparencyLog says whether a keyless signature must be in a transparency log.
//
// +kubebuilder:validation:Enum=Required;Optional
type TransparencyLog string

const (
	// LogRequired asks for an entry in a log of the trusted root.
	LogRequired TransparencyLog = "Required"
	// LogOptional asks for a signed timestamp of the trusted root where there is no entry.
	LogOptional TransparencyLog = "Optional"
)

// SigningSpec says who signs the metadata and for how long it holds.
type SigningSpec struct {
	// keysSecretRef names the Secret with the signing keys. When the Secret is absent, the manager makes all keys on
	// first use and says so in status. When unset, a Secret named after the Repository with the suffix -signing.
	// +optional
	KeysSecretRef *LocalReference `json:"keysSecretRef,omitempty"`

	// rootExpiry is how long a root version holds. When unset, 8760h.
	// +optional
	RootExpiry Duration `json:"rootExpiry,omitempty"`

	// timestampExpiry is how long devices trust the last state when nobody re-signs. When unset, 168h.
	// +optional
	TimestampExpiry Duration `json:"timestampExpiry,omitempty"`

	// rootConfigMapRef names a ConfigMap with roots of trust that were signed offline, as kubectl windlass repository writes them:
	// 1.root.json, 2.root.json and so on. Each is published once enough keys of its predecessor have signed it.
	// +optional
	RootConfigMapRef *LocalReference `json:"rootConfigMapRef,omitempty"`
}

// Floor is the least version of an app that may ever be offered again. It is published in the root of trust and only rises:
// gateways and devices that verify refuse what is below, whoever offers it.
type Floor struct {
	// app that the floor is for.
	// +required
	App AppID `json:"app,omitempty"`

	// minVersion is the least version that may be offered.
	// +required
	MinVersion Version `json:"minVersion,omitempty"`

	// reason for people.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Reason string `json:"reason,omitempty"`
}

// RetentionSpec says when artifacts that nothing refers to are deleted.
type RetentionSpec struct {
	// unreferencedAfter is the grace time after which an object that no metadata and no Bundle refers to is deleted. When unset, 720h.
	// +optional
	UnreferencedAfter Duration `json:"unreferencedAfter,omitempty"`
}
