// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/release"
)

// signer is who made a signature: the authority that it counts for, and all that tells its key or identity from others'.
type signer struct {
	name string
	ids  []string
}

func signersOf(b *otav1alpha1.Bundle) []signer {
	var out []signer
	for _, v := range b.Status.Verifications {
		out = append(out, newSigner(v.Authority, v.KeyID, v.Issuer, v.Subject, v.Trust))
	}
	return out
}

func signersIn(b *release.Bundle) []signer {
	var out []signer
	for _, s := range b.Signatures {
		out = append(out, newSigner(s.Authority, s.KeyID, s.Issuer, s.Subject, ""))
	}
	return out
}

func newSigner(name, keyID, issuer, subject, trust string) signer {
	s := signer{name: name}
	if keyID != "" {
		s.ids = append(s.ids, "key "+keyID)
	}
	if issuer != "" || subject != "" {
		s.ids = append(s.ids, "identity "+issuer+"\n"+subject)
	}
	if trust != "" {
		s.ids = append(s.ids, "trust "+trust)
	}
	return s
}

// persons numbers signers so that those with a key or identity in common have one number: whoever has the key of one can sign as
// all of them.
func persons(have []signer) []int {
	out := make([]int, len(have))
	for i := range have {
		out[i] = i
		for j := range i {
			if !slices.ContainsFunc(have[i].ids, func(id string) bool { return slices.Contains(have[j].ids, id) }) {
				continue
			}
			for k, from := 0, out[i]; k <= i; k++ {
				if out[k] == from {
					out[k] = out[j]
				}
			}
		}
	}
	return out
}

// roll tells under which names signatures count.
type roll struct {
	have   []signer
	person []int
	acting map[int]string // the only name that a person counts under
}

// maxCasts bounds how many ways to count persons are tried: 12 persons with two names each.
const maxCasts = 4096

// call lets each person count under one of the names that an admission asks for, so that a second name for one key is no second
// opinion: under the first, in the admission's order, unless only another one makes all that it asks for come true.
func call(a *otav1alpha1.Admission, have []signer) roll {
	r := roll{have: have, person: persons(have), acting: map[int]string{}}
	names := slices.Clone(a.RequiredAuthorities)
	for _, q := range a.Quorums {
		names = append(names, q.Authorities...)
	}
	var people []int
	options := map[int][]string{}
	for _, name := range names {
		if i := r.find(name); i >= 0 && !slices.Contains(options[r.person[i]], name) {
			if options[r.person[i]] == nil {
				people = append(people, r.person[i])
			}
			options[r.person[i]] = append(options[r.person[i]], name)
		}
	}
	for cast := range maxCasts {
		for _, p := range people {
			r.acting[p] = options[p][cast%len(options[p])]
			cast /= len(options[p])
		}
		if cast > 0 { // all ways were tried
			break
		}
		if r.missing(a) == "" {
			return r
		}
	}
	for _, p := range people {
		r.acting[p] = options[p][0]
	}
	return r
}

func (r roll) find(name string) int {
	return slices.IndexFunc(r.have, func(s signer) bool { return s.name == name })
}

// counts tells whether a signature under this name counts.
func (r roll) counts(name string) bool {
	i := r.find(name)
	return i >= 0 && r.acting[r.person[i]] == name
}

// name says with whom an authority that signed shares its key, if that is why it does not count.
func (r roll) name(authority string) string {
	if i := r.find(authority); i >= 0 && !r.counts(authority) {
		return authority + " (its key or identity is that of " + r.acting[r.person[i]] + ", and counts once)"
	}
	return authority
}

func (r roll) signedBy() string {
	if len(r.have) == 0 {
		return "nobody"
	}
	var names []string
	for _, s := range r.have {
		names = append(names, s.name)
	}
	return strings.Join(names, ", ")
}

// unsigned says which signatures an admission asks for that are not there; empty: none.
func unsigned(a *otav1alpha1.Admission, have []signer) string {
	if a == nil {
		return ""
	}
	return call(a, have).missing(a)
}

// missing says what an admission asks for that is not there, when persons count as they do here; empty: nothing.
func (r roll) missing(a *otav1alpha1.Admission) string {
	var missing []string
	for _, want := range a.RequiredAuthorities {
		if !r.counts(want) {
			missing = append(missing, r.name(want))
		}
	}
	if len(missing) > 0 {
		return fmt.Sprintf("the channel requires signatures of %s: missing %s, signed by %s",
			strings.Join(a.RequiredAuthorities, ", "), strings.Join(missing, ", "), r.signedBy())
	}
	for _, q := range a.Quorums {
		if why := r.short(q); why != "" {
			return why
		}
	}
	return ""
}

// short says why a quorum is not reached; empty: it is.
func (r roll) short(q otav1alpha1.Quorum) string {
	var count int32
	var shown []string
	for _, name := range q.Authorities {
		if r.counts(name) {
			count++
		}
		shown = append(shown, r.name(name))
	}
	if count >= q.Required {
		return ""
	}
	return fmt.Sprintf("the channel requires signatures of %d of %s: %d count, signed by %s", q.Required, strings.Join(shown, ", "), count, r.signedBy())
}

// lostSignatures says of a bundle that is out which signatures it was released with that the channel asks for, each by itself, and
// that no longer count; empty: none. What the channel asks for since then neither takes anything back nor keeps anything out.
func lostSignatures(f Facts, out *release.Bundle, b *otav1alpha1.Bundle) string {
	a, have := f.Channel.Spec.Admission, signersOf(b)
	if a == nil {
		return ""
	}
	then := slices.Clone(have)
	for _, s := range signersIn(out) {
		if !slices.ContainsFunc(have, func(n signer) bool { return n.name == s.name }) {
			then = append(then, s)
		}
	}
	before, now := call(a, then), call(a, have)
	gone := func(name string) bool { return before.counts(name) && !now.counts(name) }
	var lost []string
	for _, names := range pressing(a, now) {
		for _, name := range names {
			if gone(name) && !slices.Contains(lost, name) {
				lost = append(lost, name)
			}
		}
	}
	return f.withdrawn(lost)
}

// missingSignatures says the same of a bundle whose signatures of its release nobody knows any more.
func missingSignatures(f Facts, b *otav1alpha1.Bundle) string {
	a := f.Channel.Spec.Admission
	if a == nil {
		return ""
	}
	now := call(a, signersOf(b))
	var missing, lost []string
	for _, names := range pressing(a, now) {
		for _, name := range names {
			if now.counts(name) || slices.Contains(missing, name) {
				continue
			}
			if missing = append(missing, name); f.ended(name) != "" {
				lost = append(lost, name)
			}
		}
	}
	if len(lost) == 0 {
		lost = missing // of those that count, some expect another key or identity
	}
	return f.withdrawn(lost)
}

// pressing are the names that an admission asks for, without those of quorums that are reached.
func pressing(a *otav1alpha1.Admission, now roll) [][]string {
	out := [][]string{a.RequiredAuthorities}
	for _, q := range a.Quorums {
		if now.short(q) != "" {
			out = append(out, q.Authorities)
		}
	}
	return out
}

func (f Facts) withdrawn(lost []string) string {
	if len(lost) == 0 {
		return ""
	}
	var why []string
	for _, name := range lost {
		why = append(why, cmp.Or(f.ended(name), "authority "+name+" expects another key or identity"))
	}
	return "no longer trusted: signatures of " + strings.Join(lost, ", ") + " do not count any more: " + strings.Join(why, "; ")
}

// ended says why an authority of the Repository counts for nothing new; empty: it counts.
func (f Facts) ended(name string) string {
	i := slices.IndexFunc(f.Authorities, func(a otav1alpha1.Authority) bool { return a.Name == name })
	switch {
	case i < 0:
		return "authority " + name + " was removed"
	case f.Authorities[i].NotAfter != nil && f.Now.After(f.Authorities[i].NotAfter.Time):
		return "authority " + name + "'s notAfter is " + f.Authorities[i].NotAfter.UTC().Format(time.RFC3339)
	}
	return ""
}
