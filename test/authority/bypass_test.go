// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"errors"
	"fmt"
	"testing"

	"github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/testkit"
)

const (
	commandKey = otav1alpha1.CommandAnnotation
	idKey      = otav1alpha1.CommandIDAnnotation
	argsKey    = otav1alpha1.CommandArgsAnnotation
	byKey      = otav1alpha1.RequestedByAnnotation
	authorKey  = otav1alpha1.ChangedByAnnotation
)

// scheme to get around approvals or names. It has to fail: by a refusal with these words, or without effect.
type scheme struct {
	name string
	try  func(*stage) error
	want string
}

// stage is a namespace in which anna, an administrator, has asked for a release and given commands that wait to be carried out. mallory
// may write all objects and has verbs of her own: promote, approve and release on production, and nothing on beta.
type stage struct {
	*bench

	t             *testing.T
	mallory, anna client.Client
	rollout       *otav1alpha1.Rollout // on production, with an approval by anna
	channel       *otav1alpha1.Channel // production: asks for approvals, is to be halted by anna
	unhalting     *otav1alpha1.Channel // beta: is to be let go on by anna
}

func newStage(t *testing.T, without ...string) *stage {
	t.Helper()
	s := &stage{bench: &bench{Env: testkit.Start(t)}, t: t}
	install(t, s.Env, without...)
	bind(t, s.Env, "anna", "windlass-admin")
	verbs := rbacv1.PolicyRule{APIGroups: []string{otav1alpha1.Group}, Resources: []string{"channels"}, Verbs: []string{"promote", "approve", "release", "deletecollection"},
		ResourceNames: []string{"production"}}
	collect := rbacv1.PolicyRule{APIGroups: verbs.APIGroups, Resources: objects, Verbs: []string{"deletecollection"}}
	s.Create(t, &rbacv1.Role{ObjectMeta: s.meta("mallory"), Rules: []rbacv1.PolicyRule{writing, verbs, collect}},
		&rbacv1.RoleBinding{ObjectMeta: s.meta("mallory"), RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "mallory"},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "mallory"}}})
	s.anna, s.mallory = as(t, s.Env, "anna"), as(t, s.Env, "mallory")
	gomega.NewWithT(t).Eventually(func(g gomega.Gomega) { // roles and policies reach the server's caches a moment later
		probe := s.bench.channel("probe")
		g.Expect(s.anna.Create(t.Context(), probe, client.DryRunAll)).To(gomega.Succeed())
		g.Expect(probe.Annotations[authorKey] == "anna").To(gomega.Equal(len(without) == 0))
		g.Expect(s.mallory.Create(t.Context(), s.bench.channel("probe"), client.DryRunAll)).To(gomega.MatchError(gomega.ContainSubstring("verb configure")))
		g.Expect(s.mallory.Create(t.Context(), s.bench.rollout("probe", "production"), client.DryRunAll)).To(gomega.Succeed())
	}).WithTimeout(testkit.Timeout).WithPolling(testkit.Interval).Should(gomega.Succeed())

	s.channel, s.unhalting, s.rollout = s.bench.channel("production"), s.bench.channel("beta"), s.bench.rollout("shop", "production")
	s.channel.Spec.Approvals = &otav1alpha1.Approvals{Required: new(int32(2))}
	s.channel.Annotations = map[string]string{commandKey: "halt", idKey: "1", argsKey: "looks odd"}
	s.unhalting.Annotations = map[string]string{commandKey: "unhalt", idKey: "1", argsKey: "fine"}
	s.rollout.Annotations = map[string]string{commandKey: "approve", idKey: "1", argsKey: digest}
	for _, obj := range []client.Object{s.channel, s.unhalting, s.rollout} {
		obj.SetFinalizers([]string{"ota.windlass.dev/test"})
		if err := s.anna.Create(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { s.end(t, s.channel) })
	return s
}

// merge is a merge patch by mallory, as a dry run. What comes back is what would be stored.
func (s *stage) merge(obj client.Object, patch string) error {
	return s.mallory.Patch(s.t.Context(), obj, client.RawPatch(types.MergePatchType, []byte(patch)), client.DryRunAll)
}

// annotate merges annotations, where null takes one away.
func (s *stage) annotate(obj client.Object, pairs ...string) error {
	text := ""
	for i := 0; i < len(pairs); i += 2 {
		value := fmt.Sprintf("%q", pairs[i+1])
		if pairs[i+1] == "null" {
			value = "null"
		}
		text += fmt.Sprintf("%q:%s,", pairs[i], value)
	}
	return s.merge(obj, `{"metadata":{"annotations":{`+text[:len(text)-1]+`}}}`)
}

var errNoEffect = errors.New("without effect")

// unless says that a write had no effect, when an annotation is as it should be; nil: it had.
func unless(err error, obj client.Object, key, want string) error {
	if err == nil && obj.GetAnnotations()[key] == want {
		return errNoEffect
	}
	return err
}

const (
	needs   = "this needs the verb "
	others  = "nobody gives commands in the name of others"
	half    = "set the command in one write, or remove all of it"
	stale   = "a command needs a fresh"
	noTrick = "without effect"
)

// schemes that have to fail with both policies.
var schemes = []scheme{
	{"give a command in another's name", func(s *stage) error {
		return unless(s.annotate(s.rollout, commandKey, "promote", idKey, "2", byKey, "anna"), s.rollout, byKey, "mallory")
	}, noTrick},
	{"sign one's own command with another name later", func(s *stage) error {
		return unless(s.annotate(s.rollout, byKey, "mallory"), s.rollout, byKey, "anna")
	}, noTrick},
	{"take the name off a command", func(s *stage) error {
		return unless(s.annotate(s.rollout, byKey, "null"), s.rollout, byKey, "anna")
	}, noTrick},
	{"name another author", func(s *stage) error {
		return unless(s.annotate(s.rollout, authorKey, "bob"), s.rollout, authorKey, "anna")
	}, noTrick},
	{"name no author", func(s *stage) error {
		return unless(s.annotate(s.rollout, authorKey, "null"), s.rollout, authorKey, "anna")
	}, noTrick},
	{"name another author of one's own change", func(s *stage) error {
		return unless(s.merge(s.rollout, `{"metadata":{"annotations":{"`+authorKey+`":"bob"}},"spec":{"bundleRef":{"name":"evil"}}}`), s.rollout, authorKey, "mallory")
	}, noTrick},
	{"touch another's release, so that its author can approve it", func(s *stage) error {
		return unless(s.merge(s.rollout, `{"spec":{"leaseDuration":"2h"}}`), s.rollout, authorKey, "anna\nmallory")
	}, noTrick},
	{"apply by force what is the server's", func(s *stage) error {
		obj := s.base("rollouts", "shop", "production")
		obj.SetAnnotations(map[string]string{authorKey: "bob", byKey: "bob"})
		err := s.mallory.Apply(s.t.Context(), client.ApplyConfigurationFromUnstructured(obj), client.FieldOwner("m"), client.ForceOwnership, client.DryRunAll)
		return unless(unless(err, obj, byKey, "anna"), obj, authorKey, "anna")
	}, noTrick},
	{"make an object with an author and a name on it", func(s *stage) error {
		obj := s.bench.rollout("new", "production")
		obj.Annotations = map[string]string{authorKey: "bob", commandKey: "promote", idKey: "1", byKey: "bob"}
		err := s.mallory.Create(s.t.Context(), obj, client.DryRunAll)
		return unless(unless(err, obj, byKey, "mallory"), obj, authorKey, "mallory")
	}, noTrick},
}

// refused are schemes that fail with the validating policy alone.
var refused = []scheme{
	{"put other words into another's command", func(s *stage) error { return s.annotate(s.rollout, argsKey, "sha256:ff") }, stale},
	{"put another command under another's name", func(s *stage) error { return s.annotate(s.rollout, commandKey, "promote") }, stale},
	{"take half of a command away", func(s *stage) error { return s.annotate(s.rollout, commandKey, "null") }, half},
	{"leave half of a command for others", func(s *stage) error { return s.annotate(s.rollout, commandKey, "null", idKey, "2") }, half},
	{"give a command that has no id", func(s *stage) error { return s.annotate(s.rollout, commandKey, "promote", idKey, "") }, half},
	{"give a command whose id is cut off", func(s *stage) error {
		return s.annotate(s.rollout, commandKey, "promote", idKey, fmt.Sprintf("%0129d", 1))
	}, half},
	{"take another's stop away", func(s *stage) error {
		return s.annotate(s.channel, commandKey, "null", idKey, "null", argsKey, "null")
	}, needs + "halt on Channel production"},
	{"put one's own command over another's stop", func(s *stage) error {
		return s.annotate(s.channel, commandKey, "approve", idKey, "2", argsKey, "approvals=0")
	}, "): it is a stop; wait until it is carried out"},
	{"approve over another's approval", func(s *stage) error {
		return s.annotate(s.rollout, commandKey, "approve", idKey, "2", argsKey, digest)
	}, "wait until it is recorded"},
	{"repeat another's command", func(s *stage) error { return s.annotate(s.unhalting, idKey, "2") }, needs + "unhalt on Channel beta"},
	{"repeat it under one's own name", func(s *stage) error { return s.annotate(s.unhalting, idKey, "2", byKey, "mallory") }, needs + "unhalt on Channel beta"},
	{"spell a command in another way", func(s *stage) error { return s.annotate(s.rollout, commandKey, "Abort", idKey, "2") }, "a Rollout knows promote"},
	{"approve where one has no such verb", func(s *stage) error {
		return s.mallory.Create(s.t.Context(), func() client.Object {
			r := s.bench.rollout("other", "beta")
			r.Annotations = map[string]string{commandKey: "approve", idKey: "1", argsKey: digest}
			return r
		}(), client.DryRunAll)
	}, needs},
	{"move the release to a Channel that asks for nobody", func(s *stage) error {
		return s.merge(s.rollout, `{"spec":{"channelRef":{"name":"beta"}}}`)
	}, "channelRef cannot be changed"},
	{"ask for no approvals any more", func(s *stage) error { return s.merge(s.channel, `{"spec":{"approvals":null}}`) }, needs + "configure"},
	{"ask for fewer", func(s *stage) error { return s.merge(s.channel, `{"spec":{"approvals":{"required":1}}}`) }, needs + "configure"},
	{"delete the Channel that asks", func(s *stage) error { return s.anna.Delete(s.t.Context(), s.channel, client.DryRunAll) }, "asks for approvals, so that it cannot be deleted"},
	{"delete all Channels at once", func(s *stage) error {
		return s.mallory.DeleteAllOf(s.t.Context(), &otav1alpha1.Channel{}, client.InNamespace(s.Namespace), client.DryRunAll)
	}, needs},
	{"have the garbage collector delete it", func(s *stage) error {
		return s.merge(s.channel, `{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"gone","uid":"1"}]}}`)
	}, needs},
	{"be taken for the garbage collector", func(s *stage) error {
		gc := as(s.t, s.Env, "system:serviceaccount:kube-system:generic-garbage-collector", "system:masters")
		return gc.Delete(s.t.Context(), s.channel, client.DryRunAll)
	}, "asks for approvals"},
	{"take off what holds a deletion", func(s *stage) error { return s.merge(s.channel, `{"metadata":{"finalizers":null}}`) }, needs + "configure on Channel production"},
	{"write approvals into status", func(s *stage) error {
		return s.mallory.Status().Patch(s.t.Context(), s.rollout, client.RawPatch(types.MergePatchType,
			[]byte(`{"status":{"approval":{"digest":"`+digest+`","approvedBy":[{"by":"bob"}]}}}`)), client.DryRunAll)
	}, "cannot patch resource \"rollouts/status\""},
	{"give a command by a write of status", func(s *stage) error {
		obj := s.bench.rollout("shop", "production")
		err := s.Client.Status().Patch(s.t.Context(), obj, client.RawPatch(types.MergePatchType,
			[]byte(`{"metadata":{"annotations":{"`+commandKey+`":"promote","`+idKey+`":"9","`+byKey+`":"bob"}}}`)), client.DryRunAll)
		return unless(err, obj, commandKey, "approve")
	}, noTrick},
	{"use the name that the server makes up", func(s *stage) error {
		obj := s.bench.channel("")
		obj.GenerateName = "production"
		return s.mallory.Create(s.t.Context(), obj, client.DryRunAll)
	}, needs + "configure on Channel production"},
	{"speak for another user", func(s *stage) error {
		c := as(s.t, s.Env, "mallory")
		return c.Get(s.t.Context(), client.ObjectKey{Name: "anna"}, &rbacv1.ClusterRole{})
	}, "cannot get resource"},
	{"bind oneself a role with the verb", func(s *stage) error {
		return s.mallory.Create(s.t.Context(), &rbacv1.RoleBinding{ObjectMeta: s.meta("more"),
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "windlass-admin"}}, client.DryRunAll)
	}, "cannot create resource"},
}

// unstamped are schemes on a server that stamps no names: nobody may write another's all the same.
var unstamped = []scheme{
	{"give a command in another's name", func(s *stage) error { return s.annotate(s.rollout, commandKey, "promote", idKey, "2", byKey, "anna") }, others},
	{"write another's name alone", func(s *stage) error { return s.annotate(s.rollout, byKey, "bob") }, others},
	{"name another author", func(s *stage) error { return s.annotate(s.rollout, authorKey, "bob") }, "changed-by is set by the API server"},
	{"name oneself the author of what one did not change", func(s *stage) error { return s.annotate(s.rollout, authorKey, "mallory") }, "changed-by is set by"},
	{"name another author of one's own change", func(s *stage) error {
		return s.merge(s.rollout, `{"metadata":{"annotations":{"`+authorKey+`":"bob"}},"spec":{"bundleRef":{"name":"evil"}}}`)
	}, "changed-by is set by"},
}

func TestSchemes(t *testing.T) {
	s := newStage(t)
	list := append(append([]scheme(nil), schemes...), refused...)
	s.run(list)
	t.Logf("%d schemes, all of them failed", len(list))
}

// TestSchemes_withoutStamps is a server older than 1.36: it has no policy that stamps names.
func TestSchemes_withoutStamps(t *testing.T) {
	newStage(t, "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding").run(append(append([]scheme(nil), unstamped...), refused...))
}

func (s *stage) run(list []scheme) {
	for _, x := range list {
		s.t.Run(x.name, func(t *testing.T) {
			at := *s // patches leave what the server answered in the objects
			at.rollout, at.channel, at.unhalting = s.rollout.DeepCopy(), s.channel.DeepCopy(), s.unhalting.DeepCopy()
			gomega.NewWithT(t).Expect(x.try(&at)).To(gomega.MatchError(gomega.ContainSubstring(x.want)))
		})
	}
}

// TestStops holds that what is allowed is allowed: a stop waits for nobody's permission to go over a command that waits, and a command
// that was carried out is in nobody's way.
func TestStops(t *testing.T) {
	s := newStage(t)
	ok := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	bindStop := &rbacv1.Role{ObjectMeta: s.meta("stopper"), Rules: []rbacv1.PolicyRule{writing,
		{APIGroups: []string{otav1alpha1.Group}, Resources: []string{"channels"}, Verbs: []string{"halt"}}}}
	s.Create(t, bindStop, &rbacv1.RoleBinding{ObjectMeta: s.meta("stopper"), RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "stopper"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "olga"}}})
	s.mallory = as(t, s.Env, "olga")
	gomega.NewWithT(t).Eventually(func() error { return s.merge(s.rollout.DeepCopy(), `{"spec":{"paused":"odd"}}`) }).
		WithTimeout(testkit.Timeout).WithPolling(testkit.Interval).Should(gomega.Succeed())

	ok("a stop over another's command", s.annotate(s.unhalting.DeepCopy(), commandKey, "halt", idKey, "2", argsKey, "odd"))
	ok("a stop over another's approval", s.annotate(s.rollout.DeepCopy(), commandKey, "pause", idKey, "2", argsKey, "odd"))
	paused := s.rollout.DeepCopy()
	ok("a stop in the spec", s.merge(paused, `{"spec":{"paused":"odd"}}`))
	if paused.Annotations[authorKey] != "anna" {
		t.Errorf("who stops a release is its author now: %q", paused.Annotations[authorKey])
	}
	ok("a label", s.merge(s.rollout.DeepCopy(), `{"metadata":{"labels":{"a":"b"},"annotations":{"example.com/x":"y"}}}`))
	done := s.unhalting.DeepCopy()
	ok("carry out the command", s.Client.Status().Patch(t.Context(), done, client.RawPatch(types.MergePatchType,
		[]byte(`{"status":{"lastCommand":{"id":"1","name":"unhalt","result":"Accepted"}}}`))))
	ok("take a command away that was carried out", s.annotate(done, commandKey, "null", idKey, "null", argsKey, "null"))
}
