// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package artifact

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// quote is for names in the middle of a sentence.
func quote(name string) string { return fmt.Sprintf("%.200q", name) }

// place is where an extra field is.
type place int

const (
	local place = iota
	central
)

func (p place) String() string {
	return [...]string{"before its content", "in the zip directory"}[p]
}

// maxExtra bounds all extra fields of a header in bytes: those that are allowed fit four times over.
const maxExtra = 1024

// extras tell by id what an extra field may look like (APPNOTE 4.5, Info-ZIP's proginfo/extrafld.txt). They hold times and
// owners, which nothing here uses. All others could change name, size, kind or encryption.
var extras = map[uint16]func(name string, data []byte, p place) bool{
	0x5455: timestamps,
	0x7875: owner,
	0x5855: sizes(8, 12), // Info-ZIP's first: times, and the owner where there is room. macOS writes it.
	0x7855: ownerV2,
	0x000a: ntfsTimes,
	0xcafe: sizes(0), // the mark of Java's jar
	0x7075: samePath,
}

// extra reads the extra fields of a header.
func (z *zipScan) extra(name string, size int, p place) error {
	if size > maxExtra {
		return badEntry(name, "has %d bytes of extra fields %s, expected at most %d", size, p, maxExtra)
	}
	raw, err := z.in.take(size, "an extra field of a zip entry")
	if err != nil {
		return err
	}
	seen := map[uint16]bool{}
	for len(raw) > 0 {
		if len(raw) < 4 || int(binary.LittleEndian.Uint16(raw[2:])) > len(raw)-4 {
			return badEntry(name, "has an extra field %s that is cut off", p)
		}
		id, length := binary.LittleEndian.Uint16(raw), int(binary.LittleEndian.Uint16(raw[2:]))
		fits, known := extras[id]
		switch {
		case id == 1:
			return badEntry(name, "has an extra field of zip64 %s: expected none, as nothing here is that large", p)
		case !known:
			return badEntry(name, "has the extra field %#04x %s, expected only times and owners", id, p)
		case seen[id]:
			return badEntry(name, "has the extra field %#04x twice %s, expected it once", id, p)
		case !fits(name, raw[4:4+length], p):
			return badEntry(name, "has an extra field %#04x %s with content that is not allowed: expected the usual times or owner, or its own name", id, p)
		}
		seen[id] = true
		raw = raw[4+length:]
	}
	return nil
}

func sizes(allowed ...int) func(string, []byte, place) bool {
	return func(_ string, data []byte, _ place) bool { return slices.Contains(allowed, len(data)) }
}

// timestamps: flags, and a time for each of three bits; in the directory only that of the last change, whatever the flags say.
func timestamps(_ string, data []byte, p place) bool {
	if len(data) == 0 || data[0]&^7 != 0 {
		return false
	}
	want := 1
	for bit := range 3 {
		if data[0]>>bit&1 != 0 {
			want += 4
		}
	}
	return len(data) == want || p == central && (len(data) == 1 || len(data) == 5 && data[0]&1 != 0)
}

// owner: version 1, then user and group, each with its length and of 32 bits at most.
func owner(_ string, data []byte, _ place) bool {
	if len(data) < 3 || data[0] != 1 {
		return false
	}
	user := int(data[1])
	return len(data) > 2+user && len(data) == 3+user+int(data[2+user]) && isID(data[2:2+user]) && isID(data[3+user:])
}

// isID tells whether bytes are the number of a user or a group, and leave no room for something else.
func isID(number []byte) bool {
	return slices.Contains([]int{1, 2, 4, 8}, len(number)) && zeros(number[min(4, len(number)):])
}

func ownerV2(_ string, data []byte, p place) bool {
	return len(data) == 4 || p == central && len(data) == 0
}

// ntfsTimes: four reserved bytes, then attribute 1 with three times.
func ntfsTimes(_ string, data []byte, _ place) bool {
	return len(data) == 32 && zeros(data[:4]) && binary.LittleEndian.Uint32(data[4:]) == 24<<16|1 &&
		isFileTime(data[8:16]) && isFileTime(data[16:24]) && isFileTime(data[24:])
}

// isFileTime tells whether bytes are a time of Windows, in units of 100 ns since 1601: none, or from 1601 to 2285.
func isFileTime(time []byte) bool { return binary.LittleEndian.Uint64(time) < 3<<56 }

// samePath is a name in UTF-8 that some programs take instead of the one in the header, and others do not: it must be the same.
// JSZip writes it beside flag bit 11.
func samePath(name string, data []byte, _ place) bool {
	return len(data) == 5+len(name) && data[0] == 1 && string(data[5:]) == name &&
		binary.LittleEndian.Uint32(data[1:]) == updateCRC(0, []byte(name))
}
