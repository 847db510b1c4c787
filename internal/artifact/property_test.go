// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package artifact_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/windlass-dev/windlass/internal/artifact"
	"github.com/windlass-dev/windlass/test/corpus/archives"
)

// tree draws files by path, none of which is in the way of another.
func tree(t *rapid.T) map[string]string {
	files, folders := map[string]string{}, []string{""}
	for i := range rapid.IntRange(1, 12).Draw(t, "files") {
		folder := rapid.SampledFrom(folders).Draw(t, "folder")
		name := fmt.Sprintf("%s%s-%d", folder, rapid.StringMatching(`[a-zA-Z0-9 ._@+-]{0,12}[a-z]`).Draw(t, "name"), i) // the number keeps names apart
		if rapid.Bool().Draw(t, "in a folder") && strings.Count(name, "/") < 20 && len(name) < 200 {
			folders = append(folders, name+"/")
			name += "/" + rapid.StringMatching(`[a-z]{1,5}`).Draw(t, "in it")
		}
		files[name] = string(rapid.SliceOfN(rapid.Byte(), 0, 2000).Draw(t, "content"))
	}
	return files
}

// Whatever tree Go's writers pack is taken, and read as it was.
func TestScan_anyTree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		files := tree(t)
		changed := time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "changed"), 0)
		var zipped, tarred bytes.Buffer
		z, w := zip.NewWriter(&zipped), tar.NewWriter(&tarred)
		want := archives.Listing{}
		for name, content := range files {
			e, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: changed})
			if err != nil {
				t.Fatal(err)
			}
			h := &tar.Header{Name: name, Size: int64(len(content)), Mode: 0o600, ModTime: changed}
			if rapid.Bool().Draw(t, "pax") {
				h.AccessTime, h.Format = changed, tar.FormatPAX
			}
			if err := w.WriteHeader(h); err != nil {
				t.Fatal(err)
			}
			_, _ = e.Write([]byte(content)) // to memory, as the next
			_, _ = w.Write([]byte(content))
			_ = want.Add(name, strings.NewReader(content))
		}
		if z.Close() != nil || w.Close() != nil {
			t.Fatal("the archives are not complete")
		}
		for _, data := range [][]byte{zipped.Bytes(), tarred.Bytes()} {
			got := archives.Listing{}
			if _, err := artifact.Scan(bytes.NewReader(data), artifact.Limits{}, got.Add); err != nil {
				t.Fatal(err)
			}
			if !maps.Equal(got, want) {
				t.Fatalf("got %v, want %v", got, want)
			}
		}
	})
}

// One bit that is changed anywhere leads to a refusal, or to nothing that Go's reader would see. Other programs are asked in
// test/corpus/archives.
func TestScan_anyBit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		for ext, data := range archives.Honest(rapid.Uint64().Draw(t, "seed"), 1) {
			bit := rapid.IntRange(0, len(data)*8-1).Draw(t, "bit")
			data[bit/8] ^= 1 << (bit % 8)
			want := archives.Listing{}
			facts, err := artifact.Scan(bytes.NewReader(data), artifact.Limits{}, want.Add)
			if err != nil || facts.Files == nil { // it is no archive now, but one file that says nothing
				continue
			}
			got, err := archives.GoList(data, ext)
			if err != nil || !maps.Equal(got, want) {
				t.Fatalf("bit %d of a %s: Go lists %v (%v), the scanner %v", bit, ext, got, err, want)
			}
		}
	})
}
