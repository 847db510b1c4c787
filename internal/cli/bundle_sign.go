// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os/exec"

	"github.com/spf13/cobra"

	"github.com/windlass-dev/windlass/internal/verify"
)

// Formats of signatures to make.
const (
	signDetached = "detached"
	signSigstore = "sigstore"
)

// endings of the files that signatures go to.
var endings = map[string]string{signDetached: ".sig", signSigstore: ".sigstore.json"}

// signature is what sign prints.
type signature struct {
	File      string `json:"file"`
	Digest    string `json:"digest"`
	Signature string `json:"signature"` // file
	Format    string `json:"format"`
	Algorithm string `json:"algorithm,omitempty"`
	KeyID     string `json:"keyID,omitempty"`
	Verified  bool   `json:"verified"`
}

type signOptions struct {
	key    string
	format string
	hash   string
	out    string
	cosign bool
}

func (a *app) signCommand() *cobra.Command {
	var o signOptions
	cmd := verb("sign FILE", "Sign an artifact with a key, or hand over to cosign", `
Signs FILE with a private key in PEM (PKCS#8, SEC 1 or PKCS#1): ECDSA on P-256, P-384 or P-521, Ed25519, or RSA with PKCS#1 v1.5. The
artifact is streamed; an Ed25519 key, which signs the file itself, reads it twice. What was made is verified with the code of
the operator before the command says that it is done.

--key env://NAME takes the key from an environment variable, so that it is in no file.

--cosign runs cosign sign-blob instead, with all that stands behind --: for keyless signatures, key services and keys that
cosign encrypted. Cosign talks to the network; what it made is checked for its form only, so verify it (bundle verify).`, `
# shop-2.4.1.zip.sig: base64, for spec.signatures of a Bundle
kubectl windlass bundle sign shop-2.4.1.zip --key env://SIGNING_KEY

# shop-2.4.1.zip.sigstore.json
kubectl windlass bundle sign shop-2.4.1.zip --key ci.key --format sigstore

# keyless, in a workflow that has an identity
kubectl windlass bundle sign shop-2.4.1.zip --cosign

# with a key of cosign
kubectl windlass bundle sign shop-2.4.1.zip --cosign -- --key cosign.key`,
		nil)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if o.cosign {
			return a.cosign(cmd.Context(), args[0], args[1:], o)
		}
		if len(args) > 1 {
			return usage("expected nothing behind --, got %q; it is for --cosign", args[1])
		}
		return a.sign(cmd.Context(), args[0], o)
	}
	flags := cmd.Flags()
	flags.StringVar(&o.key, "key", "", "file with the private key, or env://NAME")
	flags.StringVar(&o.format, "format", signDetached, "detached (base64), or sigstore (a bundle, as with --cosign)")
	flags.StringVar(&o.hash, "hash", "", "sha256, sha384 or sha512 (default: that of the curve; sha256 for RSA)")
	flags.StringVarP(&o.out, "out", "o", "", "file to write (default: FILE.sig or FILE.sigstore.json)")
	flags.BoolVar(&o.cosign, "cosign", false, "run cosign sign-blob")
	for _, flag := range []string{"key", "format", "hash"} {
		cmd.MarkFlagsMutuallyExclusive("cosign", flag)
	}
	complete(cmd, "format", signDetached, signSigstore)
	complete(cmd, "hash", "sha256", "sha384", "sha512")
	return cmd
}

func (a *app) sign(ctx context.Context, path string, o signOptions) error {
	ending, known := endings[o.format]
	switch {
	case !known:
		return usage("--format: expected detached or sigstore, got %q", o.format)
	case o.key == "":
		return usage("expected a key, got none; give --key FILE, --key env://NAME, or --cosign")
	}
	hash, err := hashNamed(o.hash)
	if err != nil {
		return err
	}
	key, err := a.signingKey(o.key)
	if err != nil {
		return err
	}
	f, size, err := regular(path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	signed, err := key.Sign(seekable{a.reader(ctx, "signed", f, size), f}, hash)
	if err != nil {
		return fmt.Errorf("sign %s: %w", path, err)
	}
	text := []byte(base64.StdEncoding.EncodeToString(signed.Signature) + "\n")
	if o.format == signSigstore {
		if text, err = signed.Bundle(); err != nil {
			return err
		}
	}
	result := signature{File: path, Format: o.format, Signature: o.out, KeyID: key.Public().ID()}
	if result.Signature == "" {
		result.Signature = path + ending
	}
	match, err := a.check(ctx, path, verify.Authority{Name: "key", Key: key.Public(), Hash: signed.Hash}, text, &result)
	if err != nil {
		return err
	}
	result.Algorithm, result.Verified = match.Algorithm, true
	if err := writeFile(result.Signature, text); err != nil {
		return err
	}
	return a.printSignature(result)
}

// check verifies what was made, as the operator will.
func (a *app) check(ctx context.Context, path string, by verify.Authority, text []byte, result *signature) (verify.Match, error) {
	s, err := verify.DecodeSignature(text)
	if err != nil {
		return verify.Match{}, fmt.Errorf("the signature that was made cannot be read again: %w", err)
	}
	found, err := a.verifyFile(ctx, path, trust{}, []verify.Authority{by}, s)
	if err != nil {
		return verify.Match{}, err
	}
	if len(found.matches) == 0 {
		return verify.Match{}, fmt.Errorf("expected the signature that was made to verify, got: %s; did %s change meanwhile?", sentences(found.refusals), path)
	}
	result.Digest = found.Digest
	return found.matches[0], nil
}

// cosign lets cosign make a Sigstore bundle, and looks whether it did.
func (a *app) cosign(ctx context.Context, path string, args []string, o signOptions) error {
	tool, err := exec.LookPath("cosign")
	if err != nil {
		return errors.New("expected cosign 3 or newer on the PATH, got none; install it (https://docs.sigstore.dev/cosign), or sign with --key")
	}
	result := signature{File: path, Format: signSigstore, Signature: o.out}
	if result.Signature == "" {
		result.Signature = path + endings[signSigstore]
	}
	m, err := a.measure(ctx, "read", path, nil)
	if err != nil {
		return err
	}
	result.Digest = m.Digest
	all := append([]string{"sign-blob", "--yes", "--bundle", result.Signature}, args...)
	cmd := exec.CommandContext(ctx, tool, append(all, path)...) //nolint:gosec // the caller's own arguments, without a shell
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.In, a.Err, a.Err      // its stdout is no result of ours
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("expected cosign to sign, got %w; its own message is above", err)
	}
	s, _, err := a.signatureFile(result.Signature)
	if err != nil {
		return err
	}
	if s.Format() != verify.SigstoreBundle {
		return fmt.Errorf("expected a Sigstore bundle of cosign in %s, got a signature of format %s; use cosign 3 or newer", result.Signature, s.Format())
	}
	return a.printSignature(result)
}

func (a *app) printSignature(r signature) error {
	return a.print(r, func(w io.Writer) {
		rows := [][]string{{"file", printable(r.File)}, {"digest", r.Digest}, {"signature", printable(r.Signature)}}
		if r.Verified {
			rows = append(rows, []string{"algorithm", r.Algorithm}, []string{"key", r.KeyID}, []string{"verified", a.colour(green, "yes")})
		} else {
			rows = append(rows, []string{"verified", a.colour(yellow, "no: see bundle verify")})
		}
		table(w, rows...)
	})
}

// seekable is a file that tells how far it is read.
type seekable struct {
	*progress
	io.Seeker
}

// Seek starts again.
func (s seekable) Seek(offset int64, whence int) (int64, error) {
	s.done = 0
	return s.Seeker.Seek(offset, whence)
}
