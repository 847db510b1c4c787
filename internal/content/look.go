// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/windlass-dev/windlass/internal/artifact"
)

const (
	// maxDepth is how many archives may be in one another inside of an artifact. A tar archive that is packed as a whole counts once.
	maxDepth = 2

	// maxNested is how many bytes are unpacked from all archives in an artifact.
	maxNested = 2 << 30

	// maxZstdWindow bounds in bytes what one zstd stream keeps in memory.
	maxZstdWindow = 8 << 20

	// headSize is how many bytes tell what a file is.
	headSize = 4 << 10
)

// place is where a file is.
type place struct {
	path   string // in the artifact; what is in a nested archive follows its path and "!/"
	depth  int    // how many archives of the artifact the file is in
	packed bool   // the file is what a gzip or zstd stream holds
}

// value describes what was found there. offset is 0 for what is at the start, or is of no interest.
func (p place) value(kind string, offset int64) string {
	if offset > 0 {
		kind = fmt.Sprintf("%s at %d", kind, offset)
	}
	if p.path == "" {
		return kind
	}
	return kind + ": " + p.path
}

// look finds out what a file is, and opens it when it is an archive.
func (s *Scanner) look(at place, r io.Reader) error {
	s.lookAtPath(at)
	in := &counter{r: r}
	head := make([]byte, headSize)
	n, _, err := fill(in, head)
	if err != nil {
		return err
	}
	all := io.MultiReader(bytes.NewReader(head[:n]), in)
	open := opener(head[:n])
	switch {
	case open == nil:
		return s.leaf(at, head[:n], all)
	case at.depth >= maxDepth && (!at.packed || !isTar(head[:n])):
		s.note(CheckNestedArchive, at.value(fmt.Sprintf("archive at depth %d", at.depth+1), 0))
		return (&search{scanner: s, place: at, archive: true}).run(all, ignore)
	}
	err = open(s, at, all)
	switch {
	case in.err != nil:
		return in.err
	case err != nil:
		s.note(CheckNestedArchive, at.value(fmt.Sprintf("archive that cannot be looked into (%s)", cut(err.Error(), 100)), 0))
		return (&search{scanner: s, place: at, archive: true}).run(in, ignore)
	}
	return nil
}

func ignore([]byte) {}

// opener tells how to open an archive by its first bytes; nil for what is none.
func opener(head []byte) func(*Scanner, place, io.Reader) error {
	switch {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("PK\x05\x06")), isTar(head):
		return (*Scanner).archive
	case bytes.HasPrefix(head, []byte("\x1f\x8b\x08")):
		return (*Scanner).gunzip
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")), len(head) > 4 && head[0]>>4 == 5 && string(head[1:4]) == "\x2a\x4d\x18":
		return (*Scanner).unzstd // or a frame that is skipped before (RFC 8878, 3.1.2)
	}
	return nil
}

func isTar(head []byte) bool {
	return len(head) >= 512 && bytes.HasPrefix(head[257:], []byte("ustar"))
}

// archive looks into each file of a zip or tar archive. Its errors are the archive's fault.
func (s *Scanner) archive(at place, r io.Reader) error {
	inside := place{path: at.path + "!/", depth: at.depth + 1}
	if at.packed {
		inside = place{path: at.path + "/", depth: at.depth}
	}
	limits := artifact.Limits{Unpacked: max(1, maxNested-s.nested)}
	_, err := artifact.Scan(r, limits, func(name string, file io.Reader) error {
		in := &counter{r: file}
		err := s.look(place{path: inside.path + name, depth: inside.depth}, in)
		s.nested += in.n
		return err
	})
	return err
}

// gunzip looks into what a gzip file holds, all of its members as one.
func (s *Scanner) gunzip(at place, r io.Reader) error {
	z, err := gzip.NewReader(r)
	if err != nil {
		return err
	}
	return s.stream(at, z)
}

func (s *Scanner) unzstd(at place, r io.Reader) error {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstdWindow))
	if err != nil {
		return err
	}
	defer z.Close()
	return s.stream(at, z)
}

// stream looks into what a compressed file holds.
func (s *Scanner) stream(at place, r io.Reader) error {
	in := &counter{r: &bounded{r: r, left: maxNested - s.nested}}
	err := s.look(place{path: at.path + "!", depth: at.depth + 1, packed: true}, in)
	s.nested += in.n
	return err
}

// errTooMuch ends the look into archives that unpack to more than maxNested in all.
var errTooMuch = fmt.Errorf("more than %d MiB are unpacked from the archives in the artifact", maxNested>>20)

// bounded fails after a number of bytes.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return n, errTooMuch
	}
	return n, err
}

// packages are paths that only packages of native code have, at the root of an archive or anywhere, in small letters.
var packages = []struct {
	kind string
	base string // of the path, in small letters: what is compared first
	path *regexp.Regexp
}{
	{"apk or aar", "androidmanifest.xml", regexp.MustCompile(`^androidmanifest\.xml$`)},
	{"jar", "manifest.mf", regexp.MustCompile(`^meta-inf/manifest\.mf$`)},
	{"ipa", "info.plist", regexp.MustCompile(`^payload/[^/]+\.app/info\.plist$`)},
	{"macOS app", "info.plist", regexp.MustCompile(`(?:^|/)[^/]+\.app/contents/info\.plist$`)},
	{"framework", "info.plist", regexp.MustCompile(`(?:^|/)[^/]+\.framework/(?:versions/[^/]+/)?(?:resources/)?info\.plist$`)},
	{"xcframework", "info.plist", regexp.MustCompile(`(?:^|/)[^/]+\.xcframework/info\.plist$`)},
}

// lookAtPath finds packages of native code by the files that they must have.
func (s *Scanner) lookAtPath(at place) {
	inside := strings.ToLower(at.path[strings.LastIndex(at.path, "!/")+1:])
	inside = strings.TrimPrefix(inside, "/")
	for _, p := range packages {
		if path.Base(inside) == p.base && p.path.MatchString(inside) {
			s.note(CheckAppPackage, at.value(p.kind, 0))
		}
	}
}

// leaf looks into a file that is no archive.
func (s *Scanner) leaf(at place, head []byte, r io.Reader) error {
	text := isText(head) || webNames[extension(at.name())]
	s.text = s.text[:0]
	var size int64
	err := (&search{scanner: s, place: at}).run(r, func(part []byte) {
		size += int64(len(part))
		if text {
			s.text = append(s.text, part[:min(len(part), maxText-len(s.text))]...)
		}
	})
	if err != nil || !text {
		return err
	}
	s.read(at, s.text, size)
	return nil
}

// name is the path of a file; of what is in a gzip or zstd file, without its extension.
func (p place) name() string {
	packed, inside := strings.CutSuffix(p.path, "!")
	if ext := path.Ext(packed); inside {
		return strings.TrimSuffix(packed, ext)
	}
	return p.path
}

// extension of a path in small letters, with its dot.
func extension(p string) string { return strings.ToLower(path.Ext(p)) }
