// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxText is how many bytes of a text are read as HTML, JavaScript or configuration, and so how many are in memory.
const maxText = 8 << 20

// webNames are extensions that webviews run or show as text, whatever the content looks like.
var webNames = map[string]bool{
	".js": true, ".mjs": true, ".cjs": true, ".jsx": true, ".ts": true, ".html": true, ".htm": true, ".xhtml": true, ".svg": true,
}

// scriptNames are those of webNames that are JavaScript, even when they start as HTML does: <!-- starts a comment in both.
var scriptNames = map[string]bool{".js": true, ".mjs": true, ".cjs": true}

// markupNames are those of webNames that are HTML or XML.
var markupNames = map[string]bool{".html": true, ".htm": true, ".xhtml": true, ".svg": true}

// proseNames are extensions of what people read. As that is no code, it is not split into tokens.
var proseNames = map[string]bool{".txt": true, ".md": true, ".markdown": true, ".rst": true, ".csv": true}

// isText tells by its first bytes whether a file is text: nearly no control characters, in an encoding where ASCII is one byte, or
// UTF-16 with its mark.
func isText(head []byte) bool {
	if utf16Order(head) != nil {
		return true
	}
	control := 0
	for _, c := range head {
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' && c != '\f' {
			control++
		}
	}
	return control*50 <= len(head)
}

// utf16Order tells the byte order of UTF-16 by its mark; nil for other texts.
func utf16Order(head []byte) binary.ByteOrder {
	switch {
	case bytes.HasPrefix(head, []byte("\xff\xfe")):
		return binary.LittleEndian
	case bytes.HasPrefix(head, []byte("\xfe\xff")):
		return binary.BigEndian
	}
	return nil
}

// decode gives a text without its byte order mark, in UTF-8 if it was UTF-16: then at most maxText bytes, and whether that is all.
func decode(text []byte) (decoded []byte, all bool) {
	const mark = "\xef\xbb\xbf"
	order := utf16Order(text)
	if order == nil {
		return bytes.TrimPrefix(text, []byte(mark)), true
	}
	decoded = make([]byte, 0, min(len(text)/2*3, maxText))
	for i := 0; i+1 < len(text); i += 2 {
		r := rune(order.Uint16(text[i:]))
		if utf16.IsSurrogate(r) && i+3 < len(text) {
			if pair := utf16.DecodeRune(r, rune(order.Uint16(text[i+2:]))); pair != utf8.RuneError {
				r, i = pair, i+2
			}
		}
		if len(decoded)+utf8.UTFMax > maxText {
			return bytes.TrimPrefix(decoded, []byte(mark)), false
		}
		decoded = utf8.AppendRune(decoded, r)
	}
	return bytes.TrimPrefix(decoded, []byte(mark)), true
}

// read looks into a text of size bytes, of which text is the start: as configuration when it is named so, as HTML or XML when it
// starts so, and else as JavaScript, whatever its name: JSON and stylesheets are close enough for what is searched for.
func (s *Scanner) read(at place, text []byte, size int64) {
	text, all := decode(text)
	s.work.bytes += int64(len(text))
	defer func() {
		if s.work.exhausted() {
			s.note(CheckUnreadText, at.value("text that takes too much work to read", 0))
		}
	}()
	name := at.name()
	base, ext := path.Base(name), extension(name)
	trimmed := bytes.TrimLeft(text, " \t\r\n\f")
	switch {
	case at.depth == 0 && isNativeFile(at.path):
		s.readNative(at, text, size)
		return
	case isSourceMap(text) && !markupNames[ext]: // a page shows its start as text, and runs the scripts behind it
		s.note(CheckSourceMap, at.value("source map", 0))
		if size <= maxText && all && json.Valid(text) || size > maxText && isData(trimmed) { // else it only looks like one, and may be run
			return
		}
	}
	s.readSettings(at, base, text)
	s.readCode(at, ext, text, trimmed)
	if (size > maxText || !all) && (markupNames[ext] || !isData(trimmed)) {
		s.note(CheckUnreadText, at.value(fmt.Sprintf("only %d of %d bytes were read", maxText, size), 0))
	}
}

// readCode looks into what pages run. Trimmed is the text without the blanks at its start.
func (s *Scanner) readCode(at place, ext string, text, trimmed []byte) {
	page := &page{scanner: s, place: at, found: s.found}
	markup := bytes.HasPrefix(trimmed, []byte("<"))
	if markup || markupNames[ext] {
		page.readHTML(text)
	}
	switch {
	case proseNames[ext]: // pages may run it all the same
		found := page.apart(func() { page.readPlain(text) })
		s.found.add(found)
	case !markup, bytes.HasPrefix(trimmed, []byte("<!--")), scriptNames[ext]:
		page.readScript(text)
	}
}

// readSettings looks into configuration.
func (s *Scanner) readSettings(at place, base string, text []byte) {
	switch {
	case isEnvironment(base, text):
		s.note(CheckEnvFile, at.value("settings", 0))
	case strings.HasPrefix(strings.ToLower(base), "capacitor.config."):
		s.readCapacitor(at, extension(base), text)
	case strings.EqualFold(base, "config.xml"), rootElement(text) == "widget":
		s.readCordova(at, text)
	}
}

// isData tells whether a text that is too long to be read as a whole is an object of JSON: a key behind { makes that no JavaScript.
// An array could be followed by anything.
func isData(text []byte) bool { return objectStart.Match(text[:min(len(text), headSize)]) }

var objectStart = regexp.MustCompile(`^\{[ \t\r\n]*"[^"\\\r\n]*"[ \t\r\n]*:`)
