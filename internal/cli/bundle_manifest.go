// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/artifact"
	"github.com/windlass-dev/windlass/internal/author"
	"github.com/windlass-dev/windlass/internal/verify"
)

type manifestOptions struct {
	name, namespace, repository string
	app, version                string
	source                      sourceOptions
	signatures, signatureURLs   []string
	attached                    bool
	attestations                []string
	keys                        []string
	notes                       []string
	native                      string
	platforms                   []string
	nativeVersion               string
	runtimeVersion              string
	encryption, encryptionKeyID string
	out                         string
}

type sourceOptions struct {
	url, oci, s3, endpoint, region string
	secret                         string
}

func (a *app) manifestCommand() *cobra.Command {
	var o manifestOptions
	cmd := verb("manifest FILE", "Write the Bundle of an artifact, ready to commit", `
Writes the manifest of a Bundle for FILE: its digest, where the operator fetches it, and the signatures that CI made, inline. It is
checked with the rules of the API server before it is written; what the server refuses is refused here. Without -o it goes to stdout,
as YAML unless --output is json.

An archive that the operator would refuse is refused here, with exit code 3; one that is encrypted is only read for its digest. Signatures
are read, and verified where --key names who must have made them: without it, nothing here says that they are over FILE (bundle verify
does, also for keyless ones). An artifact in an OCI registry is named by the digest of its manifest; with --attached the
operator takes the signatures that cosign attached there.`, `
kubectl windlass bundle manifest shop-2.4.1.zip --app com.example.shop --version 2.4.1 \
  --url https://ci.example.com/shop-2.4.1.zip --signature shop-2.4.1.zip.sig --key ci.pub \
  --release-notes en='Fixes checkout.' --release-notes de=@notes.de.txt \
  --platform ios --platform android --native-version '>=4.2.0 <5.0.0' --native-dependencies package.json \
  -o releases/shop-2.4.1.yaml

# in an object store
kubectl windlass bundle manifest shop.zip --app com.example.shop --version 2.4.1 --signature shop.zip.sig \
  --s3 s3://updates/shop-2.4.1.zip --s3-endpoint https://s3.example.com --source-secret bucket-reader

# encrypted by the CLI of Capgo, with the statement of bundle inspect
kubectl windlass bundle manifest shop-2.4.1.zip_encrypted.zip --app com.example.shop --version 2.4.1 \
  --url https://ci.example.com/shop-2.4.1.zip_encrypted.zip --signature shop-2.4.1.zip_encrypted.zip.sig \
  --encryption encrypted.json --attestation statement.sigstore.json`,
		func(ctx context.Context, args []string) error { return a.manifest(ctx, args[0], o) })
	flags := cmd.Flags()
	flags.StringVar(&o.name, "name", "", "name of the Bundle (default: the last part of the app, and the version)")
	flags.StringVarP(&o.namespace, "namespace", "n", "", "namespace of the Bundle (default: none, as kubectl or Git tools choose)")
	flags.StringVar(&o.repository, "repository", "", "Repository that keeps the artifact (default: the one named default)")
	flags.StringVar(&o.app, "app", "", "app that the update is for, such as com.example.shop (required)")
	flags.StringVar(&o.version, "version", "", "version of the update, such as 2.4.1 (required)")
	flags.StringVar(&o.source.url, "url", "", "http or https URL of the artifact")
	flags.StringVar(&o.source.oci, "oci", "", "image that the artifact is a layer of: registry/repository@sha256:...")
	flags.StringVar(&o.source.s3, "s3", "", "object that the artifact is: s3://BUCKET/KEY")
	flags.StringVar(&o.source.endpoint, "s3-endpoint", "", "object store of --s3, such as https://s3.example.com")
	flags.StringVar(&o.source.region, "s3-region", "", "region of --s3 (default: us-east-1)")
	flags.StringVar(&o.source.secret, "source-secret", "", "Secret in the cluster with which the operator reads the artifact")
	flags.StringArrayVar(&o.signatures, "signature", nil, "file with a signature over FILE, in any format; may be repeated")
	flags.StringArrayVar(&o.keys, "key", nil, "public key of an author who made one of --signature: verify it; may be repeated")
	flags.StringArrayVar(&o.signatureURLs, "signature-url", nil, "URL of a signature, instead of inline; may be repeated")
	flags.BoolVar(&o.attached, "attached", false, "take the signatures that cosign attached to the image of --oci")
	flags.StringArrayVar(&o.attestations, "attestation", nil, "Sigstore bundle with a signed statement about FILE; may be repeated")
	flags.StringArrayVar(&o.notes, "release-notes", nil, "LANGUAGE=TEXT or LANGUAGE=@FILE; may be repeated")
	flags.StringVar(&o.native, "native-dependencies", "", "what the update needs of the app: package.json with its node_modules, or a list of packages")
	flags.StringArrayVar(&o.platforms, "platform", nil, "platform that the update runs on; may be repeated (default: all)")
	flags.StringVar(&o.nativeVersion, "native-version", "", "range of app builds that the update runs on")
	flags.StringVar(&o.runtimeVersion, "runtime-version", "", "runtime version that devices must have")
	flags.StringVar(&o.encryption, "encryption", "", "what capgo bundle encrypt --json printed: FILE is encrypted")
	flags.StringVar(&o.encryptionKeyID, "encryption-key-id", "", "first 20 characters of the body of the app's public key")
	flags.StringVarP(&o.out, "out", "o", "", "file to write (default: stdout)")
	complete(cmd, "platform", platforms...)
	return cmd
}

var platforms = []string{"ios", "android", "electron", "linux", "windows", "macos", "web"}

func (a *app) manifest(ctx context.Context, path string, o manifestOptions) error {
	if o.app == "" || o.version == "" {
		return usage("expected --app and --version, got one or none of them")
	}
	m, err := a.measure(ctx, "read", path, nil)
	if err != nil {
		return err
	}
	bundle := &otav1alpha1.Bundle{
		TypeMeta:   metav1.TypeMeta{APIVersion: otav1alpha1.SchemeGroupVersion.String(), Kind: "Bundle"},
		ObjectMeta: metav1.ObjectMeta{Name: o.name, Namespace: o.namespace},
	}
	if bundle.Name == "" {
		bundle.Name = bundleName(o.app, o.version)
	}
	if err := a.fillSpec(&bundle.Spec, m, o); err != nil {
		return err
	}
	if err := a.checkArtifact(ctx, path, o); err != nil {
		return err
	}
	object, err := checkedBundle(ctx, bundle)
	if err != nil {
		return err
	}
	return a.writeManifest(object, o.out)
}

// checkArtifact refuses an archive that the operator would refuse, and signatures that the keys of the flags did not make.
func (a *app) checkArtifact(ctx context.Context, path string, o manifestOptions) error {
	if o.encryption == "" {
		if err := a.checkArchive(ctx, path); err != nil {
			return err
		}
	}
	if len(o.keys) == 0 {
		return nil
	}
	t := trust{keys: o.keys, app: o.app, version: o.version}
	by, err := a.authorities(t)
	if err != nil {
		return err
	}
	var signatures []verify.Signature
	for _, name := range o.signatures {
		s, _, err := a.signatureFile(name)
		if err != nil {
			return err
		}
		signatures = append(signatures, s)
	}
	found, err := a.verifyFile(ctx, path, t, by, signatures...)
	if err != nil {
		return err
	}
	if why := missing(by, signersOf(found), found.refusals); len(why) > 0 {
		return refused("%s: %s", path, sentences(why))
	}
	return nil
}

// checkArchive reads an archive as the operator does.
func (a *app) checkArchive(ctx context.Context, path string) error {
	f, _, err := regular(path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	_, err = a.scan(ctx, f, nil)
	if errors.Is(err, artifact.ErrInvalid) {
		return refused("%s: expected an archive that the operator takes, got: %w; pack it with bundle pack, or give --encryption when it is encrypted", path, err)
	}
	return err
}

// bundleName is such as shop-2.4.1.
func bundleName(app, version string) string {
	name := app[strings.LastIndex(app, ".")+1:]
	return strings.ToLower(strings.ReplaceAll(name, "_", "-") + "-" + version)
}

func (a *app) fillSpec(spec *otav1alpha1.BundleSpec, m measured, o manifestOptions) error {
	spec.App, spec.Version, spec.Digest = otav1alpha1.AppID(o.app), otav1alpha1.Version(o.version), otav1alpha1.Digest(m.Digest)
	spec.RepositoryRef = reference(o.repository)
	source, err := o.source.source()
	if err != nil {
		return err
	}
	spec.Source = source
	fills := []func(*otav1alpha1.BundleSpec, measured, manifestOptions) error{
		a.fillSignatures, a.fillAttestations, a.fillNotes, a.fillNative, a.fillEncryption,
	}
	for _, fill := range fills {
		if err := fill(spec, m, o); err != nil {
			return err
		}
	}
	if len(o.platforms) > 0 || o.nativeVersion != "" || o.runtimeVersion != "" {
		spec.Compatibility = &otav1alpha1.Compatibility{NativeVersion: o.nativeVersion, RuntimeVersion: o.runtimeVersion}
		for _, p := range o.platforms {
			spec.Compatibility.Platforms = append(spec.Compatibility.Platforms, otav1alpha1.Platform(p))
		}
	}
	return nil
}

func reference(name string) *otav1alpha1.LocalReference {
	if name == "" {
		return nil
	}
	return &otav1alpha1.LocalReference{Name: name}
}

func (o sourceOptions) source() (otav1alpha1.BundleSource, error) {
	var out otav1alpha1.BundleSource
	given := slices.DeleteFunc([]string{o.url, o.oci, o.s3}, func(s string) bool { return s == "" })
	if len(given) != 1 {
		return out, usage("expected one of --url, --oci and --s3, got %d", len(given))
	}
	switch {
	case o.url != "":
		out.HTTP = &otav1alpha1.HTTPSource{URL: otav1alpha1.URL(o.url), SecretRef: reference(o.secret)}
	case o.oci != "":
		out.OCI = &otav1alpha1.OCISource{Image: o.oci, PullSecretRef: reference(o.secret)}
	default:
		u, err := url.Parse(o.s3)
		if err != nil || u.Scheme != "s3" || u.Host == "" || len(u.Path) < 2 || u.RawQuery+u.Fragment != "" || o.endpoint == "" {
			return out, usage("--s3: expected s3://BUCKET/KEY and --s3-endpoint, got %q and %q", o.s3, o.endpoint)
		}
		out.S3 = &otav1alpha1.S3Source{
			Endpoint: o.endpoint, Bucket: u.Host, Key: u.Path[1:], Region: o.region, CredentialsSecretRef: reference(o.secret),
		}
	}
	return out, nil
}

func (a *app) fillSignatures(spec *otav1alpha1.BundleSpec, _ measured, o manifestOptions) error {
	for _, path := range o.signatures {
		s, text, err := a.signatureFile(path)
		if err != nil {
			return err
		}
		inline := s.Base64()
		if s.Format() != verify.Detached {
			inline = base64.StdEncoding.EncodeToString(text)
		}
		spec.Signatures = append(spec.Signatures, otav1alpha1.SignatureSource{Inline: inline})
	}
	for _, at := range o.signatureURLs {
		spec.Signatures = append(spec.Signatures, otav1alpha1.SignatureSource{URL: otav1alpha1.URL(at)})
	}
	if o.attached {
		spec.Signatures = append(spec.Signatures, otav1alpha1.SignatureSource{Attached: otav1alpha1.AttachedCosign})
	}
	if len(spec.Signatures) == 0 {
		return usage("expected a signature, got none; make one (bundle sign) and give --signature, --signature-url, or --attached with --oci")
	}
	return nil
}

// fillAttestations takes statements that are about the artifact, and no others.
func (a *app) fillAttestations(spec *otav1alpha1.BundleSpec, m measured, o manifestOptions) error {
	for _, path := range o.attestations {
		text, err := a.readFile(path, verify.MaxSignatureFile)
		if err != nil {
			return err
		}
		_, about, err := author.ReadStatement(text)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if !slices.ContainsFunc(about, func(s author.Subject) bool { return s.Digest == m.Digest }) {
			return fmt.Errorf("%s: expected a statement about %s, got one about other files; make it for this artifact", path, m.Digest)
		}
		spec.Attestations = append(spec.Attestations, otav1alpha1.AttestationSource{Inline: base64.StdEncoding.EncodeToString(text)})
	}
	return nil
}

func (a *app) fillNotes(spec *otav1alpha1.BundleSpec, _ measured, o manifestOptions) error {
	for _, note := range o.notes {
		language, text, ok := strings.Cut(note, "=")
		if !ok || language == "" {
			return usage("--release-notes: expected LANGUAGE=TEXT, such as en='Fixes checkout.', got %.40q", note)
		}
		if path, ok := strings.CutPrefix(text, "@"); ok {
			content, err := a.readFile(path, maxTextFile)
			if err != nil {
				return err
			}
			text = strings.TrimSpace(string(content))
		}
		if spec.ReleaseNotes == nil {
			spec.ReleaseNotes = map[string]otav1alpha1.ReleaseNote{}
		}
		spec.ReleaseNotes[language] = otav1alpha1.ReleaseNote(text)
	}
	return nil
}

func (a *app) fillNative(spec *otav1alpha1.BundleSpec, _ measured, o manifestOptions) error {
	if o.native == "" {
		return nil
	}
	packages, err := a.nativePackages(o.native)
	if err != nil {
		return err
	}
	spec.NativeDependencies = packages.spec()
	return nil
}

// fillEncryption takes what the CLI of Capgo says of the file that it encrypted.
func (a *app) fillEncryption(spec *otav1alpha1.BundleSpec, _ measured, o manifestOptions) error {
	if o.encryption == "" {
		if o.encryptionKeyID != "" {
			return usage("--encryption-key-id: expected --encryption with it, got none")
		}
		return nil
	}
	text, err := a.readFile(o.encryption, maxTextFile)
	if err != nil {
		return err
	}
	var printed struct {
		SessionKey string `json:"ivSessionKey"`
		Checksum   string `json:"checksum"`
	}
	if err := json.Unmarshal(text, &printed); err != nil || printed.SessionKey == "" || printed.Checksum == "" {
		return fmt.Errorf("%s: expected what capgo bundle encrypt --json prints, with ivSessionKey and checksum, got something else", o.encryption)
	}
	spec.Encryption = &otav1alpha1.EncryptionSpec{
		Mode: otav1alpha1.EncryptionOpaque, SessionKey: printed.SessionKey, Checksum: printed.Checksum, KeyID: o.encryptionKeyID,
	}
	return nil
}

// checkedBundle is the object without its status, once the rules of the API server have nothing against it.
func checkedBundle(ctx context.Context, bundle *otav1alpha1.Bundle) (map[string]any, error) {
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(bundle)
	if err != nil {
		return nil, err
	}
	delete(object, "status")
	unstructured.RemoveNestedField(object, "metadata", "creationTimestamp")
	problems, err := validate(ctx, bundle.Kind, object)
	if err != nil {
		return nil, err
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("expected a Bundle that the API server takes, got one that it refuses: %s; mend the flags", refusals(problems))
	}
	return object, nil
}

func (a *app) writeManifest(object map[string]any, out string) error {
	var text bytes.Buffer
	if a.output == formatJSON {
		if err := writeJSON(&text, object); err != nil {
			return err
		}
	} else {
		lines, err := yaml.Marshal(object)
		if err != nil {
			return err
		}
		text.Write(lines)
	}
	if out != "" {
		return writeFile(out, text.Bytes())
	}
	_, err := a.Out.Write(text.Bytes())
	return err
}
