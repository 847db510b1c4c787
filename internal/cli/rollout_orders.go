// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"

	"github.com/spf13/cobra"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/command"
)

func (a *app) promoteCommand() *cobra.Command {
	var full bool
	cmd := a.rolloutOrder("promote ROLLOUT", "Let a release go on, past its pause or to the end", `
Ends the pause, or the bake, that a release waits in: it goes on with the next step. Windows, the Channel's limit and a passing analysis
still hold. Where the analysis cannot tell, it is overruled for the next rise. With --full all steps and the bake are skipped, and the
bundle becomes stable. Nobody overrules an analysis that fails.`, `
kubectl windlass promote shop
kubectl windlass promote shop --full --reason 'fixes the outage of today'`, func() string {
		if full {
			return command.PromoteFull
		}
		return command.Promote
	})
	cmd.Flags().BoolVar(&full, "full", false, "skip all steps and the bake")
	return cmd
}

func (a *app) pauseCommand() *cobra.Command {
	return a.rolloutOrder("pause ROLLOUT", "Hold a release where it is", `
Holds a release at the weight that it has, until somebody resumes it. Devices that have the bundle keep it, and the analysis goes on: a
release that fails is taken back all the same. To hold it in Git, set spec.paused.`, `
kubectl windlass pause shop --reason 'support sees more calls'`, named(command.Pause))
}

func (a *app) resumeCommand() *cobra.Command {
	return a.rolloutOrder("resume ROLLOUT", "Let a paused release go on", `
Lets a release go on that somebody paused, from where it is. It does not end the pauses of spec.steps, which is what promote does, and
overrules no analysis.`, `
kubectl windlass resume shop`, named(command.Resume))
}

func (a *app) abortCommand() *cobra.Command {
	return a.rolloutOrder("abort ROLLOUT", "Take a release back that is under way", `
Takes the release back: its bundle is offered to nobody, and devices that have it return to what rollback.to says. The digest is refused
on the Channel until somebody lets it in again with retry or allow. To take back a release that is completed, see rollback.`, `
kubectl windlass abort shop --reason 'wrong prices in the cart'`, named(command.Abort))
}

func (a *app) retryCommand() *cobra.Command {
	return a.rolloutOrder("retry ROLLOUT", "Start a release again that was taken back", `
Starts the release of the same bundle again, from its first step, and lifts the refusal of its digest. What the analysis found against
it before counts: the same bundle needs more evidence in its favour each time. A Bundle that is revoked stays so.`, `
kubectl windlass retry shop --reason 'the outage was of the payment provider'`, named(command.Retry))
}

// named is a command that no flag changes.
func named(name string) func() string { return func() string { return name } }

// rolloutOrder is a verb that gives a Rollout a command whose arguments are an optional reason.
func (a *app) rolloutOrder(use, short, long, example string, name func() string) *cobra.Command {
	cmd := a.orderVerb(use, short, long, example, func(_ context.Context, _ *cluster, args []string, reason string) (order, error) {
		if err := command.CheckReason(reason); err != nil {
			return order{}, usage("--reason: %w", err)
		}
		obj, err := objectIn(args[0], &otav1alpha1.Rollout{})
		return order{obj, command.Given{Name: name(), Args: reason}}, err
	})
	a.completing(cmd, &otav1alpha1.Rollout{})
	return cmd
}
