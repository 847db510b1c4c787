// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package query

import (
	"strings"
	"testing"
)

func TestRender(t *testing.T) {
	vars := Vars{App: "com.example.shop", Channel: "production", Bundle: "shop-1-2-0", Version: "1.2.0", Digest: "sha256:ab", Window: "90s"}
	tests := map[string]struct{ query, want, wantErr string }{
		"plain": {query: "up", want: "up"},
		"all": {query: `{{.app}} {{.channel}} {{.bundle}} {{.version}} {{.digest}} {{.window}}`,
			want: "com.example.shop production shop-1-2-0 1.2.0 sha256:ab 90s"},
		"quoted":      {query: `rate(x{v={{ quote .version }}}[{{ .window }}])`, want: `rate(x{v="1.2.0"}[90s])`},
		"quote marks": {query: `{{ quote "a\"b\\c" }}`, want: `"a\"b\\c"`},
		"if":          {query: `{{ if eq .channel "production" }}a{{ else }}b{{ end }}`, want: "a"},
		"misspelled":  {query: `{{ .versions }}`, wantErr: `map has no entry for key "versions"`},
		"upper case":  {query: `{{ .Version }}`, wantErr: `no entry for key "Version"`},
		"unclosed":    {query: `{{ .version`, wantErr: "unclosed action"},
		"function":    {query: `{{ env "HOME" }}`, wantErr: `function "env" not defined`},
		"empty":       {query: " {{/* nothing */}} ", wantErr: "empty"},
		"loop":        {query: `{{ range 1000000000 }}{{ end }}`, wantErr: "range and template are not allowed"},
		"hidden loop": {query: `{{ if .app }}{{ with .app }}{{ range 1000000000 }}{{ end }}{{ end }}{{ end }}`, wantErr: "not allowed"},
		"define":      {query: `{{ define "x" }}{{ template "x" }}{{ end }}up`, wantErr: "not allowed"},
		"too long":    {query: `{{ printf "%20000d" 1 }}`, wantErr: "more than 16384 bytes"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Render(tc.query, vars)
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Fatalf("Render gave %q and %v, want an error with %q", got, err, tc.wantErr)
				}
				return
			}
			if err != nil || got != tc.want {
				t.Errorf("Render gave %q and %v, want %q", got, err, tc.want)
			}
		})
	}
}

func TestRenderURL(t *testing.T) {
	vars := Vars{App: "com.example.shop", Channel: "a/b?c=d#e", Bundle: "shop 1", Version: "1.2.0+x&y", Digest: "sha256:ab", Window: "90s"}
	tests := map[string]struct{ url, want, wantErr string }{
		"plain": {url: "https://m.example/rate", want: "https://m.example/rate"},
		"all": {url: "https://m.example/{{.app}}/{{.channel}}?v={{.version}}&d={{.digest}}&b={{.bundle}}&w={{.window}}",
			want: "https://m.example/com.example.shop/a%2Fb%3Fc%3Dd%23e?v=1.2.0%2Bx%26y&d=sha256%3Aab&b=shop+1&w=90s"},
		"host":         {url: "http://{{.window}}.example:8080", want: "http://90s.example:8080"},
		"no scheme":    {url: "m.example/x", wantErr: "no absolute http or https URL"},
		"ftp":          {url: "ftp://m.example/x", wantErr: "no absolute http or https URL"},
		"no host":      {url: "https:///x", wantErr: "no absolute"},
		"only port":    {url: "https://:80/x", wantErr: "no absolute"},
		"made up user": {url: `https://a{{ "\x40" }}b/x`, wantErr: "without user name"},
		"fragment":     {url: `https://a/x{{ "#" }}`, wantErr: "fragment"},
		"new line":     {url: `https://a/{{ "\n" }}`, wantErr: "no absolute"},
		"misspelled":   {url: "https://a/{{ .versions }}", wantErr: `url: 1:13: executing "url"`},
		"unclosed":     {url: "https://a/{{ .version", wantErr: "url: 1: unclosed action"},
		"loop":         {url: "https://a/{{ range 9 }}{{ end }}", wantErr: "url: range and template are not allowed in it"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := RenderURL(tc.url, vars)
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Fatalf("RenderURL gave %v and %v, want an error with %q", got, err, tc.wantErr)
				}
				return
			}
			if err != nil || got.String() != tc.want {
				t.Errorf("RenderURL gave %v and %v, want %q", got, err, tc.want)
			}
		})
	}
}
