// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package capgo

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/Masterminds/semver/v3"

	"github.com/windlass-dev/windlass/internal/gateway/protocol/jsonlex"
)

// Bodies as clients send them, and some that they do not.
var seeds = []string{
	`{"platform":"android","device_id":"3F2C0D7E-0000-4000-8000-00000000000a","app_id":"com.example.shop","custom_id":"",` +
		`"version_build":"2.0.0","version_code":"7","version_os":"15","version_name":"builtin","plugin_version":"8.51.23",` +
		`"is_emulator":false,"is_prod":true,"defaultChannel":"beta","key_id":"MIIBCgKCAQEAq1vE5yc7"}`,
	`{"app_id":"a","device_id":"d","version_build":2,"is_prod":0,"custom_id":null,"x":{"y":[1,{"z":[]}]}}`,
	`{"app_id":"a","app_id":"\u0062","device_id":"d"}`, `{"app_id":"a","device_id":"d"}{}`, `{"app_id":"\ud800","device_id":"d"}`,
	`{"app_id":"a","device_id":"d","action":"app_crash","timestamp":1800000000000,"metadata":{"exit_timestamp":"1799999999999",` +
		`"exit_reason":"crash","did_crash":true}}`,
	`{"app_id":"a","device_id":"d","metadata":[1],"manifest":[{"file_name":"a","file_hash":"b"},5]}`,
	`[{"app_id":"a","device_id":"d","action":"set","version_name":"1.2.3:a/b.js"},{"app_id":"a"},null,7]`,
	`[{"app_id":"a","device_id":"d"},{"app_id":"b","device_id":"d"}]`, `[]`, `[`, `{}`, ``, `null`, `{"a":tru}`, "{\"app_id\":\"\x00\"}",
	strings.Repeat(`{"a":`, 100),
}

// sound holds what was read against encoding/json: only JSON objects that say who asks are taken, and texts are as they stand there.
func sound(t *testing.T, body string, in *info, err error) {
	if err != nil {
		var f *fault
		if !errors.As(err, &f) || f.status != http.StatusBadRequest || f.code == "" || f.message == "" {
			t.Fatalf("error %#v", err)
		}
		return
	}
	var same map[string]any
	if !utf8.ValidString(body) || json.Unmarshal([]byte(body), &same) != nil {
		t.Fatalf("taken, but it is no JSON object: %q", body)
	}
	if !printable(in.device) || in.app == "" || len(in.device) > maxID || len(in.app) > maxID || in.device != strings.ToLower(in.device) {
		t.Fatalf("taken: %+v", in)
	}
	for name, got := range map[string]string{
		"app_id": in.app, "platform": in.platform, "version_build": in.build, "plugin_version": in.plugin, "channel": in.channel, "action": in.action,
	} {
		want, ok := same[name].(string)
		if _, limit := in.target(name); ok && len(want) <= limit && want != got {
			t.Fatalf("%s: got %q, encoding/json reads %q", name, got, want)
		}
	}
}

func FuzzCheck(f *testing.F) {
	for _, seed := range seeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		var in info
		sound(t, body, &in, parseInfo(&in, body, nil))
		var files []file
		err := parseInfo(&in, body, func(l *jsonlex.Lexer, name string) bool {
			if l.Space(); name != "manifest" || l.Kind() != "an array" {
				return false
			}
			files = parseFiles(l)
			return true
		})
		if err == nil && !json.Valid(appendSizes(nil, files)) {
			t.Fatalf("no JSON: %s", appendSizes(nil, files))
		}
		v, err := semver.StrictNewVersion(in.plugin)
		if err != nil || v.Metadata() != "" || max(v.Major(), v.Minor(), v.Patch()) > math.MaxInt32 {
			return
		}
		if p := parsePlugin(in.plugin, false); !p.known || p.version != (version{int(v.Major()), int(v.Minor()), int(v.Patch())}) {
			t.Fatalf("plugin %s: %+v", in.plugin, p)
		}
	})
}

func FuzzStats(f *testing.F) {
	for _, seed := range seeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		b, err := parseStats(nil, body)
		if err != nil {
			var fault *fault
			if !errors.As(err, &fault) || fault.code == "" {
				t.Fatalf("error %#v", err)
			}
			return
		}
		if !b.more && !json.Valid([]byte(body)) {
			t.Fatalf("taken, but it is no JSON: %q", body)
		}
		app := ""
		for i := range b.events {
			if e := &b.events[i]; e.wrong == nil {
				if e.app == "" || e.action == "" || !printable(e.device) || app != "" && e.app != app {
					t.Fatalf("taken: %+v", e)
				}
				app = e.app
			}
		}
		if (!b.array) != (len(b.events) == 1 && !strings.HasPrefix(strings.TrimSpace(body), "[")) || len(b.events) > maxEvents {
			t.Fatalf("%d events of %q", len(b.events), body)
		}
		var res struct{ Results []json.RawMessage }
		if err := json.Unmarshal(appendResults(nil, &b), &res); err != nil || len(res.Results) < len(b.events) {
			t.Fatalf("results: %v", err)
		}
	})
}

func FuzzChannel(f *testing.F) {
	for _, seed := range seeds {
		f.Add("", seed)
	}
	f.Add("app_id=a&device_id=D&channel=beta&is_prod=false&action=list", "")
	f.Add("app_id=a&app_id=b&%zz=1&device_id=d", `{"channel":"beta"}`)
	f.Fuzz(func(t *testing.T, query, body string) {
		r := &http.Request{Method: http.MethodDelete, URL: &url.URL{RawQuery: query}, Body: http.NoBody}
		if body != "" {
			r = httptest.NewRequest(http.MethodDelete, "/", strings.NewReader(body))
			r.URL.RawQuery = query
		}
		var s scratch
		err := s.readChoice(r)
		if err == nil && body != "" && !json.Valid([]byte(body)) {
			t.Fatalf("taken, but it is no JSON: %q", body)
		}
		var fault *fault
		if err != nil && (!errors.As(err, &fault) || fault.status != http.StatusBadRequest) {
			t.Fatalf("error %#v", err)
		}
		if err == nil && (s.info.app == "" || !printable(s.info.device)) {
			t.Fatalf("taken: %+v", s.info)
		}
	})
}
