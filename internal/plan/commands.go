// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis"
	"github.com/windlass-dev/windlass/internal/command"
)

// Commands that a Rollout knows. The argument of Approve is the digest that is approved, that of the others a reason, or nothing.
const (
	Promote     = command.Promote
	PromoteFull = command.PromoteFull
	Pause       = command.Pause
	Resume      = command.Resume
	Abort       = command.Abort
	Retry       = command.Retry
	Approve     = command.Approve
)

// commands maps each command to what it does. It returns why the command cannot be carried out now.
var commands = map[string]func(*Decision, Facts) string{
	Promote: commandPromote, PromoteFull: commandPromoteFull, Pause: commandPause,
	Resume: commandResume, Abort: commandAbort, Retry: commandRetry, Approve: commandApprove,
}

// obey carries out a command once and records what became of it.
func obey(d *Decision, f Facts) {
	if f.Command == nil {
		return
	}
	d.Command = &CommandResult{Command: *f.Command}
	do, ok := commands[f.Command.Name]
	switch {
	case !ok:
		d.Command.Refused = "a Rollout knows promote, promote-full, pause, resume, abort, retry and approve, not " + f.Command.Name + ": " + verb(Promote)
	case f.Command.Name != Approve && command.CheckReason(f.Command.Args) != nil:
		d.Command.Refused = otav1alpha1.CommandArgsAnnotation + ": " + command.CheckReason(f.Command.Args).Error()
	case d.Release.Revision == 0:
		d.Command.Refused = "no release has started yet"
	default:
		d.Command.Refused = do(d, f)
	}
}

// ofWanted tells whether the command is about the release that the spec asks for now: approvals and stops. Until that release is there,
// they wait, so that no stop comes too early to hold what it is meant for.
func (f Facts) ofWanted() bool {
	return f.Command != nil && (f.Command.Name == Approve || f.Command.Name == Pause || f.Command.Name == Abort)
}

// commandPromote ends the present pause, or the bake. A rise still needs a passing verdict, a window and room below the Channel's limit.
// A suspicion, or a control that is too small, is overruled for that rise: time alone may never end either.
func commandPromote(d *Decision, f Facts) string {
	r := &d.Release
	switch r.State {
	case otav1alpha1.ReleaseProgressing, otav1alpha1.ReleasePaused:
	default:
		return notNow(*r, "is in progress or paused", Retry)
	}
	if r.Weight > 0 && r.CommittedAt.IsZero() {
		return "the present weight is not published yet: try again in a moment"
	}
	r.State, r.Reason = otav1alpha1.ReleaseProgressing, ""
	if slices.ContainsFunc(f.Analysis, held) {
		r.Overruled = by(f.Command)
	}
	switch {
	case r.StepsHash != f.Spec.StepsHash: // the place in the new steps is not known yet
	case r.Step < len(f.Spec.Steps) && f.Spec.Steps[r.Step].Pause:
		next(r, f.Now)
	case baking(f, *r):
		r.Reason = "its bake was ended by " + asked(f.Command)
		next(r, f.Now)
	}
	return ""
}

// commandPromoteFull skips all steps and the bake; windows and the Channel's limit do not hold it. A person may overrule that the
// analysis cannot tell, but not that it fails.
func commandPromoteFull(d *Decision, f Facts) string {
	r := &d.Release
	switch r.State {
	case otav1alpha1.ReleaseProgressing, otav1alpha1.ReleasePaused:
	default:
		return notNow(*r, "is in progress or paused", Retry)
	}
	if verdict, worst := analysis.Overall(f.Analysis); verdict == otav1alpha1.VerdictFailing {
		return "the analysis fails: " + worst.Name + ": " + worst.Message + "; to take the release back: " + verb(Abort)
	}
	switch {
	case !mine(f, *r):
		return "no device has been offered this release yet: try again when its first weight is published"
	case len(r.Exclude) > 0 && !Visible(f, *r):
		return "the exclusion of a slice is not published yet: try again in a moment"
	}
	r.State, r.Step, r.Overruled = otav1alpha1.ReleasePromoting, len(f.Spec.Steps), ""
	r.Reason = because("promoted in full by "+by(f.Command)+", whatever steps and bake were left", f.Command.Args)
	return ""
}

func commandPause(d *Decision, f Facts) string {
	r := &d.Release
	switch r.State {
	case otav1alpha1.ReleasePending: // it stays pending, for what it waits for may change
	case otav1alpha1.ReleaseProgressing:
		r.State = otav1alpha1.ReleasePaused
	default:
		return notNow(*r, "is pending or in progress", Abort)
	}
	r.Reason, r.Overruled = "paused by "+asked(f.Command), ""
	return ""
}

func commandResume(d *Decision, f Facts) string {
	r := &d.Release
	if r.State == otav1alpha1.ReleasePending && r.Reason != "" {
		r.Reason = ""
		return ""
	}
	if r.State != otav1alpha1.ReleasePaused {
		return notNow(*r, "is paused", "")
	}
	for _, m := range f.Analysis {
		if m.Pause && held(m) {
			return "resume overrules no analysis that cannot tell: promote does so for the next rise, promote-full for all of them, and abort takes the release back: " +
				verb(Promote) + "; " + m.Name + ": " + m.Message
		}
		if m.Pause {
			return "the analysis still cannot tell: " + m.Name + ": " + m.Message + "; to overrule it: " + verb(PromoteFull)
		}
	}
	r.State, r.Reason = otav1alpha1.ReleaseProgressing, ""
	return ""
}

func commandAbort(d *Decision, f Facts) string {
	r := &d.Release
	switch r.State {
	case otav1alpha1.ReleasePending: // no device has seen it: there is nothing to take back
		end(d, f, otav1alpha1.ReleaseAborted, "aborted by "+asked(f.Command))
		return ""
	case otav1alpha1.ReleaseProgressing, otav1alpha1.ReleasePaused, otav1alpha1.ReleasePromoting:
		rollBack(d, f, otav1alpha1.ReleaseAborted, "aborted by "+asked(f.Command))
		return ""
	}
	return notNow(*r, "is pending, in progress or paused", "")
}

// commandRetry starts the same bundle again from step 0. A person thereby lifts the refusal of its digest; a revocation
// cannot be lifted.
func commandRetry(d *Decision, f Facts) string {
	r := &d.Release
	switch {
	case !r.Ended() || r.State == otav1alpha1.ReleaseCompleted:
		return notNow(*r, "was rolled back, aborted or refused", Abort)
	case f.Spec.Bundle != r.Bundle:
		return "spec.bundleRef names another bundle, whose release starts by itself"
	case f.Bundle.Revoked != "":
		return "the Bundle is revoked, for ever: " + f.Bundle.Revoked
	case f.Channel.Refused[r.Digest] != "" && f.Bundle.Found && !f.Bundle.Ready:
		return "the refusal stays, since the Bundle cannot be served: " + f.Bundle.Message
	case f.Channel.Refused[r.Digest] != "" && f.Bundle.Denied != "":
		return "the refusal stays, since the channel does not admit the Bundle: " + f.Bundle.Denied
	}
	start(d, f, true)
	return ""
}

// held tells whether a metric holds the release by a suspicion, or for want of a control: more of the same may never end either.
func held(m analysis.Result) bool {
	return m.Verdict == otav1alpha1.VerdictNotEnoughSamples && !m.Held.IsZero()
}

// overrules tells whether a person has decided in place of a metric. Nobody overrules that it fails.
func (r Release) overrules(m analysis.Result) bool { return r.Overruled != "" && held(m) }

// overruled says who did; nothing when nobody has.
func overruled(r Release) string {
	if r.Overruled == "" {
		return ""
	}
	return "promoted by " + r.Overruled + " although the analysis cannot tell"
}

// notNow says which release a command needs, and which command leads there, if one does now.
func notNow(r Release, want, first string) string {
	text := "this needs a release that " + want + "; it is " + string(r.State)
	back := r.Ended() && r.State != otav1alpha1.ReleaseCompleted
	under := r.State == otav1alpha1.ReleasePending || r.State == otav1alpha1.ReleaseProgressing || r.State == otav1alpha1.ReleasePaused ||
		r.State == otav1alpha1.ReleasePromoting
	if (first == Retry && back) || (first == Abort && under) {
		text += "; first: " + verb(first)
	}
	return text
}

// verb is how a person gives a command.
func verb(command string) string {
	if command == PromoteFull {
		command = Promote + " --full"
	}
	return "kubectl windlass " + command
}

// asked says who gave a command, and the reason that came with it.
func asked(c *Command) string { return because(by(c), c.Args) }

func by(c *Command) string {
	if c.By == "" {
		return "command " + c.ID
	}
	return c.By
}
