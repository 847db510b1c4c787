// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package envelope_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/windlass-dev/windlass/internal/verify/envelope"
)

// The rules of the API (api/v1alpha1/bundle_types.go), in their own words.
var (
	sessionRule  = regexp.MustCompile(`\A[A-Za-z0-9+/]{22}==:([A-Za-z0-9+/]{342}==|[A-Za-z0-9+/]{512}|[A-Za-z0-9+/]{683}=)\z`)
	checksumRule = regexp.MustCompile(`\A[a-f0-9]*\z`)
)

// Nothing breaks the parser, its errors are typed and quote nothing, and what it accepts the API accepts too.
func FuzzParse(f *testing.F) {
	key := cliSessionKey
	f.Add(key, cliChecksum, "MIIBCgKCAQEAs9u4ZBdB")
	f.Add(key, cliOldChecksum, "")
	f.Add(key, cliArchiveSum, "")
	f.Add(strings.ReplaceAll(key, ":", "::"), strings.ToUpper(cliChecksum), "x")
	f.Add(key[:40]+"\n"+key[40:], cliChecksum+"\n", "")
	f.Add("", "", "")
	known, err := envelope.ParsePublicKey([]byte(cliKey))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, sessionKey, checksum, keyID string) {
		e, err := envelope.Parse(sessionKey, checksum, keyID)
		if err != nil {
			if !errors.Is(err, envelope.ErrInvalid) {
				t.Fatalf("error %v is not ErrInvalid", err)
			}
			return
		}
		if !sessionRule.MatchString(sessionKey) || !checksumRule.MatchString(checksum) || len(checksum) != 512 && len(checksum) != 768 && len(checksum) != 1024 {
			t.Fatalf("accepted what the API refuses: %q, %q", sessionKey, checksum)
		}
		opener, err := e.Unlock([]envelope.PublicKey{known})
		if err == nil && opener.KeyID != known.ID() || err != nil && !errors.Is(err, envelope.ErrInvalid) {
			t.Fatalf("unlocked by %q with error %v", opener.KeyID, err)
		}
	})
}
