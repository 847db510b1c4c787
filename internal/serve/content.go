// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"fmt"
	"slices"
	"strings"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/content"
	"github.com/windlass-dev/windlass/internal/kit"
)

// Bounds of what is said about violations.
const (
	maxWarnings   = 32  // of status.warnings
	maxWarning    = 512 // bytes
	maxViolations = 16  // that a denial names
	maxExplained  = 3   // and whose message it has
)

// contentOf are the content rules of a Channel.
func contentOf(ch *otav1alpha1.Channel) otav1alpha1.ContentPolicy {
	if ch.Spec.Admission == nil || ch.Spec.Admission.Content == nil {
		return otav1alpha1.ContentPolicy{}
	}
	return *ch.Spec.Admission.Content
}

// UnknownChecks names the checks of a Channel's content rules that this version does not have.
func UnknownChecks(ch *otav1alpha1.Channel) []string {
	var out []string
	for _, c := range contentOf(ch).Checks {
		if !content.Known(c.Name) {
			out = append(out, c.Name)
		}
	}
	return out
}

// ContentPolicy is spec.admission.content of a Channel, as package content takes it.
func ContentPolicy(p otav1alpha1.ContentPolicy) content.Policy {
	out := content.Policy{AppStores: p.Profile == otav1alpha1.ContentProfileAppStores, Checks: map[string]content.Action{}}
	for _, c := range p.Checks {
		out.Checks[c.Name] = content.Action(c.Action)
	}
	switch p.NativeCode {
	case otav1alpha1.NativeCodeDenied:
		out.NativeCode = content.Deny
	case otav1alpha1.NativeCodeAllowed:
		out.NativeCode = content.Allow
	}
	if b := p.NativeBaseline; b != nil {
		out.Baseline = make(map[string]string, len(b.Packages))
		for _, pkg := range b.Packages {
			out.Baseline[pkg.Name] = string(pkg.Version)
		}
	}
	return out
}

// clean asks that the content of the artifact keeps to the channel's rules, but for what a person let pass.
func clean(f AdmitFacts) Verdict {
	if unknown := UnknownChecks(f.Channel); len(unknown) > 0 {
		return Verdict{Wait: "waiting for a Channel that names checks of this version only: it does not have " + strings.Join(unknown, ", ")}
	}
	facts := content.Facts{Report: report(f.Channel, f.Bundle), Native: native(f.Bundle.Spec.NativeDependencies)}
	if f.Stable != nil {
		facts.Stable = report(f.Channel, f.Stable)
	}
	violations := evaluate(f, facts)
	passes := overridden(f.Channel, f.Bundle.Spec.Digest)
	if why := unlooked(f, violations); why != "" && passes[content.CheckInspection].Reason == "" {
		return Verdict{Wait: "waiting until the manager has looked into the artifact of Bundle " + f.Bundle.Name + ": " + why}
	}
	v := judge(violations, passes)
	if v.Denied == "" || f.Stable == nil || !uninspected(f.Stable) {
		return v
	}
	facts.Stable = facts.Report // as if nothing were new
	if alone := judge(evaluate(f, facts), passes); alone.Denied != "" {
		return alone
	}
	return Verdict{Wait: "waiting until the manager has looked into Bundle " + f.Stable.Name + ", which is stable, to compare: " + v.Denied}
}

// unlooked says what is not known of an artifact and will be soon. Devices that can see a bundle keep it meanwhile, also where
// CI attested what is in it with the checks of another version.
func unlooked(f AdmitFacts, violations []content.Violation) string {
	for _, x := range violations {
		kept := f.Bundle.Status.Inspection != nil && offered(f.Channel, f.Bundle.Spec.Digest)
		if x.Check == content.CheckInspection && x.Action == content.Deny && (kept || uninspected(f.Bundle)) {
			return x.Message
		}
	}
	return ""
}

// uninspected tells whether the manager has yet to look into an artifact that it can read, or to look again with the checks of this
// version. What CI attested stays as it is.
func uninspected(b *otav1alpha1.Bundle) bool {
	if i := b.Status.Inspection; i != nil {
		return i.By == otav1alpha1.InspectorManager && i.Ruleset != content.Ruleset
	}
	c := apimeta.FindStatusCondition(b.Status.Conditions, otav1alpha1.InspectedCondition)
	opaque := b.Spec.Encryption != nil && b.Spec.Encryption.Mode == otav1alpha1.EncryptionOpaque
	return unsettled(b) || !opaque || c != nil && c.Status == metav1.ConditionTrue
}

// judge turns violations into a verdict. What a person let pass is a warning that says so.
func judge(violations []content.Violation, passes map[string]otav1alpha1.ContentOverride) Verdict {
	var v Verdict
	var names, messages []string
	for _, x := range violations {
		pass, ok := passes[x.Check]
		switch {
		case x.Action != content.Deny:
			v.Warnings = append(v.Warnings, kit.Clip(x.Message, maxWarning))
		case ok:
			v.Warnings = append(v.Warnings, kit.Clip("let pass by "+pass.By+" ("+pass.Reason+"): "+x.Message, maxWarning))
		default:
			names, messages = append(names, x.Check), append(messages, x.Message)
		}
	}
	v.Warnings = v.Warnings[:min(len(v.Warnings), maxWarnings)]
	if len(names) > 0 {
		v.Denied = fmt.Sprintf("content checks deny it (%s): %s", list(names, ", ", maxViolations), list(messages, "; ", maxExplained))
	}
	return v
}

// list joins the first texts and says how many there are beyond them.
func list(texts []string, separator string, most int) string {
	if len(texts) <= most {
		return strings.Join(texts, separator)
	}
	return fmt.Sprintf("%s%sand %d more", strings.Join(texts[:most], separator), separator, len(texts)-most)
}

// offered tells whether devices can see a digest on the channel already.
func offered(ch *otav1alpha1.Channel, digest otav1alpha1.Digest) bool {
	st := ch.Status
	return st.Stable != nil && st.Stable.Digest == digest || st.Candidate != nil && st.Candidate.Digest == digest
}

// overridden are the checks that people let a digest pass on the channel, with the newest word on each.
func overridden(ch *otav1alpha1.Channel, digest otav1alpha1.Digest) map[string]otav1alpha1.ContentOverride {
	out := map[string]otav1alpha1.ContentOverride{}
	for _, o := range slices.Backward(ch.Status.Overrides) {
		if o.Digest != digest {
			continue
		}
		for _, check := range o.Checks {
			out[check] = o
		}
	}
	return out
}

// stranger tells whether what is in the artifact is attested by an authority that the channel asks no signature of, where it asks
// some for signatures: the word of others is no more on what is in the artifact than on its release. vouchers are those that it asks.
func stranger(ch *otav1alpha1.Channel, i *otav1alpha1.Inspection) (vouchers []string, is bool) {
	if a := ch.Spec.Admission; a != nil {
		vouchers = slices.Clone(a.RequiredAuthorities)
		for _, q := range a.Quorums {
			vouchers = append(vouchers, q.Authorities...)
		}
	}
	is = i != nil && i.By == otav1alpha1.InspectorAttestation && len(vouchers) > 0 && !slices.Contains(vouchers, i.Authority)
	return vouchers, is
}

func evaluate(f AdmitFacts, facts content.Facts) []content.Violation {
	violations := content.Evaluate(ContentPolicy(contentOf(f.Channel)), facts)
	nameStranger(f, violations)
	return violations
}

// nameStranger says in the violations who looked into an artifact whose word does not count.
func nameStranger(f AdmitFacts, violations []content.Violation) {
	vouchers, is := stranger(f.Channel, f.Bundle.Status.Inspection)
	for i, x := range violations {
		if is && x.Check == content.CheckInspection {
			violations[i].Message = fmt.Sprintf("%s: what is in the artifact is attested by authority %s, expected one of those whose signatures the "+
				"channel asks for (%s): have one of them sign what kubectl windlass bundle inspect states, or let this digest pass with the "+
				"command override <digest> %[1]s <reason>", x.Check, f.Bundle.Status.Inspection.Authority, list(vouchers, ", ", maxExplained))
		}
	}
}

// report reads facts out of a status; nil: nobody looked into the artifact whose word counts on the channel.
func report(ch *otav1alpha1.Channel, b *otav1alpha1.Bundle) *content.Report {
	i := b.Status.Inspection
	if _, is := stranger(ch, i); i == nil || is {
		return nil
	}
	out := &content.Report{Ruleset: i.Ruleset, Unpacked: i.UnpackedSize, Native: native(i.NativeDependencies)}
	for _, x := range i.Findings {
		out.Findings = append(out.Findings, content.Finding{Check: x.Check, Count: x.Count, Values: x.Values, More: x.More != ""})
	}
	return out
}

func native(n *otav1alpha1.NativeDependencies) *content.Native {
	if n == nil {
		return nil
	}
	out := &content.Native{Packages: make(map[string]string, len(n.Packages))}
	for _, p := range n.Packages {
		out.Packages[p.Name] = p.Version
	}
	return out
}
