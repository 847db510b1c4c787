// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"maps"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/ceremony"
	"github.com/windlass-dev/windlass/internal/tuf"
)

// forge makes the successor of a root as somebody does who has no root key: with one of his own, and without floors.
func forge(t testing.TB, before []byte, edit func(r *metadata.RootType)) []byte {
	t.Helper()
	root, err := tuf.ParseRoot(before)
	if err != nil {
		t.Fatal(err)
	}
	text, err := tuf.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	key, err := tuf.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	root.ClearSignatures()
	root.Signed.Version++
	delete(root.Signed.UnrecognizedFields, tuf.FloorsField)
	for _, id := range root.Signed.Roles[metadata.ROOT].KeyIDs {
		delete(root.Signed.Keys, id)
	}
	root.Signed.Keys[key.ID] = key.Public
	root.Signed.Roles[metadata.ROOT].KeyIDs, root.Signed.Roles[metadata.ROOT].Threshold = []string{key.ID}, 1
	if edit != nil {
		edit(&root.Signed)
	}
	raw, err := tuf.Sign(root, key)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func get(t testing.TB, b Bucket, name string) []byte {
	t.Helper()
	raw, _, err := b.Get(t.Context(), name, tuf.MaxRoot)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func put(t testing.TB, b Bucket, name string, content []byte) {
	t.Helper()
	if err := b.PutImmutable(t.Context(), name, content, jsonType); err != nil {
		t.Fatal(err)
	}
}

func swap(t *testing.T, b Bucket, name string, content []byte) {
	t.Helper()
	remove(t, b, name)
	put(t, b, name, content)
}

// Who can write to the bucket adds a root without any key: a publisher that is at work and one that starts go on as if it was not
// there, and say which object to delete. When it is gone, roots are signed again.
func TestForeignRoot(t *testing.T) {
	for name, forged := range map[string]func(t *testing.T, second []byte) []byte{
		"signed by another key": func(t *testing.T, second []byte) []byte { return forge(t, second, nil) },
		"of a later version": func(t *testing.T, second []byte) []byte {
			return forge(t, second, func(r *metadata.RootType) { r.Version = 9 })
		},
		"no root":                     func(*testing.T, []byte) []byte { return []byte("junk") },
		"larger than clients read":    func(*testing.T, []byte) []byte { return make([]byte, tuf.MaxRoot+1) },
		"the published one once more": func(_ *testing.T, second []byte) []byte { return second },
		"nothing":                     func(*testing.T, []byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			b, keys := openBucket(t), generateKeys(t)
			one, two := artifact(t, b, "1.0.0"), artifact(t, b, "2.0.0")
			open(t, Config{Bucket: b, Keys: keys}).Close()
			floors := map[string]string{app: "2.0.0"}
			p := open(t, Config{Bucket: b, Keys: keys, Floors: floors})
			put(t, b, "metadata/3.root.json", forged(t, get(t, b, "metadata/2.root.json")))
			publishAndWait(t, p, document("a", 1, two))
			wantReason(t, p.State().RootError, otav1alpha1.RootInvalidReason, "metadata/3.root.json", "delete it")
			p.Close()

			p = open(t, Config{Bucket: b, Keys: keys, Floors: map[string]string{app: "2.0.0", "other": "1.0.0"}})
			if s := p.State(); s.RootVersion != 2 || p.Floor(app) != "2.0.0" {
				t.Errorf("got %+v, want the second root", s)
			}
			wantReason(t, p.State().RootError, otav1alpha1.RootInvalidReason, "metadata/3.root.json", "delete it")
			publishAndWait(t, p, document("b", 1, two))
			p.Submit(document("a", 2, one))
			wantReason(t, p.Problem(app, "a"), otav1alpha1.PublishFailedReason, "below the floor")
			p.Close()
			remove(t, b, "metadata/3.root.json")
			p = open(t, Config{Bucket: b, Keys: keys, Floors: map[string]string{app: "2.0.0", "other": "1.0.0"}})
			if s := p.State(); s.RootVersion != 3 || s.RootError != nil || s.Floors["other"] != "1.0.0" {
				t.Errorf("after it was deleted: got %+v", s)
			}
			wantRevisions(t, newReader(t, b), map[string]int64{"a": 1, "b": 1})
		})
	}
}

// A chain that is not the one that was published before is not published to, whether status or the publisher before remembers it.
func TestRootsThatWentBack(t *testing.T) {
	for name, tc := range map[string]struct {
		spoil func(t *testing.T, b Bucket, first, second []byte)
		say   string
	}{
		"last one deleted": {func(t *testing.T, b Bucket, _, _ []byte) { remove(t, b, "metadata/2.root.json") }, "restore metadata/2.root.json"},
		"last one replaced": {func(t *testing.T, b Bucket, first, _ []byte) {
			swap(t, b, "metadata/2.root.json", forge(t, first, nil))
		}, "restore metadata/2.root.json"},
		"last one damaged":  {func(t *testing.T, b Bucket, _, _ []byte) { damageIt(t, b, "metadata/2.root.json") }, "restore metadata/2.root.json"},
		"first one deleted": {func(t *testing.T, b Bucket, _, _ []byte) { remove(t, b, "metadata/1.root.json") }, "metadata/1.root.json is missing"},
		"first one replaced": {func(t *testing.T, b Bucket, first, _ []byte) {
			swap(t, b, "metadata/1.root.json", forge(t, first, func(r *metadata.RootType) { r.Version = 1 }))
		}, "pin"},
		"all deleted": {func(t *testing.T, b Bucket, _, _ []byte) {
			remove(t, b, "metadata/1.root.json")
			remove(t, b, "metadata/2.root.json")
		}, "metadata/1.root.json is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			b, keys := openBucket(t), generateKeys(t)
			cfg := Config{Bucket: b, Keys: keys, Floors: map[string]string{app: "2.0.0"}}
			open(t, Config{Bucket: b, Keys: keys}).Close()
			p := open(t, cfg)
			state := p.State()
			p.Close()
			tc.spoil(t, b, get(t, b, "metadata/1.root.json"), get(t, b, "metadata/2.root.json"))
			_, err := Open(t.Context(), Config{Bucket: b, Keys: keys}.after(state))
			wantReason(t, err, otav1alpha1.RootInvalidReason, tc.say, "backup")
		})
	}
}

// Another second root that a root key has signed has the version that was published, and not its floors.
func TestFloorsOfStatusHold(t *testing.T) {
	o := newOffline(t)
	o.sign(2, ceremony.RaiseFloor(app, "2.0.0"))
	p := open(t, o.config())
	state := p.State()
	p.Close()
	delete(o.roots, 2)
	o.sign(2)
	swap(t, o.bucket, "metadata/2.root.json", o.roots[2])
	_, err := Open(t.Context(), o.config().after(state))
	wantReason(t, err, otav1alpha1.RootInvalidReason, "floor 2.0.0", "backup")
}

// What cannot be done to a root holds up nothing else: not what can, nor the renewal, and it is not tried without a pause.
func TestUnfitChangesHoldNothingUp(t *testing.T) {
	full := map[string]string{}
	for i := range tuf.MaxFloors {
		full["app"+string(rune('a'+i/26))+string(rune('a'+i%26))] = "1.0.0"
	}
	more := maps.Clone(full)
	more["one.too.many"], more["appaa"] = "1.0.0", "2.0.0"
	for name, tc := range map[string]struct {
		begin, then, want map[string]string
		say               string
	}{
		"a floor that is no version": {nil, map[string]string{"shop": "2.0.0", "bank": "1.0.0-01"}, map[string]string{"shop": "2.0.0"}, "bank"},
		"one floor too many":         {full, more, map[string]string{"appaa": "2.0.0", "one.too.many": ""}, "at most 64"},
	} {
		t.Run(name, func(t *testing.T) {
			b, data := openBucket(t), keyData(t)
			open(t, Config{Bucket: b, Keys: parse(t, data), Floors: tc.begin}).Close()
			data["timestamp.next.key"] = keyData(t)["timestamp.key"]
			p := open(t, Config{Bucket: b, Keys: parse(t, data), Floors: tc.then})
			s := p.State()
			for app, want := range tc.want {
				if s.Floors[app] != want {
					t.Errorf("%s: got %q, want %q", app, s.Floors[app], want)
				}
			}
			if !p.cfg.Keys.sign("timestamp", &p.world.root.Signed) || s.RootVersion != 2 {
				t.Errorf("got %+v, want the next timestamp key in version 2", s)
			}
			wantReason(t, s.RootError, otav1alpha1.RootInvalidReason, tc.say)
		})
	}
}

// The root has a third of its life left, and something else of it cannot be done: it is renewed, and nothing is tried again at once.
func TestRenewalGoesOn(t *testing.T) {
	for name, tc := range map[string]struct {
		floors map[string]string
		roots  func(t *testing.T, first []byte) map[int64][]byte
	}{
		"a floor that is none": {floors: map[string]string{"bank": "1.0.0-01"}},
		"a root of a ceremony that the keys do not fit": {roots: func(t *testing.T, first []byte) map[int64][]byte {
			return map[int64][]byte{1: first, 2: forge(t, first, nil)}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			b, keys := openBucket(t), generateKeys(t)
			open(t, Config{Bucket: b, Keys: keys, RootExpiry: 20 * day}).Close()
			cfg := Config{Bucket: b, Keys: keys, Floors: tc.floors, RootExpiry: 365 * day}
			if tc.roots != nil {
				cfg.Roots = tc.roots(t, get(t, b, "metadata/1.root.json"))
			}
			p := open(t, cfg)
			if s := p.State(); s.RootVersion != 2 || s.RootError == nil || time.Until(s.RootExpiresAt) < 300*day {
				t.Errorf("got %+v, want a renewed root and the problem", s)
			}
			if wait := p.untilDue(); wait < time.Second {
				t.Errorf("the next attempt is due in %s", wait)
			}
		})
	}
}

// A root that is due and cannot be signed is tried again later, not at once.
func TestRootThatCannotBeSigned(t *testing.T) {
	b, keys := openBucket(t), generateKeys(t)
	open(t, Config{Bucket: b, Keys: keys, RootExpiry: 20 * day}).Close()
	put(t, b, "metadata/2.root.json", []byte("junk"))
	p := open(t, Config{Bucket: b, Keys: keys})
	if s := p.State(); s.RootVersion != 1 || s.RootError == nil {
		t.Errorf("got %+v", s)
	}
	if wait := p.untilDue(); wait < time.Second {
		t.Errorf("the next attempt is due in %s", wait)
	}
}

// Where nobody remembers which first root devices pin, such as after an upgrade, the one that was given is what the bucket's is held
// against: a whole chain that somebody else made is not followed.
func TestGivenRootAnchorsTheChain(t *testing.T) {
	b, keys := openBucket(t), generateKeys(t)
	open(t, Config{Bucket: b, Keys: keys}).Close()
	first := get(t, b, "metadata/1.root.json")
	given := Config{Bucket: b, Keys: keys, Roots: map[int64][]byte{1: first}}
	open(t, given).Close()
	swap(t, b, "metadata/1.root.json", forge(t, first, func(r *metadata.RootType) { r.Version = 1 }))
	_, err := Open(t.Context(), given)
	wantReason(t, err, otav1alpha1.RootInvalidReason, "metadata/1.root.json", "ConfigMap", "backup")
}
