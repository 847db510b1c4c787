// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package attacks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/windlass-dev/windlass/internal/ceremony"
	"github.com/windlass-dev/windlass/internal/publish"
)

// attack is what somebody serves who may write to the bucket, or sits before it.
type attack struct {
	class string
	name  string
	seen  int // state that the device has seen before; 0: it is new
	mirror
	asks string    // target; empty: the release document
	now  time.Time // of the device; zero: the real time

	rootOnly bool // only a root was changed: who refuses it may go on with the one before
}

// oneBit is the class of changes that may mean nothing to a reader.
const oneBit = "one bit"

// Roles that are signed in each commit.
const (
	shopRole = app + "." + channel
	bankRole = other + "." + channel
)

// chain of names that a device of the shop reads of a state, in order; the root apart.
func (w *world) chain(t *testing.T, state int) map[string]string {
	return map[string]string{
		"timestamp": "metadata/timestamp.json",
		"snapshot":  w.name(metadata.SNAPSHOT, state),
		"targets":   w.targetsName(state),
		"role":      w.name(shopRole, state),
		"document":  w.object(t, "targets/channels/"+app+"/", state),
		"artifact":  w.object(t, "targets/bundles/"+app+"/", state),
	}
}

// targetsName is the newest list of delegations: it is only signed again when they change.
func (w *world) targetsName(state int) string {
	best, name := 0, ""
	for file := range w.states[state] {
		var version int
		if _, err := fmt.Sscanf(file, "metadata/%d.targets.json", &version); err == nil && version > best {
			best, name = version, file
		}
	}
	return name
}

// with gives the files of a state with some replaced.
func (w *world) with(state int, change map[string][]byte) mirror {
	out := w.states[state].clone()
	maps.Copy(out, change)
	return mirror{files: out}
}

func (w *world) attacks(t *testing.T) []attack {
	return slices.Concat(w.rollbacks(), w.freezes(), w.mixes(t), w.fastForwards(t), w.endless(t), w.wrongTargets(t), w.thresholds(t),
		w.replayedRoots(), w.foreign(t), w.truncated(t), w.slow(t), w.unsigned(t), w.flipped(t))
}

func (w *world) rollbacks() []attack {
	var out []attack
	for old := 1; old <= 2; old++ {
		older := w.states[old]
		stamp := map[string][]byte{"metadata/timestamp.json": older["metadata/timestamp.json"]}
		both := maps.Clone(stamp)
		both[w.name(metadata.SNAPSHOT, old)] = older[w.name(metadata.SNAPSHOT, old)]
		out = append(out,
			attack{class: "rollback", name: "whole bucket", seen: 3, mirror: mirror{files: older}},
			attack{class: "rollback", name: "timestamp only", seen: 3, mirror: w.with(3, stamp)},
			attack{class: "rollback", name: "timestamp and snapshot", seen: 3, mirror: w.with(3, both)},
			attack{class: "rollback", name: "behind a new root", seen: 4, mirror: w.with(4, stamp)})
	}
	return out
}

func (w *world) freezes() []attack {
	late := w.expires.Add(time.Minute)
	return []attack{
		{class: "freeze", name: "new device", mirror: mirror{files: w.states[4]}, now: late},
		{class: "freeze", name: "device that has seen it", seen: 4, mirror: mirror{files: w.states[4]}, now: late},
		{class: "freeze", name: "device that has seen more", seen: 4, mirror: mirror{files: w.states[3]}, now: late},
		{class: "freeze", name: "years later", mirror: mirror{files: w.states[4]}, now: late.AddDate(3, 0, 0)},
	}
}

func (w *world) mixes(t *testing.T) []attack {
	var out []attack
	now, before := w.chain(t, 3), w.chain(t, 2)
	for _, part := range []string{"snapshot", "role", "document", "artifact"} {
		for _, seen := range []int{0, 2} {
			a := attack{class: "mix-and-match", name: part, seen: seen}
			a.mirror = w.with(3, map[string][]byte{now[part]: w.states[2][before[part]]})
			if part == "artifact" {
				a.asks = "bundles/" + app + "/3.0.0.zip"
			}
			out = append(out, a)
		}
	}
	return out
}

// fastForwards raise versions that they cannot sign.
func (w *world) fastForwards(t *testing.T) []attack {
	var out []attack
	names := w.chain(t, 3)
	for _, version := range []string{"1000000", "2147483647", "9007199254740991"} {
		for _, part := range []string{"timestamp", "snapshot", "targets", "role"} {
			raw := w.states[3][names[part]]
			forged := replace(t, raw, `"version":`+versionOf(t, raw), `"version":`+version)
			a := attack{class: "fast-forward", name: part + " " + version, seen: 2, mirror: w.with(3, map[string][]byte{names[part]: forged})}
			if part == "targets" {
				a.seen = 0 // it did not change since, and is not read again
			}
			out = append(out, a)
		}
	}
	return out
}

// endless never ends an answer.
func (w *world) endless(t *testing.T) []attack {
	pour := func(rw http.ResponseWriter, r *http.Request) {
		junk := bytes.Repeat([]byte(" "), 64<<10)
		for r.Context().Err() == nil {
			if _, err := rw.Write(junk); err != nil {
				return
			}
		}
	}
	return w.special(t, "endless data", pour)
}

// slow never gets on.
func (w *world) slow(t *testing.T) []attack {
	drip := func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Length", "400")
		_, _ = rw.Write([]byte("{"))
		_ = http.NewResponseController(rw).Flush()
		<-r.Context().Done()
	}
	return w.special(t, "slow", drip)
}

func (w *world) special(t *testing.T, class string, handler http.HandlerFunc) []attack {
	names := w.chain(t, 4)
	names["root"] = "metadata/3.root.json"
	var out []attack
	for _, part := range slices.Sorted(maps.Keys(names)) {
		a := attack{class: class, name: part, mirror: mirror{files: w.states[4], special: map[string]http.HandlerFunc{names[part]: handler}}}
		if part == "artifact" {
			a.asks = "bundles/" + app + "/4.0.0.zip"
		}
		out = append(out, a)
	}
	return out
}

func (w *world) wrongTargets(t *testing.T) []attack {
	names := w.chain(t, 4)
	artifact, document := w.states[4][names["artifact"]], w.states[4][names["document"]]
	longer := append(bytes.Clone(artifact), "and more"...)
	swap := func(name string, content []byte) mirror { return w.with(4, map[string][]byte{name: content}) }
	asks := "bundles/" + app + "/4.0.0.zip"
	return []attack{
		{class: "wrong target", name: "same length", mirror: swap(names["artifact"], bytes.Repeat([]byte("x"), len(artifact))), asks: asks},
		{class: "wrong target", name: "longer", mirror: swap(names["artifact"], longer), asks: asks},
		{class: "wrong target", name: "not named by anybody", mirror: mirror{files: w.states[4]}, asks: "bundles/" + app + "/9.9.9.zip"},
		{class: "wrong target", name: "outside of the role", mirror: mirror{files: w.states[4]}, asks: "../../root.json"},
		{class: "wrong target", name: "document with another bundle",
			mirror: swap(names["document"], bytes.Replace(document, []byte("4.0.0"), []byte("1.0.0"), 1))},
	}
}

// thresholds are roots that too few keys have signed.
func (w *world) thresholds(t *testing.T) []attack {
	foreign, err := ceremony.Init(ceremony.Params{Generate: 3, Threshold: 2, Life: publish.DefaultRootExpiry, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	one := w.renewed(t, 0)
	lowered := replace(t, one, `"threshold":2`, `"threshold":1`)
	roots := map[string][]byte{
		"no signature":              w.renewed(t),
		"one of two":                one,
		"the same one twice":        duplicateSignature(t, one, false),
		"twice in capital letters":  duplicateSignature(t, one, true),
		"threshold lowered":         lowered,
		"another repository's":      foreign.Root,
		"another one's, renumbered": replace(t, foreign.Root, `"version":1`, `"version":2`),
	}
	var out []attack
	for _, name := range slices.Sorted(maps.Keys(roots)) {
		for _, seen := range []int{0, 3} {
			out = append(out, attack{class: "key below threshold", name: name, seen: seen, rootOnly: true, mirror: w.with(3, map[string][]byte{"metadata/2.root.json": roots[name]})})
		}
	}
	return append(out, w.takeovers(t)...)
}

func (w *world) replayedRoots() []attack {
	first, second := w.states[4]["metadata/1.root.json"], w.states[4]["metadata/2.root.json"]
	return []attack{
		{class: "replayed root", name: "the first as the second", mirror: w.with(4, map[string][]byte{"metadata/2.root.json": first})},
		{class: "replayed root", name: "the first as the second, to one that has seen it", seen: 3, mirror: w.with(4, map[string][]byte{"metadata/2.root.json": first})},
		{class: "replayed root", name: "the second as the third", seen: 4, mirror: w.with(4, map[string][]byte{"metadata/3.root.json": second})},
		{class: "replayed root", name: "the first as the third", seen: 4, mirror: w.with(4, map[string][]byte{"metadata/3.root.json": first})},
	}
}

// foreign are another app's files, signed by the same keys.
func (w *world) foreign(t *testing.T) []attack {
	names := w.chain(t, 4)
	bankDocument, bankArtifact := w.object(t, "targets/channels/"+other+"/", 4), w.object(t, "targets/bundles/"+other+"/", 4)
	state := w.states[4]
	return []attack{
		{class: "other app's file", name: "role", mirror: w.with(4, map[string][]byte{names["role"]: state[w.name(bankRole, 4)]})},
		{class: "other app's file", name: "document", mirror: w.with(4, map[string][]byte{names["document"]: state[bankDocument]})},
		{class: "other app's file", name: "artifact", mirror: w.with(4, map[string][]byte{names["artifact"]: state[bankArtifact]}), asks: "bundles/" + app + "/4.0.0.zip"},
		{class: "other app's file", name: "snapshot as targets", mirror: w.with(4, map[string][]byte{names["targets"]: state[names["snapshot"]]})},
		{class: "other app's file", name: "timestamp as snapshot", mirror: w.with(4, map[string][]byte{names["snapshot"]: state[names["timestamp"]]})},
	}
}

func (w *world) truncated(t *testing.T) []attack {
	names := w.chain(t, 4)
	names["root"] = "metadata/2.root.json"
	var out []attack
	for _, part := range slices.Sorted(maps.Keys(names)) {
		raw := w.states[4][names[part]]
		for _, keep := range []int{0, 1, len(raw) / 2, len(raw) - 1} {
			a := attack{class: "truncated", name: fmt.Sprintf("%s to %d of %d", part, keep, len(raw)), mirror: w.with(4, map[string][]byte{names[part]: raw[:keep]})}
			if part == "artifact" {
				a.asks = "bundles/" + app + "/4.0.0.zip"
			}
			out = append(out, a)
		}
	}
	return out
}

// unsigned lack their signatures, or have those of another role.
func (w *world) unsigned(t *testing.T) []attack {
	names := w.chain(t, 4)
	other := map[string]string{"timestamp": "snapshot", "snapshot": "timestamp", "targets": "role", "role": "targets"}
	var out []attack
	for _, part := range []string{"timestamp", "snapshot", "targets", "role"} {
		raw := w.states[4][names[part]]
		bare := withSignatures(t, raw, json.RawMessage("[]"))
		swapped := withSignatures(t, raw, signaturesOf(t, w.states[4][names[other[part]]]))
		out = append(out,
			attack{class: "unsigned", name: part, mirror: w.with(4, map[string][]byte{names[part]: bare})},
			attack{class: "unsigned", name: part + " with the signature of " + other[part], mirror: w.with(4, map[string][]byte{names[part]: swapped})})
	}
	return out
}

// flipped have one bit changed in what is signed.
func (w *world) flipped(t *testing.T) []attack {
	random := rand.New(rand.NewPCG(4, 4))
	names := w.chain(t, 4)
	names["root"] = "metadata/2.root.json"
	var out []attack
	for _, part := range slices.Sorted(maps.Keys(names)) {
		raw := w.states[4][names[part]]
		from, to := 0, len(raw)
		if strings.HasPrefix(names[part], "metadata/") { // the name of a signature's key is not signed
			from = bytes.Index(raw, []byte(`"signed":`)) + len(`"signed":`)
		}
		for range 12 {
			at := from + random.IntN(to-from)
			changed := bytes.Clone(raw)
			changed[at] ^= 1 << random.IntN(8)
			a := attack{class: oneBit, name: fmt.Sprintf("%s at %d", part, at), mirror: w.with(4, map[string][]byte{names[part]: changed})}
			if part == "artifact" {
				a.asks = "bundles/" + app + "/4.0.0.zip"
			}
			out = append(out, a)
		}
	}
	return out
}

func replace(t *testing.T, raw []byte, old, now string) []byte {
	t.Helper()
	if bytes.Count(raw, []byte(old)) < 1 {
		t.Fatalf("%q is not in %.200s", old, raw)
	}
	return bytes.Replace(raw, []byte(old), []byte(now), 1)
}

// versionOf is the first version in a file: that of its signed part comes after those of what it names.
func versionOf(t *testing.T, raw []byte) string {
	t.Helper()
	var m struct {
		Signed struct{ Version int64 }
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(m.Signed.Version)
}

func signaturesOf(t *testing.T, raw []byte) json.RawMessage {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m["signatures"]
}

func withSignatures(t *testing.T, raw []byte, signatures json.RawMessage) []byte {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	m["signatures"] = signatures
	out, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// duplicateSignature gives the one signature twice, maybe under an id in capital letters.
func duplicateSignature(t *testing.T, raw []byte, capital bool) []byte {
	t.Helper()
	var signatures []map[string]string
	if err := json.Unmarshal(signaturesOf(t, raw), &signatures); err != nil || len(signatures) != 1 {
		t.Fatalf("got %d signatures, %v", len(signatures), err)
	}
	again := maps.Clone(signatures[0])
	if capital {
		again["keyid"] = strings.ToUpper(again["keyid"])
	}
	out, err := json.Marshal(append(signatures, again))
	if err != nil {
		t.Fatal(err)
	}
	return withSignatures(t, raw, out)
}
