// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/audit"
	"github.com/windlass-dev/windlass/internal/devcluster"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/notify"
	"github.com/windlass-dev/windlass/internal/testkit"
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
	return slices.Clone(h.order), maps.Clone(h.requests)
}

// logged are the records of a Repository's audit log, as the object store has them.
func (w *world) logged() (out []audit.Record) {
	w.Helper()
	bucket := w.OpenBucket()
	for obj, err := range bucket.List(w.Context(), audit.Folder) {
		if err != nil {
			w.Fatal(err)
		}
		raw, _, err := bucket.Get(w.Context(), obj.Key, audit.MaxRecord)
		if err != nil {
			w.Fatal(err)
		}
		r, err := audit.Decode(raw)
		if err != nil {
			w.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

// notified makes a Repository with a receiver, and waits until the receiver is known: what happens then is for it.
func (w *world) notified(h *hook) *otav1alpha1.Repository {
	w.Helper()
	repo := w.Repository(w.Bucket, w.author)
	repo.Spec.Notifications = []otav1alpha1.Notification{{Name: "ops", URL: h.URL + "/windlass", SecretRef: otav1alpha1.LocalReference{Name: "hook"}}}
	w.Create(w.T, h.secret(w.Namespace), repo)
	w.StartManager()
	w.comes(repo, metav1.ConditionTrue, "")
	gomega.NewWithT(w.T).Eventually(func(g gomega.Gomega) {
		g.Expect(w.Client.Get(w.Context(), client.ObjectKeyFromObject(repo), repo)).To(gomega.Succeed())
		g.Expect(repo.Status.Notifications).To(gomega.HaveLen(1))
	}).WithTimeout(testkit.Timeout).WithPolling(testkit.Interval).Should(gomega.Succeed())
	return repo
}

// told waits until the receiver has all records of the log after one, in their order.
func (w *world) told(h *hook, after int64) map[string]int {
	w.Helper()
	var requests map[string]int
	gomega.NewWithT(w.T).Eventually(func(g gomega.Gomega) {
		repo := &otav1alpha1.Repository{}
		g.Expect(w.Client.Get(w.Context(), client.ObjectKey{Namespace: w.Namespace, Name: otav1alpha1.DefaultRepository}, repo)).To(gomega.Succeed())
		var want, have []string
		for _, r := range w.logged() {
			if r.Sequence > after {
				want = append(want, fmt.Sprint(r.Sequence, r.ID, r.Action))
			}
		}
		var got []audit.Record
		got, requests = h.got()
		for _, r := range got {
			have = append(have, fmt.Sprint(r.Sequence, r.ID, r.Action))
		}
		g.Expect(have).To(gomega.Equal(want))
		g.Expect(*repo.Status.Notifications[0].Delivered).To(gomega.Equal(after+int64(len(want))), repo.Status.Notifications[0].Message)
	}).WithTimeout(time.Minute).WithPolling(testkit.Interval).Should(gomega.Succeed())
	return requests
}

// quick is a Rollout that completes by itself.
func (w *world) quick(name, channel, bundle string) *otav1alpha1.Rollout {
	w.Helper()
	ro := w.Rollout(name, channel, bundle, testkit.SetWeight(10), testkit.SetWeight(50), testkit.SetWeight(100))
	w.Create(w.T, ro)
	return ro
}

// A real manager tells a receiver of each transition exactly once, in the order of the audit log, and at rest nothing is written.
func TestNotifications_once(t *testing.T) {
	t.Parallel()
	w, h := newWorld(t), newHook(t)
	repo := w.notified(h)
	after := *repo.Status.Notifications[0].Delivered
	for n := range 3 {
		w.release(n + 1)
	}
	ro := w.quick("shop", "production", "shop-1")
	w.comes(ro, metav1.ConditionTrue, otav1alpha1.CompletedReason)
	for _, bundle := range []string{"shop-2", "shop-3"} {
		w.patch(ro, `{"spec":{"bundleRef":{"name":"`+bundle+`"}}}`)
		gomega.NewWithT(t).Eventually(func(g gomega.Gomega) {
			g.Expect(w.Client.Get(t.Context(), client.ObjectKeyFromObject(ro), ro)).To(gomega.Succeed())
			g.Expect(ro.Status.Release.Bundle).To(gomega.Equal(bundle))
		}).WithTimeout(testkit.Timeout).WithPolling(testkit.Interval).Should(gomega.Succeed())
		w.comes(ro, metav1.ConditionTrue, otav1alpha1.CompletedReason)
	}
	requests := w.told(h, after)
	for id, n := range requests {
		if n != 1 {
			t.Errorf("%s came %d times", id, n)
		}
	}
	if len(requests) < 10 {
		t.Errorf("%d events of three releases", len(requests))
	}
	testkit.StandStill(t, w.Client, repo, ro)
}

// A manager that is killed again and again, with a receiver that fails every other time, tells everything in order, each with one id.
func TestNotifications_kills(t *testing.T) {
	t.Parallel()
	w, h := newWorld(t), newHook(t)
	tries := 0
	h.fault = func(int) int {
		tries++
		return []int{0, http.StatusInternalServerError}[tries%2]
	}
	repo := w.notified(h)
	after := *repo.Status.Notifications[0].Delivered
	ro := w.quick("shop", "production", "shop-0")
	for n := range 4 {
		w.release(n)
		w.patch(ro, fmt.Sprintf(`{"spec":{"bundleRef":{"name":"shop-%d"}}}`, n))
		seen, _ := h.got()
		gomega.NewWithT(t).Eventually(func() int { got, _ := h.got(); return len(got) - len(seen) }).WithTimeout(testkit.Timeout).WithPolling(10 * time.Millisecond).
			Should(gomega.BeNumerically(">", n))
		w.KillManager()
		w.StartManager()
	}
	w.comes(ro, metav1.ConditionTrue, otav1alpha1.CompletedReason)
	requests := w.told(h, after)
	t.Logf("%d events in %d requests", len(requests), tries)
}

// A receiver whose Secret is for another host gets nothing, and people are told why.
func TestNotifications_guard(t *testing.T) {
	t.Parallel()
	w, h := newWorld(t), newHook(t)
	repo := w.Repository(w.Bucket, w.author)
	repo.Spec.Notifications = []otav1alpha1.Notification{{Name: "ops", URL: h.URL, SecretRef: otav1alpha1.LocalReference{Name: "hook"}}}
	secret := h.secret(w.Namespace)
	secret.Annotations[kit.HostsAnnotation] = "hooks.example.com"
	w.Create(t, secret, repo)
	w.StartManager()
	w.comes(repo, metav1.ConditionTrue, "")
	w.release(1)
	gomega.NewWithT(t).Eventually(func(g gomega.Gomega) {
		g.Expect(w.Client.Get(t.Context(), client.ObjectKeyFromObject(repo), repo)).To(gomega.Succeed())
		g.Expect(repo.Status.Notifications).To(gomega.HaveLen(1))
		g.Expect(repo.Status.Notifications[0].Message).To(gomega.ContainSubstring("Secret hook is not for " + strings.TrimPrefix(h.URL, "http://")))
	}).WithTimeout(testkit.Timeout).WithPolling(testkit.Interval).Should(gomega.Succeed())
	if got, _ := h.got(); len(got) > 0 {
		t.Errorf("%d events were shown to a host that the Secret is not for", len(got))
	}
	secret.Annotations[kit.HostsAnnotation] = strings.TrimPrefix(h.URL, "http://")
	if err := w.Client.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	gomega.NewWithT(t).Eventually(func() int { got, _ := h.got(); return len(got) }).WithTimeout(2 * time.Minute).WithPolling(testkit.Interval).
		Should(gomega.BeNumerically(">", 0))
}

func (w *world) patch(o client.Object, patch string) {
	w.Helper()
	if err := w.Client.Patch(w.Context(), o, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		w.Fatal(err)
	}
}

// The receiver of docs/notifications.md takes what is signed for it, once, and nothing else.
func TestNotifications_manual(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed")
	}
	_, rest, _ := strings.Cut(string(read(t, "docs", "notifications.md")), "```python\n")
	program, _, _ := strings.Cut(rest, "```")
	port, dir := freePort(t), t.TempDir()
	url := "http://127.0.0.1:" + port + "/hook"
	p, err := devcluster.StartProcess(t.Context(), devcluster.Command{
		Name: "receiver", Path: python, Dir: dir, Args: []string{"-c", program}, Env: []string{"KEY=whsec_" + base64.StdEncoding.EncodeToString([]byte(hookKey)), "PORT=" + port},
		Ready: func(context.Context) error {
			c, err := net.DialTimeout("tcp", "127.0.0.1:"+port, time.Second)
			if err == nil {
				err = c.Close()
			}
			return err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	now := time.Now()
	at := func() time.Time { return now }
	key, err := notify.ParseKey([]byte(hookKey))
	if err != nil {
		t.Fatal(err)
	}
	other, err := notify.ParseKey([]byte(strings.ToUpper(hookKey)))
	if err != nil {
		t.Fatal(err)
	}
	poster := notify.NewPoster(testkit.Loopback(), at)
	record := audit.Record{Sequence: 7, ID: "a.b", Kind: "Rollout", Namespace: "mobile", Name: "shop", Action: "RolledBack", Message: "shop-3: ü", At: now}
	for range 2 {
		if err := poster.Post(t.Context(), url, key, record); err != nil {
			t.Errorf("what is signed is refused: %v", err)
		}
	}
	if err := poster.Post(t.Context(), url, other, record); err == nil || !strings.Contains(err.Error(), "status 401") {
		t.Errorf("with another key: %v, want 401", err)
	}
	now = now.Add(-time.Hour)
	if err := poster.Post(t.Context(), url, key, record); err == nil || !strings.Contains(err.Error(), "status 401") {
		t.Errorf("an hour late: %v, want 401", err)
	}
	printed, err := os.ReadFile(filepath.Join(dir, "receiver.log"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(printed), "000000000007 dev.windlass.ota.RolledBack shop-3: ü"); n != 1 {
		t.Errorf("the event was taken %d times:\n%s", n, printed)
	}
}
