// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package artifact

import (
	"cmp"
	"errors"
	"io"
)

const (
	// MaxEntries is how many files and folders an archive may have when Limits say nothing.
	MaxEntries = 20_000

	// MaxUnpacked is how many bytes the files of an archive may have when Limits say nothing.
	MaxUnpacked = 512 << 20

	// zipEntries is one less than what stands for "see zip64" in a zip archive.
	zipEntries = 0xfffe
)

// Limits of what an archive may hold. Zero values mean the defaults.
type Limits struct {
	Entries  int   // files and folders, those that are only part of a path counted; at most 65534
	Unpacked int64 // bytes of all files
}

// Visit is called for each regular file of an artifact, in its order, with the file's content. An artifact that is no archive
// is one file without a name. What visit leaves unread is read and checked all the same. r is valid during the call only. An
// error of visit ends the scan. What was visited counts only when Scan returns no error: that an entry is a link, or lies, may
// show after its content.
type Visit func(name string, r io.Reader) error

// Scan reads an artifact from its first byte to its last, in one pass and with bounded memory, and refuses what is not
// canonical: see docs/archives.md. Errors that are the artifact's fault have ErrInvalid in their chain; others are those of r
// and of visit. visit may be nil. When there is no error, all of r was read; after an error the rest of r is unread.
func Scan(r io.Reader, limits Limits, visit Visit) (Facts, error) {
	in := newInput(outside{r})
	head, err := in.head()
	if err != nil {
		return Facts{}, err
	}
	k := kindOf(head)
	if k.refuse != "" {
		return Facts{}, invalid("it is %s, expected zip, tar, tar.gz or tar.zst", k.refuse)
	}
	s := &scan{in: in, names: newNames(min(cmp.Or(limits.Entries, MaxEntries), zipEntries)), visit: visit}
	s.maxUnpacked = cmp.Or(limits.Unpacked, MaxUnpacked)
	s.facts = Facts{MediaType: k.mediaType, Ext: k.ext}
	in.src.keepTail(in.buffered())
	if err := s.read(k.ext); err != nil {
		return Facts{}, cmp.Or(in.src.err, err)
	}
	switch {
	case k.ext == zipExt && in.src.hidesZip64():
		return Facts{}, invalid("near its end is a record of zip64, which some programs would follow: expected none, also within files " +
			"(deflate them, or put other files behind them)")
	case k.ext != zipExt && in.src.hidesZip():
		return Facts{}, invalid("it ends like a zip archive, and starts like none: some programs would unpack what others do not see; " +
			"expected one archive from the first byte to the last")
	}
	return s.facts, nil
}

// scan is the state of one pass.
type scan struct {
	in          *input
	names       *names
	visit       Visit
	maxUnpacked int64
	facts       Facts
	scratch     []byte
}

// read goes through the artifact to its last byte.
func (s *scan) read(ext string) error {
	if ext == unknown.ext {
		return s.plain()
	}
	s.facts.Files = new(int32)
	switch ext {
	case zipExt:
		return (&zipScan{scan: s}).run()
	case tarExt:
		return (&tarScan{scan: s, in: s.in}).run()
	}
	return s.compressed(ext)
}

// compressed reads a tar archive that is packed as a whole.
func (s *scan) compressed(ext string) error {
	var plain io.Reader
	if ext == zstdExt {
		z, err := newUnzstd(s.in)
		if err != nil {
			return err
		}
		defer z.Close()
		plain = z
	} else {
		z, err := newGunzip(s.in)
		if err != nil {
			return err
		}
		plain = z
	}
	inner := newInput(plain)
	head, err := inner.head()
	if err != nil {
		return err
	}
	if empty := len(head) == blockSize && zeros(head); !empty && kindOf(head).ext != tarExt {
		return invalid("the compressed file holds no tar archive: expected one, as in tar.gz or tar.zst")
	}
	if err := (&tarScan{scan: s, in: inner}).run(); err != nil {
		return cmp.Or(inner.src.err, err)
	}
	return checkRatio(inner.src.count, s.in.offset(), maxRatio)
}

// plain visits what is no archive.
func (s *scan) plain() error {
	b := &body{scan: s, r: newPlainReader(s.in.br), max: -1}
	return b.visit("")
}

const (
	// maxRatio and maxEntryRatio bound how much larger an archive and one of its entries may be than when packed. Deflate
	// reaches 1032:1 on a run of one byte; web builds as a whole are below 10:1.
	maxRatio      = 50
	maxEntryRatio = 200

	// freeRatio is how many unpacked bytes are never too many for their ratio: small files of one colour or of blanks are
	// no bombs.
	freeRatio = 1 << 20
)

// checkRatio refuses content that is out of proportion to what it was packed to.
func checkRatio(unpacked, packed, ratio int64) error {
	if unpacked > freeRatio && unpacked/ratio > packed {
		return invalid("%d bytes are unpacked from %d, expected at most %d to 1", unpacked, packed, ratio)
	}
	return nil
}

// body is the content of one file while it is visited. It ends with io.EOF only if the content is right.
type body struct {
	*scan
	r    io.Reader // ends where the file ends
	max  int64     // bytes that the whole archive may still unpack; negative: any
	end  func(size int64, crc uint32) error
	size int64
	crc  uint32
	err  error // from here on
}

// visit hands the content to the visitor, and reads what that leaves. The error of the artifact goes before the visitor's, who
// may have met the same.
func (b *body) visit(name string) error {
	if b.scan.visit != nil {
		if err := b.scan.visit(name, b); err != nil {
			if b.err != nil && !errors.Is(b.err, io.EOF) {
				return b.err
			}
			return err
		}
	}
	if b.scratch == nil {
		b.scratch = make([]byte, bufferSize)
	}
	for b.err == nil {
		_, _ = b.Read(b.scratch)
	}
	if b.err != io.EOF { //nolint:errorlint // what is wrapped in another error is no end
		return b.err
	}
	b.facts.Unpacked += b.size
	if b.facts.Files != nil {
		*b.facts.Files++
	}
	return nil
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.r.Read(p)
	b.size += int64(n)
	switch {
	case b.max >= 0 && b.size > b.max:
		err = invalid("its files have more than %d bytes unpacked, which is the limit", b.maxUnpacked)
	case b.end != nil:
		b.crc = updateCRC(b.crc, p[:n])
		if err == io.EOF { //nolint:errorlint // readers return the bare value at their end
			err = cmp.Or(b.end(b.size, b.crc), err)
		}
	}
	b.err = err
	return n, err
}
