// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import "bytes"

// maxTrivia is how many bytes of blanks and comments may be between a name and what follows it. More is taken as hiding it.
const maxTrivia = 1 << 10

// plainReader looks for calls in a text as it stands, whatever is a comment, a string or a regular expression: nothing can be hidden
// behind a place that this scanner and a webview read differently. The price is that what people write about code counts too.
type plainReader struct {
	page *page
	src  []byte
	work *work
}

// readPlain looks into a text of which it is not sure how a webview splits it.
func (p *page) readPlain(text []byte) {
	r := plainReader{page: p, src: text, work: &p.scanner.work}
	for pos := 0; pos < len(text) && !r.work.exhausted(); {
		if charClasses[text[pos]] != wordChar || text[pos] >= 0x80 {
			pos++
			r.work.spend(1)
			continue
		}
		word, end := wordAt(text, pos)
		r.work.spend(end - pos)
		r.word(word, pos, end)
		pos = end
	}
}

// word looks at a name and what follows it.
func (r *plainReader) word(word []byte, start, end int) {
	if len(word) < 3 || len(word) > 17 {
		return
	}
	switch name := string(word); name {
	case "eval":
		r.call(CheckEval, "eval", start, end)
	case "Function":
		r.call(CheckFunction, "Function", start, end)
	case "import", "from":
		r.remote(r.skip(end), false)
	case "importScripts", "Worker", "SharedWorker":
		r.remote(r.skip(end), true)
	case "src":
		if r.isProperty(start) {
			r.assigned(r.skip(end))
		}
	}
}

// call notes a call of a name that is no property, but for one of the global object.
func (r *plainReader) call(check, value string, start, end int) {
	if start > 1 && r.src[start-1] == '.' && r.src[start-2] != '.' {
		before := bytes.TrimRight(r.src[max(0, start-16):start-1], "?")
		if !isGlobal(before) {
			return
		}
	}
	if bytes.HasSuffix(r.src[max(0, start-9):start], []byte("function ")) {
		return
	}
	at := r.skip(end)
	for at < len(r.src) && bytes.IndexByte([]byte("'\"`]?.)"), r.src[at]) >= 0 && at < end+maxTrivia { // eval?.(, ["eval"](, (0,eval)(
		at = r.skip(at + 1)
	}
	if at < len(r.src) && r.src[at] == '(' {
		r.page.note(check, value)
	}
}

// isGlobal tells whether a text ends with the name of the global object.
func isGlobal(text []byte) bool {
	for _, g := range globals {
		if bytes.HasSuffix(text, []byte(g)) {
			return true
		}
	}
	return false
}

// remote notes the literals that follow, as after import and in a call.
func (r *plainReader) remote(at int, all bool) {
	for n := 0; at < len(r.src) && n < maxTrivia; n++ {
		switch c := r.src[at]; c {
		case '\'', '"', '`':
			text := r.literal(at)
			r.page.remote(unescape(text))
			if at += len(text) + 2; !all {
				return
			}
		case '(', '?', '.', ',', ']':
			at++
		default:
			word, end := wordAt(r.src, at)
			if len(word) == 0 || string(word) != "new" && string(word) != "URL" {
				return
			}
			at = end
		}
		at = r.skip(at)
	}
}

// isProperty tells whether a name is behind a dot, or in quotes. In front of attributes of HTML there are blanks.
func (r *plainReader) isProperty(start int) bool {
	before := r.src[max(0, start-16):start]
	if len(before) > 0 && bytes.IndexByte([]byte("'\"`"), before[len(before)-1]) >= 0 {
		return true
	}
	before = bytes.TrimRight(before, " \t\r\n\f\v")
	return len(before) == 0 && start > 0 || len(before) > 0 && (before[len(before)-1] == '.' || before[len(before)-1] == '/')
}

// assigned notes a literal that is assigned, or that is the next argument.
func (r *plainReader) assigned(at int) {
	for at < len(r.src) && bytes.IndexByte([]byte("'\"`]"), r.src[at]) >= 0 {
		at = r.skip(at + 1)
	}
	if at >= len(r.src) || r.src[at] != '=' && r.src[at] != ',' {
		return
	}
	if at = r.skip(at + 1); at < len(r.src) && bytes.IndexByte([]byte("'\"`"), r.src[at]) >= 0 {
		r.page.remote(unescape(r.literal(at)))
	}
}

// literal gives what is between the quotes at a place, as far as a URL's host can be in it.
func (r *plainReader) literal(at int) []byte {
	text := r.src[at+1 : min(len(r.src), at+1+maxTrivia)]
	for i := 0; i < len(text); i++ {
		r.work.spend(1)
		switch text[i] {
		case r.src[at]:
			return text[:i]
		case '\\':
			i++
		}
	}
	return text
}

// skip gives the place behind blanks and comments. Where these are long, code may be hidden there.
func (r *plainReader) skip(at int) int {
	start := at
	defer func() { r.work.spend(at - start) }()
	for at < len(r.src) {
		rest := r.src[at:min(len(r.src), start+maxTrivia)]
		n := blanks(rest)
		if n == 0 {
			n = commented(rest)
		}
		switch {
		case n == 0 && len(rest) == 0, n < 0:
			if at-start+len(rest) >= maxTrivia {
				r.page.note(CheckUnreadText, r.page.place.value("much between the parts of a call", 0))
			}
			at += len(rest)
			return at
		case n == 0:
			return at
		}
		at += n
	}
	return at
}

// commented gives the length of the comment that a text starts with; negative: it has no end.
func commented(text []byte) int {
	switch {
	case bytes.HasPrefix(text, []byte("/*")):
		if end := bytes.Index(text[2:], []byte("*/")); end >= 0 {
			return end + 4
		}
		return -1
	case bytes.HasPrefix(text, []byte("//")), bytes.HasPrefix(text, []byte("<!--")):
		for i := range text {
			if lineEnd(text[i:]) > 0 {
				return i
			}
		}
		return -1
	}
	return 0
}
