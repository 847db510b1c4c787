// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/windlass-dev/windlass/internal/gateway"
	"github.com/windlass-dev/windlass/internal/gateway/ledger"
)

// decoded reads an answer, which has to be as the contract and the type say.
func decoded[T any](t *testing.T, w *httptest.ResponseRecorder) (out T) {
	t.Helper()
	d := json.NewDecoder(w.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&out); err != nil || w.Code != http.StatusOK {
		t.Fatalf("answer: %d, %v", w.Code, err)
	}
	return out
}

// The manager reads groups of a trial's devices, which add up to the counts of its stage.
func TestSlices(t *testing.T) {
	t.Parallel()
	r := startRollout(t)
	query := []string{"app", "shop", "channel", "production", "trial", "salt"}
	for i := range 5 {
		r.check(fmt.Sprint("d", i))
	}
	report := fmt.Sprintf(`{"app":"shop","channel":"production","deviceID":"d1","digest":%q,"outcome":"failed","kind":"crash"}`, r.check("d1").Bundle.Digest)
	res, err := http.Post(r.public+"/v1/report", "application/json", strings.NewReader(report))
	if err != nil || res.StatusCode != http.StatusAccepted {
		t.Fatalf("report: %v, %v", res, err)
	}
	res.Body.Close()
	var got gateway.Slices
	r.eventually("the failure is in a group", func() bool {
		got = decoded[gateway.Slices](t, r.ask(gateway.SlicesPath, query...))
		return len(got.Groups) == 1 && got.Groups[0].Candidate.Failed == 1
	})
	counts := decoded[gateway.Counts](t, r.ask(gateway.CountsPath, query[:4]...))
	if len(counts.Counts) != 1 || counts.Counts[0].Stage != 2 || counts.Counts[0].Arm != "candidate" || counts.Counts[0].Devices < 5 {
		t.Fatalf("counts %+v", counts.Counts)
	}
	row := counts.Counts[0]
	want := ledger.Group{
		Stage: 2, Platform: "ios", NativeVersion: "1.0.0",
		Candidate: ledger.Arm{Exposed: row.Devices, Voted: row.Confirmed + row.Failed, Failed: 1, FailedOnce: 1, Returned: row.Returned},
	}
	if got.Groups[0] != want || got.App != "shop" || got.Channel != "production" || got.Trial != "salt" {
		t.Errorf("%+v, want the group %+v", got, want)
	}
	if got.Ledger != counts.Ledger || got.Ledger == "" || !got.Since.Equal(counts.Since) || got.MetadataVersion != counts.MetadataVersion || got.MetadataVersion == 0 {
		t.Errorf("groups of %+v, and counts of %+v", got, counts)
	}
	none := decoded[gateway.Slices](t, r.ask(gateway.SlicesPath, append(query[:5:5], "another")...))
	if none.Groups == nil || len(none.Groups) != 0 {
		t.Errorf("groups of a trial that nobody knows: %#v, want an empty list", none.Groups)
	}
	for missing := range len(query) / 2 {
		part := append(append([]string{}, query[:2*missing]...), query[2*missing+2:]...)
		if w := r.ask(gateway.SlicesPath, part...); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), fmt.Sprintf(`"field":%q`, query[2*missing])) {
			t.Errorf("without %s: %d %s", query[2*missing], w.Code, w.Body)
		}
	}
}
