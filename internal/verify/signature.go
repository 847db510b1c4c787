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

// MaxSignatureFile is the largest file in bytes that may be handed to DecodeSignature.
const MaxSignatureFile = 64 << 10

// ErrNotSupportedYet is in the chain of errors about signature formats that are known and not verified by this version.
var ErrNotSupportedYet = errors.New("this signature format is not supported yet")

// Sizes in bytes.
const (
	ed25519Size   = 64
	minisignSize  = 2 + 8 + 64 // algorithm, key id, signature
	maxECDSASize  = 139        // two integers of P-521 in ASN.1
	minRSASize    = minRSA / 8
	maxRSASize    = maxRSA / 8
	asn1Sequence  = 0x30
	opensslAdvice = "make one with openssl dgst -sha256 -sign, or openssl pkeyutl -sign -rawin for Ed25519"
)

// Signature is a detached signature over an artifact.
type Signature struct{ raw []byte }

// Bytes are the signature itself: ASN.1 for ECDSA, 64 bytes for Ed25519, as long as the modulus for RSA.
func (s Signature) Bytes() []byte { return s.raw }

// Base64 is the signature as the API writes it.
func (s Signature) Base64() string { return base64.StdEncoding.EncodeToString(s.raw) }

// DecodeSignature reads a signature, in base64 or as it is. Errors about formats that are planned have ErrNotSupportedYet
// in their chain; they never quote the input.
func DecodeSignature(file []byte) (Signature, error) {
	if len(file) > MaxSignatureFile {
		return Signature{}, fmt.Errorf("the signature has more than %d KiB", MaxSignatureFile>>10)
	}
	raw := file
	if decoded, ok := fromBase64(file); ok {
		raw = decoded
	}
	for _, text := range [][]byte{file, raw} {
		if err := foreignFormat(text); err != nil {
			return Signature{}, err
		}
	}
	if !plausible(raw) {
		return Signature{}, fmt.Errorf("%d bytes are no signature: expected ECDSA in ASN.1, %d bytes of Ed25519, or %d to %d bytes of RSA, "+
			"as they are or in base64; %s", len(raw), ed25519Size, minRSASize, maxRSASize, opensslAdvice)
	}
	return Signature{raw: bytes.Clone(raw)}, nil
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

// foreignFormat recognises what other tools write.
func foreignFormat(text []byte) error {
	trimmed := bytes.TrimSpace(text)
	switch {
	case bytes.HasPrefix(trimmed, []byte("{")) && json.Valid(trimmed): // a raw signature may start with any byte
		return fmt.Errorf("%w: the signature is JSON, such as a Sigstore bundle; use a detached signature by a public key: %s",
			ErrNotSupportedYet, opensslAdvice)
	case bytes.HasPrefix(trimmed, []byte("untrusted comment:")), isMinisign(text):
		return fmt.Errorf("%w: the signature is one of minisign or signify; use a detached signature in base64: %s",
			ErrNotSupportedYet, opensslAdvice)
	case bytes.HasPrefix(trimmed, []byte("-----BEGIN ")):
		return fmt.Errorf("%w: the signature is an armoured one, such as of PGP or SSH; use a detached signature in base64: %s",
			ErrNotSupportedYet, opensslAdvice)
	}
	return nil
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
