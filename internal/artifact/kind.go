// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package artifact

import (
	"bytes"
	"slices"
	"strings"
)

// headSize is how many of the first bytes tell the kind: tar archives without a magic are known by the checksum of a block.
const headSize = blockSize

const (
	zipExt  = "zip"
	tarExt  = "tar"
	gzipExt = "tar.gz"
	zstdExt = "tar.zst"
)

// kind is a format that is known by its first bytes.
type kind struct {
	magic     string
	offset    int
	mediaType string
	ext       string
	refuse    string // what to call an archive that is not opened here, and must not pass as a file; else empty
}

// kinds that are told apart. Compressed files are taken for tar archives, which is what updaters use them for.
var kinds = []kind{
	{magic: "PK\x03\x04", mediaType: "application/zip", ext: zipExt},
	{magic: zipEnd, mediaType: "application/zip", ext: zipExt}, // an empty archive
	{magic: "\x1f\x8b", mediaType: "application/gzip", ext: gzipExt},
	{magic: "(\xb5/\xfd", mediaType: "application/zstd", ext: zstdExt},
	{magic: "ustar", offset: 257, mediaType: "application/x-tar", ext: tarExt},
	{magic: "\xfd7zXZ\x00", refuse: "compressed with xz"},
	{magic: "1AY&SY", offset: 4, refuse: "compressed with bzip2"},
	{magic: "7z\xbc\xaf\x27\x1c", refuse: "a 7z archive"},
	{magic: "Rar!\x1a\x07", refuse: "a rar archive"},
	{magic: "\x04\x22\x4d\x18", refuse: "compressed with lz4"},
	{magic: "LZIP\x01", refuse: "compressed with lzip"},
}

// unknown is everything else.
var unknown = kind{mediaType: "application/octet-stream", ext: "bin"}

func kindOf(head []byte) kind {
	for _, k := range kinds {
		if len(head) >= k.offset && bytes.HasPrefix(head[k.offset:], []byte(k.magic)) {
			return k
		}
	}
	if len(head) >= blockSize && checksumFits(head[:blockSize]) {
		return kind{refuse: "a tar archive of the old v7 kind (tar --format=ustar makes a newer one)"}
	}
	return unknown
}

// VersionOf takes the version out of the file name of a stored artifact, <version>.<ext>. It is false for other names.
func VersionOf(file string) (version string, ok bool) {
	for _, k := range slices.Concat(kinds, []kind{unknown}) {
		if k.ext == "" {
			continue
		}
		if v, found := strings.CutSuffix(file, "."+k.ext); found && v != "" {
			return v, true
		}
	}
	return "", false
}
