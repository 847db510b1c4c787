// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/audit"
)

func record(sequence int64) audit.Record {
	return audit.Record{
		Sequence: sequence, Previous: "sha256:aa", ID: "0b6f/3/RollingBack", At: time.Date(2026, 11, 22, 10, 0, 0, 123456000, time.UTC),
		Kind: "Rollout", Namespace: "mobile", Name: "shop", UID: "0b6f", App: "com.example.shop", Channel: "production",
		Action: "RollingBack", Message: "shop-3: failed", Bundle: "shop-3", Version: "1.2.0", Weight: "10",
		Evidence: []string{"failures: 9/40"}, Candidate: &otav1alpha1.ArmCounts{}, MetadataVersion: 12,
	}
}

func TestNewEvent(t *testing.T) {
	raw, err := NewEvent(record(7))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	data := got["data"].(map[string]any)
	delete(got, "data")
	want := map[string]any{
		"specversion": "1.0", "id": "0b6f/3/RollingBack", "type": "dev.windlass.ota.RollingBack", "subject": "production",
		"source": "/apis/ota.windlass.dev/v1alpha1/namespaces/mobile/rollouts/shop", "time": "2026-11-22T10:00:00.123456Z",
		"datacontenttype": "application/json", "sequence": "000000000007",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	var back audit.Record
	plain, _ := json.Marshal(data)
	if err := json.Unmarshal(plain, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(record(7), back); diff != "" {
		t.Errorf("the data are not the record (-want +got):\n%s", diff)
	}
}

// Whatever is in a record, its event is one that the library reads back, and the same each time: a repeated delivery is the same bytes.
func TestNewEvent_property(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := record(rapid.Int64Range(1, 1e12-1).Draw(t, "sequence"))
		r.ID = rapid.StringMatching(`[!-~]{1,128}`).Draw(t, "id") // a header carries it
		r.Message = rapid.String().Draw(t, "message")
		r.Channel = rapid.StringMatching(`[a-z0-9-]{0,20}`).Draw(t, "channel")
		r.Kind = rapid.SampledFrom([]string{"Repository", "Bundle", "Channel", "Rollout"}).Draw(t, "kind")
		first, err := NewEvent(r)
		if err != nil {
			t.Fatal(err)
		}
		second, err := NewEvent(r)
		if err != nil || !bytes.Equal(first, second) {
			t.Fatalf("a record has two events: %v\n%s\n%s", err, first, second)
		}
		back := event.New()
		if err := json.Unmarshal(first, &back); err != nil {
			t.Fatal(err)
		}
		if back.Subject() != r.Channel || back.Validate() != nil {
			t.Errorf("read back: subject %q, valid: %v", back.Subject(), back.Validate())
		}
	})
}

func TestSource(t *testing.T) {
	for kind, want := range map[string]string{"Repository": "repositories/x", "Bundle": "bundles/x", "Channel": "channels/x", "Rollout": "rollouts/x"} {
		if got := Source(audit.Record{Kind: kind, Namespace: "n", Name: "x"}); got != "/apis/ota.windlass.dev/v1alpha1/namespaces/n/"+want {
			t.Errorf("source of a %s is %s", kind, got)
		}
	}
}
