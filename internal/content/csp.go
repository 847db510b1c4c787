// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"cmp"
	"slices"
	"strings"
)

// maxPolicy is how many bytes of a policy are read: real ones have less than 4 KiB.
const maxPolicy = 16 << 10

// policy are the directives of a Content Security Policy, by name.
type policy map[string][]string

// parsePolicy splits a policy into directives (CSP Level 3, section 2.2.1): the first of several with one name counts.
func parsePolicy(text string) policy {
	p := policy{}
	for directive := range strings.SplitSeq(text, ";") {
		words := strings.Fields(directive)
		if len(words) == 0 {
			continue
		}
		if name := strings.ToLower(words[0]); p[name] == nil {
			p[name] = append([]string{}, words[1:]...)
		}
	}
	return p
}

// scriptsBefore stands in a policy for scripts that a page has before it: it does not hold for them.
const scriptsBefore = "scripts before the policy"

// guarded are what a policy is for, and the directives that say it: the first that is there counts.
var guarded = [][]string{
	{"script-src-elem", "script-src", "default-src"},
	{"script-src-attr", "script-src", "default-src"},
	{"script-src", "default-src"},
	{"worker-src", "child-src", "script-src", "default-src"},
	{"object-src", "default-src"},
	{"connect-src", "default-src"},
	{"frame-src", "child-src", "default-src"},
}

// codeUses are the first ones of guarded, which run what is loaded.
const codeUses = 5

// weaknesses lists what a policy lets through, as "script-src 'unsafe-eval'". The name is that of the use, so that it does not matter
// which directive says it.
func (p policy) weaknesses() []string {
	var found []string
	if p[scriptsBefore] != nil {
		found = append(found, scriptsBefore)
	}
	for i, names := range guarded {
		if i < 2 && p[names[0]] == nil {
			continue // script-src says the same
		}
		at := slices.IndexFunc(names, func(name string) bool { return p[name] != nil })
		if at < 0 {
			found = append(found, names[0]+" anything")
			continue
		}
		list := p[names[at]]
		nonce := slices.ContainsFunc(list, isNonce)
		for _, source := range list {
			if w := weakness(source, nonce, i < codeUses); w != "" {
				found = append(found, names[0]+" "+w)
			}
		}
	}
	return found
}

// weakness tells what is weak about one source of a list, which may have a nonce or a hash; empty: nothing. Where code is loaded, each other host is.
func weakness(source string, nonce, code bool) string {
	source = strings.ToLower(source)
	switch source {
	case "*", "http:", "ws:":
		return source
	case "'unsafe-eval'", "'unsafe-hashes'", "https:", "data:", "blob:", "filesystem:":
		if code {
			return source
		}
		return ""
	case "'unsafe-inline'":
		if code && !nonce { // which switches it off
			return source
		}
		return ""
	}
	switch {
	case strings.HasPrefix(source, "'"), strings.HasSuffix(source, ":") && !code:
		return ""
	case code, strings.HasPrefix(source, "http://"), strings.HasPrefix(source, "ws://"), strings.HasPrefix(source, "*"):
		return source
	}
	return ""
}

// isNonce tells whether a source is a nonce or a hash.
func isNonce(source string) bool {
	source = strings.ToLower(source)
	return strings.HasPrefix(source, "'nonce-") || strings.HasPrefix(source, "'sha256-") || strings.HasPrefix(source, "'sha384-") ||
		strings.HasPrefix(source, "'sha512-")
}

// notePolicy notes what a policy of a page lets through.
func (p *page) notePolicy(policy policy) {
	where := cmp.Or(p.place.path, "the page")
	for _, w := range policy.weaknesses() {
		p.note(CheckCSPLoosened, where+": "+w)
	}
}
