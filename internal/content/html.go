// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// maxFrames is how many documents in documents (srcdoc) are looked into.
const maxFrames = 4

// document is a page of HTML that is being read.
type document struct {
	*page
	frames   int       // that this one is in
	script   scripting // what comes next
	inert    int       // how many elements are open whose content does nothing
	body     bool      // the head has ended
	ran      bool      // there was a script
	policies []policy
}

// scripting is what the text of a script element is.
type scripting uint8

const (
	noScript scripting = iota
	javaScript
	importMap
)

// readHTML looks into HTML, and SVG: scripts, what they are loaded from, and the Content Security Policies in it.
func (p *page) readHTML(text []byte) { p.readDocument(text, 0) }

func (p *page) readDocument(text []byte, frames int) {
	d := &document{page: p, frames: frames}
	z, attributes := html.NewTokenizer(bytes.NewReader(text)), map[string]string{}
	for {
		switch z.Next() {
		case html.ErrorToken:
			p.notePolicies(d.policies)
			return
		case html.TextToken:
			d.readText(z.Raw())
		case html.EndTagToken:
			name, _ := z.TagName()
			if isInert(string(name)) && d.inert > 0 {
				d.inert--
			}
			d.script = noScript
		case html.StartTagToken, html.SelfClosingTagToken:
			d.readElement(startTag(z, attributes))
		}
	}
}

// isInert tells whether what is in an element does nothing where scripts run.
func isInert(name string) bool { return name == "noscript" || name == "template" }

// element is a start tag.
type element struct {
	name       string
	attributes map[string]string // those that are of interest
}

// startTag reads a tag into attributes, which are cleared.
func startTag(z *html.Tokenizer, attributes map[string]string) element {
	name, more := z.TagName()
	e := element{name: string(name), attributes: attributes}
	clear(attributes)
	for more {
		var key, value []byte
		key, value, more = z.TagAttr()
		if !bytes.HasPrefix(key, []byte("on")) && !interesting[string(key)] {
			continue
		}
		if _, there := attributes[string(key)]; !there { // the first of several counts (HTML, 13.2.5.33)
			attributes[string(key)] = string(value)
		}
	}
	return e
}

// interesting are the attributes that are read, besides handlers of events.
var interesting = func() map[string]bool {
	set := map[string]bool{"type": true, "as": true, "rel": true, "http-equiv": true, "content": true, "srcdoc": true, "href": true}
	for _, names := range append(slices.Collect(maps.Values(loaders)), loaded) {
		for _, name := range names {
			set[name] = true
		}
	}
	return set
}()

// scripting tells what a script element holds: by its type, as browsers do.
func (e element) scripting() scripting {
	switch t := strings.ToLower(strings.TrimSpace(e.attributes["type"])); {
	case e.name != "script":
		return noScript
	case t == "importmap":
		return importMap
	case t == "" || t == "module" || strings.Contains(t, "javascript") || strings.Contains(t, "ecmascript") || strings.Contains(t, "jscript"):
		return javaScript
	}
	return noScript
}

func (d *document) readText(text []byte) {
	switch d.script {
	case javaScript:
		d.readScript(text)
	case importMap: // each address in it can be one that a script comes from
		lexer := jsLexer{src: text, work: &d.scanner.work}
		for t := lexer.next(); t.kind != endToken; t = lexer.next() {
			if t.kind == stringToken {
				d.remote(unescape(t.text))
			}
		}
	}
}

var (
	// loaders are attributes by element that code is loaded from.
	loaders = map[string][]string{
		"script": {"src", "href", "xlink:href"}, "base": {"href"}, "embed": {"src"}, "object": {"data"},
	}

	// loaded are attributes that something is loaded from or sent to, whatever the element.
	loaded = []string{"src", "srcset", "data", "poster", "action", "formaction", "background"}

	// heads are elements that the head of a document can have.
	heads = []string{"html", "head", "meta", "title", "link", "script", "style", "base", "noscript", "template"}
)

func (d *document) readElement(e element) {
	d.script = e.scripting()
	if isInert(e.name) {
		d.inert++
	}
	d.body = d.body || !slices.Contains(heads, e.name)
	if e.name == "meta" && strings.EqualFold(strings.TrimSpace(e.attributes["http-equiv"]), "content-security-policy") {
		d.readPolicy(e.attributes["content"])
	}
	d.ran = d.ran || d.script == javaScript
	for _, attribute := range loaders[e.name] {
		d.remote([]byte(e.attributes[attribute]))
	}
	for _, attribute := range loaded {
		d.cleartext([]byte(e.attributes[attribute]))
	}
	if e.name == "link" {
		d.readLink(e)
	}
	if frame := e.attributes["srcdoc"]; frame != "" && d.frames < maxFrames {
		d.readDocument([]byte(frame), d.frames+1)
	}
	for key, value := range e.attributes {
		if strings.HasPrefix(key, "on") && value != "" {
			d.readScript([]byte(value))
		}
	}
}

// readPolicy takes a policy where browsers do: in the head only. It does not hold for the scripts before it.
func (d *document) readPolicy(text string) {
	if d.body || d.inert > 0 {
		return
	}
	p := parsePolicy(text)
	if d.ran {
		p[scriptsBefore] = []string{}
	}
	d.policies = append(d.policies, p)
}

func (d *document) readLink(e element) {
	href, as, rel := []byte(e.attributes["href"]), e.attributes["as"], strings.ToLower(e.attributes["rel"])
	d.cleartext(href)
	if strings.Contains(rel, "modulepreload") || strings.Contains(rel, "preload") && (as == "script" || as == "worker") {
		d.remote(href)
	}
}
