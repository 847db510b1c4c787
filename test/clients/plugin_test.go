// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// javaTimeout bounds the compiler and each run.
const javaTimeout = time.Minute

// compile makes a program of the plugin's own cryptography and of what it needs of Android, and gives its class path.
func compile(t *testing.T) string {
	t.Helper()
	source := filepath.Join(pluginPackage.Folder(t, "javac", "java"), "android", "src", "main", "java")
	classes := t.TempDir()
	stubs := filepath.Join("testdata", "java") // first, so that the plugin's logger is not taken
	java(t, "javac", "-nowarn", "-d", classes, "-sourcepath", stubs+string(os.PathListSeparator)+source, filepath.Join(stubs, "Install.java"))
	return classes
}

func java(t *testing.T, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), javaTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, args...).Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", program, err, out)
	}
	return strings.TrimSpace(string(out))
}

// The Android plugin's own code opens what the gateway answers and serves, and refuses it with one changed byte anywhere.
func TestPlugin_opensWhatIsServed(t *testing.T) {
	r := newRig(t)
	classes := compile(t)
	p := newProject(t, r.public)
	e := p.encrypt("1.1.0")
	got, artifact := r.served(e)
	stranger := newProject(t, r.public).encrypt("1.1.0")

	for name, tc := range map[string]struct {
		publicKey, sessionKey, checksum string
		artifact                        []byte
		refused                         bool
	}{
		"as served":      {e.publicKey, got.SessionKey, got.Checksum, artifact, false},
		"artifact":       {e.publicKey, got.SessionKey, got.Checksum, flip(artifact), true},
		"truncated":      {e.publicKey, got.SessionKey, got.Checksum, artifact[:len(artifact)-16], true},
		"vector":         {e.publicKey, swap(got.SessionKey, 3), got.Checksum, artifact, true},
		"session key":    {e.publicKey, swap(got.SessionKey, len(got.SessionKey)-20), got.Checksum, artifact, true},
		"no session key": {e.publicKey, "", got.Checksum, artifact, true},
		"checksum":       {e.publicKey, got.SessionKey, swap(got.Checksum, 200), artifact, true},
		"plain checksum": {e.publicKey, got.SessionKey, sha256Hex(e.plain), artifact, true},
		"not encrypted":  {e.publicKey, got.SessionKey, got.Checksum, e.plain, true},
		"other key":      {stranger.publicKey, got.SessionKey, got.Checksum, artifact, true},
		"other update":   {e.publicKey, stranger.encryption.SessionKey, stranger.encryption.Checksum, stranger.content, true},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "update.zip")
			if err := os.WriteFile(file, tc.artifact, 0o600); err != nil {
				t.Fatal(err)
			}
			said := java(t, "java", "-cp", classes, "Install", tc.publicKey, tc.sessionKey, tc.checksum, file)
			if tc.refused {
				if !strings.HasPrefix(said, "refused: ") {
					t.Errorf("the plugin says %q of what was changed, want a refusal", said)
				}
				return
			}
			plain, err := os.ReadFile(file)
			if said != "installed" || err != nil || !bytes.Equal(plain, e.plain) {
				t.Errorf("the plugin says %q (%v), want it to install the archive that the CLI packed", said, err)
			}
		})
	}
}
