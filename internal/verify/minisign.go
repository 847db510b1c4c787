// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// The format of minisign: https://jedisct1.github.io/minisign/#signature-format. Sizes in bytes.
const (
	minisignSize    = 2 + 8 + ed25519.SignatureSize // algorithm, key id, signature
	minisignKeySize = 2 + 8 + ed25519.PublicKeySize // algorithm, key id, key
	maxComment      = 1024

	minisignUntrusted = "untrusted comment:"
	minisignTrusted   = "trusted comment: "
	minisignAdvice    = `sign with minisign 0.11 or newer: minisign -S -t "<app>/<version>" -m artifact`
)

// minisignature is what a .minisig file says.
type minisignature struct {
	keyID   [8]byte
	comment string // the trusted one
	global  []byte // signature over the signature and the trusted comment
}

// minisignText decodes the second line of a public key or signature file of minisign or signify, which is all that a key needs.
func minisignText(text []byte) ([]byte, bool) {
	lines := minisignLines(text)
	switch {
	case len(lines) >= 2 && strings.HasPrefix(lines[0], minisignUntrusted):
		lines = lines[1:]
	case len(lines) != 1: // minisign prints a key without its comment, too
		return nil, false
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(lines[0])
	ok := err == nil && (len(raw) == minisignKeySize || len(raw) == minisignSize) && raw[0] == 'E'
	return raw, ok
}

// minisignLines splits text without its last line break. Windows ends lines with CR LF.
func minisignLines(text []byte) []string {
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimSuffix(lines[i], "\r")
	}
	return lines
}

func parseMinisignKey(raw []byte) (Key, error) {
	if len(raw) != minisignKeySize || raw[1] != 'd' {
		return Key{}, errors.New("this is a signature of minisign, expected a public key: give the .pub file that minisign -G made")
	}
	key, err := newKey(ed25519.PublicKey(bytes.Clone(raw[10:])))
	if err != nil {
		return Key{}, err
	}
	key.mini, key.name = new([8]byte(raw[2:10])), "Minisign"
	return key, nil
}

// parseMinisig reads a .minisig file. Only the pre-hashed form is taken: a legacy one needs all of the artifact in memory, and
// those of signify have no trusted comment, which ties a signature to one version.
func parseMinisig(file []byte) (Signature, error) {
	lines := minisignLines(file)
	raw, ok := minisignText(file)
	switch {
	case ok && raw[1] == 'd' && len(lines) == 2:
		return Signature{}, errors.New("this is a signature of signify or a key of minisign: it has no trusted comment; " + minisignAdvice)
	case ok && raw[1] == 'd':
		return Signature{}, errors.New("this is a legacy signature of minisign, which is not pre-hashed; " + minisignAdvice)
	case len(lines) != 4, !ok, len(raw) != minisignSize, raw[1] != 'D', !strings.HasPrefix(lines[2], minisignTrusted):
		return Signature{}, errors.New("this is no whole signature of minisign: expected its four lines, as they are in the .minisig file; " + minisignAdvice)
	}
	comment := strings.TrimPrefix(lines[2], minisignTrusted)
	if len(comment) > maxComment || !utf8.ValidString(comment) {
		return Signature{}, fmt.Errorf("the trusted comment of the minisign signature has %d bytes, expected at most %d of text", len(comment), maxComment)
	}
	global, err := base64.StdEncoding.Strict().DecodeString(lines[3])
	if err != nil || len(global) != ed25519.SignatureSize {
		return Signature{}, errors.New("the signature of the trusted comment cannot be read: expected 64 bytes in base64; " + minisignAdvice)
	}
	m := &minisignature{keyID: [8]byte(raw[2:10]), comment: comment, global: global}
	return Signature{raw: raw[10:], format: Minisign, mini: m, file: bytes.Clone(file)}, nil
}

// minisignChecks verify the signature over the BLAKE2b-512 of the artifact, and that over the comment.
func minisignChecks(a Authority, s Signature, subject Subject) ([]check, error) {
	switch {
	case a.Key.mini == nil:
		return nil, fmt.Errorf("is one of minisign, expected one by the %s key", a.Key)
	case *a.Key.mini != s.mini.keyID:
		return nil, fmt.Errorf("is by minisign key %s, expected %s", minisignID(s.mini.keyID), minisignID(*a.Key.mini))
	case subject.App == "" || subject.Version == "":
		return nil, errors.New("is one of minisign, which is for artifacts of an app and version only")
	}
	want := subject.App + "/" + subject.Version
	c := newCheck(a, s, "Minisign-BLAKE2b512", blake2bID)
	c.test = func(d digests) error {
		if !ed25519.Verify(a.Key.ed, d.of[blake2bID], s.raw) {
			return errNoMatch
		}
		if !ed25519.Verify(a.Key.ed, append(bytes.Clone(s.raw), s.mini.comment...), s.mini.global) {
			return errors.New("has a trusted comment that was changed after it was signed")
		}
		if s.mini.comment != want {
			return fmt.Errorf("has the trusted comment %.100q, expected %.100q", s.mini.comment, want)
		}
		return nil
	}
	return []check{c}, nil
}

// minisignID writes a key id as minisign does: a little-endian number.
func minisignID(id [8]byte) string {
	var out strings.Builder
	for i := len(id) - 1; i >= 0; i-- {
		fmt.Fprintf(&out, "%02X", id[i])
	}
	return out.String()
}
