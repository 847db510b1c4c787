// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package signatures_test

import (
	"bytes"
	"encoding/hex"

	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// flips is how many bits are changed in each file: 1 000 when the whole corpus is asked for.
var flips = func() int {
	if os.Getenv("WINDLASS_CORPUS") == "full" {
		return 1000
	}
	return 100
}()

func TestArtifactBits(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 512)
	all := detached(t, content)
	maps.Copy(all, bundles(t, content))
	all["minisign"] = minisigned(t, content, "shop/1.4.0")
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			good, r := all[name], random(name)
			if !accepted(t, content, good.file, good.authority) {
				t.Fatal("the good signature is refused")
			}
			c := &tally{class: "artifact-bit-" + name}
			for range flips {
				c.try(t, accepted(t, flip(r, content), good.file, good.authority), false, "")
			}
			c.print(t, flips)
		})
	}
}

func TestDetachedBits(t *testing.T) {
	content := []byte("artifact")
	all := detached(t, content)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			good, r := all[name], random(name)
			c := &tally{class: "signature-bit-" + name}
			for range flips {
				bad := flip(r, good.file)
				c.try(t, accepted(t, content, bad, good.authority), false, hex.EncodeToString(bad))
			}
			c.print(t, flips)
		})
	}
}

// The first line of a .minisig file is not signed, and says so.
func TestMinisignBits(t *testing.T) {
	content := []byte("artifact")
	good, r := minisigned(t, content, "shop/1.4.0"), random("minisign")
	signedLines := func(file []byte) string {
		_, rest, _ := strings.Cut(string(file), "\n")
		return rest
	}
	c := &tally{class: "signature-bit-minisign"}
	for range 2 * flips {
		bad := flip(r, good.file)
		same := signedLines(bad) == signedLines(good.file)
		c.try(t, accepted(t, content, bad, good.authority), same, string(bad))
	}
	c.print(t, flips)
}

// meaning is what a bundle says, without hints that nobody signs and nothing is decided by: they are listed in docs/signatures.md.
func meaning(file []byte, stamped []span) *protobundle.Bundle {
	b := &protobundle.Bundle{}
	if protojson.Unmarshal(file, b) != nil {
		return nil
	}
	if key := b.GetVerificationMaterial().GetPublicKey(); key != nil {
		key.Hint = ""
	}
	for _, s := range b.GetDsseEnvelope().GetSignatures() {
		s.Keyid = ""
	}
	for _, e := range b.GetVerificationMaterial().GetTlogEntries() {
		e.KindVersion = nil // the entry itself says its kind
		// The last line of a checkpoint has the log's name and a hint of its key before the signature.
		if p := e.GetInclusionProof().GetCheckpoint(); p != nil {
			p.Envelope = withoutNoteHint(p.GetEnvelope())
		}
	}
	for _, stamp := range b.GetVerificationMaterial().GetTimestampVerificationData().GetRfc3161Timestamps() {
		stamp.SignedTimestamp = pieces(stamp.GetSignedTimestamp(), stamped)
	}
	return b
}

func TestBundleBits(t *testing.T) {
	content := []byte("artifact")
	all := bundles(t, content)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			good, r := all[name], random(name)
			stamped := stampedIn(t, good.file)
			want := meaning(good.file, stamped)
			c := &tally{class: "bundle-bit-" + name}
			for range 2 * flips {
				bad := flip(r, good.file)
				same := proto.Equal(want, meaning(bad, stamped))
				c.try(t, accepted(t, content, bad, good.authority), same, string(bad))
			}
			c.print(t, flips)
		})
	}
}

// Bits in the fields of a bundle after they were decoded: most bits of the JSON are caught by the encoding alone.
func TestBundleFieldBits(t *testing.T) {
	content := []byte("artifact")
	all := bundles(t, content)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			good, r := all[name], random("field "+name)
			c := &tally{class: "bundle-field-" + name}
			stamped := stampedIn(t, good.file)
			want := meaning(good.file, stamped)
			for range flips {
				bad := flipField(t, r, good.file)
				c.try(t, accepted(t, content, bad, good.authority), proto.Equal(want, meaning(bad, stamped)), string(bad))
			}
			c.print(t, flips/2)
		})
	}
}

// What is signed says it of one artifact by one author: with another key, root or issuer of the same kind, nothing is accepted.
func TestWrongKey(t *testing.T) {
	content := []byte("artifact")
	c := &tally{class: "wrong-key"}
	mine, others := detached(t, content), detached(t, content)
	maps.Copy(mine, bundles(t, content))
	maps.Copy(others, bundles(t, content))
	for i := range 20 {
		name := fmt.Sprintf("minisign-%d", i)
		mine[name], others[name] = minisigned(t, content, "shop/1.4.0"), minisigned(t, content, "shop/1.4.0")
	}
	for name, a := range mine {
		for other, b := range others {
			c.try(t, accepted(t, content, a.file, b.authority), false, name+" by the authority of another "+other)
		}
	}
	c.print(t, 500)
}
