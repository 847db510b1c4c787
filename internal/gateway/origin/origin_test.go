// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package origin_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/windlass-dev/windlass/internal/devcluster"
	"github.com/windlass-dev/windlass/internal/gateway/origin"
	"github.com/windlass-dev/windlass/internal/store"
)

const name = "targets/bundles/shop/x.zip"

// exercise holds an origin, in which name has content, against what the gateway relies on.
func exercise(t *testing.T, o *origin.Origin, content []byte) {
	t.Helper()
	ctx := t.Context()
	raw, etag, err := o.GetIfChanged(ctx, name, "", int64(len(content)))
	if err != nil || !bytes.Equal(raw, content) || etag == "" {
		t.Fatalf("got %d bytes, ETag %q, %v", len(raw), etag, err)
	}
	if raw, again, err := o.GetIfChanged(ctx, name, etag, 1<<20); err != nil || raw != nil || again != etag {
		t.Errorf("unchanged: got %d bytes, ETag %q, %v", len(raw), again, err)
	}
	if raw, _, err := o.GetIfChanged(ctx, name, `"other"`, 1<<20); err != nil || !bytes.Equal(raw, content) {
		t.Errorf("changed: got %d bytes, %v", len(raw), err)
	}
	if _, err := o.Get(ctx, name, int64(len(content))-1); err == nil || !strings.Contains(err.Error(), "more than the expected") {
		t.Errorf("too large: %v", err)
	}
	if _, err := o.Get(ctx, "metadata/2.root.json", 100); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	for _, part := range [][2]int64{{0, int64(len(content))}, {0, 1}, {7, 100}, {int64(len(content)) - 1, 1}} {
		body, err := o.Open(ctx, name, part[0], part[1])
		if err != nil {
			t.Fatalf("open %v: %v", part, err)
		}
		got, err := io.ReadAll(body)
		body.Close()
		if want := content[part[0] : part[0]+part[1]]; err != nil || !bytes.Equal(got, want) {
			t.Errorf("part %v: %d bytes, %v", part, len(got), err)
		}
	}
	if _, err := o.Open(ctx, name, 0, int64(len(content))+1); err == nil {
		t.Error("opened more than there is")
	}
	if _, err := o.Open(ctx, "missing", 0, 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open missing: %v", err)
	}
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("windlass"), 1000)
	s := httptest.NewServer(http.StripPrefix("/base", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/"+name {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("ETag", `"1"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	})))
	t.Cleanup(s.Close)
	for _, base := range []string{s.URL + "/base", s.URL + "/base/"} {
		o, err := origin.NewHTTP(base)
		if err != nil {
			t.Fatal(err)
		}
		exercise(t, o, content)
	}
}

// The very bucket that the manager writes: signed requests, and keys from the environment only.
func TestS3(t *testing.T) {
	gateway, err := devcluster.StartObjectStore(t.Context(), t.TempDir(), "updates")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { gateway.Stop() })
	content := bytes.Repeat([]byte("windlass"), 1000)
	bucket, err := store.Open(store.Config{
		Endpoint: gateway.Endpoint, Bucket: "updates", Prefix: "teams/mobile", AccessKey: gateway.AccessKey, SecretKey: gateway.SecretKey,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := bucket.PutImmutable(t.Context(), name, content, "application/zip"); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", gateway.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", gateway.SecretKey)
	cfg := origin.S3Config{Endpoint: gateway.Endpoint, Bucket: "updates", Prefix: "/teams/mobile/"}
	o, err := origin.NewS3(cfg)
	if err != nil {
		t.Fatal(err)
	}
	exercise(t, o, content)

	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
	if o, err = origin.NewS3(cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Get(t.Context(), name, 1<<20); err == nil || !strings.Contains(err.Error(), "credentials may not read it") || strings.Contains(err.Error(), gateway.AccessKey) {
		t.Errorf("wrong keys: %v", err)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	var status atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if status.Load() == 0 { // an answer that breaks off
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("half"))
			return
		}
		w.WriteHeader(int(status.Load()))
	}))
	t.Cleanup(s.Close)
	o, err := origin.NewHTTP(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	for code, want := range map[int]string{
		500: "expected status 200, got 500", 503: "expected status 200, got 503", 403: "credentials may not read it", 410: "status 410",
		304: "expected status 200, got 304", 0: "unexpected EOF",
	} {
		status.Store(int32(code))
		if _, err := o.Get(t.Context(), name, 1000); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("status %d: got %v, want %q", code, err, want)
		}
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := o.Get(canceled, name, 1000); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	s.Close()
	if _, err := o.Get(t.Context(), name, 1000); err == nil || strings.Contains(err.Error(), "http://") {
		t.Errorf("refused: %v", err)
	}
}

// A stream is opened once more when the server fails or cuts the connection, and not when its answer is final.
func TestOpenTriesAgain(t *testing.T) {
	t.Parallel()
	const cut = 0
	for name, tc := range map[string]struct {
		answers  []int // statuses, or cut
		requests int
		want     string // part of the error; empty: none
	}{
		"works":           {[]int{200}, 1, ""},
		"fails once":      {[]int{503, 200}, 2, ""},
		"cut once":        {[]int{cut, 200}, 2, ""},
		"fails twice":     {[]int{503, 500, 200}, 2, "got 500"},
		"cut twice":       {[]int{cut, cut, 200}, 2, "EOF"},
		"missing":         {[]int{404, 200}, 1, "does not exist"},
		"denied":          {[]int{403, 200}, 1, "credentials"},
		"another content": {[]int{204, 200}, 1, "expected 4 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int32
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				switch status := tc.answers[requests.Add(1)-1]; status {
				case cut:
					panic(http.ErrAbortHandler)
				case http.StatusOK:
					_, _ = w.Write([]byte("1234"))
				default:
					w.WriteHeader(status)
				}
			}))
			t.Cleanup(s.Close)
			o, err := origin.NewHTTP(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			body, err := o.Open(t.Context(), name, 0, 4)
			if err == nil {
				body.Close()
			}
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got error %v, want %q", err, tc.want)
			}
			if got := int(requests.Load()); got != tc.requests {
				t.Errorf("%d requests, want %d", got, tc.requests)
			}
		})
	}
}

func TestBadAddresses(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"", "x", "ftp://h/x", "http://", "http://u:p@h/", "http://h/?q=1", "http://[::"} {
		if _, err := origin.NewHTTP(base); err == nil {
			t.Errorf("NewHTTP(%q) is no error", base)
		}
	}
	for _, cfg := range []origin.S3Config{
		{}, {Endpoint: "https://h/path", Bucket: "b"}, {Endpoint: "s3://h", Bucket: "b"}, {Endpoint: "https://u:p@h", Bucket: "b"}, {Endpoint: "https://h"},
	} {
		if _, err := origin.NewS3(cfg); err == nil {
			t.Errorf("NewS3(%+v) is no error", cfg)
		}
	}
}
