// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/content"
)

func TestParseOverride(t *testing.T) {
	d := string(digestOf(1))
	for args, want := range map[string]string{
		d + " native-code reviewed in ticket 7": "",
		d + " native-code,wasm reviewed":        "",
		d + " native-code,wasm  reviewed":       "",
		"":                                      "expected",
		d:                                       "expected",
		d + " native-code":                      "expected",
		d + " native-code ":                     "expected",
		d + "  native-code reviewed":            "no check",
		"native-code " + d + " reviewed":        "first word must be a digest",
		strings.ToUpper(d) + " native-code reviewed":           "first word must be a digest",
		d + "0 native-code reviewed":                           "first word must be a digest",
		d[:len(d)-1] + " native-code reviewed":                 "first word must be a digest",
		d + " native-code, reviewed":                           `no check ""`,
		d + " native-code,,wasm reviewed":                      `no check ""`,
		d + " all reviewed":                                    `no check "all"`,
		d + " Native-Code reviewed":                            "no check",
		d + " native-code,native-code reviewed":                "named twice",
		d + " native-code a\nb":                                "one line",
		d + " native-code " + strings.Repeat("a", maxReason+1): "at most 512 bytes",
		d + " native-code \xff\xfe":                            "one line",
		d + strings.Repeat(" native-code", 1) + strings.Repeat(",wasm", maxChecks) + " reviewed": "at most 32",
	} {
		got, err := ParseOverride(args)
		switch {
		case want == "" && err != nil:
			t.Errorf("%q is refused: %v", args, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%q gives %+v, %v; want an error with %q", args, got, err, want)
		}
	}
}

// Whatever passes fits into the API, and says again what was written.
func FuzzParseOverride(f *testing.F) {
	d := string(digestOf(1))
	for _, args := range []string{d + " native-code reviewed", d + " native-code,wasm  a b ", d, d + " , x", d + " native-code \u0085"} {
		f.Add(args)
	}
	f.Fuzz(func(t *testing.T, args string) {
		o, err := ParseOverride(args)
		if err != nil {
			return
		}
		if again := string(o.Digest) + " " + strings.Join(o.Checks, ",") + " " + o.Reason; again != args {
			t.Errorf("%q is read as %q", args, again)
		}
		if len(o.Digest) != 71 || len(o.Checks) < 1 || len(o.Checks) > maxChecks || len(o.Reason) > maxReason || strings.TrimSpace(o.Reason) == "" {
			t.Errorf("%q gives %+v, which does not fit", args, o)
		}
		if !utf8.ValidString(o.Reason) || strings.ContainsFunc(o.Reason, unicode.IsControl) {
			t.Errorf("reason %q", o.Reason)
		}
		for _, c := range o.Checks {
			if !content.Known(c) {
				t.Errorf("check %q passes", c)
			}
		}
	})
}

// commanded is a Channel with a command.
func commanded(id, name, args string) *otav1alpha1.Channel {
	ch := channel()
	ch.Annotations = map[string]string{
		otav1alpha1.CommandIDAnnotation: id, otav1alpha1.CommandAnnotation: name, otav1alpha1.CommandArgsAnnotation: args,
	}
	return ch
}

func TestObey(t *testing.T) {
	args := string(digestOf(1)) + " native-code reviewed"
	ch := commanded("1", Override, args)
	st := Obey(ch, start)
	want := otav1alpha1.ContentOverride{Digest: digestOf(1), Checks: []string{"native-code"}, Reason: "reviewed", By: Unverified, At: st.LastCommand.At}
	if diff := cmp.Diff([]otav1alpha1.ContentOverride{want}, st.Overrides); diff != "" || st.LastCommand.Result != otav1alpha1.CommandAccepted {
		t.Errorf("%+v: %s", st.LastCommand, diff)
	}
	if len(ch.Status.Overrides) != 0 {
		t.Error("the Channel itself was changed")
	}
	ch.Status = *st
	if again := Obey(ch, start); again != nil {
		t.Errorf("the same command was carried out again: %+v", again)
	}
	ch.Annotations[otav1alpha1.CommandIDAnnotation], ch.Annotations[otav1alpha1.RequestedByAnnotation] = "2", "anna"
	st = Obey(ch, start)
	if len(st.Overrides) != 2 || st.Overrides[0].By != "anna" || st.LastCommand.By != "anna" {
		t.Errorf("the newest is first: %+v", st.Overrides)
	}

	for name, ch := range map[string]*otav1alpha1.Channel{
		"dance": commanded("1", "dance", args), "bad arguments": commanded("1", Override, "x"), "no arguments": commanded("1", Override, ""),
		"much too long": commanded(strings.Repeat("1", 500), strings.Repeat("x", 500), strings.Repeat("y", 5000)),
	} {
		st := Obey(ch, start)
		if st == nil || len(st.Overrides) != 0 || st.LastCommand.Result != otav1alpha1.CommandRefused || st.LastCommand.Message == "" ||
			len(st.LastCommand.Message) > 512 || len(st.LastCommand.ID) > maxCommandID || len(st.LastCommand.Name) > maxName {
			t.Errorf("%s: %+v", name, st)
		}
		ch.Status = *st
		if Obey(ch, start) != nil {
			t.Errorf("%s is refused again and again", name)
		}
	}
	for name, ch := range map[string]*otav1alpha1.Channel{"no id": commanded("", Override, args), "no name": commanded("1", "", args), "nothing": channel()} {
		if st := Obey(ch, start); st != nil {
			t.Errorf("%s: %+v", name, st)
		}
	}
}

// The list of overrides is bounded, and never forgets what devices can see.
func TestObey_full(t *testing.T) {
	ch := channel()
	ch.Status.Stable = &otav1alpha1.ServedBundle{Digest: digestOf(0)}
	give := func(n int) *otav1alpha1.CommandStatus {
		next := commanded(fmt.Sprint("c", n), Override, string(digestOf(n))+" native-code reviewed")
		next.Status = ch.Status
		ch.Status = *Obey(next, start)
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
