// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/command"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/capgo"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/native"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// desk is a rig with a gateway, and a person who gives commands.
type desk struct {
	*rig
	gateway string
	channel *otav1alpha1.Channel
	repo    *otav1alpha1.Repository
	rollout *otav1alpha1.Rollout
	bundles map[int]*otav1alpha1.Bundle
	given   int
}

// newDesk has released 1.0.0, 1.1.0 and 1.2.0, each to all devices.
func newDesk(t *testing.T) *desk {
	t.Helper()
	r := newRig(t)
	r.StartManager()
	d := &desk{rig: r, channel: r.Channel("production"), repo: r.Repository(r.Bucket, r.author), bundles: map[int]*otav1alpha1.Bundle{}}
	r.comes(d.repo, metav1.ConditionTrue, "")
	d.gateway = "http://" + r.StartGateway(r.FreeAddress(), r.WriteToken())
	for n := range 3 {
		d.bundles[n] = r.release(n)
	}
	d.rollout = r.Rollout("shop", "production", "shop-0", testkit.SetWeight(100))
	r.Create(t, d.rollout)
	for n := range 3 {
		d.patch(d.rollout, fmt.Sprintf(`{"bundleRef":{"name":"shop-%d"}}`, n))
		d.comes(d.rollout, metav1.ConditionTrue, otav1alpha1.CompletedReason)
	}
	return d
}

// give annotates an object with a command of jane's.
func (d *desk) give(o client.Object, name, args string) string {
	d.Helper()
	d.given++
	g := command.Given{ID: fmt.Sprint(d.given), Name: name, Args: args}
	annotations := g.Annotations()
	annotations[otav1alpha1.RequestedByAnnotation] = "jane"
	raw, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": annotations}})
	if err != nil {
		d.Fatal(err)
	}
	if err := d.Client.Patch(d.Context(), o, client.RawPatch("application/merge-patch+json", raw)); err != nil {
		d.Fatal(err)
	}
	return g.ID
}

// tell gives a command and waits until it is accepted.
func (d *desk) tell(o client.Object, name, args string) {
	d.Helper()
	id := d.give(o, name, args)
	gomega.NewWithT(d.T).Eventually(func() string {
		if err := d.read(o); err != nil {
			return err.Error()
		}
		last := lastCommand(o)
		if last == nil || last.ID != id {
			return "not acted upon yet"
		}
		return string(last.Result) + ": " + last.Message
	}).WithTimeout(testkit.Timeout).WithPolling(testkit.Interval).Should(gomega.Equal("Accepted: "+args), func() string { return d.ManagerLog() })
}

func lastCommand(o client.Object) *otav1alpha1.CommandStatus {
	switch o := o.(type) {
	case *otav1alpha1.Channel:
		return o.Status.LastCommand
	case *otav1alpha1.Repository:
		return o.Status.LastCommand
	case *otav1alpha1.Rollout:
		return o.Status.LastCommand
	}
	return nil
}

// devices waits until devices of both protocols that run a version (negative: the embedded bundle) are told what is wanted: an update to
// a version, or one of stay and reset.
func (d *desk) devices(running int, want string) {
	d.Helper()
	g := gomega.NewWithT(d.T)
	g.Eventually(func() string { return d.nativeTold(running) + ", " + d.capgoTold(running) }).WithTimeout(testkit.Timeout).
		WithPolling(testkit.Interval).Should(gomega.Equal(want+", "+want), func() string { return d.ManagerLog() })
}

func (d *desk) nativeTold(running int) string {
	req := native.CheckRequest{App: testkit.App, Channel: "production", DeviceID: "native-1", Platform: "ios", NativeVersion: "0.9.0"}
	if running >= 0 {
		req.Current = native.Current{Version: fmt.Sprintf("1.%d.0", running), Digest: string(d.bundles[running].Spec.Digest)}
	}
	var out native.CheckResponse
	if err := json.Unmarshal(d.post(native.CheckPath, req), &out); err != nil {
		return err.Error()
	}
	switch out.Action {
	case "update":
		return out.Bundle.Version
	case "none":
		return "stay"
	}
	return out.Action
}

func (d *desk) capgoTold(running int) string {
	req := map[string]any{
		"platform": "ios", "device_id": "0a1b2c3d-0000-4000-8000-000000000001", "app_id": testkit.App, "custom_id": "", "version_build": "0.9.0",
		"version_code": "7", "version_os": "18.1", "version_name": "builtin", "plugin_version": "8.51.23", "is_emulator": false, "is_prod": true,
		"defaultChannel": "production",
	}
	if running >= 0 {
		req["version_name"] = fmt.Sprintf("1.%d.0", running)
	}
	raw := d.post(capgo.CheckPath, req)
	if string(raw) == `{"version":"builtin"}` {
		return "reset"
	}
	var out struct{ Version, URL string }
	if err := json.Unmarshal(raw, &out); err != nil {
		return err.Error()
	}
	if out.URL == "" {
		return "stay"
	}
	return out.Version
}

func (d *desk) post(path string, in any) []byte {
	raw, err := json.Marshal(in)
	if err != nil {
		d.Fatal(err)
	}
	res, err := (&http.Client{Timeout: 10 * time.Second}).Post(d.gateway+path, "application/json", bytes.NewReader(raw))
	if err != nil {
		d.Fatal(err)
	}
	defer res.Body.Close()
	out, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		d.Fatal(err)
	}
	return bytes.TrimSpace(out)
}

// deviates waits for what the Channel says of the difference between Git and what is served; empty: there is none.
func (d *desk) deviates(want string) {
	d.Helper()
	gomega.NewWithT(d.T).Eventually(func() string {
		if err := d.read(d.channel); err != nil {
			return err.Error()
		}
		if d.channel.Status.Deviation == nil {
			return ""
		}
		return d.channel.Status.Deviation.Message
	}).WithTimeout(testkit.Timeout).WithPolling(testkit.Interval).Should(gomega.Equal(want))
}

// What a person asks for reaches devices of both protocols, says who and why wherever somebody looks, and holds until a person, or
// another commit, asks for something else.
func TestCommands_ofPeople(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.devices(-1, "1.2.0")
	d.devices(2, "stay")

	d.tell(d.channel, command.Rollback, "Stable logins fail")
	d.devices(2, "1.1.0")
	d.comes(d.rollout, metav1.ConditionFalse, otav1alpha1.RolledBackReason)
	testkit.CheckStatus(t, d.rollout)
	if got := d.rollout.Status.Message; got != "rolled back by jane: logins fail" {
		t.Errorf("the Rollout says %q", got)
	}
	d.deviates("Git asks for 1.2.0, serving 1.1.0: rolled back by jane: logins fail")
	testkit.CheckStatus(t, d.channel)
	if h := d.channel.Status.History[0]; h.Bundle != "shop-2" || h.Ended != otav1alpha1.RolledBackReason {
		t.Errorf("the history begins with %+v", h)
	}
	d.patch(d.rollout, `{"leaseDuration":"2h"}`) // another sync of what Git has asked for before
	testkit.StandStill(t, d.Client, d.rollout, d.channel)
	d.devices(2, "1.1.0")

	d.tell(d.channel, command.Rollback, "Embedded 1.1.0 fails as well")
	d.devices(1, "reset")
	d.devices(-1, "stay")
	d.tell(d.channel, command.Rollback, "Bundle/shop-0 that one was well")
	d.devices(-1, "1.0.0")

	d.tell(d.channel, command.Allow, string(d.bundles[2].Spec.Digest)+" the server was at fault")
	d.devices(-1, "1.0.0") // to be allowed is not to be released
	d.tell(d.rollout, command.Retry, "the server was at fault")
	d.comes(d.rollout, metav1.ConditionTrue, otav1alpha1.CompletedReason)
	d.devices(0, "1.2.0")
	d.deviates("")

	d.tell(d.channel, command.Rollback, "Bundle/shop-0 two versions back")
	d.devices(2, "1.0.0")
	d.comes(d.rollout, metav1.ConditionFalse, otav1alpha1.RolledBackReason)
	d.deviates("Git asks for 1.2.0, serving 1.0.0: rolled back by jane: two versions back")

	id := d.give(d.channel, command.Rollback, "Bundle/shop-2 back again")
	testkit.Eventually(t, d.Client, d.channel, answered(id, otav1alpha1.CommandRefused, "is refused: lift that first with the command allow"))
}

// A Rollout says where devices go when its analysis fails: to a bundle that was stable once, or to the one that the app came with.
func TestRollback_targets(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	query := `"metrics":[{"name":"crash-free","interval":"1s","thresholdRange":{"min":"0.99"},"prometheus":{"address":"` + d.metrics.URL +
		`","query":"crash_free{version={{ quote .version }}}"}}]`
	for n, to := range map[int]struct{ spec, told, serving string }{
		3: {`{"to":"Bundle","bundleRef":{"name":"shop-0"}}`, "1.0.0", "1.0.0"},
		4: {`{"to":"Embedded","bundleRef":null}`, "reset", "the embedded bundle"},
	} {
		d.bundles[n] = d.release(n)
		d.metrics.spoil(d.bundles[n].Spec.Version)
		d.patch(d.rollout, fmt.Sprintf(`{"bundleRef":{"name":"shop-%d"},"rollback":%s,"analysis":{%s}}`, n, to.spec, query))
		d.comes(d.rollout, metav1.ConditionFalse, otav1alpha1.RolledBackReason)
		d.devices(n, to.told)
		d.devices(2, to.told)
		d.deviates(fmt.Sprintf("Rollout shop asks for 1.%d.0, serving %s: %s", n, to.serving, d.rollout.Status.Release.Reason))
	}
	testkit.StandStill(t, d.Client, d.rollout, d.channel)
}

// answered holds for a Channel whose last command came to a result.
func answered(id string, result otav1alpha1.CommandResult, message string) types.GomegaMatcher {
	return gomega.HaveField("Status.LastCommand", gomega.And(gomega.Not(gomega.BeNil()), gomega.HaveField("ID", id),
		gomega.HaveField("Result", result), gomega.HaveField("Message", gomega.ContainSubstring(message))))
}

// A Repository, and a Channel, that a person halts offer nothing to anybody until a person lets them go on; releases hold meanwhile.
func TestCommands_halt(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.devices(-1, "1.2.0")
	d.tell(d.repo, command.Halt, "the bucket leaks")
	d.devices(-1, "stay")
	d.comes(d.repo, metav1.ConditionTrue, otav1alpha1.HaltedReason)
	d.comes(d.channel, metav1.ConditionTrue, otav1alpha1.HaltedReason)
	testkit.CheckStatus(t, d.repo)
	testkit.Eventually(t, d.Client, d.channel, haltedBecause("Repository default is halted by jane: the bucket leaks"))

	d.bundles[3] = d.release(3)
	d.patch(d.rollout, `{"bundleRef":{"name":"shop-3"}}`)
	d.comes(d.rollout, metav1.ConditionUnknown, otav1alpha1.HaltedReason)
	if !strings.Contains(d.rollout.Status.Message, "halted by jane: the bucket leaks") {
		t.Errorf("the Rollout says %q", d.rollout.Status.Message)
	}
	d.tell(d.channel, command.Halt, "and logins fail")
	d.tell(d.repo, command.Unhalt, "it does not")
	d.comes(d.repo, metav1.ConditionTrue, otav1alpha1.SucceededReason)
	testkit.Eventually(t, d.Client, d.channel, haltedBecause("halted by jane: and logins fail"))
	d.devices(-1, "stay")
	d.tell(d.channel, command.Unhalt, "they do not")
	d.comes(d.rollout, metav1.ConditionTrue, otav1alpha1.CompletedReason)
	d.devices(-1, "1.3.0")
	testkit.StandStill(t, d.Client, d.rollout, d.channel)
}

// haltedBecause holds for a Channel that is stopped, and says by whom and why.
func haltedBecause(why string) types.GomegaMatcher {
	return gomega.HaveField("Status.Conditions", gomega.ContainElement(gomega.And(gomega.HaveField("Type", otav1alpha1.ServingCondition),
		gomega.HaveField("Status", metav1.ConditionFalse), gomega.HaveField("Message", why))))
}

// The manager is killed at random moments after commands: each is carried out, and none twice.
func TestCommands_killed(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	kill := func() {
		select {
		case <-time.After(someTime(rng) / 5):
		case <-t.Context().Done():
		}
		d.KillManager()
		d.StartManager()
	}
	for range testkit.Sized(2, 8) {
		d.give(d.channel, command.Rollback, "Stable logins fail")
		kill()
		d.devices(2, "1.1.0")
		d.comes(d.rollout, metav1.ConditionFalse, otav1alpha1.RolledBackReason)
		id := d.give(d.channel, command.Allow, string(d.bundles[2].Spec.Digest)+" the server was at fault")
		kill()
		testkit.Eventually(t, d.Client, d.channel, answered(id, otav1alpha1.CommandAccepted, ""), gomega.HaveField("Status.Refused", gomega.BeEmpty()))
		d.give(d.rollout, command.Retry, "")
		kill()
		d.comes(d.rollout, metav1.ConditionTrue, otav1alpha1.CompletedReason)
		d.devices(1, "1.2.0")
	}
	d.give(d.channel, command.Halt, "logins fail")
	kill()
	d.devices(-1, "stay")
	testkit.StandStill(t, d.Client, d.rollout, d.channel)
}
