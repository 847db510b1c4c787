// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/cli"
	"github.com/windlass-dev/windlass/internal/testkit"
	"github.com/windlass-dev/windlass/internal/testkit/stack"
)

// plugin runs kubectl windlass as a user.
type plugin struct {
	*company
	kubeconfig string
}

// answer is what a command of the plugin printed.
type answer struct {
	code      int
	out, errs string
}

func (p *plugin) run(user string, args ...string) answer {
	p.Helper()
	var out, errs bytes.Buffer
	streams := cli.Streams{In: strings.NewReader(""), Out: &out, Err: &errs, Getenv: func(string) string { return "" }, Now: time.Now}
	at := len(args)
	if args[0] == "__complete" {
		at-- // the word that is completed comes last
	}
	full := slices.Insert(slices.Clone(args), at, "--kubeconfig", p.kubeconfig, "--as", user, "--as-group", "system:authenticated")
	a := answer{cli.Run(p.Context(), streams, full), out.String(), errs.String()}
	p.Logf("$ kubectl windlass %s  # as %s: exit code %d\n%s%s", strings.Join(args, " "), user, a.code, a.out, a.errs)
	return a
}

// gives holds a command to its exit code and to what it says.
func (p *plugin) gives(code int, says, user string, args ...string) {
	p.Helper()
	if a := p.run(user, args...); a.code != code || !strings.Contains(a.out+a.errs, says) {
		p.Errorf("%s: %q: exit code %d, want %d and %q:\n%s%s", user, args, a.code, code, says, a.out, a.errs)
	}
}

// TestPlugin: people steer releases by the plugin, with a real manager and the policies, and see what became of it. What somebody may
// not do says which verb on which Channel is missing.
func TestPlugin(t *testing.T) {
	p := &plugin{company: newCompany(t)}
	p.kubeconfig = filepath.Join(p.Dir, "people")
	if err := stack.WriteKubeconfig(p.Config, p.Namespace, p.kubeconfig); err != nil {
		t.Fatal(err)
	}
	author, site := testkit.NewAuthor(t, "ci"), testkit.NewSite(t)
	bundle := p.Bundle("shop-1", "1.0.0", site.Publish(t, "/1", testkit.Zip(t, map[string]string{"index.html": "1"}), author))
	p.Create(t, p.Credentials(p.Bucket), p.Repository(p.Bucket, author), bundle)
	p.channel.Spec.Approvals.Required = new(int32(1))
	p.rollout = p.Rollout("shop", "production", "shop-1", testkit.SetWeight(50), testkit.Pause(), testkit.SetWeight(100))
	for _, err := range []error{p.anna.Create(t.Context(), p.channel), p.anna.Create(t.Context(), p.rollout)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	p.StartManager()

	p.steer(string(bundle.Spec.Digest))
	p.takeBack(string(bundle.Spec.Digest))
	p.lower()
	p.without()
}

// steer brings the release to its end.
func (p *plugin) steer(digest string) {
	p.comes(metav1.ConditionUnknown, otav1alpha1.WaitingForApprovalReason)
	p.gives(cli.ExitNeedsPerson, "WaitingForApproval", "anna", "status", "shop")
	p.gives(cli.ExitRefused, "anna asked for the change", "anna", "approve", "shop")
	p.gives(cli.ExitRefused, "asks for "+digest, "omar", "approve", "shop", "--digest", "sha256:"+strings.Repeat("0", 64))
	p.gives(cli.ExitOK, "approve of rollout/shop: accepted, by omar: ", "omar", "approve", "shop", "--digest", digest)
	p.gives(cli.ExitNeedsPerson, "Paused: ", "anna", "status", "shop", "--watch", "--timeout", "30s")
	p.gives(cli.ExitOK, "to 50 % of the devices", "anna", "diff", "production")

	p.gives(cli.ExitRefused, "verb promote on Channel production", "omar", "promote", "shop")
	p.gives(cli.ExitRefused, "omar may not list rollouts in namespace "+p.Namespace, "omar", "list")
	p.gives(cli.ExitError, "there are shop", "anna", "status", "shap")
	p.gives(cli.ExitOK, "the API server would take the command", "anna", "abort", "shop", "--dry-run=server")
	p.gives(cli.ExitRefused, "verb rollback on Channel production", "omar", "abort", "shop", "--dry-run=server")
	p.gives(cli.ExitOK, "shop\n", "anna", "__complete", "promote", "")
	p.gives(cli.ExitOK, "repository/default\n", "anna", "__complete", "halt", "")

	p.gives(cli.ExitOK, "pause of rollout/shop: accepted, by anna: support calls\n", "anna", "pause", "shop", "--reason", "support calls")
	p.gives(cli.ExitRefused, "pause of rollout/shop was refused", "anna", "pause", "shop")
	p.gives(cli.ExitOK, `"actor": "Verified"`, "anna", "resume", "shop", "-o", "json")
	p.gives(cli.ExitOK, "accepted", "anna", "promote", "shop")
	p.gives(cli.ExitOK, "Completed", "anna", "status", "shop", "--watch", "--timeout", "30s")
	p.gives(cli.ExitOK, "Devices are served what Git asks for.", "anna", "diff", "production")
}

// takeBack stops the channel, takes what is stable back, and lets it in again.
func (p *plugin) takeBack(digest string) {
	p.gives(cli.ExitUsage, "expected --reason", "anna", "halt", "production")
	p.gives(cli.ExitOK, "halt of channel/production: accepted, by anna: crashes after login\n", "anna", "halt", "production", "--reason", "crashes after login")
	p.gives(cli.ExitOK, "stopped by command: crashes after login (by anna, ", "anna", "diff", "production")
	p.gives(cli.ExitOK, "accepted", "anna", "unhalt", "production", "--reason", "it is the proxy")
	p.gives(cli.ExitOK, "accepted", "anna", "halt", "repository/default", "--reason", "a key was stolen")
	p.gives(cli.ExitOK, "accepted", "anna", "unhalt", "repository/default", "--reason", "all keys are new")

	p.gives(cli.ExitOK, "rollback of channel/production: accepted, by anna", "anna", "rollback", "production", "--to", "Embedded", "--reason", "crashes")
	p.comes(metav1.ConditionFalse, otav1alpha1.RolledBackReason)
	p.gives(cli.ExitRefused, "RolledBack", "anna", "status", "shop", "--watch")
	p.gives(cli.ExitOK, "brought back to Embedded by command: crashes (by anna, ", "anna", "diff", "production")
	p.gives(cli.ExitOK, "✖ RolledBack", "anna", "get", "rollout", "shop")
	p.gives(cli.ExitOK, "RolledBack", "anna", "history", "production")
	p.gives(cli.ExitOK, digest, "anna", "__complete", "allow", "production", "")
	p.gives(cli.ExitUsage, "must be a digest", "anna", "allow", "production", "shop-1", "--reason", "it was the proxy")
	p.gives(cli.ExitOK, "accepted", "anna", "allow", "production", digest, "--reason", "it was the proxy")
	testkit.Eventually(p.T, p.Client, p.channel, testkit.BeObserved())
	if refused := p.channel.Status.Refused; len(refused) > 0 {
		p.Errorf("refused: %+v", refused)
	}
}

// lower lets releases go without approvals.
func (p *plugin) lower() {
	p.change(p.channel, `{"approvals":{"required":0}}`)
	testkit.Eventually(p.T, p.Client, p.channel, testkit.BeObserved())
	p.gives(cli.ExitOK, "Git asks for 0 approvals a release; 1 are in force", "anna", "diff", "production")
	p.gives(cli.ExitOK, "accepted, by omar: approvals=0", "omar", "approve", "channel/production")
	p.gives(cli.ExitError, "asks for none", "omar", "approve", "channel/production")
}

// without a manager, commands stay on the object.
func (p *plugin) without() {
	p.StopManager()
	p.gives(cli.ExitError, "is it running? The command stays on the object", "anna", "halt", "production", "--reason", "x", "--timeout", "500ms")
	p.gives(cli.ExitOK, "halt of channel/production: asked for", "anna", "halt", "production", "--reason", "x", "--wait=false")
	p.gives(cli.ExitOK, "channel.ota.windlass.dev/production", "anna", "list", "channels", "-o", "name")
}
