// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/content"
	"github.com/windlass-dev/windlass/internal/kit"
)

// Override is the command of a Channel that lets a digest pass content checks.
const Override = "override"

// Unverified is who gave a command when nothing says so.
const Unverified = "unverified"

// Bounds of commands and overrides, as the API has them.
const (
	maxOverrides = 32
	maxChecks    = 32
	maxReason    = 512
	maxCommandID = 128
	maxName      = 32
	maxBy        = 256
)

var digestFormat = regexp.MustCompile(`^sha256:[a-f0-9]{64}$`)

// ParseOverride reads the arguments of the command override: "<digest> <check>[,<check>...] <reason>". The reason is all the rest.
func ParseOverride(args string) (otav1alpha1.ContentOverride, error) {
	digest, rest, _ := strings.Cut(args, " ")
	names, reason, found := strings.Cut(rest, " ")
	out := otav1alpha1.ContentOverride{Digest: otav1alpha1.Digest(digest), Checks: strings.Split(names, ","), Reason: reason}
	switch {
	case !found || strings.TrimSpace(reason) == "":
		return otav1alpha1.ContentOverride{}, errors.New(`expected "<digest> <check>[,<check>...] <reason>", with one space between them`)
	case !digestFormat.MatchString(digest):
		return otav1alpha1.ContentOverride{}, errors.New("the first word must be a digest: sha256: followed by 64 lower-case hexadecimal digits")
	case len(reason) > maxReason || !utf8.ValidString(reason) || strings.ContainsFunc(reason, unicode.IsControl):
		return otav1alpha1.ContentOverride{}, fmt.Errorf("the reason must be one line of at most %d bytes of text", maxReason)
	case len(out.Checks) > maxChecks:
		return otav1alpha1.ContentOverride{}, fmt.Errorf("there are %d checks, at most %d can pass at once", len(out.Checks), maxChecks)
	}
	for i, check := range out.Checks {
		switch {
		case check == "" || !content.Known(check):
			return otav1alpha1.ContentOverride{}, fmt.Errorf("there is no check %q: see docs/content-rules.md", kit.Clip(check, 63))
		case slices.Contains(out.Checks[:i], check):
			return otav1alpha1.ContentOverride{}, fmt.Errorf("check %s is named twice", check)
		}
	}
	return out, nil
}

// Obey carries out the command that the annotations of a Channel give, unless that was done before, and records what became of
// it. Nil: there is nothing to do. The overrides of what devices can see are never forgotten for the sake of new ones.
func Obey(ch *otav1alpha1.Channel, now time.Time) *otav1alpha1.ChannelStatus {
	id := kit.Clip(ch.Annotations[otav1alpha1.CommandIDAnnotation], maxCommandID)
	name := ch.Annotations[otav1alpha1.CommandAnnotation]
	if last := ch.Status.LastCommand; id == "" || name == "" || last != nil && last.ID == id {
		return nil
	}
	at := &metav1.Time{Time: now.Truncate(time.Second)}
	st := ch.Status.DeepCopy()
	st.LastCommand = &otav1alpha1.CommandStatus{
		ID: id, Name: kit.Clip(name, maxName), At: at, Result: otav1alpha1.CommandAccepted,
		By: cmp.Or(kit.Clip(ch.Annotations[otav1alpha1.RequestedByAnnotation], maxBy), Unverified),
	}
	if err := override(ch, st, name); err != nil {
		st.LastCommand.Result, st.LastCommand.Message = otav1alpha1.CommandRefused, kit.Clip(err.Error(), 512)
	}
	return st
}

// override adds what a command lets pass to a status.
func override(ch *otav1alpha1.Channel, st *otav1alpha1.ChannelStatus, name string) error {
	if name != Override {
		return fmt.Errorf("a Channel knows the command %s, not %s", Override, kit.Clip(name, maxName))
	}
	o, err := ParseOverride(ch.Annotations[otav1alpha1.CommandArgsAnnotation])
	if err != nil {
		return fmt.Errorf("%s: %w", otav1alpha1.CommandArgsAnnotation, err)
	}
	if len(st.Overrides) >= maxOverrides {
		oldest := len(st.Overrides) - 1
		for oldest >= 0 && offered(ch, st.Overrides[oldest].Digest) {
			oldest--
		}
		if oldest < 0 {
			return fmt.Errorf("all %d overrides are of what devices can see: release a bundle that needs none first", maxOverrides)
		}
		st.Overrides = slices.Delete(st.Overrides, oldest, oldest+1)
	}
	o.By, o.At = st.LastCommand.By, st.LastCommand.At
	st.Overrides = slices.Insert(st.Overrides, 0, o)
	return nil
}
