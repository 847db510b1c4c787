// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package artifact

import (
	"bytes"
	"slices"
	"strings"
)

// headSize is how many of the first bytes tell the kind: the magic of tar is at offset 257.
const headSize = 262

const zipExt = "zip"

// kind is a format that is known by its first bytes.
type kind struct {
	magic     string
	offset    int
	mediaType string
	ext       string
}

// kinds that are told apart. Compressed files are taken for tar archives, which is what updaters use them for.
var kinds = []kind{
	{"PK\x03\x04", 0, "application/zip", zipExt},
	{"PK\x05\x06", 0, "application/zip", zipExt}, // an empty archive
	{"\x1f\x8b", 0, "application/gzip", "tar.gz"},
	{"\xfd7zXZ\x00", 0, "application/x-xz", "tar.xz"},
	{"(\xb5/\xfd", 0, "application/zstd", "tar.zst"},
	{"BZh", 0, "application/x-bzip2", "tar.bz2"},
	{"ustar", 257, "application/x-tar", "tar"},
}

// unknown is everything else.
var unknown = kind{mediaType: "application/octet-stream", ext: "bin"}

func kindOf(head []byte) kind {
	for _, k := range kinds {
		if len(head) >= k.offset && bytes.HasPrefix(head[k.offset:], []byte(k.magic)) {
			return k
		}
	}
	return unknown
}

// VersionOf takes the version out of the file name of a stored artifact, <version>.<ext>. It is false for other names.
func VersionOf(file string) (version string, ok bool) {
	for _, k := range slices.Concat(kinds, []kind{unknown}) {
		if v, found := strings.CutSuffix(file, "."+k.ext); found && v != "" {
			return v, true
		}
	}
	return "", false
}
