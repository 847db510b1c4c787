// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/native"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// previous is the commit that people upgrade from: the last before the chart.
const previous = "8c3f916"

// TestUpgrade installs the previous revision, stops it in the middle of two releases, and goes on with this one. Nothing that was
// decided is decided again: weights, clocks of steps, salts, refusals, and what each device is told.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	old, binary := previousRevision(t)
	c := newCluster(t, "shop")
	c.install(old)
	c.secret("windlass-gateway-token", map[string]string{"token": "for-tests-only-and-long-enough"})
	manager := c.run(binary, find(t, old, "Deployment", "windlass-manager"),
		"--leader-election-namespace="+namespace, "--allow-address=127.0.0.0/8") // a pod knows its namespace
	c.stock()
	timed, paused := c.underWay()
	before := c.decided(timed, paused)
	if len(before.Refused) != 1 {
		t.Fatalf("refused are %v, want the bundle that was taken back", before.Refused)
	}

	// As docs/install.md says: gateways first.
	objects := option{base: "default", patches: allowLoopback}.kustomize(t)
	apply(t, c.Env, find(t, objects, "ServiceAccount", "windlass-gateway"))
	apply(t, c.Env, find(t, objects, "StatefulSet", "windlass-gateway"))
	gateway := "http://" + c.run(program(t, "gateway"), find(t, objects, "StatefulSet", "windlass-gateway")).address["http"]
	told := c.told(gateway)
	manager.Stop()
	c.install(objects)
	manager = c.run(program(t, "manager"), find(t, objects, "Deployment", "windlass-manager"))
	defer func() {
		if t.Failed() {
			t.Logf("log of the new manager:\n%s", c.log(manager))
		}
	}()
	later := c.Channel("later")
	c.Create(t, later)
	testkit.Eventually(t, c.Client, later, testkit.BeObserved())
	testkit.StandStill(t, c.Client, timed, paused)
	if diff := cmp.Diff(before, c.decided(timed, paused)); diff != "" {
		t.Errorf("the upgrade changed what was decided (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(told, c.told(gateway)); diff != "" {
		t.Errorf("the upgrade changed what devices are told (-before +after):\n%s", diff)
	}
	c.command(timed, "promote-full")
	c.command(paused, "promote")
	for _, rollout := range []*otav1alpha1.Rollout{timed, paused} {
		testkit.Eventually(t, c.Client, rollout, testkit.HaveCondition(otav1alpha1.ReadyCondition, metav1.ConditionTrue, otav1alpha1.CompletedReason))
	}
	c.patch(timed, `{"bundleRef":{"name":"shop-2"}}`)
	testkit.Eventually(t, c.Client, timed, testkit.HaveCondition(otav1alpha1.StalledCondition, metav1.ConditionTrue, ""), testkit.BeObserved())
}

// stock makes a Repository with two Channels and three Bundles, and what the gateway waits for.
func (c *cluster) stock() {
	c.Helper()
	author, bucket := testkit.NewAuthor(c.T, "ci"), testkit.ObjectStore(c.T)
	repo := c.Repository(bucket, author)
	c.Create(c.T, c.Credentials(bucket), repo, c.Channel("production"), c.Channel("beta"))
	testkit.Eventually(c.T, c.Client, repo, testkit.HaveCondition(otav1alpha1.ReadyCondition, metav1.ConditionTrue, ""))
	c.describeBucket(bucket)
	site := testkit.NewSite(c.T)
	for n := range 3 {
		version := fmt.Sprintf("1.%d.0", n+1)
		content := testkit.Zip(c.T, map[string]string{"index.html": "<h1>" + version + "</h1>"})
		c.Create(c.T, c.Bundle(fmt.Sprint("shop-", n+1), version, site.Publish(c.T, "/"+version+".zip", content, author)))
	}
}

// underWay brings one Rollout to a pause of an hour, after another released a bundle and took one back, and one to a pause for a person.
func (c *cluster) underWay() (timed, paused *otav1alpha1.Rollout) {
	c.Helper()
	metrics := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		value := "1"
		if strings.Contains(r.FormValue("query"), `"1.2.0"`) {
			value = "0.5"
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": map[string]any{"resultType": "vector",
			"result": []any{map[string]any{"metric": map[string]string{}, "value": []any{float64(time.Now().Unix()), value}}}}})
	}))
	c.Cleanup(metrics.Close)
	analysis := &otav1alpha1.Analysis{Metrics: []otav1alpha1.Metric{{Name: "crash-free", Interval: "1s",
		Prometheus:     &otav1alpha1.PrometheusMetric{Address: otav1alpha1.URL(metrics.URL), Query: `crash_free{version={{ quote .version }}}`},
		ThresholdRange: &otav1alpha1.ThresholdRange{Min: "0.99"}}}}
	earlier := c.Rollout("earlier", "production", "shop-1", testkit.SetWeight(100))
	paused = c.Rollout("paused", "beta", "shop-3", testkit.SetWeight(25), testkit.Pause(), testkit.SetWeight(100))
	earlier.Spec.Analysis = analysis
	c.Create(c.T, earlier, paused)
	testkit.Eventually(c.T, c.Client, earlier, testkit.HaveCondition(otav1alpha1.ReadyCondition, metav1.ConditionTrue, otav1alpha1.CompletedReason))
	c.patch(earlier, `{"bundleRef":{"name":"shop-2"}}`)
	testkit.Eventually(c.T, c.Client, earlier, testkit.HaveCondition(otav1alpha1.ReadyCondition, metav1.ConditionFalse, otav1alpha1.RolledBackReason))
	if err := c.Client.Delete(c.Context(), earlier); err != nil {
		c.Fatal(err)
	}
	timed = c.Rollout("timed", "production", "shop-3", testkit.SetWeight(30), testkit.PauseFor("1h", 0), testkit.SetWeight(100))
	timed.Spec.Analysis = analysis
	c.Create(c.T, timed)
	testkit.Eventually(c.T, c.Client, timed, gomega.HaveField("Status.Step", "2/3"))
	testkit.Eventually(c.T, c.Client, paused, testkit.HaveCondition(otav1alpha1.ReadyCondition, metav1.ConditionUnknown, otav1alpha1.PausedReason))
	testkit.StandStill(c.T, c.Client, paused)
	return timed, paused
}

func (c *cluster) patch(o client.Object, spec string) {
	c.Helper()
	if err := c.Client.Patch(c.Context(), o, client.RawPatch("application/merge-patch+json", []byte(`{"spec":`+spec+`}`))); err != nil {
		c.Fatal(err)
	}
}

// decision is what an upgrade must not change.
type decision struct {
	Releases map[string]release
	Channels map[string]string // candidate, salt, weight and stable
	Refused  []string          // digests
}

type release struct {
	Step, Weight, Digest, Hash   string
	Revision                     int64
	Started, Entered, WeightSeen time.Time
}

func (c *cluster) decided(rollouts ...*otav1alpha1.Rollout) decision {
	c.Helper()
	out := decision{Releases: map[string]release{}, Channels: map[string]string{}}
	for _, o := range rollouts {
		if err := c.Client.Get(c.Context(), client.ObjectKeyFromObject(o), o); err != nil {
			c.Fatal(err)
		}
		s := o.Status
		out.Releases[o.Name] = release{Step: s.Step, Weight: string(s.Weight), Digest: string(s.Release.Digest), Hash: s.Release.StepsHash,
			Revision: s.Release.Revision, Started: s.Release.StartedAt.Time, Entered: s.StepEnteredAt.Time, WeightSeen: s.Release.WeightCommittedAt.Time}
		channel := c.Channel(o.Spec.ChannelRef.Name)
		if err := c.Client.Get(c.Context(), client.ObjectKeyFromObject(channel), channel); err != nil {
			c.Fatal(err)
		}
		candidate := channel.Status.Candidate
		if candidate == nil {
			c.Fatalf("Channel %s has no candidate", channel.Name)
		}
		stable := "none"
		if channel.Status.Stable != nil {
			stable = string(channel.Status.Stable.Digest)
		}
		out.Channels[channel.Name] = fmt.Sprint(candidate.Digest, " ", candidate.Salt, " ", candidate.Weight, " over ", stable)
		for _, refused := range channel.Status.Refused {
			out.Refused = append(out.Refused, string(refused.Digest))
		}
	}
	return out
}

// told is what devices of both channels are told.
func (c *cluster) told(gateway string) map[string]string {
	c.Helper()
	out := map[string]string{}
	for _, channel := range []string{"production", "beta"} {
		for i := range 100 {
			var answer native.CheckResponse
			device := fmt.Sprint("device-", i)
			c.post(gateway+native.CheckPath, native.CheckRequest{App: testkit.App, Channel: channel, DeviceID: device, Platform: "ios", NativeVersion: "0.9.0"}, &answer)
			version := "none"
			if answer.Bundle != nil {
				version = answer.Bundle.Version
			}
			out[channel+"/"+device] = version + " " + answer.Arm
		}
	}
	return out
}

// previousRevision gives the objects and the manager of the previous revision, from the history of the tree.
func previousRevision(t *testing.T) (objects []*unstructured.Unstructured, manager string) {
	t.Helper()
	if err := exec.CommandContext(t.Context(), "git", "-C", root, "cat-file", "-e", previous+"^{commit}").Run(); err != nil {
		t.Skipf("the history of this clone does not have %s, from which the upgrade begins: git fetch --unshallow", previous)
	}
	dir := t.TempDir()
	archive := filepath.Join(dir, "tree.tar")
	for _, args := range [][]string{{"git", "-C", root, "archive", "--output", archive, previous}, {"tar", "-xf", archive, "-C", dir}} {
		if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	return kustomize(t, filepath.Join(dir, "config", "default")), buildPrevious(t, dir)
}

// buildPrevious builds the manager once; the copy is kept where hack/bin.sh keeps its own.
func buildPrevious(t *testing.T, dir string) string {
	t.Helper()
	cache := os.Getenv("WINDLASS_CACHE")
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		cache = filepath.Join(user, "windlass")
	}
	out := filepath.Join(cache, "bin", "manager-"+previous, "manager")
	if _, err := os.Stat(out); !errors.Is(err, os.ErrNotExist) {
		return out
	}
	fresh := fmt.Sprintf("%s.%d", out, os.Getpid())
	build := exec.CommandContext(t.Context(), "go", "build", "-o", fresh, "./cmd/manager")
	build.Dir = dir
	if log, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the manager of %s: %v\n%s", previous, err, log)
	}
	if err := os.Rename(fresh, out); err != nil {
		t.Fatal(err)
	}
	return out
}
