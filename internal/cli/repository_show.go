// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) repositoryShowCommand() *cobra.Command {
	var dir string
	cmd := verb("show", "Tell what the newest root says and which signatures it lacks", `
Shows the newest root: its keys and thresholds, floors, when it expires, who has signed it and who has to.`, `
kubectl windlass repository show --dir roots

# in a pipeline that waits for the holders
kubectl windlass repository show --dir roots --output json | jq -e .complete`,
		func(context.Context, []string) error {
			r, err := a.openRoots(dir)
			if err != nil {
				return err
			}
			state, err := r.describe()
			if err != nil {
				return err
			}
			return a.printRoot(state)
		})
	addDir(cmd, &dir)
	return cmd
}
