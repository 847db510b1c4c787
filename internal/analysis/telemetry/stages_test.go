// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windlass-dev/windlass/internal/analysis/blame"
	"github.com/windlass-dev/windlass/internal/analysis/eprocess"
	"github.com/windlass-dev/windlass/internal/release"
)

// says is a gateway that gives fixed answers to a question of each kind.
func says(t *testing.T, ledger, counts, groups string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := `"counts":[` + counts + `]`
		if r.URL.Path == "/internal/v1/slices" {
			if r.URL.Query().Get("trial") != salt(1) {
				t.Errorf("asked for the trial %q", r.URL.Query().Get("trial"))
			}
			body = `"groups":[` + groups + `]`
		}
		if q := r.URL.Query(); q.Get("app") != "shop" || q.Get("channel") != "production" {
			t.Errorf("asked for %v", q)
		}
		_, _ = fmt.Fprintf(w, `{"ledger":%q,"since":"2026-01-01T00:00:00Z",%s}`, ledger, body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// row is one of counts, with the devices, the confirmed, failed and returned ones, and those that healed.
func row(stage int32, arm string, n ...int64) string {
	n = append(n, 0)
	return fmt.Sprintf(`{"arm":%q,"trial":%q,"stage":%d,"candidate":%q,"devices":%d,"confirmed":%d,"failed":%d,"failedOnce":%d,"returned":%d}`,
		arm, salt(1), stage, candidate, n[0], n[1], n[2], n[2]+n[4], n[3])
}

// group is one of slices, with the candidate's and the control's exposed devices.
func group(stage int32, platform, version string, candidate, control int64) string {
	return fmt.Sprintf(`{"stage":%d,"platform":%q,"nativeVersion":%q,"osVersion":"17","region":"DE","candidate":{"exposed":%d,"voted":2,"failed":1,"failedOnce":2,"returned":3},"control":{"exposed":%d}}`,
		stage, platform, version, candidate, control)
}

func TestStagesOfDifferentLedgers(t *testing.T) {
	t.Parallel()
	other := strings.Replace(row(1, "candidate", 99, 99, 99, 99), salt(1), salt(2), 1)
	first := says(t, "one", strings.Join([]string{
		row(2, "candidate", 10, 4, 2, 3, 3), row(1, "control", 30, 5, 1, 9), row(1, "candidate", 20, 4, 0, 8), other,
		row(2, "none", 99, 99, 99, 99), strings.Replace(row(0, "control", 1, 0, 1, 0), `"stage":0,`, "", 1),
	}, ","), group(2, "ios", "4.2.0", 3, 4)+","+group(1, "ios", "4.2.0", 5, 6)+","+group(1, "android", "4.2.0", 50, 6))
	second := says(t, "two", row(2, "control", 7, 0, 0, 7)+","+row(2, "candidate", 5, 5, 0, 0), group(1, "ios", "4.2.0", 1, 2))
	c := client(t, first, second, first+"/")
	got, err := c.Counts(t.Context(), trial(1))
	if err != nil {
		t.Fatal(err)
	}
	want := []eprocess.Stage{
		{Control: eprocess.Arm{Exposed: 1, Voted: 1, Failed: 1}},
		{ID: 1, Candidate: eprocess.Arm{Exposed: 20, Voted: 4, Returned: 8}, Control: eprocess.Arm{Exposed: 30, Voted: 6, Failed: 1, Returned: 9}},
		{ID: 2, Candidate: eprocess.Arm{Exposed: 15, Voted: 11, Failed: 5, Returned: 3}, Control: eprocess.Arm{Exposed: 7, Returned: 7}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stages (-want +got):\n%s", diff)
	}
	groups, err := c.Slices(t.Context(), trial(1))
	if err != nil {
		t.Fatal(err)
	}
	like := func(stage int32, platform string, ledgers, candidate, control int64) blame.Group {
		return blame.Group{
			Stage: stage, Platform: platform, NativeVersion: "4.2.0", OSVersion: "17", Region: "DE",
			Candidate: eprocess.Arm{Exposed: candidate, Voted: 2 * ledgers, Failed: 2 * ledgers, Returned: 3 * ledgers}, Control: eprocess.Arm{Exposed: control},
		}
	}
	wanted := []blame.Group{like(1, "android", 1, 50, 6), like(1, "ios", 2, 6, 8), like(2, "ios", 1, 3, 4)}
	if diff := cmp.Diff(wanted, groups); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
}

// Of the answers of one ledger the one that was read last counts, in whichever order they come.
func TestNewestAnswerOfALedger(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ older, newer []int64 }{
		"more devices": {[]int64{10, 5, 5, 10}, []int64{11, 0, 0, 0}},
		"more votes":   {[]int64{10, 0, 1, 10}, []int64{10, 2, 0, 0}},
		"more returns": {[]int64{10, 1, 1, 1}, []int64{10, 1, 1, 2}},
	} {
		older, newer := says(t, "one", row(1, "candidate", tc.older...), ""), says(t, "one", row(1, "candidate", tc.newer...), "")
		for _, order := range [][]string{{older, newer}, {newer, older}} {
			got, err := client(t, order...).Counts(t.Context(), trial(1))
			if err != nil || len(got) != 1 || got[0].Candidate.Exposed != tc.newer[0] || got[0].Candidate.Returned != tc.newer[3] {
				t.Errorf("%s: %+v, %v, want %v", name, got, err, tc.newer)
			}
		}
	}
}

// A stage that begins in a real gateway counts all devices anew, and leaves what was counted before alone.
func TestStagesOfARelease(t *testing.T) {
	t.Parallel()
	repo, url := publish(t)
	r := startReplica(t, repo, url, sqlite(t))
	c := client(t, r.internal.URL)
	first := drive(r)
	eventually(t, c, first)
	raised := document(1)
	raised.Revision, raised.Candidate.Stage, raised.Candidate.Weight = 2, 2, release.FullWeight
	repo.Publish(raised)
	for i, deadline := 0, time.Now().Add(time.Minute); i < 20; { // emulators in a row that get the candidate; they do not count
		if time.Now().After(deadline) {
			t.Fatal("the weight never rose")
		}
		answer := r.post("/v1/check", fmt.Sprintf(
			`{"app":"shop","channel":"production","deviceID":"e%d","platform":"ios","nativeVersion":"1.0.0","build":{"hardware":"Emulator"}}`, i))
		if i++; !strings.Contains(answer, candidate) {
			i = 0
		}
	}
	for i := range 200 {
		r.check(fmt.Sprintf("d%d", i))
	}
	want := []eprocess.Stage{{ID: 1, Candidate: first[0], Control: first[1]}, {ID: 2, Candidate: eprocess.Arm{Exposed: 200}}}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) { // of a poll for a condition
		got, err := c.Counts(t.Context(), trial(1))
		if err != nil {
			t.Fatal(err)
		}
		for i := range got {
			got[i].Candidate.Returned, got[i].Control.Returned = 0, 0 // as slow as this machine is
		}
		diff := cmp.Diff(want, got)
		if diff == "" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("stages (-want +got):\n%s", diff)
		}
	}
}

// What devices tell when they fail, heal, crash and say that they do not vote: those that failed stay failed for the tests, as long as they
// vote, and never more devices failed than voted.
func TestHealedDevicesStayFailed(t *testing.T) {
	t.Parallel()
	repo, url := publish(t)
	r := startReplica(t, repo, url, sqlite(t))
	c := client(t, r.internal.URL)
	var id string
	for i := 0; id == ""; i++ {
		if one := fmt.Sprintf("d%d", i); r.check(one) == candidate {
			id = one
		}
	}
	expect := func(when string, voted, failed int64) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) { // of a poll for a condition
			got, err := c.Counts(t.Context(), trial(1))
			if err != nil || len(got) > 1 {
				t.Fatalf("%s: %+v, %v", when, got, err)
			}
			a := append(got, eprocess.Stage{})[0].Candidate // none before the first check is written
			if a.Failed > a.Voted || a.Voted > a.Exposed {
				t.Fatalf("%s: impossible counts: %+v", when, a)
			}
			if a.Voted == voted && a.Failed == failed {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %+v, want %d voted and %d failed", when, a, voted, failed)
			}
		}
	}
	r.report(id, candidate, `"outcome":"failed","kind":"rollback"`)
	expect("failed", 1, 1)
	r.report(id, candidate, `"outcome":"confirmed"`)
	expect("healed", 1, 1)
	r.report(id, candidate, `"outcome":"failed","kind":"crash"`)
	expect("crashed", 1, 1)
	r.report(id, candidate, `"outcome":"confirmed","build":{"hardware":"Emulator"}`)
	expect("votes no more", 0, 0)
}
