// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	apimeta "k8s.io/apimachinery/pkg/api/meta"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// Exit codes of status, beside ExitOK: the bundle is stable.
const (
	ExitTakenBack   = ExitRefused // the release has ended, and its bundle is not stable
	ExitNeedsPerson = 4           // it waits for a person
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
	cmd := a.clusterVerb("status ROLLOUT", "Say how a release goes, with an exit code for pipelines", `
Says in one line how a release goes. The exit code tells pipelines: 0 the bundle is stable, 3 the release was taken back, aborted or
refused, 4 it waits for a person (paused, or for approvals), 5 it is under way, 1 an error. With --watch a line is printed for each
change, and the command ends when the release does, or when it needs a person; 1 when that takes longer than --timeout.`, `
kubectl windlass status shop
kubectl windlass status shop --watch --timeout 2h
kubectl windlass status shop -o json | jq -r .state`,
		func(ctx context.Context, c *cluster, args []string) error {
			if !watch {
				r, err := c.rollout(ctx, args[0])
				if err != nil {
					return err
				}
				return a.finish(stateOf(a.view(false), r))
			}
			return a.watchStatus(ctx, c, args[0], timeout)
		})
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "go on until the release ends or needs a person")
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "with --watch: how long at most; 0 is without limit")
	a.completing(cmd, &otav1alpha1.Rollout{})
	return cmd
}

func (c *cluster) rollout(ctx context.Context, name string) (*otav1alpha1.Rollout, error) {
	var r otav1alpha1.Rollout
	return &r, c.get(ctx, name, &r)
}

// stateOf reads how a release goes off the conditions, as GitOps tools do.
func stateOf(v view, r *otav1alpha1.Rollout) releaseState {
	reason, message := v.says(r)
	s := releaseState{
		Rollout: r.Name, Channel: r.Spec.ChannelRef.Name, Bundle: r.Spec.BundleRef.Name, State: reason, Message: message, ExitCode: ExitUnderWay,
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
	case is(otav1alpha1.PausedCondition) || reason == otav1alpha1.WaitingForApprovalReason || reason == otav1alpha1.HaltedReason:
		s.ExitCode = ExitNeedsPerson
	}
	return s
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
func (a *app) watchStatus(ctx context.Context, c *cluster, name string, timeout time.Duration) error {
	limited, cancel := ctx, context.CancelFunc(func() {})
	if timeout > 0 {
		limited, cancel = context.WithTimeout(ctx, timeout)
	}
	defer cancel()
	var last string
	var s releaseState
	err := c.each(limited, a.Err, lookEvery, func() (bool, error) {
		r, err := c.rollout(limited, name)
		if err != nil {
			return false, err
		}
		s = stateOf(a.view(false), r)
		if line := a.view(false).change(r); line != last && !a.quiet {
			fmt.Fprintf(a.Err, "%s  %s\n", a.Now().UTC().Format("15:04:05"), line)
			last = line
		}
		return s.ExitCode != ExitUnderWay, nil
	})
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case s.ExitCode == ExitUnderWay:
		return fmt.Errorf("expected the release to end within %s, and it did not: %s: %s; it goes on", timeout, s.State, s.Message)
	}
	return a.finish(s)
}
