// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// The memory of failures says what was put in, the newest of each device, and no more than fits.
func TestFailures(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := newFailures(5)
		f.most = rapid.IntRange(2, 10).Draw(t, "lists")
		model := map[byte][]string{}
		lists := func() map[string]bool {
			distinct := map[string]bool{}
			for _, list := range model {
				distinct[strings.Join(list, ",")] = true
			}
			return distinct
		}
		put := func(device byte, list []string) (fits bool) {
			have := lists()
			if fits = len(list) <= 1 || len(have) < f.most || have[strings.Join(list, ",")]; !fits {
				list = list[len(list)-1:]
			}
			if model[device] = list; len(list) == 0 {
				delete(model, device)
			}
			return fits
		}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			device := rapid.ByteRange(0, 7).Draw(t, "device")
			digest := rapid.SampledFrom(strings.Split("abcdefghij", "")).Draw(t, "digest")
			have := model[device]
			at := slices.Index(have, digest)
			if rapid.IntRange(0, 3).Draw(t, "forget") == 0 {
				f.forget(Pseudonym{device}, digest)
				if at >= 0 {
					put(device, slices.Delete(slices.Clone(have), at, at+1))
				}
				continue
			}
			fits := at >= 0 || have != nil || len(model) < 5
			if fits && at < 0 {
				fits = put(device, append(slices.Clone(have[max(0, len(have)-7):]), digest))
			}
			if got := f.add(Pseudonym{device}, digest); got != fits {
				t.Fatalf("add: %v with %v, want %v", got, model, fits)
			}
		}
		for b := range byte(8) {
			if got := f.of(Pseudonym{b}); !slices.Equal(got, model[b]) {
				t.Fatalf("device %d: %v, want %v", b, got, model[b])
			}
		}
		if got := f.devices.Load(); got != int64(len(model)) {
			t.Fatalf("%d devices, want %d", got, len(model))
		}
		if used := len(f.index) - 1; used != len(lists()) || len(*f.lists.Load()) > 1+f.most+10+1 {
			t.Fatalf("%d lists in use in %d places, want %d, and no more places than were needed at a time", used, len(*f.lists.Load()), len(lists()))
		}
	})
}

// Who looks a device up while lists come and go gets that device's list.
func TestFailuresWhileTheyChange(t *testing.T) {
	t.Parallel()
	f := newFailures(1000)
	steady := Pseudonym{1}
	f.add(steady, "a")
	f.add(steady, "b")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if got := f.of(steady); len(got) < 2 || got[0] != "a" || got[1] != "b" {
					t.Errorf("got %v, want a, b and maybe c", got)
					return
				}
			}
		})
	}
	for i := range 5000 {
		other, digest := Pseudonym{byte(i % 7), 2}, fmt.Sprint(i%50)
		f.add(other, digest)
		f.add(steady, "c")
		f.forget(other, digest)
		f.forget(steady, "c")
	}
	close(stop)
	wg.Wait()
}
