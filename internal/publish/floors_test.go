// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"errors"
	"testing"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/ceremony"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/tuf"
)

// A floor that rises withdraws at once what is published below it, and tells the channels.
func TestFloorWithdraws(t *testing.T) {
	b, keys := openBucket(t), generateKeys(t)
	one, two := artifact(t, b, "1.0.0"), artifact(t, b, "2.0.0")
	p := open(t, Config{Bucket: b, Keys: keys})
	back := document("back", 1, one)
	back.Previous = two
	trial := document("trial", 1, two)
	trial.Candidate = &release.Candidate{Bundle: *one, Weight: 1000, Salt: "s"}
	publishAndWait(t, p, document("low", 1, one), document("high", 1, two), back, trial)
	p.Close()
	client := newReader(t, b)

	news := &heard{}
	p = open(t, Config{Bucket: b, Keys: keys, Floors: map[string]string{app: "1.5.0"}, Notify: news.notify})
	if p.Floor(app) != "1.5.0" || p.State().Floors[app] != "1.5.0" || p.State().RootVersion != 2 {
		t.Errorf("got %+v, want the floor in the second root", p.State())
	}
	wantRevisions(t, client, map[string]int64{"low": 2, "high": 1, "back": 2, "trial": 2})
	for channel, want := range map[string]string{"low": "", "high": "2.0.0", "back": "2.0.0", "trial": "2.0.0"} {
		c, _ := p.Committed(app, channel)
		got := ""
		if c.Document.Stable != nil {
			got = c.Document.Stable.Version
		}
		if got != want || c.Document.Refuses(one.Digest) != (channel != "high") || c.Document.Candidate != nil {
			t.Errorf("%s: got %+v, want stable %q", channel, c.Document, want)
		}
	}

	for _, doc := range []*release.Document{document("low", 3, one), back, trial} {
		doc.Revision = 3
		p.Submit(doc)
		wantReason(t, p.Problem(app, doc.Channel), otav1alpha1.PublishFailedReason, "below the floor 1.5.0")
		if e, _ := errors.AsType[*kit.Error](p.Problem(app, doc.Channel)); e.Class != kit.Stalled {
			t.Errorf("%s: got class %v, want Stalled", doc.Channel, e.Class)
		}
	}
	publishAndWait(t, p, document("low", 3, two))
}

// The channels hear of it when the publisher is the one that was open, as that of a set: with news, and not with an error.
func TestFloorTellsChannels(t *testing.T) {
	b, keys := openBucket(t), generateKeys(t)
	one := artifact(t, b, "1.0.0")
	p := open(t, Config{Bucket: b, Keys: keys})
	publishAndWait(t, p, document("a", 1, one))
	p.Close()
	p, err := prepared(t.Context(), Config{Bucket: b, Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	p.cfg.Floors = map[string]string{app: "2.0.0"}
	p.Submit(document("b", 1, one)) // on its way when the floor rises
	touched, err := p.attempt(t.Context())
	if err != nil || len(touched) != 2 {
		t.Errorf("got %v, %v, want news for both channels", touched, err)
	}
	wantReason(t, p.Problem(app, "b"), otav1alpha1.PublishFailedReason, "below the floor")
	if _, ok := p.Committed(app, "b"); ok {
		t.Error("b is published")
	}
	p.start()
	p.Close()
}

// What was withdrawn does not come back when the bucket loses what came after it.
func TestFloorHoldsInRecovery(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, b Bucket, version int64){
		"timestamp lost": func(t *testing.T, b Bucket, _ int64) { remove(t, b, timestampName) },
		"and the snapshot": func(t *testing.T, b Bucket, v int64) {
			remove(t, b, timestampName)
			damageIt(t, b, object("snapshot", v))
		},
		"role damaged":      func(t *testing.T, b Bucket, v int64) { damageIt(t, b, object(app+".a", v)) },
		"timestamp of then": nil,
	} {
		t.Run(name, func(t *testing.T) {
			b, keys := openBucket(t), generateKeys(t)
			one := artifact(t, b, "1.0.0")
			p := open(t, Config{Bucket: b, Keys: keys})
			publishAndWait(t, p, document("a", 1, one))
			old, _, err := b.Get(t.Context(), timestampName, tuf.MaxTimestamp)
			if err != nil {
				t.Fatal(err)
			}
			p.Close()
			p = open(t, Config{Bucket: b, Keys: keys, Floors: map[string]string{app: "2.0.0"}})
			version := p.State().Version
			p.Close()
			if spoil != nil {
				spoil(t, b, version)
			} else {
				remove(t, b, timestampName)
				if err := b.PutImmutable(t.Context(), timestampName, old, jsonType); err != nil {
					t.Fatal(err)
				}
			}
			p = open(t, Config{Bucket: b, Keys: keys, Seen: version, SeenRoot: 2})
			c, ok := p.Committed(app, "a")
			if !ok || c.Document.Stable != nil || p.State().Version <= version {
				t.Errorf("got %+v, %v, want a new version without what was withdrawn", c, ok)
			}
			if got, err := newReader(t, b).read(); err != nil || got["a"] < 2 {
				t.Errorf("a client got %v, %v", got, err)
			}
		})
	}
}

// A floor of the spec never lowers, drops or replaces one of the root.
func TestFloorsOfTheSpecOnlyRaise(t *testing.T) {
	b, keys := openBucket(t), generateKeys(t)
	for _, step := range []struct {
		floors  map[string]string
		want    string
		version int64
	}{
		{map[string]string{app: "2.0.0"}, "2.0.0", 1},
		{map[string]string{app: "1.0.0"}, "2.0.0", 1},
		{map[string]string{app: "2.0.0-rc.9"}, "2.0.0", 1},
		{nil, "2.0.0", 1},
		{map[string]string{"other": "1.0.0"}, "2.0.0", 2},
		{map[string]string{app: "2.0.1"}, "2.0.1", 3},
	} {
		p := open(t, Config{Bucket: b, Keys: keys, Floors: step.floors})
		if s := p.State(); s.Floors[app] != step.want || s.RootVersion != step.version || s.RootError != nil {
			t.Errorf("%v: got %+v, want %s in version %d", step.floors, s, step.want, step.version)
		}
		p.Close()
	}
}

// Where the root keys are offline, the spec alone does nothing.
func TestFloorOfAnOfflineRoot(t *testing.T) {
	o := newOffline(t)
	one := artifact(t, o.bucket, "1.0.0")
	cfg := o.config()
	cfg.Floors = map[string]string{app: "2.0.0"}
	p := open(t, cfg)
	publishAndWait(t, p, document("a", 1, one))
	if p.Floor(app) != "" {
		t.Errorf("got floor %s without a signature", p.Floor(app))
	}
	p.Close()
	o.sign(2, ceremony.RaiseFloor(app, "2.0.0"))
	p = open(t, o.config())
	if c, _ := p.Committed(app, "a"); p.Floor(app) != "2.0.0" || c.Document.Stable != nil {
		t.Errorf("got floor %q and %+v", p.Floor(app), c.Document)
	}
}
