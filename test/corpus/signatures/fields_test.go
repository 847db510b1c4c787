// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package signatures_test

import (
	"encoding/asn1"
	"encoding/base64"
	mathrand "math/rand/v2"
	"strings"
	"testing"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// flipField changes one bit of one field of a bundle, each field as likely as any other.
func flipField(t testing.TB, r *mathrand.Rand, file []byte) []byte {
	t.Helper()
	b := &protobundle.Bundle{}
	must(t, 0, protojson.Unmarshal(file, b))
	var leaves []func()
	collect(b.ProtoReflect(), r, &leaves)
	leaves[r.IntN(len(leaves))]()
	out, err := protojson.Marshal(b)
	if err != nil {
		return nil // text that is no UTF-8 any more: it cannot even be written
	}
	return out
}

// collect lists what changes the fields of a message.
func collect(m protoreflect.Message, r *mathrand.Rand, leaves *[]func()) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsList():
			list := v.List()
			for i := range list.Len() {
				if f.Kind() == protoreflect.MessageKind {
					collect(list.Get(i).Message(), r, leaves)
				} else {
					*leaves = append(*leaves, func() { list.Set(i, changed(r, f.Kind(), list.Get(i))) })
				}
			}
		case f.Kind() == protoreflect.MessageKind:
			collect(v.Message(), r, leaves)
		default:
			*leaves = append(*leaves, func() { m.Set(f, changed(r, f.Kind(), v)) })
		}
		return true
	})
}

func changed(r *mathrand.Rand, kind protoreflect.Kind, v protoreflect.Value) protoreflect.Value {
	switch kind {
	case protoreflect.BytesKind:
		if len(v.Bytes()) > 0 {
			return protoreflect.ValueOfBytes(flip(r, v.Bytes()))
		}
	case protoreflect.StringKind:
		if v.String() != "" {
			return protoreflect.ValueOfString(string(flip(r, []byte(v.String()))))
		}
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(v.Int() ^ 1<<r.IntN(62))
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(v.Enum() ^ 1<<r.IntN(3))
	}
	return v
}

// withoutNoteHint drops from a checkpoint the name and the hint of the key, which are before its signature and not signed; the first
// line of the checkpoint has the name, too, and is signed.
func withoutNoteHint(envelope string) string {
	text, line, ok := strings.Cut(envelope, "\n\n\u2014 ")
	_, sig, ok2 := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
	raw, err := base64.StdEncoding.DecodeString(sig)
	if !ok || !ok2 || err != nil || len(raw) < 5 {
		return envelope
	}
	return text + "\n\n" + string(raw[4:])
}

// span is a range of bytes.
type span struct{ from, to int }

// stampedIn finds what a timestamp of a bundle consists of, but for the frame around it: the time and digest that were signed, the
// digests and the time in the signed attributes, and the signature. Versions, the status and the names of algorithms before the
// signed part are not signed (RFC 5652, 5.4), and tags are written anew before the signature is verified.
func stampedIn(t testing.TB, file []byte) []span {
	t.Helper()
	b := &protobundle.Bundle{}
	must(t, 0, protojson.Unmarshal(file, b))
	stamps := b.GetVerificationMaterial().GetTimestampVerificationData().GetRfc3161Timestamps()
	if len(stamps) == 0 {
		return nil
	}
	var out []span
	primitives(t, stamps[0].GetSignedTimestamp(), 0, &out)
	if len(out) < 4 {
		t.Fatalf("a timestamp has %d strings and times, want at least 4", len(out))
	}
	return out
}

// primitives adds octet strings and times in DER.
func primitives(t testing.TB, der []byte, offset int, out *[]span) {
	t.Helper()
	for len(der) > 0 {
		var v asn1.RawValue
		rest, err := asn1.Unmarshal(der, &v)
		must(t, rest, err)
		start := offset + len(v.FullBytes) - len(v.Bytes)
		switch {
		case v.IsCompound:
			primitives(t, v.Bytes, start, out)
		case v.Class == asn1.ClassUniversal && (v.Tag == asn1.TagOctetString || v.Tag == asn1.TagUTCTime):
			*out = append(*out, span{start, start + len(v.Bytes)})
		}
		offset, der = offset+len(v.FullBytes), rest
	}
}

// pieces cuts the spans out. What is shorter than before is given whole.
func pieces(content []byte, spans []span) []byte {
	var out []byte
	for _, s := range spans {
		if s.to > len(content) {
			return content
		}
		out = append(out, content[s.from:s.to]...)
	}
	return out
}
