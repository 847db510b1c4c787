// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/windlass-dev/windlass/internal/ceremony"
)

func (a *app) floorCommand() *cobra.Command {
	var dir, app, version string
	var life time.Duration
	cmd := verb("floor", "Withdraw all versions of an app below one, for ever", `
Makes the next root with a floor for an app: nothing below that version is ever offered again, by nobody, the operator included.
A floor only rises. The root has to be signed (repository sign).`, `
kubectl windlass repository floor --dir roots --app com.example.shop --min-version 2.4.2`,
		func(context.Context, []string) error {
			if app == "" || version == "" {
				return usage("expected --app and --min-version, got one or none of them")
			}
			r, err := a.openRoots(dir)
			if err != nil {
				return err
			}
			state, err := a.succeed(r, life, ceremony.RaiseFloor(app, version))
			if err != nil {
				return err
			}
			return a.printRoot(state)
		})
	addDir(cmd, &dir)
	addLife(cmd, &life, 0)
	cmd.Flags().StringVar(&app, "app", "", "app that the floor is for (required)")
	cmd.Flags().StringVar(&version, "min-version", "", "least version that may be offered (required)")
	return cmd
}

// addLife adds the flag that renews a root on the way.
func addLife(cmd *cobra.Command, life *time.Duration, by time.Duration) {
	text := "how long the root holds from now on"
	if by == 0 {
		text += " (default: as long as its predecessor)"
	}
	cmd.Flags().DurationVar(life, "life", by, text)
}
