// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// MaxSignatureFile is the largest file in bytes that may be handed to DecodeSignature: a Sigstore bundle holds a whole statement.
// Other formats have at most maxPlainFile.
const MaxSignatureFile = 1 << 20

// ErrNotSupportedYet is in the chain of errors about signature formats that are known and not verified by this version.
var ErrNotSupportedYet = errors.New("this signature format is not supported yet")

// Sizes in bytes.
const (
	maxPlainFile  = 64 << 10
	ed25519Size   = 64
	maxECDSASize  = 139 // two integers of P-521 in ASN.1
	minRSASize    = minRSA / 8
	maxRSASize    = maxRSA / 8
	asn1Sequence  = 0x30
	opensslAdvice = "make one with openssl dgst -sha256 -sign, or openssl pkeyutl -sign -rawin for Ed25519"
)

// Signature is a signature over an artifact.
type Signature struct {
	raw    []byte
	format Format
	file   []byte         // that it was read from; nil: detached
	mini   *minisignature // of format Minisign
	bundle *sigstoreBundle
}

// Bytes are the signature itself: ASN.1 for ECDSA, 64 bytes for Ed25519 and minisign, as long as the modulus for RSA.
func (s Signature) Bytes() []byte { return s.raw }

// Base64 is the signature as the API writes it.
func (s Signature) Base64() string { return base64.StdEncoding.EncodeToString(s.raw) }

func (s Signature) equal(o Signature) bool {
	return s.format == o.format && bytes.Equal(s.raw, o.raw) && bytes.Equal(s.file, o.file)
}

// DecodeSignature reads a detached signature, a .minisig file or a Sigstore bundle in JSON, each as it is or in base64. Errors
// about formats that are known and not verified have ErrNotSupportedYet in their chain; errors never quote the input.
func DecodeSignature(file []byte) (Signature, error) {
	if len(file) > MaxSignatureFile {
		return Signature{}, fmt.Errorf("the signature has more than %d KiB", MaxSignatureFile>>10)
	}
	raw := file
	if decoded, ok := fromBase64(file); ok {
		raw = decoded
	}
	for _, text := range [][]byte{file, raw} {
		if s, known, err := readable(text); known {
			return s, err
		}
	}
	if len(file) > maxPlainFile || !plausible(raw) {
		return Signature{}, fmt.Errorf("%d bytes are no signature: expected ECDSA in ASN.1, %d bytes of Ed25519, or %d to %d bytes of RSA, "+
			"as they are or in base64, a .minisig file or a Sigstore bundle; %s", len(raw), ed25519Size, minRSASize, maxRSASize, opensslAdvice)
	}
	return Signature{raw: bytes.Clone(raw), format: Detached}, nil
}

// fromBase64 decodes standard base64 with line breaks, padded or not. Binary signatures are not valid base64 but with a
// probability far below that of a broken disk: each byte would have to be one of 64 letters.
func fromBase64(file []byte) ([]byte, bool) {
	text := bytes.Join(bytes.Fields(file), nil)
	if len(text) == 0 {
		return nil, false
	}
	text = bytes.TrimRight(text, "=")
	decoded := make([]byte, base64.RawStdEncoding.DecodedLen(len(text)))
	n, err := base64.RawStdEncoding.Decode(decoded, text)
	return decoded[:n], err == nil
}

// readable reads the formats that begin with text of their own.
func readable(text []byte) (s Signature, known bool, err error) {
	trimmed := bytes.TrimSpace(text)
	switch {
	case bytes.HasPrefix(trimmed, []byte("{")) && json.Valid(trimmed): // a raw signature may start with any byte
		s, err = parseBundle(trimmed)
		return s, true, err
	case bytes.HasPrefix(trimmed, []byte(minisignUntrusted)), isMinisign(text):
		if len(text) > maxPlainFile {
			return Signature{}, true, fmt.Errorf("the minisign signature has more than %d KiB", maxPlainFile>>10)
		}
		s, err = parseMinisig(text)
		return s, true, err
	case bytes.HasPrefix(trimmed, []byte("-----BEGIN ")):
		return Signature{}, true, fmt.Errorf("%w: the signature is an armoured one, such as of PGP or SSH; use a detached signature in base64: %s",
			ErrNotSupportedYet, opensslAdvice)
	}
	return Signature{}, false, nil
}

// isMinisign recognises the second line of a minisign file, decoded.
func isMinisign(raw []byte) bool {
	return len(raw) == minisignSize && raw[0] == 'E' && (raw[1] == 'd' || raw[1] == 'D')
}

func plausible(raw []byte) bool {
	switch n := len(raw); {
	case n == ed25519Size, n >= minRSASize && n <= maxRSASize:
		return true
	default: // the length octet of the outer sequence must fit, or the signature was cut
		return n >= 8 && n <= maxECDSASize && raw[0] == asn1Sequence && (int(raw[1]) == n-2 || raw[1] == 0x81 && int(raw[2]) == n-3)
	}
}
