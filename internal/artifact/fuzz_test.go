// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package artifact_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"maps"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/windlass-dev/windlass/internal/artifact"
	"github.com/windlass-dev/windlass/test/corpus/archives"
)

// fuzzLimits keep what one input unpacks small.
var fuzzLimits = artifact.Limits{Entries: 1000, Unpacked: 4 << 20}

// hostile are the archives of the corpus that are small enough to change.
var hostile = sync.OnceValue(func() (small [][]byte) {
	for c := range archives.Hostile(1, 1) {
		if len(c.Data) < 16<<10 {
			small = append(small, c.Data)
		}
	}
	return small
})

// seed adds archives, good and hostile, that the parser of a kind would read.
func seed(f *testing.F, ext string, magic ...string) {
	f.Helper()
	for kind, data := range archives.Honest(1, 3) {
		if kind == ext {
			f.Add(data)
		}
	}
	for _, data := range hostile() {
		for _, m := range magic {
			if bytes.HasPrefix(data, []byte(m)) {
				f.Add(data)
			}
		}
	}
}

// same demands that what is accepted as the kind is the same to Go's own packages, and gives whether it was accepted.
func same(t *testing.T, data []byte, ext string) bool {
	t.Helper()
	want := archives.Listing{}
	facts, err := artifact.Scan(bytes.NewReader(data), fuzzLimits, want.Add)
	switch {
	case err != nil && !errors.Is(err, artifact.ErrInvalid):
		t.Fatalf("got error %v, want ErrInvalid", err)
	case err != nil && len(err.Error()) > 2000:
		t.Fatalf("the error has %d bytes", len(err.Error()))
	case err != nil || facts.Ext != ext:
		return false
	}
	got, err := archives.GoList(data, ext)
	if err != nil {
		t.Fatalf("Go cannot read what was accepted: %v", err)
	}
	if !maps.Equal(got, want) {
		t.Fatalf("Go lists %v, the scanner %v", got, want)
	}
	if int(*facts.Files) != len(want) {
		t.Fatalf("%d files were counted, %d visited", *facts.Files, len(want))
	}
	return true
}

func FuzzZip(f *testing.F) {
	seed(f, "zip", "PK")
	f.Fuzz(func(t *testing.T, data []byte) { same(t, data, "zip") })
}

func FuzzTar(f *testing.F) {
	seed(f, "tar", "index.html", "short", "PaxHeaders", "././@LongLink")
	f.Fuzz(func(t *testing.T, raw []byte) {
		data := bytes.Clone(raw)
		for at := 0; at+512 <= len(data); at += 512 { // else no change of a header would get past its checksum
			if block := data[at : at+512]; bytes.HasPrefix(block[257:], []byte("ustar")) {
				archives.SignTar(block)
			}
		}
		same(t, data, "tar")
	})
}

func FuzzGzip(f *testing.F) {
	seed(f, "tar.gz", "\x1f\x8b")
	f.Fuzz(func(t *testing.T, data []byte) {
		if !same(t, data, "tar.gz") {
			return
		}
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		z.Multistream(false)
		if _, err := io.Copy(io.Discard, z); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzZstd(f *testing.F) {
	seed(f, "tar.zst", "\x28\xb5\x2f\xfd", "\x50\x2a\x4d\x18")
	f.Fuzz(func(t *testing.T, data []byte) {
		if !same(t, data, "tar.zst") {
			return
		}
		z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		if _, err := z.DecodeAll(data, nil); err != nil {
			t.Fatal(err)
		}
	})
}
