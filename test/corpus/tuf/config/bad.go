// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/hex"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/tuf"
)

// mistake spoils a good configuration.
type mistake struct {
	name string
	make func(w *world)
	say  string // part of the error
}

var mistakes = append(append(append(rootMistakes, keyMistakes...), targetMistakes...), versionMistakes...)

func rootRole(w *world) *metadata.Role { return w.root.Roles[metadata.ROOT] }

var rootMistakes = []mistake{
	{"threshold zero", func(w *world) { rootRole(w).Threshold = 0 }, "threshold 0"},
	{"threshold negative", func(w *world) { rootRole(w).Threshold = -1 }, "threshold -1"},
	{"threshold above the keys", func(w *world) { rootRole(w).Threshold = 4 }, "threshold 4"},
	{"threshold zero of timestamp", func(w *world) { w.root.Roles[metadata.TIMESTAMP].Threshold = 0 }, "timestamp"},
	{"role without keys", func(w *world) { w.root.Roles[metadata.SNAPSHOT].KeyIDs = nil }, "snapshot"},
	{"role that is missing", func(w *world) { delete(w.root.Roles, metadata.TARGETS) }, "targets is missing"},
	{"role that is null", func(w *world) { w.root.Roles[metadata.TARGETS] = nil }, "targets is missing"},
	{"fifth role", func(w *world) { w.root.Roles["mirrors"] = w.root.Roles[metadata.TARGETS] }, "5 roles"},
	{"type of another", func(w *world) { w.root.Type = metadata.TARGETS }, "expected root"},
	{"specification of later", func(w *world) { w.root.SpecVersion = "2.0.0" }, "spec_version"},
	{"version zero", func(w *world) { w.root.Version = 0 }, "version 0"},
	{"version negative", func(w *world) { w.root.Version = -5 }, "version -5"},
	{"version again", func(w *world) { w.root.Version = 1 }, "expected 2"},
	{"version skipped", func(w *world) { w.root.Version = 3 }, "expected 2"},
	{"version fast forward", func(w *world) { w.root.Version = math.MaxInt64 }, "version"},
	{"no consistent snapshots", func(w *world) { w.root.ConsistentSnapshot = false }, "consistent_snapshot"},
	{"expired", func(w *world) { w.root.Expires = now.Add(-time.Second) }, "expired"},
	{"expires now", func(w *world) { w.root.Expires = now }, "expired"},
	{"expires never", func(w *world) { w.root.Expires = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) }, "at most"},
	{"expires with fractions", func(w *world) { w.root.Expires = now.Add(day + time.Millisecond) }, "whole seconds"},
	{"expires in a zone", func(w *world) { w.root.Expires = now.Add(day).In(time.FixedZone("", 3600)) }, "UTC"},
	{"float", func(w *world) { w.root.UnrecognizedFields["x-share"] = 0.5 }, "integer"},
	{"float deep down", func(w *world) { w.root.UnrecognizedFields["x"] = map[string]any{"a": []any{1, 2.5}} }, "integer"},
	{"infinite", func(w *world) { w.root.UnrecognizedFields["x"] = math.Inf(1) }, "integer"},
	{"integer of 60 bits", func(w *world) { w.root.UnrecognizedFields["x"] = int64(1 << 60) }, "53 bits"},
	{"float of a role", func(w *world) { rootRole(w).UnrecognizedFields = map[string]any{"x": 1.5} }, "integer"},
	{"floor lowered", func(w *world) { floors(w)[app] = "1.9.9" }, "only rises"},
	{"floor lowered by a beta", func(w *world) { floors(w)[app] = "2.0.0-rc.1" }, "only rises"},
	{"floor dropped", func(w *world) { delete(floors(w), app) }, "only rises"},
	{"floors dropped", func(w *world) { w.root.UnrecognizedFields = nil }, "only rises"},
	{"floor as a number", func(w *world) { floors(w)["other"] = 2 }, "expected text"},
	{"floor with a v", func(w *world) { floors(w)["other"] = "v2.0.0" }, "semantic version"},
	{"floor with build metadata", func(w *world) { floors(w)["other"] = "2.0.0+5" }, "build metadata"},
	{"floor of no app", func(w *world) { floors(w)["../x"] = "2.0.0" }, "app id"},
	{"floors as a list", func(w *world) { w.root.UnrecognizedFields[tuf.FloorsField] = []any{"2.0.0"} }, "expected an object"},
}

func floors(w *world) map[string]any {
	f, _ := w.root.UnrecognizedFields[tuf.FloorsField].(map[string]any)
	return f
}

// first gives a key of the root's role.
func first(w *world) *metadata.Key { return w.root.Keys[rootRole(w).KeyIDs[0]] }

var keyMistakes = []mistake{
	{"key named twice", func(w *world) { r := rootRole(w); r.KeyIDs = append(r.KeyIDs, r.KeyIDs[0]) }, "named twice"},
	{"key that is not there", func(w *world) { delete(w.root.Keys, rootRole(w).KeyIDs[0]) }, "not known"},
	{"key that is null", func(w *world) { w.root.Keys[rootRole(w).KeyIDs[0]] = nil }, "not known"},
	{"key of no role", func(w *world) { addKey(w.root.Keys, w.keys[0]) }, "of no role"},
	{"two ids for one key", func(w *world) {
		twin := *first(w)
		r := rootRole(w)
		r.KeyIDs = append(r.KeyIDs, "ff")
		w.root.Keys["ff"] = &twin
	}, ""},
	{"two ids by a field", func(w *world) {
		twin := &metadata.Key{Type: first(w).Type, Scheme: first(w).Scheme, Value: first(w).Value, UnrecognizedFields: map[string]any{"x": "y"}}
		id, _ := twin.ID()
		w.root.Keys[id] = twin
		r := rootRole(w)
		r.KeyIDs = append(r.KeyIDs, id)
	}, ""},
	{"id of another key", func(w *world) {
		ids := rootRole(w).KeyIDs
		w.root.Keys[ids[0]], w.root.Keys[ids[1]] = w.root.Keys[ids[1]], w.root.Keys[ids[0]]
	}, "its id should be"},
	{"root key online", func(w *world) {
		timestamp := w.root.Roles[metadata.TIMESTAMP]
		timestamp.KeyIDs = append(slices.Clone(timestamp.KeyIDs), rootRole(w).KeyIDs[0])
	}, "signs nothing else"},
	{"key of an unknown type", func(w *world) { first(w).Type = "sphincs" }, "expected ed25519"},
	{"key of another scheme", func(w *world) { first(w).Scheme = "ed25519ph" }, "expected ed25519"},
	{"ECDSA key", func(w *world) { first(w).Type, first(w).Scheme = "ecdsa", "ecdsa-sha2-nistp256" }, "expected ed25519"},
	{"short key", func(w *world) { first(w).Value.PublicKey = "abcd" }, "32 bytes"},
	{"empty key", func(w *world) { first(w).Value.PublicKey = "" }, "32 bytes"},
	{"key in capitals", func(w *world) { first(w).Value.PublicKey = strings.ToUpper(first(w).Value.PublicKey) }, "32 bytes"},
	{"33 keys", func(w *world) {
		for i := range tuf.MaxKeys + 1 {
			k := &metadata.Key{Type: "ed25519", Scheme: "ed25519", Value: metadata.KeyVal{PublicKey: hex.EncodeToString(append(make([]byte, 31), byte(i)))}}
			id, _ := k.ID()
			w.root.Keys[id] = k
			rootRole(w).KeyIDs = append(rootRole(w).KeyIDs, id)
		}
	}, "at most"},
}

func addKey(keys map[string]*metadata.Key, public []byte) {
	k, err := tuf.ParsePublicKey(public)
	if err != nil {
		return
	}
	if id, err := k.ID(); err == nil {
		keys[id] = k
	}
}

// pattern gives a delegation another path.
func pattern(path string) func(w *world) {
	return func(w *world) { w.delegation().Paths[1] = path }
}

// lists adds a target to the role of the channel.
func lists(path string) func(w *world) {
	return func(w *world) { file := *w.file(); w.channel.Targets[path] = &file }
}

var targetMistakes = []mistake{
	{"delegation twice", func(w *world) { w.targets.Delegations.Roles[1] = *w.delegation() }, "twice"},
	{"delegation without a name", func(w *world) { w.delegation().Name = "" }, "<app>.<channel>"},
	{"delegation to timestamp", func(w *world) { w.delegation().Name = metadata.TIMESTAMP }, "<app>.<channel>"},
	{"delegation with a slash", func(w *world) { w.delegation().Name = "a/b.beta" }, "<app>.<channel>"},
	{"delegation upwards", func(w *world) { w.delegation().Name = "...beta" }, "<app>.<channel>"},
	{"delegation with a long name", func(w *world) { w.delegation().Name = strings.Repeat("a", 500) + ".beta" }, "<app>.<channel>"},
	{"delegation with threshold zero", func(w *world) { w.delegation().Threshold = 0 }, "threshold 0"},
	{"delegation above its keys", func(w *world) { w.delegation().Threshold = 2 }, "threshold 2"},
	{"delegation to an unknown key", func(w *world) { w.delegation().KeyIDs = []string{"ab"} }, "not known"},
	{"delegation without keys", func(w *world) { w.delegation().KeyIDs = nil }, "threshold"},
	{"delegation that ends the search", func(w *world) { w.delegation().Terminating = true }, "terminating"},
	{"delegation by hashes", func(w *world) { w.delegation().PathHashPrefixes = []string{"00"} }, "path_hash_prefixes"},
	{"delegation to bins", func(w *world) { w.targets.Delegations.SuccinctRoles = &metadata.SuccinctRoles{} }, "succinct_roles"},
	{"delegation of nothing", func(w *world) { w.delegation().Paths = nil }, "paths"},
	{"pattern for everything", pattern("*"), "paths"},
	{"pattern across folders", pattern("bundles/**"), "paths"},
	{"pattern of all apps", pattern("bundles/*/*"), "paths"},
	{"pattern of another app", pattern("bundles/other/*"), "paths"},
	{"pattern upwards", pattern("bundles/" + app + "/../other/*"), "paths"},
	{"pattern from the top", pattern("/bundles/" + app + "/*"), "paths"},
	{"pattern with a backslash", pattern(`bundles\` + app + `\*`), "paths"},
	{"pattern of a kilobyte", pattern("bundles/" + app + "/" + strings.Repeat("a", 1024)), "paths"},
	{"thousand patterns", func(w *world) {
		for range 1000 {
			w.delegation().Paths = append(w.delegation().Paths, "bundles/"+app+"/*")
		}
	}, "paths"},
	{"target of the top level", func(w *world) { w.targets.Targets["x"] = w.file() }, "expected none"},
	{"float of targets", func(w *world) { w.targets.UnrecognizedFields = map[string]any{"x": 1e-3} }, "integer"},
	{"role that delegates", func(w *world) { w.channel.Delegations = w.targets.Delegations }, "delegates"},
	{"target of another channel", lists(release.ChannelTarget(app, "production")), "expected one of"},
	{"target of another app", lists("bundles/other/2.0.0.zip"), "expected one of"},
	{"target upwards", lists("bundles/" + app + "/../../root.json"), "expected one of"},
	{"target in a folder", lists("bundles/" + app + "/a/b.zip"), "expected one of"},
	{"target with a backslash", lists("bundles/" + app + `/a\b.zip`), "expected one of"},
	{"target that is null", func(w *world) { w.channel.Targets[release.ChannelTarget(app, "beta")] = nil }, "null"},
	{"length negative", func(w *world) { w.file().Length = -1 }, "length -1"},
	{"length without bound", func(w *world) { w.file().Length = math.MaxInt64 }, "length"},
	{"document too large", func(w *world) { w.file().Length = release.MaxDocumentSize + 1 }, "length"},
	{"no hash", func(w *world) { w.file().Hashes = nil }, "sha256"},
	{"short hash", func(w *world) { w.file().Hashes["sha256"] = make([]byte, 16) }, "sha256"},
	{"weak hash", func(w *world) { w.file().Hashes = metadata.Hashes{"md5": make([]byte, 16)} }, "sha256"},
	{"float of a target", func(w *world) { w.file().UnrecognizedFields = map[string]any{"x": 0.1} }, "integer"},
	{"too many targets", func(w *world) {
		for i := range 100 {
			lists("bundles/" + app + "/" + strings.Repeat("a", i+1))(w)
		}
	}, "at most"},
}

var versionMistakes = []mistake{
	{"snapshot again", func(w *world) { w.snapshot.Version = 6 }, "more than 6"},
	{"snapshot back", func(w *world) { w.snapshot.Version = 1 }, "more than 6"},
	{"snapshot without targets", func(w *world) { delete(w.snapshot.Meta, "targets.json") }, "targets.json"},
	{"role forgotten", func(w *world) { delete(w.snapshot.Meta, role+".json") }, "forgotten"},
	{"role falls", func(w *world) { w.snapshot.Meta[role+".json"].Version = 5 }, "falls from version 6 to 5"},
	{"targets fall", func(w *world) { w.snapshot.Meta["targets.json"].Version = 4 }, "falls"},
	{"role of version zero", func(w *world) { w.snapshot.Meta["other.beta.json"].Version = 0 }, "version 0"},
	{"role ahead of its snapshot", func(w *world) { w.snapshot.Meta["other.beta.json"].Version = 8 }, "1 to 7"},
	{"file that is no role", func(w *world) { w.snapshot.Meta["../x.json"] = metadata.MetaFile(1) }, "<app>.<channel>"},
	{"file that is no JSON", func(w *world) { w.snapshot.Meta["other.beta"] = metadata.MetaFile(1) }, "<role>.json"},
	{"role that is null", func(w *world) { w.snapshot.Meta["other.beta.json"] = nil }, "null"},
	{"snapshot expired", func(w *world) { w.snapshot.Expires = now.Add(-day) }, "expired"},
	{"timestamp again", func(w *world) { w.stamp.Version = 6 }, "more than 6"},
	{"timestamp without a snapshot", func(w *world) { w.stamp.Meta = nil }, "snapshot.json"},
	{"timestamp of another snapshot", func(w *world) { w.stamp.Meta["snapshot.json"].Version = 8 }, "expected 7"},
	{"timestamp with more", func(w *world) { w.stamp.Meta["targets.json"] = metadata.MetaFile(1) }, "one entry"},
	{"snapshot without a length", func(w *world) { w.stamp.Meta["snapshot.json"].Length = 0 }, "length 0"},
	{"snapshot too large", func(w *world) { w.stamp.Meta["snapshot.json"].Length = tuf.MaxSnapshot + 1 }, "length"},
	{"snapshot without a hash", func(w *world) { w.stamp.Meta["snapshot.json"].Hashes = nil }, "SHA-256"},
	{"timestamp expired", func(w *world) { w.stamp.Expires = now }, "expired"},
	{"timestamp for ever", func(w *world) { w.stamp.Expires = now.Add(11 * 365 * day) }, "at most"},
	{"float of a timestamp", func(w *world) { w.stamp.UnrecognizedFields = map[string]any{"x": math.NaN()} }, "integer"},
}
