// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	apimeta "k8s.io/apimachinery/pkg/api/meta"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// released is a Rollout with what belongs to it, as far as it is there and may be read.
type released struct {
	rollout *otav1alpha1.Rollout
	channel *otav1alpha1.Channel
	bundles map[string]*otav1alpha1.Bundle // by name
}

// printRelease shows a Rollout: what it is at, and a tree of its bundles, the devices that are offered them, and the analysis.
func (v view) printRelease(w io.Writer, r released) {
	table(w, v.releaseHead(r)...)
	fmt.Fprintln(w)
	table(w, append([][]string{{"NAME", "KIND", "STATUS", "AGE", "INFO"}}, v.releaseTree(r)...)...)
}

// releaseHead are the lines above the tree.
func (v view) releaseHead(r released) [][]string {
	ro := r.rollout
	reason, message := v.says(ro)
	rows := [][]string{{"Name:", ro.Name}, {"Namespace:", ro.Namespace}, {"Status:", v.status(reason)}}
	add := func(name, text string) {
		if text != "" {
			rows = append(rows, []string{name, printable(text)})
		}
	}
	add("Message:", message)
	add("Channel:", channelLine(r))
	if rel := ro.Status.Release; rel != nil {
		add("Release:", fmt.Sprintf("%d, of Bundle %s", rel.Revision, rel.Bundle))
		add("Step:", stepLine(ro))
		add("Weight:", percent(ro.Status.Weight))
	}
	add("Approval:", approvalLine(ro.Status.Approval))
	add("Window:", v.windowLine(ro.Status.Windows))
	add("Queue:", queueLine(ro.Status.Queue))
	if c := apimeta.FindStatusCondition(ro.Status.Conditions, otav1alpha1.StepsPoweredCondition); c != nil && c.Status == "False" {
		add("Warning:", c.Message)
	}
	add("Command:", v.commandLine(ro.Status.LastCommand))
	return rows
}

func channelLine(r released) string {
	name := r.rollout.Spec.ChannelRef.Name
	if r.channel == nil {
		return name + " (there is none of this name, or you may not read it)"
	}
	return fmt.Sprintf("%s of %s, %s", name, r.channel.Spec.App, serving(r.channel))
}

// stepLine says which of spec.steps a release is at, and what that one is.
func stepLine(r *otav1alpha1.Rollout) string {
	index := r.Status.CurrentStepIndex
	if index == nil || len(r.Spec.Steps) == 0 || int(*index) >= len(r.Spec.Steps) {
		return r.Status.Step
	}
	switch s := r.Spec.Steps[*index]; {
	case s.SetWeight != nil:
		return fmt.Sprintf("%s, setWeight: %s", r.Status.Step, s.SetWeight.String())
	case s.Pause != nil && s.Pause.Duration == "" && s.Pause.MinSamples == nil:
		return r.Status.Step + ", pause until a person promotes"
	case s.Pause != nil:
		var until []string
		if s.Pause.Duration != "" {
			until = append(until, "for "+string(s.Pause.Duration))
		}
		if s.Pause.MinSamples != nil {
			until = append(until, fmt.Sprintf("until %s devices reported", number(float64(*s.Pause.MinSamples))))
		}
		return r.Status.Step + ", pause " + strings.Join(until, " and ")
	}
	return r.Status.Step
}

func approvalLine(a *otav1alpha1.ReleaseApproval) string {
	if a == nil {
		return ""
	}
	by := make([]string, 0, len(a.ApprovedBy))
	for _, one := range a.ApprovedBy {
		by = append(by, person(one.By, one.Actor))
	}
	text := approvals(a)
	if len(by) > 0 {
		text += ", by " + strings.Join(by, " and ")
	}
	if a.Author != "" {
		text += "; " + a.Author + " asks for it"
	}
	return text
}

func (v view) windowLine(w *otav1alpha1.WindowStatus) string {
	if w == nil {
		return ""
	}
	text := string(w.State)
	if w.Reason != "" {
		text += ", " + w.Reason
	}
	if w.NextOpen != nil {
		text += "; opens in " + v.until(w.NextOpen.Time)
	}
	if w.NextClose != nil {
		text += "; closes in " + v.until(w.NextClose.Time)
	}
	return text
}

func queueLine(q *otav1alpha1.QueueStatus) string {
	if q == nil {
		return ""
	}
	return fmt.Sprintf("position %d; %d of at most %d releases of the Repository are under way", q.Position, q.Active, q.Limit)
}

func (v view) commandLine(c *otav1alpha1.CommandStatus) string {
	if c == nil {
		return ""
	}
	text := fmt.Sprintf("%s, %s", c.Name, strings.ToLower(string(c.Result)))
	if c.By != "" {
		text += ", by " + person(c.By, c.Actor)
	}
	if c.At != nil {
		text += ", " + v.age(c.At.Time) + " ago"
	}
	if c.Message != "" {
		text += ": " + c.Message
	}
	return text
}

// twig is a row of the tree, with those below it.
type twig struct {
	row   []string
	below []twig
}

// releaseTree are the rows of the tree.
func (v view) releaseTree(r released) [][]string {
	ro := r.rollout
	reason, _ := v.state(ro)
	var info []string
	if ro.Status.Step != "" {
		info = append(info, "step "+ro.Status.Step)
	}
	if ro.Status.Weight != "" {
		info = append(info, percent(ro.Status.Weight))
	}
	root := twig{row: []string{"⟳ " + ro.Name, "Rollout", v.status(reason), v.age(ro.CreationTimestamp.Time), strings.Join(info, ", ")}}
	for _, name := range bundleNames(r) {
		b := v.bundleTwig(r, name)
		if name == current(ro) {
			b.below = v.measured(r)
		}
		root.below = append(root.below, b)
	}
	return flatten(nil, root, "", "")
}

// current is the Bundle that the Rollout is about.
func current(r *otav1alpha1.Rollout) string {
	if rel := r.Status.Release; rel != nil {
		return rel.Bundle
	}
	return r.Spec.BundleRef.Name
}

// bundleNames are the bundles of the tree: what is asked for, what is released, and what the other devices get.
func bundleNames(r released) []string {
	out := []string{r.rollout.Spec.BundleRef.Name}
	add := func(name string) {
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	add(current(r.rollout))
	if r.channel != nil {
		if c := r.channel.Status.Candidate; c != nil {
			add(c.Bundle)
		}
		if s := r.channel.Status.Stable; s != nil {
			add(s.Bundle)
		}
	}
	return out
}

func (v view) bundleTwig(r released, name string) twig {
	row := []string{"# " + name, "Bundle", v.paint(yellow, "? NotFound"), "-", ""}
	digest, info := servedAs(r, name)
	if b := r.bundles[name]; b != nil {
		reason, message := ready(b.Status.Conditions)
		row[2], row[3] = v.condition(b.Status.Conditions, reason), v.age(b.CreationTimestamp.Time)
		digest = b.Spec.Digest
		info = append([]string{string(b.Spec.Version)}, info...)
		if !apimeta.IsStatusConditionTrue(b.Status.Conditions, otav1alpha1.ReadyCondition) {
			info = append(info, message)
		}
	}
	if digest != "" {
		info = append(info, shortly(digest))
	}
	if refuses(r.channel, digest) {
		info = append(info, "refused")
	}
	row[4] = printable(strings.Join(info, ", "))
	return twig{row: row}
}

// servedAs says what devices get a bundle as.
func servedAs(r released, name string) (digest otav1alpha1.Digest, as []string) {
	if r.channel == nil {
		return "", nil
	}
	if s := r.channel.Status.Stable; s != nil && s.Bundle == name {
		digest, as = s.Digest, append(as, "stable")
	}
	if c := r.channel.Status.Candidate; c != nil && c.Bundle == name {
		digest, as = c.Digest, append(as, "candidate")
	}
	return digest, as
}

// refuses tells whether a Channel offers a digest to nobody until somebody allows it.
func refuses(ch *otav1alpha1.Channel, digest otav1alpha1.Digest) bool {
	return ch != nil && slices.ContainsFunc(ch.Status.Refused, func(x otav1alpha1.RefusedBundle) bool { return x.Digest == digest })
}

// shortly is a digest for people.
func shortly(d otav1alpha1.Digest) string {
	const most = len("sha256:") + 12
	if len(d) > most {
		return string(d[:most]) + "…"
	}
	return string(d)
}

// flatten draws a tree.
func flatten(rows [][]string, t twig, first, rest string) [][]string {
	row := slices.Clone(t.row)
	row[0] = first + row[0]
	rows = append(rows, row)
	for i, below := range t.below {
		if i == len(t.below)-1 {
			rows = flatten(rows, below, rest+"└──", rest+"   ")
		} else {
			rows = flatten(rows, below, rest+"├──", rest+"│  ")
		}
	}
	return rows
}
