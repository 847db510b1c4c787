// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package envelope_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/windlass-dev/windlass/internal/testkit"
	"github.com/windlass-dev/windlass/internal/verify/envelope"
)

// sharedKeys are two keys that many tests use, since making them takes long.
var (
	sharedKeys [2]*testkit.CapgoKey
	makeKeys   sync.Once
)

func appKeys(t testing.TB) [2]*testkit.CapgoKey {
	t.Helper()
	makeKeys.Do(func() { sharedKeys = [2]*testkit.CapgoKey{testkit.NewCapgoKey(t), testkit.NewCapgoKey(t)} })
	return sharedKeys
}

func public(t testing.TB, text string) envelope.PublicKey {
	t.Helper()
	key, err := envelope.ParsePublicKey([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// open does all that there is to do with an artifact, and gives what is inside.
func open(content []byte, sessionKey, checksum, keyID string, keys ...envelope.PublicKey) (plain []byte, opener envelope.Opener, err error) {
	e, err := envelope.Parse(sessionKey, checksum, keyID)
	if err != nil {
		return nil, envelope.Opener{}, err
	}
	opener, err = e.Unlock(keys)
	if err != nil {
		return nil, opener, err
	}
	plain, err = io.ReadAll(opener.Reader(bytes.NewReader(content)))
	if err != nil {
		return nil, opener, err
	}
	sum := sha256.Sum256(plain)
	return plain, opener, opener.Check(sum[:])
}

// What Capgo's own CLI made is opened, by its key alone, and with its name.
func TestOpen_cli(t *testing.T) {
	artifact, err := base64.StdEncoding.DecodeString(cliArtifact)
	if err != nil {
		t.Fatal(err)
	}
	key := public(t, cliKey)
	if want := "MIIBCgKCAQEAs9u4ZBdB"; key.ID() != want {
		t.Errorf("key id is %s, want %s", key.ID(), want)
	}
	for _, id := range []string{"", key.ID()} {
		plain, opener, err := open(artifact, cliSessionKey, cliChecksum, id, public(t, appKeys(t)[0].PublicPEM()), key)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(plain)
		if hex.EncodeToString(sum[:]) != cliArchiveSum || opener.KeyID != key.ID() || !bytes.HasPrefix(plain, []byte("PK\x03\x04")) {
			t.Errorf("opened by %s: %d bytes with SHA-256 %x", opener.KeyID, len(plain), sum)
		}
	}
}

// The checksum of the old form is refused as it is, and when somebody wrote it in hexadecimal; both say what to do.
func TestOpen_oldChecksum(t *testing.T) {
	raw, err := base64.StdEncoding.DecodeString(cliOldChecksum)
	if err != nil {
		t.Fatal(err)
	}
	for _, checksum := range []string{cliOldChecksum, hex.EncodeToString(raw)} {
		_, _, err := open(nil, cliSessionKey, checksum, "", public(t, cliKey))
		if !errors.Is(err, envelope.ErrInvalid) || !strings.Contains(err.Error(), envelope.OldChecksum) {
			t.Errorf("got error %v, want one that says how to make a new one", err)
		}
	}
}

// Whatever the size of the archive and of the reads, what was encrypted is what comes out.
func TestOpen_roundTrip(t *testing.T) {
	app := appKeys(t)[0]
	keys := []envelope.PublicKey{public(t, appKeys(t)[1].PublicPEM()), public(t, app.PublicPEM())}
	outer := t
	check := func(t rapid.TB, size int, wrap func(io.Reader) io.Reader) {
		archive := bytes.Repeat([]byte("0123456789abcdefg"), size/17+1)[:size]
		b := app.Encrypt(outer, archive)
		e, err := envelope.Parse(b.SessionKey, b.Checksum, app.ID())
		if err != nil {
			t.Fatal(err)
		}
		opener, err := e.Unlock(keys)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := io.ReadAll(opener.Reader(wrap(bytes.NewReader(b.Content))))
		if err != nil || !bytes.Equal(plain, archive) {
			t.Fatalf("archive of %d bytes: got %d and error %v", size, len(plain), err)
		}
		sum := sha256.Sum256(plain)
		if err := opener.Check(sum[:]); err != nil {
			t.Fatal(err)
		}
	}
	for _, size := range []int{0, 1, 15, 16, 17, 64<<10 - 1, 64 << 10, 64<<10 + 1, 128<<10 - 16, 128 << 10} {
		check(t, size, func(r io.Reader) io.Reader { return r })
	}
	wraps := []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader}
	rapid.Check(t, func(t *rapid.T) {
		check(t, rapid.IntRange(0, 300<<10).Draw(t, "size"), rapid.SampledFrom(wraps).Draw(t, "reader"))
	})
}

// One changed bit anywhere in artifact, session key or checksum is refused.
func TestOpen_tampered(t *testing.T) {
	app := appKeys(t)[0]
	key := public(t, app.PublicPEM())
	archive := bytes.Repeat([]byte("archive "), 100)
	b := app.Encrypt(t, archive)
	iv, sealed, _ := strings.Cut(b.SessionKey, ":")
	flip := func(t *rapid.T, raw []byte) []byte {
		raw = bytes.Clone(raw)
		raw[rapid.IntRange(0, len(raw)-1).Draw(t, "offset")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		return raw
	}
	b64 := func(text string) []byte {
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	sum, err := hex.DecodeString(b.Checksum)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.StdEncoding.EncodeToString
	rapid.Check(t, func(t *rapid.T) {
		content, sessionKey, checksum := b.Content, b.SessionKey, b.Checksum
		switch rapid.SampledFrom([]string{"artifact", "iv", "key", "checksum"}).Draw(t, "part") {
		case "artifact":
			content = flip(t, content)
		case "iv":
			sessionKey = encode(flip(t, b64(iv))) + ":" + sealed
		case "key":
			sessionKey = iv + ":" + encode(flip(t, b64(sealed)))
		case "checksum":
			checksum = hex.EncodeToString(flip(t, sum))
		}
		_, _, err := open(content, sessionKey, checksum, "", key)
		if !errors.Is(err, envelope.ErrInvalid) && !errors.Is(err, envelope.ErrMismatch) {
			t.Fatalf("got error %v, want a refusal", err)
		}
	})
	if _, _, err := open(b.Content, b.SessionKey, b.Checksum, "", key); err != nil {
		t.Errorf("what was not changed is refused: %v", err)
	}
}

// Each mistake is named with what was expected and what was found.
func TestOpen_refuses(t *testing.T) {
	app, other := appKeys(t)[0], appKeys(t)[1]
	key, foreign := public(t, app.PublicPEM()), public(t, other.PublicPEM())
	archive := []byte("the archive")
	good, second := app.Encrypt(t, archive), app.Encrypt(t, []byte("another archive"))
	iv, sealed, _ := strings.Cut(good.SessionKey, ":")
	session := func(raw []byte) string { return iv + ":" + base64.StdEncoding.EncodeToString(raw) }
	sealedHex := func(raw []byte) string { return hex.EncodeToString(app.Seal(t, raw)) }
	zeroKey, zeroIV := make([]byte, 16), make([]byte, 16)
	zeroSession := base64.StdEncoding.EncodeToString(zeroIV) + ":" + base64.StdEncoding.EncodeToString(app.Seal(t, zeroKey))
	blocks := func(last ...byte) []byte {
		return testkit.EncryptCBC(t, zeroKey, zeroIV, append(make([]byte, 32-len(last)), last...))
	}
	type input struct {
		content               []byte
		session, checksum, id string
		keys                  []envelope.PublicKey
	}
	from := func(edit func(*input)) input {
		in := input{good.Content, good.SessionKey, good.Checksum, "", []envelope.PublicKey{key}}
		edit(&in)
		return in
	}
	for name, tc := range map[string]struct {
		input
		kind error
		want []string
	}{
		"no colon":             {from(func(i *input) { i.session = sealed }), envelope.ErrInvalid, []string{"no colon"}},
		"two colons":           {from(func(i *input) { i.session += ":" + sealed }), envelope.ErrInvalid, []string{"behind its colon"}},
		"short IV":             {from(func(i *input) { i.session = "AAAA:" + sealed }), envelope.ErrInvalid, []string{"before its colon no 16 bytes"}},
		"line break":           {from(func(i *input) { i.session = iv + ":" + sealed[:64] + "\n" + sealed[64:] }), envelope.ErrInvalid, []string{"behind its colon"}},
		"loose bits":           {from(func(i *input) { i.session = "AAAAAAAAAAAAAAAAAAAAAB==:" + sealed }), envelope.ErrInvalid, []string{"before its colon"}},
		"plain checksum":       {from(func(i *input) { i.checksum = cliArchiveSum }), envelope.ErrInvalid, []string{"32 bytes", "256"}},
		"upper case":           {from(func(i *input) { i.checksum = strings.ToUpper(i.checksum) }), envelope.ErrInvalid, []string{"lower-case"}},
		"no hexadecimal":       {from(func(i *input) { i.checksum = "%" + i.checksum[1:] }), envelope.ErrInvalid, []string{"lower-case hexadecimal"}},
		"foreign key":          {from(func(i *input) { i.keys = []envelope.PublicKey{foreign} }), envelope.ErrInvalid, []string{"sessionKey was not made", foreign.ID()}},
		"named key is another": {from(func(i *input) { i.id = key.ID(); i.keys = []envelope.PublicKey{foreign} }), envelope.ErrInvalid, []string{"keyID is " + key.ID(), foreign.ID()}},
		"key named wrongly": {from(func(i *input) { i.id = foreign.ID(); i.keys = []envelope.PublicKey{key, foreign} }), envelope.ErrInvalid,
			[]string{"sessionKey was not made", "tried " + foreign.ID() + ";"}},
		"no private key":        {from(func(i *input) { i.session = session(make([]byte, 256)) }), envelope.ErrInvalid, []string{"sessionKey was not made"}},
		"beyond modulus":        {from(func(i *input) { i.session = session(bytes.Repeat([]byte{0xff}, 256)) }), envelope.ErrInvalid, []string{"sessionKey was not made"}},
		"AES-256":               {from(func(i *input) { i.session = session(app.Seal(t, make([]byte, 32))) }), envelope.ErrInvalid, []string{"32 bytes", "16 for AES-128"}},
		"checksum of other":     {from(func(i *input) { i.checksum = second.Checksum }), envelope.ErrMismatch, []string{hexSum("another archive"), hexSum("the archive"), key.ID()}},
		"artifact of other":     {from(func(i *input) { i.content = second.Content }), nil, nil},
		"checksum by other key": {from(func(i *input) { i.checksum = other.Encrypt(t, archive).Checksum }), envelope.ErrInvalid, []string{"checksum was not made", key.ID()}},
		"checksum of SHA-1":     {from(func(i *input) { i.checksum = sealedHex(make([]byte, 20)) }), envelope.ErrInvalid, []string{"holds 20 bytes", "32"}},
		"cut":                   {from(func(i *input) { i.content = i.content[:15] }), envelope.ErrInvalid, []string{"15 bytes", "multiple of 16"}},
		"empty":                 {from(func(i *input) { i.content = nil }), envelope.ErrInvalid, []string{"0 bytes", "multiple of 16"}},
		"not encrypted":         {from(func(i *input) { i.content = archive }), envelope.ErrInvalid, []string{"11 bytes"}},
		"no padding":            {from(func(i *input) { i.session, i.content = zeroSession, blocks(0) }), envelope.ErrInvalid, []string{"0 bytes of padding"}},
		"long padding":          {from(func(i *input) { i.session, i.content = zeroSession, blocks(17) }), envelope.ErrInvalid, []string{"17 bytes of padding"}},
		"uneven padding":        {from(func(i *input) { i.session, i.content = zeroSession, blocks(2, 1, 3, 3) }), envelope.ErrInvalid, []string{"PKCS#7"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := open(tc.content, tc.session, tc.checksum, tc.id, tc.keys...)
			if err == nil || tc.kind != nil && !errors.Is(err, tc.kind) {
				t.Fatalf("got error %v, want %v", err, tc.kind)
			}
			for _, part := range tc.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("got error %q, want it to say %q", err, part)
				}
			}
			if strings.Contains(err.Error(), sealed[:20]) {
				t.Error("the error quotes the session key")
			}
		})
	}
}

func hexSum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// Padding that is not exactly what the private-key operation makes is refused, as a forger would need it (Bleichenbacher 2006).
func TestUnlock_padding(t *testing.T) {
	const size = 256
	private, err := rsa.GenerateKey(rand.Reader, 8*size)
	if err != nil {
		t.Fatal(err)
	}
	key := public(t, publicPEM(t, private))
	value := bytes.Repeat([]byte{7}, 16)
	good := append(append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, size-3-len(value))...), append([]byte{0}, value...)...)
	change := func(at int, b byte) []byte {
		out := bytes.Clone(good)
		out[at] = b
		return out
	}
	checksum := hex.EncodeToString(rawPrivate(private, append(append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, size-3-32)...), make([]byte, 33)...)))
	try := func(block []byte) error {
		session := base64.StdEncoding.EncodeToString(make([]byte, 16)) + ":" + base64.StdEncoding.EncodeToString(rawPrivate(private, block))
		e, err := envelope.Parse(session, checksum, "")
		if err != nil {
			t.Fatal(err)
		}
		_, err = e.Unlock([]envelope.PublicKey{key})
		return err
	}
	if err := try(good); err != nil {
		t.Errorf("good padding is refused: %v", err)
	}
	short := append([]byte{0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0}, bytes.Repeat([]byte{9}, size-10)...)
	for name, block := range map[string][]byte{
		"block type 2":    change(1, 2),
		"block type 0":    change(1, 0),
		"a byte inside":   change(100, 0xfe),
		"zero inside":     change(100, 0), // the value would be another, longer one
		"no end":          append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, size-2)...),
		"seven bytes":     short,
		"garbage at last": append(append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, 8)...), append([]byte{0}, bytes.Repeat([]byte{7}, size-11)...)...),
	} {
		if err := try(block); !errors.Is(err, envelope.ErrInvalid) {
			t.Errorf("%s: got error %v, want ErrInvalid", name, err)
		}
	}
}

// Other sizes of keys that apps may have work as well.
func TestOpen_largeKey(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	seal := func(value []byte) []byte {
		out, err := rsa.SignPKCS1v15(nil, private, 0, value)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	zero := make([]byte, 16)
	sum := sha256.Sum256([]byte("archive"))
	session := base64.StdEncoding.EncodeToString(zero) + ":" + base64.StdEncoding.EncodeToString(seal(zero))
	content := testkit.EncryptCBC(t, zero, zero, testkit.PadBlocks([]byte("archive")))
	plain, _, err := open(content, session, hex.EncodeToString(seal(sum[:])), "", public(t, appKeys(t)[0].PublicPEM()), public(t, publicPEM(t, private)))
	if err != nil || string(plain) != "archive" {
		t.Errorf("got %q and error %v", plain, err)
	}
}

// A disk that fails while the artifact is read says nothing about the artifact.
func TestReader_readError(t *testing.T) {
	app := appKeys(t)[0]
	b := app.Encrypt(t, make([]byte, 100<<10))
	e, err := envelope.Parse(b.SessionKey, b.Checksum, "")
	if err != nil {
		t.Fatal(err)
	}
	opener, err := e.Unlock([]envelope.PublicKey{public(t, app.PublicPEM())})
	if err != nil {
		t.Fatal(err)
	}
	for _, broken := range []error{errors.New("input/output error"), io.ErrUnexpectedEOF} {
		src := io.MultiReader(bytes.NewReader(b.Content[:80<<10]), iotest.ErrReader(broken))
		if _, err := io.ReadAll(opener.Reader(src)); !errors.Is(err, broken) || errors.Is(err, envelope.ErrInvalid) {
			t.Errorf("got error %v, want %v", err, broken)
		}
	}
	if n, err := opener.Reader(iotest.ErrReader(io.ErrNoProgress)).Read(nil); n != 0 || err != nil {
		t.Errorf("a read of nothing gave %d and %v", n, err)
	}
}

// Memory does not grow with the artifact.
func TestReader_memory(t *testing.T) {
	app := appKeys(t)[0]
	b := app.Encrypt(t, nil)
	e, err := envelope.Parse(b.SessionKey, b.Checksum, "")
	if err != nil {
		t.Fatal(err)
	}
	opener, err := e.Unlock([]envelope.PublicKey{public(t, app.PublicPEM())})
	if err != nil {
		t.Fatal(err)
	}
	const size = 64 << 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n, _ := io.Copy(io.Discard, opener.Reader(io.LimitReader(zeros{}, size))) // the padding at the end is wrong
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 || n < size-128<<10 {
		t.Errorf("%d bytes took %d bytes of memory, want at most 1 MiB", n, got)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
