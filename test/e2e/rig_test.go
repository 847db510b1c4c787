// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package e2e runs the real manager as a process, on a real API server and a real object store, and looks at the bucket as
// devices do.
package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/testkit"
	"github.com/windlass-dev/windlass/internal/testkit/stack"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// rig is one test's world.
type rig struct {
	*stack.Stack
	*testing.T
	site    *testkit.Site
	author  *testkit.Author
	metrics *metricServer
}

func newRig(t *testing.T) *rig {
	t.Helper()
	author := testkit.NewAuthor(t, "ci")
	r := &rig{Stack: stack.New(t), T: t, site: testkit.NewSite(t), author: author, metrics: newMetricServer(t)}
	r.Create(t, r.Credentials(r.Bucket), r.Repository(r.Bucket, author), r.Channel("production"))
	return r
}

// release makes a signed artifact and its Bundle of version 1.n.0.
func (r *rig) release(n int) *otav1alpha1.Bundle {
	r.Helper()
	version := fmt.Sprintf("1.%d.0", n)
	content := testkit.Zip(r.T, map[string]string{"index.html": "<h1>" + version + "</h1>"})
	b := r.Bundle(fmt.Sprintf("shop-%d", n), version, r.site.Publish(r.T, "/shop-"+version+".zip", content, r.author))
	r.Create(r.T, b)
	return b
}

// rollout releases a bundle through steps that pass quickly, measured once a second.
func (r *rig) rollout(bundle string) *otav1alpha1.Rollout {
	r.Helper()
	o := r.Rollout("shop", "production", bundle, testkit.SetWeight(1), testkit.PauseFor("200ms", 0), testkit.SetWeight(10),
		testkit.PauseFor("200ms", 0), testkit.SetWeight(100))
	o.Spec.Analysis = &otav1alpha1.Analysis{Metrics: []otav1alpha1.Metric{{
		Name: "crash-free", Interval: "1s",
		Prometheus:     &otav1alpha1.PrometheusMetric{Address: otav1alpha1.URL(r.metrics.URL), Query: `crash_free{version={{ quote .version }}}`},
		ThresholdRange: &otav1alpha1.ThresholdRange{Min: "0.99"},
	}}}
	r.Create(r.T, o)
	return o
}

func (r *rig) read(o client.Object) error {
	return r.Client.Get(r.Context(), client.ObjectKeyFromObject(o), o)
}

// patch changes a spec with a merge patch.
func (r *rig) patch(o client.Object, spec string) {
	r.Helper()
	if err := r.Client.Patch(r.Context(), o, client.RawPatch("application/merge-patch+json", []byte(`{"spec":`+spec+`}`))); err != nil {
		r.Fatal(err)
	}
}

// comes waits for the reason of Ready.
func (r *rig) comes(o client.Object, status metav1.ConditionStatus, reason string) {
	r.Helper()
	defer func() {
		if r.Failed() {
			r.Logf("log of the manager:\n%s", r.ManagerLog())
		}
	}()
	testkit.Eventually(r.T, r.Client, o, testkit.HaveCondition(otav1alpha1.ReadyCondition, status, reason), testkit.BeObserved())
}

// metricServer answers queries as Prometheus does: 1 for good versions, 0.5 for bad ones, unless it is told to lie.
type metricServer struct {
	*httptest.Server
	mu  sync.Mutex
	bad map[string]bool
	lie http.HandlerFunc
}

func newMetricServer(t testing.TB) *metricServer {
	s := &metricServer{bad: map[string]bool{}}
	s.Server = httptest.NewServer(http.HandlerFunc(s.answer))
	t.Cleanup(s.Close)
	return s
}

func (s *metricServer) answer(w http.ResponseWriter, req *http.Request) {
	query := req.FormValue("query")
	s.mu.Lock()
	lie := s.lie
	s.mu.Unlock()
	if lie != nil {
		lie(w, req)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	value := "1"
	for version := range s.bad {
		if strings.Contains(query, `"`+version+`"`) {
			value = "0.5"
		}
	}
	s.write(w, value)
}

func (s *metricServer) write(w io.Writer, value string) {
	_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": map[string]any{"resultType": "vector",
		"result": []any{map[string]any{"metric": map[string]string{}, "value": []any{float64(time.Now().UnixMilli()) / 1000, value}}}}})
}

// spoil makes a version bad.
func (s *metricServer) spoil(version otav1alpha1.Version) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bad[string(version)] = true
}

func (s *metricServer) tell(lie http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lie = lie
}

// someTime is a random moment within a second and a half.
func someTime(rng *rand.Rand) time.Duration { return time.Duration(rng.IntN(1500)) * time.Millisecond }
