// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package tuf

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"pgregory.net/rapid"
)

// firstRoot gives a root that is signed by its own key.
func firstRoot(t testing.TB, floors Floors) []byte {
	t.Helper()
	root := metadata.Root(time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC))
	var signer Key
	for _, role := range metadata.TOP_LEVEL_ROLE_NAMES {
		text, err := GenerateKey()
		if err != nil {
			t.Fatal(err)
		}
		key, err := ParseKey(text)
		if err != nil {
			t.Fatal(err)
		}
		if role == metadata.ROOT {
			signer = key
		}
		if err := root.Signed.AddKey(key.Public, role); err != nil {
			t.Fatal(err)
		}
	}
	floors.Apply(&root.Signed)
	raw, err := Sign(root, signer)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Whatever is read as a root and passes the rules is what every reader reads: written again it is the same, and go-tuf's client
// says the same of its signatures.
func FuzzParseRoot(f *testing.F) {
	good := firstRoot(f, Floors{"com.example.shop": "2.0.0"})
	f.Add(good)
	f.Add(bytes.Replace(good, []byte(`"version":1`), []byte(`"version":2`), 1))
	f.Add(bytes.Replace(good, []byte(`"threshold":1`), []byte(`"threshold":-1`), 1))
	f.Add(bytes.Replace(good, []byte(`"keyids":[`), []byte(`"keyids":["",`), 1))
	f.Add([]byte(`{"signed":{"_type":"root","roles":{"root":null},"keys":{"a":null}},"signatures":[]}`))
	before, err := ParseRoot(good)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		root, err := ParseRoot(raw)
		if err != nil {
			return
		}
		_ = CheckSuccessor(before, root, time.Time{})
		if CheckFirst(root, time.Time{}) != nil {
			return
		}
		again, err := root.ToBytes(false)
		if err != nil {
			t.Fatal(err)
		}
		if twice, err := ParseRoot(again); err != nil || CheckFirst(twice, time.Time{}) != nil {
			t.Fatalf("it does not survive: %v", err)
		}
		if err := root.VerifyDelegate(metadata.ROOT, root); err != nil {
			t.Fatalf("go-tuf does not agree: %v", err)
		}
	})
}

// Floors order versions as people do, and a root may follow another exactly when no floor is lower.
func TestFloorsOrder(t *testing.T) {
	version := rapid.Custom(func(rt *rapid.T) string {
		v := strconv.Itoa(rapid.IntRange(0, 2).Draw(rt, "major")) + "." + strconv.Itoa(rapid.IntRange(8, 11).Draw(rt, "minor")) + ".0"
		return v + rapid.SampledFrom([]string{"", "-rc.1", "-rc.2", "-rc.10"}).Draw(rt, "before")
	})
	rapid.Check(t, func(rt *rapid.T) {
		a, b := version.Draw(rt, "a"), version.Draw(rt, "b")
		before, after := &metadata.RootType{Version: 1}, &metadata.RootType{Version: 2}
		Floors{"x": a}.Apply(before)
		Floors{"x": b}.Apply(after)
		lower := Floors{"x": a}.Below("x", b)
		if got := CheckFloors(before, after) != nil; got != lower {
			rt.Fatalf("%s after %s: refused %v, below %v", b, a, got, lower)
		}
		if (Floors{"x": a}).Raises("x", b) != (!lower && a != b) {
			rt.Fatalf("%s after %s: raises, and below %v", b, a, lower)
		}
		if lower && (Floors{"x": b}).Below("x", a) {
			rt.Fatalf("%s and %s are below each other", a, b)
		}
	})
	f := Floors{"x": "2.0.0"}
	for _, low := range []string{"1.99.0", "2.0.0-rc.1", "", "v3.0.0", "3", "01.0.0", "latest"} {
		if !f.Below("x", low) {
			t.Errorf("%q is not below 2.0.0", low)
		}
	}
	for _, high := range []string{"2.0.0", "2.0.0+1", "2.0.1-rc.1", "10.0.0"} {
		if f.Below("x", high) {
			t.Errorf("%q is below 2.0.0", high)
		}
	}
	if f.Below("y", "0.0.1") {
		t.Error("an app without a floor has one")
	}
}

// What signs is never shown, and what is wrong with it is.
func TestBelow(t *testing.T) {
	for _, tc := range []struct {
		version, floor string
		want           bool
	}{
		{"1.9.9", "2.0.0", true},
		{"2.0.0-rc.1", "2.0.0", true},
		{"2.0.0", "2.0.0", false},
		{"2.0.0+1", "2.0.0", false},
		{"10.0.0", "2.0.0", false},
		{"latest", "2.0.0", true},
		{"2.0.0-01", "1.0.0", true}, // what cannot be read counts against the version
		{"2.0.0", "v1", true},
		{"2.0.0", "", true},
	} {
		if got := Below(tc.version, tc.floor); got != tc.want {
			t.Errorf("%q below %q: got %v", tc.version, tc.floor, got)
		}
	}
}

func TestParseKeys(t *testing.T) {
	text, err := GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	key, err := ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicPEM()
	if err != nil {
		t.Fatal(err)
	}
	if k, err := ParsePublicKey(public); err != nil || k.Value.PublicKey != key.Public.Value.PublicKey {
		t.Errorf("got %+v, %v", k, err)
	}
	for _, bad := range [][]byte{nil, []byte("secret words"), public, append(bytes.Clone(text), text...)} {
		if _, err := ParseKey(bad); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v, want an error that does not quote", err)
		}
	}
	for _, bad := range [][]byte{nil, text, append(bytes.Clone(public), public...)} {
		if _, err := ParsePublicKey(bad); err == nil {
			t.Error("no error")
		}
	}
}

// Of two fields of one name, one reader takes the first and another the last.
func TestNamesComeOnce(t *testing.T) {
	root := metadata.Root(time.Now().Add(time.Hour).UTC().Truncate(time.Second))
	Floors{"x": "1.0.0"}.Apply(&root.Signed)
	raw, err := Sign(root)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseRoot(raw); err != nil {
		t.Fatal(err)
	}
	for old, twice := range map[string]string{
		`"x-windlass-floors":`: `"x-windlass-floors":{"x":"2.0.0"},"x-windlass-floors":`,
		`"x":"1.0.0"`:          `"x":"2.0.0","x":"1.0.0"`,
		`"version":1`:          `"version":2,"v\u0065rsion":1`,
		`{"signatures"`:        `{"signatures":[],"signatures"`,
	} {
		spoiled := strings.Replace(string(raw), old, twice, 1)
		if spoiled == string(raw) {
			t.Fatalf("%s is not in %s", old, raw)
		}
		if _, err := ParseRoot([]byte(spoiled)); err == nil || !strings.Contains(err.Error(), "twice") {
			t.Errorf("%s: got %v", twice, err)
		}
	}
}

// A root key gets no other role. One that has it since before this rule may keep it, so that the root can be read and renewed.
func TestRootKeysAreApart(t *testing.T) {
	var keys []Key
	for range 2 {
		text, err := GenerateKey()
		if err != nil {
			t.Fatal(err)
		}
		key, err := ParseKey(text)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	root := func(version int64, timestamp Key) *Root {
		r := metadata.Root(time.Now().Add(time.Hour).UTC().Truncate(time.Second))
		r.Signed.Version = version
		for _, name := range metadata.TOP_LEVEL_ROLE_NAMES {
			key := keys[1]
			switch name {
			case metadata.ROOT:
				key = keys[0]
			case metadata.TIMESTAMP:
				key = timestamp
			}
			if err := r.Signed.AddKey(key.Public, name); err != nil {
				t.Fatal(err)
			}
		}
		raw, err := Sign(r, keys[0])
		if err != nil {
			t.Fatal(err)
		}
		if r, err = ParseRoot(raw); err != nil {
			t.Fatal(err)
		}
		return r
	}
	if err := CheckRoot(&root(1, keys[0]).Signed, time.Time{}); err != nil {
		t.Errorf("read: %v", err)
	}
	for name, got := range map[string]error{
		"the first":        CheckFirst(root(1, keys[0]), time.Now()),
		"one that gets it": CheckSuccessor(root(1, keys[1]), root(2, keys[0]), time.Now()),
	} {
		if got == nil || !strings.Contains(got.Error(), "root key") {
			t.Errorf("%s: got %v, want an error", name, got)
		}
	}
	for name, got := range map[string]error{
		"one that keeps it": CheckSuccessor(root(1, keys[0]), root(2, keys[0]), time.Now()),
		"one that loses it": CheckSuccessor(root(1, keys[0]), root(2, keys[1]), time.Now()),
	} {
		if got != nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}
