// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

func (a *app) getCommand() *cobra.Command {
	return group("get", "Show one release as a tree", "Shows one object with all that belongs to it.", a.getRolloutCommand())
}

func (a *app) getRolloutCommand() *cobra.Command {
	var watch bool
	cmd := a.clusterVerb("rollout NAME", "Show a Rollout with its bundles, devices and analysis", `
Shows what a Rollout is at, what it waits for, and a tree: its bundles, the share of devices that are offered the new one, and each
metric with the evidence against it. With --watch the tree is drawn anew when something changes, until Ctrl-C; where stdout is not a
terminal, a line is added for each change. With -o json or yaml the objects themselves are printed: the Rollout, its Channel and its
Bundles.`, `
kubectl windlass get rollout shop
kubectl windlass get rollout shop --watch
kubectl windlass get rollout shop -o json | jq '.items[0].status.analysis'`,
		func(ctx context.Context, c *cluster, args []string) error {
			if watch {
				return a.watchRelease(ctx, c, args[0])
			}
			r, err := c.released(ctx, args[0])
			if err != nil {
				return err
			}
			return a.printObjects(r.objects(), func(w io.Writer, wide bool) { a.view(wide).printRelease(w, r) })
		})
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "go on until Ctrl-C")
	cmd.Aliases = []string{"ro", "rollouts"}
	setForms(cmd, objectFormats)
	a.completing(cmd, &otav1alpha1.Rollout{})
	return cmd
}

// released reads a Rollout and what belongs to it. What is not there, or may not be read, is left out.
func (c *cluster) released(ctx context.Context, name string) (released, error) {
	r := released{rollout: &otav1alpha1.Rollout{}, bundles: map[string]*otav1alpha1.Bundle{}}
	if err := c.get(ctx, name, r.rollout); err != nil {
		return r, err
	}
	var ch otav1alpha1.Channel
	if found, err := c.perhaps(ctx, r.rollout.Spec.ChannelRef.Name, &ch); err != nil {
		return r, err
	} else if found {
		r.channel = &ch
	}
	for _, name := range bundleNames(r) {
		var b otav1alpha1.Bundle
		if found, err := c.perhaps(ctx, name, &b); err != nil {
			return r, err
		} else if found {
			r.bundles[name] = &b
		}
	}
	return r, nil
}

// perhaps reads an object that may be missing, or be kept from who asks.
func (c *cluster) perhaps(ctx context.Context, name string, into client.Object) (bool, error) {
	err := c.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: name}, into)
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
		return false, nil
	}
	return err == nil, err
}

// objects are the Rollout, its Channel and its Bundles.
func (r released) objects() []client.Object {
	out := []client.Object{r.rollout}
	if r.channel != nil {
		out = append(out, r.channel)
	}
	for _, name := range bundleNames(r) {
		if b := r.bundles[name]; b != nil {
			out = append(out, b)
		}
	}
	return out
}

// watchRelease shows a Rollout until the context ends: on a terminal the tree, drawn anew, and elsewhere a line a change.
func (a *app) watchRelease(ctx context.Context, c *cluster, name string) error {
	if a.output != formatText && a.output != formatWide {
		return usage("--watch: expected --output text or wide, got %s", a.output)
	}
	screen := &redraw{out: a.Out, width: a.Width, height: a.Height}
	var last string
	return c.each(ctx, a.Err, lookEvery, func() (bool, error) {
		r, err := c.released(ctx, name)
		if err != nil {
			return false, err
		}
		if a.Width == nil {
			if line := a.view(false).change(r.rollout); line != last {
				fmt.Fprintf(a.Out, "%s  %s\n", a.Now().UTC().Format("15:04:05"), line)
				last = line
			}
			return false, nil
		}
		var lines bytes.Buffer
		a.view(a.output == formatWide).printRelease(&lines, r)
		return false, screen.draw(lines.String())
	})
}
