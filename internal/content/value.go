// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode"
	"unicode/utf8"
)

// clean makes a value fit for status and terminals: printable, valid UTF-8 of at most maxValue bytes. Values that differ stay so.
func clean(value string) string {
	shown := strings.Map(func(r rune) rune {
		if r != utf8.RuneError && (r == ' ' || unicode.IsPrint(r)) {
			return r
		}
		return '?'
	}, value)
	if len(shown) <= maxValue && strings.Count(shown, "?") == strings.Count(value, "?") {
		return shown
	}
	sum := sha256.Sum256([]byte(value))
	end := " #" + hex.EncodeToString(sum[:4])
	return cut(shown, maxValue-len(end)) + end
}

// cut shortens a text to at most n bytes, at the start of a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
