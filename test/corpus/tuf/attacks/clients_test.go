// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package attacks

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/theupdateframework/go-tuf/v2/metadata/config"
	"github.com/theupdateframework/go-tuf/v2/metadata/updater"

	"github.com/windlass-dev/windlass/internal/gateway/origin"
	"github.com/windlass-dev/windlass/internal/gateway/view"
	"github.com/windlass-dev/windlass/internal/testkit/npm"
)

// job is one update of a device.
type job struct {
	Dir       string `json:"dir"` // of the device's state; root.json is there
	URL       string `json:"url"`
	Target    string `json:"target"`
	Now       string `json:"now,omitempty"` // RFC 3339; empty: the real time
	TimeoutMs int64  `json:"timeoutMs"`
}

func (j job) now() time.Time {
	if at, err := time.Parse(time.RFC3339, j.Now); err == nil {
		return at
	}
	return time.Now()
}

// client gives the content of a target that it trusts.
type client interface {
	update(ctx context.Context, j job) ([]byte, error)
}

// goTUF is a stock device with go-tuf.
type goTUF struct{}

func (goTUF) update(_ context.Context, j job) ([]byte, error) {
	root, err := os.ReadFile(filepath.Join(j.Dir, "root.json"))
	if err != nil {
		return nil, err
	}
	cfg, err := config.New(j.URL+"/metadata", root)
	if err != nil {
		return nil, err
	}
	cfg.LocalMetadataDir, cfg.LocalTargetsDir, cfg.RemoteTargetsURL = j.Dir, j.Dir, j.URL+"/targets"
	if err := cfg.SetDefaultFetcherHTTPClient(&http.Client{Timeout: time.Duration(j.TimeoutMs) * time.Millisecond}); err != nil {
		return nil, err
	}
	up, err := updater.New(cfg)
	if err != nil {
		return nil, err
	}
	up.UnsafeSetRefTime(j.now())
	if err := up.Refresh(); err != nil {
		return nil, err
	}
	info, err := up.GetTargetInfo(j.Target)
	if err != nil {
		return nil, err
	}
	_, raw, err := up.DownloadTarget(info, filepath.Join(j.Dir, "target"), "")
	return raw, err
}

// gateway is ours. Its state is its cache. Other than the stock clients it has no error where it refuses a part: it goes on with
// what it has verified before, or with the root that it has, so that its answer counts.
type gateway struct{}

func (gateway) update(ctx context.Context, j job) ([]byte, error) {
	if !strings.HasPrefix(j.Target, "channels/") {
		return nil, errNotAsked
	}
	root, err := os.ReadFile(filepath.Join(j.Dir, "root.json"))
	if err != nil {
		return nil, err
	}
	from, err := origin.NewHTTP(j.URL)
	if err != nil {
		return nil, err
	}
	poller, err := view.New(ctx, view.Config{
		Source: from, Root: root, CacheDir: filepath.Join(j.Dir, "gateway"), Timeout: time.Duration(j.TimeoutMs) * time.Millisecond,
		Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(), Now: j.now,
	})
	if err != nil {
		return nil, err
	}
	_ = poller.Poll(ctx) // the view counts
	v := poller.View()
	if v == nil || !j.now().Before(v.Expires) {
		return nil, errors.New("there is no view that holds")
	}
	ch := v.Apps[app][channel]
	if ch == nil || !ch.Readable() {
		return nil, errors.New("the channel cannot be read")
	}
	for _, b := range ch.Bundles() {
		return []byte(b.Version), nil // what it would offer
	}
	return nil, errors.New("the channel offers nothing")
}

// errNotAsked marks what a client is not for.
var errNotAsked = errors.New("this client does not ask for it")

// tufJS is a stock device with tuf-js: one process for all jobs.
type tufJS struct {
	in  io.WriteCloser
	out *bufio.Scanner
}

var tufJSPackage = &npm.Package{Name: "tuf-js", Version: "5.0.1", Lock: "testdata/tufjs"}

func startTUFJS(t *testing.T) *tufJS {
	t.Helper()
	folder := tufJSPackage.Folder(t, "node")
	cmd := exec.CommandContext(t.Context(), "node", filepath.Join("testdata", "tufjs", "client.js"), folder)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	scanner := bufio.NewScanner(out)
	scanner.Buffer(nil, 4*maxObject)
	return &tufJS{in: in, out: scanner}
}

func (c *tufJS) update(_ context.Context, j job) ([]byte, error) {
	if err := json.NewEncoder(c.in).Encode(j); err != nil {
		return nil, err
	}
	if !c.out.Scan() {
		return nil, fmt.Errorf("tuf-js ended: %w", c.out.Err())
	}
	var result struct{ Content, Error string }
	if err := json.Unmarshal(c.out.Bytes(), &result); err != nil {
		return nil, err
	}
	if result.Error != "" {
		return nil, errors.New(result.Error)
	}
	return base64.StdEncoding.DecodeString(result.Content)
}
