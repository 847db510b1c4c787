// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package signatures_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"aead.dev/minisign"

	"github.com/windlass-dev/windlass/internal/testkit"
	"github.com/windlass-dev/windlass/internal/verify"
)

// lookAlikes are issuers and subjects that are almost those of the authority.
func lookAlikes() (issuers, subjects []string) {
	subjects = []string{
		"", " " + subject, subject + " ", subject + "/", subject + ".", subject + "\n", "\n" + subject, subject + "\x00", subject + "\t",
		subject + "x", "x" + subject, subject[1:], subject[:len(subject)-1], strings.ToUpper(subject), subject + "?a=b", subject + "#main",
		strings.Replace(subject, "https://", "http://", 1), strings.Replace(subject, "https://", "HTTPS://", 1),
		strings.Replace(subject, "github.com", "GitHub.com", 1), strings.Replace(subject, "github.com", "evil-github.com", 1),
		strings.Replace(subject, "github.com", "github.com.evil.test", 1), strings.Replace(subject, "github.com", "github.com:443", 1),
		strings.Replace(subject, "github.com", "githubxcom", 1), strings.Replace(subject, "github.com", "github.com.", 1),
		strings.Replace(subject, "https://", "https://evil@", 1), strings.Replace(subject, "github.com", "g\u0456thub.com", 1),
		strings.Replace(subject, "github.com", "xn--gthub-2of.com", 1), strings.Replace(subject, "acme", "acme-evil", 1),
		strings.Replace(subject, "acme", "evil/acme", 1), strings.Replace(subject, "acme", "acm\u0435", 1), strings.Replace(subject, "acme", "acme%2f", 1),
		strings.Replace(subject, "shop", "shop-evil", 1), strings.Replace(subject, "shop", "Shop", 1), strings.Replace(subject, "shop", "s%68op", 1),
		strings.Replace(subject, "/shop/", "/shop//", 1), strings.Replace(subject, "/shop/", "/shop/../shop/", 1), strings.Replace(subject, "/shop/", "/shop/./", 1),
		strings.Replace(subject, "release.yml", "release.yaml", 1), strings.Replace(subject, "release.yml", "releasexyml", 1),
		strings.Replace(subject, "@refs/heads/main", "", 1), strings.Replace(subject, "main", "main2", 1), strings.Replace(subject, "main", "dev", 1),
		strings.Replace(subject, "refs/heads/", "refs/tags/", 1), strings.Replace(subject, "refs/heads/", "refs/pull/1/", 1), strings.Replace(subject, "@", "%40", 1),
		subject + "|" + subject, "^" + subject + "$", ".*", "(?:" + subject + ")", "acme@github.com", "https://github.com/acme/shop",
	}
	issuers = []string{
		"", issuer + "/", issuer + ".", issuer + " ", issuer + "\n", "\n" + issuer, issuer + "\x00", strings.ToUpper(issuer), issuer[1:],
		strings.Replace(issuer, "https", "http", 1), issuer + ".evil.test", strings.Replace(issuer, "token", "evil-token", 1),
		strings.Replace(issuer, "actions", "acti0ns", 1), strings.Replace(issuer, "com", "c\u043em", 1), issuer + "/acme", issuer + "?x", issuer + "#x",
		"https://accounts.google.com", "https://gitlab.com", "^" + issuer + "$", ".*", strings.Replace(issuer, ".", "x", 1), issuer + ":443",
		strings.Replace(issuer, "https://", "https://x@", 1), "token.actions.githubusercontent.com",
	}
	return issuers, subjects
}

// Each look-alike is tried against the exact subject and against a regular expression for it.
func TestLookAlikes(t *testing.T) {
	s, content := newSigstore(t), []byte("artifact")
	exact, pattern, loose := keyless(t, s), keyless(t, s), keyless(t, s)
	pattern.Identity.Subject = ""
	pattern.Identity.SubjectRegExp = `^https://github\.com/acme/shop/\.github/workflows/[a-z]+\.yml@refs/heads/main$`
	loose.Identity.Subject, loose.Identity.SubjectRegExp = "", `^(?s)https://github\.com/acme/.*$`
	issuers, subjects := lookAlikes()
	try := func(c *tally, o testkit.Signing, authorities ...verify.Authority) {
		file, err := s.Blob(o, content)
		if err != nil {
			c.try(t, false, false, "") // such a certificate cannot even be made
			return
		}
		for _, a := range authorities {
			c.try(t, accepted(t, content, file, a), false, fmt.Sprintf("%q of %q", o.Subject, o.Issuer))
		}
	}
	c := &tally{class: "look-alike-subject"}
	for _, one := range subjects {
		try(c, testkit.Signing{Issuer: issuer, Subject: one}, exact, pattern)
	}
	c.print(t, 50)
	c = &tally{class: "look-alike-issuer"}
	for _, one := range issuers {
		try(c, testkit.Signing{Issuer: one, Subject: subject}, exact, pattern, loose)
	}
	c.print(t, 25)
}

// Patterns that a careless author could write, and that would let other subjects in if they were not refused.
func TestLoosePatterns(t *testing.T) {
	s, content := newSigstore(t), []byte("artifact")
	c := &tally{class: "loose-pattern"}
	evil := []string{
		"https://evil.test/https://github.com/acme/shop", "https://github.com/acme/shop.evil.test", "https://github.com/acme/shop/evil", "a", "b", "ab", "xb", "ax",
	}
	patterns := []string{
		`https://github\.com/acme/shop`, `^https://github\.com/acme/shop`, `https://github\.com/acme/shop$`, `^a|b$`, `^a|^b`, `a$|b$`, `^a$|b`, `(?m)^a$`, `^(?m)a$`, `^a)|(?:.*$`,
		`^a\Q$`, `^a|$`, `^|b$`, `^?a$`, `^a$?`, `(^a$)`, `^a\z|.*$`, `^(?:a$|.*)`, `\Aa$`, `^a\z`, "^a\n|.*$", `^a(?:$)|.*$`,
	}
	for _, one := range evil {
		file, err := s.SignBlob(issuer, one, content)
		must(t, file, err)
		for _, p := range patterns {
			a := keyless(t, s)
			a.Identity.Subject, a.Identity.SubjectRegExp = "", p
			c.try(t, accepted(t, content, file, a), false, p+" and "+one)
		}
	}
	c.print(t, 100)
}

func TestTimes(t *testing.T) {
	s, content := newSigstore(t), []byte("artifact")
	c := &tally{class: "outside-of-certificate"}
	for _, version := range []string{"0.1", "0.2", "0.3"} {
		for _, d := range []time.Duration{
			-24 * time.Hour, -time.Hour, -time.Minute, -2 * time.Second, 10*time.Minute + 2*time.Second, 11 * time.Minute, time.Hour, 24 * time.Hour, 365 * 24 * time.Hour,
		} {
			o := testkit.Signing{Issuer: issuer, Subject: subject, Version: version, Logged: d}
			blob, err := s.Blob(o, content)
			c.try(t, accepted(t, content, must(t, blob, err), keyless(t, s)), false, d.String())
			statement, err := s.Statement(o, marshal(t, provenance(content)))
			c.try(t, accepted(t, content, must(t, statement, err), keyless(t, s)), false, d.String())
		}
	}
	c.print(t, 50)

	c = &tally{class: "expired-timestamp"} // the timestamp is of now, the certificate is not
	private := keyless(t, s)
	private.Identity.LogOptional = true
	for _, d := range []time.Duration{-12 * time.Hour, -time.Hour, -11 * time.Minute, time.Minute, time.Hour} {
		o := testkit.Signing{Issuer: issuer, Subject: subject, NoLog: true, Timestamp: true, At: time.Now().Add(d)}
		file, err := s.Blob(o, content)
		c.try(t, accepted(t, content, must(t, file, err), private), false, d.String())
	}
	c.print(t, 5)

	c = &tally{class: "expired-authority"}
	for name, good := range detached(t, content) {
		good.authority.NotAfter = time.Now().Add(-time.Second)
		c.try(t, accepted(t, content, good.file, good.authority), false, name)
	}
	for name, good := range bundles(t, content) {
		good.authority.NotAfter = time.Now().Add(-time.Second)
		c.try(t, accepted(t, content, good.file, good.authority), false, name)
	}
	c.print(t, 15)
}

// One part of the trusted root at a time is that of another instance; and the signature of another instance.
func TestForeignInstances(t *testing.T) {
	content := []byte("artifact")
	c := &tally{class: "foreign-instance"}
	for range 10 {
		s, other := newSigstore(t), newSigstore(t)
		file, err := s.SignBlob(issuer, subject, content)
		must(t, file, err)
		c.try(t, accepted(t, content, file, keyless(t, other)), false, "all")
		for _, part := range []string{"tlogs", "ctlogs", "certificateAuthorities"} {
			var mine, theirs map[string]json.RawMessage
			must(t, 0, json.Unmarshal(s.TrustedRoot(), &mine))
			must(t, 0, json.Unmarshal(other.TrustedRoot(), &theirs))
			mine[part] = theirs[part]
			root, err := verify.ParseTrustedRoot(marshal(t, mine))
			a := keyless(t, s)
			a.Identity.Root = must(t, root, err)
			c.try(t, accepted(t, content, file, a), false, part)
		}
		for _, o := range []testkit.Signing{{NoLog: true}, {NoCT: true}, {NoLog: true, Timestamp: true}, {ByKey: true}} {
			o.Issuer, o.Subject = issuer, subject
			file, err := s.Blob(o, content)
			c.try(t, accepted(t, content, must(t, file, err), keyless(t, s)), false, fmt.Sprintf("%+v", o))
		}
	}
	c.print(t, 80)
}

func TestMinisignForgeries(t *testing.T) {
	content := []byte("artifact")
	public, private, err := minisign.GenerateKey(rand.Reader)
	must(t, public, err)
	authority := minisignKey(t, public)
	c := &tally{class: "minisign-comment"}
	for _, comment := range []string{
		"", "shop", "shop/", "/1.4.0", "shop/1.4.1", "shop/1.4", "shop/1.4.00", "shop/1.4.0 ", " shop/1.4.0", "shop/1.4.0\t", "shop/v1.4.0", "Shop/1.4.0",
		"shop-evil/1.4.0", "evil/shop/1.4.0", "shop/1.4.0/evil", "shop//1.4.0", "shop/1.4.0\x00", "shop\\1.4.0", "s\u04bbop/1.4.0",
		"timestamp:1760000000\tfile:shop.zip\thashed", "shop/1.4.0,shop/1.4.1", "trusted comment: shop/1.4.0", "shop/1.4.0\r",
	} {
		c.try(t, accepted(t, content, minisignBy(t, private, content, comment), authority), false, comment)
		changed := bytes.Replace(minisignBy(t, private, content, "shop/9.9.9"), []byte("shop/9.9.9"), []byte("shop/1.4.0"), 1)
		c.try(t, accepted(t, content, changed, authority), false, "changed afterwards")
	}
	c.print(t, 40)
	c = &tally{class: "minisign-legacy"}
	for range 20 {
		c.try(t, accepted(t, content, minisign.SignWithComments(private, content, "shop/1.4.0", "x"), authority), false, "legacy")
	}
	c.print(t, 20)
}

// forgeries change a good statement so that it approves of nothing of ours.
func forgeries(content []byte) map[string]func(st object) {
	walk := func(o object, path ...string) object {
		for _, name := range path {
			o = o[name].(object)
		}
		return o
	}
	definition := func(st object) object { return walk(st, "predicate", "buildDefinition") }
	work := func(st object) object { return walk(definition(st), "externalParameters", "workflow") }
	by := func(st object) object { return walk(st, "predicate", "runDetails", "builder") }
	first := func(st object) object { return st["subject"].([]any)[0].(object) }
	depend := func(uris ...string) func(st object) {
		return func(st object) {
			for _, uri := range uris {
				definition(st)["resolvedDependencies"] = append(definition(st)["resolvedDependencies"].([]any), object{"uri": uri})
			}
		}
	}
	other := provenance([]byte("other"))["subject"].([]any)[0]
	set := func(at func(object) object, name string, value any) func(object) {
		return func(st object) { at(st)[name] = value }
	}
	return map[string]func(object){
		"builder": set(by, "id", "https://evil.test"), "builder, slash": set(by, "id", builder+"/"), "builder, case": set(by, "id", strings.ToUpper(builder)),
		"builder, prefix": set(by, "id", builder[:len(builder)-1]), "builder, list": set(by, "id", []any{builder}), "builder, null": set(by, "id", nil),
		"builder, two cases": set(by, "Id", "https://evil.test"), "no builder": func(st object) { delete(walk(st, "predicate"), "runDetails") },
		"builder of 0.2": func(st object) {
			delete(walk(st, "predicate"), "runDetails")
			walk(st, "predicate")["builder"] = object{"id": builder}
		},
		"repository": set(work, "repository", "https://github.com/evil/shop"), "repository, .git": set(work, "repository", "https://github.com/acme/shop.git"),
		"repository, slash": set(work, "repository", "https://github.com/acme/shop/"), "repository, git+": set(work, "repository", "git+https://github.com/acme/shop"),
		"repository, case": set(work, "repository", "https://github.com/Acme/shop"), "no repository": func(st object) { delete(work(st), "repository") },
		"ref": set(work, "ref", "refs/heads/dev"), "ref, short": set(work, "ref", "main"), "ref, tag": set(work, "ref", "refs/tags/main"), "ref, number": set(work, "ref", 1),
		"dependency of another": depend("git+https://github.com/evil/x@refs/heads/main"), "dependency, other ref": depend("git+https://github.com/acme/shop@refs/heads/dev"),
		"dependency, two @": depend("git+https://github.com/acme/shop@x@refs/heads/main"), "dependency, user": depend("git+https://evil@github.com/acme/shop"),
		"no source":    func(st object) { delete(walk(st, "predicate"), "buildDefinition") },
		"no predicate": func(st object) { delete(st, "predicate") }, "predicate, list": func(st object) { st["predicate"] = []any{st["predicate"]} },
		"type SBOM": func(st object) { st["predicateType"] = "https://spdx.dev/Document/v2.3" }, "type 0.2": func(st object) { st["predicateType"] = "https://slsa.dev/provenance/v0.2" },
		"type slash": func(st object) { st["predicateType"] = "https://slsa.dev/provenance/v1/" }, "type 2": func(st object) { st["predicateType"] = "https://slsa.dev/provenance/v2" },
		"type cosign": func(st object) { st["predicateType"] = "https://sigstore.dev/cosign/sign/v1" }, "no type": func(st object) { delete(st, "predicateType") },
		"_type": func(st object) { st["_type"] = "https://in-toto.io/Statement/v3" }, "_type in case": func(st object) { st["_Type"] = st["_type"] },
		"subject of another": func(st object) { st["subject"] = []any{other} }, "no subject": func(st object) { st["subject"] = []any{} },
		"two subjects of one name": func(st object) { st["subject"] = []any{first(st), other} },
		"subject in case":          func(st object) { st["Subject"] = []any{other} },
		"two artifacts": func(st object) {
			walk(first(st), "digest")["sha512"] = strings.Repeat("ab", 64)
		},
		"sha1 alone":   func(st object) { first(st)["digest"] = object{"sha1": strings.Repeat("ab", 20)} },
		"upper case":   func(st object) { d := walk(first(st), "digest"); d["sha256"] = strings.ToUpper(d["sha256"].(string)) },
		"other name":   func(st object) { d := walk(first(st), "digest"); d["SHA256"] = d["sha256"]; delete(d, "sha256") },
		"as a prefix":  func(st object) { d := walk(first(st), "digest"); d["sha256"] = "sha256:" + d["sha256"].(string) },
		"digest, list": func(st object) { d := walk(first(st), "digest"); d["sha256"] = []any{d["sha256"]} },
		"digest, of digest": func(st object) {
			walk(first(st), "digest")["sha256"] = strings.TrimPrefix(testkit.Digest([]byte(testkit.Digest(content))), "sha256:")
		},
	}
}

func TestForgedPredicates(t *testing.T) {
	s, content := newSigstore(t), []byte("artifact")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, key, err)
	c := &tally{class: "forged-predicate"}
	for name, forge := range forgeries(content) {
		st := provenance(content)
		forge(st)
		for _, o := range []testkit.Signing{{Issuer: issuer, Subject: subject}, {ByKey: true, Key: key}} {
			a := keyless(t, s)
			if o.ByKey {
				a = publicKey(t, &key.PublicKey)
			}
			a.Provenance = policy()
			file, err := s.Statement(o, marshal(t, st))
			c.try(t, accepted(t, content, must(t, file, err), a), false, name)
		}
	}
	c.print(t, 60)
	c = &tally{class: "no-provenance"} // of authorities that ask for it
	for name, good := range bundles(t, content) {
		if strings.HasPrefix(name, "blob") {
			good.authority.Provenance = policy()
			c.try(t, accepted(t, content, good.file, good.authority), false, name)
		}
	}
	for name, good := range detached(t, content) {
		good.authority.Provenance = policy()
		c.try(t, accepted(t, content, good.file, good.authority), false, name)
	}
	c.print(t, 10)
	c = &tally{class: "signed-but-no-approval"} // of authorities that ask for no provenance
	for _, kind := range []string{
		"https://spdx.dev/Document", "https://cyclonedx.org/bom", "https://cosign.sigstore.dev/attestation/vuln/v1", "https://windlass.dev/attestations/inspection/v1",
		"https://in-toto.io/attestation/test-result/v0.1", "https://slsa.dev/verification_summary/v1", "https://in-toto.io/attestation/vulns/v0.1", "", "https://sigstore.dev/cosign/sign/v2",
	} {
		st := provenance(content)
		st["predicateType"] = kind
		file, err := s.SignStatement(issuer, subject, marshal(t, st))
		c.try(t, accepted(t, content, must(t, file, err), keyless(t, s)), false, kind)
	}
	c.print(t, 9)
}
