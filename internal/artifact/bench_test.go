// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package artifact_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/windlass-dev/windlass/internal/artifact"
)

// BenchmarkScan is of a large web build and of a small one, both as zip.
func BenchmarkScan(b *testing.B) {
	random := rand.NewChaCha8([32]byte{4})
	for name, count := range map[string]int{"5000 files": 5000, "20 files": 20} {
		files := make([]file, count)
		for i := range files {
			content := make([]byte, 8<<10) // does not pack
			_, _ = random.Read(content)
			files[i] = file{fmt.Sprintf("assets/%d/%d.png", i%50, i), string(content)}
		}
		content := makeZip(b, files...)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := artifact.Scan(bytes.NewReader(content), artifact.Limits{}, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
