// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"fmt"
	"strings"
)

// Bounds of Refusals.
const (
	maxRefusals = 8
	maxRefusal  = 512 // bytes
	maxReasons  = 4   // authorities that one refusal names
)

// Refusals tell of each signature that matches no authority why: one sentence for a signature, what was expected and what it says
// instead. They are stable, of at most 512 bytes each, at most 8, and in the order of signatures.
func (v *Verifier) Refusals() []string {
	sums := v.hashes.sums(nil)
	why, order, formats := map[int][]string{}, []int(nil), map[int]Format{}
	matched := map[int]bool{}
	for _, p := range v.pairs {
		if _, ok := why[p.signature]; !ok {
			order, formats[p.signature] = append(order, p.signature), p.format
		}
		_, err := v.match(p, sums)
		if err == nil {
			matched[p.signature] = true
			err = errNoMatch
		}
		why[p.signature] = append(why[p.signature], fmt.Sprintf("for authority %s it %s", p.authority, err))
	}
	var out []string
	for _, i := range order {
		if !matched[i] && len(out) < maxRefusals {
			out = append(out, refusal(i, formats[i], why[i]))
		}
	}
	return out
}

func refusal(index int, format Format, why []string) string {
	more := ""
	if n := len(why) - maxReasons; n > 0 {
		why, more = why[:maxReasons], fmt.Sprintf("; and %d more", n)
	}
	text := fmt.Sprintf("signature %d (%s): %s%s", index+1, format, strings.Join(why, "; "), more)
	if len(text) > maxRefusal {
		text = strings.ToValidUTF8(text[:maxRefusal-3], "") + "..."
	}
	return text
}
