// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// proxy stands before the real object store, records what goes over the wire, and spoils some of it.
type proxy struct {
	forward *httputil.ReverseProxy
	// spoil answers in place of the store, or after it; it tells whether it did.
	spoil func(w http.ResponseWriter, r *http.Request, n int) bool

	mu   sync.Mutex
	seen []*http.Request
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.seen = append(p.seen, r.Clone(r.Context()))
	n := len(p.seen)
	p.mu.Unlock()
	if p.spoil == nil || !p.spoil(w, r, n) {
		p.forward.ServeHTTP(w, r)
	}
}

func (p *proxy) requests() []*http.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.seen)
}

func (p *proxy) puts() []*http.Request {
	return slices.DeleteFunc(p.requests(), func(r *http.Request) bool { return r.Method != http.MethodPut })
}

// through opens a bucket behind a proxy.
func through(t *testing.T, spoil func(w http.ResponseWriter, r *http.Request, n int) bool) (*Bucket, *proxy) {
	t.Helper()
	target, err := url.Parse(server.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{spoil: spoil, forward: &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // it is signed
	}}}
	p.forward.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	front := httptest.NewServer(p)
	t.Cleanup(front.Close)
	cfg := config(t)
	cfg.Endpoint = front.URL
	return open(t, cfg), p
}

// s3Error answers as S3 does.
func s3Error(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>made up by the test</Message></Error>", code)
}

// lose lets the store do what it was asked for, and cuts the connection before the answer.
func lose(p *proxy, r *http.Request) {
	p.forward.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// The client library drops conditions above its part size: the condition must be on the very request that makes the object.
func TestConditionIsOnTheLastRequest(t *testing.T) {
	b, p := through(t, nil)
	content := bytes.Repeat([]byte("windlass"), 5<<20)
	if err := b.PutFile(t.Context(), "big", bytes.NewReader(content), int64(len(content)), sumOf(string(content)), "application/zip"); err != nil {
		t.Fatal(err)
	}
	if err := b.PutImmutable(t.Context(), "small", []byte("one"), "text/plain"); err != nil {
		t.Fatal(err)
	}
	etag, err := b.CompareAndSwap(t.Context(), "swap", "", []byte("one"), "text/plain")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.CompareAndSwap(t.Context(), "swap", etag, []byte("two"), "text/plain"); err != nil {
		t.Fatal(err)
	}
	puts := p.puts()
	if len(puts) != 4 {
		t.Fatalf("got %d writes, want 4: one for each object", len(puts))
	}
	for i, r := range puts {
		none, match := r.Header.Get("If-None-Match"), r.Header.Get("If-Match")
		if i < 3 && none != "*" || i == 3 && match != `"`+etag+`"` {
			t.Errorf("%s: got If-None-Match %q and If-Match %q", r.URL.Path, none, match)
		}
		if got := r.Header.Get("X-Amz-Content-Sha256"); len(got) != 64 {
			t.Errorf("%s: got X-Amz-Content-Sha256 %q, want the digest, which the server checks", r.URL.Path, got)
		}
	}
}

func TestLostAnswersAreFoundOut(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*Bucket) error
	}{
		{"immutable", func(b *Bucket) error { return b.PutImmutable(t.Context(), "x", []byte("one"), "") }},
		{"file", func(b *Bucket) error {
			return b.PutFile(t.Context(), "x", strings.NewReader("one"), 3, sumOf("one"), "")
		}},
		{"create", func(b *Bucket) error {
			_, err := b.CompareAndSwap(t.Context(), "x", "", []byte("one"), "")
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p *proxy
			var b *Bucket
			b, p = through(t, func(_ http.ResponseWriter, r *http.Request, n int) bool {
				if r.Method == http.MethodPut && n == 1 {
					lose(p, r)
				}
				return false
			})
			if err := c.do(b); err != nil {
				t.Errorf("got %v, want success: the object is what it should be", err)
			}
			if got := len(p.puts()); got != 2 {
				t.Errorf("got %d writes, want the lost one and its repetition", got)
			}
		})
	}
}

func TestLostAnswerOfASwap(t *testing.T) {
	var p *proxy
	var b *Bucket
	losing := false
	b, p = through(t, func(_ http.ResponseWriter, r *http.Request, _ int) bool {
		if r.Method == http.MethodPut && losing {
			losing = false
			lose(p, r)
		}
		return false
	})
	first, err := b.CompareAndSwap(t.Context(), "x", "", []byte("one"), "")
	if err != nil {
		t.Fatal(err)
	}
	losing = true
	second, err := b.CompareAndSwap(t.Context(), "x", first, []byte("two"), "")
	if err != nil {
		t.Fatalf("got %v, want success", err)
	}
	if _, err := b.CompareAndSwap(t.Context(), "x", second, []byte("three"), ""); err != nil {
		t.Errorf("the ETag that was found out is of no use: %v", err)
	}
}

// Another writer replaced the object while our answer was lost: ours is gone, and we must not believe that we won.
func TestLostAnswerAndAnotherWriter(t *testing.T) {
	direct := open(t, config(t))
	first, err := direct.CompareAndSwap(t.Context(), "x", "", []byte("one"), "")
	if err != nil {
		t.Fatal(err)
	}
	var p *proxy
	var b *Bucket
	b, p = through(t, func(_ http.ResponseWriter, r *http.Request, n int) bool {
		if n != 1 {
			return false
		}
		p.forward.ServeHTTP(httptest.NewRecorder(), r)
		_, obj, err := direct.Get(t.Context(), "x", 10)
		if err != nil {
			t.Error(err)
		}
		if _, err := direct.CompareAndSwap(t.Context(), "x", obj.ETag, []byte("rival"), ""); err != nil {
			t.Error(err)
		}
		panic(http.ErrAbortHandler)
	})
	if _, err := b.CompareAndSwap(t.Context(), "x", first, []byte("two"), ""); !errors.Is(err, ErrConflict) {
		t.Errorf("got %v, want ErrConflict", err)
	}
}

func TestPassingErrorsAreTriedAgain(t *testing.T) {
	for _, status := range []int{http.StatusServiceUnavailable, http.StatusInternalServerError, http.StatusConflict} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			b, p := through(t, func(w http.ResponseWriter, r *http.Request, n int) bool {
				if n > 2 {
					return false
				}
				_, _ = io.Copy(io.Discard, r.Body)
				s3Error(w, status, map[int]string{503: "SlowDown", 500: "InternalError", 409: "ConditionalRequestConflict"}[status])
				return true
			})
			if err := b.PutImmutable(t.Context(), "x", []byte("one"), ""); err != nil {
				t.Errorf("got %v, want success at the third try", err)
			}
			if got := len(p.puts()); got != 3 {
				t.Errorf("got %d writes, want 3", got)
			}
		})
	}
}

func TestLastingErrorsEnd(t *testing.T) {
	for status, reason := range map[int]string{
		http.StatusServiceUnavailable: otav1alpha1.StorageUnreachableReason,
		http.StatusForbidden:          otav1alpha1.StorageAccessDeniedReason,
	} {
		b, p := through(t, func(w http.ResponseWriter, _ *http.Request, _ int) bool { w.WriteHeader(status); return true })
		_, _, err := b.Get(t.Context(), "x", 10)
		wantReason(t, err, reason)
		if got := len(p.requests()); got > maxRetries {
			t.Errorf("%d: got %d requests, want at most %d", status, got, maxRetries)
		}
		if err != nil && strings.Contains(err.Error(), "127.0.0.1:") && status == http.StatusForbidden {
			t.Errorf("got %v", err)
		}
	}
}

func TestBodyThatBreaksOffIsReadAgain(t *testing.T) {
	content := strings.Repeat("windlass", 1000)
	b, p := through(t, func(w http.ResponseWriter, r *http.Request, n int) bool {
		if r.Method != http.MethodGet || n != 2 {
			return false
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		w.Header().Set("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
		w.Header().Set("ETag", `"x"`)
		_, _ = io.WriteString(w, content[:100])
		panic(http.ErrAbortHandler)
	})
	if err := b.PutImmutable(t.Context(), "x", []byte(content), ""); err != nil {
		t.Fatal(err)
	}
	raw, _, err := b.Get(t.Context(), "x", 10_000)
	if err != nil || string(raw) != content {
		t.Errorf("got %d bytes, %v", len(raw), err)
	}
	if got := len(p.requests()); got != 3 {
		t.Errorf("got %d requests, want a write and two reads", got)
	}
}

// careless is a store that ignores conditions, as small gateways do: the worst case, 200 where 412 is due.
type careless struct {
	obey func(r *http.Request) bool // nil: never

	mu      sync.Mutex
	objects map[string][]byte
}

func (c *careless) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	content, ok := c.objects[r.URL.Path]
	etag := fmt.Sprintf("%.32s", sumOf(string(content)))
	switch query := r.URL.Query(); {
	case query.Has("versioning"):
		fmt.Fprint(w, "<VersioningConfiguration></VersioningConfiguration>")
	case query.Has("list-type"):
		c.list(w, "/bucket/"+query.Get("prefix"))
	case r.Method == http.MethodPut:
		none, match := r.Header.Get("If-None-Match") == "*", strings.Trim(r.Header.Get("If-Match"), `"`)
		if c.obey != nil && c.obey(r) && (none && ok || match != "" && (!ok || match != etag)) {
			s3Error(w, http.StatusPreconditionFailed, "PreconditionFailed")
			return
		}
		content, _ = io.ReadAll(r.Body)
		c.objects[r.URL.Path] = content
		w.Header().Set("ETag", fmt.Sprintf("%q", sumOf(string(content))[:32]))
	case r.Method == http.MethodDelete:
		delete(c.objects, r.URL.Path)
		w.WriteHeader(http.StatusNoContent)
	case !ok:
		s3Error(w, http.StatusNotFound, "NoSuchKey")
	default:
		w.Header().Set("ETag", fmt.Sprintf("%q", etag))
		w.Header().Set("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		_, _ = w.Write(content)
	}
}

func (c *careless) list(w io.Writer, prefix string) {
	fmt.Fprint(w, "<ListBucketResult>")
	for path, content := range c.objects {
		if strings.HasPrefix(path, prefix) {
			fmt.Fprintf(w, "<Contents><Key>%s</Key><Size>%d</Size><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>",
				strings.TrimPrefix(path, "/bucket/"), len(content))
		}
	}
	fmt.Fprint(w, "</ListBucketResult>")
}

// openCareless opens a bucket of such a store.
func openCareless(t *testing.T, c *careless) *Bucket {
	t.Helper()
	c.objects = map[string][]byte{}
	front := httptest.NewServer(c)
	t.Cleanup(front.Close)
	cfg := config(t)
	cfg.Endpoint = front.URL
	return open(t, cfg)
}

func TestProbeSeesThroughBadStores(t *testing.T) {
	created := map[string]int{}
	for _, c := range []struct {
		name string
		obey func(*http.Request) bool
		want otav1alpha1.ConditionalWrites
	}{
		{"honest", func(*http.Request) bool { return true }, otav1alpha1.ConditionalWritesAtomic},
		{"ignores conditions", nil, otav1alpha1.ConditionalWritesIgnored},
		{"ignores If-Match", func(r *http.Request) bool { return r.Header.Get("If-Match") == "" }, otav1alpha1.ConditionalWritesIgnored},
		{"two winners of a race", func(r *http.Request) bool {
			created[r.URL.Path]++
			return !strings.Contains(r.URL.Path, "/race-") || created[r.URL.Path] != 2
		}, otav1alpha1.ConditionalWritesNotAtomic},
	} {
		t.Run(c.name, func(t *testing.T) {
			store := &careless{obey: c.obey}
			caps, err := openCareless(t, store).Probe(t.Context())
			if err != nil || caps.ConditionalWrites != c.want {
				t.Errorf("got %+v, %v, want %s", caps, err, c.want)
			}
			if len(store.objects) != 0 {
				t.Errorf("the probe left %d objects behind", len(store.objects))
			}
		})
	}
}

// unknown answers that the store does not know conditions.
func unknown(w http.ResponseWriter, r *http.Request, _ int) bool {
	if r.Header.Get("If-None-Match") == "" && r.Header.Get("If-Match") == "" || r.Method != http.MethodPut {
		return false
	}
	_, _ = io.Copy(io.Discard, r.Body)
	s3Error(w, http.StatusNotImplemented, "NotImplemented")
	return true
}

// A store without conditional writes is used with a look before and after each write.
func TestStoreWithoutConditions(t *testing.T) {
	b, _ := through(t, unknown)
	if caps, err := b.Probe(t.Context()); err != nil || caps.ConditionalWrites != otav1alpha1.ConditionalWritesIgnored {
		t.Errorf("got %+v, %v, want Ignored", caps, err)
	}
	alone(t, b)
}

// Many writes at once hear that the store has no conditions: each of them is sent again.
func TestManyWritesLearnThatThereAreNoConditions(t *testing.T) {
	const writers = 12
	var heard sync.WaitGroup // holds the answers back until all writes are under way with a condition
	heard.Add(writers)
	b, p := through(t, func(w http.ResponseWriter, r *http.Request, n int) bool {
		if r.Header.Get("If-None-Match") == "" || r.Method != http.MethodPut {
			return false
		}
		heard.Done()
		heard.Wait()
		return unknown(w, r, n)
	})
	var group errgroup.Group
	for i := range writers {
		group.Go(func() error {
			key, content := fmt.Sprintf("x%d", i), []byte(fmt.Sprintf("content %d", i))
			if i%2 == 0 {
				return b.PutImmutable(t.Context(), key, content, "")
			}
			_, err := b.CompareAndSwap(t.Context(), key, "", content, "")
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Errorf("a write was not tried again: %v", err)
	}
	if got := len(p.puts()); got != 2*writers {
		t.Errorf("got %d writes, want %d: each once with and once without a condition", got, 2*writers)
	}
}

// A store that answers 501 to everything is not asked again and again.
func TestStoreThatCannotWrite(t *testing.T) {
	b, p := through(t, func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.Method != http.MethodPut {
			return false
		}
		_, _ = io.Copy(io.Discard, r.Body)
		s3Error(w, http.StatusNotImplemented, "NotImplemented")
		return true
	})
	if err := b.PutImmutable(t.Context(), "x", []byte("one"), ""); !errors.Is(err, errNotImplemented) {
		t.Errorf("got %v, want that it is not implemented", err)
	}
	if got := len(p.puts()); got != 2 {
		t.Errorf("got %d writes, want one with a condition and one without", got)
	}
}

func TestStoreThatIgnoresConditions(t *testing.T) {
	b := openCareless(t, &careless{})
	b.careful = true // as after a probe
	alone(t, b)
}

// alone checks what holds for a single writer on any store.
func alone(t *testing.T, b *Bucket) {
	t.Helper()
	swap(t, b)
	if err := b.PutImmutable(t.Context(), "y", []byte("one"), ""); err != nil {
		t.Fatal(err)
	}
	if err := b.PutImmutable(t.Context(), "y", []byte("one"), ""); err != nil {
		t.Errorf("the same again: %v", err)
	}
	if err := b.PutImmutable(t.Context(), "y", []byte("two"), ""); !errors.Is(err, ErrDifferent) {
		t.Errorf("put over it: got %v, want ErrDifferent", err)
	}
}

func TestCABundle(t *testing.T) {
	front := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { s3Error(w, http.StatusNotFound, "NoSuchKey") }))
	t.Cleanup(front.Close)
	cfg := config(t)
	cfg.Endpoint = front.URL
	_, _, err := open(t, cfg).Get(t.Context(), "x", 1)
	wantReason(t, err, otav1alpha1.StorageUnreachableReason)
	cfg.CABundle = pemOf(front.Certificate().Raw)
	if _, _, err := open(t, cfg).Get(t.Context(), "x", 1); !errors.Is(err, ErrNotExist) {
		t.Errorf("with the CA bundle: got %v, want ErrNotExist", err)
	}
}

func pemOf(der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}) }
