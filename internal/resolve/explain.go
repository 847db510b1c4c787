// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package resolve

import "time"

// Explanation is a decision with everything that was looked at on the way.
type Explanation struct {
	Channel  string // that the device follows; empty: none
	Decision Decision
	Steps    []Step // in order; the last is the answer, with the decision's reason
}

// Step is one rule that was looked at.
type Step struct {
	Rule   Rule   `json:"rule"`
	Reason Reason `json:"reason,omitempty"` // what it found; empty: it let the device pass
	Detail string `json:"detail"`           // expected and actual, for people; it names no device
}

// Rule is what a step looked at.
type Rule string

// The rules of which channel a device follows.
const (
	RuleMetadata Rule = "metadata" // the view is there, holds, and has the app
	RuleOverride Rule = "override" // stored for the device
	RuleWish     Rule = "wish"     // the channel that the device asks for
	RulePublic   Rule = "public"   // a public channel, for devices that have none yet
	RuleSigned   Rule = "signed"   // the channel's own metadata hold
)

// The rules of a channel.
const (
	RuleServing  Rule = "serving"  // its document is readable, and it is not halted
	RuleAudience Rule = "audience" // it serves such devices
	RuleExclude  Rule = "exclude"  // a bundle is kept from some parts of the devices
	RuleLease    Rule = "lease"    // somebody watches the rollout
	RuleCohort   Rule = "cohort"   // the device's slot is below the candidate's weight
	RulePassage  Rule = "passage"  // the device has to pass through the floor first
	RuleRefused  Rule = "refused"  // the device runs what was taken back
	RuleRunning  Rule = "running"  // the device runs what it should run
	RuleFailed   Rule = "failed"   // the bundle failed on this device
)

// The rules of whether a bundle fits a device.
const (
	RuleKey           Rule = "key"
	RuleFloor         Rule = "floor"
	RuleAutoUpdate    Rule = "autoUpdate"
	RuleCompatibility Rule = "compatibility"
	RuleBelowNative   Rule = "belowNative"
)

// RuleAnswer is what comes of all rules.
const RuleAnswer Rule = "answer"

// Explain gives the decision that Follow and Channel.Decide give for a device, and how it came about. It is the same code, with
// a record.
func (v *View) Explain(app string, wish Wish, d *Device, now time.Time) Explanation {
	t := &trace{}
	var e Explanation
	if c, why := v.follow(app, &wish, d, now, t); c == nil {
		e.Decision = Decision{Action: None, Reason: why}
	} else {
		e.Channel, e.Decision = c.Name, c.decide(d, now, t)
	}
	t.answer(e.Decision)
	e.Steps = t.steps
	return e
}
