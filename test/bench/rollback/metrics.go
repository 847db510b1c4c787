// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package rollback

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"
)

// metrics is a web server that answers queries as Prometheus does, and serves the artifact. It remembers when it first told
// the manager that a channel fails.
type metrics struct {
	server *httptest.Server
	mu     sync.Mutex
	files  map[string][]byte
	bad    map[string]bool
	told   map[string]time.Time
}

func newMetrics() *metrics {
	m := &metrics{files: map[string][]byte{}, bad: map[string]bool{}, told: map[string]time.Time{}}
	m.server = httptest.NewServer(m)
	return m
}

func (m *metrics) serve(path string, content []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[path] = content
}

// ServeHTTP answers a query or serves a file.
func (m *metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.FormValue("query")
	m.mu.Lock()
	defer m.mu.Unlock()
	if content, ok := m.files[r.URL.Path]; ok {
		_, _ = w.Write(content)
		return
	}
	value, now := "0", time.Now()
	for channel, bad := range m.bad {
		if bad && strings.Contains(query, `"`+channel+`"`) {
			value = "0.5"
			if m.told[channel].IsZero() {
				m.told[channel] = now
			}
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[%d.%03d,%q]}]}}`,
		now.Unix(), now.Nanosecond()/1e6, value)
}

// set makes a channel fail or not.
func (m *metrics) set(channel string, bad bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bad[channel] = bad
	delete(m.told, channel)
}

// toldAt is when the manager first heard that a channel fails.
func (m *metrics) toldAt(channel string) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.told[channel]
}
