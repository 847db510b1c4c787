// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"fmt"
	"strconv"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// view is how objects are shown: pure functions of them and of these make the lines.
type view struct {
	now        time.Time
	colour     bool
	wide       bool // more columns
	namespaces bool // one of them
}

func (a *app) view(wide bool) view { return view{now: a.Now(), colour: a.Colour, wide: wide} }

// paint colours a text where colours are wanted.
func (v view) paint(code, text string) string {
	if !v.colour || code == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// age is how long ago something was, as kubectl shows it.
func (v view) age(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return duration.HumanDuration(max(v.now.Sub(t), 0))
}

// ready is the reason of the condition Ready: what the column STATUS of kubectl prints.
func ready(conditions []metav1.Condition) (reason, message string) {
	c := apimeta.FindStatusCondition(conditions, otav1alpha1.ReadyCondition)
	if c == nil {
		return "Unknown", "no controller has looked at it yet"
	}
	return c.Reason, c.Message
}

// dash stands for what is not there.
func dash[T ~string](s T) string { return cmp.Or(string(s), "-") }

// percent is a weight for people.
func percent(w otav1alpha1.Percent) string {
	if w == "" {
		return "-"
	}
	return string(w) + " %"
}

// state is what a Rollout is at: the reason and the message of its condition Ready. What is said of an older spec is not shown.
func (view) state(r *otav1alpha1.Rollout) (reason, message string) {
	if r.Status.ObservedGeneration < r.Generation {
		return "Pending", "the manager has not looked at this change yet"
	}
	return ready(r.Status.Conditions)
}

// says is what a Rollout is at, and all that its status says of that.
func (v view) says(r *otav1alpha1.Rollout) (reason, message string) {
	reason, message = v.state(r)
	if r.Status.Message != "" && r.Status.ObservedGeneration == r.Generation {
		message = r.Status.Message
	}
	return reason, message
}

// worst is the verdict of the analysis.
func worst(r *otav1alpha1.Rollout) string {
	if c := apimeta.FindStatusCondition(r.Status.Conditions, otav1alpha1.AnalysisPassingCondition); c != nil {
		return c.Reason
	}
	return "-"
}

// approvals says how many people approved a release, of how many that have to.
func approvals(a *otav1alpha1.ReleaseApproval) string {
	if a == nil || a.Required == nil || *a.Required == 0 {
		return "-"
	}
	return fmt.Sprintf("%d/%d", len(a.ApprovedBy), *a.Required)
}

// serving says whether devices are served.
func serving(ch *otav1alpha1.Channel) string {
	if c := apimeta.FindStatusCondition(ch.Status.Conditions, otav1alpha1.ServingCondition); c != nil {
		return c.Reason
	}
	return "Unknown"
}

// stable is the version that all devices get which are in no rollout.
func stable(ch *otav1alpha1.Channel) string {
	if s := ch.Status.Stable; s != nil {
		return string(s.Version)
	}
	return "embedded"
}

// revision that devices can see.
func revision(ch *otav1alpha1.Channel) string {
	if p := ch.Status.Published; p != nil {
		return strconv.FormatInt(p.Revision, 10)
	}
	return "-"
}

// deviation is why not everything is as Git asks for.
func deviation(ch *otav1alpha1.Channel) string {
	if d := ch.Status.Deviation; d != nil {
		return d.Reason
	}
	return "-"
}

// until is how long it takes until a time.
func (v view) until(t time.Time) string { return duration.HumanDuration(max(t.Sub(v.now), 0)) }

// status is a reason of the condition Ready of a Rollout with a sign: done, taken back, for people, waiting, or under way.
func (v view) status(reason string) string {
	sign, colour := "◌", ""
	switch reason {
	case otav1alpha1.CompletedReason:
		sign, colour = "✔", green
	case otav1alpha1.RolledBackReason, otav1alpha1.AbortedReason, otav1alpha1.BundleRefusedReason, otav1alpha1.BundleNotAdmittedReason,
		otav1alpha1.InvalidSpecReason, otav1alpha1.NotSupportedYetReason, otav1alpha1.RollingBackReason:
		sign, colour = "✖", red
	case otav1alpha1.PausedReason, otav1alpha1.HoldingReason, otav1alpha1.HaltedReason, otav1alpha1.WaitingForApprovalReason:
		sign, colour = "॥", yellow
	case otav1alpha1.WaitingForWindowReason, otav1alpha1.WaitingForBundleReason, otav1alpha1.WaitingForChannelReason,
		otav1alpha1.QueuedReason, otav1alpha1.WeightLimitedReason, otav1alpha1.ChannelBusyReason:
		sign = "◷"
	}
	return v.paint(colour, sign+" "+reason)
}

// condition is a reason of the condition Ready of any kind with a sign, by what the conditions say.
func (v view) condition(conditions []metav1.Condition, reason string) string {
	switch {
	case apimeta.IsStatusConditionTrue(conditions, otav1alpha1.ReadyCondition):
		return v.paint(green, "✔ "+reason)
	case apimeta.IsStatusConditionTrue(conditions, otav1alpha1.StalledCondition):
		return v.paint(red, "✖ "+reason)
	}
	return "◌ " + reason
}
