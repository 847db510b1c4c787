// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"maps"
	"strings"
	"testing"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
)

func wantReason(t *testing.T, err error, reason string, parts ...string) {
	t.Helper()
	e, ok := errors.AsType[*kit.Error](err)
	if !ok || e.Reason != reason {
		t.Fatalf("got %v, want an error with reason %s", err, reason)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got %q, want %q in it", err, part)
		}
	}
}

func keyData(t *testing.T) map[string][]byte {
	t.Helper()
	data, err := GenerateKeys()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func parse(t *testing.T, data map[string][]byte) *Keys {
	t.Helper()
	keys, err := ParseKeys(data)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestParseKeys(t *testing.T) {
	good := keyData(t)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		key    string
		value  []byte
		reason string
		say    string
	}{
		"missing":       {"snapshot.key", nil, otav1alpha1.SecretNotFoundReason, "snapshot.key"},
		"no PEM":        {"targets.key", []byte("secret words"), otav1alpha1.InvalidKeyReason, "found none"},
		"public key":    {"targets.key", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY"}), otav1alpha1.InvalidKeyReason, "PUBLIC KEY"},
		"two keys":      {"timestamp.key", append(good["root.key"], good["root.key"]...), otav1alpha1.InvalidKeyReason, "found more"},
		"broken":        {"channels.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}), otav1alpha1.InvalidKeyReason, "PKCS #8"},
		"other kind":    {"channels.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), otav1alpha1.InvalidKeyReason, "Ed25519"},
		"bad root file": {"root.key", []byte{}, otav1alpha1.InvalidKeyReason, "root.key"},
	} {
		t.Run(name, func(t *testing.T) {
			data := maps.Clone(good)
			data[c.key] = c.value
			if c.value == nil {
				delete(data, c.key)
			}
			_, err := ParseKeys(data)
			wantReason(t, err, c.reason, c.key, c.say)
			if strings.Contains(err.Error(), "secret words") {
				t.Error("the message quotes the key")
			}
		})
	}
	delete(good, "root.key")
	if keys := parse(t, good); keys.HasRoot() {
		t.Error("HasRoot is true without root.key")
	}
}

func TestKeysOfAnotherRepositoryAreRefused(t *testing.T) {
	b := openBucket(t)
	mine := keyData(t)
	open(t, Config{Bucket: b, Keys: parse(t, mine)}).Close()
	for _, role := range []string{"root", "targets", "snapshot", "timestamp"} {
		mixed := maps.Clone(mine)
		mixed[role+".key"] = keyData(t)[role+".key"]
		_, err := Open(t.Context(), Config{Bucket: b, Keys: parse(t, mixed)})
		wantReason(t, err, otav1alpha1.KeysMismatchReason, role+".key")
	}
}

// The key of the channels is named by targets.json, which the manager signs itself, so that it can be changed at any time.
func TestChannelsKeyCanBeChanged(t *testing.T) {
	b := openBucket(t)
	mine := keyData(t)
	one := artifact(t, b, "1.0.0")
	p := open(t, Config{Bucket: b, Keys: parse(t, mine)})
	publishAndWait(t, p, document("a", 1, one), document("b", 1, one))
	p.Close()
	mine["channels.key"] = keyData(t)["channels.key"]
	again := open(t, Config{Bucket: b, Keys: parse(t, mine)})
	publishAndWait(t, again, document("a", 2, one))
	if got, err := newReader(t, b).read(); err != nil || !maps.Equal(got, map[string]int64{"a": 2, "b": 1}) {
		t.Errorf("a client got %v, %v", got, err)
	}
}

func TestOfflineRoot(t *testing.T) {
	b := openBucket(t)
	data := keyData(t)
	online := maps.Clone(data)
	delete(online, "root.key")
	_, err := Open(t.Context(), Config{Bucket: b, Keys: parse(t, online)})
	wantReason(t, err, otav1alpha1.SecretNotFoundReason, "root.key")

	open(t, Config{Bucket: b, Keys: parse(t, data)}).Close() // the ceremony
	p := open(t, Config{Bucket: b, Keys: parse(t, online)})
	publishAndWait(t, p, document("a", 1, artifact(t, b, "1.0.0")))
}
