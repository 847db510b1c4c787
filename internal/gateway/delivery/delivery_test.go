// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/windlass-dev/windlass/internal/gateway/delivery"
	"github.com/windlass-dev/windlass/internal/gateway/edge"
	"github.com/windlass-dev/windlass/internal/gateway/httpx"
	"github.com/windlass-dev/windlass/internal/gateway/limit"
	"github.com/windlass-dev/windlass/internal/gateway/origin"
	"github.com/windlass-dev/windlass/internal/gateway/view"
	"github.com/windlass-dev/windlass/internal/gateway/view/viewtest"
	"github.com/windlass-dev/windlass/internal/release"
)

var (
	content = []byte(strings.Repeat("0123456789", 30_000)) // more than one chunk
	digest  = viewtest.Digest(content)
)

// fixture serves one artifact from a repository.
type fixture struct {
	*testing.T
	repo *viewtest.Repo
	url  string
}

func newFixture(t *testing.T, edit func(*release.Document), others ...*release.Document) *fixture {
	t.Helper()
	f := &fixture{T: t, repo: viewtest.New(t)}
	bucket := httptest.NewServer(f.repo)
	t.Cleanup(bucket.Close)
	source, err := origin.NewHTTP(bucket.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	doc := &release.Document{
		Schema: release.Schema, App: "shop", Channel: "production", Serving: release.Active,
		Stable: &release.Bundle{
			Name: "s", Version: "1.0.0", Digest: release.DigestPrefix + digest, Size: int64(len(content)), Path: "bundles/shop/1.0.0.zip", MediaType: "application/zip",
		},
	}
	f.repo.Put(release.TargetObject(doc.Stable.Path, doc.Stable.Digest), content)
	if edit != nil {
		edit(doc)
	}
	v, err := view.Compile(time.Now().Add(time.Hour), append(others, doc)...)
	if err != nil {
		t.Fatal(err)
	}
	h := &delivery.Handler{View: func() *view.View { return v }, Origin: source, Edge: front(t, 0), Now: time.Now}
	server := httptest.NewServer(httpx.New(slog.New(slog.DiscardHandler), prometheus.NewRegistry()).Mux(h.Routes()...))
	t.Cleanup(server.Close)
	f.url = server.URL + delivery.Prefix
	return f
}

// front lets so many downloads through at a time; 0: any number.
func front(t *testing.T, downloads int) *edge.Edge {
	t.Helper()
	e, err := edge.New(edge.Config{Limits: limit.Config{MaxDownloads: downloads}}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// get asks for an artifact; header has names and values.
func (f *fixture) get(method, path string, header ...string) answer {
	f.Helper()
	req, err := http.NewRequestWithContext(f.Context(), method, f.url+path, http.NoBody)
	if err != nil {
		f.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req) // follows no redirect
	if err != nil {
		f.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, body, res.ContentLength, err}
}

// answer of the handler, read to its end.
type answer struct {
	code   int
	header http.Header
	body   []byte
	length int64 // as announced
	err    error // of reading
}

// Pages may download what a channel hands out that lets their origin ask, also by redirect, and they learn nothing of others.
func TestOrigins(t *testing.T) {
	t.Parallel()
	const page = "https://app.example.com"
	allow := func(d *release.Document) { d.Follow.Origins = []string{page} }
	beta := func(stable string) *release.Document {
		return &release.Document{
			Schema: release.Schema, App: "shop", Channel: "beta", Serving: release.Active, Follow: release.Follow{Origins: []string{page}},
			Stable: &release.Bundle{Name: "b", Version: "2.0.0", Digest: release.DigestPrefix + stable, Size: int64(len(content)), Path: "bundles/shop/1.0.0.zip"},
		}
	}
	for _, tc := range []struct {
		name, origin string
		edit         func(*release.Document)
		others       []*release.Document
		asks, reads  string
	}{
		{"allowed", page, allow, nil, page, page},
		{"redirected", page, func(d *release.Document) { allow(d); d.PublicURL = "https://cdn.example.com" }, nil, page, page},
		{"another origin", "https://evil.example.com", allow, nil, "", ""},
		{"a device", "", allow, nil, "", ""},
		{"no channel allows it", page, nil, nil, "", ""},
		{"another channel with the bundle", page, nil, []*release.Document{beta(digest)}, page, page},
		{"another channel without the bundle", page, nil, []*release.Document{beta(strings.Repeat("b", 64))}, page, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, tc.edit, tc.others...)
			header := []string{"Range", "bytes=0-9"}
			if tc.origin != "" {
				header = append(header, "Origin", tc.origin, "Access-Control-Request-Method", "GET")
			}
			got := f.get("GET", "shop/"+digest, header...)
			if read := got.header.Get("Access-Control-Allow-Origin"); read != tc.reads || got.header.Get("Vary") != "Origin" || got.code != 206 && got.code != 307 {
				t.Errorf("got %d, allowed %q, want %q, Vary %q", got.code, read, tc.reads, got.header.Get("Vary"))
			}
			if asked := f.get("OPTIONS", "shop/"+digest, header...); asked.header.Get("Access-Control-Allow-Origin") != tc.asks {
				t.Errorf("before: got %d, allowed %q, want %q", asked.code, asked.header.Get("Access-Control-Allow-Origin"), tc.asks)
			}
		})
	}
}

func TestStreams(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	etag, size := `"`+digest+`"`, len(content)
	for _, tc := range []struct {
		name, method string
		header       []string
		code         int
		body         []byte
		contentRange string
	}{
		{"whole", "GET", nil, 200, content, ""},
		{"head", "HEAD", nil, 200, nil, ""},
		{"range", "GET", []string{"Range", "bytes=5-9"}, 206, content[5:10], "bytes 5-9/300000"},
		{"head range", "HEAD", []string{"Range", "bytes=5-9"}, 200, nil, ""},
		{"head past the end", "HEAD", []string{"Range", "bytes=300000-"}, 200, nil, ""},
		{"from", "GET", []string{"Range", "bytes=299990-"}, 206, content[size-10:], "bytes 299990-299999/300000"},
		{"from the start", "GET", []string{"Range", "bytes=0-"}, 206, content, "bytes 0-299999/300000"},
		{"last", "GET", []string{"Range", "bytes=-3"}, 206, content[size-3:], "bytes 299997-299999/300000"},
		{"more than there is", "GET", []string{"Range", "bytes=-999999"}, 206, content, "bytes 0-299999/300000"},
		{"over the end", "GET", []string{"Range", "bytes=299999-400000"}, 206, content[size-1:], "bytes 299999-299999/300000"},
		{"past the end", "GET", []string{"Range", "bytes=300000-"}, 416, nil, "bytes */300000"},
		{"last none", "GET", []string{"Range", "bytes=-0"}, 416, nil, "bytes */300000"},
		{"several ranges", "GET", []string{"Range", "bytes=0-1,5-6"}, 200, content, ""},
		{"no range", "GET", []string{"Range", "bytes=x-"}, 200, content, ""},
		{"backwards", "GET", []string{"Range", "bytes=9-5"}, 200, content, ""},
		{"other unit", "GET", []string{"Range", "lines=1-2"}, 200, content, ""},
		{"if range", "GET", []string{"Range", "bytes=0-0", "If-Range", etag}, 206, content[:1], "bytes 0-0/300000"},
		{"if range of another", "GET", []string{"Range", "bytes=0-0", "If-Range", `"other"`}, 200, content, ""},
		{"has it", "GET", []string{"If-None-Match", `"x", W/` + etag}, 304, nil, ""},
		{"has anything", "HEAD", []string{"If-None-Match", "*"}, 304, nil, ""},
		{"has another", "GET", []string{"If-None-Match", `"x"`}, 200, content, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := f.get(tc.method, "shop/"+digest, tc.header...)
			if got.err != nil || got.code != tc.code || got.header.Get("Content-Range") != tc.contentRange {
				t.Fatalf("got %d, %q, %v; want %d, %q", got.code, got.header.Get("Content-Range"), got.err, tc.code, tc.contentRange)
			}
			if tc.code < 400 && !bytes.Equal(got.body, tc.body) {
				t.Errorf("got %d bytes, want %d", len(got.body), len(tc.body))
			}
			checkHeader(t, got)
		})
	}
}

func checkHeader(t *testing.T, got answer) {
	t.Helper()
	h := got.header
	if got.code >= 400 {
		if h.Get("Cache-Control") != "no-store" || h.Get("ETag") != "" {
			t.Errorf("an error must not be cached: %v", h)
		}
		return
	}
	if h.Get("ETag") != `"`+digest+`"` || h.Get("Cache-Control") != "public, max-age=31536000, immutable" {
		t.Errorf("headers %v", h)
	}
	if got.code == http.StatusOK && (got.length != int64(len(content)) || h.Get("Content-Type") != "application/zip" || h.Get("Accept-Ranges") != "bytes") {
		t.Errorf("length %d, headers %v", got.length, h)
	}
}

func TestOnlyWhatIsServed(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	for _, path := range []string{
		"shop/" + strings.Repeat("0", 64), "bank/" + digest, "shop/" + strings.ToUpper(digest), "shop/..%2fx", "shop/sha256:" + digest,
	} {
		if got := f.get("GET", path); got.code != 404 || !bytes.Contains(got.body, []byte("no channel of this app")) {
			t.Errorf("%s: %d %s", path, got.code, got.body)
		}
	}
	if got := f.get("POST", "shop/"+digest); got.code != 405 {
		t.Errorf("POST: %d", got.code)
	}
	refused := newFixture(t, func(d *release.Document) { d.Refused = []release.Refusal{{Digest: d.Stable.Digest}} })
	if got := refused.get("GET", "shop/"+digest); got.code != 404 {
		t.Errorf("refused: %d", got.code)
	}
}

// What CI encrypted is no archive, whatever the Bundle says of what is inside.
func TestEncryptedArtifact(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(d *release.Document) { d.Stable.Encryption = &release.Encryption{SessionKey: "a:b", Checksum: "c"} })
	if got := f.get("GET", "shop/"+digest); got.header.Get("Content-Type") != "application/octet-stream" || !bytes.Equal(got.body, content) {
		t.Errorf("got %d bytes of %s", len(got.body), got.header.Get("Content-Type"))
	}
}

func TestBaseURL(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ configured, proto, want string }{
		{"", "", "http://example.com"}, {"", "HTTPS", "https://example.com"}, {"", "gopher", "http://example.com"},
		{"https://ota.example.org/gw", "http", "https://ota.example.org/gw"},
	} {
		r := httptest.NewRequest(http.MethodPost, "/", http.NoBody)
		r.Header.Set("X-Forwarded-Proto", tc.proto)
		if scheme, rest := delivery.BaseURL(tc.configured, r); scheme+rest != tc.want {
			t.Errorf("%+v: got %s", tc, scheme+rest)
		}
	}
	if scheme, _ := delivery.BaseURL("", httptest.NewRequest(http.MethodPost, "https://example.com/", http.NoBody)); scheme != "https://" {
		t.Errorf("over TLS: got %s", scheme)
	}
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(d *release.Document) { d.PublicURL = "https://cdn.example.com/mobile/" })
	for _, method := range []string{"GET", "HEAD"} {
		got := f.get(method, "shop/"+digest)
		want := "https://cdn.example.com/mobile/targets/bundles/shop/" + digest + ".1.0.0.zip"
		if got.code != http.StatusTemporaryRedirect || got.header.Get("Location") != want || got.header.Get("Cache-Control") != "public, max-age=60" {
			t.Errorf("%s: %d %v", method, got.code, got.header)
		}
	}
}

func TestBucketIsGone(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	for status, want := range map[int]int{503: 502, 404: 502, 403: 502} {
		f.repo.Down(status)
		if got := f.get("GET", "shop/"+digest); got.code != want || !bytes.Contains(got.body, []byte("try again later")) {
			t.Errorf("bucket says %d: %d %s", status, got.code, got.body)
		}
	}
	if got := f.get("HEAD", "shop/"+digest); got.code != 200 {
		t.Errorf("HEAD needs no bucket, but got %d", got.code)
	}
}

// An object of another size is not what was signed: an error before the first byte, not a broken download.
func TestObjectOfAnotherSize(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.repo.Put(release.TargetObject("bundles/shop/1.0.0.zip", release.DigestPrefix+digest), content[:1000])
	if got := f.get("GET", "shop/"+digest); got.code != 502 {
		t.Errorf("got %d", got.code)
	}
}

// slow is an origin and a client that take their time for each chunk, one after the other. It honours cancellation as a
// connection does.
type slow struct {
	http.ResponseWriter
	gap  time.Duration
	left int             // bytes
	ctx  context.Context //nolint:containedctx // of the request that the stream belongs to
}

func (s *slow) Open(ctx context.Context, _ string, _, length int64) (io.ReadCloser, error) {
	s.ctx, s.left = ctx, int(length)
	return io.NopCloser(s), nil
}

func (s *slow) Read(b []byte) (int, error) {
	select {
	case <-time.After(s.gap):
	case <-s.ctx.Done():
		return 0, s.ctx.Err()
	}
	n := min(len(b), s.left)
	if s.left -= n; n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (s *slow) Write(b []byte) (int, error) {
	<-time.After(s.gap)
	return s.ResponseWriter.Write(b)
}

// A download that makes progress goes on, however long reading and writing take together; one that does not is cut.
func TestSlowDownload(t *testing.T) {
	t.Parallel()
	for gap, complete := range map[time.Duration]bool{20 * time.Second: true, 31 * time.Second: false} {
		synctest.Test(t, func(t *testing.T) {
			v, err := view.Compile(time.Now().Add(time.Hour), shop())
			if err != nil {
				t.Fatal(err)
			}
			rec := httptest.NewRecorder()
			s := &slow{ResponseWriter: rec, gap: gap}
			h := &delivery.Handler{View: func() *view.View { return v }, Origin: s, Edge: front(t, 0), Now: time.Now}
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
			r.SetPathValue("app", "shop")
			r.SetPathValue("digest", digest)
			defer func() {
				if cut := recover(); (cut == nil) != complete || complete && rec.Body.Len() != len(content) {
					t.Errorf("steps of %v: got %d bytes, cut by %v; want it complete: %v", gap, rec.Body.Len(), cut, complete)
				}
			}()
			if err := h.Routes()[0].Handle(s, r); err != nil {
				t.Error(err)
			}
		})
	}
}

// held is an origin whose streams wait.
type held struct{ begun, goOn chan struct{} }

func (h held) Open(context.Context, string, int64, int64) (io.ReadCloser, error) {
	h.begun <- struct{}{}
	<-h.goOn
	return io.NopCloser(bytes.NewReader(content)), nil
}

// Above the limit a download is told to come again, until one of the others has ended. What streams nothing needs no place.
func TestDownloadsAtATime(t *testing.T) {
	t.Parallel()
	v, err := view.Compile(time.Now().Add(time.Hour), shop())
	if err != nil {
		t.Fatal(err)
	}
	const most = 2
	o := held{begun: make(chan struct{}), goOn: make(chan struct{})}
	h := &delivery.Handler{View: func() *view.View { return v }, Origin: o, Edge: front(t, most), Now: time.Now}
	mux := httpx.New(slog.New(slog.DiscardHandler), prometheus.NewRegistry()).Mux(h.Routes()...)
	ask := func(method string, header ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, delivery.Prefix+"shop/"+digest, http.NoBody)
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		return w
	}
	var running sync.WaitGroup
	for range most {
		running.Go(func() {
			if w := ask(http.MethodGet); w.Code != http.StatusOK || w.Body.Len() != len(content) {
				t.Errorf("download: %d, %d bytes", w.Code, w.Body.Len())
			}
		})
		<-o.begun
	}
	if w := ask(http.MethodGet); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || w.Header().Get("Etag") != "" {
		t.Errorf("one too many: %d, %v", w.Code, w.Header())
	}
	if w := ask(http.MethodHead); w.Code != http.StatusOK {
		t.Errorf("HEAD: %d", w.Code)
	}
	if w := ask(http.MethodGet, "If-None-Match", `"`+digest+`"`); w.Code != http.StatusNotModified {
		t.Errorf("a copy that is known: %d", w.Code)
	}
	close(o.goOn)
	running.Wait()
	go func() { <-o.begun }()
	if w := ask(http.MethodGet); w.Code != http.StatusOK {
		t.Errorf("after the others: %d", w.Code)
	}
}

func shop() *release.Document {
	return &release.Document{
		Schema: release.Schema, App: "shop", Channel: "production", Serving: release.Active,
		Stable: &release.Bundle{Name: "s", Version: "1.0.0", Digest: release.DigestPrefix + digest, Size: int64(len(content)), Path: "p/x.zip"},
	}
}

// broken is an origin whose streams end too soon.
type broken struct{}

func (broken) Open(context.Context, string, int64, int64) (io.ReadCloser, error) {
	return io.NopCloser(io.MultiReader(bytes.NewReader(content[:1000]), errReader{})), nil
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// short is an origin whose streams end too soon without an error.
type short struct{}

func (short) Open(context.Context, string, int64, int64) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(content[:1000])), nil
}

func TestBrokenStreamIsNotTakenForTheWhole(t *testing.T) {
	t.Parallel()
	v, err := view.Compile(time.Now().Add(time.Hour), shop())
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]delivery.Origin{"error": broken{}, "short": short{}} {
		h := &delivery.Handler{View: func() *view.View { return v }, Origin: o, Edge: front(t, 0), Now: time.Now}
		s := httptest.NewServer(httpx.New(slog.New(slog.DiscardHandler), prometheus.NewRegistry()).Mux(h.Routes()...))
		res, err := http.Get(s.URL + delivery.Prefix + "shop/" + digest)
		if err == nil {
			_, err = io.ReadAll(res.Body)
			res.Body.Close()
		}
		s.Close()
		if err == nil {
			t.Errorf("%s: the client took a part for the whole", name)
		}
	}
}
