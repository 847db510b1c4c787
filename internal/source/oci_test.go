// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package source_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/devcluster"
	"github.com/windlass-dev/windlass/internal/egress"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/source"
)

// Media types of cosign.
const (
	bundleType  = "application/vnd.dev.sigstore.bundle.v0.3+json"
	payloadType = "application/vnd.dev.cosign.simplesigning.v1+json"
)

// shelf is a repository of a real registry, and the login for it.
type shelf struct {
	*testing.T
	repo *remote.Repository
	host string
	auth source.Login
}

func newShelf(t *testing.T, users map[string]string) *shelf {
	t.Helper()
	r, err := devcluster.StartRegistry(t.Context(), t.TempDir(), users)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	s := &shelf{T: t, host: r.Host}
	if s.repo, err = remote.NewRepository(r.Host + "/shop/updates"); err != nil {
		t.Fatal(err)
	}
	s.repo.PlainHTTP = true
	client := &auth.Client{Client: http.DefaultClient}
	for name, password := range users {
		s.auth = source.Login{Username: name, Password: password}
		client.Credential = auth.StaticCredential(r.Host, auth.Credential{Username: name, Password: password})
	}
	s.repo.Client = client
	return s
}

// blob pushes bytes.
func (s *shelf) blob(mediaType string, raw []byte) ocispec.Descriptor {
	s.Helper()
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	if err := s.repo.Blobs().Push(s.Context(), d, bytes.NewReader(raw)); err != nil {
		s.Fatal(err)
	}
	return d
}

// manifest pushes a manifest, also by a tag when one is given.
func (s *shelf) manifest(m ocispec.Manifest, tag string) ocispec.Descriptor {
	s.Helper()
	m.Versioned, m.MediaType = specs.Versioned{SchemaVersion: 2}, ocispec.MediaTypeImageManifest
	m.Config = s.blob(ocispec.MediaTypeEmptyJSON, []byte("{}"))
	return s.push(m.MediaType, m, tag)
}

func (s *shelf) push(mediaType string, content any, tag string) ocispec.Descriptor {
	s.Helper()
	raw, err := json.Marshal(content)
	if err != nil {
		s.Fatal(err)
	}
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	if tag == "" {
		err = s.repo.Manifests().Push(s.Context(), d, bytes.NewReader(raw))
	} else {
		err = s.repo.Manifests().PushReference(s.Context(), d, bytes.NewReader(raw), tag)
	}
	if err != nil {
		s.Fatal(err)
	}
	return d
}

// image pushes an image of these layers, and names the first as the artifact.
func (s *shelf) image(layers ...string) source.OCI {
	s.Helper()
	var m ocispec.Manifest
	for _, content := range layers {
		m.Layers = append(m.Layers, s.blob("application/zip", []byte(content)))
	}
	return s.at(s.manifest(m, ""), m.Layers[0].Digest.String())
}

func (s *shelf) at(manifest ocispec.Descriptor, layer string) source.OCI {
	return source.OCI{Image: s.host + "/shop/updates@" + manifest.Digest.String(), Layer: layer, Auth: s.auth}
}

// changed is a proxy before the registry that may answer by itself. Images asked for at its host come from the registry.
func (s *shelf) changed(answer func(w http.ResponseWriter, r *http.Request) bool) (host string) {
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: s.host})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !answer(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	s.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// through names the image at another host.
func through(o source.OCI, host string) source.OCI {
	_, path, _ := strings.Cut(o.Image, "/")
	o.Image = host + "/" + path
	return o
}

func TestOCI(t *testing.T) {
	s := newShelf(t, nil)
	c := newClient(t, source.Options{})
	good := s.image("artifact", "other")
	if got, err := fetch(t.Context(), c, good); err != nil || string(got) != "artifact" {
		t.Fatalf("got %q and error %v, want the artifact", got, err)
	}
	second := good
	second.Layer = digest.FromString("other").String()
	second.Image = strings.Replace(second.Image, "@", ":1.0@", 1)
	if got, err := fetch(t.Context(), c, second); err != nil || string(got) != "other" {
		t.Fatalf("got %q and error %v, want the second layer", got, err)
	}
	index := s.push(ocispec.MediaTypeImageIndex, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
	}, "")
	// An index that says that it is a manifest, and holds both. Real registries do not take it.
	twofold := `{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageManifest + `","manifests":[],"layers":[{"digest":"` + good.Layer + `","size":8}]}`
	sly := s.changed(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/manifests/") {
			return false
		}
		w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
		fmt.Fprint(w, twofold)
		return true
	})
	edit := func(change func(*source.OCI)) source.OCI { o := good; change(&o); return o }
	missing := digest.FromString("nobody pushed this").String()
	for name, tc := range map[string]struct {
		src    source.OCI
		class  kit.Class
		reason string
		text   string
	}{
		"no such layer":      {edit(func(o *source.OCI) { o.Layer = missing }), kit.Stalled, otav1alpha1.InvalidSpecReason, "one of its 2 layers"},
		"no such manifest":   {edit(func(o *source.OCI) { o.Image = s.host + "/shop/updates@" + missing }), kit.Transient, otav1alpha1.SourceNotFoundReason, "not there"},
		"no such repository": {edit(func(o *source.OCI) { o.Image = strings.Replace(o.Image, "updates", "other", 1) }), kit.Transient, otav1alpha1.SourceNotFoundReason, "not there"},
		"index":              {s.at(index, good.Layer), kit.Stalled, otav1alpha1.InvalidSpecReason, "index of images"},
		"index and manifest": {source.OCI{Image: sly + "/a/b@" + digest.FromString(twofold).String(), Layer: good.Layer}, kit.Stalled, otav1alpha1.InvalidSpecReason, "index of images"},
		"by tag":             {edit(func(o *source.OCI) { o.Image = s.host + "/shop/updates:1" }), kit.Stalled, otav1alpha1.InvalidSpecReason, "cannot be read"},
		"no registry":        {edit(func(o *source.OCI) { o.Image = "updates@" + missing }), kit.Stalled, otav1alpha1.InvalidSpecReason, "cannot be read"},
		"bad layer":          {edit(func(o *source.OCI) { o.Layer = "sha512:00" }), kit.Stalled, otav1alpha1.InvalidSpecReason, "sha256:<hex>"},
		"nobody there":       {edit(func(o *source.OCI) { o.Image = "127.0.0.1:1/a/b@" + missing }), kit.Transient, otav1alpha1.FetchFailedReason, "connection was refused"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := fetch(t.Context(), c, tc.src)
			wantError(t, err, tc.class, tc.reason, tc.text)
		})
	}
	_, err := fetch(t.Context(), newClient(t, source.Options{MaxSize: 7}), good)
	wantError(t, err, kit.Stalled, otav1alpha1.TooLargeReason, "7 bytes")
}

func TestOCI_pullSecret(t *testing.T) {
	s := newShelf(t, map[string]string{"ci": secretText})
	c := newClient(t, source.Options{})
	good := s.image("artifact")
	config := fmt.Sprintf(`{"auths":{"other.example":{"auth":"eDp5"},"http://%s":{"auth":%q}}}`, s.host, base64.StdEncoding.EncodeToString([]byte("ci:"+secretText)))
	login, err := source.ParseDockerConfig([]byte(config), good.Registry())
	if err != nil || login != s.auth {
		t.Fatalf("got login of %q and error %v, want that of ci", login.Username, err)
	}
	if got, err := fetch(t.Context(), c, good); err != nil || string(got) != "artifact" {
		t.Fatalf("got %q and error %v, want the artifact", got, err)
	}
	for name, login := range map[string]source.Login{"wrong password": {Username: "ci", Password: secretText + "x"}, "wrong user": {Username: "x", Password: secretText}, "none": {}} {
		t.Run(name, func(t *testing.T) {
			bad := good
			bad.Auth = login
			_, err := fetch(t.Context(), c, bad)
			wantError(t, err, kit.Transient, otav1alpha1.SourceAccessDeniedReason, "")
		})
	}
}

// A registry may send a client for a token, and to another host for a blob. Neither gets the password of the registry.
func TestOCI_tokens(t *testing.T) {
	s := newShelf(t, nil)
	good := s.image("artifact")
	storage := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the blob's host was shown credentials")
		}
		fmt.Fprint(w, "artifact")
	})
	var wantUser atomic.Value
	wantUser.Store("")
	var self string
	self = s.changed(func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.URL.Path == "/token":
			user, password, _ := r.BasicAuth()
			if user != wantUser.Load() || (user != "" && password != secretText) {
				w.WriteHeader(http.StatusUnauthorized)
				fmt.Fprintf(w, `{"errors":[{"code":%q,"message":%q}]}`, secretText, secretText)
				return true
			}
			fmt.Fprintf(w, `{"token":"t-%s"}`, user)
			return true
		case r.Header.Get("Authorization") != "Bearer t-"+wantUser.Load().(string):
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+self+`/token",service="registry",scope="repository:shop/updates:pull"`)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		case strings.Contains(r.URL.Path, "/blobs/"):
			http.Redirect(w, r, storage+"/blob?X-Amz-Signature="+secretText, http.StatusTemporaryRedirect)
			return true
		}
		r.Header.Del("Authorization")
		return false
	})
	c := newClient(t, source.Options{})
	if got, err := fetch(t.Context(), c, through(good, self)); err != nil || string(got) != "artifact" {
		t.Errorf("anonymous: got %q and error %v, want the artifact", got, err)
	}
	wantUser.Store("ci")
	named := through(good, self)
	_, err := fetch(t.Context(), c, named)
	wantError(t, err, kit.Transient, otav1alpha1.SourceAccessDeniedReason, "")
	named.Auth = source.Login{Username: "ci", Password: secretText}
	if got, err := fetch(t.Context(), c, named); err != nil || string(got) != "artifact" {
		t.Errorf("by name: got %q and error %v, want the artifact", got, err)
	}
}

// What a registry or somebody before it does wrong is refused, and not repeated in messages.
func TestOCI_tampered(t *testing.T) {
	s := newShelf(t, nil)
	good := s.image(strings.Repeat("artifact", 100))
	manifest := func(status int, body, kind string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.Path, "/manifests/") {
				w.Header().Set("Content-Type", kind)
				w.WriteHeader(status)
				fmt.Fprint(w, body)
				return true
			}
			return false
		}
	}
	blob := func(answer http.HandlerFunc) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.Path, "/blobs/") {
				answer(w, r)
				return true
			}
			return false
		}
	}
	for name, tc := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request) bool
		reason string
	}{
		"other manifest": {manifest(200, `{"schemaVersion":2,"layers":[]}`, ocispec.MediaTypeImageManifest), otav1alpha1.FetchFailedReason},
		"huge manifest":  {manifest(200, strings.Repeat(secretText, 1<<20), ocispec.MediaTypeImageManifest), otav1alpha1.FetchFailedReason},
		"page":           {manifest(200, "<html>"+secretText, "text/html"), otav1alpha1.FetchFailedReason},
		"error":          {manifest(500, `{"errors":[{"code":"UNKNOWN","message":"`+secretText+`"}]}`, "application/json"), otav1alpha1.FetchFailedReason},
		"denied":         {manifest(403, `{"errors":[{"code":"DENIED","message":"`+secretText+`"}]}`, "application/json"), otav1alpha1.SourceAccessDeniedReason},
		"shorter blob":   {blob(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, secretText) }), otav1alpha1.FetchFailedReason},
		"cut blob": {blob(func(w http.ResponseWriter, _ *http.Request) {
			cut(w, "HTTP/1.1 200 OK\r\nContent-Length: 800\r\n\r\nhalf")
		}), otav1alpha1.FetchFailedReason},
		"blob redirected": {blob(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://10.0.0.1/"+secretText, http.StatusTemporaryRedirect)
		}), otav1alpha1.AddressDeniedReason},
		"blob by https": {blob(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://127.0.0.1/"+secretText, http.StatusTemporaryRedirect)
		}), otav1alpha1.FetchFailedReason},
		"no such blob":     {blob(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }), otav1alpha1.SourceNotFoundReason},
		"token server":     {challenge("http://10.0.0.1/token?" + secretText), otav1alpha1.FetchFailedReason},
		"token of a file":  {challenge("file:///etc/" + secretText), otav1alpha1.FetchFailedReason},
		"token from cloud": {challenge("http://169.254.169.254/latest/" + secretText), otav1alpha1.FetchFailedReason},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := fetch(t.Context(), newClient(t, source.Options{}), through(good, s.changed(tc.answer)))
			text := ""
			if strings.HasPrefix(name, "token") {
				text = "expected one at the host name of the registry itself"
			}
			wantError(t, err, kit.Transient, tc.reason, text)
		})
	}
	// A blob of the right length is given as it is: the digest is the author's, and checked by who reads it.
	host := s.changed(blob(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("tampered", 100)) }))
	if got, err := fetch(t.Context(), newClient(t, source.Options{}), through(good, host)); err != nil || len(got) != 800 {
		t.Errorf("got %d bytes and error %v", len(got), err)
	}
}

func challenge(realm string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+realm+`",service="registry"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
}

// Without TLS only registries are asked that the list of addresses has for that.
func TestOCI_plainHTTP(t *testing.T) {
	s := newShelf(t, nil)
	good := s.image("artifact")
	_, port, _ := strings.Cut(s.host, ":")
	for _, tc := range []struct {
		entry, host string
		want        string
	}{
		{"127.0.0.1", "127.0.0.1", ""},
		{"localhost", "localhost", ""},
		{"http://localhost", "localhost", ""},
		{"http://localhost:" + port, "localhost", ""},
		{"127.0.0.0/8", "localhost", "does not speak TLS"},
	} {
		p, err := egress.Parse([]string{tc.entry})
		if err != nil {
			t.Fatal(err)
		}
		c := source.New(source.Options{Egress: p})
		t.Cleanup(c.Close)
		_, err = fetch(t.Context(), c, through(good, tc.host+":"+port))
		if (err == nil) != (tc.want == "") || (err != nil && !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s with %s: got %v, want %q", tc.host, tc.entry, err, tc.want)
		}
	}
}

// sign attaches a bundle as a referrer.
func (s *shelf) sign(subject ocispec.Descriptor, bundle string) {
	s.Helper()
	s.manifest(ocispec.Manifest{
		ArtifactType: bundleType, Subject: &subject, Layers: []ocispec.Descriptor{s.blob(bundleType, []byte(bundle))},
	}, "")
}

// tag attaches signatures as cosign 1 and 2 do.
func (s *shelf) tag(subject ocispec.Descriptor, layers ...ocispec.Descriptor) {
	s.Helper()
	s.manifest(ocispec.Manifest{Layers: layers}, strings.Replace(subject.Digest.String(), ":", "-", 1)+".sig")
}

func (s *shelf) payload(content, signature string, more ...string) ocispec.Descriptor {
	s.Helper()
	d := s.blob(payloadType, []byte(content))
	d.Annotations = map[string]string{"dev.cosignproject.cosign/signature": base64.StdEncoding.EncodeToString([]byte(signature))}
	for _, name := range more {
		d.Annotations[name] = secretText
	}
	return d
}

// signable pushes an image, and gives its descriptor as well.
func (s *shelf) signable(content string) (source.OCI, ocispec.Descriptor) {
	s.Helper()
	d := s.manifest(ocispec.Manifest{Layers: []ocispec.Descriptor{s.blob("application/zip", []byte(content))}}, "")
	return s.at(d, digest.FromString(content).String()), d
}

func TestOCI_attachments(t *testing.T) {
	s := newShelf(t, nil)
	c := newClient(t, source.Options{})

	unsigned, _ := s.signable("unsigned")
	_, err := unsigned.Attachments(t.Context(), c)
	wantError(t, err, kit.Transient, otav1alpha1.SignatureUnreadableReason, "no signature is attached")

	img, d := s.signable("signed")
	s.sign(d, `{"bundle":1}`)
	s.sign(d, `{"bundle":2}`)
	s.manifest(ocispec.Manifest{ArtifactType: "application/spdx+json", Subject: &d, Layers: []ocispec.Descriptor{s.blob("application/spdx+json", []byte("{}"))}}, "")
	s.tag(d, s.payload(`{"critical":1}`, "by key", "dev.sigstore.cosign/bundle"), s.payload(`{"critical":2}`, "keyless", "dev.sigstore.cosign/certificate"))
	got, err := img.Attachments(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, a := range got {
		if digest.FromBytes(a.Manifest) != d.Digest {
			t.Errorf("the manifest has the digest %s, want %s", digest.FromBytes(a.Manifest), d.Digest)
		}
		if want := string(a.Manifest); !a.Payload && string(a.Signed) != want {
			t.Errorf("a bundle is over %q, want the manifest", a.Signed)
		}
		if a.Payload && string(a.Signed) != `{"critical":1}` {
			t.Errorf("a signature by key is over %q, want its payload", a.Signed)
		}
		files = append(files, string(a.File))
	}
	if len(files) != 3 || files[2] != "by key" || files[0] == files[1] {
		t.Errorf("got %q, want two bundles and the signature by key", files)
	}

	legacy, d := s.signable("legacy")
	s.tag(d, s.payload(`{"critical":2}`, "keyless", "dev.sigstore.cosign/certificate"))
	_, err = legacy.Attachments(t.Context(), c)
	wantError(t, err, kit.Transient, otav1alpha1.SignatureUnreadableReason, "cosign 3")

	crowded, d := s.signable("crowded")
	var layers []ocispec.Descriptor
	for i := range 33 {
		layers = append(layers, s.payload(fmt.Sprint(i), "x"))
	}
	s.tag(d, layers...)
	_, err = crowded.Attachments(t.Context(), c)
	wantError(t, err, kit.Transient, otav1alpha1.SignatureUnreadableReason, "more than 32")

	large, d := s.signable("large")
	s.sign(d, strings.Repeat("x", 1<<20+1))
	_, err = large.Attachments(t.Context(), c)
	wantError(t, err, kit.Transient, otav1alpha1.SignatureUnreadableReason, "at most 1048576")

	missing := img
	missing.Image = s.host + "/shop/updates@" + digest.FromString("x").String()
	_, err = missing.Attachments(t.Context(), c)
	wantError(t, err, kit.Transient, otav1alpha1.SourceNotFoundReason, "")
}

// Registries with the referrers API are asked by it; what they list is believed no more than what a tag holds.
func TestOCI_referrersAPI(t *testing.T) {
	s := newShelf(t, nil)
	img, d := s.signable("signed")
	other, od := s.signable("other")
	bundle := s.manifest(ocispec.Manifest{ArtifactType: bundleType, Subject: &d, Layers: []ocispec.Descriptor{s.blob(bundleType, []byte(`{"bundle":1}`))}}, "")
	bundle.ArtifactType = bundleType
	var pages atomic.Int32
	list := func(next bool, listed ...ocispec.Descriptor) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/referrers/") {
				return false
			}
			pages.Add(1)
			w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
			if next {
				w.Header().Set("Link", `<`+r.URL.Path+`?more>; rel="next"`)
			}
			_ = json.NewEncoder(w).Encode(ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: listed})
			return true
		}
	}
	c := newClient(t, source.Options{})
	got, err := through(img, s.changed(list(false, bundle))).Attachments(t.Context(), c)
	if err != nil || len(got) != 1 || string(got[0].File) != `{"bundle":1}` || got[0].Payload || pages.Load() != 1 {
		t.Errorf("got %d attachments by %d pages and error %v, want the bundle", len(got), pages.Load(), err)
	}
	for name, tc := range map[string]struct {
		src    source.OCI
		answer func(http.ResponseWriter, *http.Request) bool
		reason string
	}{
		"of another image": {other, list(false, bundle), otav1alpha1.SignatureUnreadableReason},
		"of itself":        {other, list(false, ocispec.Descriptor{ArtifactType: bundleType, MediaType: od.MediaType, Digest: od.Digest, Size: od.Size}), otav1alpha1.SignatureUnreadableReason},
		"bad digest":       {other, list(false, ocispec.Descriptor{ArtifactType: bundleType, Digest: "sha512:00"}), otav1alpha1.SignatureUnreadableReason},
		"dangling":         {img, list(false, ocispec.Descriptor{ArtifactType: bundleType, Digest: digest.FromString("x")}), otav1alpha1.SourceNotFoundReason},
		"without end":      {img, list(true), otav1alpha1.FetchFailedReason},
		"many":             {img, list(false, slicesRepeat(bundle, 33)...), otav1alpha1.SignatureUnreadableReason},
		"fails": {img, func(w http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.Path, "/referrers/") {
				http.Error(w, secretText, http.StatusInternalServerError)
				return true
			}
			return false
		}, otav1alpha1.FetchFailedReason},
		"tampered blob": {img, func(w http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.Path, "/blobs/") {
				_, _ = io.WriteString(w, `{"bundle":2}`)
				return true
			}
			return list(false, bundle)(w, r)
		}, otav1alpha1.SignatureUnreadableReason},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := through(tc.src, s.changed(tc.answer)).Attachments(t.Context(), c)
			wantError(t, err, kit.Transient, tc.reason, "")
		})
	}
}

func slicesRepeat(d ocispec.Descriptor, n int) (out []ocispec.Descriptor) {
	for range n {
		out = append(out, d)
	}
	return out
}
