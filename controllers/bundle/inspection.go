// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/content"
	"github.com/windlass-dev/windlass/internal/ingest"
	"github.com/windlass-dev/windlass/internal/kit"
)

// Bounds of status.inspection, as the API has them.
const (
	maxFindings = 64
	maxValue    = 256
	maxPackages = 256
	maxPackage  = 214
	maxRange    = 128
)

// omitted is the value of Finding.more.
const omitted = "Omitted"

// inspection is what a transfer found in the artifact, or what is attested; nil when nobody knows. An attestation that holds keeps
// its time.
func inspection(found *ingest.Inspection, old *otav1alpha1.Inspection, now time.Time) *otav1alpha1.Inspection {
	if found == nil {
		return nil
	}
	out := &otav1alpha1.Inspection{
		By: otav1alpha1.InspectorManager, Ruleset: found.Ruleset, UnpackedSize: found.Unpacked,
		NativeCode: otav1alpha1.NativeCodeNone, NativeDependencies: packages(found.Native),
	}
	for _, f := range found.Findings[:min(len(found.Findings), maxFindings)] {
		out.Findings = append(out.Findings, finding(f))
	}
	if found.NativeCode() {
		out.NativeCode = otav1alpha1.NativeCodeFound
	}
	if by := found.Attested; by != nil {
		out.By, out.Authority, out.Trust = otav1alpha1.InspectorAttestation, by.Authority, by.Trust
		out.Evidence, out.At = otav1alpha1.Digest(found.Evidence), new(metav1.NewTime(now))
		if old != nil && old.Authority == out.Authority && old.Evidence == out.Evidence && old.At != nil {
			out.At = old.At
		}
	}
	return out
}

func finding(f content.Finding) otav1alpha1.Finding {
	out := otav1alpha1.Finding{Check: f.Check, Count: max(f.Count, 1)}
	for _, v := range f.Values[:min(len(f.Values), content.MaxValues)] {
		out.Values = append(out.Values, kit.Clip(v, maxValue))
	}
	if f.More || len(f.Values) > content.MaxValues {
		out.More = omitted
	}
	return out
}

// packages gives native dependencies by name. A list that is too long for the status is as good as none: comparisons fail closed.
func packages(n *content.Native) *otav1alpha1.NativeDependencies {
	if n == nil || len(n.Packages) > maxPackages {
		return nil
	}
	out := &otav1alpha1.NativeDependencies{}
	for _, name := range slices.Sorted(maps.Keys(n.Packages)) {
		version := n.Packages[name]
		if name == "" || len(name) > maxPackage || len(version) > maxRange {
			return nil
		}
		out.Packages = append(out.Packages, otav1alpha1.NativeDependency{Name: name, Version: version})
	}
	return out
}

// native is what the author says that the update needs of the installed app; nil when he does not.
func native(n *otav1alpha1.NativeDependencies) *content.Native {
	if n == nil {
		return nil
	}
	out := &content.Native{Packages: map[string]string{}}
	for _, p := range n.Packages {
		out.Packages[p.Name] = p.Version
	}
	return out
}

// outdated tells whether the manager could look into the artifact, and did not by the checks of today.
func (s *scope) outdated() bool {
	i := s.bundle.Status.Inspection
	return !s.sealed() && (i == nil || i.By == otav1alpha1.InspectorManager && i.Ruleset < content.Ruleset)
}

// setInspected tells what is known of the inside of the artifact.
func (s *scope) setInspected() {
	i := s.bundle.Status.Inspection
	switch {
	case s.sealed() && i == nil:
		s.set(otav1alpha1.InspectedCondition, metav1.ConditionUnknown, otav1alpha1.NotOpenedReason,
			"the artifact is encrypted and the Repository has no key of the app: nobody looked into it; add the key, or attest what is in it "+
				"with kubectl windlass bundle inspect")
	case i == nil:
		s.set(otav1alpha1.InspectedCondition, metav1.ConditionTrue, otav1alpha1.SucceededReason, "the artifact is one that devices can unpack")
	case i.By == otav1alpha1.InspectorAttestation:
		s.set(otav1alpha1.InspectedCondition, metav1.ConditionTrue, otav1alpha1.SucceededReason,
			"nobody here can open the artifact; what is in it is attested by authority "+i.Authority+findingsNote(i))
	default:
		s.set(otav1alpha1.InspectedCondition, metav1.ConditionTrue, otav1alpha1.SucceededReason,
			"the artifact is one that devices can unpack"+findingsNote(i))
	}
}

func findingsNote(i *otav1alpha1.Inspection) string {
	var checks []string
	for _, f := range i.Findings {
		if content.Known(f.Check) { // others are facts for comparisons
			checks = append(checks, fmt.Sprintf("%s (%d)", f.Check, f.Count))
		}
	}
	if len(checks) == 0 {
		return "; no findings"
	}
	return "; findings: " + strings.Join(checks, ", ")
}

// nativeNote warns of what stores forbid in updates, with what was found first by each check; empty without it.
func (s *scope) nativeNote() string {
	i := s.bundle.Status.Inspection
	if i == nil || i.NativeCode != otav1alpha1.NativeCodeFound {
		return ""
	}
	var found []string
	for _, f := range i.Findings {
		one := content.Report{Findings: []content.Finding{{Check: f.Check}}}
		switch {
		case !one.NativeCode():
		case len(f.Values) > 0:
			found = append(found, fmt.Sprintf("%s (%s)", f.Check, f.Values[0]))
		default:
			found = append(found, f.Check)
		}
	}
	return "; found in it: " + strings.Join(found, ", ")
}

// inspectedBy names for the metric who looked into an artifact.
func inspectedBy(res ingest.Result) string {
	switch {
	case res.Inspection == nil:
		return "unopened"
	case res.Inspection.Attested != nil:
		return "attested"
	}
	return "inspected"
}
