// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package envelope

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"io"
)

// pieceSize is how many bytes are decrypted at once.
const pieceSize = 64 << 10

// reader decrypts piece by piece. The last block of each piece is held back, since it may be the one with the padding.
type reader struct {
	src   io.Reader
	mode  cipher.BlockMode
	buf   []byte // one block held back, then one piece
	held  [aes.BlockSize]byte
	size  int64  // bytes that were read
	plain []byte // part of buf that was not given away yet
	err   error
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(r.plain) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.next()
	}
	n := copy(p, r.plain)
	r.plain = r.plain[n:]
	return n, nil
}

// next decrypts one more piece into plain, or sets err.
func (r *reader) next() {
	n, err := r.fill()
	end := errors.Is(err, io.EOF)
	if err != nil && !end {
		r.err = err
		return
	}
	if r.size += int64(n); end {
		if r.err = CheckSize(r.size); r.err != nil {
			return
		}
	}
	start := aes.BlockSize
	if r.size > int64(n) {
		copy(r.buf, r.held[:])
		start = 0
	}
	r.mode.CryptBlocks(r.buf[aes.BlockSize:aes.BlockSize+n], r.buf[aes.BlockSize:aes.BlockSize+n])
	plain := r.buf[start : aes.BlockSize+n]
	if !end {
		r.plain = plain[:len(plain)-aes.BlockSize]
		copy(r.held[:], plain[len(r.plain):])
		return
	}
	r.plain, r.err = unpadBlocks(plain)
}

// fill reads a whole piece. Its error is io.EOF at the end of the artifact, and not when the source calls its end unexpected.
func (r *reader) fill() (n int, err error) {
	piece := r.buf[aes.BlockSize:]
	for n < len(piece) && err == nil {
		var m int
		m, err = r.src.Read(piece[n:])
		n += m
	}
	return n, err
}

// CheckSize refuses sizes in bytes that no encrypted artifact has.
func CheckSize(size int64) error {
	if size == 0 || size%aes.BlockSize != 0 {
		return invalid("the artifact has %d bytes, expected a multiple of %d: it was cut, or is not the file that capgo bundle encrypt wrote",
			size, aes.BlockSize)
	}
	return nil
}

// unpadBlocks takes off the padding of PKCS#7 (RFC 5652, 6.3), of at least one block. Its error is io.EOF when the padding is right.
func unpadBlocks(plain []byte) ([]byte, error) {
	pad := int(plain[len(plain)-1])
	if pad < 1 || pad > aes.BlockSize {
		return nil, invalid("the last byte says %d bytes of padding, expected 1 to %d: the artifact was not encrypted with this session key", pad, aes.BlockSize)
	}
	for _, b := range plain[len(plain)-pad:] {
		if int(b) != pad {
			return nil, invalid("the padding at the end is not PKCS#7: the artifact was not encrypted with this session key")
		}
	}
	return plain[:len(plain)-pad], io.EOF
}
