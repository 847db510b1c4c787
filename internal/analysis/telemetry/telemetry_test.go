// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/windlass-dev/windlass/internal/analysis/telemetry"
	"github.com/windlass-dev/windlass/internal/gateway"
	"github.com/windlass-dev/windlass/internal/gateway/origin"
	"github.com/windlass-dev/windlass/internal/gateway/outcome"
	"github.com/windlass-dev/windlass/internal/gateway/view/viewtest"
	"github.com/windlass-dev/windlass/internal/release"
)

const token = "a-token-of-the-manager"

var (
	stable    = release.DigestPrefix + strings.Repeat("a", 64)
	candidate = release.DigestPrefix + strings.Repeat("b", 64)
)

func document(try int64) *release.Document {
	return &release.Document{
		Schema: release.Schema, App: "shop", Channel: "production", Revision: try, Serving: release.Active,
		Stable: &release.Bundle{Name: "s", Version: "2.0.0", Digest: stable, Path: "bundles/shop/2.0.0.zip"},
		Candidate: &release.Candidate{
			Bundle: release.Bundle{Name: "c", Version: "2.1.0", Digest: candidate, Path: "bundles/shop/2.1.0.zip"},
			Weight: release.FullWeight / 2, Salt: "s", Release: try, LeaseExpires: time.Now().Add(time.Hour).Unix(),
		},
	}
}

// replica is a real gateway, without its listeners.
type replica struct {
	*testing.T
	server   *gateway.Server
	internal *httptest.Server
}

// startReplica starts a gateway that follows a repository.
func startReplica(t *testing.T, repo *viewtest.Repo, url string) *replica {
	t.Helper()
	source, err := origin.NewHTTP(url)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := gateway.New(t.Context(), gateway.Config{
		Origin: source, Root: repo.Root(), PollInterval: 10 * time.Millisecond, TokenFile: file,
		Ledger: outcome.Config{PerBundle: 10_000, Total: 10_000, Keep: time.Hour}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &replica{T: t, server: s, internal: httptest.NewServer(s.Internal())}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { s.Follow(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done; r.internal.Close() })
	r.waitFor("candidate")
	return r
}

func (r *replica) post(path, body string) string {
	r.Helper()
	req := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	r.server.Public().ServeHTTP(w, req)
	if w.Code/100 != 2 {
		r.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
	return w.Body.String()
}

// check asks for an update and gives the digest that the device is to run.
func (r *replica) check(id string) string {
	r.Helper()
	answer := r.post("/v1/check", fmt.Sprintf(`{"app":"shop","channel":"production","deviceID":%q,"platform":"ios","nativeVersion":"1.0.0"}`, id))
	if strings.Contains(answer, candidate) {
		return candidate
	}
	return stable
}

func (r *replica) report(id, digest, outcome string) {
	r.Helper()
	r.post("/v1/report", fmt.Sprintf(`{"app":"shop","channel":"production","deviceID":%q,"digest":%q,%s}`, id, digest, outcome))
}

// waitFor waits until devices are answered from the repository; emulators do not count.
func (r *replica) waitFor(text string) {
	r.Helper()
	deadline := time.Now().Add(time.Minute)
	for i := 0; time.Now().Before(deadline); i++ {
		answer := r.post("/v1/check", fmt.Sprintf(
			`{"app":"shop","channel":"production","deviceID":"e%d","platform":"ios","nativeVersion":"1.0.0","build":{"hardware":"Emulator"}}`, i))
		if strings.Contains(answer, text) {
			return
		}
		time.Sleep(time.Millisecond) // of a poll for a condition
	}
	r.Fatalf("no answer with %q", text)
}

func TestAddsUpTheReplicas(t *testing.T) {
	t.Parallel()
	repo := viewtest.New(t)
	repo.Publish(document(1))
	bucket := httptest.NewServer(repo)
	t.Cleanup(bucket.Close)
	replicas := []*replica{startReplica(t, repo, bucket.URL), startReplica(t, repo, bucket.URL)}
	var want [2]telemetry.Counts // of candidate and control
	for i := range 200 {
		id, r := fmt.Sprintf("d%d", i), replicas[i%2]
		digest, arm := r.check(id), 1
		if digest == candidate {
			arm = 0
		}
		want[arm].Exposed++
		switch i % 5 {
		case 0:
			r.report(id, digest, `"outcome":"failed","kind":"crash"`)
			want[arm].Failed++
			want[arm].Voted++
		case 1, 2:
			r.report(id, digest, `"outcome":"confirmed"`)
			want[arm].Voted++
		case 3:
			r.report(id, digest, `"outcome":"failed","kind":"network"`)
		}
	}
	client := telemetry.New([]string{replicas[0].internal.URL, replicas[1].internal.URL}, token)
	gotCandidate, gotControl, err := client.Counts(t.Context(), trial(candidate))
	if err != nil || gotCandidate != want[0] || gotControl != want[1] {
		t.Errorf("candidate %+v, control %+v, %v; want %+v", gotCandidate, gotControl, err, want)
	}
	if want[0].Failed == 0 || want[1].Failed == 0 {
		t.Fatalf("the test shows nothing: %+v", want)
	}
	none, _, err := client.Counts(t.Context(), trial(release.DigestPrefix+strings.Repeat("f", 64)))
	if err != nil || none != (telemetry.Counts{}) {
		t.Errorf("a digest that nobody has: %+v, %v", none, err)
	}

	second := trial(candidate)
	second.Release = 2 // another try of the same bundle: the first one's failures are history
	if got, _, err := client.Counts(t.Context(), second); err != nil || got != (telemetry.Counts{}) {
		t.Errorf("a try that nobody made: %+v, %v", got, err)
	}
	repo.Publish(document(2))
	for _, r := range replicas {
		for deadline := time.Now().Add(time.Minute); ; {
			r.check("d0")
			got, control, err := client.Counts(t.Context(), second)
			if err != nil || time.Now().After(deadline) {
				t.Fatalf("still %+v, %+v, %v", got, control, err)
			}
			if got.Exposed+control.Exposed > 0 {
				break
			}
		}
	}
	if again, _, err := client.Counts(t.Context(), trial(candidate)); err != nil || again != want[0] {
		t.Errorf("the first try became %+v, %v; want %+v", again, err, want[0])
	}
}

func trial(digest string) telemetry.Trial {
	return telemetry.Trial{App: "shop", Channel: "production", Digest: digest, Release: 1}
}

func TestCannotTellIsAnError(t *testing.T) {
	t.Parallel()
	repo := viewtest.New(t)
	repo.Publish(document(1))
	bucket := httptest.NewServer(repo)
	t.Cleanup(bucket.Close)
	good := startReplica(t, repo, bucket.URL).internal.URL
	answer := func(code int, body string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", good)
			w.WriteHeader(code)
			_, _ = w.Write([]byte(body))
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	for name, tc := range map[string]struct {
		bases []string
		token string
		want  string
	}{
		"none":      {nil, token, "no gateway is known"},
		"refused":   {[]string{good, "http://127.0.0.1:1"}, token, "cannot be reached: connect: connection refused"},
		"token":     {[]string{good}, "another-token-altogether", "answers 401"},
		"error":     {[]string{answer(500, ""), good}, token, "answers 500"},
		"HTML":      {[]string{good, answer(200, "<html>")}, token, "no JSON of counts"},
		"too large": {[]string{answer(200, strings.Repeat(" ", 5<<20))}, token, "larger than"},
		"redirect":  {[]string{answer(307, "")}, token, "it redirects"},
		"no URL":    {[]string{"http://[::"}, token, "no URL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, _, err := telemetry.New(tc.bases, tc.token).Counts(t.Context(), trial(candidate))
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), tc.token) || got != (telemetry.Counts{}) {
				t.Errorf("got %+v, %v; want an error with %q", got, err, tc.want)
			}
		})
	}
}
