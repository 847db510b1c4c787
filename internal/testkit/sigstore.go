// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
)

// Sigstore is an instance of Sigstore for tests and the demo: an authority that gives certificates for identities, a log of
// certificates, a transparency log and a timestamp authority, all in this process and with keys of their own. It writes the files
// by hand, without the packages that verify them. What it signs is verified offline with TrustedRoot.
type Sigstore struct {
	start time.Time
	ca    issued // of identities
	tsa   issued
	tsaCA issued
	rekor *ecdsa.PrivateKey
	ct    *ecdsa.PrivateKey
}

// issued is a certificate and its key.
type issued struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewSigstore makes an instance with new keys. It has been there since a day ago.
func NewSigstore() (*Sigstore, error) {
	s := &Sigstore{start: time.Now().Add(-24 * time.Hour).Truncate(time.Second)}
	var err error
	for _, key := range []**ecdsa.PrivateKey{&s.rekor, &s.ct} {
		if *key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return nil, err
		}
	}
	if s.ca, err = s.authority("fulcio", x509.ExtKeyUsageCodeSigning); err != nil {
		return nil, err
	}
	if s.tsaCA, err = s.authority("tsa", x509.ExtKeyUsageTimeStamping); err != nil {
		return nil, err
	}
	s.tsa, err = s.timestamper()
	return s, err
}

// Signing says how to sign. The zero value is what cosign makes today: a bundle 0.3 with an entry of the log.
type Signing struct {
	Issuer  string
	Subject string // a URI where it has a colon and no @, else an email address

	Version   string        // of the bundle: 0.1, 0.2 or 0.3; empty: 0.3
	At        time.Time     // start of the certificate, which is valid for ten minutes; zero: a minute ago
	Logged    time.Duration // after At
	NoLog     bool
	NoCT      bool                // a certificate that no log has
	Timestamp bool                // adds an RFC 3161 timestamp of now, so At must be about now
	Extra     []pkix.Extension    // of the certificate
	Key       crypto.Signer       // of the signer, P-256 or Ed25519; nil: a new one of P-256
	ByKey     bool                // no certificate and no log
	Change    func(bundle Object) // before it is written
}

// Object is JSON that is being made.
type Object = map[string]any

// SignBlob gives a Sigstore bundle over the SHA-256 of an artifact, keyless.
func (s *Sigstore) SignBlob(issuer, subject string, artifact []byte) ([]byte, error) {
	return s.Blob(Signing{Issuer: issuer, Subject: subject}, artifact)
}

// SignStatement gives a Sigstore bundle over an in-toto statement, keyless.
func (s *Sigstore) SignStatement(issuer, subject string, statement []byte) ([]byte, error) {
	return s.Statement(Signing{Issuer: issuer, Subject: subject}, statement)
}

// Blob is SignBlob with more to choose. An Ed25519 key signs by Ed25519ph over the SHA-512, as cosign does.
func (s *Sigstore) Blob(o Signing, artifact []byte) ([]byte, error) {
	key, err := o.key()
	if err != nil {
		return nil, err
	}
	hash, name := hashOf(key)
	digest := hashed(hash, artifact)
	sig, err := key.Sign(rand.Reader, digest, hash)
	if err != nil {
		return nil, err
	}
	content := Object{"messageDigest": Object{"algorithm": name, "digest": digest}, "signature": sig}
	entry := func(verifier []byte) Object { return hashedRekord(hash, digest, sig, verifier) }
	return s.bundle(o, key, sig, Object{"messageSignature": content}, entry)
}

// Statement is SignStatement with more to choose.
func (s *Sigstore) Statement(o Signing, statement []byte) ([]byte, error) {
	const payloadType = "application/vnd.in-toto+json"
	key, err := o.key()
	if err != nil {
		return nil, err
	}
	message, hash := dsse.PAE(payloadType, statement), crypto.Hash(0)
	if _, ok := key.Public().(ed25519.PublicKey); !ok {
		hash = crypto.SHA256
		message = hashed(hash, message)
	}
	sig, err := key.Sign(rand.Reader, message, hash)
	if err != nil {
		return nil, err
	}
	envelope := Object{"payload": statement, "payloadType": payloadType, "signatures": []Object{{"sig": sig}}}
	entry := func(verifier []byte) Object { return dsseRecord(envelope, sig, verifier) }
	return s.bundle(o, key, sig, Object{"dsseEnvelope": envelope}, entry)
}

func (o Signing) key() (crypto.Signer, error) {
	if o.Key != nil {
		return o.Key, nil
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

func hashOf(key crypto.Signer) (hash crypto.Hash, name string) {
	if _, ok := key.Public().(ed25519.PublicKey); ok {
		return crypto.SHA512, "SHA2_512"
	}
	return crypto.SHA256, "SHA2_256"
}

func hashed(hash crypto.Hash, content []byte) []byte {
	h := hash.New()
	h.Write(content)
	return h.Sum(nil)
}

// bundle puts together what is needed to verify a signature. entry makes the entry of the log from the verifier in PEM.
func (s *Sigstore) bundle(o Signing, key crypto.Signer, sig []byte, content Object, entry func([]byte) Object) ([]byte, error) {
	material := Object{}
	at := o.At
	if at.IsZero() {
		at = time.Now().Add(-time.Minute)
	}
	if o.ByKey {
		der, err := x509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			return nil, err
		}
		hint := sha256.Sum256(der)
		material["publicKey"] = Object{"hint": hex.EncodeToString(hint[:])}
	} else if err := s.certify(material, o, key.Public(), at); err != nil {
		return nil, err
	}
	if cert := leafOf(material); cert != nil && !o.NoLog {
		body := entry(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
		logged, err := s.logEntry(body, at.Add(o.Logged), o.Version == "0.1")
		if err != nil {
			return nil, err
		}
		material["tlogEntries"] = []Object{logged}
	}
	if o.Timestamp {
		response, err := s.timestamp(sig)
		if err != nil {
			return nil, err
		}
		material["timestampVerificationData"] = Object{"rfc3161Timestamps": []Object{{"signedTimestamp": response}}}
	}
	content["mediaType"], content["verificationMaterial"] = mediaType(o.Version), material
	if o.Change != nil {
		o.Change(content)
	}
	return json.Marshal(content)
}

func mediaType(version string) string {
	if version == "0.1" || version == "0.2" {
		return "application/vnd.dev.sigstore.bundle+json;version=" + version
	}
	return "application/vnd.dev.sigstore.bundle.v0.3+json"
}

// certify adds a certificate for the identity. Bundles before 0.3 hold the chain without its root.
func (s *Sigstore) certify(material Object, o Signing, public crypto.PublicKey, at time.Time) error {
	der, err := s.leaf(o, public, at)
	if err != nil {
		return err
	}
	if o.Version == "0.1" || o.Version == "0.2" {
		material["x509CertificateChain"] = Object{"certificates": []Object{{"rawBytes": der}}}
	} else {
		material["certificate"] = Object{"rawBytes": der}
	}
	return nil
}

func leafOf(material Object) []byte {
	if chain, ok := material["x509CertificateChain"].(Object); ok {
		return chain["certificates"].([]Object)[0]["rawBytes"].([]byte)
	}
	if cert, ok := material["certificate"].(Object); ok {
		return cert["rawBytes"].([]byte)
	}
	return nil
}

// authority makes a certificate that signs others.
func (s *Sigstore) authority(name string, usage x509.ExtKeyUsage) (issued, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name, Organization: []string{"windlass.test"}},
		NotBefore: s.start, NotAfter: s.start.AddDate(10, 0, 0), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		ExtKeyUsage: []x509.ExtKeyUsage{usage}, BasicConstraintsValid: true, IsCA: true,
	}
	return issue(template, issued{})
}

// issue signs a certificate with a new key, by itself without a parent.
func issue(template *x509.Certificate, parent issued) (issued, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return issued{}, err
	}
	if parent.cert == nil {
		parent = issued{cert: template, key: key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent.cert, &key.PublicKey, parent.key)
	if err != nil {
		return issued{}, err
	}
	cert, err := x509.ParseCertificate(der)
	return issued{cert: cert, key: key}, err
}

// TrustedRoot is the trusted_root.json of the instance.
func (s *Sigstore) TrustedRoot() []byte {
	valid := Object{"start": s.start.UTC().Format(time.RFC3339)}
	log := func(url string, key *ecdsa.PrivateKey) []Object {
		public := Object{"rawBytes": spki(key), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": valid}
		id := sha256.Sum256(spki(key))
		return []Object{{"baseUrl": url, "hashAlgorithm": "SHA2_256", "publicKey": public, "logId": Object{"keyId": id[:]}}}
	}
	authority := func(url string, chain ...issued) []Object {
		var certs []Object
		for _, c := range chain {
			certs = append(certs, Object{"rawBytes": c.cert.Raw})
		}
		name := Object{"organization": "windlass.test", "commonName": chain[len(chain)-1].cert.Subject.CommonName}
		return []Object{{"subject": name, "uri": url, "certChain": Object{"certificates": certs}, "validFor": valid}}
	}
	text, err := json.MarshalIndent(Object{
		"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
		"tlogs":     log("https://rekor.test", s.rekor), "ctlogs": log("https://ct.test", s.ct),
		"certificateAuthorities": authority("https://fulcio.test", s.ca), "timestampAuthorities": authority("https://tsa.test", s.tsa, s.tsaCA),
	}, "", "  ")
	if err != nil {
		panic(err) // strings and bytes
	}
	return append(text, '\n')
}

func spki(key *ecdsa.PrivateKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		panic(err) // a key of P-256 has an encoding
	}
	return der
}
