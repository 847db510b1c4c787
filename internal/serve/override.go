// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"fmt"
	"slices"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/command"
)

// maxOverrides bounds the list, as the API does.
const maxOverrides = 32

// override lets a digest pass content checks. The overrides of what devices can see are never forgotten for the sake of new ones.
func override(o *order) error {
	p, err := command.ParseOverride(o.Args)
	if err != nil {
		return badArgs(err)
	}
	st := o.status
	if len(st.Overrides) >= maxOverrides {
		oldest := len(st.Overrides) - 1
		for oldest >= 0 && offered(o.channel, st.Overrides[oldest].Digest) {
			oldest--
		}
		if oldest < 0 {
			return fmt.Errorf("all %d overrides are of what devices can see: release a bundle that needs none first", maxOverrides)
		}
		st.Overrides = slices.Delete(st.Overrides, oldest, oldest+1)
	}
	st.Overrides = slices.Insert(st.Overrides, 0, otav1alpha1.ContentOverride{
		Digest: p.Digest, Checks: p.Checks, Reason: p.Reason, By: o.By, Actor: o.Actor, At: o.at,
	})
	return nil
}
