// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/command"
)

func (a *app) haltCommand() *cobra.Command {
	return a.stopVerb("halt NAME", "Stop a Channel, or all of a Repository: the emergency stop", `
Offers nothing to any device until somebody unhalts: the emergency stop. Devices keep what they have. NAME is a Channel, or
channel/NAME, or repository/NAME, which stops all Channels of that Repository. To stop a Channel in Git, set spec.serving: Halted.`, `
kubectl windlass halt production --reason 'crashes after login'
kubectl windlass halt repository/default --reason 'a signing key was stolen'`, command.Halt, "do you stop it")
}

func (a *app) unhaltCommand() *cobra.Command {
	return a.stopVerb("unhalt NAME", "Serve a Channel, or a Repository, again", `
Ends what halt began. NAME is a Channel, or channel/NAME, or repository/NAME. What Git stops with spec.serving: Halted, Git has to end.`, `
kubectl windlass unhalt production --reason '2.4.2 is released and fixes it'
kubectl windlass unhalt repository/default --reason 'all keys are new'`, command.Unhalt, "may it be served again")
}

// stopVerb gives a Channel or a Repository a command that needs a reason.
func (a *app) stopVerb(use, short, long, example string, what ...string) *cobra.Command {
	cmd := a.orderVerb(use, short, long, example, func(_ context.Context, _ *cluster, args []string, reason string) (order, error) {
		obj, err := objectIn(args[0], &otav1alpha1.Channel{}, &otav1alpha1.Repository{})
		if err != nil {
			return order{}, err
		}
		reason, err = a.why(reason, what[1])
		return order{obj, command.Given{Name: what[0], Args: reason}}, err
	})
	cmd.ValidArgsFunction = a.asking(func(ctx context.Context, c *cluster, args []string) ([]string, error) {
		var channels otav1alpha1.ChannelList
		var repositories otav1alpha1.RepositoryList
		if len(args) > 0 {
			return nil, nil
		}
		if err := c.list(ctx, &channels, false); err != nil {
			return nil, err
		}
		found := names(&channels)
		if err := c.list(ctx, &repositories, false); err != nil {
			return found, nil //nolint:nilerr // half of them is better than none
		}
		for _, name := range names(&repositories) {
			found = append(found, "repository/"+name)
		}
		return found, nil
	})
	return cmd
}

func (a *app) rollbackCommand() *cobra.Command {
	to := string(otav1alpha1.RollbackToStable)
	cmd := a.orderVerb("rollback CHANNEL", "Bring the devices of a Channel back", `
Brings devices back. While a release is under way, it is aborted. Otherwise the bundle that is stable is refused, and devices return to
what was stable before it; with --to, to a Bundle by name, or to the app as it was installed (Embedded). This holds, whatever Git says,
until a Rollout releases another bundle. A bundle that was refused has to be let in first: see allow.`, `
kubectl windlass rollback production --reason 'crashes after login'
kubectl windlass rollback production --to shop-2.3.9 --reason '2.4.0 has the bug, too'
kubectl windlass rollback production --to Embedded --reason 'all of them have the bug'`,
		func(_ context.Context, _ *cluster, args []string, reason string) (order, error) {
			t := target(to)
			return a.channelOrder(args[0], command.Rollback, reason, "do you take it back", func(reason string) (string, error) {
				t.Reason = reason
				return t.Args()
			})
		})
	cmd.Flags().StringVar(&to, "to", to, "Stable, Embedded, or the name of a Bundle")
	a.completing(cmd, &otav1alpha1.Channel{})
	a.offer(cmd, "to", func(ctx context.Context, c *cluster) ([]string, error) {
		var bundles otav1alpha1.BundleList
		err := c.list(ctx, &bundles, false)
		return append([]string{string(otav1alpha1.RollbackToStable), string(otav1alpha1.RollbackToEmbedded)}, names(&bundles)...), err
	})
	return cmd
}

// target reads --to. Names of Bundles have no capital letters.
func target(to string) command.Target {
	switch t := otav1alpha1.RollbackTarget(to); t {
	case otav1alpha1.RollbackToStable, otav1alpha1.RollbackToEmbedded:
		return command.Target{To: t}
	}
	return command.Target{To: otav1alpha1.RollbackToBundle, Bundle: strings.TrimPrefix(to, string(otav1alpha1.RollbackToBundle)+"/")}
}

func (a *app) allowCommand() *cobra.Command {
	cmd := a.orderVerb("allow CHANNEL DIGEST", "Let a Channel offer a digest again that it refuses", `
Takes a digest off the list of those that a Channel refuses, so that a Rollout can release it again. A refusal that something still
stands for is not lifted: a Bundle that is revoked, a floor, signatures that are not trusted any more. The list is shown by diff.`, `
kubectl windlass allow production sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 \
  --reason 'the failures came from a proxy'`,
		func(_ context.Context, _ *cluster, args []string, reason string) (order, error) {
			return a.channelOrder(args[0], command.Allow, reason, "may it be offered again", func(reason string) (string, error) {
				return command.Allowed{Digest: otav1alpha1.Digest(args[1]), Reason: reason}.Args()
			})
		})
	cmd.ValidArgsFunction = a.refusedDigests()
	return cmd
}

// refusedDigests completes a Channel, and then a digest that it refuses.
func (a *app) refusedDigests() completion {
	return a.asking(func(ctx context.Context, c *cluster, args []string) ([]string, error) {
		if len(args) == 0 {
			var channels otav1alpha1.ChannelList
			err := c.list(ctx, &channels, false)
			return names(&channels), err
		}
		var ch otav1alpha1.Channel
		if err := c.get(ctx, args[0], &ch); err != nil || len(args) > 1 {
			return nil, err
		}
		var found []string
		for i := range ch.Status.Refused {
			found = append(found, string(ch.Status.Refused[i].Digest))
		}
		return found, nil
	})
}

func (a *app) overrideCommand() *cobra.Command {
	var checks []string
	cmd := a.orderVerb("override CHANNEL DIGEST", "Let a digest pass content checks of a Channel", `
Lets a digest pass content checks that the Channel denies bundles for (docs/content-rules.md). The rest of them still counts, and so
does everything else that the Channel asks of a bundle.`, `
kubectl windlass override production sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 \
  --check remote-script --reason 'the payment provider asks for it, reviewed in SEC-114'`,
		func(_ context.Context, _ *cluster, args []string, reason string) (order, error) {
			if len(checks) == 0 {
				return order{}, usage("expected --check: which content checks may it pass?")
			}
			return a.channelOrder(args[0], command.Override, reason, "may it pass", func(reason string) (string, error) {
				return command.Passes{Digest: otav1alpha1.Digest(args[1]), Checks: checks, Reason: reason}.Args()
			})
		})
	cmd.Flags().StringSliceVar(&checks, "check", nil, "content check that it may pass; may be repeated")
	a.completing(cmd, &otav1alpha1.Channel{})
	return cmd
}

// channelOrder is a command for a Channel, with a reason and arguments that can be read.
func (a *app) channelOrder(channel, name, reason, what string, args func(reason string) (string, error)) (order, error) {
	obj, err := objectIn(channel, &otav1alpha1.Channel{})
	if err != nil {
		return order{}, err
	}
	if reason, err = a.why(reason, what); err != nil {
		return order{}, err
	}
	text, err := args(reason)
	if err != nil {
		return order{}, usage("%s: %w", name, err)
	}
	return order{obj, command.Given{Name: name, Args: text}}, nil
}

// kinds as kubectl knows them.
var kinds = map[string][]string{
	"Rollout": {"rollout", "rollouts", "otaro"}, "Channel": {"channel", "channels", "otach"}, "Repository": {"repository", "repositories", "otarepo"},
}

// objectIn reads KIND/NAME, as kubectl prints it, or NAME alone for an object of the first kind. What it gives has a name only.
func objectIn(word string, allowed ...client.Object) (client.Object, error) {
	kind, name, ok := strings.Cut(word, "/")
	if !ok {
		kind, name = strings.ToLower(kindName(allowed[0])), word
	}
	kind = strings.TrimSuffix(kind, "."+otav1alpha1.Group)
	var want []string
	for _, obj := range allowed {
		if slices.Contains(kinds[kindName(obj)], kind) && name != "" {
			obj.SetName(name)
			return obj, nil
		}
		want = append(want, strings.ToLower(kindName(obj))+"/NAME")
	}
	return nil, usage("expected NAME or %s, got %q", strings.Join(want, " or "), word)
}
