// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"bytes"
	"slices"
	"strings"
)

// page is a text that a webview runs or reads, and what is found in it.
type page struct {
	scanner *Scanner
	place   place
}

func (p *page) note(check, value string) { p.scanner.note(check, value) }

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
	ring [4]jsToken // the last ones
	seen int
	call call // whose first argument comes next
	src  bool // a setAttribute has "src" as its first argument
}

// readScript looks into JavaScript.
func (p *page) readScript(text []byte) {
	if bytes.HasPrefix(text, []byte("#!")) { // the line is no JavaScript
		text = text[max(bytes.IndexByte(text, '\n'), 0):]
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
		r.ring[r.seen%len(r.ring)] = t
		r.seen++
	}
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
		if isScriptURL(text) {
			r.page.remote(text)
		}
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

// isScriptURL tells whether a URL that is set as a source is that of a script: images and frames have sources too.
func isScriptURL(url []byte) bool {
	path, _, _ := strings.Cut(string(url), "?")
	path, _, _ = strings.Cut(path, "#")
	return strings.HasSuffix(path, ".js") || strings.HasSuffix(path, ".mjs") || strings.HasSuffix(path, "/js")
}
