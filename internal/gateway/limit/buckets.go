// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/windlass-dev/windlass/internal/gateway/ledger"
)

// shards keep requests of different networks from waiting for one lock.
const shards = 64

// maxWait is the longest time that a client is told to wait.
const maxWait = time.Hour

// buckets are the token buckets of networks: at most so many, least recently used first out.
//
// In a full table a new network gets no new bucket. It takes over that of the network that was quiet for longest, with what is
// left in it. Under normal load that bucket is full again, and nobody notices. But who sends from more networks than the table
// holds, to be forgotten and to start again with a full burst, finds the buckets that he emptied himself: whatever the number of
// networks, no more passes than what the buckets of the table give. The price is that then other newcomers find them, too; they
// are told to come back, and the takeovers are counted.
type buckets struct {
	budget    Budget
	takeovers prometheus.Counter
	shards    [shards]shard
}

type shard struct {
	sync.Mutex
	lru  *simplelru.LRU[ledger.Network, *rate.Limiter]
	size int
	_    [40]byte // keeps two locks out of one cache line
}

func newBuckets(budget Budget, networks int, takeovers prometheus.Counter) *buckets {
	b := &buckets{budget: budget, takeovers: takeovers}
	for i := range b.shards {
		s := &b.shards[i]
		s.size = (networks + shards - 1) / shards
		s.lru, _ = simplelru.NewLRU[ledger.Network, *rate.Limiter](s.size, nil) // fails for a size of 0 only
	}
	return b
}

// take takes one token of a network; without one it gives the time until there is.
func (b *buckets) take(n ledger.Network, now time.Time) (wait time.Duration, ok bool) {
	s := b.shard(n)
	s.Lock()
	defer s.Unlock()
	bucket := b.bucket(s, n)
	if bucket.AllowN(now, 1) {
		return 0, true
	}
	seconds := (1 - bucket.TokensAt(now)) / b.budget.PerSecond
	return time.Duration(min(max(seconds, 0.001), maxWait.Seconds()) * float64(time.Second)), false
}

// charge takes tokens of a network, whether it has them or not.
func (b *buckets) charge(n ledger.Network, tokens int, now time.Time) {
	s := b.shard(n)
	s.Lock()
	defer s.Unlock()
	b.bucket(s, n).ReserveN(now, min(tokens, b.budget.Burst)) // more than a burst would be refused, and nothing taken
}

// shard is where a network's bucket is.
func (b *buckets) shard(n ledger.Network) *shard {
	return &b.shards[n%shards] // the network is a keyed hash: nobody can choose the shard
}

// bucket gives a network's bucket out of its shard.
func (b *buckets) bucket(s *shard, n ledger.Network) *rate.Limiter {
	if bucket, known := s.lru.Get(n); known {
		return bucket
	}
	return b.enter(s, n)
}

// enter gives a bucket to a network that has none.
func (b *buckets) enter(s *shard, n ledger.Network) *rate.Limiter {
	var bucket *rate.Limiter
	if s.lru.Len() < s.size {
		bucket = rate.NewLimiter(rate.Limit(b.budget.PerSecond), b.budget.Burst)
	} else {
		_, bucket, _ = s.lru.RemoveOldest()
		b.takeovers.Inc()
	}
	s.lru.Add(n, bucket)
	return bucket
}

// networks counts those that have a bucket.
func (b *buckets) networks() int {
	sum := 0
	for i := range b.shards {
		s := &b.shards[i]
		s.Lock()
		sum += s.lru.Len()
		s.Unlock()
	}
	return sum
}
