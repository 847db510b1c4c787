// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package api

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/actor"
	"github.com/windlass-dev/windlass/internal/command"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/serve"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// largest is a command as large as annotations can make it, whose arguments can be read.
func largest(name, args string) map[string]string {
	g := command.Given{ID: strings.Repeat("i", 500), Name: name, Args: args}.Annotations()
	g[otav1alpha1.RequestedByAnnotation] = strings.Repeat("ü", 500)
	return g
}

// What the manager writes of commands fits into the API, however much people write into annotations.
func TestCommands_fit(t *testing.T) {
	env := testkit.Start(t)
	digest, reason := "sha256:"+strings.Repeat("a", 64), strings.Repeat("ü", command.MaxReason/2)
	trust := actor.Trust{Actor: otav1alpha1.ActorUnverified}
	for name, args := range map[string]string{
		command.Halt: reason, command.Rollback: "Bundle/" + strings.Repeat("b", 253) + " " + reason, command.Allow: digest + " " + reason,
		command.Override: digest + " native-code " + reason, strings.Repeat("ü", 500): reason, command.Unhalt: strings.Repeat("\n", 5000),
	} {
		ch := env.Channel("fit")
		ch.GenerateName, ch.Name, ch.Annotations = "fit-", "", largest(name, args)
		env.Create(t, ch)
		document := &release.Document{Revision: 1, Refused: []release.Refusal{{Digest: digest, At: 1}},
			Stable: &release.Bundle{Name: "b", Digest: "sha256:" + strings.Repeat("b", 64)}}
		ch.Status.Published = &otav1alpha1.PublishedStatus{Revision: 1}
		old := &otav1alpha1.Bundle{Spec: otav1alpha1.BundleSpec{App: ch.Spec.App, Version: "1.0.0", Digest: otav1alpha1.Digest("sha256:" + strings.Repeat("c", 64))}}
		old.Name = strings.Repeat("b", 253)
		old.Status.Conditions = []metav1.Condition{{Type: otav1alpha1.ReadyCondition, Status: metav1.ConditionTrue}}
		old.Status.Artifact = &otav1alpha1.ArtifactStatus{Digest: old.Spec.Digest}
		ch.Status.History = []otav1alpha1.ChannelHistoryEntry{{Digest: old.Spec.Digest, As: otav1alpha1.RoleStable}}
		st, waits := serve.Obey(ch, time.Now(), trust, &serve.Facts{Channel: ch, Committed: document, Bundles: map[string]*otav1alpha1.Bundle{old.Name: old}})
		if waits || st.LastCommand.Result != otav1alpha1.CommandAccepted && !strings.HasPrefix(name, "ü") && name != command.Unhalt {
			t.Fatalf("%.20s: %+v", name, st)
		}
		ch.Status = *st
		if err := env.Client.Status().Update(t.Context(), ch); err != nil {
			t.Errorf("%.20s: %v", name, err)
		}
	}
	repo := env.Repository(&testkit.Bucket{Name: "updates", Endpoint: "http://127.0.0.1:9"}, testkit.NewAuthor(t, "ci"))
	repo.Annotations = largest(command.Halt, reason)
	env.Create(t, repo)
	repo.Status = *serve.ObeyRepository(repo, time.Now(), trust)
	if err := env.Client.Status().Update(t.Context(), repo); err != nil || repo.Status.Halt == nil {
		t.Errorf("Repository: %v, %+v", err, repo.Status.LastCommand)
	}
}

// What does not fit is refused by the server, too: nobody writes it by another way.
func TestCommands_bounds(t *testing.T) {
	env := testkit.Start(t)
	ch := env.Channel("bounds")
	env.Create(t, ch)
	long := strings.Repeat("r", command.MaxReason+1)
	for patch, want := range map[string]string{
		`{"halt":{"reason":"why","by":"jane","actor":"Verified"}}`:    "",
		`{"halt":{"by":"jane"}}`:                                      "status.halt.reason",
		`{"halt":{"reason":""}}`:                                      "status.halt.reason",
		`{"halt":{"reason":"` + long + `"}}`:                          "status.halt.reason",
		`{"halt":{"reason":"why","actor":"Known"}}`:                   "status.halt.actor",
		`{"halt":{"reason":"why","by":"` + long + `"}}`:               "status.halt.by",
		`{"rollback":{"order":1,"to":"Embedded"}}`:                    "",
		`{"rollback":{"to":"Stable"}}`:                                "status.rollback.order",
		`{"rollback":{"order":0}}`:                                    "status.rollback.order",
		`{"rollback":{"order":1,"to":"Yesterday"}}`:                   "status.rollback.to",
		`{"rollback":{"order":1,"from":"abc"}}`:                       "status.rollback.from",
		`{"rollback":{"order":1,"bundle":""}}`:                        "status.rollback.bundle",
		`{"rollback":{"order":1,"reason":"` + long + `"}}`:            "status.rollback.reason",
		`{"allowed":{"order":1}}`:                                     "status.allowed.digest",
		`{"allowed":{"order":0,"digest":"sha256:` + long[:64] + `"}}`: "status.allowed.order",
	} {
		err := env.Client.Status().Patch(t.Context(), ch.DeepCopy(), client.RawPatch("application/merge-patch+json", []byte(`{"status":`+patch+`}`)), client.DryRunAll)
		check(t, err, want)
	}
}
