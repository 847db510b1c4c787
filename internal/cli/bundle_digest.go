// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// digested is what digest prints.
type digested struct {
	File   string `json:"file"`
	Digest string `json:"digest"`
	Size   int64  `json:"size"` // bytes
}

func (a *app) digestCommand() *cobra.Command {
	return verb("digest FILE", "Print the digest of an artifact, as spec.digest of a Bundle takes it", `
Prints sha256: and 64 hexadecimal digits. For an encrypted artifact that is the digest of the encrypted file.`, `
kubectl windlass bundle digest shop-2.4.1.zip

kubectl windlass bundle digest shop-2.4.1.zip --output json`,
		func(ctx context.Context, args []string) error { return a.digest(ctx, args[0]) })
}

func (a *app) digest(ctx context.Context, path string) error {
	m, err := a.measure(ctx, "read", path, nil)
	if err != nil {
		return err
	}
	return a.print(digested{File: path, Digest: m.Digest, Size: m.Size}, func(w io.Writer) { fmt.Fprintln(w, m.Digest) })
}
