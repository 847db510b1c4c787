// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/command"
)

func (a *app) approveCommand() *cobra.Command {
	var digest string
	cmd := a.orderVerb("approve ROLLOUT", "Approve a release, or a lower number of approvals", `
Approves the release that a Rollout waits with, where its Channel asks for approvals (spec.approvals). What is approved is a digest: the
one that the Rollout asks for now, which is shown, or none if that is not --digest. The author of the change cannot approve it. An
approval is void when the bundle or the author changes.

With channel/NAME, approves the lower number of approvals that somebody set in spec.approvals.required, as shown by diff.`, `
kubectl windlass approve shop
kubectl windlass approve shop --digest sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
kubectl windlass approve channel/production`,
		func(ctx context.Context, c *cluster, args []string, _ string) (order, error) {
			obj, err := objectIn(args[0], &otav1alpha1.Rollout{}, &otav1alpha1.Channel{})
			if err != nil {
				return order{}, err
			}
			g := command.Given{Name: command.Approve}
			if err := c.get(ctx, obj.GetName(), obj); err != nil {
				return order{obj, g}, err
			}
			if ch, ok := obj.(*otav1alpha1.Channel); ok {
				g.Args, err = lowered(ch)
			} else if r, ok := obj.(*otav1alpha1.Rollout); ok {
				g.Args, err = a.approved(r, digest)
			}
			return order{obj, g}, err
		})
	cmd.Flags().StringVar(&digest, "digest", "", "of the artifact that you approve; without it, the one that waits")
	_ = cmd.Flags().MarkHidden("reason") // an approval says it all
	a.completing(cmd, &otav1alpha1.Rollout{})
	return cmd
}

// approved gives the digest that a Rollout waits with, and shows what it is.
func (a *app) approved(r *otav1alpha1.Rollout, digest string) (string, error) {
	waits := r.Status.Approval
	if waits == nil {
		reason, message := a.view(false).state(r)
		return "", fmt.Errorf("expected a release that waits for approval, and Rollout %s does not: %s: %s", r.Name, reason, message)
	}
	if digest != "" && digest != string(waits.Digest) {
		return "", refused("expected the Rollout to ask for %s, and it asks for %s: look at what changed, then approve that", digest, waits.Digest)
	}
	if !a.quiet {
		fmt.Fprintf(a.Err, "Approving Bundle %s, %s, that %s asks for\n", r.Spec.BundleRef.Name, waits.Digest, printable(dash(waits.Author)))
	}
	return string(waits.Digest), nil
}

// lowered gives the lower number of approvals that a Channel asks for.
func lowered(ch *otav1alpha1.Channel) (string, error) {
	st := ch.Status.Approvals
	if st == nil || st.Wanted == nil {
		return "", fmt.Errorf("expected a lower number of approvals to approve, and Channel %s asks for none", ch.Name)
	}
	return command.FormatApprovals(*st.Wanted), nil
}
