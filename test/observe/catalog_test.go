// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"bytes"
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	_ "github.com/windlass-dev/windlass/controllers/bundle" // for their metrics
	_ "github.com/windlass-dev/windlass/controllers/repository"
	_ "github.com/windlass-dev/windlass/controllers/rollout"
	"github.com/windlass-dev/windlass/internal/analysis/ask"
	"github.com/windlass-dev/windlass/internal/audit"
	"github.com/windlass-dev/windlass/internal/gateway"
	"github.com/windlass-dev/windlass/internal/gateway/auth"
	"github.com/windlass-dev/windlass/internal/gateway/edge"
	"github.com/windlass-dev/windlass/internal/gateway/origin"
	"github.com/windlass-dev/windlass/internal/gateway/tlsfiles"
	"github.com/windlass-dev/windlass/internal/gateway/view/viewtest"
	"github.com/windlass-dev/windlass/internal/publish"
)

// family is a metric as docs/metrics.md has it.
type family struct {
	name, kind, help string
	labels           []string
}

// describing matches what a prometheus.Desc says of itself: it tells nobody else.
var describing = regexp.MustCompile(`^Desc\{fqName: ("[^"]*"), help: ("(?:[^"\\]|\\.)*"),.* variableLabels: \{([^}]*)\}\}$`)

// families of a registry, by name.
func families(tb testing.TB, registry prometheus.Collector) []family {
	tb.Helper()
	descs := make(chan *prometheus.Desc)
	go func() { registry.Describe(descs); close(descs) }()
	var out []family
	for d := range descs {
		m := describing.FindStringSubmatch(d.String())
		if m == nil {
			tb.Fatalf("a description that cannot be read: %s", d)
		}
		name, _ := strconv.Unquote(m[1])
		if !strings.HasPrefix(name, "windlass_") {
			continue
		}
		help, _ := strconv.Unquote(m[2])
		f := family{name: name, kind: kindOf(name), help: help}
		if m[3] != "" {
			f.labels = strings.Split(m[3], ",")
		}
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b family) int { return cmp.Compare(a.name, b.name) })
	return out
}

// kindOf a metric by its name. The test of the dashboard holds it against what the programs say.
func kindOf(name string) string {
	switch {
	case strings.HasSuffix(name, "_total"):
		return "counter"
	case strings.HasSuffix(name, "_duration_seconds"), strings.HasSuffix(name, "_flush_seconds"):
		return "histogram"
	}
	return "gauge"
}

// manager has all that the manager registers.
func manager(tb testing.TB) prometheus.Collector {
	tb.Helper()
	own := prometheus.NewRegistry()
	if _, err := ask.New(time.Now, own); err != nil {
		tb.Fatal(err)
	}
	own.MustRegister(publish.NewSet(func(types.NamespacedName, []publish.ChannelKey) {}), audit.NewSet(func(types.NamespacedName, []audit.Ref) {}))
	global, ok := metrics.Registry.(prometheus.Collector)
	if !ok {
		tb.Fatalf("the registry of controller-runtime is a %T", metrics.Registry)
	}
	own.MustRegister(global)
	return own
}

// gatewayRegistry is that of a gateway with all of its parts.
func gatewayRegistry(tb testing.TB) *prometheus.Registry {
	tb.Helper()
	repo := viewtest.New(tb)
	cert, key := selfSigned(tb, tb.TempDir())
	source, err := origin.NewHTTP("http://127.0.0.1")
	if err != nil {
		tb.Fatal(err)
	}
	server, err := gateway.New(tb.Context(), gateway.Config{
		Origin: source, Root: repo.Root(), Log: slog.New(slog.DiscardHandler), TLS: tlsfiles.Config{Cert: cert, Key: key},
		Edge: edge.Config{Auth: auth.Config{Mode: auth.Optional, JWT: &auth.JWT{Issuer: "i", Audience: "a", JWKSURL: "http://127.0.0.1/keys"}}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return server.Metrics()
}

func selfSigned(tb testing.TB, dir string) (cert, key string) {
	tb.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		tb.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		tb.Fatal(err)
	}
	cert, key = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return cert, key
}

// closedLabels have few values, all of them known here or configured: no digest, device, URL, user or free text.
var closedLabels = []string{
	"action", "arm", "class", "code", "direction", "from", "method", "operation", "outcome", "phase", "provider", "reason", "result", "route", "standing",
	"to", "verdict", "what", "why",
}

// objectLabels are values of objects, for the metrics that may have them. They go when the object goes: those of a Rollout when it is
// deleted, those of a bundle when no device has told of it for as long as the ledger keeps rows.
var objectLabels = map[string][]string{
	"windlass_rollout_rollbacks_total": {"namespace", "name"},
	"windlass_gateway_devices_total":   {"app", "channel", "version"},
}

func TestMetrics_labels(t *testing.T) {
	for _, f := range slices.Concat(families(t, manager(t)), families(t, gatewayRegistry(t))) {
		for _, label := range f.labels {
			if !slices.Contains(closedLabels, label) && !slices.Contains(objectLabels[f.name], label) {
				t.Errorf("%s has the label %s, which is in no closed set", f.name, label)
			}
		}
		if f.kind == "histogram" && len(objectLabels[f.name]) > 0 {
			t.Errorf("%s is a histogram with names of objects", f.name)
		}
		if !strings.HasSuffix(f.help, ".") && !strings.Contains(f.help, ". ") {
			t.Errorf("the help of %s is no sentence: %q", f.name, f.help)
		}
	}
}

func TestMetrics_lint(t *testing.T) {
	own := prometheus.NewRegistry()
	own.MustRegister(manager(t))
	for name, registry := range map[string]prometheus.Gatherer{"manager": own, "gateway": gatewayRegistry(t)} {
		problems, err := testutil.GatherAndLint(registry)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, p := range problems {
			if strings.HasPrefix(p.Metric, "windlass_") {
				t.Errorf("%s: %s: %s", name, p.Metric, p.Text)
			}
		}
	}
}

// foreign are metrics of libraries that alerts and dashboard use.
var foreign = map[string]string{
	"controller_runtime_reconcile_total": "passes over objects, by controller and result",
	"workqueue_depth":                    "objects that wait for their pass, by controller (label name)",
}

// TestDocumentation holds docs/metrics.md: run go test ./test/observe -run Documentation -update after a change.
func TestDocumentation(t *testing.T) {
	var b bytes.Buffer
	b.WriteString(`<!-- Generated from the registries of both programs and config/metrics: go test ./test/observe -run Documentation -update -->

# Metrics

Names are ` + "`windlass_<subsystem>_<thing>_<unit>`" + `; units are seconds and bytes, and counters end in ` + "`_total`" + `. Histograms are native
histograms beside their classic buckets. Labels have few values, all of them known: no device, user, URL or digest.
[Alerts](runbooks/README.md) and the [dashboard](../config/grafana/windlass.json) are made from these.

## Of the manager

At port 8443, by TLS, for users that may read ` + "`/metrics`" + ` (ClusterRole ` + "`windlass-metrics-reader`" + `).

`)
	table(&b, families(t, manager(t)))
	b.WriteString("\nOf the libraries, as far as alerts and dashboard use them:\n\n| metric | what |\n|---|---|\n")
	for _, name := range []string{"controller_runtime_reconcile_total", "workqueue_depth"} {
		fmt.Fprintf(&b, "| `%s` | %s |\n", name, foreign[name])
	}
	b.WriteString("\n## Of a gateway\n\nAt `/metrics` of its internal listener. [The gateway](gateway.md#metrics) says more of some.\n\n")
	table(&b, families(t, gatewayRegistry(t)))
	b.WriteString(`
## Of objects

The state of objects is told by [kube-state-metrics](https://github.com/kubernetes/kube-state-metrics) with
[config/metrics](../config/metrics/kube-state-metrics.yaml), not by the manager: it reads them from the API server, so that neither a
restart nor a change of leader makes them lie. All have the labels ` + "`namespace`, `name` and `customresource_kind`" + `. A metric is absent while
its field is.

` + "```" + `
kubectl apply --server-side -k config/metrics
` + "```" + `

mounts nothing by itself: give kube-state-metrics (v2.15 or later) the ConfigMap ` + "`windlass-kube-state-metrics`" + ` of namespace
` + "`monitoring`" + `, and ` + "`--custom-resource-state-config-file=<mount>/kube-state-metrics.yaml`" + `.

`)
	table(&b, objectFamilies(t))
	file := path(t, "docs", "metrics.md")
	if *update {
		if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if diff := gocmp.Diff(string(read(t, "docs", "metrics.md")), b.String()); diff != "" {
		t.Errorf("docs/metrics.md is not up to date: go test ./test/observe -run Documentation -update (-file +now):\n%s", diff)
	}
}

func table(b *bytes.Buffer, all []family) {
	b.WriteString("| metric | type | labels | what |\n|---|---|---|---|\n")
	for _, f := range all {
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", f.name, f.kind, strings.Join(f.labels, ", "), f.help)
	}
}
