// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package tuf holds the rules of our TUF repositories that writers and readers share: keys, roots of trust and how one follows
// another, version floors, delegations and targets. It is stricter than the specification and than go-tuf: what none of our
// writers makes is refused, before it is signed and when it is read. It is pure.
package tuf

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
)

// Most bytes of each kind of metadata: the limits of go-tuf's client, so that nothing is signed that clients refuse.
const (
	MaxRoot      = 512_000
	MaxTimestamp = 16_384
	MaxSnapshot  = 2_000_000
	MaxTargets   = 5_000_000
)

// MaxLife bounds how far in the future metadata may expire.
const MaxLife = 10 * 365 * 24 * time.Hour

// maxInteger is the largest integer that all JSON readers keep exactly (RFC 8259, section 6).
const maxInteger = 1<<53 - 1

// specPrefix starts every version of the specification that clients of ours read.
const specPrefix = "1.0."

// head is what all metadata have.
type head struct {
	kind, spec string
	version    int64
	expires    time.Time
}

// check compares the head with what a kind of metadata has to have. A zero time leaves out whether it has expired.
func (h head) check(kind string, now time.Time) error {
	switch {
	case h.kind != kind:
		return fmt.Errorf("type %q, expected %s", h.kind, kind)
	case !strings.HasPrefix(h.spec, specPrefix):
		return fmt.Errorf("spec_version %q, expected %sx", h.spec, specPrefix)
	case h.version < 1 || h.version > maxInteger:
		return fmt.Errorf("version %d, expected 1 or more", h.version)
	}
	return checkExpires(h.expires, now)
}

func checkExpires(at, now time.Time) error {
	text, err := at.MarshalText()
	switch {
	case err != nil || at.Nanosecond() != 0 || !strings.HasSuffix(string(text), "Z"):
		return fmt.Errorf("expires %s, expected UTC and whole seconds", at)
	case now.IsZero():
		return nil
	case !at.After(now):
		return fmt.Errorf("expired at %s", text)
	case at.Sub(now) > MaxLife:
		return fmt.Errorf("expires %s, expected at most %d days from now", text, MaxLife/(24*time.Hour))
	}
	return nil
}

// integers refuses numbers in fields that the specification does not know unless they are integers that every reader keeps:
// canonical JSON has no floats.
func integers(fields map[string]any) error {
	for name, value := range fields {
		if err := integer(value); err != nil {
			return fmt.Errorf("field %s: %w", name, err)
		}
	}
	return nil
}

func integer(value any) error {
	switch v := value.(type) {
	case nil, bool, string:
		return nil
	case int:
		return inRange(float64(v), v)
	case int64:
		return inRange(float64(v), v)
	case json.Number:
		f, err := v.Float64()
		if err != nil || strings.ContainsAny(v.String(), ".eE") {
			return fmt.Errorf("%v, expected an integer", v)
		}
		return inRange(f, v)
	case float64:
		return inRange(v, v)
	case []any:
		for _, item := range v {
			if err := integer(item); err != nil {
				return err
			}
		}
		return nil
	case map[string]any:
		return integers(v)
	}
	return fmt.Errorf("%T, expected text, integers, lists and maps", value)
}

func inRange(f float64, shown any) error {
	if f != math.Trunc(f) || math.Abs(f) > maxInteger {
		return fmt.Errorf("%v, expected an integer of at most 53 bits", shown)
	}
	return nil
}
