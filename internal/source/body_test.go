// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// paced is a source that gives a piece after each gap, and honours cancellation as a connection does.
type paced struct {
	gap    time.Duration
	pieces int
	size   int // bytes of a piece; 0: 1
}

func (p paced) String() string { return "paced" }
func (p paced) host() string   { return "paced.example" }

func (p paced) open(ctx context.Context, _ *Client) (io.ReadCloser, int64, error) {
	return io.NopCloser(&pacedBody{paced: p, ctx: ctx}), -1, nil
}

type pacedBody struct {
	paced
	ctx context.Context //nolint:containedctx // of the request that the body belongs to
}

func (p *pacedBody) Read(b []byte) (int, error) {
	if p.pieces == 0 {
		return 0, io.EOF
	}
	select {
	case <-time.After(p.gap):
	case <-p.ctx.Done():
		return 0, p.ctx.Err()
	}
	p.pieces--
	return copy(b, bytes.Repeat([]byte("x"), max(p.size, 1))), nil
}

// What arrives slowly but steadily is read for as long as the whole may take; a pause that is too long ends it, and so does a
// rate that is too low for a minute.
func TestBody_time(t *testing.T) {
	const slow = DefaultMinRate / 10 // a piece of this each tenth of a second is just enough
	for name, tc := range map[string]struct {
		src  paced
		want string
	}{
		"short":       {paced{gap: 20 * time.Second, pieces: 2}, ""},
		"steady":      {paced{gap: time.Second / 10, pieces: 20_000, size: slow + 1}, ""},
		"in bursts":   {paced{gap: 29 * time.Second, pieces: 40, size: 31 * DefaultMinRate}, ""},
		"too slow":    {paced{gap: time.Second / 10, pieces: 20_000, size: slow - 50}, "slower than the least rate"},
		"byte a time": {paced{gap: 20 * time.Second, pieces: 100}, "slower than the least rate"},
		"one pause":   {paced{gap: 31 * time.Second, pieces: 1}, "no data came for too long"},
		"never ends":  {paced{gap: time.Second, pieces: 1_000_000, size: 2 * DefaultMinRate}, "longer than the time"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &Client{opts: Options{}.withDefaults()}
				body, err := c.Open(t.Context(), tc.src)
				if err != nil {
					t.Fatal(err)
				}
				defer body.Close()
				n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, body, make([]byte, 1<<20))
				switch want := int64(tc.src.pieces * max(tc.src.size, 1)); {
				case tc.want == "" && (err != nil || n != want):
					t.Errorf("got %d bytes and error %v, want %d", n, err, want)
				case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
					t.Errorf("got error %v, want one that says %q", err, tc.want)
				}
			})
		})
	}
}

// A reader that takes its time is not the server's fault.
func TestBody_slowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Client{opts: Options{}.withDefaults()}
		body, err := c.Open(t.Context(), paced{gap: time.Millisecond, pieces: 50})
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		p := make([]byte, 1)
		for range 50 {
			if _, err := io.ReadFull(body, p); err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Minute) // in the bubble: no time passes
		}
	})
}

// The pace agrees with a plain count of what came in the last window, to the width of a part of it.
func TestPace_property(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type arrival struct {
			at time.Duration
			n  int
		}
		p := pace{least: 1000, window: 60 * time.Second}
		var seen []arrival
		var now time.Duration
		for range rapid.IntRange(1, 300).Draw(t, "arrivals") {
			wait := time.Duration(rapid.IntRange(1, 9_000).Draw(t, "wait")) * time.Millisecond
			n := rapid.IntRange(0, 20_000).Draw(t, "bytes")
			now += wait
			seen = append(seen, arrival{now, n})
			if p.keeps(n, wait) {
				continue
			}
			if now < p.window {
				t.Fatalf("judged after %s, before a window was over", now)
			}
			// Everything that came within five parts of the window is surely counted, so it must be too little.
			sum := 0
			for _, a := range seen {
				if a.at > now-p.window+2*p.window/paceSlots+9*time.Second {
					sum += a.n
				}
			}
			if sum >= 60_000 {
				t.Fatalf("%d bytes came within the window, and it is called too slow", sum)
			}
			return
		}
	})
}
