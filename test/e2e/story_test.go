// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/devcluster"
	"github.com/windlass-dev/windlass/internal/testkit"
	"github.com/windlass-dev/windlass/internal/testkit/stack"
)

// The whole loop on real parts: devices ask a real gateway and report to it, a real Prometheus scrapes it, and the manager
// decides on both. A good release completes, one that fails on every fourth device is taken back, and with the manager and
// the bucket gone the gateway goes on serving.
func TestStory_devicesDecide(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	token := r.WriteToken()
	internal := r.FreeAddress()
	r.StartManager("--gateway-url", "dns+http://"+internal, "--gateway-token-file", token)
	r.comes(r.Repository(r.Bucket, r.author), metav1.ConditionTrue, "")
	fleet := stack.NewFleet(t, "http://"+r.StartGateway(internal, token), "production")
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
	stop := fleet.Live()
	r.comes(ro, metav1.ConditionTrue, otav1alpha1.CompletedReason)

	bad := r.release(2)
	fleet.Spoil(string(bad.Spec.Digest))
	r.patch(ro, `{"bundleRef":{"name":"shop-2"}}`)
	r.comes(ro, metav1.ConditionFalse, otav1alpha1.RolledBackReason)
	gomega.NewWithT(t).Eventually(fleet.Digests).WithTimeout(testkit.Timeout).Should(gomega.HaveLen(1), "devices come home to one bundle")
	if fleet.Digests()[string(bad.Spec.Digest)] {
		t.Error("devices ended on the bad release")
	}
	stop()
	r.checkMetrics(prometheus)

	r.StopManager()
	if got := fleet.Check(1_000_000, ""); got.Action != "update" || got.Bundle.Version != "1.1.0" {
		t.Errorf("without the manager a new device is told %+v", got)
	}
	if rejected := fleet.Rejected(); rejected > 0 {
		t.Errorf("%d answers were not as the protocol says", rejected)
	}
}

func (r *rig) startPrometheus(target string) string {
	r.Helper()
	p, err := devcluster.StartPrometheus(r.Context(), filepath.Join(r.Dir, "prometheus"), time.Second, devcluster.Scrape{Job: "gateway", Targets: []string{target}})
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(p.Stop)
	return p.URL
}

// checkMetrics holds what Prometheus scraped to what the devices did.
func (r *rig) checkMetrics(prometheus string) {
	r.Helper()
	gomega.NewWithT(r.T).Eventually(func(g gomega.Gomega) {
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
