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
)

// commanded is a Channel with a command.
func commanded(id, name, args string) *otav1alpha1.Channel {
	ch := channel()
	ch.Annotations = map[string]string{
		otav1alpha1.CommandIDAnnotation: id, otav1alpha1.CommandAnnotation: name, otav1alpha1.CommandArgsAnnotation: args,
	}
	return ch
}

// obey carries out a command that needs no facts.
func obey(ch *otav1alpha1.Channel) *otav1alpha1.ChannelStatus {
	st, _ := Obey(ch, start, actor.Trust{Actor: otav1alpha1.ActorVerified}, nil)
	return st
}

func TestObey_override(t *testing.T) {
	args := string(digestOf(1)) + " native-code reviewed"
	ch := commanded("1", command.Override, args)
	st := obey(ch)
	want := otav1alpha1.ContentOverride{Digest: digestOf(1), Checks: []string{"native-code"}, Reason: "reviewed", By: command.Unverified, Actor: otav1alpha1.ActorUnverified, At: st.LastCommand.At}
	if diff := cmp.Diff([]otav1alpha1.ContentOverride{want}, st.Overrides); diff != "" || st.LastCommand.Result != otav1alpha1.CommandAccepted {
		t.Errorf("%+v: %s", st.LastCommand, diff)
	}
	if len(ch.Status.Overrides) != 0 {
		t.Error("the Channel itself was changed")
	}
	ch.Status = *st
	if again := obey(ch); again != nil {
		t.Errorf("the same command was carried out again: %+v", again)
	}
	ch.Annotations[otav1alpha1.CommandIDAnnotation], ch.Annotations[otav1alpha1.RequestedByAnnotation] = "2", "anna"
	st = obey(ch)
	if len(st.Overrides) != 2 || st.Overrides[0].By != "anna" || st.LastCommand.By != "anna" {
		t.Errorf("the newest is first: %+v", st.Overrides)
	}

	for name, ch := range map[string]*otav1alpha1.Channel{
		"dance": commanded("1", "dance", args), "bad arguments": commanded("1", command.Override, "x"), "no arguments": commanded("1", command.Override, ""),
		"much too long": commanded(strings.Repeat("1", 500), strings.Repeat("x", 500), strings.Repeat("y", 5000)),
	} {
		st := obey(ch)
		if st == nil || len(st.Overrides) != 0 || st.LastCommand.Result != otav1alpha1.CommandRefused || st.LastCommand.Message == "" {
			t.Errorf("%s: %+v", name, st)
		}
		ch.Status = *st
		if obey(ch) != nil {
			t.Errorf("%s is refused again and again", name)
		}
	}
	for name, ch := range map[string]*otav1alpha1.Channel{"no id": commanded("", command.Override, args), "no name": commanded("1", "", args), "nothing": channel()} {
		if st := obey(ch); st != nil {
			t.Errorf("%s: %+v", name, st)
		}
	}
}

// The list of overrides is bounded, and never forgets what devices can see.
func TestObey_overridesFull(t *testing.T) {
	ch := channel()
	ch.Status.Stable = &otav1alpha1.ServedBundle{Digest: digestOf(0)}
	give := func(n int) *otav1alpha1.CommandStatus {
		next := commanded(fmt.Sprint("c", n), command.Override, string(digestOf(n))+" native-code reviewed")
		next.Status = ch.Status
		ch.Status = *obey(next)
		return ch.Status.LastCommand
	}
	for n := range 100 {
		if got := give(n); got.Result != otav1alpha1.CommandAccepted || len(ch.Status.Overrides) > maxOverrides {
			t.Fatalf("command %d: %+v, %d overrides", n, got, len(ch.Status.Overrides))
		}
	}
	if len(overridden(ch, digestOf(0))) != 1 || len(overridden(ch, digestOf(99))) != 1 || len(overridden(ch, digestOf(1))) != 0 {
		t.Errorf("of 100 overrides these are kept: %+v", ch.Status.Overrides)
	}
	for i := range ch.Status.Overrides {
		ch.Status.Overrides[i].Digest = digestOf(0)
	}
	if got := give(7); got.Result != otav1alpha1.CommandRefused || !strings.Contains(got.Message, "what devices can see") {
		t.Errorf("all are in use: %+v", got)
	}
}
