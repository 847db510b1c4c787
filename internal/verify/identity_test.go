// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"aead.dev/minisign"

	"github.com/windlass-dev/windlass/internal/verify"
)

func TestAuthority_check(t *testing.T) {
	s := sigstore(t)
	regexp := func(pattern string) verify.Authority {
		a := keyless(t, s)
		a.Identity.Subject, a.Identity.SubjectRegExp = "", pattern
		return a
	}
	hash := func(signer string, h crypto.Hash) verify.Authority {
		a := authority(t, "ci", signers(t)[signer].key)
		a.Hash = h
		return a
	}
	both := keyless(t, s)
	both.Key = authority(t, "ci", ecKey(t, elliptic.P256())).Key
	hashed := keyless(t, s)
	hashed.Hash = crypto.SHA256
	subjects := keyless(t, s)
	subjects.Identity.SubjectRegExp = "^a$"
	mini := newMinisigner(t).public
	mini.Hash = crypto.BLAKE2b_512
	for name, tc := range map[string]struct {
		authority verify.Authority
		want      string // empty: it can be used
	}{
		"key":                     {authority(t, "ci", ecKey(t, elliptic.P256())), ""},
		"keyless":                 {keyless(t, s), ""},
		"nothing":                 {verify.Authority{Name: "ci"}, "neither a key nor an identity"},
		"both":                    {both, "a key and an identity"},
		"keyless with hash":       {hashed, "none can be set"},
		"two subjects":            {subjects, "expected one"},
		"no subject":              {regexp(""), "expected one"},
		"ECDSA with hash":         {hash("ECDSA-P384-SHA384", crypto.SHA384), ""},
		"RSA with hash":           {hash("RSA-PSS-SHA512", crypto.SHA384), ""},
		"weak hash":               {hash("RSA-PSS-SHA512", crypto.SHA1), "expected SHA-256"},
		"Ed25519 with hash":       {hash("Ed25519", crypto.SHA512), "none can be set"},
		"minisign with hash":      {mini, "none can be set"},
		"anchored":                {regexp(`^https://github\.com/acme/[^/]+$`), ""},
		"case":                    {regexp(`^(?i)https://github\.com/acme$`), ""},
		"alternatives, bracket":   {regexp(`^(?:a|b)$`), ""},
		"no start":                {regexp(`https://github\.com/acme/.*$`), "not anchored"},
		"no end":                  {regexp(`^https://github\.com/acme/.*`), "not anchored"},
		"alternatives":            {regexp(`^a|b$`), "not anchored"},
		"each with anchors":       {regexp(`^a$|^b$`), "not anchored"},
		"quoted end":              {regexp(`^a\$`), "not anchored"},
		"end in a set":            {regexp(`^[a$]$`), ""},
		"lines":                   {regexp(`(?m)^a$`), "not anchored"},
		"lines inside":            {regexp(`^(?m)a$`), "not anchored"},
		"brackets that close":     {regexp(`^a)|(?:b$`), "cannot be read"},
		"quote that does not end": {regexp(`^a\Q$`), "not anchored"},
		"optional start":          {regexp(`^?a$`), "not anchored"},
		"optional end":            {regexp(`^a(?:b|$)|c$`), "not anchored"},
		"nothing but anchors":     {regexp(`^$`), ""},
		"anybody":                 {regexp(`^.*$`), "matches anybody"},
		"anybody, one letter":     {regexp(`^.+$`), "matches anybody"},
		"anybody, group":          {regexp(`^(?s:.*)$`), "matches anybody"},
		"anybody, not a letter":   {regexp(`^[^\x00]*$`), "matches anybody"},
		"anybody, alternative":    {regexp(`^(?:https://github\.com/acme/x|.*)$`), "matches anybody"},
		"anybody with an email":   {regexp(`^.+@.+$`), "matches anybody"},
		"anybody on the web":      {regexp(`^https://.*$`), "matches anybody"},
		"anybody of a service":    {regexp(`^https://github\.com/[^/]+/[^/]+/\.github/.*$`), "matches anybody"},
		"any short word":          {regexp(`^\w{1,10}$`), "matches anybody"},
		"everybody of a company":  {regexp(`^[a-z.]+@acme\.example$`), ""},
		"too large":               {regexp(`^a{1000}{1000}$`), "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			err := tc.authority.Check()
			if (tc.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got error %v, want %q", err, tc.want)
			}
		})
	}
}

// A pattern matches the whole subject or nothing, whatever is in it.
func TestIdentity_regexp(t *testing.T) {
	s := sigstore(t)
	for _, tc := range []struct {
		pattern, subject string
		want             bool
	}{
		{`^https://github\.com/acme/[^/]+/x$`, "https://github.com/acme/shop/x", true},
		{`^https://github\.com/acme/[^/]+/x$`, "https://github.com/acme/shop/x/", false},
		{`^https://github\.com/acme/[^/]+/x$`, "https://github.com/acme/a/b/x", false},
		{`^https://github\.com/acme/[^/]+/x$`, "https://evil-github.com/acme/shop/x", false},
		{`^(?:https://a\.test|https://b\.test)$`, "https://b.test", true},
		{`^(?:https://a\.test|https://b\.test)$`, "https://b.test.evil.test", false},
		{`^https://[a-z.]*(?:|x)$`, "https://a.test/y", false},
		{`^HTTPS://a\.test$`, "https://a.test", false},
		{`^(?i)HTTPS://a\.test$`, "https://a.test", true},
	} {
		a := keyless(t, s)
		a.Identity.Subject, a.Identity.SubjectRegExp = "", tc.pattern
		file, err := s.SignBlob(githubIssuer, tc.subject, []byte("a"))
		if n, why := refusals(t, []byte("a"), a, must(t, file, err)); (n == 1) != tc.want {
			t.Errorf("%s and %s: got %d matches and %q, want a match: %v", tc.pattern, tc.subject, n, why, tc.want)
		}
	}
}

func TestFingerprint(t *testing.T) {
	s := sigstore(t)
	key := authority(t, "ci", ecKey(t, elliptic.P384()))
	public, private, err := minisign.GenerateKey(rand.Reader)
	must(t, public, err)
	_ = private
	miniKey, err := verify.ParsePublicKey([]byte(public.String()))
	must(t, miniKey, err)
	change := func(a verify.Authority, f func(*verify.Authority)) verify.Authority {
		if a.Identity != nil {
			id := *a.Identity
			a.Identity = &id
		}
		f(&a)
		return a
	}
	id := keyless(t, s)
	all := map[string]verify.Authority{
		"key": key, "minisign": {Key: miniKey}, "keyless": id,
		"another key":   authority(t, "ci", ecKey(t, elliptic.P384())),
		"hash":          change(key, func(a *verify.Authority) { a.Hash = crypto.SHA256 }),
		"another hash":  change(key, func(a *verify.Authority) { a.Hash = crypto.SHA384 }),
		"provenance":    change(key, func(a *verify.Authority) { a.Provenance = &verify.Provenance{BuilderID: "a"} }),
		"source":        change(key, func(a *verify.Authority) { a.Provenance = &verify.Provenance{SourceRepository: "a"} }),
		"ref":           change(key, func(a *verify.Authority) { a.Provenance = &verify.Provenance{Ref: "a"} }),
		"issuer":        change(id, func(a *verify.Authority) { a.Identity.Issuer = "x" }),
		"subject":       change(id, func(a *verify.Authority) { a.Identity.Subject = "x" }),
		"as a regexp":   change(id, func(a *verify.Authority) { a.Identity.Subject, a.Identity.SubjectRegExp = "", workflow }),
		"log":           change(id, func(a *verify.Authority) { a.Identity.LogOptional = true }),
		"another root":  change(id, func(a *verify.Authority) { a.Identity.Root = keyless(t, sigstore(t)).Identity.Root }),
		"id and policy": change(id, func(a *verify.Authority) { a.Provenance = &verify.Provenance{} }),
	}
	seen := map[string]string{}
	for name, a := range all {
		got := a.Fingerprint()
		if other, ok := seen[got]; ok || len(got) != 64 {
			t.Errorf("%s and %q have the same fingerprint %s of 64 digits", name, other, got)
		}
		seen[got] = name
		if got != change(a, func(a *verify.Authority) { a.Name, a.NotAfter = "other", time.Now() }).Fingerprint() {
			t.Errorf("%s: the fingerprint depends on the name or the time", name)
		}
	}
}

// An explicit hash is the only one that is tried.
func TestAuthority_hash(t *testing.T) {
	content := []byte("artifact")
	for name, tc := range map[string]struct {
		signer string
		hash   crypto.Hash
		want   int
	}{
		"P-384, its own":  {"ECDSA-P384-SHA384", crypto.SHA384, 1},
		"P-384, other":    {"ECDSA-P384-SHA256", crypto.SHA384, 0},
		"P-384, SHA-256":  {"ECDSA-P384-SHA256", crypto.SHA256, 1},
		"P-384, narrowed": {"ECDSA-P384-SHA384", crypto.SHA256, 0},
		"P-521, unusual":  {"ECDSA-P521-SHA512", crypto.SHA384, 0},
		"RSA, narrowed":   {"RSA-PSS-SHA512", crypto.SHA256, 0},
		"RSA, named":      {"RSA-PSS-SHA512", crypto.SHA512, 1},
	} {
		a := authority(t, "ci", signers(t)[tc.signer].key)
		a.Hash = tc.hash
		if n, why := refusals(t, content, a, mustSign(t, signers(t)[tc.signer], content)); n != tc.want {
			t.Errorf("%s: got %d matches and %q, want %d", name, n, why, tc.want)
		}
	}
}

func TestParseTrustedRoot(t *testing.T) {
	s := sigstore(t)
	good := s.TrustedRoot()
	without := func(parts ...string) []byte {
		var m map[string]json.RawMessage
		if err := json.Unmarshal(good, &m); err != nil {
			t.Fatal(err)
		}
		for _, part := range parts {
			delete(m, part)
		}
		text, err := json.Marshal(m)
		return must(t, text, err)
	}
	if root, err := verify.ParseTrustedRoot(good); err != nil || !strings.HasPrefix(root.Digest(), "sha256:") || len(root.Digest()) != 71 {
		t.Errorf("got digest %s and error %v", root.Digest(), err)
	}
	for name, tc := range map[string]struct {
		text []byte
		want string // empty: it is read
	}{
		"no log of certificates": {without("ctlogs"), ""},
		"no timestamps":          {without("timestampAuthorities"), ""},
		"no log":                 {without("tlogs"), ""},
		"no times at all":        {without("tlogs", "timestampAuthorities"), "neither a transparency log nor a timestamp authority"},
		"no authority":           {without("certificateAuthorities"), "no certificate authority"},
		"no type":                {without("mediaType"), "unsupported TrustedRoot media type"},
		"empty":                  {nil, "no JSON"},
		"a key":                  {publicPEM(t, ecKey(t, elliptic.P256())), "no JSON"},
		"a bundle":               {[]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","messageSignature":{}}`), "expected a trusted_root.json"},
		"twice":                  {bytes.Replace(good, []byte(`{`), []byte(`{"ctlogs":[],`), 1), `"ctlogs" twice`},
		"more":                   {append(bytes.Clone(good), "{}"...), "more after its end"},
		"deep":                   {[]byte(strings.Repeat("[", 100) + strings.Repeat("]", 100)), "64 levels"},
		"too large":              {bytes.Repeat([]byte(" "), verify.MaxTrustedRoot+1), "at most 524288"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := verify.ParseTrustedRoot(tc.text)
			if (tc.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got error %v, want %q", err, tc.want)
			}
		})
	}
}
