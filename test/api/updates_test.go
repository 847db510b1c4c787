// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package api

import (
	"cmp"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/windlass-dev/windlass/internal/testkit"
)

// an updateCase changes an object that exists: base with before applied to it.
type updateCase struct {
	before string // JSON merge patches, in YAML; empty: none
	after  string
	want   string
}

const (
	fixedIdentity = "app, version and digest cannot be changed: devices take a version for one digest for ever; make a new Bundle"
	fixedSource   = "source and signatures cannot be changed; make a new Bundle"
	fixedRepo     = "repositoryRef cannot be changed; make a new Bundle"
	fixedCompat   = "compatibility cannot be changed; make a new Bundle"
	fixedNotes    = "releaseNotes cannot be changed; make a new Bundle"
	fixedMode     = "encryption cannot be changed; make a new Bundle"
	fixedAttested = "attestations cannot be changed; make a new Bundle"
	fixedNative   = "nativeDependencies cannot be changed; make a new Bundle"
	fixedRevoked  = "revoked is for ever: the reason may be reworded, but not removed"
	fixedPrefix   = "prefix cannot be changed: devices hold its trust root; make a new Repository"
	fixedChannel  = "repositoryRef cannot be changed; make a new Channel"
)

var updates = map[string]map[string]updateCase{
	"Repository": {
		"endpoint":           {after: storage(`endpoint: https://other.example.com`)},
		"credentials":        {after: storage(`credentialsSecretRef: {name: other}`)},
		"authorities":        {after: authority(`{name: other, publicKey: {inline: x}}`)},
		"bucket":             {after: storage(`bucket: other`), want: "bucket cannot be changed: devices hold its trust root; make a new Repository"},
		"prefix":             {before: storage(`prefix: a`), after: storage(`prefix: b`), want: fixedPrefix},
		"prefix, added":      {after: storage(`prefix: b`), want: fixedPrefix},
		"prefix, removed":    {before: storage(`prefix: a`), after: storage(`prefix: null`), want: fixedPrefix},
		"prefix, left alone": {before: storage(`prefix: a`), after: storage(`region: eu-central-1`)},
	},
	"Bundle": {
		"app":     {after: `spec: {app: other}`, want: fixedIdentity},
		"version": {after: `spec: {version: 2.4.2}`, want: fixedIdentity},
		"digest":  {after: `spec: {digest: "sha256:` + strings.Repeat("0", 64) + `"}`, want: fixedIdentity},
		"source":  {after: `spec: {source: {http: {url: "https://other.example.com"}}}`, want: fixedSource},
		"source, of another kind": {
			after: `spec: {source: {http: null, s3: {endpoint: "https://s3.example.com", bucket: abc, key: k}}}`, want: fixedSource,
		},
		"signatures":             {after: `spec: {signatures: [{url: "https://ci.example.com/a.sig"}]}`, want: fixedSource},
		"repository":             {before: `spec: {repositoryRef: {name: a}}`, after: `spec: {repositoryRef: {name: b}}`, want: fixedRepo},
		"repository, added":      {after: `spec: {repositoryRef: {name: b}}`, want: fixedRepo},
		"repository, removed":    {before: `spec: {repositoryRef: {name: a}}`, after: `spec: {repositoryRef: null}`, want: fixedRepo},
		"compatibility":          {before: `spec: {compatibility: {runtimeVersion: "1"}}`, after: `spec: {compatibility: {runtimeVersion: "2"}}`, want: fixedCompat},
		"compatibility, added":   {after: `spec: {compatibility: {runtimeVersion: "2"}}`, want: fixedCompat},
		"compatibility, removed": {before: `spec: {compatibility: {runtimeVersion: "1"}}`, after: `spec: {compatibility: null}`, want: fixedCompat},
		"notes":                  {before: `spec: {releaseNotes: {en: a}}`, after: `spec: {releaseNotes: {en: b}}`, want: fixedNotes},
		"notes, added":           {after: `spec: {releaseNotes: {en: b}}`, want: fixedNotes},
		"notes, removed":         {before: `spec: {releaseNotes: {en: a}}`, after: `spec: {releaseNotes: null}`, want: fixedNotes},
		"encryption":             {before: `spec: {encryption: {mode: None}}`, after: encryption(`mode: Opaque`, session, sum), want: fixedMode},
		"encryption, added":      {after: encryption(`mode: Opaque`, session, sum), want: fixedMode},
		"encryption, removed":    {before: encryption(`mode: Opaque`, session, sum), after: `spec: {encryption: null}`, want: fixedMode},
		"session key":            {before: encryption(`mode: Opaque`, session, sum), after: encryption(sessionOf(512, "")), want: fixedMode},
		"checksum":               {before: encryption(`mode: Opaque`, session, sum), after: encryption(sumOf(768)), want: fixedMode},
		"key id, added":          {before: encryption(`mode: Opaque`, session, sum), after: encryption(`keyID: MIIBCgKCAQEAs9u4ZBdB`), want: fixedMode},
		"attestations": {
			before: `spec: {attestations: [{url: "https://ci.example.com/a"}]}`, after: `spec: {attestations: [{url: "https://ci.example.com/b"}]}`, want: fixedAttested,
		},
		"attestations, added":   {after: `spec: {attestations: [{url: "https://ci.example.com/b"}]}`, want: fixedAttested},
		"attestations, removed": {before: `spec: {attestations: [{url: "https://ci.example.com/a"}]}`, after: `spec: {attestations: null}`, want: fixedAttested},
		"native":                {before: `spec: {nativeDependencies: {}}`, after: `spec: {nativeDependencies: {packages: [{name: a}]}}`, want: fixedNative},
		"native, added":         {after: `spec: {nativeDependencies: {}}`, want: fixedNative},
		"native, removed":       {before: `spec: {nativeDependencies: {}}`, after: `spec: {nativeDependencies: null}`, want: fixedNative},
		"revoked":               {after: `spec: {revoked: leaked}`},
		"revoked, reworded":     {before: `spec: {revoked: leaked}`, after: `spec: {revoked: leaked on Monday}`},
		"revoked, removed":      {before: `spec: {revoked: leaked}`, after: `spec: {revoked: null}`, want: fixedRevoked},
		"labels":                {after: `metadata: {labels: {a: b}}`},
	},
	"Channel": {
		"app":                 {after: `spec: {app: other}`, want: "app cannot be changed; make a new Channel"},
		"repository":          {before: `spec: {repositoryRef: {name: a}}`, after: `spec: {repositoryRef: {name: b}}`, want: fixedChannel},
		"repository, added":   {after: `spec: {repositoryRef: {name: b}}`, want: fixedChannel},
		"repository, removed": {before: `spec: {repositoryRef: {name: a}}`, after: `spec: {repositoryRef: null}`, want: fixedChannel},
		"policy":              {before: `spec: {repositoryRef: {name: a}}`, after: `spec: {serving: Halted, guards: {floor: 1.0.0}}`},
	},
	"Rollout": {
		"channel":         {after: `spec: {channelRef: {name: other}}`, want: "channelRef cannot be changed; make a new Rollout"},
		"bundle":          {after: `spec: {bundleRef: {name: other}}`},
		"steps":           {before: weight("1"), after: weight("50")},
		"paused":          {after: `spec: {paused: stock-taking}`},
		"paused, removed": {before: `spec: {paused: stock-taking}`, after: `spec: {paused: null}`},
	},
}

func TestUpdates(t *testing.T) {
	env := testkit.Start(t)
	for kind, cases := range updates {
		base := valid(t, kind)[0]
		base.SetGenerateName("base-")
		base.SetName("")
		base.SetNamespace(env.Namespace)
		for name, tc := range cases {
			t.Run(kind+"/"+name, func(t *testing.T) {
				obj := merge(t, base, cmp.Or(tc.before, "{}"))
				if err := strict(env).Create(t.Context(), obj); err != nil {
					t.Fatalf("create the object to change: %v", err)
				}
				check(t, strict(env).Update(t.Context(), merge(t, obj, tc.after), client.DryRunAll), tc.want)
			})
		}
	}
}
