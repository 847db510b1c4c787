// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/windlass-dev/windlass/internal/bucketing"
	"github.com/windlass-dev/windlass/internal/compat"
	"github.com/windlass-dev/windlass/internal/release"
)

// Channel is the compiled state of one channel. It is immutable.
type Channel struct {
	App, Name string
	Revision  int64
	PublicURL string // where the repository's prefix is public; empty: nowhere

	expires    time.Time // when the channel's own metadata stop to hold; zero: with the view's
	unreadable bool
	halted     bool
	follow     follow
	audience   audience
	guards     guards
	stable     *Bundle // nil: the app's embedded bundle
	trial      *Trial  // nil: no rollout is active
	floor      *Bundle // nil: there is none to be had, or it was refused; guards.floor still holds
	bundles    []*Bundle
	refused    []refusal
	exclusions []exclusion
	variants   []*Channel // for devices that exclusions hold for, by the set of these: the bit 1<<i is that of exclusions[i]
}

// refusal is what devices must not keep, by digest, and by version for devices that tell no digest.
type refusal struct {
	digest  string
	version *semver.Version // nil: not known
	why     Reason          // ReasonRefused or ReasonExcluded
}

// Bundle is a compiled bundle. It is immutable.
type Bundle struct {
	release.Bundle

	version  *semver.Version
	requires compat.Requirements
}

// Trial is a candidate that a rollout lets out.
type Trial struct {
	Bundle       *Bundle
	Weight       int32 // basis points
	Salt         string
	Rollout      string
	Release      int64
	Stage        int32 // grows with each weight and exclusion of the release; 0: not told
	LeaseExpires time.Time
	OnLoss       OnLoss
}

// OnLoss says what happens to a candidate whose lease nobody renewed.
type OnLoss string

// The values, as in the release document.
const (
	StopOffering OnLoss = "StopOffering" // devices that have the candidate keep it, no other gets it
	Retract      OnLoss = "Retract"      // all devices get stable
	Continue     OnLoss = "Continue"     // as if the lease held
)

// Unreadable is a channel that offers nothing, because its release document cannot be understood. To serve the last one that
// could be would ignore a rollback that it may hold. Who follows it is what the document's head says, if that could be read
// (release.DecodeHead); else as it was before. With neither, or a visibility that this version does not know, only devices
// follow it that name it: it must not take over those of other channels.
func Unreadable(app, name string, head *release.Document, before *Channel) *Channel {
	c := &Channel{App: app, Name: name, unreadable: true, follow: follow{visibility: unknown}}
	switch {
	case head != nil:
		c.follow, c.audience = gleanFollow(head.Follow), compileAudience(head.Audience)
	case before != nil:
		c.follow, c.audience = before.follow, before.audience
	}
	return c
}

// Compile makes a Channel of a release document. Everything in the document that this version does not understand is an
// error: a guard that is skipped would offer what nobody allowed.
func Compile(doc *release.Document) (*Channel, error) {
	c, err := compile(doc)
	if err != nil {
		return nil, err
	}
	return c, c.compileExclusions(doc)
}

// compile makes a Channel for devices that no exclusion holds for.
func compile(doc *release.Document) (*Channel, error) {
	c := &Channel{
		App: doc.App, Name: doc.Channel, Revision: doc.Revision, PublicURL: doc.PublicURL, audience: compileAudience(doc.Audience),
	}
	switch doc.Serving {
	case release.Active:
	case release.Halted:
		c.halted = true
	default:
		return nil, fmt.Errorf("serving: expected Active or Halted, got %q", doc.Serving)
	}
	if err := c.compileBundles(doc); err != nil {
		return nil, err
	}
	var err error
	if c.follow, err = compileFollow(doc.Follow); err != nil {
		return nil, err
	}
	if c.refused, err = compileRefused(doc.Refused); err != nil {
		return nil, err
	}
	if c.guards, err = compileGuards(doc.Guards); err != nil {
		return nil, err
	}
	return c, c.compileTrial(doc.Candidate)
}

func compileRefused(src []release.Refusal) ([]refusal, error) {
	out := make([]refusal, 0, len(src))
	for _, s := range src {
		r := refusal{digest: s.Digest, why: ReasonRefused}
		if s.Version != "" {
			var err error
			if r.version, err = semver.StrictNewVersion(s.Version); err != nil {
				return nil, fmt.Errorf("refused %s: version: expected a semantic version, got %q", s.Digest, s.Version)
			}
		}
		out = append(out, r)
	}
	return out, nil
}

// compileBundles compiles what the document refers to and leaves out what it refuses: a refused stable is replaced by the
// previous one, if there is one.
func (c *Channel) compileBundles(doc *release.Document) error {
	for _, src := range doc.Bundles() {
		b, err := compileBundle(src)
		if err != nil {
			return err
		}
		if !doc.Refuses(b.Digest) {
			c.bundles = append(c.bundles, b)
		}
	}
	c.floor = c.compiled(doc.Guards.Floor)
	c.stable = c.compiled(doc.Stable)
	if doc.Stable != nil && c.stable == nil {
		c.stable = c.compiled(doc.Previous)
	}
	return nil
}

// compiled finds a bundle of the document among those that are not refused.
func (c *Channel) compiled(src *release.Bundle) *Bundle {
	if src == nil {
		return nil
	}
	i := slices.IndexFunc(c.bundles, func(b *Bundle) bool { return b.Digest == src.Digest && b.Path == src.Path })
	if i < 0 {
		return nil
	}
	return c.bundles[i]
}

func (c *Channel) compileTrial(src *release.Candidate) error {
	if src == nil {
		return nil
	}
	if src.Weight < 0 || src.Weight > bucketing.Slots {
		return fmt.Errorf("candidate weight: expected 0 to %d basis points, got %d", bucketing.Slots, src.Weight)
	}
	if src.Stage < 0 {
		return fmt.Errorf("candidate stage: expected 0 or more, got %d", src.Stage)
	}
	loss := OnLoss(src.OnLoss)
	switch loss {
	case "":
		loss = StopOffering
	case StopOffering, Retract, Continue:
	default:
		return fmt.Errorf("candidate onLoss: expected StopOffering, Retract or Continue, got %q", src.OnLoss)
	}
	b := c.compiled(&src.Bundle)
	if b == nil { // refused
		return nil
	}
	c.trial = &Trial{
		Bundle: b, Weight: src.Weight, Salt: src.Salt, Rollout: src.Rollout, Release: src.Release, Stage: src.Stage,
		LeaseExpires: time.Unix(src.LeaseExpires, 0), OnLoss: loss,
	}
	return nil
}

var digestPattern = regexp.MustCompile(`^sha256:[a-f0-9]{64}$`)

func compileBundle(src *release.Bundle) (*Bundle, error) {
	version, err := semver.StrictNewVersion(src.Version)
	if err != nil {
		return nil, fmt.Errorf("bundle %s: version: expected a semantic version, got %q", src.Name, src.Version)
	}
	if !digestPattern.MatchString(src.Digest) {
		return nil, fmt.Errorf("bundle %s: digest: expected sha256: and 64 hexadecimal digits, got %q", src.Name, src.Digest)
	}
	if src.Path == "" || src.Size < 0 {
		return nil, fmt.Errorf("bundle %s: expected a path and a size, got %q and %d", src.Name, src.Path, src.Size)
	}
	requires, err := compat.Compile(src.Platforms, src.NativeVersion, src.RuntimeVersion)
	if err != nil {
		return nil, fmt.Errorf("bundle %s: %w", src.Name, err)
	}
	return &Bundle{Bundle: *src, version: version, requires: requires}, nil
}

// Stable is what devices get that are not in the candidate's cohort; nil: the app's embedded bundle.
func (c *Channel) Stable() *Bundle { return c.stable }

// Trial is the active candidate, or nil.
func (c *Channel) Trial() *Trial { return c.trial }

// Bundles are all bundles that the channel may hand out, each once, and no refused one. They stay available while the
// channel is halted: a device in the middle of a download is not a device that is offered something.
func (c *Channel) Bundles() []*Bundle { return c.bundles }

// Until gives the channel with the time at which its own metadata stop to hold.
func (c *Channel) Until(expires time.Time) *Channel {
	out := *c
	out.expires = expires
	return &out
}

// Expires is when the channel's own metadata stop to hold; zero: with the view's.
func (c *Channel) Expires() time.Time { return c.expires }

// expired gives the reason why the channel says nothing any more, if it does not.
func (c *Channel) expired(now time.Time) Reason {
	if !c.expires.IsZero() && !now.Before(c.expires) {
		return ReasonMetadataExpired
	}
	return noReason
}

// Readable tells whether the channel's release document could be understood.
func (c *Channel) Readable() bool { return !c.unreadable }

// leaseLost tells whether the lease has run out in a way that changes what devices get.
func (t *Trial) leaseLost(now time.Time) bool {
	return t.OnLoss != Continue && !now.Before(t.LeaseExpires)
}
