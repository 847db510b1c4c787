// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package envelope opens artifacts that CI encrypted as the CLI of Capgo does, with the public key that the app carries, and
// checks that the encrypted checksum is that of what is inside. The format: AES-128-CBC with PKCS#7 padding over the archive; the
// AES key and the SHA-256 of the archive each under the RSA private-key operation with PKCS#1 v1.5 padding of block type 1.
//
// It shows who made an artifact, and hides nothing: whoever has the app has the public key. The package is pure.
package envelope

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

var (
	// ErrInvalid is in the chain of errors about what is not encrypted as it should be, or not with a key of the app.
	ErrInvalid = errors.New("invalid encryption")
	// ErrMismatch is in the chain of errors about a checksum that is that of something else.
	ErrMismatch = errors.New("checksum mismatch")
)

// OldChecksum says how to get from a checksum of the old form to one that devices take (Cap-go/CLI issue 470).
const OldChecksum = "it is of the old form, which devices refuse with checksum_fail: run bundle encrypt --json of @capgo/cli 8.68 or newer " +
	"where package.json has @capgo/capacitor-updater 5.30, 6.30, 7.30, 8 or newer, and take its checksum"

// Envelope is what CI gives along with an encrypted artifact.
type Envelope struct {
	iv       []byte // of AES
	key      []byte // of AES, encrypted
	checksum []byte // SHA-256 of what is inside, encrypted
	keyID    string // of the app's key; empty: not said
}

// Parse reads the session key, base64(IV):base64(encrypted AES key), and the checksum, in lower-case hexadecimal, that
// capgo bundle encrypt prints. KeyID may be empty. Errors do not quote the input.
func Parse(sessionKey, checksum, keyID string) (Envelope, error) {
	ivText, keyText, ok := strings.Cut(sessionKey, ":")
	iv, ok1 := fromBase64(ivText)
	key, ok2 := fromBase64(keyText)
	switch {
	case !ok:
		return Envelope{}, invalid("sessionKey has no colon, expected the ivSessionKey of capgo bundle encrypt --json")
	case !ok1 || len(iv) != aes.BlockSize:
		return Envelope{}, invalid("sessionKey has before its colon no 16 bytes in base64")
	case !ok2 || !slices.Contains(sizes, len(key)):
		return Envelope{}, invalid("sessionKey has behind its colon no 256, 384 or 512 bytes in base64")
	}
	sum, err := hex.DecodeString(checksum)
	if _, old := fromBase64(checksum); err != nil && old {
		return Envelope{}, invalid("checksum is in base64, expected hexadecimal: %s", OldChecksum)
	}
	switch {
	case err != nil || strings.ToLower(checksum) != checksum:
		return Envelope{}, invalid("checksum is not in lower-case hexadecimal")
	case len(sum) != len(key):
		return Envelope{}, invalid("checksum has %d bytes and the key in sessionKey %d, expected as many: both were made with one RSA key; "+
			"the SHA-256 of the archive is not the encrypted checksum", len(sum), len(key))
	}
	return Envelope{iv: iv, key: key, checksum: sum, keyID: keyID}, nil
}

// fromBase64 reads the one way in which bytes are written in base64, without line breaks.
func fromBase64(text string) ([]byte, bool) {
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	return raw, err == nil && base64.StdEncoding.EncodedLen(len(raw)) == len(text)
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrInvalid, fmt.Errorf(format, args...))
}

// Unlock finds the one of an app's keys that the envelope was made with, and recovers what it holds.
func (e Envelope) Unlock(keys []PublicKey) (Opener, error) {
	var known, tried []string
	for _, k := range keys {
		known = append(known, k.ID())
		if e.keyID != "" && e.keyID != k.ID() {
			continue
		}
		tried = append(tried, k.ID())
		if key, ok := k.recover(e.key); ok {
			return e.open(k, key)
		}
	}
	if len(tried) == 0 {
		return Opener{}, invalid("keyID is %s, expected one of the app's keys in the Repository: %s; encrypt with one of them, or add that key",
			e.keyID, strings.Join(known, ", "))
	}
	return Opener{}, invalid("sessionKey was not made with the private half of a key of the app: tried %s; encrypt with that of one of them, "+
		"or add the right key to the Repository", strings.Join(tried, ", "))
}

func (e Envelope) open(k PublicKey, key []byte) (Opener, error) {
	if len(key) != aes.BlockSize {
		return Opener{}, invalid("sessionKey holds a key of %d bytes, expected %d for AES-128", len(key), aes.BlockSize)
	}
	sum, ok := k.recover(e.checksum)
	switch {
	case !ok:
		return Opener{}, invalid("checksum was not made with the private half of %s, though sessionKey was", k.ID())
	case len(sum) == oldSize:
		return Opener{}, invalid("checksum holds %d bytes, expected %d: %s", len(sum), sha256.Size, OldChecksum)
	case len(sum) != sha256.Size:
		return Opener{}, invalid("checksum holds %d bytes, expected the %d of a SHA-256", len(sum), sha256.Size)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return Opener{}, invalid("sessionKey holds no key of AES: %w", err)
	}
	return Opener{KeyID: k.ID(), block: block, iv: e.iv, sum: sum}, nil
}

// oldSize is what the hexadecimal digits of a SHA-256 are in bytes when they are taken for base64, as the old form did.
const oldSize = 2 * sha256.Size / 4 * 3

// Opener decrypts the artifact of an unlocked envelope.
type Opener struct {
	KeyID string // of the key that fitted
	block cipher.Block
	iv    []byte
	sum   []byte
}

// Reader decrypts an artifact as it is read, with constant memory. At the end it fails with ErrInvalid when the artifact was no
// whole number of blocks, or its padding is wrong. What was read is worth nothing until Check accepts it.
func (o Opener) Reader(artifact io.Reader) io.Reader {
	return &reader{src: artifact, mode: cipher.NewCBCDecrypter(o.block, o.iv), buf: make([]byte, aes.BlockSize+pieceSize)}
}

// Check compares the SHA-256 of all that Reader gave with the encrypted checksum.
func (o Opener) Check(sum []byte) error {
	if !bytes.Equal(sum, o.sum) {
		return fmt.Errorf("%w: expected an archive with SHA-256 %x, which checksum holds under key %s, got %x: "+
			"give the checksum that belongs to this archive, in a new Bundle", ErrMismatch, o.sum, o.KeyID, sum)
	}
	return nil
}
