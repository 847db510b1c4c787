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

// gather waits for more submissions, so that what changes together is one commit. It tells whether the context still holds.
func (p *Publisher) gather(ctx context.Context) bool {
	limit := time.NewTimer(gatherLimit)
	defer limit.Stop()
	quiet := time.NewTimer(gatherTime)
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-p.wake:
			quiet.Reset(gatherTime)
		case <-quiet.C:
			return true
		case <-limit.C:
			return true
		}
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
