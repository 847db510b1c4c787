// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package artifact

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// tarHeader is what counts of a block that starts an entry.
type tarHeader struct {
	name string
	kind byte
	gnu  bool // in GNU's own format
	mode int64
	size int64
}

// Fields of a header: where they start and end.
var (
	tarName     = [2]int{0, 100}
	tarMode     = [2]int{100, 108}
	tarSize     = [2]int{124, 136}
	tarChecksum = [2]int{148, 156}
	tarLink     = [2]int{157, 257}
	tarMagic    = [2]int{257, 265}
	tarPrefix   = [2]int{345, 500}
	tarRest     = [2]int{500, 512}

	// Numbers that nothing here uses: user, group, time, device. All programs must be able to read them.
	tarNumbers = [][2]int{{108, 116}, {116, 124}, {136, 148}, {329, 337}, {337, 345}}
)

const (
	ustarMagic = "ustar\x0000"
	gnuMagic   = "ustar  \x00"
)

func parseTar(block []byte) (tarHeader, error) {
	field := func(f [2]int) []byte { return block[f[0]:f[1]] }
	h := tarHeader{kind: block[156], gnu: string(field(tarMagic)) == gnuMagic}
	switch {
	case !checksumFits(block):
		return h, errors.New("has a wrong checksum: was the archive damaged?")
	case !h.gnu && string(field(tarMagic)) != ustarMagic:
		return h, fmt.Errorf("has the format %q: expected ustar, PAX or GNU", field(tarMagic))
	case h.gnu && !zeros(field(tarPrefix)), !zeros(field(tarRest)):
		return h, errors.New("has content after its last field: expected zeros")
	case !zeros(field(tarLink)):
		return h, errors.New("names the target of a link: expected regular files and folders")
	}
	name, ok := text(field(tarName))
	prefix, okPrefix := text(field(tarPrefix))
	if !ok || !okPrefix {
		return h, errors.New("has bytes after the end of its name: expected zeros")
	}
	if h.name = name; prefix != "" {
		h.name = prefix + "/" + name
	}
	for _, f := range tarNumbers {
		if _, ok := octal(field(f)); !ok && !isBinary(field(f)) {
			return h, fmt.Errorf("has the number %q: expected octal digits", field(f))
		}
	}
	mode, okMode := octal(field(tarMode))
	size, okSize := octal(field(tarSize))
	if !okMode || !okSize {
		return h, fmt.Errorf("has the mode %q and the size %q: expected octal digits", field(tarMode), field(tarSize))
	}
	h.mode, h.size = mode, size
	return h, nil
}

// text is a field up to its NUL. Nothing may follow.
func text(field []byte) (string, bool) {
	before, after, _ := bytes.Cut(field, []byte{0})
	return string(before), zeros(after)
}

// octal reads a number: blanks may stand before it, blanks and NULs after it. Nothing at all is zero.
func octal(field []byte) (int64, bool) {
	digits := strings.TrimLeft(strings.TrimRight(string(field), " \x00"), " ")
	if digits == "" {
		return 0, true
	}
	if strings.Trim(digits, "01234567") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(digits, 8, 64)
	return n, err == nil
}

// isBinary tells whether a number is written as GNU tar does when it has too many digits: a positive one of up to 56 bits.
func isBinary(field []byte) bool {
	return field[0] == 0x80 && zeros(field[1:max(1, len(field)-7)])
}

// checksumFits compares the checksum of a block with its bytes, those of the checksum itself taken for blanks.
func checksumFits(block []byte) bool {
	field := block[tarChecksum[0]:tarChecksum[1]]
	want, ok := octal(field)
	sum := int64(len(field)) * ' '
	for i, c := range block[:blockSize] {
		if i < tarChecksum[0] || i >= tarChecksum[1] {
			sum += int64(c)
		}
	}
	return ok && sum == want
}

var (
	paxTime   = regexp.MustCompile(`^-?[0-9]{1,12}(\.[0-9]{1,30})?$`)
	paxNumber = regexp.MustCompile(`^[0-9]{1,15}$`)
)

// paxRecords tell by keyword what a record may say. Others may change the name, the size, the kind or the encoding.
var paxRecords = map[string]func(string) bool{
	"path":    func(v string) bool { return v != "" && !strings.Contains(v, "\x00") },
	"size":    paxNumber.MatchString,
	"uid":     paxNumber.MatchString,
	"gid":     paxNumber.MatchString,
	"mtime":   paxTime.MatchString,
	"atime":   paxTime.MatchString,
	"ctime":   paxTime.MatchString,
	"uname":   isPAXText,
	"gname":   isPAXText,
	"comment": isPAXText,
}

// harmlessPAX are what records begin with that describe the disk where the file was: libarchive, star and node-tar write them.
var harmlessPAX = []string{
	"LIBARCHIVE.creationtime", "LIBARCHIVE.xattr.", "NODETAR.", "SCHILY.acl.", "SCHILY.dev", "SCHILY.fflags", "SCHILY.ino", "SCHILY.nlink", "SCHILY.xattr.",
}

func isPAXText(v string) bool { return !strings.Contains(v, "\x00") }

// records reads a PAX header, a list of "length keyword=value\n".
func (t *tarScan) records(h tarHeader, raw []byte) error {
	if h.gnu {
		return badEntry(h.name, "is a PAX header in GNU's format: expected ustar")
	}
	seen := map[string]bool{}
	for len(raw) > 0 {
		key, value, rest, ok := paxRecord(raw)
		if !ok {
			return badEntry(h.name, "is a PAX header with a broken record: expected lines of length, blank, keyword=value")
		}
		if seen[key] {
			return badEntry(h.name, "is a PAX header with the record %.100q twice: expected it once", key)
		}
		if err := t.record(h, key, value); err != nil {
			return err
		}
		seen[key] = true
		raw = rest
	}
	return nil
}

func (t *tarScan) record(h tarHeader, key, value string) error {
	if h.kind == typeGlobal && key != "comment" {
		return badEntry(h.name, "is a global PAX header with the record %.100q, which is about all entries: expected a comment only", key)
	}
	fits, known := paxRecords[key]
	switch {
	case !known && !isHarmless(key):
		return badEntry(h.name, "is a PAX header with the record %.100q, expected a path, size, times, owner or comment", key)
	case known && !fits(value):
		return badEntry(h.name, "is a PAX header with the %s %.100q, which is not allowed", key, value)
	case key == "path":
		t.path = value
	case key == "size":
		t.size, _ = strconv.ParseInt(value, 10, 64) // has digits only
	}
	return nil
}

func isHarmless(key string) bool {
	for _, prefix := range harmlessPAX {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}

// paxRecord cuts the first record off.
func paxRecord(raw []byte) (key, value string, rest []byte, ok bool) {
	digits, _, found := bytes.Cut(raw[:min(len(raw), 8)], []byte(" "))
	n, err := strconv.Atoi(string(digits))
	if !found || err != nil || strconv.Itoa(n) != string(digits) || n > len(raw) || n < len(digits)+4 || raw[n-1] != '\n' {
		return "", "", nil, false
	}
	key, value, found = strings.Cut(string(raw[len(digits)+1:n-1]), "=")
	return key, value, raw[n:], found && key != "" && isPAXText(key)
}
