// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// utf16 encodes ASCII text, little endian with its mark.
func utf16LE(s string) string {
	var b strings.Builder
	b.WriteString("\xff\xfe")
	for i := range len(s) {
		b.WriteByte(s[i])
		b.WriteByte(0)
	}
	return b.String()
}

func TestScriptOrigins(t *testing.T) {
	for name, tc := range map[string]struct {
		name, file string
		want       []string
	}{
		"script src":             {"a.html", `<script src="https://cdn.evil.io/x.js"></script>`, []string{"https://cdn.evil.io"}},
		"http, port, case":       {"a.html", `<SCRIPT SRC='HTTP://CDN.evil.io:8080/x.js'></SCRIPT>`, []string{"http://cdn.evil.io:8080"}},
		"no scheme":              {"a.html", `<script src=//cdn.evil.io/x.js></script>`, []string{"//cdn.evil.io"}},
		"user in the URL":        {"a.html", `<script src="https://good.io@evil.io/x.js"></script>`, []string{"https://evil.io"}},
		"two src":                {"a.html", `<script src="a.js" src="https://evil.io/x.js"></script>`, nil},
		"local":                  {"a.html", `<script src="assets/index-1a2b.js"></script>`, nil},
		"entities":               {"a.html", `<script src="https&#58;//evil.io/x.js"></script>`, []string{"https://evil.io"}},
		"in a comment":           {"a.html", `<!-- <script src="https://evil.io/x.js"></script> -->`, nil},
		"svg":                    {"a.svg", `<svg xmlns="http://www.w3.org/2000/svg"><script href="https://evil.io/x.js"/></svg>`, []string{"https://evil.io"}},
		"base":                   {"a.html", `<base href="https://evil.io/">`, []string{"https://evil.io"}},
		"modulepreload":          {"a.html", `<link rel=modulepreload href=https://evil.io/m.js>`, []string{"https://evil.io"}},
		"preconnect":             {"a.html", `<link rel=preconnect href=https://fonts.gstatic.com>`, nil},
		"import map":             {"a.html", `<script type="importmap">{"imports":{"x":"https:\/\/esm.evil.io/x"}}</script>`, []string{"https://esm.evil.io"}},
		"inline module":          {"a.html", `<script type=module>import x from "https://esm.evil.io/x"</script>`, []string{"https://esm.evil.io"}},
		"a template is no code":  {"a.html", `<script type="text/x-template">import x from "https://esm.evil.io/x"</script>`, nil},
		"handler":                {"a.html", `<p onclick="import('https://evil.io/x.js')">`, []string{"https://evil.io"}},
		"srcdoc":                 {"a.html", `<iframe srcdoc="<script src='https://evil.io/x.js'></script>">`, []string{"https://evil.io"}},
		"UTF-16":                 {"a.html", utf16LE(`<script src="https://evil.io/x.js"></script>`), []string{"https://evil.io"}},
		"byte order mark":        {"a", "\xef\xbb\xbf <script src='https://evil.io/x.js'></script>", []string{"https://evil.io"}},
		"import()":               {"a.js", `await import("https://evil.io/x.js")`, []string{"https://evil.io"}},
		"import() of a template": {"a.js", "import(`https://evil.io/${v}.js`)", []string{"https://evil.io"}},
		"import() with escapes":  {"a.js", `import("\x68ttps:\/\/evil.\u0069o/x.js")`, []string{"https://evil.io"}},
		"import, behind a note":  {"a.js", `import(/* @vite-ignore */ "https://evil.io/x.js")`, []string{"https://evil.io"}},
		"import statement":       {"a.mjs", `import "https://evil.io/x.js"`, []string{"https://evil.io"}},
		"export from":            {"a.mjs", `export * from"https://evil.io/x.js"`, []string{"https://evil.io"}},
		"importScripts":          {"a.js", `importScripts("a.js","https://evil.io/x.js")`, []string{"https://evil.io"}},
		"Worker":                 {"a.js", `new Worker("https://evil.io/w.js")`, []string{"https://evil.io"}},
		"Worker of a URL":        {"a.js", `new Worker(new URL("https://evil.io/w.js",import.meta.url))`, []string{"https://evil.io"}},
		"SharedWorker":           {"a.js", `new SharedWorker('https://evil.io/w.js')`, []string{"https://evil.io"}},
		"src of a script":        {"a.js", `s=document.createElement("script");s.src="https://evil.io/t.js?id=1"`, []string{"https://evil.io"}},
		"setAttribute":           {"a.js", `s.setAttribute("src","https://evil.io/gtag/js")`, []string{"https://evil.io"}},
		"src of anything":        {"a.js", `i.src="https://evil.io/pixel.gif"`, []string{"https://evil.io"}},
		"fetch":                  {"a.js", `fetch("https://api.good.io/")`, nil},
		"in a comment of code":   {"a.js", `// import("https://evil.io/x.js")` + "\n/* import('https://evil.io') */", nil},
		"in a string":            {"a.js", `'import("https://evil.io/x.js")'`, nil},
		"in a regexp, in doubt":  {"a.js", `x=/import("https:\/\/evil.io")/`, []string{"https://evil.io"}},
		"any name":               {"a.dat", `import("https://evil.io/x.js")`, []string{"https://evil.io"}},
		"a NUL in it":            {"a.js", "\"\x00\x00\x00\";import('https://evil.io/x.js')", []string{"https://evil.io"}},
		"packed":                 {"a.js.gz", "\x00", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "packed" {
				tc.file, tc.want = gzipped(t, `import("https://evil.io/x.js")`), []string{"https://evil.io"}
			}
			if diff := cmp.Diff(tc.want, values(t, CheckRemoteScript, tc.name, tc.file)); diff != "" {
				t.Errorf("remote-script (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCleartext(t *testing.T) {
	for name, tc := range map[string]struct {
		name, file string
		want       []string
	}{
		"literal":            {"a.js", `fetch("http://api.shop.io/v1")`, []string{"http://api.shop.io"}},
		"template":           {"a.js", "fetch(`http://api.shop.io:81/${x}`)", []string{"http://api.shop.io:81"}},
		"escapes":            {"a.json", `{"api":"http:\/\/api.shop.io"}`, []string{"http://api.shop.io"}},
		"websocket":          {"a.js", `new WebSocket("ws://push.shop.io")`, []string{"ws://push.shop.io"}},
		"address":            {"a.js", `"http://192.168.1.7:3000/"`, []string{"http://192.168.1.7:3000"}},
		"the device":         {"a.js", `"http://localhost:3000 http://127.0.0.1/ http://[::1]:80/ http://app.localhost/"`, nil},
		"namespaces":         {"a.js", `"http://www.w3.org/2000/svg","http://schemas.android.com/apk"`, nil},
		"examples":           {"a.js", `"http://example.com","http://a","http://foo.test/","http://x.example.org"`, nil},
		"no host":            {"a.js", "`http://${host}/`, 'http://', 'http://.'", nil},
		"https":              {"a.js", `"https://api.shop.io"`, nil},
		"another scheme":     {"a.js", `"xhttp://api.shop.io"`, nil},
		"comment":            {"a.js", "// see http://bugs.shop.io\n/*! http://license.shop.io */", nil},
		"image":              {"a.html", `<img src="http://img.shop.io/a.png">`, []string{"http://img.shop.io"}},
		"link that is click": {"a.html", `<a href="http://www.shop.io/">`, nil},
		"stylesheet":         {"a.html", `<link rel=stylesheet href="http://css.shop.io/a.css">`, []string{"http://css.shop.io"}},
		"prose":              {"LICENSE.txt", `"http://www.apache.org/licenses/"`, nil},
		"source map":         {"a.js.map", `{"version":3,"sources":["a"],"mappings":"","sourcesContent":["'http://api.shop.io'"]}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, values(t, CheckCleartextURL, tc.name, tc.file)); diff != "" {
				t.Errorf("cleartext-url (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDynamicCode(t *testing.T) {
	for name, tc := range map[string]struct {
		check, file string
		want        int32
	}{
		"eval":                 {CheckEval, `eval(x);window.eval(y);globalThis . eval(z)`, 3},
		"indirect eval":        {CheckEval, `(0,eval)(x)`, 1},
		"escaped eval":         {CheckEval, `\u0065val(x);ev\u{61}l(y)`, 2},
		"another eval":         {CheckEval, `parser.eval(x);evaluate(y);function eval(){}; "eval(x)"; // eval(x)`, 0},
		"eval behind a block":  {CheckEval, "x={}/1;y=`/;eval(x)`;z=/`/", 1},
		"eval, optional":       {CheckEval, "eval?.(x);window?.eval?.(y);window['eval'](z);self[`ev\x61l`](w)", 4},
		"eval behind CR":       {CheckEval, "//\reval(x)", 1},
		"eval behind U+2028":   {CheckEval, "//\u2028eval(x)\n//\u2029eval(y)", 2},
		"eval and a blank":     {CheckEval, "eval\u00a0(x);x=1\ufeffeval(y)", 2},
		"eval behind <!--":     {CheckEval, "<!-- `\neval(x)\n--> `", 1},
		"export a regexp":      {CheckEval, "export default /`/;eval(x)", 1},
		"spread a regexp":      {CheckEval, "f(...typeof/`/);eval(x)", 1},
		"break, then a regexp": {CheckEval, "while(1){break\n/`/;eval(x)}", 1},
		"string over CR LF":    {CheckEval, "'a\\\r\nb';eval(x)", 1},
		"eval behind division": {CheckEval, `a=b/c;eval(x);d=e/f`, 1},
		"eval behind regexp":   {CheckEval, `if(x)/["']/.test(y);eval(x)`, 1},
		"regexp with a slash":  {CheckEval, `x=/[/"]/;eval(x)`, 1},
		"return a regexp":      {CheckEval, "return/`/;eval(x)", 1},
		"postfix and division": {CheckEval, `i++/2;eval(x);j--/3`, 1},
		"template":             {CheckEval, "`a ${eval(x)} b ${`${eval(y)}`} eval(z)`;eval(w)", 3},
		"object in a template": {CheckEval, "`${{a:1}.a}`;eval(x)", 1},
		"string over lines":    {CheckEval, "'a\\\nb';eval(x)", 1},
		"broken string":        {CheckEval, "don't\neval(x)", 1},
		"hashbang":             {CheckEval, "#!/usr/bin/env node'\neval(x)", 1},
		"for await":            {CheckEval, `for await(x of y)/'/.test(x);eval(x)`, 1},
		"new Function":         {CheckFunction, `new Function("a","return a");Function("return this")()`, 2},
		"constructor":          {CheckFunction, `(()=>{}).constructor("return this")();class A{constructor(a){}}`, 1},
		"a function":           {CheckFunction, `function Function(){};a.Function()`, 0},
		"timer with text":      {CheckStringTimer, "setTimeout('go()',1);window.setInterval(`go()`,2)", 2},
		"timer":                {CheckStringTimer, "setTimeout(go,1);setTimeout(()=>{'x'},2)", 0},
		"document.write":       {CheckDocumentWrite, `document.write("<scr"+"ipt>");document.writeln(x)`, 2},
		"another write":        {CheckDocumentWrite, `stream.write(x);document.writer()`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			report := scan(t, "a.js", tc.file)
			var got int32
			if f := report.Finding(tc.check); f != nil {
				got = f.Count
			}
			if got != tc.want {
				t.Errorf("%s counted %d, want %d", tc.check, got, tc.want)
			}
		})
	}
}

func TestServiceWorker(t *testing.T) {
	got := values(t, CheckServiceWorker, "a.js", `navigator.serviceWorker.register("./sw.js",{scope:"/"});x.register("y")`)
	if diff := cmp.Diff([]string{"service worker ./sw.js"}, got); diff != "" {
		t.Errorf("service-worker (-want +got):\n%s", diff)
	}
}

func TestContentSecurityPolicy(t *testing.T) {
	page := func(policy string) string {
		return `<html><head><meta http-equiv="Content-Security-Policy" content="` + policy + `"></head><body></body></html>`
	}
	const strict = "default-src 'self'; "
	for name, tc := range map[string]struct {
		file string
		want []string
		csp  bool
	}{
		"strict":              {page("default-src 'self' 'wasm-unsafe-eval'; img-src https: data:"), nil, true},
		"unsafe-eval":         {page(strict + "script-src 'self' 'UNSAFE-eval'"), []string{"a.html: script-src 'unsafe-eval'", "a.html: worker-src 'unsafe-eval'"}, true},
		"of the default":      {page("default-src 'self' 'unsafe-eval'; worker-src 'self'; object-src 'none'"), []string{"a.html: script-src 'unsafe-eval'"}, true},
		"unsafe-inline":       {page(strict + "script-src 'unsafe-inline'; worker-src 'self'"), []string{"a.html: script-src 'unsafe-inline'"}, true},
		"inline with a nonce": {page(strict + "script-src 'unsafe-inline' 'nonce-abc'; worker-src 'self'"), nil, true},
		"inline for styles":   {page(strict + "style-src 'unsafe-inline'"), nil, true},
		"wildcards":           {page(strict + "script-src *; worker-src data:; connect-src *"), []string{"a.html: connect-src *", "a.html: script-src *", "a.html: worker-src data:"}, true},
		"schemes":             {page(strict + "script-src http: https:; worker-src 'self'; connect-src https:"), []string{"a.html: script-src http:", "a.html: script-src https:"}, true},
		"host":                {page(strict + "script-src 'self' https://cdn.io; worker-src 'self'"), []string{"a.html: script-src https://cdn.io"}, true},
		"host for elements":   {page(strict + "script-src-elem https://cdn.io; worker-src 'self'"), []string{"a.html: script-src-elem https://cdn.io"}, true},
		"nothing about code": {page("img-src 'self'"), []string{"a.html: connect-src anything", "a.html: frame-src anything", "a.html: object-src anything",
			"a.html: script-src anything", "a.html: worker-src anything"}, true},
		"empty list":         {page("default-src 'none'; script-src"), nil, true},
		"twice, first wins":  {page(strict + "script-src 'self'; script-src *"), nil, true},
		"none":               {`<html><head></head></html>`, nil, false},
		"in the body":        {`<html><body><meta http-equiv="Content-Security-Policy" content="default-src 'self'"></body></html>`, nil, false},
		"behind content":     {`<div></div><meta http-equiv="Content-Security-Policy" content="default-src 'self'">`, nil, false},
		"in noscript":        {`<head><noscript><meta http-equiv="Content-Security-Policy" content="default-src 'self'"></noscript></head>`, nil, false},
		"in a comment":       {`<head><!--<meta http-equiv="Content-Security-Policy" content="default-src 'self'">--></head>`, nil, false},
		"behind a script":    {`<head><script>x()</script><meta http-equiv="Content-Security-Policy" content="default-src 'self'"></head>`, []string{"a.html: scripts before the policy"}, true},
		"report only":        {`<head><meta http-equiv="Content-Security-Policy-Report-Only" content="default-src 'self'"></head>`, nil, false},
		"entities in policy": {page("default-src &#39;self&#39;"), nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			report := scan(t, "a.html", tc.file)
			var got []string
			if f := report.Finding(CheckCSPLoosened); f != nil {
				got = f.Values
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("csp-loosened (-want +got):\n%s", diff)
			}
			if f := report.Finding(CheckCSP); (f != nil) != tc.csp {
				t.Errorf("csp %v, want found: %v", f, tc.csp)
			}
		})
	}
}

func TestConfiguration(t *testing.T) {
	type findings map[string][]string
	for name, tc := range map[string]struct {
		name, file string
		want       findings
	}{
		"plain": {"capacitor.config.json", `{"appId":"io.x","server":{"androidScheme":"https"}}`, findings{}},
		"all": {
			"a/capacitor.config.json", `{"server":{"url":"http://10.0.0.5:8100","cleartext":true,"allowNavigation":["*.x.io","y.io"]},"android":{"allowMixedContent":true}}`,
			findings{
				CheckServerURL: {"http://10.0.0.5:8100"}, CheckAllowNavigation: {"*.x.io", "y.io"},
				CheckCleartextTraffic: {"android.allowmixedcontent: a/capacitor.config.json", "server.cleartext: a/capacitor.config.json"},
			},
		},
		"other letters": {"Capacitor.Config.json", `{"Server":{"URL":"https://x.io"}}`, findings{CheckServerURL: {"https://x.io"}}},
		"twice":         {"capacitor.config.json", `{"server":{"url":"https://x.io"},"server":{}}`, findings{CheckServerURL: {"https://x.io"}}},
		"off":           {"capacitor.config.json", `{"server":{"url":"","cleartext":false}}`, findings{}},
		"broken":        {"capacitor.config.json", `{"server":{"url":"https://x.io"`, findings{CheckServerURL: {"https://x.io"}, CheckConfigInvalid: {"cannot be read (EOF): capacitor.config.json"}}},
		"more":          {"capacitor.config.json", `{} {}`, findings{CheckConfigInvalid: {"cannot be read (there is more after its end): capacitor.config.json"}}},
		"deep":          {"capacitor.config.json", strings.Repeat("[", 100), findings{CheckConfigInvalid: {"cannot be read (it is too deep): capacitor.config.json"}}},
		"long":          {"capacitor.config.json", `{"a":"` + strings.Repeat("x", maxConfig) + `"}`, findings{CheckConfigInvalid: {"cannot be read (it is too long): capacitor.config.json"}}},
		"a program": {
			"capacitor.config.ts", "const config: CapacitorConfig = { appId: 'x', server: { url: 'https://x.io', cleartext: true, allowNavigation: ['y.io', 'z.io'], iosScheme: 'a' } };",
			findings{CheckServerURL: {"https://x.io"}, CheckAllowNavigation: {"y.io", "z.io"}, CheckCleartextTraffic: {"server.cleartext: capacitor.config.ts"}},
		},
		"Cordova": {
			"config.xml", `<?xml version="1.0"?><widget id="x" xmlns="http://www.w3.org/ns/widgets"><content src="https://x.io/"/><access origin="*"/><allow-navigation href="https://y.io/*"/></widget>`,
			findings{CheckServerURL: {"https://x.io/"}, CheckAllowNavigation: {"access *", "https://y.io/*"}},
		},
		"Cordova, local":  {"res/xml/c.xml", `<widget><content src="index.html"/></widget>`, findings{}},
		"Cordova, broken": {"config.xml", `<widget><content src="index.html"></widget>`, findings{CheckConfigInvalid: {"is no XML: config.xml"}}},
		"code that names": {"CAPInstanceDescriptor.swift", "let path = \"config.xml\" // <widget>", findings{}},
		"another file":    {"app.json", `{"server":{"url":"https://x.io"}}`, findings{}},
	} {
		t.Run(name, func(t *testing.T) {
			got := findings{}
			for _, f := range scan(t, tc.name, tc.file).Findings {
				if f.Check != CheckCleartextURL {
					got[f.Check] = f.Values
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

// A browser shows the start of a page as text, whatever it looks like, and runs the scripts behind it.
func TestPagesThatLookLikeData(t *testing.T) {
	evil := `<script>eval(1)</script><script src=https://evil.io/x.js></script>`
	for name, start := range map[string]string{
		"object": `{"a": 1 `, "source map": `{"version":3,"sources":[],"names":[],"mappings":"`,
	} {
		t.Run(name, func(t *testing.T) {
			if got := values(t, CheckRemoteScript, "index.html", start+evil+`"}`); len(got) != 1 {
				t.Errorf("remote scripts: got %q, want one", got)
			}
			if got := values(t, CheckUnreadText, "index.html", start+strings.Repeat(" ", maxText)+evil); len(got) != 1 {
				t.Errorf("unread text: got %q, want the page", got)
			}
		})
	}
}
