// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// circumstance is an object in a state in which a write means more, or must not be.
type circumstance struct {
	action

	refusal string // even of those who have the verbs; empty: it passes
}

// paths that a JSON patch takes away.
func gone(paths ...string) map[string]any {
	out := map[string]any{}
	for _, p := range paths {
		out[p] = true
	}
	return out
}

const annotationsPath = "/metadata/annotations/ota.windlass.dev~1"

var (
	wholeCommand = gone(annotationsPath+"command", annotationsPath+"command-id", annotationsPath+"command-args")
	deletions    = verbs(opDelete, opCollection)
	owner        = map[string]any{"metadata": map[string]any{"ownerReferences": []any{
		map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "1"}}}}
)

const (
	waitsHalt     = "another command waits (halt by admin): it is a stop"
	waitsRollback = "another command waits (rollback by admin): "
	waitsAbort    = "another command waits (abort by admin): "
	waitsPause    = "another command waits (pause by admin): it is a stop"
	asksApprovals = "asks for approvals, so that it cannot be deleted"
)

// circumstances by the definition of the roles: what a deletion lifts needs its verb, a stop that waits is not written over, and who has
// halt alone can always stop.
var circumstances = []circumstance{
	{action{"delete what Git halts", "channels", "git-halted", nil, verbs("configure", "unhalt"), deletions}, ""},
	{action{"let go on what Git halts", "channels", "git-halted", spec(map[string]any{"serving": "Active"}), verbs("unhalt"), changes}, ""},
	{action{"forget that Git halts", "channels", "git-halted", gone("/spec/serving"), verbs("unhalt"), verbs(opJSON)}, ""},
	{action{"delete what is halted", "channels", "halted", nil, verbs("configure", "unhalt"), deletions}, ""},
	{action{"have what is halted collected", "channels", "halted", owner, verbs("configure", "unhalt"), verbs(opPatch)}, ""},
	{action{"configure what is halted", "channels", "halted", spec(map[string]any{"visibility": "Public"}), verbs("configure"), changes}, ""},
	{action{"delete what refuses", "channels", "refusing", nil, verbs("configure", "allow"), deletions}, ""},
	{action{"have what refuses collected", "channels", "refusing", owner, verbs("configure", "allow"), verbs(opPatch)}, ""},
	{action{"delete what is to be halted", "channels", "to-halt", nil, verbs("configure", "unhalt"), deletions}, ""},
	{action{"delete a Repository that is halted", "repositories", "halted", nil, verbs("configure", "unhalt"), deletions}, ""},

	{action{"delete what asks for approvals", "channels", "bound", nil, verbs("configure"), deletions}, asksApprovals},
	{action{"ask for fewer", "channels", "bound", spec(map[string]any{"approvals": map[string]any{"required": int64(1)}}), verbs("configure"), changes}, ""},
	{action{"ask for none", "channels", "bound", gone("/spec/approvals"), verbs("configure"), verbs(opJSON)}, ""},
	{action{"delete what asked for approvals that are in force", "channels", "lowering", nil, verbs("configure"), deletions}, asksApprovals},
	{action{"stop what asks for approvals", "channels", "bound", command("halt", "odd"), verbs("halt"), changes}, ""},

	{action{"unhalt over a halt", "channels", "to-halt", command("unhalt", "fine"), verbs("unhalt"), changes}, waitsHalt},
	{action{"override over a halt", "channels", "to-halt", command("override", "sha256:00 eval x"), verbs("override"), changes}, waitsHalt},
	{action{"approve over a halt", "channels", "to-halt", command("approve", "approvals=0"), verbs("approve"), changes}, waitsHalt},
	{action{"halt over a halt", "channels", "to-halt", command("halt", "odd"), verbs("halt"), changes}, ""},
	{action{"roll back over a halt", "channels", "to-halt", command("rollback", "Stable odd"), verbs("rollback", "halt"), changes}, ""},
	{action{"take a halt back", "channels", "to-halt", wholeCommand, verbs("halt"), verbs(opJSON)}, ""},
	{action{"halt over a rollback", "channels", "to-roll-back", command("halt", "odd"), verbs("halt"), changes}, waitsRollback + "set spec.serving: Halted, or wait"},
	{action{"halt while a rollback waits", "channels", "to-roll-back", spec(map[string]any{"serving": "Halted"}), verbs("halt"), changes}, ""},
	{action{"allow over a rollback", "channels", "to-roll-back", command("allow", "sha256:00 x"), verbs("allow"), changes}, waitsRollback + "it is a stop"},
	{action{"roll back over a rollback", "channels", "to-roll-back", command("rollback", "Stable odd"), verbs("rollback"), changes}, ""},
	{action{"take a rollback back", "channels", "to-roll-back", wholeCommand, verbs("rollback"), verbs(opJSON)}, ""},
	{action{"halt over an unhalt", "channels", "to-unhalt", command("halt", "odd"), verbs("halt"), changes}, ""},
	{action{"allow over an unhalt", "channels", "to-unhalt", command("allow", "sha256:00 x"), verbs("allow", "unhalt"), changes}, ""},
	{action{"unhalt over a halt that is done", "channels", "halted", command("unhalt", "fine"), verbs("unhalt"), changes}, ""},
	{action{"unhalt a Repository over a halt", "repositories", "to-halt", command("unhalt", "fine"), verbs("unhalt"), changes}, waitsHalt},

	{action{"promote over a pause", "rollouts", "to-pause", command("promote", ""), verbs("promote"), changes}, waitsPause},
	{action{"abort over a pause", "rollouts", "to-pause", command("abort", ""), verbs("rollback", "halt"), changes}, ""},
	{action{"resume over an abort", "rollouts", "to-abort", command("resume", ""), verbs("promote"), changes}, waitsAbort + "it is a stop"},
	{action{"pause over an abort", "rollouts", "to-abort", command("pause", ""), verbs("halt"), changes}, waitsAbort + "set spec.paused, or wait"},
	{action{"pause while an abort waits", "rollouts", "to-abort", spec(map[string]any{"paused": "odd"}), verbs("halt"), changes}, ""},
}

// TestMatrix_state is the matrix for objects that hold what people and releases have decided.
func TestMatrix_state(t *testing.T) {
	b := newBench(t)
	b.unfold(t)
	var cells []cell
	for _, r := range roles {
		for _, c := range circumstances {
			channel := c.of
			switch c.resource {
			case "repositories":
				channel = ""
			case "rollouts":
				channel = "production"
			}
			for _, one := range cellsOf(r, channel, []action{c.action}) {
				one.refusal = c.refusal
				cells = append(cells, one)
			}
		}
	}
	b.judge(t, cells)
}

// unfold makes the objects. Nobody has carried out the commands of those that are called to-.
func (b *bench) unfold(t *testing.T) {
	t.Helper()
	ask := func(resource, name, what, args string) {
		obj := b.base(resource, name, "production")
		if what != "" {
			obj.SetAnnotations(map[string]string{commandKey: what, idKey: "1", argsKey: args})
		}
		switch name {
		case "git-halted":
			merge(obj.Object, spec(map[string]any{"serving": "Halted"}))
		case "bound":
			merge(obj.Object, spec(map[string]any{"approvals": map[string]any{"required": int64(2)}}))
		}
		if err := b.users["admin"].Create(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { b.end(t, b.channel("bound")) })
	ask("channels", "production", "", "")
	ask("channels", "git-halted", "", "")
	ask("channels", "bound", "", "")
	ask("channels", "lowering", "", "")
	ask("channels", "refusing", "", "")
	ask("channels", "halted", "halt", "odd")
	ask("repositories", "halted", "halt", "odd")
	ask("channels", "to-halt", "halt", "odd")
	ask("repositories", "to-halt", "halt", "odd")
	ask("channels", "to-roll-back", "rollback", "Stable odd")
	ask("channels", "to-unhalt", "unhalt", "fine")
	ask("rollouts", "to-pause", "pause", "")
	ask("rollouts", "to-abort", "abort", "")

	halt := `{"status":{"halt":{"reason":"odd","by":"admin"},"lastCommand":{"id":"1","name":"halt","result":"Accepted"}}}`
	for _, x := range []struct {
		obj    client.Object
		status string
	}{
		{&otav1alpha1.Channel{ObjectMeta: b.meta("halted")}, halt},
		{&otav1alpha1.Repository{ObjectMeta: b.meta("halted")}, halt},
		{&otav1alpha1.Channel{ObjectMeta: b.meta("lowering")}, `{"status":{"approvals":{"required":2}}}`},
		{&otav1alpha1.Channel{ObjectMeta: b.meta("refusing")},
			`{"status":{"refused":[{"digest":"` + digest + `","version":"1.0.0","reason":"8 of 100 failed","by":"rollout/shop","at":"2026-01-01T00:00:00Z"}]}}`},
	} {
		if err := b.Client.Status().Patch(t.Context(), x.obj, client.RawPatch(types.MergePatchType, []byte(x.status))); err != nil {
			t.Fatal(err)
		}
	}
}
