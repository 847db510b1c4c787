// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/testkit"
)

func text(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// result answers as Prometheus does; NOW in it becomes the present time.
func result(kind, result string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		now := strings.ReplaceAll(result, "NOW", strconv.FormatInt(time.Now().Unix(), 10))
		_, _ = w.Write([]byte(`{"status":"success","data":{"resultType":"` + kind + `","result":` + now + `}}`))
	}
}

// Metrics that lie: whatever the provider answers that is no good number, the weight stays where it is, nothing is rolled back,
// and the status says what is wrong.
func TestMetrics_liesHold(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.StartManager()
	r.comes(r.Repository(r.Bucket, r.author), metav1.ConditionTrue, "")
	r.release(1)
	lies := []struct {
		name    string
		lie     http.HandlerFunc
		verdict otav1alpha1.Verdict
	}{
		{"refused", func(w http.ResponseWriter, _ *http.Request) {
			if c, _, err := w.(http.Hijacker).Hijack(); err == nil {
				_ = c.Close()
			}
		}, otav1alpha1.VerdictProviderError},
		{"500", text(http.StatusInternalServerError, "text/plain", "out of order"), otav1alpha1.VerdictProviderError},
		{"HTML", text(http.StatusOK, "text/html", "<html>please log in</html>"), otav1alpha1.VerdictProviderError},
		{"NaN", result("vector", `[{"metric":{},"value":[NOW,"NaN"]}]`), otav1alpha1.VerdictNoData},
		{"infinite", result("vector", `[{"metric":{},"value":[NOW,"+Inf"]}]`), otav1alpha1.VerdictProviderError},
		{"negative", result("vector", `[{"metric":{},"value":[NOW,"-1"]}]`), otav1alpha1.VerdictProviderError},
		{"empty", result("vector", `[]`), otav1alpha1.VerdictNoData},
		{"two series", result("vector", `[{"metric":{},"value":[NOW,"1"]},{"metric":{"a":"b"},"value":[NOW,"1"]}]`), otav1alpha1.VerdictProviderError},
		{"stale", result("vector", `[{"metric":{},"value":[1,"1"]}]`), otav1alpha1.VerdictProviderError},
		{"string", result("string", `[NOW,"fine"]`), otav1alpha1.VerdictProviderError},
		{"oversize", text(http.StatusOK, "application/json", strings.Repeat(" ", 2<<20)), otav1alpha1.VerdictProviderError},
		{"timeout", func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }, otav1alpha1.VerdictProviderError},
	}
	r.metrics.tell(lies[0].lie)
	ro := r.rollout("shop-1")
	r.patch(ro, `{"analysis":{"metrics":[{"name":"crash-free","interval":"1s","consecutiveErrorLimit":1000,"prometheus":{"address":"`+r.metrics.URL+`","query":"up"},"thresholdRange":{"min":"0.99"}}]}}`)
	for _, lie := range lies {
		t.Run(lie.name, func(t *testing.T) {
			told := time.Now()
			r.metrics.tell(lie.lie)
			gomega.NewWithT(t).Eventually(func(g gomega.Gomega) {
				g.Expect(r.read(ro)).To(gomega.Succeed())
				g.Expect(ro.Status.Analysis).To(gomega.HaveLen(1))
				m := ro.Status.Analysis[0]
				g.Expect(m.Verdict).To(gomega.Equal(lie.verdict), m.Message)
				g.Expect(m.MeasuredAt.Time).To(gomega.BeTemporally(">", told), "the lie was not measured yet")
			}).WithTimeout(time.Minute).WithPolling(100 * time.Millisecond).Should(gomega.Succeed())
			if ro.Status.Weight != "1" || ro.Status.Release.State != otav1alpha1.ReleaseProgressing {
				t.Errorf("weight %s in state %s, want 1 while Progressing", ro.Status.Weight, ro.Status.Release.State)
			}
		})
	}
	r.metrics.tell(nil)
	r.comes(ro, metav1.ConditionTrue, otav1alpha1.CompletedReason)
}

// A real manager reads the headers of a web metric from a Secret whose owner has named the server; before that it holds, says what to do,
// and shows the Secret to nobody.
func TestMetrics_webHeaders(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.StartManager()
	r.comes(r.Repository(r.Bucket, r.author), metav1.ConditionTrue, "")
	bundle := r.release(1)
	var shown, asked atomic.Int32
	r.metrics.tell(func(w http.ResponseWriter, req *http.Request) {
		asked.Add(1)
		if req.Header.Get("Authorization") == "Bearer for-tests-only" {
			shown.Add(1)
		}
		if req.URL.String() != fmt.Sprintf("/%s/rate?version=%s", bundle.Spec.App, bundle.Spec.Version) {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = w.Write([]byte(`{"ok":99,"all":100}`))
	})
	host := strings.TrimPrefix(r.metrics.URL, "http://")
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: r.Namespace, Name: "metrics", Annotations: map[string]string{kit.HostsAnnotation: "elsewhere.example"}},
		StringData: map[string]string{"Authorization": "Bearer for-tests-only"}}
	r.Create(t, secret)
	ro := r.Rollout("shop", "production", "shop-1", testkit.SetWeight(1), testkit.PauseFor("200ms", 0), testkit.SetWeight(100))
	ro.Spec.Analysis = &otav1alpha1.Analysis{Metrics: []otav1alpha1.Metric{{
		Name: "crash-free", Interval: "1s", ConsecutiveErrorLimit: new(int32(1000)), ThresholdRange: &otav1alpha1.ThresholdRange{Min: "0.99"},
		Web: &otav1alpha1.WebMetric{
			URL: r.metrics.URL + "/{{ .app }}/rate?version={{ .version }}", CEL: "result.ok / result.all",
			HeadersSecretRef: &otav1alpha1.LocalReference{Name: "metrics"},
		},
	}}}
	r.Create(t, ro)
	testkit.Eventually(t, r.Client, ro, testkit.HaveMessage(otav1alpha1.ReadyCondition, "Secret metrics is not for "+host),
		testkit.HaveMessage(otav1alpha1.AnalysisPassingCondition, "kubectl annotate --overwrite secret metrics ota.windlass.dev/hosts="+host))
	if asked.Load() != 0 {
		t.Errorf("the server was asked %d times", asked.Load())
	}
	secret.Annotations[kit.HostsAnnotation] = host
	if err := r.Client.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	r.comes(ro, metav1.ConditionTrue, otav1alpha1.CompletedReason)
	if shown.Load() == 0 || shown.Load() != asked.Load() {
		t.Errorf("%d of %d questions had the header", shown.Load(), asked.Load())
	}
}
