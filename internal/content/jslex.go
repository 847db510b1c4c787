// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"bytes"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// tokenKind is what a token of JavaScript is.
type tokenKind uint8

const (
	endToken      tokenKind = iota
	wordToken               // identifiers, keywords, private names
	stringToken             // text is what is between the quotes, with its escapes
	templateToken           // a part of a template between ` ${ } and `
	otherToken              // one character of punctuation, or a number, or a regular expression (text is empty)
)

// jsToken is a token; text is a part of the source.
type jsToken struct {
	kind tokenKind
	char byte // of punctuation
	text []byte
}

// is tells whether the token is this character of punctuation.
func (t *jsToken) is(char byte) bool { return t.kind == otherToken && t.char == char }

// word tells whether the token is this word.
func (t *jsToken) word(w string) bool { return t.kind == wordToken && string(t.text) == w }

// jsLexer splits JavaScript into tokens (ECMA-262, section 12). It never fails: what is no JavaScript gives some tokens too. A slash
// starts a regular expression where no operand ends before it. Where only a parser could tell, the lexer says that it is unsure.
type jsLexer struct {
	src      []byte
	pos      int
	operand  bool // the last token ends an operand
	dotted   bool // the last token is a dot
	control  bool // the last token is a word that a condition in parentheses follows
	noRegexp int  // until here no regular expression ends
	sure     bool // that the last token ends an operand is beyond doubt
	unsure   bool // there was a slash, or the start of a comment of HTML, that webviews may read otherwise
	work     *work
	open     []byte // what is open: ( { [ as they are, 'c' for parentheses of a condition, '$' for ${ of a template
}

// charClass says how a token starts.
type charClass uint8

const (
	punctuation charClass = iota
	blank
	wordChar
	digit
	quote
)

var charClasses = func() (table [256]charClass) {
	for c := range table {
		switch {
		case isWord(byte(c)) || c == '$' || c == '\\' || c == '#' || c == '@' || c >= 0x80:
			table[c] = wordChar
		case c <= ' ':
			table[c] = blank
		}
		if c >= '0' && c <= '9' {
			table[c] = digit
		}
	}
	table['"'], table['\''] = quote, quote
	return table
}()

// next gives the next token; none when the work is too much.
func (l *jsLexer) next() jsToken {
	start := l.pos
	defer func() { l.work.spend(l.pos - start + 1) }()
	if l.work.exhausted() {
		return jsToken{}
	}
	for l.pos < len(l.src) {
		c := l.src[l.pos]
		switch charClasses[c] {
		case blank:
			l.pos++
		case wordChar:
			if n := blanks(l.src[l.pos:]); n > 0 {
				l.pos += n
				continue
			}
			return l.word()
		case digit:
			return l.number()
		case quote:
			return l.quoted(c)
		default:
			if c == '/' && l.comment() {
				continue
			}
			return l.punctuation(c)
		}
	}
	return jsToken{}
}

// ended notes what kind of token ended, and gives it.
func (l *jsLexer) ended(t jsToken, operand bool) jsToken {
	l.operand, l.dotted, l.control = operand, t.is('.'), false
	l.sure = operand && t.kind == otherToken && t.char == 0
	return t
}

func (l *jsLexer) word() jsToken {
	raw := l.pos
	text, end := wordAt(l.src, l.pos)
	l.pos = end
	operand, control := true, false
	if !l.dotted {
		operand, control = !beforeOperand(text), beforeCondition(text) || l.control && string(text) == "await"
	}
	sure := !l.dotted && !keywords[string(text)] && len(text) == end-raw
	t := l.ended(jsToken{kind: wordToken, text: text}, operand)
	l.control, l.sure = control, sure
	return t
}

// wordAt gives the word at a place, without its escapes, and where it ends.
func wordAt(src []byte, start int) (text []byte, end int) {
	escapes := false
	for end = start; end < len(src) && (charClasses[src[end]] == wordChar || charClasses[src[end]] == digit); end++ {
		switch c := src[end]; {
		case c == '\\':
			escapes = true
			if n := bytes.IndexByte(src[end:min(len(src), end+12)], '}'); n > 0 && bytes.HasPrefix(src[end:], []byte(`\u{`)) {
				end += n
			}
		case c >= 0x80 && blanks(src[end:]) > 0:
			return unescapeWord(src[start:end], escapes), end
		}
	}
	return unescapeWord(src[start:end], escapes), end
}

func unescapeWord(text []byte, escapes bool) []byte {
	if escapes {
		return unescape(text)
	}
	return text
}

// blanks gives the length of the blanks and line terminators that a text starts with (ECMA-262, sections 12.2 and 12.3).
func blanks(text []byte) int {
	n := 0
	for n < len(text) {
		if text[n] < 0x80 {
			if charClasses[text[n]] != blank {
				break
			}
			n++
			continue
		}
		r, size := utf8.DecodeRune(text[n:])
		if r != '\ufeff' && !unicode.Is(unicode.Z, r) {
			break
		}
		n += size
	}
	return n
}

// keywords are words that, other than names, need not end an operand: what a slash behind them is depends on more than them.
var keywords = func() map[string]bool {
	set := map[string]bool{}
	for word := range strings.FieldsSeq("break case catch class const continue debugger default delete do else enum export extends finally for " +
		"function if import in instanceof new return switch throw try typeof var void while with yield let static await async of get set") {
		set[word] = true
	}
	return set
}()

// beforeOperand tells whether a word is a keyword after which an operand follows.
func beforeOperand(word []byte) bool {
	if len(word) < 2 || len(word) > 10 {
		return false
	}
	switch string(word) {
	case "return", "typeof", "case", "in", "of", "delete", "void", "throw", "new", "instanceof", "else", "do", "yield", "await":
		return true
	}
	return false
}

func beforeCondition(word []byte) bool {
	switch string(word) {
	case "if", "while", "for", "with":
		return true
	}
	return false
}

func (l *jsLexer) number() jsToken {
	for ; l.pos < len(l.src) && (isWord(l.src[l.pos]) || l.src[l.pos] == '.'); l.pos++ {
	}
	return l.ended(jsToken{kind: otherToken}, true)
}

// quoted reads a string literal. It ends with its line at the latest, so that what is no string does not swallow the rest.
func (l *jsLexer) quoted(by byte) jsToken {
	start := l.pos + 1
	for l.pos = start; l.pos < len(l.src); l.pos++ {
		switch c := l.src[l.pos]; c {
		case by:
			l.pos++
			return l.ended(jsToken{kind: stringToken, text: l.src[start : l.pos-1]}, true)
		case '\n', '\r':
			return l.ended(jsToken{kind: stringToken, text: l.src[start:l.pos]}, true)
		case '\\':
			l.pos++ // also \ before the end of a line, which continues the string
			if bytes.HasPrefix(l.src[min(l.pos, len(l.src)):], []byte("\r\n")) {
				l.pos++
			}
		}
	}
	l.pos = len(l.src)
	return l.ended(jsToken{kind: stringToken, text: l.src[start:]}, true)
}

// template reads a part of a template, to its end or to ${.
func (l *jsLexer) template() jsToken {
	start := l.pos
	for ; l.pos < len(l.src); l.pos++ {
		switch l.src[l.pos] {
		case '`':
			l.pos++
			return l.ended(jsToken{kind: templateToken, text: l.src[start : l.pos-1]}, true)
		case '\\':
			l.pos++
		case '$':
			if l.pos+1 < len(l.src) && l.src[l.pos+1] == '{' {
				l.pos += 2
				l.open = append(l.open, '$')
				return l.ended(jsToken{kind: templateToken, text: l.src[start : l.pos-2]}, false)
			}
		}
	}
	l.pos = len(l.src)
	return l.ended(jsToken{kind: templateToken, text: l.src[start:]}, true)
}

// comment skips a comment, if there is one.
func (l *jsLexer) comment() bool {
	rest := l.src[l.pos:]
	switch {
	case bytes.HasPrefix(rest, []byte("//")):
		for ; l.pos < len(l.src) && lineEnd(l.src[l.pos:]) == 0; l.pos++ {
		}
		return true
	case bytes.HasPrefix(rest, []byte("/*")):
		if n := bytes.Index(rest[2:], []byte("*/")); n >= 0 {
			l.pos += n + 4
		} else {
			l.pos = len(l.src)
		}
		return true
	}
	return false
}

// doubt notes where webviews may read otherwise: a slash behind what is no plain operand, and what is a comment in some scripts only
// (ECMA-262, section B.1.1).
func (l *jsLexer) doubt(c byte) {
	rest := l.src[l.pos:]
	l.unsure = l.unsure || c == '/' && !l.sure || c == '<' && bytes.HasPrefix(rest, []byte("<!--")) || c == '-' && bytes.HasPrefix(rest, []byte("-->"))
}

func (l *jsLexer) punctuation(c byte) jsToken {
	l.doubt(c)
	if c == '/' && !l.operand && l.regexp() {
		return l.ended(jsToken{kind: otherToken}, true)
	}
	l.pos++
	t := jsToken{kind: otherToken, char: c}
	switch c {
	case '`':
		return l.template()
	case '(', '{', '[':
		if c == '(' && l.control {
			c = 'c'
		}
		l.open = append(l.open, c)
	case ')', ']', '}':
		return l.closing(t)
	case '+', '-':
		if l.pos < len(l.src) && l.src[l.pos] == c { // ++ and -- change nothing
			l.pos++
			return l.ended(t, l.operand)
		}
	}
	return l.ended(t, false)
}

// closing ends what was open: an operand, but for blocks and conditions. The end of ${} is followed by the rest of its template.
func (l *jsLexer) closing(t jsToken) jsToken {
	was := l.pop()
	if t.char == '}' && was == '$' {
		return l.template()
	}
	t = l.ended(t, t.char == ']' || t.char == ')' && was != 'c')
	l.sure = l.operand
	return t
}

func (l *jsLexer) pop() byte {
	if len(l.open) == 0 {
		return 0
	}
	was := l.open[len(l.open)-1]
	l.open = l.open[:len(l.open)-1]
	return was
}

// regexp skips a regular expression. It ends on its line, else there is none. That is remembered: later starts on the line differ from
// one that failed only in whether they are in a class, and so fail at the next bracket.
func (l *jsLexer) regexp() bool {
	class, start := false, l.pos
	i := start + 1
	defer func() { l.work.spend(i - start) }()
	for ; i < len(l.src); i++ {
		if lineEnd(l.src[i:]) > 0 {
			break
		}
		switch l.src[i] {
		case '\\':
			i++
			if i < len(l.src) && lineEnd(l.src[i:]) > 0 {
				i--
			}
		case '[', ']':
			if start < l.noRegexp {
				return false
			}
			class = l.src[i] == '['
		case '/':
			if class {
				continue
			}
			for i++; i < len(l.src) && isWord(l.src[i]); i++ { // flags
			}
			l.pos = i
			return true
		}
	}
	l.noRegexp = max(l.noRegexp, i)
	return false
}

// lineEnd gives the length of the line terminator that a text starts with (ECMA-262, section 12.3): 0 for none.
func lineEnd(text []byte) int {
	switch {
	case text[0] == '\n', text[0] == '\r':
		return 1
	case bytes.HasPrefix(text, []byte("\u2028")), bytes.HasPrefix(text, []byte("\u2029")):
		return 3
	}
	return 0
}

// unescape decodes what a literal or a name has escaped. What is no escape stays.
func unescape(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); {
		c := text[i]
		if c != '\\' || i+1 == len(text) {
			out, i = append(out, c), i+1
			continue
		}
		r, n := escaped(text[i+1:])
		out, i = utf8.AppendRune(out, r), i+1+n
	}
	return out
}

// escaped decodes what follows a backslash: the character, and how many bytes it takes.
func escaped(text []byte) (r rune, n int) {
	hex := func(digits []byte, n int) (rune, int) {
		v, err := strconv.ParseUint(string(digits), 16, 32)
		if err != nil || v > utf8.MaxRune {
			return rune(text[0]), 1
		}
		return rune(v), n
	}
	switch c := text[0]; {
	case c == 'x' && len(text) >= 3:
		return hex(text[1:3], 3)
	case c == 'u' && len(text) >= 3 && text[1] == '{':
		if end := bytes.IndexByte(text[:min(len(text), 10)], '}'); end > 0 {
			return hex(text[2:end], end+1)
		}
	case c == 'u' && len(text) >= 5:
		return hex(text[1:5], 5)
	case c == 'n':
		return '\n', 1
	}
	return utf8.DecodeRune(text)
}
