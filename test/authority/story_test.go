// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/approval"
	"github.com/windlass-dev/windlass/internal/testkit"
	"github.com/windlass-dev/windlass/internal/testkit/stack"
)

// managerAccount is who the manager is where config/default is installed.
const managerAccount = "system:serviceaccount:windlass-system:windlass-manager"

// company has a real manager, with the rights of its own account, and people: anna asks for releases, omar and lea approve them.
type company struct {
	*stack.Stack
	*testing.T

	anna, omar, lea client.Client
	channel         *otav1alpha1.Channel
	rollout         *otav1alpha1.Rollout
	commands        int
}

func newCompany(t *testing.T) *company {
	t.Helper()
	c := &company{Stack: stack.New(t), T: t}
	install(t, c.Env)
	bind(t, c.Env, "anna", "windlass-admin")
	approver := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: "approver"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{otav1alpha1.Group}, Resources: []string{"rollouts", "channels"}, Verbs: []string{"get", "patch"}},
		{APIGroups: []string{otav1alpha1.Group}, Resources: []string{"channels"}, Verbs: []string{"approve"}, ResourceNames: []string{"production"}},
	}}
	binding := &rbacv1.RoleBinding{ObjectMeta: approver.ObjectMeta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "approver"}}
	for _, name := range []string{"omar", "lea"} {
		binding.Subjects = append(binding.Subjects, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "User", Name: name})
	}
	c.Create(t, approver, binding)
	c.anna, c.omar, c.lea = as(t, c.Env, "anna"), as(t, c.Env, "omar"), as(t, c.Env, "lea")
	c.channel = c.Channel("production")
	c.channel.Spec.Approvals = &otav1alpha1.Approvals{Required: new(int32(2))}
	gomega.NewWithT(t).Eventually(func(g gomega.Gomega) {
		probe := c.Channel("probe")
		g.Expect(c.anna.Create(t.Context(), probe, client.DryRunAll)).To(gomega.Succeed())
		g.Expect(probe.Annotations).To(gomega.HaveKeyWithValue(authorKey, "anna"))
		g.Expect(c.omar.Get(t.Context(), client.ObjectKeyFromObject(probe), probe)).To(gomega.MatchError(gomega.ContainSubstring("not found")))
	}).WithTimeout(testkit.Timeout).WithPolling(testkit.Interval).Should(gomega.Succeed())

	config, err := clientcmd.LoadFromFile(c.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range config.AuthInfos {
		user.Impersonate = managerAccount
	}
	if err := clientcmd.WriteToFile(*config, c.Kubeconfig()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the manager:\n%s", c.ManagerLog())
		}
	})
	return c
}

// order gives a command and waits for what became of it.
func (c *company) order(as client.Client, obj client.Object, name, args string) *otav1alpha1.CommandStatus {
	c.Helper()
	c.commands++
	id := fmt.Sprint(c.commands)
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q,%q:%q,%q:%q}}}`, commandKey, name, idKey, id, argsKey, args)
	if err := as.Patch(c.Context(), obj, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		c.Fatal(err)
	}
	var last *otav1alpha1.CommandStatus
	gomega.NewWithT(c.T).Eventually(func(g gomega.Gomega) {
		g.Expect(c.Client.Get(c.Context(), client.ObjectKeyFromObject(obj), obj)).To(gomega.Succeed())
		switch o := obj.(type) {
		case *otav1alpha1.Rollout:
			last = o.Status.LastCommand
		case *otav1alpha1.Channel:
			last = o.Status.LastCommand
		}
		g.Expect(last).NotTo(gomega.BeNil())
		g.Expect(last.ID).To(gomega.Equal(id))
	}).WithTimeout(testkit.Timeout).WithPolling(testkit.Interval).Should(gomega.Succeed())
	if last.Actor != otav1alpha1.ActorVerified {
		c.Errorf("%s is %s: %+v", last.By, last.Actor, last)
	}
	return last
}

// refused holds that a command was not carried out, and why.
func (c *company) refused(got *otav1alpha1.CommandStatus, why string) {
	c.Helper()
	if got.Result != otav1alpha1.CommandRefused || !strings.Contains(got.Message, why) {
		c.Errorf("%+v, want a refusal with %q", got, why)
	}
}

// accepted holds that a command of a person was carried out.
func (c *company) accepted(got *otav1alpha1.CommandStatus, by string) {
	c.Helper()
	if got.Result != otav1alpha1.CommandAccepted || got.By != by {
		c.Errorf("%+v, want it accepted of %s", got, by)
	}
}

func (c *company) comes(status metav1.ConditionStatus, reason string, parts ...string) {
	c.Helper()
	testkit.Eventually(c.T, c.Client, c.rollout, testkit.HaveCondition(otav1alpha1.ReadyCondition, status, reason), testkit.BeObserved(),
		testkit.HaveMessage(otav1alpha1.ReadyCondition, parts...))
	testkit.CheckStatus(c.T, c.rollout)
}

// TestStory_approvals: a release waits for two people other than its author, and so does a lower number of them.
func TestStory_approvals(t *testing.T) {
	c := newCompany(t)
	author := testkit.NewAuthor(t, "ci")
	site := testkit.NewSite(t)
	repository := c.Repository(c.Bucket, author)
	c.Create(t, c.Credentials(c.Bucket), repository)
	var digests []string
	for _, n := range []string{"1", "2"} {
		b := c.Bundle("shop-"+n, n+".0.0", site.Publish(t, "/"+n, testkit.Zip(t, map[string]string{"index.html": n}), author))
		c.Create(t, b)
		digests = append(digests, string(b.Spec.Digest))
	}
	c.rollout = c.Rollout("shop", "production", "shop-1", testkit.SetWeight(100))
	for _, obj := range []client.Object{c.channel, c.rollout} {
		if err := c.anna.Create(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
	}
	c.StartManager()

	const waits = otav1alpha1.WaitingForApprovalReason
	c.comes(metav1.ConditionUnknown, waits, "shop-1 has 0 of 2 approvals", "others than anna")
	c.refused(c.order(c.anna, c.rollout, "approve", digests[0]), "anna asked for the change")
	c.refused(c.order(c.omar, c.rollout, "approve", digests[1]), "the release is of "+digests[0])
	c.accepted(c.order(c.omar, c.rollout, "approve", digests[0]), "omar")
	c.accepted(c.order(c.omar, c.rollout, "approve", digests[0]), "omar") // twice is once
	c.comes(metav1.ConditionUnknown, waits, "1 of 2 approvals (omar)")
	if got := testkit.KStatus(c.rollout); got != testkit.InProgress {
		t.Errorf("kstatus %s", got)
	}
	testkit.StandStill(t, c.Client, c.rollout)
	c.accepted(c.order(c.lea, c.rollout, "approve", digests[0]), "lea")
	c.comes(metav1.ConditionTrue, otav1alpha1.CompletedReason)
	if a := c.rollout.Status.Approval; a == nil || a.Author != "anna" || !slices.Equal(approval.People(a.ApprovedBy), []string{"omar", "lea"}) {
		t.Errorf("approval: %+v", a)
	}

	// Nobody lowers the number alone: the next release waits all the same.
	c.change(c.channel, `{"approvals":{"required":0}}`)
	c.change(c.rollout, `{"bundleRef":{"name":"shop-2"}}`)
	c.comes(metav1.ConditionUnknown, waits, "shop-2 has 0 of 2 approvals")
	c.refused(c.order(c.anna, c.channel, "approve", "approvals=0"), "anna asked for the change")
	c.refused(c.order(c.omar, c.channel, "approve", "approvals=1"), "another number")
	c.accepted(c.order(c.omar, c.channel, "approve", "approvals=0"), "omar")
	c.comes(metav1.ConditionUnknown, waits, "shop-2 has 0 of 2 approvals")
	// A stop needs nobody.
	c.accepted(c.order(c.anna, c.channel, "halt", "let us see"), "anna")
	c.accepted(c.order(c.anna, c.channel, "unhalt", "seen"), "anna")
	c.accepted(c.order(c.lea, c.channel, "approve", "approvals=0"), "lea")
	c.comes(metav1.ConditionTrue, otav1alpha1.CompletedReason)
	testkit.Eventually(t, c.Client, c.channel, testkit.BeObserved())
	if c.channel.Status.Approvals != nil {
		t.Errorf("approvals: %+v", c.channel.Status.Approvals)
	}
	testkit.CheckStatus(t, c.channel)
}

// change is a change of a spec by anna.
func (c *company) change(obj client.Object, spec string) {
	c.Helper()
	if err := c.anna.Patch(c.Context(), obj, client.RawPatch(types.MergePatchType, []byte(`{"spec":`+spec+`}`))); err != nil {
		c.Fatal(err)
	}
}
