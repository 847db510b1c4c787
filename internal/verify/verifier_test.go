// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/windlass-dev/windlass/internal/verify"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func authority(t testing.TB, name string, key crypto.Signer) verify.Authority {
	t.Helper()
	k, err := verify.ParsePublicKey(publicPEM(t, key))
	return verify.Authority{Name: name, Key: must(t, k, err)}
}

func decode(t testing.TB, file []byte) verify.Signature {
	t.Helper()
	s, err := verify.DecodeSignature(file)
	return must(t, s, err)
}

func digestOf(h crypto.Hash, content []byte) []byte {
	w := h.New()
	w.Write(content)
	return w.Sum(nil)
}

// check feeds content in uneven pieces and gives the algorithms by authority.
func check(t testing.TB, content []byte, authorities []verify.Authority, signatures ...verify.Signature) map[string]string {
	t.Helper()
	v, err := verify.New(now, verify.Subject{}, authorities, signatures)
	must(t, v, err)
	for rest := content; len(rest) > 0; {
		n := min(1+len(rest)/3, len(rest))
		if _, err := v.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if want := fmt.Sprintf("sha256:%x", digestOf(crypto.SHA256, content)); v.Digest() != want {
		t.Errorf("digest is %s, want %s", v.Digest(), want)
	}
	out := map[string]string{}
	for _, m := range v.Matches() {
		out[m.Authority] = m.Algorithm
	}
	return out
}

// signer makes signatures by one scheme.
type signer struct {
	key  crypto.Signer
	sign func(content []byte) ([]byte, error)
}

// signers are made once: RSA keys take their time. Strangers have other keys.
var (
	onceSigners   sync.Once
	madeSigners   map[string]signer
	madeStrangers map[string]signer
)

func signers(t testing.TB) map[string]signer {
	t.Helper()
	onceSigners.Do(func() { madeSigners, madeStrangers = makeSigners(t), makeSigners(t) })
	return madeSigners
}

func strangers(t testing.TB) map[string]signer {
	t.Helper()
	signers(t)
	return madeStrangers
}

func makeSigners(t testing.TB) map[string]signer {
	t.Helper()
	out := map[string]signer{}
	for _, c := range []struct {
		name  string
		curve elliptic.Curve
		hash  crypto.Hash
	}{
		{"ECDSA-P256-SHA256", elliptic.P256(), crypto.SHA256},
		{"ECDSA-P384-SHA384", elliptic.P384(), crypto.SHA384},
		{"ECDSA-P384-SHA256", elliptic.P384(), crypto.SHA256},
		{"ECDSA-P521-SHA512", elliptic.P521(), crypto.SHA512},
		{"ECDSA-P521-SHA256", elliptic.P521(), crypto.SHA256},
	} {
		key := ecKey(t, c.curve)
		out[c.name] = signer{key, func(content []byte) ([]byte, error) {
			return ecdsa.SignASN1(rand.Reader, key, digestOf(c.hash, content))
		}}
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	must(t, ed, err)
	out["Ed25519"] = signer{ed, func(content []byte) ([]byte, error) { return ed25519.Sign(ed, content), nil }}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, key, err)
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA512} {
		name := strings.ReplaceAll(h.String(), "-", "")
		out["RSA-PKCS1v15-"+name] = signer{key, func(content []byte) ([]byte, error) { return rsa.SignPKCS1v15(nil, key, h, digestOf(h, content)) }}
		out["RSA-PSS-"+name] = signer{key, func(content []byte) ([]byte, error) {
			return rsa.SignPSS(rand.Reader, key, h, digestOf(h, content), &rsa.PSSOptions{SaltLength: 20})
		}}
	}
	return out
}

func TestVerifier_schemes(t *testing.T) {
	content := bytes.Repeat([]byte("artifact "), 10_000)
	foreign := strangers(t)
	for name, s := range signers(t) {
		t.Run(name, func(t *testing.T) {
			sig, err := s.sign(content)
			must(t, sig, err)
			ci := []verify.Authority{authority(t, "ci", s.key)}
			want := map[string]string{"ci": name}
			if diff := cmp.Diff(want, check(t, content, ci, decode(t, sig))); diff != "" {
				t.Errorf("a good signature (-want +got):\n%s", diff)
			}
			if got := check(t, content[:len(content)-1], ci, decode(t, sig)); len(got) > 0 {
				t.Errorf("a truncated artifact matches: %v", got)
			}
			if got := check(t, nil, ci, decode(t, sig)); len(got) > 0 {
				t.Errorf("an empty artifact matches: %v", got)
			}
			if got := check(t, content, []verify.Authority{authority(t, "other", foreign[name].key)}, decode(t, sig)); len(got) > 0 {
				t.Errorf("another key matches: %v", got)
			}
		})
	}
}

// One bit changed anywhere, in the artifact or the signature, and nothing matches.
func TestVerifier_oneBit(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 64)
	flip := func(b []byte) ([]byte, string) {
		b, offset, bit := bytes.Clone(b), mathrand.IntN(len(b)), mathrand.IntN(8)
		b[offset] ^= 1 << bit
		return b, fmt.Sprintf("bit %d of byte %d", bit, offset)
	}
	for name, s := range signers(t) {
		t.Run(name, func(t *testing.T) {
			sig, err := s.sign(content)
			must(t, sig, err)
			ci := []verify.Authority{authority(t, "ci", s.key)}
			for range 12 { // P-521 takes 20 ms a time with the race detector
				changed, what := flip(content)
				if got := check(t, changed, ci, decode(t, sig)); len(got) > 0 {
					t.Fatalf("an artifact with another %s matches: %v", what, got)
				}
				changed, what = flip(sig)
				bad, err := verify.DecodeSignature(changed)
				if err != nil {
					continue // refused even sooner
				}
				if got := check(t, content, ci, bad); len(got) > 0 {
					t.Fatalf("a signature with another %s matches: %v", what, got)
				}
			}
		})
	}
}

// Of many authorities and signatures, each pair is found once, whichever way round they are given.
func TestVerifier_many(t *testing.T) {
	content := []byte("artifact")
	want := map[string]string{}
	var authorities []verify.Authority
	var signatures []verify.Signature
	for name, s := range signers(t) {
		authorities = append(authorities, authority(t, name, s.key))
		sig, err := s.sign(content)
		signatures = append(signatures, decode(t, must(t, sig, err)))
		want[name] = name
	}
	got := check(t, content, authorities, append(signatures, signatures...)...)
	for name := range want { // the RSA schemes share a key: one of its signatures is enough for each of its names
		if got[name] == "" || !strings.HasPrefix(name, "RSA") && got[name] != name {
			t.Errorf("authority %s matched by %q", name, got[name])
		}
	}
	if got := check(t, content, nil, signatures...); len(got) > 0 {
		t.Errorf("matches without authorities: %v", got)
	}
	if got := check(t, content, authorities); len(got) > 0 {
		t.Errorf("matches without signatures: %v", got)
	}
}

// Signatures of two artifacts that were swapped match neither.
func TestVerifier_swapped(t *testing.T) {
	s := signers(t)["Ed25519"]
	ci := []verify.Authority{authority(t, "ci", s.key)}
	a, _ := s.sign([]byte("a"))
	b, _ := s.sign([]byte("b"))
	if got := check(t, []byte("a"), ci, decode(t, b)); len(got) > 0 {
		t.Errorf("the signature of b matches a: %v", got)
	}
	if got := check(t, []byte("b"), ci, decode(t, b), decode(t, a)); len(got) != 1 {
		t.Errorf("got %v, want one match", got)
	}
}

func TestVerifier_notAfter(t *testing.T) {
	s := signers(t)["ECDSA-P256-SHA256"]
	sig, _ := s.sign([]byte("a"))
	for _, tc := range []struct {
		notAfter time.Time
		want     int
	}{{now.Add(-time.Second), 0}, {now, 1}, {now.Add(time.Hour), 1}, {time.Time{}, 1}} {
		a := authority(t, "ci", s.key)
		a.NotAfter = tc.notAfter
		if got := check(t, []byte("a"), []verify.Authority{a}, decode(t, sig)); len(got) != tc.want {
			t.Errorf("notAfter %s: got %v, want %d matches", tc.notAfter, got, tc.want)
		}
	}
	a := authority(t, "old", s.key)
	a.NotAfter = now.Add(-time.Second)
	v, err := verify.New(now, verify.Subject{}, []verify.Authority{a, authority(t, "new", s.key)}, nil)
	must(t, v, err)
	tried, expired := v.Tried()
	if diff := cmp.Diff([][]string{{"new"}, {"old"}}, [][]string{tried, expired}); diff != "" {
		t.Errorf("tried and expired (-want +got):\n%s", diff)
	}
}

func TestVerifier_tooManyStreams(t *testing.T) {
	s := signers(t)["Ed25519"]
	var authorities []verify.Authority
	for i := range 11 {
		authorities = append(authorities, authority(t, fmt.Sprint(i), s.key))
	}
	var signatures []verify.Signature
	for i := range 3 {
		sig, _ := s.sign([]byte{byte(i)})
		signatures = append(signatures, decode(t, sig))
	}
	if _, err := verify.New(now, verify.Subject{}, authorities, signatures); err == nil || !strings.Contains(err.Error(), "11 authorities and 3 signatures make 33 pairs") {
		t.Errorf("got error %v, want one about 33 pairs", err)
	}
	if _, err := verify.New(now, verify.Subject{}, authorities[1:], signatures); err != nil {
		t.Errorf("30 pairs are refused: %v", err)
	}
}

// order is that of the base point of edwards25519 (RFC 8032, 5.1), little endian.
var order = []byte{
	0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
}

func addOrder(s []byte) []byte {
	out, carry := bytes.Clone(s), 0
	for i := range out {
		sum := int(s[i]) + int(order[i]) + carry
		out[i], carry = byte(sum), sum>>8
	}
	return out
}

// The streamed check says the same as crypto/ed25519 about good, mutated, random and non-canonical signatures.
func TestVerifier_agreesWithCryptoEd25519(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		key := ed25519.NewKeyFromSeed(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(rt, "seed"))
		content := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(rt, "content")
		sig := ed25519.Sign(key, content)
		switch rapid.IntRange(0, 4).Draw(rt, "mutation") {
		case 1:
			sig[rapid.IntRange(0, 63).Draw(rt, "offset")] ^= byte(rapid.IntRange(1, 255).Draw(rt, "change"))
		case 2:
			copy(sig[32:], addOrder(sig[32:]))
		case 3:
			copy(sig[rapid.IntRange(0, 1).Draw(rt, "half")*32:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(rt, "bytes"))
		case 4: // R of small order
			copy(sig[:32], append([]byte{1}, make([]byte, 31)...))
		}
		want := ed25519.Verify(key.Public().(ed25519.PublicKey), content, sig)
		got := len(check(t, content, []verify.Authority{authority(t, "ci", key)}, decode(t, sig))) == 1
		if got != want {
			rt.Fatalf("streamed check says %v, crypto/ed25519 says %v", got, want)
		}
	})
}

// A raw signature may start with any byte, also with those that other formats start with.
func TestDecodeSignature_firstBytes(t *testing.T) {
	for _, size := range []int{64, 256, 512} {
		for first := range 256 {
			raw := bytes.Repeat([]byte{0x80}, size)
			raw[0] = byte(first)
			if s, err := verify.DecodeSignature(raw); err != nil || !bytes.Equal(s.Bytes(), raw) {
				t.Errorf("%d bytes that start with %#x: got %x and error %v", size, first, s.Bytes(), err)
			}
		}
	}
}

func TestDecodeSignature_accepts(t *testing.T) {
	raw, _ := signers(t)["ECDSA-P256-SHA256"].sign([]byte("a"))
	text := base64.StdEncoding.EncodeToString(raw)
	for name, file := range map[string]string{
		"raw": string(raw), "base64": text, "base64 with line breaks": text[:40] + "\n" + text[40:] + "\n",
		"base64 with CRLF": text[:40] + "\r\n" + text[40:] + "\r\n", "base64 without padding": strings.TrimRight(text, "="),
	} {
		s, err := verify.DecodeSignature([]byte(file))
		if err != nil || !bytes.Equal(s.Bytes(), raw) || s.Base64() != text {
			t.Errorf("%s: got %x and error %v, want %x", name, s.Bytes(), err, raw)
		}
	}
	spaced := append(bytes.Repeat([]byte{7}, 63), '\n') // a raw signature may end in a byte that looks like white space
	if s, err := verify.DecodeSignature(spaced); err != nil || len(s.Bytes()) != 64 {
		t.Errorf("got %d bytes and error %v, want 64", len(s.Bytes()), err)
	}
}

func TestDecodeSignature_refuses(t *testing.T) {
	raw, _ := signers(t)["ECDSA-P256-SHA256"].sign([]byte("a"))
	empty := `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{}}`
	minisign := append([]byte("ED12345678"), make([]byte, 64)...)
	line2 := base64.StdEncoding.EncodeToString(minisign)
	legacy := base64.StdEncoding.EncodeToString(append([]byte("Ed12345678"), make([]byte, 64)...))
	tail := "\ntrusted comment: shop/1.0.0\n" + base64.StdEncoding.EncodeToString(make([]byte, 64)) + "\n"
	file, err := sigstore(t).SignBlob(githubIssuer, workflow, nil)
	must(t, file, err)
	bundleWith := func(version string) string { return strings.Replace(string(file), "bundle.v0.3", "bundle."+version, 1) }
	for name, tc := range map[string]struct {
		file      string
		supported bool
		want      string
	}{
		"empty":                {"", true, "0 bytes"},
		"blank":                {" \n", true, "no signature"},
		"text":                 {"<html>Not found</html>", true, "no signature"},
		"cut":                  {string(raw[:len(raw)-1]), true, "no signature"},
		"too large":            {strings.Repeat("A", verify.MaxSignatureFile+1), true, "1024 KiB"},
		"large and no bundle":  {strings.Repeat("A", 65<<10), true, "no signature"},
		"JSON":                 {`{"a":1}`, true, "no Sigstore bundle"},
		"JSON, one name twice": {`{"a":1,"a":1}`, true, `the name "a" twice`},
		"old cosign bundle":    {`{"base64Signature":"","cert":"","rekorBundle":{}}`, true, "cosign sign-blob --bundle"},
		"empty bundle":         {empty, true, "no Sigstore bundle"},
		"bundle in base64":     {base64.StdEncoding.EncodeToString([]byte(empty)), true, "no Sigstore bundle"},
		"future bundle":        {strings.Replace(empty, "v0.3", "v0.4", 1), true, "0.1 to 0.3"},
		"odd version":          {bundleWith("v0.2"), true, "the media type of the Sigstore bundle"},
		"legacy minisign":      {"untrusted comment: signature\n" + legacy + tail, true, "minisign 0.11 or newer"},
		"signify":              {"untrusted comment: verify with key.pub\n" + legacy + "\n", true, "signify"},
		"minisign, line 2":     {line2, true, "four lines"},
		"minisign, cut":        {"untrusted comment: signature\n" + line2 + "\n", true, "four lines"},
		"minisign, more":       {"untrusted comment: signature\n" + line2 + tail + "more\n", true, "four lines"},
		"minisign, no prefix":  {"untrusted comment: s\n" + line2 + strings.Replace(tail, "trusted", "Trusted", 1), true, "four lines"},
		"minisign, global":     {"untrusted comment: s\n" + line2 + "\ntrusted comment: shop/1.0.0\nAAAA\n", true, "64 bytes in base64"},
		"minisign, long":       {"untrusted comment: s\n" + line2 + "\ntrusted comment: " + strings.Repeat("x", 1025) + "\nAAAA\n", true, "1025 bytes"},
		"minisign, latin 1":    {"untrusted comment: s\n" + line2 + "\ntrusted comment: \xe9\nAAAA\n", true, "of text"},
		"SSH":                  {"-----BEGIN SSH SIGNATURE-----\nabc\n", false, "SSH"},
		"PGP":                  {"-----BEGIN PGP SIGNATURE-----\n\nabc\n", false, "PGP"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := verify.DecodeSignature([]byte(tc.file))
			if err == nil || !strings.Contains(err.Error(), tc.want) || errors.Is(err, verify.ErrNotSupportedYet) == tc.supported {
				t.Errorf("got error %v, want one that says %q (not supported yet: %v)", err, tc.want, !tc.supported)
			}
		})
	}
}

// What an author signs for another purpose is no artifact, however it is cut into writes.
func TestVerifier_otherMessages(t *testing.T) {
	for name, s := range signers(t) {
		for message, want := range map[string]bool{
			"DSSEv1 28 application/vnd.in-toto+json 2 {}": false, `{"critical":{"type":"x"}}`: false, "DSSEv1 ": false,
			"DSSEv2 28": true, "DSSEv1": true, `{"critica":{}}`: true, " DSSEv1 28": true,
		} {
			raw, _ := s.sign([]byte(message))
			for _, payload := range []bool{false, true} {
				v, err := verify.New(now, verify.Subject{Payload: payload}, []verify.Authority{authority(t, "ci", s.key)}, []verify.Signature{decode(t, raw)})
				must(t, v, err)
				for i := range message {
					_, _ = v.Write([]byte{message[i]})
				}
				got, why := len(v.Matches()) == 1, v.Refusals()
				if got != (want || payload) || !got && !strings.Contains(why[0], "signed for another purpose") {
					t.Errorf("%s, %q as payload %v: got a match %v and refusals %q", name, message, payload, got, why)
				}
			}
		}
	}
}
