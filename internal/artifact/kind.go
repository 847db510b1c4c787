// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package artifact

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/klauspost/compress/flate"
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
	{magic: "\x17\x72\x45\x38\x50\x90", offset: 4, refuse: "compressed with bzip2"}, // nothing at all
	{magic: "\x04\x22\x4d\x18", refuse: "compressed with lz4"},
	{magic: "\x02\x21\x4c\x18", refuse: "compressed with lz4"}, // legacy
	{magic: "LZIP\x01", refuse: "compressed with lzip"},
	{magic: "\x89LZO\x00\r\n\x1a\n", refuse: "compressed with lzop"},
	{magic: "LRZI\x00", refuse: "compressed with lrzip"},
	{magic: "\x1f\x9d", refuse: "compressed with compress"},
	{magic: "\x1f\x1e", refuse: "compressed with pack"},
	{magic: "\x1f\xa0", refuse: "compressed with lzh"},
	{magic: "\xff\x06\x00\x00sNaPpY", refuse: "compressed with snappy"},
	{magic: "bvx1", refuse: "compressed with lzfse"},
	{magic: "bvx2", refuse: "compressed with lzfse"},
	{magic: "bvxn", refuse: "compressed with lzfse"},
	{magic: "bvx-", refuse: "compressed with lzfse"},
	{magic: "pbze\x00", refuse: "an Apple Archive"},
	{magic: "AA01", refuse: "an Apple Archive"},
	{magic: "7z\xbc\xaf\x27\x1c", refuse: "a 7z archive"},
	{magic: "Rar!\x1a\x07", refuse: "a rar archive"},
	{magic: "MSCF\x00\x00\x00\x00", refuse: "a cab archive"},
	{magic: "MSWIM\x00\x00\x00", refuse: "a wim archive"},
	{magic: "070701", refuse: "a cpio archive"},
	{magic: "070702", refuse: "a cpio archive"},
	{magic: "070707", refuse: "a cpio archive"},
	{magic: "\xc7\x71", refuse: "a cpio archive"},
	{magic: "\x71\xc7", refuse: "a cpio archive"},
	{magic: "!<arch>\n", refuse: "an ar archive"},
	{magic: "!<thin>\n", refuse: "an ar archive"},
	{magic: "\xed\xab\xee\xdb", refuse: "an rpm package"},
	{magic: "xar!\x00", refuse: "a xar archive"},
	{magic: "hsqs", refuse: "a squashfs image"},
	{magic: "sqsh", refuse: "a squashfs image"},
	{magic: "\x60\xea", refuse: "an arj archive"},
	{magic: "**ACE**", offset: 7, refuse: "an ace archive"},
	{magic: "zPQ", refuse: "a zpaq archive"},
	{magic: "ITSF\x03\x00\x00\x00", refuse: "a chm archive"},
}

// unknown is everything else.
var unknown = kind{mediaType: "application/octet-stream", ext: "bin"}

func kindOf(head []byte) kind {
	known := unknown
	for _, k := range kinds {
		if len(head) >= k.offset && bytes.HasPrefix(head[k.offset:], []byte(k.magic)) {
			known = k
			break
		}
	}
	switch isTar := len(head) >= blockSize && checksumFits(head[:blockSize]); {
	case known.refuse != "":
	case isTar && known.ext == tarExt && bytes.HasPrefix(head, []byte("07070")):
		return kind{refuse: "a tar and perhaps a cpio archive"}
	case isTar && known.ext == unknown.ext:
		return kind{refuse: "a tar archive of the old v7 kind (tar --format=ustar makes a newer one)"}
	case isTar && known.ext != tarExt:
		return kind{refuse: "a tar archive as well as " + known.mediaType}
	case known.ext == unknown.ext:
		return withoutMagic(head)
	}
	return known
}

// withoutMagic tells the formats whose first bytes are no constant. Brotli is not among them: any bytes might be it.
func withoutMagic(head []byte) kind {
	switch {
	case len(head) >= 8 && head[0]&0xf0 == 0x50 && bytes.HasPrefix(head[1:], []byte("*M\x18")): // RFC 8878, 3.1.2
		return kind{refuse: "zstd or lz4 data that starts with a skippable frame"}
	case len(head) >= 22 && (string(head[2:5]) == "-lh" || string(head[2:5]) == "-lz") && head[6] == '-':
		return kind{refuse: "an lha archive"}
	case isLZMA(head):
		return kind{refuse: "compressed with lzma"}
	case isZlib(head):
		return kind{refuse: "compressed with zlib"}
	}
	return unknown
}

// isLZMA tells the format of the first LZMA programs as xz does: properties, a dictionary of 2^n or 2^n+2^(n-1) bytes, and a
// size that is unknown or below 256 GiB. The first byte of the data is zero.
func isLZMA(head []byte) bool {
	if len(head) < 14 || head[0] >= 9*5*5 || head[13] != 0 {
		return false
	}
	dictionary, size := binary.LittleEndian.Uint32(head[1:]), binary.LittleEndian.Uint64(head[5:])
	top := dictionary & (dictionary - 1) // without its lowest bit
	power := dictionary >= 1<<12 && (top == 0 || top == dictionary&-dictionary<<1)
	return power && (size == 1<<64-1 || size < 1<<38)
}

// isZlib tells a zlib stream (RFC 1950), whose header may also be text: only if it can be unpacked as well.
func isZlib(head []byte) bool {
	if len(head) < 8 || head[0]&0x0f != deflated || head[0] > 0x78 || binary.BigEndian.Uint16(head)%31 != 0 || head[1]&0x20 != 0 {
		return false
	}
	_, err := io.Copy(io.Discard, flate.NewReader(bytes.NewReader(head[2:])))
	return err == nil || errors.Is(err, io.ErrUnexpectedEOF)
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
