// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"aead.dev/minisign"

	"github.com/windlass-dev/windlass/internal/verify"
)

// minisigner signs as the tool does.
type minisigner struct {
	public  verify.Authority
	private minisign.PrivateKey
}

func newMinisigner(t testing.TB) minisigner {
	t.Helper()
	public, private, err := minisign.GenerateKey(rand.Reader)
	must(t, public, err)
	text, err := public.MarshalText()
	key, err2 := verify.ParsePublicKey(must(t, text, err))
	return minisigner{verify.Authority{Name: "ci", Key: must(t, key, err2)}, private}
}

func (m minisigner) sign(t testing.TB, content []byte, comment string) []byte {
	t.Helper()
	r := minisign.NewReader(bytes.NewReader(content))
	if _, err := new(bytes.Buffer).ReadFrom(r); err != nil {
		t.Fatal(err)
	}
	return r.SignWithComments(m.private, comment, "signature")
}

func TestMinisign(t *testing.T) {
	m, other, content := newMinisigner(t), newMinisigner(t), bytes.Repeat([]byte("artifact"), 1000)
	good := m.sign(t, content, "shop/1.0.0")
	_, ed25519Key := newMinisigner(t), signers(t)["Ed25519"]
	for name, tc := range map[string]struct {
		file      []byte
		authority verify.Authority
		want      string // of the refusal; empty: it matches
	}{
		"good":               {good, m.public, ""},
		"in base64":          {[]byte(base64.StdEncoding.EncodeToString(good)), m.public, ""},
		"with CRLF":          {bytes.ReplaceAll(good, []byte("\n"), []byte("\r\n")), m.public, ""},
		"without last break": {bytes.TrimSpace(good), m.public, ""},
		"another key":        {good, other.public, "is by minisign key "},
		"another comment":    {m.sign(t, content, "shop/2.0.0"), m.public, `has the trusted comment "shop/2.0.0", expected "shop/1.0.0"`},
		"usual comment":      {m.sign(t, content, "timestamp:1760000000\tfile:a.zip\thashed"), m.public, `has the trusted comment "timestamp:1760000000\tfile:a.zip\thashed"`},
		"comment, prefix":    {m.sign(t, content, "shop/1.0.0 "), m.public, `expected "shop/1.0.0"`},
		"changed comment":    {bytes.Replace(m.sign(t, content, "shop/0.9.0"), []byte("0.9"), []byte("1.0"), 1), m.public, "was changed after it was signed"},
		"another artifact":   {m.sign(t, content[1:], "shop/1.0.0"), m.public, "is not over this artifact by this key"},
		"a key in PEM":       {good, authority(t, "ci", ed25519Key.key), "is one of minisign, expected one by the Ed25519 key"},
	} {
		t.Run(name, func(t *testing.T) {
			n, why := refusals(t, content, tc.authority, tc.file)
			if tc.want == "" && n != 1 || tc.want != "" && (n != 0 || !strings.Contains(why[0], tc.want)) {
				t.Errorf("got %d matches and refusals %q, want %q", n, why, tc.want)
			}
		})
	}
	if sig := decode(t, good); sig.Format() != verify.Minisign || len(sig.Bytes()) != 64 || sig.Evidence() != nil {
		t.Errorf("got format %s, %d bytes and %d bytes of evidence, want Minisign, 64 and none", sig.Format(), len(sig.Bytes()), len(sig.Evidence()))
	}
	if _, why := refusals(t, content, m.public, mustSign(t, ed25519Key, content)); !strings.Contains(why[0], "is not one of minisign, as the key is") {
		t.Errorf("a detached signature and a minisign key: %q", why)
	}
	v, err := verify.New(now, verify.Subject{}, []verify.Authority{m.public}, []verify.Signature{decode(t, good)})
	if why := must(t, v, err).Refusals(); !strings.Contains(why[0], "app and version only") {
		t.Errorf("without an app: %q", why)
	}
}

func mustSign(t testing.TB, s signer, content []byte) []byte {
	t.Helper()
	sig, err := s.sign(content)
	return must(t, sig, err)
}

// The signature over the comment is no signature over an artifact that looks like a signature and a comment.
func TestMinisign_globalIsNotDetached(t *testing.T) {
	m := newMinisigner(t)
	lines := strings.Split(string(m.sign(t, []byte("a"), "shop/1.0.0")), "\n")
	raw, err := base64.StdEncoding.DecodeString(lines[1])
	artifact := []byte(string(must(t, raw, err)[10:]) + "shop/1.0.0")
	if n, _ := refusals(t, artifact, m.public, []byte(lines[3])); n != 0 {
		t.Error("the signature of a trusted comment counts as one of an artifact")
	}
}

func TestParsePublicKey_minisign(t *testing.T) {
	public, _, err := minisign.GenerateKey(rand.Reader)
	text, err2 := must(t, public, err).MarshalText()
	must(t, text, err2)
	line := public.String()
	for name, tc := range map[string]struct{ text, want string }{
		"file":       {string(text), ""},
		"last break": {string(text) + "\n", ""},
		"with CRLF":  {strings.ReplaceAll(string(text), "\n", "\r\n") + "\r\n", ""},
		"one line":   {line, ""},
		"signature":  {"untrusted comment: x\n" + base64.StdEncoding.EncodeToString(append([]byte("ED"), make([]byte, 72)...)), "signature of minisign"},
		"no point":   {base64.StdEncoding.EncodeToString(append([]byte("Ed12345678\x02"), make([]byte, 31)...)), "not a point"},
		"too large":  {strings.Repeat("A", verify.MaxPublicKey+1), "expected at most 65536"},
		"changed":    {"x" + line, "no PEM block"},
	} {
		t.Run(name, func(t *testing.T) {
			key, err := verify.ParsePublicKey([]byte(tc.text))
			if tc.want == "" && (err != nil || key.String() != "Minisign" || len(key.ID()) != 16) {
				t.Errorf("got key %s %s and error %v", key, key.ID(), err)
			}
			if tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got error %v, want one that says %q", err, tc.want)
			}
		})
	}
}

// The real tool, with the commands that the manual gives.
func TestMinisign_tool(t *testing.T) {
	if _, err := exec.LookPath("minisign"); err != nil {
		t.Skip("minisign is not installed: apt-get install minisign")
	}
	dir, content := t.TempDir(), bytes.Repeat([]byte("artifact"), 10_000)
	run := func(args ...string) {
		cmd := exec.CommandContext(t.Context(), "minisign", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("minisign %v: %v\n%s", args, err, out)
		}
	}
	read := func(name string) []byte {
		out, err := os.ReadFile(filepath.Join(dir, name))
		return must(t, out, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "artifact"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	run("-G", "-W", "-p", "key.pub", "-s", "key.sec")
	run("-S", "-s", "key.sec", "-m", "artifact", "-t", "shop/1.0.0")
	run("-S", "-l", "-s", "key.sec", "-m", "artifact", "-t", "shop/1.0.0", "-x", "legacy")
	key, err := verify.ParsePublicKey(read("key.pub"))
	ci := verify.Authority{Name: "ci", Key: must(t, key, err)}
	if n, why := refusals(t, content, ci, read("artifact.minisig")); n != 1 {
		t.Errorf("the tool's signature is refused: %q", why)
	}
	if _, err := verify.DecodeSignature(read("legacy")); err == nil || !strings.Contains(err.Error(), "legacy signature of minisign") {
		t.Errorf("a legacy signature: got error %v", err)
	}
}
