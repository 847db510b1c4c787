// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/devcluster"
)

// recorded is a policy about what Prometheus recorded: at most 2 % of errors, of the version that is released.
const recorded = `apiVersion: ota.windlass.dev/v1alpha1
kind: Rollout
metadata: {name: shop}
spec:
  channelRef: {name: production}
  bundleRef: {name: shop-2.4.1}
  steps:
  - setWeight: 1
  - pause: {duration: 5m}
  - setWeight: 10
  - pause: {duration: 10m}
  - setWeight: 50
  - pause: {duration: 10m}
  analysis:
    metrics:
    - name: errors
      interval: 30s
      prometheus:
        address: http://prometheus.monitoring:9090
        query: max_over_time(error_ratio{version={{ quote .version }}}[{{ .window }}])
      thresholdRange: {max: "0.02"}
      failureLimit: 1
    - name: slow
      interval: 1m
      prometheus:
        address: http://prometheus.monitoring:9090
        query: slow_ratio{app={{ quote .app }}}
      thresholdRange: {max: "0.5"}
      dryRun: Enabled
`

// withTelemetry is the same with a metric and pauses that cannot be replayed.
var withTelemetry = strings.NewReplacer("{duration: 10m}", "{duration: 10m, minSamples: 500}", "    metrics:\n", `    onSlice: Exclude
    metrics:
    - name: failed
      telemetry: {outcome: Failed}
      maxIncrease: "1"
    - name: payments
      web: {url: https://example.com/x, jsonPath: "{.x}"}
      thresholdRange: {max: "1"}
`, "  - setWeight: 50\n", "  - pause: {minSamples: 100}\n  - setWeight: 50\n").Replace(recorded)

// history starts a Prometheus that has recorded 40 minutes, from a time that it gives: of version good an error ratio of 1 %, of bad 50 % from
// the 20th minute on, of gone nothing from the 3rd one on. Of slowness there is nothing good to say.
func history(t *testing.T) (string, time.Time) {
	t.Helper()
	start := time.Now().Add(-41 * time.Minute).UTC().Truncate(time.Second)
	var text bytes.Buffer
	for i := range 4 * 40 { // every 15 s
		at := start.Add(time.Duration(i) * 15 * time.Second).UnixMilli()
		bad := 0.01
		if i >= 4*20 {
			bad = 0.5
		}
		fmt.Fprintf(&text, "error_ratio{version=\"good\"} 0.01 %d\nerror_ratio{version=\"bad\"} %g %d\nslow_ratio{app=\"com.example.shop\"} 0.9 %d\n", at, bad, at, at)
		if i < 4*3 {
			fmt.Fprintf(&text, "error_ratio{version=\"gone\"} 0.01 %d\n", at)
		}
	}
	exporter := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text.Bytes()) }))
	t.Cleanup(exporter.Close)
	server, err := devcluster.StartPrometheus(t.Context(), t.TempDir(), 200*time.Millisecond,
		devcluster.Scrape{Job: "past", Targets: []string{strings.TrimPrefix(exporter.URL, "http://")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	gomega.NewWithT(t).Eventually(func() string {
		res, err := http.Get(fmt.Sprintf("%s/api/v1/query?query=slow_ratio&time=%d", server.URL, start.Add(39*time.Minute).Unix()))
		if err != nil {
			return err.Error()
		}
		defer res.Body.Close()
		var out bytes.Buffer
		_, _ = out.ReadFrom(res.Body)
		return out.String()
	}, time.Minute).Should(gomega.ContainSubstring(`"0.9"`))
	return server.URL, start
}

// tryNow runs a command at the present time.
func (s *shell) tryNow(args ...string) outcome {
	s.t.Helper()
	var out, err bytes.Buffer
	streams := Streams{In: strings.NewReader(""), Out: &out, Err: &err, Getenv: func(string) string { return "" }, Now: time.Now}
	code := Run(s.t.Context(), streams, args)
	return outcome{code, out.String(), err.String()}
}

func TestReplay(t *testing.T) {
	url, start := history(t)
	s := newShell(t)
	s.write(policies)
	s.write(map[string]string{"recorded.yaml": recorded, "telemetry.yaml": withTelemetry})
	at := func(d time.Duration) string { return start.Add(d).Format(time.RFC3339) }
	run := func(args ...string) replayResult {
		t.Helper()
		args = append([]string{"replay", "--prometheus", url, "--channel", "channel.yaml", "--from", at(0), "--output", "json"}, args...)
		o := s.tryNow(args...)
		if o.code != ExitOK || o.err != "" {
			t.Fatalf("%v: exit code %d: %s", args, o.code, o.err)
		}
		var out replayResult
		if err := json.Unmarshal([]byte(o.out), &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	weights := func(r replayResult) (out []string) {
		last := ""
		for _, e := range r.Events {
			if text := string(e.Weight); text != last {
				out = append(out, e.At.Sub(start).String()+" "+text)
				last = text
			}
		}
		return out
	}
	for name, tc := range map[string]struct {
		args    []string
		want    []string
		state   otav1alpha1.ReleaseState
		took    time.Duration
		message string
	}{
		"good": {
			[]string{"-f", "recorded.yaml", "--version", "good"}, []string{"0s 1", "5m0s 10", "15m0s 50", "25m0s 100"},
			otav1alpha1.ReleaseCompleted, 25 * time.Minute, "stable",
		},
		"bad": {
			[]string{"-f", "recorded.yaml", "--version", "bad"}, []string{"0s 1", "5m0s 10", "15m0s 50", "20m30s 0"},
			otav1alpha1.ReleaseRolledBack, 20*time.Minute + 30*time.Second, "0.5 is above 0.02",
		},
		"bad, measured more rarely": {
			[]string{"-f", "recorded.yaml", "--version", "bad", "--step", "2m"}, []string{"0s 1", "5m0s 10", "15m0s 50", "23m0s 0"},
			otav1alpha1.ReleaseRolledBack, 23 * time.Minute, "0.5 is above 0.02",
		},
		"a version that nobody recorded": {
			[]string{"-f", "recorded.yaml", "--version", "unheard"}, []string{"0s 1"}, otav1alpha1.ReleasePaused, 30*time.Minute + 30*time.Second, "the query gives no series",
		},
		"until the recorded time is over": {
			[]string{"-f", "recorded.yaml", "--version", "good", "--to", at(12 * time.Minute)}, []string{"0s 1", "5m0s 10"},
			otav1alpha1.ReleaseProgressing, 12 * time.Minute, "pausing",
		},
		"without what cannot be replayed": {
			[]string{"-f", "telemetry.yaml", "--version", "good", "--leave-out"}, []string{"0s 1", "5m0s 10", "15m0s 50", "25m0s 100"},
			otav1alpha1.ReleaseCompleted, 25 * time.Minute, "stable",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(tc.args...)
			if diff := cmp.Diff(tc.want, weights(got)); diff != "" {
				t.Errorf("weights (-want +got):\n%s", diff)
			}
			if took := got.At.Sub(start); got.State != tc.state || took != tc.took || !strings.Contains(got.Message, tc.message) {
				t.Errorf("%s after %s: %s; want %s after %s: %s", got.State, took, got.Message, tc.state, tc.took, tc.message)
			}
		})
	}
	checkMetrics(t, run("-f", "recorded.yaml", "--version", "bad", "--measurements"))
	if got := run("-f", "telemetry.yaml", "--version", "good", "--leave-out").LeftOut; len(got) != 6 {
		t.Errorf("left out %q, want two metrics, three samples and onSlice", got)
	}
	checkText(t, s, "replay", "--prometheus", url, "--channel", "channel.yaml", "--from", at(0), "-f", "telemetry.yaml", "--version", "bad", "--leave-out", "--measurements")
}

func checkMetrics(t *testing.T, got replayResult) {
	t.Helper()
	if len(got.Metrics) != 2 || len(got.Measurements) != got.Metrics[0].Measured+got.Metrics[1].Measured {
		t.Fatalf("%d metrics, %d measurements", len(got.Metrics), len(got.Measurements))
	}
	errs, slow := got.Metrics[0], got.Metrics[1]
	if errs.Measured != 41 || errs.Verdicts[otav1alpha1.VerdictPassing] != 39 || errs.Verdicts[otav1alpha1.VerdictFailing] != 1 || *errs.Lowest != 0.01 || *errs.Highest != 0.5 || errs.Limit != "<= 0.02" {
		t.Errorf("errors: %+v, lowest %g, highest %g", errs, *errs.Lowest, *errs.Highest)
	}
	if !slow.DryRun || slow.Verdicts[otav1alpha1.VerdictFailing] != slow.Measured || slow.Measured != 20 {
		t.Errorf("slow: %+v", slow)
	}
}

func checkText(t *testing.T, s *shell, args ...string) {
	t.Helper()
	o := s.tryNow(args...)
	for _, want := range []string{
		"\nleft out   metric failed (telemetry), metric payments (web), steps[3].pause.minSamples, ", "\noutcome    taken back after 21m: ", "\nAT ", "publishing 1 %\n",
		"\nMETRIC ", "\nslow (dry run)   ", "0.5 is above 0.02",
	} {
		if !strings.Contains(o.out, want) {
			t.Errorf("no %q in\n%s%s", want, o.out, o.err)
		}
	}
}

func TestReplayErrors(t *testing.T) {
	s := newShell(t)
	s.write(policies)
	s.write(map[string]string{
		"recorded.yaml": recorded, "telemetry.yaml": withTelemetry,
		"odd.yaml": strings.Replace(recorded, "{{ quote .app }}", "{{ quote .aap }}", 1),
	})
	var asked int
	down := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		http.Error(w, "<html>secret</html>", http.StatusBadGateway)
	}))
	defer down.Close()
	all := []string{"-f", "recorded.yaml", "--prometheus", down.URL, "--from", "24h", "--app", "com.example.shop", "--version", "1.0.0"}
	without := func(flags ...string) (out []string) {
		for i := 0; i < len(all); i += 2 {
			keep := true
			for _, f := range flags {
				keep = keep && all[i] != f
			}
			if keep {
				out = append(out, all[i], all[i+1])
			}
		}
		return out
	}
	for _, tc := range []struct {
		code int
		want string
		args []string
	}{
		{ExitUsage, "--filename", without("-f")},
		{ExitUsage, "--prometheus: expected the URL of a server", without("--prometheus")},
		{ExitUsage, "--prometheus: expected the URL of a server", append(without("--prometheus"), "--prometheus", "localhost:9090")},
		{ExitUsage, "--from: expected a time such as", without("--from")},
		{ExitUsage, "--from: expected a time before --to", append(all, "--to", "48h")},
		{ExitUsage, "--to: expected a time that is over", append(all, "--to", "2027-01-01T00:00:00Z")},
		{ExitUsage, "--step: expected at most 100000", append(without("--from"), "--from", "100000h")},
		{ExitUsage, "expected times above 0", append(all, "--promote-after", "0s")},
		{ExitUsage, "--app: expected what the query of metric slow is about", without("--app")},
		{ExitUsage, "--version: expected what the query of metric errors is about", without("--version")},
		{ExitUsage, "got metric failed (telemetry), metric payments (web), steps[3].pause.minSamples, ", append(without("-f"), "-f", "telemetry.yaml")},
		{ExitError, "there is nothing to replay", append(without("-f"), "-f", "steep.yaml")},
		{ExitError, "there is nothing to replay", append(without("-f"), "-f", "rollout.yaml", "--leave-out")},
		{ExitError, "aap", append(without("-f"), "-f", "odd.yaml")},
		{ExitError, "the server answered with status 502, want 200", all},
	} {
		s.fails(tc.code, tc.want, append([]string{"replay"}, tc.args...)...)
		if o := s.try(append([]string{"replay"}, tc.args...)...); strings.Contains(o.err, "secret") || o.out != "" {
			t.Errorf("%q: %+v", tc.args, o)
		}
	}
	if asked != 2*3 {
		t.Errorf("asked a server that fails %d times, want three tries each", asked)
	}
}
