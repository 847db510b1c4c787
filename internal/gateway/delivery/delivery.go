// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package delivery hands out artifacts that the present view serves: by redirect to the Repository's public URL, or streamed
// from its bucket. Their names are digests, so that what was delivered once holds for ever.
package delivery

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/windlass-dev/windlass/internal/gateway/edge"
	"github.com/windlass-dev/windlass/internal/gateway/httpx"
	"github.com/windlass-dev/windlass/internal/gateway/limit"
	"github.com/windlass-dev/windlass/internal/gateway/view"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/resolve"
)

// Prefix of the artifacts' paths; <app>/<hexadecimal digest> follows.
const Prefix = "/v1/artifacts/"

// BaseURL is where a request can reach the server again, in two parts: the configured URL if there is one, else as the request
// came in. A proxy that ended TLS says so; to be believed, it can only make the URL safer.
func BaseURL(configured string, r *http.Request) (scheme, rest string) {
	switch {
	case configured != "":
		return "", configured
	case r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https"):
		return "https://", r.Host
	}
	return "http://", r.Host
}

// stall is how long a download may make no progress, in reading as in writing.
const stall = 30 * time.Second

// chunk is how much is copied at a time, in bytes.
const chunk = 64 << 10

// Origin reads artifacts.
type Origin interface {
	// Open streams length bytes of an object from an offset on.
	Open(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error)
}

// Handler delivers artifacts.
type Handler struct {
	View   func() *view.View
	Origin Origin
	Edge   *edge.Edge
	Now    func() time.Time
}

// Routes of artifacts. GET stands for HEAD too.
func (h *Handler) Routes() []httpx.Route {
	return []httpx.Route{{Method: http.MethodGet, Path: Prefix + "{app}/{digest}", Name: "artifact", Origins: h.allowsOrigin, Handle: h.serve}}
}

func (h *Handler) allowsOrigin(origin string) bool {
	v := h.View()
	return v != nil && v.AllowsOrigin(origin)
}

// allowOrigin lets pages of a web origin read an artifact, if a channel that hands it out does.
func allowOrigin(w http.ResponseWriter, r *http.Request, v *view.View, digest string) {
	if r.Header["Origin"] == nil { // devices send none
		return
	}
	httpx.AllowOrigin(w, r, func(origin string) bool {
		for _, c := range v.Apps[r.PathValue("app")] {
			if c.AllowsOrigin(origin) && slices.ContainsFunc(c.Bundles(), func(b *resolve.Bundle) bool { return release.Hex(b.Digest) == digest }) {
				return true
			}
		}
		return false
	})
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request) error {
	digest, v := r.PathValue("digest"), h.View()
	a, ok := v.Artifact(r.PathValue("app"), digest, h.Now())
	if !ok {
		return &httpx.Problem{Status: http.StatusNotFound, Detail: "no channel of this app serves this digest: check for an update to get a URL that is served"}
	}
	allowOrigin(w, r, v, digest)
	object := release.TargetObject(a.Bundle.Path, a.Bundle.Digest)
	if a.PublicURL != "" {
		redirect(w, strings.TrimSuffix(a.PublicURL, "/")+"/"+object)
		return nil
	}
	etag := `"` + digest + `"`
	header := w.Header()
	header.Set("ETag", etag)
	header.Set("Accept-Ranges", "bytes")
	header.Set("Cache-Control", "public, max-age=31536000, immutable")
	if matches(r.Header.Get("If-None-Match"), etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	part, err := partOf(r, etag, a.Bundle.Size)
	if err != nil {
		return err
	}
	header.Set("Content-Type", contentType(&a.Bundle.Bundle))
	return h.send(w, r, object, part)
}

// redirect sends the client to the public URL, for a minute: then the answer may be another one.
func redirect(w http.ResponseWriter, url string) {
	w.Header().Set("Location", url)
	w.Header().Set("Cache-Control", "public, max-age=60")
	w.WriteHeader(http.StatusTemporaryRedirect)
}

// contentType is the media type of what is sent. What CI encrypted is no archive until a device has opened it.
func contentType(b *release.Bundle) string {
	if b.MediaType == "" || b.Encryption != nil {
		return "application/octet-stream"
	}
	return b.MediaType
}

// matches tells whether an If-None-Match list has an ETag (RFC 9110 13.1.2, with its weak comparison).
func matches(list, etag string) bool {
	for one := range strings.SplitSeq(list, ",") {
		if one = strings.TrimSpace(one); one == "*" || strings.TrimPrefix(one, "W/") == etag {
			return true
		}
	}
	return false
}

// retryAfter is when a client that found no place may come again, in seconds.
const retryAfter = "10"

// send streams a part. Errors before the first byte become answers; later ones cut the connection, so that no client takes a
// part for the whole.
func (h *Handler) send(w http.ResponseWriter, r *http.Request, object string, p part) error {
	streams := r.Method != http.MethodHead && p.length > 0
	if streams {
		if !h.Edge.Begin(limit.Downloads) {
			return &httpx.Problem{
				Status: http.StatusServiceUnavailable, Detail: "too many downloads at a time: try again later", Header: http.Header{"Retry-After": {retryAfter}},
			}
		}
		defer h.Edge.End(limit.Downloads)
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	stalled := time.AfterFunc(stall, cancel)
	defer stalled.Stop()
	body := io.NopCloser(io.Reader(strings.NewReader("")))
	if streams {
		var err error
		if body, err = h.Origin.Open(ctx, object, p.offset, p.length); err != nil {
			return &httpx.Problem{Status: http.StatusBadGateway, Detail: "the artifact cannot be read at the moment: try again later", Err: err}
		}
	}
	defer body.Close()
	header := w.Header()
	header.Set("Content-Length", strconv.FormatInt(p.length, 10))
	if p.partial {
		header.Set("Content-Range", p.contentRange())
		w.WriteHeader(http.StatusPartialContent)
	} else {
		w.WriteHeader(http.StatusOK)
	}
	if r.Method == http.MethodHead {
		return nil
	}
	if err := copyAll(w, body, stalled); err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}

var chunks = sync.Pool{New: func() any { b := make([]byte, chunk); return &b }}

// copyAll copies a stream as long as it makes progress.
func copyAll(w http.ResponseWriter, body io.Reader, stalled *time.Timer) error {
	buf := chunks.Get().(*[]byte)
	defer chunks.Put(buf)
	control := http.NewResponseController(w)
	for {
		n, err := body.Read(*buf)
		stalled.Reset(stall)
		if n > 0 {
			if err := control.SetWriteDeadline(time.Now().Add(stall)); err != nil && !errors.Is(err, http.ErrNotSupported) {
				return err
			}
			if _, err := w.Write((*buf)[:n]); err != nil {
				return err
			}
			stalled.Reset(stall) // the write may have taken most of it
		}
		if errors.Is(err, io.EOF) {
			return nil // net/http cuts the connection when this is less than announced
		}
		if err != nil {
			return err
		}
	}
}
