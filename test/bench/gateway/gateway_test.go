// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import "testing"

func BenchmarkGateway(b *testing.B) {
	for b.Loop() {
		if err := Run(b.Context(), b.Output()); err != nil {
			b.Fatal(err)
		}
	}
}
