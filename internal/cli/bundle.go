// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import "github.com/spf13/cobra"

func (a *app) bundleCommand() *cobra.Command {
	return group("bundle", "Make, check and sign updates in CI", `
From a folder with a web build to a Bundle that can be committed:

  kubectl windlass bundle pack dist -o shop-2.4.1.zip
  kubectl windlass bundle inspect shop-2.4.1.zip --profile AppStores
  kubectl windlass bundle sign shop-2.4.1.zip --key env://SIGNING_KEY
  kubectl windlass bundle manifest shop-2.4.1.zip --app com.example.shop --version 2.4.1 \
    --url https://ci.example.com/shop-2.4.1.zip --signature shop-2.4.1.zip.sig > shop-2.4.1.yaml

Complete pipelines are in docs/ci.`,
		a.packCommand(), a.digestCommand(), a.inspectCommand(), a.signCommand(), a.verifyCommand(), a.manifestCommand())
}
