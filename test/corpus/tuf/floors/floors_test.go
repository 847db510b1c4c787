// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package floors

import (
	"fmt"
	"iter"
	"os"
	"strings"
	"testing"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/windlass-dev/windlass/internal/ceremony"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/tuf"
)

// way is one attempt to have a withdrawn version offered again.
type way struct {
	name   string
	online bool // the manager has the root key
	try    func(w *world)

	withholds bool // the root of the floor is no longer in the bucket
}

// usurp gives a root one root key, an attacker's, and no floors.
func usurp(w *world, version int64) []byte {
	text, err := tuf.GenerateKey()
	check(w.t, err)
	key, err := tuf.ParseKey(text)
	check(w.t, err)
	return w.forge(text, func(r *metadata.RootType) {
		r.Version = version
		for _, id := range r.Roles[metadata.ROOT].KeyIDs {
			delete(r.Keys, id)
		}
		r.Keys[key.ID] = key.Public
		r.Roles[metadata.ROOT].KeyIDs, r.Roles[metadata.ROOT].Threshold = []string{key.ID}, 1
		floorsAre(nil)(r)
	})
}

// replaced puts another root in the place of one.
func replaced(version int64, root func(w *world) []byte) func(w *world) {
	return func(w *world) { w.put(fmt.Sprintf("metadata/%d.root.json", version), root(w)) }
}

// andEvil lets the holder of the online keys go on from there.
func andEvil(try func(w *world)) func(w *world) {
	return func(w *world) {
		try(w)
		w.evil(document(1000, w.bad))
	}
}

func usurped(version int64) func(w *world) []byte {
	return func(w *world) []byte { return usurp(w, version) }
}

func junk(*world) []byte { return []byte("junk") }

func deleted(version int64) func(w *world) {
	return func(w *world) {
		check(w.t, w.bucket.Delete(w.t.Context(), fmt.Sprintf("metadata/%d.root.json", version)))
	}
}

// spec lets the operator ask for other floors.
func spec(floors map[string]string) func(w *world) {
	return func(w *world) { w.open(floors) }
}

// floorsAre gives a root other floors; nil takes the field away.
func floorsAre(value any) func(r *metadata.RootType) {
	return func(r *metadata.RootType) {
		delete(r.UnrecognizedFields, tuf.FloorsField)
		if value != nil {
			r.UnrecognizedFields[tuf.FloorsField] = value
		}
	}
}

// configured puts a root that all holders have signed into the ConfigMap.
func configured(value any) func(w *world) {
	return func(w *world) {
		w.roots[3] = w.forge(w.holders[0].PEM, floorsAre(value))
		w.open(nil)
	}
}

// planted puts a root that all holders have signed into the bucket, beside the publisher.
func planted(value any) func(w *world) {
	return func(w *world) { w.plant(w.forge(w.holders[0].PEM, floorsAre(value))) }
}

// plant puts a root into the bucket, and metadata that lead to what was withdrawn.
func (w *world) plant(root []byte) {
	w.put("metadata/3.root.json", root)
	w.evil(document(1000, w.bad))
}

// named lets the holder of all online keys name what was withdrawn.
func named(edit func(w *world, d *release.Document)) func(w *world) {
	return func(w *world) {
		d := document(1000, w.good)
		edit(w, d)
		w.evil(d)
	}
}

func object(floors ...string) map[string]any {
	out := map[string]any{}
	for i := 0; i < len(floors); i += 2 {
		out[floors[i]] = floors[i+1]
	}
	return out
}

var ways = []way{
	{name: "spec with a lower floor", online: true, try: spec(map[string]string{app: "1.0.0"})},
	{name: "spec with a beta of the floor", online: true, try: spec(map[string]string{app: "2.0.0-rc.1"})},
	{name: "spec without floors", online: true, try: spec(nil)},
	{name: "spec with the floor of another app", online: true, try: spec(map[string]string{"other": "1.0.0"})},
	{name: "spec with the app in other letters", online: true, try: spec(map[string]string{"com.example.Shop": "1.0.0"})},
	{name: "spec with a version of nobody", online: true, try: spec(map[string]string{app: "0"})},

	{name: "signed root with a lower floor", try: configured(object(app, "1.0.0"))},
	{name: "signed root with a beta of the floor", try: configured(object(app, "2.0.0-rc.1"))},
	{name: "signed root without this floor", try: configured(object("other", "9.0.0"))},
	{name: "signed root without floors", try: configured(nil)},
	{name: "signed root with a number", try: configured(map[string]any{app: 1})},
	{name: "signed root with a null", try: configured(map[string]any{app: nil})},
	{name: "signed root with an empty version", try: configured(object(app, ""))},
	{name: "signed root with build metadata", try: configured(object(app, "1.0.0+3.0.0"))},
	{name: "signed root that skips a version", try: func(w *world) {
		w.roots[4] = w.forge(w.holders[0].PEM, func(r *metadata.RootType) { r.Version++; floorsAre(nil)(r) })
		w.open(nil)
	}},
	{name: "first root again as the third", try: func(w *world) { w.roots[3] = w.roots[1]; w.open(nil) }},
	{name: "ConfigMap without the root of the floor", try: func(w *world) { delete(w.roots, 2); w.open(nil) }},

	{name: "root in the bucket with a lower floor", try: planted(object(app, "1.0.0"))},
	{name: "root in the bucket without floors", try: planted(nil)},
	{name: "root in the bucket with two fields of floors", try: func(w *world) {
		raw := w.forge(w.holders[0].PEM, floorsAre(object(app, "1.0.0")))
		w.plant([]byte(strings.Replace(string(raw), `"x-windlass-floors":`, `"x-windlass-floors":{"`+app+`":"2.0.0"},"x-windlass-floors":`, 1)))
	}},
	{name: "root by the timestamp key", try: func(w *world) {
		w.plant(w.forge(w.secret["timestamp.key"], floorsAre(nil)))
	}},
	{name: "root of the floor replaced with the first", try: andEvil(replaced(2, func(w *world) []byte { return w.first })), withholds: true},
	{name: "root of the floor replaced with an attacker's", try: andEvil(replaced(2, usurped(2))), withholds: true},
	{name: "root of the floor replaced with junk", try: andEvil(replaced(2, junk)), withholds: true},
	{name: "root of the floor deleted", try: andEvil(deleted(2)), withholds: true},
	{name: "first root replaced with an attacker's", try: andEvil(replaced(1, usurped(1)))},
	{name: "first root deleted", try: andEvil(deleted(1))},
	{name: "root of an attacker's key after the last", try: andEvil(replaced(3, usurped(3)))},
	{name: "root of an attacker's key, one left out", try: andEvil(replaced(4, usurped(4)))},
	{name: "junk after the last root", try: andEvil(replaced(3, junk))},
	{name: "online root: the last deleted", online: true, try: deleted(2), withholds: true},
	{name: "online root: the last replaced", online: true, try: replaced(2, usurped(2)), withholds: true},
	{name: "online root: the first replaced", online: true, try: replaced(1, usurped(1))},
	{name: "online root: an attacker's after the last", online: true, try: replaced(3, usurped(3))},
	{name: "online root: junk after the last", online: true, try: replaced(3, junk)},
	{name: "online root: all deleted", online: true, try: func(w *world) { deleted(1)(w); deleted(2)(w) }, withholds: true},

	{name: "online keys: stable", try: named(func(w *world, d *release.Document) { d.Stable = w.bad })},
	{name: "online keys: candidate", try: named(func(w *world, d *release.Document) {
		d.Candidate = &release.Candidate{Bundle: *w.bad, Weight: release.FullWeight, Salt: "s", Rollout: "r", Release: 1, LeaseExpires: 1 << 40}
	})},
	{name: "online keys: previous of a refused one", try: named(func(w *world, d *release.Document) {
		d.Previous, d.Refused = w.bad, []release.Refusal{{Digest: w.good.Digest}}
	})},
	{name: "online keys: to pass through", try: named(func(w *world, d *release.Document) {
		d.Guards = release.Guards{FloorVersion: withdrawn, Floor: w.bad}
	})},
	{name: "online keys: version with build metadata", try: named(func(w *world, d *release.Document) {
		b := *w.bad
		b.Version = "1.0.0+2.0.0"
		d.Stable = &b
	})},
	{name: "online keys: version that is none", try: named(func(w *world, d *release.Document) {
		b := *w.bad
		b.Version = "latest"
		d.Stable = &b
	})},
	{name: "online keys: a beta of the floor", try: named(func(w *world, d *release.Document) {
		b := *w.bad
		b.Version = "2.0.0-zzz"
		d.Stable = &b
	})},

	{name: "submission: stable", try: func(w *world) { w.submit(document(w.revision()+1, w.bad)) }},
	{name: "submission: previous", try: func(w *world) {
		d := document(w.revision()+1, w.good)
		d.Previous = w.bad
		w.submit(d)
	}},
	{name: "recovery from the first snapshots", try: func(w *world) {
		last := w.publisher.State().Version
		w.publisher.Close()
		check(w.t, w.bucket.Delete(w.t.Context(), "metadata/timestamp.json"))
		for version := int64(3); version <= last; version++ {
			check(w.t, w.bucket.Delete(w.t.Context(), fmt.Sprintf("metadata/%d.snapshot.json", version)))
		}
		w.open(nil)
	}},
	{name: "manager over what online keys have signed", try: func(w *world) {
		w.evil(document(1000, w.bad))
		w.open(nil)
	}},
}

// afterwards are those who look at what an attack has left. A gateway that knows nothing but the first root cannot know of
// floors that are withheld from it; it should be given the newest root (docs/tuf.md).
func (w *world) afterwards(tried way) iter.Seq2[string, func()] {
	return func(yield func(string, func()) bool) {
		_ = yield("gateway with its cache", w.follow) &&
			yield("new gateway with the newest root", func() { w.start(w.newest, w.t.TempDir()) }) &&
			(tried.withholds || yield("new gateway with the first root", func() { w.start(w.first, w.t.TempDir()) })) &&
			yield("manager after a restart", w.restart) &&
			yield("gateway with its cache, after the restart", w.follow) &&
			yield("new gateway with the newest root, after the restart", func() { w.start(w.newest, w.t.TempDir()) })
	}
}

// revision is that of the committed document.
func (w *world) revision() int64 {
	c, _ := w.publisher.Committed(app, channel)
	return c.Document.Revision
}

// TestFloorLowering tries each way against a gateway that goes on, and one that is restarted with its cache.
func TestFloorLowering(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", server.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", server.SecretKey)
	accepted := 0
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			w := begin(t, way.online)
			way.try(w)
			w.poll()
			how := w.reoffers()
			for name, again := range w.afterwards(way) {
				if how == "" {
					again()
					if how = w.reoffers(); how != "" {
						how = name + ": " + how
					}
				}
			}
			if how != "" {
				accepted++
				t.Error(how)
			}
		})
	}
	fmt.Fprintf(os.Stdout, "TRIED floor-lowering %d ACCEPTED %d\n", len(ways), accepted)
	if len(ways) < 20 {
		t.Errorf("%d ways, want 20 or more", len(ways))
	}
}

// TestFloorRaising is the other side: floors rise, and what is at or above them is offered.
func TestFloorRaising(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", server.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", server.SecretKey)
	refused := 0
	steps := []string{"2.0.0", "2.0.1-rc.1", "2.0.1", "2.10.0", "10.0.0"}
	for _, online := range []bool{false, true} {
		t.Run(fmt.Sprintf("online root %v", online), func(t *testing.T) {
			w := begin(t, online)
			for i, version := range steps {
				switch {
				case i == 0: // where it is
				case online:
					w.open(map[string]string{app: version})
				default:
					w.succeed(ceremony.RaiseFloor(app, version))
					w.open(nil)
				}
				w.submit(document(w.revision()+1, w.artifact(version)))
				w.poll()
				if got := w.offered(); got != version || w.publisher.Floor(app) != version {
					refused++
					t.Errorf("floor %s: offered %q under floor %s: %v", version, got, w.publisher.Floor(app), w.publisher.Problem(app, channel))
				}
			}
		})
	}
	fmt.Fprintf(os.Stdout, "GOOD floor-raising %d REFUSED %d\n", 2*len(steps), refused)
}
