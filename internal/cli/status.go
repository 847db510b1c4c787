// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	apimeta "k8s.io/apimachinery/pkg/api/meta"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// Exit codes of status, beside ExitOK: the bundle is stable.
const (
	ExitTakenBack   = ExitRefused // the release has ended, and its bundle is not stable
	ExitNeedsPerson = 4           // it waits for a person, or holds because the analysis cannot tell
	ExitUnderWay    = 5           // it goes on by itself, and nobody waited for its end
)

// releaseState is what status prints.
type releaseState struct {
	Rollout  string                   `json:"rollout"`
	Channel  string                   `json:"channel"`
	Bundle   string                   `json:"bundle"`
	State    string                   `json:"state"` // the reason of the condition Ready
	Message  string                   `json:"message,omitempty"`
	Step     string                   `json:"step,omitempty"`
	Weight   otav1alpha1.Percent      `json:"weight,omitempty"`
	Revision int64                    `json:"revision,omitempty"`
	Release  otav1alpha1.ReleaseState `json:"release,omitempty"`
	ExitCode int                      `json:"exitCode"`
}

func (a *app) statusCommand() *cobra.Command {
	var watch bool
	var timeout time.Duration
	var bundle string
	cmd := a.clusterVerb("status ROLLOUT", "Say how a release goes, with an exit code for pipelines", `
Says in one line how a release goes. The exit code tells pipelines: 0 the bundle is stable, 3 the release was taken back, aborted or
refused, 4 it needs a person (paused, halted, waiting for approvals, or holding because the analysis cannot tell), 5 it is under way, 1 an
error. With --watch a line is printed for each change, and the command ends when the release does, or when it needs a person; 1 when that
takes longer than --timeout. Holding may pass by itself: --watch goes on through it, and ends with 4 if it still holds at --timeout. A
pipeline that has committed a change names its --bundle: what the Rollout says of another one does not count.`, `
kubectl windlass status shop
kubectl windlass status shop --watch --timeout 2h --bundle shop-2.4.1
kubectl windlass status shop -o json | jq -r .state`,
		func(ctx context.Context, c *cluster, args []string) error {
			if !watch {
				r, err := c.rollout(ctx, args[0])
				if err != nil {
					return err
				}
				return a.finish(stateOf(a.view(false), r, bundle))
			}
			ctx, cancel := limited(ctx, timeout)
			defer cancel()
			return a.watchStatus(ctx, c, args[0], bundle)
		})
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "go on until the release ends or needs a person")
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "with --watch: how long at most; 0 is without limit")
	cmd.Flags().StringVar(&bundle, "bundle", "", "Bundle that Git asks for: until the Rollout names it, it is under way")
	a.completing(cmd, &otav1alpha1.Rollout{})
	a.offer(cmd, "bundle", func(ctx context.Context, c *cluster) ([]string, error) {
		var all otav1alpha1.BundleList
		err := c.list(ctx, &all, false)
		return names(&all), err
	})
	return cmd
}

// limited ends a context after a time, if there is one.
func limited(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if timeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, timeout, fmt.Errorf("within %s", timeout))
}

func (c *cluster) rollout(ctx context.Context, name string) (*otav1alpha1.Rollout, error) {
	var r otav1alpha1.Rollout
	return &r, c.get(ctx, name, &r)
}

// stateOf reads how a release goes off the conditions, as GitOps tools do. The release of another bundle than the one that is named,
// if one is, tells nothing.
func stateOf(v view, r *otav1alpha1.Rollout, bundle string) releaseState {
	reason, message := v.says(r)
	s := releaseState{
		Rollout: r.Name, Channel: r.Spec.ChannelRef.Name, Bundle: r.Spec.BundleRef.Name, State: reason, Message: message, ExitCode: ExitUnderWay,
	}
	if bundle != "" && r.Spec.BundleRef.Name != bundle {
		s.State, s.Message = "Pending", fmt.Sprintf("the Rollout asks for %s, and not for %s yet", r.Spec.BundleRef.Name, bundle)
		return s
	}
	if r.Status.ObservedGeneration < r.Generation {
		return s
	}
	s.Step, s.Weight = r.Status.Step, r.Status.Weight
	if rel := r.Status.Release; rel != nil {
		s.Revision, s.Release = rel.Revision, rel.State
	}
	is := func(kind string) bool { return apimeta.IsStatusConditionTrue(r.Status.Conditions, kind) }
	switch {
	case is(otav1alpha1.ReadyCondition):
		s.ExitCode = ExitOK
	case is(otav1alpha1.StalledCondition):
		s.ExitCode = ExitTakenBack
	case is(otav1alpha1.PausedCondition) || slices.Contains(forPeople, reason):
		s.ExitCode = ExitNeedsPerson
	}
	return s
}

// forPeople are the reasons that GitOps tools show as Suspended (docs/gitops.md), beside Paused.
var forPeople = []string{otav1alpha1.WaitingForApprovalReason, otav1alpha1.HaltedReason, otav1alpha1.HoldingReason}

// ends tells whether a watch has seen enough. Holding may pass by itself, with more devices or the next measurement.
func (s releaseState) ends() bool {
	return s.ExitCode != ExitUnderWay && s.State != otav1alpha1.HoldingReason
}

// finish prints a state, and ends with its code.
func (a *app) finish(s releaseState) error {
	err := a.print(s, func(w io.Writer) {
		fmt.Fprintf(w, "%s: %s\n", a.view(false).status(s.State), printable(dash(s.Message)))
	})
	if err != nil || s.ExitCode == ExitOK {
		return err
	}
	return &failure{code: s.ExitCode}
}

// watchStatus prints each change until the release ends or needs a person.
func (a *app) watchStatus(ctx context.Context, c *cluster, name, bundle string) error {
	var last string
	var s releaseState
	err := c.each(ctx, a.Err, lookEvery, func() (bool, error) {
		r, err := c.rollout(ctx, name)
		if err != nil {
			return false, err
		}
		s = stateOf(a.view(false), r, bundle)
		if line := a.view(false).change(r); line != last && !a.quiet {
			fmt.Fprintf(a.Err, "%s  %s\n", a.Now().UTC().Format("15:04:05"), line)
			last = line
		}
		return s.ends(), nil
	})
	interrupted := errors.Is(context.Cause(ctx), context.Canceled)
	switch {
	case err != nil:
		return err
	case s.State != "" && (s.ends() || s.ExitCode == ExitNeedsPerson && !interrupted):
		return a.finish(s)
	case interrupted:
		return fmt.Errorf("interrupted: %s: %s; it goes on", dash(s.State), dash(s.Message))
	}
	return fmt.Errorf("expected the release to end %w, and it did not: %s: %s; it goes on", context.Cause(ctx), dash(s.State), dash(s.Message))
}
