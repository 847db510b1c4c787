// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"context"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/ceremony"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/testkit"
	"github.com/windlass-dev/windlass/internal/tuf"
)

// offline is a repository whose root keys are kept offline: two holders, of which both have to sign.
type offline struct {
	t       testing.TB
	bucket  Bucket
	holders []ceremony.PrivateKey
	secret  map[string][]byte
	roots   map[int64][]byte
}

func newOffline(t testing.TB) *offline {
	t.Helper()
	out, err := ceremony.Init(ceremony.Params{Generate: 2, Threshold: 2, Life: 365 * day, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return &offline{t: t, bucket: openBucket(t), holders: out.RootKeys, secret: out.Online, roots: map[int64][]byte{1: out.Root}}
}

func (o *offline) config() Config {
	keys, err := ParseKeys(o.secret)
	if err != nil {
		o.t.Fatal(err)
	}
	return Config{Bucket: o.bucket, Keys: keys, Roots: maps.Clone(o.roots)}
}

// sign lets the first so many holders sign a successor of the last root, and puts it into the ConfigMap.
func (o *offline) sign(holders int, changes ...ceremony.Change) {
	o.t.Helper()
	version := int64(len(o.roots))
	next, err := ceremony.Next(o.roots[version], time.Now(), changes...)
	for _, h := range o.holders[:holders] {
		if err == nil {
			next, err = ceremony.Sign(next, o.roots[version], h.PEM)
		}
	}
	if err != nil {
		o.t.Fatal(err)
	}
	o.roots[version+1] = next
}

// nextKey puts a new key for a role into the Secret, and gives its public half.
func (o *offline) nextKey(role string) []byte {
	o.t.Helper()
	data, public, err := ceremony.NextKey(o.secret, o.roots[int64(len(o.roots))], role)
	if err != nil {
		o.t.Fatal(err)
	}
	o.secret = data
	return public
}

func TestOfflineCeremony(t *testing.T) {
	o := newOffline(t)
	one := artifact(t, o.bucket, "1.0.0")
	p := open(t, o.config())
	publishAndWait(t, p, document("a", 1, one))
	if s := p.State(); s.RootOnline || s.RootThreshold != 2 || s.RootError != nil {
		t.Errorf("got %+v, want an offline root", s)
	}
	client := newReader(t, o.bucket)
	wantRevisions(t, client, map[string]int64{"a": 1})
	p.Close()
	o.sign(2, ceremony.Renew(time.Now().Add(400*day)))
	o.sign(2, ceremony.RaiseFloor("other", "1.0.0"))
	p = open(t, o.config())
	if s := p.State(); s.RootVersion != 3 || s.Floors["other"] != "1.0.0" || p.Floor("other") != "1.0.0" || p.Floor(app) != "" {
		t.Errorf("got %+v, want version 3 with the floor", s)
	}
	wantRevisions(t, client, map[string]int64{"a": 1})
}

// What cannot be published is told, and what is published goes on.
func TestRootsThatAreNotPublished(t *testing.T) {
	for name, tc := range map[string]struct {
		spoil  func(o *offline)
		reason string
		say    string
	}{
		"one signature of two": {func(o *offline) { o.sign(1) }, otav1alpha1.RootSignatureNeededReason, "2.root.json lacks signatures: 1 of the root keys"},
		"no signature":         {func(o *offline) { o.sign(0) }, otav1alpha1.RootSignatureNeededReason, "2 of the root keys"},
		"a version left out":   {func(o *offline) { o.sign(2); o.sign(2); delete(o.roots, 2) }, otav1alpha1.RootInvalidReason, "2.root.json is not"},
		"not JSON":             {func(o *offline) { o.roots[2] = []byte("{") }, otav1alpha1.RootInvalidReason, "2.root.json: not a TUF root"},
		"another first root":   {func(o *offline) { o.roots[1] = newOffline(o.t).roots[1] }, otav1alpha1.RootInvalidReason, "1.root.json: another root"},
		"of another ceremony":  {func(o *offline) { x := newOffline(o.t); x.sign(2); o.roots[2] = x.roots[2] }, otav1alpha1.RootSignatureNeededReason, "of version 1"},
		"with a key that is not there": {func(o *offline) {
			key, _ := tuf.GenerateKey()
			public, _ := ceremony.PublicKey(key)
			o.sign(2, ceremony.RotateKey("timestamp", "", public))
		}, otav1alpha1.KeysMismatchReason, "2.root.json"},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffline(t)
			one := artifact(t, o.bucket, "1.0.0")
			before := open(t, o.config())
			before.Close()
			tc.spoil(o)
			p := open(t, o.config().after(before.State())) // status remembers the first root
			publishAndWait(t, p, document("a", 1, one))
			s := p.State()
			wantReason(t, s.RootError, tc.reason, tc.say)
			if s.RootVersion != 1 || s.LastError != nil {
				t.Errorf("got %+v, want root version 1 and no other error", s)
			}
			wantRevisions(t, newReader(t, o.bucket), map[string]int64{"a": 1})
		})
	}
}

func TestFirstRootThatIsRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		spoil  func(o *offline)
		reason string
	}{
		"none":             {func(o *offline) { o.roots = map[int64][]byte{} }, otav1alpha1.RootInvalidReason},
		"of other keys":    {func(o *offline) { o.secret = newOffline(o.t).secret }, otav1alpha1.KeysMismatchReason},
		"version 2":        {func(o *offline) { o.sign(2); o.roots = map[int64][]byte{1: o.roots[2]} }, otav1alpha1.RootInvalidReason},
		"not signed":       {func(o *offline) { o.roots[1] = unsigned(o.t, o.roots[1]) }, otav1alpha1.RootSignatureNeededReason},
		"only a successor": {func(o *offline) { o.sign(2); delete(o.roots, 1) }, otav1alpha1.RootInvalidReason},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffline(t)
			tc.spoil(o)
			_, err := Open(t.Context(), o.config())
			wantReason(t, err, tc.reason)
		})
	}
}

func unsigned(t testing.TB, raw []byte) []byte {
	t.Helper()
	root, err := tuf.ParseRoot(raw)
	if err != nil {
		t.Fatal(err)
	}
	root.ClearSignatures()
	if raw, err = root.ToBytes(false); err != nil {
		t.Fatal(err)
	}
	return raw
}

// A ceremony gives each online role a new key, several times. The Secret and the ConfigMap arrive in either order. A client that
// reads whenever an object was written never fails.
func TestOfflineRotation(t *testing.T) {
	t.Parallel()
	for _, role := range []string{"targets", "snapshot", "timestamp"} {
		for first, rounds := range map[string]int64{"Secret": int64(testkit.Sized(3, 5)), "ConfigMap": 2} {
			t.Run(role+"/"+first, func(t *testing.T) {
				t.Parallel()
				o := newOffline(t)
				watched := watch(t, o.bucket)
				o.bucket = watched
				one := artifact(t, o.bucket, "1.0.0")
				p := open(t, o.config())
				publishAndWait(t, p, document("a", 1, one))
				watched.begin()
				for round := range rounds {
					before := o.config()
					public := o.nextKey(role)
					secretOnly := o.config()
					o.sign(2, ceremony.RotateKey(role, "", public))
					half := secretOnly
					if first == "ConfigMap" {
						half = o.config()
						half.Keys = before.Keys
					}
					p.Close()
					p = open(t, half) // nothing changes yet, and it goes on
					publishAndWait(t, p, document("a", 2*round+2, one))
					p.Close()
					p = open(t, o.config())
					publishAndWait(t, p, document("a", 2*round+3, one))
					if s := p.State(); s.RootVersion != round+2 || s.RootError != nil {
						t.Fatalf("round %d: got %+v", round, s)
					}
				}
				watched.end(map[string]int64{"a": 2*rounds + 1})
			})
		}
	}
}

// The manager itself gives each role a new key, five times, when it holds the root key.
func TestOnlineRotation(t *testing.T) {
	for _, role := range tuf.KeyRoles {
		t.Run(role, func(t *testing.T) {
			watched := watch(t, openBucket(t))
			data := keyData(t)
			one := artifact(t, watched, "1.0.0")
			p := open(t, Config{Bucket: watched, Keys: parse(t, data)})
			publishAndWait(t, p, document("a", 1, one), document("b", 1, one))
			watched.begin()
			for round := range int64(5) {
				root, _, err := watched.Get(t.Context(), object("root", p.State().RootVersion), tuf.MaxRoot)
				if err != nil {
					t.Fatal(err)
				}
				if data, _, err = ceremony.NextKey(data, root, role); err != nil {
					t.Fatal(err)
				}
				p.Close()
				p = open(t, Config{Bucket: watched, Keys: parse(t, data)})
				publishAndWait(t, p, document("a", round+2, one))
				want := round + 2
				if role == tuf.ChannelsRole { // targets.json names it
					want = 1
				}
				if s := p.State(); s.RootVersion != want || s.RootError != nil {
					t.Fatalf("round %d: got %+v", round, s)
				}
			}
			watched.end(map[string]int64{"a": 6, "b": 1})
		})
	}
}

// The online keys are gone or stolen: new ones are named by a root of a ceremony, or by one that the manager signs.
func TestLostKeys(t *testing.T) {
	t.Run("offline root", func(t *testing.T) {
		o := newOffline(t)
		one := artifact(t, o.bucket, "1.0.0")
		p := open(t, o.config())
		publishAndWait(t, p, document("a", 1, one))
		p.Close()
		client := newReader(t, o.bucket)
		wantRevisions(t, client, map[string]int64{"a": 1})
		var changes []ceremony.Change
		for _, role := range []string{"targets", "snapshot", "timestamp", "channels"} {
			public := o.nextKey(role)
			o.secret[role+".key"] = o.secret[role+".next.key"]
			delete(o.secret, role+".next.key")
			if role != "channels" {
				changes = append(changes, ceremony.RotateKey(role, "", public))
			}
		}
		_, err := Open(t.Context(), o.config())
		wantReason(t, err, otav1alpha1.KeysMismatchReason)
		wantRevisions(t, client, map[string]int64{"a": 1}) // what is published holds until it expires
		o.sign(2, changes...)
		publishAndWait(t, open(t, o.config()), document("a", 2, one))
		wantRevisions(t, client, map[string]int64{"a": 2})
	})
	t.Run("online root", func(t *testing.T) {
		b, data := openBucket(t), keyData(t)
		one := artifact(t, b, "1.0.0")
		p := open(t, Config{Bucket: b, Keys: parse(t, data)})
		publishAndWait(t, p, document("a", 1, one))
		p.Close()
		client := newReader(t, b)
		for _, role := range []string{"targets", "snapshot", "timestamp", "channels"} {
			delete(data, role+".key")
			_, err := ParseKeys(data)
			wantReason(t, err, otav1alpha1.SecretNotFoundReason, role+".key")
			data[role+".next.key"] = keyData(t)[role+".key"]
		}
		publishAndWait(t, open(t, Config{Bucket: b, Keys: parse(t, data)}), document("a", 2, one))
		wantRevisions(t, client, map[string]int64{"a": 2})
	})
}

// A manager dies between the root that names other keys and the commit that they sign. Who comes next takes over what the old
// keys have signed, and only then: what they sign later counts for nothing.
func TestInterruptedRotation(t *testing.T) {
	b, data := openBucket(t), keyData(t)
	one := artifact(t, b, "1.0.0")
	old := parse(t, data)
	p := open(t, Config{Bucket: b, Keys: old})
	publishAndWait(t, p, document("a", 1, one))
	version := p.State().Version
	p.Close()
	for _, role := range []string{"targets", "snapshot", "timestamp"} {
		delete(data, role+".key")
		data[role+".next.key"] = keyData(t)[role+".key"]
	}
	next := Config{Bucket: &onSwap{Bucket: b}, Keys: parse(t, data), Seen: version, SeenRoot: 1}
	dying := &failing{Bucket: b}
	if _, err := Open(t.Context(), Config{Bucket: dying, Keys: next.Keys, Seen: version, SeenRoot: 1}); err == nil {
		t.Fatal("the commit did not fail")
	}
	stale, _, err := b.Get(t.Context(), timestampName, tuf.MaxTimestamp)
	if err != nil {
		t.Fatal(err)
	}
	strict := next
	strict.SeenRoot = 2
	_, err = Open(t.Context(), strict)
	wantReason(t, err, otav1alpha1.PublishFailedReason, "timestamp.json")
	p = open(t, next)
	publishAndWait(t, p, document("a", 2, one))
	wantRevisions(t, newReader(t, b), map[string]int64{"a": 2})
	p.Close()
	if err := b.Delete(t.Context(), timestampName); err != nil {
		t.Fatal(err)
	}
	if err := b.PutImmutable(t.Context(), timestampName, stale, jsonType); err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), strict)
	wantReason(t, err, otav1alpha1.PublishFailedReason, "timestamp.json")
}

// failing refuses to replace timestamp.json.
type failing struct{ Bucket }

func (f *failing) CompareAndSwap(context.Context, string, string, []byte, string) (string, error) {
	return "", kit.Retry(otav1alpha1.StorageUnreachableReason, "gone")
}

// watched is a bucket in which a client reads everything after each write.
type watched struct {
	Bucket
	t      testing.TB
	client *reader
	on     atomic.Bool
	reads  atomic.Int64
}

func watch(t testing.TB, b Bucket) *watched { return &watched{Bucket: b, t: t} }

func (w *watched) begin() {
	w.client = newReader(w.t, w.Bucket)
	w.on.Store(true)
}

func (w *watched) look() {
	if !w.on.Load() {
		return
	}
	w.reads.Add(1)
	if _, err := w.client.read(); err != nil {
		w.t.Errorf("a client failed: %v", err)
	}
}

func (w *watched) end(want map[string]int64) {
	w.t.Helper()
	w.on.Store(false)
	if w.reads.Load() == 0 {
		w.t.Error("nothing was read")
	}
	if got, err := w.client.read(); err != nil || !maps.Equal(got, want) {
		w.t.Errorf("a client got %v, %v, want %v", got, err, want)
	}
}

// PutImmutable lets the client look after a root: other objects are put several at a time, and nothing refers to them.
func (w *watched) PutImmutable(ctx context.Context, key string, content []byte, contentType string) error {
	err := w.Bucket.PutImmutable(ctx, key, content, contentType)
	if strings.HasSuffix(key, ".root.json") {
		w.look() //nolint:contextcheck // go-tuf's client has none
	}
	return err
}

func (w *watched) CompareAndSwap(ctx context.Context, key, old string, content []byte, contentType string) (string, error) {
	etag, err := w.Bucket.CompareAndSwap(ctx, key, old, content, contentType)
	w.look() //nolint:contextcheck // go-tuf's client has none
	return etag, err
}
