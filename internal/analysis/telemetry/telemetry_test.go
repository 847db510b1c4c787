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
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/windlass-dev/windlass/internal/analysis/blame"
	"github.com/windlass-dev/windlass/internal/analysis/eprocess"
	"github.com/windlass-dev/windlass/internal/analysis/telemetry"
	"github.com/windlass-dev/windlass/internal/gateway"
	"github.com/windlass-dev/windlass/internal/gateway/ledger"
	"github.com/windlass-dev/windlass/internal/gateway/origin"
	"github.com/windlass-dev/windlass/internal/gateway/view/viewtest"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/tokenfile"
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
			Weight: release.FullWeight / 2, Salt: salt(try), Release: try, Stage: 1, LeaseExpires: time.Now().Add(time.Hour).Unix(),
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
func startReplica(t *testing.T, repo *viewtest.Repo, url string, where ledger.Config) *replica {
	t.Helper()
	source, err := origin.NewHTTP(url)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	where.NetworkShare, where.FlushEvery, where.FilterSize = 1, time.Millisecond, 1<<10 // all devices are of one network
	s, err := gateway.New(t.Context(), gateway.Config{
		Origin: source, Root: repo.Root(), PollInterval: 10 * time.Millisecond, TokenFile: file, Ledger: where, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &replica{T: t, server: s, internal: httptest.NewServer(s.Internal())}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error)
	go func() { done <- s.Follow(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("follow: %v", err)
		}
		r.internal.Close()
	})
	r.waitFor("candidate")
	return r
}

// sqlite is a ledger of one gateway.
func sqlite(t *testing.T) ledger.Config {
	t.Helper()
	return ledger.Config{Path: filepath.Join(t.TempDir(), "ledger.db")}
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

// tally is what a fleet did: candidate and control.
type tally [2]eprocess.Arm

func plus(a, b eprocess.Arm) eprocess.Arm {
	return eprocess.Arm{Exposed: a.Exposed + b.Exposed, Voted: a.Voted + b.Voted, Failed: a.Failed + b.Failed, Returned: a.Returned + b.Returned}
}

// drive lets devices check in and report at replicas in turn; each device goes to all of them.
func drive(replicas ...*replica) (want tally) {
	for i := range 200 {
		id, first, second := fmt.Sprintf("d%d", i), replicas[i%len(replicas)], replicas[(i+1)%len(replicas)]
		digest, arm := first.check(id), 1
		if digest == candidate {
			arm = 0
		}
		want[arm].Exposed++
		switch i % 5 {
		case 0:
			second.report(id, digest, `"outcome":"failed","kind":"crash"`)
			want[arm].Failed++
			want[arm].Voted++
		case 1, 2:
			second.report(id, digest, `"outcome":"confirmed"`)
			want[arm].Voted++
		case 3:
			second.report(id, digest, `"outcome":"failed","kind":"network"`)
		}
	}
	return want
}

// eventually waits until all that was told is counted.
func eventually(t *testing.T, client *telemetry.Client, want tally) {
	t.Helper()
	wanted := []eprocess.Stage{{ID: 1, Candidate: want[0], Control: want[1]}}
	var got []eprocess.Stage
	for deadline := time.Now().Add(time.Minute); !slices.Equal(got, wanted); time.Sleep(time.Millisecond) { // of a poll for a condition
		var err error
		if got, err = client.Counts(t.Context(), trial(1)); err != nil || time.Now().After(deadline) {
			t.Fatalf("stages are %+v, %v; want %+v", got, err, wanted)
		}
	}
	group := blame.Group{Stage: 1, Platform: "ios", NativeVersion: "1.0.0", Candidate: want[0], Control: want[1]}
	if groups, err := client.Slices(t.Context(), trial(1)); err != nil || !slices.Equal(groups, []blame.Group{group}) {
		t.Errorf("groups are %+v, %v; want %+v", groups, err, group)
	}
	if want[0].Failed == 0 || want[1].Failed == 0 {
		t.Fatalf("the test shows nothing: %+v", want)
	}
}

func client(t *testing.T, addresses ...string) *telemetry.Client {
	t.Helper()
	return newClient(t, telemetry.Config{Token: tokenOf(token)}, addresses...)
}

func tokenOf(text string) func() ([]byte, error) {
	return func() ([]byte, error) { return []byte(text), nil }
}

func newClient(t *testing.T, cfg telemetry.Config, addresses ...string) *telemetry.Client {
	t.Helper()
	for _, a := range addresses {
		target, err := telemetry.ParseTarget(a)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Targets = append(cfg.Targets, target)
	}
	return telemetry.New(cfg)
}

// publish serves a repository with the first try of the candidate.
func publish(t *testing.T) (repo *viewtest.Repo, url string) {
	t.Helper()
	repo = viewtest.New(t)
	repo.Publish(document(1))
	bucket := httptest.NewServer(repo)
	t.Cleanup(bucket.Close)
	return repo, bucket.URL
}

// trial is a try of the candidate: each has a salt of its own.
func trial(try int64) telemetry.Trial {
	return telemetry.Trial{App: "shop", Channel: "production", Digest: candidate, Salt: salt(try), Began: time.Now()}
}

func salt(try int64) string { return fmt.Sprintf("s%d", try) }

func TestAddsUpDifferentLedgers(t *testing.T) {
	t.Parallel()
	repo, url := publish(t)
	replicas := []*replica{startReplica(t, repo, url, sqlite(t)), startReplica(t, repo, url, sqlite(t))}
	want := tally{}
	for _, r := range replicas {
		one := drive(r)
		for arm := range want {
			want[arm] = plus(want[arm], one[arm])
		}
	}
	c := client(t, replicas[0].internal.URL, replicas[1].internal.URL, replicas[1].internal.URL+"/") // named twice, asked twice, counted once
	eventually(t, c, want)
	other := trial(1)
	other.Digest = release.DigestPrefix + strings.Repeat("f", 64)
	if none, err := c.Counts(t.Context(), other); err != nil || none != nil {
		t.Errorf("a digest that nobody has: %+v, %v", none, err)
	}
	if got, err := c.Counts(t.Context(), trial(2)); err != nil || got != nil {
		t.Errorf("a try that nobody made: %+v, %v", got, err)
	}
	if got, err := c.Slices(t.Context(), trial(2)); err != nil || got != nil {
		t.Errorf("groups of a try that nobody made: %+v, %v", got, err)
	}
}

// Another try of the same bundle begins at zero: the first one's failures are history, and stay what they were.
func TestCountsTriesApart(t *testing.T) {
	t.Parallel()
	repo, url := publish(t)
	r := startReplica(t, repo, url, sqlite(t))
	want := drive(r)
	c := client(t, r.internal.URL)
	eventually(t, c, want)
	repo.Publish(document(2))
	for i, deadline := 0, time.Now().Add(time.Minute); ; i++ {
		r.check(fmt.Sprintf("n%d", i))
		got, err := c.Counts(t.Context(), trial(2))
		if err != nil || len(got) > 1 || time.Now().After(deadline) {
			t.Fatalf("still %+v, %v", got, err)
		}
		if len(got) == 0 {
			continue
		}
		if got[0].Candidate.Voted+got[0].Control.Voted > 0 {
			t.Fatalf("votes that nobody gave: %+v", got)
		}
		break
	}
	again, err := c.Counts(t.Context(), trial(1))
	if err != nil || len(again) != 1 || again[0].Candidate.Voted != want[0].Voted || again[0].Candidate.Failed != want[0].Failed {
		t.Errorf("the first try became %+v, %v; want %+v", again, err, want[0])
	}
}

func TestCannotTellIsAnError(t *testing.T) {
	t.Parallel()
	repo, url := publish(t)
	good := startReplica(t, repo, url, sqlite(t)).internal.URL
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
		"no ledger": {[]string{answer(200, `{"counts":[]}`)}, token, "which ledger"},
		"database":  {[]string{good, answer(503, "")}, token, "answers 503"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, telemetry.Config{Token: tokenOf(tc.token)}, tc.bases...)
			got, err := c.Counts(t.Context(), trial(1))
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), tc.token) || got != nil {
				t.Errorf("got %+v, %v; want an error with %q", got, err, tc.want)
			}
			groups, err := c.Slices(t.Context(), trial(1))
			want := strings.Replace(tc.want, "JSON of counts", "JSON of groups of devices", 1)
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), tc.token) || groups != nil {
				t.Errorf("got the groups %+v, %v; want an error with %q", groups, err, want)
			}
		})
	}
}

// A ledger that was begun in the middle of a trial has only a part of what failed: it is an error, not a better rate. Another trial
// is counted.
func TestLedgerIsYoungerThanTheTrial(t *testing.T) {
	t.Parallel()
	repo, url := publish(t)
	before := trial(1)
	r := startReplica(t, repo, url, ledger.Config{}) // in memory: as after a restart
	c := client(t, r.internal.URL)
	want := drive(r)
	eventually(t, c, want)
	tooYoung := "after the release at " + before.Began.UTC().Format(time.RFC3339)
	if got, err := c.Counts(t.Context(), before); err == nil || !strings.Contains(err.Error(), tooYoung) || got != nil {
		t.Errorf("got %+v, %v; want an error", got, err)
	}
	if got, err := c.Slices(t.Context(), before); err == nil || !strings.Contains(err.Error(), tooYoung) || got != nil {
		t.Errorf("got the groups %+v, %v; want an error", got, err)
	}
}

// The token is read for each question: a new one in the file counts at once, and a file that cannot be read is an error.
func TestTokenIsReadEachTime(t *testing.T) {
	t.Parallel()
	repo, url := publish(t)
	r := startReplica(t, repo, url, sqlite(t))
	file := filepath.Join(t.TempDir(), "token")
	c := newClient(t, telemetry.Config{Token: func() ([]byte, error) { return tokenfile.Read(file) }}, r.internal.URL)
	for content, want := range map[string]string{"another-token-altogether": "answers 401", "short": "expected a token of at least 16", token + "\n": ""} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := c.Counts(t.Context(), trial(1))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", content, err, want)
		}
	}
}
