// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package api

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/windlass-dev/windlass/internal/testkit"
)

// a ruleCase changes the base object of a kind. An empty want means accepted.
type ruleCase struct {
	patch string // JSON merge patch, in YAML
	want  string // part of the server's message
}

const (
	wrongDuration  = "must be a duration such as 30s, 10m or 1h30m"
	wrongDecimal   = `must be a decimal number such as "0.02", without sign or exponent`
	wrongDigest    = "must be sha256: followed by 64 lower-case hexadecimal digits (sha256sum prints them)"
	wrongAppID     = "must be an app id such as com.example.shop: letters, digits and single . _ - between them"
	wrongVersion   = "must be a semantic version such as 2.4.1 or 2.5.0-rc.1, without a leading v and without +build metadata"
	wrongURL       = "must be an absolute http or https URL without user name and without a fragment"
	wrongEndpoint  = "must be a URL such as https://s3.example.com, without user name, path or query"
	wrongName      = "must be lower-case letters, digits and dashes"
	wrongWeight    = `must be a percentage from 0 to 100 with at most two decimals, such as 5 or "0.25"`
	wrongPercent   = `must be a percentage from 0 to 100 with at most two decimals, such as "5" or "0.25"`
	wrongSize      = "must be a size such as 50Mi or 2000000"
	wrongTag       = "keys must be language tags such as en or de-CH, and notes have at most 4000 characters"
	wrongChannel   = "the name of a Channel must be at most 63 lower-case letters, digits and dashes"
	wrongOrigin    = "must be an origin as browsers send it, such as https://app.example.com or capacitor://localhost"
	needsLimit     = "a telemetry metric needs a limit: set maxRate or maxIncrease"
	wrongSession   = "must be the ivSessionKey of capgo bundle encrypt --json: 16 bytes in base64, a colon, and 256, 384 or 512 bytes in base64"
	wrongChecksum  = "must be 512, 768 or 1024 lower-case hexadecimal digits, the checksum of capgo bundle encrypt --json: the SHA-256 of the archive is its input, not this"
	oldChecksum    = "must be hexadecimal: one in base64 is of the old form, which devices refuse with checksum_fail (Cap-go/CLI issue 470); run bundle encrypt --json of @capgo/cli 8.68 or newer"
	wrongKeyID     = "must be the first 20 characters of the body of the app's public key"
	needsEnvelope  = "mode Opaque needs sessionKey and checksum: take ivSessionKey and checksum of: capgo bundle encrypt --json"
	needsOpaque    = "sessionKey, checksum and keyID go with mode Opaque: set it, or remove them"
	needsThreshold = "a prometheus or web metric needs a limit: set thresholdRange with min, max or both"
	wantsThreshold = "maxRate, maxIncrease, confidence and minSamples are for telemetry metrics: a prometheus or web metric takes thresholdRange"
	wantsTests     = "thresholdRange and failureLimit are for prometheus and web metrics: a telemetry metric takes maxRate, maxIncrease and confidence"
	wantsIncrease  = "outcome Silent is held against the stable devices: set maxIncrease, and not maxRate"
	oneProvider    = "exactly one of the fields in [telemetry prometheus web] must be set"
	aboveZero      = "must be above 0: to offer nothing, set serving: Halted"
	wrongHook      = "must be a URL such as https://hooks.example.com/windlass, without user name or fragment"
)

var rules = map[string]map[string]ruleCase{
	"Repository": repositoryRules,
	"Bundle":     bundleRules,
	"Channel":    channelRules,
	"Rollout":    rolloutRules,
}

var repositoryRules = map[string]ruleCase{
	"endpoint with a port":          {patch: storage(`endpoint: "https://s3.example.com:9000/"`)},
	"endpoint with a path":          {patch: storage(`endpoint: https://s3.example.com/updates`), want: wrongEndpoint},
	"endpoint with a query":         {patch: storage(`endpoint: "https://s3.example.com?x=1"`), want: wrongEndpoint},
	"endpoint with a user":          {patch: storage(`endpoint: https://me:secret@s3.example.com`), want: wrongEndpoint},
	"endpoint of another scheme":    {patch: storage(`endpoint: s3://updates`), want: wrongEndpoint},
	"endpoint without a scheme":     {patch: storage(`endpoint: s3.example.com`), want: wrongEndpoint},
	"http":                          {patch: storage(`endpoint: http://s3.example.com`), want: "endpoint uses http: use https, or set insecure: Allowed if the network between manager and store is trusted"},
	"http denied":                   {patch: storage(`endpoint: http://s3.example.com, insecure: Denied`), want: "endpoint uses http"},
	"http allowed":                  {patch: storage(`endpoint: http://s3.example.com, insecure: Allowed`)},
	"https with http allowed":       {patch: storage(`insecure: Allowed`)},
	"bucket with dots":              {patch: storage(`bucket: my.updates-1`)},
	"bucket in upper case":          {patch: storage(`bucket: Updates`), want: "must be a bucket name: lower-case letters, digits, dots and dashes"},
	"bucket that ends in a dash":    {patch: storage(`bucket: updates-`), want: "must be a bucket name"},
	"prefix of folders":             {patch: storage(`prefix: teams/mobile_1.x`)},
	"prefix with leading slash":     {patch: storage(`prefix: /teams`), want: "must be a path such as mobile or teams/mobile: letters, digits, dots, dashes and underscores between single slashes"},
	"prefix with trailing slash":    {patch: storage(`prefix: teams/`), want: "must be a path such as mobile"},
	"prefix that climbs":            {patch: storage(`prefix: teams/../other`), want: "must be a path such as mobile"},
	"prefix that stands still":      {patch: storage(`prefix: ./teams`), want: "must be a path such as mobile"},
	"prefix with a double slash":    {patch: storage(`prefix: a//b`), want: "must be a path such as mobile"},
	"public URL":                    {patch: `spec: {delivery: {publicURL: "http://cdn.example.com"}}`},
	"public URL with a fragment":    {patch: `spec: {delivery: {publicURL: "https://cdn.example.com/#a"}}`, want: wrongURL},
	"public URL with a user":        {patch: `spec: {delivery: {publicURL: "https://me@cdn.example.com"}}`, want: wrongURL},
	"public URL that is relative":   {patch: `spec: {delivery: {publicURL: /downloads}}`, want: wrongURL},
	"public URL of another scheme":  {patch: `spec: {delivery: {publicURL: "ftp://example.com/x"}}`, want: wrongURL},
	"authority without a key":       {patch: authority(`{name: ci}`), want: "exactly one of the fields in [publicKey keyless] must be set"},
	"authority of both sorts":       {patch: authority(`{name: ci, publicKey: {inline: x}, ` + keyless("subject: me") + `}`), want: "exactly one of the fields in [publicKey keyless] must be set"},
	"authority by a ConfigMap":      {patch: authority(`{name: ci, publicKey: {configMapRef: {name: keys, key: ci.pub}}}`)},
	"authority in upper case":       {patch: authority(`{name: CI, publicKey: {inline: x}}`), want: wrongName},
	"authority that ends in a dash": {patch: authority(`{name: ci-, publicKey: {inline: x}}`), want: wrongName},
	"authority twice":               {patch: authority(`{name: ci, publicKey: {inline: x}}`, `{name: ci, publicKey: {inline: y}}`), want: "Duplicate value"},
	"key from nowhere":              {patch: authority(`{name: ci, publicKey: {}}`), want: "exactly one of the fields in [inline configMapRef] must be set"},
	"key from two places":           {patch: authority(`{name: ci, publicKey: {inline: x, configMapRef: {name: a, key: b}}}`), want: "exactly one of the fields in [inline configMapRef] must be set"},
	"subject":                       {patch: authority(`{name: ci, ` + keyless("subject: me") + `}`)},
	"anchored expression":           {patch: authority(`{name: ci, ` + keyless("subjectRegExp: ^https://example.com/.*$") + `}`)},
	"expression without start":      {patch: authority(`{name: ci, ` + keyless("subjectRegExp: https://example.com/.*$") + `}`), want: "must be anchored: start with ^ and end with $"},
	"expression without end":        {patch: authority(`{name: ci, ` + keyless("subjectRegExp: ^https://example.com/.*") + `}`), want: "must be anchored: start with ^ and end with $"},
	"no subject":                    {patch: authority(`{name: ci, ` + keyless("") + `}`), want: "exactly one of the fields in [subject subjectRegExp] must be set"},
	"two subjects":                  {patch: authority(`{name: ci, ` + keyless("subject: me, subjectRegExp: ^me$") + `}`), want: "exactly one of the fields in [subject subjectRegExp] must be set"},
	"key of an app":                 {patch: appKey(`{name: shop, app: com.example.shop, publicKey: {inline: x}}`)},
	"keys of one app":               {patch: appKey(`{name: old, app: com.example.shop, publicKey: {inline: x}}`, `{name: new, app: com.example.shop, publicKey: {configMapRef: {name: a, key: b}}}`)},
	"key of an app twice":           {patch: appKey(`{name: shop, app: a, publicKey: {inline: x}}`, `{name: shop, app: b, publicKey: {inline: y}}`), want: "Duplicate value"},
	"key of an app in upper case":   {patch: appKey(`{name: Shop, app: a, publicKey: {inline: x}}`), want: wrongName},
	"key of no app":                 {patch: appKey(`{name: shop, app: com..example, publicKey: {inline: x}}`), want: wrongAppID},
	"key of an app from nowhere":    {patch: appKey(`{name: shop, app: a, publicKey: {}}`), want: "exactly one of the fields in [inline configMapRef] must be set"},
	"expiry of a day":               {patch: `spec: {signing: {timestampExpiry: 24h}}`},
	"expiry in days":                {patch: `spec: {signing: {timestampExpiry: 7d}}`, want: wrongDuration},
	"retention that is composed":    {patch: `spec: {retention: {unreferencedAfter: 1h30m10s500ms}}`},
	"retention without a unit":      {patch: `spec: {retention: {unreferencedAfter: "720"}}`, want: wrongDuration},
	"floor":                         {patch: floors(`{app: com.example.shop, minVersion: 2.4.2, reason: CVE-2026-4711}`, `{app: other, minVersion: 0.0.1-rc.1}`)},
	"floor with a v":                {patch: floors(`{app: shop, minVersion: v2.4.2}`), want: wrongVersion},
	"floor with build":              {patch: floors(`{app: shop, minVersion: 2.4.2+7}`), want: wrongVersion},
	"floor of two parts":            {patch: floors(`{app: shop, minVersion: "12.44"}`), want: wrongVersion},
	"floor of no app":               {patch: floors(`{app: com..example, minVersion: 2.4.2}`), want: wrongAppID},
	"floor without an app":          {patch: floors(`{minVersion: 2.4.2}`), want: "app: Required value"},
	"floor without a version":       {patch: floors(`{app: shop}`), want: "minVersion: Required value"},
	"floor without a reason":        {patch: floors(`{app: shop, minVersion: 2.4.2, reason: ""}`), want: "should be at least 1 chars long"},
	"floor with a long reason":      {patch: floors(`{app: shop, minVersion: 2.4.2, reason: "` + strings.Repeat("x", 513) + `"}`), want: "Too long"},
	"floor twice":                   {patch: floors(`{app: shop, minVersion: 2.4.2}`, `{app: shop, minVersion: 1.0.0}`), want: "Duplicate value"},
	"no floors":                     {patch: floors(), want: "spec.floors in body should have at least 1 items"},
	"65 floors":                     {patch: floors(manyFloors(65)...), want: "Too many"},
	"active rollouts":               {patch: `spec: {maxActiveRollouts: 1000}`},
	"no active rollout":             {patch: `spec: {maxActiveRollouts: 0}`, want: "should be greater than or equal to 1"},
	"too many active rollouts":      {patch: `spec: {maxActiveRollouts: 1001}`, want: "should be less than or equal to 1000"},
	"active rollouts as a text":     {patch: `spec: {maxActiveRollouts: "3"}`, want: "must be of type integer"},
	"roots of a ConfigMap":          {patch: `spec: {signing: {rootConfigMapRef: {name: roots}}}`},
	"roots of a ConfigMap of none":  {patch: `spec: {signing: {rootConfigMapRef: {}}}`, want: "name: Required value"},
	"hash":                          {patch: authority(`{name: ci, hash: SHA384, publicKey: {inline: x}}`)},
	"hash that is weak":             {patch: authority(`{name: ci, hash: SHA1, publicKey: {inline: x}}`), want: `Unsupported value: "SHA1": supported values: "SHA256", "SHA384", "SHA512"`},
	"no transparency log":           {patch: authority(`{name: ci, ` + keyless("subject: me, transparencyLog: Optional") + `}`)},
	"log of another sort":           {patch: authority(`{name: ci, ` + keyless("subject: me, transparencyLog: Denied") + `}`), want: `Unsupported value: "Denied": supported values: "Required", "Optional"`},
	"provenance":                    {patch: authority(`{name: ci, publicKey: {inline: x}, provenance: {builderID: "https://b", sourceRepository: "https://r", ref: refs/heads/main}}`)},
	"provenance of any builder":     {patch: authority(`{name: ci, publicKey: {inline: x}, provenance: {ref: refs/heads/main}}`), want: "builderID: Required value"},
	"provenance of an empty ref":    {patch: authority(`{name: ci, publicKey: {inline: x}, provenance: {builderID: b, ref: ""}}`), want: "should be at least 1 chars long"},
	"provenance of a long ref":      {patch: authority(`{name: ci, publicKey: {inline: x}, provenance: {builderID: b, ref: "` + strings.Repeat("x", 257) + `"}}`), want: "Too long"},
	"no storage":                    {patch: `spec: {storage: null}`, want: "spec.storage: Required value"},
	"no trust":                      {patch: `spec: {trust: null}`, want: "spec.trust: Required value"},
	"trust in nobody":               {patch: `spec: {trust: {authorities: []}}`, want: "spec.trust.authorities in body should have at least 1 items"},
	"receiver":                      {patch: receiver(`name: ops, url: "https://hooks.example.com:8443/a?b=c", actions: [RolledBack]`)},
	"receiver without a path":       {patch: receiver(`name: ops, url: "http://hooks.default.svc"`)},
	"receiver in upper case":        {patch: receiver(`name: Ops, url: "https://hooks.example.com"`), want: wrongName},
	"receiver with a line feed":     {patch: receiver(`name: "ops\n", url: "https://hooks.example.com"`), want: wrongName},
	"receiver with a user":          {patch: receiver(`name: ops, url: "https://me@hooks.example.com"`), want: wrongHook},
	"receiver with a fragment":      {patch: receiver(`name: ops, url: "https://hooks.example.com/#a"`), want: wrongHook},
	"receiver of another scheme":    {patch: receiver(`name: ops, url: "ftp://hooks.example.com"`), want: wrongHook},
	"receiver without a host":       {patch: receiver(`name: ops, url: "https:///hook"`), want: wrongHook},
	"receiver of no action":         {patch: receiver(`name: ops, url: "https://hooks.example.com", actions: []`), want: "should have at least 1 items"},
	"receiver of an action twice":   {patch: receiver(`name: ops, url: "https://hooks.example.com", actions: [Paused, Paused]`), want: "Duplicate value"},
	"receiver without a Secret":     {patch: `spec: {notifications: [{name: ops, url: "https://hooks.example.com"}]}`, want: "secretRef: Required value"},
	"receivers of one name":         {patch: receiver(`name: ops, url: "https://a.example.com"`, `name: ops, url: "https://b.example.com"`), want: "Duplicate value"},
	"no receiver":                   {patch: `spec: {notifications: []}`, want: "should have at least 1 items"},
	"nine receivers":                {patch: receiver(slices.Repeat([]string{`name: a, url: "https://a.example.com"`}, 9)...), want: "must have at most 8 items"},
}

var bundleRules = map[string]ruleCase{
	"app with one word":           {patch: `spec: {app: shop}`},
	"app with all signs":          {patch: `spec: {app: com.Example_1.shop-x}`},
	"app that ends in a dot":      {patch: `spec: {app: com.example.}`, want: wrongAppID},
	"app with a slash":            {patch: `spec: {app: com/example}`, want: wrongAppID},
	"app with two dots":           {patch: `spec: {app: com..example}`, want: wrongAppID},
	"version before release":      {patch: `spec: {version: 2.5.0-rc.1}`},
	"version of zeros":            {patch: `spec: {version: 0.0.0}`},
	"version with a v":            {patch: `spec: {version: v2.4.1}`, want: wrongVersion},
	"version with build":          {patch: `spec: {version: 2.4.1+7}`, want: wrongVersion},
	"version of two parts":        {patch: `spec: {version: "12.44"}`, want: wrongVersion},
	"beta with a leading zero":    {patch: `spec: {version: 2.4.1-rc.01}`, want: wrongVersion},
	"version with a leading zero": {patch: `spec: {version: 2.04.1}`, want: wrongVersion},
	"version with an empty part":  {patch: `spec: {version: 2.4.1-rc..1}`, want: wrongVersion},
	"digest in upper case":        {patch: `spec: {digest: "sha256:9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08"}`, want: wrongDigest},
	"digest of another kind":      {patch: `spec: {digest: "sha512:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}`, want: wrongDigest},
	"digest without a kind":       {patch: `spec: {digest: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a080000000"}`, want: wrongDigest},
	"source of none":              {patch: `spec: {source: {http: null}}`, want: "exactly one of the fields in [http s3 oci] must be set"},
	"source of two":               {patch: `spec: {source: {s3: {endpoint: "https://s3.example.com", bucket: abc, key: k}}}`, want: "exactly one of the fields in [http s3 oci] must be set"},
	"source over http":            {patch: `spec: {source: {http: {url: "http://ci.example.com/a.zip?x=1&y=2"}}}`},
	"source with a fragment":      {patch: `spec: {source: {http: {url: "https://ci.example.com/a.zip#b"}}}`, want: wrongURL},
	"source with a password":      {patch: `spec: {source: {http: {url: "https://me:secret@ci.example.com/a.zip"}}}`, want: wrongURL},
	"source of a file":            {patch: `spec: {source: {http: {url: "file:///etc/passwd"}}}`, want: wrongURL},
	"s3":                          {patch: `spec: {source: {http: null, s3: {endpoint: "https://s3.example.com", bucket: abc, key: a/b c.zip}}}`},
	"s3 with a path":              {patch: `spec: {source: {http: null, s3: {endpoint: "https://s3.example.com/abc", bucket: abc, key: k}}}`, want: wrongEndpoint},
	"image by digest":             {patch: `spec: {source: {http: null, oci: {image: "registry.example.com/a/b@` + aDigest + `"}}}`},
	"image by tag":                {patch: `spec: {source: {http: null, oci: {image: "registry.example.com/a/b:1.0"}}}`, want: "must name the image by digest: registry/repository@sha256:..."},
	"signature of nothing":        {patch: `spec: {signatures: [{}]}`, want: "exactly one of the fields in [inline url attached] must be set"},
	"signature twice":             {patch: `spec: {signatures: [{inline: MEUCIQDKZokqnCjrRtw5YXE=, url: "https://ci.example.com/a.sig"}]}`, want: "exactly one of the fields in [inline url attached] must be set"},
	"signature by URL":            {patch: `spec: {signatures: [{url: "https://ci.example.com/a.sig"}]}`},
	"signature in lines":          {patch: `spec: {signatures: [{inline: "MEUCIQDKZokqnCjr\nRtw5YXE=\n"}]}`},
	"signature that is hex":       {patch: `spec: {signatures: [{inline: "30:45:02:21:00:ca:66"}]}`, want: "must be base64"},
	"signature of a bundle":       {patch: `spec: {signatures: [{inline: "` + strings.Repeat("A", 65536) + `"}]}`},
	"signature of a novel":        {patch: `spec: {signatures: [{inline: "` + strings.Repeat("A", 65537) + `"}]}`, want: "Too long: may not be more than 65536"},
	"signatures of an image":      {patch: `spec: {source: {http: null, oci: {image: "registry.example.com/a/b@` + aDigest + `"}}, signatures: [{attached: Cosign}]}`},
	"signatures of no image":      {patch: `spec: {signatures: [{attached: Cosign}]}`, want: "attached signatures are those of an image: use source.oci, or name the signature by inline or url"},
	"signatures of another tool":  {patch: `spec: {source: {http: null, oci: {image: "registry.example.com/a/b@` + aDigest + `"}}, signatures: [{attached: Notation}]}`, want: `Unsupported value: "Notation": supported values: "Cosign"`},
	"image without a digest":      {patch: `spec: {source: {http: null, oci: {image: registry.example.com/a/b}}}`, want: "must name the image by digest"},
	"attestation":                 {patch: `spec: {attestations: [{inline: eyJtZWRpYVR5cGUiOiJ4In0=}, {url: "https://ci.example.com/a.json"}]}`},
	"attestation of nothing":      {patch: `spec: {attestations: [{}]}`, want: "exactly one of the fields in [inline url] must be set"},
	"attestation twice":           {patch: `spec: {attestations: [{inline: eyJtZWRpYVR5cGUiOiJ4In0=, url: "https://ci.example.com/a.json"}]}`, want: "exactly one of the fields in [inline url] must be set"},
	"attestation that is JSON":    {patch: `spec: {attestations: [{inline: '{"mediaType":"x"}'}]}`, want: "must be base64"},
	"attestation of a word":       {patch: `spec: {attestations: [{inline: eyJt}]}`, want: "should be at least 16 chars long"},
	"attestation of a novel":      {patch: `spec: {attestations: [{inline: "` + strings.Repeat("A", 131073) + `"}]}`, want: "Too long: may not be more than 131072"},
	"attestation of a file":       {patch: `spec: {attestations: [{url: "file:///a.json"}]}`, want: wrongURL},
	"no attestations":             {patch: `spec: {attestations: []}`, want: "spec.attestations in body should have at least 1 items"},
	"five attestations":           {patch: `spec: {attestations: [` + strings.Repeat(`{url: "https://ci.example.com/a.json"}, `, 5) + `]}`, want: "Too many: 5: must have at most 4 items"},
	"native dependencies":         {patch: `spec: {nativeDependencies: {packages: [{name: "@capacitor/camera", version: ^6.1.0}, {name: lidar}]}}`},
	"native dependencies of none": {patch: `spec: {nativeDependencies: {}}`},
	"native dependency twice":     {patch: `spec: {nativeDependencies: {packages: [{name: a}, {name: a, version: "1"}]}}`, want: "Duplicate value"},
	"native dependency unnamed":   {patch: `spec: {nativeDependencies: {packages: [{version: "1"}]}}`, want: "name: Required value"},
	"native dependency of a name": {patch: `spec: {nativeDependencies: {packages: [{name: ` + strings.Repeat("a", 215) + `}]}}`, want: "Too long: may not be more than 214"},
	"native dependency of a tale": {patch: `spec: {nativeDependencies: {packages: [{name: a, version: "` + strings.Repeat("1", 129) + `"}]}}`, want: "Too long: may not be more than 128"},
	"no signature":                {patch: `spec: {signatures: []}`, want: "spec.signatures in body should have at least 1 items"},
	"no signatures field":         {patch: `spec: {signatures: null}`, want: "spec.signatures: Required value"},
	"platforms":                   {patch: `spec: {compatibility: {platforms: [ios, android, electron, linux, windows, macos, web]}}`},
	"platform of another time":    {patch: `spec: {compatibility: {platforms: [symbian]}}`, want: "Unsupported value"},
	"platform twice":              {patch: `spec: {compatibility: {platforms: [ios, ios]}}`, want: "Duplicate value"},
	"notes":                       {patch: `spec: {releaseNotes: {en: a, de-CH: b, zh-Hans-CN: c}}`},
	"notes in no language":        {patch: `spec: {releaseNotes: {English: a}}`, want: wrongTag},
	"notes of no language":        {patch: `spec: {releaseNotes: {}}`, want: "should have at least 1 properties"},
	"encryption by CI":            {patch: encryption(`mode: Opaque`, session, sum)},
	"encryption with a key id":    {patch: encryption(`mode: Opaque`, session, sum, `keyID: MIIBCgKCAQEAs9u4ZBdB`)},
	"encryption with 3072 bits":   {patch: encryption(`mode: Opaque`, sessionOf(512, ""), sumOf(768))},
	"encryption with 4096 bits":   {patch: encryption(`mode: Opaque`, sessionOf(683, "="), sumOf(1024))},
	"encryption with 1024 bits":   {patch: encryption(`mode: Opaque`, sessionOf(171, "="), sum), want: wrongSession},
	"encryption without a vector": {patch: encryption(`mode: Opaque`, `sessionKey: `+strings.Repeat("A", 342)+`==`, sum), want: wrongSession},
	"encryption of a line more":   {patch: encryption(`mode: Opaque`, strings.Replace(session, `=="`, `==\n"`, 1), sum), want: wrongSession},
	"encryption with no session":  {patch: encryption(`mode: Opaque`, sum), want: needsEnvelope},
	"encryption with no checksum": {patch: encryption(`mode: Opaque`, session), want: needsEnvelope},
	"encryption with half a mode": {patch: encryption(session, sum), want: "spec.encryption.mode: Required value"},
	"checksum of the old form":    {patch: encryption(`mode: Opaque`, session, `checksum: `+strings.Repeat("A", 342)+`==`), want: oldChecksum},
	"checksum of the archive":     {patch: encryption(`mode: Opaque`, session, sumOf(64)), want: wrongChecksum},
	"checksum in upper case":      {patch: encryption(`mode: Opaque`, session, `checksum: `+strings.Repeat("A", 512)), want: wrongChecksum},
	"checksum of a digit more":    {patch: encryption(`mode: Opaque`, session, sumOf(513)), want: wrongChecksum},
	"checksum in the clear":       {patch: encryption(`mode: None`, sum), want: needsOpaque},
	"session key in the clear":    {patch: encryption(`mode: None`, session), want: needsOpaque},
	"key id of recipients":        {patch: encryption(`mode: Recipients`, `keyID: MIIBCgKCAQEAs9u4ZBdB`), want: needsOpaque},
	"key id that is short":        {patch: encryption(`mode: Opaque`, session, sum, `keyID: MIIB`), want: wrongKeyID},
	"key id of another alphabet":  {patch: encryption(`mode: Opaque`, session, sum, `keyID: MIIBCgKCAQEAs9u4-Bd_`), want: wrongKeyID},
	"encryption of recipients":    {patch: `spec: {encryption: {mode: Recipients}}`},
	"encryption of another kind":  {patch: `spec: {encryption: {mode: rot13}}`, want: "Unsupported value"},
	"revoked from the start":      {patch: `spec: {revoked: leaked}`},
}

// What an encrypted bundle has, for keys of 2048 bits.
var (
	session = sessionOf(342, "==")
	sum     = sumOf(512)
)

func sessionOf(letters int, padding string) string {
	return `sessionKey: "` + strings.Repeat("A", 22) + "==:" + strings.Repeat("A", letters) + padding + `"`
}

func sumOf(digits int) string { return `checksum: "` + strings.Repeat("a", digits) + `"` }

func encryption(fields ...string) string {
	return "spec: {encryption: {" + strings.Join(fields, ", ") + "}}"
}

const aDigest = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

var channelRules = map[string]ruleCase{
	"name with dashes":           {patch: `metadata: {name: beta-2}`},
	"name of 63":                 {patch: `metadata: {name: ` + strings.Repeat("a", 63) + `}`},
	"name of 64":                 {patch: `metadata: {name: ` + strings.Repeat("a", 64) + `}`, want: wrongChannel + ": it names the channel to devices"},
	"name with a dot":            {patch: `metadata: {name: beta.2}`, want: wrongChannel},
	"app with a space":           {patch: `spec: {app: "com example"}`, want: wrongAppID},
	"no app":                     {patch: `spec: {app: null}`, want: "spec.app: Required value"},
	"private":                    {patch: `spec: {visibility: Private, selfAssignment: Allowed}`},
	"secret":                     {patch: `spec: {visibility: Secret}`, want: `Unsupported value: "Secret": supported values: "Public", "Private"`},
	"self-assignment":            {patch: `spec: {selfAssignment: Allowed}`},
	"origin":                     {patch: origin(`https://app-1.example.com`)},
	"origin with a port":         {patch: origin(`https://app.example.com:8443`)},
	"origin of Capacitor":        {patch: origin(`capacitor://localhost`)},
	"origin of Ionic":            {patch: origin(`ionic://localhost`)},
	"origin of Capacitor's old":  {patch: origin(`http://localhost`)},
	"origin of a dev server":     {patch: origin(`http://localhost:8100`)},
	"origin over http":           {patch: origin(`http://app.example.com`), want: wrongOrigin},
	"origin like localhost":      {patch: origin(`http://localhost.example.com`), want: wrongOrigin},
	"origin with a path":         {patch: origin(`https://app.example.com/`), want: wrongOrigin},
	"origin with a wildcard":     {patch: origin(`https://*.example.com`), want: wrongOrigin},
	"origin of all":              {patch: origin(`https://*`), want: wrongOrigin},
	"origin of nobody":           {patch: origin(`null-null`), want: wrongOrigin},
	"origin in upper case":       {patch: origin(`https://App.example.com`), want: wrongOrigin},
	"origin with a user":         {patch: origin(`https://me@example.com`), want: wrongOrigin},
	"origin of a file":           {patch: origin(`file://localhost`), want: wrongOrigin},
	"origin with its own port":   {patch: origin(`https://app.example.com:443`), want: wrongOrigin},
	"origin on http's own port":  {patch: origin(`http://localhost:80`), want: wrongOrigin},
	"origin on port 0":           {patch: origin(`https://app.example.com:0`), want: wrongOrigin},
	"origin that ends in a dot":  {patch: origin(`https://app.example.com.`), want: wrongOrigin},
	"origin with a line":         {patch: origin(`https://app.example.com\n`), want: wrongOrigin},
	"origin twice":               {patch: `spec: {allowedOrigins: ["https://a.example", "https://a.example"]}`, want: "Duplicate value"},
	"halted":                     {patch: `spec: {serving: Halted}`},
	"serving as a boolean":       {patch: `spec: {serving: true}`, want: "spec.serving in body must be of type string"},
	"builds":                     {patch: `spec: {audience: {builds: [Production, Development, Emulator, Device]}}`},
	"builds of another kind":     {patch: `spec: {audience: {builds: [Nightly]}}`, want: "Unsupported value"},
	"builds of none":             {patch: `spec: {audience: {builds: []}}`, want: "should have at least 1 items"},
	"jump of none":               {patch: `spec: {guards: {autoUpdate: None}}`},
	"jump of all":                {patch: `spec: {guards: {autoUpdate: Major}}`},
	"jump in lower case":         {patch: `spec: {guards: {autoUpdate: minor}}`, want: "Unsupported value"},
	"below native":               {patch: `spec: {guards: {belowNative: Allowed}}`},
	"floor":                      {patch: `spec: {guards: {floor: 2.1.0-beta}}`},
	"floor that is a range":      {patch: `spec: {guards: {floor: ">=2.1.0"}}`, want: wrongVersion},
	"size in bytes":              {patch: `spec: {admission: {content: {maxSize: "52428800"}}}`},
	"size in Mi":                 {patch: `spec: {admission: {content: {maxSize: 50Mi}}}`},
	"size as a number":           {patch: `spec: {admission: {content: {maxSize: 52428800}}}`, want: "must be of type string"},
	"size of zero":               {patch: `spec: {admission: {content: {maxSize: 0Mi}}}`, want: wrongSize},
	"size in MB":                 {patch: `spec: {admission: {content: {maxSize: 50MB}}}`, want: wrongSize},
	"content without a rule":     {patch: `spec: {admission: {content: {}}}`, want: "should have at least 1 properties"},
	"profile":                    {patch: content(`profile: AppStores`)},
	"profile of none":            {patch: content(`profile: None`)},
	"profile of a store":         {patch: content(`profile: AppStore`), want: `Unsupported value: "AppStore": supported values: "None", "AppStores"`},
	"check":                      {patch: content(`checks: [{name: remote-script, action: Warn}, {name: native-code, action: Allow}, {name: x, action: Deny}]`)},
	"check in upper case":        {patch: content(`checks: [{name: Remote, action: Warn}]`), want: "must be the name of a check, such as remote-script: see docs/content-rules.md"},
	"check with a space":         {patch: content(`checks: [{name: remote script, action: Warn}]`), want: "must be the name of a check"},
	"check that ends in a dash":  {patch: content(`checks: [{name: remote-, action: Warn}]`), want: "must be the name of a check"},
	"check twice":                {patch: content(`checks: [{name: a, action: Warn}, {name: a, action: Deny}]`), want: "Duplicate value"},
	"check without an action":    {patch: content(`checks: [{name: a}]`), want: "action: Required value"},
	"check with another action":  {patch: content(`checks: [{name: a, action: Ignore}]`), want: `Unsupported value: "Ignore": supported values: "Deny", "Warn", "Allow"`},
	"checks of none":             {patch: content(`checks: []`), want: "should have at least 1 items"},
	"native code":                {patch: content(`nativeCode: Allowed`)},
	"native code, perhaps":       {patch: content(`nativeCode: Sometimes`), want: "Unsupported value"},
	"baseline of nothing":        {patch: content(`nativeBaseline: {}`)},
	"baseline":                   {patch: content(`nativeBaseline: {packages: [{name: "@capacitor/camera", version: 6.1.0}]}`)},
	"baseline of a range":        {patch: content(`nativeBaseline: {packages: [{name: a, version: ^6.1.0}]}`), want: wrongVersion},
	"baseline without a version": {patch: content(`nativeBaseline: {packages: [{name: a}]}`), want: "version: Required value"},
	"baseline twice":             {patch: content(`nativeBaseline: {packages: [{name: a, version: 1.0.0}, {name: a, version: 2.0.0}]}`), want: "Duplicate value"},
	"quorum":                     {patch: quorum(`{required: 2, authorities: [anna, ben, carla]}`)},
	"quorum of all":              {patch: quorum(`{required: 2, authorities: [anna, ben]}`, `{required: 1, authorities: [ci]}`)},
	"quorum of more than all":    {patch: quorum(`{required: 3, authorities: [anna, ben]}`), want: "required is more than there are authorities: nothing could be released"},
	"quorum of nobody":           {patch: quorum(`{required: 0, authorities: [anna]}`), want: "should be greater than or equal to 1"},
	"quorum without a number":    {patch: quorum(`{authorities: [anna]}`), want: "required: Required value"},
	"quorum among nobody":        {patch: quorum(`{required: 1, authorities: []}`), want: "should have at least 1 items"},
	"quorum with one twice":      {patch: quorum(`{required: 1, authorities: [anna, anna]}`), want: "Duplicate value"},
	"quorums of none":            {patch: quorum(), want: "should have at least 1 items"},
	"soak time":                  {patch: `spec: {admission: {promotedFrom: {name: beta, requiredSoakTime: 24h}}}`},
	"soak time in words":         {patch: `spec: {admission: {promotedFrom: {name: beta, requiredSoakTime: a day}}}`, want: wrongDuration},
	"soak from nowhere":          {patch: `spec: {admission: {promotedFrom: {requiredSoakTime: 24h}}}`, want: "spec.admission.promotedFrom.name: Required value"},
	"authorities twice":          {patch: `spec: {admission: {requiredAuthorities: [ci, ci]}}`, want: "Duplicate value"},
	"limit of weight":            {patch: `spec: {maxWeightPerHour: "12.5"}`},
	"limit of weight, unlimited": {patch: `spec: {maxWeightPerHour: fast}`, want: wrongPercent},
	"limit of weight, small":     {patch: `spec: {maxWeightPerHour: "0.01"}`},
	"limit of no weight":         {patch: `spec: {maxWeightPerHour: "0.00"}`, want: aboveZero},
	"approvals":                  {patch: `spec: {approvals: {required: 8}}`},
	"approvals of nobody":        {patch: `spec: {approvals: {required: 0}}`},
	"approvals of too many":      {patch: `spec: {approvals: {required: 9}}`, want: "should be less than or equal to 8"},
	"approvals of fewer":         {patch: `spec: {approvals: {required: -1}}`, want: "should be greater than or equal to 0"},
	"approvals of a text":        {patch: `spec: {approvals: {required: "2"}}`, want: "must be of type integer"},
	"approvals without a number": {patch: `spec: {approvals: {}}`, want: "approvals.required: Required value"},
	"first weight":               {patch: `spec: {maxFirstWeight: "100"}`},
	"first weight, unlimited":    {patch: `spec: {maxFirstWeight: all}`, want: wrongPercent},
	"first weight of none":       {patch: `spec: {maxFirstWeight: "0"}`, want: aboveZero},
	"first weight as a number":   {patch: `spec: {maxFirstWeight: 5}`, want: "must be of type string"},
}

var rolloutRules = map[string]ruleCase{
	"weight 0":                          {patch: weight(`0`)},
	"weight 1":                          {patch: weight(`1`)},
	"weight 100":                        {patch: weight(`100`)},
	"weight 0.25":                       {patch: weight(`"0.25"`)},
	"weight 100 as text":                {patch: weight(`"100"`)},
	"weight 100.00":                     {patch: weight(`"100.00"`)},
	"weight 7 as text":                  {patch: weight(`"7"`)},
	"weight 101":                        {patch: weight(`101`), want: wrongWeight},
	"weight -1":                         {patch: weight(`-1`), want: wrongWeight},
	"weight -1 as text":                 {patch: weight(`"-1"`), want: wrongWeight},
	"weight 101 as text":                {patch: weight(`"101"`), want: wrongWeight},
	"weight 100.01":                     {patch: weight(`"100.01"`), want: "spec.steps[0].setWeight"},
	"weight 100.1":                      {patch: weight(`"100.1"`), want: wrongWeight},
	"weight of three decimals":          {patch: weight(`"0.255"`), want: wrongWeight},
	"weight of a word":                  {patch: weight(`abc`), want: wrongWeight},
	"weight with an exponent":           {patch: weight(`"1e2"`), want: wrongWeight},
	"weight with a percent sign":        {patch: weight(`"5%"`), want: wrongWeight},
	"weight of nothing":                 {patch: weight(`""`), want: wrongWeight},
	"weight that is a float":            {patch: weight(`2.5`), want: "spec.steps[0].setWeight in body must be of type integer,string"},
	"weight that is true":               {patch: weight(`true`), want: "spec.steps[0].setWeight in body must be of type integer,string"},
	"step of nothing":                   {patch: `spec: {steps: [{}]}`, want: "exactly one of the fields in [setWeight pause] must be set"},
	"step of both":                      {patch: `spec: {steps: [{setWeight: 1, pause: {}}]}`, want: "exactly one of the fields in [setWeight pause] must be set"},
	"pause until promoted":              {patch: `spec: {steps: [{pause: {}}]}`},
	"pause for samples":                 {patch: `spec: {steps: [{pause: {minSamples: 1}}]}`},
	"pause for no samples":              {patch: `spec: {steps: [{pause: {minSamples: 0}}]}`, want: "should be greater than or equal to 1"},
	"pause of milliseconds":             {patch: `spec: {steps: [{pause: {duration: 500ms}}]}`},
	"pause of a number":                 {patch: `spec: {steps: [{pause: {duration: 30}}]}`, want: "must be of type string"},
	"pause with a fraction":             {patch: `spec: {steps: [{pause: {duration: 1.5h}}]}`, want: wrongDuration},
	"pause below zero":                  {patch: `spec: {steps: [{pause: {duration: -30s}}]}`, want: wrongDuration},
	"pause with a space":                {patch: `spec: {steps: [{pause: {duration: 1h 30m}}]}`, want: wrongDuration},
	"steps of none":                     {patch: `spec: {steps: []}`},
	"paused":                            {patch: `spec: {paused: stock-taking}`},
	"paused by nothing":                 {patch: `spec: {paused: ""}`},
	"paused as a boolean":               {patch: `spec: {paused: true}`, want: "spec.paused in body must be of type string"},
	"telemetry by rate":                 {patch: metric(`{name: a, telemetry: {outcome: Failed}, maxRate: "0.02"}`)},
	"telemetry by increase":             {patch: metric(`{name: a, telemetry: {outcome: Failed}, maxIncrease: "2"}`)},
	"telemetry without a limit":         {patch: metric(`{name: a, telemetry: {outcome: Failed}}`), want: needsLimit},
	"telemetry with a threshold":        {patch: metric(`{name: a, telemetry: {outcome: Failed}, maxRate: "0.02", thresholdRange: {max: "1"}}`), want: wantsTests},
	"telemetry with a failure limit":    {patch: metric(`{name: a, telemetry: {outcome: Failed}, maxRate: "0.02", failureLimit: 2}`), want: wantsTests},
	"telemetry by both":                 {patch: metric(`{name: a, telemetry: {outcome: Failed}, maxRate: "0.02", maxIncrease: "1", confidence: "0.999999"}`)},
	"silence":                           {patch: metric(`{name: a, telemetry: {outcome: Silent}, maxIncrease: "2"}`)},
	"silence by rate":                   {patch: metric(`{name: a, telemetry: {outcome: Silent}, maxRate: "0.02"}`), want: wantsIncrease},
	"silence by both":                   {patch: metric(`{name: a, telemetry: {outcome: Silent}, maxRate: "0.02", maxIncrease: "2"}`), want: wantsIncrease},
	"increase with a sign":              {patch: metric(`{name: a, telemetry: {outcome: Failed}, maxIncrease: "-2"}`), want: wrongDecimal},
	"increase in percent":               {patch: metric(`{name: a, telemetry: {outcome: Failed}, maxIncrease: 200%}`), want: wrongDecimal},
	"confidence as a number":            {patch: metric(`{name: a, telemetry: {outcome: Failed}, maxRate: "0.02", confidence: 0.95}`), want: "must be of type string"},
	"dry run":                           {patch: metric(`{name: a, telemetry: {outcome: Failed}, maxRate: "0.02", dryRun: Enabled}`)},
	"dry run as a boolean":              {patch: metric(`{name: a, telemetry: {outcome: Failed}, maxRate: "0.02", dryRun: true}`), want: "must be of type string"},
	"dry run, perhaps":                  {patch: metric(`{name: a, telemetry: {outcome: Failed}, maxRate: "0.02", dryRun: Sometimes}`), want: `Unsupported value: "Sometimes": supported values: "Enabled", "Disabled"`},
	"web by a path":                     {patch: metric(web(`jsonPath: "{.rate}"`))},
	"web by an expression":              {patch: metric(web(`cel: "result.rate"`))},
	"web by neither":                    {patch: metric(web(``)), want: "exactly one of the fields in [jsonPath cel] must be set"},
	"web by both":                       {patch: metric(web(`jsonPath: "{.rate}", cel: "result.rate"`)), want: "exactly one of the fields in [jsonPath cel] must be set"},
	"web with a failure limit":          {patch: metric(strings.Replace(web(`cel: "result.rate"`), "name: a,", "name: a, failureLimit: 3,", 1))},
	"web without a limit":               {patch: metric(`{name: a, web: {url: "https://example.com/", cel: "result"}}`), want: needsThreshold},
	"web with a rate":                   {patch: metric(`{name: a, web: {url: "https://example.com/", cel: "result"}, thresholdRange: {max: "1"}, maxRate: "0.1"}`), want: wantsThreshold},
	"web with a template":               {patch: metric(`{name: a, web: {url: "https://example.com/{{ .app }}?v={{ .version }}", cel: "result"}, thresholdRange: {max: "1"}}`)},
	"web with a password":               {patch: metric(`{name: a, web: {url: "https://me:secret@example.com/", cel: "result"}, thresholdRange: {max: "1"}}`), want: wrongURL},
	"web with a fragment":               {patch: metric(`{name: a, web: {url: "https://example.com/#a", cel: "result"}, thresholdRange: {max: "1"}}`), want: wrongURL},
	"web of a file":                     {patch: metric(`{name: a, web: {url: "file:///etc/passwd", cel: "result"}, thresholdRange: {max: "1"}}`), want: wrongURL},
	"web and a query":                   {patch: metric(`{name: a, ` + query + `, web: {url: "https://example.com/", cel: "result"}, thresholdRange: {max: "1"}}`), want: oneProvider},
	"telemetry of another outcome":      {patch: metric(`{name: a, telemetry: {outcome: Bored}, maxRate: "0.02"}`), want: "Unsupported value"},
	"rate as a number":                  {patch: metric(`{name: a, telemetry: {outcome: Failed}, maxRate: 0.02}`), want: "must be of type string"},
	"rate in percent":                   {patch: metric(`{name: a, telemetry: {outcome: Failed}, maxRate: 2%}`), want: wrongDecimal},
	"rate with a sign":                  {patch: metric(`{name: a, telemetry: {outcome: Failed}, maxRate: "-0.02"}`), want: wrongDecimal},
	"rate with an exponent":             {patch: metric(`{name: a, telemetry: {outcome: Failed}, maxRate: "2e-2"}`), want: wrongDecimal},
	"rate that is no number":            {patch: metric(`{name: a, telemetry: {outcome: Failed}, maxRate: NaN}`), want: wrongDecimal},
	"query with a minimum":              {patch: metric(`{name: a, ` + query + `, thresholdRange: {min: "0.995"}}`)},
	"query with a range":                {patch: metric(`{name: a, ` + query + `, thresholdRange: {min: "0.1", max: "0.9"}}`)},
	"query without a limit":             {patch: metric(`{name: a, ` + query + `}`), want: needsThreshold},
	"query with an empty limit":         {patch: metric(`{name: a, ` + query + `, thresholdRange: {}}`), want: "at least one of the fields in [min max] must be set"},
	"query with a rate":                 {patch: metric(`{name: a, ` + query + `, thresholdRange: {max: "1"}, maxRate: "0.1"}`), want: wantsThreshold},
	"query with an increase":            {patch: metric(`{name: a, ` + query + `, thresholdRange: {max: "1"}, maxIncrease: "2"}`), want: wantsThreshold},
	"query with a confidence":           {patch: metric(`{name: a, ` + query + `, thresholdRange: {max: "1"}, confidence: "0.95"}`), want: wantsThreshold},
	"query with samples":                {patch: metric(`{name: a, ` + query + `, thresholdRange: {max: "1"}, minSamples: 5}`), want: wantsThreshold},
	"query to a server with a password": {patch: metric(`{name: a, prometheus: {address: "http://me:secret@prometheus:9090", query: up}, thresholdRange: {max: "1"}}`), want: wrongURL},
	"metric of nothing":                 {patch: metric(`{name: a, maxRate: "0.1"}`), want: oneProvider},
	"metric of both":                    {patch: metric(`{name: a, telemetry: {outcome: Failed}, ` + query + `, maxRate: "0.1"}`), want: oneProvider},
	"metric in upper case":              {patch: metric(`{name: Failures, telemetry: {outcome: Failed}, maxRate: "0.02"}`), want: wrongName},
	"metric twice":                      {patch: metric(`{name: a, telemetry: {outcome: Failed}, maxRate: "0.02"}`, `{name: a, telemetry: {outcome: Failed}, maxRate: "0.02"}`), want: "Duplicate value"},
	"bake and holdout":                  {patch: analysis(`bake: 24h, holdout: 50`)},
	"bake in days":                      {patch: analysis(`bake: 1d`), want: wrongDuration},
	"holdout of most":                   {patch: analysis(`bake: 24h, holdout: 51`), want: "should be less than or equal to 50"},
	"holdout below zero":                {patch: analysis(`bake: 24h, holdout: -1`), want: "should be greater than or equal to 0"},
	"holdout as a text":                 {patch: analysis(`bake: 24h, holdout: "2"`), want: "must be of type integer"},
	"slices, excluded":                  {patch: analysis(`onSlice: Exclude`)},
	"slices, named":                     {patch: analysis(`onSlice: Recommend`)},
	"slices, ignored":                   {patch: analysis(`onSlice: Ignore`), want: `Unsupported value: "Ignore": supported values: "Recommend", "Exclude"`},
	"analysis of nothing":               {patch: `spec: {analysis: {metrics: []}}`, want: "should have at least 1 items"},
	"no data, fail":                     {patch: metric(`{name: a, telemetry: {outcome: Failed}, maxRate: "0.02", noData: {hold: 5m, then: Fail}}`)},
	"no data, ignore":                   {patch: metric(`{name: a, telemetry: {outcome: Failed}, maxRate: "0.02", noData: {then: Ignore}}`)},
	"no data, guess":                    {patch: metric(`{name: a, telemetry: {outcome: Failed}, maxRate: "0.02", noData: {then: Guess}}`), want: "Unsupported value"},
	"rollback to stable":                {patch: `spec: {rollback: {onFailure: Pause, to: Stable}}`},
	"rollback to embedded":              {patch: `spec: {rollback: {to: Embedded}}`},
	"rollback to a bundle":              {patch: `spec: {rollback: {to: Bundle, bundleRef: {name: shop-2.3.0}}}`},
	"rollback to no bundle":             {patch: `spec: {rollback: {to: Bundle}}`, want: "bundleRef goes with to: Bundle, and only with it"},
	"rollback to stable and a bundle":   {patch: `spec: {rollback: {to: Stable, bundleRef: {name: shop-2.3.0}}}`, want: "bundleRef goes with to: Bundle, and only with it"},
	"rollback to a bundle without word": {patch: `spec: {rollback: {bundleRef: {name: shop-2.3.0}}}`, want: "bundleRef goes with to: Bundle, and only with it"},
	"rollback by the design's union":    {patch: `spec: {rollback: {to: {bundleRef: {name: shop-2.3.0}}}}`, want: `unknown field "spec.rollback.to.bundleRef"`},
	"loss, retract":                     {patch: `spec: {onControlPlaneLoss: Retract}`},
	"loss, continue":                    {patch: `spec: {onControlPlaneLoss: Continue}`},
	"loss, panic":                       {patch: `spec: {onControlPlaneLoss: Panic}`, want: "Unsupported value"},
	"lease in seconds":                  {patch: `spec: {leaseDuration: 90s}`},
	"lease in days":                     {patch: `spec: {leaseDuration: 1d}`, want: wrongDuration},
	"window that denies":                {patch: `spec: {windows: [{kind: Deny, schedule: "0 9 * * 1-4", duration: 8h}]}`},
	"window in a zone":                  {patch: `spec: {windows: [{kind: Allow, schedule: "0 9 * * 1-4", duration: 8h, timeZone: Europe/Berlin}]}`},
	"window without a schedule":         {patch: `spec: {windows: [{kind: Allow, duration: 8h}]}`, want: "schedule: Required value"},
	"window without a time":             {patch: `spec: {windows: [{kind: Allow, schedule: "0 9 * * 1-4"}]}`, want: "duration: Required value"},
	"window of days":                    {patch: `spec: {windows: [{kind: Allow, schedule: "0 9 * * 1-4", duration: 1d}]}`, want: wrongDuration},
	"17 windows":                        {patch: `spec: {windows: [` + strings.Repeat(`{kind: Allow, schedule: "0 9 * * 1-4", duration: 8h}, `, 17) + `]}`, want: "Too many: 17: must have at most 16 items"},
	"window of a sort":                  {patch: `spec: {windows: [{kind: Open, schedule: "0 9 * * 1-4", duration: 8h}]}`, want: "Unsupported value"},
	"no channel":                        {patch: `spec: {channelRef: null}`, want: "spec.channelRef: Required value"},
	"no bundle":                         {patch: `spec: {bundleRef: null}`, want: "spec.bundleRef: Required value"},
	"bundle by its name alone":          {patch: `spec: {bundleRef: shop-2.4.1}`, want: "spec.bundleRef in body must be of type object"},
	"bundle of another namespace":       {patch: `spec: {bundleRef: {namespace: other}}`, want: `unknown field "spec.bundleRef.namespace"`},
}

const query = `prometheus: {address: "http://prometheus:9090", query: "sum(up)"}`

func storage(fields string) string { return "spec: {storage: {" + fields + "}}" }

func authority(list ...string) string {
	return "spec: {trust: {authorities: [" + strings.Join(list, ", ") + "]}}"
}

func appKey(list ...string) string {
	return "spec: {trust: {encryptionKeys: [" + strings.Join(list, ", ") + "]}}"
}

// floors patches the floors of a Repository.
func floors(items ...string) string {
	return "spec: {floors: [" + strings.Join(items, ", ") + "]}"
}

func manyFloors(n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("{app: a%d, minVersion: 1.0.0}", i))
	}
	return out
}

func keyless(subject string) string {
	if subject != "" {
		subject += ", "
	}
	return "keyless: {" + subject + `issuer: "https://issuer.example.com", trustedRootConfigMapRef: {name: root, key: root.json}}`
}

// content is a patch of a Channel's content rules.
func content(fields string) string { return `spec: {admission: {content: {` + fields + `}}}` }

// quorum is a patch of a Channel's quorums.
func quorum(quorums ...string) string {
	return `spec: {admission: {quorums: [` + strings.Join(quorums, ", ") + `]}}`
}

func origin(value string) string { return `spec: {allowedOrigins: ["` + value + `"]}` }

func weight(value string) string { return "spec: {steps: [{setWeight: " + value + "}]}" }

func metric(list ...string) string {
	return "spec: {analysis: {metrics: [" + strings.Join(list, ", ") + "]}}"
}

// analysis is a patch of an analysis with one metric.
func analysis(fields string) string {
	return `spec: {analysis: {` + fields + `, metrics: [{name: a, telemetry: {outcome: Failed}, maxRate: "0.02"}]}}`
}

// web is a metric that asks a URL.
func web(fields string) string {
	if fields != "" {
		fields = ", " + fields
	}
	return `{name: a, web: {url: "https://example.com/rate"` + fields + `}, thresholdRange: {max: "1"}}`
}

func TestRules(t *testing.T) {
	env := testkit.Start(t)
	for kind, cases := range rules {
		base := valid(t, kind)[0]
		for name, tc := range cases {
			t.Run(kind+"/"+name, func(t *testing.T) {
				check(t, create(t, env, merge(t, base, tc.patch)), tc.want)
			})
		}
	}
}

// TestRules_haveCases fails when a rule is added to a type without a case that shows it refusing.
func TestRules_haveCases(t *testing.T) {
	for kind := range kinds {
		var wants []string
		for _, tc := range rules[kind] {
			wants = append(wants, tc.want)
		}
		for _, tc := range updates[kind] {
			wants = append(wants, tc.want)
		}
		wants = slices.DeleteFunc(wants, func(s string) bool { return s == "" })
		for _, message := range slices.Sorted(maps.Keys(messages(schema(t, kind)))) {
			if !slices.ContainsFunc(wants, func(want string) bool { return strings.Contains(message, want) }) {
				t.Errorf("%s: no case is refused with %q", kind, message)
			}
		}
	}
}

// messages are those of all rules that a user can break: status is the manager's.
func messages(s *apiextensionsv1.JSONSchemaProps) map[string]bool {
	out := map[string]bool{}
	for _, rule := range s.XValidations {
		out[rule.Message] = true
	}
	for name, property := range s.Properties {
		if name != "status" {
			maps.Copy(out, messages(&property))
		}
	}
	if s.Items != nil {
		maps.Copy(out, messages(s.Items.Schema))
	}
	if s.AdditionalProperties != nil {
		maps.Copy(out, messages(s.AdditionalProperties.Schema))
	}
	return out
}

// receiver makes receivers of notifications.
func receiver(fields ...string) string {
	var list []string
	for _, f := range fields {
		list = append(list, "{"+f+", secretRef: {name: hook}}")
	}
	return "spec: {notifications: [" + strings.Join(list, ", ") + "]}"
}
