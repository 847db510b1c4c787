// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package eprocess

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

const (
	version  = "v1:"
	maxTests = 8
)

// Encode writes states as text: v1: and then the states, separated by semicolons. A state has three or more parts,
// separated by slashes: kind, limit and From; the logarithms; and each stage. Within a part there are commas.
func Encode(states []State) string {
	var b strings.Builder
	b.WriteString(version)
	for i := range states {
		if i > 0 {
			b.WriteByte(';')
		}
		states[i].encode(&b)
	}
	return b.String()
}

func (s *State) encode(b *strings.Builder) {
	fmt.Fprintf(b, "%s,%s,%d", s.Kind, number(s.Limit), s.From)
	for j, l := range s.Logs {
		b.WriteByte(separator(j))
		b.WriteString(number(l))
	}
	for i := range s.Seen[:s.Len] {
		b.WriteByte('/')
		b.WriteString(strconv.FormatInt(int64(s.Seen[i].ID), 10))
		for _, n := range s.counts(i) {
			b.WriteByte(',')
			b.WriteString(strconv.FormatInt(*n, 10))
		}
	}
}

func separator(j int) byte {
	if j == 0 {
		return '/'
	}
	return ','
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// counts are those that a state keeps of a stage.
func (s *State) counts(i int) [8]*int64 {
	c, of, f := &s.Seen[i].Candidate, &s.Seen[i].Control, &s.Fresh[i]
	return [...]*int64{&c.Exposed, &c.Failed, &c.Returned, &of.Exposed, &of.Failed, &of.Returned, &f.Candidate, &f.Control}
}

// Decode reads what Encode wrote. An error means that the state is lost: start with zero States, and the next Update takes in all that the
// ledger has.
func Decode(text string) ([]State, error) {
	rest, ok := strings.CutPrefix(text, version)
	if !ok {
		return nil, fmt.Errorf("the state starts with %.8q, expected %s", text, version)
	}
	if rest == "" {
		return nil, nil
	}
	parts := strings.Split(rest, ";")
	if len(parts) > maxTests {
		return nil, fmt.Errorf("the state has %d tests, expected at most %d", len(parts), maxTests)
	}
	out := make([]State, len(parts))
	for i, p := range parts {
		if err := out[i].decode(p); err != nil {
			return nil, fmt.Errorf("test %d: %w", i, err)
		}
	}
	return out, nil
}

func (s *State) decode(text string) error {
	parts := strings.Split(text, "/")
	if len(parts) < 2 || len(parts) > 2+MaxStages {
		return fmt.Errorf("%d parts, expected 2 to %d", len(parts), 2+MaxStages)
	}
	if err := s.decodeTest(parts[0]); err != nil {
		return err
	}
	logs := strings.Split(parts[1], ",")
	if len(logs) != Points {
		return fmt.Errorf("%d logarithms, expected %d", len(logs), Points)
	}
	for j, l := range logs {
		var err error
		if s.Logs[j], err = finite(l); err != nil {
			return fmt.Errorf("logarithm %d: %w", j, err)
		}
	}
	s.Len = int32(len(parts) - 2)
	for i := range s.Seen[:s.Len] {
		if err := s.decodeStage(i, parts[2+i]); err != nil {
			return err
		}
		if i > 0 && s.Seen[i].ID <= s.Seen[i-1].ID {
			return fmt.Errorf("stage %d after stage %d, expected the oldest first", s.Seen[i].ID, s.Seen[i-1].ID)
		}
	}
	return nil
}

// decodeTest reads kind, limit and From.
func (s *State) decodeTest(text string) error {
	parts := strings.Split(text, ",")
	if len(parts) != 3 {
		return fmt.Errorf("%d parts instead of kind, limit and first stage", len(parts))
	}
	switch s.Kind = Kind(parts[0]); s.Kind {
	case "", Increase, Rate, Silence:
	default:
		return fmt.Errorf("the kind is %.16q, expected %s, %s or %s", parts[0], Increase, Rate, Silence)
	}
	var err error
	if s.Limit, err = finite(parts[1]); err != nil {
		return fmt.Errorf("limit: %w", err)
	}
	from, err := strconv.ParseInt(parts[2], 10, 32)
	if err != nil {
		return errors.New("the first stage is not a number")
	}
	s.From = int32(from)
	return nil
}

func finite(text string) (float64, error) {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, errors.New("not a finite number")
	}
	return v, nil
}

func (s *State) decodeStage(i int, text string) error {
	numbers, counts, stage := strings.Split(text, ","), s.counts(i), &s.Seen[i]
	if len(numbers) != 1+len(counts) {
		return fmt.Errorf("a stage has %d numbers, expected %d", len(numbers), 1+len(counts))
	}
	id, err := strconv.ParseInt(numbers[0], 10, 32)
	if err != nil {
		return errors.New("the id of a stage is not a number")
	}
	stage.ID = int32(id)
	for j, n := range counts {
		if *n, err = strconv.ParseInt(numbers[1+j], 10, 64); err != nil {
			return errors.New("a count of a stage is not a number")
		}
	}
	for _, a := range [...]Arm{stage.Candidate, stage.Control} {
		if a.Voted = a.Failed; !a.possible() {
			return fmt.Errorf("stage %d has impossible counts: %s", stage.ID, a)
		}
	}
	if f := s.Fresh[i]; min(f.Candidate, f.Control) < 0 || f.Candidate > stage.Candidate.Exposed || f.Control > stage.Control.Exposed {
		return fmt.Errorf("stage %d has impossible counts: %d and %d fresh devices, expected at most those that were exposed", stage.ID, f.Candidate, f.Control)
	}
	return nil
}
