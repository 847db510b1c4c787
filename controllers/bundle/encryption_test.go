// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// capgoKeys are an app's key, its next one, and one of nobody: making them takes long.
var (
	capgoKeys [3]*testkit.CapgoKey
	makeKeys  sync.Once
)

func keysOf(t *testing.T) (app, next, nobody *testkit.CapgoKey) {
	t.Helper()
	makeKeys.Do(func() {
		for i := range capgoKeys {
			capgoKeys[i] = testkit.NewCapgoKey(t)
		}
	})
	return capgoKeys[0], capgoKeys[1], capgoKeys[2]
}

func inline(name string, key *testkit.CapgoKey) otav1alpha1.EncryptionKey {
	return otav1alpha1.EncryptionKey{Name: name, App: testkit.App, PublicKey: otav1alpha1.PublicKeySource{Inline: key.PublicPEM()}}
}

// encrypted makes a Bundle of an archive that CI encrypted with a key, at a path of the site.
func (s *story) encrypted(t *testing.T, name, version string, c *testkit.CapgoBundle) *otav1alpha1.Bundle {
	t.Helper()
	b := s.Bundle(name, version, s.site.Publish(t, "/"+name, c.Content, s.author))
	b.Spec.Encryption = &otav1alpha1.EncryptionSpec{Mode: otav1alpha1.EncryptionOpaque, SessionKey: c.SessionKey, Checksum: c.Checksum}
	return b
}

func (s *story) setKeys(t *testing.T, keys ...otav1alpha1.EncryptionKey) {
	t.Helper()
	update(t, s, s.repo, func(r *otav1alpha1.Repository) { r.Spec.Trust.EncryptionKeys = keys })
}

// wantChecksum waits until status says by which key the checksum was verified; nil: by none. The Bundle is ready then.
func (s *story) wantChecksum(t *testing.T, b *otav1alpha1.Bundle, key *testkit.CapgoKey) {
	t.Helper()
	want, note := &otav1alpha1.ArtifactEncryption{Checksum: otav1alpha1.ChecksumNotVerified}, "checksum NOT verified: Repository default has no encryption key"
	if key != nil {
		want, note = &otav1alpha1.ArtifactEncryption{Checksum: otav1alpha1.ChecksumVerified, KeyID: key.ID()}, "checksum verified with key "+key.ID()
	}
	testkit.Eventually(t, s.Client, b, testkit.HaveMessage(otav1alpha1.ReadyCondition, "signed by ci", note),
		testkit.HaveMessage(otav1alpha1.VerifiedCondition, note))
	s.wantReady(t, b)
	gomega.NewWithT(t).Expect(b.Status.Artifact.Encryption).To(gomega.Equal(want))
}

var archive = map[string]string{"www/index.html": "hello", "www/main.js": "1"}

// With the app's key in the Repository, what CI encrypted is opened, checked and looked into; devices get it byte for byte.
func TestBundle_encryptedOpened(t *testing.T) {
	t.Parallel()
	app, next, _ := keysOf(t)
	s := prepare(t)
	s.repo.Spec.Trust.EncryptionKeys = []otav1alpha1.EncryptionKey{inline("next", next), inline("now", app)}
	c := app.Encrypt(t, testkit.Zip(t, archive))
	b, named := s.encrypted(t, "shop", "1.0.0", c), s.encrypted(t, "named", "2.0.0", next.Encrypt(t, testkit.Zip(t, archive)))
	named.Spec.Encryption.KeyID = next.ID()
	s.Create(t, s.repo, b, named)
	s.start(t)
	s.wantChecksum(t, b, app)
	s.wantChecksum(t, named, next)
	testkit.Eventually(t, s.Client, b, testkit.HaveCondition(otav1alpha1.InspectedCondition, metav1.ConditionTrue, otav1alpha1.SucceededReason))
	a := b.Status.Artifact
	if *a.Files != 2 || a.MediaType != "application/octet-stream" || a.Path != "bundles/"+testkit.App+"/1.0.0.bin" || a.Size != int64(len(c.Content)) {
		t.Errorf("artifact is %+v", a)
	}
	stored, _, err := s.bucket.Get(t.Context(), release.TargetObject(a.Path, string(a.Digest)), maxSize)
	if err != nil || !bytes.Equal(stored, c.Content) {
		t.Errorf("the bucket has %d bytes, error %v, want what CI made", len(stored), err)
	}
	asked := s.asked.Load()
	s.rest(t, b, named)
	s.stop()
	s.start(t)
	s.rest(t, b, named)
	if s.asked.Load() != asked {
		t.Error("the source was asked again for what is in order")
	}
}

// Each artifact that devices could not open, or should not, is refused with what was expected and what was found.
func TestBundle_encryptedRefused(t *testing.T) {
	t.Parallel()
	app, next, nobody := keysOf(t)
	zip := testkit.Zip(t, archive)
	good, other := app.Encrypt(t, zip), app.Encrypt(t, testkit.Zip(t, map[string]string{"a": "1"}))
	for name, tc := range map[string]struct {
		content   *testkit.CapgoBundle
		edit      func(*otav1alpha1.EncryptionSpec)
		reason    string
		condition string
		parts     []string
	}{
		"checksum of another archive": {good, func(e *otav1alpha1.EncryptionSpec) { e.Checksum = other.Checksum },
			otav1alpha1.ChecksumMismatchReason, otav1alpha1.VerifiedCondition, []string{testkit.Digest(zip)[7:], app.ID()}},
		"key of nobody": {nobody.Encrypt(t, zip), nil, otav1alpha1.EncryptionInvalidReason, otav1alpha1.VerifiedCondition, []string{"sessionKey", app.ID(), next.ID()}},
		"key that the app has not": {good, func(e *otav1alpha1.EncryptionSpec) { e.KeyID = nobody.ID() },
			otav1alpha1.EncryptionInvalidReason, otav1alpha1.VerifiedCondition, []string{nobody.ID(), app.ID(), next.ID()}},
		"other key than it says": {good, func(e *otav1alpha1.EncryptionSpec) { e.KeyID = next.ID() },
			otav1alpha1.EncryptionInvalidReason, otav1alpha1.VerifiedCondition, []string{"tried " + next.ID()}},
		"cut": {&testkit.CapgoBundle{Content: good.Content[:len(good.Content)-1], SessionKey: good.SessionKey, Checksum: good.Checksum}, nil,
			otav1alpha1.EncryptionInvalidReason, otav1alpha1.VerifiedCondition, []string{"multiple of 16"}},
		"escaping path": {app.Encrypt(t, testkit.Zip(t, map[string]string{"../../etc/passwd": "1"})), nil,
			otav1alpha1.ArchiveInvalidReason, otav1alpha1.InspectedCondition, []string{"../../etc/passwd"}},
		"nothing inside": {app.Encrypt(t, nil), nil, otav1alpha1.ArchiveInvalidReason, otav1alpha1.InspectedCondition, []string{"empty"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := prepare(t)
			s.repo.Spec.Trust.EncryptionKeys = []otav1alpha1.EncryptionKey{inline("now", app), inline("next", next)}
			b := s.encrypted(t, "shop", "1.0.0", tc.content)
			if tc.edit != nil {
				tc.edit(b.Spec.Encryption)
			}
			s.Create(t, s.repo, b)
			s.start(t)
			s.wantStalled(t, b, tc.reason)
			testkit.Eventually(t, s.Client, b, testkit.HaveCondition(tc.condition, metav1.ConditionFalse, tc.reason),
				testkit.HaveMessage(otav1alpha1.ReadyCondition, tc.parts...))
			s.rest(t, b)
			if keys := s.objects(t); len(keys) > 0 {
				t.Errorf("the bucket has %v of a refused artifact", keys)
			}
			s.wantEvent(t, b, tc.reason)
		})
	}
}

// Without a key of the app an encrypted artifact passes as it is, and the status says so. What the Repository learns or forgets
// later counts at once, without the source.
func TestBundle_encryptionKeysChange(t *testing.T) {
	t.Parallel()
	app, next, nobody := keysOf(t)
	s := prepare(t)
	elsewhere := inline("elsewhere", app)
	elsewhere.App = "com.example.other"
	s.repo.Spec.Trust.EncryptionKeys = []otav1alpha1.EncryptionKey{elsewhere}
	b := s.encrypted(t, "shop", "1.0.0", app.Encrypt(t, testkit.Zip(t, archive)))
	s.Create(t, s.repo, b)
	s.start(t)
	s.wantChecksum(t, b, nil)
	testkit.Eventually(t, s.Client, b, testkit.HaveCondition(otav1alpha1.InspectedCondition, metav1.ConditionUnknown, otav1alpha1.NotOpenedReason))
	if b.Status.Artifact.Files != nil {
		t.Error("files were counted in what nobody could open")
	}
	s.rest(t, b)
	asked := s.asked.Load()

	s.setKeys(t, inline("now", app))
	s.wantChecksum(t, b, app)
	testkit.Eventually(t, s.Client, b, testkit.HaveCondition(otav1alpha1.InspectedCondition, metav1.ConditionTrue, otav1alpha1.SucceededReason))
	s.setKeys(t, inline("now", app), inline("next", next)) // rotation: the old key stays as long as its updates are in use
	s.rest(t, b)
	s.wantChecksum(t, b, app)
	s.setKeys(t, inline("next", next))
	s.wantStalled(t, b, otav1alpha1.EncryptionInvalidReason)
	testkit.Eventually(t, s.Client, b, testkit.HaveMessage(otav1alpha1.ReadyCondition, next.ID()),
		testkit.HaveCondition(otav1alpha1.VerifiedCondition, metav1.ConditionFalse, otav1alpha1.EncryptionInvalidReason))
	s.rest(t, b)
	s.setKeys(t, inline("next", nobody), inline("now", app))
	s.wantChecksum(t, b, app)
	s.setKeys(t)
	s.wantChecksum(t, b, nil)
	if s.asked.Load() != asked {
		t.Error("the source was asked for what is in the bucket")
	}
}

// What passed unopened and turns out to be wrong is no longer trusted.
func TestBundle_encryptionKeyDisproves(t *testing.T) {
	t.Parallel()
	app, _, _ := keysOf(t)
	s := begin(t)
	c := app.Encrypt(t, testkit.Zip(t, archive))
	b := s.encrypted(t, "shop", "1.0.0", c)
	b.Spec.Encryption.Checksum = app.Encrypt(t, []byte("another")).Checksum
	s.Create(t, b)
	s.wantChecksum(t, b, nil)
	s.setKeys(t, inline("now", app))
	s.wantStalled(t, b, otav1alpha1.ChecksumMismatchReason)
	testkit.Eventually(t, s.Client, b, testkit.HaveCondition(otav1alpha1.VerifiedCondition, metav1.ConditionFalse, otav1alpha1.ChecksumMismatchReason))
	s.rest(t, b)
}

// A key that cannot be had does not let an artifact pass unopened; once it was used, its ConfigMap may go.
func TestBundle_encryptionKeyMissing(t *testing.T) {
	t.Parallel()
	app, _, nobody := keysOf(t)
	s := prepare(t, func(s *story) { s.options.Recheck = 200 * time.Millisecond })
	ref := otav1alpha1.EncryptionKey{Name: "now", App: testkit.App, PublicKey: otav1alpha1.PublicKeySource{
		ConfigMapRef: &otav1alpha1.KeyReference{Name: "app-keys", Key: "shop.pub"},
	}}
	s.repo.Spec.Trust.EncryptionKeys = []otav1alpha1.EncryptionKey{ref}
	b := s.encrypted(t, "shop", "1.0.0", app.Encrypt(t, testkit.Zip(t, archive)))
	s.Create(t, s.repo, b)
	s.start(t)
	s.want(t, b, metav1.ConditionFalse, otav1alpha1.ConfigMapNotFoundReason)
	testkit.Eventually(t, s.Client, b, testkit.HaveMessage(otav1alpha1.ReadyCondition, "app-keys", "encryption key now"))
	if s.asked.Load() != 0 {
		t.Error("the source was asked for what nobody can open yet")
	}
	keys := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: "app-keys"}, Data: map[string]string{"shop.pub": s.author.PublicPEM()}}
	s.Create(t, keys)
	s.wantStalled(t, b, otav1alpha1.InvalidKeyReason)
	testkit.Eventually(t, s.Client, b, testkit.HaveMessage(otav1alpha1.ReadyCondition, "encryption key now", "expected RSA"))
	s.rest(t, b)
	update(t, s, keys, func(c *corev1.ConfigMap) { c.Data["shop.pub"] = app.PublicPEM() })
	s.wantChecksum(t, b, app)
	s.delete(t, keys) // nobody can tell whether the key changed: what was verified holds
	s.rest(t, b)
	s.wantChecksum(t, b, app)
	s.setKeys(t, inline("new", nobody), ref) // a key that is missing may be the right one
	s.rest(t, b)
	s.wantChecksum(t, b, app)
}
