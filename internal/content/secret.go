// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// token is a secret that is known by how it starts.
type token struct {
	text string
	rare int
	kind string
	// rest matches what follows text. What comes before must be no letter, digit or underscore.
	rest string
}

// tokens are credentials of services whose format is public. Keys that are meant to be in apps are none of them: pk_live_ of Stripe,
// AIza of Google, anon of Supabase.
var tokens = []token{
	{text: "AKIA", kind: "AWS access key", rest: `[A-Z2-7]{16}`},
	{text: "ASIA", kind: "AWS access key", rest: `[A-Z2-7]{16}`},
	{text: "GOCSPX-", rare: 1, kind: "Google client secret", rest: `[A-Za-z0-9_-]{28}`},
	{text: "ya29.", rare: 1, kind: "Google access token", rest: `[A-Za-z0-9_-]{40,}`},
	{text: "AccountKey=", rare: 6, kind: "Azure storage key", rest: `[A-Za-z0-9+/]{86}==`},
	{text: "SharedAccessKey=", rare: 5, kind: "Azure shared access key", rest: `[A-Za-z0-9+/]{43}=`},
	{text: "ghp_", rare: 1, kind: "GitHub token", rest: `[A-Za-z0-9]{36}`},
	{text: "gho_", rare: 1, kind: "GitHub token", rest: `[A-Za-z0-9]{36}`},
	{text: "ghu_", rare: 1, kind: "GitHub token", rest: `[A-Za-z0-9]{36}`},
	{text: "ghs_", rare: 1, kind: "GitHub token", rest: `[A-Za-z0-9]{36}`},
	{text: "ghr_", rare: 1, kind: "GitHub token", rest: `[A-Za-z0-9]{36}`},
	{text: "github_pat_", rare: 5, kind: "GitHub token", rest: `[A-Za-z0-9]{22}_[A-Za-z0-9]{59}`},
	{text: "glpat-", kind: "GitLab token", rest: `[A-Za-z0-9_-]{20}`},
	{text: "xoxa-", kind: "Slack token", rest: `(?:[0-9]-)?[0-9]{8,}-[0-9A-Za-z-]{10,}`},
	{text: "xoxb-", kind: "Slack token", rest: `(?:[0-9]-)?[0-9]{8,}-[0-9A-Za-z-]{10,}`},
	{text: "xoxp-", kind: "Slack token", rest: `(?:[0-9]-)?[0-9]{8,}-[0-9A-Za-z-]{10,}`},
	{text: "xoxr-", kind: "Slack token", rest: `(?:[0-9]-)?[0-9]{8,}-[0-9A-Za-z-]{10,}`},
	{text: "xoxs-", kind: "Slack token", rest: `(?:[0-9]-)?[0-9]{8,}-[0-9A-Za-z-]{10,}`},
	{text: "hooks.slack.com/services/", rare: 13, kind: "Slack webhook", rest: `T[A-Z0-9]{8,}/B[A-Z0-9]{8,}/[A-Za-z0-9]{20,}`},
	{text: "sk_live_", rare: 1, kind: "Stripe secret key", rest: `[A-Za-z0-9]{16,}`},
	{text: "rk_live_", rare: 1, kind: "Stripe restricted key", rest: `[A-Za-z0-9]{16,}`},
	{text: "npm_", rare: 1, kind: "npm token", rest: `[A-Za-z0-9]{36}`},
	{text: "_authToken=", rare: 3, kind: "npm token", rest: `["']?[A-Za-z0-9_-]{20,}`},
	{text: "sb_secret_", rare: 1, kind: "Supabase secret key", rest: `[A-Za-z0-9_-]{20,}`},
}

// secretNeedles search for secrets and for maps of source code.
func secretNeedles() []needle {
	list := []needle{
		{text: "PRIVATE KEY", rare: 2, secret: true, test: privateKey},
		{text: "8Q~", secret: true, test: azureSecret},
		{text: "eyJ", secret: true, test: serviceRole},
		{text: "sourceMappingURL=data:", rare: 11, secret: true, test: inlineMap},
	}
	for _, t := range tokens {
		rest := regexp.MustCompile(`^` + t.rest + `(?:[^A-Za-z0-9]|$)`)
		list = append(list, needle{text: t.text, rare: t.rare, secret: true, test: func(_ *search, at spot) (string, string) {
			after := at.ahead[len(t.text):]
			if inWord(at.behind) || !rest.Match(after[:min(len(after), 512)]) || bytes.Contains(at.ahead[:min(len(at.ahead), 24)], []byte("EXAMPLE")) {
				return "", ""
			}
			return CheckCloudToken, t.kind
		}})
	}
	return list
}

func inWord(behind []byte) bool { return len(behind) > 0 && isWord(behind[len(behind)-1]) }

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// privateKey finds keys in PEM, also inside of string literals, where line ends are written as \n. Programs that read keys have the
// first line in them: so it takes a body as well.
func privateKey(_ *search, at spot) (check, kind string) {
	behind := at.behind[max(0, len(at.behind)-lookBehind):]
	begin := bytes.LastIndex(behind, []byte("-----BEGIN "))
	rest := at.ahead[len("PRIVATE KEY"):min(len(at.ahead), 1024)]
	rest = bytes.TrimPrefix(rest, []byte(" BLOCK"))
	if begin < 0 || !bytes.HasPrefix(rest, []byte("-----")) || bytes.IndexByte(behind[begin+11:], '-') >= 0 {
		return "", ""
	}
	rest, _, _ = bytes.Cut(rest[5:], []byte("-----"))
	body := 0
	for _, word := range bytes.FieldsFunc(rest, func(r rune) bool { return !isBase64(r) }) {
		if word = bytes.TrimPrefix(word, []byte("n")); len(word) >= 32 { // n: the rest of \n
			body += len(word)
		}
	}
	if body < 60 {
		return "", ""
	}
	return CheckPrivateKey, "PEM private key"
}

func isBase64(r rune) bool {
	return r == '+' || r == '/' || r == '=' || r < 0x80 && r != '_' && isWord(byte(r))
}

// azureSecret finds client secrets of Entra: three characters, a digit, Q~, and 34 more, of which the needle is 8Q~.
func azureSecret(_ *search, at spot) (check, kind string) {
	n, end := len(at.behind), 3+34
	if n < 3 || n > 3 && isAzure(at.behind[n-4]) || len(at.ahead) < end || len(at.ahead) > end && isAzure(at.ahead[end]) {
		return "", ""
	}
	for _, c := range slices.Concat(at.behind[n-3:], at.ahead[:end]) {
		if !isAzure(c) {
			return "", ""
		}
	}
	return CheckCloudToken, "Azure client secret"
}

func isAzure(c byte) bool { return isWord(c) || c == '.' || c == '~' || c == '-' }

const (
	maxJWTHeader = 256  // bytes, encoded
	maxJWTClaims = 2048 // bytes, encoded
)

// serviceRole finds JSON Web Tokens that say that they are for a server: Supabase's service_role passes every row level rule.
func serviceRole(_ *search, at spot) (check, kind string) {
	dot := bytes.IndexByte(at.ahead[:min(len(at.ahead), maxJWTHeader)], '.')
	if dot < 0 || inWord(at.behind) || !bytes.HasPrefix(at.ahead[dot+1:], []byte("eyJ")) {
		return "", ""
	}
	rest := at.ahead[dot+1:]
	end := bytes.IndexByte(rest[:min(len(rest), maxJWTClaims)], '.')
	if end < 0 {
		return "", ""
	}
	claims, err := base64.RawURLEncoding.DecodeString(string(rest[:end]))
	var of struct {
		Role string `json:"role"`
	}
	if err != nil || json.Unmarshal(claims, &of) != nil || !slices.Contains([]string{"service_role", "supabase_admin"}, of.Role) {
		return "", ""
	}
	return CheckCloudToken, "JWT of a service role"
}

var inlineMapRest = regexp.MustCompile(`^sourceMappingURL=data:application/json[^,"'\s]{0,64},(?:eyJ|%7[Bb]|\{)`)

func inlineMap(_ *search, at spot) (check, kind string) {
	if !inlineMapRest.Match(at.ahead[:min(len(at.ahead), 256)]) {
		return "", ""
	}
	return CheckSourceMap, "inline source map"
}

// derKeys are what follows the outer length in private keys and in PKCS #12 files.
var derKeys = []struct{ after, kind string }{
	{"\x02\x01\x00\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01", "private key"}, // PKCS #8, RSA
	{"\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01", "private key"},     // PKCS #8, EC P-256
	{"\x02\x01\x00\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01", "private key"},     // PKCS #8, EC P-384 and P-521
	{"\x02\x01\x00\x30\x05\x06\x03\x2b\x65", "private key"},                         // PKCS #8, Ed25519
	{"\x02\x01\x00\x02\x82", "private key"},                                         // PKCS #1
	{"\x02\x01\x01\x04\x20", "private key"},                                         // SEC 1, P-256
	{"\x02\x01\x01\x04\x30", "private key"},                                         // SEC 1, P-384
	{"\x02\x01\x03\x30", "PKCS #12 keystore"},
}

// keyFile is for keys and keystores in DER.
func keyFile(b []byte) string {
	if len(b) < 48 || b[0] != 0x30 {
		return ""
	}
	at := 2
	switch b[1] {
	case 0x80, 0x81, 0x82, 0x83, 0x84: // the length follows in so many bytes; 0x80: it is not known
		at += int(b[1] & 0x7f)
	default:
		if b[1] > 0x80 {
			return ""
		}
	}
	for _, k := range derKeys {
		if bytes.HasPrefix(b[at:], []byte(k.after)) {
			return k.kind
		}
	}
	return ""
}

// isEnvironment tells whether a file is one of settings that are given to servers, such as .env or .env.production: by name, since
// they have no other mark, and by at least one setting in it.
func isEnvironment(base string, text []byte) bool {
	base = strings.ToLower(base)
	if base != ".env" && !strings.HasPrefix(base, ".env.") {
		return false
	}
	for _, sample := range []string{".example", ".sample", ".template", ".dist"} {
		if strings.HasSuffix(base, sample) {
			return false
		}
	}
	return setting.Match(text)
}

var setting = regexp.MustCompile(`(?m)^\s*(?:export\s+)?[A-Za-z_][A-Za-z0-9_]*\s*=\s*\S`)

// isSourceMap holds a JSON text against what a source map must have (ECMA-426).
func isSourceMap(text []byte) bool {
	text = bytes.TrimPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte(")]}'"))
	text = bytes.TrimLeft(text, " \t\r\n")
	return len(text) > 0 && text[0] == '{' && bytes.Contains(text, []byte(`"version"`)) &&
		(bytes.Contains(text, []byte(`"mappings"`)) || bytes.Contains(text, []byte(`"sections"`))) &&
		(bytes.Contains(text, []byte(`"sources"`)) || bytes.Contains(text, []byte(`"sections"`)))
}
