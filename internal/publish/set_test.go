// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
)

// hookClock does something the first time that somebody asks for the time.
type hookClock struct {
	clock.RealClock
	once sync.Once
	do   func()
}

func (h *hookClock) Now() time.Time {
	h.once.Do(h.do)
	return h.RealClock.Now()
}

// What the old publisher commits while the new one is opened is not hidden by what the new one read before.
func TestNewPublisherKnowsWhatTheOldOneCommittedMeanwhile(t *testing.T) {
	b, keys := openBucket(t), generateKeys(t)
	one, two := artifact(t, b, "1.0.0"), unstored("2.0.0")
	set := NewSet(func(types.NamespacedName, []ChannelKey) {})
	repository := types.NamespacedName{Namespace: "ns", Name: "main"}
	t.Cleanup(func() { set.Close(repository) })
	old, err := set.Open(t.Context(), repository, "one", b, Config{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	publishAndWait(t, old, document("a", 1, one))
	late := &hookClock{do: func() {
		publishAndWait(t, old, document("a", 2, one))
		old.Submit(document("b", 1, two)) // waits for its artifact
	}}
	p, err := set.Open(t.Context(), repository, "two", b, Config{Keys: keys, Clock: late})
	if err != nil {
		t.Fatal(err)
	}
	if c, ok := p.Committed(app, "a"); !ok || c.Document.Revision != 2 {
		t.Errorf("got %+v, %v, want revision 2", c.Document, ok)
	}
	artifact(t, b, "2.0.0")
	waitFor(t, "what was pending is committed", func() bool { _, ok := p.Committed(app, "b"); return ok })
}
