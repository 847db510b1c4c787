// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/devcluster"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// TestWait has people deliver a Rollout in a chart of their own. Helm 4 waits while it is under way, comes back when it is complete, and
// fails when it is taken back; Helm 3 does not wait for resources that it does not know. kubectl waits for conditions.
func TestWait(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "shop")
	objects := option{base: "default", patches: allowLoopback}.kustomize(t)
	c.install(objects)
	c.secret("windlass-gateway-token", map[string]string{"token": "for-tests-only-and-long-enough"})
	c.run(program(t, "manager"), find(t, objects, "Deployment", "windlass-manager"))
	author, bucket := testkit.NewAuthor(t, "ci"), testkit.ObjectStore(t)
	repo := c.Repository(bucket, author)
	c.Create(t, c.Credentials(bucket), repo)
	testkit.Eventually(t, c.Client, repo, testkit.HaveCondition(otav1alpha1.ReadyCondition, metav1.ConditionTrue, ""))
	site := testkit.NewSite(t)
	for n, version := range []string{"helm3", "helm4"} {
		content := testkit.Zip(t, map[string]string{"index.html": "<h1>" + version + "</h1>"})
		bundle := c.Bundle(version, fmt.Sprintf("1.%d.0", n+1), site.Publish(t, "/"+version+".zip", content, author))
		for _, end := range []string{"completes", "fails"} {
			c.Create(t, c.Channel(version+"-"+end))
		}
		c.Create(t, bundle)
	}

	started := c.delivers("helm3", "completes")
	if err := <-started.ended; err != nil {
		t.Errorf("helm3: %v\n%s", err, started.log.String())
	}
	c.pauses("helm3-completes") // and yet Helm 3 is done

	started = c.delivers("helm4", "completes")
	rollout := c.pauses("helm4-completes")
	c.kubectl(false, "wait", "--for=condition=Ready", "rollout/"+rollout.Name, "--timeout=1s")
	select {
	case err := <-started.ended:
		t.Fatalf("helm4 did not wait: %v\n%s", err, started.log.String())
	default:
	}
	c.command(rollout, "promote")
	c.kubectl(true, "wait", "--for=condition=Ready", "rollout/"+rollout.Name, "--timeout=60s")
	if err := <-started.ended; err != nil {
		t.Errorf("helm4, of a Rollout that completes: %v\n%s", err, started.log.String())
	}

	started = c.delivers("helm4", "fails")
	rollout = c.pauses("helm4-fails")
	began := time.Now()
	c.command(rollout, "abort")
	c.kubectl(true, "wait", "--for=condition=Stalled", "rollout/"+rollout.Name, "--timeout=60s")
	if err := <-started.ended; err == nil {
		t.Errorf("helm4 takes a Rollout that was aborted for done:\n%s", started.log.String())
	}
	t.Logf("helm4 failed %s after the abort: %s", time.Since(began).Round(time.Second), strings.TrimSpace(started.log.String()))
}

// delivery is a helm install --wait that runs.
type delivery struct {
	ended chan error
	log   *bytes.Buffer // to be read once it ended
}

// delivers installs a chart with a Rollout that pauses for a person.
func (c *cluster) delivers(version, end string) *delivery {
	c.Helper()
	name := version + "-" + end
	rollout := c.Rollout(name, name, version, testkit.SetWeight(50), testkit.Pause(), testkit.SetWeight(100))
	rollout.TypeMeta = metav1.TypeMeta{APIVersion: otav1alpha1.GroupVersion.String(), Kind: "Rollout"}
	text, err := yaml.Marshal(rollout)
	if err != nil {
		c.Fatal(err)
	}
	text = []byte(strings.Replace(string(text), "status: {}\n", "", 1))
	dir := c.TempDir()
	for path, content := range map[string]string{"Chart.yaml": "apiVersion: v2\nname: shop\nversion: 1.0.0\n", "templates/rollout.yaml": string(text)} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			c.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			c.Fatal(err)
		}
	}
	helm, err := devcluster.Binary(c.Context(), version)
	if err != nil {
		c.Fatal(err)
	}
	out := &delivery{ended: make(chan error, 1), log: &bytes.Buffer{}}
	home := c.TempDir()
	cmd := exec.CommandContext(c.Context(), helm, "install", name, dir, "--namespace", c.Namespace, "--kubeconfig", c.plane.Kubeconfig, "--wait", "--timeout", "90s")
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	cmd.Stdout, cmd.Stderr = out.log, out.log
	if err := cmd.Start(); err != nil {
		c.Fatal(err)
	}
	go func() { out.ended <- cmd.Wait() }()
	return out
}

// pauses waits until a Rollout pauses for a person.
func (c *cluster) pauses(name string) *otav1alpha1.Rollout {
	c.Helper()
	rollout := &otav1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: name}}
	testkit.Eventually(c.T, c.Client, rollout, testkit.HaveCondition(otav1alpha1.ReadyCondition, metav1.ConditionUnknown, otav1alpha1.PausedReason))
	return rollout
}

// kubectl runs it, and wants it to succeed or not.
func (c *cluster) kubectl(want bool, args ...string) {
	c.Helper()
	kubectl, err := devcluster.Binary(c.Context(), "kubectl")
	if err != nil {
		c.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(c.Context(), 2*testkit.Timeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, kubectl, append([]string{"--kubeconfig", c.plane.Kubeconfig, "--namespace", c.Namespace}, args...)...).CombinedOutput()
	if (err == nil) != want {
		c.Errorf("kubectl %v: %v\n%s", args, err, out)
	}
}
