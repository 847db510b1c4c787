// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"testing"
	"time"

	"github.com/windlass-dev/windlass/internal/testkit"
	"github.com/windlass-dev/windlass/internal/verify"
)

const (
	githubIssuer = "https://token.actions.githubusercontent.com"
	workflow     = "https://github.com/acme/shop/.github/workflows/release.yml@refs/heads/main"
)

func sigstore(t testing.TB) *testkit.Sigstore {
	t.Helper()
	s, err := testkit.NewSigstore()
	return must(t, s, err)
}

// keyless is an authority of a workflow.
func keyless(t testing.TB, s *testkit.Sigstore) verify.Authority {
	t.Helper()
	root, err := verify.ParseTrustedRoot(s.TrustedRoot())
	return verify.Authority{Name: "ci", Identity: &verify.Identity{Issuer: githubIssuer, Subject: workflow, Root: must(t, root, err)}}
}

// refusals feeds an artifact and gives how many authorities matched and what is refused.
func refusals(t testing.TB, content []byte, a verify.Authority, file []byte) (int, []string) {
	t.Helper()
	v, err := verify.New(time.Now(), verify.Subject{App: "shop", Version: "1.0.0"}, []verify.Authority{a}, []verify.Signature{decode(t, file)})
	must(t, v, err)
	if _, err := v.Write(content); err != nil {
		t.Fatal(err)
	}
	return len(v.Matches()), v.Refusals()
}

func TestSigstore_good(t *testing.T) {
	s, content := sigstore(t), []byte("artifact")
	for name, o := range map[string]testkit.Signing{
		"0.3": {}, "0.2": {Version: "0.2"}, "0.1": {Version: "0.1"}, "log and timestamp": {Timestamp: true},
	} {
		t.Run(name, func(t *testing.T) {
			o.Issuer, o.Subject = githubIssuer, workflow
			file, err := s.Blob(o, content)
			if n, why := refusals(t, content, keyless(t, s), must(t, file, err)); n != 1 || len(why) > 0 {
				t.Errorf("got %d matches and refusals %q, want one match", n, why)
			}
		})
	}
}
