// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"bytes"
	"strconv"
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
// starts a regular expression where no operand ends before it. That is right but for code that divides what it would be senseless
// to divide: a block, a function, an object.
type jsLexer struct {
	src      []byte
	pos      int
	operand  bool // the last token ends an operand
	dotted   bool // the last token is a dot
	control  bool // the last token is a word that a condition in parentheses follows
	noRegexp int  // until here no regular expression ends
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
	return t
}

func (l *jsLexer) word() jsToken {
	start, escapes := l.pos, false
	for ; l.pos < len(l.src) && (charClasses[l.src[l.pos]] == wordChar || charClasses[l.src[l.pos]] == digit); l.pos++ {
		if l.src[l.pos] == '\\' {
			escapes = true
			if end := bytes.IndexByte(l.src[l.pos:min(len(l.src), l.pos+12)], '}'); end > 0 && bytes.HasPrefix(l.src[l.pos:], []byte(`\u{`)) {
				l.pos += end
			}
		}
	}
	text := l.src[start:l.pos]
	if escapes {
		text = unescape(text)
	}
	operand, control := true, false
	if !l.dotted {
		operand, control = !beforeOperand(text), beforeCondition(text) || l.control && string(text) == "await"
	}
	t := l.ended(jsToken{kind: wordToken, text: text}, operand)
	l.control = control
	return t
}

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
		case '\n':
			return l.ended(jsToken{kind: stringToken, text: l.src[start:l.pos]}, true)
		case '\\':
			l.pos++ // also \ before the end of a line, which continues the string
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
	var end string
	switch {
	case bytes.HasPrefix(rest, []byte("//")):
		end = "\n"
	case bytes.HasPrefix(rest, []byte("/*")):
		end = "*/"
	default:
		return false
	}
	if n := bytes.Index(rest[2:], []byte(end)); n >= 0 {
		l.pos += 2 + n + len(end)
	} else {
		l.pos = len(l.src)
	}
	return true
}

func (l *jsLexer) punctuation(c byte) jsToken {
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
	return l.ended(t, t.char == ']' || t.char == ')' && was != 'c')
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
