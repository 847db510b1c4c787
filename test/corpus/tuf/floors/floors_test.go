// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package floors

import (
	"fmt"
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
	{"spec with a lower floor", true, spec(map[string]string{app: "1.0.0"})},
	{"spec with a beta of the floor", true, spec(map[string]string{app: "2.0.0-rc.1"})},
	{"spec without floors", true, spec(nil)},
	{"spec with the floor of another app", true, spec(map[string]string{"other": "1.0.0"})},
	{"spec with the app in other letters", true, spec(map[string]string{"com.example.Shop": "1.0.0"})},
	{"spec with a version of nobody", true, spec(map[string]string{app: "0"})},

	{"signed root with a lower floor", false, configured(object(app, "1.0.0"))},
	{"signed root with a beta of the floor", false, configured(object(app, "2.0.0-rc.1"))},
	{"signed root without this floor", false, configured(object("other", "9.0.0"))},
	{"signed root without floors", false, configured(nil)},
	{"signed root with a number", false, configured(map[string]any{app: 1})},
	{"signed root with a null", false, configured(map[string]any{app: nil})},
	{"signed root with an empty version", false, configured(object(app, ""))},
	{"signed root with build metadata", false, configured(object(app, "1.0.0+3.0.0"))},
	{"signed root that skips a version", false, func(w *world) {
		w.roots[4] = w.forge(w.holders[0].PEM, func(r *metadata.RootType) { r.Version++; floorsAre(nil)(r) })
		w.open(nil)
	}},
	{"first root again as the third", false, func(w *world) { w.roots[3] = w.roots[1]; w.open(nil) }},
	{"ConfigMap without the root of the floor", false, func(w *world) { delete(w.roots, 2); w.open(nil) }},

	{"root in the bucket with a lower floor", false, planted(object(app, "1.0.0"))},
	{"root in the bucket without floors", false, planted(nil)},
	{"root in the bucket with two fields of floors", false, func(w *world) {
		raw := w.forge(w.holders[0].PEM, floorsAre(object(app, "1.0.0")))
		w.plant([]byte(strings.Replace(string(raw), `"x-windlass-floors":`, `"x-windlass-floors":{"`+app+`":"2.0.0"},"x-windlass-floors":`, 1)))
	}},
	{"root by the timestamp key", false, func(w *world) {
		w.plant(w.forge(w.secret["timestamp.key"], floorsAre(nil)))
	}},
	{"root of the floor replaced", false, func(w *world) {
		w.put("metadata/2.root.json", w.get("metadata/1.root.json"))
		w.evil(document(1000, w.bad))
	}},
	{"root of the floor deleted", false, func(w *world) {
		check(w.t, w.bucket.Delete(w.t.Context(), "metadata/2.root.json"))
		w.evil(document(1000, w.bad))
	}},

	{"online keys: stable", false, named(func(w *world, d *release.Document) { d.Stable = w.bad })},
	{"online keys: candidate", false, named(func(w *world, d *release.Document) {
		d.Candidate = &release.Candidate{Bundle: *w.bad, Weight: release.FullWeight, Salt: "s", Rollout: "r", Release: 1, LeaseExpires: 1 << 40}
	})},
	{"online keys: previous of a refused one", false, named(func(w *world, d *release.Document) {
		d.Previous, d.Refused = w.bad, []release.Refusal{{Digest: w.good.Digest}}
	})},
	{"online keys: to pass through", false, named(func(w *world, d *release.Document) {
		d.Guards = release.Guards{FloorVersion: withdrawn, Floor: w.bad}
	})},
	{"online keys: version with build metadata", false, named(func(w *world, d *release.Document) {
		b := *w.bad
		b.Version = "1.0.0+2.0.0"
		d.Stable = &b
	})},
	{"online keys: version that is none", false, named(func(w *world, d *release.Document) {
		b := *w.bad
		b.Version = "latest"
		d.Stable = &b
	})},
	{"online keys: a beta of the floor", false, named(func(w *world, d *release.Document) {
		b := *w.bad
		b.Version = "2.0.0-zzz"
		d.Stable = &b
	})},

	{"submission: stable", false, func(w *world) { w.submit(document(w.revision()+1, w.bad)) }},
	{"submission: previous", false, func(w *world) {
		d := document(w.revision()+1, w.good)
		d.Previous = w.bad
		w.submit(d)
	}},
	{"recovery from the first snapshots", false, func(w *world) {
		last := w.publisher.State().Version
		w.publisher.Close()
		check(w.t, w.bucket.Delete(w.t.Context(), "metadata/timestamp.json"))
		for version := int64(3); version <= last; version++ {
			check(w.t, w.bucket.Delete(w.t.Context(), fmt.Sprintf("metadata/%d.snapshot.json", version)))
		}
		w.open(nil)
	}},
	{"manager over what online keys have signed", false, func(w *world) {
		w.evil(document(1000, w.bad))
		w.open(nil)
	}},
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
			if how == "" {
				w.follow()
				how = w.reoffers()
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
