// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/audit"
)

// records reads the audit log of the Repository, and demands that it verifies up to what its status says.
func (r *rig) records() []audit.Record {
	r.Helper()
	repo := r.Repository(r.Bucket, r.author)
	if err := r.Client.Get(r.Context(), client.ObjectKeyFromObject(repo), repo); err != nil {
		r.Fatal(err)
	}
	st := repo.Status.Audit
	if st == nil {
		r.Fatal("status.audit is empty")
	}
	b := r.OpenBucket()
	v := audit.NewVerifier(1, audit.Anchor{Head: audit.Head{Sequence: st.Sequence, Hash: string(st.Hash)}, Source: "status.audit"})
	var out []audit.Record
	for obj, err := range b.List(r.Context(), audit.Folder) {
		if err != nil {
			r.Fatal(err)
		}
		line, _, err := b.Get(r.Context(), obj.Key, audit.MaxRecord)
		if err != nil {
			r.Fatal(err)
		}
		n, _ := audit.SequenceOf(obj.Key)
		rec, _ := v.Add(n, line)
		out = append(out, rec)
	}
	report := v.Report()
	if len(report.Faults) > 0 || len(report.Anchors) != 1 || report.Head.Sequence != st.Sequence {
		r.Errorf("the audit log does not verify: %+v; status %+v", report, st)
	}
	return out
}

// recordedOnce demands that each release is told from its start to its end, each transition once, and that nothing waits any more.
func (r *rig) recordedOnce(ro *otav1alpha1.Rollout, releases int) {
	r.Helper()
	told := map[string][]string{}
	for _, rec := range r.records() {
		if rec.Kind == "Rollout" {
			told[rec.Bundle] = append(told[rec.Bundle], rec.Action)
		}
	}
	for n := 1; n <= releases; n++ {
		bundle := fmt.Sprintf("shop-%d", n)
		got := told[bundle]
		want := []string{"ReleaseStarted", "Completed"}
		if n%3 == 0 {
			want = []string{"ReleaseStarted", "RollingBack", "RolledBack"}
		}
		for _, action := range want {
			if count(got, action) != 1 {
				r.Errorf("%s: %s is told %d times in %s", bundle, action, count(got, action), strings.Join(got, " "))
			}
		}
		if len(got) == 0 || got[0] != want[0] || got[len(got)-1] != want[len(want)-1] {
			r.Errorf("%s: told as %s, want from %s to %s", bundle, strings.Join(got, " "), want[0], want[len(want)-1])
		}
		if n%3 != 0 && slices.Contains(got, "RollingBack") || n%3 == 0 && slices.Contains(got, "Completed") {
			r.Errorf("%s: told as %s", bundle, strings.Join(got, " "))
		}
	}
	if err := r.read(ro); err != nil {
		r.Fatal(err)
	}
	if len(ro.Status.Unrecorded) > 0 {
		r.Errorf("%d transitions still wait for the log", len(ro.Status.Unrecorded))
	}
}

func count(all []string, one string) (n int) {
	for _, s := range all {
		if s == one {
			n++
		}
	}
	return n
}
