// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package archives makes archives that must be refused, by classes of what is wrong with them. Each is a good archive with
// one fault, written by a writer that can lie. The same seed gives the same archives.
package archives

import (
	"fmt"
	"iter"
	"math/rand/v2"

	"github.com/windlass-dev/windlass/internal/artifact"
)

// Case is one archive.
type Case struct {
	Class  string
	Want   string // part of the error that tells of this fault, and not of another
	Data   []byte
	Limits artifact.Limits
}

// class makes archives with one kind of fault.
type class struct {
	name, want string
	limits     artifact.Limits
	build      func(g *gen) []byte
}

// gen draws what differs between the archives of a class.
type gen struct {
	*rand.Rand
	variant int // of its class, from 0
}

func newGen(seed uint64, name string, variant int) *gen {
	mix := uint64(14695981039346656037) // FNV-1a
	for _, c := range []byte(name) {
		mix = (mix ^ uint64(c)) * 1099511628211
	}
	return &gen{rand.New(rand.NewPCG(seed^mix, uint64(variant))), variant}
}

// Hostile gives some archives of each class.
func Hostile(seed uint64, each int) iter.Seq[Case] {
	return func(yield func(Case) bool) {
		for _, classes := range [][]class{zipClasses(), zipNameClasses(), tarClasses(), tarNameClasses(), packedClasses()} {
			for _, c := range classes {
				for i := range each {
					if !yield(Case{c.name, c.want, c.build(newGen(seed, c.name, i)), c.limits}) {
						return
					}
				}
			}
		}
	}
}

// Honest gives good archives as those that the hostile ones are made from, to see that these are refused for their fault only.
func Honest(seed uint64, n int) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for i := range n {
			g := newGen(seed, "honest", i)
			tar := g.tar().bytes()
			for name, data := range map[string][]byte{"zip": g.zip().bytes(), "tar": tar, "tar.gz": gzipped(tar), "tar.zst": zstdFrame(tar)} {
				if !yield(name, data) {
					return
				}
			}
		}
	}
}

// choose takes the variants of a class from a list in turn.
func choose[T any](g *gen, list ...T) T { return list[g.variant%len(list)] }

// content is a file of up to 4 KiB that packs well, or not at all.
func (g *gen) content() []byte {
	data := make([]byte, 1+g.IntN(4096))
	letters := choose(&gen{variant: g.IntN(2)}, 256, 8)
	for i := range data {
		data[i] = byte(g.IntN(letters))
	}
	return data
}

// word is a name that no system minds.
func (g *gen) word() string {
	name := make([]byte, 3+g.IntN(6))
	for i := range name {
		name[i] = byte('d' + g.IntN(20))
	}
	return string(name)
}

// paths are names of a small web build, each other than the rest.
func (g *gen) paths() []string {
	folder := g.word()
	list := []string{"index.html", folder + "/", folder + "/" + g.word() + ".js"}
	for i := range 1 + g.IntN(4) {
		list = append(list, fmt.Sprintf("%s/%d/%s.css", folder, i, g.word()))
	}
	if g.IntN(2) == 0 {
		list = append(list, folder+"/Ü-"+g.word())
	}
	return list
}

// junk is some bytes that mean nothing.
func (g *gen) junk() []byte {
	data := make([]byte, choose(g, 1, 2, 7, 30, 100, 512, 1024, 4096))
	for i := range data {
		data[i] = byte(1 + g.IntN(255))
	}
	return data
}

func isFolder(name string) bool { return name[len(name)-1] == '/' }
