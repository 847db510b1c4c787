// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import "github.com/spf13/cobra"

func (a *app) repositoryCommand() *cobra.Command {
	return group("repository", "Keep the offline keys of a repository", `
The root of trust of a Repository says which keys sign its metadata, and how many of the root keys have to agree on a change. When the
root keys are kept offline, neither the operator nor the cluster can change it: people do, with these commands, on files in one
folder that goes into Git:

  1.root.json, 2.root.json, ...   the roots; each is signed by keys of the one before
  roots.configmap.yaml            the ConfigMap for spec.signing.rootConfigMapRef: all roots that are signed completely
  signing.secret.yaml             the Secret for spec.signing.keysSecretRef: never commit it
  root-*.key                      root keys: one for each holder, who takes it away; never commit them
  .gitignore                      keeps the two above out of Git

A change is made once (rotate-key, floor, renew) and signed by one holder after another (sign), until show says that it is complete.`,
		a.repositoryInitCommand(), a.repositorySignCommand(), a.repositoryShowCommand(), a.rotateKeyCommand(), a.floorCommand(), a.renewCommand())
}

// addDir adds the flag that names the folder.
func addDir(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "dir", ".", "folder with the roots")
}
