// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// completion of words that only the cluster knows. A cluster that does not answer offers nothing.
type completion func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

// asking completes a word with what a question to the cluster of the command gives.
func (a *app) asking(ask func(ctx context.Context, c *cluster, args []string) ([]string, error)) completion {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completeTimeout)
		defer cancel()
		c, err := connect(a.connections[cmd])
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		found, err := ask(ctx, c, args)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		found = slices.DeleteFunc(found, func(name string) bool { return !strings.HasPrefix(name, word) })
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// completing offers the names of a kind for the arguments of a command, one kind an argument.
func (a *app) completing(cmd *cobra.Command, kinds ...client.Object) {
	cmd.ValidArgsFunction = a.asking(func(ctx context.Context, c *cluster, args []string) ([]string, error) {
		if len(args) >= len(kinds) || kinds[len(args)] == nil {
			return nil, nil
		}
		list := listOf(kinds[len(args)])
		err := c.list(ctx, list, false)
		return names(list), err
	})
}

// offer completes the value of a flag.
func (a *app) offer(cmd *cobra.Command, flag string, ask func(ctx context.Context, c *cluster) ([]string, error)) {
	complete := a.asking(func(ctx context.Context, c *cluster, _ []string) ([]string, error) { return ask(ctx, c) })
	if err := cmd.RegisterFlagCompletionFunc(flag, complete); err != nil {
		panic(err) // there is no such flag: a bug
	}
}
