// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"crypto"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/windlass-dev/windlass/internal/verify"
)

// trust is who may have signed, as flags name it: what spec.trust.authorities of a Repository says.
type trust struct {
	keys             []string
	hash             string
	issuer           string
	identity         string
	identityRegExp   string
	trustedRoot      string
	logOptional      bool
	builder          string
	sourceRepository string
	ref              string
	app              string
	version          string
}

func (t *trust) bind(flags *pflag.FlagSet) {
	flags.StringArrayVar(&t.keys, "key", nil, "file with the public key of an author, PEM or minisign; may be repeated")
	flags.StringVar(&t.hash, "hash", "", "hash that signatures by key are made over: sha256, sha384 or sha512 (default: those that go with the key)")
	flags.StringVar(&t.identity, "identity", "", "subject of the certificate of a keyless signature, exactly")
	flags.StringVar(&t.identityRegExp, "identity-regexp", "", "regular expression for that subject, from ^ to $")
	flags.StringVar(&t.issuer, "issuer", "", "issuer of the identity, exactly: https://token.actions.githubusercontent.com")
	flags.StringVar(&t.trustedRoot, "trusted-root", "", "file with the trusted root of the Sigstore instance (trusted_root.json)")
	flags.BoolVar(&t.logOptional, "log-optional", false, "a signed timestamp does where no transparency log has the signature")
	flags.StringVar(&t.builder, "builder-id", "", "accept only SLSA provenance of this builder")
	flags.StringVar(&t.sourceRepository, "source-repository", "", "accept only SLSA provenance of this source repository")
	flags.StringVar(&t.ref, "ref", "", "accept only SLSA provenance of this Git ref")
	flags.StringVar(&t.app, "app", "", "app, which signatures of minisign name with the version")
	flags.StringVar(&t.version, "version", "", "version of the app")
}

// authorities reads what the flags name.
func (a *app) authorities(t trust) ([]verify.Authority, error) {
	hash, err := hashNamed(t.hash)
	if err != nil {
		return nil, err
	}
	var provenance *verify.Provenance
	if t.builder != "" || t.sourceRepository != "" || t.ref != "" {
		provenance = &verify.Provenance{BuilderID: t.builder, SourceRepository: t.sourceRepository, Ref: t.ref}
	}
	var out []verify.Authority
	seen := map[string]string{} // files by the id of their key
	for _, path := range t.keys {
		text, err := a.readFile(path, maxKeyFile)
		if err != nil {
			return nil, err
		}
		key, err := verify.ParsePublicKey(text)
		if err != nil {
			return nil, fmt.Errorf("--key %s: %w", path, err)
		}
		if other, ok := seen[key.ID()]; ok {
			return nil, usage("--key %s: expected another key, got the one of %s; name each author once", path, other)
		}
		seen[key.ID()] = path
		out = append(out, verify.Authority{Name: path, Key: key, Hash: hash, Provenance: provenance})
	}
	if t.identity != "" || t.identityRegExp != "" {
		identity, err := a.identity(t)
		if err != nil {
			return nil, err
		}
		out = append(out, verify.Authority{Name: t.identity + t.identityRegExp, Identity: identity, Provenance: provenance})
	}
	if len(out) == 0 {
		return nil, usage("expected who may have signed, got nobody; give --key, or --identity with --issuer and --trusted-root")
	}
	return out, nil
}

func (a *app) identity(t trust) (*verify.Identity, error) {
	if t.issuer == "" || t.trustedRoot == "" {
		return nil, usage("--identity: expected --issuer and --trusted-root with it, got one or none of them")
	}
	text, err := a.readFile(t.trustedRoot, maxTextFile)
	if err != nil {
		return nil, err
	}
	root, err := verify.ParseTrustedRoot(text)
	if err != nil {
		return nil, fmt.Errorf("--trusted-root %s: %w", t.trustedRoot, err)
	}
	identity := &verify.Identity{
		Issuer: t.issuer, Subject: t.identity, SubjectRegExp: t.identityRegExp, LogOptional: t.logOptional, Root: root,
	}
	if err := identity.Check(); err != nil {
		return nil, usage("--identity: %w", err)
	}
	return identity, nil
}

var hashNames = map[string]crypto.Hash{"": 0, "sha256": crypto.SHA256, "sha384": crypto.SHA384, "sha512": crypto.SHA512}

func hashNamed(name string) (crypto.Hash, error) {
	hash, ok := hashNames[name]
	if !ok {
		return 0, usage("--hash: expected sha256, sha384 or sha512, got %q", name)
	}
	return hash, nil
}

// verified is what a check of signatures found.
type verified struct {
	measured
	matches  []verify.Match
	refusals []string
}

// verifyFile checks signatures over a file, which is read once.
func (a *app) verifyFile(ctx context.Context, path string, t trust, by []verify.Authority, signatures ...verify.Signature) (verified, error) {
	v, err := verify.New(a.Now(), verify.Subject{App: t.app, Version: t.version}, by, signatures)
	if err != nil {
		return verified{}, err
	}
	m, err := a.measure(ctx, "verified", path, v)
	if err != nil {
		return verified{}, err
	}
	return verified{measured: m, matches: v.Matches(), refusals: v.Refusals()}, nil
}

// signatureFile reads a signature in any format that package verify knows.
func (a *app) signatureFile(path string) (verify.Signature, []byte, error) {
	text, err := a.readFile(path, verify.MaxSignatureFile)
	if err != nil {
		return verify.Signature{}, nil, err
	}
	s, err := verify.DecodeSignature(text)
	if err != nil {
		return verify.Signature{}, nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, text, nil
}

// sentences joins what was found into one error message.
func sentences(list []string) string { return strings.Join(slices.Compact(list), "; ") }
