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
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windlass-dev/windlass/internal/testkit"
	"github.com/windlass-dev/windlass/internal/verify"
)

const (
	githubIssuer = "https://token.actions.githubusercontent.com"
	workflow     = "https://github.com/acme/shop/.github/workflows/release.yml@refs/heads/main"
)

func sigstore(t testing.TB) *testkit.Sigstore {
	t.Helper()
	s, err := testkit.NewSigstore()
	return must(t, s, err)
}

// keyless is an authority of a workflow.
func keyless(t testing.TB, s *testkit.Sigstore) verify.Authority {
	t.Helper()
	root, err := verify.ParseTrustedRoot(s.TrustedRoot())
	return verify.Authority{Name: "ci", Identity: &verify.Identity{Issuer: githubIssuer, Subject: workflow, Root: must(t, root, err)}}
}

// refusals feeds an artifact and gives how many authorities matched and what is refused.
func refusals(t testing.TB, content []byte, a verify.Authority, file []byte) (int, []string) {
	t.Helper()
	v, err := verify.New(now, verify.Subject{App: "shop", Version: "1.0.0"}, []verify.Authority{a}, []verify.Signature{decode(t, file)})
	must(t, v, err)
	if _, err := v.Write(content); err != nil {
		t.Fatal(err)
	}
	return len(v.Matches()), v.Refusals()
}

// with gives what Signing says by default for the workflow, changed.
func with(change func(*testkit.Signing)) testkit.Signing {
	o := testkit.Signing{Issuer: githubIssuer, Subject: workflow}
	if change != nil {
		change(&o)
	}
	return o
}

func TestSigstore_good(t *testing.T) {
	s, content := sigstore(t), []byte("artifact")
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	must(t, ed, err)
	for name, tc := range map[string]struct {
		change    func(*testkit.Signing)
		algorithm string
	}{
		"0.3":                {nil, "ECDSA-P256-SHA256"},
		"0.2":                {func(o *testkit.Signing) { o.Version = "0.2" }, "ECDSA-P256-SHA256"},
		"0.1":                {func(o *testkit.Signing) { o.Version = "0.1" }, "ECDSA-P256-SHA256"},
		"log and timestamp":  {func(o *testkit.Signing) { o.Timestamp = true }, "ECDSA-P256-SHA256"},
		"in its last minute": {func(o *testkit.Signing) { o.Logged = 9 * time.Minute }, "ECDSA-P256-SHA256"},
		"Ed25519":            {func(o *testkit.Signing) { o.Key = ed }, "Ed25519ph-SHA512"},
	} {
		t.Run(name, func(t *testing.T) {
			file, err := s.Blob(with(tc.change), content)
			must(t, file, err)
			a := keyless(t, s)
			for _, text := range [][]byte{file, []byte(base64.StdEncoding.EncodeToString(file)), append([]byte(" \n"), file...)} {
				sig := decode(t, text)
				v, err := verify.New(now, verify.Subject{}, []verify.Authority{a}, []verify.Signature{sig})
				must(t, v, err)
				_, _ = v.Write(content)
				want := []verify.Match{{
					Authority: "ci", Trust: a.Fingerprint(), Issuer: githubIssuer, Subject: workflow, Algorithm: tc.algorithm, Signature: sig,
				}}
				same := cmp.Comparer(func(a, b verify.Signature) bool { return a.Base64() == b.Base64() && a.Format() == b.Format() })
				if diff := cmp.Diff(want, v.Matches(), same); diff != "" {
					t.Fatalf("matches (-want +got):\n%s\n%q", diff, v.Refusals())
				}
				if sig.Format() != verify.SigstoreBundle || !bytes.Equal(sig.Evidence(), file) || len(v.Refusals()) > 0 {
					t.Errorf("format %s, %d bytes of evidence of %d, refusals %q", sig.Format(), len(sig.Evidence()), len(file), v.Refusals())
				}
			}
		})
	}
}

// An instance without a log: the timestamp of its authority is enough when the identity says so, and nothing is without it.
func TestSigstore_logOptional(t *testing.T) {
	s, content := sigstore(t), []byte("artifact")
	for name, tc := range map[string]struct {
		optional, timestamp, log bool
		want                     string // of the refusal; empty: it matches
	}{
		"log, required":              {false, false, true, ""},
		"log, optional":              {true, false, true, ""},
		"timestamp, optional":        {true, true, false, ""},
		"timestamp, log required":    {false, true, false, "is in no transparency log of the trusted root"},
		"neither, optional":          {true, false, false, "has no timestamp of an authority of the trusted root"},
		"neither, required":          {false, false, false, "is in no transparency log of the trusted root"},
		"both, and both are checked": {false, true, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := keyless(t, s)
			a.Identity.LogOptional = tc.optional
			file, err := s.Blob(with(func(o *testkit.Signing) { o.NoLog, o.Timestamp = !tc.log, tc.timestamp }), content)
			n, why := refusals(t, content, a, must(t, file, err))
			if (tc.want == "") != (n == 1) || tc.want != "" && !strings.Contains(why[0], tc.want) {
				t.Errorf("got %d matches and refusals %q, want %q", n, why, tc.want)
			}
		})
	}
}

func TestSigstore_refuses(t *testing.T) {
	s, other, content := sigstore(t), sigstore(t), []byte("artifact")
	file, err := s.Blob(with(nil), content)
	must(t, file, err)
	foreign, err := other.Blob(with(nil), content)
	must(t, foreign, err)
	hour := time.Hour
	for name, tc := range map[string]struct {
		change func(*testkit.Signing)
		use    func(*verify.Authority)
		want   string
	}{
		"another issuer":  {func(o *testkit.Signing) { o.Issuer = "https://accounts.google.com" }, nil, `is of the issuer "https://accounts.google.com", expected "` + githubIssuer},
		"another subject": {func(o *testkit.Signing) { o.Subject = "mallory@example.com" }, nil, `is of the subject "mallory@example.com", expected "https://github.com/acme`},
		"by regexp": {func(o *testkit.Signing) { o.Subject += "-evil" }, func(a *verify.Authority) {
			a.Identity.Subject, a.Identity.SubjectRegExp = "", "^https://github[.]com/acme/.*/main$"
		}, "expected one that matches"},
		"logged too late": {func(o *testkit.Signing) { o.Logged = hour }, nil, "at a time when its certificate was not valid"},
		"logged too soon": {func(o *testkit.Signing) { o.Logged = -hour }, nil, "at a time when its certificate was not valid"},
		"before the root": {func(o *testkit.Signing) { o.At = now.Add(-100 * 24 * hour) }, nil, "is in no transparency log"},
		"no log":          {func(o *testkit.Signing) { o.NoLog = true }, nil, "is in no transparency log"},
		"no CT":           {func(o *testkit.Signing) { o.NoCT = true }, nil, "in no certificate log of the trusted root"},
		"by a key":        {func(o *testkit.Signing) { o.ByKey = true }, nil, "is by a key, expected a keyless one"},
		"key authority":   {nil, func(a *verify.Authority) { *a = authority(t, "ci", ecKey(t, elliptic.P256())) }, "is keyless by"},
		"foreign root":    {nil, func(a *verify.Authority) { *a = keyless(t, other) }, "is in no transparency log of the trusted root"},
		"foreign CA":      {nil, func(a *verify.Authority) { a.Identity.Root = mixedRoot(t, s, other, "certificateAuthorities") }, "has a certificate of no authority of the trusted root"},
		"foreign CT log":  {nil, func(a *verify.Authority) { a.Identity.Root = mixedRoot(t, s, other, "ctlogs") }, "in no certificate log of the trusted root"},
		"foreign log":     {nil, func(a *verify.Authority) { a.Identity.Root = mixedRoot(t, s, other, "tlogs") }, "is in no transparency log"},
		"promise of another bundle": {func(o *testkit.Signing) {
			o.Change = func(b testkit.Object) { entryOf(b)["inclusionPromise"] = otherEntry(t, foreign)["inclusionPromise"] }
		}, nil, "is in no transparency log"},
		"entry of another signature": {func(o *testkit.Signing) {
			o.Change = func(b testkit.Object) {
				b["verificationMaterial"].(testkit.Object)["tlogEntries"] = []any{otherEntry(t, file)}
			}
		}, nil, "does not prove it"},
		"moved digest": {func(o *testkit.Signing) {
			o.Change = func(b testkit.Object) {
				sum := sha256.Sum256([]byte("other"))
				b["messageSignature"].(testkit.Object)["messageDigest"].(testkit.Object)["digest"] = sum[:]
			}
		}, nil, "is over the artifact with SHA256 d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa, expected c7c5c1d7"},
		"invalid identity": {nil, func(a *verify.Authority) { a.Identity.Subject, a.Identity.SubjectRegExp = "", "^a|b$" }, "is not anchored"},
		"no root":          {nil, func(a *verify.Authority) { a.Identity.Root = nil }, "has no trusted root"},
		"no issuer":        {nil, func(a *verify.Authority) { a.Identity.Issuer = "" }, "has no issuer"},
	} {
		t.Run(name, func(t *testing.T) {
			bad, err := s.Blob(with(tc.change), content)
			must(t, bad, err)
			a := keyless(t, s)
			if tc.use != nil {
				tc.use(&a)
			}
			n, why := refusals(t, content, a, bad)
			if n != 0 || len(why) != 1 || !strings.Contains(why[0], tc.want) || !strings.HasPrefix(why[0], "signature 1 (SigstoreBundle): for authority ci it ") {
				t.Errorf("got %d matches and refusals %q, want one that says %q", n, why, tc.want)
			}
			if _, again := refusals(t, content, a, bad); !slices.Equal(why, again) {
				t.Errorf("refusals are not stable: %q and %q", why, again)
			}
		})
	}
	if n, why := refusals(t, []byte("another"), keyless(t, s), file); n != 0 || !strings.Contains(why[0], "is over the artifact with SHA256 c7c5c1d7") {
		t.Errorf("another artifact: got %d matches and refusals %q", n, why)
	}
}

func entryOf(b testkit.Object) testkit.Object {
	return b["verificationMaterial"].(testkit.Object)["tlogEntries"].([]testkit.Object)[0]
}

// otherEntry is the entry of the log in a bundle that was written.
func otherEntry(t testing.TB, file []byte) map[string]any {
	t.Helper()
	var b map[string]any
	if err := json.Unmarshal(file, &b); err != nil {
		t.Fatal(err)
	}
	return b["verificationMaterial"].(map[string]any)["tlogEntries"].([]any)[0].(map[string]any)
}

// mixedRoot is the trusted root of s with one part of other.
func mixedRoot(t testing.TB, s, other *testkit.Sigstore, part string) *verify.TrustedRoot {
	t.Helper()
	var mine, theirs map[string]json.RawMessage
	for from, into := range map[*testkit.Sigstore]*map[string]json.RawMessage{s: &mine, other: &theirs} {
		if err := json.Unmarshal(from.TrustedRoot(), into); err != nil {
			t.Fatal(err)
		}
	}
	mine[part] = theirs[part]
	text, err := json.Marshal(mine)
	root, err2 := verify.ParseTrustedRoot(must(t, text, err))
	return must(t, root, err2)
}

// Certificates that two programs may read in two ways are refused as soon as they are read.
func TestSigstore_oddCertificates(t *testing.T) {
	s := sigstore(t)
	issuerV1 := asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1}
	for name, tc := range map[string]struct {
		change func(*testkit.Signing)
		want   string
	}{
		"two issuers": {func(o *testkit.Signing) {
			o.Extra = []pkix.Extension{{Id: issuerV1, Value: []byte("https://evil.example")}}
		}, ""},
		"line break in email": {func(o *testkit.Signing) { o.Subject = "a@b.example\nx" }, "one line"},
		"no issuer":           {func(o *testkit.Signing) { o.Issuer = "" }, "one line"},
		"long subject":        {func(o *testkit.Signing) { o.Subject = "https://a.test/" + strings.Repeat("a", 1024) }, "at most 1024"},
		"issuer, two lines":   {func(o *testkit.Signing) { o.Issuer += "\n" }, "one line"},
		"unicode subject":     {func(o *testkit.Signing) { o.Subject = "\u0430lice@example.com" }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			file, err := s.Blob(with(tc.change), []byte("artifact"))
			if err != nil {
				return // the certificate cannot even be made
			}
			if _, err := verify.DecodeSignature(file); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got error %v, want one that says %q", err, tc.want)
			}
		})
	}
}

// A bundle by key needs no log: the key alone decides.
func TestBundle_byKey(t *testing.T) {
	s, content := sigstore(t), bytes.Repeat([]byte("artifact"), 1000)
	p256 := ecKey(t, elliptic.P256())
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	must(t, ed, err)
	pure := func(b testkit.Object) {
		b["messageSignature"].(testkit.Object)["signature"] = ed25519.Sign(ed, content)
	}
	for name, tc := range map[string]struct {
		key    crypto.Signer
		change func(testkit.Object)
		want   string
	}{
		"P-256": {p256, nil, "ECDSA-P256-SHA256"}, "Ed25519ph": {ed, nil, "Ed25519ph-SHA512"}, "Ed25519, streamed": {ed, pure, "Ed25519"},
	} {
		t.Run(name, func(t *testing.T) {
			file, err := s.Blob(testkit.Signing{ByKey: true, Key: tc.key, Change: tc.change}, content)
			sig := decode(t, must(t, file, err))
			ci := []verify.Authority{authority(t, "ci", tc.key)}
			if diff := cmp.Diff(map[string]string{"ci": tc.want}, check(t, content, ci, sig)); diff != "" {
				t.Errorf("match (-want +got):\n%s", diff)
			}
			if got := check(t, content[1:], ci, sig); len(got) > 0 {
				t.Errorf("another artifact matches: %v", got)
			}
			other := []verify.Authority{authority(t, "ci", ecKey(t, elliptic.P256()))}
			if got := check(t, content, other, sig); len(got) > 0 {
				t.Errorf("another key matches: %v", got)
			}
		})
	}
}

// Workers share authorities and signatures, as those of one Repository do.
func TestSigstore_concurrent(t *testing.T) {
	s, content := sigstore(t), []byte("artifact")
	a := keyless(t, s)
	blob, err := s.SignBlob(githubIssuer, workflow, content)
	must(t, blob, err)
	statement, err := s.SignStatement(githubIssuer, workflow, marshal(t, statementOf(content, slsaV1, predicateV1())))
	signatures := []verify.Signature{decode(t, blob), decode(t, must(t, statement, err))}
	for i := range 8 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			v, err := verify.New(now, verify.Subject{}, []verify.Authority{a}, signatures)
			_, _ = must(t, v, err).Write(content)
			if len(v.Matches()) != 1 || len(v.Refusals()) != 0 {
				t.Errorf("got %d matches and refusals %q, want one match", len(v.Matches()), v.Refusals())
			}
		})
	}
}

// Eight of twelve signatures are refused, with a bound on what is said.
func TestRefusals_bounded(t *testing.T) {
	var authorities []verify.Authority
	var signatures []verify.Signature
	for i := range 12 {
		authorities = append(authorities, authority(t, strings.Repeat("x", 60)+string(rune('a'+i)), ecKey(t, elliptic.P256())))
		sig, err := ecdsa.SignASN1(rand.Reader, ecKey(t, elliptic.P256()), make([]byte, 32))
		signatures = append(signatures, decode(t, must(t, sig, err)))
	}
	v, err := verify.New(now, verify.Subject{}, authorities, signatures)
	got := must(t, v, err).Refusals()
	if len(got) != 8 {
		t.Errorf("got %d refusals, want 8", len(got))
	}
	for _, text := range got {
		if len(text) > 512 || !strings.Contains(text, "and 8 more") {
			t.Errorf("got %d bytes: %q", len(text), text)
		}
	}
}
