// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

const (
	// maxMessage is how many bytes a message has: what a status keeps of a warning.
	maxMessage = 512

	// maxGrowth is how many times larger a bundle may be than the stable one.
	maxGrowth = 5
)

// Action is what the findings of a check lead to; values as in the API.
type Action string

// Actions.
const (
	Deny  Action = "Deny"
	Warn  Action = "Warn"
	Allow Action = "Allow"
)

// Policy is what a Channel asks for.
type Policy struct {
	AppStores  bool              // the profile; false: no rules but Checks
	Checks     map[string]Action // by check
	NativeCode Action            // empty: as the profile says
	Baseline   map[string]string // versions of the packages in the installed app, by name; nil: not compared
}

// Action gives what findings of a check lead to: as Checks say, else NativeCode for the checks that it is about, else the profile.
// Where a baseline is compared, what belongs to the comparison denies.
func (p Policy) Action(c Check) Action {
	action, named := p.Checks[c.ID]
	switch {
	case named:
		return action
	case c.ID == CheckInspection:
		return Deny
	case c.ID == CheckNativeBaseline || c.ID == CheckNativeInvalid:
		if p.Baseline != nil {
			return Deny
		}
		return Allow
	case p.NativeCode != "" && slices.Contains(nativeGroup, c.ID):
		return p.NativeCode
	case p.AppStores:
		return c.Severity
	}
	return Allow
}

// Violation is what speaks against a release.
type Violation struct {
	Check   string
	Action  Action // Deny or Warn
	Message string // one sentence: what was found, what is allowed, what to do; at most 512 bytes
}

// Facts are what Evaluate compares.
type Facts struct {
	Report *Report // nil: nobody looked into the artifact
	Native *Native // of the Bundle's spec; nil: that of the report
	Stable *Report // of the bundle that the channel serves; nil: none, so that everything is new
}

// Evaluate gives the violations, those that deny first and then by check, each check at most once. It fails closed: what is not
// known denies.
func Evaluate(p Policy, f Facts) []Violation {
	var found []Violation
	for _, c := range checks {
		action := p.Action(c)
		if action == Allow {
			continue
		}
		if problem := judge(p, f, c); problem != "" {
			found = append(found, violation(c.ID, action, problem, c.Remedy))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Checks)) {
		if !Known(name) && p.Checks[name] != Allow {
			found = append(found, violation(name, Deny, "the channel asks for a check that this version does not know",
				"see docs/content-rules.md for those that there are, or upgrade the manager"))
		}
	}
	slices.SortFunc(found, func(a, b Violation) int {
		if a.Action != b.Action {
			return strings.Compare(string(a.Action), string(b.Action)) // Deny is before Warn
		}
		return strings.Compare(a.Check, b.Check)
	})
	return found
}

// violation says what was found, and what to do.
func violation(check string, action Action, problem, remedy string) Violation {
	if action != Warn {
		action = Deny // also what is no action
	}
	end := fmt.Sprintf(": %s, or let this digest pass with the command override <digest> %.63s <reason>", remedy, check)
	start := fmt.Sprintf("%.63s: %s", check, problem)
	if len(start)+len(end) > maxMessage {
		start = cut(start, maxMessage-len(end)-len(" …")) + " …"
	}
	return Violation{Check: check, Action: action, Message: start + end}
}

// judge says what is wrong; empty: nothing.
func judge(p Policy, f Facts, c Check) string {
	switch c.Judged {
	case Unknown:
		return p.unknown(f)
	case Baseline:
		return p.baseline(f)
	}
	if !knows(f.Report, c) {
		return "" // which is what inspection says
	}
	finding := f.Report.Finding(c.ID)
	stable := f.Stable
	if !knows(stable, c) {
		stable = nil
	}
	switch {
	case c.Judged == Growth:
		return grown(f.Report, stable)
	case c.Judged == Removed:
		return removed(f.Report.Finding(CheckCSP), stable.Finding(CheckCSP))
	case finding == nil:
		return ""
	case c.Judged == NewValue:
		return newValues(finding, stable.Finding(c.ID))
	case c.Judged == Increase:
		return increased(finding, stable.Finding(c.ID))
	}
	return fmt.Sprintf("found %s, none is allowed", shown(finding.Count, finding.Values))
}

// knows tells whether a report says something about a check: it was made by its ruleset or a later one that this version knows.
func knows(r *Report, c Check) bool {
	return r != nil && r.Ruleset >= c.Since && r.Ruleset <= Ruleset
}

// unknown tells whether something that the policy asks for is not known.
func (p Policy) unknown(f Facts) string {
	var asked []string
	var since int32
	for _, c := range checks {
		own := c.Judged == Unknown || c.Judged == Baseline || c.ID == CheckNativeInvalid // these know what to do without a report
		if p.Action(c) != Allow && !own {
			asked = append(asked, c.ID)
			since = max(since, c.Since)
		}
	}
	switch r := f.Report; {
	case len(asked) == 0:
		return ""
	case r == nil:
		return "nobody looked into the artifact, and the channel asks for " + list(asked)
	case r.Ruleset > Ruleset:
		return fmt.Sprintf("the artifact was inspected by ruleset %d, this manager knows those up to %d", r.Ruleset, Ruleset)
	case r.Ruleset < since:
		return fmt.Sprintf("the artifact was inspected by ruleset %d, the channel asks for checks of ruleset %d", r.Ruleset, since)
	}
	return ""
}

// baseline compares what the bundle needs with what is installed.
func (p Policy) baseline(f Facts) string {
	if p.Baseline == nil {
		return ""
	}
	native := f.Native
	if native == nil && f.Report != nil {
		native = f.Report.Native
	}
	if native == nil {
		return "the bundle does not say what it needs of the installed app, and the channel compares that (spec.nativeDependencies of the " +
			"Bundle, or " + nativeFile + " in the archive; empty for nothing)"
	}
	lacking := native.unmet(p.Baseline)
	if len(lacking) == 0 {
		return ""
	}
	return "the installed app does not have what the bundle needs: " + list(lacking)
}

// newValues judges what the stable bundle does not have. Where values are left out of one of the lists, they count as new.
func newValues(now, stable *Finding) string {
	if stable == nil {
		return fmt.Sprintf("found %s, which the stable bundle does not have", shown(now.Count, now.Values))
	}
	fresh := without(now.Values, stable.Values)
	switch {
	case len(fresh) > 0:
		return fmt.Sprintf("found %s, which the stable bundle does not have", list(fresh))
	case now.More:
		return fmt.Sprintf("found more than the %d values that are kept, so that what is new cannot be told", MaxValues)
	}
	return ""
}

func increased(now, stable *Finding) string {
	var before int32
	if stable != nil {
		before = stable.Count
	}
	if now.Count <= before {
		return ""
	}
	return fmt.Sprintf("found %d, the stable bundle has %d", now.Count, before)
}

func removed(now, stable *Finding) string {
	if stable == nil {
		return ""
	}
	if now == nil {
		now = &Finding{}
	}
	switch gone := without(stable.Values, now.Values); {
	case len(gone) > 0:
		return fmt.Sprintf("no Content Security Policy in %s, where the stable bundle has one", list(gone))
	case stable.More && now.Count < stable.Count:
		return fmt.Sprintf("found %d pages with a Content Security Policy, the stable bundle has %d", now.Count, stable.Count)
	}
	return ""
}

func grown(now, stable *Report) string {
	if stable == nil || now.Unpacked/maxGrowth < stable.Unpacked || now.Unpacked == maxGrowth*stable.Unpacked {
		return ""
	}
	return fmt.Sprintf("the files have %d bytes, those of the stable bundle %d, at most %d times as many are expected",
		now.Unpacked, stable.Unpacked, maxGrowth)
}

// without gives the values that are not among others.
func without(values, others []string) []string {
	var left []string
	for _, v := range values {
		if !slices.Contains(others, v) {
			left = append(left, v)
		}
	}
	return left
}

// shown gives a count with some of its values.
func shown(count int32, values []string) string { return fmt.Sprintf("%d (%s)", count, list(values)) }

// list gives the first values, and how many more there are. What is no value of a Scanner may come from an attestation.
func list(values []string) string {
	const most = 3
	var some []string
	for _, v := range values[:min(len(values), most)] {
		some = append(some, cut(clean(v), 80))
	}
	if more := len(values) - most; more > 0 {
		some = append(some, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(some, ", ")
}
