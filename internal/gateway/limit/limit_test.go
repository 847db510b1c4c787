// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"pgregory.net/rapid"

	"github.com/windlass-dev/windlass/internal/gateway/ledger"
)

func limiter(t testing.TB, cfg Config) (*Limiter, *prometheus.Registry) {
	t.Helper()
	registry := prometheus.NewRegistry()
	cfg.Metrics = registry
	l, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l, registry
}

// admitted counts how many of so many requests pass.
func admitted(l *Limiter, c Class, n ledger.Network, requests int) int {
	passed := 0
	for range requests {
		if l.Take(c, n).Verdict == Allowed {
			passed++
		}
	}
	return passed
}

func TestBudgetOfANetwork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, registry := limiter(t, Config{Checks: Budget{PerSecond: 10, Burst: 5}, Reports: Budget{PerSecond: 1, Burst: 2}})
		for _, step := range []struct {
			what  string
			after time.Duration
			class Class
			of    ledger.Network
			want  int
		}{
			{"a burst", 0, Checks, 1, 5},
			{"no more", 0, Checks, 1, 0},
			{"another network", 0, Checks, 2, 5},
			{"reports have their own budget", 0, Reports, 1, 2},
			{"the rate", 200 * time.Millisecond, Checks, 1, 2},
			{"no more than the rate", 100 * time.Millisecond, Checks, 1, 1},
			{"no more than a burst after a long time", time.Hour, Checks, 1, 5},
			{"reports come back at their own rate", time.Second, Reports, 1, 2},
		} {
			time.Sleep(step.after)
			if got := admitted(l, step.class, step.of, 20); got != step.want {
				t.Errorf("%s: %d of 20 passed, want %d", step.what, got, step.want)
			}
		}
		want := `
# HELP windlass_gateway_limit_refused_total Requests that were not worked on, by class (check, report, download) and reason: rate, when their network spent its budget, or busy.
# TYPE windlass_gateway_limit_refused_total counter
windlass_gateway_limit_refused_total{class="check",reason="busy"} 0
windlass_gateway_limit_refused_total{class="check",reason="rate"} 102
windlass_gateway_limit_refused_total{class="download",reason="busy"} 0
windlass_gateway_limit_refused_total{class="download",reason="rate"} 0
windlass_gateway_limit_refused_total{class="report",reason="busy"} 0
windlass_gateway_limit_refused_total{class="report",reason="rate"} 36
# HELP windlass_gateway_limit_networks Networks that the limit tells apart at present, in the class that has most of them.
# TYPE windlass_gateway_limit_networks gauge
windlass_gateway_limit_networks 2
`
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "windlass_gateway_limit_refused_total", "windlass_gateway_limit_networks"); err != nil {
			t.Error(err)
		}
	})
}

// What a request turns out to hold is paid for later: nothing of it is refused, and in the long run no more passes than the rate.
func TestCharge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, _ := limiter(t, Config{Reports: Budget{PerSecond: 1, Burst: 10}})
		l.Charge(Reports, 2, 0)
		for _, step := range []struct {
			what   string
			after  time.Duration
			charge int
			want   int // of 20 requests that follow
		}{
			{"a part of the burst", 0, 4, 6},
			{"owed", 0, 3, 0},
			{"paid back in part", 2 * time.Second, 0, 0},
			{"paid back", 2 * time.Second, 0, 1},
			{"more than the burst counts as the burst", 10 * time.Second, 1000, 0},
			{"then the rate", 3 * time.Second, 0, 3},
		} {
			time.Sleep(step.after)
			l.Charge(Reports, 1, step.charge)
			if got := admitted(l, Reports, 1, 20); got != step.want {
				t.Errorf("%s: %d of 20 passed, want %d", step.what, got, step.want)
			}
		}
		l.Charge(Reports, 1, 5)
		time.Sleep(l.Take(Reports, 1).RetryAfter)
		if got := admitted(l, Reports, 1, 20); got != 1 {
			t.Errorf("after the time that it was told: %d of 20 passed, want 1", got)
		}
		if got := admitted(l, Reports, 2, 20); got != 10 {
			t.Errorf("another network: %d of 20 passed, want 10", got)
		}
		l.Charge(Checks, 1, 5) // has no limit
		(*Limiter)(nil).Charge(Checks, 1, 5)
	})
}

// A client that waits as long as it was told passes, and not much earlier.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, rate := range []float64{0.1, 1, 3, 1000} {
			l, _ := limiter(t, Config{Checks: Budget{PerSecond: rate, Burst: 1}})
			l.Take(Checks, 1)
			d := l.Take(Checks, 1)
			if d.Verdict != Limited || d.RetryAfter <= 0 {
				t.Fatalf("%v a second: got %+v", rate, d)
			}
			time.Sleep(d.RetryAfter * 9 / 10)
			if l.Take(Checks, 1).Verdict == Allowed {
				t.Errorf("%v a second: passed before %s", rate, d.RetryAfter)
			}
			time.Sleep(d.RetryAfter/10 + time.Microsecond)
			if l.Take(Checks, 1).Verdict != Allowed {
				t.Errorf("%v a second: limited after %s", rate, d.RetryAfter)
			}
		}
	})
}

// Whoever comes from however many networks, no more passes than the table's buckets give: to be evicted is no way round.
func TestEvictionGivesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		budget := Budget{PerSecond: rapid.Float64Range(0.1, 50).Draw(t, "rate"), Burst: rapid.IntRange(1, 20).Draw(t, "burst")}
		size := rapid.IntRange(1, 5).Draw(t, "size")
		b := newBuckets(budget, size*shards, newMetrics().takeovers.WithLabelValues("check"))
		start := time.Unix(1e9, 0)
		now, passed := start, 0
		for range rapid.IntRange(1, 400).Draw(t, "requests") {
			now = now.Add(time.Duration(rapid.IntRange(0, 200).Draw(t, "ms")) * time.Millisecond)
			network := ledger.Network(rapid.IntRange(0, 15).Draw(t, "network")) * shards // all of one shard
			if _, ok := b.take(network, now); ok {
				passed++
			}
		}
		most := float64(size) * (float64(budget.Burst) + budget.PerSecond*now.Sub(start).Seconds() + 0.001)
		if float64(passed) > most {
			t.Fatalf("%d requests passed, want at most %v", passed, most)
		}
	})
}

// A network that comes into a full table is served when the one that it replaces was quiet for a while.
func TestQuietNetworksMakeRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, registry := limiter(t, Config{Checks: Budget{PerSecond: 10, Burst: 5}, Networks: 1})
		if got := admitted(l, Checks, 1*shards, 9); got != 5 {
			t.Errorf("first: %d passed, want 5", got)
		}
		if got := admitted(l, Checks, 2*shards, 9); got != 0 {
			t.Errorf("at once: %d passed, want 0", got)
		}
		time.Sleep(time.Second)
		if got := admitted(l, Checks, 3*shards, 9); got != 5 {
			t.Errorf("after a second: %d passed, want 5", got)
		}
		if err := testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP windlass_gateway_limit_takeovers_total Networks that took over the budget of another one because the table was full. Many together with refused requests: allow more networks.
# TYPE windlass_gateway_limit_takeovers_total counter
windlass_gateway_limit_takeovers_total{class="check"} 2
windlass_gateway_limit_takeovers_total{class="download"} 0
windlass_gateway_limit_takeovers_total{class="report"} 0
`), "windlass_gateway_limit_takeovers_total"); err != nil {
			t.Error(err)
		}
	})
}

func TestInFlight(t *testing.T) {
	t.Parallel()
	l, registry := limiter(t, Config{MaxInFlight: 3, MaxDownloads: 2})
	for range 3 {
		if d := l.Begin(Checks); d.Verdict != Allowed {
			t.Fatalf("got %+v", d)
		}
	}
	for range 5 { // refusals hold no place
		if d := l.Begin(Checks); d.Verdict != Busy {
			t.Fatalf("fourth: got %+v", d)
		}
	}
	if d := l.Begin(Reports); d.Verdict != Allowed {
		t.Errorf("reports wait for checks: %+v", d)
	}
	for range 2 {
		if d := l.Begin(Downloads); d.Verdict != Allowed {
			t.Fatalf("download: got %+v", d)
		}
	}
	if d := l.Begin(Downloads); d.Verdict != Busy {
		t.Errorf("third download: got %+v", d)
	}
	l.End(Checks)
	if d := l.Begin(Checks); d.Verdict != Allowed {
		t.Errorf("after an end: got %+v", d)
	}
	if got := testutil.ToFloat64(l.classes[Checks].busy); got != 5 {
		t.Errorf("%v counted as busy, want 5", got)
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}

// Many at a time: never more than the maximum are in, all places come back, and the budget is exact.
func TestManyAtATime(t *testing.T) {
	t.Parallel()
	l, _ := limiter(t, Config{MaxInFlight: 4, Checks: Budget{PerSecond: 1e-9, Burst: 100}})
	var mu sync.Mutex
	in, most, passed := 0, 0, 0
	step := func(by int) {
		mu.Lock()
		defer mu.Unlock()
		in += by
		most = max(most, in)
	}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			mine := 0
			for range 500 {
				if l.Take(Checks, 7).Verdict == Allowed {
					mine++
				}
				if l.Begin(Checks).Verdict == Allowed {
					step(1)
					step(-1)
					l.End(Checks)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			passed += mine
		})
	}
	wg.Wait()
	if most > 4 || most == 0 || passed != 100 || l.classes[Checks].inFlight.Load() != 0 {
		t.Errorf("at most %d in flight (want 1 to 4), %d passed (want 100), %d left", most, passed, l.classes[Checks].inFlight.Load())
	}
}

func TestWithoutLimits(t *testing.T) {
	t.Parallel()
	none, _ := limiter(t, Config{})
	for _, l := range []*Limiter{nil, none} {
		for range 10_000 {
			if l.Take(Checks, 1) != (Decision{}) || l.Begin(Reports) != (Decision{}) {
				t.Fatal("something is limited")
			}
		}
		l.End(Reports)
	}
}

func TestRefusedConfigs(t *testing.T) {
	t.Parallel()
	for _, cfg := range []Config{
		{Checks: Budget{PerSecond: 1}}, {Reports: Budget{Burst: 1}}, {Checks: Budget{PerSecond: -1, Burst: 1}}, {Networks: -1}, {MaxInFlight: -1}, {MaxDownloads: -1},
	} {
		cfg.Metrics = prometheus.NewRegistry()
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v: got no error", cfg)
		}
	}
}

func TestNoAllocations(t *testing.T) {
	l, _ := limiter(t, Config{MaxInFlight: 1, Checks: Budget{PerSecond: 1, Burst: 20}})
	l.Take(Checks, 1)
	if n := testing.AllocsPerRun(100, func() {
		l.Take(Checks, 1) // allowed at first, limited later
		l.Charge(Checks, 1, 2)
		l.Begin(Checks)
		l.Begin(Checks)
		l.End(Checks)
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkTake(b *testing.B) {
	l, _ := limiter(b, Config{Checks: Budget{PerSecond: 1, Burst: 20}})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for n := ledger.Network(1); pb.Next(); n = n*6364136223846793005 + 1442695040888963407 {
			l.Take(Checks, n%1000)
		}
	})
}
