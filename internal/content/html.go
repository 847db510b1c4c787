// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// maxFrames is how many documents in documents (srcdoc) are looked into.
const maxFrames = 4

// document is a page of HTML that is being read.
type document struct {
	*page
	frames  int       // that this one is in
	foreign bool      // it is read as SVG, MathML and XML are: nothing is raw text, and policies do not count
	script  scripting // what comes next
	text    []byte    // of a script, if foreign
	inert   int       // how many elements are open whose content does nothing
	body    bool      // the head has ended
	ran     bool      // there was a script
	guarded bool      // there was a policy
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

// readDocument reads a page as HTML, and once more if it may have parts that are read otherwise.
func (p *page) readDocument(text []byte, frames int) {
	found := p.apart(func() { (&document{page: p, frames: frames}).read(text) })
	if markupNames[extension(p.place.name())] && extension(p.place.name()) != ".html" || foreignStart.Match(text) {
		found.join(p.apart(func() { (&document{page: p, frames: frames, foreign: true}).read(text) }))
	}
	p.found.add(found)
}

// foreignStart is where parts start in which <style> and <script> hold elements (HTML, section 13.2.6.5), and XML as a whole.
var foreignStart = regexp.MustCompile(`(?i)<(?:svg|math|\?xml)`)

func (d *document) read(text []byte) {
	source := &tagReader{text: text}
	z, attributes := html.NewTokenizer(source), map[string]string{}
	z.AllowCDATA(d.foreign)
	for {
		kind := z.Next()
		source.next(len(z.Raw()))
		d.scanner.work.spend(len(z.Raw()))
		switch kind {
		case html.ErrorToken:
			d.runText()
			if errors.Is(z.Err(), errLongTag) {
				d.unread()
			}
			if d.guarded {
				d.note(CheckCSP, cmp.Or(d.place.path, "the page"))
			}
			return
		case html.TextToken:
			d.readText(z)
		case html.EndTagToken:
			d.runText()
			name, _ := z.TagName()
			if isInert(string(name)) && d.inert > 0 {
				d.inert--
			}
			d.script = noScript
		case html.StartTagToken, html.SelfClosingTagToken:
			d.runText()
			d.readElement(d.startTag(z, attributes))
			if d.foreign {
				z.NextIsNotRawText()
			}
		}
	}
}

// unread notes that there is more in a tag than is read.
func (d *document) unread() { d.note(CheckUnreadText, d.place.value("tag that is too long", 0)) }

// isInert tells whether what is in an element does nothing where scripts run.
func isInert(name string) bool { return name == "noscript" || name == "template" }

// element is a start tag.
type element struct {
	name       string
	attributes map[string]string // those that are of interest
}

// startTag reads a tag into attributes, which are cleared.
func (d *document) startTag(z *html.Tokenizer, attributes map[string]string) element {
	name, more := z.TagName()
	e := element{name: string(name), attributes: attributes}
	clear(attributes)
	for more {
		var key, value []byte
		key, value, more = z.TagAttr()
		if !bytes.HasPrefix(key, []byte("on")) && !interesting[string(key)] {
			continue
		}
		if len(attributes) == maxAttributes || len(key) > maxKey || len(value) > maxAttribute && !interesting[string(key)] {
			d.unread()
			continue
		}
		if len(value) > maxAttribute {
			if string(key) != "srcset" && remoteOrigin(value) != "data:" { // pictures can be in their URL
				d.unread()
			}
			value = value[:maxAttribute]
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

// readText takes the text of a script: as it is, or where nothing is raw in parts and without entities.
func (d *document) readText(z *html.Tokenizer) {
	switch {
	case d.script == noScript:
	case d.foreign:
		d.text = append(d.text, z.Text()...)
	default:
		d.run(z.Raw())
	}
}

// runText reads a script once all of its parts are there.
func (d *document) runText() {
	if len(d.text) > 0 {
		d.run(d.text)
		d.text = d.text[:0]
	}
}

func (d *document) run(text []byte) {
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
	d.readURLs(e)
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

// readURLs looks into URLs that are code, and documents of data in frames.
func (d *document) readURLs(e element) {
	for _, attribute := range []string{"src", "href", "xlink:href", "data", "action", "formaction"} {
		url := []byte(e.attributes[attribute])
		if code, ok := scriptURL(url); ok {
			d.readScript(code)
		}
		if (e.name == "iframe" || e.name == "frame") && remoteOrigin(url) == "data:" {
			d.note(CheckRemoteScript, "data:")
		}
	}
}

// readPolicy takes a policy where browsers do: in the head only. It does not hold for the scripts before it.
func (d *document) readPolicy(text string) {
	if d.body || d.inert > 0 || d.foreign {
		return
	}
	d.guarded = true
	if len(text) > maxPolicy {
		d.note(CheckCSPLoosened, fmt.Sprintf("%s: a policy of more than %d bytes", cmp.Or(d.place.path, "the page"), maxPolicy))
		return
	}
	p := parsePolicy(text)
	if d.ran {
		p[scriptsBefore] = []string{}
	}
	d.notePolicy(p)
}

func (d *document) readLink(e element) {
	href, as, rel := []byte(e.attributes["href"]), e.attributes["as"], strings.ToLower(e.attributes["rel"])
	d.cleartext(href)
	if strings.Contains(rel, "modulepreload") || strings.Contains(rel, "preload") && (as == "script" || as == "worker") {
		d.remote(href)
	}
}
