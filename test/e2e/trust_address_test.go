// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"

	"github.com/onsi/gomega"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// A source that is allowed leads to an address that is not: no connection is made, however often it is tried, and neither what the
// server said nor where it leads to is told to whoever can read the Bundle.
func redirectDenied(p *place) {
	inside, err := net.Listen("tcp", "127.0.0.2:0") // the manager may connect to 127.0.0.1 only
	if err != nil {
		p.Skipf("127.0.0.2 is no address of this machine: %v", err)
	}
	var connections, asked atomic.Int32
	internal := &httptest.Server{Listener: inside, Config: &http.Server{
		Handler:   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("inner-secret")) }),
		ConnState: func(_ net.Conn, s http.ConnState) { connections.Add(map[http.ConnState]int32{http.StateNew: 1}[s]) },
	}}
	internal.Start()
	p.Cleanup(internal.Close)
	outside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header().Set("Location", strings.Replace(r.URL.Query().Get("to"), "INSIDE", inside.Addr().String(), 1))
		w.WriteHeader(http.StatusFound)
		_, _ = w.Write([]byte("outer-secret"))
	}))
	p.Cleanup(outside.Close)

	p.Create(p.T, p.root, p.repo)
	p.comes(p.repo, metav1.ConditionTrue, "")
	var bundles []*otav1alpha1.Bundle
	for n, host := range []string{"INSIDE", "10.99.88.77", "169.254.169.254"} {
		b := p.bundle(n, p.www(n, nil), "ci")
		b.Spec.Source.HTTP.URL = otav1alpha1.URL(outside.URL + "/update.zip?to=http://" + host + "/latest/meta-data")
		p.Create(p.T, b)
		bundles = append(bundles, b)
	}
	for _, b := range bundles {
		p.comes(b, metav1.ConditionFalse, otav1alpha1.AddressDeniedReason)
		testkit.Eventually(p.T, p.Client, b, testkit.HaveCondition(otav1alpha1.FetchedCondition, metav1.ConditionFalse, otav1alpha1.AddressDeniedReason),
			testkit.HaveMessage(otav1alpha1.FetchedCondition, "leads to another host"))
		testkit.CheckStatus(p.T, b)
	}
	gomega.NewWithT(p.T).Eventually(asked.Load).WithTimeout(testkit.Timeout).Should(gomega.BeNumerically(">", len(bundles)), "it is tried again")
	for _, b := range bundles {
		p.silent(b, "outer-secret", "inner-secret", "meta-data", inside.Addr().String(), "10.99.88.77", "169.254.169.254")
	}
	if n := connections.Load(); n != 0 {
		p.Errorf("%d connections were made to an address that is not allowed", n)
	}
}

// silent checks that neither the status of a Bundle, nor its events, nor the manager's log tell any of these.
func (p *place) silent(b *otav1alpha1.Bundle, secrets ...string) {
	p.Helper()
	if err := p.read(b); err != nil {
		p.Fatal(err)
	}
	status, err := json.Marshal(b.Status)
	if err != nil {
		p.Fatal(err)
	}
	told := map[string]string{"status": string(status), "log": p.ManagerLog()}
	var events eventsv1.EventList
	gomega.NewWithT(p.T).Eventually(func(g gomega.Gomega) {
		g.Expect(p.Client.List(p.Context(), &events, client.InNamespace(p.Namespace))).To(gomega.Succeed())
		for _, e := range events.Items {
			if e.Regarding.Name == b.Name {
				told["events"] += e.Note
			}
		}
		g.Expect(told["events"]).To(gomega.ContainSubstring("leads to another host"))
	}).WithTimeout(testkit.Timeout).WithPolling(testkit.Interval).Should(gomega.Succeed())
	for where, text := range told {
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				p.Errorf("%s of %s tells %q: %s", where, b.Name, secret, text)
			}
		}
	}
}
