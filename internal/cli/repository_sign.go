// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/windlass-dev/windlass/internal/ceremony"
)

func (a *app) repositorySignCommand() *cobra.Command {
	var dir, key string
	cmd := verb("sign", "Sign the newest root with a root key", `
Adds one signature to the newest root. The key is a root key of that root, or of the one before: a change of root keys takes enough
signatures of both. Look at what you sign first: repository show.`, `
kubectl windlass repository show --dir roots
kubectl windlass repository sign --dir roots --key /media/stick/root-1a2b3c4d.key`,
		func(context.Context, []string) error { return a.repositorySign(dir, key) })
	addDir(cmd, &dir)
	cmd.Flags().StringVar(&key, "key", "", "file with the private root key, or env://NAME (required)")
	return cmd
}

func (a *app) repositorySign(dir, from string) error {
	if from == "" {
		return usage("expected a root key, got none; give --key")
	}
	r, err := a.openRoots(dir)
	if err != nil {
		return err
	}
	key, err := a.readSecret(from)
	if err != nil {
		return err
	}
	root, previous := r.newest()
	signed, err := ceremony.Sign(root, previous, key)
	if err != nil {
		return fmt.Errorf("sign %s: %w", r.newestFile(), err)
	}
	r.files[len(r.files)-1] = signed
	state, err := r.save()
	if err != nil {
		return err
	}
	return a.printRoot(state)
}
