// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/windlass-dev/windlass/internal/ceremony"
	"github.com/windlass-dev/windlass/internal/testkit"
	"github.com/windlass-dev/windlass/internal/tuf"
)

// state runs a command of the group repository and gives what it prints. Nothing secret is ever printed.
func (s *shell) state(args ...string) rootState {
	s.t.Helper()
	out := s.run(append(append([]string{"repository"}, args...), "--dir", "roots", "--output", "json")...)
	for _, secret := range []string{"PRIVATE", "LS0tLS1CRUdJTiBQUklWQVRF"} { // and -----BEGIN PRIVATE in base64
		if strings.Contains(out, secret) {
			s.t.Fatalf("%q prints a secret: %s", args, out)
		}
	}
	var state rootState
	if err := json.Unmarshal([]byte(out), &state); err != nil {
		s.t.Fatal(err)
	}
	return state
}

// rootKeyFiles are those that init made.
func (s *shell) rootKeyFiles() []string {
	s.t.Helper()
	files, err := filepath.Glob("roots/root-*.key")
	if err != nil {
		s.t.Fatal(err)
	}
	return files
}

func object[T any](s *shell, file string) T {
	s.t.Helper()
	var out T
	if err := yaml.UnmarshalStrict([]byte(s.read(file)), &out); err != nil {
		s.t.Fatal(err)
	}
	return out
}

// verifyChain checks what was written as the publisher does.
func (s *shell) verifyChain() []string {
	s.t.Helper()
	cm := object[corev1.ConfigMap](s, "roots/roots.configmap.yaml")
	var previous []byte
	var names []string
	for v := 1; cm.Data[rootFile(v)] != ""; v++ {
		text := []byte(cm.Data[rootFile(v)])
		if err := ceremony.Verify(text, previous, now); err != nil {
			s.t.Errorf("%s in the ConfigMap: %v", rootFile(v), err)
		}
		if file := s.read(filepath.Join("roots", rootFile(v))); file != string(text) {
			s.t.Errorf("%s in the ConfigMap is not the file", rootFile(v))
		}
		previous, names = text, append(names, rootFile(v))
	}
	if len(names) != len(cm.Data) {
		s.t.Errorf("the ConfigMap has %d keys, %d of them are roots without a gap", len(cm.Data), len(names))
	}
	return names
}

// A repository's life: made, a floor, keys that leak, holders who come and go.
func TestCeremony(t *testing.T) {
	env := testkit.Start(t)
	s := newShell(t)
	first := s.state("init", "--name", "shop", "--namespace", env.Namespace, "--root-keys", "3")
	keys := s.rootKeyFiles()
	if !first.Complete || first.Version != 1 || len(keys) != 3 || first.Quorums[0].Threshold != 2 {
		t.Fatalf("init: %+v with %q", first, keys)
	}
	for _, file := range append(keys, "roots/signing.secret.yaml") {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", file, info.Mode(), err)
		}
	}
	for _, file := range []string{"roots/signing.secret.yaml", "roots/roots.configmap.yaml"} {
		dryRun(t, env, s.read(file))
	}
	secret := object[corev1.Secret](s, "roots/signing.secret.yaml")
	if secret.Name != "shop-signing" || len(secret.Data) != 4 || secret.Data["root.key"] != nil {
		t.Errorf("the Secret is %s with %q", secret.Name, sorted(secret.Data))
	}

	floor := s.state("floor", "--app", "com.example.shop", "--min-version", "2.4.2")
	if floor.Complete || floor.Version != 2 || floor.Floors["com.example.shop"] != "2.4.2" || len(s.verifyChain()) != 1 {
		t.Fatalf("floor: %+v", floor)
	}
	s.fails(ExitError, "signed completely", "repository", "renew", "--dir", "roots")
	if half := s.state("sign", "--key", keys[0]); half.Complete || half.Quorums[0].Missing != 1 {
		t.Errorf("after one signature: %+v", half)
	}
	if again := s.state("sign", "--key", keys[0]); again.Complete {
		t.Error("one holder signs twice")
	}
	s.env["KEY"] = s.read(keys[2])
	if done := s.state("sign", "--key", "env://KEY"); !done.Complete || len(s.verifyChain()) != 2 {
		t.Errorf("after two signatures: %+v", done)
	}
	s.fails(ExitError, "2.4.2", "repository", "floor", "--dir", "roots", "--app", "com.example.shop", "--min-version", "2.0.0")

	s.state("rotate-key", "--role", "timestamp")
	rotated := object[corev1.Secret](s, "roots/signing.secret.yaml")
	id, err := ceremony.KeyID(rotated.Data["timestamp.next.key"])
	if err != nil {
		t.Fatal(err)
	}
	signAll(s, keys[0], keys[1])
	if shown := s.state("show"); shown.Roles[3].Name != "timestamp" || shown.Roles[3].Keys[0] != id {
		t.Errorf("after the rotation: %+v, want timestamp key %s", shown.Roles, id)
	}

	old := strings.TrimSuffix(strings.TrimPrefix(keys[0], "roots/root-"), ".key")
	s.state("rotate-key", "--role", "root", "--old", old)
	if now := s.rootKeyFiles(); len(now) != 4 {
		t.Errorf("root keys are %q", now)
	}
	signAll(s, keys[0], keys[1])
	if s.state("show").Complete {
		t.Error("two keys of the old root are enough for the new one, which has one of them")
	}
	signAll(s, keys[2])
	if got := s.verifyChain(); len(got) != 4 {
		t.Errorf("roots are %q", got)
	}
	s.fails(ExitError, "no key", "repository", "rotate-key", "--dir", "roots", "--role", "root", "--old", "zzz")
	if now := s.rootKeyFiles(); len(now) != 4 {
		t.Errorf("a key of a rotation that failed is left: %q", now)
	}
}

func signAll(s *shell, keys ...string) {
	s.t.Helper()
	for _, key := range keys {
		s.state("sign", "--key", key)
	}
}

// Holders bring keys that openssl made, and go again.
func TestCeremony_holders(t *testing.T) {
	s := newShell(t)
	public := map[string]string{}
	for _, name := range []string{"anna", "ben", "clara"} {
		private, err := tuf.GenerateKey()
		if err != nil {
			t.Fatal(err)
		}
		half, err := ceremony.PublicKey(private)
		if err != nil {
			t.Fatal(err)
		}
		s.write(map[string]string{name + ".key": string(private), name + ".pub": string(half)})
		if public[name], err = ceremony.KeyID(half); err != nil {
			t.Fatal(err)
		}
	}
	first := s.state("init", "--public-key", "anna.pub", "--public-key", "ben.pub")
	if first.Complete || first.Quorums[0].Threshold != 2 || len(s.rootKeyFiles()) > 0 || len(s.verifyChain()) > 0 {
		t.Errorf("init: %+v", first)
	}
	signAll(s, "anna.key", "ben.key")
	s.state("renew", "--add-root-key", "clara.pub", "--remove-root-key", public["ben"], "--life", "100h")
	signAll(s, "anna.key", "ben.key", "clara.key")
	shown := s.state("show")
	if !shown.Complete || len(s.verifyChain()) != 2 || !shown.Expires.Equal(now.Add(100*3600e9)) {
		t.Errorf("after the change: %+v", shown)
	}
	s.fails(ExitError, "no root key", "repository", "sign", "--dir", "roots", "--key", stranger(s))
	s.fails(ExitUsage, "--key", "repository", "sign", "--dir", "roots")
}

func stranger(s *shell) string {
	s.t.Helper()
	private, err := tuf.GenerateKey()
	if err != nil {
		s.t.Fatal(err)
	}
	s.write(map[string]string{"stranger.key": string(private)})
	return "stranger.key"
}

func TestCeremony_onlineRoot(t *testing.T) {
	s := newShell(t)
	s.run("repository", "init", "--online-root", "--dir", "roots")
	if secret := object[corev1.Secret](s, "roots/signing.secret.yaml"); len(secret.Data) != 5 || secret.Data["root.key"] == nil {
		t.Errorf("the Secret has %q", sorted(secret.Data))
	}
	if files, err := os.ReadDir("roots"); err != nil || len(files) != 2 { // and .gitignore
		t.Errorf("there are %v: %v", files, err)
	}
}

// Keys are never replaced, and what cannot be done leaves everything as it was.
func TestCeremony_refuses(t *testing.T) {
	s := newShell(t)
	s.state("init")
	before := s.read("roots/signing.secret.yaml")
	s.fails(ExitError, "choose another folder", "repository", "init", "--dir", "roots")
	for _, file := range []string{"1.root.json", "roots.configmap.yaml"} {
		if err := os.Remove("roots/" + file); err != nil {
			t.Fatal(err)
		}
	}
	s.fails(ExitError, "may hold a key", "repository", "init", "--dir", "roots")
	if s.read("roots/signing.secret.yaml") != before {
		t.Error("the Secret was replaced")
	}
	s.fails(ExitError, "repository init", "repository", "show", "--dir", "roots")
	s.fails(ExitError, "can be read", "repository", "show", "--dir", "nowhere")
	s.fails(ExitUsage, "--role", "repository", "rotate-key", "--role", "boss")
	s.fails(ExitUsage, "in the Secret", "repository", "rotate-key", "--role", "timestamp", "--public-key", "x")
	s.fails(ExitUsage, "--min-version", "repository", "floor", "--app", "x")
	s.fails(ExitUsage, "go together", "repository", "init", "--online-root", "--threshold", "2")
	s.fails(ExitError, "threshold", "repository", "init", "--dir", "other", "--root-keys", "2", "--threshold", "3")
	if _, err := os.Stat("other"); err == nil {
		t.Error("a folder was made for nothing")
	}
}

func TestCeremony_secret(t *testing.T) {
	s := newShell(t)
	s.state("init")
	if err := os.Rename("roots/signing.secret.yaml", "from-cluster.yaml"); err != nil {
		t.Fatal(err)
	}
	s.fails(ExitError, "kubectl get secret", "repository", "rotate-key", "--dir", "roots", "--role", "channels")
	s.write(map[string]string{"wrong.yaml": "kind: ConfigMap\ndata: {secret-text: x}\n"})
	s.fails(ExitError, "manifest of a Secret", "repository", "rotate-key", "--dir", "roots", "--role", "channels", "--secret", "wrong.yaml")
	s.run("repository", "rotate-key", "--dir", "roots", "--role", "channels", "--secret", "from-cluster.yaml")
	if data := object[corev1.Secret](s, "from-cluster.yaml").Data; data["channels.next.key"] == nil || data["channels.key"] == nil {
		t.Errorf("the Secret has %q", sorted(data))
	}
	if _, err := os.Stat("roots/2.root.json"); err == nil {
		t.Error("the key of the channels needs no root")
	}
}

// A gap, as of a root that is only in the bucket, is told.
func TestCeremony_gap(t *testing.T) {
	s := newShell(t)
	s.state("init", "--root-keys", "1")
	key := s.rootKeyFiles()[0]
	for range 2 {
		s.state("renew")
		signAll(s, key)
	}
	if err := os.Remove("roots/2.root.json"); err != nil {
		t.Fatal(err)
	}
	s.fails(ExitError, "expected 2.root.json, got 3.root.json next", "repository", "show", "--dir", "roots")
	for _, file := range []string{"1.root.json", rootsFile} { // a folder that starts with what is published
		if err := os.Remove("roots/" + file); err != nil {
			t.Fatal(err)
		}
	}
	if next := s.state("renew"); next.Version != 4 {
		t.Errorf("after root 3: %+v", next)
	}
	if cm := object[corev1.ConfigMap](s, "roots/"+rootsFile); cm.Name != "default-roots" || len(cm.Data) != 1 || cm.Data["3.root.json"] == "" {
		t.Errorf("the ConfigMap %q has %q", cm.Name, sorted(cm.Data))
	}
}

// What init makes can be added to Git as it is: no private key goes there.
func TestInit_gitignore(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	for name, before := range map[string]string{"none": "", "one that lets all in": "tmp\n!*"} {
		t.Run(name, func(t *testing.T) {
			s := newShell(t)
			if before != "" {
				s.write(map[string]string{"roots/.gitignore": before})
			}
			if state := s.state("init"); !slices.Contains(state.Written, ".gitignore") {
				t.Errorf("init says it wrote %q", state.Written)
			}
			online := s.run("repository", "init", "--online-root", "--dir", "online")
			if !strings.Contains(online, "written   .gitignore") || !strings.Contains(online, "written   signing.secret.yaml") {
				t.Errorf("init says %s", online)
			}
			got := strings.Fields(bash(t, nil, "git init -q . && git add -A && git ls-files"))
			want := []string{"online/.gitignore", "roots/.gitignore", "roots/1.root.json", "roots/roots.configmap.yaml"}
			if !slices.Equal(got, want) {
				t.Errorf("in Git are %q, want %q", got, want)
			}
			if !strings.HasPrefix(s.read("roots/.gitignore"), before) {
				t.Error("the .gitignore that was there is gone")
			}
		})
	}
}

func TestShow_text(t *testing.T) {
	s := newShell(t)
	s.state("init", "--root-keys", "2", "--threshold", "2")
	s.state("floor", "--app", "com.example.shop", "--min-version", "1.0.0")
	signAll(s, s.rootKeyFiles()[0])
	out := s.run("repository", "show", "--dir", "roots")
	for _, want := range []string{"2.root.json", "waiting for signatures", "1 of 2 by keys of version 1", "missing: 1 of", "keys of timestamp", "com.example.shop 1.0.0", "2027-11-22"} {
		if !strings.Contains(out, want) {
			t.Errorf("show lacks %q:\n%s", want, out)
		}
	}
}
