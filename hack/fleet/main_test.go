// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/windlass-dev/windlass/hack/fleet/device"
	"github.com/windlass-dev/windlass/internal/devcluster"
)

func keyFile(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ci.pub")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestParse(t *testing.T) {
	key := keyFile(t)
	o, err := parse([]string{"-public-key", key, "-devices", "7", "-platforms", "ios,web"})
	if err != nil || o.Devices != 7 || len(o.Platforms) != 2 || o.Author == nil {
		t.Errorf("parse gave %+v and %v", o, err)
	}
	noKey := filepath.Join(t.TempDir(), "no-key")
	if err := os.WriteFile(noKey, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		args []string
		want string
	}{
		"no key":      {nil, "-public-key is missing"},
		"missing key": {[]string{"-public-key", "/nonexistent"}, "no such file"},
		"not a key":   {[]string{"-public-key", noKey}, "no PEM block"},
		"argument":    {[]string{"-public-key", key, "now"}, `unexpected argument "now"`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := parse(tc.args); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("parse gave %v, want an error with %q", err, tc.want)
			}
		})
	}
}

// TestRun runs the whole program against a gateway that has nothing to offer, and reads its status.
func TestRun(t *testing.T) {
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"action":"none","reason":"NothingReleased","kind":"up_to_date"}`)) // in both protocols
	}))
	defer gateway.Close()
	port, err := devcluster.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	address := "127.0.0.1:" + strconv.Itoa(port)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out bytes.Buffer
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, []string{"-gateway", gateway.URL, "-public-key", keyFile(t), "-devices", "10", "-poll", "50ms", "-status-listen", address}, &out)
	}()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for st := (device.Status{}); st.Protocols[device.Native].Checks < 30 || st.Protocols[device.Capgo].Checks < 30; st = status("http://" + address + "/status") {
		select {
		case err := <-done:
			t.Fatalf("run ended: %v", err)
		case <-t.Context().Done():
		case <-tick.C:
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "10 devices: embedded 10 |") {
		t.Errorf("progress is %q", out.String())
	}
}

func status(url string) (st device.Status) {
	res, err := http.Get(url)
	if err != nil {
		return st
	}
	defer res.Body.Close()
	_ = json.NewDecoder(res.Body).Decode(&st)
	return st
}

func TestProgress(t *testing.T) {
	st := device.Status{
		Devices: 10, CheckErrors: 1, ReportErrors: 2, OfferedAgain: 4,
		Protocols: map[string]device.Protocol{device.Native: {Checks: 150}, device.Capgo: {Checks: 50}}, LateMillis: 2500,
		Rejected: map[string]int64{"digest": 3, "signature": 1},
		Bundles:  map[string]device.Bundle{device.Embedded: {Running: 1}, "1.0.0": {Running: 7}, "1.1.0": {Running: 2, Failed: 4}, "0.9.0": {}},
	}
	begin := time.Unix(1000, 0)
	want := "10 devices: embedded 1 1.0.0 7 1.1.0 2 (4 failed) | 100 checks/s, 7 errors, 3 rejected by digest, 1 rejected by signature, polls are 2.5s late"
	var log, terminal bytes.Buffer
	p := &progress{out: &log, at: begin}
	p.show(st, begin.Add(2*time.Second))
	if got := strings.TrimSpace(log.String()); got != want {
		t.Errorf("the log is %q\nwant       %q", got, want)
	}
	p = &progress{out: &terminal, terminal: true, at: begin}
	p.show(st, begin.Add(2*time.Second))
	if got := terminal.String(); got != "\r\x1b[K"+want {
		t.Errorf("the terminal got %q, want the line redrawn", got)
	}
}
