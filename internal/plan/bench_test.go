// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"testing"
	"time"
)

// What one decision costs. A simulation takes some hundred millions of them.
func BenchmarkPlan(b *testing.B) {
	for name, change := range map[string]func(*Facts){
		"pauses": func(*Facts) {},
		"rises":  func(f *Facts) { f.Now, f.Analysis[0].MeasuredAt = noon.Add(time.Hour), noon.Add(time.Minute) },
		"holds":  func(f *Facts) { f.Now, f.Analysis[0].MeasuredAt = noon.Add(time.Hour), noon.Add(-time.Hour) },
		"fails":  failing,
	} {
		f := running()
		change(&f)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Plan(f)
			}
		})
	}
}
