// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"context"
	"math/rand/v2"
	"time"
)

// never is longer than any wait.
const never = 1000 * time.Hour

func newTimer(d time.Duration) *time.Timer { return time.NewTimer(d) }

// pause waits and tells whether the context still holds.
func pause(ctx context.Context, d time.Duration) bool {
	t := newTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// jitter gives 75 % to 125 % of a delay.
func jitter(d time.Duration) time.Duration {
	return d*3/4 + time.Duration(rand.Int64N(int64(d)/2+1))
}

// untilRetry is the real time until a postponed submission is due, or until a backoff ends.
func (p *Publisher) untilRetry(backoff time.Duration) time.Duration {
	if backoff > 0 {
		return backoff
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	wait := never
	for _, s := range p.pending {
		if !s.notBefore.IsZero() {
			wait = min(wait, max(time.Until(s.notBefore), 0))
		}
	}
	return wait
}

// untilDue is the time, by the clock of the configuration, until something has to be signed again.
func (p *Publisher) untilDue() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(p.due(p.world).Sub(p.cfg.Clock.Now()), 0)
}
