// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"hash/crc32"
	"maps"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"
)

// epoch is when all files were changed.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// must fails loudly: these write to memory.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// Zip packs files, deflated and in the order of their names.
func Zip(files Files) []byte { return zipped(files, zip.Deflate) }

// ZipStored packs files as they are.
func ZipStored(files Files) []byte { return zipped(files, zip.Store) }

func zipped(files Files, method uint16) []byte {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		addZip(w, name, files[name], method)
	}
	must(w.Close())
	return out.Bytes()
}

// addZip adds a file. What is stored says its size and sum before its data: canonical archives have no other way.
func addZip(w *zip.Writer, name string, data []byte, method uint16) {
	h := &zip.FileHeader{Name: name, Method: method, Modified: epoch}
	add := w.CreateHeader
	if method == zip.Store {
		h.CRC32, h.CompressedSize64, h.UncompressedSize64 = crc32.ChecksumIEEE(data), uint64(len(data)), uint64(len(data))
		add = w.CreateRaw
	}
	f, err := add(h)
	must(err)
	_, err = f.Write(data)
	must(err)
}

// Tar packs files in the order of their names.
func Tar(files Files) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		must(w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name])), ModTime: epoch, Format: tar.FormatUSTAR}))
		_, err := w.Write(files[name])
		must(err)
	}
	must(w.Close())
	return out.Bytes()
}

// Gzip packs one file.
func Gzip(data []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(data)
	must(err)
	must(w.Close())
	return out.Bytes()
}

// Zstd packs one file.
func Zstd(data []byte) []byte {
	w, err := zstd.NewWriter(nil)
	must(err)
	return w.EncodeAll(data, nil)
}
