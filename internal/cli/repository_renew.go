// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/windlass-dev/windlass/internal/ceremony"
)

type renewOptions struct {
	dir       string
	life      time.Duration
	add       []string
	remove    []string
	threshold int
}

func (a *app) renewCommand() *cobra.Command {
	var o renewOptions
	cmd := verb("renew", "Let the root hold longer, or change who its holders are", `
Makes the next root, which expires later. With it, holders of root keys may come and go, and the number of them that have to sign may
change. The root has to be signed (repository sign).`, `
kubectl windlass repository renew --dir roots

# a third holder
kubectl windlass repository renew --dir roots --add-root-key clara.pub --threshold 2`,
		func(context.Context, []string) error { return a.renew(o) })
	addDir(cmd, &o.dir)
	addLife(cmd, &o.life, yearly)
	cmd.Flags().StringArrayVar(&o.add, "add-root-key", nil, "public root key of a new holder, Ed25519 in PEM; may be repeated")
	cmd.Flags().StringArrayVar(&o.remove, "remove-root-key", nil, "id of a root key, or how it begins; may be repeated")
	cmd.Flags().IntVar(&o.threshold, "threshold", 0, "how many root keys have to sign (default: as before)")
	return cmd
}

func (a *app) renew(o renewOptions) error {
	r, err := a.openRoots(o.dir)
	if err != nil {
		return err
	}
	var changes []ceremony.Change
	for _, path := range o.add {
		text, err := a.readFile(path, maxKeyFile)
		if err != nil {
			return err
		}
		changes = append(changes, ceremony.AddRootKey(text))
	}
	for _, id := range o.remove {
		changes = append(changes, ceremony.RemoveRootKey(id))
	}
	if o.threshold > 0 {
		changes = append(changes, ceremony.SetThreshold(o.threshold))
	}
	state, err := a.succeed(r, o.life, changes...)
	if err != nil {
		return err
	}
	return a.printRoot(state)
}
