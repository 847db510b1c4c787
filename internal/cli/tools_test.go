// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
)

// stubs stand in for tools that need the network. They do as much of it as the next command needs.
var stubs = map[string]string{
	"go": "", "npm": "", "gh": "", "curl": "",
	// cosign sign-blob --yes --bundle OUT [--key KEY] FILE; keyless, it signs with a key of the test.
	"cosign": `key=$STUB_KEY; out=$4; shift 4
if [ "$1" = --key ]; then key=$2; shift 2; fi
exec kubectl-windlass bundle sign "$1" --key "$key" --format sigstore -o "$out" >/dev/null`,
	// npx @capgo/cli bundle encrypt FILE CHECKSUM --key-data KEY --json, by openssl.
	"npx": `set -e
file=$4 sum=$5 key=$7
printf '%s\n' "$key" > app.key
openssl rand 16 > session; openssl rand 16 > iv
hex() { od -An -v -tx1 | tr -d ' \n'; }
seal() { openssl pkeyutl -sign -inkey app.key -pkeyopt rsa_padding_mode:pkcs1; }
openssl enc -aes-128-cbc -K "$(hex < session)" -iv "$(hex < iv)" -in "$file" -out "${file}_encrypted.zip"
printf '{"ivSessionKey": "%s:%s", "checksum": "%s", "filename": "%s"}\n' "$(openssl base64 -A -in iv)" \
  "$(seal < session | openssl base64 -A)" "$(printf "$(printf %s "$sum" | sed 's/../\\x&/g')" | seal | hex)" "${file}_encrypted.zip"
rm app.key session iv`,
}

// newTools puts the plugin, kubectl and the stubs before everything else on the PATH.
func newTools(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"kubectl", "kubectl-windlass"} {
		if err := os.Symlink(program, filepath.Join(dir, name)); err != nil {
			t.Skip(err)
		}
	}
	for name, script := range stubs {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/bash\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+systemPath)
	return dir
}

// systemPath is the PATH that tests were started with.
var systemPath = os.Getenv("PATH")

func ecKey(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}
