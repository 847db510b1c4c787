// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/windlass-dev/windlass/internal/testkit"
	"github.com/windlass-dev/windlass/internal/verify"
)

// Whatever is handed over as a signature: no panic, and nothing that was not signed for the artifact matches. Only the bytes that
// were signed may.
func FuzzDecodeSignature(f *testing.F) {
	s, m, content := sigstore(f), newMinisigner(f), []byte("artifact")
	blob, err := s.Blob(with(func(o *testkit.Signing) { o.Timestamp = true }), content)
	f.Add(must(f, blob, err))
	statement, err := s.SignStatement(githubIssuer, workflow, marshal(f, statementOf(content, slsaV02, predicateV02())))
	f.Add(must(f, statement, err))
	old, err := s.Blob(with(func(o *testkit.Signing) { o.Version = "0.1" }), content)
	f.Add(must(f, old, err))
	f.Add(m.sign(f, content, "shop/1.0.0"))
	f.Add([]byte("-----BEGIN SSH SIGNATURE-----\n"))
	key := ecKey(f, elliptic.P256()) // each worker makes keys of its own, so those of RSA would take too long
	detached, err := ecdsa.SignASN1(rand.Reader, key, make([]byte, 32))
	f.Add(must(f, detached, err))
	authorities := []verify.Authority{keyless(f, s), m.public, authority(f, "pem", key)}
	f.Fuzz(func(t *testing.T, file []byte) {
		sig, err := verify.DecodeSignature(file)
		if err != nil {
			if len(err.Error()) > 1000 || strings.ContainsAny(err.Error(), "\r\n") {
				t.Errorf("the error has %d bytes or several lines", len(err.Error()))
			}
			return
		}
		v, err := verify.New(now, verify.Subject{App: "shop", Version: "1.0.0"}, authorities, []verify.Signature{sig})
		must(t, v, err)
		_, _ = v.Write([]byte("another artifact"))
		if got := v.Matches(); len(got) > 0 || len(v.Refusals()) != 1 {
			t.Errorf("got matches %v and refusals %q, want none and one", got, v.Refusals())
		}
	})
}

func FuzzParsePublicKey(f *testing.F) {
	f.Add(publicPEM(f, ecKey(f, elliptic.P256())))
	f.Add([]byte(weakRSA))
	f.Add([]byte("untrusted comment: x\nRWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3"))
	f.Fuzz(func(t *testing.T, text []byte) {
		key, err := verify.ParsePublicKey(text)
		if err == nil && (len(key.ID()) != 16 || key.String() == "") {
			t.Errorf("got key %q with id %q", key, key.ID())
		}
		if a := (verify.Authority{Name: "ci", Key: key}); (a.Check() == nil) != (err == nil) {
			t.Errorf("error %v, but the authority says %v", err, a.Check())
		}
	})
}

func FuzzParseTrustedRoot(f *testing.F) {
	s := sigstore(f)
	f.Add(s.TrustedRoot())
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		root, err := verify.ParseTrustedRoot(text)
		if (root == nil) == (err == nil) || err != nil && strings.ContainsAny(err.Error(), "\r\n") {
			t.Errorf("got root %v and error %v", root, err)
		}
	})
}

// A statement that is read is one that encoding/json reads the same way, and is about the artifact or not, never both.
func FuzzStatement(f *testing.F) {
	s, content := sigstore(f), []byte("artifact")
	key := ecKey(f, elliptic.P256())
	for _, predicate := range []object{predicateV02(), predicateV1()} {
		f.Add(marshal(f, statementOf(content, slsaV02, predicate)))
		f.Add(marshal(f, statementOf(content, slsaV1, predicate)))
	}
	a := authority(f, "ci", key)
	a.Provenance = policy()
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := s.Statement(testkit.Signing{ByKey: true, Key: key}, text)
		sig, err2 := verify.DecodeSignature(must(t, file, err))
		if err2 != nil {
			return
		}
		v, err := verify.New(now, verify.Subject{}, []verify.Authority{a}, []verify.Signature{sig})
		must(t, v, err)
		_, _ = v.Write(content)
		if len(v.Matches()) == 0 {
			return
		}
		for _, part := range []string{builder, repository, mainRef} {
			if !bytes.Contains(text, []byte(part)) && !bytes.Contains(text, []byte(`\`)) {
				t.Errorf("%q matches without %s", text, part)
			}
		}
	})
}

func FuzzParseSimpleSigning(f *testing.F) {
	f.Add([]byte(`{"critical":{"image":{"docker-manifest-digest":"` + testkit.Digest(nil) + `"},"type":"cosign container image signature"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		digest, err := verify.ParseSimpleSigning(text)
		if err == nil && (len(digest) != 71 || !bytes.Contains(text, []byte(digest)) && !bytes.Contains(text, []byte(`\`))) {
			t.Errorf("got %q of %q", digest, text)
		}
	})
}
