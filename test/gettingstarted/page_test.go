// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package gettingstarted

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// block is some commands of the page, and what they print.
type block struct {
	line    int    // in the page, from 1
	cluster string // name of a block that needs a cluster with nodes; empty: it runs as it is
	text    string
	prints  string // … stands for anything; empty: nobody looks
}

var fence = regexp.MustCompile("(?ms)^```([a-z]*)(?: cluster=([a-z]+))?\n(.*?)^```$")

// blocks reads a page. What is printed stands in the next block of text, before other commands.
func blocks(page string) ([]block, error) {
	var out []block
	for _, at := range fence.FindAllStringSubmatchIndex(page, -1) {
		line := 1 + strings.Count(page[:at[0]], "\n")
		text := page[at[6]:at[7]]
		switch kind := page[at[2]:at[3]]; {
		case kind == "sh":
			b := block{line: line, text: text}
			if at[4] >= 0 {
				b.cluster = page[at[4]:at[5]]
			}
			out = append(out, b)
		case kind == "text" && len(out) > 0 && out[len(out)-1].prints == "":
			out[len(out)-1].prints = text
		default:
			return nil, fmt.Errorf("line %d: a block of %q, want sh, or one text that follows it", line, kind)
		}
	}
	if n := strings.Count(page, "\n```"); n != 2*len(fence.FindAllString(page, -1)) {
		return nil, fmt.Errorf("%d fences, which are not all blocks of commands or text", n)
	}
	return out, nil
}

// like tells whether a text is as a page has it. Spaces between words do not count.
func like(got, page string) bool {
	parts := strings.Split(strings.Join(strings.Fields(page), " "), "…")
	for i, part := range parts {
		parts[i] = regexp.QuoteMeta(strings.TrimSpace(part))
	}
	pattern := "^" + strings.Join(parts, " ?.*? ?") + "$"
	return regexp.MustCompile(pattern).MatchString(strings.Join(strings.Fields(got), " "))
}

func TestBlocks(t *testing.T) {
	got, err := blocks("# A page\n\n```sh\none\n```\n\n```text\n1 …\n```\n\n```sh cluster=kind\ntwo\n```\n")
	want := []block{{line: 3, text: "one\n", prints: "1 …\n"}, {line: 11, cluster: "kind", text: "two\n"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v %v", got, err)
	}
	for _, page := range []string{"```text\n1\n```\n", "\n```yaml\na: b\n```\n", "\n```sh\none\n", "\n```sh cluster\none\n```\n"} {
		if got, err := blocks(page); err == nil {
			t.Errorf("%q: %+v, want an error", page, got)
		}
	}
}

func TestLike(t *testing.T) {
	for _, tc := range []struct {
		got, page string
		want      bool
	}{
		{"a  b\nc\n", "a b\nc\n", true},
		{"a 17 b", "a … b", true},
		{"took 17s.", "took …s.", true},
		{"a b", "a", false},
		{"a", "a b", false},
		{"a (b", "a (b", true},
		{"anything", "…", true},
		{"b a", "a …", false},
	} {
		if got := like(tc.got, tc.page); got != tc.want {
			t.Errorf("%q like %q: %v", tc.got, tc.page, got)
		}
	}
}
