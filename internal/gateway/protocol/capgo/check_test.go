// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package capgo_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/windlass-dev/windlass/internal/gateway/auth"
	"github.com/windlass-dev/windlass/internal/gateway/edge"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/capgo"
	"github.com/windlass-dev/windlass/internal/gateway/view"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/resolve"
)

// code gives what an answer says, in one word: the version of an update, or the code of a refusal.
func code(body string) string {
	var a struct{ Version, Error string }
	if err := json.Unmarshal([]byte(body), &a); err != nil {
		return "no JSON: " + body
	}
	if a.Error != "" {
		return a.Error
	}
	return a.Version
}

// What clients send in other forms than they should is understood all the same.
func TestLenientReading(t *testing.T) {
	t.Parallel()
	f := newFixture(t, production())
	for name, body := range map[string]string{
		"unknown fields":      androidApp.with(fields{"battery": fields{"level": []any{0.5, nil}}, "x": true}).json(),
		"nulls":               androidApp.with(fields{"custom_id": nil, "defaultChannel": nil}).json()[:1] + `"key_id":null,` + androidApp.json()[1:],
		"numbers as versions": androidApp.with(fields{"version_build": 2, "version_name": 2, "version_code": 7}).json(),
		"booleans as texts":   androidApp.with(fields{"is_prod": "true", "is_emulator": "false"}).json(),
		"booleans as numbers": androidApp.with(fields{"is_prod": 1, "is_emulator": 0}).json(),
		"objects for texts":   androidApp.with(fields{"version_os": fields{"a": 1}, "defaultChannel": []string{"x"}}).json(),
		"little":              fmt.Sprintf(`{"app_id":%q,"device_id":"d","version_build":"2"}`, app),
		"builtin":             androidApp.with(fields{"version_name": "builtin"}).json(),
		"upper case":          androidApp.with(fields{"platform": "Android", "device_id": "ABC"}).json(),
		"two parts":           androidApp.with(fields{"version_build": "2.1", "version_name": "2.1"}).json(),
		"leading v":           androidApp.with(fields{"version_build": "v2.1.0"}).json(),
		"none of ours":        androidApp.with(fields{"version_name": "spring-release"}).json(),
		"almost ours":         androidApp.with(fields{"version_name": "2.4"}).json(),
		"long name":           androidApp.with(fields{"version_name": strings.Repeat("x", 5000)}).json(),
		"escapes":             strings.Replace(androidApp.json(), "com.example", `com\u002eexample`, 1),
		"twice":               `{"app_id":"x",` + androidApp.json()[1:],
		"space":               "\n" + androidApp.json() + " \r\n",
		"unknown channel":     androidApp.with(fields{"defaultChannel": "gone"}).json(),
		"unknown plugin":      androidApp.with(fields{"plugin_version": "latest"}).json(),
	} {
		for _, header := range [][]string{nil, {"Content-Type", "text/plain"}, {"Content-Type", ""}} {
			if got := f.call(http.MethodPost, capgo.CheckPath, body, header...); code(got.Body.String()) != "2.4.0" {
				t.Errorf("%s, %s: got %d %s", name, header, got.Code, got.Body)
			}
		}
	}
}

func TestWhatIsNoCheck(t *testing.T) {
	t.Parallel()
	f := newFixture(t, production())
	for body, want := range map[string]string{
		"": "invalid_json_parse_body", "[]": "invalid_json_parse_body", "null": "invalid_json_parse_body", "{": "invalid_json_parse_body",
		androidApp.json() + "{}": "invalid_json_parse_body", "{\"app_id\":\"\xff\"}": "invalid_json_parse_body",
		`{"a":` + strings.Repeat("[", 70) + strings.Repeat("]", 70) + `}`: "invalid_json_parse_body",
		"{}": "missing_device_id",
		androidApp.with(fields{"device_id": strings.Repeat("d", 129)}).json(): "missing_device_id",
		androidApp.with(fields{"device_id": "a b"}).json():                    "missing_device_id",
		androidApp.with(fields{"app_id": strings.Repeat("a", 129)}).json():    "missing_app_id",
	} {
		w := f.call(http.MethodPost, capgo.CheckPath, body)
		if w.Code != http.StatusBadRequest || code(w.Body.String()) != want {
			t.Errorf("%.40s: got %d %s, want %s", body, w.Code, w.Body, want)
		}
	}
	if len(f.ledger.checks) != 0 {
		t.Errorf("noted %+v", f.ledger.checks)
	}
}

// Old and new plugins, and what each is told of the things that it cannot do.
func TestPlugins(t *testing.T) {
	t.Parallel()
	l, plain, sealed, nothing := newLedger(t), production(), production(encrypted), production(empty)
	const bundle, old, mismatch, stuck = "2.4.0", "unsupported_plugin_version", "key_id_mismatch", "revert_to_builtin_plugin_version_too_old"
	for _, tc := range []struct {
		version, platform      string
		plain, sealed, nothing string
	}{
		{"4.17.0", "android", old, old, old},
		{"5.9.5", "android", old, old, old},
		{"5.10.0", "android", bundle, mismatch, stuck},
		{"5.30.0", "ios", bundle, bundle, stuck},
		{"6.14.26", "android", old, old, old},
		{"6.25.0", "android", bundle, mismatch, "builtin"},
		{"6.30.1", "android", bundle, bundle, "builtin"},
		{"7.0.29", "ios", old, old, old},
		{"7.0.30", "ios", bundle, mismatch, "builtin"},
		{"7.30.0", "ios", bundle, bundle, "builtin"},
		{"7.51.3", "android", bundle, bundle, "builtin"},
		{"8.0.0-alpha.1", "android", bundle, bundle, "builtin"},
		{"8.1.9", "android", bundle, bundle, "builtin"},
		{"8.2.0", "android", bundle, mismatch, "builtin"},
		{"8.51.23", "ios", bundle, mismatch, "builtin"},
		{"9.0.0", "ios", bundle, mismatch, "builtin"},
		{"0.0.1", "electron", bundle, mismatch, "builtin"},
		{"", "android", bundle, bundle, "builtin"},
		{"8.x", "android", bundle, bundle, "builtin"},
		{"8.51.23.1", "android", bundle, bundle, "builtin"},
	} {
		who := androidApp.with(fields{"plugin_version": tc.version, "platform": tc.platform, "version_name": "2.3.0"})
		for doc, want := range map[*release.Document]string{plain: tc.plain, sealed: tc.sealed, nothing: tc.nothing} {
			if got := code(fixtureOn(t, l, doc).ask(who)); got != want {
				t.Errorf("%s on %s: got %s, want %s", tc.version, tc.platform, got, want)
			}
		}
	}
}

// A key opens what is encrypted to it, and nothing else.
func TestKeys(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	for _, tc := range []struct {
		name, plugin, os, key string
		doc                   *release.Document
		want                  string
	}{
		{"its key", "8.51.23", "15", keyID, production(encrypted), "2.4.0"},
		{"another key", "8.51.23", "15", "MIIBCgKCAQEAxxxxxxxx", production(encrypted), "key_id_mismatch"},
		{"a key of another form", "8.30.0", "15", "MIIB", production(encrypted), "2.4.0"},
		{"a key, and a plain bundle", "8.51.23", "15", keyID, production(), "key_id_mismatch"},
		{"no key", "8.51.23", "15", "", production(encrypted), "key_id_mismatch"},
		{"no device, but a probe", "8.51.23", "", "", production(encrypted), "2.4.0"},
		{"another's probe with another key", "8.51.23", "", "MIIBCgKCAQEAxxxxxxxx", production(encrypted), "key_id_mismatch"},
		{"no key, and a plain bundle", "8.51.23", "15", "", production(), "2.4.0"},
	} {
		got := fixtureOn(t, l, tc.doc).ask(androidApp.with(fields{"plugin_version": tc.plugin, "version_os": tc.os, "key_id": tc.key}))
		if code(got) != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
	}
}

// Only plugins that come back by themselves are held back by a 429.
func TestLimited(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	for agent, status := range map[string]int{
		"CapacitorUpdater/8.51.5 (x) android/15": 429, "CapacitorUpdater/8.51.23 (x) ios/18.1": 429, "CapacitorUpdater/8.51.4 (x) ios/18.1": 200,
		"CapacitorUpdater/7.51.9 (x) android/9": 200, "CapacitorUpdater/8.51.23 (x) electron/6.1": 200, "okhttp/4.12": 200, "": 200,
	} {
		f := fixtureOn(t, l, production())
		spend(f)
		w := f.call(http.MethodPost, capgo.CheckPath, "it is not read", "User-Agent", agent)
		if wait := w.Header().Get("Retry-After"); w.Code != status || (status == 429) != (wait == "3600") || len(f.ledger.checks) != 0 {
			t.Errorf("%s: got %d %v", agent, w.Code, w.Header())
		}
		if got := reactions(w.Code, w.Body.Bytes())["android 8.51.23"]; got != current {
			t.Errorf("%s: Android takes it as %s", agent, got)
		}
		if w := f.call(http.MethodPost, capgo.StatsPath, "neither", "User-Agent", agent); w.Code != status {
			t.Errorf("%s: statistics: got %d", agent, w.Code)
		}
		if w := f.call(http.MethodPost, capgo.ChannelPath, "nor this", "User-Agent", agent); w.Code != status || code(w.Body.String()) != "too_many_requests" {
			t.Errorf("%s: channel: got %d %s", agent, w.Code, w.Body)
		}
	}
}

// demandProof lets devices in that show a certificate; tests have none.
func demandProof(f *fixture) {
	verified := func(*tls.ConnectionState) bool { return true }
	f.withEdge(edge.Config{Auth: auth.Config{Mode: auth.Required, Certificates: &auth.Certificates{Verified: verified}}})
}

// A device that has to prove its id is refused without a proof.
func TestProof(t *testing.T) {
	t.Parallel()
	f := newFixture(t, channels()...)
	demandProof(f)
	stat := androidApp.with(fields{"action": "set", "version_name": "2.4.0"}).json()
	for path, body := range map[string]string{
		capgo.CheckPath: androidApp.json(), capgo.StatsPath: stat, capgo.ChannelPath: oldApp.with(fields{"channel": "qa"}).json(), capgo.SizePath: androidApp.json(),
	} {
		if w := f.call(http.MethodPost, path, body); w.Code != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	f.call(http.MethodPost, capgo.StatsPath, "["+stat+"]")
	if len(f.ledger.checks)+len(f.ledger.reports) != 0 {
		t.Error("something was noted")
	}
}

func TestTooLong(t *testing.T) {
	t.Parallel()
	f := newFixture(t, production())
	for path, size := range map[string]int{capgo.CheckPath: 64 << 10, capgo.ChannelPath: 64 << 10, capgo.StatsPath: 1 << 20, capgo.SizePath: 1 << 20} {
		body := androidApp.with(fields{"action": "ping", "channel": "x"}).json()
		if w := f.call(http.MethodPost, path, body+strings.Repeat(" ", size-len(body))); w.Code != http.StatusOK {
			t.Errorf("%s with %d bytes: %d %s", path, size, w.Code, w.Body)
		}
		if w := f.call(http.MethodPost, path, body+strings.Repeat(" ", size-len(body)+1)); w.Code != http.StatusRequestEntityTooLarge {
			t.Errorf("%s with %d bytes: %d %s", path, size+1, w.Code, w.Body)
		}
	}
}

// Pages may read the answers of those channels that let them.
func TestOrigins(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	open := production(func(d *release.Document) { d.Follow.Origins = []string{"https://app.example.com"} })
	for _, tc := range []struct {
		doc          *release.Document
		origin, want string
	}{
		{open, "https://app.example.com", "https://app.example.com"}, {open, "https://evil.example.com", ""}, {open, "", ""},
		{production(), "https://app.example.com", ""},
	} {
		f := fixtureOn(t, l, tc.doc)
		stat := androidApp.with(fields{"action": "ping"}).json()
		for name, w := range map[string]http.Header{
			"check":   f.call(http.MethodPost, capgo.CheckPath, androidApp.json(), "Origin", tc.origin).Header(),
			"stats":   f.call(http.MethodPost, capgo.StatsPath, stat, "Origin", tc.origin).Header(),
			"channel": f.call(http.MethodPut, capgo.ChannelPath, oldApp.json(), "Origin", tc.origin).Header(),
		} {
			if got := w.Get("Access-Control-Allow-Origin"); got != tc.want || w.Get("Vary") != "Origin" {
				t.Errorf("%s from %q: got %q, Vary %q", name, tc.origin, got, w.Get("Vary"))
			}
		}
	}
}

func TestURLs(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	for _, tc := range []struct{ base, proto, want string }{
		{"", "", "http://example.com/v1/artifacts/"}, {"", "https", "https://example.com/v1/artifacts/"},
		{"https://ota.example.org/gw", "", "https://ota.example.org/gw/v1/artifacts/"},
	} {
		f := fixtureOn(t, l, production())
		f.handler.BaseURL = tc.base
		var a struct{ URL string }
		if err := json.Unmarshal([]byte(f.ask(androidApp, "X-Forwarded-Proto", tc.proto)), &a); err != nil || a.URL != tc.want+app+"/"+stableHex {
			t.Errorf("%+v: got %s, %v", tc, a.URL, err)
		}
	}
}

// A channel that was chosen on a new device, or stored for an old one, is followed.
func TestChoices(t *testing.T) {
	t.Parallel()
	f := newFixture(t, channels()...)
	if got := code(f.ask(androidApp.with(fields{"defaultChannel": "beta", "version_build": "2.4.0"}))); got != "2.5.0" {
		t.Errorf("a new plugin's wish: %s", got)
	}
	old := oldApp.with(fields{"defaultChannel": "production", "version_build": "2.4.0"})
	steps := []struct {
		method, channel string
		override        string
		then            string
	}{
		{http.MethodPost, "beta", "beta", "2.5.0"},
		{http.MethodPost, "qa", "qa", "no_new_version_available"},
		{http.MethodPost, "board", "qa", "no_new_version_available"}, // is refused
		{http.MethodPost, "beta", "beta", "2.5.0"},
		{http.MethodDelete, "", "", "no_new_version_available"},
		{http.MethodDelete, "", "", "no_new_version_available"},
	}
	for i, s := range steps {
		body := old.with(fields{"channel": s.channel})
		if s.method == http.MethodDelete {
			f.call(s.method, capgo.ChannelPath+body.query(), "")
		} else {
			f.call(s.method, capgo.ChannelPath, body.json())
		}
		if got := f.ledger.Override(f.ledger.Pseudonym(app, device)); got != s.override {
			t.Errorf("step %d: the override is %q, want %q", i, got, s.override)
		}
		if got := code(f.ask(old)); got != s.then {
			t.Errorf("step %d: then %s, want %s", i, got, s.then)
		}
	}
	// To choose what is followed by default stores nothing.
	f.call(http.MethodPost, capgo.ChannelPath, old.with(fields{"defaultChannel": "beta", "channel": "beta"}).json())
	if got := f.ledger.Override(f.ledger.Pseudonym(app, device)); got != "" {
		t.Errorf("the default was stored: %q", got)
	}
	f.put(device, "beta")
	if got := code(f.ask(androidApp.with(fields{"version_build": "2.4.0", "defaultChannel": "production"}))); got != "2.4.0" {
		t.Errorf("a new plugin does not follow what was stored for an old one: %s", got)
	}
}

// To ask for the channel never changes what a device follows: a new plugin stores the name that it gets.
func TestAskingPinsNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t, channels()...)
	for _, who := range []fields{androidApp, iosApp, androidApp.with(fields{"defaultChannel": "beta"}), androidApp.with(fields{"defaultChannel": "gone"})} {
		var a struct{ Channel string }
		if err := json.Unmarshal(f.call(http.MethodPut, capgo.ChannelPath, who.json()).Body.Bytes(), &a); err != nil || a.Channel != who["defaultChannel"] {
			t.Errorf("%v: got %q, %v", who["defaultChannel"], a.Channel, err)
		}
	}
}

// A ledger that is away keeps no choice, and says so.
// A channel that devices cannot get into by themselves looks like one that does not exist, whoever asks in whatever way.
func TestClosedChannels(t *testing.T) {
	t.Parallel()
	f := newFixture(t, channels()...)
	for name, who := range map[string]fields{"new": androidApp, "old": oldApp, "electron": electronApp} {
		for method, ask := range map[string]func(channel string) string{
			http.MethodPost: func(channel string) string {
				return f.call(http.MethodPost, capgo.ChannelPath, who.with(fields{"channel": channel}).json()).Body.String()
			},
			http.MethodPut: func(channel string) string {
				return f.call(http.MethodPut, capgo.ChannelPath, who.with(fields{"channel": channel}).json()).Body.String()
			},
			"PUT by default": func(channel string) string {
				return f.call(http.MethodPut, capgo.ChannelPath, who.with(fields{"defaultChannel": channel}).json()).Body.String()
			},
			http.MethodGet: func(channel string) string {
				return f.call(http.MethodGet, capgo.ChannelPath+who.with(fields{"defaultChannel": channel}).query(), "").Body.String()
			},
			"check": func(channel string) string { return f.ask(who.with(fields{"defaultChannel": channel})) },
		} {
			if closed, unknown := ask("board"), ask("bored"); strings.ReplaceAll(closed, "board", "bored") != unknown {
				t.Errorf("%s, %s: closed gives %s, unknown %s", name, method, closed, unknown)
			}
		}
	}
}

func TestChoiceCannotBeStored(t *testing.T) {
	t.Parallel()
	f := newFixture(t, channels()...)
	if err := f.ledger.Close(); err != nil {
		t.Fatal(err)
	}
	got := f.call(http.MethodPost, capgo.ChannelPath, oldApp.with(fields{"channel": "qa"}).json())
	if code(got.Body.String()) != "channel_self_server_storage_unavailable" || got.Code != 200 {
		t.Errorf("got %d %s", got.Code, got.Body)
	}
}

// Whether a channel may be chosen that cannot be read is not known at the moment.
func TestUnreadableChannelIsNotChosen(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	torn := &view.View{View: *resolve.NewView(now.Add(time.Hour), resolve.Unreadable(app, "beta", nil, nil))}
	f.handler.View = func() *view.View { return torn }
	got := f.call(http.MethodPost, capgo.ChannelPath, androidApp.with(fields{"channel": "beta"}).json())
	if code(got.Body.String()) != "channel_self_server_storage_unavailable" {
		t.Errorf("got %d %s", got.Code, got.Body)
	}
}

// Methods that a path does not have are refused, and POSTs are never redirected.
func TestRoutes(t *testing.T) {
	t.Parallel()
	f := newFixture(t, production())
	for _, r := range f.handler.Routes() {
		if !slices.Contains([]string{capgo.CheckPath, capgo.SizePath, capgo.StatsPath, capgo.ChannelPath}, r.Path) || r.MaxBody == 0 {
			t.Errorf("route %+v", r)
		}
	}
	for _, path := range []string{capgo.CheckPath, capgo.StatsPath, capgo.SizePath} {
		if w := f.call(http.MethodGet, path, ""); w.Code != http.StatusMethodNotAllowed {
			t.Errorf("GET %s: %d", path, w.Code)
		}
	}
}
