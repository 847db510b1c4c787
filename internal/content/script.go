// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"bytes"
	"slices"
)

// page is a text that a webview runs or reads, and what is found in it.
type page struct {
	scanner *Scanner
	place   place
	found   findings // in what is being read
}

func (p *page) note(check, value string) { p.found.note(check, value) }

// apart reads something, and gives what was found in it alone.
func (p *page) apart(read func()) findings {
	before := p.found
	p.found = findings{}
	read()
	found := p.found
	p.found = before
	return found
}

// call is a call whose first argument is of interest.
type call uint8

const (
	noCall          call = iota
	importCall           // import("…"), and import "…" and from "…"
	scriptsCall          // importScripts("…", "…")
	workerCall           // new Worker("…"), new SharedWorker("…")
	registerCall         // serviceWorker.register("…")
	timerCall            // setTimeout("…"), setInterval("…")
	constructorCall      // constructor("…"), which is Function of a function
	attributeCall        // setAttribute("src", "…")
)

// scriptReader looks at the tokens of a script one after the other.
type scriptReader struct {
	page *page
	ring [8]jsToken // the last ones
	seen int
	call call // whose first argument comes next
	src  bool // a setAttribute has "src" as its first argument
}

// readScript looks into JavaScript, twice where it is not sure how that is split.
func (p *page) readScript(text []byte) {
	unsure := false
	found := p.apart(func() { unsure = p.readTokens(text) })
	if unsure {
		found.join(p.apart(func() { p.readPlain(text) }))
	}
	p.found.add(found)
}

// readTokens looks at the tokens of JavaScript, and tells whether webviews may see other ones.
func (p *page) readTokens(text []byte) (unsure bool) {
	if bytes.HasPrefix(text, []byte("#!")) { // the line is no JavaScript
		text = text[hashbang(text):]
	}
	lexer := jsLexer{src: text, work: &p.scanner.work}
	r := scriptReader{page: p}
	for t := lexer.next(); t.kind != endToken; t = lexer.next() {
		switch t.kind {
		case stringToken, templateToken:
			r.literal(t)
		case otherToken:
			r.mark(t)
		}
		r.push(t)
	}
	return lexer.unsure
}

// push remembers a token. a?.b and a["b"] are remembered as a.b.
func (r *scriptReader) push(t jsToken) {
	switch {
	case t.is('.') && r.last(0).is('?'):
		r.seen--
	case t.is(']') && (r.last(0).kind == stringToken || r.last(0).kind == templateToken) && r.last(1).is('[') && r.last(2).endsObject():
		name := unescape(r.last(0).text)
		r.seen -= 2
		r.push(jsToken{kind: otherToken, char: '.'})
		t = jsToken{kind: wordToken, text: name}
	}
	r.ring[r.seen%len(r.ring)] = t
	r.seen++
}

// endsObject tells whether a property of what the token ends may follow.
func (t *jsToken) endsObject() bool {
	return t.kind == wordToken || t.is(')') || t.is(']') || t.is('.')
}

// hashbang gives the length of the first line.
func hashbang(text []byte) int {
	n := 0
	for n < len(text) && lineEnd(text[n:]) == 0 {
		n++
	}
	return n
}

// last gives a token before the present one; 0 is the newest.
func (r *scriptReader) last(n int) *jsToken { return &r.ring[uint(r.seen-1-n)%uint(len(r.ring))] }

// mark looks at punctuation: calls are told by their parenthesis.
func (r *scriptReader) mark(t jsToken) {
	switch {
	case t.is('('):
		r.begin()
	case t.is(')') && r.last(0).word("eval") && !r.last(1).is('.'): // (0, eval)(…)
		r.page.note(CheckEval, "eval")
	case t.is(')'), t.is(';'):
		r.call, r.src = noCall, false
	}
}

// begin looks at what is called.
func (r *scriptReader) begin() {
	if r.last(0).is('.') { // eval?.(
		r.seen--
	}
	name := r.last(0)
	if r.call == workerCall && name.word("URL") { // new Worker(new URL("…"))
		return
	}
	r.call = noCall
	if name.kind != wordToken || len(name.text) < 4 {
		return
	}
	switch string(name.text) {
	case "eval":
		r.noteGlobal(CheckEval)
	case "Function":
		r.noteGlobal(CheckFunction)
	case "write", "writeln":
		if r.isMember("document") {
			r.page.note(CheckDocumentWrite, "document.write")
		}
	case "register":
		if r.isMember("serviceWorker") {
			r.call = registerCall
		}
	default:
		r.call = calls[string(name.text)]
	}
}

var calls = map[string]call{
	"import": importCall, "importScripts": scriptsCall, "Worker": workerCall, "SharedWorker": workerCall,
	"setTimeout": timerCall, "setInterval": timerCall, "constructor": constructorCall, "setAttribute": attributeCall,
}

// isMember tells whether the last word is a property of what has this name.
func (r *scriptReader) isMember(of string) bool { return r.last(1).is('.') && r.last(2).word(of) }

// globals are names of the global object.
var globals = []string{"window", "globalThis", "self", "top", "global"}

// noteGlobal notes a call of the last word, if it stands for itself: it is no property, but for one of the global object, and no
// definition.
func (r *scriptReader) noteGlobal(check string) {
	if r.last(1).is('.') && !slices.ContainsFunc(globals, r.isMember) || r.last(1).word("function") {
		return
	}
	r.page.note(check, string(r.last(0).text))
}

// literal looks at a string, or at a part of a template.
func (r *scriptReader) literal(t jsToken) {
	text := t.text
	if bytes.IndexByte(text, '\\') >= 0 {
		text = unescape(text)
	}
	r.page.cleartext(text)
	switch {
	case r.last(0).is('('):
		r.argument(text)
	case r.call == scriptsCall, r.last(0).word("import"), r.last(0).word("from"):
		r.page.remote(text)
	case r.src && r.last(0).is(','), r.last(0).is('=') && r.last(1).word("src") && r.last(2).is('.'):
		r.page.remote(text)
	}
}

// argument looks at a string that is the first argument of a call.
func (r *scriptReader) argument(text []byte) {
	switch r.call {
	case registerCall:
		r.page.note(CheckServiceWorker, "service worker "+string(text))
		r.page.remote(text)
	case timerCall:
		r.page.note(CheckStringTimer, "timer that runs a string")
	case constructorCall:
		r.page.note(CheckFunction, "constructor")
	case attributeCall:
		r.src = string(text) == "src"
	case importCall, workerCall, scriptsCall:
		r.page.remote(text)
	}
}

// remote notes where a script comes from that is not in the bundle.
func (p *page) remote(url []byte) {
	if origin := remoteOrigin(url); origin != "" {
		p.note(CheckRemoteScript, origin)
	}
}

// cleartext notes where a text has URLs without encryption.
func (p *page) cleartext(text []byte) {
	for len(text) > 0 {
		at := bytes.Index(text, []byte("://"))
		if at < 0 {
			return
		}
		if origin := cleartextOrigin(text[:at], text[at+3:]); origin != "" {
			p.note(CheckCleartextURL, origin)
		}
		text = text[at+3:]
	}
}
