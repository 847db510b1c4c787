// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/native"
	"github.com/windlass-dev/windlass/internal/store"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// TestPrograms runs the real manager and gateway with just the arguments, files and rights of their pods, through one release that
// devices decide and a person promotes. What a role lacks, or a policy refuses, ends it.
func TestPrograms(t *testing.T) {
	t.Parallel()
	loopback := "manager.allowAddresses={127.0.0.0/8}"
	for _, tc := range []struct {
		name, work string
		build      func(*testing.T) []*unstructured.Unstructured
		actor      otav1alpha1.Actor
		certified  bool
	}{
		{"the whole cluster, by Helm", "shop", func(t *testing.T) []*unstructured.Unstructured {
			return option{values: []string{loopback, "certManager.enabled=true"}}.helm(t, "helm4")
		}, otav1alpha1.ActorVerified, true},
		{"one namespace, by kustomize", namespace, option{base: "default", components: []string{"namespaced"}, patches: allowLoopback}.kustomize,
			otav1alpha1.ActorUnverified, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, tc.work)
			installForeign(t, c.Env)
			objects := tc.build(t)
			apply(t, c.Env, namespaceNamed(namespace))
			c.install(objects)
			c.secret("windlass-gateway-token", map[string]string{"token": "for-tests-only-and-long-enough"})
			var authorities *x509.CertPool
			if tc.certified {
				authorities = c.certificate()
			}
			manager := c.run(program(t, "manager"), find(t, objects, "Deployment", "windlass-manager"))
			defer func() {
				if t.Failed() {
					t.Logf("log of the manager:\n%s", c.log(manager))
				}
			}()
			c.release(objects, tc.actor)
			c.scrape(manager, authorities)
			c.checkRights(tc.work)
			if log := c.log(manager); strings.Contains(log, "forbidden") {
				t.Errorf("the manager was refused something:\n%s", log)
			}
		})
	}
}

// allowLoopback is how docs/install.md lets the manager reach private addresses.
const allowLoopback = `
patches:
- target: {kind: Deployment, name: windlass-manager}
  patch: |-
    - {op: add, path: /spec/template/spec/containers/0/args/-, value: --allow-address=127.0.0.0/8}
`

// release carries out one, from the Repository to the end.
func (c *cluster) release(objects []*unstructured.Unstructured, actor otav1alpha1.Actor) {
	c.Helper()
	author, bucket := testkit.NewAuthor(c.T, "ci"), testkit.ObjectStore(c.T)
	repo := c.Repository(bucket, author)
	c.Create(c.T, c.Credentials(bucket), repo, c.Channel("production"))
	testkit.Eventually(c.T, c.Client, repo, testkit.HaveCondition(otav1alpha1.ReadyCondition, metav1.ConditionTrue, ""))
	c.describeBucket(bucket)
	gateway := c.run(program(c.T, "gateway"), find(c.T, objects, "StatefulSet", "windlass-gateway"))

	content := testkit.Zip(c.T, map[string]string{"index.html": "<h1>1.1.0</h1>"})
	bundle := c.Bundle("shop-1", "1.1.0", testkit.NewSite(c.T).Publish(c.T, "/shop-1.1.0.zip", content, author))
	rollout := c.Rollout("shop", "production", bundle.Name, testkit.SetWeight(50), testkit.PauseFor("1s", 3), testkit.Pause(), testkit.SetWeight(100))
	rollout.Spec.Analysis = &otav1alpha1.Analysis{Metrics: []otav1alpha1.Metric{{Name: "update-failures", Interval: "1s",
		Telemetry: &otav1alpha1.TelemetryMetric{Outcome: otav1alpha1.OutcomeFailed}, MaxRate: "0.2", MinSamples: new(int32(3))}}}
	c.Create(c.T, bundle, rollout)
	devices := "http://" + gateway.address["http"]
	c.lives(devices, rollout, metav1.ConditionUnknown, otav1alpha1.PausedReason)
	c.command(rollout, "promote")
	c.lives(devices, rollout, metav1.ConditionTrue, otav1alpha1.CompletedReason)
	if got := rollout.Status.LastCommand; got == nil || got.Actor != actor {
		c.Errorf("who promoted is %+v, want actor %s", got, actor)
	}
}

// lives lets devices ask and report until a Rollout is Ready for a reason, or not.
func (c *cluster) lives(gateway string, rollout *otav1alpha1.Rollout, status metav1.ConditionStatus, reason string) {
	c.Helper()
	gomega.NewWithT(c.T).Eventually(func(g gomega.Gomega) {
		c.devices(gateway)
		g.Expect(c.Client.Get(c.Context(), client.ObjectKeyFromObject(rollout), rollout)).To(gomega.Succeed())
		g.Expect(rollout).To(testkit.HaveCondition(otav1alpha1.ReadyCondition, status, reason))
	}).WithTimeout(2 * testkit.Timeout).WithPolling(testkit.Interval).Should(gomega.Succeed())
}

// command gives one as kubectl windlass does.
func (c *cluster) command(obj client.Object, name string) {
	c.Helper()
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q,%q:%q}}}`, otav1alpha1.CommandAnnotation, name, otav1alpha1.CommandIDAnnotation, rand.Text())
	if err := c.Client.Patch(c.Context(), obj, client.RawPatch("application/merge-patch+json", patch)); err != nil {
		c.Fatal(err)
	}
}

// describeBucket makes what the gateway waits for.
func (c *cluster) describeBucket(b *testkit.Bucket) {
	c.Helper()
	s3, err := store.Open(store.Config{Endpoint: b.Endpoint, Bucket: b.Name, Prefix: "mobile", AccessKey: b.AccessKeyID, SecretKey: b.SecretAccessKey})
	if err != nil {
		c.Fatal(err)
	}
	trust, _, err := s3.Get(c.Context(), "metadata/1.root.json", 1<<20)
	if err != nil {
		c.Fatal(err)
	}
	c.secret("windlass-gateway-s3", map[string]string{"accessKeyID": b.AccessKeyID, "secretAccessKey": b.SecretAccessKey})
	c.Create(c.T, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "windlass-gateway"}, Data: map[string]string{
		"endpoint": b.Endpoint, "bucket": b.Name, "prefix": "mobile", "region": "us-east-1", "trustedProxies": "", "root.json": string(trust),
	}})
}

// devices lets some of them ask, install what they are told to, and report.
func (c *cluster) devices(gateway string) {
	c.Helper()
	for i := range 20 {
		device := fmt.Sprint("device-", i)
		var answer native.CheckResponse
		c.post(gateway+native.CheckPath, native.CheckRequest{App: testkit.App, Channel: "production", DeviceID: device, Platform: "ios", NativeVersion: "0.9.0"}, &answer)
		if answer.Bundle == nil {
			continue
		}
		for _, outcome := range []string{"installed", "confirmed"} {
			c.post(gateway+native.ReportPath, native.ReportRequest{App: testkit.App, Channel: "production", DeviceID: device,
				Digest: answer.Bundle.Digest, Outcome: outcome}, &struct{}{})
		}
	}
}

func (c *cluster) post(url string, in, out any) {
	c.Helper()
	raw, err := json.Marshal(in)
	if err != nil {
		c.Fatal(err)
	}
	res, err := (&http.Client{Timeout: 10 * time.Second}).Post(url, "application/json", bytes.NewReader(raw))
	if err != nil {
		c.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 || json.NewDecoder(res.Body).Decode(out) != nil {
		c.Fatalf("%s answers %s", url, res.Status)
	}
}

// certificate does what cert-manager would: it makes the Secret of the manager's metrics.
func (c *cluster) certificate() *x509.CertPool {
	c.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		c.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{metricsName}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		c.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		c.Fatal(err)
	}
	crt := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	c.secret("windlass-manager-metrics", map[string]string{"tls.crt": string(crt),
		"tls.key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))})
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(crt)
	return pool
}

const metricsName = "windlass-manager-metrics." + namespace + ".svc"

// scrape reads the manager's metrics as Prometheus does. With authorities it checks the certificate, and wants that only accounts
// which are bound to windlass-metrics-reader get them; without, that a manager of one namespace asks nobody.
func (c *cluster) scrape(manager *running, authorities *x509.CertPool) {
	c.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authorities, ServerName: metricsName, InsecureSkipVerify: authorities == nil}}
	defer transport.CloseIdleConnections()
	get := func(token string) int {
		req, err := http.NewRequestWithContext(c.Context(), http.MethodGet, "https://"+manager.address["metrics"]+"/metrics", http.NoBody)
		if err != nil {
			c.Fatal(err)
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		res, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Do(req)
		if err != nil {
			c.Fatal(err)
		}
		defer res.Body.Close()
		return res.StatusCode
	}
	if authorities == nil {
		if code := get(""); code != http.StatusOK {
			c.Errorf("metrics answer %d, want 200: a manager without rights in the cluster cannot ask who reads them", code)
		}
		return
	}
	reader := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "prometheus"}}
	stranger := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "stranger"}}
	c.Create(c.T, reader, stranger, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "prometheus-windlass"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "windlass-metrics-reader"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: namespace, Name: reader.Name}}})
	for name, tc := range map[string]struct {
		token string
		want  int
	}{"nobody": {"", http.StatusUnauthorized}, "a stranger": {c.token(stranger), http.StatusForbidden}, "Prometheus": {c.token(reader), http.StatusOK}} {
		if code := get(tc.token); code != tc.want {
			c.Errorf("metrics answer %s with %d, want %d", name, code, tc.want)
		}
	}
}

// checkRights asks the API server for what the two accounts must not be allowed.
func (c *cluster) checkRights(work string) {
	c.Helper()
	for _, account := range []string{"windlass-manager", "windlass-gateway"} {
		for what, attributes := range map[string]authorizationv1.ResourceAttributes{
			"list Secrets":               {Verb: "list", Resource: "secrets", Namespace: work},
			"watch Secrets":              {Verb: "watch", Resource: "secrets", Namespace: work},
			"delete Rollouts":            {Verb: "delete", Group: otav1alpha1.Group, Resource: "rollouts", Namespace: work},
			"read elsewhere":             {Verb: "get", Resource: "pods", Namespace: "kube-system"},
			"bind roles":                 {Verb: "create", Group: rbacv1.GroupName, Resource: "rolebindings", Namespace: work},
			"read Rollouts as a gateway": {Verb: "get", Group: otav1alpha1.Group, Resource: "rollouts", Namespace: work},
		} {
			if account == "windlass-manager" && strings.HasSuffix(what, "gateway") {
				continue
			}
			review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
				User: "system:serviceaccount:" + namespace + ":" + account, ResourceAttributes: &attributes,
				Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"}}}
			if err := c.Client.Create(c.Context(), review); err != nil {
				c.Fatal(err)
			}
			if review.Status.Allowed {
				c.Errorf("%s may %s", account, what)
			}
		}
	}
}
