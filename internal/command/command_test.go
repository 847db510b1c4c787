// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"errors"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

const digest = "sha256:0000000000000000000000000000000000000000000000000000000000000001"

func TestRead(t *testing.T) {
	full := map[string]string{
		otav1alpha1.CommandIDAnnotation: "7", otav1alpha1.CommandAnnotation: Halt, otav1alpha1.CommandArgsAnnotation: "why", otav1alpha1.RequestedByAnnotation: "jane",
	}
	want := Given{ID: "7", Name: Halt, Args: "why", By: "jane"}
	if got := Read(full, nil); got == nil || *got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := Read(full, &otav1alpha1.CommandStatus{ID: "6"}); got == nil {
		t.Error("a command after another one is not read")
	}
	if got := Read(full, want.Status(time.Now(), nil)); got != nil {
		t.Errorf("read again: %+v", got)
	}
	for name, in := range map[string]map[string]string{
		"nothing": nil, "no name": {otav1alpha1.CommandIDAnnotation: "7"}, "no id": {otav1alpha1.CommandAnnotation: Halt},
	} {
		if got := Read(in, nil); got != nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// What is written is what is read, whatever was there before.
func TestGiven_Annotations(t *testing.T) {
	for _, g := range []Given{{ID: "1", Name: Abort}, {ID: "2", Name: Halt, Args: "all fails"}} {
		if got := Read(g.Annotations(), nil); got == nil || *got != g {
			t.Errorf("%+v is read as %+v", g, got)
		}
	}
}

// Whatever annotations say fits into the API, and is not read again.
func TestGiven_Status(t *testing.T) {
	long := strings.Repeat("ä", 5000)
	g := Read(map[string]string{
		otav1alpha1.CommandIDAnnotation: long, otav1alpha1.CommandAnnotation: long, otav1alpha1.CommandArgsAnnotation: long, otav1alpha1.RequestedByAnnotation: long,
	}, nil)
	st := g.Status(time.Unix(1, 999), errors.New(long))
	if len(st.ID) > 128 || len(st.Name) > 32 || len(st.By) > 256 || len(st.Message) > 512 || !utf8.ValidString(st.ID+st.Name+st.By+st.Message) {
		t.Errorf("does not fit: %+v", st)
	}
	if st.Result != otav1alpha1.CommandRefused || !st.At.Time.Equal(time.Unix(1, 0)) {
		t.Errorf("got %+v", st)
	}
}

// The policy that asks for verbs and who names them mean the same.
func TestVerb(t *testing.T) {
	policy, err := os.ReadFile("../../config/policy/authority.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(policy), "- name: verbs")
	text, _, _ = strings.Cut(text, "- name: commanded")
	got := map[string]map[string]string{}
	for _, m := range regexp.MustCompile(`'([a-z]+)': \{([^}]*)\}`).FindAllStringSubmatch(text, -1) {
		kind := map[string]string{"rollouts": "Rollout", "channels": "Channel", "repositories": "Repository"}[m[1]]
		got[kind] = map[string]string{}
		for _, pair := range regexp.MustCompile(`'([a-z-]+)': '([a-z]+)'`).FindAllStringSubmatch(m[2], -1) {
			got[kind][pair[1]] = pair[2]
		}
	}
	if !reflect.DeepEqual(got, verbs) {
		t.Errorf("config/policy/authority.yaml has %v, want %v", got, verbs)
	}
	if Verb("Rollout", Pause) != "halt" || Verb("Repository", Approve) != "" {
		t.Errorf("got %q and %q", Verb("Rollout", Pause), Verb("Repository", Approve))
	}
}

// as tells with which arguments a value is asked for; it is false for parsers of values without.
type as interface{ Args() (string, error) }

var parsers = map[string]func(string) (any, error){
	"reason":   func(s string) (any, error) { return ParseReason(s) },
	"digest":   func(s string) (any, error) { return ParseDigest(s) },
	"rollback": func(s string) (any, error) { return ParseRollback(s) },
	"allow":    func(s string) (any, error) { return ParseAllowed(s) },
	"override": func(s string) (any, error) { return ParseOverride(s) },
	"approve":  func(s string) (any, error) { return ParseApprovals(s) },
}

func TestParse(t *testing.T) {
	long := strings.Repeat("a", MaxReason)
	for _, tc := range []struct{ parser, args, want string }{
		{"reason", "all logins fail", ""},
		{"reason", long, ""},
		{"reason", long + "a", "at most 512 bytes"},
		{"reason", "", "say why"},
		{"reason", " \u00a0", "say why"},
		{"reason", "a\nb", "one line"},
		{"reason", "a\u0085b", "one line"},
		{"reason", "\xff", "one line"},
		{"digest", digest, ""},
		{"digest", digest + " because", "expected a digest"},
		{"digest", "", "expected a digest"},
		{"rollback", "Stable all logins fail", ""},
		{"rollback", "Embedded all logins fail", ""},
		{"rollback", "Bundle/shop-2.4.0 all logins fail", ""},
		{"rollback", "", "expected"},
		{"rollback", "Stable", "expected"},
		{"rollback", "Stable ", "say why"},
		{"rollback", "stable all logins fail", "first word must be"},
		{"rollback", "Stable/x all logins fail", "first word must be"},
		{"rollback", "Bundle all logins fail", "first word must be"},
		{"rollback", "Bundle/ all logins fail", "first word must be"},
		{"rollback", "Bundle/Shop all logins fail", "first word must be"},
		{"rollback", "Bundle/a/b all logins fail", "first word must be"},
		{"rollback", "Bundle/" + long + " all logins fail", "first word must be"},
		{"rollback", "all logins fail", "first word must be"},
		{"rollback", "Stable " + long + "a", "at most 512 bytes"},
		{"allow", digest + " mended by the server", ""},
		{"allow", digest, "expected"},
		{"allow", digest + " ", "say why"},
		{"allow", "mended " + digest, "first word must be a digest"},
		{"allow", strings.ToUpper(digest) + " mended", "first word must be a digest"},
		{"override", digest + " native-code reviewed in ticket 7", ""},
		{"override", digest + " native-code,wasm  reviewed", ""},
		{"override", "", "expected"},
		{"override", digest, "expected"},
		{"override", digest + " native-code", "expected"},
		{"override", digest + " native-code ", "expected"},
		{"override", digest + "  native-code reviewed", "no check"},
		{"override", "native-code " + digest + " reviewed", "first word must be a digest"},
		{"override", strings.ToUpper(digest) + " native-code reviewed", "first word must be a digest"},
		{"override", digest + "0 native-code reviewed", "first word must be a digest"},
		{"override", digest[:len(digest)-1] + " native-code reviewed", "first word must be a digest"},
		{"override", digest + " native-code, reviewed", `no check ""`},
		{"override", digest + " native-code,,wasm reviewed", `no check ""`},
		{"override", digest + " all reviewed", `no check "all"`},
		{"override", digest + " Native-Code reviewed", "no check"},
		{"override", digest + " native-code,native-code reviewed", "named twice"},
		{"override", digest + " native-code a\nb", "one line"},
		{"override", digest + " native-code " + long + "a", "at most 512 bytes"},
		{"override", digest + " native-code \xff\xfe", "one line"},
		{"override", digest + " native-code" + strings.Repeat(",wasm", maxChecks) + " reviewed", "at most 32"},
		{"approve", "approvals=0", ""},
		{"approve", "approvals=8", ""},
		{"approve", "approvals=9", "from 0 to 8"},
		{"approve", "approvals=-1", "from 0 to 8"},
		{"approve", "approvals=+1", "from 0 to 8"},
		{"approve", "approvals=01", "from 0 to 8"},
		{"approve", "approvals= 1", "from 0 to 8"},
		{"approve", "1", "from 0 to 8"},
		{"approve", "", "from 0 to 8"},
	} {
		got, err := parsers[tc.parser](tc.args)
		switch {
		case tc.want == "" && err != nil:
			t.Errorf("%s %q is refused: %v", tc.parser, tc.args, err)
		case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
			t.Errorf("%s %q gives %+v, %v; want an error with %q", tc.parser, tc.args, got, err, tc.want)
		}
	}
}

// What cannot be read is not written.
func TestArgs_refuse(t *testing.T) {
	for _, v := range []as{
		Target{}, Target{To: otav1alpha1.RollbackToStable}, Target{To: otav1alpha1.RollbackToBundle, Reason: "x"}, Target{To: "Yesterday", Reason: "x"},
		Target{To: otav1alpha1.RollbackToStable, Reason: "a\nb"}, Allowed{Reason: "x"}, Allowed{Digest: digest}, Passes{}, Passes{Digest: digest, Reason: "x"},
	} {
		if args, err := v.Args(); err == nil {
			t.Errorf("%+v is written as %q", v, args)
		}
	}
}

// Whatever passes is one line of bounded text, and is written again as it was.
func FuzzParse(f *testing.F) {
	for _, args := range []string{
		"all logins fail", digest, "Stable x", "Bundle/shop-2.4.0 x", digest + " x", digest + " native-code,wasm  a b ", "approvals=2", "Bundle/a\u0085 x",
	} {
		f.Add(args)
	}
	f.Fuzz(func(t *testing.T, args string) {
		for name, parse := range parsers {
			v, err := parse(args)
			if err != nil {
				if !reflect.ValueOf(v).IsZero() {
					t.Errorf("%s %q gives %+v beside an error", name, args, v)
				}
				continue
			}
			if len(args) > MaxReason+2048 || !utf8.ValidString(args) || strings.ContainsFunc(args, unicode.IsControl) {
				t.Errorf("%s reads %q", name, args)
			}
			again := args
			switch v := v.(type) {
			case as:
				again, err = v.Args()
			case int32:
				again = FormatApprovals(v)
			}
			if err != nil || again != args {
				t.Errorf("%s %q is written as %q: %v", name, args, again, err)
			}
		}
	})
}
