// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/content"
)

// MaxReason is the longest reason, in bytes.
const MaxReason = 512

// Bounds of arguments, as the API has them.
const (
	maxChecks    = 32
	maxApprovals = 8
)

var (
	digestFormat = regexp.MustCompile(`^sha256:[a-f0-9]{64}$`)
	nameFormat   = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`) // RFC 1123
)

// maxObjectName is the longest name of an object.
const maxObjectName = 253

// ParseReason reads the arguments of commands that need a reason and nothing else: halt and unhalt.
func ParseReason(args string) (string, error) {
	if strings.TrimSpace(args) == "" {
		return "", errors.New("say why: the reason is shown wherever somebody asks what happened")
	}
	if err := CheckReason(args); err != nil {
		return "", err
	}
	return args, nil
}

// CheckReason refuses what is not one line of text, of at most MaxReason bytes. No reason at all passes.
func CheckReason(reason string) error {
	if len(reason) > MaxReason || !utf8.ValidString(reason) || strings.ContainsFunc(reason, unicode.IsControl) {
		return fmt.Errorf("the reason must be one line of at most %d bytes of text", MaxReason)
	}
	return nil
}

// ParseDigest reads the arguments of the command approve of a Rollout: the digest, and nothing else.
func ParseDigest(args string) (otav1alpha1.Digest, error) {
	if !digestFormat.MatchString(args) {
		return "", errors.New("expected a digest: sha256: followed by 64 lower-case hexadecimal digits")
	}
	return otav1alpha1.Digest(args), nil
}

// Target says what devices are brought back to. Bundle goes with RollbackToBundle alone.
type Target struct {
	To     otav1alpha1.RollbackTarget
	Bundle string
	Reason string
}

// ParseRollback reads the arguments of the command rollback: "Stable|Embedded|Bundle/<name> <reason>". The reason is all the rest.
func ParseRollback(args string) (Target, error) {
	word, reason, found := strings.Cut(args, " ")
	to, name, named := strings.Cut(word, "/")
	t := Target{To: otav1alpha1.RollbackTarget(to), Bundle: name, Reason: reason}
	if !found {
		return Target{}, errors.New(`expected "Stable|Embedded|Bundle/<name> <reason>", with one space between them`)
	}
	if _, err := ParseReason(reason); err != nil {
		return Target{}, err
	}
	switch t.To {
	case otav1alpha1.RollbackToStable, otav1alpha1.RollbackToEmbedded:
		if !named {
			return t, nil
		}
	case otav1alpha1.RollbackToBundle:
		if nameFormat.MatchString(name) && len(name) <= maxObjectName {
			return t, nil
		}
	}
	return Target{}, fmt.Errorf("the first word must be Stable, Embedded or Bundle/<name of a Bundle>, not %q", clip(word, 63))
}

// Args are the arguments that ParseRollback reads as t. An error says what of t cannot be asked for.
func (t Target) Args() (string, error) {
	word := string(t.To)
	if t.To == otav1alpha1.RollbackToBundle {
		word += "/" + t.Bundle
	}
	return checked(word+" "+t.Reason, ParseRollback)
}

// Allowed is a digest whose refusal a person lifts.
type Allowed struct {
	Digest otav1alpha1.Digest
	Reason string
}

// ParseAllowed reads the arguments of the command allow: "<digest> <reason>". The reason is all the rest.
func ParseAllowed(args string) (Allowed, error) {
	digest, reason, found := strings.Cut(args, " ")
	if !found {
		return Allowed{}, errors.New(`expected "<digest> <reason>", with one space between them`)
	}
	d, err := parseFirstDigest(digest)
	if err != nil {
		return Allowed{}, err
	}
	if _, err := ParseReason(reason); err != nil {
		return Allowed{}, err
	}
	return Allowed{Digest: d, Reason: reason}, nil
}

// Args are the arguments that ParseAllowed reads as a. An error says what of a cannot be asked for.
func (a Allowed) Args() (string, error) {
	return checked(string(a.Digest)+" "+a.Reason, ParseAllowed)
}

func parseFirstDigest(word string) (otav1alpha1.Digest, error) {
	if !digestFormat.MatchString(word) {
		return "", errors.New("the first word must be a digest: sha256: followed by 64 lower-case hexadecimal digits")
	}
	return otav1alpha1.Digest(word), nil
}

// Passes are content checks that a person lets a digest pass.
type Passes struct {
	Digest otav1alpha1.Digest
	Checks []string
	Reason string
}

// ParseOverride reads the arguments of the command override: "<digest> <check>[,<check>...] <reason>". The reason is all the rest.
func ParseOverride(args string) (Passes, error) {
	word, rest, _ := strings.Cut(args, " ")
	names, reason, found := strings.Cut(rest, " ")
	if !found || strings.TrimSpace(reason) == "" {
		return Passes{}, errors.New(`expected "<digest> <check>[,<check>...] <reason>", with one space between them`)
	}
	digest, err := parseFirstDigest(word)
	if err == nil {
		err = CheckReason(reason)
	}
	if err != nil {
		return Passes{}, err
	}
	out := Passes{Digest: digest, Checks: strings.Split(names, ","), Reason: reason}
	if len(out.Checks) > maxChecks {
		return Passes{}, fmt.Errorf("there are %d checks, at most %d can pass at once", len(out.Checks), maxChecks)
	}
	for i, check := range out.Checks {
		switch {
		case check == "" || !content.Known(check):
			return Passes{}, fmt.Errorf("there is no check %q: see docs/content-rules.md", clip(check, 63))
		case slices.Contains(out.Checks[:i], check):
			return Passes{}, fmt.Errorf("check %s is named twice", check)
		}
	}
	return out, nil
}

// Args are the arguments that ParseOverride reads as p. An error says what of p cannot be asked for.
func (p Passes) Args() (string, error) {
	return checked(string(p.Digest)+" "+strings.Join(p.Checks, ",")+" "+p.Reason, ParseOverride)
}

// approvals is what the arguments of the command approve of a Channel begin with.
const approvals = "approvals="

// ParseApprovals reads the arguments of the command approve of a Channel: "approvals=<n>", the lower number that is approved.
func ParseApprovals(args string) (int32, error) {
	digits, found := strings.CutPrefix(args, approvals)
	n, err := strconv.ParseInt(digits, 10, 32)
	if !found || err != nil || n < 0 || n > maxApprovals || FormatApprovals(int32(n)) != args {
		return 0, fmt.Errorf("expected approvals=<n>, with n from 0 to %d", maxApprovals)
	}
	return int32(n), nil
}

// FormatApprovals gives the arguments that ParseApprovals reads as n.
func FormatApprovals(n int32) string { return approvals + strconv.Itoa(int(n)) }

// checked gives arguments that can be read.
func checked[T any](args string, parse func(string) (T, error)) (string, error) {
	if _, err := parse(args); err != nil {
		return "", err
	}
	return args, nil
}
