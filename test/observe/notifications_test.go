// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/windlass-dev/windlass/internal/audit"
	"github.com/windlass-dev/windlass/internal/kit"
)

// hookKey signs what a hook gets.
const hookKey = "for tests only: 32 random bytes."

// hook is a receiver of notifications that verifies each of them, as docs/notifications.md tells people to.
type hook struct {
	*httptest.Server
	tb testing.TB

	mu       sync.Mutex
	order    []audit.Record // as they came first
	requests map[string]int // by id
	fault    func(n int) (status int)
}

func newHook(tb testing.TB) *hook {
	h := &hook{tb: tb, requests: map[string]int{}}
	h.Server = httptest.NewServer(h)
	tb.Cleanup(h.Close)
	return h
}

// secret is the Secret with the key, which may be used for this hook.
func (h *hook) secret(namespace string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "hook", Annotations: map[string]string{kit.HostsAnnotation: strings.TrimPrefix(h.URL, "http://")}},
		StringData: map[string]string{"key": hookKey},
	}
}

// ServeHTTP implements http.Handler.
func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	id := r.Header.Get("webhook-id")
	mac := hmac.New(sha256.New, []byte(hookKey))
	fmt.Fprintf(mac, "%s.%s.%s", id, r.Header.Get("webhook-timestamp"), raw)
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); r.Header.Get("webhook-signature") != want {
		h.tb.Errorf("%s is signed %q, want %q", id, r.Header.Get("webhook-signature"), want)
	}
	var e struct {
		ID, Type string
		Data     audit.Record
	}
	if err := json.Unmarshal(raw, &e); err != nil || e.ID != id || e.Type != "dev.windlass.ota."+e.Data.Action {
		h.tb.Errorf("%s is no event: %v\n%s", id, err, raw)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.requests[id]++; h.requests[id] == 1 {
		h.order = append(h.order, e.Data)
	}
	if h.fault != nil {
		if status := h.fault(len(h.order)); status != 0 {
			w.WriteHeader(status)
		}
	}
}

func (h *hook) got() ([]audit.Record, map[string]int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	requests := map[string]int{}
	for id, n := range h.requests {
		requests[id] = n
	}
	return slices.Clone(h.order), requests
}
