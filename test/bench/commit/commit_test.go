// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package commit

import "testing"

func BenchmarkCommit(b *testing.B) {
	for b.Loop() {
		if err := Run(b.Context(), b.Output()); err != nil {
			b.Fatal(err)
		}
	}
}
