// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package bucketing_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/windlass-dev/windlass/internal/bucketing"
)

// The slots were computed with other tools, so that a change of the rule is seen:
//
//	printf 'salt\0device' | sha256sum | cut -c1-16 | python3 -c 'print(int(input(), 16) % 10000)'
func TestSlotIsTheDocumentedHash(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		salt, device string
		want         int32
	}{
		{"s1", "3f2c8a1e-0000-4000-8000-000000000001", 5955},
		{"s1", "3F2C8A1E-0000-4000-8000-000000000001", 5955},
		{"s2", "3f2c8a1e-0000-4000-8000-000000000001", 7122},
		{"", "", 3192},
		{"", strings.Repeat("x", 1000), 5968},
	} {
		if got := bucketing.Slot(tc.salt, tc.device); got != tc.want {
			t.Errorf("Slot(%q, %.40q) = %d, want %d", tc.salt, tc.device, got, tc.want)
		}
	}
}

func TestCohortsAreNestedAndSticky(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		salt, device := rapid.String().Draw(t, "salt"), rapid.String().Draw(t, "device")
		low := rapid.Int32Range(0, bucketing.Slots).Draw(t, "low")
		high := rapid.Int32Range(low, bucketing.Slots).Draw(t, "high")
		slot := bucketing.Slot(salt, device)
		if slot != bucketing.Slot(salt, device) {
			t.Fatal("a second look gave another slot")
		}
		if slot < 0 || slot >= bucketing.Slots {
			t.Fatalf("slot %d is not in 0..%d", slot, bucketing.Slots-1)
		}
		if bucketing.InCohort(slot, low) && !bucketing.InCohort(slot, high) {
			t.Fatalf("slot %d is in the cohort of %d but not of %d", slot, low, high)
		}
		if bucketing.InCohort(slot, 0) || !bucketing.InCohort(slot, bucketing.Slots) {
			t.Fatalf("slot %d: weight 0 must take nobody and %d everybody", slot, bucketing.Slots)
		}
	})
}

func TestEndsOfCohorts(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		slot, weight int32
		want         bool
	}{{0, 0, false}, {0, 1, true}, {1, 1, false}, {9998, 9999, true}, {9999, 9999, false}, {9999, 10_000, true}} {
		if got := bucketing.InCohort(tc.slot, tc.weight); got != tc.want {
			t.Errorf("slot %d at weight %d: %v, want %v", tc.slot, tc.weight, got, tc.want)
		}
	}
}

func TestSaltAndDeviceDoNotRunTogether(t *testing.T) {
	t.Parallel()
	same := 0
	for i := range 100 {
		if bucketing.Slot("ab", fmt.Sprintf("c%d", i)) == bucketing.Slot("a", fmt.Sprintf("bc%d", i)) {
			same++
		}
	}
	if same > 5 {
		t.Errorf("%d of 100 moved separators gave the same slot, want about 0", same)
	}
}

// 100 000 sequential ids over 100 cells: chi-squared with 99 degrees of freedom is under 172 with probability 1 - 8e-6. The
// input is fixed, so the test does not flake.
func TestSlotsAreUniform(t *testing.T) {
	t.Parallel()
	const devices, cells = 100_000, 100
	var count [cells]int
	for i := range devices {
		count[bucketing.Slot("rollout-7", fmt.Sprintf("device-%06d", i))*cells/bucketing.Slots]++
	}
	const expected = float64(devices) / cells
	chi := 0.0
	for _, n := range count {
		chi += math.Pow(float64(n)-expected, 2) / expected
	}
	if chi > 172 {
		t.Errorf("chi-squared over %d cells is %.1f, want under 172", cells, chi)
	}
}

func TestSlotDoesNotAllocate(t *testing.T) {
	salt, device := strings.Repeat("s", 64), strings.Repeat("D", 128)
	if n := testing.AllocsPerRun(100, func() { bucketing.Slot(salt, device) }); n != 0 {
		t.Errorf("Slot allocates %v times, want 0", n)
	}
}

func BenchmarkSlot(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		bucketing.Slot("0b7e6e4f8d2c4a19", "3F2C8A1E-0000-4000-8000-000000000001")
	}
}
