// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/content"
)

// inspection finds "<check>[=<value>,...]" in an artifact.
func inspection(findings ...string) *otav1alpha1.Inspection {
	i := &otav1alpha1.Inspection{By: otav1alpha1.InspectorManager, Ruleset: content.Ruleset, NativeCode: otav1alpha1.NativeCodeNone}
	for _, f := range findings {
		check, values, _ := strings.Cut(f, "=")
		list := strings.Split(values, ",")
		i.Findings = append(i.Findings, otav1alpha1.Finding{Check: check, Count: int32(len(list)), Values: list})
	}
	return i
}

// judged are facts of a candidate with findings on a channel with content rules.
func judged(p otav1alpha1.ContentPolicy, findings ...string) AdmitFacts {
	f := AdmitFacts{Channel: channel(), Bundle: bundle(2), Now: start}
	f.Channel.Spec.Admission = &otav1alpha1.Admission{Content: &p}
	f.Bundle.Status.Inspection = inspection(findings...)
	return f
}

var appStores = otav1alpha1.ContentPolicy{Profile: otav1alpha1.ContentProfileAppStores}

func check(name string, action otav1alpha1.CheckAction) otav1alpha1.ContentPolicy {
	return otav1alpha1.ContentPolicy{Checks: []otav1alpha1.ContentCheck{{Name: name, Action: action}}}
}

func opaque(b *otav1alpha1.Bundle) {
	b.Spec.Encryption = &otav1alpha1.EncryptionSpec{Mode: otav1alpha1.EncryptionOpaque}
	b.Status.Inspection = nil
	b.Status.Conditions = append(b.Status.Conditions, metav1.Condition{
		Type: otav1alpha1.InspectedCondition, Status: metav1.ConditionUnknown, Reason: otav1alpha1.NotOpenedReason})
}

// attested says that somebody attests what is in the artifact.
func attested(i *otav1alpha1.Inspection, authority string) *otav1alpha1.Inspection {
	i.By, i.Authority = otav1alpha1.InspectorAttestation, authority
	return i
}

// asks makes a channel ask for the signature of ci, and one of anna and ben; the Bundle has those of ci and ben.
func asks(f *AdmitFacts) {
	f.Channel.Spec.Admission.RequiredAuthorities = []string{"ci"}
	f.Channel.Spec.Admission.Quorums = []otav1alpha1.Quorum{quorum(1, "anna", "ben")}
	f.Bundle.Status.Verifications = []otav1alpha1.Verification{{Authority: "ci", KeyID: "1"}, {Authority: "ben", KeyID: "2"}}
}

func passes(n int, checks ...string) otav1alpha1.ContentOverride {
	return otav1alpha1.ContentOverride{Digest: digestOf(n), Checks: checks, Reason: "reviewed", By: "anna"}
}

func TestAdmit_content(t *testing.T) {
	native, origin := "native-code=lib/a.so", "remote-script=https://cdn.example"
	baseline := otav1alpha1.ContentPolicy{NativeBaseline: &otav1alpha1.NativeBaseline{
		Packages: []otav1alpha1.NativePackage{{Name: "camera", Version: "6.1.0"}}}}
	for name, tc := range map[string]struct {
		facts  AdmitFacts
		change func(*AdmitFacts)
		denied string
		wait   string
		warned string
	}{
		"clean":                     {facts: judged(appStores)},
		"no rules":                  {facts: judged(otav1alpha1.ContentPolicy{}, native, origin)},
		"native code":               {facts: judged(appStores, native), denied: "content checks deny it (native-code): native-code: found 1 (lib/a.so)"},
		"native code, by the field": {facts: judged(otav1alpha1.ContentPolicy{NativeCode: otav1alpha1.NativeCodeDenied}, native), denied: "(native-code)"},
		"native code, allowed": {facts: judged(otav1alpha1.ContentPolicy{
			Profile: otav1alpha1.ContentProfileAppStores, NativeCode: otav1alpha1.NativeCodeAllowed}, native)},
		"native code, allowed, not inspected": {facts: judged(otav1alpha1.ContentPolicy{NativeCode: otav1alpha1.NativeCodeAllowed}),
			change: func(f *AdmitFacts) { f.Bundle.Status.Inspection = nil }},
		"two denials are both named": {facts: judged(appStores, native, "private-key=a.pem"), denied: "content checks deny it (native-code, private-key): "},
		"a warning":                  {facts: judged(check("wasm", otav1alpha1.CheckWarn), "wasm=a.wasm"), warned: "wasm: found 1 (a.wasm)"},
		"a check of one's own":       {facts: judged(check("wasm", otav1alpha1.CheckDeny), "wasm=a.wasm"), denied: "(wasm)"},
		"new against stable":         {facts: judged(appStores, origin), change: withStable(), denied: "(remote-script)"},
		"as in stable":               {facts: judged(appStores, origin), change: withStable(origin)},
		"no stable: all is new":      {facts: judged(appStores, origin), denied: "(remote-script)"},
		"baseline, and nothing said": {facts: judged(baseline), denied: "(native-baseline)"},
		"baseline, said in the spec": {facts: judged(baseline), change: func(f *AdmitFacts) {
			f.Bundle.Spec.NativeDependencies = &otav1alpha1.NativeDependencies{Packages: []otav1alpha1.NativeDependency{{Name: "camera", Version: "^6.0.0"}}}
		}},
		"baseline, said in the archive": {facts: judged(baseline), change: func(f *AdmitFacts) {
			f.Bundle.Status.Inspection.NativeDependencies = &otav1alpha1.NativeDependencies{Packages: []otav1alpha1.NativeDependency{{Name: "lidar"}}}
		}, denied: "lidar"},

		"not looked into yet": {facts: judged(appStores), change: func(f *AdmitFacts) { f.Bundle.Status.Inspection = nil },
			wait: "until the manager has looked into the artifact of Bundle shop-2"},
		"encrypted":  {facts: judged(appStores), change: func(f *AdmitFacts) { opaque(f.Bundle) }, denied: "(inspection)"},
		"older look": {facts: judged(appStores), change: func(f *AdmitFacts) { f.Bundle.Status.Inspection.Ruleset = 0 }, wait: "until the manager has looked"},
		"older attestation": {facts: judged(appStores), change: func(f *AdmitFacts) {
			f.Bundle.Status.Inspection.Ruleset, f.Bundle.Status.Inspection.By = 0, otav1alpha1.InspectorAttestation
		}, denied: "(inspection)"},
		"older attestation of what is out": {facts: judged(appStores), change: func(f *AdmitFacts) {
			f.Bundle.Status.Inspection.Ruleset, f.Bundle.Status.Inspection.By = 0, otav1alpha1.InspectorAttestation
			f.Channel.Status.Candidate = &otav1alpha1.CandidateBundle{Digest: digestOf(2)}
		}, wait: "until the manager has looked"},
		"stable not looked into yet": {facts: judged(appStores, origin), change: func(f *AdmitFacts) { f.Stable = bundle(1) },
			wait: "into Bundle shop-1, which is stable, to compare: content checks deny it (remote-script)"},
		"stable not looked into yet, denied without": {facts: judged(appStores, origin, native), change: func(f *AdmitFacts) { f.Stable = bundle(1) },
			denied: "content checks deny it (native-code): "},
		"stable not looked into yet, and nothing denied": {facts: judged(appStores), change: func(f *AdmitFacts) { f.Stable = bundle(1) }},
		"stable cannot be looked into": {facts: judged(appStores, origin), change: func(f *AdmitFacts) {
			f.Stable = bundle(1)
			opaque(f.Stable)
		}, denied: "(remote-script)"},
		"attested by anyone, where nobody is asked": {facts: judged(appStores), change: func(f *AdmitFacts) { attested(f.Bundle.Status.Inspection, "stranger") }},
		"attested by who is required": {facts: judged(appStores), change: func(f *AdmitFacts) {
			asks(f)
			attested(f.Bundle.Status.Inspection, "ci")
		}},
		"attested by one of a quorum": {facts: judged(appStores), change: func(f *AdmitFacts) {
			asks(f)
			attested(f.Bundle.Status.Inspection, "anna")
		}},
		"attested by a stranger": {facts: judged(appStores), change: func(f *AdmitFacts) {
			asks(f)
			attested(f.Bundle.Status.Inspection, "stranger")
		}, denied: "(inspection): inspection: what is in the artifact is attested by authority stranger, expected one of those whose signatures the channel asks for (ci, anna, ben)"},
		"attested by a stranger, let pass": {facts: judged(appStores), change: func(f *AdmitFacts) {
			asks(f)
			attested(f.Bundle.Status.Inspection, "stranger")
			f.Channel.Status.Overrides = []otav1alpha1.ContentOverride{passes(2, "inspection")}
		}, warned: "let pass by anna (reviewed): inspection: what is in the artifact is attested by authority stranger"},
		"attested by a stranger, no rules": {facts: judged(otav1alpha1.ContentPolicy{}), change: func(f *AdmitFacts) {
			asks(f)
			attested(f.Bundle.Status.Inspection, "stranger")
		}},
		"stable attested by a stranger": {facts: judged(appStores, origin), change: func(f *AdmitFacts) {
			asks(f)
			f.Stable = bundle(1)
			f.Stable.Status.Inspection = attested(inspection(origin), "stranger")
		}, denied: "(remote-script)"},
		"a check of another time": {facts: judged(check("no-such", otav1alpha1.CheckWarn)), wait: "it does not have no-such"},

		"let pass":                  {facts: judged(appStores, native), change: pass(passes(2, "native-code")), warned: "let pass by anna (reviewed): native-code: found 1"},
		"one of two let pass":       {facts: judged(appStores, native, "private-key=a.pem"), change: pass(passes(2, "native-code")), denied: "(private-key)", warned: "let pass by anna"},
		"another digest let pass":   {facts: judged(appStores, native), change: pass(passes(3, "native-code")), denied: "(native-code)"},
		"let pass, in two commands": {facts: judged(appStores, native, "private-key=a.pem"), change: pass(passes(2, "native-code"), passes(2, "private-key")), warned: "let pass"},
		"encrypted, let pass": {facts: judged(appStores), change: func(f *AdmitFacts) {
			opaque(f.Bundle)
			f.Channel.Status.Overrides = []otav1alpha1.ContentOverride{passes(2, "inspection")}
		}, warned: "let pass by anna"},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.change != nil {
				tc.change(&tc.facts)
			}
			v := Admit(tc.facts)
			warned := strings.Join(v.Warnings, "\n")
			for _, c := range []struct{ kind, got, want string }{{"denied", v.Denied, tc.denied}, {"wait", v.Wait, tc.wait}, {"warned", warned, tc.warned}} {
				if !strings.Contains(c.got, c.want) || c.want == "" && c.got != "" {
					t.Errorf("%s %q, want %q", c.kind, c.got, c.want)
				}
			}
		})
	}
}

func withStable(findings ...string) func(*AdmitFacts) {
	return func(f *AdmitFacts) {
		f.Stable = bundle(1)
		f.Stable.Status.Inspection = inspection(findings...)
	}
}

func pass(overrides ...otav1alpha1.ContentOverride) func(*AdmitFacts) {
	return func(f *AdmitFacts) { f.Channel.Status.Overrides = overrides }
}

// What is said of violations fits into status, however many there are.
func TestAdmit_contentIsBounded(t *testing.T) {
	var violations []content.Violation
	for i := range 64 {
		action := content.Deny
		if i%2 == 0 {
			action = content.Warn
		}
		violations = append(violations, content.Violation{Check: fmt.Sprintf("check-%d", i), Action: action, Message: strings.Repeat("ü", 400)})
	}
	v := judge(violations, nil)
	if len(v.Warnings) != maxWarnings || len(v.Denied) > 4096 || !strings.Contains(v.Denied, "check-31, and 16 more): ") {
		t.Errorf("%d warnings, %d bytes of denial", len(v.Warnings), len(v.Denied))
	}
	if i := slices.IndexFunc(v.Warnings, func(w string) bool { return len(w) > maxWarning || strings.ToValidUTF8(w, "") != w }); i >= 0 {
		t.Errorf("warning of %d bytes", len(v.Warnings[i]))
	}
}

// An override of all checks, for all digests, changes nothing about signatures, floors, revocation and the rest; and it never denies.
func TestAdmit_overridesAreOfContentOnly(t *testing.T) {
	var all []string
	for _, c := range content.Checks() {
		all = append(all, c.ID)
	}
	rapid.Check(t, func(t *rapid.T) {
		f := AdmitFacts{Channel: channel(), Bundle: drawBundle(t), Now: start}
		f.Channel.Spec.Admission = drawAdmission(t)
		f.LeastVersion = rapid.SampledFrom([]string{"", "1.2.0", "1.2.1"}).Draw(t, "floor of the Repository")
		if rapid.Bool().Draw(t, "guard") {
			f.Channel.Spec.Guards = &otav1alpha1.Guards{Floor: "1.3.0"}
		}
		plain := Admit(f)
		f.Channel.Spec.Admission.Content = &appStores
		f.Bundle.Status.Inspection = inspection(rapid.SliceOfDistinct(rapid.SampledFrom(all), rapid.ID).Draw(t, "findings")...)
		strict := Admit(f)
		f.Channel.Status.Overrides = []otav1alpha1.ContentOverride{passes(2, all...)}
		lenient := Admit(f)
		if lenient.Denied != plain.Denied || lenient.Wait != plain.Wait {
			t.Fatalf("with all checks let pass: %+v, without content rules: %+v", lenient, plain)
		}
		if strict.Admitted() && !lenient.Admitted() {
			t.Fatalf("an override denies: %+v", lenient)
		}
	})
}
