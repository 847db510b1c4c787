// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package devcluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Scrape says what a Prometheus reads.
type Scrape struct {
	// Job is the name in the label job.
	Job string
	// Targets are host:port pairs.
	Targets []string
	// Path of the metrics. Empty: /metrics.
	Path string
	// Native takes native histograms, beside the classic ones.
	Native bool
}

// Prometheus is a running Prometheus server.
type Prometheus struct {
	*Process
	URL string // http://127.0.0.1:<port>
}

// StartPrometheus starts a Prometheus that keeps its data and log below dir and scrapes at an interval.
func StartPrometheus(ctx context.Context, dir string, interval time.Duration, scrapes ...Scrape) (*Prometheus, error) {
	path, err := Binary(ctx, "prometheus")
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("start prometheus: %w", err)
	}
	config := filepath.Join(dir, "prometheus.yml")
	if err := writeScrapeConfig(config, interval, scrapes); err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		p, err := startPrometheus(ctx, path, dir, config)
		if err == nil || attempt == startAttempts || ctx.Err() != nil {
			return p, err
		}
	}
}

func startPrometheus(ctx context.Context, path, dir, config string) (*Prometheus, error) {
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	address := "127.0.0.1:" + strconv.Itoa(port)
	p := &Prometheus{URL: "http://" + address}
	p.Process, err = StartProcess(ctx, Command{
		Name: "prometheus", Path: path, Dir: dir,
		Args: []string{
			"--config.file=" + config, "--web.listen-address=" + address,
			"--storage.tsdb.path=" + filepath.Join(dir, "tsdb"), "--log.level=warn",
		},
		Ready: func(ctx context.Context) error { return answersOK(ctx, probeClient, p.URL+"/-/ready") },
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// writeScrapeConfig writes the configuration as JSON, which is YAML as well.
func writeScrapeConfig(path string, interval time.Duration, scrapes []Scrape) error {
	type object = map[string]any
	jobs := make([]object, 0, len(scrapes))
	for _, s := range scrapes {
		job := object{
			"job_name": s.Job, "static_configs": []object{{"targets": s.Targets}}, "scrape_native_histograms": s.Native, "always_scrape_classic_histograms": s.Native,
		}
		if s.Path != "" {
			job["metrics_path"] = s.Path
		}
		jobs = append(jobs, job)
	}
	every := strconv.FormatInt(interval.Milliseconds(), 10) + "ms"
	raw, err := json.Marshal(object{
		"global":         object{"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
		"scrape_configs": jobs,
	})
	if err != nil {
		return fmt.Errorf("write the configuration of prometheus: %w", err)
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		return fmt.Errorf("write the configuration of prometheus: %w", err)
	}
	return nil
}

// probeClient asks servers whether they are ready.
var probeClient = &http.Client{Timeout: 5 * time.Second}

// answersOK is nil when a GET is answered with 200.
func answersOK(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s, want 200", url, res.Status)
	}
	return nil
}
