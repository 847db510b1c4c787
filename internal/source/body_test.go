// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// paced is a source that gives one byte after each gap, and honours cancellation as a connection does.
type paced struct {
	gap   time.Duration
	bytes int
}

func (p paced) String() string { return "paced" }

func (p paced) open(ctx context.Context, _ *Client) (io.ReadCloser, int64, error) {
	return io.NopCloser(&pacedBody{paced: p, ctx: ctx}), -1, nil
}

type pacedBody struct {
	paced
	ctx context.Context //nolint:containedctx // of the request that the body belongs to
}

func (p *pacedBody) Read(b []byte) (int, error) {
	if p.bytes == 0 {
		return 0, io.EOF
	}
	select {
	case <-time.After(p.gap):
	case <-p.ctx.Done():
		return 0, p.ctx.Err()
	}
	p.bytes--
	b[0] = 'x'
	return 1, nil
}

// What arrives slowly but steadily is read for as long as the whole may take; a pause that is too long ends it.
func TestBody_time(t *testing.T) {
	for name, tc := range map[string]struct {
		src  paced
		want string
	}{
		"steady":     {paced{gap: 20 * time.Second, bytes: 100}, ""},
		"one pause":  {paced{gap: 31 * time.Second, bytes: 1}, "no data came for too long"},
		"never ends": {paced{gap: 20 * time.Second, bytes: 1_000_000}, "longer than the time"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &Client{opts: Options{}.withDefaults()}
				body, err := c.Open(t.Context(), tc.src)
				if err != nil {
					t.Fatal(err)
				}
				defer body.Close()
				got, err := io.ReadAll(body)
				switch {
				case tc.want == "" && (err != nil || len(got) != tc.src.bytes):
					t.Errorf("got %d bytes and error %v, want %d", len(got), err, tc.src.bytes)
				case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
					t.Errorf("got error %v, want one that says %q", err, tc.want)
				}
			})
		})
	}
}
