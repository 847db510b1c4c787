// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package source_test

import (
	"net/http"
	"strings"
	"testing"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/source"
	"github.com/windlass-dev/windlass/internal/store"
	"github.com/windlass-dev/windlass/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// A real object server gives the artifact to who may have it, and each refusal has its reason.
func TestS3(t *testing.T) {
	b := testkit.ObjectStore(t)
	bucket, err := store.Open(store.Config{Endpoint: b.Endpoint, Bucket: b.Name, AccessKey: b.AccessKeyID, SecretKey: b.SecretAccessKey})
	if err != nil {
		t.Fatal(err)
	}
	if err := bucket.PutImmutable(t.Context(), "builds/a b.zip", []byte("artifact"), "application/zip"); err != nil {
		t.Fatal(err)
	}
	good := source.S3{Endpoint: b.Endpoint, Bucket: b.Name, Key: "builds/a b.zip", AccessKeyID: b.AccessKeyID, SecretAccessKey: b.SecretAccessKey}
	c := newClient(t, source.Options{})
	if got, err := fetch(t.Context(), c, good); err != nil || string(got) != "artifact" {
		t.Fatalf("got %q and error %v, want the artifact", got, err)
	}
	edit := func(change func(*source.S3)) source.S3 { s := good; change(&s); return s }
	for name, tc := range map[string]struct {
		src    source.S3
		class  kit.Class
		reason string
	}{
		"no such key":    {edit(func(s *source.S3) { s.Key = "other" }), kit.Transient, otav1alpha1.SourceNotFoundReason},
		"no such bucket": {edit(func(s *source.S3) { s.Bucket = "other-bucket" }), kit.Transient, otav1alpha1.SourceNotFoundReason},
		"wrong secret":   {edit(func(s *source.S3) { s.SecretAccessKey = secretText }), kit.Transient, otav1alpha1.SourceAccessDeniedReason},
		"unknown user":   {edit(func(s *source.S3) { s.AccessKeyID = "nobody" }), kit.Transient, otav1alpha1.SourceAccessDeniedReason},
		"anonymous":      {edit(func(s *source.S3) { s.AccessKeyID, s.SecretAccessKey = "", "" }), kit.Transient, otav1alpha1.SourceAccessDeniedReason},
		"nobody there":   {edit(func(s *source.S3) { s.Endpoint = "http://127.0.0.1:1" }), kit.Transient, otav1alpha1.FetchFailedReason},
		"bad bucket":     {edit(func(s *source.S3) { s.Bucket = "A_" }), kit.Stalled, otav1alpha1.InvalidSpecReason},
		"bad endpoint":   {edit(func(s *source.S3) { s.Endpoint = "nowhere" }), kit.Stalled, otav1alpha1.InvalidSpecReason},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := fetch(t.Context(), c, tc.src)
			wantError(t, err, tc.class, tc.reason, "")
		})
	}
	_, err = fetch(t.Context(), newClient(t, source.Options{MaxSize: 7}), good)
	wantError(t, err, kit.Stalled, otav1alpha1.TooLargeReason, "7 bytes")
}

// Anonymous reading sends no credentials, and what an object server answers stays out of messages.
func TestS3_anonymous(t *testing.T) {
	var got http.Header
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		if strings.HasSuffix(r.URL.Path, "open") {
			w.Header().Set("ETag", `"x"`)
			w.Header().Set("Last-Modified", "Sun, 22 Nov 2026 00:00:00 GMT")
			_, _ = w.Write([]byte("artifact"))
			return
		}
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write([]byte(`<Error><Code>` + secretText + `</Code><Message>` + secretText + `</Message></Error>`))
	})
	c := newClient(t, source.Options{})
	if content, err := fetch(t.Context(), c, source.S3{Endpoint: url, Bucket: "bucket", Key: "open"}); err != nil || string(content) != "artifact" {
		t.Errorf("got %q and error %v, want the artifact", content, err)
	}
	if got.Get("Authorization") != "" {
		t.Errorf("an anonymous request has Authorization %q", got.Get("Authorization"))
	}
	_, err := fetch(t.Context(), c, source.S3{Endpoint: url, Bucket: "bucket", Key: "closed"})
	wantError(t, err, kit.Transient, otav1alpha1.FetchFailedReason, "500")
}
