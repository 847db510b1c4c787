// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// Operations on an object.
const (
	opCreate = "create"
	opUpdate = "update"
	opPatch  = "patch"
	opApply  = "apply"
	opStatus = "status"
	opDelete = "delete"

	opCollection = "deletecollection" // of what is called so
	opJSON       = "JSON patch"       // which takes fields away: change maps paths to true
)

var changes = []string{opUpdate, opPatch, opApply}

// leastCells is how many answers of the server the matrix has to ask for.
const leastCells = 600

// action is what somebody wants: an object of a Channel, the change, and the verbs that it takes on the Channel or Repository.
type action struct {
	name     string
	resource string
	of       string // the object: its name, with %s for the Channel
	change   map[string]any
	verbs    []string
	ops      []string
}

func command(name, args string) map[string]any {
	return map[string]any{"metadata": map[string]any{"annotations": map[string]any{
		otav1alpha1.CommandAnnotation: name, otav1alpha1.CommandIDAnnotation: "fresh", otav1alpha1.CommandArgsAnnotation: args,
	}}}
}

func spec(fields map[string]any) map[string]any { return map[string]any{"spec": fields} }

func verbs(list ...string) []string { return list }

// steps of a Rollout: another release plan.
var steps = []any{map[string]any{"setWeight": int64(1)}, map[string]any{"pause": map[string]any{}}}

// onChannel are the actions on Channels and Rollouts, by the design of the roles.
var onChannel = []action{
	{"start a release", "rollouts", "new-on-%s", nil, verbs("release"), verbs(opCreate)},
	{"start a release with a command on it", "rollouts", "new-on-%s", command("promote", ""), verbs("release", "promote"), verbs(opCreate)},
	{"name another bundle", "rollouts", "on-%s", spec(map[string]any{"bundleRef": map[string]any{"name": "shop-2"}}), verbs("release"), changes},
	{"change the steps", "rollouts", "on-%s", spec(map[string]any{"steps": steps}), verbs("release"), changes},
	{"end a release for good", "rollouts", "on-%s", nil, verbs("release"), verbs(opDelete)},
	{"pause in the spec", "rollouts", "on-%s", spec(map[string]any{"paused": "looks odd"}), verbs("halt"), changes},
	{"pause in the spec, for another reason", "rollouts", "paused-%s", spec(map[string]any{"paused": "looks odd"}), verbs("halt"), changes},
	{"go on in the spec", "rollouts", "paused-%s", spec(map[string]any{"paused": ""}), verbs("promote"), changes},
	{"promote", "rollouts", "on-%s", command("promote", ""), verbs("promote"), changes},
	{"promote in full", "rollouts", "on-%s", command("promote-full", "all is well"), verbs("promote"), changes},
	{"resume", "rollouts", "on-%s", command("resume", ""), verbs("promote"), changes},
	{"pause", "rollouts", "on-%s", command("pause", ""), verbs("halt"), changes},
	{"abort", "rollouts", "on-%s", command("abort", ""), verbs("rollback"), changes},
	{"retry", "rollouts", "on-%s", command("retry", ""), verbs("allow"), changes},
	{"approve a release", "rollouts", "on-%s", command("approve", "sha256:00"), verbs("approve"), changes},
	{"label a Rollout", "rollouts", "on-%s", map[string]any{"metadata": map[string]any{"labels": map[string]any{"a": "b"}}}, nil, changes},
	{"forge how far a release is", "rollouts", "on-%s", map[string]any{"status": map[string]any{"weight": "100"}}, nil, verbs(opStatus)},

	{"make a Channel", "channels", "%s", nil, verbs("configure"), verbs(opCreate)},
	{"configure a Channel", "channels", "%s", spec(map[string]any{"visibility": "Public"}), verbs("configure"), changes},
	{"ask for approvals", "channels", "%s", spec(map[string]any{"approvals": map[string]any{"required": int64(1)}}), verbs("configure"), changes},
	{"delete a Channel", "channels", "%s", nil, verbs("configure"), verbs(opDelete)},
	{"halt a Channel in the spec", "channels", "%s", spec(map[string]any{"serving": "Halted"}), verbs("halt"), changes},
	{"halt a Channel", "channels", "%s", command("halt", "looks odd"), verbs("halt"), changes},
	{"unhalt a Channel", "channels", "%s", command("unhalt", "all is well"), verbs("unhalt"), changes},
	{"roll back", "channels", "%s", command("rollback", "Stable looks odd"), verbs("rollback"), changes},
	{"allow a digest", "channels", "%s", command("allow", "sha256:00 it was the network"), verbs("allow"), changes},
	{"override content checks", "channels", "%s", command("override", "sha256:00 eval looked at"), verbs("override"), changes},
	{"approve fewer approvals", "channels", "%s", command("approve", "approvals=0"), verbs("approve"), changes},
	{"forge what is served", "channels", "%s", map[string]any{"status": map[string]any{"approvals": map[string]any{"required": int64(0)}}}, nil, verbs(opStatus)},
}

// onRepository are the actions on what Channels share.
var onRepository = []action{
	{"make a Repository", "repositories", "other", nil, verbs("configure"), verbs(opCreate)},
	{"configure a Repository", "repositories", "default", spec(map[string]any{"maxActiveRollouts": int64(3)}), verbs("configure"), changes},
	{"delete a Repository", "repositories", "default", nil, verbs("configure"), verbs(opDelete)},
	{"halt a Repository", "repositories", "default", command("halt", "looks odd"), verbs("halt"), changes},
	{"unhalt a Repository", "repositories", "default", command("unhalt", "all is well"), verbs("unhalt"), changes},
	{"forge a Repository's state", "repositories", "default", map[string]any{"status": map[string]any{"channels": int64(9)}}, nil, verbs(opStatus)},
	{"bring in a Bundle", "bundles", "shop-9", nil, nil, verbs(opCreate)},
	{"revoke a Bundle", "bundles", "shop-1", spec(map[string]any{"revoked": "CVE"}), verbs("halt"), changes},
	{"bring in a Bundle that is revoked", "bundles", "shop-9", spec(map[string]any{"revoked": "CVE"}), verbs("halt"), verbs(opCreate)},
	{"delete a Bundle", "bundles", "shop-1", nil, nil, verbs(opDelete)},
	{"forge what a Bundle holds", "bundles", "shop-1", map[string]any{"status": map[string]any{"observedGeneration": int64(1)}}, nil, verbs(opStatus)},
}

// cell is one question to the server.
type cell struct {
	role    role
	channel string
	action  action
	op      string
	refusal string // of those who have all verbs; empty: it passes
}

func (c cell) name() string {
	return fmt.Sprintf("%s: %s of %s, by %s", c.role.name, c.action.name, c.channel, c.op)
}

// object that the cell is about.
func (c cell) object() string {
	if strings.Contains(c.action.of, "%s") {
		return fmt.Sprintf(c.action.of, c.channel)
	}
	return c.action.of
}

// missing are the verbs that the role lacks; allowed tells whether the server has to let it pass.
func (c cell) expect() (missing []string, allowed bool) {
	where := c.channel
	if c.channel == "" {
		where = "/" + c.object()
	}
	for _, verb := range c.action.verbs {
		if !c.role.has(verb, where) {
			missing = append(missing, verb)
		}
	}
	reaches := c.role.reaches(c.action.resource, c.object(), c.op)
	return missing, reaches && len(missing) == 0 && c.refusal == ""
}

// explains tells whether a refusal says which verb is missing, if it is for want of one.
func (c cell) explains(refusal error, missing []string) bool {
	if !c.role.reaches(c.action.resource, c.object(), c.op) {
		return apierrors.IsForbidden(refusal)
	}
	if len(missing) == 0 {
		return apierrors.IsForbidden(refusal) && strings.Contains(refusal.Error(), c.refusal)
	}
	return apierrors.IsForbidden(refusal) && slices.ContainsFunc(missing, func(verb string) bool {
		return strings.Contains(refusal.Error(), "this needs the verb "+verb+" on ")
	})
}

// TestMatrix asks the server for every role, Channel, action and operation, as a dry run, and holds the answers against the roles'
// definition. Where RBAC lets a write through and a verb is missing, the refusal says which one, and on what.
func TestMatrix(t *testing.T) {
	b := newBench(t)
	b.populate(t)
	var cells []cell
	for _, r := range roles {
		for _, channel := range []string{"development", "beta", "production"} {
			cells = append(cells, cellsOf(r, channel, onChannel)...)
		}
		cells = append(cells, cellsOf(r, "", onRepository)...)
	}
	b.judge(t, cells)
	if len(cells) < leastCells {
		t.Errorf("%d cells, want at least %d", len(cells), leastCells)
	}
}

// judge puts cells to the server and holds its answers against what is expected.
func (b *bench) judge(t *testing.T, cells []cell) {
	t.Helper()
	var wrong, allowed atomic.Int64
	var work errgroup.Group
	work.SetLimit(8)
	for _, c := range cells {
		work.Go(func() error {
			missing, want := c.expect()
			err := b.ask(t, c)
			got := err == nil || apierrors.IsAlreadyExists(err) // which is said after all who may have been asked
			if got {
				allowed.Add(1)
			}
			if got != want || !got && !c.explains(err, missing) {
				wrong.Add(1)
				t.Errorf("%s: allowed %v, want %v: %v", c.name(), got, want, err)
			}
			return nil
		})
	}
	_ = work.Wait()
	t.Logf("%d cells (%d roles), %d allowed, %d wrong", len(cells), len(roles), allowed.Load(), wrong.Load())
}

func cellsOf(r role, channel string, actions []action) []cell {
	var out []cell
	for _, a := range actions {
		for _, op := range a.ops {
			out = append(out, cell{role: r, channel: channel, action: a, op: op})
		}
	}
	return out
}

// populate makes what the cells are about.
func (b *bench) populate(t *testing.T) {
	t.Helper()
	for _, name := range []string{"development", "beta", "production"} {
		paused := b.rollout("paused-"+name, name)
		paused.Spec.Paused = "not yet"
		b.Create(t, b.channel(name), b.rollout("on-"+name, name), paused)
	}
	for resource, name := range map[string]string{"repositories": "default", "bundles": "shop-1"} {
		b.Create(t, b.base(resource, name, ""))
	}
}

// base is an object as somebody would create it.
func (b *bench) base(resource, name, channel string) *unstructured.Unstructured {
	out := map[string]any{"apiVersion": otav1alpha1.GroupVersion.String()}
	switch resource {
	case "rollouts":
		out["kind"], out["spec"] = "Rollout", map[string]any{"channelRef": map[string]any{"name": channel}, "bundleRef": map[string]any{"name": "shop-1"}}
	case "channels":
		out["kind"], out["spec"] = "Channel", map[string]any{"app": "com.example.shop"}
	case "repositories":
		out["kind"], out["spec"] = "Repository", map[string]any{
			"storage": map[string]any{"endpoint": "https://s3.example.com", "bucket": "updates", "region": "r"},
			"trust": map[string]any{"authorities": []any{map[string]any{"name": "ci", "publicKey": map[string]any{
				"configMapRef": map[string]any{"name": "keys", "key": "ci.pub"}}}}},
		}
	case "bundles":
		out["kind"], out["spec"] = "Bundle", map[string]any{
			"app": "com.example.shop", "version": "1.0.0", "digest": digest, "source": map[string]any{"http": map[string]any{"url": "https://ci.example.com/a.zip"}},
			"signatures": []any{map[string]any{"inline": "MEUCIQDMEUCIQDMEUCIQD"}},
		}
	}
	u := &unstructured.Unstructured{Object: out}
	u.SetNamespace(b.Namespace)
	u.SetName(name)
	return u
}

const digest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"

// ask puts a cell to the server.
func (b *bench) ask(t *testing.T, c cell) error {
	user, obj := b.users[c.role.name], b.base(c.action.resource, c.object(), c.channel)
	patch, err := json.Marshal(c.action.change)
	if err != nil {
		return err
	}
	switch c.op {
	case opCreate:
		merge(obj.Object, c.action.change)
		return user.Create(t.Context(), obj, client.DryRunAll)
	case opUpdate:
		if err := b.Client.Get(t.Context(), client.ObjectKeyFromObject(obj), obj); err != nil {
			return err
		}
		merge(obj.Object, c.action.change)
		return user.Update(t.Context(), obj, client.DryRunAll)
	case opPatch:
		return user.Patch(t.Context(), obj, client.RawPatch(types.MergePatchType, patch), client.DryRunAll)
	case opJSON:
		return user.Patch(t.Context(), obj, client.RawPatch(types.JSONPatchType, removal(c.action.change)), client.DryRunAll)
	case opCollection:
		one := client.MatchingFields{"metadata.name": c.object()}
		return user.DeleteAllOf(t.Context(), obj, client.InNamespace(b.Namespace), one, client.DryRunAll)
	case opStatus:
		return user.Status().Patch(t.Context(), obj, client.RawPatch(types.MergePatchType, patch), client.DryRunAll)
	case opApply:
		part := &unstructured.Unstructured{Object: map[string]any{"apiVersion": obj.GetAPIVersion(), "kind": obj.GetKind()}}
		part.SetNamespace(b.Namespace)
		part.SetName(c.object())
		merge(part.Object, c.action.change)
		return user.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(part), client.FieldOwner("gitops"), client.ForceOwnership, client.DryRunAll)
	default:
		return user.Delete(t.Context(), obj, client.DryRunAll)
	}
}

// removal is a JSON patch that takes away what is at some paths.
func removal(paths map[string]any) []byte {
	var out []map[string]string
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		out = append(out, map[string]string{"op": "remove", "path": path})
	}
	raw, _ := json.Marshal(out) // texts
	return raw
}

// merge puts a change into an object.
func merge(into, change map[string]any) {
	for key, value := range change {
		sub, ok := value.(map[string]any)
		have, old := into[key].(map[string]any)
		switch {
		case ok && old:
			merge(have, sub)
		case ok:
			have = map[string]any{}
			merge(have, sub)
			into[key] = have
		default:
			into[key] = value
		}
	}
}
