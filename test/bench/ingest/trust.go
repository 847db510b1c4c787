// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/flate"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
)

// Shapes of the archive that is measured.
const (
	zipFiles    = 5000
	zipSize     = 200 << 20 // bytes
	scriptShare = 0.1       // of the archive's bytes; the rest is what does not compress, as pictures, fonts and media
	// deflatedPercent is what scripts compress to, about.
	deflatedPercent = 30
)

// RunTrust measures archives whose files are all unpacked and looked into: one as apps have them, most of it media, one of
// scripts only, and many small ones.
func RunTrust(ctx context.Context, w io.Writer) error {
	mixed := kind{name: "trust_ingest", title: "TRUST: zip of 200 MiB, 5000 files, a tenth scripts", report: true,
		make: func(file string) error { return makeZip(file, zipFiles, zipSize, scriptShare) }}
	scripts := kind{title: "TRUST: zip of 20 MiB, 500 files, all scripts",
		make: func(file string) error { return makeZip(file, zipFiles/10, zipSize/10, 1) }}
	for _, k := range []kind{mixed, scripts} {
		if err := measure(ctx, w, k); err != nil {
			return err
		}
	}
	return runSmall(ctx, w)
}

// makeZip writes an archive of about size bytes, of which a share is compressed scripts. The same arguments give the same bytes.
func makeZip(file string, files int, size int64, scripts float64) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // closed below when it counts
	out := bufio.NewWriterSize(f, 1<<20)
	archive := zip.NewWriter(out)
	archive.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestSpeed) })
	each := float64(size) / float64(files)
	random := rand.New(rand.NewPCG(5, 5))
	for i := range files {
		name, content := fmt.Sprintf("assets/%03d/media-%d.webp", i%100, i), noise(random, int(each))
		if float64(i%100) < 100*scripts {
			name, content = fmt.Sprintf("js/%03d/chunk-%d.js", i%100, i), script(random, int(each*100/deflatedPercent))
		}
		entry, err := archive.Create(name)
		if err != nil {
			return err
		}
		if _, err := entry.Write(content); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// noise does not compress. It starts as a WebP picture does.
func noise(random *rand.Rand, size int) []byte {
	out := make([]byte, size)
	for i := range out {
		out[i] = byte(random.Uint32())
	}
	copy(out, "RIFF\x00\x00\x00\x00WEBPVP8 ")
	return out
}

// words of minified scripts.
var words = []string{"function", "return", "const ", "let ", "=>", "===", "&&", "||", "this.", ".prototype", "void 0", "null", "Promise", "await ",
	"async ", "new ", "Map", "Symbol", ".push(", ".call(", "for(", "if(", "else{", "try{", "}catch(e){", "throw ", "exports.", "require(", "\"use strict\"", "0x1f", "1e3"}

// script looks like a minified one, and compresses like one.
func script(random *rand.Rand, size int) []byte {
	var out bytes.Buffer
	for out.Len() < size {
		switch random.IntN(8) {
		case 0:
			fmt.Fprintf(&out, "%q", fmt.Sprintf("text %x", random.Uint32()))
		case 1, 2:
			fmt.Fprintf(&out, "%c%c=%c%x;", 'a'+random.IntN(26), 'a'+random.IntN(26), 'a'+random.IntN(26), random.Uint32N(4096))
		case 3:
			fmt.Fprintf(&out, "(%c,%c){", 'a'+random.IntN(26), 'a'+random.IntN(26))
		default:
			out.WriteString(words[random.IntN(len(words))])
		}
	}
	return out.Bytes()
}
