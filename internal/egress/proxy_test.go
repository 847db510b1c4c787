// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package egress_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/windlass-dev/windlass/internal/egress"
)

// TestProxy_child asks for the URLs in its environment, and tells how each of them ended. TestProxy runs it, because package
// net/http reads the proxies of the environment once in a process.
func TestProxy_child(t *testing.T) {
	urls := os.Getenv("EGRESS_URLS")
	if urls == "" {
		t.Skip("TestProxy runs this")
	}
	p := parse(t, strings.Fields(os.Getenv("EGRESS_ALLOW"))...)
	client := &http.Client{Transport: &http.Transport{Proxy: p.Proxy, DialContext: p.DialContext(&net.Dialer{Timeout: 5 * time.Second})}}
	for url := range strings.FieldsSeq(urls) {
		res, err := client.Get(url)
		if err != nil {
			fmt.Fprintln(os.Stdout, "GET", url, "error", err)
			continue
		}
		fmt.Fprintln(os.Stdout, "GET", url, "status", res.StatusCode)
		res.Body.Close()
	}
}

// A proxy of the environment is connected to, though its address is private; it is not asked for addresses that are denied.
func TestProxy(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	proxy := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.RequestURI)
	}))
	t.Cleanup(proxy.Close)
	good := []string{"http://public.example/", "http://8.8.8.8/", "http://10.0.0.7/", "http://registry.example/"}
	bad := []string{
		"http://169.254.169.254/", "http://10.0.0.8/", "http://[fd00::1]/", "http://2130706433/", "http://0x7f.1/", "http://0177.0.0.1/",
		"http://192.168.0.1./", "http://１０.0.0.8/", "http://10。0。0。8/", "http://a.localhost/", "http://[fe80::1%25eth0]/", "http://[::ffff:10.0.0.8]/",
		"http://direct.example:1/", proxy.URL + "/", // past the proxy: to this machine, and to the proxy's own pages
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestProxy_child$", "-test.v")
	cmd.Env = append(os.Environ(), "HTTP_PROXY="+proxy.URL, "NO_PROXY=direct.example,127.0.0.1", "EGRESS_ALLOW=10.0.0.7 registry.example",
		"EGRESS_URLS="+strings.Join(append(good, bad...), " "))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, io.Discard
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, url := range good {
		if !strings.Contains(out.String(), "GET "+url+" status 200\n") {
			t.Errorf("%s was not fetched through the proxy", url)
		}
	}
	for _, url := range bad {
		if !strings.Contains(out.String(), "GET "+url+" error") {
			t.Errorf("%s was not refused", url)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(asked) != len(good) {
		t.Errorf("the proxy was asked for %v, want %v", asked, good)
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

func TestProxy_none(t *testing.T) {
	for _, url := range []string{"http://10.0.0.7/", "http://public.example/"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if u, err := (egress.Policy{}).Proxy(req); u != nil || err != nil {
			t.Errorf("%s: got %v, %v; without a proxy the address is judged when it is dialled", url, u, err)
		}
	}
}
