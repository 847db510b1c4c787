// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package capgo_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// This file models how the clients take an answer to a check, as read in their code: @capgo/capacitor-updater 8.51.23 and 7.25.0
// on both platforms, @capgo/electron-updater 0.0.6.

// reaction is how a client takes an answer.
type reaction string

// The reactions. Refused is what clients of before there was a kind make of every other answer with an error: they report
// backend_refusal, which says nothing of a bundle. They share quiet and loud in the tables, since they cannot tell them apart.
const (
	updates  reaction = "updates"
	resets   reaction = "resets"
	current  reaction = "up_to_date"
	blocks   reaction = "blocked"
	fails    reaction = "failed"
	refuses  reaction = "refused"
	ignores  reaction = "ignores" // electron: nothing happens at all
	breakage reaction = "cannot read it"
)

// reactions gives how each client takes an answer. What a client cannot tell apart by its nature is given as the others'.
func reactions(status int, body []byte) map[string]reaction {
	all := map[string]reaction{"android 8.51.23": android8(status, body), "ios 8.51.23": ios8(status, body)}
	for client, got := range map[string]reaction{
		"android 7.25.0": android7(status, body), "ios 7.25.0": ios7(status, body), "electron 0.0.6": electron0(status, body),
	} {
		newest := all["android 8.51.23"]
		switch {
		case got == refuses && (newest == current || newest == blocks || newest == fails):
			got = newest
		case got == ignores && newest != updates:
			got = newest
		}
		all[client] = got
	}
	return all
}

// android8 looks for keys: a null is as good as a value.
func android8(status int, body []byte) reaction {
	var keys map[string]json.RawMessage
	if json.Unmarshal(body, &keys) != nil {
		return breakage
	}
	text := func(key string) (s string, ok bool) {
		ok = json.Unmarshal(keys[key], &s) == nil && string(keys[key]) != "null"
		return s, ok
	}
	_, hasError := keys["error"]
	_, hasKind := keys["kind"]
	switch k, _ := text("kind"); {
	case (hasError || hasKind) && (k == "up_to_date" || k == "blocked"):
		return reaction(k)
	case hasError || hasKind, status < 200 || status > 299:
		return fails
	}
	if keys["message"] != nil || keys["manifest"] != nil {
		return breakage // a manual check rejects the first; the second is not served
	}
	return offered(text)
}

// offered is what a client does with an answer without an error.
func offered(text func(string) (string, bool)) reaction {
	name, ok := text("version")
	if !ok || name == "" {
		return breakage
	}
	address, hasURL := text("url")
	if name == "builtin" && !hasURL {
		return resets
	}
	u, err := url.Parse(address)
	checksum, _ := text("checksum")
	if _, hasKey := text("session_key"); err != nil || u.Host == "" || checksum == "" || !hasKey {
		return breakage // 8.51.15 and later refuse a bundle without a checksum
	}
	return updates
}

// android7 knows no kind.
func android7(status int, body []byte) reaction {
	var keys map[string]json.RawMessage
	if json.Unmarshal(body, &keys) != nil {
		return breakage
	}
	_, hasError := keys["error"]
	_, hasMessage := keys["message"]
	switch {
	case status < 200 || status > 299:
		return fails
	case hasError || hasMessage:
		return refuses
	}
	return android8(status, body)
}

// appVersion is what the client on iOS decodes: one value of a wrong type makes all of it unreadable, a missing one does not.
type appVersion struct {
	Version    *string            `json:"version"`
	Checksum   *string            `json:"checksum"`
	URL        *string            `json:"url"`
	Message    *string            `json:"message"`
	Error      *string            `json:"error"`
	Kind       *string            `json:"kind"`
	SessionKey *string            `json:"session_key"`
	Major      *bool              `json:"major"`
	Breaking   *bool              `json:"breaking"`
	Data       *map[string]string `json:"data"`
	Manifest   []struct {
		FileName    *string `json:"file_name"`
		FileHash    *string `json:"file_hash"`
		DownloadURL *string `json:"download_url"`
	} `json:"manifest"`
	Link    *string `json:"link"`
	Comment *string `json:"comment"`
}

func (a *appVersion) text(key string) (string, bool) {
	value := map[string]*string{"version": a.Version, "url": a.URL, "checksum": a.Checksum, "session_key": a.SessionKey}[key]
	if value == nil {
		return "", false
	}
	return *value, true
}

func ios8(status int, body []byte) reaction {
	var a appVersion
	if json.Unmarshal(body, &a) != nil {
		return breakage
	}
	switch {
	case status == 429: // whatever it says
		return fails
	case a.Kind != nil && (*a.Kind == "up_to_date" || *a.Kind == "blocked"):
		return reaction(*a.Kind)
	case a.Error != nil && *a.Error != "", a.Kind != nil && *a.Kind != "", status < 200 || status > 299:
		return fails
	}
	return offered(a.text)
}

func ios7(status int, body []byte) reaction {
	var a appVersion
	if json.Unmarshal(body, &a) != nil {
		return breakage
	}
	switch {
	case status < 200 || status > 299:
		return fails
	case a.Error != nil && *a.Error != "", a.Message != nil && *a.Message != "":
		return refuses
	}
	return offered(a.text)
}

// electron0 downloads whatever has a url and a version.
func electron0(status int, body []byte) reaction {
	var a struct {
		Version, URL, Error string
		Breaking            bool
	}
	switch {
	case status < 200 || status > 299:
		return ignores
	case json.Unmarshal(body, &a) != nil:
		return breakage
	case a.Error == "no_new_version_available":
		return current
	case a.URL != "" && a.Version != "" && !a.Breaking:
		return updates
	}
	return ignores
}

// What clients decode of the answers about channels: missing keys are fine, wrong types are not.
type (
	choiceAnswer struct {
		Status  *string `json:"status"`
		Error   *string `json:"error"`
		Message *string `json:"message"`
		Unset   *bool   `json:"unset"`
	}
	channelAnswer struct {
		Channel  *string `json:"channel"`
		Status   *string `json:"status"`
		Error    *string `json:"error"`
		Message  *string `json:"message"`
		AllowSet *bool   `json:"allowSet"`
	}
	listedChannel struct {
		ID        int    `json:"id"` // Android wants a number, iOS an integer
		Name      string `json:"name"`
		Public    *bool  `json:"public"`
		Assigning *bool  `json:"allow_self_set"`
	}
)

// Every answer about channels is one that the client which asked can read, and takes for success or not as it is meant.
func TestClientsReadChannels(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	for _, g := range channelGoldens() {
		if g.code != 0 {
			continue
		}
		body := g.call(t, l).Body.Bytes()
		var rejected struct{ Error string }
		isArray := json.Unmarshal(body, &rejected) != nil
		var err error
		switch {
		case isArray:
			var channels []listedChannel
			if err = json.Unmarshal(body, &channels); err == nil {
				for _, c := range channels {
					if c.ID <= 0 || c.Name == "" || c.Public == nil || c.Assigning == nil {
						t.Errorf("%s: %s", g.name, body)
					}
				}
			}
		case g.method == http.MethodPut:
			var a channelAnswer
			if err = json.Unmarshal(body, &a); err == nil && (a.Error == nil) != (a.Channel != nil) {
				t.Errorf("%s: %s", g.name, body)
			}
		case g.method == http.MethodPost || g.method == http.MethodDelete:
			var a choiceAnswer
			if err = json.Unmarshal(body, &a); err == nil && (a.Status == nil || (*a.Status == "ok") != (a.Error == nil) || a.Unset != nil) {
				t.Errorf("%s: %s", g.name, body)
			}
		}
		if err != nil || isArray != (g.method == http.MethodGet && !strings.HasSuffix(g.name, "electron")) {
			t.Errorf("%s: %s: %v", g.name, body, err)
		}
	}
}
