// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"context"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/windlass-dev/windlass/internal/devcluster"
	"github.com/windlass-dev/windlass/internal/testkit"
	"github.com/windlass-dev/windlass/internal/testkit/stack"
)

// stateConfig is what of config/metrics/kube-state-metrics.yaml is looked at here.
type stateConfig struct {
	Spec struct {
		Resources []struct {
			GroupVersionKind struct{ Group, Version, Kind string }
			MetricNamePrefix string
			Metrics          []struct {
				Name, Help     string
				LabelsFromPath map[string][]string
				Each           struct {
					Type  string
					Gauge struct{ LabelsFromPath map[string][]string }
				}
			}
		}
	}
}

// objectFamilies are the metrics that kube-state-metrics makes of objects.
func objectFamilies(tb testing.TB) []family {
	tb.Helper()
	var config stateConfig
	readYAML(tb, &config, "config", "metrics", "kube-state-metrics.yaml")
	var out []family
	for _, r := range config.Spec.Resources {
		for _, m := range r.Metrics {
			f := family{name: r.MetricNamePrefix + "_" + m.Name, kind: strings.ToLower(m.Each.Type), help: m.Help}
			f.labels = slices.Sorted(maps.Keys(m.LabelsFromPath))
			f.labels = append(f.labels, slices.Sorted(maps.Keys(m.Each.Gauge.LabelsFromPath))...)
			out = append(out, f)
		}
	}
	return out
}

// stateOf runs kube-state-metrics as the ServiceAccount that config/metrics gives its role to, and gives the URL of its metrics.
func stateOf(tb testing.TB, c *rest.Config, namespace string) string {
	tb.Helper()
	bind(tb, c)
	as := rest.CopyConfig(c)
	as.Impersonate = rest.ImpersonationConfig{UserName: "system:serviceaccount:monitoring:kube-state-metrics"}
	dir := tb.TempDir()
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if err := stack.WriteKubeconfig(as, namespace, kubeconfig); err != nil {
		tb.Fatal(err)
	}
	bin, err := devcluster.Binary(tb.Context(), "kube-state-metrics")
	if err != nil {
		tb.Fatal(err)
	}
	port, own := freePort(tb), freePort(tb)
	url := "http://127.0.0.1:" + port + "/metrics"
	p, err := devcluster.StartProcess(tb.Context(), devcluster.Command{
		Name: "kube-state-metrics", Path: bin, Dir: dir,
		Args: []string{"--kubeconfig=" + kubeconfig, "--custom-resource-state-only", "--host=127.0.0.1", "--telemetry-host=127.0.0.1",
			"--custom-resource-state-config-file=" + path(tb, "config", "metrics", "kube-state-metrics.yaml"), "--port=" + port, "--telemetry-port=" + own},
		Ready: func(ctx context.Context) error { return stack.Answers(ctx, url) },
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(p.Stop)
	return url
}

// bind applies the role of config/metrics.
func bind(tb testing.TB, c *rest.Config) {
	tb.Helper()
	cl, err := client.New(c, client.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	for doc := range strings.SplitSeq(string(read(tb, "config", "metrics", "rbac.yaml")), "\n---\n") {
		obj := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(doc), &obj.Object); err != nil {
			tb.Fatal(err)
		}
		if err := cl.Apply(tb.Context(), client.ApplyConfigurationFromUnstructured(obj), client.FieldOwner("test"), client.ForceOwnership); err != nil {
			tb.Fatal(err)
		}
	}
}

func freePort(tb testing.TB) string {
	tb.Helper()
	port, err := devcluster.FreePort()
	if err != nil {
		tb.Fatal(err)
	}
	return strconv.Itoa(port)
}

// scrape gives the text of a /metrics.
func scrape(tb testing.TB, url string) string {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		tb.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		tb.Fatalf("%s: %s, %v", url, res.Status, err)
	}
	return string(raw)
}

// The real kube-state-metrics, with no more than the role of config/metrics, tells the state of all four kinds; and what an object has
// not, it does not tell.
func TestKubeState(t *testing.T) {
	t.Parallel()
	env := testkit.Start(t)
	docs := strings.Split(string(read(t, "test", "observe", "testdata", "objects.yaml")), "\n---\n")
	for _, doc := range docs {
		createWithStatus(t, env, doc)
	}
	bare, _, _ := strings.Cut(strings.Replace(docs[3], "name: shop}", "name: bare}", 1), "\nstatus:")
	createWithStatus(t, env, bare)
	url := stateOf(t, env.Config, env.Namespace)
	want := map[string]float64{}
	for line := range strings.Lines(string(read(t, "test", "observe", "testdata", "series.txt"))) {
		at := strings.LastIndexByte(line, ' ')
		value, err := strconv.ParseFloat(strings.TrimSpace(line[at+1:]), 64)
		if err != nil {
			t.Fatal(err)
		}
		want[line[:at]] = value
	}
	var full, lean map[string]float64
	gomega.NewWithT(t).Eventually(func(g gomega.Gomega) {
		full, lean = series(t, scrape(t, url), env.Namespace)
		g.Expect(lean).To(gomega.HaveKey("windlass_rollout_generation{}"))
		for name, value := range want {
			g.Expect(full).To(gomega.HaveKeyWithValue(name, value))
		}
	}).WithTimeout(testkit.Timeout).WithPolling(testkit.Interval).Should(gomega.Succeed())
	for _, f := range objectFamilies(t) {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(full)), func(name string) bool { return strings.HasPrefix(name, f.name+"{") }) {
			t.Errorf("%s has no series: its path is not that of a field", f.name)
		}
	}
	delete(lean, `windlass_rollout_created_timestamp_seconds{bundle="shop-2",channel="production"}`)
	if diff := gocmp.Diff(map[string]float64{"windlass_rollout_generation{}": 1, "windlass_rollout_observed_generation{}": -1}, lean); diff != "" {
		t.Errorf("a Rollout without status tells (-want +got):\n%s", diff)
	}
}

// createWithStatus makes an object in the test's namespace, with the status that only a manager writes.
func createWithStatus(tb testing.TB, env *testkit.Env, doc string) {
	tb.Helper()
	obj := &unstructured.Unstructured{}
	if err := yaml.UnmarshalStrict([]byte(doc), &obj.Object); err != nil {
		tb.Fatal(err)
	}
	obj.SetNamespace(env.Namespace)
	status, has := obj.Object["status"]
	if err := env.Client.Create(tb.Context(), obj); err != nil {
		tb.Fatal(err)
	}
	if !has {
		return
	}
	obj.Object["status"] = status
	if err := env.Client.Status().Update(tb.Context(), obj); err != nil {
		tb.Fatal(err)
	}
}

// common are the labels that all series of objects have.
var common = []string{"namespace", "name", "customresource_group", "customresource_kind", "customresource_version"}

// series gives the samples of a namespace, without the labels that all have: those of the object named bare, and those of the others.
func series(tb testing.TB, text, namespace string) (full, lean map[string]float64) {
	tb.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		tb.Fatalf("%v in:\n%s", err, text)
	}
	full, lean = map[string]float64{}, map[string]float64{}
	for name, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			has := map[string]string{}
			for _, l := range m.GetLabel() {
				if has[l.GetName()] = l.GetValue(); !slices.Contains(common, l.GetName()) {
					labels = append(labels, l.GetName()+"="+strconv.Quote(l.GetValue()))
				}
			}
			if has["namespace"] != namespace {
				continue
			}
			into := full
			if has["name"] == "bare" {
				into = lean
			}
			slices.Sort(labels)
			into[name+"{"+strings.Join(labels, ",")+"}"] = m.GetGauge().GetValue()
		}
	}
	return full, lean
}
