// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/digitorus/timestamp"
	"golang.org/x/crypto/cryptobyte"
	cryptobyteasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

const leafLife = 10 * time.Minute

// Extensions of certificates by Fulcio, and of embedded timestamps of certificate logs (RFC 6962, 3.3).
var (
	oidSAN      = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidIssuerV1 = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1}
	oidIssuerV2 = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 8}
	oidSCTs     = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}
)

// leaf gives a certificate for the identity, with a timestamp of the certificate log in it. That is over the certificate as it was
// without it.
func (s *Sigstore) leaf(o Signing, public crypto.PublicKey, at time.Time) ([]byte, error) {
	issuer, err := asn1.MarshalWithParams(o.Issuer, "utf8")
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)), NotBefore: at.Truncate(time.Second), NotAfter: at.Truncate(time.Second).Add(leafLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		ExtraExtensions: append([]pkix.Extension{
			{Id: oidSAN, Critical: true, Value: subjectName(o.Subject)},
			{Id: oidIssuerV1, Value: []byte(o.Issuer)}, {Id: oidIssuerV2, Value: issuer},
		}, o.Extra...),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, s.ca.cert, public, s.ca.key)
	if err != nil || o.NoCT {
		return der, err
	}
	bare, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	scts, err := s.certificateTimestamp(bare.RawTBSCertificate, at)
	if err != nil {
		return nil, err
	}
	template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: oidSCTs, Value: scts})
	return x509.CreateCertificate(rand.Reader, template, s.ca.cert, public, s.ca.key)
}

// subjectName is a GeneralNames with the subject as it is: hostile ones, too.
func subjectName(subject string) []byte {
	tag := cryptobyteasn1.Tag(1)
	if strings.Contains(subject, ":") && !strings.Contains(strings.SplitN(subject, ":", 2)[0], "@") {
		tag = 6
	}
	var b cryptobyte.Builder
	b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(tag.ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes([]byte(subject)) })
	})
	return b.BytesOrPanic()
}

// certificateTimestamp signs a certificate for the certificate log (RFC 6962, 3.2) and gives the extension.
func (s *Sigstore) certificateTimestamp(tbs []byte, at time.Time) ([]byte, error) {
	millis := uint64(at.UnixMilli())
	issuer := sha256.Sum256(s.ca.cert.RawSubjectPublicKeyInfo)
	var signed cryptobyte.Builder
	signed.AddBytes([]byte{0, 0}) // version 1, certificate timestamp
	signed.AddUint64(millis)
	signed.AddUint16(1) // of a certificate without this extension
	signed.AddBytes(issuer[:])
	signed.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(tbs) })
	signed.AddUint16(0) // no extensions
	sig, err := signSHA256(s.ct, signed.BytesOrPanic())
	if err != nil {
		return nil, err
	}
	id := sha256.Sum256(spki(s.ct))
	var b cryptobyte.Builder
	b.AddASN1(cryptobyteasn1.OCTET_STRING, func(b *cryptobyte.Builder) {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
				b.AddUint8(0) // version 1
				b.AddBytes(id[:])
				b.AddUint64(millis)
				b.AddUint16(0)           // no extensions
				b.AddBytes([]byte{4, 3}) // SHA-256, ECDSA
				b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(sig) })
			})
		})
	})
	return b.Bytes()
}

func signSHA256(key *ecdsa.PrivateKey, message []byte) ([]byte, error) {
	sum := sha256.Sum256(message)
	return ecdsa.SignASN1(rand.Reader, key, sum[:])
}

// hashedRekord is what the transparency log keeps of a signature over an artifact (Rekor, hashedrekord 0.0.1).
func hashedRekord(hash crypto.Hash, digest, sig, verifier []byte) Object {
	name := strings.ToLower(strings.ReplaceAll(hash.String(), "-", ""))
	return Object{"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": Object{
		"data":      Object{"hash": Object{"algorithm": name, "value": hex.EncodeToString(digest)}},
		"signature": Object{"content": sig, "publicKey": Object{"content": verifier}},
	}}
}

// dsseRecord is what it keeps of a signature over a statement (Rekor, dsse 0.0.1).
func dsseRecord(envelope Object, sig, verifier []byte) Object {
	text, err := json.Marshal(envelope)
	if err != nil {
		panic(err) // strings and bytes
	}
	sum := func(content []byte) Object {
		s := sha256.Sum256(content)
		return Object{"algorithm": "sha256", "value": hex.EncodeToString(s[:])}
	}
	return Object{"apiVersion": "0.0.1", "kind": "dsse", "spec": Object{
		"envelopeHash": sum(text), "payloadHash": sum(envelope["payload"].([]byte)),
		"signatures": []Object{{"signature": base64.StdEncoding.EncodeToString(sig), "verifier": verifier}},
	}}
}

// logEntry is an entry of the transparency log with its signed time and, but for bundles 0.1, the proof that it is in the log.
func (s *Sigstore) logEntry(record Object, at time.Time, bare bool) (Object, error) {
	const index = 1001
	body, err := json.Marshal(record) // Go sorts names and adds no spaces: this is canonical
	if err != nil {
		return nil, err
	}
	id := sha256.Sum256(spki(s.rekor))
	payload, err := json.Marshal(Object{
		"body": base64.StdEncoding.EncodeToString(body), "integratedTime": at.Unix(), "logID": hex.EncodeToString(id[:]), "logIndex": index,
	})
	if err != nil {
		return nil, err
	}
	promise, err := signSHA256(s.rekor, payload)
	if err != nil {
		return nil, err
	}
	entry := Object{
		"logIndex": strconv.Itoa(index), "logId": Object{"keyId": id[:]}, "integratedTime": strconv.FormatInt(at.Unix(), 10),
		"kindVersion":      Object{"kind": record["kind"], "version": record["apiVersion"]},
		"inclusionPromise": Object{"signedEntryTimestamp": promise}, "canonicalizedBody": body,
	}
	if !bare {
		entry["inclusionProof"], err = s.inclusion(body)
	}
	return entry, err
}

// inclusion proves that the body is the second of two entries (RFC 6962, 2.1) by a checkpoint that the log signed.
func (s *Sigstore) inclusion(body []byte) (Object, error) {
	const origin = "rekor.test"
	first := sha256.Sum256([]byte("\x00first"))
	leaf := sha256.Sum256(slices.Concat([]byte{0}, body))
	root := sha256.Sum256(slices.Concat([]byte{1}, first[:], leaf[:]))
	note := fmt.Sprintf("%s - 1\n2\n%s\n", origin, base64.StdEncoding.EncodeToString(root[:]))
	sig, err := signSHA256(s.rekor, []byte(note))
	if err != nil {
		return nil, err
	}
	id := sha256.Sum256(spki(s.rekor))
	hint := binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(id[:4]))
	envelope := fmt.Sprintf("%s\n\u2014 %s %s\n", note, origin, base64.StdEncoding.EncodeToString(append(hint, sig...)))
	return Object{
		"logIndex": "1", "treeSize": "2", "rootHash": root[:], "hashes": [][]byte{first[:]}, "checkpoint": Object{"envelope": envelope},
	}, nil
}

// timestamper makes the certificate that signs timestamps (RFC 3161, 2.3).
func (s *Sigstore) timestamper() (issued, error) {
	usage, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	if err != nil {
		return issued{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "timestamps", Organization: []string{"windlass.test"}},
		NotBefore: s.start, NotAfter: s.start.AddDate(9, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: usage}},
	}
	return issue(template, s.tsaCA)
}

// timestamp gives a response of the timestamp authority over a signature.
func (s *Sigstore) timestamp(sig []byte) ([]byte, error) {
	query, err := timestamp.CreateRequest(bytes.NewReader(sig), &timestamp.RequestOptions{Hash: crypto.SHA256})
	if err != nil {
		return nil, err
	}
	request, err := timestamp.ParseRequest(query)
	if err != nil {
		return nil, err
	}
	stamp := timestamp.Timestamp{
		HashAlgorithm: request.HashAlgorithm, HashedMessage: request.HashedMessage, Time: time.Now(),
		Policy: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 2}, ExtraExtensions: request.Extensions,
	}
	return stamp.CreateResponseWithOpts(s.tsa.cert, s.tsa.key, crypto.SHA256)
}
