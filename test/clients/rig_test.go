// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/windlass-dev/windlass/internal/gateway"
	"github.com/windlass-dev/windlass/internal/gateway/ledger"
	"github.com/windlass-dev/windlass/internal/gateway/origin"
	"github.com/windlass-dev/windlass/internal/gateway/view/viewtest"
	"github.com/windlass-dev/windlass/internal/publish"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/store"
	"github.com/windlass-dev/windlass/internal/testkit"
)

const (
	app     = "com.example.shop"
	channel = "production"
	token   = "a-token-of-the-manager"

	// readyTime is how long a device has to run a bundle until a check proves that it is well: a test waits for it.
	readyTime = time.Millisecond
)

func TestMain(m *testing.M) { testkit.Main(m) }

// rig is a gateway over what the manager's own publisher commits to a real object store, with a ledger in SQLite.
type rig struct {
	*testing.T
	bucket    *store.Bucket
	publisher *publish.Publisher
	revision  int64
	public    string // base URL for devices
	internal  string
}

func newRig(t *testing.T) *rig {
	t.Helper()
	b := testkit.ObjectStore(t)
	bucket, err := store.Open(store.Config{Endpoint: b.Endpoint, Bucket: b.Name, Prefix: "mobile", AccessKey: b.AccessKeyID, SecretKey: b.SecretAccessKey})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{T: t, bucket: bucket}
	r.openPublisher()
	t.Setenv("AWS_ACCESS_KEY_ID", b.AccessKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", b.SecretAccessKey)
	source, err := origin.NewS3(origin.S3Config{Endpoint: b.Endpoint, Bucket: b.Name, Prefix: "mobile"})
	if err != nil {
		t.Fatal(err)
	}
	r.start(source)
	return r
}

func (r *rig) openPublisher() {
	r.Helper()
	data, err := publish.GenerateKeys()
	if err != nil {
		r.Fatal(err)
	}
	keys, err := publish.ParseKeys(data)
	if err != nil {
		r.Fatal(err)
	}
	if r.publisher, err = publish.Open(r.Context(), publish.Config{Bucket: r.bucket, Keys: keys}); err != nil {
		r.Fatal(err)
	}
	r.Cleanup(r.publisher.Close)
}

// start runs the gateway until the test ends.
func (r *rig) start(source *origin.Origin) {
	r.Helper()
	root, _, err := r.bucket.Get(r.Context(), "metadata/1.root.json", 1<<20)
	if err != nil {
		r.Fatal(err)
	}
	dir := r.TempDir()
	tokenFile := filepath.Join(dir, "token")
	if err := os.WriteFile(tokenFile, []byte(token), 0o600); err != nil {
		r.Fatal(err)
	}
	s, err := gateway.New(r.Context(), gateway.Config{
		Origin: source, Root: root, CacheDir: filepath.Join(dir, "cache"), PollInterval: 10 * time.Millisecond, TokenFile: tokenFile,
		Ledger: ledger.Config{Path: filepath.Join(dir, "ledger.db"), ReadyTime: readyTime, FlushEvery: time.Millisecond},
		Log:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		r.Fatal(err)
	}
	public, internal := r.listen(), r.listen()
	r.public, r.internal = "http://"+public.Addr().String(), "http://"+internal.Addr().String()
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, public, internal) }()
	r.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			r.Errorf("run: %v", err)
		}
	})
}

func (r *rig) listen() net.Listener {
	r.Helper()
	l, err := (&net.ListenConfig{}).Listen(r.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		r.Fatal(err)
	}
	return l
}

// put stores an artifact as the manager does.
func (r *rig) put(version string, content []byte) *release.Bundle {
	r.Helper()
	b := &release.Bundle{
		Name: "shop-" + version, Version: version, Digest: release.DigestPrefix + viewtest.Digest(content), Size: int64(len(content)),
		Path: release.BundleTarget(app, version, "zip"),
	}
	if err := r.bucket.PutImmutable(r.Context(), release.TargetObject(b.Path, b.Digest), content, "application/zip"); err != nil {
		r.Fatal(err)
	}
	return b
}

// publish commits a state of a channel, and waits until the gateway serves it.
func (r *rig) publish(change func(*release.Document)) {
	r.Helper()
	r.revision++
	doc := &release.Document{Schema: release.Schema, App: app, Channel: channel, Revision: r.revision, Serving: release.Active}
	change(doc)
	r.publisher.Submit(doc)
	r.eventually("the gateway serves what was published", func() bool {
		c, ok := r.publisher.Committed(app, doc.Channel)
		return ok && c.Document.Revision == r.revision && r.counts().MetadataVersion >= c.MetadataVersion
	})
}

// stable publishes a channel whose stable bundle is b.
func (r *rig) stable(b *release.Bundle) {
	r.Helper()
	r.publish(func(d *release.Document) { d.Stable = b })
}

// counts asks the gateway as the manager does.
func (r *rig) counts() gateway.Counts {
	r.Helper()
	query := url.Values{"app": {app}, "channel": {channel}}
	var out gateway.Counts
	if err := json.Unmarshal(r.do(http.MethodGet, r.internal+gateway.CountsPath+"?"+query.Encode(), nil), &out); err != nil {
		r.Fatal(err)
	}
	return out
}

// row is the count of a bundle, over all arms.
func (r *rig) row(b *release.Bundle) ledger.Row {
	r.Helper()
	var sum ledger.Row
	for _, row := range r.counts().Counts {
		if row.Digest == b.Digest {
			sum.Devices, sum.Confirmed, sum.Failed = sum.Devices+row.Devices, sum.Confirmed+row.Confirmed, sum.Failed+row.Failed
			sum.Downloaded, sum.DeliveryFailed = sum.Downloaded+row.Downloaded, sum.DeliveryFailed+row.DeliveryFailed
		}
	}
	return sum
}

// do makes a request with the manager's token and gives the body of the answer, which must be 200.
func (r *rig) do(method, address string, body []byte) []byte {
	r.Helper()
	req, err := http.NewRequestWithContext(r.Context(), method, address, bytes.NewReader(body))
	if err != nil {
		r.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		r.Fatalf("%s %s: %s, %v: %.300s", method, address, res.Status, err, raw)
	}
	return raw
}

// update is what the gateway answers to a device that has to install something.
type update struct {
	Version    string `json:"version"`
	URL        string `json:"url"`
	Checksum   string `json:"checksum"`
	SessionKey string `json:"session_key"`
}

// check asks as the plugin of an Android device does.
func (r *rig) check(keyID string) update {
	r.Helper()
	body, err := json.Marshal(map[string]any{
		"platform": "android", "device_id": "00000000-0000-4000-8000-000000000001", "app_id": app, "custom_id": "", "version_build": "1.0.0",
		"version_code": "1", "version_os": "15", "version_name": "1.0.0", "plugin_version": pluginPackage.Version, "is_emulator": false,
		"is_prod": true, "install_source": "", "defaultChannel": channel, "key_id": keyID,
	})
	if err != nil {
		r.Fatal(err)
	}
	var out update
	if err := json.Unmarshal(r.do(http.MethodPost, r.public+"/updates", body), &out); err != nil {
		r.Fatal(err)
	}
	return out
}

// eventually waits until a condition holds.
func (r *rig) eventually(what string, holds func() bool) {
	r.Helper()
	limit := time.NewTimer(testkit.Timeout)
	defer limit.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-limit.C:
			r.Fatalf("after %s still not: %s", testkit.Timeout, what)
		}
	}
}

// meddler stands between a client and the gateway and changes answers.
func (r *rig) meddler(change func(path string, body []byte) []byte) (base string) {
	r.Helper()
	target, err := url.Parse(r.public)
	if err != nil {
		r.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(target)
			p.Out.Host = p.In.Host // so that artifacts come through here, too
		},
		ModifyResponse: func(res *http.Response) error {
			body, err := io.ReadAll(res.Body)
			body = change(res.Request.URL.Path, body)
			res.Body = io.NopCloser(bytes.NewReader(body))
			res.ContentLength = int64(len(body))
			res.Header.Set("Content-Length", strconv.Itoa(len(body)))
			return err
		},
	}
	server := httptest.NewServer(proxy)
	r.Cleanup(server.Close)
	return server.URL
}

// flip changes one bit in the middle.
func flip(body []byte) []byte {
	out := bytes.Clone(body)
	out[len(out)/2] ^= 1
	return out
}
