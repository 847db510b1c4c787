// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/devcluster"
	"github.com/windlass-dev/windlass/internal/testkit"
	"github.com/windlass-dev/windlass/internal/testkit/stack"
)

// dashboard is what of config/grafana/windlass.json asks Prometheus.
type dashboard struct {
	Panels []struct {
		Title   string
		Type    string
		Targets []struct{ Expr string }
	}
	Templating  struct{ List []struct{ Name, Type string } }
	Annotations struct{ List []struct{ Expr string } }
}

// query of a panel, as Grafana sends it.
type query struct{ panel, expr string }

// variables as Grafana fills them in, for a run of half a minute.
var variables = strings.NewReplacer("$__rate_interval", "30s", "$__range", "5m", "$__interval", "30s", "$namespace", ".*")

func queries(tb testing.TB) (out []query) {
	tb.Helper()
	var d dashboard
	readYAML(tb, &d, "config", "grafana", "windlass.json")
	for _, p := range d.Panels {
		if p.Type != "row" && len(p.Targets) == 0 {
			tb.Errorf("panel %q asks for nothing", p.Title)
		}
		for _, t := range p.Targets {
			for _, expr := range sides(variables.Replace(t.Expr)) {
				out = append(out, query{p.Title, expr})
			}
		}
	}
	for _, a := range d.Annotations.List {
		out = append(out, query{"annotation", variables.Replace(a.Expr)})
	}
	for _, q := range out {
		if strings.Contains(q.expr, "$") {
			tb.Errorf("panel %q has a variable that nobody fills in: %s", q.panel, q.expr)
		}
	}
	return out
}

// sides of an expression that takes native histograms or, where Prometheus has none, classic ones: each has to give data.
func sides(expr string) []string {
	if !strings.HasPrefix(expr, "histogram_") {
		return []string{expr}
	}
	return strings.Split(expr, " or ")
}

// metricName matches names of metrics in expressions.
var metricName = regexp.MustCompile(`\b(?:windlass|controller_runtime|workqueue)_[a-z_]+`)

// All that alerts and dashboard ask for is in docs/metrics.md.
func TestExpressions_known(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, f := range slices.Concat(families(t, manager(t)), families(t, gatewayRegistry(t)), objectFamilies(t)) {
		known[f.name] = true
		for _, suffix := range []string{"_bucket", "_count", "_sum"} {
			known[f.name+suffix] = f.kind == "histogram"
		}
	}
	for name := range foreign {
		known[name] = true
	}
	asked := queries(t)
	byName, _ := rules(t)
	for _, r := range byName {
		asked = append(asked, query{r.Alert, r.Expr})
	}
	for _, q := range asked {
		for _, name := range metricName.FindAllString(q.expr, -1) {
			if !known[name] {
				t.Errorf("%s asks for %s, which docs/metrics.md does not have", q.panel, name)
			}
		}
	}
}

// world is all of Windlass on real parts, with kube-state-metrics and a Prometheus that scrapes all of them.
type world struct {
	*stack.Stack
	*testing.T
	author     *testkit.Author
	site       *testkit.Site
	prometheus string
	scraped    map[string]string // by job, URL of metrics
	fleet      *stack.Fleet
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Stack: stack.New(t), T: t, author: testkit.NewAuthor(t, "ci"), site: testkit.NewSite(t)}
	w.Create(t, w.Credentials(w.Bucket), w.Channel("production"))
	return w
}

// start starts all parts. The Repository must exist.
func (w *world) start() {
	w.Helper()
	token, internal, metrics := w.WriteToken(), w.FreeAddress(), w.FreeAddress()
	w.StartManager("--gateway-url=http://"+internal, "--gateway-token-file="+token, "--metrics-bind-address="+metrics, "--metrics-secure=false")
	w.comes(w.Repository(w.Bucket, w.author), metav1.ConditionTrue, "")
	w.fleet = stack.NewFleet(w.T, "http://"+w.StartGateway(internal, token), "production")
	w.scraped = map[string]string{"manager": "http://" + metrics + "/metrics", "gateway": "http://" + internal + "/metrics", "state": stateOf(w.T, w.Config, w.Namespace)}
	var scrapes []devcluster.Scrape
	for job, target := range w.scraped {
		u, err := url.Parse(target)
		if err != nil {
			w.Fatal(err)
		}
		scrapes = append(scrapes, devcluster.Scrape{Job: job, Targets: []string{u.Host}, Native: true})
	}
	p, err := devcluster.StartPrometheus(w.Context(), filepath.Join(w.Dir, "prometheus"), time.Second, scrapes...)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(p.Stop)
	w.prometheus = p.URL
	began := time.Now()
	for _, first := range []string{"windlass_publish_repositories", "windlass_gateway_view_channels", "windlass_repository_generation"} {
		w.hasData(query{"what is scraped", first}, began)
	}
}

// hasData waits until a query has given numbers.
func (w *world) hasData(q query, began time.Time) {
	w.Helper()
	gomega.NewWithT(w.T).Eventually(func() (int, error) { return w.samples(q.expr, began) }).WithTimeout(testkit.Timeout).WithPolling(testkit.Interval).
		Should(gomega.BeNumerically(">", 0), "%s gives no data: %s", q.panel, q.expr)
}

func (w *world) comes(o client.Object, status metav1.ConditionStatus, reason string) {
	w.Helper()
	defer func() {
		if w.Failed() {
			w.Logf("log of the manager:\n%s", w.ManagerLog())
		}
	}()
	testkit.Eventually(w.T, w.Client, o, testkit.HaveCondition(otav1alpha1.ReadyCondition, status, reason), testkit.BeObserved())
}

// release makes a signed artifact and its Bundle of version 1.n.0.
func (w *world) release(n int) *otav1alpha1.Bundle {
	w.Helper()
	version := fmt.Sprintf("1.%d.0", n)
	content := testkit.Zip(w.T, map[string]string{"index.html": "<h1>" + version + "</h1>"})
	b := w.Bundle(fmt.Sprintf("shop-%d", n), version, w.site.Publish(w.T, "/shop-"+version+".zip", content, w.author))
	w.Create(w.T, b)
	return b
}

// story is that of the demo: a release that completes, and one that is taken back because devices fail.
func (w *world) story() {
	w.Helper()
	w.release(1)
	ro := w.Rollout("shop", "production", "shop-1", testkit.SetWeight(50), testkit.PauseFor("1s", 15), testkit.SetWeight(100))
	ro.Spec.Analysis = &otav1alpha1.Analysis{Metrics: []otav1alpha1.Metric{{
		Name: "update-failures", Interval: "1s", Telemetry: &otav1alpha1.TelemetryMetric{Outcome: otav1alpha1.OutcomeFailed}, MaxRate: "0.1", MinSamples: new(int32(15)),
	}}}
	w.Create(w.T, ro)
	stop := w.fleet.Live()
	defer stop()
	w.comes(ro, metav1.ConditionTrue, otav1alpha1.CompletedReason)
	bad := w.release(2)
	w.fleet.Spoil(string(bad.Spec.Digest))
	w.patch(ro, `{"spec":{"bundleRef":{"name":"shop-2"}}}`)
	w.comes(ro, metav1.ConditionFalse, otav1alpha1.RolledBackReason)
}

// ask gives what Prometheus answers.
func (w *world) ask(path string, values url.Values, data any) error {
	req, err := http.NewRequestWithContext(w.Context(), http.MethodGet, w.prometheus+path+"?"+values.Encode(), http.NoBody)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.Unmarshal(raw, &answer); err != nil || answer.Status != "success" {
		return fmt.Errorf("%w: %s", err, raw)
	}
	return json.Unmarshal(answer.Data, data)
}

// samples counts the numbers that a query has given since the world began.
func (w *world) samples(expr string, began time.Time) (int, error) {
	var data struct {
		Result []struct {
			Values [][2]any
		}
	}
	now := time.Now()
	err := w.ask("/api/v1/query_range", url.Values{
		"query": {expr}, "start": {strconv.FormatInt(began.Unix(), 10)}, "end": {strconv.FormatInt(now.Unix(), 10)}, "step": {"1"},
	}, &data)
	n := 0
	for _, r := range data.Result {
		for _, v := range r.Values {
			text, _ := v[1].(string)
			if f, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(f) {
				n++
			}
		}
	}
	return n, err
}

// After a run like that of the demo each query of the dashboard gives data, by a real Prometheus; what the programs say of their metrics
// is what docs/metrics.md says; and the alert of the rollback fires.
func TestDashboard(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hook := newHook(t)
	repo := w.Repository(w.Bucket, w.author)
	repo.Spec.Notifications = []otav1alpha1.Notification{{Name: "ops", URL: hook.URL + "/windlass", SecretRef: otav1alpha1.LocalReference{Name: "hook"}}}
	w.Create(t, hook.secret(w.Namespace), repo)
	began := time.Now()
	w.start()
	w.story()
	for _, q := range queries(t) {
		w.hasData(q, began)
	}
	t.Run("types", w.checkTypes)
	t.Run("labels", w.checkLabels)
	t.Run("lint", w.checkLint)
	t.Run("alerts", w.checkAlerts)
}

// checkTypes holds docs/metrics.md to what programs say.
func (w *world) checkTypes(t *testing.T) {
	var said map[string][]struct{ Type string }
	if err := w.ask("/api/v1/metadata", nil, &said); err != nil {
		t.Fatal(err)
	}
	known := map[string]string{}
	for _, f := range slices.Concat(families(t, manager(t)), families(t, gatewayRegistry(t)), objectFamilies(t)) {
		known[f.name] = f.kind
	}
	seen := 0
	for name, types := range said {
		if !strings.HasPrefix(name, "windlass_") {
			continue
		}
		seen++
		if types[0].Type != known[name] {
			t.Errorf("%s is a %s, docs/metrics.md says %q", name, types[0].Type, known[name])
		}
	}
	if seen < 60 {
		t.Errorf("Prometheus knows %d of our metrics", seen)
	}
}

// plain is what a value of a closed label looks like.
var plain = regexp.MustCompile(`^[A-Za-z0-9_/+-]{1,40}$`)

// checkLabels looks for free text in labels, and for labels with many values.
func (w *world) checkLabels(t *testing.T) {
	for _, label := range closedLabels {
		var values []string
		if err := w.ask("/api/v1/label/"+label+"/values", url.Values{"match[]": {`{__name__=~"windlass_.*",job=~"manager|gateway"}`}}, &values); err != nil {
			t.Fatal(err)
		}
		if len(values) > 100 { // actions of Capgo clients are about 60
			t.Errorf("label %s has %d values", label, len(values))
		}
		for _, v := range values {
			if !plain.MatchString(v) {
				t.Errorf("label %s has the value %q", label, v)
			}
		}
	}
}

// checkLint lets promtool look at what both programs tell.
func (w *world) checkLint(t *testing.T) {
	bin, err := devcluster.Binary(t.Context(), "promtool")
	if err != nil {
		t.Fatal(err)
	}
	for _, job := range []string{"manager", "gateway"} {
		cmd := exec.CommandContext(t.Context(), bin, "check", "metrics")
		cmd.Stdin = strings.NewReader(onlyOurs(scrape(t, w.scraped[job])))
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("promtool check metrics of the %s: %v\n%s", job, err, out)
		}
	}
}

// onlyOurs leaves out the metrics of the libraries.
func onlyOurs(text string) string {
	var out strings.Builder
	ours := regexp.MustCompile(`^(# (HELP|TYPE) )?windlass_`)
	for line := range strings.Lines(text) {
		if ours.MatchString(line) {
			out.WriteString(line)
		}
	}
	return out.String()
}

// checkAlerts asks what alerts ask: of a world that is well, only the rollback is told.
func (w *world) checkAlerts(t *testing.T) {
	byName, _ := rules(t)
	for name, r := range byName {
		var data struct {
			Result []struct{ Metric map[string]string }
		}
		if err := w.ask("/api/v1/query", url.Values{"query": {r.Expr}}, &data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		switch {
		case name == "WindlassRollbackHappened":
			if len(data.Result) != 1 || data.Result[0].Metric["name"] != "shop" || data.Result[0].Metric["namespace"] != w.Namespace || data.Result[0].Metric["reason"] != "analysis" {
				t.Errorf("%s tells %v", name, data.Result)
			}
		case len(data.Result) > 0:
			t.Errorf("%s would fire though all is well: %v", name, data.Result)
		}
	}
}
