// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/hack/fleet/device"
	"github.com/windlass-dev/windlass/internal/devcluster"
)

// Names of the demo's world.
const (
	namespace = "mobile"
	bucket    = "updates"
	prefix    = "mobile"
	app       = "com.example.shop"
	channel   = "production"
	rollout   = "shop"
	native    = "0.9.0" // of the app builds that are installed: older than the first release
)

// stack is everything that runs.
type stack struct {
	options
	dir    string // of all data; removed at the end
	root   string // of the project's tree
	screen *screen

	controlPlane *devcluster.ControlPlane
	store        *devcluster.ObjectStore
	prometheus   *devcluster.Prometheus
	author       *author
	client       client.Client

	processes []*devcluster.Process // in the order of their starts

	gatewayURL, internalURL, fleetURL string
	tokenFile, rootFile, keyFile      string
}

// build makes every program that is needed. The first time it takes minutes; afterwards all of it is in caches.
func (s *stack) build(ctx context.Context) error {
	root, err := devcluster.Root()
	if err != nil {
		return err
	}
	s.root = root
	start := time.Now()
	s.screen.say("Building. The first time this takes minutes: kube-apiserver and etcd are built from source.")
	servers := []string{"assets", "versitygw"}
	if s.options.prometheus {
		servers = append(servers, "prometheus")
	}
	for _, name := range servers {
		if err := s.exec(ctx, filepath.Join(root, "hack", "bin.sh"), name); err != nil {
			return err
		}
	}
	args := []string{"build", "-o", filepath.Join(s.dir, "bin") + "/", "./cmd/manager", "./cmd/gateway", "./hack/fleet"}
	if err := s.exec(ctx, "go", args...); err != nil {
		return err
	}
	s.screen.say("Built in %s.", time.Since(start).Round(time.Second))
	return nil
}

// exec runs a program whose messages are for the user.
func (s *stack) exec(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stderr = s.root, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", filepath.Base(name), args[0], err)
	}
	return nil
}

// startServers starts what Windlass stands on.
func (s *stack) startServers(ctx context.Context) error {
	var group errgroup.Group
	group.Go(func() (err error) {
		crds := filepath.Join(s.root, "config", "crd", "bases")
		s.controlPlane, err = devcluster.StartControlPlane(ctx, filepath.Join(s.dir, "kubernetes"), crds)
		return err
	})
	group.Go(func() (err error) {
		s.store, err = devcluster.StartObjectStore(ctx, filepath.Join(s.dir, "store"), bucket)
		return err
	})
	group.Go(func() (err error) {
		s.author, err = newAuthor(ctx)
		return err
	})
	if err := group.Wait(); err != nil {
		return err
	}
	s.processes = append(s.processes, s.controlPlane.Etcd, s.controlPlane.APIServer, s.store.Process)
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, otav1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return fmt.Errorf("build the scheme: %w", err)
		}
	}
	var err error
	if s.client, err = client.New(s.controlPlane.Config, client.Options{Scheme: scheme}); err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	return s.prepareFiles()
}

// prepareFiles chooses addresses and writes what parts share.
func (s *stack) prepareFiles() error {
	for _, url := range []*string{&s.gatewayURL, &s.internalURL, &s.fleetURL} {
		port, err := devcluster.FreePort()
		if err != nil {
			return err
		}
		*url = "http://127.0.0.1:" + strconv.Itoa(port)
	}
	s.tokenFile, s.keyFile, s.rootFile = s.path("counts-token"), s.path("ci.pub"), s.path("root.json")
	if err := os.WriteFile(s.tokenFile, []byte(rand.Text()), 0o600); err != nil {
		return fmt.Errorf("write the token of the gateway: %w", err)
	}
	if err := os.WriteFile(s.keyFile, s.author.publicPEM, 0o600); err != nil {
		return fmt.Errorf("write the author's key: %w", err)
	}
	return nil
}

func (s *stack) path(name string) string { return filepath.Join(s.dir, name) }

// launch starts one of the programs that were built.
func (s *stack) launch(ctx context.Context, c devcluster.Command) error {
	c.Path, c.Dir = filepath.Join(s.dir, "bin", c.Name), s.path(c.Name)
	p, err := devcluster.StartProcess(ctx, c)
	if err != nil {
		return err
	}
	s.processes = append(s.processes, p)
	return nil
}

func (s *stack) startManager(ctx context.Context) error {
	port, err := devcluster.FreePort()
	if err != nil {
		return err
	}
	probe := "127.0.0.1:" + strconv.Itoa(port)
	return s.launch(ctx, devcluster.Command{
		Name: "manager",
		Args: []string{
			"--namespace=" + namespace, "--leader-elect=false", "--metrics-bind-address=0", "--health-probe-bind-address=" + probe,
			"--scratch-dir=" + s.path("scratch"), "--gateway-url=" + s.internalURL, "--gateway-token-file=" + s.tokenFile,
			"--allow-address=127.0.0.0/8", // all parts of the demo are on this machine
		},
		Env:   []string{"KUBECONFIG=" + s.controlPlane.Kubeconfig},
		Ready: func(ctx context.Context) error { return getJSON(ctx, "http://"+probe+"/readyz", nil) },
	})
}

// startGateway pins the root of trust that the manager made, as an operator does once at installation.
func (s *stack) startGateway(ctx context.Context) error {
	root, err := s.readObject(ctx, prefix+"/metadata/1.root.json")
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.rootFile, root, 0o600); err != nil {
		return fmt.Errorf("write the root of trust: %w", err)
	}
	return s.launch(ctx, devcluster.Command{
		Name: "gateway",
		Args: []string{
			"--listen=" + hostPort(s.gatewayURL), "--internal-listen=" + hostPort(s.internalURL), "--root=" + s.rootFile,
			"--s3-endpoint=" + s.store.Endpoint, "--s3-bucket=" + bucket, "--s3-prefix=" + prefix,
			"--counts-token-file=" + s.tokenFile, "--cache-dir=" + s.path("gateway-cache"), "--drain-delay=0s", "--ready-time=3s",
			"--trusted-proxies=127.0.0.1/32", // the fleet stands for the load balancer, too
		},
		Env:   []string{"AWS_ACCESS_KEY_ID=" + s.store.AccessKey, "AWS_SECRET_ACCESS_KEY=" + s.store.SecretKey, "AWS_REGION=us-east-1"},
		Ready: func(ctx context.Context) error { return getJSON(ctx, s.internalURL+"/readyz", nil) },
	})
}

func (s *stack) startFleet(ctx context.Context) error {
	return s.launch(ctx, devcluster.Command{
		Name: "fleet",
		Args: []string{
			"-gateway=" + s.gatewayURL, "-app=" + app, "-channel=" + channel, "-native-version=" + native, "-devices=" + strconv.Itoa(s.devices),
			"-capgo=0.5", "-poll=" + s.poll.String(), "-public-key=" + s.keyFile, "-status-listen=" + hostPort(s.fleetURL),
		},
		Ready: func(ctx context.Context) error { _, err := s.fleet(ctx); return err },
	})
}

func (s *stack) startPrometheus(ctx context.Context) error {
	var err error
	s.prometheus, err = devcluster.StartPrometheus(ctx, s.path("prometheus"), time.Second,
		devcluster.Scrape{Job: "gateway", Targets: []string{hostPort(s.internalURL)}})
	if err == nil {
		s.processes = append(s.processes, s.prometheus.Process)
	}
	return err
}

// fleet asks the devices what they did so far.
func (s *stack) fleet(ctx context.Context) (device.Status, error) {
	var st device.Status
	return st, getJSON(ctx, s.fleetURL+"/status", &st)
}

// readObject reads a small object from the bucket.
func (s *stack) readObject(ctx context.Context, name string) ([]byte, error) {
	c, err := minio.New(hostPort(s.store.Endpoint), &minio.Options{
		Creds: credentials.NewStaticV4(s.store.AccessKey, s.store.SecretKey, ""), Region: "us-east-1",
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	obj, err := c.GetObject(ctx, bucket, name, minio.GetObjectOptions{})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	defer func() { _ = obj.Close() }() // nothing was written
	raw, err := io.ReadAll(io.LimitReader(obj, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return raw, nil
}

// vars are what manifests need to know of this run.
func (s *stack) vars() vars {
	key, _ := json.Marshal(string(s.author.publicPEM))               //nolint:errchkjson // a string
	root, _ := json.Marshal(string(s.author.sigstore.TrustedRoot())) //nolint:errchkjson // a string
	v := vars{
		"NAMESPACE": namespace, "CHANNEL": channel, "APP": app, "BUCKET": bucket, "PREFIX": prefix, "ENDPOINT": s.store.Endpoint,
		"ACCESS_KEY": s.store.AccessKey, "SECRET_KEY": s.store.SecretKey, "AUTHOR_KEY": string(key), "TRUSTED_ROOT": string(root), "ISSUER": issuer, "WORKFLOW": workflow,
	}
	for _, percent := range []int{1, 10, 50, 100} {
		v["SAMPLES_"+strconv.Itoa(percent)] = strconv.Itoa(samples(s.devices, percent))
	}
	if s.prometheus != nil {
		v["PROMETHEUS"] = s.prometheus.URL
	}
	return v
}

// samples is how many devices are surely in the cohort of a weight: the expected number less 3.5 standard deviations, and less
// 5 % for devices that are late.
func samples(devices, percent int) int {
	n, p := float64(devices), float64(percent)/100
	return max(1, int(0.95*(n*p-3.5*math.Sqrt(n*p*(1-p)))))
}

// ended names a process that has ended by itself.
func (s *stack) ended() error {
	for _, p := range s.processes {
		select {
		case <-p.Done():
			return fmt.Errorf("%s has ended by itself", p.Name)
		default:
		}
	}
	return nil
}

// stop ends everything, the last started first.
func (s *stack) stop() {
	for _, p := range slices.Backward(s.processes) {
		p.Stop()
	}
	if s.store != nil {
		s.store.Stop()
	}
	if s.controlPlane != nil {
		s.controlPlane.Stop()
	}
	if s.author != nil {
		_ = s.author.site.Close() // at the end of the program
	}
}

// printLogs shows how the logs of Windlass' own parts end.
func (s *stack) printLogs(out io.Writer) {
	for _, p := range s.processes {
		if !slices.Contains([]string{"manager", "gateway", "fleet"}, p.Name) && s.ended() == nil {
			continue
		}
		raw, err := os.ReadFile(p.LogPath)
		if err != nil {
			continue // it wrote none
		}
		lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
		fmt.Fprintf(out, "\n--- end of the log of %s\n%s\n", p.Name, strings.Join(lines[max(0, len(lines)-12):], "\n"))
	}
}

// printAccess tells how to look around.
func (s *stack) printAccess(out io.Writer) {
	fmt.Fprintf(out, "\nEverything keeps running until Ctrl-C:\n\n  export KUBECONFIG=%s\n  bin/kubectl-windlass get rollout %s -n %s -w\n\n", s.controlPlane.Kubeconfig, rollout, namespace)
	rows := [][2]string{{"gateway", s.gatewayURL}, {"its metrics", s.internalURL + "/metrics"}, {"devices", s.fleetURL + "/status"}, {"object store", s.store.Endpoint}}
	if s.prometheus != nil {
		rows = append(rows, [2]string{"Prometheus", s.prometheus.URL})
	}
	rows = append(rows, [2]string{"data and logs", s.dir})
	for _, r := range rows {
		fmt.Fprintf(out, "  %-14s %s\n", r[0], r[1])
	}
}

func hostPort(url string) string { return strings.TrimPrefix(url, "http://") }

var httpClient = &http.Client{Timeout: 5 * time.Second}

// getJSON reads JSON from a local server; nil out asks for the status 200 only.
func getJSON(ctx context.Context, url string, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	res, err := httpClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %d, want 200", url, res.StatusCode)
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(out)
}
