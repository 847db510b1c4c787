// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package archives

import (
	"bytes"
	"fmt"
	"iter"
	"strings"
)

// Planted is an archive with the structures of another one where bytes are free, or with an unusual name. It is good if all
// programs read the same in it.
type Planted struct {
	Place, Ext string
	Data       []byte
}

// PlantedArchives gives archives of all places, structures and letters of ASCII.
func PlantedArchives(seed uint64) iter.Seq[Planted] {
	return func(yield func(Planted) bool) {
		for place, build := range places() {
			for what, structure := range structures {
				g := func() *gen { return newGen(seed, place+what, 0) }
				ext := "zip"
				if strings.HasPrefix(place, "tar") {
					ext = "tar"
				}
				data := build(g(), structure(0))
				if at := bytes.Index(data, structure(0)); at >= 0 { // where it really is
					data = build(g(), structure(uint32(at)))
				}
				if !yield(Planted{place, ext, data}) {
					return
				}
			}
		}
		for _, name := range letters() {
			content := newGen(seed, name, 0).content()
			if !yield(Planted{"zip-letter", "zip", (&zipArchive{files: []*zipFile{newZipFile(name, content, stored)}}).bytes()}) ||
				!yield(Planted{"tar-letter", "tar", newTar(newTarFile(name, content)).bytes()}) {
				return
			}
		}
	}
}

// letters are names with each printable letter of ASCII where programs may mind it.
func letters() []string {
	list := []string{"[id].js", "[...slug]/page.js", "[a-z]", "[!a]", "#U00e9", "%41", "%2e%2e", "&amp;", "~root/x", "-rf", "--help", "@list", "=x", "__proto__"}
	for c := byte(' '); c < 0x7f; c++ {
		for _, form := range []string{"%c", "x%c", "%cx", "x%cy.js", "x%c1", "d%c1/f", "x.%c"} {
			list = append(list, fmt.Sprintf(form, c))
		}
	}
	return list
}

// structures of an archive with other content, that begin at an offset.
var structures = map[string]func(at uint32) []byte{
	"archive":   evil,
	"local":     func(at uint32) []byte { return evil(at)[:42] },
	"directory": func(at uint32) []byte { return evil(at)[42 : 42+54] },
	"end":       func(at uint32) []byte { return evil(at)[42+54:] },
	"empty-end": func(uint32) []byte { return (&zipArchive{}).bytes() },
	"zip64":     zip64Records,
	"locator":   func(at uint32) []byte { return zip64Records(at)[56:76] },
	"archive64": func(at uint32) []byte {
		raw := evil(at)[:42+54]
		records := zip64Records(at + 42)
		copy(records[40:], append32(nil, 54))
		copy(records[64:], append32(nil, at+uint32(len(raw))))
		return append(raw, records...)
	},
}

// evil is a small archive with offsets as if it began at one.
func evil(at uint32) []byte {
	a := &zipArchive{prefix: make([]byte, at), files: []*zipFile{newZipFile("index.js", []byte("evil"), stored)}}
	return a.bytes()[at:]
}

// places where bytes are free, more or less.
func places() map[string]func(g *gen, planted []byte) []byte {
	last := func(change func(f *zipFile, planted []byte)) func(*gen, []byte) []byte {
		return func(g *gen, planted []byte) []byte {
			f := newZipFile("last.bin", g.content(), stored)
			change(f, planted)
			return (&zipArchive{files: []*zipFile{newZipFile("index.js", []byte("good"), stored), f}}).bytes()
		}
	}
	stores := func(method uint16, front, back int) func(*gen, []byte) []byte {
		return last(func(f *zipFile, planted []byte) {
			content := bytes.Join([][]byte{bytes.Repeat([]byte("+"), front), planted, bytes.Repeat([]byte("-"), back)}, nil)
			if f.replace(content, method); method == deflated {
				f.data = storedBlocks(content)
				f.both(func(h *zipHeader) { h.packed = uint32(len(f.data)) })
			}
		})
	}
	all := map[string]func(*gen, []byte) []byte{
		"zip-comment": func(g *gen, planted []byte) []byte {
			return (&zipArchive{files: g.zip().files, comment: string(planted)}).bytes()
		},
		"zip-entry-comment":  last(func(f *zipFile, planted []byte) { f.central.comment = string(planted) }),
		"zip-name":           last(func(f *zipFile, planted []byte) { f.both(func(h *zipHeader) { h.name = string(planted) }) }),
		"zip-stored":         stores(stored, 10, 10),
		"zip-stored-end":     stores(stored, 0, 0),
		"zip-stored-far":     stores(stored, 10, 70_000),
		"zip-deflated":       stores(deflated, 10, 10),
		"zip-deflated-start": stores(deflated, 0, 60_000),
		"tar-content": func(_ *gen, planted []byte) []byte {
			return newTar(newTarFile("index.js", []byte("good")), newTarFile("last.bin", planted)).bytes()
		},
		"tar-content-far": func(_ *gen, planted []byte) []byte {
			return newTar(newTarFile("first.bin", planted), newTarFile("last.bin", make([]byte, 70_000))).bytes()
		},
		"tar-comment": func(_ *gen, planted []byte) []byte {
			return newTar(pax('x', "comment="+string(planted)), newTarFile("index.js", nil)).bytes()
		},
	}
	for _, id := range []uint16{1, 0x000a, 0x5455, 0x5855, 0x6375, 0x7075, 0x7855, 0x7875, 0x9999, 0xcafe} {
		for _, length := range []int{0, 5, 8, 11, 12, 24, 32} { // 0: as long as it is
			all[fmt.Sprintf("zip-extra-%04x-%d", id, length)] = last(func(f *zipFile, planted []byte) {
				if length > 0 {
					planted = append(bytes.Clone(planted), make([]byte, length)...)[:length]
				}
				f.both(func(h *zipHeader) { h.extra = append(append16(nil, id, uint16(len(planted))), planted...) })
			})
		}
	}
	all["zip-extra-owner"] = last(func(f *zipFile, planted []byte) {
		f.both(func(h *zipHeader) {
			h.extra = append(append16(nil, 0x7875, uint16(3+len(planted))), append([]byte{1, 0, byte(len(planted))}, planted...)...)
		})
	})
	return all
}
