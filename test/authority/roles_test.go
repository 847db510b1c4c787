// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"context"
	"slices"
	"testing"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// everywhere stands for all names.
const everywhere = "*"

// role is what a role is meant to be, as docs/roles.md has it. It is not read from config: the matrix holds config against it.
type role struct {
	name   string
	bound  string              // ClusterRole that is bound in the namespace; empty: none
	rules  []rbacv1.PolicyRule // of a ClusterRole that the test makes, for roles that config has none of
	writes map[string]string   // resource -> where what is called so may be written
	sweeps bool                // may delete all at once
	only   string              // the one operation that writes go by; empty: all
	may    map[string][]string // name of a Channel, or of a Repository after a slash -> verbs
	status bool
}

var (
	all       = []string{"release", "promote", "halt", "unhalt", "rollback", "allow", "override", "approve", "configure"}
	objects   = []string{"repositories", "channels", "bundles", "rollouts"}
	writeAll  = map[string]string{"repositories": everywhere, "channels": everywhere, "bundles": everywhere, "rollouts": everywhere}
	writing   = rbacv1.PolicyRule{APIGroups: []string{otav1alpha1.Group}, Resources: objects, Verbs: []string{"get", "list", "create", "update", "patch", "delete"}}
	gitopsMay = rbacv1.PolicyRule{APIGroups: []string{otav1alpha1.Group}, Resources: []string{"channels"}, Verbs: []string{"release", "promote", "configure"}}
	pruneMay  = rbacv1.PolicyRule{APIGroups: []string{otav1alpha1.Group}, Resources: []string{"channels", "repositories"}, Verbs: []string{"configure", "deletecollection"}}
	stopMay   = rbacv1.PolicyRule{APIGroups: []string{otav1alpha1.Group}, Resources: []string{"channels", "repositories"}, Verbs: []string{"halt"}}
)

// roles are those of the product, those that clusters have anyway, and what teams may make themselves.
var roles = []role{
	{name: "admin", bound: "windlass-admin", sweeps: true, writes: writeAll, may: map[string][]string{everywhere: all, "/" + everywhere: {"halt", "unhalt", "configure"}}},
	{
		name: "developer", bound: "windlass-developer", writes: map[string]string{"bundles": everywhere, "rollouts": everywhere, "channels": "development"},
		may: map[string][]string{"development": {"release", "promote", "halt"}},
	},
	{
		name: "qa", bound: "windlass-qa", writes: map[string]string{"rollouts": everywhere, "channels": "beta"},
		may: map[string][]string{"beta": {"approve", "release", "promote", "halt"}},
	},
	{name: "monitor", bound: "windlass-monitor"},
	{name: "nobody"},
	{name: "edit", bound: "edit"},
	{name: "namespace-admin", bound: "admin"},
	{name: "manager", bound: "windlass-manager", writes: writeAll, only: "no create, no delete", status: true},
	{name: "writer", rules: []rbacv1.PolicyRule{writing}, writes: writeAll},
	{
		name: "pruner", rules: []rbacv1.PolicyRule{writing, pruneMay}, writes: writeAll, sweeps: true,
		may: map[string][]string{everywhere: {"configure"}, "/" + everywhere: {"configure"}},
	},
	{
		name: "stopper", rules: []rbacv1.PolicyRule{writing, stopMay}, writes: writeAll,
		may: map[string][]string{everywhere: {"halt"}, "/" + everywhere: {"halt"}},
	},
	{name: "gitops", rules: []rbacv1.PolicyRule{writing, gitopsMay}, writes: writeAll, may: map[string][]string{everywhere: {"release", "promote", "configure"}}},
}

// may tells whether a role has all verbs on a Channel, or on a Repository.
func (r role) has(verb, where string) bool {
	all := everywhere
	if where[0] == '/' {
		all = "/" + everywhere
	}
	return slices.Contains(r.may[where], verb) || slices.Contains(r.may[all], verb)
}

// reaches tells whether RBAC lets a role write an object by an operation at all.
func (r role) reaches(resource, name, operation string) bool {
	where, ok := r.writes[resource]
	switch {
	case operation == opStatus:
		return r.status
	case operation == opCollection:
		return r.sweeps
	case !ok, where != everywhere && where != name:
		return false
	case where != everywhere: // single Channels are patched, for the sake of commands, and nothing else
		return operation == opPatch || operation == opApply || operation == opJSON
	case r.only != "":
		return operation != opCreate && operation != opDelete
	}
	return true
}

// bench has the roles and policies of config installed, and a user of each role.
type bench struct {
	*testkit.Env
	users map[string]client.Client
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{Env: testkit.Start(t), users: map[string]client.Client{}}
	install(t, b.Env)
	for _, r := range roles {
		b.users[r.name] = as(t, b.Env, r.name)
		if len(r.rules) > 0 {
			b.Create(t, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: r.name}, Rules: r.rules},
				&rbacv1.RoleBinding{
					ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: r.name},
					RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: r.name},
					Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: r.name}},
				})
		}
		if r.bound != "" {
			bind(t, b.Env, r.name, r.bound)
		}
	}
	b.settle(t)
	return b
}

// settle waits until roles and policies have reached the server's caches.
func (b *bench) settle(t *testing.T) {
	t.Helper()
	gomega.NewWithT(t).Eventually(func(g gomega.Gomega) {
		ch := b.channel("settled")
		g.Expect(b.users["admin"].Create(t.Context(), ch, client.DryRunAll)).To(gomega.Succeed())
		g.Expect(ch.Annotations).To(gomega.HaveKeyWithValue(otav1alpha1.ChangedByAnnotation, "admin"))
		for _, writer := range []string{"writer", "gitops", "pruner", "stopper"} {
			err := b.users[writer].Patch(t.Context(), ch, client.RawPatch("application/merge-patch+json", []byte(`{}`)), client.DryRunAll)
			g.Expect(client.IgnoreNotFound(err)).To(gomega.Succeed())
		}
		g.Expect(b.users["writer"].Create(t.Context(), b.channel("settled"), client.DryRunAll)).To(gomega.MatchError(gomega.ContainSubstring("needs the verb configure")))
		for user, channel := range map[string]string{"developer": "development", "qa": "beta"} {
			g.Expect(b.users[user].Create(t.Context(), b.rollout("settled", channel), client.DryRunAll)).To(gomega.Succeed())
		}
	}).WithTimeout(testkit.Timeout).WithPolling(testkit.Interval).Should(gomega.Succeed())
}

// end deletes the namespace, with what could not be deleted otherwise: nothing in it keeps it.
func (b *bench) end(t *testing.T, held client.Object) {
	ctx := context.WithoutCancel(t.Context())
	g := gomega.NewWithT(t)
	g.Expect(b.Client.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: b.Namespace}})).To(gomega.Succeed())
	g.Eventually(func() error { return b.Client.Delete(ctx, held.DeepCopyObject().(client.Object), client.DryRunAll) }).
		WithTimeout(testkit.Timeout).WithPolling(testkit.Interval).Should(gomega.Succeed())
}

func (b *bench) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: b.Namespace, Name: name}
}

func (b *bench) channel(name string) *otav1alpha1.Channel {
	return &otav1alpha1.Channel{ObjectMeta: b.meta(name), Spec: otav1alpha1.ChannelSpec{App: testkit.App}}
}

func (b *bench) rollout(name, channel string) *otav1alpha1.Rollout {
	return &otav1alpha1.Rollout{ObjectMeta: b.meta(name), Spec: otav1alpha1.RolloutSpec{
		ChannelRef: otav1alpha1.LocalReference{Name: channel}, BundleRef: otav1alpha1.LocalReference{Name: "shop-1"},
	}}
}
