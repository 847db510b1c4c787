// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import "slices"

// Names of the checks. They are part of the API: Channels name them, and so do overrides.
const (
	CheckInspection       = "inspection"
	CheckNativeCode       = "native-code"
	CheckAppPackage       = "app-package"
	CheckNestedArchive    = "nested-archive"
	CheckScript           = "script"
	CheckBytecode         = "bytecode"
	CheckWasm             = "wasm"
	CheckHermes           = "hermes-bytecode"
	CheckServerURL        = "server-url"
	CheckCleartextTraffic = "cleartext-traffic"
	CheckAllowNavigation  = "allow-navigation"
	CheckConfigInvalid    = "config-invalid"
	CheckCSPLoosened      = "csp-loosened"
	CheckCSPRemoved       = "csp-removed"
	CheckRemoteScript     = "remote-script"
	CheckServiceWorker    = "service-worker"
	CheckCleartextURL     = "cleartext-url"
	CheckEval             = "eval"
	CheckFunction         = "function-constructor"
	CheckStringTimer      = "string-timer"
	CheckDocumentWrite    = "document-write"
	CheckUnreadText       = "unread-text"
	CheckPrivateKey       = "private-key"
	CheckCloudToken       = "cloud-token"
	CheckEnvFile          = "env-file"
	CheckSourceMap        = "source-map"
	CheckSizeGrowth       = "size-growth"
	CheckNativeBaseline   = "native-baseline"
	CheckNativeInvalid    = "native-dependencies-invalid"

	// CheckCSP is no check but a fact that csp-removed compares: the pages that have a Content Security Policy.
	CheckCSP = "csp"
)

// Judgement is how the findings of a check are judged.
type Judgement string

// Judgements.
const (
	AnyFinding Judgement = "Any"      // each finding counts
	NewValue   Judgement = "New"      // values count that the stable bundle does not have
	Increase   Judgement = "Increase" // counts when there is more of it than in the stable bundle
	Removed    Judgement = "Removed"  // counts when the stable bundle has what this one has not
	Growth     Judgement = "Growth"   // counts when the bundle is much larger than the stable one
	Baseline   Judgement = "Baseline" // counts when the installed app lacks what the bundle needs
	Unknown    Judgement = "Unknown"  // counts when it is not known what is in the bundle
)

// Check is one rule about content. docs/content-rules.md lists them all.
type Check struct {
	ID       string
	Severity Action // in the profile AppStores
	Judged   Judgement
	Since    int32  // the ruleset that it came with, in its present form
	Finds    string // what it looks for, and what its values are
	Reason   string // why it matters
	Source   string // who says so
	Remedy   string // what to do, after "found …, allowed …:"
}

// sources that several checks have in common.
const (
	bothStores = "Apple Developer Program License Agreement 3.3.1(B) and App Review Guideline 2.5.2; Google Play, Device and Network Abuse"
	apple252   = "Apple App Review Guideline 2.5.2; Google Play, Device and Network Abuse (code loaded at run time)"
	runTime    = "Google Play, Device and Network Abuse (interpreted code loaded at run time must not allow violations)"
	cwe798     = "CWE-798; OWASP MASVS-STORAGE"
)

// nativeGroup are the checks that the field nativeCode of a Channel decides on.
var nativeGroup = []string{CheckNativeCode, CheckAppPackage, CheckNestedArchive}

// Checks gives all checks, in the order of the manual.
func Checks() []Check { return slices.Clone(checks) }

// Known tells whether there is a check of this name.
func Known(check string) bool {
	return slices.ContainsFunc(checks, func(c Check) bool { return c.ID == check })
}

var checks = []Check{
	{
		ID: CheckInspection, Severity: Deny, Judged: Unknown, Since: 1,
		Finds:  "that nobody who is trusted looked into the artifact, or by rules that this version does not know",
		Reason: "what is not known cannot be allowed",
		Source: "Windlass: checks fail closed",
		Remedy: "give the manager the key of the app, or attach a signed inspection (kubectl windlass bundle inspect)",
	},
	{
		ID: CheckNativeCode, Severity: Deny, Judged: AnyFinding, Since: 1,
		Finds: "ELF, Mach-O and fat binaries, PE, dex and its kin, LLVM bitcode, static libraries, Java classes; at the start of a file or " +
			"behind something else",
		Reason: "stores forbid apps to load executable code from elsewhere; only code that an interpreter or a webview runs is exempt",
		Source: bothStores,
		Remedy: "take it out, and ship it with the app",
	},
	{
		ID: CheckAppPackage, Severity: Deny, Judged: AnyFinding, Since: 1,
		Finds:  "apk, aar, jar, ipa, macOS apps, frameworks and xcframeworks, by the files that they must have",
		Reason: "they are how executable code is shipped, and an app must not install other apps",
		Source: bothStores,
		Remedy: "take it out, and ship it with the app",
	},
	{
		ID: CheckNestedArchive, Severity: Deny, Judged: AnyFinding, Since: 1,
		Finds: "archives that cannot be looked into: deeper than two in one another, not canonical, encrypted, behind something else, or of " +
			"a format that is not opened (xz, bzip2, 7z, rar, lz4, lzip, cab, xar)",
		Reason: "native code could be in them",
		Source: "Windlass: checks fail closed",
		Remedy: "unpack it, or pack it as docs/archives.md says",
	},
	{
		ID: CheckScript, Severity: Warn, Judged: AnyFinding, Since: 1,
		Finds:  "files that start with #! and an interpreter",
		Reason: "code for another interpreter than the webview is exempt only while it does not bypass the rules of the store",
		Source: runTime,
		Remedy: "take it out",
	},
	{
		ID: CheckBytecode, Severity: Warn, Judged: AnyFinding, Since: 1,
		Finds:  "bytecode of Python, Lua, LuaJIT, Ruby, Dart and V8",
		Reason: "code that reviewers cannot read, for an interpreter that may trust it (Lua does not check it)",
		Source: runTime,
		Remedy: "ship its source, or take it out",
	},
	{
		ID: CheckWasm, Severity: Allow, Judged: AnyFinding, Since: 1,
		Finds:  "WebAssembly modules",
		Reason: "the webview runs them in its sandbox, as JavaScript: a fact, which a Channel may deny",
		Source: "Google Play, Device and Network Abuse (exempt: code in a virtual machine); Apple 3.3.1(B)",
		Remedy: "take it out",
	},
	{
		ID: CheckHermes, Severity: Allow, Judged: AnyFinding, Since: 1,
		Finds:  "bytecode of Hermes, which React Native runs",
		Reason: "interpreted, as JavaScript: a fact, which a Channel may deny, such as one of an app without Hermes",
		Source: "Google Play, Device and Network Abuse (exempt: code in an interpreter); Apple 3.3.1(B)",
		Remedy: "take it out",
	},
	{
		ID: CheckServerURL, Severity: Deny, Judged: NewValue, Since: 1,
		Finds:  "a configuration that makes the app start from a server: server.url of Capacitor, content of Cordova",
		Reason: "what the app does then is no longer in any bundle that was reviewed or signed",
		Source: apple252 + "; Capacitor's manual: not for production",
		Remedy: "take the setting out",
	},
	{
		ID: CheckCleartextTraffic, Severity: Deny, Judged: NewValue, Since: 1,
		Finds:  "a configuration that lets the webview load without encryption: server.cleartext, android.allowMixedContent",
		Reason: "anyone on the way can put code into the app",
		Source: "Google Play, Device and Network Abuse (code that introduces vulnerabilities); OWASP MASVS-NETWORK",
		Remedy: "take the setting out",
	},
	{
		ID: CheckAllowNavigation, Severity: Deny, Judged: NewValue, Since: 1,
		Finds:  "hosts that the webview itself may go to, with the app's bridge: allowNavigation of Capacitor, allow-navigation and access of Cordova",
		Reason: "pages of those hosts can call into the app",
		Source: apple252,
		Remedy: "take the host out, or open it in the system's browser",
	},
	{
		ID: CheckConfigInvalid, Severity: Deny, Judged: AnyFinding, Since: 1,
		Finds:  "a configuration of Capacitor or Cordova that cannot be read",
		Reason: "the app may read it otherwise",
		Source: "Windlass: checks fail closed",
		Remedy: "mend it",
	},
	{
		ID: CheckCSPLoosened, Severity: Deny, Judged: NewValue, Since: 1,
		Finds: "what the Content Security Policy of a page lets through: 'unsafe-eval', 'unsafe-inline', *, http:, data:, other hosts for code, " +
			"scripts before the policy",
		Reason: "scripts from elsewhere, or from input, could run in the app",
		Source: runTime + "; W3C CSP Level 3",
		Remedy: "make the policy as strict as that of the stable bundle",
	},
	{
		ID: CheckCSPRemoved, Severity: Deny, Judged: Removed, Since: 1,
		Finds:  "pages that had a Content Security Policy in the stable bundle, and have none now, or are gone",
		Reason: "scripts from elsewhere, or from input, could run in the app",
		Source: runTime + "; W3C CSP Level 3",
		Remedy: "put the policy back",
	},
	{
		ID: CheckRemoteScript, Severity: Deny, Judged: NewValue, Since: 1,
		Finds: "origins that scripts are loaded from: <script src>, <base>, import maps, import, importScripts, workers, .src and setAttribute " +
			"with the URL of a script",
		Reason: "code that is in no bundle introduces features that nobody reviewed or signed",
		Source: apple252,
		Remedy: "bundle the script",
	},
	{
		ID: CheckServiceWorker, Severity: Warn, Judged: NewValue, Since: 1,
		Finds:  "registrations of service workers",
		Reason: "they answer requests of the app from a cache of their own: an update, or its withdrawal, may not get through",
		Source: "W3C Service Workers",
		Remedy: "take it out of the build for apps",
	},
	{
		ID: CheckCleartextURL, Severity: Warn, Judged: NewValue, Since: 1,
		Finds:  "origins with http: and ws: in literals and attributes; not of the device itself, of XML namespaces, or for examples",
		Reason: "what is loaded from there can be read and changed on the way",
		Source: "OWASP MASVS-NETWORK; Apple, App Transport Security",
		Remedy: "use https",
	},
	{
		ID: CheckEval, Severity: Warn, Judged: Increase, Since: 1,
		Finds:  "calls of eval, direct and indirect",
		Reason: "they can run code that came from elsewhere",
		Source: runTime,
		Remedy: "do without it",
	},
	{
		ID: CheckFunction, Severity: Warn, Judged: Increase, Since: 1,
		Finds:  "functions that are made of text: Function(…), constructor(\"…\")",
		Reason: "they can run code that came from elsewhere",
		Source: runTime,
		Remedy: "do without it",
	},
	{
		ID: CheckStringTimer, Severity: Warn, Judged: Increase, Since: 1,
		Finds:  "setTimeout and setInterval with text instead of a function",
		Reason: "they can run code that came from elsewhere",
		Source: runTime,
		Remedy: "give a function",
	},
	{
		ID: CheckDocumentWrite, Severity: Warn, Judged: Increase, Since: 1,
		Finds:  "calls of document.write and writeln",
		Reason: "they can put scripts from elsewhere into the page",
		Source: runTime,
		Remedy: "do without it",
	},
	{
		ID: CheckUnreadText, Severity: Deny, Judged: AnyFinding, Since: 1,
		Finds:  "texts of more than 8 MiB that could be code: the rest of them was searched for native code and secrets only",
		Reason: "the checks of scripts did not see it all",
		Source: "Windlass: checks fail closed",
		Remedy: "split the file",
	},
	{
		ID: CheckPrivateKey, Severity: Deny, Judged: AnyFinding, Since: 1,
		Finds:  "private keys in PEM and DER, keystores (PKCS #12, Java)",
		Reason: "each user of the app can take them out of it",
		Source: cwe798,
		Remedy: "take it out, and count the key as leaked",
	},
	{
		ID: CheckCloudToken, Severity: Deny, Judged: AnyFinding, Since: 1,
		Finds: "tokens and secret keys of AWS, Google, Azure, GitHub, GitLab, Slack, Stripe, npm and Supabase, also JSON Web Tokens of a service " +
			"role; not keys that are meant to be in apps",
		Reason: "each user of the app can take them out of it",
		Source: cwe798,
		Remedy: "take it out, and replace the token",
	},
	{
		ID: CheckEnvFile, Severity: Warn, Judged: AnyFinding, Since: 1,
		Finds:  "settings of servers and builds: .env, .env.production and the like",
		Reason: "they tend to have secrets in them, and no app needs them",
		Source: cwe798,
		Remedy: "take it out",
	},
	{
		ID: CheckSourceMap, Severity: Warn, Judged: AnyFinding, Since: 1,
		Finds:  "source maps, as files or inline",
		Reason: "they show the source to each user of the app, and make it larger",
		Source: "CWE-540",
		Remedy: "build without them, or send them to your error tracker only",
	},
	{
		ID: CheckSizeGrowth, Severity: Warn, Judged: Growth, Since: 1,
		Finds:  "that the files have more than five times the size of those of the stable bundle",
		Reason: "it is rarely meant, and each device has to load it",
		Source: "Windlass",
		Remedy: "look at what came in",
	},
	{
		ID: CheckNativeBaseline, Severity: Deny, Judged: Baseline, Since: 1,
		Finds: "packages with native code that the update needs and the installed app lacks, or has in another version; also when the update does " +
			"not say what it needs, or a version or range cannot be compared",
		Reason: "the update would call what is not there",
		Source: "Windlass: nativeBaseline of the Channel",
		Remedy: "build against what is installed, or release the app first and raise the baseline",
	},
	{
		ID: CheckNativeInvalid, Severity: Deny, Judged: AnyFinding, Since: 1,
		Finds:  "a native-dependencies.json that cannot be read, or more than one",
		Reason: "it is not known then what the update needs of the installed app",
		Source: "Windlass: checks fail closed",
		Remedy: `write {"nativeDependencies": {"<package>": "<range>"}} into one file`,
	},
}
