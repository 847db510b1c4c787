// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/command"
	"github.com/windlass-dev/windlass/internal/release"
)

// A Channel that was restored without its status stays halted, by the same person, and does not obey an old command again.
func TestRecall(t *testing.T) {
	f := facts(published())
	ask(&f, command.Halt, "logins fail")
	committed := Next(f).Document
	raw, err := committed.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if committed, err = release.Decode(raw); err != nil {
		t.Fatal(err)
	}
	restored := f.Channel.DeepCopy()
	restored.Status = otav1alpha1.ChannelStatus{}

	st := Recall(restored, committed)
	if st == nil {
		t.Fatal("nothing is recalled")
	}
	if diff := cmp.Diff(f.Channel.Status.Halt, st.Halt); diff != "" {
		t.Errorf("halt (-want +got):\n%s", diff)
	}
	restored.Status = *st
	if again, _ := Obey(restored, f.Now, proven, nil); again != nil {
		t.Errorf("an old command was carried out again: %+v", again.LastCommand)
	}
	f.Channel, f.Committed = restored, committed
	if next := Next(f).Document; !cmp.Equal(next, committed) {
		t.Errorf("the document changes: %s", cmp.Diff(committed, next))
	}

	ask(&f, command.Unhalt, "they do not")
	lifted := Next(f).Document
	if lifted.Halt != nil || lifted.Serving != release.Active || lifted.LastCommand == committed.LastCommand {
		t.Errorf("after unhalt: %+v", lifted)
	}
	restored.Status = otav1alpha1.ChannelStatus{}
	if st := Recall(restored, lifted); st == nil || st.Halt != nil || st.LastCommand == nil {
		t.Errorf("after unhalt: %+v", st)
	}
}

func TestRecall_nothing(t *testing.T) {
	ordered := published()
	ordered.LastCommand, ordered.Halt = "1", &release.Halt{Reason: "odd", By: "jane"}
	for name, tc := range map[string]struct {
		status    otav1alpha1.ChannelStatus
		committed *release.Document
	}{
		"nothing is published":      {otav1alpha1.ChannelStatus{}, nil},
		"no command was ever given": {otav1alpha1.ChannelStatus{}, published()},
		"the status knows better":   {otav1alpha1.ChannelStatus{LastCommand: &otav1alpha1.CommandStatus{ID: "2"}}, ordered},
		"it was published":          {otav1alpha1.ChannelStatus{Published: &otav1alpha1.PublishedStatus{}}, ordered},
	} {
		if st := Recall(&otav1alpha1.Channel{Status: tc.status}, tc.committed); st != nil {
			t.Errorf("%s: %+v", name, st)
		}
	}
}

// A command changes what the manager keeps in the document; for devices that is no other content.
func TestNext_remembers(t *testing.T) {
	f := facts(published())
	f.Committed = Next(f).Document
	ask(&f, command.Unhalt, "nobody halted it")
	next := Next(f).Document
	if next.LastCommand == "" || next.Revision != f.Committed.Revision {
		t.Errorf("command %q, revision %d, want that of %d", next.LastCommand, next.Revision, f.Committed.Revision)
	}
}
