// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/devcluster"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/native"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// The whole loop on real parts: devices ask a real gateway and report to it, a real Prometheus scrapes it, and the manager
// decides on both. A good release completes, one that fails on every fourth device is taken back, and with the manager and
// the bucket gone the gateway goes on serving.
func TestStory_devicesDecide(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	token := filepath.Join(r.dir, "token")
	if err := os.WriteFile(token, []byte("for-tests-only-and-long-enough"), 0o600); err != nil {
		t.Fatal(err)
	}
	internal := r.freeAddress()
	r.startManager("--gateway-url", "dns+http://"+internal, "--gateway-token-file", token)
	r.comes(r.Repository(r.bucket, r.author), metav1.ConditionTrue, "")
	fleet := &fleet{rig: r, base: "http://" + r.startGateway(internal, token), running: map[int]string{}, bad: map[string]bool{}}
	prometheus := r.startPrometheus(internal)

	r.release(1)
	ro := r.Rollout("shop", "production", "shop-1", testkit.SetWeight(50), testkit.PauseFor("1s", 15), testkit.SetWeight(100))
	ro.Spec.Analysis = &otav1alpha1.Analysis{Metrics: []otav1alpha1.Metric{
		{Name: "update-failures", Interval: "1s", Telemetry: &otav1alpha1.TelemetryMetric{Outcome: otav1alpha1.OutcomeFailed},
			MaxRate: "0.1", MinSamples: new(int32(15))},
		{Name: "failure-ratio", Interval: "1s", ThresholdRange: &otav1alpha1.ThresholdRange{Max: "0.1"}, FailureLimit: new(int32(30)),
			Prometheus: &otav1alpha1.PrometheusMetric{Address: otav1alpha1.URL(prometheus), Query: `sum(windlass_gateway_devices_total{version={{ quote .version }},arm="candidate",outcome="failed"}) /
				sum(windlass_gateway_devices_total{version={{ quote .version }},arm="candidate",outcome=~"confirmed|failed"})`}},
	}}
	r.Create(t, ro)
	stop := fleet.live()
	r.comes(ro, metav1.ConditionTrue, otav1alpha1.CompletedReason)

	bad := r.release(2)
	fleet.spoil(string(bad.Spec.Digest))
	r.patch(ro, `{"bundleRef":{"name":"shop-2"}}`)
	r.comes(ro, metav1.ConditionFalse, otav1alpha1.RolledBackReason)
	gomega.NewWithT(t).Eventually(fleet.digests).WithTimeout(testkit.Timeout).Should(gomega.HaveLen(1), "devices come home to one bundle")
	if fleet.digests()[string(bad.Spec.Digest)] {
		t.Error("devices ended on the bad release")
	}
	stop()
	fleet.checkMetrics(prometheus)

	r.stopManager()
	if got := fleet.check(1_000_000, ""); got.Action != "update" || got.Bundle.Version != "1.1.0" {
		t.Errorf("without the manager a new device is told %+v", got)
	}
	if rejected := fleet.rejected; rejected > 0 {
		t.Errorf("%d answers were not as the protocol says", rejected)
	}
}

func (r *rig) freeAddress() string {
	r.Helper()
	port, err := devcluster.FreePort()
	if err != nil {
		r.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// startGateway pins the published root and serves devices at the address that it gives.
func (r *rig) startGateway(internal, token string) string {
	r.Helper()
	bin, err := gatewayBinary()
	if err != nil {
		r.Fatal(err)
	}
	dir := r.TempDir()
	root := filepath.Join(dir, "root.json")
	if err := os.WriteFile(root, r.watchedRoot(), 0o600); err != nil {
		r.Fatal(err)
	}
	public := r.freeAddress()
	p, err := devcluster.StartProcess(r.Context(), devcluster.Command{
		Name: "gateway", Path: bin, Dir: dir,
		Env: []string{"AWS_ACCESS_KEY_ID=" + r.bucket.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + r.bucket.SecretAccessKey},
		Args: []string{"--listen", public, "--internal-listen", internal, "--root", root, "--s3-endpoint", r.bucket.Endpoint,
			"--s3-bucket", r.bucket.Name, "--s3-prefix", r.prefix, "--counts-token-file", token, "--poll-interval", "200ms", "--drain-delay", "0s",
			"--network-votes-share", "1"}, // all devices are of this machine's network
		Ready: func(ctx context.Context) error { return answers(ctx, "http://"+public+"/readyz") },
	})
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(p.Stop)
	return public
}

func (r *rig) startPrometheus(target string) string {
	r.Helper()
	p, err := devcluster.StartPrometheus(r.Context(), filepath.Join(r.dir, "prometheus"), time.Second, devcluster.Scrape{Job: "gateway", Targets: []string{target}})
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(p.Stop)
	return p.URL
}

// fleet is a hundred devices that do what the gateway tells them, without downloading: hack/fleet does that, and has tests.
type fleet struct {
	*rig
	base     string
	mu       sync.Mutex
	running  map[int]string  // digest that a device runs
	bad      map[string]bool // digests that fail on every fourth device
	rejected int
}

const devices = 100

func (f *fleet) spoil(digest string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bad[digest] = true
}

// live lets all devices ask and report again and again until stop is called.
func (f *fleet) live() (stop func()) {
	ctx, cancel := context.WithCancel(f.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			for i := range devices {
				f.turn(i)
			}
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
	}()
	return func() { cancel(); <-done }
}

// turn is one device's check, and what follows from the answer.
func (f *fleet) turn(i int) {
	f.mu.Lock()
	current := f.running[i]
	f.mu.Unlock()
	answer := f.check(i, current)
	switch answer.Action {
	case "update":
		f.report(i, answer.Bundle.Digest, "installed", "")
		f.mu.Lock()
		fails := f.bad[answer.Bundle.Digest] && i%4 == 0
		if !fails {
			f.running[i] = answer.Bundle.Digest
		}
		f.mu.Unlock()
		if fails {
			f.report(i, answer.Bundle.Digest, "failed", native.KindCrash)
			return
		}
		f.report(i, answer.Bundle.Digest, "confirmed", "")
	case "reset":
		f.mu.Lock()
		f.running[i] = ""
		f.mu.Unlock()
	}
}

// digests are the bundles that devices run.
func (f *fleet) digests() map[string]bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[string]bool{}
	for _, d := range f.running {
		out[d] = true
	}
	return out
}

func (f *fleet) check(i int, digest string) (out native.CheckResponse) {
	f.post(native.CheckPath, native.CheckRequest{
		App: testkit.App, Channel: "production", DeviceID: fmt.Sprint("device-", i), Platform: "ios", NativeVersion: "0.9.0",
		Current: native.Current{Digest: digest},
	}, &out)
	return out
}

func (f *fleet) report(i int, digest, outcome, kind string) {
	f.post(native.ReportPath, native.ReportRequest{
		App: testkit.App, Channel: "production", DeviceID: fmt.Sprint("device-", i), Digest: digest, Outcome: outcome, Kind: kind,
	}, &struct{}{})
}

func (f *fleet) post(path string, in, out any) {
	raw, err := json.Marshal(in)
	if err != nil {
		f.Error(err)
		return
	}
	res, err := (&http.Client{Timeout: 10 * time.Second}).Post(f.base+path, "application/json", bytes.NewReader(raw))
	if err != nil {
		f.Error(err)
		return
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 || json.NewDecoder(res.Body).Decode(out) != nil {
		f.mu.Lock()
		f.rejected++
		f.mu.Unlock()
	}
}

// checkMetrics holds what Prometheus scraped to what the devices did.
func (f *fleet) checkMetrics(prometheus string) {
	f.Helper()
	gomega.NewWithT(f.T).Eventually(func(g gomega.Gomega) {
		res, err := http.Get(prometheus + `/api/v1/query?query=sum(windlass_gateway_devices_total{version="1.1.0",outcome="confirmed"})`)
		g.Expect(err).NotTo(gomega.HaveOccurred())
		defer res.Body.Close()
		var body struct {
			Data struct{ Result []struct{ Value [2]any } }
		}
		g.Expect(json.NewDecoder(res.Body).Decode(&body)).To(gomega.Succeed())
		g.Expect(body.Data.Result).To(gomega.HaveLen(1))
		g.Expect(body.Data.Result[0].Value[1]).NotTo(gomega.Equal("0"))
	}).WithTimeout(testkit.Timeout).WithPolling(testkit.Interval).Should(gomega.Succeed())
}
