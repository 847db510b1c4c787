// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/windlass-dev/windlass/internal/analysis/telemetry"
	"github.com/windlass-dev/windlass/internal/egress"
)

// options are the flags of the manager.
type options struct {
	namespace     string
	metricsAddr   string
	secureMetrics bool
	metricsAuth   bool
	metricsCerts  string
	probeAddr     string
	logLevel      slog.Level

	leaderElect          bool
	leaderElectNamespace string

	scratchDir      string
	maxArtifactSize resource.Quantity
	transfers       int
	concurrency     int

	gatewayURLs      targets
	gatewayTokenFile string
	recheckEvery     time.Duration

	allowed addresses
}

// targets is a flag that may be given more than once.
type targets []telemetry.Target

func (t *targets) String() string {
	texts := make([]string, len(*t))
	for i, target := range *t {
		texts[i] = target.String()
	}
	return strings.Join(texts, ",")
}

func (t *targets) Set(v string) error {
	parsed, err := telemetry.ParseTarget(v)
	if err != nil {
		return err
	}
	*t = append(*t, parsed)
	return nil
}

// addresses is a flag that may be given more than once, and the policy that all of them make.
type addresses struct {
	entries []string
	policy  egress.Policy
}

func (a *addresses) String() string { return strings.Join(a.entries, ",") }

func (a *addresses) Set(v string) (err error) {
	a.entries = append(a.entries, v)
	a.policy, err = egress.Parse(a.entries)
	return err
}

const usage = `manager is the operator of Windlass: it verifies updates, publishes them, and carries out rollouts.

  manager --namespace mobile --gateway-url dns+http://windlass-gateway-internal:8081 --gateway-token-file /var/run/token
  KUBECONFIG=~/.kube/config manager --leader-elect=false        # on your own machine
  manager --allow-address prometheus.monitoring.svc:9090 --allow-address 10.20.0.0/16    # what resources may name in your network

The API server is found by --kubeconfig, $KUBECONFIG, or the pod's service account.

Flags:
`

// parseOptions reads the command line.
func parseOptions(args []string) (options, error) {
	o := options{maxArtifactSize: resource.MustParse("2Gi")}
	fs := flag.NewFlagSet("manager", flag.ContinueOnError)
	fs.Usage = func() { _, _ = fs.Output().Write([]byte(usage)); fs.PrintDefaults() }
	if kubeconfig := flag.CommandLine.Lookup("kubeconfig"); kubeconfig != nil { // controller-runtime registers it
		fs.Var(kubeconfig.Value, kubeconfig.Name, kubeconfig.Usage)
	}
	fs.StringVar(&o.namespace, "namespace", "", "watch this namespace only; empty: all")
	fs.StringVar(&o.metricsAddr, "metrics-bind-address", ":8443", "address of the manager's own metrics; 0 turns them off")
	fs.BoolVar(&o.secureMetrics, "metrics-secure", true, "serve metrics by TLS")
	fs.BoolVar(&o.metricsAuth, "metrics-auth", true, "serve metrics to users only that may read /metrics, with --metrics-secure; it takes the right to create TokenReviews and SubjectAccessReviews")
	fs.StringVar(&o.metricsCerts, "metrics-cert-dir", "", "folder with tls.crt and tls.key for --metrics-secure, which are read again when they change; empty: a certificate that is made at each start")
	fs.StringVar(&o.probeAddr, "health-probe-bind-address", ":8081", "address of /healthz and /readyz; 0 turns them off")
	fs.TextVar(&o.logLevel, "log-level", slog.LevelInfo, "DEBUG, INFO, WARN or ERROR")
	fs.BoolVar(&o.leaderElect, "leader-elect", true, "let one replica work at a time")
	fs.StringVar(&o.leaderElectNamespace, "leader-election-namespace", "", "namespace of the lease; empty: the pod's own")
	fs.StringVar(&o.scratchDir, "scratch-dir", filepath.Join(os.TempDir(), "windlass-scratch"), "folder for artifacts that are being verified; it is emptied at the start")
	fs.Var(quantity{&o.maxArtifactSize}, "max-artifact-size", "largest artifact that is accepted")
	fs.IntVar(&o.transfers, "transfers", 2, "artifacts that are fetched at the same time, and as many that are verified again from the bucket")
	fs.IntVar(&o.concurrency, "concurrency", 8, "objects of a kind that are worked on at the same time")
	fs.Var(&o.gatewayURLs, "gateway-url", "internal address of a gateway that counts devices, such as http://10.0.0.7:8081; dns+http://name:8081 asks every address of the name, as a headless Service has them; may be repeated")
	fs.StringVar(&o.gatewayTokenFile, "gateway-token-file", "", "file with the bearer token for the gateways' counts")
	fs.Var(&o.allowed, "allow-address", "what sources, object stores and metrics may be reached at besides public addresses: an address such as 10.1.2.3, a prefix such as 10.0.0.0/8, or a host as resources name it, such as minio.storage.svc, all but prefixes also with :port; http:// before it lets a registry there be asked without TLS; may be repeated")
	fs.DurationVar(&o.recheckEvery, "recheck-interval", 5*time.Minute, "how often buckets, credentials and stored artifacts are looked at again")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	return o, o.validate(fs.Args())
}

func (o options) validate(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unknown argument %q: everything is a flag, see --help", rest[0])
	case o.maxArtifactSize.Sign() <= 0:
		return fmt.Errorf("--max-artifact-size is %s, expected a size such as 2Gi", o.maxArtifactSize.String())
	case o.transfers < 1 || o.concurrency < 1:
		return errors.New("--transfers and --concurrency must be at least 1")
	case o.metricsCerts != "" && !o.secureMetrics:
		return errors.New("--metrics-cert-dir needs --metrics-secure: without TLS there is nothing to use a certificate for")
	case len(o.gatewayURLs) > 0 && o.gatewayTokenFile == "":
		return errors.New("--gateway-url needs --gateway-token-file: gateways tell counts to nobody else")
	}
	return nil
}

// quantity lets a resource.Quantity be a flag.
type quantity struct{ *resource.Quantity }

func (q quantity) Set(v string) error {
	parsed, err := resource.ParseQuantity(v)
	if err != nil {
		return fmt.Errorf("%q is not a size such as 500Mi or 2Gi", v)
	}
	*q.Quantity = parsed
	return nil
}

func (q quantity) String() string {
	if q.Quantity == nil {
		return ""
	}
	return q.Quantity.String()
}
