// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/testkit"
)

const (
	needsOverride = "needs the verb override on it"
	half          = "go with ota.windlass.dev/command"
	none          = "-" // takes an annotation away
	wrongAuthor   = "nobody gives commands in the name of others"
)

// policyBench has config/policy installed, and two users who may change Channels: anna may override on production, ben nowhere.
type policyBench struct {
	*testkit.Env
	users map[string]client.Client
}

func newPolicyBench(t *testing.T) *policyBench {
	b := &policyBench{Env: testkit.Start(t), users: map[string]client.Client{}}
	for _, obj := range build(t, "policy") {
		apply(t, b.Env, obj)
		t.Cleanup(func() { // other tests do without
			if err := b.Client.Delete(context.WithoutCancel(t.Context()), obj); err != nil {
				t.Error(err)
			}
		})
	}
	change := rbacv1.PolicyRule{APIGroups: []string{otav1alpha1.Group}, Resources: []string{"channels"}, Verbs: []string{"get", "create", "update", "patch"}}
	override := rbacv1.PolicyRule{APIGroups: change.APIGroups, Resources: change.Resources, Verbs: []string{"override"}, ResourceNames: []string{"production"}}
	for name, rules := range map[string][]rbacv1.PolicyRule{"anna": {change, override}, "ben": {change}} {
		b.Create(t,
			&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: name}, Rules: rules},
			&rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: name},
				RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
				Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: name}}})
		config := rest.CopyConfig(b.Config)
		config.Impersonate = rest.ImpersonationConfig{UserName: name}
		c, err := client.New(config, client.Options{Scheme: b.Scheme})
		if err != nil {
			t.Fatal(err)
		}
		b.users[name] = c
	}
	for _, name := range []string{"production", "beta"} {
		b.Create(t, b.channel(name, nil))
	}
	gomega.NewWithT(t).Eventually(func(g gomega.Gomega) { // roles and policies reach the server's caches a moment later
		g.Expect(b.patch(t, "ben", "production", commandOf("probe"))).To(gomega.MatchError(gomega.ContainSubstring(needsOverride)))
		g.Expect(b.patch(t, "anna", "production", commandOf("probe"))).To(gomega.Succeed())
	}).WithTimeout(testkit.Timeout).WithPolling(testkit.Interval).Should(gomega.Succeed())
	return b
}

func (b *policyBench) channel(name string, annotations map[string]string) *otav1alpha1.Channel {
	return &otav1alpha1.Channel{ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: name, Annotations: annotations}, Spec: otav1alpha1.ChannelSpec{App: "shop"}}
}

// commandOf are the annotations of an override, with others added.
func commandOf(id string, more ...string) map[string]string {
	out := map[string]string{
		otav1alpha1.CommandAnnotation: "override", otav1alpha1.CommandIDAnnotation: id,
		otav1alpha1.CommandArgsAnnotation: aDigest + " native-code a reason",
	}
	for i := 0; i < len(more); i += 2 {
		out[more[i]] = more[i+1]
	}
	return out
}

// patch asks whether a user may merge annotations into a Channel.
func (b *policyBench) patch(t *testing.T, user, channel string, annotations map[string]string) error {
	t.Helper()
	values := map[string]any{}
	for key, value := range annotations {
		if values[key] = value; value == none {
			values[key] = nil
		}
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": values}})
	if err != nil {
		t.Fatal(err)
	}
	return b.users[user].Patch(t.Context(), b.channel(channel, nil), client.RawPatch(types.MergePatchType, patch), client.DryRunAll)
}

// TestPolicy_override asks the real server who may let content checks pass, on a Channel that has no command yet.
func TestPolicy_override(t *testing.T) {
	b := newPolicyBench(t)
	by := otav1alpha1.RequestedByAnnotation
	for name, tc := range map[string]struct {
		user, channel string
		annotations   map[string]string
		want          string
	}{
		"who may":                     {"anna", "production", commandOf("1"), ""},
		"who may not":                 {"ben", "production", commandOf("1"), needsOverride},
		"who may elsewhere":           {"anna", "beta", commandOf("1"), needsOverride},
		"by name":                     {"anna", "production", commandOf("1", by, "anna"), ""},
		"by another's name":           {"anna", "production", commandOf("1", by, "ben"), wrongAuthor},
		"who may not, by name":        {"ben", "production", commandOf("1", by, "anna"), needsOverride},
		"another command":             {"ben", "production", commandOf("1", otav1alpha1.CommandAnnotation, "dance"), ""},
		"another command, by another": {"ben", "production", map[string]string{by: "anna"}, wrongAuthor},
		"another annotation":          {"ben", "production", map[string]string{"example.com/note": "x"}, ""},
		"an id alone":                 {"ben", "production", map[string]string{otav1alpha1.CommandIDAnnotation: "1"}, half},
		"arguments alone":             {"anna", "production", map[string]string{otav1alpha1.CommandArgsAnnotation: "x"}, half},
	} {
		t.Run(name, func(t *testing.T) {
			check(t, b.patch(t, tc.user, tc.channel, tc.annotations), tc.want)
			obj := &otav1alpha1.Channel{}
			if err := b.Client.Get(t.Context(), client.ObjectKeyFromObject(b.channel(tc.channel, nil)), obj); err != nil {
				t.Fatal(err)
			}
			obj.Annotations = tc.annotations
			check(t, b.users[tc.user].Update(t.Context(), obj, client.DryRunAll), tc.want)
		})
	}
}

// TestPolicy_overrideGiven holds that a command which somebody was allowed to give cannot be changed into another by who may not.
func TestPolicy_overrideGiven(t *testing.T) {
	b := newPolicyBench(t)
	by := otav1alpha1.RequestedByAnnotation
	given := b.channel("production", nil)
	if err := b.users["anna"].Patch(t.Context(), given, client.RawPatch(types.MergePatchType,
		[]byte(`{"metadata":{"annotations":{"ota.windlass.dev/command":"override","ota.windlass.dev/command-id":"1","ota.windlass.dev/command-args":"x","ota.windlass.dev/requested-by":"anna"}}}`))); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		user        string
		annotations map[string]string
		want        string
	}{
		"the id":               {"ben", map[string]string{otav1alpha1.CommandIDAnnotation: "2"}, needsOverride},
		"the arguments":        {"ben", map[string]string{otav1alpha1.CommandArgsAnnotation: "y"}, needsOverride},
		"the author":           {"ben", map[string]string{by: "ben"}, needsOverride},
		"the author, to none":  {"ben", map[string]string{by: none}, needsOverride},
		"the command, to none": {"ben", map[string]string{otav1alpha1.CommandAnnotation: none, by: none}, needsOverride},
		"the command, to one's own": {"ben", map[string]string{otav1alpha1.CommandAnnotation: none, otav1alpha1.CommandIDAnnotation: "2",
			otav1alpha1.CommandArgsAnnotation: "y", by: none}, needsOverride},
		"all of it, to none": {"ben", map[string]string{otav1alpha1.CommandAnnotation: none, otav1alpha1.CommandIDAnnotation: none,
			otav1alpha1.CommandArgsAnnotation: none, by: none}, needsOverride},
		"all of it, to none, by who may": {"anna", map[string]string{otav1alpha1.CommandAnnotation: none, otav1alpha1.CommandIDAnnotation: none,
			otav1alpha1.CommandArgsAnnotation: none, by: none}, ""},
		"half of it, to none, by who may": {"anna", map[string]string{otav1alpha1.CommandAnnotation: none}, half},
		"nothing of it":                   {"ben", map[string]string{"example.com/note": "x"}, ""},
		"the id, by who may":              {"anna", map[string]string{otav1alpha1.CommandIDAnnotation: "2"}, ""},
		"the author, by who may":          {"anna", map[string]string{by: "ben"}, wrongAuthor},
		"to another, by the other":        {"ben", map[string]string{otav1alpha1.CommandAnnotation: "dance", by: "ben"}, needsOverride},
	} {
		t.Run(name, func(t *testing.T) { check(t, b.patch(t, tc.user, "production", tc.annotations), tc.want) })
	}
	// What changes no annotation is nobody's business: the spec, and the manager's own writes.
	check(t, b.users["ben"].Patch(t.Context(), given, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"serving":"Halted"}}`)), client.DryRunAll), "")
	check(t, b.users["ben"].Patch(t.Context(), given, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":["example.com/x"]}}`)), client.DryRunAll), "")
}

// TestPolicy_overrideCreated covers objects that come with a command, with and without a name.
func TestPolicy_overrideCreated(t *testing.T) {
	b := newPolicyBench(t)
	if err := b.Client.Delete(t.Context(), b.channel("production", nil)); err != nil {
		t.Fatal(err)
	}
	check(t, b.users["ben"].Create(t.Context(), b.channel("production", commandOf("1")), client.DryRunAll), needsOverride)
	check(t, b.users["anna"].Create(t.Context(), b.channel("production", commandOf("1")), client.DryRunAll), "")
	check(t, b.users["anna"].Create(t.Context(), b.channel("other", commandOf("1")), client.DryRunAll), needsOverride)
	unnamed := b.channel("", commandOf("1"))
	unnamed.GenerateName = "production"
	check(t, b.users["anna"].Create(t.Context(), unnamed, client.DryRunAll), needsOverride)
	check(t, b.users["ben"].Create(t.Context(), b.channel("other", nil), client.DryRunAll), "")
}

// TestPolicy_overrideRecord holds that the record of overrides is the manager's: who changes Channels cannot write it, and who
// writes status cannot give commands.
func TestPolicy_overrideRecord(t *testing.T) {
	b := newPolicyBench(t)
	forged := []byte(`{"metadata":{"annotations":{"ota.windlass.dev/command":"override","ota.windlass.dev/command-id":"9"}},` +
		`"status":{"overrides":[{"digest":"` + aDigest + `","checks":["native-code"],"reason":"forged"}]}}`)
	ch := b.channel("production", nil)
	check(t, b.users["anna"].Status().Patch(t.Context(), ch, client.RawPatch(types.MergePatchType, forged)), "forbidden")
	check(t, b.users["anna"].Patch(t.Context(), ch, client.RawPatch(types.MergePatchType, forged)), "")
	if len(ch.Status.Overrides) != 0 {
		t.Errorf("a write of the object recorded %+v", ch.Status.Overrides)
	}
	beta := b.channel("beta", nil)
	check(t, b.Client.Status().Patch(t.Context(), beta, client.RawPatch(types.MergePatchType, forged)), "")
	if len(beta.Annotations) != 0 || len(beta.Status.Overrides) != 1 {
		t.Errorf("a write of status gave commands: %v, %+v", beta.Annotations, beta.Status.Overrides)
	}
}
