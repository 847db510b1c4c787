// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ingest_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/artifact"
	"github.com/windlass-dev/windlass/internal/author"
	"github.com/windlass-dev/windlass/internal/content"
	"github.com/windlass-dev/windlass/internal/ingest"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/source"
	"github.com/windlass-dev/windlass/internal/testkit"
	"github.com/windlass-dev/windlass/internal/verify"
)

const (
	issuer   = "https://ci.test"
	workflow = "https://ci.test/shop/release.yml@refs/heads/main"
)

// keyless makes an instance of Sigstore, and the authority github whose signatures it makes for the workflow.
func keyless(t *testing.T) (*testkit.Sigstore, verify.Authority) {
	t.Helper()
	s, err := testkit.NewSigstore()
	if err != nil {
		t.Fatal(err)
	}
	root, err := verify.ParseTrustedRoot(s.TrustedRoot())
	if err != nil {
		t.Fatal(err)
	}
	return s, verify.Authority{Name: "github", Identity: &verify.Identity{Issuer: issuer, Subject: workflow, Root: root}}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func inline(file []byte) ingest.File {
	return ingest.File{Inline: base64.StdEncoding.EncodeToString(file)}
}

// evidence reads what the bucket has of a digest; nil when it has nothing.
func (b *bench) evidence(t *testing.T, digest string) []byte {
	t.Helper()
	file, _, err := b.bucket.Get(t.Context(), release.EvidenceObject(digest), 1<<20)
	if err != nil && !strings.Contains(err.Error(), "not exist") {
		t.Logf("evidence %s: %v", digest, err)
	}
	return file
}

// A keyless signature counts, and what proves it is kept.
func TestWorker_sigstoreBundle(t *testing.T) {
	s, github := keyless(t)
	b := newBench(t, source.Options{})
	a := b.site.Publish(t, "/a", testkit.Zip(t, map[string]string{"a": "1"}))
	file := must[[]byte](t)(s.SignBlob(issuer, workflow, a.Content))
	job := b.job(t, a)
	job.Signatures, job.Authorities = []ingest.File{inline(file)}, append(job.Authorities, github)
	res, err := b.worker.Run(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	m := res.Matches[0]
	if len(res.Matches) != 1 || m.Authority != "github" || m.Format != otav1alpha1.FormatSigstoreBundle || m.Subject != workflow || m.Trust != github.Fingerprint() {
		t.Errorf("matches are %+v", res.Matches)
	}
	if got := b.evidence(t, m.Evidence); !bytes.Equal(got, file) {
		t.Errorf("the bucket has %d bytes of evidence, want %d", len(got), len(file))
	}
	if res.Inspection == nil || res.Inspection.Files != 1 || res.Inspection.Attested != nil {
		t.Errorf("inspection is %+v", res.Inspection)
	}

	job.Authorities[1].Identity.Subject = workflow + "x"
	if _, err := b.worker.Run(t.Context(), job); kit.Classify(err).Reason != otav1alpha1.SignatureInvalidReason || !strings.Contains(err.Error(), "github") {
		t.Errorf("another identity: got error %v, want SignatureInvalid", err)
	}
}

// A signature whose source is gone is taken from what is known of it, and verified like any other; what never counted is not.
func TestWorker_sourceOfSignatureGone(t *testing.T) {
	s, github := keyless(t)
	b := newBench(t, source.Options{})
	a := b.site.Publish(t, "/a", []byte("artifact"), b.author)
	file := must[[]byte](t)(s.SignBlob(issuer, workflow, a.Content))
	b.site.Put("/a.sigstore.json", file)
	job := b.job(t, a)
	job.Signatures, job.Authorities = []ingest.File{{Source: source.HTTP{URL: b.site.URL + "/a.sigstore.json"}}}, append(job.Authorities, github)
	res, err := b.worker.Run(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	for name, gone := range map[string][]byte{"gone": nil, "another file": []byte("<html>moved</html>")} {
		t.Run(name, func(t *testing.T) {
			b.site.Put("/a.sigstore.json", gone)
			job := job
			if _, err := b.worker.Run(t.Context(), job); err == nil {
				t.Error("accepted without any signature")
			}
			for kind, known := range map[string]ingest.Known{
				"evidence": {Format: otav1alpha1.FormatSigstoreBundle, Evidence: res.Matches[0].Evidence},
				"detached": {Format: otav1alpha1.FormatDetached, Signature: a.Signatures[0]},
			} {
				job.Known = []ingest.Known{known}
				if got, err := b.worker.Run(t.Context(), job); err != nil || len(got.Matches) != 1 {
					t.Errorf("%s: got %d matches and error %v, want the known one", kind, len(got.Matches), err)
				}
			}
			job.Known = []ingest.Known{{Format: otav1alpha1.FormatDetached, Signature: b.author.Sign(t, []byte("other"))}}
			if _, err := b.worker.Run(t.Context(), job); err == nil {
				t.Error("a known signature counted without being verified")
			}
		})
	}
}

// reportOf inspects an archive as kubectl windlass bundle inspect does.
func reportOf(t *testing.T, archive []byte) content.Report {
	t.Helper()
	s := content.NewScanner()
	if _, err := artifact.Scan(bytes.NewReader(archive), artifact.Limits{}, s.File); err != nil {
		t.Fatal(err)
	}
	return s.Report()
}

// about names artifacts for a statement.
func about(contents ...[]byte) (out []author.Subject) {
	for i, c := range contents {
		out = append(out, author.Subject{Name: string(rune('a' + i)), Digest: testkit.Digest(c)})
	}
	return out
}

var files = map[string]string{"www/index.html": "<html></html>", "www/lib.so": "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 64)}

// What nobody here can open is known by what an authority attests.
func TestWorker_attested(t *testing.T) {
	s, github := keyless(t)
	b := newBench(t, source.Options{})
	app, zip := testkit.NewCapgoKey(t), testkit.Zip(t, files)
	c := app.Encrypt(t, zip)
	job := b.encrypted(t, app, c)
	job.Keys, job.Authorities = nil, append(job.Authorities, github)
	statement := must[[]byte](t)(author.Statement(content.PredicateType, reportOf(t, zip), about(zip, c.Content)...))
	file := must[[]byte](t)(s.SignStatement(issuer, workflow, statement))
	b.site.Put("/inspection.json", file)
	job.Attestations = []ingest.File{{Source: source.HTTP{URL: b.site.URL + "/inspection.json"}}}
	res, err := b.worker.Run(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	i := res.Inspection
	if i == nil || i.Attested == nil || i.Attested.Authority != "github" || i.Files != 2 || !i.NativeCode() {
		t.Fatalf("inspection is %+v", i)
	}
	if got := b.evidence(t, i.Evidence); !bytes.Equal(got, file) {
		t.Errorf("the bucket has %d bytes of evidence, want %d", len(got), len(file))
	}
	if len(res.Matches) != 1 || res.Matches[0].Authority != "ci" {
		t.Errorf("matches are %+v: an inspection is no approval", res.Matches)
	}
	b.site.Put("/inspection.json", nil)
	if res, err := b.worker.Run(t.Context(), job); kit.Classify(err).Reason != otav1alpha1.SourceNotFoundReason || res.Reached != ingest.Verified {
		t.Errorf("reached %s with error %v, want SourceNotFound", res.Reached, err)
	}
	job.Known = []ingest.Known{{Evidence: i.Evidence}}
	if res, err := b.worker.Run(t.Context(), job); err != nil || res.Inspection.Attested == nil {
		t.Errorf("got error %v: the attestation is in the bucket", err)
	}
}

func TestWorker_attestationRefused(t *testing.T) {
	s, github := keyless(t)
	app, zip := testkit.NewCapgoKey(t), testkit.Zip(t, files)
	c, report := app.Encrypt(t, zip), reportOf(t, zip)
	text := string(must[[]byte](t)(json.Marshal(report)))
	with := func(edit func(*content.Report)) content.Report {
		r := report
		r.Findings = append([]content.Finding(nil), report.Findings...)
		edit(&r)
		return r
	}
	finding := func(f content.Finding) any {
		return with(func(r *content.Report) { r.Findings = append(r.Findings, f) })
	}
	both := about(zip, c.Content)
	for name, tc := range map[string]struct {
		kind      string
		predicate any
		about     []author.Subject
		signer    string
		opened    bool
		want      string
	}{
		"stranger":                {signer: workflow + "x", want: "github"},
		"another artifact":        {about: about(zip), want: "digest of the spec"},
		"encrypted file alone":    {about: about(zip, c.Content)[1:], want: "inspect --encrypted"},
		"encrypted file twice":    {about: []author.Subject{{Name: "a", Digest: testkit.Digest(c.Content)}, {Name: "b", Digest: testkit.Digest(c.Content)}}, want: "inspect --encrypted"},
		"another archive, opened": {about: about([]byte("other"), c.Content), opened: true, want: "another archive"},
		"other facts, opened":     {predicate: with(func(r *content.Report) { r.Findings = nil }), opened: true, want: "something else"},
		"tells nothing":           {kind: "https://spdx.dev/Document/v2.3", want: "none of 1 attestations"},
		"unknown field":           {predicate: json.RawMessage(text[:len(text)-1] + `,"approved":true}`), want: "unknown field"},
		"no report":               {predicate: []int{1}, want: "no inspection"},
		"ruleset of tomorrow":     {predicate: with(func(r *content.Report) { r.Ruleset = content.Ruleset + 1 }), want: "expected 1 to"},
		"no ruleset":              {predicate: with(func(r *content.Report) { r.Ruleset = 0 }), want: "expected 1 to"},
		"fewer than no files":     {predicate: with(func(r *content.Report) { r.Files = -1 }), want: "fewer than no"},
		"unknown check":           {predicate: finding(content.Finding{Check: "x", Count: 1}), want: "nobody knows"},
		"check twice":             {predicate: finding(report.Findings[0]), want: "two findings"},
		"finding of nothing":      {predicate: finding(content.Finding{Check: content.CheckWasm}), want: "counts 0"},
		"too many values":         {predicate: finding(content.Finding{Check: content.CheckWasm, Count: 1, Values: make([]string, content.MaxValues+1)}), want: "17 values"},
		"long value":              {predicate: finding(content.Finding{Check: content.CheckWasm, Count: 1, Values: []string{strings.Repeat("ü", 257)}}), want: "257 characters"},
		"package without a name":  {predicate: with(func(r *content.Report) { r.Native = &content.Native{Packages: map[string]string{"": "1"}} }), want: "name of 0"},
		"range of a package is a novel": {predicate: with(func(r *content.Report) {
			r.Native = &content.Native{Packages: map[string]string{"a": strings.Repeat("1", 129)}}
		}), want: "range of 129"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, source.Options{})
			job := b.encrypted(t, app, c)
			if !tc.opened {
				job.Keys = nil
			}
			job.Authorities = append(job.Authorities, github)
			kind, predicate, subjects, signer := tc.kind, tc.predicate, tc.about, tc.signer
			if kind == "" {
				kind = content.PredicateType
			}
			if predicate == nil {
				predicate = report
			}
			if subjects == nil {
				subjects = both
			}
			if signer == "" {
				signer = workflow
			}
			statement := must[[]byte](t)(author.Statement(kind, predicate, subjects...))
			job.Attestations = []ingest.File{inline(must[[]byte](t)(s.SignStatement(issuer, signer, statement)))}
			res, err := b.worker.Run(t.Context(), job)
			e := kit.Classify(err)
			if err == nil || e.Class != kit.Stalled || e.Reason != otav1alpha1.AttestationInvalidReason || res.Reached != ingest.Verified || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("reached %s with error %v, want AttestationInvalid that says %q", res.Reached, err, tc.want)
			}
			if keys := b.objects(t); len(keys) > 0 {
				t.Errorf("the bucket has %v of a refused artifact", keys)
			}
		})
	}
}

// Two statements are one when they say the same, and nobody picks the better one when they do not.
func TestWorker_attestedTwice(t *testing.T) {
	s, github := keyless(t)
	app, zip := testkit.NewCapgoKey(t), testkit.Zip(t, files)
	c, report := app.Encrypt(t, zip), reportOf(t, zip)
	harmless := report
	harmless.Findings = nil
	state := func(kind string, report content.Report) ingest.File {
		statement := must[[]byte](t)(author.Statement(kind, report, about(zip, c.Content)...))
		return inline(must[[]byte](t)(s.SignStatement(issuer, workflow, statement)))
	}
	for name, tc := range map[string]struct {
		second ingest.File
		want   string
	}{
		"same":          {state(content.PredicateType, report), ""},
		"another thing": {state("https://spdx.dev/Document/v2.3", harmless), ""},
		"contradiction": {state(content.PredicateType, harmless), "says something else of the artifact than the one by github"},
	} {
		for i, order := range [][]ingest.File{{state(content.PredicateType, report), tc.second}, {tc.second, state(content.PredicateType, report)}} {
			b := newBench(t, source.Options{})
			job := b.encrypted(t, app, c)
			job.Keys, job.Authorities, job.Attestations = nil, append(job.Authorities, github), order
			res, err := b.worker.Run(t.Context(), job)
			switch {
			case tc.want == "" && (err != nil || !res.Inspection.NativeCode()):
				t.Errorf("%s %d: got %+v, error %v", name, i, res.Inspection, err)
			case tc.want != "" && (err == nil || kit.Classify(err).Reason != otav1alpha1.AttestationInvalidReason || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("%s %d: got error %v, want AttestationInvalid that says %q", name, i, err, tc.want)
			}
		}
	}
}

// Where the manager can look itself, its own facts count, and an attestation that agrees is no harm.
func TestWorker_attestedAndOpened(t *testing.T) {
	s, github := keyless(t)
	b := newBench(t, source.Options{})
	app, zip := testkit.NewCapgoKey(t), testkit.Zip(t, files)
	c := app.Encrypt(t, zip)
	job := b.encrypted(t, app, c)
	job.Authorities = append(job.Authorities, github)
	statement := must[[]byte](t)(author.Statement(content.PredicateType, reportOf(t, zip), about(zip, c.Content)...))
	job.Attestations = []ingest.File{inline(must[[]byte](t)(s.SignStatement(issuer, workflow, statement)))}
	res, err := b.worker.Run(t.Context(), job)
	if err != nil || res.Inspection == nil || res.Inspection.Attested != nil || !res.Inspection.NativeCode() {
		t.Errorf("inspection is %+v, error %v", res.Inspection, err)
	}
}

// Native dependencies of the spec and of the archive must be the same.
func TestWorker_nativeDependencies(t *testing.T) {
	zip := testkit.Zip(t, map[string]string{"native-dependencies.json": `{"nativeDependencies":{"@capacitor/camera":"^6.1.0","lidar":""}}`, "index.html": "x"})
	for name, tc := range map[string]struct {
		said *content.Native
		want string
	}{
		"not said":      {nil, ""},
		"same":          {&content.Native{Packages: map[string]string{"@capacitor/camera": "^6.1.0", "lidar": ""}}, ""},
		"other range":   {&content.Native{Packages: map[string]string{"@capacitor/camera": "^7.0.0", "lidar": ""}}, `"@capacitor/camera": "^7.0.0" in the spec, "^6.1.0" in the archive`},
		"one is absent": {&content.Native{Packages: map[string]string{"@capacitor/camera": "^6.1.0"}}, `"lidar": absent in the spec, any version in the archive`},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, source.Options{})
			job := b.job(t, b.site.Publish(t, "/a", zip, b.author))
			job.Native = tc.said
			res, err := b.worker.Run(t.Context(), job)
			switch e := kit.Classify(err); {
			case tc.want == "" && (err != nil || len(res.Inspection.Native.Packages) != 2):
				t.Errorf("got error %v", err)
			case tc.want != "" && (err == nil || e.Reason != otav1alpha1.InvalidSpecReason || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("got error %v, want InvalidSpec that says %s", err, tc.want)
			}
		})
	}
}
