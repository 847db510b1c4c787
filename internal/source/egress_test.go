// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package source_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/egress"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/source"
)

// An address that is denied stalls when the source names it, and is tried again when a name or a server leads to it.
func TestEgress(t *testing.T) {
	var asked atomic.Bool
	url := serve(t, func(http.ResponseWriter, *http.Request) { asked.Store(true) })
	port := url[strings.LastIndex(url, ":"):]
	manifest := "@sha256:" + strings.Repeat("0", 64)
	for name, tc := range map[string]struct {
		src   source.Source
		class kit.Class
		text  string
	}{
		"HTTP":      {source.HTTP{URL: url + "/a?x=" + secretText}, kit.Stalled, "--allow-address=127.0.0.1"},
		"HTTP name": {source.HTTP{URL: "http://LOCALHOST" + port}, kit.Transient, "which is a loopback address"},
		"S3":        {source.S3{Endpoint: url, Bucket: "bucket", Key: "key"}, kit.Stalled, "--allow-address=127.0.0.1"},
		"S3 name":   {source.S3{Endpoint: "http://localhost" + port, Bucket: "bucket", Key: "key"}, kit.Transient, "--allow-address=localhost"},
		"OCI":       {source.OCI{Image: "127.0.0.1" + port + "/a/b" + manifest, Layer: manifest[1:]}, kit.Stalled, "--allow-address=127.0.0.1"},
		"OCI name":  {source.OCI{Image: "localhost" + port + "/a/b" + manifest, Layer: manifest[1:]}, kit.Transient, "--allow-address=localhost"},
	} {
		t.Run(name, func(t *testing.T) {
			c := source.New(source.Options{})
			t.Cleanup(c.Close)
			_, err := fetch(t.Context(), c, tc.src)
			wantError(t, err, tc.class, otav1alpha1.AddressDeniedReason, tc.text)
		})
	}
	if asked.Load() {
		t.Error("the server was asked")
	}
}

// Where a server redirects to is judged like the rest, and the host is not repeated, because a server chose it.
func TestEgress_redirect(t *testing.T) {
	for _, to := range []string{"http://169.254.169.254/" + secretText, "http://10.0.0.1/", "http://[::1]/", "http://2852039166/", "//0x7f.1/", "http://" + secretText + ".localhost/"} {
		url := serve(t, http.RedirectHandler(to, http.StatusFound).ServeHTTP)
		_, err := fetch(t.Context(), newClient(t, source.Options{}), source.HTTP{URL: url})
		e := kit.Classify(err)
		// A resolver that knows no such old forms has no address for them: the name is then unknown.
		if e.Class != kit.Transient || (e.Reason != otav1alpha1.AddressDeniedReason && !strings.Contains(e.Error(), "host name")) {
			t.Errorf("%s: got %v, want it denied", to, err)
		}
		if strings.Contains(e.Error(), secretText) || strings.Contains(e.Error(), "169.254") {
			t.Errorf("%s: the error repeats where the server redirects to: %v", to, err)
		}
	}
}

// A name that is on the list is trusted, and only that.
func TestEgress_allowed(t *testing.T) {
	url := serve(t, func(http.ResponseWriter, *http.Request) {})
	port := url[strings.LastIndex(url, ":"):]
	p, err := egress.Parse([]string{"localhost" + port})
	if err != nil {
		t.Fatal(err)
	}
	c := source.New(source.Options{Egress: p})
	t.Cleanup(c.Close)
	if _, err := fetch(t.Context(), c, source.HTTP{URL: "http://localhost" + port}); err != nil {
		t.Error(err)
	}
	_, err = fetch(t.Context(), c, source.HTTP{URL: url})
	wantError(t, err, kit.Stalled, otav1alpha1.AddressDeniedReason, "--allow-address=127.0.0.1")
}
