// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package viewtest publishes TUF repositories for tests of their readers: signed by real keys, kept in memory, served over
// HTTP, and broken on demand.
package viewtest

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/windlass-dev/windlass/internal/release"
)

// Repo is a repository. Its methods are safe for concurrent use.
type Repo struct {
	t       testing.TB
	Expires time.Time // of all metadata that are signed from now on, but for the root

	mu       sync.Mutex
	signers  map[string]signature.Signer // by top-level role, and "channels"
	roots    int64
	fields   map[string]any // of the signed part of roots, beside those of TUF
	version  int64          // of timestamp and snapshot
	targets  int64          // version of targets
	paths    string         // that roles may speak for; empty: each for its own channel
	stale    bool           // targets have to be signed again: other roles, or other keys
	roles    map[string]*metadata.Metadata[metadata.TargetsType]
	objects  map[string][]byte
	requests map[string]int
	down     int // status that every request gets; 0: works
}

// channelKey signs all channel roles.
const channelKey = "channels"

var topRoles = []string{metadata.ROOT, metadata.TARGETS, metadata.SNAPSHOT, metadata.TIMESTAMP}

// New makes a repository without channels, version 1.
func New(t testing.TB) *Repo {
	r := &Repo{
		t: t, Expires: time.Now().Add(24 * time.Hour), signers: map[string]signature.Signer{}, objects: map[string][]byte{},
		roles: map[string]*metadata.Metadata[metadata.TargetsType]{}, requests: map[string]int{},
	}
	for _, role := range append([]string{channelKey}, topRoles...) {
		r.signers[role] = newSigner(t)
	}
	r.signRoot()
	r.commit()
	return r
}

func newSigner(t testing.TB) signature.Signer {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	s, err := signature.LoadSigner(private, crypto.Hash(0))
	check(t, err)
	return s
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Root is the first root of trust, which clients pin.
func (r *Repo) Root() []byte { return r.Object("metadata/1.root.json") }

// Object is the content of an object.
func (r *Repo) Object(name string) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.objects[name]
}

// RotateKeys makes new keys for all roles and a root, signed by the old and the new root key, that names them.
func (r *Repo) RotateKeys() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stale = true
	old := r.signers[metadata.ROOT]
	for role := range r.signers {
		r.signers[role] = newSigner(r.t)
	}
	r.signRoot(old)
	for name, role := range r.roles {
		role.ClearSignatures()
		role.Signed.Version++
		r.putRole(name)
	}
	r.commit()
}

// RevokeChannelKey makes a new key for channels and delegates to it. The channels' roles stay as they are: signed by the old
// key.
func (r *Repo) RevokeChannelKey() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.signers[channelKey], r.stale = newSigner(r.t), true
	r.commit()
}

// Delegate restricts the paths that the roles of all channels may speak for; an empty one restores them.
func (r *Repo) Delegate(path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.paths, r.stale = path, true
	r.commit()
}

// PublishRoot publishes a root with the same keys, in which a field that TUF does not know has another value. It changes nothing
// else: readers who look at the timestamp only do not learn of it.
func (r *Repo) PublishRoot(field string, value any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fields = map[string]any{field: value}
	r.signRoot()
}

func (r *Repo) signRoot(also ...signature.Signer) {
	r.roots++
	root := metadata.Root(time.Now().Add(365 * 24 * time.Hour).UTC())
	root.Signed.Version = r.roots
	root.Signed.UnrecognizedFields = r.fields
	for _, role := range topRoles {
		check(r.t, root.Signed.AddKey(r.key(role), role))
	}
	r.sign(root, append(also, r.signers[metadata.ROOT])...)
	r.put(fmt.Sprintf("metadata/%d.root.json", r.roots), root)
}

func (r *Repo) key(role string) *metadata.Key {
	public, err := r.signers[role].PublicKey()
	check(r.t, err)
	key, err := metadata.KeyFromPublicKey(public)
	check(r.t, err)
	return key
}

// signable is TUF metadata of any type.
type signable interface {
	Sign(s signature.Signer) (*metadata.Signature, error)
	ToBytes(pretty bool) ([]byte, error)
}

func (r *Repo) sign(m signable, signers ...signature.Signer) {
	for _, s := range signers {
		_, err := m.Sign(s)
		check(r.t, err)
	}
}

func (r *Repo) put(name string, m signable) {
	raw, err := m.ToBytes(false)
	check(r.t, err)
	r.objects[name] = raw
}

// Publish commits release documents as one new version. Channels that are not named stay as they are.
func (r *Repo) Publish(docs ...*release.Document) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, doc := range docs {
		raw, err := doc.Encode()
		check(r.t, err)
		r.channel(doc.App, doc.Channel, raw)
	}
	r.commit()
}

// PublishRaw commits any bytes as the document of a channel.
func (r *Repo) PublishRaw(app, channel string, raw []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.channel(app, channel, raw)
	r.commit()
}

// Remove commits a channel's role without its document, as a removed channel leaves it behind.
func (r *Repo) Remove(app, channel string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	role := r.roles[release.Role(app, channel)]
	role.ClearSignatures()
	role.Signed.Version++
	role.Signed.Targets = map[string]*metadata.TargetFiles{}
	r.putRole(release.Role(app, channel))
	r.commit()
}

func (r *Repo) channel(app, channel string, raw []byte) {
	name, path := release.Role(app, channel), release.ChannelTarget(app, channel)
	version := int64(1)
	if before := r.roles[name]; before != nil {
		version = before.Signed.Version + 1
	} else {
		r.stale = true
	}
	role := metadata.Targets(r.Expires.UTC())
	role.Signed.Version = version
	target, err := metadata.TargetFile().FromBytes(path, raw, "sha256")
	check(r.t, err)
	role.Signed.Targets[path] = target
	r.roles[name] = role
	r.objects[release.TargetObject(path, Digest(raw))] = raw
	r.putRole(name)
}

func (r *Repo) putRole(name string) {
	r.sign(r.roles[name], r.signers[channelKey])
	r.put(fmt.Sprintf("metadata/%d.%s.json", r.roles[name].Signed.Version, name), r.roles[name])
}

// Digest is the SHA-256 of content in hexadecimal, as object names have it.
func Digest(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// commit signs snapshot and timestamp, and targets when the delegations changed.
func (r *Repo) commit() {
	r.version++
	if r.stale || r.targets == 0 {
		r.signTargets()
	}
	snapshot := metadata.Snapshot(r.Expires.UTC())
	snapshot.Signed.Version = r.version
	snapshot.Signed.Meta["targets.json"] = metadata.MetaFile(r.targets)
	for name, role := range r.roles {
		snapshot.Signed.Meta[name+".json"] = metadata.MetaFile(role.Signed.Version)
	}
	timestamp := metadata.Timestamp(r.Expires.UTC())
	timestamp.Signed.Version = r.version
	timestamp.Signed.Meta["snapshot.json"] = metadata.MetaFile(r.version)
	r.sign(snapshot, r.signers[metadata.SNAPSHOT])
	r.sign(timestamp, r.signers[metadata.TIMESTAMP])
	r.put(fmt.Sprintf("metadata/%d.snapshot.json", r.version), snapshot)
	r.put("metadata/timestamp.json", timestamp)
}

func (r *Repo) signTargets() {
	r.targets, r.stale = r.version, false
	targets := metadata.Targets(time.Now().Add(365 * 24 * time.Hour).UTC())
	targets.Signed.Version = r.targets
	key := r.key(channelKey)
	id, err := key.ID()
	check(r.t, err)
	targets.Signed.Delegations = &metadata.Delegations{Keys: map[string]*metadata.Key{id: key}}
	for name := range r.roles {
		dot := strings.LastIndexByte(name, '.')
		targets.Signed.Delegations.Roles = append(targets.Signed.Delegations.Roles, metadata.DelegatedRole{
			Name: name, KeyIDs: []string{id}, Threshold: 1, Paths: []string{cmp.Or(r.paths, release.ChannelTarget(name[:dot], name[dot+1:]))},
		})
	}
	r.sign(targets, r.signers[metadata.TARGETS])
	r.put(fmt.Sprintf("metadata/%d.targets.json", r.targets), targets)
}

// Put stores any object, such as an artifact.
func (r *Repo) Put(name string, raw []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.objects[name] = raw
}

// Delete removes an object.
func (r *Repo) Delete(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.objects, name)
}

// Down lets every request fail with a status; 0 ends that.
func (r *Repo) Down(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = status
}

// Requests gives how often each object was asked for since the last call.
func (r *Repo) Requests() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.requests
	r.requests = map[string]int{}
	return out
}

// ServeHTTP implements http.Handler, with ETag and Range.
func (r *Repo) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	name := strings.TrimPrefix(req.URL.Path, "/")
	r.mu.Lock()
	raw, ok := r.objects[name]
	down := r.down
	r.requests[name]++
	r.mu.Unlock()
	switch {
	case down != 0:
		w.WriteHeader(down)
	case !ok:
		w.WriteHeader(http.StatusNotFound)
	default:
		w.Header().Set("ETag", `"`+Digest(raw)+`"`)
		http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(raw))
	}
}
