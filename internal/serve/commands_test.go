// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/actor"
	"github.com/windlass-dev/windlass/internal/command"
	"github.com/windlass-dev/windlass/internal/release"
)

var proven = actor.Trust{Actor: otav1alpha1.ActorVerified}

// ask gives a command, and lets it be carried out with all facts.
func ask(f *Facts, name, args string) *otav1alpha1.CommandStatus {
	ch := f.Channel.DeepCopy()
	ch.Annotations = command.Given{ID: fmt.Sprint(lastOrder(ch), name, args), Name: name, Args: args}.Annotations()
	ch.Annotations[otav1alpha1.RequestedByAnnotation] = "jane"
	if f.Committed != nil {
		ch.Status.Published = &otav1alpha1.PublishedStatus{Revision: f.Committed.Revision}
	}
	g := *f
	g.Channel = ch
	st, waits := Obey(ch, f.Now, proven, &g)
	if waits {
		return nil
	}
	ch.Status = *st
	f.Channel = ch
	return st.LastCommand
}

func wasStable(n int) otav1alpha1.ChannelHistoryEntry {
	b := bundle(n)
	return otav1alpha1.ChannelHistoryEntry{Bundle: b.Name, Digest: b.Spec.Digest, Version: b.Spec.Version, As: otav1alpha1.RoleStable}
}

func withCandidate() (*release.Document, otav1alpha1.Rollout) {
	r := rollout("shop", candidateOf(2, "10"))
	return Next(facts(published(), r)).Document, r
}

// What a rollback by a person leads to, and what it does not lead to.
func TestRollback(t *testing.T) {
	remember := func(n int) func(*Facts) {
		return func(f *Facts) {
			f.Channel.Status.History = append(f.Channel.Status.History, wasStable(n))
		}
	}
	under := func(f *Facts) {
		doc, r := withCandidate()
		f.Committed, f.Rollouts = doc, []otav1alpha1.Rollout{r}
	}
	for name, tc := range map[string]struct {
		args    string
		change  []func(*Facts)
		want    string
		refused string
	}{
		"to what was stable":              {args: "Stable", want: "r8 stable=shop-0 previous=- refused=1.1.0"},
		"to nothing of ours":              {args: "Embedded", want: "r8 stable=- previous=- refused=1.1.0"},
		"to the one before, by name":      {args: "Bundle/shop-0", want: "r8 stable=shop-0 previous=- refused=1.1.0"},
		"to an older one":                 {args: "Bundle/shop-3", change: []func(*Facts){remember(3)}, want: "r8 stable=shop-3 previous=- refused=1.1.0"},
		"a candidate":                     {args: "Stable", change: []func(*Facts){under}, want: "r9 stable=shop-1 previous=shop-0 refused=1.2.0"},
		"a candidate, to stable by name":  {args: "Bundle/shop-1", change: []func(*Facts){under}, want: "r9 stable=shop-1 previous=- refused=1.2.0"},
		"a candidate, to an older one":    {args: "Bundle/shop-0", change: []func(*Facts){under}, want: "r9 stable=shop-0 previous=- refused=1.2.0"},
		"a candidate, to nothing of ours": {args: "Embedded", change: []func(*Facts){under}, want: "r9 stable=- previous=- refused=1.2.0"},
		"a candidate whose commit is under way": {args: "Stable", change: []func(*Facts){func(f *Facts) { f.Rollouts = []otav1alpha1.Rollout{rollout("shop", candidateOf(2, "1"))} }},
			want: "r8 stable=shop-1 previous=shop-0 refused=1.2.0"},
		"nothing was stable before": {args: "Stable", change: []func(*Facts){func(f *Facts) { f.Committed.Previous = nil }}, want: "r8 stable=- previous=- refused=1.1.0"},
		"the history knows what was stable before": {args: "Stable", change: []func(*Facts){func(f *Facts) { f.Committed.Previous = nil }, remember(3), remember(0)},
			want: "r8 stable=shop-3 previous=- refused=1.1.0"},
		"what was stable before is revoked": {args: "Stable", change: []func(*Facts){func(f *Facts) { f.Bundles["shop-0"].Spec.Revoked = "CVE" }, remember(3)},
			want: "r8 stable=shop-3 previous=- refused=1.0.0 refused=1.1.0"},
		"the embedded bundle is served": {args: "Bundle/shop-0", change: []func(*Facts){func(f *Facts) { f.Committed.Stable = nil }}, want: "r8 stable=shop-0 previous=-"},

		"no reason":                 {args: "", refused: "say why"},
		"nothing published":         {args: "Stable", change: []func(*Facts){func(f *Facts) { f.Committed = nil }}, refused: "nothing is published yet"},
		"nothing stable":            {args: "Stable", change: []func(*Facts){func(f *Facts) { f.Committed.Stable = nil }}, refused: "embedded bundle already"},
		"embedded already":          {args: "Embedded", change: []func(*Facts){func(f *Facts) { f.Committed.Stable = nil }}, refused: "embedded bundle already"},
		"to what is taken back":     {args: "Bundle/shop-1", refused: "is what is taken back"},
		"to what does not exist":    {args: "Bundle/shop-9", refused: "there is no Bundle shop-9"},
		"to what was never stable":  {args: "Bundle/shop-3", refused: "has not been stable here"},
		"to what was candidate":     {args: "Bundle/shop-3", change: []func(*Facts){remember(3), func(f *Facts) { f.Channel.Status.History[0].As = otav1alpha1.RoleCandidate }}, refused: "has not been stable here"},
		"to a namesake of it":       {args: "Bundle/shop-3", change: []func(*Facts){remember(3), func(f *Facts) { f.Bundles["shop-3"].Spec.Digest = digestOf(9) }}, refused: "has not been stable here"},
		"to what is revoked":        {args: "Bundle/shop-0", change: []func(*Facts){func(f *Facts) { f.Bundles["shop-0"].Spec.Revoked = "CVE" }}, refused: "cannot be served: revoked: CVE"},
		"to what is not trusted":    {args: "Bundle/shop-0", change: []func(*Facts){func(f *Facts) { f.Bundles["shop-0"].Status.Conditions[0].Status = "False" }}, refused: "cannot be served"},
		"to what is refused":        {args: "Bundle/shop-3", change: []func(*Facts){remember(3), refusing(3)}, refused: "lift that first with the command allow sha256:"},
		"to another app":            {args: "Bundle/shop-0", change: []func(*Facts){func(f *Facts) { f.Bundles["shop-0"].Spec.App = "bank" }}, refused: "for app bank"},
		"to another Repository":     {args: "Bundle/shop-0", change: []func(*Facts){func(f *Facts) { f.Bundles["shop-0"].Spec.RepositoryRef = &otav1alpha1.LocalReference{Name: "x"} }}, refused: "kept in Repository x"},
		"below the channel's floor": {args: "Bundle/shop-0", change: []func(*Facts){func(f *Facts) { f.Channel.Spec.Guards = &otav1alpha1.Guards{Floor: "1.1.0"} }}, refused: "below the channel's floor"},
		"below the Repository's":    {args: "Bundle/shop-0", change: []func(*Facts){func(f *Facts) { f.LeastVersion = "1.1.0" }}, refused: "withdrawn for security"},
		"no room":                   {args: "Stable", change: []func(*Facts){full}, refused: "there is no room for another one"},
	} {
		t.Run(name, func(t *testing.T) {
			f := facts(published())
			for _, c := range tc.change {
				c(&f)
			}
			args := tc.args + " logins fail"
			if tc.args == "" {
				args = "Stable "
			}
			got := ask(&f, command.Rollback, args)
			if !strings.Contains(got.Message, tc.refused) || (got.Result == otav1alpha1.CommandRefused) != (tc.refused != "") {
				t.Fatalf("%s: %q, want a refusal with %q", got.Result, got.Message, tc.refused)
			}
			if tc.refused != "" {
				if f.Channel.Status.Rollback != nil {
					t.Errorf("refused, and recorded all the same: %+v", f.Channel.Status.Rollback)
				}
				return
			}
			o := Next(f)
			if diff := cmp.Diff(tc.want, summary(o.Document)); diff != "" {
				t.Error(diff)
			}
			r := f.Channel.Status.Rollback
			if r.By != "jane" || r.Actor != otav1alpha1.ActorVerified || r.Reason != "logins fail" || r.At == nil {
				t.Errorf("recorded: %+v", r)
			}
			if why := o.Refusals[string(r.From)]; r.From != "" && why != (Refusal{By: "user/jane", Reason: "logins fail"}) {
				t.Errorf("refused by %+v", why)
			}
			f.Committed = o.Document
			if again := Next(f).Document; !cmp.Equal(again, o.Document) {
				t.Errorf("carried out twice: %s", cmp.Diff(o.Document, again))
			}
		})
	}
}

func refusing(n int) func(*Facts) {
	return func(f *Facts) {
		f.Committed.Refused = append(f.Committed.Refused, release.Refusal{Digest: string(digestOf(n)), Version: fmt.Sprintf("1.%d.0", n), At: 1})
	}
}

func full(f *Facts) {
	for i := range MaxRefused {
		f.Committed.Refused = append(f.Committed.Refused, release.Refusal{Digest: fmt.Sprintf("sha256:%063dx", i), At: 1})
	}
}

// What a person allows is lifted, unless something still stands for the refusal.
func TestAllow(t *testing.T) {
	for name, tc := range map[string]struct {
		change  func(*Facts)
		refused string
	}{
		"lifted":      {func(*Facts) {}, ""},
		"not refused": {func(f *Facts) { f.Committed.Refused = nil }, "not refused here"},
		"unpublished": {func(f *Facts) { f.Committed = nil }, "not refused here"},
		"revoked":     {func(f *Facts) { f.Bundles["shop-2"].Spec.Revoked = "CVE" }, "the refusal stays: revoked: CVE (bundle/shop-2)"},
		"below floor": {func(f *Facts) { f.LeastVersion = "1.3.0" }, "withdrawn for security (repository/default)"},
		"no longer trusted": {func(f *Facts) {
			f.Channel.Status.History = []otav1alpha1.ChannelHistoryEntry{wasStable(2)}
			c := &f.Bundles["shop-2"].Status.Conditions
			*c = append(*c, (*c)[0])
			(*c)[1].Type, (*c)[1].Status, (*c)[1].Reason = otav1alpha1.VerifiedCondition, "False", "SignatureInvalid"
		}, "the refusal stays: no longer trusted"},
		"taken back right now": {func(f *Facts) {
			a := candidateOf(2, "")
			a.State, a.Refuse = otav1alpha1.AssignmentWithdrawn, "8 of 100 failed"
			f.Rollouts = []otav1alpha1.Rollout{rollout("shop", a)}
		}, "the refusal stays: 8 of 100 failed (rollout/shop)"},
	} {
		t.Run(name, func(t *testing.T) {
			f := facts(published())
			refusing(2)(&f)
			tc.change(&f)
			got := ask(&f, command.Allow, string(digestOf(2))+" mended on the server")
			if !strings.Contains(got.Message, tc.refused) || (got.Result == otav1alpha1.CommandRefused) != (tc.refused != "") {
				t.Fatalf("%s: %q, want a refusal with %q", got.Result, got.Message, tc.refused)
			}
			if tc.refused != "" {
				return
			}
			first := Next(f).Document
			if first.Refuses(string(digestOf(2))) {
				t.Error("refused all the same")
			}
			f.Committed = first
			refusing(2)(&f) // again, by something else
			if !Next(f).Document.Refuses(string(digestOf(2))) {
				t.Error("allowed once, lifted twice")
			}
		})
	}
}

// Where the analysis of a Rollout fails, devices are brought back to what it names, once.
func TestNext_retreat(t *testing.T) {
	to := func(target otav1alpha1.RollbackTarget, bundle string) *otav1alpha1.RollbackSpec {
		out := &otav1alpha1.RollbackSpec{To: target}
		if bundle != "" {
			out.BundleRef = &otav1alpha1.LocalReference{Name: bundle}
		}
		return out
	}
	for name, tc := range map[string]struct {
		spec   *otav1alpha1.RollbackSpec
		change func(*Facts)
		want   string
	}{
		"nothing said":        {nil, nil, "r9 stable=shop-1 previous=shop-0 refused=1.2.0"},
		"stable":              {to(otav1alpha1.RollbackToStable, ""), nil, "r9 stable=shop-1 previous=shop-0 refused=1.2.0"},
		"embedded":            {to(otav1alpha1.RollbackToEmbedded, ""), nil, "r9 stable=- previous=- refused=1.2.0"},
		"a bundle":            {to(otav1alpha1.RollbackToBundle, "shop-0"), nil, "r9 stable=shop-0 previous=- refused=1.2.0"},
		"never stable":        {to(otav1alpha1.RollbackToBundle, "shop-3"), nil, "r9 stable=shop-1 previous=shop-0 refused=1.2.0"},
		"none of this name":   {to(otav1alpha1.RollbackToBundle, "shop-9"), nil, "r9 stable=shop-1 previous=shop-0 refused=1.2.0"},
		"the one that fails":  {to(otav1alpha1.RollbackToBundle, "shop-2"), nil, "r9 stable=shop-1 previous=shop-0 refused=1.2.0"},
		"revoked":             {to(otav1alpha1.RollbackToBundle, "shop-0"), func(f *Facts) { f.Bundles["shop-0"].Spec.Revoked = "CVE" }, "r9 stable=shop-1 previous=- refused=1.0.0 refused=1.2.0"},
		"aborted by a person": {to(otav1alpha1.RollbackToEmbedded, ""), func(f *Facts) { f.Rollouts[0].Status.Release.Outcome = otav1alpha1.ReleaseAborted }, "r9 stable=shop-1 previous=shop-0 refused=1.2.0"},
		"fails once it is stable": {to(otav1alpha1.RollbackToEmbedded, ""), func(f *Facts) {
			d := f.Committed
			d.Stable, d.Previous, d.Candidate = &d.Candidate.Bundle, d.Stable, nil
		}, "r9 stable=- previous=- refused=1.2.0"},
		"a person wants another one": {to(otav1alpha1.RollbackToEmbedded, ""), func(f *Facts) {
			f.Channel.Status.Rollback = &otav1alpha1.ChannelRollback{Order: 1, From: digestOf(2), To: otav1alpha1.RollbackToBundle, Bundle: "shop-0", Reason: "x", By: "jane"}
		}, "r9 stable=shop-0 previous=- refused=1.2.0"},
	} {
		t.Run(name, func(t *testing.T) {
			doc, r := withCandidate()
			f := facts(doc, r)
			a := r.Status.Assignment.DeepCopy()
			a.State, a.Refuse, a.Weight = otav1alpha1.AssignmentWithdrawn, "8 of 100 failed", ""
			f.Rollouts[0].Spec.Rollback, f.Rollouts[0].Status.Assignment = tc.spec, a
			f.Rollouts[0].Status.Release = &otav1alpha1.ReleaseStatus{State: otav1alpha1.ReleaseRollingBack, Outcome: otav1alpha1.ReleaseRolledBack}
			if tc.change != nil {
				tc.change(&f)
			}
			first := Next(f).Document
			if diff := cmp.Diff(tc.want, summary(first)); diff != "" {
				t.Error(diff)
			}
			f.Committed = first
			if again := Next(f).Document; !cmp.Equal(first, again) {
				t.Errorf("does not come to rest: %s", cmp.Diff(first, again))
			}
		})
	}
}

// Commands that depend on what is served have their turn one by one, and never without facts.
func TestObey_turns(t *testing.T) {
	f := facts(published())
	f.Channel.Annotations = command.Given{ID: "1", Name: command.Rollback, Args: "Stable logins fail"}.Annotations()
	if st, waits := Obey(f.Channel, start, proven, nil); st != nil || !waits {
		t.Errorf("without facts: %+v, waits: %v", st, waits)
	}
	for name, change := range map[string]func(*otav1alpha1.ChannelStatus){
		"status says nothing yet":     func(st *otav1alpha1.ChannelStatus) { st.Published = nil },
		"status is of another commit": func(st *otav1alpha1.ChannelStatus) { st.Published.Revision = 6 },
		"a rollback is not committed": func(st *otav1alpha1.ChannelStatus) { st.Rollback = &otav1alpha1.ChannelRollback{Order: 1} },
		"an allowance is not":         func(st *otav1alpha1.ChannelStatus) { st.Allowed = &otav1alpha1.AllowedBundle{Order: 1} },
	} {
		ch := f.Channel.DeepCopy()
		ch.Status.Published = &otav1alpha1.PublishedStatus{Revision: 7}
		change(&ch.Status)
		if st, waits := Obey(ch, start, proven, &f); st != nil || !waits {
			t.Errorf("%s: %+v, waits: %v", name, st, waits)
		}
	}
	f.Committed.Orders = 41 // the status was lost with etcd
	if ask(&f, command.Rollback, "Stable logins fail"); f.Channel.Status.Rollback.Order != 42 {
		t.Errorf("order %d would never be carried out", f.Channel.Status.Rollback.Order)
	}
}

// A Channel is halted for as long as anything asks for it, and nobody lifts what is not theirs.
func TestHalt(t *testing.T) {
	repository := &otav1alpha1.Repository{}
	repository.Name = "default"
	f := facts(published())
	f.Repository = repository
	serving := func(want string, why ...string) {
		t.Helper()
		if got := Next(f).Document.Serving; got != want {
			t.Errorf("serving is %s, want %s", got, want)
		}
		if got := Halted(f.Channel, repository); got != strings.Join(why, "; ") {
			t.Errorf("halted: %q, want %q", got, why)
		}
	}
	refused := func(got *otav1alpha1.CommandStatus, want string) {
		t.Helper()
		if got.Result != otav1alpha1.CommandRefused || !strings.Contains(got.Message, want) {
			t.Errorf("%s: %q, want a refusal with %q", got.Result, got.Message, want)
		}
	}
	refused(ask(&f, command.Halt, ""), "say why")
	refused(ask(&f, command.Unhalt, "all is well"), "nobody has halted this Channel")
	serving(release.Active)
	ask(&f, command.Halt, "logins fail")
	serving(release.Halted, "halted by jane: logins fail")
	refused(ask(&f, command.Unhalt, ""), "say why")
	serving(release.Halted, "halted by jane: logins fail")
	f.Channel.Spec.Serving = otav1alpha1.ServingHalted
	repository.Status = *askRepository(repository, "1", command.Halt, "the bucket leaks")
	serving(release.Halted, "spec.serving is Halted", "halted by jane: logins fail", "Repository default is halted by ben: the bucket leaks")
	ask(&f, command.Unhalt, "all is well")
	serving(release.Halted, "spec.serving is Halted", "Repository default is halted by ben: the bucket leaks")
	refused(ask(&f, command.Unhalt, "really"), "spec.serving is Halted, which is Git's own stop")
	f.Channel.Spec.Serving = ""
	serving(release.Halted, "Repository default is halted by ben: the bucket leaks")
	repository.Status = *askRepository(repository, "2", command.Unhalt, "it does not")
	serving(release.Active)
}

func askRepository(r *otav1alpha1.Repository, id, name, args string) *otav1alpha1.RepositoryStatus {
	r = r.DeepCopy()
	r.Annotations = command.Given{ID: id, Name: name, Args: args}.Annotations()
	r.Annotations[otav1alpha1.RequestedByAnnotation] = "ben"
	return ObeyRepository(r, start, proven)
}

func TestObeyRepository(t *testing.T) {
	r := &otav1alpha1.Repository{}
	r.Name = "default"
	if st := ObeyRepository(r, start, proven); st != nil {
		t.Errorf("without a command: %+v", st)
	}
	for name, tc := range map[string]struct{ command, args, want string }{
		"unknown":           {command.Rollback, "Stable x", "a Repository knows the commands halt and unhalt, not rollback"},
		"no reason":         {command.Halt, " ", "say why"},
		"unhalt, no reason": {command.Unhalt, "", "say why"},
		"not halted":        {command.Unhalt, "all is well", "nobody has halted Repository default"},
	} {
		st := askRepository(r, "1", tc.command, tc.args)
		if st.Halt != nil || st.LastCommand.Result != otav1alpha1.CommandRefused || !strings.Contains(st.LastCommand.Message, tc.want) {
			t.Errorf("%s: %+v", name, st.LastCommand)
		}
	}
	st := askRepository(r, "1", command.Halt, "the bucket leaks")
	if h := st.Halt; h == nil || h.By != "ben" || h.Actor != otav1alpha1.ActorVerified || h.Reason != "the bucket leaks" || st.LastCommand.Message != "the bucket leaks" {
		t.Errorf("got %+v, %+v", st.Halt, st.LastCommand)
	}
	r.Status = *st
	if again := askRepository(r, "1", command.Halt, "the bucket leaks"); again != nil {
		t.Errorf("carried out twice: %+v", again)
	}
}
