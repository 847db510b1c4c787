// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"bytes"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// maxURL is how much of a URL is read: enough for any host.
const maxURL = 4 << 10

// remoteOrigin gives the origin of a URL that is not in the bundle: of http and https, also without a scheme as in //host/a.js. It is
// read as browsers do (WHATWG URL, section 4.4): without blanks before it and line ends in it, with \ for /, and with any number of
// slashes. data: is no origin, but nothing of the bundle either. It is empty for others.
func remoteOrigin(url []byte) string {
	text := strings.ReplaceAll(string(trimURL(url, maxURL)), `\`, "/")
	scheme, rest, found := strings.Cut(text, ":")
	switch scheme = strings.ToLower(scheme) + ":"; {
	case found && scheme == "data:":
		return scheme
	case found && (scheme == "https:" || scheme == "http:"):
	case strings.HasPrefix(text, "//"):
		scheme, rest = "", text
	default:
		return ""
	}
	host := authority([]byte(strings.TrimLeft(rest, "/")))
	if host == "" {
		return ""
	}
	return scheme + "//" + host
}

// trimURL takes away from the first bytes of a URL what browsers ignore: blanks and control characters before it, line ends and tabs.
func trimURL(url []byte, length int) []byte {
	url = bytes.TrimLeftFunc(url, func(r rune) bool { return r <= ' ' })
	return bytes.Map(func(r rune) rune {
		if r == '\t' || r == '\n' || r == '\r' {
			return -1
		}
		return r
	}, url[:min(len(url), length)])
}

// scriptURL gives the code that is in a javascript: URL.
func scriptURL(text []byte) (code []byte, ok bool) {
	const scheme = "javascript:"
	if start := trimURL(text[:min(len(text), maxURL)], maxURL); len(start) < len(scheme) || !bytes.EqualFold(start[:len(scheme)], []byte(scheme)) {
		return nil, false
	}
	code = trimURL(text, len(text))[len(scheme):]
	if decoded, err := url.PathUnescape(string(code)); err == nil {
		return []byte(decoded), true
	}
	return code, true
}

// authority gives host and port at the start of what follows the slashes of a URL, in small letters and without a user's name.
func authority(rest []byte) string {
	end := bytes.IndexFunc(rest, func(r rune) bool {
		return r < 0x80 && !isWord(byte(r)) && !strings.ContainsRune(".-:[]@%~*", r)
	})
	if end < 0 {
		end = len(rest)
	}
	host := string(rest[:end])
	host = host[strings.LastIndexByte(host, '@')+1:]
	return strings.ToLower(host)
}

// cleartextOrigin gives the origin of a URL that is loaded without encryption; empty where nothing is loaded from: names of XML
// namespaces, the device itself, names that are reserved for examples, and names without a dot, which tests have.
func cleartextOrigin(before, after []byte) string {
	var scheme string
	switch {
	case endsWithScheme(before, "http"):
		scheme = "http"
	case endsWithScheme(before, "ws"):
		scheme = "ws"
	default:
		return ""
	}
	host := authority(after)
	if host == "" {
		return ""
	}
	if name := hostname(host); !isPublic(name) || isNamespace(name) {
		return ""
	}
	return scheme + "://" + host
}

// endsWithScheme tells whether a text ends with a scheme, and not with a longer word.
func endsWithScheme(before []byte, scheme string) bool {
	n := len(before) - len(scheme)
	return n >= 0 && bytes.EqualFold(before[n:], []byte(scheme)) && (n == 0 || !isWord(before[n-1]))
}

// hostname is a host without its port and its final dot.
func hostname(host string) string {
	if strings.HasPrefix(host, "[") {
		name, _, _ := strings.Cut(host[1:], "]")
		return name
	}
	name, _, _ := strings.Cut(host, ":")
	return strings.TrimSuffix(name, ".")
}

// isPublic tells whether a name or address is of another machine.
func isPublic(name string) bool {
	if ip, err := netip.ParseAddr(name); err == nil {
		return !ip.IsLoopback() && !ip.IsUnspecified()
	}
	last := name[strings.LastIndexByte(name, '.')+1:]
	if len(last) == len(name) || len(last) < 2 || last[0] >= '0' && last[0] <= '9' {
		return false
	}
	if slices.Contains([]string{"localhost", "example", "invalid", "test"}, last) { // RFC 6761
		return false
	}
	return !slices.ContainsFunc(examples, func(e string) bool { return name == e || strings.HasSuffix(name, "."+e) })
}

// examples are names that RFC 2606 keeps for documents.
var examples = []string{"example.com", "example.net", "example.org"}

// isNamespace tells whether a host is one whose URLs name XML vocabularies and schemas: nothing loads them.
func isNamespace(name string) bool {
	return slices.ContainsFunc(namespaces, func(n string) bool { return name == n || strings.HasSuffix(name, "."+n) })
}

var namespaces = []string{
	"w3.org", "json-schema.org", "schema.org", "purl.org", "xmlns.com", "xml.org", "xmlsoap.org", "openxmlformats.org", "ogp.me",
	"schemas.microsoft.com", "schemas.android.com", "ns.adobe.com", "sodipodi.sourceforge.net", "inkscape.org", "opengis.net", "oasis-open.org",
	"rdfs.org", "relaxng.org", "docbook.org", "dublincore.org", "iptc.org",
}
