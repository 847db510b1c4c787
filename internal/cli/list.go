// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

const (
	listRollouts = "rollouts"
	listChannels = "channels"
)

func (a *app) listCommand() *cobra.Command {
	var all bool
	cmd := a.clusterVerb("list [KIND]", "Show all Rollouts and Channels", `
Lists Rollouts with what each of them waits for, and Channels with what devices are served. KIND is rollouts or channels; without it,
both are listed. With -o wide there are more columns, with -o json the objects themselves.`, `
kubectl windlass list
kubectl windlass list rollouts -A
kubectl windlass list channels -n mobile -o wide
kubectl windlass list rollouts -o json | jq -r '.items[] | select(.status.release.state == "Paused") | .metadata.name'`,
		func(ctx context.Context, c *cluster, args []string) error { return a.list(ctx, c, args, all) })
	cmd.Flags().BoolVarP(&all, "all-namespaces", "A", false, "objects of all namespaces")
	cmd.ValidArgsFunction = cobra.FixedCompletions([]string{listRollouts, listChannels}, cobra.ShellCompDirectiveNoFileComp)
	setForms(cmd, objectFormats)
	return cmd
}

func (a *app) list(ctx context.Context, c *cluster, args []string, all bool) error {
	kind := ""
	if len(args) > 0 {
		kind = args[0]
	}
	if kind != "" && kind != listRollouts && kind != listChannels {
		return usage("expected rollouts or channels, got %q", kind)
	}
	var rollouts otav1alpha1.RolloutList
	var channels otav1alpha1.ChannelList
	for _, want := range []struct {
		is   bool
		list client.ObjectList
	}{{kind != listChannels, &rollouts}, {kind != listRollouts, &channels}} {
		if !want.is {
			continue
		}
		if err := c.list(ctx, want.list, all); err != nil {
			return err
		}
	}
	objs := make([]client.Object, 0, len(rollouts.Items)+len(channels.Items))
	for i := range rollouts.Items {
		objs = append(objs, &rollouts.Items[i])
	}
	for i := range channels.Items {
		objs = append(objs, &channels.Items[i])
	}
	where := "in namespace " + c.namespace
	if all {
		where = "in any namespace"
	}
	return a.printObjects(objs, func(w io.Writer, wide bool) {
		v := a.view(wide)
		v.namespaces = all
		if kind != listChannels {
			table(w, v.rollouts(rollouts.Items)...)
			none(w, len(rollouts.Items), "Rollout", where)
		}
		if kind == "" {
			fmt.Fprintln(w)
		}
		if kind != listRollouts {
			table(w, v.channels(channels.Items)...)
			none(w, len(channels.Items), "Channel", where)
		}
	})
}

// none says that a table is empty.
func none(w io.Writer, count int, kind, where string) {
	if count == 0 {
		fmt.Fprintf(w, "There is no %s %s.\n", kind, where)
	}
}

// rollouts are the rows of a table.
func (v view) rollouts(all []otav1alpha1.Rollout) [][]string {
	if len(all) == 0 {
		return nil
	}
	head := []string{"ROLLOUT", "STATUS", "CHANNEL", "BUNDLE", "STEP", "WEIGHT", "AGE"}
	if v.wide {
		head = append(head, "ANALYSIS", "APPROVALS")
	}
	rows := [][]string{v.spaced("NAMESPACE", append(head, "MESSAGE"))}
	for i := range all {
		r := &all[i]
		reason, message := v.says(r)
		row := []string{
			r.Name, reason, r.Spec.ChannelRef.Name, r.Spec.BundleRef.Name, dash(r.Status.Step), percent(r.Status.Weight), v.age(r.CreationTimestamp.Time),
		}
		if v.wide {
			row = append(row, worst(r), approvals(r.Status.Approval))
		}
		rows = append(rows, v.spaced(r.Namespace, append(row, printable(message))))
	}
	return rows
}

// channels are the rows of a table.
func (v view) channels(all []otav1alpha1.Channel) [][]string {
	if len(all) == 0 {
		return nil
	}
	head := []string{"CHANNEL", "STATUS", "SERVING", "STABLE", "CANDIDATE", "WEIGHT", "AGE"}
	if v.wide {
		head = append(head, "APP", "REVISION", "REFUSED", "DEVIATION")
	}
	rows := [][]string{v.spaced("NAMESPACE", head)}
	for i := range all {
		ch := &all[i]
		reason, _ := ready(ch.Status.Conditions)
		row := []string{ch.Name, reason, serving(ch), stable(ch), "-", "-", v.age(ch.CreationTimestamp.Time)}
		if c := ch.Status.Candidate; c != nil {
			row[4], row[5] = string(c.Version), percent(c.Weight)
		}
		if v.wide {
			row = append(row, string(ch.Spec.App), revision(ch), fmt.Sprint(len(ch.Status.Refused)), deviation(ch))
		}
		rows = append(rows, v.spaced(ch.Namespace, row))
	}
	return rows
}

// spaced is a row with the namespace before it, when those of all are listed.
func (v view) spaced(namespace string, row []string) []string {
	if !v.namespaces {
		return row
	}
	return append([]string{namespace}, row...)
}
