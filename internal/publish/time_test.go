// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"maps"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
)

const day = 24 * time.Hour

// step lets time pass once the publisher waits for it.
func step(t *testing.T, c *clocktesting.FakeClock, d time.Duration) {
	t.Helper()
	waitFor(t, "the publisher waits", c.HasWaiters)
	c.Step(d)
}

func TestSignaturesAreRenewed(t *testing.T) {
	fake := clocktesting.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	b := newMemory(fake.Now)
	p := open(t, Config{Bucket: b, Keys: generateKeys(t), Clock: fake, RootExpiry: 60 * day})
	publishAndWait(t, p, document("a", 1, artifact(t, b, "1.0.0")))
	client := newReader(t, b)
	client.now = fake.Now
	start := p.State()
	if want := fake.Now().Add(7 * day); !start.ExpiresAt.Equal(want) {
		t.Errorf("the timestamp holds until %s, want %s", start.ExpiresAt, want)
	}
	var last State
	const days = 90
	for range days {
		step(t, fake, day)
		waitFor(t, "the timestamp holds for more than half of its life", func() bool {
			last = p.State()
			return last.ExpiresAt.Sub(fake.Now()) > 4*day
		})
		if got, err := client.read(); err != nil || !maps.Equal(got, map[string]int64{"a": 1}) {
			t.Fatalf("on %s a client got %v, %v", fake.Now(), got, err)
		}
	}
	if last.RootVersion != 3 { // renewed when a third of its 60 days was left, twice in 90 days
		t.Errorf("got root version %d, want 3", last.RootVersion)
	}
	if commits := last.Version - start.Version; commits < days/4 || commits > days/2 {
		t.Errorf("got %d commits in %d days, want one in two or three days", commits, days)
	}
}

func TestOfflineRootIsNotRenewed(t *testing.T) {
	fake := clocktesting.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	b := newMemory(fake.Now)
	data := keyData(t)
	open(t, Config{Bucket: b, Keys: parse(t, data), Clock: fake}).Close()
	delete(data, "root.key")
	p := open(t, Config{Bucket: b, Keys: parse(t, data), Clock: fake})
	version := p.State().Version
	step(t, fake, 300*day)
	waitFor(t, "the rest is renewed", func() bool { return p.State().Version > version })
	if got := p.State(); got.RootVersion != 1 || !got.RootExpiresAt.Equal(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("got root version %d until %s, want the first one", got.RootVersion, got.RootExpiresAt)
	}
}

// A publisher that was away for longer than everything holds comes back.
func TestOpenRenewsWhatHasExpired(t *testing.T) {
	fake := clocktesting.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	b, keys := newMemory(fake.Now), generateKeys(t)
	p := open(t, Config{Bucket: b, Keys: keys, Clock: fake})
	publishAndWait(t, p, document("a", 1, artifact(t, b, "1.0.0")))
	p.Close()
	fake.Step(3 * 365 * day)
	again := open(t, Config{Bucket: b, Keys: keys, Clock: fake})
	client := newReader(t, b)
	client.now = fake.Now
	waitFor(t, "a client can read again", func() bool {
		got, err := client.read()
		return err == nil && got["a"] == 1
	})
	if got := again.State(); got.RootVersion != 2 {
		t.Errorf("got root version %d, want 2", got.RootVersion)
	}
}

func TestShorterExpiryIsAppliedAtOnce(t *testing.T) {
	fake := clocktesting.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	b, keys := newMemory(fake.Now), generateKeys(t)
	open(t, Config{Bucket: b, Keys: keys, Clock: fake}).Close()
	p := open(t, Config{Bucket: b, Keys: keys, Clock: fake, TimestampExpiry: time.Hour})
	if got := p.State().ExpiresAt.Sub(fake.Now()); got != time.Hour {
		t.Errorf("the timestamp holds for %s, want 1h", got)
	}
}
