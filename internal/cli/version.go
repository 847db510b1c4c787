// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// build is what version prints.
type build struct {
	Version  string `json:"version"` // of the module, or (devel)
	Revision string `json:"revision,omitempty"`
	Time     string `json:"time,omitempty"`
	Modified string `json:"modified,omitempty"` // true: of sources that are in no commit
	Go       string `json:"go"`
	Platform string `json:"platform"`
	API      string `json:"api"`
}

func (a *app) versionCommand() *cobra.Command {
	cmd := verb("version", "Say which version this is", `
Says which version of Windlass this program is, which commit it was built from, and which API it knows. It asks no cluster: what runs
there is shown by the image of the manager's Deployment.`, `
kubectl windlass version
kubectl windlass version -o json`, func(context.Context, []string) error {
		b := builtFrom(debug.ReadBuildInfo())
		return a.print(b, func(w io.Writer) {
			fmt.Fprintf(w, "kubectl-windlass %s, commit %s, %s, %s, API %s\n", b.Version, dash(b.Revision), b.Go, b.Platform, b.API)
		})
	})
	a.outputFlag(cmd)
	return cmd
}

// builtFrom reads what the compiler noted.
func builtFrom(info *debug.BuildInfo, ok bool) build {
	b := build{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, API: otav1alpha1.SchemeGroupVersion.String()}
	if !ok {
		return b
	}
	b.Version = cmp.Or(info.Main.Version, b.Version)
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value
		}
	}
	return b
}
