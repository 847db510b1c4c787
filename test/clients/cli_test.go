// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/verify/envelope"
)

// cliTimeout bounds one command of the CLI.
const cliTimeout = time.Minute

// project is the folder of a Capacitor app, in which the CLI runs.
type project struct {
	*testing.T
	dir, cli string
}

// newProject makes an app of version 1.0.0 whose updater asks the gateway at base.
func newProject(t *testing.T, base string) *project {
	t.Helper()
	p := &project{T: t, dir: t.TempDir(), cli: filepath.Join(cliPackage.Folder(t, "node"), "dist", "index.js")}
	p.write("capacitor.config.json", fmt.Sprintf(`{
		"appId": %q, "appName": "shop", "webDir": "dist",
		"plugins": {"CapacitorUpdater": {"updateUrl": "%[2]s/updates", "statsUrl": "%[2]s/stats", "channelUrl": "%[2]s/channel_self", "defaultChannel": %[3]q}}
	}`, app, base, channel))
	p.write("package.json", fmt.Sprintf(`{"name": "shop", "version": "1.0.0", "dependencies": {%q: %q}}`, pluginPackage.Name, pluginPackage.Version))
	p.write("node_modules/@capgo/capacitor-updater/package.json", fmt.Sprintf(`{"name": %q, "version": %q}`, pluginPackage.Name, pluginPackage.Version))
	p.write("android/app/build.gradle", `android { defaultConfig { versionCode 1
		versionName "1.0.0"
	} }`)
	p.write("ios/App/App/Info.plist", `<plist version="1.0"><dict>
		<key>CFBundleShortVersionString</key><string>1.0.0</string>
		<key>CFBundleVersion</key><string>1</string>
	</dict></plist>`)
	p.write("dist/index.html", "<script>CapacitorUpdater.notifyAppReady()</script>")
	p.write("dist/app.js", strings.Repeat("let shop; ", 1000))
	return p
}

func (p *project) write(name, content string) {
	p.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		p.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		p.Fatal(err)
	}
}

func (p *project) read(name string) []byte {
	p.Helper()
	raw, err := os.ReadFile(filepath.Join(p.dir, name))
	if err != nil {
		p.Fatal(err)
	}
	return raw
}

// capgo runs a command and gives what it printed.
func (p *project) capgo(args ...string) (string, error) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), cliTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", append([]string{p.cli}, args...)...)
	cmd.Dir, cmd.Env = p.dir, append(os.Environ(), "CAPGO_DISABLE_TELEMETRY=true", "CI=1", "NO_COLOR=1")
	cmd.WaitDelay = time.Second
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("capgo %s: %w\n%s%s", args[0], err, out.String(), said.String())
	}
	return out.String(), nil
}

func (p *project) mustCapgo(args ...string) string {
	p.Helper()
	out, err := p.capgo(args...)
	if err != nil {
		p.Fatal(err)
	}
	return out
}

// encrypted is an update that the CLI packed and encrypted.
type encrypted struct {
	plain, content []byte
	publicKey      string
	encryption     release.Encryption
}

// encrypt does what the CI of a team does: the CLI makes a key, packs the folder and encrypts the archive.
func (p *project) encrypt(version string) *encrypted {
	p.Helper()
	p.mustCapgo("key", "create", "--force")
	var zip struct{ Filename, Checksum string }
	p.decode(p.mustCapgo("bundle", "zip", app, "--path", "dist", "--bundle", version, "--name", "shop.zip", "--json", "--no-code-check"), &zip)
	var out struct{ Filename, Checksum, IvSessionKey string }
	p.decode(p.mustCapgo("bundle", "encrypt", zip.Filename, zip.Checksum, "--json"), &out)
	e := &encrypted{plain: p.read(zip.Filename), content: p.read(out.Filename), publicKey: string(p.read(".capgo_key_v2.pub"))}
	key, err := envelope.ParsePublicKey([]byte(e.publicKey))
	if err != nil {
		p.Fatal(err)
	}
	e.encryption = release.Encryption{SessionKey: out.IvSessionKey, Checksum: out.Checksum, KeyID: key.ID()}
	return e
}

func (p *project) decode(text string, out any) {
	p.Helper()
	if err := json.Unmarshal([]byte(text), out); err != nil {
		p.Fatalf("the CLI printed %q: %v", text, err)
	}
}

// served publishes an encrypted update, and gives the gateway's answer to a device with the app's key, and the artifact.
func (r *rig) served(e *encrypted) (update, []byte) {
	r.Helper()
	b := r.put("1.1.0", e.content)
	b.Encryption = &e.encryption
	r.stable(b)
	got := r.check(e.encryption.KeyID)
	if got.Version != "1.1.0" || got.SessionKey != e.encryption.SessionKey || got.Checksum != e.encryption.Checksum {
		r.Fatalf("the gateway answers %+v, want what the CLI printed: %+v", got, e.encryption)
	}
	artifact := r.do(http.MethodGet, got.URL, nil)
	if !bytes.Equal(artifact, e.content) {
		r.Fatalf("the gateway serves %d bytes, want the %d that the CLI made, as they are", len(artifact), len(e.content))
	}
	return got, artifact
}

// What the CLI encrypts passes the operator's check, comes out of the gateway as it went in, and the CLI itself opens it with
// what the gateway answers, but nothing that was changed on the way.
func TestCLI_encrypts(t *testing.T) {
	r := newRig(t)
	p := newProject(t, r.public)
	e := p.encrypt("1.1.0")
	admit(t, e)
	got, artifact := r.served(e)

	for name, tc := range map[string]struct {
		artifact             []byte
		sessionKey, checksum string
		refused              bool
	}{
		"as served":     {artifact, got.SessionKey, got.Checksum, false},
		"artifact":      {flip(artifact), got.SessionKey, got.Checksum, true},
		"truncated":     {artifact[:len(artifact)-16], got.SessionKey, got.Checksum, true},
		"vector":        {artifact, swap(got.SessionKey, 3), got.Checksum, true},
		"session key":   {artifact, swap(got.SessionKey, len(got.SessionKey)-20), got.Checksum, true},
		"checksum":      {artifact, got.SessionKey, swap(got.Checksum, 200), true},
		"no encryption": {e.plain, got.SessionKey, got.Checksum, true},
	} {
		t.Run(name, func(t *testing.T) {
			p.write("served.zip", string(tc.artifact))
			_ = os.Remove(filepath.Join(p.dir, "served.zip_decrypted.zip"))
			out, err := p.capgo("bundle", "decrypt", "served.zip", tc.sessionKey, "--checksum", tc.checksum)
			if tc.refused {
				if err == nil {
					t.Errorf("the CLI opened what was changed: %s", out)
				}
				return
			}
			if err != nil || !bytes.Equal(p.read("served.zip_decrypted.zip"), e.plain) {
				t.Errorf("the CLI does not open what the gateway serves: %v", err)
			}
		})
	}
}

// admit checks an update as the operator does before it is published.
func admit(t *testing.T, e *encrypted) {
	t.Helper()
	key, err := envelope.ParsePublicKey([]byte(e.publicKey))
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := envelope.Parse(e.encryption.SessionKey, e.encryption.Checksum, e.encryption.KeyID)
	if err != nil {
		t.Fatal(err)
	}
	opener, err := sealed.Unlock([]envelope.PublicKey{key})
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(opener.Reader(bytes.NewReader(e.content)))
	if err != nil || !bytes.Equal(plain, e.plain) {
		t.Fatalf("opened %d bytes and %v, want the %d that the CLI packed", len(plain), err, len(e.plain))
	}
	sum := sha256.Sum256(plain)
	if err := opener.Check(sum[:]); err != nil {
		t.Error(err)
	}
}

// swap changes one character to another of the same alphabet.
func swap(text string, at int) string {
	other := byte('a')
	if text[at] == other {
		other = 'b'
	}
	return text[:at] + string(other) + text[at+1:]
}

// The CLI's probe reads each kind of answer as what it is.
func TestCLI_probes(t *testing.T) {
	r := newRig(t)
	p := newProject(t, r.public)
	update, same, major := r.put("1.1.0", []byte("update")), r.put("1.0.0", []byte("same")), r.put("2.0.0", []byte("major"))
	sealed := r.put("1.1.0", []byte("sealed"))
	sealed.Encryption = &release.Encryption{SessionKey: "aXY=:a2V5", Checksum: strings.Repeat("e", 512), KeyID: "MIIBCgKCAQEAq1vE5yc7"}
	const refused = "actively refused the request"
	tests := map[string]struct {
		change   func(*release.Document)
		platform string
		want     string
		refused  bool
	}{
		"android": {func(d *release.Document) { d.Stable = update }, "android", "Update available: 1.1.0", false},
		"ios":     {func(d *release.Document) { d.Stable = update }, "ios", "Update available: 1.1.0", false},
		"same":    {func(d *release.Document) { d.Stable = same }, "android", "Reason: The device runs the latest version", false},
		"halted":  {func(d *release.Document) { d.Stable, d.Serving = update, release.Halted }, "ios", "Reason: The channel is halted", false},
		"major": {
			func(d *release.Document) { d.Stable, d.Guards.AutoUpdate = major, "Minor" }, "android",
			"Channel policy blocks major upgrades (target 2.0.0, device baseline 1.0.0)", true,
		},
		"older": {
			func(d *release.Document) { d.Stable = r.put("0.9.0", []byte("older")) }, "android", "Channel prevents downgrades below the native app version", true,
		},
		"platform": {
			func(d *release.Document) { d.Stable, d.Audience.Platforms = update, []string{"android"} }, "ios", "Channel has iOS updates disabled", true,
		},
		"build": {
			func(d *release.Document) { d.Stable, d.Audience.Builds = update, []string{"Production"} }, "android", "Channel blocks development builds", true,
		},
		"encrypted": {func(d *release.Document) { d.Stable = sealed }, "android", "Update available: 1.1.0", false},
		"builtin":   {func(*release.Document) {}, "android", "Device is already running the builtin bundle", true},
		"private": {
			func(d *release.Document) { d.Stable, d.Follow.Visibility = update, "Private" }, "android",
			"The selected channel does not allow device self-assignment", true,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			r.publish(tc.change)
			out := p.mustCapgo("probe", "--platform", tc.platform)
			if !strings.Contains(out, tc.want) || strings.Contains(out, refused) != tc.refused {
				t.Errorf("the CLI says %s\nwant %q, and that it was refused: %t", out, tc.want, tc.refused)
			}
		})
	}
}

// sha256Hex is the checksum of an archive that is not encrypted.
func sha256Hex(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
