// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/egress"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/store"
)

// An endpoint that resources may not name is not asked, and the error says what the operator can do.
func TestOpen_egress(t *testing.T) {
	var asked atomic.Bool
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Store(true)
		w.WriteHeader(http.StatusNotFound)
	}))
	t.Cleanup(s.Close)
	named := strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
	for _, tc := range []struct {
		endpoint string
		class    kit.Class
		text     string
	}{
		{s.URL, kit.Stalled, "--allow-address=127.0.0.1"},
		{named, kit.Transient, "--allow-address=localhost"},
	} {
		b, err := store.Open(store.Config{Endpoint: tc.endpoint, Bucket: "bucket", AccessKey: "a", SecretKey: "s", Egress: &egress.Policy{}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.Head(t.Context(), "key")
		e := kit.Classify(err)
		if e.Class != tc.class || e.Reason != otav1alpha1.AddressDeniedReason || !strings.Contains(e.Error(), tc.text) {
			t.Errorf("%s: got %v, want AddressDenied with %q", tc.endpoint, err, tc.text)
		}
	}
	if asked.Load() {
		t.Error("the server was asked")
	}
}
