// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windlass-dev/windlass/internal/testkit"
	"github.com/windlass-dev/windlass/internal/verify"
)

const (
	builder    = "https://github.com/acme/.github/.github/workflows/build.yml@refs/tags/v1"
	repository = "https://github.com/acme/shop"
	mainRef    = "refs/heads/main"
	slsaV02    = "https://slsa.dev/provenance/v0.2"
	slsaV1     = "https://slsa.dev/provenance/v1"
	cosignSign = "https://sigstore.dev/cosign/sign/v1"
)

type object = map[string]any

func digestsOf(content []byte) object {
	small, large := sha256.Sum256(content), sha512.Sum512(content)
	return object{"sha256": hex.EncodeToString(small[:]), "sha512": hex.EncodeToString(large[:])}
}

func statementOf(content []byte, predicateType string, predicate any) object {
	return object{
		"_type": "https://in-toto.io/Statement/v1", "predicateType": predicateType, "predicate": predicate,
		"subject": []any{object{"name": "shop.zip", "digest": digestsOf(content)}},
	}
}

func predicateV1() object {
	return object{
		"buildDefinition": object{
			"buildType":            "https://actions.github.io/buildtypes/workflow/v1",
			"externalParameters":   object{"workflow": object{"ref": mainRef, "repository": repository, "path": ".github/workflows/x.yml"}},
			"resolvedDependencies": []any{object{"uri": "git+" + repository + "@" + mainRef, "digest": object{"gitCommit": "c0ffee"}}},
		},
		"runDetails": object{"builder": object{"id": builder}},
	}
}

func predicateV02() object {
	uri := "git+" + repository + "@" + mainRef
	return object{
		"buildType": "https://github.com/npm/cli/gha/v2", "builder": object{"id": builder},
		"invocation": object{"configSource": object{"uri": uri, "entryPoint": "x.yml"}, "environment": object{"path": "a", "PATH": "b"}},
		"materials":  []any{object{"uri": uri}, object{"uri": "pkg:npm/react@18"}},
	}
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	return must(t, text, err)
}

// at walks to a member of nested objects.
func at(o object, path ...string) object {
	for _, name := range path {
		o = o[name].(object)
	}
	return o
}

func policy() *verify.Provenance {
	return &verify.Provenance{BuilderID: builder, SourceRepository: repository, Ref: mainRef}
}

func TestStatement(t *testing.T) {
	s, content := sigstore(t), []byte("artifact")
	key := ecKey(t, elliptic.P256())
	type edit = func(statement, predicate object)
	first := func(st object) object { return st["subject"].([]any)[0].(object) }
	for name, tc := range map[string]struct {
		kind   string
		edit   edit
		policy *verify.Provenance
		want   string // of the refusal; empty: it matches
	}{
		"SLSA 1":            {slsaV1, nil, policy(), ""},
		"SLSA 0.2":          {slsaV02, nil, policy(), ""},
		"SLSA 1, no policy": {slsaV1, nil, nil, ""},
		"cosign sign":       {cosignSign, nil, nil, ""},
		"Statement v0.1":    {slsaV02, func(st, _ object) { st["_type"] = "https://in-toto.io/Statement/v0.1" }, policy(), ""},
		"sha512 alone":      {slsaV1, func(st, _ object) { delete(at(first(st), "digest"), "sha256") }, policy(), ""},
		"two subjects, one ours": {slsaV1, func(st, _ object) {
			st["subject"] = append([]any{object{"name": "other", "digest": digestsOf([]byte("other"))}}, st["subject"].([]any)...)
		}, policy(), ""},
		"builder only":           {slsaV1, func(_, p object) { delete(p, "buildDefinition") }, &verify.Provenance{BuilderID: builder}, ""},
		"dependencies alone, v1": {slsaV1, func(_, p object) { delete(at(p, "buildDefinition"), "externalParameters") }, policy(), ""},
		"workflow alone":         {slsaV1, func(_, p object) { delete(at(p, "buildDefinition"), "resolvedDependencies") }, policy(), ""},
		"materials alone":        {slsaV02, func(_, p object) { delete(p, "invocation") }, policy(), ""},

		"SBOM":                 {"https://spdx.dev/Document/v2.3", nil, nil, "which does not approve of an artifact"},
		"vulnerabilities":      {"https://cosign.sigstore.dev/attestation/vuln/v1", nil, nil, "which does not approve of an artifact"},
		"inspection":           {"https://windlass.dev/attestations/inspection/v1", nil, nil, "which does not approve of an artifact"},
		"cosign sign, policy":  {cosignSign, nil, policy(), "expected https://slsa.dev/provenance/v0.2"},
		"no type":              {"", nil, nil, "does not approve"},
		"wrong builder":        {slsaV1, func(_, p object) { at(p, "runDetails", "builder")["id"] = builder + "/" }, policy(), "is provenance of the builder"},
		"wrong builder, v0.2":  {slsaV02, func(_, p object) { at(p, "builder")["id"] = "https://github.com/evil" }, policy(), "is provenance of the builder"},
		"no builder":           {slsaV1, func(_, p object) { delete(p, "runDetails") }, policy(), `is provenance of the builder ""`},
		"builder is a list":    {slsaV1, func(_, p object) { at(p, "runDetails", "builder")["id"] = []any{builder} }, policy(), "another type than expected"},
		"v0.2's builder in v1": {slsaV1, func(_, p object) { delete(p, "runDetails"); p["builder"] = object{"id": builder} }, policy(), `is provenance of the builder ""`},
		"builder in two cases": {slsaV1, func(_, p object) { at(p, "runDetails", "builder")["ID"] = "x" }, policy(), "in this case"},
		"wrong repository": {slsaV1, func(_, p object) {
			at(p, "buildDefinition", "externalParameters", "workflow")["repository"] = repository + "-evil"
		}, policy(), "is provenance of the repository"},
		"wrong ref": {slsaV1, func(_, p object) {
			at(p, "buildDefinition", "externalParameters", "workflow")["ref"] = "refs/heads/dev"
		}, policy(), "is provenance of the ref"},
		"no repository":      {slsaV1, func(_, p object) { delete(at(p, "buildDefinition", "externalParameters", "workflow"), "repository") }, policy(), `is provenance of the repository ""`},
		"no source":          {slsaV1, func(_, p object) { delete(p, "buildDefinition") }, policy(), "names no source repository"},
		"no ref anywhere":    {slsaV02, func(_, p object) { delete(p, "invocation"); p["materials"] = []any{object{"uri": "git+" + repository}} }, policy(), "names no ref"},
		"another dependency": {slsaV1, func(_, p object) { addTo(p, "resolvedDependencies", "git+https://github.com/evil/x@"+mainRef) }, policy(), `is provenance of the repository "https://github.com/evil/x"`},
		"another ref":        {slsaV1, func(_, p object) { addTo(p, "resolvedDependencies", "git+"+repository+"@refs/heads/dev") }, policy(), `is provenance of the ref "refs/heads/dev"`},
		"two @":              {slsaV1, func(_, p object) { addTo(p, "resolvedDependencies", "git+"+repository+"@evil@"+mainRef) }, policy(), "another form"},
		"wrong config source": {slsaV02, func(_, p object) {
			at(p, "invocation", "configSource")["uri"] = "git+https://github.com/evil/x@" + mainRef
		}, policy(), "is provenance of the repository"},
		"material that differs": {slsaV02, func(_, p object) { p["materials"] = []any{object{"uri": "git+https://github.com/evil/x"}} }, policy(), "in materials"},
		"materials no list":     {slsaV02, func(_, p object) { p["materials"] = "git+" + repository }, policy(), "another type than expected"},

		"another artifact": {slsaV1, func(st, _ object) { first(st)["digest"] = digestsOf([]byte("other")) }, policy(), "is a statement about sha256:"},
		"sha1 alone":       {slsaV1, func(st, _ object) { first(st)["digest"] = object{"sha1": "00"} }, policy(), "without a digest of SHA-2"},
		"two artifacts in one": {slsaV1, func(st, _ object) {
			at(first(st), "digest")["sha512"] = digestsOf([]byte("other"))["sha512"]
		}, policy(), "digests of two different artifacts"},
	} {
		t.Run(name, func(t *testing.T) {
			predicate := predicateV1()
			if tc.kind == slsaV02 {
				predicate = predicateV02()
			}
			st := statementOf(content, tc.kind, predicate)
			if tc.edit != nil {
				tc.edit(st, predicate)
			}
			id, byKey := keyless(t, s), authority(t, "ci", key)
			id.Provenance, byKey.Provenance = tc.policy, tc.policy
			for a, o := range map[*verify.Authority]testkit.Signing{&id: with(nil), &byKey: {ByKey: true, Key: key}} {
				file, err := s.Statement(o, marshal(t, st))
				n, why := refusals(t, content, *a, must(t, file, err))
				if tc.want == "" && n != 1 || tc.want != "" && (n != 0 || len(why) != 1 || !strings.Contains(why[0], tc.want)) {
					t.Errorf("by key %v: got %d matches and refusals %q, want %q", o.ByKey, n, why, tc.want)
				}
			}
		})
	}
}

func addTo(p object, name, uri string) {
	d := at(p, "buildDefinition")
	d[name] = append(d[name].([]any), object{"uri": uri})
}

// What is no statement, or could be read in two ways, is refused as soon as it is read.
func TestStatement_unreadable(t *testing.T) {
	s := sigstore(t)
	good := string(marshal(t, statementOf([]byte("a"), slsaV1, predicateV1())))
	subject := string(marshal(t, statementOf([]byte("a"), "", nil)["subject"]))
	for name, tc := range map[string]struct{ text, want string }{
		"empty":          {"", "no JSON"},
		"a list":         {"[]", "expected a JSON object"},
		"null":           {"null", "expected a JSON object"},
		"cut":            {good[:len(good)-1], "no JSON"},
		"more":           {good + "{}", "more after its end"},
		"twice":          {strings.Replace(good, "{", `{"predicateType":"x",`, 1), `"predicateType" twice`},
		"two cases":      {strings.Replace(good, "{", `{"Subject":[],`, 1), `"Subject", expected "subject"`},
		"another _type":  {strings.Replace(good, "Statement/v1", "Statement/v2", 1), "its _type is"},
		"no subject":     {strings.Replace(good, subject, "[]", 1), "0 subjects"},
		"many subjects":  {strings.Replace(good, subject, "["+strings.Repeat("{},", 1024)+"{}]", 1), "1025 subjects"},
		"one name twice": {strings.Replace(good, subject, subject[:len(subject)-1]+","+subject[1:], 1), "two subjects with the name"},
		"upper case":     {strings.Replace(good, `"sha256":"c`, `"sha256":"C`, 1), "lower-case hexadecimal"},
		"short digest":   {strings.Replace(good, `"sha256":"c`, `"sha256":"`, 1), "lower-case hexadecimal"},
		"no UTF-8":       {strings.Replace(good, "shop.zip", "\xff", 1), "no UTF-8"},
		"deep":           {strings.Replace(good, "{", `{"x":`+strings.Repeat("[", 70)+strings.Repeat("]", 70)+",", 1), "64 levels"},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.text == good {
				t.Fatal("the case changes nothing")
			}
			file, err := s.SignStatement(githubIssuer, workflow, []byte(tc.text))
			must(t, file, err)
			if _, err := verify.DecodeSignature(file); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got error %v, want one that says %q", err, tc.want)
			}
		})
	}
	other := func(b testkit.Object) { b["dsseEnvelope"].(testkit.Object)["payloadType"] = "text/plain" }
	two := func(b testkit.Object) {
		e := b["dsseEnvelope"].(testkit.Object)
		e["signatures"] = append(e["signatures"].([]testkit.Object), testkit.Object{"sig": []byte("x")})
	}
	for want, change := range map[string]func(testkit.Object){"expected a statement of type": other, "2 signatures, expected one": two} {
		file, err := s.Statement(with(func(o *testkit.Signing) { o.Change, o.NoLog = change, true }), []byte(good))
		must(t, file, err)
		if _, err := verify.DecodeSignature(file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one that says %q", err, want)
		}
	}
}

func TestVerifyStatement(t *testing.T) {
	s, content := sigstore(t), []byte("artifact")
	const kind = "https://windlass.dev/attestations/inspection/v1"
	predicate := object{"ruleset": 1}
	file, err := s.SignStatement(githubIssuer, workflow, marshal(t, statementOf(content, kind, predicate)))
	must(t, file, err)
	ci := keyless(t, s)
	vouching, expired, other := keyless(t, s), keyless(t, s), keyless(t, s)
	vouching.Provenance, expired.NotAfter, other.Identity.Subject = policy(), now.Add(-time.Second), "x@example.com"

	got, match, err := verify.VerifyStatement(now, []verify.Authority{other, ci}, file)
	must(t, got, err)
	want := verify.Statement{
		PredicateType: kind, Predicate: marshal(t, predicate), Digests: map[string]string{"shop.zip": testkit.Digest(content)},
	}
	if diff := cmp.Diff(want, got); diff != "" || match.Authority != "ci" || match.Issuer != githubIssuer || match.Trust != ci.Fingerprint() {
		t.Errorf("statement (-want +got):\n%s\nmatch %+v", diff, match)
	}
	blob, err := s.SignBlob(githubIssuer, workflow, content)
	must(t, blob, err)
	st := statementOf(content, kind, predicate)
	delete(at(st["subject"].([]any)[0].(object), "digest"), "sha256")
	only512, err := s.SignStatement(githubIssuer, workflow, marshal(t, st))
	must(t, only512, err)
	foreign, err := sigstore(t).SignStatement(githubIssuer, workflow, marshal(t, statementOf(content, kind, predicate)))
	must(t, foreign, err)
	changed, err := s.Statement(with(func(o *testkit.Signing) {
		o.Change = func(b testkit.Object) {
			b["dsseEnvelope"].(testkit.Object)["payload"] = marshal(t, statementOf([]byte("other"), kind, predicate))
		}
	}), marshal(t, statementOf(content, kind, predicate)))
	must(t, changed, err)
	for name, tc := range map[string]struct {
		authorities []verify.Authority
		file        []byte
		want        string
	}{
		"nobody":        {nil, file, "no authority that may sign statements"},
		"not for this":  {[]verify.Authority{vouching, expired}, file, "no authority that may sign statements"},
		"another":       {[]verify.Authority{other}, file, "is of the subject"},
		"foreign":       {[]verify.Authority{ci}, foreign, "is in no transparency log"},
		"no statement":  {[]verify.Authority{ci}, blob, "no Sigstore bundle with a signed statement"},
		"no sha256":     {[]verify.Authority{ci}, only512, "no sha256 digest"},
		"no signature":  {[]verify.Authority{ci}, []byte("x"), "no signature"},
		"not usable":    {[]verify.Authority{{Name: "ci"}}, file, "neither a key nor an identity"},
		"changed":       {[]verify.Authority{ci}, changed, "is not by the"},
		"detached keys": {[]verify.Authority{authority(t, "ci", ecKey(t, elliptic.P256()))}, file, "is keyless by"},
	} {
		if _, _, err := verify.VerifyStatement(now, tc.authorities, tc.file); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got error %v, want one that says %q", name, err, tc.want)
		}
	}
}

func TestParseSimpleSigning(t *testing.T) {
	digest := testkit.Digest([]byte("manifest"))
	good := `{"critical":{"identity":{"docker-reference":"registry.test/shop"},"image":{"docker-manifest-digest":"` + digest +
		`"},"type":"cosign container image signature"},"optional":{"creator":"x"}}`
	if got, err := verify.ParseSimpleSigning([]byte(good)); err != nil || got != digest {
		t.Errorf("got %s and error %v, want %s", got, err, digest)
	}
	for name, tc := range map[string]struct{ old, new, want string }{
		"another type":  {"cosign container", "atomic container", "is of type"},
		"type in case":  {`"type"`, `"Type"`, "is of type"},
		"no image":      {`"image"`, `"picture"`, "no manifest"},
		"two images":    {`"image"`, `"image":{},"image"`, `"image" twice`},
		"image in case": {`"image"`, `"Image":{},"image"`, "no manifest"},
		"upper case":    {digest, strings.ToUpper(digest), "no manifest"},
		"short":         {digest, digest[:70], "no manifest"},
		"sha512":        {digest, "sha512:" + digest[7:], "no manifest"},
		"a list":        {`"` + digest + `"`, `["` + digest + `"]`, "no manifest"},
		"more":          {good, good + "x", "more after its end"},
		"too large":     {good, strings.Repeat(" ", 65<<10), "at most 65536"},
		"no object":     {good, "[]", "expected a JSON object"},
	} {
		if _, err := verify.ParseSimpleSigning([]byte(strings.Replace(good, tc.old, tc.new, 1))); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got error %v, want one that says %q", name, err, tc.want)
		}
	}
}

// What Fulcio says of the build outweighs what the build says of itself.
func TestProvenance_certificate(t *testing.T) {
	s, content := sigstore(t), []byte("artifact")
	says := func(arc int, text string) pkix.Extension {
		value, err := asn1.MarshalWithParams(text, "utf8")
		return pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, arc}, Value: must(t, value, err)}
	}
	for name, tc := range map[string]struct {
		extra  []pkix.Extension
		policy func(*verify.Provenance)
		want   string // of the refusal; empty: it matches
	}{
		"all agree":           {[]pkix.Extension{says(9, builder), says(12, repository), says(14, mainRef)}, nil, ""},
		"nothing said":        {nil, nil, ""},
		"another repository":  {[]pkix.Extension{says(12, repository+"-evil")}, nil, `is by a certificate with the Source Repository URI "` + repository + `-evil", expected "` + repository + `"`},
		"another ref":         {[]pkix.Extension{says(14, "refs/heads/evil")}, nil, `is by a certificate with the Source Repository Ref "refs/heads/evil", expected "` + mainRef + `"`},
		"another builder":     {[]pkix.Extension{says(9, builder+"0")}, nil, `is by a certificate with the Build Signer URI "` + builder + `0", expected "` + builder + `"`},
		"empty repository":    {[]pkix.Extension{says(12, "")}, nil, `Source Repository URI "", expected`},
		"nothing asked for":   {[]pkix.Extension{says(12, "https://evil.test"), says(14, "x")}, func(p *verify.Provenance) { p.SourceRepository, p.Ref = "", "" }, ""},
		"builder not asked":   {[]pkix.Extension{says(9, "https://evil.test")}, func(p *verify.Provenance) { p.BuilderID = "" }, ""},
		"only the ref is bad": {[]pkix.Extension{says(12, repository), says(14, mainRef+"/x")}, func(p *verify.Provenance) { p.SourceRepository = "" }, "Source Repository Ref"},
	} {
		t.Run(name, func(t *testing.T) {
			a := keyless(t, s)
			a.Provenance = policy()
			if tc.policy != nil {
				tc.policy(a.Provenance)
			}
			o := with(func(o *testkit.Signing) { o.Extra = tc.extra })
			file, err := s.Statement(o, marshal(t, statementOf(content, slsaV1, predicateV1())))
			n, why := refusals(t, content, a, must(t, file, err))
			if (tc.want == "") != (n == 1) || tc.want != "" && !strings.Contains(why[0], tc.want) {
				t.Errorf("got %d matches and refusals %q, want %q", n, why, tc.want)
			}
		})
	}
	for name, extra := range map[string][]pkix.Extension{
		"twice": {says(12, repository), says(12, repository)}, "no text": {{Id: says(14, "").Id, Value: []byte("refs")}},
	} {
		file, err := s.Statement(with(func(o *testkit.Signing) { o.Extra = extra }), marshal(t, statementOf(content, slsaV1, predicateV1())))
		if err != nil {
			continue // such a certificate cannot even be made
		}
		if _, err := verify.DecodeSignature(file); err == nil {
			t.Errorf("%s: the certificate is taken", name)
		}
	}
}
