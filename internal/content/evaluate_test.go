// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// report makes a report of the present ruleset.
func report(findings ...Finding) *Report {
	return &Report{Ruleset: Ruleset, Files: 1, Unpacked: 100, Findings: findings}
}

func found(check string, count int32, values ...string) Finding {
	return Finding{Check: check, Count: count, Values: values}
}

// verdicts gives the violations as "Deny native-code".
func verdicts(list []Violation) []string {
	out := []string{}
	for _, v := range list {
		out = append(out, string(v.Action)+" "+v.Check)
	}
	return out
}

// Each check of the profile is found, and judged as the table says: nothing, when the stable bundle has the same and new values or an
// increase are asked for.
func TestEvaluateEachCheck(t *testing.T) {
	for _, c := range Checks() {
		t.Run(c.ID, func(t *testing.T) {
			f, same := Facts{Report: report(found(c.ID, 2, "a", "b"))}, report(found(c.ID, 2, "a", "b"))
			more := report(found(c.ID, 1, "a"))
			wantSame := false // whether it counts when the stable bundle has the same
			switch c.Judged {
			case AnyFinding:
				wantSame = true
			case NewValue, Increase:
			case Removed:
				f.Report, same, more = report(), report(), report(found(CheckCSP, 1, "index.html"))
			case Growth:
				f.Report.Unpacked, more.Unpacked = 501, 100
				same.Unpacked = 501
			case Unknown:
				f.Report, same, more, wantSame = nil, nil, nil, true
			case Baseline:
				f.Native, wantSame = &Native{Packages: map[string]string{"a": ""}}, true
			}
			for _, action := range []Action{Deny, Warn, Allow} {
				p := Policy{Checks: map[string]Action{c.ID: action}}
				switch c.Judged {
				case Baseline:
					p.Baseline = map[string]string{}
				case Unknown:
					p.Checks[CheckWasm] = Deny // asks for a report
				}
				for _, stable := range []struct {
					report *Report
					want   bool
				}{{same, wantSame}, {more, true}} {
					f.Stable = stable.report
					want := []string{}
					if stable.want && action != Allow {
						want = []string{string(action) + " " + c.ID}
					}
					if got := verdicts(Evaluate(p, f)); !slices.Equal(got, want) {
						t.Errorf("%s against %+v: %v, want %v", action, stable.report, got, want)
					}
				}
			}
		})
	}
}

func TestEvaluateProfile(t *testing.T) {
	for _, c := range Checks() {
		if c.Judged != AnyFinding && c.Judged != NewValue && c.Judged != Increase || c.ID == CheckNativeInvalid {
			continue
		}
		want := []string{}
		if c.Severity != Allow {
			want = []string{string(c.Severity) + " " + c.ID}
		}
		if got := verdicts(Evaluate(Policy{AppStores: true}, Facts{Report: report(found(c.ID, 1, "a"))})); !slices.Equal(got, want) {
			t.Errorf("AppStores with %s: %v, want %v", c.ID, got, want)
		}
		if got := Evaluate(Policy{}, Facts{Report: report(found(c.ID, 1, "a"))}); len(got) > 0 {
			t.Errorf("no policy with %s: %v, want nothing", c.ID, got)
		}
	}
}

func TestEvaluate(t *testing.T) {
	native := report(found(CheckNativeCode, 1, "ELF: a"))
	older, newer := report(), report()
	older.Ruleset, newer.Ruleset = 0, Ruleset+1
	more := found(CheckRemoteScript, 20, "https://a")
	more.More = true
	needs := func(pairs ...string) *Native {
		n := &Native{Packages: map[string]string{}}
		for i := 0; i < len(pairs); i += 2 {
			n.Packages[pairs[i]] = pairs[i+1]
		}
		return n
	}
	grown := report()
	grown.Unpacked = 500
	for name, tc := range map[string]struct {
		policy Policy
		facts  Facts
		want   []string
	}{
		"no policy, no report":                    {Policy{}, Facts{}, []string{}},
		"no report":                               {Policy{AppStores: true}, Facts{}, []string{"Deny inspection"}},
		"no report, a warning":                    {Policy{Checks: map[string]Action{CheckEval: Warn}}, Facts{}, []string{"Deny inspection"}},
		"no report, only allowed":                 {Policy{Checks: map[string]Action{CheckEval: Allow}}, Facts{}, []string{}},
		"no report, nativeCode denied":            {Policy{NativeCode: Deny}, Facts{}, []string{"Deny inspection"}},
		"no report, nativeCode allowed":           {Policy{NativeCode: Allow}, Facts{}, []string{}},
		"no report, which is allowed":             {Policy{AppStores: true, Checks: map[string]Action{CheckInspection: Allow}}, Facts{}, []string{}},
		"older ruleset":                           {Policy{AppStores: true}, Facts{Report: older}, []string{"Deny inspection"}},
		"newer ruleset":                           {Policy{AppStores: true}, Facts{Report: newer}, []string{"Deny inspection"}},
		"clean":                                   {Policy{AppStores: true}, Facts{Report: report()}, []string{}},
		"nativeCode before the profile":           {Policy{AppStores: true, NativeCode: Allow}, Facts{Report: native}, []string{}},
		"nativeCode alone":                        {Policy{NativeCode: Deny}, Facts{Report: native}, []string{"Deny native-code"}},
		"nativeCode denies what is closed":        {Policy{NativeCode: Deny}, Facts{Report: report(found(CheckNestedArchive, 1, "a"))}, []string{"Deny nested-archive"}},
		"checks before nativeCode":                {Policy{NativeCode: Deny, Checks: map[string]Action{CheckNativeCode: Warn}}, Facts{Report: native}, []string{"Warn native-code"}},
		"unknown check":                           {Policy{Checks: map[string]Action{"nativ-code": Warn}}, Facts{Report: report()}, []string{"Deny nativ-code"}},
		"unknown check that is allowed":           {Policy{Checks: map[string]Action{"nativ-code": Allow}}, Facts{}, []string{}},
		"action that is none":                     {Policy{Checks: map[string]Action{CheckNativeCode: "warn"}}, Facts{Report: native}, []string{"Deny native-code"}},
		"new against an older stable":             {Policy{AppStores: true}, Facts{Report: report(found(CheckRemoteScript, 1, "https://a")), Stable: withRuleset(0, found(CheckRemoteScript, 1, "https://a"))}, []string{"Deny remote-script"}},
		"new against a newer stable":              {Policy{AppStores: true}, Facts{Report: report(found(CheckEval, 1)), Stable: withRuleset(Ruleset+1, found(CheckEval, 1))}, []string{"Warn eval"}},
		"values left out":                         {Policy{AppStores: true}, Facts{Report: report(more), Stable: report(found(CheckRemoteScript, 1, "https://a"))}, []string{"Deny remote-script"}},
		"values left out on both sides":           {Policy{AppStores: true}, Facts{Report: report(more), Stable: report(more)}, []string{"Deny remote-script"}},
		"values left out of the stable":           {Policy{AppStores: true}, Facts{Report: report(found(CheckRemoteScript, 1, "https://a")), Stable: report(more)}, []string{}},
		"five times":                              {Policy{AppStores: true}, Facts{Report: grown, Stable: report()}, []string{}},
		"csp gone":                                {Policy{AppStores: true}, Facts{Report: report(), Stable: report(found(CheckCSP, 1, "index.html"))}, []string{"Deny csp-removed"}},
		"csp never there":                         {Policy{AppStores: true}, Facts{Report: report(), Stable: report()}, []string{}},
		"csp of many pages":                       {Policy{AppStores: true}, Facts{Report: report(found(CheckCSP, 19, "a")), Stable: report(Finding{Check: CheckCSP, Count: 20, Values: []string{"a"}, More: true})}, []string{"Deny csp-removed"}},
		"deny before warn":                        {Policy{AppStores: true}, Facts{Report: report(found(CheckEval, 1), found(CheckWasm, 1), found(CheckScript, 1), found(CheckNativeCode, 1), found(CheckAppPackage, 1))}, []string{"Deny app-package", "Deny native-code", "Warn eval", "Warn script"}},
		"baseline, nothing declared":              {Policy{Baseline: map[string]string{}}, Facts{Report: report()}, []string{"Deny native-baseline"}},
		"baseline, no report":                     {Policy{Baseline: map[string]string{}}, Facts{}, []string{"Deny native-baseline"}},
		"baseline, declared by the Bundle":        {Policy{Baseline: map[string]string{"a": "1.2.3"}}, Facts{Native: needs("a", "^1.0.0")}, []string{}},
		"baseline, nothing needed":                {Policy{Baseline: map[string]string{}}, Facts{Native: needs()}, []string{}},
		"baseline, declared in the archive":       {Policy{Baseline: map[string]string{"a": "1.2.3"}}, Facts{Report: &Report{Ruleset: 1, Native: needs("a", "2.x")}}, []string{"Deny native-baseline"}},
		"baseline, the Bundle before the file":    {Policy{Baseline: map[string]string{"a": "1.2.3"}}, Facts{Native: needs("a", ""), Report: &Report{Ruleset: 1, Native: needs("a", "2.x")}}, []string{}},
		"baseline, not installed":                 {Policy{Baseline: map[string]string{"b": "1.0.0"}}, Facts{Native: needs("a", "")}, []string{"Deny native-baseline"}},
		"baseline, more installed":                {Policy{Baseline: map[string]string{"a": "1.0.0", "b": "1.0.0"}}, Facts{Native: needs("a", "1.x")}, []string{}},
		"baseline, no range":                      {Policy{Baseline: map[string]string{"a": "1.0.0"}}, Facts{Native: needs("a", "workspace:*")}, []string{"Deny native-baseline"}},
		"baseline, no version":                    {Policy{Baseline: map[string]string{"a": "one"}}, Facts{Native: needs("a", "1.x")}, []string{"Deny native-baseline"}},
		"baseline, as a warning":                  {Policy{Baseline: map[string]string{}, Checks: map[string]Action{CheckNativeBaseline: Warn}}, Facts{Report: report()}, []string{"Warn native-baseline"}},
		"baseline, broken file":                   {Policy{Baseline: map[string]string{}}, Facts{Native: needs(), Report: report(found(CheckNativeInvalid, 1, "a"))}, []string{"Deny native-dependencies-invalid"}},
		"no baseline, broken file":                {Policy{AppStores: true}, Facts{Report: report(found(CheckNativeInvalid, 1, "a"))}, []string{}},
		"no baseline, a package needed":           {Policy{AppStores: true}, Facts{Report: report(), Native: needs("a", "1.x")}, []string{}},
		"a check asked for without what it needs": {Policy{Checks: map[string]Action{CheckNativeBaseline: Deny}}, Facts{Report: report()}, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			got := Evaluate(tc.policy, tc.facts)
			if !slices.Equal(verdicts(got), tc.want) {
				t.Errorf("Evaluate gave %v (%v), want %v", verdicts(got), got, tc.want)
			}
		})
	}
}

func withRuleset(n int32, findings ...Finding) *Report {
	r := report(findings...)
	r.Ruleset = n
	return r
}

func TestMessages(t *testing.T) {
	for name, tc := range map[string]struct {
		policy Policy
		facts  Facts
		want   []string // parts of the first message
	}{
		"found": {
			Policy{AppStores: true}, Facts{Report: report(found(CheckNativeCode, 5, "ELF: a", "ELF: b", "ELF: c", "ELF: d"))},
			[]string{"native-code: found 5 (ELF: a, ELF: b, ELF: c, and 1 more), none is allowed: take it out", "override <digest> native-code <reason>"},
		},
		"new": {
			Policy{AppStores: true}, Facts{Report: report(found(CheckRemoteScript, 2, "https://a", "https://b")), Stable: report(found(CheckRemoteScript, 1, "https://a"))},
			[]string{"remote-script: found https://b, which the stable bundle does not have: bundle the script"},
		},
		"increase": {
			Policy{AppStores: true}, Facts{Report: report(found(CheckEval, 3)), Stable: report(found(CheckEval, 2))},
			[]string{"eval: found 3, the stable bundle has 2"},
		},
		"baseline": {
			Policy{Baseline: map[string]string{"a": "1.0.0"}}, Facts{Native: &Native{Packages: map[string]string{"a": "^2", "b": ""}}},
			[]string{"a 1.0.0 is installed, ^2 is needed, b is not installed", "raise the baseline"},
		},
		"nobody looked": {Policy{AppStores: true}, Facts{}, []string{"nobody looked into the artifact", "kubectl windlass bundle inspect"}},
		"hostile values": {
			Policy{AppStores: true}, Facts{Report: report(found(CheckNativeCode, 1, "ELF: \x1b[2J\u202e"+strings.Repeat("x", 4000)))},
			[]string{"ELF: ?[2J?xxx"},
		},
	} {
		got := Evaluate(tc.policy, tc.facts)
		if len(got) == 0 {
			t.Errorf("%s: no violation", name)
			continue
		}
		for _, part := range tc.want {
			if !strings.Contains(got[0].Message, part) {
				t.Errorf("%s: message %q, want %q in it", name, got[0].Message, part)
			}
		}
	}
}

// Whatever an attestation says: Evaluate is sorted, names each check once, and keeps to its bounds; what is denied without a fact is
// denied with it.
func TestEvaluateProperties(t *testing.T) {
	ids := []string{"no-such-check"}
	for _, c := range Checks() {
		ids = append(ids, c.ID)
	}
	findings := rapid.Custom(func(t *rapid.T) Finding {
		return Finding{
			Check: rapid.SampledFrom(ids).Draw(t, "check"), Count: rapid.Int32().Draw(t, "count"),
			Values: rapid.SliceOfN(rapid.String(), 0, 20).Draw(t, "values"), More: rapid.Bool().Draw(t, "more"),
		}
	})
	packages := rapid.MapOfN(rapid.String(), rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"1.2.3", "^1.2.3", "", "1.x"})), 0, 300)
	reports := rapid.Custom(func(t *rapid.T) *Report {
		r := &Report{Ruleset: rapid.Int32Range(-1, 3).Draw(t, "ruleset"), Unpacked: rapid.Int64().Draw(t, "unpacked")}
		r.Findings = rapid.SliceOfN(findings, 0, 40).Draw(t, "findings")
		if rapid.Bool().Draw(t, "declares") {
			r.Native = &Native{Packages: packages.Draw(t, "packages")}
		}
		return r
	})
	rapid.Check(t, func(t *rapid.T) {
		p := Policy{
			AppStores:  rapid.Bool().Draw(t, "profile"),
			Checks:     rapid.MapOfN(rapid.SampledFrom(ids), rapid.SampledFrom([]Action{Deny, Warn, Allow, ""}), 0, 5).Draw(t, "checks"),
			NativeCode: rapid.SampledFrom([]Action{"", Deny, Allow}).Draw(t, "nativeCode"),
		}
		if rapid.Bool().Draw(t, "compares") {
			p.Baseline = packages.Draw(t, "baseline")
		}
		var f Facts
		if rapid.Bool().Draw(t, "inspected") {
			f.Report = reports.Draw(t, "report")
		}
		if rapid.Bool().Draw(t, "serves") {
			f.Stable = reports.Draw(t, "stable")
		}
		got := Evaluate(p, f)
		seen := map[string]bool{}
		for i, v := range got {
			switch {
			case seen[v.Check]:
				t.Fatalf("%s is there twice", v.Check)
			case v.Action != Deny && v.Action != Warn:
				t.Fatalf("%s has the action %q", v.Check, v.Action)
			case v.Message == "" || len(v.Message) > maxMessage || strings.ToValidUTF8(v.Message, "") != v.Message:
				t.Fatalf("%s has a message of %d bytes: %q", v.Check, len(v.Message), v.Message)
			case !strings.HasPrefix(v.Message, v.Check+": ") || !strings.Contains(v.Message, "override <digest> "+v.Check):
				t.Fatalf("%s has the message %q", v.Check, v.Message)
			case i > 0 && (got[i-1].Action == Warn && v.Action == Deny || got[i-1].Action == v.Action && got[i-1].Check > v.Check):
				t.Fatalf("%s is behind %s", v.Check, got[i-1].Check)
			}
			seen[v.Check] = true
		}
		if !p.AppStores && len(p.Checks) == 0 && p.NativeCode == "" && p.Baseline == nil && len(got) > 0 {
			t.Fatalf("no policy gave %v", got)
		}
		if p.AppStores && f.Report == nil && p.Checks[CheckInspection] == "" && !seen[CheckInspection] {
			t.Fatalf("no report gave %v, want it denied", got)
		}
	})
}

func TestChecksTable(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Checks() {
		if seen[c.ID] || c.ID == "" || c.Finds == "" || c.Reason == "" || c.Source == "" || c.Remedy == "" || c.Since < 1 || c.Since > Ruleset ||
			!slices.Contains([]Action{Deny, Warn, Allow}, c.Severity) {
			t.Errorf("check %+v is not complete, or there twice", c)
		}
		seen[c.ID] = true
		if !Known(c.ID) {
			t.Errorf("Known(%q) is false", c.ID)
		}
		if v := violation(c.ID, Deny, strings.Repeat("x", 600), c.Remedy); len(v.Message) > maxMessage {
			t.Errorf("a message of %s has %d bytes, want at most %d", c.ID, len(v.Message), maxMessage)
		}
	}
	if Known("") || Known(CheckCSP) || Known("native") {
		t.Error("Known is true for what is no check")
	}
	if len(checks) > 60 { // the API keeps 64 findings
		t.Errorf("%d checks, want at most 60", len(checks))
	}
	if !report(found(CheckAppPackage, 1)).NativeCode() || report(found(CheckWasm, 1)).NativeCode() {
		t.Error("NativeCode is not about native code")
	}
}
