// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"encoding/base64"
	"encoding/hex"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// The example of the specification of Standard Webhooks.
func TestKey_example(t *testing.T) {
	key, err := ParseKey([]byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"))
	if err != nil {
		t.Fatal(err)
	}
	header := key.Sign("msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if got, want := header.Get("webhook-signature"), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
	if header.Get("webhook-id") != "msg_p5jXN8AQM9LWM0D4loKWxJek" || header.Get("webhook-timestamp") != "1614265330" {
		t.Errorf("headers %v", header)
	}
}

// OpenSSL gives the same signature.
func TestKey_openssl(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	secret := []byte("for tests only: 32 random bytes.")
	key, err := ParseKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	body, err := NewEvent(record(1))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), openssl, "dgst", "-sha256", "-mac", "HMAC", "-macopt", "hexkey:"+hex.EncodeToString(secret), "-binary")
	cmd.Stdin = strings.NewReader("id.1700000000." + string(body))
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	got := key.Sign("id", time.Unix(1700000000, 0), body).Get(SignatureHeader)
	if want := "v1," + base64.StdEncoding.EncodeToString(out); got != want {
		t.Errorf("signature %s, openssl says %s", got, want)
	}
}

func TestParseKey(t *testing.T) {
	encoded := func(n int) string { return "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, n)) }
	for _, tc := range []struct{ text, want string }{
		{strings.Repeat("k", 24), ""}, {strings.Repeat("k", 64), ""}, {encoded(24), ""}, {" " + encoded(64) + "\n", ""},
		{"", "has 0 bytes"}, {strings.Repeat("k", 23), "has 23 bytes"}, {strings.Repeat("k", 65), "has 65 bytes"},
		{encoded(23), "has 23 bytes"}, {encoded(65), "has 65 bytes"}, {"whsec_secret!", "no base64"},
	} {
		key, err := ParseKey([]byte(tc.text))
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: got %v, want %q", tc.text, err, tc.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret!") {
			t.Errorf("the error holds the key: %v", err)
		}
		if key.String() != "***" {
			t.Errorf("a key is shown as %s", key)
		}
	}
}
