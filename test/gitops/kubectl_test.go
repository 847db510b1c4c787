// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/testkit"
	"github.com/windlass-dev/windlass/internal/testkit/stack"
)

var awaitScript = regexp.MustCompile("(?s)```bash\n(await\\(\\).*?)```")

// What docs/gitops.md says of kubectl wait, with the real kubectl: it waits for the newest generation, for a reason, and fails at once
// with the function of the page.
func TestKubectlWait(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("kubectl"); err != nil {
		t.Skip("no kubectl here: nothing was tried of kubectl wait")
	}
	env := testkit.Start(t)
	config := filepath.Join(t.TempDir(), "kubeconfig")
	if err := stack.WriteKubeconfig(env.Config, env.Namespace, config); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "gitops.md"))
	if err != nil {
		t.Fatal(err)
	}
	function := awaitScript.FindSubmatch(page)
	if function == nil {
		t.Fatal("docs/gitops.md has no function await any more")
	}
	for name, tc := range map[string]struct {
		status
		command string
		want    bool
	}{
		"completed":          {status{"Completed", "", metav1.ConditionTrue, false}, "kubectl wait otaro/shop --for=condition=Ready --timeout=20s", true},
		"of an older one":    {status{"Completed", "", metav1.ConditionTrue, true}, "kubectl wait otaro/shop --for=condition=Ready --timeout=1s", false},
		"in progress":        {status{"Progressing", "Reconciling", metav1.ConditionUnknown, false}, "kubectl wait otaro/shop --for=condition=Ready --timeout=1s", false},
		"a reason":           {status{"Paused", "Reconciling", metav1.ConditionUnknown, false}, `kubectl wait otaro/shop --for=jsonpath='{.status.conditions[?(@.type=="Ready")].reason}'=Paused --timeout=20s`, true},
		"await: completed":   {status{"Completed", "", metav1.ConditionTrue, false}, "await otaro/shop 60s", true},
		"await: taken back":  {status{"RolledBack", "Stalled", metav1.ConditionFalse, false}, "await otaro/shop 10m", false},
		"await: out of time": {status{"Paused", "Reconciling", metav1.ConditionUnknown, false}, "await otaro/shop 1s", false},
		"an older end":       {status{"RolledBack", "Stalled", metav1.ConditionFalse, true}, "kubectl wait otaro/shop --for=condition=Stalled --timeout=1s", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := env.Rollout("shop", "production", "shop-1")
			env.Create(t, r)
			defer func() { _ = env.Client.Delete(t.Context(), r) }()
			tc.write(t, env, r)
			cmd := exec.CommandContext(t.Context(), "bash", "-c", string(function[1])+"\n"+tc.command)
			cmd.Env = append(os.Environ(), "KUBECONFIG="+config)
			cmd.WaitDelay = time.Second
			out, err := cmd.CombinedOutput()
			if (err == nil) != tc.want {
				t.Errorf("%s: %v, want success: %t\n%s", tc.command, err, tc.want, out)
			}
			if name == "await: taken back" && !strings.Contains(string(out), "RolledBack") {
				t.Errorf("a release that is taken back prints\n%s\nwant the reason", out)
			}
		})
	}
}

// status is what the manager says: the reason of Ready, and a condition that is True besides. The spec may change after it was written.
type status struct {
	reason, abnormal string
	ready            metav1.ConditionStatus
	behind           bool
}

func (s status) write(t *testing.T, env *testkit.Env, r *otav1alpha1.Rollout) {
	t.Helper()
	of := r.Generation
	if s.behind {
		defer func() {
			patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"bundleRef":{"name":"shop-2"}}}`))
			if err := env.Client.Patch(t.Context(), r, patch); err != nil {
				t.Fatal(err)
			}
		}()
	}
	condition := func(kind string, status metav1.ConditionStatus) metav1.Condition {
		return metav1.Condition{Type: kind, Status: status, Reason: s.reason, Message: "why", ObservedGeneration: of, LastTransitionTime: metav1.Now()}
	}
	r.Status.ObservedGeneration = of
	r.Status.Conditions = []metav1.Condition{condition(otav1alpha1.ReadyCondition, s.ready)}
	if s.abnormal != "" {
		r.Status.Conditions = append(r.Status.Conditions, condition(s.abnormal, metav1.ConditionTrue))
	}
	if err := env.Client.Status().Update(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}
