// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package eprocess

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestEncode_roundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var states []State
		for range rapid.IntRange(0, 3).Draw(t, "states") {
			test := anyTest(t)
			var stages []Stage
			for id := range rapid.Int32Range(0, 6).Draw(t, "stages") {
				stages = append(stages, counts(t, 1))
				stages[id].ID = id + 1
			}
			s := update(t, test, State{}.Restart(rapid.Int32Range(0, 3).Draw(t, "from")), stages...)
			states = append(states, s)
		}
		got, err := Decode(Encode(states))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(states, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

// Status has room for 4096 bytes.
func TestEncode_size(t *testing.T) {
	s := State{From: math.MaxInt32, Len: MaxStages, Kind: Increase, Limit: -1.2345678901234567e-300}
	for j := range s.Logs {
		s.Logs[j] = -1.2345678901234567e-300
	}
	for i := range s.Seen {
		a := Arm{Exposed: maxCount, Voted: maxCount, Failed: maxCount, Returned: maxCount}
		s.Seen[i] = Stage{ID: math.MaxInt32 - MaxStages + int32(i), Candidate: a, Control: a}
		s.Fresh[i] = Fresh{maxCount, maxCount}
	}
	text := Encode([]State{s, s})
	if len(text) > 4096 {
		t.Errorf("%d bytes, expected at most 4096", len(text))
	}
	if _, err := Decode(text); err != nil {
		t.Error(err)
	}
}

func TestDecode_refuses(t *testing.T) {
	zeros := "/0" + strings.Repeat(",0", Points-1)
	for name, tc := range map[string]struct{ text, want string }{
		"empty":               {"", "expected v1:"},
		"another version":     {"v2:", "expected v1:"},
		"no logarithms":       {"v1:Increase,1,0", "1 parts, expected 2 to 6"},
		"too few":             {"v1:Increase,1,0/0,0", "2 logarithms"},
		"NaN":                 {"v1:Increase,1,0/NaN" + zeros[2:], "logarithm 0: not a finite number"},
		"infinite":            {"v1:Increase,1,0/+Inf" + zeros[2:], "logarithm 0: not a finite number"},
		"unknown kind":        {"v1:Decrease,1,0" + zeros, "the kind is"},
		"no limit":            {"v1:Increase,,0" + zeros, "limit: not a finite number"},
		"no first stage":      {"v1:Increase,1,x" + zeros, "the first stage"},
		"two parts":           {"v1:Increase,1" + zeros, "instead of kind, limit and first stage"},
		"short stage":         {"v1:Increase,1,0" + zeros + "/1,2,3", "a stage has 3 numbers, expected 9"},
		"stage without id":    {"v1:Increase,1,0" + zeros + "/,1,1,1,1,1,1,1,1", "the id of a stage"},
		"a count is no count": {"v1:Increase,1,0" + zeros + "/1,1,1,1,1,1,1,1,x", "a count of a stage"},
		"impossible counts":   {"v1:Increase,1,0" + zeros + "/1,1,2,0,0,0,0,0,0", "impossible counts: 2 failed"},
		"negative counts":     {"v1:Increase,1,0" + zeros + "/1,-1,0,0,0,0,0,0,0", "impossible counts"},
		"more fresh devices":  {"v1:Increase,1,0" + zeros + "/1,1,0,0,1,0,0,1,2", "1 and 2 fresh devices, expected at most those that were exposed"},
		"stages out of order": {"v1:Increase,1,0" + zeros + "/2,1,0,0,1,0,0,0,0/1,1,0,0,1,0,0,0,0", "stage 1 after stage 2"},
		"too many stages":     {"v1:Increase,1,0" + zeros + strings.Repeat("/1,1,0,0,1,0,0,0,0", MaxStages+1), "7 parts"},
		"too many tests":      {"v1:" + strings.Repeat(";", maxTests), "9 tests, expected at most 8"},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := Decode(tc.text); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%q gives %+v and %v, want %s", tc.text, got, err, tc.want)
			}
		})
	}
}

// Whatever stands in status, it is refused or gives states that go on counting without a number that is none.
func FuzzDecode(f *testing.F) {
	s, err := increase.Update(State{}, []Stage{stage(1, 10, 2, 90, 1), stage(2, 20, 0, 80, 3)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(Encode([]State{s, {}}))
	f.Add("v1:")
	f.Add("v1:Rate,0,0/1e308,0,0,0,0,0,0,-1e308")
	f.Fuzz(func(t *testing.T, text string) {
		states, err := Decode(text)
		if err != nil {
			return
		}
		again, err := Decode(Encode(states))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(states, again); diff != "" {
			t.Fatal(diff)
		}
		for _, s := range states {
			for _, test := range []Test{increase, rate, silence} {
				next, err := test.Update(s, []Stage{stage(1, 100, 10, 900, 10), stage(2, 200, 10, 800, 10)})
				if err == nil && math.IsNaN(test.Log(next)) {
					t.Fatalf("%q gives NaN", text)
				}
			}
		}
	})
}
