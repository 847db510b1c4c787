// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// The manager is the operator of Windlass.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"time"
	_ "time/tzdata" // windows name time zones, and the image has no database of them

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// Delays between tries of an object whose reconcile failed.
const (
	firstRetry = 500 * time.Millisecond
	lastRetry  = 5 * time.Minute
	// reconcileTimeout bounds one pass over an object; transfers and commits run outside of it.
	reconcileTimeout = 2 * time.Minute
)

func main() {
	o, err := parseOptions(os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, "manager:", err)
		os.Exit(2)
	}
	logger := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: o.logLevel}))
	ctrl.SetLogger(logr.FromSlogHandler(logger.Handler()))
	klog.SetSlogLogger(logger)
	if err := run(ctrl.SetupSignalHandler(), o); err != nil {
		logger.Error("Manager ended", "error", err.Error())
		os.Exit(1)
	}
}

// run wires the manager and works until the context ends.
func run(ctx context.Context, o options) error {
	cfg, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the API server: %w", err)
	}
	cfg.QPS, cfg.Burst = 100, 200
	mgr, err := ctrl.NewManager(cfg, managerOptions(o))
	if err != nil {
		return fmt.Errorf("reach the API server: %w", err)
	}
	if err := errors.Join(mgr.AddHealthzCheck("ping", healthz.Ping), mgr.AddReadyzCheck("ping", healthz.Ping)); err != nil {
		return err
	}
	if err := setup(ctx, mgr, o); err != nil {
		return err
	}
	return mgr.Start(ctx)
}

func managerOptions(o options) ctrl.Options {
	scheme := runtime.NewScheme()
	must(clientgoscheme.AddToScheme(scheme))
	must(otav1alpha1.AddToScheme(scheme))
	out := ctrl.Options{
		Scheme:                        scheme,
		Metrics:                       metricsserver.Options{BindAddress: o.metricsAddr, SecureServing: o.secureMetrics, CertDir: o.metricsCerts},
		HealthProbeBindAddress:        o.probeAddr,
		LeaderElection:                o.leaderElect,
		LeaderElectionID:              "manager." + otav1alpha1.Group,
		LeaderElectionNamespace:       o.leaderElectNamespace,
		LeaderElectionReleaseOnCancel: true,
		Cache:                         cache.Options{DefaultTransform: cache.TransformStripManagedFields()},
		Client: client.Options{
			FieldValidation: metav1.FieldValidationStrict,
			Cache:           &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}, &corev1.ConfigMap{}}},
		},
		Controller: config.Controller{ReconciliationTimeout: reconcileTimeout},
	}
	if o.secureMetrics && o.metricsAuth {
		out.Metrics.FilterProvider = filters.WithAuthenticationAndAuthorization
	}
	if o.namespace != "" {
		out.Cache.DefaultNamespaces = map[string]cache.Config{o.namespace: {}}
	}
	return out
}

// controllerOptions are the same for all kinds: without a rate limiter of our own, retries would begin at 5 ms.
func controllerOptions(o options) controller.Options {
	return controller.Options{
		MaxConcurrentReconciles: o.concurrency,
		RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstRetry, lastRetry),
	}
}

func must(err error) {
	if err != nil {
		panic(err) // a scheme that does not fit itself is a bug
	}
}
