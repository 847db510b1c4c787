// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windlass-dev/windlass/internal/testkit"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestMain is also the program itself, for shells that tests start: a link to this binary with the name of the plugin, or of
// kubectl, which runs it.
func TestMain(m *testing.M) {
	args := os.Args[1:]
	switch filepath.Base(os.Args[0]) {
	case "kubectl":
		if len(args) == 0 || args[0] != "windlass" {
			os.Exit(ExitUsage)
		}
		os.Exit(Run(context.Background(), System(), args[1:]))
	case "kubectl-windlass":
		os.Exit(Run(context.Background(), System(), args))
	}
	testkit.Main(m)
}

// now is when all commands of tests run.
var now = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

// outcome of a command.
type outcome struct {
	code     int
	out, err string
}

// shell is a folder in which commands run, and their environment.
type shell struct {
	t   *testing.T
	env map[string]string
}

// newShell starts in an empty folder, so that paths in results are the same everywhere.
func newShell(t *testing.T) *shell {
	t.Helper()
	t.Chdir(t.TempDir())
	return &shell{t: t, env: map[string]string{}}
}

// try runs a command.
func (s *shell) try(args ...string) outcome {
	s.t.Helper()
	var out, err bytes.Buffer
	streams := Streams{
		In: strings.NewReader(""), Out: &out, Err: &err, Getenv: func(name string) string { return s.env[name] },
		Now: func() time.Time { return now },
	}
	code := Run(s.t.Context(), streams, args)
	return outcome{code, out.String(), err.String()}
}

// run runs a command that succeeds, and gives what it printed.
func (s *shell) run(args ...string) string {
	s.t.Helper()
	o := s.try(args...)
	if o.code != ExitOK {
		s.t.Fatalf("%v: exit code %d: %s", args, o.code, o.err)
	}
	return o.out
}

// fails runs a command that fails as it should, with a message that says what was expected.
func (s *shell) fails(code int, want string, args ...string) {
	s.t.Helper()
	o := s.try(args...)
	if o.code != code || !strings.HasPrefix(o.err, "error: ") || !strings.Contains(o.err, want) {
		s.t.Errorf("%q: exit code %d and %q, want %d and an error that says %q", args, o.code, o.err, code, want)
	}
}

// write writes files.
func (s *shell) write(files map[string]string) {
	s.t.Helper()
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *shell) read(name string) string {
	s.t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// golden compares with a file of testdata, which -update writes.
func golden(t *testing.T, root, name, got string) {
	t.Helper()
	path := filepath.Join(root, "testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; go test -update writes it anew):\n%s", name, diff)
	}
}

// edKey is a private key that always signs the same bytes.
func edKey() string {
	der, _ := x509.MarshalPKCS8PrivateKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32)))
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func edPublic() string {
	der, _ := x509.MarshalPKIXPublicKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32)).Public())
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// inlinePage is a page as many apps have it: it is for the operator to say whether it is new.
const inlinePage = `<!doctype html><meta http-equiv="Content-Security-Policy" content="script-src 'self' 'unsafe-inline'"><script src=main.js></script>
`

// site is a web build with a plugin.
var site = map[string]string{
	"dist/index.html":     "<!doctype html><script src=main.js></script>\n",
	"dist/main.js":        strings.Repeat("export const greeting = 'hello';\n", 20),
	"dist/native/none.md": "text\n",
	"package.json": `{"dependencies": {"@capacitor/camera": "^6.1.0", "left-pad": "1.3.0", "@capacitor/app": "latest"},
		"devDependencies": {"typescript": "5.0.0"}, "optionalDependencies": {"fsevents": "2.3.3"}}`,
	"node_modules/@capacitor/camera/package.json":            `{"version": "6.1.2"}`,
	"node_modules/@capacitor/camera/ios/Plugin/Plugin.swift": "import Capacitor\n",
	"node_modules/@capacitor/app/package.json":               `{"version": "6.0.1"}`,
	"node_modules/@capacitor/app/android/build.gradle":       "\n",
	"node_modules/left-pad/package.json":                     `{"version": "1.3.0"}`,
	"node_modules/left-pad/node_modules/x/a.swift":           "of another package\n",
	"node_modules/typescript/package.json":                   `{"version": "5.0.0"}`,
	"ci.key":                                                 edKey(),
	"ci.pub":                                                 edPublic(),
	"notes/en.txt":                                           "Fixes checkout.\n",
	"channels/production.yaml": `{apiVersion: ota.windlass.dev/v1alpha1, kind: Channel, metadata: {name: production}, spec: {app: com.example.shop,
		admission: {content: {profile: AppStores, nativeBaseline: {packages: [{name: "@capacitor/camera", version: 6.2.0}, {name: "@capacitor/app", version: 6.0.1}]}}}}}`,
}
