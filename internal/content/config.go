// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// maxConfig is how many bytes a configuration has, and maxConfigDepth how deep it is.
const (
	maxConfig      = 1 << 20
	maxConfigDepth = 32
	// maxKey is how many bytes the longest key of interest can have.
	maxKey = 128
)

// readCapacitor looks into Capacitor's configuration: capacitor.config.json, which is also what cap sync makes of the other forms.
// Of those, as they are programs, the literals are taken.
func (s *Scanner) readCapacitor(at place, ext string, text []byte) {
	if ext != ".json" {
		s.readCapacitorSource(at, text)
		return
	}
	err := errors.New("it is too long")
	if len(text) <= maxConfig {
		err = walkJSON(text, func(path []string, value any) {
			if len(path) == 2 && len(path[0])+len(path[1]) <= maxKey { // as all keys that matter
				s.capacitorSetting(at, strings.ToLower(strings.Join(path, ".")), value)
			}
		})
	}
	if err != nil {
		s.note(CheckConfigInvalid, at.value(fmt.Sprintf("cannot be read (%s)", cut(err.Error(), 80)), 0))
	}
}

// capacitorSetting notes a setting that lets the webview go elsewhere. Letters of any case are taken: readers differ.
func (s *Scanner) capacitorSetting(at place, key string, value any) {
	text, _ := value.(string)
	on, _ := value.(bool)
	switch {
	case key == "server.url" && text != "":
		s.note(CheckServerURL, text)
	case key == "server.allownavigation" && text != "":
		s.note(CheckAllowNavigation, text)
	case on && (key == "server.cleartext" || key == "android.allowmixedcontent"):
		s.note(CheckCleartextTraffic, at.value(key, 0))
	}
}

// walkJSON calls visit for each text, number, true and false of a JSON document, with the keys that lead there. Elements of an array
// have the path of the array. Duplicate keys are visited each: readers differ in which one they take.
func walkJSON(text []byte, visit func(path []string, value any)) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	if err := walkValue(dec, nil, visit); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more after its end")
	}
	return nil
}

func walkValue(dec *json.Decoder, path []string, visit func(path []string, value any)) error {
	t, err := dec.Token()
	if err != nil {
		return err
	}
	open, nested := t.(json.Delim)
	if !nested {
		visit(slices.DeleteFunc(slices.Clone(path), func(key string) bool { return key == "" }), t)
		return nil
	}
	if len(path) >= maxConfigDepth {
		return errors.New("it is too deep")
	}
	for dec.More() {
		inner := append(slices.Clone(path), "") // stays so for an element of an array
		if open == '{' {
			key, err := dec.Token()
			if err != nil {
				return err
			}
			inner[len(path)] = fmt.Sprint(key)
		}
		if err := walkValue(dec, inner, visit); err != nil {
			return err
		}
	}
	_, err = dec.Token() // the end
	return err
}

// readCapacitorSource takes the literals that follow the settings' names.
func (s *Scanner) readCapacitorSource(at place, text []byte) {
	lexer := jsLexer{src: text, work: &s.work}
	var last jsToken
	var name string
	list := false
	for t := lexer.next(); t.kind != endToken; t = lexer.next() {
		switch {
		case t.is(':'):
			name, list = string(last.text), false
		case last.is(':'):
			list = t.is('[') && name == "allowNavigation"
			s.capacitorLiteral(at, name, t)
		case list:
			list = !t.is(']')
			s.capacitorLiteral(at, name, t)
		}
		last = t
	}
}

// capacitorKeys are where the settings are by whose name alone they are known in a program.
var capacitorKeys = map[string]string{
	"url": "server.url", "cleartext": "server.cleartext", "allowNavigation": "server.allownavigation",
	"allowMixedContent": "android.allowmixedcontent",
}

func (s *Scanner) capacitorLiteral(at place, name string, t jsToken) {
	switch t.kind {
	case stringToken, templateToken:
		s.capacitorSetting(at, capacitorKeys[name], string(unescape(t.text)))
	case wordToken:
		s.capacitorSetting(at, capacitorKeys[name], t.word("true"))
	}
}

// readCordova looks into Cordova's config.xml: the page that it starts with, and where the webview may go and load from.
func (s *Scanner) readCordova(at place, text []byte) {
	dec := xml.NewDecoder(bytes.NewReader(text[:min(len(text), maxConfig)]))
	dec.Strict = true
	for {
		t, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			s.note(CheckConfigInvalid, at.value("is no XML", 0))
			return
		}
		if e, ok := t.(xml.StartElement); ok {
			s.cordovaElement(e)
		}
	}
}

// rootElement gives the name of the first element of XML, without its prefix: it is behind declarations and comments of any length.
func rootElement(text []byte) string {
	for {
		text = bytes.TrimLeft(text, " \t\r\n\f")
		end := ">"
		switch {
		case bytes.HasPrefix(text, []byte("<!--")):
			end = "-->"
		case bytes.HasPrefix(text, []byte("<?")):
			end = "?>"
		case bytes.HasPrefix(text, []byte("<!")):
			if head := text[:min(len(text), headSize)]; bytes.IndexByte(head, '[') > 0 && bytes.IndexByte(head, '[') < bytes.IndexByte(head, '>') {
				end = "]"
			}
		case bytes.HasPrefix(text, []byte("<")):
			name, _, _ := bytes.Cut(text[1:min(len(text), maxKey)], []byte(">"))
			if end := bytes.IndexAny(name, " \t\r\n\f/"); end >= 0 {
				name = name[:end]
			}
			return string(name[bytes.LastIndexByte(name, ':')+1:])
		case bytes.HasPrefix(text, []byte(">")): // of a declaration with brackets
			text = text[1:]
			continue
		default:
			return ""
		}
		at := bytes.Index(text, []byte(end))
		if at < 0 {
			return ""
		}
		text = text[at+len(end):]
	}
}

func (s *Scanner) cordovaElement(e xml.StartElement) {
	attribute := func(name string) string {
		for _, a := range e.Attr {
			if a.Name.Local == name {
				return a.Value
			}
		}
		return ""
	}
	switch e.Name.Local {
	case "content":
		if src := attribute("src"); remoteOrigin([]byte(src)) != "" {
			s.note(CheckServerURL, src)
		}
	case "allow-navigation":
		s.note(CheckAllowNavigation, attribute("href"))
	case "access":
		s.note(CheckAllowNavigation, "access "+attribute("origin"))
	}
}
