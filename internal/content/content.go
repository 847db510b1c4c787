// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package content tells what is in an artifact (facts, once a Bundle), and what a Channel makes of that (policy): native code,
// web surfaces, secrets, native dependencies. docs/content-rules.md lists the checks and where they come from. It is pure.
package content

import (
	"io"
	"math"
	"slices"
	"strings"
)

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

const (
	// MaxValues is how many values of a finding are kept: the first ones, sorted.
	MaxValues = 16
	// maxValue is how many bytes a value has. What is longer is cut, and ends with a part of its hash.
	maxValue = 256
)

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

// Finding gives what a check found; nil when it found nothing. It is for a nil Report too.
func (r *Report) Finding(check string) *Finding {
	if r == nil {
		return nil
	}
	for i := range r.Findings {
		if r.Findings[i].Check == check {
			return &r.Findings[i]
		}
	}
	return nil
}

// NativeCode tells whether one of the checks found something that the field nativeCode of a Channel decides on: native code, a
// package of it, or an archive that nobody can look into.
func (r *Report) NativeCode() bool {
	return slices.ContainsFunc(nativeGroup, func(check string) bool { return r.Finding(check) != nil })
}

// Scanner collects the facts of one artifact. Its File is an artifact.Visit. The order of the files does not matter, as long as
// what is unpacked from nested archives stays below maxNested in all.
type Scanner struct {
	found    findings
	files    int64
	unpacked int64
	native   []*Native // of each native-dependencies.json; nil: broken
	nested   int64     // bytes that were unpacked from archives in the artifact
	work     work
	text     []byte   // of the file that is being looked into
	windows  [][]byte // that are free
}

// NewScanner makes a Scanner.
func NewScanner() *Scanner { return &Scanner{found: findings{}} }

// File looks into one file. Its only errors are those of r. It reads r to its end: every byte for what is native code, an archive or
// a secret, and the first maxText bytes of a text for what a webview would run or read.
func (s *Scanner) File(name string, r io.Reader) error {
	counted := &counter{r: r}
	err := s.look(place{path: name}, counted)
	s.files++
	s.unpacked += counted.n
	return err
}

// Report gives what was found, once all files were looked into.
func (s *Scanner) Report() Report {
	report := Report{Ruleset: Ruleset, Files: int32(min(s.files, math.MaxInt32)), Unpacked: s.unpacked}
	for _, f := range s.found {
		f := *f
		f.Values = slices.Clone(f.Values)
		report.Findings = append(report.Findings, f)
	}
	switch {
	case len(s.native) == 1:
		report.Native = s.native[0]
	case len(s.native) > 1: // nobody can tell which one counts
		report.add(CheckNativeInvalid, nativeFile+" is there more than once")
	}
	slices.SortFunc(report.Findings, func(a, b Finding) int { return strings.Compare(a.Check, b.Check) })
	return report
}

// add notes a value in a report.
func (r *Report) add(check, value string) {
	f := r.Finding(check)
	if f == nil {
		r.Findings = append(r.Findings, Finding{Check: check})
		f = &r.Findings[len(r.Findings)-1]
	}
	f.add(value)
}

// note keeps a value that a check found.
func (s *Scanner) note(check, value string) { s.found.note(check, value) }

// findings are what checks found, by check.
type findings map[string]*Finding

// note keeps a value that a check found.
func (f findings) note(check, value string) { f.of(check).add(value) }

func (f findings) of(check string) *Finding {
	if f[check] == nil {
		f[check] = &Finding{Check: check}
	}
	return f[check]
}

// join takes all values of other. What both counted is the same, read in two ways: the higher count is right.
func (f findings) join(other findings) {
	for check, theirs := range other {
		ours := f.of(check)
		ours.Count = max(ours.Count, theirs.Count)
		ours.take(theirs)
	}
}

// add takes all values of other, and adds what it counted.
func (f findings) add(other findings) {
	for check, theirs := range other {
		ours := f.of(check)
		ours.Count = int32(min(int64(ours.Count)+int64(theirs.Count), math.MaxInt32))
		ours.take(theirs)
	}
}

// take keeps the values of other.
func (f *Finding) take(other *Finding) {
	for _, value := range other.Values {
		f.keep(value)
	}
	f.More = f.More || other.More
}

// add counts a value and keeps it if it is among the first, so that what is kept does not depend on the order of files.
func (f *Finding) add(value string) {
	if f.Count < math.MaxInt32 {
		f.Count++
	}
	f.keep(clean(value))
}

// keep keeps a value if it is among the first.
func (f *Finding) keep(value string) {
	at, there := slices.BinarySearch(f.Values, value)
	switch {
	case there:
	case len(f.Values) < MaxValues:
		f.Values = slices.Insert(f.Values, at, value)
	default:
		f.More = true
		if at < MaxValues {
			f.Values = slices.Insert(f.Values[:MaxValues-1], at, value)
		}
	}
}

// counter counts what is read, and remembers the error that ended it.
type counter struct {
	r   io.Reader
	n   int64
	err error // but io.EOF
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}
