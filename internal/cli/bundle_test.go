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
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/windlass-dev/windlass/internal/content"
	"github.com/windlass-dev/windlass/internal/testkit"
	"github.com/windlass-dev/windlass/internal/verify"
)

// manifestArgs are those of a Bundle of the archive that the other commands made.
var manifestArgs = []string{
	"bundle", "manifest", "shop.zip", "--app", "com.example.shop", "--version", "2.4.1", "--url", "https://ci.example.com/shop.zip",
	"--signature", "shop.zip.sig", "--release-notes", "en=@notes/en.txt", "--release-notes", "de=Repariert die Kasse.",
	"--native-dependencies", "package.json", "--platform", "ios", "--platform", "android", "--native-version", ">=4.2.0 <5.0.0",
}

// The results of all commands of a release, in every form.
func TestGolden(t *testing.T) {
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	s := newShell(t)
	s.write(site)
	s.write(map[string]string{"bad/main.js": "eval(code)\n", "bad/key.pem": "-----BEGIN " + "PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgZm9vYmFyZm9vYmFy\n-----END PRIVATE KEY-----\n", "bad/libx.so": "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 60)})
	for _, c := range []struct {
		name string
		code int
		args []string
	}{
		{"pack", 0, []string{"bundle", "pack", "dist", "-o", "shop.zip"}},
		{"pack-bad", 0, []string{"bundle", "pack", "bad"}},
		{"digest", 0, []string{"bundle", "digest", "shop.zip"}},
		{"inspect", 0, []string{"bundle", "inspect", "shop.zip", "--channel", "channels/production.yaml", "--native-dependencies", "package.json"}},
		{"inspect-denied", 3, []string{"bundle", "inspect", "bad.zip", "--profile", "AppStores", "--check", "eval=Warn", "--stable", "shop.zip"}},
		{"sign", 0, []string{"bundle", "sign", "shop.zip", "--key", "ci.key"}},
		{"verify", 0, []string{"bundle", "verify", "shop.zip", "--key", "ci.pub", "--signature", "shop.zip.sig"}},
		{"verify-refused", 3, []string{"bundle", "verify", "bad.zip", "--key", "ci.pub", "--signature", "shop.zip.sig"}},
		{"manifest", 0, manifestArgs},
	} {
		for _, format := range formats {
			o := s.try(append(slices.Clone(c.args), "--output", format)...)
			if o.code != c.code || (c.code == 0) != (o.err == "") {
				t.Errorf("%s: exit code %d, want %d: %s", c.name, o.code, c.code, o.err)
			}
			golden(t, root, c.name+"."+format, o.out)
			if c.code != 0 {
				golden(t, root, c.name+".err", o.err)
			}
		}
	}
}

// A release from folder to cluster: what the command line makes, the operator's code accepts and the API server takes.
func TestRelease(t *testing.T) {
	env := testkit.Start(t)
	s := newShell(t)
	s.write(site)
	s.env["SIGNING_KEY"] = edKey()
	s.run("bundle", "pack", "dist", "-o", "shop.zip")
	s.run("bundle", "sign", "shop.zip", "--key", "env://SIGNING_KEY")
	s.run("bundle", "verify", "shop.zip", "--key", "ci.pub", "--signature", "shop.zip.sig")
	for _, format := range []string{formatText, formatJSON, formatYAML} {
		dryRun(t, env, s.run(append(slices.Clone(manifestArgs), "--output", format)...))
	}
}

// dryRun lets the API server judge a manifest.
func dryRun(t *testing.T, env *testkit.Env, manifest string) {
	t.Helper()
	obj := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(manifest), &obj.Object); err != nil {
		t.Fatal(err)
	}
	obj.SetNamespace(env.Namespace)
	strict := client.WithFieldValidation(env.Client, "Strict")
	if err := strict.Create(t.Context(), obj, client.DryRunAll); err != nil {
		t.Errorf("the API server refuses it: %v\n%s", err, manifest)
	}
}

// What the API server refuses is refused here with the same words.
func TestManifest_rules(t *testing.T) {
	env := testkit.Start(t)
	s := newShell(t)
	s.write(site)
	s.run("bundle", "pack", "dist", "-o", "shop.zip")
	s.run("bundle", "sign", "shop.zip", "--key", "ci.key")
	text := s.run(manifestArgs...)
	for name, change := range map[string]func(spec map[string]any){
		"app":     func(spec map[string]any) { spec["app"] = "-x" },
		"version": func(spec map[string]any) { spec["version"] = "v1.0" },
		"digest":  func(spec map[string]any) { spec["digest"] = "sha256:00" },
		"url": func(spec map[string]any) {
			spec["source"] = map[string]any{"http": map[string]any{"url": "ftp://example.com"}}
		},
		"two": func(spec map[string]any) {
			spec["source"].(map[string]any)["oci"] = map[string]any{"image": "a@sha256:" + strings.Repeat("0", 64)}
		},
		"platform":   func(spec map[string]any) { spec["compatibility"] = map[string]any{"platforms": []any{"beos"}} },
		"twice":      func(spec map[string]any) { spec["compatibility"] = map[string]any{"platforms": []any{"ios", "ios"}} },
		"language":   func(spec map[string]any) { spec["releaseNotes"] = map[string]any{"English": "x"} },
		"long note":  func(spec map[string]any) { spec["releaseNotes"] = map[string]any{"en": strings.Repeat("x", 5000)} },
		"attached":   func(spec map[string]any) { spec["signatures"] = []any{map[string]any{"attached": "Cosign"}} },
		"encryption": func(spec map[string]any) { spec["encryption"] = map[string]any{"mode": "Opaque"} },
	} {
		t.Run(name, func(t *testing.T) {
			var object map[string]any
			if err := yaml.Unmarshal([]byte(text), &object); err != nil {
				t.Fatal(err)
			}
			change(object["spec"].(map[string]any))
			problems, err := validate(t.Context(), "Bundle", object)
			if err != nil {
				t.Fatal(err)
			}
			obj := &unstructured.Unstructured{Object: object}
			obj.SetNamespace(env.Namespace)
			err = env.Client.Create(t.Context(), obj, client.DryRunAll)
			if err == nil || len(problems) == 0 {
				t.Fatalf("the server says %v, and we %v: want both to refuse it", err, problems)
			}
			for _, p := range problems {
				if !strings.Contains(err.Error(), p.Detail) {
					t.Errorf("we say %q, the server %q", p.Detail, err)
				}
			}
		})
	}
}

// An encrypted update: the statement that CI makes is one that the operator takes.
func TestEncrypted(t *testing.T) {
	env := testkit.Start(t)
	s := newShell(t)
	s.write(site)
	s.run("bundle", "pack", "dist", "-o", "shop.zip")
	made := testkit.NewCapgoKey(t).Encrypt(t, []byte(s.read("shop.zip")))
	printed, err := json.Marshal(map[string]string{"ivSessionKey": made.SessionKey, "checksum": made.Checksum, "filename": "shop.enc"})
	if err != nil {
		t.Fatal(err)
	}
	s.write(map[string]string{"shop.enc": string(made.Content), "encrypted.json": string(printed)})
	s.run("bundle", "inspect", "shop.zip", "--profile", "AppStores", "--encrypted", "shop.enc", "--key", "ci.key")
	s.run("bundle", "sign", "shop.enc", "--key", "ci.key")
	s.run("bundle", "verify", "shop.enc", "--key", "ci.pub", "--signature", "shop.enc.sig", "--attestation", "shop.enc.statement.sigstore.json")
	s.run("bundle", "verify", "shop.zip", "--key", "ci.pub", "--attestation", "shop.enc.statement.sigstore.json")
	manifest := s.run("bundle", "manifest", "shop.enc", "--app", "com.example.shop", "--version", "2.4.1", "--url", "https://ci.example.com/shop.enc",
		"--signature", "shop.enc.sig", "--attestation", "shop.enc.statement.sigstore.json", "--encryption", "encrypted.json")
	dryRun(t, env, manifest)

	key, err := verify.ParsePublicKey([]byte(edPublic()))
	if err != nil {
		t.Fatal(err)
	}
	statement, _, err := verify.VerifyStatement(now, []verify.Authority{{Name: "ci", Key: key}}, []byte(s.read("shop.enc.statement.sigstore.json")))
	if err != nil {
		t.Fatal(err)
	}
	var report content.Report
	if err := json.Unmarshal(statement.Predicate, &report); err != nil {
		t.Fatal(err)
	}
	if statement.PredicateType != content.PredicateType || report.Files != 3 || report.Ruleset != content.Ruleset {
		t.Errorf("the statement of type %s says %+v", statement.PredicateType, report)
	}

	t.Run("unsigned", func(t *testing.T) {
		s.run("bundle", "inspect", "shop.zip", "--encrypted", "shop.enc", "--statement-out", "statement.json")
		var got struct {
			Type    string `json:"_type"`
			Subject []struct {
				Name   string
				Digest map[string]string
			}
		}
		if err := json.Unmarshal([]byte(s.read("statement.json")), &got); err != nil {
			t.Fatal(err)
		}
		if got.Type != "https://in-toto.io/Statement/v1" || len(got.Subject) != 2 || "sha256:"+got.Subject[1].Digest["sha256"] != testkit.Digest(made.Content) {
			t.Errorf("the statement is %+v", got)
		}
	})
	t.Run("refused", func(t *testing.T) {
		s.write(map[string]string{"ec.key": ecKey(t)})
		if out, err := exec.CommandContext(t.Context(), "openssl", "pkey", "-in", "ec.key", "-pubout", "-out", "ec.pub").CombinedOutput(); err != nil {
			t.Skipf("openssl: %v %s", err, out)
		}
		both := []string{"bundle", "verify", "shop.enc", "--key", "ci.pub", "--key", "ec.pub", "--attestation", "shop.enc.statement.sigstore.json"}
		s.fails(ExitRefused, "expected a signature of ec.pub, got none that matches", both...)
		s.run("bundle", "sign", "shop.enc", "--key", "ec.key", "-o", "shop.enc.ec")
		s.run(append(both, "--signature", "shop.enc.ec")...)
		s.fails(ExitError, "the readable one", "bundle", "inspect", "shop.zip", "--encrypted", "shop.zip", "--key", "ci.key")
		s.fails(ExitRefused, "about other files", "bundle", "verify", "ci.pub", "--key", "ci.pub", "--attestation", "shop.enc.statement.sigstore.json")
		s.fails(ExitError, "about other files", "bundle", "manifest", "ci.pub", "--app", "a", "--version", "1.0.0", "--url", "https://a.example/b",
			"--signature", "shop.enc.sig", "--attestation", "shop.enc.statement.sigstore.json")
		s.fails(ExitError, "ivSessionKey", "bundle", "manifest", "shop.enc", "--app", "a", "--version", "1.0.0", "--url", "https://a.example/b",
			"--signature", "shop.enc.sig", "--encryption", "package.json")
	})
}

// A common page is denied where it is new, and only where somebody can tell.
func TestInspect_secondRelease(t *testing.T) {
	s := newShell(t)
	s.write(site)
	s.run("bundle", "pack", "dist", "-o", "plain.zip")
	s.write(map[string]string{"dist/index.html": inlinePage, "dist/main.js": "eval(code)\n"})
	s.run("bundle", "pack", "dist", "-o", "first.zip")
	s.write(map[string]string{"dist/more.js": "export {}\n"})
	s.run("bundle", "pack", "dist", "-o", "second.zip")
	s.write(map[string]string{"dist/lib.so": "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 60)})
	s.run("bundle", "pack", "dist", "-o", "native.zip")
	for name, tc := range map[string]struct {
		args []string
		want []string // actions and checks
	}{
		"nothing to compare with": {[]string{"second.zip"}, []string{"Warn csp-loosened", "Warn eval"}},
		"as stable":               {[]string{"second.zip", "--stable", "first.zip"}, nil},
		"unlike stable":           {[]string{"second.zip", "--stable", "plain.zip"}, []string{"Deny csp-loosened", "Warn eval"}},
		"first release":           {[]string{"first.zip", "--first-release"}, []string{"Deny csp-loosened", "Warn eval"}},
		"never allowed":           {[]string{"native.zip"}, []string{"Deny native-code", "Warn csp-loosened", "Warn eval"}},
	} {
		o := s.try(append([]string{"bundle", "inspect", "--profile", "AppStores", "--output", "json"}, tc.args...)...)
		var got inspection
		if err := json.Unmarshal([]byte(o.out), &got); err != nil {
			t.Fatal(err)
		}
		var list []string
		for _, v := range got.Violations {
			list = append(list, string(v.Action)+" "+v.Check)
			if left := strings.Contains(v.Message, "by the operator; give --stable FILE"); left != (len(tc.args) == 1 && v.Check != "native-code") {
				t.Errorf("%s: message %q", name, v.Message)
			}
		}
		denied := len(tc.want) > 0 && strings.HasPrefix(tc.want[0], "Deny")
		if !slices.Equal(list, tc.want) || got.Denied != denied || (o.code == ExitRefused) != denied {
			t.Errorf("%s: %q, exit code %d, want %q", name, list, o.code, tc.want)
		}
	}
	s.fails(ExitUsage, "go together", "bundle", "inspect", "first.zip", "--stable", "plain.zip", "--first-release")
}

// No Bundle is made of what the operator would refuse.
func TestManifest_refuses(t *testing.T) {
	s := newShell(t)
	s.write(site)
	s.run("bundle", "pack", "dist", "-o", "shop.zip")
	s.run("bundle", "sign", "shop.zip", "--key", "ci.key")
	s.write(map[string]string{"broken.zip": s.read("shop.zip") + "x", "ec.key": ecKey(t)})
	s.run("bundle", "sign", "broken.zip", "--key", "ci.key")
	s.run("bundle", "sign", "shop.zip", "--key", "ec.key", "-o", "ec.sig")
	args := func(file, signature string, more ...string) []string {
		return append([]string{"bundle", "manifest", file, "--app", "com.example.shop", "--version", "2.4.1", "--url", "https://ci.example.com/shop.zip",
			"--signature", signature, "-o", "bundle.yaml"}, more...)
	}
	s.fails(ExitRefused, "expected an archive that the operator takes", args("broken.zip", "broken.zip.sig")...)
	s.fails(ExitRefused, "expected a signature of ci.pub", args("shop.zip", "ec.sig", "--key", "ci.pub")...)
	s.fails(ExitRefused, "expected a signature of ci.pub", args("shop.zip", "broken.zip.sig", "--key", "ci.pub")...)
	if _, err := os.Stat("bundle.yaml"); err == nil {
		t.Error("there is a manifest")
	}
	s.run(args("shop.zip", "ec.sig", "--signature", "shop.zip.sig", "--key", "ci.pub")...)
}

// Nothing is written about an artifact that the policy denies.
func TestEncrypted_denied(t *testing.T) {
	s := newShell(t)
	s.write(map[string]string{"dist/a.so": "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 60), "enc": "x", "ci.key": edKey()})
	s.run("bundle", "pack", "dist")
	s.fails(ExitRefused, "policy", "bundle", "inspect", "dist.zip", "--profile", "AppStores", "--encrypted", "enc", "--key", "ci.key", "-o", "out")
	if _, err := os.Stat("out"); err == nil {
		t.Error("there is a statement")
	}
}

func TestPack(t *testing.T) {
	s := newShell(t)
	s.write(site)
	first := s.run("bundle", "pack", "dist", "-o", "shop.zip", "--output", "json")
	for name := range site {
		if err := os.Chtimes(name, now, now.Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if second := s.run("bundle", "pack", "dist", "-o", "shop.zip", "--output", "json"); first != second {
		t.Errorf("two runs differ:\n%s%s", first, second)
	}
	s.env["SOURCE_DATE_EPOCH"] = "1700000000"
	if third := s.run("bundle", "pack", "dist", "-o", "shop.zip", "--output", "json"); first == third {
		t.Error("SOURCE_DATE_EPOCH changes nothing")
	}
	s.env["SOURCE_DATE_EPOCH"] = "12"
	s.fails(ExitUsage, "SOURCE_DATE_EPOCH", "bundle", "pack", "dist")
	delete(s.env, "SOURCE_DATE_EPOCH")
	for _, format := range []string{"tar.gz", "tar.zst"} {
		if out := s.run("bundle", "pack", "dist", "-o", "a."+format); !strings.Contains(out, "a."+format) {
			t.Errorf("--out chooses no format: %s", out)
		}
		s.run("bundle", "inspect", "a."+format)
	}
	s.fails(ExitUsage, "outside of dist", "bundle", "pack", "dist", "-o", "dist/a.zip")
	s.fails(ExitUsage, "--format", "bundle", "pack", "dist", "--format", "rar")
	s.fails(ExitError, "got none", "bundle", "pack", t.TempDir())
	s.fails(ExitError, "folder that can be read", "bundle", "pack", "nowhere")
	s.fails(ExitError, "folder that can be read", "bundle", "pack", "package.json")
}

// What devices cannot unpack is refused, and leaves nothing.
func TestPack_refuses(t *testing.T) {
	for name, tc := range map[string]struct {
		make func() error
		want string
	}{
		"link":      {func() error { return os.Symlink("main.js", "dist/link.js") }, "symbolic link: link.js"},
		"backslash": {func() error { return os.WriteFile(`dist/a\b.js`, nil, 0o600) }, "backslash"},
		"twins":     {func() error { return os.WriteFile("dist/MAIN.js", nil, 0o600) }, "MAIN.js"},
		"device":    {func() error { return os.WriteFile("dist/con.js", nil, 0o600) }, "con.js"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShell(t)
			s.write(site)
			if err := tc.make(); err != nil {
				t.Skip(err)
			}
			s.fails(ExitError, tc.want, "bundle", "pack", "dist", "-o", "shop.zip")
			left, err := filepath.Glob("*.zip*")
			hidden, err2 := filepath.Glob(".*")
			if err != nil || err2 != nil || len(left)+len(hidden) > 0 {
				t.Errorf("left behind: %q %q", left, hidden)
			}
		})
	}
}

func TestSign(t *testing.T) {
	s := newShell(t)
	s.write(site)
	s.run("bundle", "pack", "dist", "-o", "shop.zip")
	if out, err := exec.CommandContext(t.Context(), "openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384", "-out", "ec.key").CombinedOutput(); err != nil {
		t.Skipf("openssl: %v %s", err, out)
	}
	if out, err := exec.CommandContext(t.Context(), "openssl", "pkey", "-in", "ec.key", "-pubout", "-out", "ec.pub").CombinedOutput(); err != nil {
		t.Fatalf("openssl: %v %s", err, out)
	}
	s.run("bundle", "sign", "shop.zip", "--key", "ec.key", "--format", "sigstore")
	s.run("bundle", "sign", "shop.zip", "--key", "ec.key", "--hash", "sha256", "-o", "other.sig")
	out := s.run("bundle", "verify", "shop.zip", "--key", "ec.pub", "--key", "ci.pub", "--signature", "shop.zip.sigstore.json",
		"--signature", "other.sig", "--signature", sign(s, "shop.zip"))
	if !strings.Contains(out, "ECDSA-P384-SHA384") || !strings.Contains(out, "Ed25519") {
		t.Errorf("verify says %s", out)
	}
	s.run("bundle", "verify", "shop.zip", "--key", "ec.pub", "--hash", "sha256", "--signature", "other.sig")
	s.write(map[string]string{"again.pub": edPublic()})
	s.fails(ExitUsage, "got the one of ci.pub; name each author once", "bundle", "verify", "shop.zip", "--key", "ci.pub", "--key", "again.pub", "--signature", "shop.zip.ed")
	s.fails(ExitRefused, "expected a signature of ci.pub", "bundle", "verify", "shop.zip", "--key", "ec.pub", "--key", "ci.pub", "--signature", "other.sig")
	s.fails(ExitUsage, "--format", "bundle", "sign", "shop.zip", "--key", "ec.key", "--format", "gpg")
	s.fails(ExitUsage, "--hash", "bundle", "sign", "shop.zip", "--key", "ec.key", "--hash", "md5")
	s.fails(ExitUsage, "got none", "bundle", "sign", "shop.zip")
	s.fails(ExitUsage, "behind --", "bundle", "sign", "shop.zip", "--key", "ec.key", "--", "--more")
	s.fails(ExitError, "private key", "bundle", "sign", "shop.zip", "--key", "ec.pub")
	s.fails(ExitError, "environment variable NOTHING", "bundle", "sign", "shop.zip", "--key", "env://NOTHING")
	s.fails(ExitError, "a folder", "bundle", "sign", "dist", "--key", "ec.key")
	s.fails(ExitError, "detached signature", "bundle", "sign", "shop.zip", "--key", "ci.key", "--format", "sigstore")
	s.fails(ExitUsage, "nobody", "bundle", "verify", "shop.zip", "--signature", "other.sig")
	s.fails(ExitUsage, "--issuer", "bundle", "verify", "shop.zip", "--signature", "other.sig", "--identity", "x")
	s.fails(ExitUsage, "none", "bundle", "verify", "shop.zip", "--key", "ec.pub")
	s.fails(ExitError, "no Sigstore bundle", "bundle", "verify", "shop.zip", "--key", "ec.pub", "--signature", "package.json")
}

// sign makes a signature by the key of the site.
func sign(s *shell, file string) string {
	s.t.Helper()
	s.run("bundle", "sign", file, "--key", "ci.key", "-o", file+".ed")
	return file + ".ed"
}

// cosign is stood in for by a script: the real one talks to the network.
func TestSign_cosign(t *testing.T) {
	s := newShell(t)
	s.write(site)
	s.run("bundle", "pack", "dist", "-o", "shop.zip")
	t.Setenv("PATH", t.TempDir())
	s.fails(ExitError, "cosign 3 or newer on the PATH, got none", "bundle", "sign", "shop.zip", "--cosign")

	newTools(t)
	s.write(map[string]string{"cosign.key": ecKey(t)})
	out := s.run("bundle", "sign", "shop.zip", "--cosign", "--output", "json", "--", "--key", "cosign.key")
	if !strings.Contains(out, `"shop.zip.sigstore.json"`) || !strings.Contains(out, `"verified": false`) {
		t.Errorf("sign says %s", out)
	}
	s.fails(ExitError, "expected cosign to sign", "bundle", "sign", "shop.zip", "--cosign", "--", "--key", "missing.key")
	s.fails(ExitUsage, "cosign", "bundle", "sign", "shop.zip", "--cosign", "--key", "x")
}

func TestNative(t *testing.T) {
	s := newShell(t)
	s.write(site)
	s.write(map[string]string{
		"list.yaml":         `packages: [{name: b, version: ^2.0.0}, {name: a}]`,
		"native.json":       `{"nativeDependencies": {"c": "1.0.0"}}`,
		"wrong.json":        `{"packages": {"a": "1"}}`,
		"bare/package.json": `{"dependencies": {"missing": "1.0.0"}}`,
	})
	a := &app{Streams: Streams{}}
	for file, want := range map[string]string{
		"package.json": "@capacitor/app ^6.0.1, @capacitor/camera ^6.1.0",
		"list.yaml":    "a, b ^2.0.0",
		"native.json":  "c 1.0.0",
	} {
		got, err := a.nativePackages(file)
		if err != nil || nativeText(got.needed()) != want {
			t.Errorf("%s: got %v and %v, want %s", file, got, err, want)
		}
	}
	installed, err := a.nativePackages("package.json")
	if err != nil || installed.installed()["@capacitor/camera"] != "6.1.2" {
		t.Errorf("installed are %v: %v", installed, err)
	}
	for file, want := range map[string]string{"wrong.json": "docs/cli.md", "bare/package.json": "npm ci", "none.json": "can be read"} {
		if _, err := a.nativePackages(file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error that says %s", file, err, want)
		}
	}
}

func TestInspect_policy(t *testing.T) {
	s := newShell(t)
	s.write(site)
	s.write(map[string]string{"empty.yaml": "kind: Channel\nspec: {}\n"})
	s.run("bundle", "pack", "dist")
	s.fails(ExitRefused, "violations", "bundle", "inspect", "dist.zip", "--native-baseline", "package.json") // nobody says what it needs
	s.run("bundle", "inspect", "dist.zip", "--native-baseline", "package.json", "--native-dependencies", "package.json")
	s.fails(ExitUsage, "name of a check", "bundle", "inspect", "dist.zip", "--check", "nonsense=Deny")
	s.fails(ExitUsage, "Deny, Warn or Allow", "bundle", "inspect", "dist.zip", "--check", "eval=deny")
	s.fails(ExitUsage, "--profile", "bundle", "inspect", "dist.zip", "--profile", "Stores")
	s.fails(ExitUsage, "--native-code", "bundle", "inspect", "dist.zip", "--native-code", "No")
	s.fails(ExitUsage, "channel", "bundle", "inspect", "dist.zip", "--channel", "empty.yaml", "--profile", "None")
	s.fails(ExitError, "spec.admission.content", "bundle", "inspect", "dist.zip", "--channel", "empty.yaml")
	s.fails(ExitError, "one Channel", "bundle", "inspect", "dist.zip", "--channel", "package.json")
	s.fails(ExitUsage, "--encrypted", "bundle", "inspect", "dist.zip", "--key", "ci.key")
	s.fails(ExitUsage, "--statement-out", "bundle", "inspect", "dist.zip", "--encrypted", "dist.zip")
	s.fails(ExitUsage, "--key", "bundle", "inspect", "dist.zip", "-o", "out")
	s.write(map[string]string{"half.zip": s.read("dist.zip")[:100]})
	s.fails(ExitError, "half.zip", "bundle", "inspect", "half.zip")
}

func TestManifest_usage(t *testing.T) {
	s := newShell(t)
	s.write(site)
	s.run("bundle", "pack", "dist", "-o", "shop.zip")
	sign(s, "shop.zip")
	base := []string{"bundle", "manifest", "shop.zip", "--app", "com.example.shop", "--version", "2.4.1"}
	with := func(more ...string) []string { return append(slices.Clone(base), more...) }
	signed := func(more ...string) []string { return append(with("--signature", "shop.zip.ed"), more...) }
	image := "registry.example.com/shop@sha256:" + strings.Repeat("0", 64)
	for _, args := range [][]string{
		with("--oci", image, "--attached", "--source-secret", "pull"),
		with("--url", "https://a.example/b", "--signature-url", "https://a.example/b.sig"),
		signed("--s3", "s3://updates/a/b.zip", "--s3-endpoint", "https://s3.example.com", "--s3-region", "eu", "--name", "x", "-n", "mobile", "--repository", "r"),
	} {
		s.run(args...)
	}
	s.fails(ExitUsage, "--app", "bundle", "manifest", "shop.zip")
	s.fails(ExitUsage, "got 0", signed()...)
	s.fails(ExitUsage, "got 2", signed("--url", "https://a.example/b", "--oci", image)...)
	s.fails(ExitUsage, "s3://", signed("--s3", "https://a.example/b", "--s3-endpoint", "https://s3.example.com")...)
	s.fails(ExitUsage, "s3-endpoint", signed("--s3", "s3://a/b")...)
	s.fails(ExitUsage, "expected a signature", with("--url", "https://a.example/b")...)
	s.fails(ExitUsage, "LANGUAGE=TEXT", signed("--url", "https://a.example/b", "--release-notes", "text")...)
	s.fails(ExitUsage, "--encryption", signed("--url", "https://a.example/b", "--encryption-key-id", "x")...)
	s.fails(ExitError, "attached signatures", with("--url", "https://a.example/b", "--attached")...)
	s.fails(ExitError, "metadata.name", signed("--url", "https://a.example/b", "--name", "Not A Name")...)
	s.fails(ExitError, "metadata.namespace", signed("--url", "https://a.example/b", "-n", "Not A Name")...)
	s.fails(ExitError, "spec.version", append(signed("--url", "https://a.example/b"), "--version", "v1")...)
	if o := s.try(signed("--url", "https://a.example/b", "-o", "out.yaml")...); o.code != 0 || o.out != "" || !strings.Contains(s.read("out.yaml"), "kind: Bundle") {
		t.Errorf("with -o: %+v", o)
	}
}
