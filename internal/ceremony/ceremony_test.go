// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ceremony_test

import (
	"bytes"
	"errors"
	"flag"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"
	"pgregory.net/rapid"

	"github.com/windlass-dev/windlass/internal/ceremony"
	"github.com/windlass-dev/windlass/internal/tuf"
)

const year = 365 * 24 * time.Hour

func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("10") // histories are long; -rapid.checks=100 looks harder
	}
	os.Exit(m.Run())
}

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func initialize(t testing.TB, generate, threshold int, public ...[]byte) *ceremony.Result {
	t.Helper()
	out, err := ceremony.Init(ceremony.Params{PublicKeys: public, Generate: generate, Threshold: threshold, Life: year, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func next(t testing.TB, root []byte, changes ...ceremony.Change) []byte {
	t.Helper()
	out, err := ceremony.Next(root, now, changes...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func sign(t testing.TB, root, previous []byte, keys ...[]byte) []byte {
	t.Helper()
	for _, key := range keys {
		var err error
		if root, err = ceremony.Sign(root, previous, key); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// newKey gives a private and its public key.
func newKey(t testing.TB) (private, public []byte) {
	t.Helper()
	private, err := tuf.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	if public, err = ceremony.PublicKey(private); err != nil {
		t.Fatal(err)
	}
	return private, public
}

// follow lets go-tuf's client walk a chain of roots.
func follow(chain ...[]byte) error {
	set, err := trustedmetadata.New(chain[0])
	if err != nil {
		return err
	}
	for _, raw := range chain[1:] {
		if _, err := set.UpdateRoot(raw); err != nil {
			return err
		}
	}
	return nil
}

// Three holders, of which two have to sign; the third brings a key that openssl made.
func TestCeremony(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	file := filepath.Join(t.TempDir(), "root.key")
	run := func(args ...string) []byte {
		out, err := exec.CommandContext(t.Context(), openssl, args...).Output()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	run("genpkey", "-algorithm", "ed25519", "-out", file)
	own, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	first := initialize(t, 2, 2, run("pkey", "-in", file, "-pubout"))
	if err := ceremony.Verify(first.Root, nil, now); err != nil {
		t.Errorf("the two keys that were made have signed: %v", err)
	}
	if got := slices.Sorted(maps.Keys(first.Online)); !slices.Equal(got, []string{"channels.key", "snapshot.key", "targets.key", "timestamp.key"}) {
		t.Errorf("online keys: %v", got)
	}

	second := next(t, first.Root, ceremony.RaiseFloor("com.example.shop", "2.0.0"), ceremony.Renew(now.Add(2*year)))
	second = sign(t, second, first.Root, own)
	var missing *tuf.UnsignedError
	if err := ceremony.Verify(second, first.Root, now); !errors.As(err, &missing) || len(missing.Quorums) != 2 {
		t.Errorf("one of two has signed: got %v", err)
	}
	if again := sign(t, second, first.Root, own); !bytes.Equal(again, second) {
		t.Error("to sign twice changed the file")
	}
	second = sign(t, second, first.Root, first.RootKeys[0].PEM)
	if err := errors.Join(ceremony.Verify(second, first.Root, now), follow(first.Root, second)); err != nil {
		t.Errorf("both have signed: %v", err)
	}
	d, err := ceremony.Describe(second, first.Root)
	if err != nil || !d.Complete || d.Version != 2 || d.Floors["com.example.shop"] != "2.0.0" || !d.Expires.Equal(now.Add(2*year)) {
		t.Errorf("got %+v, %v", d, err)
	}
}

// Root keys change hands: old and new holders have to sign.
func TestRootKeys(t *testing.T) {
	first := initialize(t, 2, 2)
	private, public := newKey(t)
	third := next(t, first.Root, ceremony.AddRootKey(public), ceremony.RemoveRootKey(first.RootKeys[0].ID), ceremony.SetThreshold(2))
	third = sign(t, third, first.Root, first.RootKeys[1].PEM, private)
	d, err := ceremony.Describe(third, first.Root)
	if err != nil || d.Complete || d.Quorums[0].Missing() != 1 || d.Quorums[1].Missing() != 0 {
		t.Errorf("the first holder has not signed: got %+v, %v", d, err)
	}
	third = sign(t, third, first.Root, first.RootKeys[0].PEM)
	if err := errors.Join(ceremony.Verify(third, first.Root, now), follow(first.Root, third)); err != nil {
		t.Error(err)
	}
	if _, err := ceremony.Sign(next(t, third), third, first.RootKeys[0].PEM); err == nil {
		t.Error("a key that was removed signs again")
	}
}

func TestRefusedChanges(t *testing.T) {
	first := initialize(t, 2, 2)
	private, public := newKey(t)
	id, err := ceremony.KeyID(private)
	if err != nil {
		t.Fatal(err)
	}
	rootPublic, err := ceremony.PublicKey(first.RootKeys[0].PEM)
	if err != nil {
		t.Fatal(err)
	}
	raised := sign(t, next(t, first.Root, ceremony.RaiseFloor("a", "2.0.0")), first.Root, first.RootKeys[0].PEM, first.RootKeys[1].PEM)
	for name, tc := range map[string]struct {
		change ceremony.Change
		say    string
	}{
		"threshold above keys":   {ceremony.SetThreshold(3), "threshold 3"},
		"threshold of none":      {ceremony.SetThreshold(0), "threshold 0"},
		"negative threshold":     {ceremony.SetThreshold(-1), "threshold -1"},
		"fewer keys than needed": {ceremony.RemoveRootKey(first.RootKeys[0].ID), "threshold 2"},
		"unknown key":            {ceremony.RemoveRootKey(id), "has no key"},
		"key without a name":     {ceremony.RemoveRootKey(""), "name one of"},
		"same key again":         {ceremony.AddRootKey(rootPublic), "already"},
		"root key as timestamp":  {ceremony.RotateKey("timestamp", "", rootPublic), "signs nothing else"},
		"unknown role":           {ceremony.RotateKey("mirrors", "", public), "expected root, targets"},
		"which of two":           {ceremony.RotateKey("root", "", public), "several"},
		"private for public key": {ceremony.AddRootKey(private), "PUBLIC KEY"},
		"lower floor":            {ceremony.RaiseFloor("a", "1.9.9"), "only rises"},
		"same floor":             {ceremony.RaiseFloor("a", "2.0.0"), "only rises"},
		"floor before release":   {ceremony.RaiseFloor("a", "2.0.0-rc.1"), "only rises"},
		"floor of no app":        {ceremony.RaiseFloor("", "2.0.0"), "app id"},
		"floor that is none":     {ceremony.RaiseFloor("b", "v2"), "semantic version"},
		"floor with metadata":    {ceremony.RaiseFloor("b", "2.0.0+1"), "build metadata"},
		"in the past":            {ceremony.Renew(now), "expired"},
		"for ever":               {ceremony.Renew(now.Add(11 * year)), "at most"},
	} {
		if _, err := ceremony.Next(raised, now, tc.change); err == nil || !strings.Contains(err.Error(), tc.say) {
			t.Errorf("%s: got %v, want an error with %q", name, err, tc.say)
		}
	}
}

func TestNextKey(t *testing.T) {
	first := initialize(t, 1, 1)
	data, public, err := ceremony.NextKey(first.Online, first.Root, metadata.TIMESTAMP)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(data["timestamp.key"], first.Online["timestamp.key"]) || data["timestamp.next.key"] == nil {
		t.Error("the present key has to stay beside the next one")
	}
	again, _, err := ceremony.NextKey(data, first.Root, metadata.TIMESTAMP)
	if err != nil || !bytes.Equal(again["timestamp.key"], data["timestamp.key"]) {
		t.Errorf("the root does not name the next key yet: the present one has to stay: %v", err)
	}
	second := sign(t, next(t, first.Root, ceremony.RotateKey(metadata.TIMESTAMP, "", public)), first.Root, first.RootKeys[0].PEM)
	last, _, err := ceremony.NextKey(data, second, metadata.TIMESTAMP)
	if err != nil || !bytes.Equal(last["timestamp.key"], data["timestamp.next.key"]) {
		t.Errorf("the root names the next key: it is the present one now: %v", err)
	}
	for _, role := range []string{metadata.ROOT, "mirrors"} {
		if _, _, err := ceremony.NextKey(first.Online, first.Root, role); err == nil {
			t.Errorf("%s: no error", role)
		}
	}
}

// Any history of changes, each signed by as many holders as it takes, is one that go-tuf's client follows.
func TestAnyHistory(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		first := initialize(t, rapid.IntRange(1, 3).Draw(rt, "keys"), 1)
		private := map[string][]byte{}
		for _, k := range first.RootKeys {
			private[k.ID] = k.PEM
		}
		chain := [][]byte{first.Root}
		floor := 0
		for range rapid.IntRange(1, 8).Draw(rt, "steps") {
			last := chain[len(chain)-1]
			key, public := newKey(t)
			id, _ := ceremony.KeyID(key)
			private[id] = key
			present, err := ceremony.Describe(last, nil)
			if err != nil {
				rt.Fatal(err)
			}
			floor += rapid.IntRange(1, 3).Draw(rt, "by")
			changes := [][]ceremony.Change{
				{ceremony.AddRootKey(public)},
				{ceremony.RotateKey(metadata.ROOT, present.Roles[0].Keys[0], public)},
				{ceremony.RotateKey(rapid.SampledFrom([]string{"targets", "snapshot", "timestamp"}).Draw(rt, "role"), "", public)},
				{ceremony.AddRootKey(public), ceremony.SetThreshold(len(present.Roles[0].Keys) + 1)},
				{ceremony.RaiseFloor("a", minor(floor))},
			}
			after, err := ceremony.Next(last, now, rapid.SampledFrom(changes).Draw(rt, "change")...)
			if err != nil {
				rt.Fatal(err)
			}
			for _, holder := range private {
				if more, err := ceremony.Sign(after, last, holder); err == nil {
					after = more
				}
			}
			if err := ceremony.Verify(after, last, now); err != nil {
				rt.Fatal(err)
			}
			chain = append(chain, after)
		}
		if err := follow(chain...); err != nil {
			rt.Fatal(err)
		}
	})
}

func minor(n int) string { return "1." + strconv.Itoa(n) + ".0" }
