// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package eprocess

import (
	"math"
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
	for name, text := range map[string]string{
		"empty":               "",
		"another version":     "v2:",
		"no logarithms":       "v1:Increase,1,0",
		"too few":             "v1:Increase,1,0/0,0",
		"NaN":                 "v1:Increase,1,0/NaN,0,0,0,0,0,0",
		"infinite":            "v1:Increase,1,0/+Inf,0,0,0,0,0,0",
		"unknown kind":        "v1:Decrease,1,0/0,0,0,0,0,0,0",
		"no limit":            "v1:Increase,,0/0,0,0,0,0,0,0",
		"no first stage":      "v1:Increase,1,x/0,0,0,0,0,0,0",
		"two parts":           "v1:Increase,1/0,0,0,0,0,0,0",
		"short stage":         "v1:Increase,1,0/0,0,0,0,0,0,0/1,2,3",
		"stage without id":    "v1:Increase,1,0/0,0,0,0,0,0,0/,1,1,1,1,1,1",
		"a count is no count": "v1:Increase,1,0/0,0,0,0,0,0,0/1,1,1,1,1,1,x",
		"impossible counts":   "v1:Increase,1,0/0,0,0,0,0,0,0/1,1,2,0,0,0,0",
		"negative counts":     "v1:Increase,1,0/0,0,0,0,0,0,0/1,-1,0,0,0,0,0",
		"stages out of order": "v1:Increase,1,0/0,0,0,0,0,0,0/2,1,0,0,1,0,0/1,1,0,0,1,0,0",
		"too many stages":     "v1:Increase,1,0/0,0,0,0,0,0,0/1,1,0,0,1,0,0/2,1,0,0,1,0,0/3,1,0,0,1,0,0/4,1,0,0,1,0,0/5,1,0,0,1,0,0",
		"too many tests":      "v1:;;;;;;;;",
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := Decode(text); err == nil {
				t.Errorf("%q gives %+v", text, got)
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
	f.Add("v1:Rate,0,0/1e308,0,0,0,0,0,-1e308")
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
